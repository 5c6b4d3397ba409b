//! Signing, revoking and removing against a registry in memory.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]

use std::collections::BTreeMap;

use trustctl_core::claim::Statement;
use trustctl_core::evidence::{Entry, Evidence, Locator, Refusal, RefusalKind};
use trustctl_core::memory::Memory;
use trustctl_core::public_key::{PublicKey, SignatureScheme};
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reason::Code;
use trustctl_core::scheme::{Context, Scheme as _};
use trustctl_core::signer::{SignError, Signer};
use trustctl_core::subject::Subject;

use super::*;
use crate::dsse::IN_TOTO;
use crate::layout::signatures::{Notes, SignatureManifest, build};
use crate::layout::{fallback_tag, signature_tag};
use crate::scheme::Cosign;
use crate::seal::Signed;
use crate::testing::{Ecdsa, Registry, TestKey, anchors, at, attestation, image, revoking, signing};

fn gather(registry: &Registry, edit: &dyn Edit) -> Evidence {
    registry.gather(|current| edit.wants(current)).0
}

fn plan(registry: &Registry, edit: &dyn Edit) -> Result<Vec<Put>, Reason> {
    edit.plan(&gather(registry, edit))
}

fn signers(registry: &Registry, image: &Subject, keys: &[&TestKey]) -> Vec<(String, String)> {
    let (anchors, memory) = (anchors(keys), Memory::new());
    let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
    let (evidence, _) = registry.gather(|evidence| Cosign::default().wants(image, evidence, &context));
    let findings = Cosign::default().examine(image, &evidence, &context);
    assert!(findings.missing.is_empty(), "{findings:?}");
    let signed = findings.claims.into_iter().filter(|claim| claim.statement == Statement::Signature);
    let mut signed: Vec<(String, String)> = signed.map(|claim| (claim.source.form, claim.principal.to_string())).collect();
    signed.sort();
    signed
}

#[test]
fn signing_again_changes_nothing() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    for storage in [Storage::Bundle, Storage::SignatureTag] {
        for edit in sign(&signing(&image), &[storage], &key).unwrap() {
            registry.publish(edit.as_ref());
        }
        let again = sign(&signing(&image), &[storage], &key).unwrap();
        assert_eq!(plan(&registry, again[0].as_ref()), Ok(Vec::new()), "{storage:?}: the same claims by the same key");
        let mut other = signing(&image);
        other.annotations.insert("env".to_owned(), "prod".to_owned());
        let other = sign(&other, &[storage], &key).unwrap();
        assert!(!plan(&registry, other[0].as_ref()).unwrap().is_empty(), "{storage:?}: other claims");
        let stranger = sign(&signing(&image), &[storage], &TestKey::new()).unwrap();
        assert!(!plan(&registry, stranger[0].as_ref()).unwrap().is_empty(), "{storage:?}: another key");
    }
    registry.publish(&AddRevocation::make(&revoking(&image), &key).unwrap());
    let mut later = revoking(&image);
    later.issued = at("2027-01-01T00:00:00Z");
    assert_eq!(plan(&registry, &AddRevocation::make(&later, &key).unwrap()), Ok(Vec::new()));
    later.cause = Cause::Superseded;
    assert!(!plan(&registry, &AddRevocation::make(&later, &key).unwrap()).unwrap().is_empty());
}

#[test]
fn everybody_elses_signatures_stay_as_they_were() {
    let (mut registry, image, key, other) = (Registry::new(), image("a"), TestKey::new(), TestKey::ecdsa(Ecdsa::P384));
    registry.publish(&AddSignature::make(&signing(&image), &other).unwrap());
    let edit = AddSignature::make(&signing(&image), &key).unwrap();
    let tag = Locator::TaggedManifest { repository: image.repository.clone(), tag: signature_tag(&image.digest).unwrap() };
    let before = gather(&registry, &edit).bytes(&tag).unwrap().to_vec();
    registry.publish(&edit);
    let after = gather(&registry, &edit).bytes(&tag).unwrap().to_vec();
    let layer = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let start = text.find("\"layers\":[").unwrap() + 10;
        text[start..].trim_end_matches("]}").to_owned()
    };
    assert!(layer(&after).starts_with(&layer(&before)), "the first layer is unchanged");
    assert_eq!(signers(&registry, &image, &[&key, &other]).len(), 2);
}

