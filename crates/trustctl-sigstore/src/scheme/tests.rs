//! Each security rule with a case that passes because of it and one that fails.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]

mod attestations;
mod children;
mod nested;
mod withdrawn;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use trustctl_core::claim::{Principal, Statement};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin, Refusal, RefusalKind};
use trustctl_core::memory::Memory;
use trustctl_core::publish::{Edit as _, Put};
use trustctl_core::reason::Code;
use trustctl_core::scheme::{Anchors, Context, Findings, Scheme as _};
use trustctl_core::signer::Signer as _;
use trustctl_core::subject::Subject;

use super::Cosign;
use crate::artifact::State;
use crate::bundle::Bundle;
use crate::dsse::{Envelope, IN_TOTO, pae};
use crate::layout::signatures::{Notes, SignatureManifest, build};
use crate::layout::{OCI_EMPTY, OCI_MANIFEST, signature_tag};
use crate::make::{AddBundle, AddRevocation, AddSignature};
use crate::statement::SIGN;
use crate::testing::{Effort, Registry, TestKey, anchors, at, attach, attestation, bundle, image, revoking, signing};

const SLSA: &str = "https://slsa.dev/provenance/v1";

fn examine(subject: &Subject, evidence: &Evidence, anchors: &Anchors) -> Findings {
    let memory = Memory::new();
    Cosign::default().examine(subject, evidence, &Context { anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") })
}

fn gather(registry: &Registry, subject: &Subject) -> (Evidence, Effort) {
    let (anchors, memory) = (Anchors::default(), Memory::new());
    let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
    registry.gather(|evidence| Cosign::default().wants(subject, evidence, &context))
}

fn look(registry: &Registry, subject: &Subject, keys: &[&TestKey]) -> Findings {
    examine(subject, &gather(registry, subject).0, &anchors(keys))
}

fn signatures(findings: &Findings) -> usize {
    findings.claims.iter().filter(|claim| claim.statement == Statement::Signature).count()
}

fn problems(findings: &Findings) -> Vec<Code> {
    findings.problems.iter().map(|problem| problem.reason.code).collect()
}

fn put_all(registry: &mut Registry, puts: Vec<Put>) {
    for put in puts {
        registry.put(put);
    }
}

fn sig_locator(subject: &Subject) -> Locator {
    Locator::TaggedManifest { repository: subject.repository.clone(), tag: signature_tag(&subject.digest).unwrap() }
}

fn referrers_locator(subject: &Subject) -> Locator {
    Locator::Referrers { repository: subject.repository.clone(), digest: subject.digest }
}

fn refused(kind: RefusalKind) -> Entry {
    Entry::Refused(Refusal { kind, detail: "429 from registry.example".to_owned() })
}

#[test]
fn signatures_in_both_layouts_are_proven_and_carry_what_was_signed() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let mut signing = signing(&image);
    signing.repository = Some(image.repository.clone());
    signing.tag = Some("1.4".parse().unwrap());
    signing.annotations = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    registry.publish(&AddSignature::make(&signing, &key).unwrap());
    registry.publish(&AddBundle::make(&signing, &key).unwrap());

    let findings = look(&registry, &image, &[&key]);
    assert_eq!(signatures(&findings), 2);
    assert!(findings.problems.is_empty() && findings.missing.is_empty(), "{findings:?}");
    for claim in &findings.claims {
        assert_eq!(claim.repository.as_deref(), Some("registry.example/shop/cart"));
        assert_eq!(claim.tag.as_deref(), Some("1.4"));
        assert_eq!(claim.annotations, signing.annotations);
        assert_eq!(claim.principal, Principal::Key { fingerprint: key.public_key().fingerprint() });
    }
    let forms: Vec<&str> = findings.claims.iter().map(|claim| claim.source.form.as_str()).collect();
    assert_eq!(forms, [".sig tag", "bundle"]);
}

#[test]
fn an_unsigned_image_has_no_findings_and_says_where_it_was_looked() {
    let (registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let findings = look(&registry, &image, &[&key]);
    assert!(findings.claims.is_empty() && findings.problems.is_empty() && findings.missing.is_empty(), "{findings:?}");
    assert_eq!(findings.looked_at, [sig_locator(&image).to_string(), referrers_locator(&image).to_string()]);
}

// Cosign's weakness 1: any attestation by the key passes as a signature.
#[test]
fn an_attestation_is_no_signature() {
    for has_api in [true, false] {
        let (mut registry, image, key, other) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
        registry.has_api = has_api;
        registry.mislabels = !has_api;
        put_all(&mut registry, attestation(&image, SLSA, &key));
        let findings = look(&registry, &image, &[&key]);
        assert_eq!(signatures(&findings), 0);
        assert_eq!(problems(&findings), [Code::CosignAttestationOnly]);
        assert!(findings.problems[0].principal.is_some());
        assert_eq!(problems(&look(&registry, &image, &[&other])), [Code::CosignWrongKey]);

        put_all(
            &mut registry,
            bundle(&image, &crate::statement::build(&[image.digest], &BTreeMap::new(), SIGN, "{}"), SIGN, &key),
        );
        let findings = look(&registry, &image, &[&key]);
        assert_eq!(signatures(&findings), 1);
        assert!(findings.problems.is_empty(), "{findings:?}");
    }
}

// Weakness 2: a foreign bundle makes a valid legacy signature invisible.
#[test]
fn a_foreign_or_broken_bundle_hides_no_legacy_signature() {
    let (mut registry, image, key, stranger) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
    registry.publish(&AddBundle::make(&signing(&image), &stranger).unwrap());
    put_all(&mut registry, attach(&image, b"{\"mediaType\":".to_vec(), SIGN));
    assert_eq!(problems(&look(&registry, &image, &[&key])), [Code::CosignWrongKey, Code::CosignMalformed]);

    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    let findings = look(&registry, &image, &[&key]);
    assert_eq!(signatures(&findings), 1);
    assert_eq!(problems(&findings), [Code::CosignWrongKey, Code::CosignMalformed]);
}

#[test]
fn a_foreign_or_broken_legacy_signature_hides_no_bundle() {
    let (mut registry, image, key, stranger) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
    registry.publish(&AddBundle::make(&signing(&image), &key).unwrap());
    registry.publish(&AddSignature::make(&signing(&image), &stranger).unwrap());
    let findings = look(&registry, &image, &[&key]);
    assert_eq!((signatures(&findings), problems(&findings)), (1, vec![Code::CosignWrongKey]));

    registry.tag(&image.repository, &signature_tag(&image.digest).unwrap(), b"[]".to_vec());
    let findings = look(&registry, &image, &[&key]);
    assert_eq!((signatures(&findings), problems(&findings)), (1, vec![Code::CosignMalformed]));
}

// Weakness 3: several images with different layouts in one call.
#[test]
fn images_with_different_layouts_are_judged_alike() {
    let (mut registry, one, two, key) = (Registry::new(), image("a"), image("b"), TestKey::new());
    registry.publish(&AddSignature::make(&signing(&one), &key).unwrap());
    registry.publish(&AddBundle::make(&signing(&two), &key).unwrap());
    for image in [&one, &two] {
        assert_eq!(signatures(&look(&registry, image, &[&key])), 1);
        assert_eq!(problems(&look(&registry, image, &[&TestKey::new()])), [Code::CosignWrongKey]);
    }
}

// Weakness 5: the wrong key has one reason, whatever the layout.
#[test]
fn a_wrong_key_is_told_from_a_false_hint() {
    let (mut registry, image, key, stranger) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
    registry.publish(&AddBundle::make(&signing(&image), &stranger).unwrap());
    let findings = look(&registry, &image, &[&key]);
    assert_eq!(problems(&findings), [Code::CosignWrongKey]);
    let found = findings.problems[0].reason.found.as_deref().unwrap();
    assert!(found.contains(&stranger.public_key().fingerprint()[..16]), "{found}");

    let false_hint = {
        let statement = crate::statement::build(&[image.digest], &BTreeMap::new(), SIGN, "{}");
        let mut puts = bundle(&image, &statement, SIGN, &stranger);
        let Put::Blob { bytes, .. } = puts.remove(0) else { unreachable!() };
        String::from_utf8(bytes).unwrap().replace(&stranger.public_key().hint(), &key.public_key().hint())
    };
    let mut registry = Registry::new();
    put_all(&mut registry, attach(&image, false_hint.into_bytes(), SIGN));
    assert_eq!(problems(&look(&registry, &image, &[&key])), [Code::CosignBadSignature]);
    assert_eq!(signatures(&look(&registry, &image, &[&key, &stranger])), 1, "a false hint does not hide the signer");
}

// Weakness 6: an outage looks like "unsigned".
#[test]
fn an_outage_is_missing_evidence() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    for kind in
        [RefusalKind::Unavailable, RefusalKind::Denied, RefusalKind::Malformed, RefusalKind::TooLarge, RefusalKind::OutOfBudget]
    {
        registry.faults = BTreeMap::from([(referrers_locator(&image), refused(kind))]);
        let findings = look(&registry, &image, &[&key]);
        assert_eq!(signatures(&findings), 1);
        assert!(findings.missing.len() == 1 && findings.missing[0].may_hide_revocation, "{kind:?} {findings:?}");

        registry.faults = BTreeMap::from([(sig_locator(&image), refused(kind))]);
        let findings = look(&registry, &image, &[&key]);
        assert_eq!(signatures(&findings), 0);
        assert!(findings.missing.len() == 1 && !findings.missing[0].may_hide_revocation, "{kind:?} {findings:?}");
    }
    let unasked = examine(&image, &Evidence::new(), &anchors(&[&key]));
    let codes: Vec<(Code, bool)> = unasked.missing.iter().map(|it| (it.reason.code, it.may_hide_revocation)).collect();
    assert_eq!(codes, [(Code::NotGathered, false), (Code::NotGathered, true)]);
}

#[test]
fn a_listing_that_cannot_be_read_may_hide_a_revocation() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let bytes = b"<html>".to_vec();
    registry.faults.insert(referrers_locator(&image), Entry::Present { bytes, origin: Origin::ReferrersApi });
    let findings = look(&registry, &image, &[&key]);
    assert_eq!(findings.missing[0].reason.code, Code::BadAnswer);
    assert!(findings.missing[0].may_hide_revocation);
}

