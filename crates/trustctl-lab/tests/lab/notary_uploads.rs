//! Every rule by which the Notary server judges uploads: one upload that passes because of it, one that fails.

use std::collections::BTreeMap;

use trustctl_dct::canonical_json::Value;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::targets::Targets;
use trustctl_dct::metadata::timestamp::Timestamp;
use trustctl_dct::metadata::{Document, Expiry, FileMeta};
use trustctl_dct::role::RoleName;
use trustctl_lab::notary::{KeyAlgorithm, NotaryOptions};

use crate::owner::{END, GUN, OwnKey, Owner, accepted, own, refused, server_key, sign, snapshot, upload, url};
use crate::support::Ask;

const PAST: &str = "2026-11-22T23:59:59Z";

fn expiry(text: &str) -> Expiry {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_server_signs_snapshot_and_timestamp_of_a_first_upload() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::Ecdsa] {
        let owner = Owner::with(NotaryOptions { algorithm, ..NotaryOptions::default() }, None).await;
        accepted(&owner.publish().await);
        let files = owner.notary.files(GUN);
        let (snapshot_role, timestamp_role) = (RoleName::snapshot(), RoleName::timestamp());
        let envelope = |role| Envelope::parse(&files[role]).unwrap();
        envelope(&snapshot_role).verify(&owner.root.snapshot, &owner.root.keys).unwrap();
        envelope(&timestamp_role).verify(&owner.root.timestamp, &owner.root.keys).unwrap();
        let made: Snapshot = owner.stored(&snapshot_role);
        assert_eq!((made.version, &made.root), (1, &FileMeta::of(&files[&RoleName::root()])));
        assert_eq!(made.targets, FileMeta::of(&files[&RoleName::targets()]));
        let stamp: Timestamp = owner.stored(&timestamp_role);
        assert_eq!((stamp.version, stamp.snapshot), (1, FileMeta::of(&files[&snapshot_role])));
        assert_eq!(
            (stamp.expires.to_string(), made.expires.to_string()),
            ("2026-12-07T00:00:00Z".into(), "2029-11-22T00:00:00Z".into())
        );
    }
}

#[tokio::test]
async fn a_first_root_has_version_one_or_two() {
    for (version, fine) in [(1, true), (2, true), (3, false)] {
        let mut owner = Owner::new().await;
        owner.root.version = version;
        let answer = owner.publish().await;
        if fine { accepted(&answer) } else { refused(&answer, "ErrBadRoot") }
    }
}

#[tokio::test]
async fn without_any_root_nothing_is_accepted() {
    let owner = Owner::new().await;
    refused(&owner.upload(vec![("targets", owner.signed_targets())]).await, "ErrValidation");
    refused(&owner.upload(vec![]).await, "ErrValidation");
    refused(&owner.upload(vec![("root", owner.signed_root())]).await, "ErrValidation");
    accepted(&owner.publish().await);
    accepted(&owner.upload(vec![]).await);
    assert_eq!(
        owner.stored::<Timestamp>(&RoleName::timestamp()).version,
        2,
        "even an empty upload gets a new snapshot and timestamp"
    );
}

#[tokio::test]
async fn a_root_follows_its_predecessor_by_one() {
    let mut owner = Owner::published().await;
    owner.root.version = 3;
    refused(&owner.upload(vec![("root", owner.signed_root())]).await, "ErrBadRoot");
    owner.root.version = 1;
    let same = owner.upload(vec![("root", owner.signed_root())]).await;
    assert_eq!((same.status, same.code().as_str()), (400, "VERSION"));
    owner.root.version = 2;
    accepted(&owner.upload(vec![("root", owner.signed_root())]).await);
    assert_eq!(owner.stored::<Snapshot>(&RoleName::snapshot()).version, 2);
}

#[tokio::test]
async fn a_new_root_key_is_signed_in_by_the_old_one() {
    let mut owner = Owner::published().await;
    let new_key = OwnKey::certified(GUN);
    owner.root.root = own(&mut owner.root.keys, &new_key.key);
    owner.root.version = 2;
    refused(&owner.upload(vec![("root", sign(&owner.root, &[&new_key]))]).await, "ErrBadRoot");
    refused(&owner.upload(vec![("root", sign(&owner.root, &[&owner.root_key]))]).await, "ErrBadRoot");
    accepted(&owner.upload(vec![("root", sign(&owner.root, &[&owner.root_key, &new_key]))]).await);
}

#[tokio::test]
async fn a_root_key_comes_in_a_current_certificate_for_the_collection() {
    let keys = [
        (OwnKey::certified(GUN), true),
        (OwnKey::certified("localhost:5000/demo*"), true),
        (OwnKey::certified("localhost:5000/other"), false),
        (OwnKey::certified_until(GUN, 2026), false),
        (OwnKey::bare(), false),
    ];
    for (key, fine) in keys {
        let mut owner = Owner::new().await;
        owner.root.root = own(&mut owner.root.keys, &key.key);
        owner.root_key = key;
        let answer = owner.publish().await;
        if fine { accepted(&answer) } else { refused(&answer, "ErrBadRoot") }
    }
}

