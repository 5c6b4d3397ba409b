//! Outages of each service: with the queue and without, and what completes them.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::sigstore::{Claims, LogVersion, Service};

use super::stage::{DEVELOPER, SOON, Stage};

const LOGS: [LogVersion; 2] = [LogVersion::V1, LogVersion::V2];
const ENTRIES: &str = "/api/v*/log/entries";

fn log(stage: &Stage) -> &Service {
    match stage.log {
        LogVersion::V1 => stage.world.sigstore().rekor(),
        _ => stage.world.sigstore().tiles(),
    }
}

fn down() -> Fault {
    Fault::Status { status: 502, retry_after: None }
}

/// A run without the queue fails, changes nothing, and keeps nothing.
#[test]
fn without_the_queue_an_outage_fails_the_step() {
    for version in LOGS {
        let stage = Stage::new(version);
        log(&stage).faults().add(FaultRule::always(ENTRIES, down()));
        let (code, said) = stage.sign(&SOON);
        assert!(code == Some(4) && said.contains("error[TC0401]"), "{said}");
        assert_eq!((stage.bundles(), stage.queue().len(), stage.verdict()), (0, 0, Some(3)));
        log(&stage).faults().clear();
        assert_eq!(stage.sign(&[]).0, Some(0));
        stage.is_signed_once();
    }
}

#[test]
fn a_signature_that_only_lacks_its_log_entry_is_kept_and_completed() {
    for (version, fault) in [
        (LogVersion::V1, down()),
        (LogVersion::V2, down()),
        (LogVersion::V1, Fault::Hang),
        (LogVersion::V2, Fault::Drop),
        (LogVersion::V2, Fault::Status { status: 429, retry_after: Some(3600) }),
    ] {
        let stage = Stage::new(version);
        log(&stage).faults().add(FaultRule::always(ENTRIES, fault));
        let (code, said) = stage.sign_or_queue(&SOON);
        assert!(code == Some(4) && said.contains("error[TC0830]") && said.contains("trustctl complete"), "{said}");
        assert_eq!((stage.bundles(), stage.verdict()), (0, Some(3)), "nothing is published before it is whole");

        let pending = stage.pending();
        assert!(pending["signature"]["certificates"][0].is_string() && pending["signature"]["timestamps"][0].is_string());
        let file = stage.queue().pop().unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let folder = std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(folder & 0o777, 0o700);
        let (text, token) = (std::fs::read_to_string(&file).unwrap(), stage.services(&Claims::email(DEVELOPER)).pop().unwrap());
        let token = std::fs::read_to_string(token).unwrap();
        assert!(!text.contains("PRIVATE") && !text.contains(token.rsplit('.').next().unwrap()), "a secret is kept");

        let (code, said) = stage.complete(&SOON);
        assert!(code == Some(4) && said.contains("TC0831"), "{said}");
        assert_eq!(stage.queue().len(), 1);
        log(&stage).faults().clear();
        let (code, said) = stage.complete(&[]);
        assert_eq!(code, Some(0), "{said}");
        stage.is_signed_once();
        assert_eq!(stage.certificates(), 1, "the signature that was kept is the one that was published");
        let (code, said) = stage.complete(&[]);
        assert!(code == Some(0) && said.contains("nothing waits"), "{said}");
    }
}

#[test]
fn signing_again_goes_on_from_what_was_kept() {
    for version in LOGS {
        let stage = Stage::new(version);
        log(&stage).faults().add(FaultRule::always(ENTRIES, down()));
        assert_eq!(stage.sign_or_queue(&SOON).0, Some(4));
        log(&stage).faults().clear();
        let (code, said) = stage.sign_or_queue(&[]);
        assert_eq!(code, Some(0), "{said}");
        stage.is_signed_once();
        assert_eq!(stage.certificates(), 1);
    }
}

/// Nothing of the signature can be finished: the intention is kept, and `complete` signs with a fresh token.
#[test]
fn without_certificate_or_timestamp_the_intention_is_kept() {
    for (path, certificates) in [("/api/v2/signingCert", 1), ("/api/v1/timestamp", 2)] {
        let stage = Stage::new(LogVersion::V2);
        let lab = stage.world.sigstore();
        let service = if certificates == 1 { lab.fulcio() } else { lab.timestamps() };
        service.faults().add(FaultRule::always(path, down()));
        let (code, said) = stage.sign_or_queue(&SOON);
        assert!(code == Some(4) && said.contains("error[TC0830]"), "{said}");
        let pending = stage.pending();
        assert!(pending["signature"].is_null(), "{pending}");
        assert_eq!(stage.complete(&SOON).0, Some(4));
        service.faults().clear();
        let (code, said) = stage.complete(&[]);
        assert_eq!(code, Some(0), "{said}");
        stage.is_signed_once();
        assert!(stage.certificates() >= certificates);
    }
}

