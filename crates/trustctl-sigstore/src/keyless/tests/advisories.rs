//! Advisories and fixes of other clients, where no other test holds the same rule: see `docs/explanation/advisories.md`.

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};

use super::super::{About, By, Instance, Question};
use super::world::{Leaf, SIGNED, World, image, statement};
use super::{code, entry, usual};

/// The fault of a bundle by the world's usual log, whose entry has `body` in place of its own.
fn with_body(world: &World, body: &str) -> Option<Code> {
    let mut bundle = world.bundle(&Leaf::default());
    *entry(&mut bundle) = world.logged(0, "dsse", body.as_bytes(), SIGNED);
    usual(world, &bundle)
}

/// cosign 3.0.5 and 3.1, rekor GHSA-frqx-jfcm-6jjr, CVE-2026-24117: parts that made others stop with a panic.
#[test]
fn malformed_parts_that_ended_other_clients_are_refused() {
    let world = World::new();
    assert_eq!(usual(&world, &world.bundle(&Leaf::default())), None);
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "\u{0}",
        r#"{"apiVersion":"0.0.1","kind":"dsse","spec":null}"#,
        r#"{"apiVersion":"0.0.1","kind":"dsse","spec":{"signatures":null,"payloadHash":null}}"#,
        r#"{"apiVersion":"0.0.1","kind":"dsse","spec":{"signatures":[null],"payloadHash":{"algorithm":"sha256","value":""}}}"#,
        r#"{"apiVersion":"0.0.1","kind":"dsse","spec":{"signatures":[{"signature":"","verifier":""}],"payloadHash":{"algorithm":7,"value":7}}}"#,
    ] {
        let fault = with_body(&world, body);
        assert!(matches!(fault, Some(Code::CosignMalformed | Code::CosignLogMismatch)), "{body}: {fault:?}");
    }
    let whole = world.bundle(&Leaf::default());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut bundle = whole.clone();
        change(&mut bundle);
        usual(&world, &bundle)
    };
    let malformed = Some(Code::CosignMalformed);
    assert_eq!(changed(&|bundle| entry(bundle)["canonicalizedBody"] = json!(7)), malformed);
    assert_eq!(changed(&|bundle| entry(bundle)["canonicalizedBody"] = json!(null)), malformed);
    assert_eq!(changed(&|bundle| entry(bundle)["inclusionPromise"] = json!({})), malformed);
    let stamps = |value: Value| {
        changed(&|bundle| bundle["verificationMaterial"]["timestampVerificationData"] = json!({"rfc3161Timestamps": value}))
    };
    assert_eq!(stamps(json!([])), None, "no timestamps are no fault");
    assert_eq!(stamps(json!([{}])), malformed);
    assert_eq!(stamps(json!([{"signedTimestamp": "AAAA"}])), Some(Code::CosignTimestampInvalid));
    assert_eq!(changed(&|bundle| bundle["verificationMaterial"]["certificate"]["rawBytes"] = json!("")), malformed);
    assert!(
        crate::blob::as_bundle(br#"{"base64Signature":"AA==","cert":" \n"}"#).is_err_and(|fault| Some(fault.code) == malformed)
    );
}

/// sigstore-go #609: an empty list of digests must not spare the comparison with the artifact.
#[test]
fn a_statement_without_a_digest_binds_nothing() {
    let world = World::new();
    let about = |subjects: Value| {
        let mut said: Value = serde_json::from_slice(&statement(&image())).unwrap();
        said["subject"] = subjects;
        usual(&world, &world.bundle_of(&Leaf::default(), said.to_string().as_bytes()))
    };
    assert_eq!(about(json!([{"digest": {"sha256": image().hex()}}])), None);
    for nothing in
        [json!([]), json!(null), json!([null]), json!([{}]), json!([{"digest": {}}]), json!([{"digest": {"sha256": ""}}])]
    {
        let fault = about(nothing.clone());
        assert!(matches!(fault, Some(Code::CosignMalformed | Code::CosignDigestMismatch)), "{nothing}: {fault:?}");
    }
    assert_eq!(about(json!([{"digest": {"md5": image().hex()}}])), Some(Code::CosignMalformed), "no hash that is known");
}

/// sigstore-go #562: an entry of a kind that is not known, or other than it says, must not count as checked.
#[test]
fn an_entry_of_another_kind_than_it_says_proves_nothing() {
    let world = World::new();
    let whole = world.bundle(&Leaf::default());
    let said = |kind: &str, version: &str| {
        let mut bundle = whole.clone();
        entry(&mut bundle)["kindVersion"] = json!({"kind": kind, "version": version});
        usual(&world, &bundle)
    };
    assert_eq!(said("dsse", "0.0.1"), None);
    for (kind, version) in
        [("dsse", "0.0.2"), ("dsse", "9"), ("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2"), ("", ""), ("alpine", "0.0.1")]
    {
        let fault = said(kind, version);
        assert!(fault.is_some(), "{kind} {version}");
        assert_ne!(fault, Some(Code::AnchorUnusable), "{kind} {version}");
    }
}

