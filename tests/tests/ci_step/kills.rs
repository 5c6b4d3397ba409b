//! kill -9 at every step of signing, then the step again or `complete`: one signature, one log entry, as few certificates as can be.

use std::process::Child;
use std::time::Duration;

use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::sigstore::LogVersion;

use super::stage::{Stage, until};

/// Where the run is when it is killed, and how many certificates the whole story takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    AskingForACertificate,
    AskingForATimestamp,
    AskingTheLog,
    TheLogHasDoneIt,
    TheLogHasAnswered,
    Published,
}

pub(crate) const STEPS: [(Step, usize); 6] = [
    (Step::AskingForACertificate, 1),
    (Step::AskingForATimestamp, 2),
    (Step::AskingTheLog, 1),
    (Step::TheLogHasDoneIt, 1),
    (Step::TheLogHasAnswered, 1),
    (Step::Published, 1),
];

impl Step {
    /// Lets a run with the queue come this far, and kills it.
    fn kill_at(self, stage: &Stage) {
        self.kill_what(
            stage,
            || stage.start(),
            || !stage.queue().is_empty() && !stage.pending()["signature"]["logAnswers"][0].is_null(),
        );
    }

    /// Makes the services such that a run comes this far, has `start` start it, and kills it there.
    pub(crate) fn kill_what(self, stage: &Stage, start: impl FnOnce() -> Child, has_answer: impl Fn() -> bool) {
        let lab = stage.world.sigstore();
        let (registry, log) = (stage.world.registry(), if stage.log == LogVersion::V1 { lab.rekor() } else { lab.tiles() });
        let down = Fault::Status { status: 502, retry_after: None };
        match self {
            Self::AskingForACertificate => lab.fulcio().faults().add(FaultRule::always("*", down)),
            Self::AskingForATimestamp => lab.timestamps().faults().add(FaultRule::always("*", down)),
            Self::AskingTheLog => log.faults().add(FaultRule::always("*", down)),
            Self::TheLogHasDoneIt => log.faults().add(FaultRule::always("*", Fault::Slow(Duration::from_secs(30)))),
            Self::TheLogHasAnswered => registry.faults().add(FaultRule::always("*/blobs/uploads/*", Fault::Hang).on("POST")),
            Self::Published => registry.faults().set_latency(Duration::from_millis(300)),
        }
        let mut run = start();
        until(&format!("{self:?}"), || match self {
            Self::AskingForACertificate => lab.fulcio().requests().count() > 0,
            Self::AskingForATimestamp => lab.timestamps().requests().count() > 0,
            Self::AskingTheLog => log.requests().count() > 0,
            Self::TheLogHasDoneIt => stage.entries() > 0,
            Self::TheLogHasAnswered => has_answer(),
            Self::Published => stage.bundles() > 0,
        });
        run.kill().unwrap();
        run.wait().unwrap();
        for faults in [lab.fulcio().faults(), lab.timestamps().faults(), log.faults(), registry.faults()] {
            faults.clear();
        }
    }
}

#[test]
fn a_killed_step_is_run_again() {
    for (step, certificates) in STEPS {
        let stage = Stage::new(LogVersion::V1);
        step.kill_at(&stage);
        assert!(matches!(step, Step::Published) || stage.verdict() == Some(3), "{step:?}");
        let (code, said) = stage.sign_or_queue(&[]);
        assert_eq!(code, Some(0), "{step:?}: {said}");
        stage.is_signed_once_or_left(step);
        assert_eq!(stage.certificates(), certificates, "{step:?}");
    }
}

#[test]
fn a_killed_step_is_completed() {
    for (step, certificates) in STEPS.into_iter().skip(2) {
        let stage = Stage::new(LogVersion::V1);
        step.kill_at(&stage);
        let (code, said) = stage.complete(&[]);
        assert_eq!(code, Some(0), "{step:?}: {said}");
        stage.is_signed_once();
        assert_eq!(stage.certificates(), certificates, "{step:?}");
    }
}

/// A Rekor v2 hands nothing out: only a run that was killed before it wrote the answer down makes a second entry.
#[test]
fn with_rekor_v2_one_step_makes_a_second_entry_and_says_so() {
    for (step, entries) in
        [(Step::AskingTheLog, 1), (Step::TheLogHasDoneIt, 2), (Step::TheLogHasAnswered, 1), (Step::Published, 1)]
    {
        let stage = Stage::new(LogVersion::V2);
        step.kill_at(&stage);
        let (code, said) = stage.complete(&[]);
        assert_eq!((code, stage.entries(), stage.bundles(), stage.verdict()), (Some(0), entries, 1, Some(0)), "{step:?}: {said}");
        assert_eq!(said.contains("TC0833"), entries == 2, "{step:?}: {said}");
    }
}

#[test]
fn two_completions_at_once_do_it_once() {
    let stage = Stage::new(LogVersion::V2);
    Step::AskingTheLog.kill_at(&stage);
    let stage = &stage;
    let codes: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(move || stage.complete(&[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(codes.iter().all(|(code, _)| *code == Some(0)), "{codes:?}");
    stage.is_signed_once();
}

#[test]
fn two_steps_at_once_with_one_queue_sign_once() {
    let stage = Stage::new(LogVersion::V2);
    // Until both have looked and found nothing.
    stage.world.sigstore().tiles().faults().set_latency(Duration::from_millis(500));
    let shared = &stage;
    let codes: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(move || shared.sign_or_queue(&[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(codes.iter().all(|(code, _)| *code == Some(0)), "{codes:?}");
    stage.is_signed_once();
}

impl Stage {
    /// A step that was killed after its last request finds everything there, and leaves the file to `complete`, which removes it.
    #[track_caller]
    fn is_signed_once_or_left(&self, step: Step) {
        if matches!(step, Step::Published) && !self.queue().is_empty() {
            let (code, said) = self.complete(&[]);
            assert!(code == Some(0) && said.contains("already signed"), "{said}");
        }
        self.is_signed_once();
    }
}