#[tokio::test]
async fn an_expired_root_is_refused_when_uploaded_and_used_when_stored() {
    let mut owner = Owner::new().await;
    owner.root.expires = expiry(PAST);
    refused(&owner.publish().await, "ErrBadRoot");
    owner.root.expires = expiry("2026-11-24T00:00:00Z");
    accepted(&owner.publish().await);
    owner.add_tag("1.0");
    // Later the root has ended; an upload without a root goes on.
    let later = "2026-11-25T00:00:00Z".parse().unwrap();
    owner.clock.set(later);
    accepted(&owner.upload(vec![("targets", owner.signed_targets())]).await);
}

#[tokio::test]
async fn targets_are_signed_by_the_key_that_the_root_names() {
    let mut owner = Owner::published().await;
    owner.add_tag("1.0");
    refused(&owner.upload(vec![("targets", sign(&owner.targets, &[&owner.root_key]))]).await, "ErrBadTargets");
    refused(&owner.upload(vec![("targets", sign(&owner.targets, &[]))]).await, "ErrBadTargets");
    accepted(&owner.upload(vec![("targets", owner.signed_targets())]).await);
    assert_eq!(owner.stored::<Targets>(&RoleName::targets()).targets.len(), 1);
}

#[tokio::test]
async fn targets_are_neither_old_nor_expired() {
    let mut owner = Owner::published().await;
    let again = owner.upload(vec![("targets", owner.signed_targets())]).await;
    assert_eq!((again.status, again.code().as_str()), (400, "VERSION"));
    owner.add_tag("1.0");
    owner.targets.expires = expiry(PAST);
    refused(&owner.upload(vec![("targets", owner.signed_targets())]).await, "ErrBadTargets");
    owner.targets.expires = expiry(END);
    accepted(&owner.upload(vec![("targets", owner.signed_targets())]).await);
}

#[tokio::test]
async fn a_delegation_needs_a_parent_that_names_it_and_its_key() {
    let mut owner = Owner::published().await;
    let (alice, mallory) = (OwnKey::bare(), OwnKey::bare());
    let releases = Targets::new(1, expiry(END));
    let role = "targets/releases";
    refused(&owner.upload(vec![(role, sign(&releases, &[&alice]))]).await, "ErrBadTargets");
    owner.delegate(role, &alice);
    let both = |releases| vec![("targets", owner.signed_targets()), (role, releases)];
    refused(&owner.upload(both(sign(&releases, &[&mallory]))).await, "ErrBadTargets");
    accepted(&owner.upload(both(sign(&releases, &[&alice]))).await);
    let made: Snapshot = owner.stored(&RoleName::snapshot());
    assert!(made.delegations.contains_key(&RoleName::releases()));
    // Alone, too: its parent is loaded from the store.
    let next = Targets::new(2, expiry(END));
    accepted(&owner.upload(vec![(role, sign(&next, &[&alice]))]).await);
    let deeper = vec![("targets/releases/deep", sign(&releases, &[&alice]))];
    refused(&owner.upload(deeper).await, "ErrBadTargets");
}

#[tokio::test]
async fn a_snapshot_is_uploaded_unless_the_server_holds_its_key() {
    let mut owner = Owner::with_own_snapshot().await;
    let (root, targets) = (owner.signed_root(), owner.signed_targets());
    refused(&owner.upload(vec![("root", root.clone()), ("targets", targets.clone())]).await, "ErrBadHierarchy");
    accepted(&owner.publish().await);
    owner.add_tag("1.0");
    refused(&owner.upload(vec![("targets", owner.signed_targets())]).await, "ErrBadHierarchy");
    assert_eq!(owner.stored::<Targets>(&RoleName::targets()).version, 1, "nothing of a refused upload is stored");
}

#[tokio::test]
async fn an_uploaded_snapshot_fits_what_comes_with_it() {
    let mut owner = Owner::with_own_snapshot().await;
    accepted(&owner.publish().await);
    let root = owner.notary.files(GUN)[&RoleName::root()].clone();
    let old = owner.notary.files(GUN)[&RoleName::targets()].clone();
    owner.add_tag("1.0");
    let targets = owner.signed_targets();
    let key = owner.snapshot_key.as_ref().unwrap();
    let with = |snapshot| owner.upload(vec![("targets", targets.clone()), ("snapshot", snapshot)]);
    refused(&with(sign(&snapshot(2, &root, &old), &[key])).await, "ErrBadSnapshot");
    refused(&with(sign(&snapshot(2, &old, &targets), &[key])).await, "ErrBadSnapshot");
    refused(&with(sign(&snapshot(2, &root, &targets), &[&owner.targets_key])).await, "ErrBadSnapshot");
    let ended = Snapshot { expires: expiry(PAST), ..snapshot(2, &root, &targets) };
    refused(&with(sign(&ended, &[key])).await, "ErrBadSnapshot");
    let repeated = with(sign(&snapshot(1, &root, &targets), &[key])).await;
    assert_eq!(repeated.code(), "VERSION");
    accepted(&with(sign(&snapshot(2, &root, &targets), &[key])).await);
}

