//! What is withdrawn stays so: found, remembered, and never hidden by what a listing says.

use super::*;

#[test]
fn a_revocation_is_found_remembered_and_counts_when_it_is_withheld() {
    for (has_api, mislabels) in [(true, false), (false, false), (false, true)] {
        let (mut registry, image, key, stranger) = (Registry::new(), image("a"), TestKey::new(), TestKey::new());
        (registry.has_api, registry.mislabels) = (has_api, mislabels);
        registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
        let before = gather(&registry, &image).0;
        registry.publish(&AddRevocation::make(&revoking(&image), &key).unwrap());
        registry.publish(&AddRevocation::make(&revoking(&image), &stranger).unwrap());

        let findings = look(&registry, &image, &[&key]);
        assert_eq!(revocations(&findings), ["bundle"]);
        assert_eq!(problems(&findings), [Code::CosignWrongKey], "a stranger's word is only reported");
        let Statement::Revocation { reason, message, .. } = &findings.claims.last().unwrap().statement else { unreachable!() };
        assert_eq!((reason.as_str(), message.as_str()), ("compromised", "the builder leaked"));

        let mut memory = Memory::new();
        for (name, slot) in findings.learnt {
            memory.learn(trustctl_core::claim::SchemeName::Cosign, &name, slot);
        }
        let withheld = |keys: &[&TestKey], memory: &Memory| {
            let anchors = anchors(keys);
            let context = Context { anchors: &anchors, memory, now: at("2026-11-24T00:00:00Z") };
            Cosign::default().examine(&image, &before, &context)
        };
        assert_eq!(revocations(&withheld(&[&key], &memory)), ["memory"]);
        assert_eq!(revocations(&withheld(&[&stranger], &memory)), Vec::<&str>::new(), "remembered words are verified again");
        assert_eq!(revocations(&withheld(&[&key], &Memory::new())), Vec::<&str>::new());
        let anchors = anchors(&[&key]);
        let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
        let again = Cosign::default().examine(&image, &gather(&registry, &image).0, &context);
        assert_eq!(revocations(&again), ["bundle"], "what is remembered and still there is told once");
        assert!(again.learnt.is_empty(), "nothing new is learnt");
    }
}

#[test]
fn a_referrers_api_that_answered_before_does_not_go_away() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    let hidden = |registry: &Registry, memory: &Memory| {
        let anchors = anchors(&[&key]);
        let context = Context { anchors: &anchors, memory, now: at("2026-11-24T00:00:00Z") };
        let findings = Cosign::default().examine(&image, &gather(registry, &image).0, &context);
        assert_eq!(signatures(&findings), 1);
        let hidden: Vec<Code> =
            findings.missing.iter().filter(|missing| missing.may_hide_revocation).map(|missing| missing.reason.code).collect();
        (hidden, findings.noticed)
    };
    let (none, noticed) = hidden(&registry, &Memory::new());
    let mut memory = Memory::new();
    for (name, slot) in noticed {
        assert_eq!(name, "registry.example/shop/cart");
        memory.learn(trustctl_core::claim::SchemeName::Cosign, &name, slot);
    }
    assert_eq!((none, memory.is_empty()), (vec![], false));
    assert_eq!(hidden(&registry, &memory), (vec![], vec![]), "nothing new is noticed");

    registry.has_api = false;
    assert_eq!(hidden(&registry, &memory).0, [Code::BadAnswer]);
    let empty_index = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    registry.tag(&image.repository, &crate::layout::fallback_tag(&image.digest).unwrap(), empty_index);
    assert_eq!(hidden(&registry, &memory).0, [Code::BadAnswer]);
    assert_eq!(hidden(&registry, &Memory::new()), (vec![], vec![]), "where there never was an API, none is missed");
}

#[test]
fn an_api_is_remembered_of_a_host_however_it_is_written() {
    let (mut registry, mut other) = (Registry::new(), image("a"));
    registry.has_api = false;
    other.repository = "REGISTRY.example:0443/shop/cart".parse().unwrap();
    let evidence = gather(&registry, &other).0;
    for (name, expected) in [("registry.example/shop/cart", vec![Code::BadAnswer]), ("registry.example/shop/other", vec![])] {
        let facts = BTreeMap::from([("referrers-api".to_owned(), "answered".to_owned())]);
        let mut memory = Memory::new();
        memory.learn(trustctl_core::claim::SchemeName::Cosign, name, trustctl_core::memory::Slot { facts, ..Default::default() });
        let anchors = anchors(&[]);
        let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
        let missing = Cosign::default().examine(&other, &evidence, &context).missing;
        let codes: Vec<Code> = missing.iter().map(|missing| missing.reason.code).collect();
        assert_eq!(codes, expected, "{name}");
    }
}

#[test]
fn a_revocation_costs_one_round_of_its_own_and_comes_first() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    registry.publish(&AddRevocation::make(&revoking(&image), &key).unwrap());
    assert_eq!(gather(&registry, &image).1, Effort { requests: 4, rounds: 3 });
}

