//! What a collection says about one image: Docker's rule, paths, conflicts, digests.

use trustctl_core::reason::Code;

use crate::world::{
    Judge, Swizzle, World, assert_refused, assert_trusted, claims, digest, problem_codes, subject, subject_by_digest,
    warning_codes,
};

fn judged(world: &World, tag: &str, manifest: &str) -> trustctl_core::scheme::Findings {
    Judge::pinning(&world.pin()).examine(&subject(tag, manifest), &world.publish())
}

#[test]
fn a_claim_says_who_what_and_until_when() {
    let world = World::new();
    let findings = judged(&world, "2.0", "two");
    assert_trusted(&findings);
    let claim = &findings.claims[0];
    assert_eq!(claim.repository.as_deref(), Some("registry.example/shop/cart"));
    assert_eq!(claim.tag.as_deref(), Some("2.0"));
    assert_eq!(claim.digest, digest("two"));
    assert_eq!(claim.fresh_until.unwrap().to_string(), "2026-12-06T00:00:00Z");
    assert_eq!(claim.source.at, "targets/releases.json of registry.example/shop/cart");
    let value = serde_json::to_value(&claim.principal).unwrap();
    assert_eq!(value["signers"], serde_json::json!(["targets/alice"]));
    assert_eq!(value["role"], "targets/releases");
}

#[test]
fn a_moved_tag_is_told_with_both_digests() {
    let world = World::new();
    assert_trusted(&judged(&world, "1.0", "one"));
    let findings = judged(&world, "1.0", "evil");
    assert_refused(&findings, &[Code::DctTagMoved]);
    let reason = &findings.problems[0].reason;
    assert_eq!(reason.expected, Some(digest("one").to_string()));
    assert_eq!(reason.found, Some(digest("evil").to_string()));
}

#[test]
fn a_tag_that_no_role_signs_is_unsigned() {
    let world = World::new();
    assert_refused(&judged(&world, "3.0", "one"), &[Code::DctTagNotSigned]);
}

#[test]
fn a_signer_alone_does_not_decide() {
    let mut world = World::new();
    world.sign("targets/alice", "3.0", "three");
    let findings = judged(&world, "3.0", "three");
    assert_eq!(claims(&findings), [("targets/alice".to_owned(), false, vec![world.pin()])]);
    assert_eq!(problem_codes(&findings), [Code::DctTagNotSigned]);
}

#[test]
fn releases_decides_before_targets_and_the_conflict_is_told() {
    let mut world = World::new();
    world.sign("targets", "2.0", "old");
    let findings = judged(&world, "2.0", "two");
    assert!(claims(&findings).contains(&("targets/releases".to_owned(), true, vec![world.pin()])));
    assert_eq!(problem_codes(&findings), [Code::DctTagMoved]);
    assert_eq!(warning_codes(&findings), [Code::DctRoleConflict]);
    let findings = judged(&world, "2.0", "old");
    assert_eq!(claims(&findings), [("targets".to_owned(), false, vec![world.pin()])]);
    assert_eq!(problem_codes(&findings), [Code::DctTagMoved, Code::DctTagMoved]);
    world.sign("targets", "2.0", "two");
    assert!(warning_codes(&judged(&world, "2.0", "two")).is_empty());
}

#[test]
fn the_size_counts_as_well_as_the_digest() {
    let mut world = World::new();
    assert_trusted(&judged(&world, "1.0", "one"));
    world.targets.targets.get_mut("1.0").unwrap().length += 1;
    assert_refused(&judged(&world, "1.0", "one"), &[Code::DctWrongLength]);
}

#[test]
fn a_digest_is_found_under_any_tag_that_a_deciding_role_signs() {
    let mut world = World::new();
    let judge = Judge::pinning(&world.pin());
    for (manifest, tag) in [("one", "1.0"), ("two", "2.0")] {
        let findings = judge.examine(&subject_by_digest(manifest), &world.publish());
        assert_trusted(&findings);
        assert_eq!(findings.claims[0].tag.as_deref(), Some(tag));
    }
    assert_refused(&judge.examine(&subject_by_digest("evil"), &world.publish()), &[Code::DctDigestNotSigned]);
    // What targets says about a tag that targets/releases has does not decide.
    world.sign("targets", "2.0", "old");
    let findings = judge.examine(&subject_by_digest("old"), &world.publish());
    assert_eq!(claims(&findings), [("targets".to_owned(), false, vec![world.pin()])]);
    assert_eq!(problem_codes(&findings), [Code::DctDigestNotSigned]);
}

