//! Attesting against a registry in memory.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use trustctl_core::claim::Claim;
use trustctl_core::evidence::{Entry, Refusal, RefusalKind};
use trustctl_core::memory::Memory;
use trustctl_core::predicate::{SLSA_V02, VULN};
use trustctl_core::scheme::Context;
use trustctl_core::signer::Signer as _;

use super::*;
use crate::make::predicate::MAX_PREDICATE;
use crate::scheme::Cosign;
use crate::seal::Signed;
use crate::testing::{Registry, TestKey, anchors, at, image, signing};

const BOTH: [AttestationStorage; 2] = [AttestationStorage::Bundle, AttestationStorage::AttestationTag];

fn attesting(image: &Subject, kind: &str, json: &str) -> Attesting {
    let created = at("2026-11-28T15:41:54Z");
    let predicate = Checked::new(kind, json.as_bytes(), created).unwrap();
    Attesting { image: image.clone(), predicate, statement: None, signature_repository: None, created }
}

fn sealed(attesting: &Attesting, key: &TestKey) -> Sealed {
    Signed::envelope(key, None, IN_TOTO, attesting.statement()).unwrap().sealed(Vec::new(), Vec::new())
}

fn edit(attesting: &Attesting, storage: AttestationStorage, key: &TestKey) -> Box<dyn Edit> {
    attest(attesting, storage, &sealed(attesting, key)).unwrap()
}

fn plan(registry: &Registry, edit: &dyn Edit) -> Result<Vec<Put>, Reason> {
    edit.plan(&registry.gather(|current| edit.wants(current)).0)
}

/// The attestations that are proven, as (form, type, predicate).
fn proven(registry: &Registry, image: &Subject, keys: &[&TestKey]) -> Vec<(String, String, String)> {
    let (anchors, memory) = (anchors(keys), Memory::new());
    let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-29T00:00:00Z") };
    let cosign = Cosign { read_attestations: true, ..Cosign::default() };
    let (evidence, _) = registry.gather(|have| trustctl_core::scheme::Scheme::wants(&cosign, image, have, &context));
    let attestations = cosign.attestations(image, &evidence, &context);
    let claims = attestations.iter().filter_map(|attestation| attestation.claim());
    let view = |claim: &Claim| match &claim.statement {
        trustctl_core::claim::Statement::Attestation { predicate_type, predicate } => {
            Some((claim.source.form.clone(), predicate_type.clone(), predicate.as_str().to_owned()))
        }
        _ => None,
    };
    claims.filter_map(view).collect()
}

