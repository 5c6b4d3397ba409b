//! Signers, delegations, their keys and paths.

use trustctl_core::reason::Code;
use trustctl_dct::edit::{Change, Delegate, Effect, SignIn, SignTag};
use trustctl_dct::key::Key;

use crate::keys::TestKey;
use crate::world::{World, bare, digest, role, sign, version};

#[test]
fn a_signer_is_a_role_of_its_own_and_a_key_in_releases() {
    let world = World::with_signers();
    let current = world.current();
    let delegations = &current.role(&role("targets")).unwrap().delegations;
    let names: Vec<&str> = delegations.roles.iter().map(|delegation| delegation.name.as_str()).collect();
    assert_eq!(names, ["targets/alice", "targets/releases", "targets/bob"]);
    assert!(delegations.roles.iter().all(|delegation| delegation.paths == [""] && delegation.keys.threshold.get() == 1));
    let releases = delegations.roles.iter().find(|delegation| delegation.name == role("targets/releases")).unwrap();
    assert_eq!(releases.keys.key_ids, [bare(&world.alice).id().clone(), bare(&world.bob).id().clone()]);
}

#[test]
fn names_of_signers_are_checked() {
    let world = World::initialised();
    for name in ["releases", "", "Alice", "-a", "_a", "a/b", "a b"] {
        let reason = world.plan(&[world.add_signer(name, &world.alice)], &[&world.targets]).unwrap_err();
        assert_eq!(reason.code, Code::DctBadChange, "{name}");
    }
}

#[test]
fn adding_a_signer_needs_the_targets_key() {
    let world = World::initialised();
    let reason = world.plan(&[world.add_signer("alice", &world.alice)], &[&world.alice]).unwrap_err();
    assert_eq!(reason.code, Code::DctKeyNeeded);
    assert!(reason.message.starts_with("targets "), "{}", reason.message);
}

#[test]
fn a_removed_signer_is_gone_and_what_remains_is_signed_again() {
    let mut world = World::with_signers();
    let (targets, alice, bob) = (world.targets.clone(), world.alice.clone(), world.bob.clone());
    world.publish(&[sign("1.0", "image")], &[&alice]);
    let remove = Change::RemoveSigner { name: "alice".to_owned() };
    // Without Bob's key nobody here can sign releases anew: it is said.
    let upload = world.plan(std::slice::from_ref(&remove), &[&targets]).unwrap();
    let [remark] = upload.remarks() else { panic!("{:?}", upload.remarks()) };
    assert_eq!(remark.code, Code::DctKeyNeeded);
    assert!(remark.message.contains("targets/releases"), "{}", remark.message);
    let upload = world.publish(&[remove], &[&targets, &bob]);
    assert_eq!(
        upload.effects(),
        [
            Effect::RoleRemoved { role: role("targets/alice") },
            Effect::RoleChanged { role: role("targets/releases") },
            Effect::Renewed { role: role("targets/releases") },
        ]
    );
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases"]);
    let current = world.current();
    assert!(!current.role(&role("targets")).unwrap().delegations.keys.contains_key(bare(&alice).id()));
    assert_eq!(world.plan(&[sign("2.0", "image")], &[&alice]).unwrap_err().code, Code::DctKeyNeeded);
}

