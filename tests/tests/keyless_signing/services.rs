//! What services answer falsely, late or not at all. Each case passes again once the fault is gone.

use trustctl_lab::faults::{Fault, FaultRule, Part};
use trustctl_lab::sigstore::{Claims, LogVersion, Service};
use trustctl_lab::world::World;
use trustctl_tests::http::Request;

use super::stage::{DEVELOPER, Stage};

const ENTRIES: &str = "/api/v*/log/entries";
const CERTIFICATE: &str = "/api/v2/signingCert";
const STAMP: &str = "/api/v1/timestamp";

fn of<'w>(world: &'w World, path: &str, log: LogVersion) -> &'w Service {
    let lab = world.sigstore();
    match (path, log) {
        (CERTIFICATE, _) => lab.fulcio(),
        (STAMP, _) => lab.timestamps(),
        (_, LogVersion::V1) => lab.rekor(),
        _ => lab.tiles(),
    }
}

/// Signs with the fault, which must be refused for `ends` and change nothing, and then without it.
#[track_caller]
fn refuses(log: LogVersion, (path, fault): (&str, Fault), ends: (i32, &str)) {
    let stage = Stage::new();
    let service = of(&stage.world, path, log);
    let token = stage.token(&Claims::email(DEVELOPER));
    let words = stage.words(log, &["--identity-token", &token]);
    service.faults().add(FaultRule::always(path, fault));
    stage.refused(&stage.user, &words, ends);
    service.faults().clear();
    stage.done(&words);
}

#[test]
fn a_false_promise_of_a_log_is_refused() {
    refuses(LogVersion::V1, (ENTRIES, Fault::Wrong(Part::Promise)), (1, "TC0321"));
}

#[test]
fn a_false_inclusion_proof_is_refused() {
    for log in [LogVersion::V1, LogVersion::V2] {
        // The first entry of a log has no hashes that could be wrong.
        let stage = Stage::new();
        let service = of(&stage.world, ENTRIES, log);
        stage.sign(log, &["-a", "first=entry"]);
        service.faults().add(FaultRule::always(ENTRIES, Fault::Wrong(Part::InclusionProof)));
        let token = stage.token(&Claims::email(DEVELOPER));
        stage.refused(&stage.user, &stage.words(log, &["--identity-token", &token]), (1, "TC0321"));
        service.faults().clear();
        stage.sign(log, &[]);
    }
}

#[test]
fn a_false_checkpoint_is_refused() {
    for log in [LogVersion::V1, LogVersion::V2] {
        refuses(log, (ENTRIES, Fault::Wrong(Part::Checkpoint)), (1, "TC0321"));
    }
}

#[test]
fn a_certificate_that_no_trusted_log_knows_is_refused() {
    refuses(LogVersion::V1, (CERTIFICATE, Fault::Wrong(Part::CertificateTimestamp)), (1, "TC0319"));
}

#[test]
fn a_timestamp_over_something_else_is_refused_before_anything_is_logged() {
    for part in [Part::Imprint, Part::Nonce] {
        let stage = Stage::new();
        let token = stage.token(&Claims::email(DEVELOPER));
        let words = stage.words(LogVersion::V1, &["--identity-token", &token]);
        stage.world.sigstore().timestamps().faults().add(FaultRule::always(STAMP, Fault::Wrong(part)));
        stage.refused(&stage.user, &words, (1, "TC0953"));
        assert_eq!(stage.entries(LogVersion::V1), 0);
        stage.world.sigstore().timestamps().faults().clear();
        stage.done(&words);
    }
}

#[test]
fn times_that_do_not_fit_each_other_are_refused() {
    let cases: [(&str, i64, &str); 3] =
        [("fulcio", 3600, "TC0318"), ("timestamps", -86_400, "TC0318"), ("rekor", 3600, "TC0326")];
    for (name, seconds, code) in cases {
        let stage = Stage::new();
        let lab = stage.world.sigstore();
        let service = match name {
            "fulcio" => lab.fulcio(),
            "timestamps" => lab.timestamps(),
            _ => lab.rekor(),
        };
        // So long that the authority, whose clock is ahead, still takes it.
        let token = stage.token(&Claims::email(DEVELOPER).lives(7200));
        let words = stage.words(LogVersion::V1, &["--identity-token", &token]);
        service.set_skew(seconds);
        stage.refused(&stage.user, &words, (1, code));
        service.set_skew(0);
        stage.done(&words);
    }
}

/// Clocks of services may be a little ahead of this machine's.
#[test]
fn a_log_whose_clock_is_two_seconds_ahead_is_waited_for() {
    let stage = Stage::new();
    stage.world.sigstore().rekor().set_skew(2);
    stage.sign(LogVersion::V1, &[]);
    assert_eq!(stage.judged(DEVELOPER), Some(0));
}

