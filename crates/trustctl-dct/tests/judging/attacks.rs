//! One corruption at a time, and the reason it is refused for.

use trustctl_core::reason::Code;

use crate::world::{
    Judge, Swizzle, World, assert_refused, assert_trusted, claims, problem_codes, role, subject, subject_by_digest,
};

const TOP: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

/// `swizzle` makes the collection refused for `code`; without it, it is trusted.
#[track_caller]
fn refused(swizzle: &Swizzle, code: Code) {
    let world = World::new();
    let judge = Judge::pinning(&world.pin());
    assert_trusted(&judge.examine(&subject("1.0", "one"), &world.publish()));
    assert_refused(&judge.examine(&subject("1.0", "one"), &world.publish_with(swizzle)), &[code]);
}

#[test]
fn a_freeze_ends_with_the_date_of_each_role() {
    for role in TOP {
        refused(&Swizzle::Expire(role), Code::DctExpired);
    }
}

#[test]
fn a_rolled_back_role_is_refused_by_whoever_saw_the_newer_one() {
    for role in ["targets", "snapshot", "timestamp"] {
        let world = World::new();
        let mut judge = Judge::pinning(&world.pin());
        let older = world.publish_with(&Swizzle::LowerVersion(role));
        assert_trusted(&judge.examine(&subject("1.0", "one"), &older));
        assert_trusted(&judge.examine_and_learn(&subject("1.0", "one"), &world.publish()));
        assert_refused(&judge.examine(&subject("1.0", "one"), &older), &[Code::DctRollback]);
    }
}

#[test]
fn a_rolled_back_delegation_takes_itself_out() {
    let world = World::new();
    let mut judge = Judge::pinning(&world.pin());
    let older = world.publish_with(&Swizzle::LowerVersion("targets/releases"));
    assert_trusted(&judge.examine_and_learn(&subject("2.0", "two"), &world.publish()));
    let findings = judge.examine(&subject("2.0", "two"), &older);
    assert_eq!(problem_codes(&findings), [Code::DctRollback]);
    assert_eq!(claims(&findings), [("targets/alice".to_owned(), false, vec![world.pin()])]);
}

/// The world a day later, in which targets still signs an old digest as 2.0, and the snapshot does not name `role`.
fn dropped(world: &World, name: &str) -> World {
    let mut later = world.clone();
    later.bump();
    later.delegations.remove(&role(name));
    later
}

#[test]
fn a_delegation_dropped_from_the_snapshot_does_not_bring_an_old_digest_back() {
    let mut world = World::new();
    world.sign("targets", "2.0", "old");
    let mut judge = Judge::pinning(&world.pin());
    let later = dropped(&world, "targets/releases").publish();
    // To a stranger it looks like a delegation that was never published: then targets decides.
    assert!(claims(&judge.examine(&subject("2.0", "old"), &later)).contains(&("targets".to_owned(), true, vec![world.pin()])));
    judge.examine_and_learn(&subject("2.0", "two"), &world.publish());
    let findings = judge.examine(&subject("2.0", "old"), &later);
    assert_eq!(claims(&findings), [("targets".to_owned(), false, vec![world.pin()])]);
    assert_eq!(problem_codes(&findings), [Code::DctRollback, Code::DctTagMoved]);
    let by_digest = judge.examine(&subject_by_digest("old"), &later);
    assert_eq!((claims(&by_digest)[0].1, problem_codes(&by_digest)), (false, vec![Code::DctRollback]));
    // Served again, it decides again.
    let mut served = world.clone();
    served.bump();
    let findings = judge.examine(&subject("2.0", "two"), &served.publish());
    assert!(claims(&findings).contains(&("targets/releases".to_owned(), true, vec![world.pin()])));
    assert_eq!(problem_codes(&findings), [Code::DctTagMoved], "of targets, which does not decide");
}

#[test]
fn a_delegation_that_its_parent_takes_back_is_not_missed() {
    let mut world = World::new();
    let mut judge = Judge::pinning(&world.pin());
    assert_trusted(&judge.examine_and_learn(&subject("2.0", "two"), &world.publish()));
    for name in ["targets/releases", "targets/alice"] {
        world = dropped(&world, name);
        assert_eq!(problem_codes(&judge.examine(&subject("1.0", "one"), &world.publish())), [Code::DctRollback]);
        world.targets.delegations.roles.retain(|delegation| delegation.name != role(name));
        assert_trusted(&judge.examine_and_learn(&subject("1.0", "one"), &world.publish()));
    }
    // One that is new was never seen, and is not missed before it is published.
    world.delegate("targets/bob", &[""]);
    world = dropped(&world, "targets/bob");
    assert_trusted(&judge.examine_and_learn(&subject("1.0", "one"), &world.publish()));
}

#[test]
fn edited_and_wrongly_signed_files_are_refused() {
    for role in TOP {
        refused(&Swizzle::EditAfterSigning(role), Code::DctBadSignature);
        refused(&Swizzle::DropSignatures(role), Code::DctBadSignature);
        refused(&Swizzle::SignWithOtherKey(role), Code::DctBadSignature);
        refused(&Swizzle::RepeatSignature(role), Code::DctBadSignature);
    }
    for role in ["root", "targets", "snapshot"] {
        refused(&Swizzle::DerSignature(role), Code::DctBadSignature);
    }
}