#[tokio::test]
async fn a_timestamp_from_outside_is_ignored() {
    let owner = Owner::new().await;
    let forged = Timestamp { version: 77, expires: expiry(END), snapshot: FileMeta::of(b"evil") };
    let files = vec![
        ("root", owner.signed_root()),
        ("targets", owner.signed_targets()),
        ("timestamp", sign(&forged, &[&owner.targets_key])),
    ];
    accepted(&owner.upload(files).await);
    assert_eq!(owner.stored::<Timestamp>(&RoleName::timestamp()).version, 1);
}

#[tokio::test]
async fn the_root_names_the_servers_timestamp_key() {
    let mut owner = Owner::new().await;
    let server = owner.root.timestamp.clone();
    let foreign = OwnKey::bare();
    owner.root.timestamp = own(&mut owner.root.keys, &foreign.key);
    refused(&owner.publish().await, "ErrBadRoot");
    owner.root.timestamp = server;
    accepted(&owner.publish().await);
}

#[tokio::test]
async fn a_rotated_server_key_signs_once_a_root_names_it() {
    let mut owner = Owner::published().await;
    let in_use = server_key(&owner.notary, "GET", "timestamp").await;
    assert!(owner.root.timestamp.key_ids.contains(in_use.id()));
    let pending = server_key(&owner.notary, "POST", "timestamp").await;
    assert_ne!(pending, in_use);
    assert_eq!(server_key(&owner.notary, "POST", "timestamp").await, pending, "pending until it is used");
    assert_eq!(server_key(&owner.notary, "GET", "timestamp").await, in_use);
    owner.root.timestamp = own(&mut owner.root.keys, &pending);
    owner.root.version = 2;
    accepted(&owner.upload(vec![("root", owner.signed_root())]).await);
    let stamp = Envelope::parse(&owner.notary.files(GUN)[&RoleName::timestamp()]).unwrap();
    stamp.verify(&owner.root.timestamp, &BTreeMap::from([(pending.id().clone(), pending.clone())])).unwrap();
    assert_eq!(server_key(&owner.notary, "GET", "timestamp").await, pending);
}

#[tokio::test]
async fn uploads_that_are_not_files_of_roles_are_refused() {
    let owner = Owner::published().await;
    let code = |ask: Ask| async { ask.send().await.code() };
    let one = |role: &str, content: &'static str| upload(&owner.notary, &[(role, content.into())]);
    assert_eq!(code(Ask::new("POST", url(&owner.notary, "")).body("{}")).await, "MALFORMED_UPLOAD");
    assert_eq!(code(one("", "{}")).await, "NO_FILENAME");
    assert_eq!(code(one("Targets", "{}")).await, "INVALID_ROLE");
    for content in ["", "{", "[]", "{}", r#"{"signed":{"version":"1"}}"#, r#"{"signed":{"version":-1}}"#] {
        assert_eq!(code(one("targets.json", content)).await, "MALFORMED_JSON", "{content}");
    }
    refused(&one("targets", r#"{"signed":{},"signatures":[]}"#).send().await, "ErrBadTargets");
}

#[tokio::test]
async fn the_server_hashes_files_as_notary_would_write_them() {
    let mut owner = Owner::published().await;
    owner.add_tag("1.0");
    // The same content and valid signatures, but with white space: accepted, and then no client can use it.
    let tidy = owner.signed_targets();
    let mut spaced = b" ".to_vec();
    spaced.extend_from_slice(&tidy);
    accepted(&owner.upload(vec![("targets", spaced.into())]).await);
    let made: Snapshot = owner.stored(&RoleName::snapshot());
    let served = &owner.notary.files(GUN)[&RoleName::targets()];
    assert!(made.targets.check(served).is_err());
    assert!(made.targets.check(&tidy).is_ok());
}

#[tokio::test]
async fn members_that_nobody_knows_are_signed_and_kept() {
    let owner = Owner::new().await;
    let Value::Object(mut signed) = owner.root.to_signed() else { panic!("an object") };
    signed.insert("spec_version".to_owned(), "1.0".into());
    let holder = trustctl_dct::metadata::envelope::KeyHolder { key: &owner.root_key.key, signer: &owner.root_key };
    let root = Envelope::sign(&Value::Object(signed), &[holder]).unwrap();
    accepted(&owner.upload(vec![("root", root.clone().into()), ("targets", owner.signed_targets())]).await);
    assert_eq!(owner.notary.files(GUN)[&RoleName::root()], root);
    assert_eq!(owner.stored::<Root>(&RoleName::root()), owner.root);
}
