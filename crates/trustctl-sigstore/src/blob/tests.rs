//! Files: what must pass beside what must fail, and by which code.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]

use serde_json::{Value, json};
use trustctl_core::signer::SignError;

use super::*;
use crate::dsse::pae;
use crate::format::encode;
use crate::keyless::tests::world::{IDENTITY, ISSUER, Leaf, SIGNED, World, sign as sign_bytes};
use crate::testing::{Ecdsa, TestKey};

const NOW: &str = "2026-11-23T00:00:00Z";
const FILE: &[u8] = b"a release";

/// A key that signs hashes, as files and keyrings do.
struct Hashing(TestKey);

impl Signer for Hashing {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.sign(scheme, message)
    }

    fn sign_hash(&self, scheme: SignatureScheme, hash: &[u8]) -> Result<Vec<u8>, SignError> {
        assert_eq!(Hashes::of(FILE, &HASHES).get(hash_of(scheme).unwrap()), Some(hash));
        self.0.sign(scheme, FILE)
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn by(key: &PublicKey) -> Demand<'_> {
    Demand { by: Who::Key(key, None), log: false, predicate_type: None }
}

fn code(judged: Result<Signed, Fault>) -> Option<Code> {
    judged.err().map(|fault| fault.code)
}

#[test]
fn a_signed_file_is_proven_by_its_bytes_and_by_its_digest_and_another_is_not() {
    let signer = Hashing(TestKey::new());
    let hashes = Hashes::of(FILE, &[]);
    let bundle = sign(&hashes, &signer).unwrap();
    let (digest, key) = (Digest::sha256_of(FILE), signer.public_key());
    for about in [About::Bytes(FILE), About::Digest(&digest), About::File { hashes: &hashes, bytes: None }] {
        assert_eq!(verify(&bundle, about, by(key), now()).unwrap().principal, Principal::Key { fingerprint: key.fingerprint() });
    }
    let (other, other_key) = (Digest::sha256_of(b"another"), TestKey::new());
    assert_eq!(code(verify(&bundle, About::Bytes(b"another"), by(key), now())), Some(Code::CosignDigestMismatch));
    assert_eq!(code(verify(&bundle, About::Digest(&other), by(key), now())), Some(Code::CosignDigestMismatch));
    let wrong = code(verify(&bundle, About::Bytes(FILE), by(other_key.public_key()), now()));
    assert_eq!(wrong, Some(Code::CosignWrongKey));
}

/// sigstore-python: the digest in the bundle must be the one that is signed; without it the signature alone decides.
#[test]
fn the_digest_beside_a_signature_decides_nothing_by_itself() {
    let signer = Hashing(TestKey::new());
    let mut bundle: Value = serde_json::from_slice(&sign(&Hashes::of(FILE, &[]), &signer).unwrap()).unwrap();
    let judged = |bundle: &Value, file: &[u8]| {
        code(verify(bundle.to_string().as_bytes(), About::Bytes(file), by(signer.public_key()), now()))
    };
    bundle["messageSignature"]["messageDigest"]["digest"] = json!(encode(Digest::sha256_of(b"another").as_bytes()));
    assert_eq!(judged(&bundle, b"another"), Some(Code::CosignBadSignature));
    assert_eq!(judged(&bundle, FILE), Some(Code::CosignDigestMismatch));
    for without in [json!({}), json!(null), json!({"algorithm": "SHA3_256", "digest": "AA=="})] {
        bundle["messageSignature"]["messageDigest"] = without;
        assert_eq!(judged(&bundle, FILE), None);
        assert_eq!(judged(&bundle, b"another"), Some(Code::CosignBadSignature));
    }
}

#[test]
fn the_bundle_is_cosigns_byte_for_byte() {
    let bundle = Bundle::build_message(Hash::Sha256, &[1, 2], &[3], "aGludA==");
    let expected = concat!(
        r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"aGludA=="}},"#,
        r#""messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AQI="},"signature":"Aw=="}}"#
    );
    assert_eq!(String::from_utf8(bundle).unwrap(), expected);
}

#[test]
fn keys_that_sign_whole_messages_sign_no_file() {
    let ed = sign(&Hashes::of(FILE, &[]), &TestKey::ed25519());
    assert_eq!(ed, Err(MakeError::KeyUnsupported { kind: "ed25519" }));
    let signer = Hashing(TestKey::ecdsa(Ecdsa::P521));
    let bundle = sign(&Hashes::of(FILE, &hashes(KeyKind::EcdsaP521)), &signer).unwrap();
    assert_eq!(code(verify(&bundle, About::Bytes(FILE), by(signer.public_key()), now())), None);
}

