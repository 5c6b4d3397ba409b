//! First files and signed tags.

use trustctl_core::reason::Code;
use trustctl_core::signer::Signer as _;
use trustctl_dct::edit::{Change, Current, Effect, SignIn, SignTag, apply};
use trustctl_dct::key::Key;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::targets::Targets;
use trustctl_dct::metadata::{Document as _, Expiry};

use crate::keys::TestKey;
use crate::world::{GUN, World, bare, digest, held, now, role, sealed, sign, version};

#[test]
fn the_first_upload_is_dockers() {
    let mut world = World::virgin();
    let changes = [world.first(), world.add_signer("alice", &world.alice), sign("1.0", "image")];
    let upload = world.plan(&changes, &[&world.root, &world.targets, &world.alice]).unwrap();
    let names: Vec<&str> = upload.files().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["root", "targets", "targets/alice", "targets/releases"]);
    assert!(upload.files().iter().all(|(_, bytes)| version(bytes) == 1));
    assert!(upload.leaves_snapshot_to_server());
    world.accept(&upload).unwrap();
    let root = world.newest_root();
    assert_eq!(root.expires.to_string(), "2036-11-20T00:00:00Z");
    assert_eq!(root.root.threshold.get(), 1);
    assert!(!root.consistent_snapshot);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/alice"]);
    assert_eq!(world.problems("1.0", "another image"), [Code::DctTagMoved, Code::DctTagMoved]);
}

#[test]
fn initialising_twice_does_nothing_and_never_replaces_another_root() {
    let mut world = World::initialised();
    let changes = [world.first()];
    world.publish(&changes, &[&world.root.clone(), &world.targets.clone()]);
    let stranger = World::virgin();
    let reason = world.plan(&[stranger.first()], &[&stranger.root, &stranger.targets]).unwrap_err();
    assert_eq!(reason.code, Code::DctInitialised);
}

#[test]
fn a_repository_has_to_be_initialised_first() {
    let world = World::virgin();
    let reason = world.plan(&[sign("1.0", "image")], &[&world.targets]).unwrap_err();
    assert_eq!(reason.code, Code::DctNoData);
}

#[test]
fn a_root_key_needs_a_certificate_for_this_repository() {
    let world = World::virgin();
    for key in
        [bare(&world.root), Key::from_certificates(world.root.certificate("localhost:5000/demo/other").as_bytes()).unwrap()]
    {
        let Change::Initialise(mut first) = world.first() else { panic!() };
        first.root = vec![key];
        let reason = world.plan(&[Change::Initialise(first)], &[&world.root, &world.targets]).unwrap_err();
        assert_eq!(reason.code, Code::DctRootCertificate);
    }
}