// Weakness 8: a huge junk blob is downloaded in full.
#[test]
fn a_huge_bundle_is_not_asked_for_and_hides_nothing() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let manifest = |size: u64| {
        let blob = json!({"mediaType": crate::bundle::MEDIA_TYPE, "size": size, "digest": Digest::sha256_of(b"junk")});
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": [blob]}).to_string().into_bytes()
    };
    let refer = |registry: &mut Registry, bytes: Vec<u8>| {
        registry.put(Put::Referrer {
            repository: image.repository.clone(),
            subject: image.digest,
            media_type: OCI_MANIFEST.to_owned(),
            artifact_type: crate::bundle::MEDIA_TYPE.to_owned(),
            annotations: BTreeMap::new(),
            bytes,
        });
    };
    refer(&mut registry, manifest(300 << 20));
    let (evidence, _) = gather(&registry, &image);
    assert!(!evidence.has(&Locator::Blob { repository: image.repository.clone(), digest: Digest::sha256_of(b"junk") }));
    let findings = examine(&image, &evidence, &anchors(&[&key]));
    let codes: Vec<(Code, bool)> = findings.missing.iter().map(|it| (it.reason.code, it.may_hide_revocation)).collect();
    assert_eq!(codes, [(Code::TooLarge, false)]);

    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    assert_eq!(signatures(&look(&registry, &image, &[&key])), 1);
}

