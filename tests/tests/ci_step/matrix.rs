//! The fault matrix: every service that a step asks, out for a minute, overloaded or silent. A run never ends well without a verified
//! signature; the next one makes what is missing, once.

use std::time::Duration;

use trustctl_core::time::Timestamp;
use trustctl_lab::clock::Clock;
use trustctl_lab::faults::{Fault, FaultRule, Faults};
use trustctl_lab::sigstore::{Claims, LogVersion};

use super::stage::{DEVELOPER, SOON, Stage};

/// Whom a step asks, in its order.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Tokens,
    Certificates,
    Timestamps,
    Log,
}

impl Asked {
    const ALL: [Self; 4] = [Self::Tokens, Self::Certificates, Self::Timestamps, Self::Log];

    fn faults(self, stage: &Stage) -> (&Faults, &'static str) {
        let lab = stage.world.sigstore();
        match (self, stage.log) {
            (Self::Tokens, _) => (lab.issuer().faults(), "/actions/token"),
            (Self::Certificates, _) => (lab.fulcio().faults(), "/api/v2/signingCert"),
            (Self::Timestamps, _) => (lab.timestamps().faults(), "/api/v1/timestamp"),
            (Self::Log, LogVersion::V1) => (lab.rekor().faults(), "/api/v1/log/entries"),
            (Self::Log, _) => (lab.tiles().faults(), "/api/v2/log/entries"),
        }
    }
}

/// A stage whose steps get their tokens from the CI system, and its words.
fn workload(log: LogVersion) -> (Stage, Vec<String>) {
    let mut stage = Stage::new(log);
    let claims = Claims::email(DEVELOPER);
    stage.world.sigstore().set_workload(claims.clone());
    let variables = stage.world.sigstore().workload_environment();
    stage.user = variables.into_iter().fold(stage.user, |user, (name, value)| user.with(name, value));
    let mut words = stage.words(&claims, &[]);
    let token = words.iter().position(|word| word == "--identity-token").unwrap();
    words.drain(token..token + 2);
    (stage, words)
}

#[test]
fn a_service_that_is_out_for_a_minute_fails_the_step_and_not_the_next_one() {
    let faults = [
        Fault::Status { status: 502, retry_after: None },
        Fault::Status { status: 429, retry_after: Some(3600) },
        Fault::Hang,
        Fault::Drop,
    ];
    for (log, asked) in [LogVersion::V1, LogVersion::V2].into_iter().zip([&Asked::ALL[..], &[Asked::Log]]) {
        for asked in asked {
            let (stage, words) = workload(log);
            for (number, fault) in faults.iter().enumerate() {
                let minute = Clock::stopped_at(Timestamp::UNIX_EPOCH);
                let end = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(60));
                let (service, path) = asked.faults(&stage);
                service.add(FaultRule::always(path, fault.clone()).until(&minute, end));
                let claim = ["-a".to_owned(), format!("number={number}")];
                let words = [&words[..], &claim].concat();
                let ran = stage.run(&[&words[..], &SOON.map(str::to_owned)].concat());
                assert!(ran.code == Some(4), "{asked:?} {fault:?}: {}", ran.output());
                let told = ["error[TC0401]", "error[TC0405]"].iter().any(|code| ran.stderr.contains(code));
                assert!(told, "{asked:?} {fault:?}: {}", ran.output());
                assert_eq!((stage.bundles(), stage.entries()), (number, number), "{asked:?} {fault:?}");

                minute.advance(Duration::from_secs(60));
                let ran = stage.run(&words);
                assert_eq!(ran.code, Some(0), "{asked:?} {fault:?}: {}", ran.output());
                assert_eq!((stage.bundles(), stage.entries()), (number + 1, number + 1), "{asked:?} {fault:?}");
                assert_eq!(stage.verdict(), Some(0));
                service.clear();
            }
        }
    }
}

/// Without a token nothing of the signature can be finished: the intention waits.
#[test]
fn an_outage_of_the_source_of_tokens_is_queued_and_completed() {
    for fault in [Fault::Status { status: 503, retry_after: None }, Fault::Hang] {
        let (stage, words) = workload(LogVersion::V2);
        let (service, path) = Asked::Tokens.faults(&stage);
        service.add(FaultRule::always(path, fault));
        let queue = ["--if-log-down", "queue", "--queue", "queue"].map(str::to_owned);
        let ran = stage.run(&[&words[..], &queue, &SOON.map(str::to_owned)].concat());
        assert!(ran.code == Some(4) && ran.stderr.contains("error[TC0830]"), "{}", ran.output());
        assert!(stage.pending()["signature"].is_null());
        assert_eq!((stage.certificates(), stage.bundles(), stage.verdict()), (0, 0, Some(3)));
        service.clear();
        let (code, said) = stage.complete(&[]);
        assert_eq!(code, Some(0), "{said}");
        stage.is_signed_once();
    }
}

/// A certificate authority whose certificate log is down may answer with a certificate that no log knows.
#[test]
fn a_certificate_without_a_logs_promise_is_no_certificate_and_nothing_waits_for_it() {
    let stage = Stage::new(LogVersion::V1);
    let fulcio = stage.world.sigstore().fulcio();
    let detached = r#"{"signedCertificateDetachedSct":{"chain":{"certificates":["-----BEGIN CERTIFICATE-----"]}}}"#;
    fulcio.faults().add(FaultRule::always("/api/v2/signingCert", Fault::Replaced(detached.into())));
    let (code, said) = stage.sign_or_queue(&[]);
    assert!(code == Some(1) && said.contains("error[TC0319]"), "{said}");
    assert_eq!((stage.bundles(), stage.entries(), stage.queue().len(), stage.verdict()), (0, 0, 0, Some(3)));
    fulcio.faults().clear();
    assert_eq!(stage.sign_or_queue(&[]).0, Some(0));
    stage.is_signed_once();
}
