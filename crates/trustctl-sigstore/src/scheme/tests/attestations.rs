//! What attestations prove: the signed type and digest count, and nothing that is written beside them.

use trustctl_core::predicate::VULN;
use trustctl_core::public_key::{Hash, SignatureScheme};

use super::*;
use crate::statement::build_attestation;

/// What is found about attestations of `kind`, by this key.
fn look_for(registry: &Registry, image: &Subject, key: &TestKey, kind: &str) -> Findings {
    let cosign = Cosign { read_attestations: true, attestation_types: [kind.to_owned()].into(), ..Cosign::default() };
    let (anchors, memory) = (anchors(&[key]), Memory::new());
    let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-29T00:00:00Z") };
    let (evidence, _) = registry.gather(|have| cosign.wants(image, have, &context));
    cosign.examine_attestations(image, &evidence, &context, kind)
}

/// The types that are proven.
fn proven(findings: &Findings) -> Vec<&str> {
    let stated = findings.claims.iter().filter_map(|claim| match &claim.statement {
        Statement::Attestation { predicate_type, .. } => Some(predicate_type.as_str()),
        _ => None,
    });
    stated.collect()
}

fn statement(image: &Subject, kind: &str) -> Vec<u8> {
    build_attestation(&image.digest, "registry.example/shop/cart", kind, r#"{"a":1}"#)
}

/// GHSA-vjxv-45g9-9296: the type beside what is signed is anybody's word.
#[test]
fn the_signed_type_counts_and_not_the_annotation() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    put_all(&mut registry, bundle(&image, &statement(&image, SLSA), VULN, &key));
    let findings = look_for(&registry, &image, &key, VULN);
    assert_eq!(proven(&findings), [SLSA], "it is proven, and as what it is");
    put_all(&mut registry, bundle(&image, &statement(&image, VULN), VULN, &key));
    let mut types = proven(&look_for(&registry, &image, &key, VULN)).iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
    types.sort();
    assert_eq!(types, [VULN, SLSA]);
}

/// GHSA-w6c6-c85g-mmv6: a validly signed envelope whose payload is no statement, or is of another payload type, says nothing.
#[test]
fn a_signed_payload_that_is_no_statement_proves_nothing() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    let seal = |payload_type: &str, payload: &[u8]| {
        let signature = key.sign(SignatureScheme::EcdsaDer(Hash::Sha256), &pae(payload_type, payload)).unwrap();
        let envelope = Envelope { payload_type: payload_type.to_owned(), payload: payload.to_vec(), signature };
        Bundle::build(&envelope, &key.public_key().hint())
    };
    let good = statement(&image, VULN);
    let text = String::from_utf8(good.clone()).unwrap();
    let twice = text.replace(r#","predicate":{"#, &format!(r#","predicateType":"{SLSA}","predicate":{{"#));
    let broken: [(&str, &[u8]); 6] = [
        (IN_TOTO, b"not json"),
        (IN_TOTO, b"{}"),
        (IN_TOTO, b"null"),
        (IN_TOTO, br#"{"_type":"https://in-toto.io/Statement/v0.1","subject":[],"predicateType":7}"#),
        (IN_TOTO, twice.as_bytes()),
        ("text/plain", &good),
    ];
    for (payload_type, payload) in broken {
        let mut registry = Registry::new();
        put_all(&mut registry, attach(&image, seal(payload_type, payload), VULN));
        let findings = look_for(&registry, &image, &key, VULN);
        assert!(findings.claims.is_empty(), "{findings:?}");
        assert_eq!(problems(&findings), [Code::CosignMalformed], "{payload_type} {}", String::from_utf8_lossy(payload));
        assert!(findings.problems[0].principal.is_some(), "whose it is is known all the same");
    }
    put_all(&mut registry, attach(&image, seal(IN_TOTO, &good), VULN));
    assert_eq!(proven(&look_for(&registry, &image, &key, VULN)), [VULN]);
}

#[test]
fn an_attestation_about_another_image_proves_nothing_here() {
    let (mut registry, image, other, key) = (Registry::new(), image("a"), image("b"), TestKey::new());
    put_all(&mut registry, bundle(&image, &statement(&other, VULN), VULN, &key));
    let findings = look_for(&registry, &image, &key, VULN);
    assert!(findings.claims.is_empty());
    assert_eq!(problems(&findings), [Code::CosignDigestMismatch]);
}

#[test]
fn what_is_wrong_with_others_is_not_told_of_this_type() {
    let (mut registry, image, key, stranger) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
    registry.publish(&AddSignature::make(&signing(&image), &stranger).unwrap());
    registry.publish(&AddBundle::make(&signing(&image), &stranger).unwrap());
    put_all(&mut registry, bundle(&image, &statement(&image, SLSA), SLSA, &stranger));
    assert_eq!(problems(&look_for(&registry, &image, &key, VULN)), []);
    put_all(&mut registry, bundle(&image, &statement(&image, VULN), VULN, &stranger));
    assert_eq!(problems(&look_for(&registry, &image, &key, VULN)), [Code::CosignWrongKey]);
}

/// Attestations of other types are not fetched: they may have megabytes each.
#[test]
fn only_attestations_of_the_type_are_fetched() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    put_all(&mut registry, bundle(&image, &statement(&image, VULN), VULN, &key));
    let cosign = Cosign { read_attestations: true, attestation_types: [VULN.to_owned()].into(), ..Cosign::default() };
    let requests = |registry: &Registry| {
        let (anchors, memory) = (anchors(&[&key]), Memory::new());
        let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-29T00:00:00Z") };
        registry.gather(|have| cosign.wants(&image, have, &context)).1.requests
    };
    let alone = requests(&registry);
    for number in 0..9 {
        let kind = format!("https://example.com/p/{number}");
        put_all(&mut registry, bundle(&image, &statement(&image, &kind), &kind, &key));
    }
    assert_eq!(requests(&registry), alone);
}

proptest! {
    /// Whatever is said about an attestation beside what is signed, it is proven as what was signed, or not at all.
    #[test]
    fn nothing_beside_the_signed_bytes_changes_the_type(annotation in "\\PC{0,30}") {
        let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
        put_all(&mut registry, bundle(&image, &statement(&image, VULN), &annotation, &key));
        let findings = look_for(&registry, &image, &key, VULN);
        prop_assert!(proven(&findings).iter().all(|kind| *kind == VULN));
    }
}