#[test]
fn what_is_beyond_the_counts_is_missing() {
    let (mut registry, image, key, stranger) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
    for number in 0..300 {
        let entry = json!({"mediaType": OCI_MANIFEST, "size": 10, "digest": Digest::sha256_of(format!("{number}").as_bytes()),
            "artifactType": OCI_EMPTY});
        registry.list(&image.repository, image.digest, entry);
    }
    registry.publish(&AddBundle::make(&signing(&image), &key).unwrap());
    let findings = look(&registry, &image, &[&key]);
    assert_eq!(signatures(&findings), 1, "what says it is a signature is read before what is unclear");
    let codes: Vec<(Code, bool)> = findings.missing.iter().map(|it| (it.reason.code, it.may_hide_revocation)).collect();
    assert_eq!(codes, [(Code::CosignTooMany, true)]);

    let mut registry = Registry::new();
    let mut written = build(b"0", &Notes::of_signature("AA=="));
    for number in 1..65_u32 {
        let before = written.manifest.clone();
        written =
            SignatureManifest::parse(&before).unwrap().with_layer(number.to_string().as_bytes(), &Notes::of_signature("AA=="));
    }
    registry.tag(&image.repository, &signature_tag(&image.digest).unwrap(), written.manifest);
    let codes: Vec<(Code, bool)> =
        look(&registry, &image, &[&stranger]).missing.iter().map(|it| (it.reason.code, it.may_hide_revocation)).collect();
    assert_eq!(codes, [(Code::CosignTooMany, false)]);
}