#[test]
fn with_the_last_signer_the_roles_without_keys_go() {
    let mut world = World::initialised();
    let (targets, alice) = (world.targets.clone(), world.alice.clone());
    let add = world.add_signer("alice", &alice);
    world.publish(&[add.clone(), sign("1.0", "image")], &[&targets, &alice]);
    let upload = world.publish(&[Change::RemoveSigner { name: "alice".to_owned() }], &[&targets]);
    assert!(upload.effects().contains(&Effect::RoleRemoved { role: role("targets/releases") }));
    assert!(upload.remarks().iter().any(|remark| remark.code == Code::DctRoleMissing), "{:?}", upload.remarks());
    assert!(world.current().role(&role("targets")).unwrap().delegations.roles.is_empty());
    assert_eq!(world.problems("1.0", "image"), [Code::DctTagNotSigned]);
    world.publish(&[sign("1.0", "image")], &[&targets]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets"]);
    // The server still has version 1 of the roles' files; a new one must be higher.
    let upload = world.plan(&[add, sign("2.0", "image")], &[&targets, &alice]).unwrap();
    assert_eq!(version(upload.file(&role("targets/alice")).unwrap()), 2);
}

#[test]
fn an_old_file_that_counts_again_is_reported() {
    let mut world = World::initialised();
    let (targets, alice) = (world.targets.clone(), world.alice.clone());
    let add = world.add_signer("alice", &alice);
    world.publish(&[add.clone(), sign("1.0", "image")], &[&targets, &alice]);
    world.publish(&[Change::RemoveSigner { name: "alice".to_owned() }], &[&targets]);
    let upload = world.publish(&[add], &[&targets]);
    assert!(upload.remarks().iter().any(|remark| remark.message.contains("count again")), "{:?}", upload.remarks());
}

#[test]
fn a_replaced_key_does_not_brick_the_role() {
    let mut world = World::with_signers();
    let (targets, alice, new) = (world.targets.clone(), world.alice.clone(), TestKey::rsa());
    world.publish(&[sign("1.0", "image")], &[&alice]);
    let replace = Delegate::to(role("targets/alice")).adding(vec![bare(&new)], &[]);
    let replace = Change::Delegate(replace.removing(vec![bare(&alice).id().clone()], &[]));
    let upload = world.publish(&[replace], &[&targets]);
    assert!(upload.remarks().iter().any(|remark| remark.message.contains("witness")), "{:?}", upload.remarks());
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases"]);
    let witness = Change::Witness { role: role("targets/alice") };
    let upload = world.plan(&[witness], &[&new]).unwrap();
    assert_eq!(version(upload.file(&role("targets/alice")).unwrap()), 2);
    world.accept(&upload).unwrap();
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/alice"]);
}

#[test]
fn paths_limit_what_a_role_signs_and_nest() {
    let mut world = World::with_signers();
    let (targets, alice, qa) = (world.targets.clone(), world.alice.clone(), TestKey::ecdsa());
    let delegate = |name: &str, keys: Vec<Key>, paths: &[&str]| Change::Delegate(Delegate::to(role(name)).adding(keys, paths));
    world.publish(&[delegate("targets/qa", vec![bare(&qa)], &["qa-"])], &[&targets]);
    world.publish(&[delegate("targets/qa/nightly", vec![bare(&alice)], &["qa-nightly-"])], &[&qa]);
    let reason = world.plan(&[delegate("targets/qa/wide", vec![bare(&alice)], &["release-"])], &[&qa]).unwrap_err();
    assert_eq!(reason.code, Code::DctBadChange);
    assert_eq!(world.plan(&[sign("1.0", "image")], &[&qa]).unwrap_err().code, Code::DctKeyNeeded);
    world.publish(&[sign("qa-1", "image")], &[&qa]);
    assert_eq!(world.signed_by("qa-1", "image"), ["targets/qa"]);
    let named = |tag: &str| {
        let mut tag = SignTag::new(tag, digest("image"), 100);
        tag.roles = SignIn::Named(vec![role("targets/qa/nightly")]);
        Change::SignTag(tag)
    };
    assert_eq!(world.plan(&[named("qa-1")], &[&alice]).unwrap_err().code, Code::DctBadChange);
    world.publish(&[named("qa-nightly-1")], &[&alice]);
    assert_eq!(world.signed_by("qa-nightly-1", "image"), ["targets/qa/nightly"]);
    let narrow = Change::Delegate(Delegate::to(role("targets/qa")).clearing_paths().adding(vec![], &["qb-"]));
    world.publish(&[narrow], &[&targets]);
    assert_eq!(world.plan(&[named("qa-nightly-1")], &[&alice]).unwrap_err().code, Code::DctBadChange);
}

#[test]
fn a_delegation_can_lose_all_its_paths() {
    let mut world = World::with_signers();
    let (targets, alice) = (world.targets.clone(), world.alice.clone());
    let no_paths = Change::Delegate(Delegate::to(role("targets/alice")).clearing_paths());
    world.publish(&[no_paths], &[&targets]);
    assert!(!String::from_utf8_lossy(world.newest("targets")).contains("\"paths\":[]"));
    world.publish(&[sign("1.0", "image")], &[&alice]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases"]);
}

#[test]
fn purging_takes_a_key_out_everywhere() {
    let mut world = World::with_signers();
    let (targets, alice, bob) = (world.targets.clone(), world.alice.clone(), world.bob.clone());
    world.publish(&[sign("1.0", "image")], &[&bob]);
    let purge = Change::PurgeKeys { keys: vec![bare(&alice).id().clone()] };
    let upload = world.publish(&[purge], &[&targets]);
    assert_eq!(
        upload.effects(),
        [Effect::RoleRemoved { role: role("targets/alice") }, Effect::RoleChanged { role: role("targets/releases") },]
    );
    assert!(upload.remarks().is_empty(), "{:?}", upload.remarks());
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/bob"]);
}

#[test]
fn keys_in_certificates_are_taken_out_by_either_id() {
    let mut world = World::initialised();
    let (targets, carol) = (world.targets.clone(), TestKey::ecdsa());
    let certified = Key::from_certificates(carol.certificate("carol").as_bytes()).unwrap();
    let add = Change::AddSigner { name: "carol".to_owned(), keys: vec![certified.clone()] };
    world.publish(std::slice::from_ref(&add), &[&targets]);
    world.publish(&[sign("1.0", "image")], &[&carol]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/carol"]);
    for id in [certified.id().clone(), certified.canonical_id().unwrap()] {
        world.publish(&[Change::PurgeKeys { keys: vec![id] }], &[&targets]);
        assert!(world.current().role(&role("targets")).unwrap().delegations.roles.is_empty());
        world.publish(std::slice::from_ref(&add), &[&targets]);
    }
}

#[test]
fn removing_a_delegation_takes_what_is_below() {
    let mut world = World::with_signers();
    let (targets, alice) = (world.targets.clone(), world.alice.clone());
    let below = Change::Delegate(Delegate::to(role("targets/alice/ci")).adding(vec![bare(&alice)], &[""]));
    world.publish(&[below, sign("1.0", "image")], &[&alice]);
    world.publish(&[Change::RemoveDelegation { role: role("targets/alice") }], &[&targets]);
    let current = world.current();
    assert!(current.role(&role("targets/alice")).is_none());
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases"]);
    let reason = world.plan(&[Change::RemoveDelegation { role: role("snapshot") }], &[&targets]).unwrap_err();
    assert_eq!(reason.code, Code::DctBadChange);
}

#[test]
fn a_threshold_of_two_needs_both_keys() {
    let mut world = World::with_signers();
    let (targets, alice, bob) = (world.targets.clone(), world.alice.clone(), world.bob.clone());
    let mut content = world.current().role(&role("targets")).unwrap().clone();
    content.version += 1;
    let releases = content.delegations.roles.iter_mut().find(|delegation| delegation.name == role("targets/releases")).unwrap();
    releases.keys.threshold = 2.try_into().unwrap();
    let bytes = crate::world::sealed(&content, &targets);
    world.files.get_mut("targets").unwrap().push(bytes);
    let reason = world.plan(&[sign("1.0", "image")], &[&alice]).unwrap_err();
    assert_eq!(reason.code, Code::DctKeyNeeded);
    assert!(reason.message.starts_with("targets/releases "), "{}", reason.message);
    assert!(reason.expected.unwrap().starts_with("2 of "));
    let upload = world.plan(&[sign("1.0", "image")], &[&alice, &bob]).unwrap();
    world.accept(&upload).unwrap();
    let envelope = trustctl_dct::metadata::envelope::Envelope::parse(world.newest("targets/releases")).unwrap();
    assert_eq!(envelope.signatures().len(), 2);
    let remove = Delegate::to(role("targets/releases")).removing(vec![bare(&bob).id().clone()], &[]);
    let upload = world.plan(&[Change::Delegate(remove)], &[&targets, &alice]).unwrap();
    assert!(upload.remarks().iter().any(|remark| remark.message.contains("until keys are added")), "{:?}", upload.remarks());
}