#[test]
fn without_delegations_targets_signs() {
    let mut world = World::initialised();
    let key = world.targets.clone();
    let upload = world.publish(&[sign("1.0", "image")], &[&key]);
    assert_eq!(upload.effects(), [Effect::Signed { role: role("targets"), name: "1.0".to_owned() }]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets"]);
    let reason = world.plan(&[sign("2.0", "image")], &[&world.alice]).unwrap_err();
    assert_eq!(reason.code, Code::DctKeyNeeded);
    assert!(reason.message.contains("targets"), "{}", reason.message);
}

#[test]
fn with_delegations_every_role_whose_key_is_here_signs_and_targets_does_not() {
    let mut world = World::with_signers();
    let (targets, alice, bob) = (world.targets.clone(), world.alice.clone(), world.bob.clone());
    world.publish(&[sign("1.0", "image")], &[&alice, &targets]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/alice"]);
    world.publish(&[sign("1.0", "image")], &[&bob]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/alice", "targets/bob"]);
    let reason = world.plan(&[sign("2.0", "image")], &[&targets]).unwrap_err();
    assert_eq!(reason.code, Code::DctKeyNeeded);
    assert!(reason.expected.unwrap().contains("targets/alice"));
}

#[test]
fn roles_that_go_on_signing_another_digest_are_reported() {
    let mut world = World::initialised();
    let (targets, alice) = (world.targets.clone(), world.alice.clone());
    world.publish(&[sign("1.0", "old")], &[&targets]);
    let signer = world.add_signer("alice", &alice);
    world.publish(&[signer], &[&targets]);
    let upload = world.publish(&[sign("1.0", "new")], &[&alice]);
    let [conflict] = upload.remarks() else { panic!("{:?}", upload.remarks()) };
    assert_eq!(conflict.code, Code::DctRoleConflict);
    assert_eq!(conflict.found, Some(digest("old").to_string()));
    assert_eq!(world.signed_by("1.0", "new"), ["targets/releases", "targets/alice"]);
    let mut everywhere = SignTag::new("1.0", digest("new"), 100);
    everywhere.roles = SignIn::DockersRuleAndStale;
    let upload = world.publish(&[Change::SignTag(everywhere)], &[&alice, &targets]);
    assert_eq!(upload.effects(), [Effect::Signed { role: role("targets"), name: "1.0".to_owned() }]);
    assert!(upload.remarks().is_empty());
}

#[test]
fn named_roles_must_exist_and_be_allowed_the_tag() {
    let mut world = World::with_signers();
    let (targets, alice) = (world.targets.clone(), world.alice.clone());
    let in_roles = |roles: &[&str]| {
        let mut tag = SignTag::new("1.0", digest("image"), 100);
        tag.roles = SignIn::Named(roles.iter().map(|name| role(name)).collect());
        Change::SignTag(tag)
    };
    let upload = world.publish(&[in_roles(&["targets", "targets/alice"])], &[&alice, &targets]);
    assert!(upload.remarks().is_empty());
    assert_eq!(world.signed_by("1.0", "image"), ["targets", "targets/alice"]);
    let reason = world.plan(&[in_roles(&["targets/carol"])], &[&alice]).unwrap_err();
    assert_eq!(reason.code, Code::DctRoleMissing);
    let only_alice = world.plan(&[Change::SignTag(tag_in("2.0", "targets/alice"))], &[&alice]).unwrap();
    assert_eq!(only_alice.remarks().first().unwrap().code, Code::DctTagNotSigned);
}

fn tag_in(tag: &str, name: &str) -> SignTag {
    let mut tag = SignTag::new(tag, digest("image"), 100);
    tag.roles = SignIn::Named(vec![role(name)]);
    tag
}

#[test]
fn signing_the_same_again_renews_only_when_asked_and_due() {
    let mut world = World::with_signers();
    let alice = world.alice.clone();
    world.publish(&[sign("1.0", "image")], &[&alice]);
    let renewing = |before: &str| {
        let mut tag = SignTag::new("1.0", digest("image"), 100);
        tag.renew_before = Some(before.parse().unwrap());
        Change::SignTag(tag)
    };
    assert!(world.plan(&[renewing("2028-01-01T00:00:00Z")], &[&alice]).unwrap().is_empty());
    let upload = world.plan(&[renewing("2031-01-01T00:00:00Z")], &[&alice]).unwrap();
    let renewed = |name: &str| Effect::Renewed { role: role(name) };
    assert_eq!(upload.effects(), [renewed("targets/alice"), renewed("targets/releases")]);
    world.accept(&upload).unwrap();
    assert_eq!(version(world.newest("targets/releases")), 2);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/alice"]);
}

#[test]
fn every_kind_of_key_signs() {
    for key in [TestKey::ecdsa(), TestKey::ed25519(), TestKey::rsa()] {
        let mut world = World::initialised();
        let targets = world.targets.clone();
        let signer = world.add_signer("carol", &key);
        world.publish(&[signer], &[&targets]);
        world.publish(&[sign("1.0", "image")], &[&key]);
        assert_eq!(world.signed_by("1.0", "image").len(), 2, "{:?}", key.public_key());
    }
}

#[test]
fn a_root_near_its_end_is_signed_along_when_its_key_is_here() {
    let mut world = World::initialised();
    let (root, targets) = (world.root.clone(), world.targets.clone());
    let mut old = world.newest_root();
    old.expires = Expiry::at("2027-03-01T00:00:00Z".parse().unwrap());
    let certificate = old.keys[&old.root.key_ids[0]].clone();
    let holder = trustctl_dct::metadata::envelope::KeyHolder { key: &certificate, signer: &*root };
    let bytes = Envelope::sign(&old.to_signed(), &[holder]).unwrap();
    *world.files.get_mut("root").unwrap() = vec![bytes];
    let upload = world.plan(&[sign("1.0", "image")], &[&targets]).unwrap();
    assert_eq!(upload.remarks().first().unwrap().code, Code::DctExpiresSoon);
    assert!(upload.file(&role("root")).is_none());
    let upload = world.plan(&[sign("1.0", "image")], &[&targets, &root]).unwrap();
    assert_eq!(version(upload.file(&role("root")).unwrap()), 2);
    assert!(upload.remarks().is_empty());
}

#[test]
fn what_cannot_be_a_target_is_refused() {
    let world = World::initialised();
    let long = "x".repeat(2000);
    for name in ["", "a\nb", long.as_str()] {
        let reason = world.plan(&[sign(name, "image")], &[&world.targets]).unwrap_err();
        assert_eq!(reason.code, Code::DctBadChange);
    }
    let sha512 = trustctl_core::digest::Digest::of(trustctl_core::digest::DigestAlgorithm::Sha512, b"image");
    let change = Change::SignTag(SignTag::new("1.0", sha512, 100));
    assert_eq!(world.plan(&[change], &[&world.targets]).unwrap_err().code, Code::DctBadChange);
}

#[test]
fn an_upload_that_does_not_follow_on_fails_the_self_check() {
    let mut world = World::initialised();
    let targets = world.targets.clone();
    let upload = world.plan(&[sign("1.0", "image")], &[&targets]).unwrap();
    world.accept(&upload).unwrap();
    let reason = trustctl_dct::edit::verify_upload(&upload, &world.current(), now()).unwrap_err();
    assert_eq!(reason.code, Code::DctSelfCheck);
    let late = "2030-01-01T00:00:00Z".parse().unwrap();
    let before = Current::virgin(GUN);
    let first = apply(&[world.first()], &before, &held(&[&world.root, &targets]), now()).unwrap();
    assert!(trustctl_dct::edit::verify_upload(&first, &before, now()).is_ok());
    assert_eq!(trustctl_dct::edit::verify_upload(&first, &before, late).unwrap_err().code, Code::DctSelfCheck);
}

#[test]
fn a_stolen_id_does_not_make_a_key() {
    // A file by a key that is not the role's is no content of the role.
    let mut world = World::with_signers();
    let mallory = TestKey::ecdsa();
    let forged = Targets::new(9, Expiry::at("2028-01-01T00:00:00Z".parse().unwrap()));
    world.files.insert("targets/alice".to_owned(), vec![sealed(&forged, &mallory)]);
    let current = world.current();
    assert!(current.role(&role("targets/alice")).is_none());
    let upload = world.plan(&[sign("1.0", "image")], &[&world.alice]).unwrap();
    assert_eq!(version(upload.file(&role("targets/alice")).unwrap()), 10);
    assert_eq!(upload.remarks().first().unwrap().code, Code::DctBadSignature);
}