#[test]
fn documents_full_of_broken_elements_cost_a_bounded_number_of_reports() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.publish(&AddBundle::make(&signing(&image), &key).unwrap());
    let many = vec!["0"; 1 << 18].join(",");
    let layers = format!(r#"{{"schemaVersion":2,"config":{{}},"layers":[{many}]}}"#);
    registry.tag(&image.repository, &signature_tag(&image.digest).unwrap(), layers.into_bytes());
    let findings = look(&registry, &image, &[&key]);
    assert_eq!((signatures(&findings), findings.problems.len()), (1, 64));
    assert_eq!(findings.missing[0].reason.code, Code::CosignTooMany);

    let listing = format!(r#"{{"schemaVersion":2,"manifests":[{many}]}}"#).into_bytes();
    let origin = Origin::ReferrersApi;
    registry.faults.insert(referrers_locator(&image), Entry::Present { bytes: listing, origin });
    let findings = look(&registry, &image, &[&key]);
    assert_eq!((findings.problems.len(), findings.claims.len()), (64, 0), "of such a listing nothing is believed");
    let hides = findings.missing.iter().filter(|missing| missing.may_hide_revocation).map(|missing| missing.reason.code);
    assert_eq!(hides.collect::<Vec<_>>(), [Code::CosignTooMany]);

    let subjects = vec!["{}"; 1 << 18].join(",");
    let statement = format!(r#"{{"_type":"https://in-toto.io/Statement/v1","predicateType":"{SIGN}","subject":[{subjects}]}}"#);
    let mut registry = Registry::new();
    put_all(&mut registry, bundle(&image, statement.as_bytes(), SIGN, &key));
    assert_eq!(problems(&look(&registry, &image, &[&key])), [Code::CosignMalformed]);
}

#[test]
fn bytes_beyond_the_budget_are_missing_and_signatures_come_first() {
    for has_api in [true, false] {
        let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
        (registry.has_api, registry.mislabels) = (has_api, !has_api);
        // Together they leave less than a signature needs.
        let halves = (9..23).rev().map(|bits| 1_usize << bits);
        for (size, number) in [8 << 20; 5].into_iter().chain(halves).zip(b'a'..) {
            let mut junk = vec![b' '; size - 1];
            junk.push(number);
            put_all(&mut registry, attach(&image, junk, ""));
        }
        let edit = AddBundle::make(&signing(&image), &key).unwrap();
        for put in edit.plan(&gather(&registry, &image).0).unwrap() {
            registry.put(put);
        }
        let findings = look(&registry, &image, &[&key]);
        assert_eq!(signatures(&findings), 1);
        assert!(!findings.missing.is_empty());
        assert!(findings.missing.iter().all(|missing| missing.reason.code == Code::OutOfBudget), "{:?}", findings.missing);
    }
}

#[test]
fn an_envelope_of_another_type_is_no_statement() {
    let (image, key) = (image("a"), TestKey::new());
    let statement = crate::statement::build(&[image.digest], &BTreeMap::new(), SIGN, "{}");
    let scheme = trustctl_core::public_key::SignatureScheme::EcdsaDer(trustctl_core::public_key::Hash::Sha256);
    for (payload_type, expected) in [(IN_TOTO, 1), ("application/json", 0)] {
        let signature = key.sign(scheme, &pae(payload_type, &statement)).unwrap();
        let envelope = Envelope { payload_type: payload_type.to_owned(), payload: statement.clone(), signature };
        let mut registry = Registry::new();
        put_all(&mut registry, attach(&image, Bundle::build(&envelope, &key.public_key().hint()), SIGN));
        let findings = look(&registry, &image, &[&key]);
        assert_eq!(signatures(&findings), expected);
        assert_eq!(problems(&findings), vec![Code::CosignMalformed; 1 - expected]);
    }
}

#[test]
fn requests_stay_within_what_is_promised() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    assert_eq!(gather(&registry, &image).1, Effort { requests: 2, rounds: 1 }, "one more resolves the tag");
    assert_eq!(signatures(&look(&registry, &image, &[&key])), 1, "what its payload says is known by its digest");
    let fetching = Cosign { fetch_payloads: true, ..Cosign::default() };
    let anchors_of = anchors(&[&key]);
    let context = Context { anchors: &anchors_of, memory: &Memory::new(), now: at("2026-11-24T00:00:00Z") };
    let effort = registry.gather(|evidence| fetching.wants(&image, evidence, &context)).1;
    assert_eq!(effort, Effort { requests: 3, rounds: 2 }, "whoever has just signed looks whether it is there");
    let mut registry = Registry::new();
    let annotations = [("env".to_owned(), "prod".to_owned())].into();
    registry.publish(&AddSignature::make(&crate::make::Signing { annotations, ..signing(&image) }, &key).unwrap());
    assert_eq!(gather(&registry, &image).1, Effort { requests: 3, rounds: 2 }, "what nobody foresees is asked for");

    let mut registry = Registry::new();
    registry.publish(&AddBundle::make(&signing(&image), &key).unwrap());
    assert_eq!(gather(&registry, &image).1, Effort { requests: 4, rounds: 3 });
    for number in 0..10 {
        put_all(&mut registry, attestation(&image, &format!("{SLSA}/{number}"), &key));
    }
    assert_eq!(gather(&registry, &image).1, Effort { requests: 4, rounds: 3 }, "ten attestations cost nothing");
    let all = Cosign { read_attestations: true, ..Cosign::default() };
    let (anchors, memory) = (anchors(&[&key]), Memory::new());
    let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
    let (evidence, effort) = registry.gather(|evidence| all.wants(&image, evidence, &context));
    assert_eq!(effort, Effort { requests: 25, rounds: 3 });
    let findings = all.examine(&image, &evidence, &context);
    assert_eq!((findings.claims.len(), findings.problems.len()), (11, 0), "who signs may attest too");
}

#[test]
fn a_signature_copied_from_another_image_is_not_about_this_one() {
    let (mut registry, signed, image, key) = (Registry::new(), image("a"), image("b"), TestKey::new());
    let puts = |edit: &dyn trustctl_core::publish::Edit| {
        let (evidence, _) = Registry::new().gather(|current| edit.wants(current));
        edit.plan(&evidence).unwrap()
    };
    for put in puts(&AddSignature::make(&signing(&signed), &key).unwrap()) {
        registry.put(match put {
            Put::TaggedManifest { repository, media_type, bytes, .. } => {
                Put::TaggedManifest { repository, media_type, bytes, tag: signature_tag(&image.digest).unwrap() }
            }
            other => other,
        });
    }
    for put in puts(&AddBundle::make(&signing(&signed), &key).unwrap()) {
        registry.put(match put {
            Put::Referrer { repository, media_type, artifact_type, annotations, bytes, .. } => {
                Put::Referrer { repository, media_type, artifact_type, annotations, bytes, subject: image.digest }
            }
            other => other,
        });
    }
    let findings = look(&registry, &image, &[&key]);
    assert_eq!(signatures(&findings), 0);
    assert_eq!(problems(&findings), [Code::CosignDigestMismatch, Code::CosignDigestMismatch]);
    assert!(findings.problems.iter().all(|problem| problem.principal.is_some()));
    assert_eq!(problems(&look(&registry, &image, &[&TestKey::new()])), [Code::CosignWrongKey, Code::CosignWrongKey]);
}

#[test]
fn a_certificate_is_not_judged_and_says_so() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let bundle = br#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"AA=="}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}}"#;
    put_all(&mut registry, attach(&image, bundle.to_vec(), SIGN));
    assert_eq!(problems(&look(&registry, &image, &[&key])), [Code::CosignKeylessUnjudged]);
}