/// Who is named by a token that was refused is nobody, however the log is.
#[test]
fn what_is_no_outage_is_never_queued() {
    let stage = Stage::new(LogVersion::V1);
    log(&stage).faults().add(FaultRule::always(ENTRIES, down()));
    let queue = ["--if-log-down", "queue", "--queue", "queue"];
    let expired = stage.run(&stage.words(&Claims::email(DEVELOPER).expired(), &queue));
    assert!(expired.code == Some(5) && expired.stderr.contains("TC0962"), "{}", expired.output());
    let words = stage.words(&Claims::email(DEVELOPER), &queue);
    let token = words.iter().position(|word| word == "--identity-token").unwrap();
    let without: Vec<&str> =
        words.iter().enumerate().filter(|(at, _)| ![token, token + 1].contains(at)).map(|(_, word)| word.as_str()).collect();
    let user = stage.user.clone().with("GITHUB_ACTIONS", "true");
    let unpermitted = user.run(&without).unwrap();
    assert!(unpermitted.code == Some(5) && unpermitted.stderr.contains("id-token: write"), "{}", unpermitted.output());
    log(&stage).faults().clear();
    log(&stage).faults().add(FaultRule::always(ENTRIES, Fault::Status { status: 400, retry_after: None }));
    let (code, said) = stage.sign_or_queue(&[]);
    assert!(code == Some(7) && said.contains("TC0952"), "{said}");
    assert_eq!((stage.bundles(), stage.verdict()), (0, Some(3)));
}

/// The log has done it and nobody heard: a Rekor v1 hands the entry out, a Rekor v2 does not, and then the second one is told.
#[test]
fn an_entry_whose_answer_was_lost_is_fetched_or_the_second_one_is_told() {
    for (version, entries) in [(LogVersion::V1, 1), (LogVersion::V2, 2)] {
        let stage = Stage::new(version);
        log(&stage).faults().add(FaultRule::times(1, ENTRIES, Fault::Slow(Duration::from_secs(30))));
        let (code, said) = stage.sign_or_queue(&SOON);
        assert!(code == Some(4) && said.contains("TC0830"), "{said}");
        assert_eq!(stage.entries(), 1);
        let (code, said) = stage.complete(&[]);
        assert_eq!((code, stage.entries(), stage.bundles()), (Some(0), entries, 1), "{said}");
        assert_eq!(said.contains("TC0833"), entries == 2, "{said}");
        assert_eq!(stage.verdict(), Some(0));
    }
}

/// A Rekor v1 says when it entered the signature: after the certificate's end that would be too late for every verifier.
#[test]
fn a_certificate_that_has_ended_meanwhile_is_not_logged_by_a_log_that_says_the_time() {
    for (version, certificates) in [(LogVersion::V1, 1), (LogVersion::V2, 0)] {
        let stage = Stage::new(version);
        // Certificates live for ten minutes: these end in two seconds.
        stage.world.sigstore().fulcio().set_skew(-598);
        log(&stage).faults().add(FaultRule::always(ENTRIES, down()));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let claims = Claims::email(DEVELOPER).with("iat", now - 700).with("nbf", now - 700);
        let ran = stage.run(&stage.words(&claims, &["--if-log-down", "queue", "--queue", "queue", "--timeout", "5s"]));
        assert!(ran.code == Some(4) && ran.stderr.contains("TC0830"), "{}", ran.output());
        log(&stage).faults().clear();
        stage.world.sigstore().fulcio().set_skew(0);
        let before = stage.certificates();
        let (code, said) = stage.complete(&[]);
        assert_eq!(code, Some(0), "{said}");
        stage.is_signed_once();
        assert_eq!(stage.certificates() - before, certificates);
    }
}

#[test]
fn a_file_that_is_not_what_was_written_is_refused_and_signs_nothing() {
    let stage = Stage::new(LogVersion::V2);
    log(&stage).faults().add(FaultRule::always(ENTRIES, down()));
    assert_eq!(stage.sign_or_queue(&SOON).0, Some(4));
    log(&stage).faults().clear();
    let file = stage.queue().pop().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let cut = &text[..text.len() / 2];
    let twice = text.replacen('{', r#"{"schema":"trustctl/pending/v1","#, 1);
    for bad in [cut, "{}", &twice, &text.replace("pending/v1", "pending/v9"), &text.replace("eyJfdHlwZSI6", "eyJfdHlwZSIg")] {
        std::fs::write(&file, bad).unwrap();
        let (code, said) = stage.complete(&[]);
        assert!(code == Some(7) && said.contains("TC0832"), "{said}");
        assert_eq!((stage.bundles(), stage.entries()), (0, 0));
    }
    std::fs::write(&file, text).unwrap();
    assert_eq!(stage.complete(&[]).0, Some(0));
    stage.is_signed_once();
}

/// A file says what is signed: whoever names the images signs nothing else.
#[test]
fn only_what_is_named_is_completed() {
    let stage = Stage::new(LogVersion::V2);
    log(&stage).faults().add(FaultRule::always(ENTRIES, down()));
    assert_eq!(stage.sign_or_queue(&SOON).0, Some(4));
    log(&stage).faults().clear();
    let other = format!("{}@sha256:{}", stage.world.name("shop/cart"), "00".repeat(32));
    assert_eq!(stage.complete(&[&other]).0, Some(0));
    assert_eq!((stage.queue().len(), stage.bundles()), (1, 0));
    assert_eq!(stage.complete(&[&stage.image()]).0, Some(0));
    stage.is_signed_once();
}
