//! Without the queue: a run that is killed between a log's answer and the publication leaves a note, and the next one goes on from there.

use std::time::{Duration, SystemTime};

use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::sigstore::{Claims, LogVersion};

use super::kills::{STEPS, Step};
use super::stage::{DEVELOPER, SOON, Stage, until};

impl Step {
    /// Lets a run of these words come this far, and kills it.
    fn kill(self, stage: &Stage, words: &[String]) {
        let has_answer = || stage.journal().first().is_some_and(|page| !page["logAnswers"][0].is_null());
        self.kill_what(stage, || stage.start_of(words), has_answer);
    }
}

#[test]
fn a_killed_step_without_a_queue_is_run_again_with_one_entry() {
    for (step, certificates) in STEPS {
        let stage = Stage::new(LogVersion::V1);
        step.kill(&stage, &stage.words(&Claims::email(DEVELOPER), &[]));
        let (code, said) = stage.sign(&[]);
        assert_eq!(code, Some(0), "{step:?}: {said}");
        stage.is_signed_once();
        assert_eq!(stage.certificates(), certificates, "{step:?}");
        assert!(stage.journal().is_empty() && !said.contains("TC0833"), "{step:?}: {said}");
    }
}

#[test]
fn with_rekor_v2_and_without_a_queue_a_second_entry_is_told_too() {
    for (step, entries) in
        [(Step::AskingTheLog, 1), (Step::TheLogHasDoneIt, 2), (Step::TheLogHasAnswered, 1), (Step::Published, 1)]
    {
        let stage = Stage::new(LogVersion::V2);
        step.kill(&stage, &stage.words(&Claims::email(DEVELOPER), &[]));
        let (code, said) = stage.sign(&[]);
        assert_eq!((code, stage.entries(), stage.bundles(), stage.verdict()), (Some(0), entries, 1, Some(0)), "{step:?}: {said}");
        assert_eq!(said.contains("TC0833"), entries == 2, "{step:?}: {said}");
        assert!(stage.journal().is_empty(), "{step:?}");
    }
}

/// What is attested and files that are signed have no queue at all. What is attested says when it was made: it is the same all the same.
#[test]
fn a_killed_attestation_and_a_killed_signature_of_a_file_are_found_again() {
    for version in [LogVersion::V1, LogVersion::V2] {
        for kind in ["attest", "file", "attested file"] {
            let stage = Stage::new(version);
            for name in ["release", "said.txt"] {
                std::fs::write(stage.user.home().join(name), name).unwrap();
            }
            let image = stage.image();
            let said = ["--type", "custom", "--predicate", "said.txt"];
            let words = match kind {
                "attest" => [&["attest", &image][..], &said].concat(),
                "file" => vec!["blob", "sign", "release"],
                _ => [&["blob", "attest", "release"][..], &said].concat(),
            };
            let services = stage.services(&Claims::email(DEVELOPER));
            let words: Vec<String> = words.into_iter().map(str::to_owned).chain(services).collect();
            Step::TheLogHasDoneIt.kill(&stage, &words);
            assert_eq!((stage.entries(), stage.journal().len()), (1, 1), "{kind}");
            let ran = stage.run(&words);
            assert_eq!(ran.code, Some(0), "{kind}: {}", ran.output());
            let entries = if version == LogVersion::V1 { 1 } else { 2 };
            assert_eq!((stage.entries(), stage.journal().len()), (entries, 0), "{kind}: {}", ran.output());
            assert_eq!(ran.output().contains("TC0833"), entries == 2, "{kind}: {}", ran.output());
        }
    }
}

/// The certificate has ended: a log that says the time is asked whether it has entered the signature by then, and not to enter it now.
#[test]
fn of_an_ended_certificate_only_what_the_log_has_already_counts() {
    for (step, certificates) in [(Step::TheLogHasDoneIt, 0), (Step::AskingTheLog, 1)] {
        let stage = Stage::new(LogVersion::V1);
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        // Certificates live for ten minutes: this one ends in ten seconds.
        stage.world.sigstore().fulcio().set_skew(-590);
        let claims = Claims::email(DEVELOPER).with("iat", now() - 700).with("nbf", now() - 700);
        step.kill(&stage, &stage.words(&claims, &[]));
        let end = now() + 11;
        until("the certificate's end", || now() > end);
        stage.world.sigstore().fulcio().set_skew(0);
        let before = stage.certificates();
        let (code, said) = stage.sign(&[]);
        assert_eq!(code, Some(0), "{step:?}: {said}");
        stage.is_signed_once();
        assert_eq!(stage.certificates() - before, certificates, "{step:?}");
    }
}

/// What was left is made up, cut off or another's: it counts for nothing, and what does not hold is told.
#[test]
fn what_was_left_and_does_not_hold_is_made_anew() {
    let stage = Stage::new(LogVersion::V1);
    Step::TheLogHasAnswered.kill(&stage, &stage.words(&Claims::email(DEVELOPER), &[]));
    let file = std::fs::read_dir(stage.journal_folder()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "json")).unwrap();
    let left = std::fs::read_to_string(&file).unwrap();
    // The timestamp of another signature.
    let other = Stage::new(LogVersion::V1);
    Step::TheLogHasAnswered.kill(&other, &other.words(&Claims::email(DEVELOPER), &[]));
    let (mut mixed, theirs): (serde_json::Value, _) = (serde_json::from_str(&left).unwrap(), other.journal().remove(0));
    mixed["timestamps"] = theirs["timestamps"].clone();
    std::fs::write(&file, mixed.to_string()).unwrap();
    let (code, said) = stage.sign(&[]);
    assert!(code == Some(0) && said.contains("TC0833"), "{said}");
    assert_eq!((stage.verdict(), stage.bundles(), stage.entries()), (Some(0), 1, 2));
    for bad in [&left[..left.len() / 2], "{}", &theirs.to_string()] {
        std::fs::write(&file, bad).unwrap();
        let (code, said) = stage.sign(&["-a", &format!("length={}", bad.len())]);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn where_nothing_can_be_written_down_that_is_said_and_the_run_goes_on() {
    let stage = Stage::new(LogVersion::V1);
    let folder = stage.journal_folder();
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let (code, said) = stage.sign(&[]);
    assert!(code == Some(0) && said.contains("TC0834"), "{said}");
    stage.is_signed_once();
    std::fs::remove_file(&folder).unwrap();
    let (code, said) = stage.sign(&["-a", "a=b"]);
    assert!(code == Some(0) && !said.contains("TC0834"), "{said}");
}

/// A run that failed has left what the log may have entered; what is there nobody comes back for goes some day.
#[test]
fn an_outage_of_the_log_leaves_a_note_and_old_notes_go() {
    let stage = Stage::new(LogVersion::V1);
    let rekor = stage.world.sigstore().rekor();
    rekor.faults().add(FaultRule::always("/api/v1/log/entries", Fault::Status { status: 502, retry_after: None }));
    assert_eq!(stage.sign(&SOON).0, Some(4));
    assert_eq!(stage.journal().len(), 1);
    rekor.faults().clear();
    let file = std::fs::read_dir(stage.journal_folder()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "json")).unwrap();
    for (days, notes) in [(29, 1), (31, 0)] {
        let time = SystemTime::now() - Duration::from_secs(days * 86_400);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        assert_eq!(stage.sign(&["-a", &format!("days={days}")]).0, Some(0));
        assert_eq!(stage.journal().len(), notes, "{days}");
    }
}
