//! Other keys for the top-level roles, and snapshots signed here.

use trustctl_core::reason::Code;
use trustctl_core::signer::Signer as _;
use trustctl_dct::edit::{Change, Effect};
use trustctl_dct::key::Key;
use trustctl_dct::metadata::Document as _;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;

use crate::keys::TestKey;
use crate::world::{GUN, World, bare, role, sign, version};

fn rotate(name: &str, keys: Vec<Key>) -> Change {
    Change::RotateKey { role: role(name), keys }
}

fn certified(key: &TestKey) -> Key {
    Key::from_certificates(key.certificate(GUN).as_bytes()).unwrap()
}

#[test]
fn readers_follow_a_chain_of_root_rotations() {
    let mut world = World::with_signers();
    let (alice, mut holder) = (world.alice.clone(), world.root.clone());
    world.publish(&[sign("1.0", "image")], &[&alice]);
    assert_eq!(world.signed_by("1.0", "image").len(), 2);
    let first = world.newest_root().root.key_ids[0].clone();
    for number in 2..=4 {
        let next = std::sync::Arc::new(if number == 3 { TestKey::rsa() } else { TestKey::ecdsa() });
        let change = rotate("root", vec![certified(&next)]);
        for lonely in [&holder, &next] {
            let reason = world.plan(std::slice::from_ref(&change), &[lonely]).unwrap_err();
            assert_eq!(reason.code, Code::DctKeyNeeded, "root needs the old and the new key");
        }
        world.publish(&[change], &[&holder, &next]);
        assert_eq!(version(world.newest("root")), number);
        holder = next;
    }
    let root = world.newest_root();
    assert_eq!(root.root.key_ids.len(), 1);
    assert!(root.keys.contains_key(&first), "former certificates stay listed");
    // This reader remembers root 1 and walks through 2 and 3.
    assert_eq!(world.signed_by("1.0", "image").len(), 2);
    let old = world.root.clone();
    let reason = world.plan(&[rotate("targets", vec![bare(&TestKey::ecdsa())])], &[&old]).unwrap_err();
    assert_eq!(reason.code, Code::DctKeyNeeded);
}

#[test]
fn a_new_targets_key_signs_targets_again() {
    let mut world = World::with_signers();
    let (root, old, new) = (world.root.clone(), world.targets.clone(), TestKey::ecdsa());
    let change = rotate("targets", vec![bare(&new)]);
    let reason = world.plan(std::slice::from_ref(&change), &[&root]).unwrap_err();
    assert_eq!(reason.code, Code::DctKeyNeeded);
    let upload = world.publish(&[change], &[&root, &new]);
    let names: Vec<&str> = upload.files().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["root", "targets"]);
    assert_eq!(upload.effects(), [Effect::KeysRotated { role: role("targets"), keys: vec![bare(&new).id().clone()] }]);
    assert!(!world.newest_root().keys.contains_key(bare(&old).id()));
    let carol = world.add_signer("carol", &TestKey::ecdsa());
    assert_eq!(world.plan(std::slice::from_ref(&carol), &[&old]).unwrap_err().code, Code::DctKeyNeeded);
    world.publish(&[carol], &[&new]);
}

#[test]
fn the_snapshot_is_signed_here_once_its_key_is_here() {
    let mut world = World::with_signers();
    let (root, alice, local) = (world.root.clone(), world.alice.clone(), TestKey::ecdsa());
    world.publish(&[sign("1.0", "image")], &[&alice]);
    let before = version(world.newest("snapshot"));
    let upload = world.publish(&[rotate("snapshot", vec![bare(&local)])], &[&root, &local]);
    assert!(!upload.leaves_snapshot_to_server());
    assert_eq!(version(upload.file(&role("snapshot")).unwrap()), before + 1);
    world.publish(&[sign("2.0", "image")], &[&alice, &local]);
    assert_eq!(world.signed_by("1.0", "image"), ["targets/releases", "targets/alice"]);
    assert_eq!(world.signed_by("2.0", "image"), ["targets/releases", "targets/alice"]);
    let envelope = Envelope::parse(world.newest("snapshot")).unwrap();
    let names: Vec<String> =
        Snapshot::from_signed(envelope.signed()).unwrap().delegations.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["targets/alice", "targets/releases"]);
    assert!(world.plan(&[sign("3.0", "image")], &[&alice]).unwrap().leaves_snapshot_to_server());
    let reason = world.current().snapshot_key_needed();
    assert_eq!(reason.expected, Some(format!("one of {}", bare(&local).id())));
    let back = rotate("snapshot", vec![bare(&world.server_snapshot)]);
    let upload = world.publish(&[back], &[&root]);
    assert!(upload.leaves_snapshot_to_server());
    assert_eq!(world.signed_by("2.0", "image"), ["targets/releases", "targets/alice"]);
}