// Weakness 7 of cosign 3.1.1: of parallel signers some signatures get lost.
#[test]
fn parallel_signers_that_read_again_lose_nothing() {
    for storage in [Storage::Bundle, Storage::SignatureTag] {
        let (mut registry, image) = (Registry::new(), image("a"));
        registry.has_api = false;
        let keys: Vec<TestKey> = (0..8).map(|_| TestKey::new()).collect();
        let edits: Vec<Box<dyn Edit>> = keys.iter().flat_map(|key| sign(&signing(&image), &[storage], key).unwrap()).collect();
        // In each turn all read, then all write: the last writer of the tag wins.
        for turn in 0.. {
            let plans: Vec<Vec<Put>> = edits.iter().map(|edit| plan(&registry, edit.as_ref()).unwrap()).collect();
            if plans.iter().all(Vec::is_empty) {
                break;
            }
            assert!(turn < 9, "each turn at least one signature stays");
            for put in plans.into_iter().flatten() {
                registry.put(put);
            }
        }
        let refs: Vec<&TestKey> = keys.iter().collect();
        assert_eq!(signers(&registry, &image, &refs).len(), 8, "{storage:?}");
    }
}

#[test]
fn what_cannot_be_read_is_not_written_over() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let tag = signature_tag(&image.digest).unwrap();
    let edit = AddSignature::make(&signing(&image), &key).unwrap();
    assert_eq!(edit.plan(&Evidence::new()).unwrap_err().code, Code::NotGathered);
    let full = (0..64).fold(build(b"0", &Notes::of_signature("AA==")).manifest, |manifest, number: u8| match number {
        0 => manifest,
        _ => SignatureManifest::parse(&manifest).unwrap().with_layer(&[number], &Notes::of_signature("AA==")).manifest,
    });
    registry.tag(&image.repository, &tag, full);
    assert_eq!(plan(&registry, &edit).unwrap_err().code, Code::CosignTooMany, "verifiers would not read it");
    registry.tag(&image.repository, &tag, b"{}".to_vec());
    assert_eq!(plan(&registry, &edit).unwrap_err().code, Code::CosignMalformed);
    let refused = Entry::Refused(Refusal { kind: RefusalKind::Unavailable, detail: "503".to_owned() });
    registry.faults.insert(Locator::TaggedManifest { repository: image.repository.clone(), tag }, refused.clone());
    assert_eq!(plan(&registry, &edit).unwrap_err().code, Code::Unavailable);
    registry.faults.insert(Locator::Referrers { repository: image.repository.clone(), digest: image.digest }, refused);
    assert_eq!(plan(&registry, &AddBundle::make(&signing(&image), &key).unwrap()).unwrap_err().code, Code::Unavailable);
    let remove = RemoveSignatures::new(&image.repository, image.digest, None, key.public_key().clone());
    assert_eq!(plan(&registry, &remove).unwrap_err().code, Code::Unavailable);
}

#[test]
fn only_own_signatures_are_removed() {
    for (has_api, deletes) in [(true, true), (false, true), (false, false)] {
        let (mut registry, image, key, other) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
        (registry.has_api, registry.deletes) = (has_api, deletes);
        for signer in [&key, &other] {
            for edit in sign(&signing(&image), &[Storage::Bundle, Storage::SignatureTag], signer).unwrap() {
                registry.publish(edit.as_ref());
            }
        }
        for put in attestation(&image, "https://slsa.dev/provenance/v1", &key) {
            registry.put(put);
        }
        registry.publish(&AddRevocation::make(&revoking(&image), &key).unwrap());

        registry.publish(&RemoveSignatures::new(&image.repository, image.digest, None, key.public_key().clone()));
        let left = signers(&registry, &image, &[&key, &other]);
        let name = format!("key {}", &other.public_key().fingerprint()[..16]);
        assert_eq!(left, [(".sig tag".to_owned(), name.clone()), ("bundle".to_owned(), name)]);
        let cosign = Cosign { read_attestations: true, ..Cosign::default() };
        let (anchors, memory) = (anchors(&[&key]), Memory::new());
        let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
        let (evidence, _) = registry.gather(|evidence| cosign.wants(&image, evidence, &context));
        let claims = cosign.examine(&image, &evidence, &context).claims;
        assert_eq!(claims.len(), 2, "attestation and revocation stay: {claims:?}");

        registry.publish(&RemoveSignatures::new(&image.repository, image.digest, None, other.public_key().clone()));
        assert_eq!(signers(&registry, &image, &[&key, &other]), []);
    }
}