fn revocations(findings: &Findings) -> Vec<&str> {
    let forms = findings.claims.iter().filter(|claim| matches!(claim.statement, Statement::Revocation { .. }));
    forms.map(|claim| claim.source.form.as_str()).collect()
}

#[test]
fn signatures_may_be_kept_in_another_repository() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let elsewhere: trustctl_core::reference::Repository = "registry.example/signatures".parse().unwrap();
    let mut signing = signing(&image);
    signing.signature_repository = Some(elsewhere.clone());
    registry.publish(&AddSignature::make(&signing, &key).unwrap());
    registry.publish(&AddBundle::make(&signing, &key).unwrap());
    assert_eq!(signatures(&look(&registry, &image, &[&key])), 0);

    let cosign = Cosign { signature_repository: Some(elsewhere), ..Cosign::default() };
    let (anchors, memory) = (anchors(&[&key]), Memory::new());
    let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
    let (evidence, _) = registry.gather(|evidence| cosign.wants(&image, evidence, &context));
    assert_eq!(signatures(&cosign.examine(&image, &evidence, &context)), 2);
}

#[test]
fn every_artifact_is_shown_with_what_is_known_of_it() {
    let (mut registry, image, key, stranger) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    registry.publish(&AddBundle::make(&signing(&image), &stranger).unwrap());
    put_all(&mut registry, attach(&image, b"junk".to_vec(), ""));
    put_all(&mut registry, attestation(&image, SLSA, &key));
    let (anchors, memory) = (anchors(&[&key]), Memory::new());
    let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
    let artifacts = Cosign::default().artifacts(&image, &gather(&registry, &image).0, &context);
    let states: Vec<(&str, Option<&str>, &str)> = artifacts
        .iter()
        .map(|artifact| {
            let state = match &artifact.state {
                State::Proven(_) => "proven",
                State::Claimed(reason) => reason.code.name(),
                State::Broken(reason) => reason.code.name(),
                State::Unread => "unread",
            };
            (artifact.form.words(), artifact.predicate_type.as_ref().map(|it| it.peek().as_str()), state)
        })
        .collect();
    let expected = [
        (".sig tag", None, "proven"),
        ("bundle", Some(SIGN), "cosign.wrong-key"),
        ("bundle", None, "cosign.malformed"),
        ("bundle", Some(SLSA), "unread"),
    ];
    assert_eq!(states, expected);
}