#[test]
fn a_new_timestamp_key_changes_the_root_alone() {
    let mut world = World::with_signers();
    let (root, alice) = (world.root.clone(), world.alice.clone());
    world.publish(&[sign("1.0", "image")], &[&alice]);
    let new = std::sync::Arc::new(TestKey::ed25519());
    world.server_timestamp = new.clone();
    let upload = world.publish(&[rotate("timestamp", vec![bare(&new)])], &[&root]);
    assert_eq!(upload.files().len(), 1);
    assert_eq!(world.signed_by("1.0", "image").len(), 2);
}

#[test]
fn rotations_that_make_no_sense_are_refused() {
    let world = World::with_signers();
    let key = TestKey::ecdsa();
    let plan = |change: Change| world.plan(&[change], &[&world.root, &world.targets, &key]).unwrap_err().code;
    assert_eq!(plan(rotate("targets/alice", vec![bare(&key)])), Code::DctBadChange);
    assert_eq!(plan(rotate("targets", vec![])), Code::DctBadChange);
    assert_eq!(plan(rotate("root", vec![bare(&key)])), Code::DctRootCertificate);
    let elsewhere = Key::from_certificates(key.certificate("localhost:5000/other").as_bytes()).unwrap();
    assert_eq!(plan(rotate("root", vec![elsewhere])), Code::DctRootCertificate);
    assert_eq!(plan(Change::Witness { role: role("timestamp") }), Code::DctBadChange);
}

#[test]
fn a_rotated_root_is_signed_by_both_keys() {
    let mut world = World::initialised();
    let (old, new) = (world.root.clone(), TestKey::ecdsa());
    let before = world.newest_root();
    world.publish(&[rotate("root", vec![certified(&new)])], &[&old, &new]);
    let envelope = Envelope::parse(world.newest("root")).unwrap();
    assert_eq!(envelope.signatures().len(), 2);
    let after = Root::from_signed(envelope.signed()).unwrap();
    assert!(envelope.verify(&before.root, &before.keys).is_ok());
    assert!(envelope.verify(&after.root, &after.keys).is_ok());
    assert_eq!(after.keys[&after.root.key_ids[0]].public_key().unwrap(), *new.public_key());
}

#[test]
fn witnessing_and_renewing_extend_end_dates_only() {
    let mut world = World::with_signers();
    let (root, targets, alice) = (world.root.clone(), world.targets.clone(), world.alice.clone());
    world.publish(&[sign("1.0", "image")], &[&alice]);
    let upload = world.plan(&[Change::Witness { role: role("targets") }], &[&targets]).unwrap();
    assert_eq!(upload.effects(), [Effect::Renewed { role: role("targets") }]);
    world.accept(&upload).unwrap();
    let renew = |before: &str| Change::Renew { expiring_before: before.parse().unwrap() };
    assert!(world.plan(&[renew("2029-01-01T00:00:00Z")], &[&root, &targets, &alice]).unwrap().is_empty());
    let upload = world.plan(&[renew("2031-01-01T00:00:00Z")], &[&alice]).unwrap();
    let names: Vec<&str> = upload.files().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["targets/alice", "targets/releases"]);
    assert_eq!(upload.left().iter().map(|reason| reason.code).collect::<Vec<_>>(), [Code::DctKeyNeeded]);
    let upload = world.plan(&[renew("2040-01-01T00:00:00Z")], &[&root, &targets, &alice]).unwrap();
    assert_eq!(upload.files().len(), 4);
    world.accept(&upload).unwrap();
    assert_eq!(world.signed_by("1.0", "image").len(), 2);
}