#[test]
fn a_delegation_signs_only_below_its_paths() {
    let mut world = World::new();
    world.delegate("targets/qa", &["qa-"]);
    world.sign("targets/qa", "qa-1", "tested");
    world.sign("targets/qa", "prod", "tested");
    assert_eq!(claims(&judged(&world, "qa-1", "tested")), [("targets/qa".to_owned(), false, vec![world.pin()])]);
    assert_refused(&judged(&world, "prod", "tested"), &[Code::DctTagNotSigned]);
}

#[test]
fn a_delegation_cannot_widen_the_paths_of_its_parent() {
    let mut world = World::new();
    world.delegate("targets/qa", &["qa-"]);
    world.delegate("targets/qa/deep", &["qa-deep", "", "prod"]);
    world.sign("targets/qa/deep", "qa-deep1", "tested");
    world.sign("targets/qa/deep", "prod", "tested");
    assert_eq!(claims(&judged(&world, "qa-deep1", "tested")), [("targets/qa/deep".to_owned(), false, vec![world.pin()])]);
    assert_refused(&judged(&world, "prod", "tested"), &[Code::DctTagNotSigned]);
}

#[test]
fn a_delegation_that_was_never_published_is_skipped() {
    let mut world = World::new();
    world.sign("targets", "2.0", "two");
    let releases = crate::world::role("targets/releases");
    world.delegations.remove(&releases);
    let findings = judged(&world, "2.0", "two");
    assert_trusted(&findings);
    assert!(claims(&findings).contains(&("targets".to_owned(), true, vec![world.pin()])));
}

#[test]
fn a_delegation_whose_keys_were_purged_signs_nothing() {
    let mut world = World::new();
    let alice =
        world.targets.delegations.roles.iter_mut().find(|delegation| delegation.name.as_str() == "targets/alice").unwrap();
    alice.keys.key_ids.clear();
    let findings = judged(&world, "2.0", "two");
    assert_eq!(claims(&findings), [("targets/releases".to_owned(), true, vec![world.pin()])]);
    assert_eq!(problem_codes(&findings), [Code::DctBadSignature]);
}

#[test]
fn dates_that_come_near_are_told() {
    let mut world = World::new();
    assert!(warning_codes(&judged(&world, "1.0", "one")).is_empty());
    world.root.expires = crate::world::until("2027-05-01");
    world.document("targets/alice").expires = crate::world::until("2027-05-01");
    let findings = judged(&world, "1.0", "one");
    assert_trusted(&findings);
    assert_eq!(warning_codes(&findings), [Code::DctExpiresSoon, Code::DctExpiresSoon]);
}

#[test]
fn everything_docker_shows_can_be_read_from_the_collection() {
    let mut world = World::new();
    world.sign("targets", "2.0", "old");
    let judge = Judge::pinning(&world.pin());
    let gathered = judge.gather(&subject("1.0", "one"), &world.publish());
    let gun = subject("1.0", "one").repository;
    let reading = trustctl_dct::reading::read(&gun, &gathered.evidence, &judge.context());
    assert!(reading.sound);
    let collection = reading.collection.unwrap();
    let tags: Vec<(String, trustctl_core::digest::Digest, Vec<String>)> =
        collection.signed_tags().into_iter().map(|tag| (tag.tag, tag.digest, tag.signers)).collect();
    let mut expected = vec![
        ("1.0".to_owned(), digest("one"), vec![]),
        ("2.0".to_owned(), digest("two"), vec!["alice".to_owned()]),
        ("2.0".to_owned(), digest("old"), vec![]),
    ];
    expected.sort();
    assert_eq!(tags, expected);
    let alice = world.delegations[&crate::world::role("targets/alice")].1.key.id().clone();
    assert_eq!(collection.signers(), [("alice", [alice].as_slice())].into());
    assert_eq!(collection.root_keys()[0].as_str(), world.pin());
    assert_eq!(collection.repository_keys(), [world.targets_key.key.id().clone()]);
}

#[test]
fn an_expired_collection_can_still_be_looked_at() {
    let world = World::new();
    let judge = Judge::trusting();
    let shelf = world.publish_with(&Swizzle::Expire("snapshot"));
    let gun = subject("1.0", "one").repository;
    let mut evidence = trustctl_core::evidence::Evidence::new();
    for _ in 0..4 {
        for want in trustctl_dct::reading::read(&gun, &evidence, &judge.context()).wants {
            let answer = shelf.answer(&want);
            evidence.insert(want.locator, answer);
        }
    }
    let reading = trustctl_dct::reading::read(&gun, &evidence, &judge.context());
    assert!(!reading.sound && reading.refuted);
    assert_eq!(reading.collection.unwrap().signed_tags().len(), 2);
    assert_eq!(reading.learnt.floors.keys().map(String::as_str).collect::<Vec<_>>(), ["root", "timestamp"]);
}