#[test]
fn mixed_files_are_refused() {
    for role in ["root", "snapshot", "targets"] {
        refused(&Swizzle::Exchange(role), Code::DctHashMismatch);
    }
}

#[test]
fn longer_and_shorter_files_than_declared_are_refused() {
    for role in ["snapshot", "targets"] {
        refused(&Swizzle::Lengthen(role), Code::DctWrongLength);
    }
    for role in ["root", "snapshot", "targets"] {
        refused(&Swizzle::DeclareMore(role), Code::DctWrongLength);
    }
}

#[test]
fn files_that_must_exist_are_missed() {
    for role in TOP {
        refused(&Swizzle::Remove(role), Code::DctMissingFile);
    }
}

#[test]
fn a_wrong_delegation_takes_itself_out_and_its_parent_does_not_stand_in() {
    let releases = "targets/releases";
    for (swizzle, code) in [
        (Swizzle::DropSignatures(releases), Code::DctBadSignature),
        (Swizzle::Exchange(releases), Code::DctHashMismatch),
        (Swizzle::Expire(releases), Code::DctExpired),
        (Swizzle::Lengthen(releases), Code::DctWrongLength),
        (Swizzle::Remove(releases), Code::DctMissingFile),
        (Swizzle::Replace(releases, "\"_type\":\"Targets\"", "\"_type\":\"targets\""), Code::DctMalformed),
    ] {
        let world = World::new();
        let judge = Judge::pinning(&world.pin());
        let findings = judge.examine(&subject("1.0", "one"), &world.publish_with(&swizzle));
        assert_eq!(problem_codes(&findings), [code], "{swizzle:?}");
        // Nobody can know whether targets/releases has the tag: targets says something, and does not decide.
        assert_eq!(claims(&findings), [("targets".to_owned(), false, vec![world.pin()])], "{swizzle:?}");
        let other = match swizzle {
            Swizzle::DropSignatures(_) => Swizzle::DropSignatures("targets/alice"),
            _ => Swizzle::Remove("targets/alice"),
        };
        let findings = judge.examine(&subject("1.0", "one"), &world.publish_with(&other));
        assert_eq!(claims(&findings), [("targets".to_owned(), true, vec![world.pin()])]);
    }
}

#[test]
fn malformed_files_are_refused() {
    for swizzle in [
        Swizzle::Replace("targets", "\"_type\":\"Targets\"", "\"_type\":\"targets\""),
        Swizzle::Replace("targets", "\"targets\":", "\"TARGETS\":"),
        Swizzle::Replace("targets", "\"targets\":", "\"Targets\":{},\"targets\":"),
        Swizzle::Replace("targets", "\"version\":", "\"ver\u{17f}ion\":1,\"version\":"),
        Swizzle::Replace("targets", "\"version\":3", "\"version\":0"),
        Swizzle::Replace("targets", "\"version\":3", "\"version\":\"3\""),
        Swizzle::Replace("targets", "2029-11-01T00:00:00Z", "2029-11-01"),
        Swizzle::Replace("targets", "targets/alice", "targets/alice/deep"),
        Swizzle::Replace("targets", "targets/alice", "snapshot"),
        Swizzle::Replace("root", "\"threshold\":1", "\"threshold\":0"),
        Swizzle::Replace("root", "\"snapshot\":{", "\"snapshots\":{"),
        Swizzle::Replace("snapshot", "\"root\":{", "\"toor\":{"),
        Swizzle::Replace("timestamp", "\"length\":", "\"length\":-"),
        Swizzle::Sha512Only,
    ] {
        refused(&swizzle, Code::DctMalformed);
    }
    refused(&Swizzle::WrongKeyId, Code::DctKeyIdMismatch);
}

#[test]
fn harmless_differences_are_accepted() {
    for swizzle in [
        Swizzle::UpperCaseMethod("targets"),
        Swizzle::Replace("targets", "\"version\":3", "\"spec_version\":\"1.0.31\",\"version\":3,\"x\":{\"é\":[null]}"),
        Swizzle::Replace("targets", "2029-11-01T00:00:00Z", "2029-11-01T02:00:00.000000001+02:00"),
        Swizzle::Replace("root", "\"roles\":{", "\"roles\":{\"root.1\":{\"keyids\":[],\"threshold\":1},"),
        Swizzle::Replace("targets/releases", "\"delegations\":{\"keys\":{},\"roles\":[]},", ""),
        Swizzle::Replace("targets/releases", "\"roles\":[]", "\"roles\":null"),
    ] {
        let world = World::new();
        let findings = Judge::pinning(&world.pin()).examine(&subject("1.0", "one"), &world.publish_with(&swizzle));
        assert_trusted(&findings);
    }
}

#[test]
fn duplicate_keys_on_the_wire_are_refused() {
    let world = World::new();
    let judge = Judge::pinning(&world.pin());
    let mut shelf = world.publish();
    let timestamp = String::from_utf8(shelf.current("timestamp").unwrap().to_vec()).unwrap();
    shelf.put("timestamp", timestamp.replace("\"version\":7", "\"version\":6,\"version\":7").as_bytes());
    assert_refused(&judge.examine(&subject("1.0", "one"), &shelf), &[Code::DctMalformed]);
    shelf.put("timestamp", timestamp.replace("\"version\":7", "\"version\": 7 ").as_bytes());
    assert_trusted(&judge.examine(&subject("1.0", "one"), &shelf));
}
