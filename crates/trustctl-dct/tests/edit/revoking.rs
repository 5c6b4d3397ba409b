//! Taking tags back: out of every role, or with the reason why not.

use trustctl_core::reason::Code;
use trustctl_dct::edit::{Change, Delegate, Effect, MissingKey, SignIn, SignTag};

use crate::world::{World, bare, digest, role, sign};

fn revoke(tag: &str, missing: MissingKey) -> Change {
    Change::RevokeTag { name: tag.to_owned(), digest: None, missing }
}

/// 1.0 is signed in targets (before there were delegations), by Alice and in releases.
fn signed_everywhere() -> World {
    let mut world = World::initialised();
    let (targets, alice, bob) = (world.targets.clone(), world.alice.clone(), world.bob.clone());
    world.publish(&[sign("1.0", "image")], &[&targets]);
    let signers = [world.add_signer("alice", &alice), world.add_signer("bob", &bob)];
    world.publish(&signers, &[&targets]);
    world.publish(&[sign("1.0", "image")], &[&alice]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets", "targets/alice"]);
    world
}

#[test]
fn a_tag_is_revoked_in_every_role() {
    let mut world = signed_everywhere();
    let (targets, alice) = (world.targets.clone(), world.alice.clone());
    let upload = world.publish(&[revoke("1.0", MissingKey::Fail)], &[&targets, &alice]);
    let revoked = |name: &str| Effect::Revoked { role: role(name), name: "1.0".to_owned() };
    assert_eq!(upload.effects(), [revoked("targets"), revoked("targets/alice"), revoked("targets/releases")]);
    assert!(upload.left().is_empty());
    assert!(world.signed_by("1.0", "image").is_empty());
    assert_eq!(world.problems("1.0", "image"), [Code::DctTagNotSigned]);
}

#[test]
fn without_a_key_nothing_is_revoked_and_the_roles_are_named() {
    let world = signed_everywhere();
    let reason = world.plan(&[revoke("1.0", MissingKey::Fail)], &[&world.alice]).unwrap_err();
    assert_eq!(reason.code, Code::DctKeyNeeded);
    assert!(reason.message.starts_with("targets cannot be signed"), "{}", reason.message);
    let reason = world.plan(&[revoke("1.0", MissingKey::Fail)], &[]).unwrap_err();
    assert!(reason.message.contains("targets/alice, targets/releases"), "{}", reason.message);
}

#[test]
fn what_is_left_is_told_when_asked_to_go_on() {
    let mut world = signed_everywhere();
    let alice = world.alice.clone();
    let upload = world.plan(&[revoke("1.0", MissingKey::LeaveOut)], &[&alice]).unwrap();
    let [left] = upload.left() else { panic!("{:?}", upload.left()) };
    assert_eq!(left.code, Code::DctKeyNeeded);
    assert!(left.message.starts_with("targets cannot"), "{}", left.message);
    world.accept(&upload).unwrap();
    assert_eq!(world.signed_by("1.0", "image"), ["targets"]);
    let again = world.plan(&[revoke("1.0", MissingKey::LeaveOut)], &[&alice]).unwrap();
    assert!(again.is_empty() && again.left().len() == 1);
}

#[test]
fn only_the_digest_that_is_named_is_revoked() {
    let mut world = signed_everywhere();
    let (targets, alice) = (world.targets.clone(), world.alice.clone());
    world.publish(&[sign("1.0", "new")], &[&alice]);
    let old = Change::RevokeTag { name: "1.0".to_owned(), digest: Some(digest("image")), missing: MissingKey::Fail };
    let upload = world.publish(&[old], &[&targets]);
    assert_eq!(upload.effects(), [Effect::Revoked { role: role("targets"), name: "1.0".to_owned() }]);
    assert_eq!(world.signed_by("1.0", "new"), ["targets/releases", "targets/alice"]);
}

#[test]
fn revoking_a_signer_leaves_what_others_sign_too() {
    let mut world = World::with_signers();
    let (targets, alice, bob) = (world.targets.clone(), world.alice.clone(), world.bob.clone());
    world.publish(&[sign("1.0", "image"), sign("only-alice", "image")], &[&alice]);
    world.publish(&[sign("1.0", "image")], &[&bob]);
    let revoke = |missing| Change::RevokeSigner { name: "alice".to_owned(), missing };
    let reason = world.plan(&[revoke(MissingKey::Fail)], &[&targets]).unwrap_err();
    assert_eq!(reason.code, Code::DctKeyNeeded);
    assert!(reason.message.contains("targets/releases"), "{}", reason.message);
    let reason = world.plan(&[revoke(MissingKey::Fail)], &[&bob]).unwrap_err();
    assert!(reason.message.contains("targets/alice"), "{}", reason.message);
    world.publish(&[revoke(MissingKey::Fail)], &[&targets, &bob]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/bob"]);
    assert_eq!(world.problems("only-alice", "image"), [Code::DctTagNotSigned]);
    assert!(world.current().role(&role("targets/alice")).is_none(), "without Alice's key the role itself goes");
}

#[test]
fn a_signer_can_revoke_everything_of_her_own() {
    let mut world = World::with_signers();
    let alice = world.alice.clone();
    world.publish(&[sign("1.0", "image"), sign("2.0", "image")], &[&alice]);
    let revoke = Change::RevokeSigner { name: "alice".to_owned(), missing: MissingKey::Fail };
    world.publish(&[revoke], &[&alice]);
    for tag in ["1.0", "2.0"] {
        assert_eq!(world.problems(tag, "image"), [Code::DctTagNotSigned]);
    }
    assert!(world.current().role(&role("targets/alice")).unwrap().targets.is_empty());
}

#[test]
fn a_name_in_a_file_that_does_not_count_is_mentioned() {
    let mut world = World::with_signers();
    let (targets, alice, bob) = (world.targets.clone(), world.alice.clone(), world.bob.clone());
    let mut tag = SignTag::new("1.0", digest("image"), 100);
    tag.roles = SignIn::Named(vec![role("targets/alice")]);
    world.publish(&[Change::SignTag(tag)], &[&alice]);
    let replace =
        Delegate::to(role("targets/alice")).adding(vec![bare(&bob)], &[]).removing(vec![bare(&alice).id().clone()], &[]);
    let upload = world.plan(&[Change::Delegate(replace)], &[&targets]).unwrap();
    world.accept(&upload).unwrap();
    let upload = world.plan(&[revoke("1.0", MissingKey::Fail)], &[&targets]).unwrap();
    assert!(upload.is_empty());
    assert_eq!(upload.remarks().iter().filter(|remark| remark.code == Code::DctBadSignature).count(), 1);
    let everything = |missing| [Change::RevokeSigner { name: "alice".to_owned(), missing }];
    assert_eq!(world.plan(&everything(MissingKey::Fail), &[&targets]).unwrap_err().code, Code::DctBadSignature);
    assert_eq!(world.plan(&everything(MissingKey::LeaveOut), &[&targets]).unwrap().left().len(), 1);
}
