//! Real bundles of the public-good instance, whole and with one thing changed. The folder comes from `TRUSTCTL_EXTERNAL_TESTDATA`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_sigstore::keyless::{About, By, Instance, PUBLIC_GOOD, Proof, Question};

const NOW: &str = "2026-11-23T00:00:00Z";

fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
        trustctl_tests::peers::skip("real bundles of the public-good instance", "TRUSTCTL_EXTERNAL_TESTDATA is not set");
        return None;
    };
    Some(PathBuf::from(folder).join("sigstore"))
}

fn instance(trusted_root: &[u8]) -> Instance {
    Instance::new(&SigstoreAnchor { name: None, trusted_root: trusted_root.into(), thresholds: Thresholds::default() }).unwrap()
}

fn judge(instance: &Instance, bundle: &Value, about: About<'_>) -> Result<Proof, Code> {
    let bundle = bundle.to_string();
    let question = Question { bundle: bundle.as_bytes(), about, by: By::Certificate };
    instance.verify(question, NOW.parse().unwrap()).map_err(|fault| fault.code)
}

fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn image_signatures_and_attestations_of_the_public_instance_are_proven() {
    let Some(folder) = folder() else { return };
    let instance = instance(PUBLIC_GOOD.as_bytes());
    for (path, subject, issuer) in [
        (
            "sigstore-rs/bundle_v03.json",
            "sha256:c811d58de79c92f03214e63aa339484e488d694ae8a6283b5f3f17a9faf50172",
            "https://token.actions.githubusercontent.com",
        ),
        (
            "cosign-testdata/oci-attestation.sigstore.json",
            "sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4",
            "https://github.com/login/oauth",
        ),
    ] {
        let bundle = read(folder.join(path));
        let digest: Digest = subject.parse().unwrap();
        let proof = judge(&instance, &bundle, About::Digest(&digest)).unwrap();
        let certificate = proof.certificate.unwrap();
        assert_eq!(certificate.issuer, issuer, "{path}: {certificate:?}");
        assert!(proof.entries.iter().all(|entry| entry.included) && !proof.times.is_empty(), "{path}");
        let other = Digest::sha256_of(b"other");
        assert_eq!(judge(&instance, &bundle, About::Digest(&other)).err(), Some(Code::CosignDigestMismatch), "{path}");
    }
}

/// GHSA-xm5m-wgh2-rrg3: certificates were put into the token beside the one that signed; and a token over another signature.
#[test]
fn a_timestamp_must_be_by_a_trusted_authority_over_this_signature() {
    let Some(folder) = folder() else { return };
    let case = |name: &str| folder.join("conformance/bundle-verify").join(name);
    let root = fs::read(case("rekor2-happy-path").join("trusted_root.json")).unwrap();
    let (instance, artifact) = (instance(&root), fs::read(folder.join("conformance/a.txt")).unwrap());
    let mut bundle = read(case("rekor2-happy-path").join("bundle.sigstore.json"));
    assert!(judge(&instance, &bundle, About::Bytes(&artifact)).is_ok());
    let stamps = |bundle: &mut Value, token: Value| {
        bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = token;
    };
    let genuine = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"][0].clone();
    let injected = fs::read(folder.join("timestamp-authority/response-injected-certs.tsr")).unwrap();
    let injected = json!({"signedTimestamp": STANDARD.encode(injected)});
    for (tokens, expected) in [
        (json!([injected.clone()]), Some(Code::CosignTimestampInvalid)),
        (json!([genuine.clone(), injected]), Some(Code::CosignTimestampInvalid)),
        (json!([genuine.clone(), genuine.clone()]), Some(Code::CosignMalformed)),
        (json!([]), Some(Code::CosignTimeMissing)),
        (json!([genuine]), None),
    ] {
        stamps(&mut bundle, tokens);
        assert_eq!(judge(&instance, &bundle, About::Bytes(&artifact)).err(), expected);
    }
}

/// cosign.md 7b.9: a log's time inside the certificate does not excuse a timestamp outside of it.
#[test]
fn a_timestamp_outside_the_certificate_is_refused_beside_a_log_entry_inside() {
    let Some(folder) = folder() else { return };
    let judged = |name: &str| {
        let case = folder.join("conformance/bundle-verify").join(name);
        let root = fs::read(case.join("trusted_root.json")).unwrap_or_else(|_| PUBLIC_GOOD.as_bytes().to_vec());
        let bundle = read(case.join("bundle.sigstore.json"));
        let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
        let said: Value = serde_json::from_slice(&payload).unwrap();
        let digest: Digest = format!("sha256:{}", said["subject"][0]["digest"]["sha256"].as_str().unwrap()).parse().unwrap();
        judge(&instance(&root), &bundle, About::Digest(&digest)).err()
    };
    assert_eq!(judged("happy-path-intoto-in-dsse-v3"), None);
    assert_eq!(judged("intoto-tsa-timestamp-outside-cert-validity_fail"), Some(Code::CosignCertificateExpired));
}