#[test]
fn what_is_attested_is_proven_in_both_forms() {
    for has_api in [true, false] {
        let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
        registry.has_api = has_api;
        let attesting = attesting(&image, "slsaprovenance", r#"{"builder": {"id": "b"}, "buildType": "t"}"#);
        for storage in BOTH {
            registry.publish(edit(&attesting, storage, &key).as_ref());
        }
        let said = |form: &str| (form.to_owned(), SLSA_V02.to_owned(), r#"{"builder":{"id":"b"},"buildType":"t"}"#.to_owned());
        assert_eq!(proven(&registry, &image, &[&key]), [said("bundle"), said(".att tag")]);
        assert_eq!(proven(&registry, &image, &[&TestKey::new()]), []);
    }
}

#[test]
fn the_same_is_attested_once_by_each_signer() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let one = attesting(&image, "https://example.com/p", r#"{"a":1,"b":2}"#);
    for storage in BOTH {
        registry.publish(edit(&one, storage, &key).as_ref());
        let other_order = attesting(&image, "https://example.com/p", "{\n \"b\": 2, \"a\": 1 }");
        assert_eq!(plan(&registry, edit(&other_order, storage, &key).as_ref()), Ok(Vec::new()), "{storage:?}");
        let others = [
            edit(&attesting(&image, "https://example.com/p", r#"{"a":1,"b":3}"#), storage, &key),
            edit(&attesting(&image, "https://example.com/q", r#"{"a":1,"b":2}"#), storage, &key),
            edit(&one, storage, &TestKey::new()),
        ];
        for other in others {
            assert!(!plan(&registry, other.as_ref()).unwrap().is_empty(), "{storage:?}");
        }
    }
    let custom = |text: &str, time: &str| {
        let predicate = Checked::new("custom", text.as_bytes(), at(time)).unwrap();
        Attesting { predicate, ..one.clone() }
    };
    registry.publish(edit(&custom("x", "2026-11-28T00:00:00Z"), AttestationStorage::Bundle, &key).as_ref());
    let again = edit(&custom("x", "2026-11-29T00:00:00Z"), AttestationStorage::Bundle, &key);
    assert_eq!(plan(&registry, again.as_ref()), Ok(Vec::new()), "the time of a custom one does not tell it apart");
}

#[test]
fn eight_who_attest_at_once_lose_nothing() {
    for storage in BOTH {
        let (mut registry, image) = (Registry::new(), image("a"));
        registry.has_api = false;
        let keys: Vec<TestKey> = (0..8).map(|_| TestKey::new()).collect();
        let one = attesting(&image, "https://example.com/p", "{}");
        let edits: Vec<Box<dyn Edit>> = keys.iter().map(|key| edit(&one, storage, key)).collect();
        for turn in 0.. {
            let plans: Vec<Vec<Put>> = edits.iter().map(|edit| plan(&registry, edit.as_ref()).unwrap()).collect();
            if plans.iter().all(Vec::is_empty) {
                break;
            }
            assert!(turn < 9, "each turn at least one attestation stays");
            plans.into_iter().flatten().for_each(|put| registry.put(put));
        }
        assert_eq!(proven(&registry, &image, &keys.iter().collect::<Vec<_>>()).len(), 8, "{storage:?}");
    }
}

#[test]
fn signatures_and_attestations_leave_each_other_alone() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    for edit in
        crate::make::sign(&signing(&image), &[crate::make::Storage::Bundle, crate::make::Storage::SignatureTag], &key).unwrap()
    {
        registry.publish(edit.as_ref());
    }
    let vuln = r#"{"scanner":{"uri":"u","result":{}},"metadata":{"scanStartedOn":"2026-11-28T10:00:00Z","scanFinishedOn":"2026-11-28T10:00:01Z"}}"#;
    for storage in BOTH {
        registry.publish(edit(&attesting(&image, "vuln", vuln), storage, &key).as_ref());
    }
    registry.publish(&crate::make::RemoveSignatures::new(&image.repository, image.digest, None, key.public_key().clone()));
    let left = proven(&registry, &image, &[&key]);
    assert_eq!(left.len(), 2, "removing signatures leaves attestations: {left:?}");
    assert!(left.iter().all(|(_, predicate_type, _)| predicate_type == VULN));
}

/// As cosign 3.1.1 and 2.5.0 write it, but for what is signed.
#[test]
fn the_layer_is_cosigns() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let add = edit(
        &attesting(&image, "slsaprovenance", r#"{"builder":{"id":"b"},"buildType":"t"}"#),
        AttestationStorage::AttestationTag,
        &key,
    );
    registry.publish(add.as_ref());
    let tag = attestation_tag(&image.digest).unwrap();
    let locator = Locator::TaggedManifest { repository: image.repository.clone(), tag };
    let Entry::Present { bytes, .. } = registry.answer(&Want { locator, max_bytes: MAX_MANIFEST }) else { unreachable!() };
    let text = String::from_utf8(bytes).unwrap();
    let start = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":233,"digest":"sha256:"#;
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains(r#""layers":[{"mediaType":"application/vnd.dsse.envelope.v1+json","size":"#), "{text}");
    let end = r#""annotations":{"dev.cosignproject.cosign/signature":"","predicateType":"https://slsa.dev/provenance/v0.2"}}]}"#;
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn what_cannot_be_read_is_not_written_over() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let one = attesting(&image, "https://example.com/p", "{}");
    let tag = attestation_tag(&image.digest).unwrap();
    let locator = Locator::TaggedManifest { repository: image.repository.clone(), tag };
    let refusal = Refusal { kind: RefusalKind::Unavailable, detail: "503".to_owned() };
    registry.faults.insert(locator, Entry::Refused(refusal));
    let failed = plan(&registry, edit(&one, AttestationStorage::AttestationTag, &key).as_ref()).unwrap_err();
    assert_eq!(failed.code, Code::Unavailable);
}

#[test]
fn something_else_that_was_sealed_is_not_published() {
    let (image, key) = (image("a"), TestKey::new());
    let (one, other) = (attesting(&image, "https://example.com/p", "{}"), attesting(&image, "https://example.com/q", "{}"));
    for storage in BOTH {
        let failed = attest(&one, storage, &sealed(&other, &key)).map(|_| ()).unwrap_err();
        assert_eq!(failed, MakeError::OtherContent { digest: image.digest });
        assert!(attest(&one, storage, &sealed(&one, &key)).is_ok());
    }
}

/// Publishing it is left out: an unoptimised build takes a minute for reading eight megabytes that often.
#[test]
fn the_largest_predicate_fits_into_what_verifiers_read() {
    let (image, key) = (image("a"), TestKey::new());
    let json = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PREDICATE - 8));
    let largest = attesting(&image, "https://example.com/p", &json);
    let sealed = sealed(&largest, &key);
    let size = u64::try_from(sealed.bundle().len()).unwrap();
    assert!(size <= MAX_BLOB && size > MAX_BLOB - 64 * 1024, "{size}");
    for storage in BOTH {
        assert!(attest(&largest, storage, &sealed).is_ok(), "{storage:?}");
    }
}