/// A world with something of everything.
fn world() -> (Registry, Subject, TestKey) {
    let (mut registry, image, key, stranger) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    registry.publish(&AddSignature::make(&signing(&image), &stranger).unwrap());
    registry.publish(&AddBundle::make(&signing(&image), &key).unwrap());
    registry.publish(&AddRevocation::make(&revoking(&image), &stranger).unwrap());
    put_all(&mut registry, attestation(&image, SLSA, &key));
    (registry, image, key)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn dropping_evidence_never_adds_a_claim(drop_mask in any::<u32>(), refuse_mask in any::<u32>()) {
        let (registry, image, key) = world();
        let whole = gather(&registry, &image).0;
        let before = examine(&image, &whole, &anchors(&[&key]));
        let mut less = whole.clone();
        for (bit, (locator, _)) in whole.iter().enumerate() {
            if drop_mask & (1 << bit) != 0 {
                less.remove(locator);
            } else if refuse_mask & (1 << bit) != 0 {
                less.insert(locator.clone(), refused(RefusalKind::Unavailable));
            }
        }
        let after = examine(&image, &less, &anchors(&[&key]));
        prop_assert!(after.claims.iter().all(|claim| before.claims.contains(claim)));
        prop_assert!(after.claims.len() == before.claims.len() || !after.missing.is_empty(), "what is gone is missing");
        prop_assert_eq!(examine(&image, &less, &anchors(&[&key])).claims, after.claims);
    }

    #[test]
    fn damaging_evidence_never_adds_a_claim_nor_panics(which in any::<usize>(), position in any::<usize>(), byte in any::<u8>()) {
        let (registry, image, key) = world();
        let whole = gather(&registry, &image).0;
        let before = examine(&image, &whole, &anchors(&[&key]));
        let present: Vec<(Locator, Vec<u8>, Origin)> = whole.iter().filter_map(|(locator, entry)| match entry {
            Entry::Present { bytes, origin } => Some((locator.clone(), bytes.clone(), *origin)),
            _ => None,
        }).collect();
        let (locator, mut bytes, origin) = present[which % present.len()].clone();
        let length = bytes.len();
        bytes[position % length] = byte;
        let mut damaged = whole.clone();
        damaged.insert(locator, Entry::Present { bytes, origin });
        let after = examine(&image, &damaged, &anchors(&[&key]));
        for claim in &after.claims {
            let known = before.claims.iter().any(|known| known.statement == claim.statement && known.principal == claim.principal);
            prop_assert!(known, "{:?}", claim);
        }
    }
}