#[test]
fn a_revocation_that_cannot_be_fetched_blocks_trust() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.publish(&AddRevocation::make(&revoking(&image), &key).unwrap());
    let evidence = gather(&registry, &image).0;
    let blobs = evidence.iter().filter(|(locator, _)| matches!(locator, Locator::Manifest { .. } | Locator::Blob { .. }));
    let blobs: Vec<Locator> = blobs.map(|(locator, _)| locator.clone()).collect();
    assert_eq!(blobs.len(), 2);
    for locator in blobs {
        let mut evidence = evidence.clone();
        evidence.insert(locator, refused(RefusalKind::WrongDigest));
        let findings = examine(&image, &evidence, &anchors(&[&key]));
        assert!(findings.claims.is_empty());
        assert!(findings.missing.len() == 1 && findings.missing[0].may_hide_revocation, "{findings:?}");
    }
}

#[test]
fn a_listed_revocation_that_is_gone_blocks_trust() {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.publish(&AddRevocation::make(&revoking(&image), &key).unwrap());
    let evidence = gather(&registry, &image).0;
    let pieces = evidence.iter().filter(|(locator, _)| matches!(locator, Locator::Manifest { .. } | Locator::Blob { .. }));
    for locator in pieces.map(|(locator, _)| locator.clone()).collect::<Vec<_>>() {
        let mut evidence = evidence.clone();
        evidence.insert(locator, Entry::Absent);
        let findings = examine(&image, &evidence, &anchors(&[&key]));
        assert!(findings.missing.iter().any(|missing| missing.may_hide_revocation), "{findings:?}");
    }
}

/// The image with its fallback index rewritten by somebody who can push, and the manifests of its referrers unreadable.
fn with_rewritten_listing(rewrite: impl Fn(&str) -> String) -> Findings {
    let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
    registry.has_api = false;
    registry.publish(&AddSignature::make(&signing(&image), &key).unwrap());
    registry.publish(&AddRevocation::make(&revoking(&image), &key).unwrap());
    let mut evidence = gather(&registry, &image).0;
    let listing = String::from_utf8(evidence.bytes(&referrers_locator(&image)).unwrap().to_vec()).unwrap();
    let bytes = rewrite(&listing).into_bytes();
    assert_ne!(bytes, listing.as_bytes());
    let manifests: Vec<Locator> =
        evidence.iter().map(|(locator, _)| locator.clone()).filter(|at| matches!(at, Locator::Manifest { .. })).collect();
    assert_eq!(manifests.len(), 1);
    for locator in manifests {
        evidence.insert(locator, refused(RefusalKind::Unavailable));
    }
    evidence.insert(referrers_locator(&image), Entry::Present { bytes, origin: Origin::FallbackTag });
    examine(&image, &evidence, &anchors(&[&key]))
}

fn resized(listing: &str, size: &str) -> String {
    let (before, after) = listing.split_once("\"size\":").unwrap();
    let (_, rest) = after.split_once(',').unwrap();
    format!("{before}\"size\":{size},{rest}")
}

#[test]
fn a_listed_revocation_blocks_trust_whatever_size_or_digest_the_listing_gives_it() {
    for size in ["300000", "9000000", "18446744073709551615", "-1", "\"many\"", "18446744073709551616", "null"] {
        let findings = with_rewritten_listing(|listing| resized(listing, size));
        assert_eq!(signatures(&findings), 1);
        assert!(findings.missing.iter().any(|missing| missing.may_hide_revocation), "{size}: {findings:?}");
    }
    for (part, other) in
        [("\"sha256:", "\"sha255:"), ("\"annotations\":{", "\"annotations\":{\"dev.sigstore.bundle.predicateType\":7,")]
    {
        let findings = with_rewritten_listing(|listing| listing.replace(part, other));
        assert!(findings.missing.iter().any(|missing| missing.may_hide_revocation), "{part}: {findings:?}");
    }
}

#[test]
fn an_entry_that_is_no_revocation_blocks_nothing_when_it_is_too_large_or_malformed() {
    let foreign = |listing: &str| {
        listing
            .replace(crate::revocation::MEDIA_TYPE, "application/vnd.cncf.notary.signature")
            .replace(crate::revocation::PREDICATE_TYPE, SLSA)
    };
    for size in ["300000", "9000000", "-1", "\"many\""] {
        let findings = with_rewritten_listing(|listing| resized(&foreign(listing), size));
        assert_eq!(signatures(&findings), 1);
        assert!(findings.missing.is_empty(), "{size}: {findings:?}");
    }
}

#[test]
fn a_revocation_whose_manifest_gives_it_a_huge_blob_blocks_trust() {
    for (media_type, blocks) in [(crate::revocation::MEDIA_TYPE, true), (crate::bundle::MEDIA_TYPE, false)] {
        let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
        let blob = Digest::sha256_of(b"never fetched");
        let manifest = json!({"layers": [{"mediaType": media_type, "size": 9_000_000, "digest": blob}]}).to_string();
        registry.put(Put::Referrer {
            repository: image.repository.clone(),
            subject: image.digest,
            media_type: OCI_MANIFEST.to_owned(),
            artifact_type: OCI_EMPTY.to_owned(),
            annotations: BTreeMap::new(),
            bytes: manifest.into_bytes(),
        });
        let findings = look(&registry, &image, &[&key]);
        assert_eq!(findings.missing.iter().map(|missing| missing.may_hide_revocation).collect::<Vec<_>>(), [blocks]);
        assert_eq!(findings.missing[0].reason.code, Code::TooLarge);
    }
}