#[test]
fn an_ed25519_signature_over_a_file_needs_its_bytes() {
    let key = TestKey::ed25519();
    let signature = key.sign(SignatureScheme::Ed25519, FILE).unwrap();
    let bundle = json!({
        "mediaType": crate::bundle::MEDIA_TYPE, "verificationMaterial": {"publicKey": {"hint": ""}},
        "messageSignature": {"signature": encode(&signature)}
    })
    .to_string();
    let (hashes, digest) = (Hashes::of(FILE, &[]), Digest::sha256_of(FILE));
    let judged = |about: About<'_>| code(verify(bundle.as_bytes(), about, by(key.public_key()), now()));
    assert_eq!(judged(About::File { hashes: &hashes, bytes: Some(FILE) }), None);
    assert_eq!(judged(About::Digest(&digest)), Some(Code::CosignBadSignature));
}

/// An attestation by `key` about the file, of the type `kind`.
fn attestation(key: &TestKey, kind: &str) -> String {
    let payload = crate::statement::build(&[Digest::sha256_of(FILE)], &std::collections::BTreeMap::new(), kind, "{}");
    let signature = sign_bytes(key, &pae(IN_TOTO, &payload));
    json!({
        "mediaType": crate::bundle::MEDIA_TYPE, "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": {"payload": encode(&payload), "payloadType": IN_TOTO, "signatures": [{"sig": encode(&signature)}]}
    })
    .to_string()
}

/// GHSA-vjxv-45g9-9296 and GHSA-w6c6-c85g-mmv6: another type of attestation is none of the type that is asked for.
#[test]
fn an_attestation_counts_for_its_type_alone_and_never_as_a_signature() {
    let key = TestKey::new();
    let bundle = attestation(&key, "https://slsa.dev/provenance/v1");
    let judged = |kind: Option<&str>, about: About<'_>| {
        code(verify(bundle.as_bytes(), about, Demand { predicate_type: kind, ..by(key.public_key()) }, now()))
    };
    assert_eq!(judged(Some("https://slsa.dev/provenance/v1"), About::Bytes(FILE)), None);
    assert_eq!(judged(Some("https://slsa.dev/provenance/v0.2"), About::Bytes(FILE)), Some(Code::CosignPredicateType));
    assert_eq!(judged(None, About::Bytes(FILE)), Some(Code::CosignAttestationOnly));
    assert_eq!(judged(Some("https://slsa.dev/provenance/v1"), About::Bytes(b"another")), Some(Code::CosignDigestMismatch));
    let signer = Hashing(TestKey::new());
    let signature = sign(&Hashes::of(FILE, &[]), &signer).unwrap();
    let asked = Demand { predicate_type: Some("https://slsa.dev/provenance/v1"), ..by(signer.public_key()) };
    assert_eq!(code(verify(&signature, About::Bytes(FILE), asked, now())), Some(Code::CosignPredicateType));
}

/// A bundle over the file by certificate, with a log entry about `logged`.
fn keyless(world: &World, logged: &[u8]) -> Value {
    let key = TestKey::new();
    let certificate = world.certificate(&key, &Leaf::default());
    let signature = sign_bytes(&key, FILE);
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", certificate.as_slice()));
    let body = json!({
        "apiVersion": "0.0.1", "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": Digest::sha256_of(logged).hex()}},
            "signature": {"content": encode(&signature), "publicKey": {"content": encode(pem.as_bytes())}}
        }
    });
    json!({
        "mediaType": crate::bundle::MEDIA_TYPE,
        "verificationMaterial": {
            "certificate": {"rawBytes": encode(&certificate)},
            "tlogEntries": [world.logged(0, "hashedrekord", body.to_string().as_bytes(), SIGNED)]
        },
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": encode(Digest::sha256_of(FILE).as_bytes())},
            "signature": encode(&signature)
        }
    })
}

/// CVE-2022-36056: verify-blob accepted an entry about another file, and did without one.
#[test]
fn an_identity_is_judged_with_its_log_entry() {
    let world = World::new();
    let instance = Instance::new(&world.anchor(None)).unwrap();
    let (digest, hashes) = (Digest::sha256_of(FILE), Hashes::of(FILE, &[]));
    let judged = |bundle: &Value, identity: &str, issuer: &str| {
        let (identity, issuer) = (NamePattern::glob(identity).unwrap(), NamePattern::glob(issuer).unwrap());
        let by = Who::Identity { identity: &identity, issuer: &issuer, instance: &instance };
        let demand = Demand { by, log: true, predicate_type: None };
        let codes: Vec<Option<Code>> = [About::Bytes(FILE), About::Digest(&digest), About::File { hashes: &hashes, bytes: None }]
            .into_iter()
            .map(|about| code(verify(bundle.to_string().as_bytes(), about, demand, now())))
            .collect();
        assert!(codes.windows(2).all(|pair| pair[0] == pair[1]), "{codes:?}");
        codes[0]
    };
    let whole = keyless(&world, FILE);
    assert_eq!(judged(&whole, IDENTITY, ISSUER), None);
    assert_eq!(judged(&whole, "dev@example.com", ISSUER), Some(Code::CosignWrongIdentity));
    assert_eq!(judged(&whole, IDENTITY, "https://another.example"), Some(Code::CosignWrongIdentity));
    assert_eq!(judged(&keyless(&world, b"another"), IDENTITY, ISSUER), Some(Code::CosignLogMismatch));
    let mut without = whole.clone();
    without["verificationMaterial"]["tlogEntries"] = json!([]);
    assert_eq!(judged(&without, IDENTITY, ISSUER), Some(Code::CosignTimeMissing));
    let mut altered = whole;
    altered["messageSignature"]["signature"] = keyless(&world, FILE)["messageSignature"]["signature"].clone();
    assert_eq!(judged(&altered, IDENTITY, ISSUER), Some(Code::CosignBadSignature));
}

