//! Servers that are down, deny, or have nothing; and what is fetched again when much is known.

use trustctl_core::evidence::RefusalKind;
use trustctl_core::reason::Code;

use crate::world::shelf::Shelf;
use crate::world::{Judge, World, assert_refused, assert_trusted, assert_undecided, claims, subject, warning_codes};

fn warm() -> (World, Judge, Shelf) {
    let world = World::new();
    let shelf = world.publish();
    let mut judge = Judge::pinning(&world.pin());
    assert_trusted(&judge.examine_and_learn(&subject("1.0", "one"), &shelf));
    (world, judge, shelf)
}

#[test]
fn a_collection_never_seen_takes_three_rounds() {
    let world = World::new();
    let judge = Judge::pinning(&world.pin());
    let rounds = judge.gather(&subject("1.0", "one"), &world.publish()).rounds;
    assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 3], "{rounds:#?}");
    assert_eq!(rounds[0], ["root.json", "timestamp.json"]);
}

#[test]
fn an_unchanged_collection_takes_one_request() {
    let (_, mut judge, shelf) = warm();
    assert_eq!(judge.gather(&subject("1.0", "one"), &shelf).rounds, [["timestamp.json"]]);
    assert_trusted(&judge.examine_and_learn(&subject("1.0", "one"), &shelf));
}

#[test]
fn only_what_changed_is_fetched_again() {
    let (mut world, judge, _) = warm();
    world.sign("targets/alice", "3.0", "three");
    world.delegations.get_mut(&crate::world::role("targets/alice")).unwrap().0.version += 1;
    world.snapshot.0 += 1;
    world.timestamp.0 += 1;
    // Signing anew makes new bytes: keep those of the files that did not change.
    let old = judge.memory.slot(trustctl_core::claim::SchemeName::Dct, crate::world::GUN).unwrap().documents.clone();
    let rounds =
        judge.gather(&subject("1.0", "one"), &world.publish_keeping(&old, &["root", "targets", "targets/releases"])).rounds;
    assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1], "{rounds:#?}");
    assert!(rounds[2][0].starts_with("targets/alice."), "{rounds:#?}");
}

#[test]
fn a_server_that_is_down_is_bridged_until_the_copy_expires() {
    let (_, mut judge, mut shelf) = warm();
    shelf.refuse(Some(RefusalKind::Unavailable));
    let findings = judge.examine(&subject("1.0", "one"), &shelf);
    assert_trusted(&findings);
    assert_eq!(warning_codes(&findings), [Code::DctCached]);
    judge.now = "2026-12-07T00:00:00Z".parse().unwrap();
    assert_undecided(&judge.examine(&subject("1.0", "one"), &shelf), Code::Unavailable);
}

#[test]
fn a_moved_tag_is_moved_offline_too() {
    let (_, judge, mut shelf) = warm();
    shelf.refuse(Some(RefusalKind::Unavailable));
    assert_refused(&judge.examine(&subject("1.0", "evil"), &shelf), &[Code::DctTagMoved]);
}

#[test]
fn a_server_that_is_down_decides_nothing_for_a_stranger() {
    let world = World::new();
    let judge = Judge::pinning(&world.pin());
    let mut shelf = world.publish();
    shelf.refuse(Some(RefusalKind::Unavailable));
    assert_undecided(&judge.examine(&subject("1.0", "one"), &shelf), Code::Unavailable);
}

#[test]
fn whoever_is_denied_does_not_believe_an_old_answer() {
    let (_, judge, mut shelf) = warm();
    for (kind, code) in [
        (RefusalKind::Denied, Code::AccessDenied),
        (RefusalKind::Malformed, Code::BadAnswer),
        (RefusalKind::TooLarge, Code::TooLarge),
    ] {
        shelf.refuse(Some(kind));
        assert_undecided(&judge.examine(&subject("1.0", "one"), &shelf), code);
    }
}

#[test]
fn nothing_published_is_no_trust_data() {
    let judge = Judge::trusting();
    assert_refused(&judge.examine(&subject("1.0", "one"), &Shelf::default()), &[Code::DctNoData]);
}

#[test]
fn a_collection_that_vanished_is_missed_by_whoever_saw_it() {
    let (_, judge, _) = warm();
    assert_refused(&judge.examine(&subject("1.0", "one"), &Shelf::default()), &[Code::DctMissingFile]);
}

#[test]
fn a_delegation_that_cannot_be_read_leaves_its_tags_undecided() {
    let world = World::new();
    let judge = Judge::pinning(&world.pin());
    let shelf = world.publish();
    let subject = subject("1.0", "one");
    let mut evidence = judge.gather(&subject, &shelf).evidence;
    let releases =
        evidence.iter().map(|(locator, _)| locator.clone()).find(|at| at.to_string().starts_with("targets/releases.")).unwrap();
    let refusal = trustctl_core::evidence::Refusal { kind: RefusalKind::Unavailable, detail: "503".to_owned() };
    evidence.insert(releases, trustctl_core::evidence::Entry::Refused(refusal));
    let findings = trustctl_core::scheme::Scheme::examine(&trustctl_dct::scheme::Dct, &subject, &evidence, &judge.context());
    assert_eq!(claims(&findings), [("targets".to_owned(), false, vec![world.pin()])]);
    assert_eq!(crate::world::missing_codes(&findings), [Code::Unavailable]);
}

#[test]
fn a_memory_that_cannot_be_read_decides_nothing() {
    let (_, mut judge, shelf) = warm();
    let mut slot = judge.memory.slot(trustctl_core::claim::SchemeName::Dct, crate::world::GUN).unwrap().clone();
    slot.documents.get_mut("root").unwrap().bytes = b"{".to_vec();
    judge.memory = trustctl_core::memory::Memory::new();
    judge.memory.learn(trustctl_core::claim::SchemeName::Dct, crate::world::GUN, slot);
    assert_undecided(&judge.examine(&subject("1.0", "one"), &shelf), Code::ConfigUnusable);
}