#[test]
fn a_refusal_is_quoted_and_not_repeated() {
    let denied = |status| Fault::Status { status, retry_after: None };
    refuses(LogVersion::V1, (CERTIFICATE, denied(403)), (5, "TC0966"));
    // Fulcio says so of a token that it cannot accept.
    refuses(LogVersion::V1, (CERTIFICATE, denied(400)), (5, "TC0966"));
    refuses(LogVersion::V1, (CERTIFICATE, denied(404)), (7, "TC0952"));
    refuses(LogVersion::V1, (ENTRIES, denied(400)), (7, "TC0952"));
    refuses(LogVersion::V1, (STAMP, denied(400)), (7, "TC0952"));
}

#[test]
fn an_outage_of_some_seconds_is_outlasted_in_every_service() {
    for (path, log) in
        [(CERTIFICATE, LogVersion::V1), (STAMP, LogVersion::V1), (ENTRIES, LogVersion::V1), (ENTRIES, LogVersion::V2)]
    {
        let stage = Stage::new();
        let service = of(&stage.world, path, log);
        service.faults().add(FaultRule::times(3, path, Fault::Status { status: 502, retry_after: None }));
        stage.sign(log, &[]);
        assert_eq!(stage.entries(log), 1);
        service.faults().add(FaultRule::times(1, path, Fault::Status { status: 429, retry_after: Some(1) }));
        stage.sign(log, &["-a", "a=b"]);
        assert_eq!(stage.entries(log), 2);
    }
}

#[test]
fn an_outage_beyond_the_time_that_was_given_ends_undecided() {
    let stage = Stage::new();
    let token = stage.token(&Claims::email(DEVELOPER));
    let words = stage.words(LogVersion::V1, &["--identity-token", &token, "--timeout", "2s"]);
    let faults = stage.world.sigstore().rekor().faults();
    faults.add(FaultRule::always(ENTRIES, Fault::Status { status: 502, retry_after: None }));
    stage.refused(&stage.user, &words, (4, "TC0401"));
    faults.clear();
    stage.done(&words);
}

/// The first request was carried out and its answer lost: the repetition meets its own entry.
#[test]
fn an_entry_that_is_there_already_is_fetched_and_taken_when_it_is_ours() {
    let stage = Stage::new();
    stage.world.sigstore().rekor().faults().add(FaultRule::times(1, ENTRIES, Fault::Lost));
    stage.sign(LogVersion::V1, &[]);
    assert_eq!(stage.entries(LogVersion::V1), 1, "no second entry");
    stage.is_signed_by(DEVELOPER);
    let asked = stage.world.sigstore().rekor().requests().all();
    assert!(asked.iter().any(|request| request.status == Some(409)), "{asked:?}");
}

#[test]
fn an_entry_that_is_said_to_be_there_and_is_anothers_is_refused() {
    let stage = Stage::new();
    stage.sign(LogVersion::V1, &["-a", "somebody=else"]);
    let rekor = stage.world.sigstore().rekor();
    let address = rekor.url().trim_start_matches("http://").to_owned();
    let other = Request::new("GET", "/api/v1/log/entries?logIndex=0").send(&address).unwrap().body;
    rekor.faults().add(FaultRule::times(1, "/api/v1/log/entries", Fault::Lost).on("POST"));
    rekor.faults().add(FaultRule::always("/api/v1/log/entries/*", Fault::Replaced(other.into())).on("GET"));
    let token = stage.token(&Claims::email(DEVELOPER));
    stage.refused(&stage.user, &stage.words(LogVersion::V1, &["--identity-token", &token]), (1, "TC0953"));
}

#[test]
fn a_conflict_that_names_no_entry_is_no_success() {
    refuses(LogVersion::V1, (ENTRIES, Fault::Status { status: 409, retry_after: None }), (4, "TC0403"));
}

/// Rekor v2 does not hand out what it has already: a new signature makes a new entry.
#[test]
fn rekor_v2_is_given_a_new_signature_where_it_has_the_old_one() {
    let stage = Stage::new();
    stage.world.sigstore().tiles().faults().add(FaultRule::times(1, ENTRIES, Fault::Lost));
    stage.sign(LogVersion::V2, &[]);
    assert_eq!(stage.entries(LogVersion::V2), 2);
    stage.is_signed_by(DEVELOPER);
}

#[test]
fn another_instances_trusted_root_is_named_as_the_trouble() {
    let (stage, other) = (Stage::new(), Stage::new());
    let (token, root) = (stage.token(&Claims::email(DEVELOPER)), other.file("trusted_root.json"));
    let mut words = stage.words(LogVersion::V1, &["--identity-token", &token]);
    let place = words.iter().position(|word| word == "--trusted-root").unwrap() + 1;
    words[place] = root;
    let before = stage.stored();
    let ran = stage.user.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_eq!((ran.code, stage.stored()), (Some(1), before), "{}", ran.output());
    assert!(ran.stderr.contains("--trusted-root"), "{}", ran.stderr);
}