#[test]
fn an_emptied_signature_tag_goes_away_or_stays_empty() {
    for deletes in [true, false] {
        let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
        registry.deletes = deletes;
        registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
        let edit = RemoveSignatures::new(&image.repository, image.digest, None, key.public_key().clone());
        registry.publish(&edit);
        let tag = Locator::TaggedManifest { repository: image.repository.clone(), tag: signature_tag(&image.digest).unwrap() };
        let evidence = gather(&registry, &edit);
        match evidence.bytes(&tag) {
            None => assert!(deletes),
            Some(bytes) => assert!(!deletes && SignatureManifest::parse(bytes).unwrap().count() == 0),
        }
    }
}

#[test]
fn fallback_indexes_keep_entries_of_others_when_own_ones_go() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.has_api = false;
    let foreign = serde_json::json!({"mediaType": "m", "size": 1, "digest": image.digest, "artifactType": "x/y", "odd": [1]});
    registry.list(&image.repository, image.digest, foreign.clone());
    registry.publish(&AddBundle::make(&signing(&image), &key).unwrap());
    registry.publish(&RemoveSignatures::new(&image.repository, image.digest, None, key.public_key().clone()));
    let edit = AddBundle::make(&signing(&image), &key).unwrap();
    let locator = Locator::Referrers { repository: image.repository.clone(), digest: image.digest };
    let index: serde_json::Value = serde_json::from_slice(gather(&registry, &edit).bytes(&locator).unwrap()).unwrap();
    assert_eq!(index["manifests"], serde_json::json!([foreign]));
    assert!(fallback_tag(&image.digest).is_some());
}

/// A signer whose private key is not the one of its public key.
struct Mismatched(TestKey, TestKey);

impl Signer for Mismatched {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.1.sign(scheme, message)
    }
}

#[test]
fn nothing_is_made_that_would_not_verify() {
    let image = image("a");
    let mismatched = Mismatched(TestKey::new(), TestKey::new());
    let error = AddSignature::make(&signing(&image), &mismatched).unwrap_err();
    assert_eq!(error.reason().code, Code::CosignSelfCheck);
    let mut reserved = signing(&image);
    reserved.annotations = BTreeMap::from([(ANNOTATION_TAG.to_owned(), "1".to_owned())]);
    for storage in [Storage::Bundle, Storage::SignatureTag] {
        let error = sign(&reserved, &[storage], &TestKey::new()).err().unwrap();
        assert_eq!(error, MakeError::ReservedAnnotation { name: ANNOTATION_TAG.to_owned() });
    }
}

#[test]
fn every_kind_of_key_signs_in_both_layouts() {
    for key in [TestKey::new(), TestKey::ecdsa(Ecdsa::P384), TestKey::ecdsa(Ecdsa::P521), TestKey::ed25519()] {
        let (mut registry, image) = (Registry::new(), image("a"));
        for edit in sign(&signing(&image), &[Storage::Bundle, Storage::SignatureTag], &key).unwrap() {
            registry.publish(edit.as_ref());
        }
        assert_eq!(signers(&registry, &image, &[&key]).len(), 2, "{:?}", key.public_key());
    }
}

#[test]
fn one_statement_serves_many_images_and_each_only_with_its_own_claims() {
    let (mut registry, key) = (Registry::new(), TestKey::new());
    let mut signings = [signing(&image("a")), signing(&image("b"))];
    signings[1].annotations.insert("env".to_owned(), "prod".to_owned());
    let statement = statement_of(&signings).unwrap();
    let sealed = Signed::envelope(&key, None, IN_TOTO, statement.clone()).unwrap().sealed(Vec::new(), Vec::new());
    for signing in &signings {
        assert!(signing.is_said_in(&statement));
        registry.publish(publish(signing, Storage::Bundle, &sealed).unwrap().as_ref());
        assert_eq!(signers(&registry, &signing.image, &[&key]).len(), 1);
    }
    let mut swapped = signings[0].clone();
    swapped.annotations.clone_from(&signings[1].annotations);
    let stranger = signing(&image("c"));
    for other in [swapped, stranger] {
        assert!(!other.is_said_in(&statement));
        assert!(matches!(publish(&other, Storage::Bundle, &sealed), Err(MakeError::OtherContent { .. })));
    }
}

#[test]
fn what_cannot_share_a_statement_gets_another() {
    let one = signing(&image("a"));
    let groups = shares(vec![one.clone(), signing(&image("b")), one.clone(), one]);
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
    let many = (0..=MAX_SUBJECTS).map(|number| signing(&image(&number.to_string()))).collect();
    assert_eq!(shares(many).iter().map(Vec::len).collect::<Vec<_>>(), [MAX_SUBJECTS, 1]);
}