/// sigstore-go #642: a log vouches only for the time in which its key counted.
#[test]
fn a_log_counts_only_while_its_key_did() {
    let world = World::new();
    let bundle = world.bundle(&Leaf::default()).to_string();
    let judged = |window: Value| {
        let mut root = world.root();
        root["tlogs"][0]["publicKey"]["validFor"] = window;
        let anchor = SigstoreAnchor { trusted_root: root.to_string().into_bytes().into(), ..world.anchor(None) };
        let image = image();
        let question = Question { bundle: bundle.as_bytes(), about: About::Digest(&image), by: By::Certificate };
        code(Instance::new(&anchor).unwrap().verify(question, "2026-11-23T00:00:00Z".parse().unwrap()))
    };
    assert_eq!(judged(json!({"start": "2020-01-01T00:00:00Z"})), None);
    assert_eq!(judged(json!({"start": "2020-01-01T00:00:00Z", "end": "2026-11-20T12:00:00Z"})), None, "the end is included");
    let ended = judged(json!({"start": "2020-01-01T00:00:00Z", "end": "2026-11-20T11:59:59Z"}));
    assert!(matches!(ended, Some(Code::CosignLogInvalid | Code::CosignLogUnknown)), "{ended:?}");
    let later = judged(json!({"start": "2026-11-20T12:00:01Z"}));
    assert!(matches!(later, Some(Code::CosignLogInvalid | Code::CosignLogUnknown)), "{later:?}");
    assert_eq!(judged(json!({"start": "2027-01-01T00:00:00Z"})), Some(Code::CosignLogUnknown));
}

/// sigstore-go #630: what is too much is refused before it is parsed.
#[test]
fn subjects_and_certificates_are_counted_before_they_are_read() {
    let world = World::new();
    let with = |count: usize| {
        let one = json!({"digest": {"sha256": "00".repeat(32)}});
        let mut subjects = vec![json!({"digest": {"sha256": image().hex()}})];
        subjects.resize(count, one);
        let mut said: Value = serde_json::from_slice(&statement(&image())).unwrap();
        said["subject"] = json!(subjects);
        said.to_string()
    };
    let read = |text: &str| crate::statement::Statement::parse(text.as_bytes()).map(|said| said.subjects.len()).ok();
    assert_eq!((read(&with(1024)), read(&with(1025))), (Some(1024), None));
    let mut bundle = world.bundle(&Leaf::default());
    let certificate = bundle["verificationMaterial"]["certificate"].clone();
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let entries = bundle["verificationMaterial"]["tlogEntries"].clone();
    for (count, expected) in [(1, None), (8, None), (9, Some(Code::CosignMalformed))] {
        let chain = vec![certificate.clone(); count];
        bundle["verificationMaterial"] = json!({"x509CertificateChain": {"certificates": chain}, "tlogEntries": entries});
        assert_eq!(code(world.judge(&bundle, Thresholds::default())), expected, "{count}");
    }
}

/// sigstore-js logs envelopes as `dsse` 0.0.2, which Rekor v2 does not take: such an entry can come from no log of today, so none is read. An
/// envelope in Rekor v2 is a `hashedrekord` of what is signed.
#[test]
fn an_envelope_is_no_dsse_entry_of_rekor_2() {
    let world = World::new();
    let bundle = world.bundle(&Leaf::default());
    let material = &bundle["verificationMaterial"];
    let payload = crate::format::decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap(), "it").unwrap();
    let body = json!({"apiVersion": "0.0.2", "kind": "dsse", "spec": {"dsseV002": {
        "payloadHash": {"algorithm": "SHA2_256", "digest": crate::format::encode(Digest::sha256_of(&payload).as_bytes())},
        "signatures": [{
            "content": bundle["dsseEnvelope"]["signatures"][0]["sig"],
            "verifier": {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": material["certificate"]["rawBytes"]}},
        }],
    }}});
    let mut second = bundle.clone();
    *entry(&mut second) = world.logged(0, "dsse", body.to_string().as_bytes(), SIGNED);
    entry(&mut second)["kindVersion"]["version"] = json!("0.0.2");
    assert_eq!(usual(&world, &bundle), None);
    assert_eq!(usual(&world, &second), Some(Code::CosignMalformed));
}
