//! What sigstore-python and sigstore-js signed, judged by trustctl.

use trustctl_lab::sigstore::LogVersion;

use super::client::Client;
use super::stage::{LOGS, PREDICATE, STRANGER, Stage, accepts, denies, json};

/// Refuses another identity, issuer and artifact, and accepts what was asked for.
#[track_caller]
fn trustctl_judges(stage: &Stage, bundle: &str, more: &[&str]) {
    let (identity, issuer) = (Stage::claims().identity(), stage.issuer());
    let judged = |file: &str, identity: &str, issuer: &str| stage.judged((file, bundle), identity, issuer, more);
    let refused = |code: &str| (Some(1), code.to_owned());
    assert_eq!(judged("release", STRANGER, &issuer), refused("TC0312"), "another identity");
    assert_eq!(judged("release", &identity, "https://another.example"), refused("TC0312"), "another issuer");
    assert_eq!(judged("another", &identity, &issuer), refused("TC0303"), "another artifact");
    assert_eq!(judged("release", &identity, &issuer).0, Some(0), "{bundle}");
}

#[test]
fn files_that_others_signed_with_either_log_are_judged() {
    let stage = Stage::new();
    for client in Client::all() {
        for log in LOGS {
            let bundle = format!("{}-{log:?}.json", client.name());
            accepts(client.sign(&stage, log, &bundle));
            trustctl_judges(&stage, &bundle, &[]);
        }
    }
}

/// Without a timestamp, the promise of Rekor v1 alone tells the time.
#[test]
fn an_attestation_by_sigstore_js_with_the_promise_of_rekor_v1_alone_is_judged() {
    let client = Client::Js(need!(SigstoreJs));
    let stage = Stage::new();
    let statement = stage.statement();
    accepts(client.sign_js(&stage, "dsse", &stage.config_without_timestamps(), &[&statement, "attested.json"]));
    trustctl_judges(&stage, "attested.json", &["--type", PREDICATE]);
    let (identity, issuer) = (Stage::claims().identity(), stage.issuer());
    let judged = |more: &[&str]| stage.judged(("release", "attested.json"), &identity, &issuer, more);
    assert_eq!(judged(&[]), (Some(1), "TC0307".to_owned()), "an attestation is no signature");
    assert_eq!(judged(&["--type", "vuln"]), (Some(1), "TC0360".to_owned()), "nor one of another type");
}

/// sigstore-js 4 logs an envelope in Rekor v2 as `dsse` 0.0.2, which the log does not take: no such bundle can come to be any more.
#[test]
fn an_attestation_by_sigstore_js_is_not_taken_by_rekor_v2() {
    let client = Client::Js(need!(SigstoreJs));
    let stage = Stage::new();
    let statement = stage.statement();
    let ran = client.sign_js(&stage, "dsse", &stage.config(LogVersion::V2), &[&statement, "attested.json"]);
    denies(&ran, "invalid type, must be hashedrekord");
    assert!(!stage.path("attested.json").exists() && stage.world.sigstore().entries(LogVersion::V2).is_empty());
    accepts(client.sign_js(&stage, "message", &stage.config(LogVersion::V2), &["release", "signed.json"]));
}

/// protobuf's JSON leaves out what is zero, and sigstore-js does: the first entry of a log has neither an index nor hashes there.
#[test]
fn zeros_that_sigstore_js_leaves_out_are_read_as_zeros() {
    let client = Client::Js(need!(SigstoreJs));
    for log in LOGS {
        let stage = Stage::new();
        accepts(client.sign(&stage, log, "first.json"));
        let entry = json(stage.path("first.json"));
        let entry = entry.pointer("/verificationMaterial/tlogEntries/0").unwrap();
        assert!(entry.get("logIndex").is_none() && entry.pointer("/inclusionProof/hashes").is_none(), "{entry}");
        trustctl_judges(&stage, "first.json", &[]);
    }
}