#[test]
fn the_older_form_of_cosign_2_says_the_same() {
    let world = World::new();
    let instance = Instance::new(&world.anchor(None)).unwrap();
    let bundle = keyless(&world, FILE);
    let material = &bundle["verificationMaterial"];
    let certificate = crate::format::decode(material["certificate"]["rawBytes"].as_str().unwrap(), "it").unwrap();
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", certificate));
    let entry = &material["tlogEntries"][0];
    let id = crate::format::decode(entry["logId"]["keyId"].as_str().unwrap(), "it").unwrap();
    let old = |cert: &str| {
        json!({
            "base64Signature": bundle["messageSignature"]["signature"], "cert": cert,
            "rekorBundle": {
                "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                "Payload": {"body": entry["canonicalizedBody"], "integratedTime": SIGNED, "logIndex": 5, "logID": hex::encode(&id)}
            }
        })
        .to_string()
    };
    let (identity, issuer) = (NamePattern::glob(IDENTITY).unwrap(), NamePattern::glob(ISSUER).unwrap());
    let by_identity = Who::Identity { identity: &identity, issuer: &issuer, instance: &instance };
    let demand = Demand { by: by_identity, log: true, predicate_type: None };
    let judged = |old: &str, file: &[u8]| {
        as_bundle(old.as_bytes())
            .and_then(|bundle| verify(&bundle, About::Bytes(file), demand, now()))
            .err()
            .map(|fault| fault.code)
    };
    assert_eq!(judged(&old(&pem), FILE), None);
    assert_eq!(judged(&old(&encode(pem.as_bytes())), FILE), None);
    assert_eq!(judged(&old(&pem), b"another"), Some(Code::CosignBadSignature));
    assert_eq!(judged(&old("AAAA"), FILE), Some(Code::CosignMalformed));

    let key = TestKey::new();
    let bare = json!({"base64Signature": encode(&sign_bytes(&key, FILE))}).to_string();
    let judged =
        |file: &[u8]| code(verify(&as_bundle(bare.as_bytes()).unwrap(), About::Bytes(file), by(key.public_key()), now()));
    assert_eq!(judged(FILE), None);
    assert_eq!(judged(b"another"), Some(Code::CosignBadSignature));
    assert!(matches!(as_bundle(b"{}"), Ok(std::borrow::Cow::Borrowed(b"{}"))));
    assert!(as_bundle(b"[").is_err());
}

#[test]
fn a_demanded_log_entry_of_a_key_must_be_there_and_hold() {
    let (world, signer) = (World::new(), Hashing(TestKey::new()));
    let instance = Instance::new(&world.anchor(None)).unwrap();
    let mut bundle: Value = serde_json::from_slice(&sign(&Hashes::of(FILE, &[]), &signer).unwrap()).unwrap();
    let judged = |bundle: &Value, log: bool, instance: Option<&Instance>| {
        let demand = Demand { by: Who::Key(signer.public_key(), instance), log, predicate_type: None };
        verify(bundle.to_string().as_bytes(), About::Bytes(FILE), demand, now())
    };
    assert_eq!(code(judged(&bundle, true, Some(&instance))), Some(Code::CosignLogMissing));
    let body = |file: &[u8]| {
        json!({
            "apiVersion": "0.0.1", "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": Digest::sha256_of(file).hex()}},
                "signature": {"content": bundle["messageSignature"]["signature"], "publicKey": {"content": encode(signer.public_key().to_pem().as_bytes())}}
            }
        })
        .to_string()
    };
    let (right, wrong) = (body(FILE), body(b"another"));
    bundle["verificationMaterial"]["tlogEntries"] = json!([world.logged(0, "hashedrekord", right.as_bytes(), SIGNED)]);
    let proven = judged(&bundle, true, Some(&instance)).unwrap();
    assert_eq!((proven.proof.entries.len(), proven.proof.times[0].unix_seconds()), (1, SIGNED));
    assert_eq!(code(judged(&bundle, true, None)), Some(Code::CosignLogUnjudged));
    bundle["verificationMaterial"]["tlogEntries"] = json!([world.logged(0, "hashedrekord", wrong.as_bytes(), SIGNED)]);
    assert_eq!(code(judged(&bundle, true, Some(&instance))), Some(Code::CosignLogMismatch));
    assert_eq!(judged(&bundle, false, Some(&instance)).unwrap().unproven.map(|fault| fault.code), Some(Code::CosignLogMismatch));
}
