//! Roots that follow each other, and what a refresh fetches.

use trustctl_core::reason::Code;
use trustctl_lab::tuf::{Key, KeyKind, Role};
use trustctl_sigstore::tuf::{Target, kept};

use crate::client::{Client, at, new_key, repository, rotate, trusted_root};

#[test]
fn a_refresh_keeps_the_targets_and_the_next_one_fetches_only_what_is_new() {
    let mut repository = repository();
    let mut client = Client::of(&repository);
    assert_eq!(client.refresh(&repository.files()).unwrap().len(), 7, "root, timestamp, snapshot, targets and three files");
    assert_eq!(client.uses(), Some(trusted_root(1)));
    let first = kept(&client.slot).unwrap();
    assert_eq!(first.target(Target::SigningConfigRekorV2), Some(b"{\"signing\":2}".as_slice()));
    assert_eq!((first.until, first.fetched), (at("2026-12-05T12:00:00Z"), client.now), "the first of all ends");
    assert_eq!(client.refresh(&repository.files()).unwrap(), ["2.root.json", "timestamp.json"]);
    repository.set_target(Target::TrustedRoot.name(), trusted_root(2));
    repository.release().unwrap();
    let asked = client.refresh(&repository.files()).unwrap();
    assert_eq!(asked.len(), 5, "the signing configs are the same: {asked:?}");
    assert_eq!(client.uses(), Some(trusted_root(2)));
}

#[test]
fn repositories_without_consistent_snapshots_are_read_too() {
    let mut repository = repository();
    repository.consistent = false;
    repository.publish_root(&[]).unwrap();
    repository.publish().unwrap();
    let mut client = Client::of(&repository);
    let asked = client.refresh(&repository.files()).unwrap();
    assert!(asked.contains(&"snapshot.json".to_owned()) && asked.contains(&"targets/trusted_root.json".to_owned()), "{asked:?}");
}

#[test]
fn several_rotations_are_followed_one_by_one_and_the_newest_root_is_where_the_next_refresh_begins() {
    let mut repository = repository();
    let mut client = Client::of(&repository);
    for kind in [KeyKind::Ed25519, KeyKind::Ecdsa, KeyKind::Ed25519] {
        let keys: Vec<Key> = (0..3).map(|_| Key::generate(kind).unwrap()).collect();
        let online = Key::generate(kind).unwrap();
        let rotated = repository.rotate(|repository| {
            let root = repository.role(Role::Root)?;
            (root.keys, root.threshold) = (keys, 2);
            repository.role(Role::Timestamp)?.keys = vec![online];
            Ok(())
        });
        rotated.unwrap();
    }
    // A root in between may have ended.
    repository.publish().unwrap();
    let asked = client.refresh(&repository.files()).unwrap();
    assert_eq!(asked[..4], ["2.root.json", "3.root.json", "4.root.json", "5.root.json"]);
    assert_eq!(client.root_version(), 4);
    assert_eq!(client.refresh(&repository.files()).unwrap()[0], "5.root.json");
    // Whoever pins a later root of the same chain goes on where this one is; a root that is not of it is told.
    client.pinned = repository.root(3).unwrap();
    assert!(client.refresh(&repository.files()).is_ok());
    client.pinned = crate::client::repository().root(1).unwrap();
    assert_eq!(client.code(&repository.files()), Some(Code::AnchorForeign));
}

#[test]
fn an_ended_root_counts_while_it_leads_to_another_and_not_when_it_is_the_last() {
    let mut repository = repository();
    repository.role(Role::Root).unwrap().expires = at("2026-11-01");
    repository.rotate(|_| Ok(())).unwrap();
    let ended = repository.files();
    repository.role(Role::Root).unwrap().expires = at("2027-11-01");
    repository.rotate(|_| Ok(())).unwrap();
    let mut client = Client::of(&repository);
    assert_eq!(client.code(&ended), Some(Code::AnchorExpired));
    assert_eq!((client.root_version(), client.uses()), (2, None), "the root was learnt, and nothing is used under it");
    assert_eq!(client.code(&repository.files()), None);
}

#[test]
fn a_root_must_be_signed_by_the_old_keys_and_by_its_own_and_be_the_next() {
    let other = || new_key(KeyKind::Ecdsa);
    let base = repository();

    let mut by_new_alone = base.clone();
    let root = by_new_alone.role(Role::Root).unwrap();
    (root.keys, root.version) = (other(), 2);
    by_new_alone.publish_root(&[]).unwrap();
    assert_eq!(Client::of(&base).code(&by_new_alone.files()), Some(Code::AnchorNotSigned));

    let mut by_old_alone = base.clone();
    let root = by_old_alone.role(Role::Root).unwrap();
    root.signed_by = std::mem::replace(&mut root.keys, other());
    root.version = 2;
    by_old_alone.publish_root(&[]).unwrap();
    assert_eq!(Client::of(&base).code(&by_old_alone.files()), Some(Code::AnchorNotSigned));

    let mut skipped = base.clone();
    skipped.role(Role::Root).unwrap().version = 2;
    skipped.rotate(|_| Ok(())).unwrap();
    let mut files = skipped.files();
    let third = files["3.root.json"].clone();
    files.insert("2.root.json".to_owned(), third);
    assert_eq!(Client::of(&base).code(&files), Some(Code::AnchorRotation));

    let mut both = base.clone();
    rotate(&mut both, Role::Root, other());
    assert_eq!(Client::of(&base).code(&both.files()), None);
}

/// The library counts ids of keys towards a threshold, so one key under two ids would count twice.
#[test]
fn one_key_under_two_ids_is_no_threshold() {
    let base = repository();
    let text = String::from_utf8(base.root(1).unwrap().to_vec()).unwrap();
    let mut twice: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = twice["signed"]["roles"]["timestamp"]["keyids"][0].as_str().unwrap().to_owned();
    let key = twice["signed"]["keys"][&id].clone();
    twice["signed"]["keys"]["another-name"] = key;
    twice["signed"]["roles"]["timestamp"] = serde_json::json!({"keyids": [id, "another-name"], "threshold": 2});
    let mut signer = base.clone();
    let signed = signer.sign_again(Role::Root, &twice["signed"]).unwrap();
    let mut client = Client { pinned: signed, ..Client::of(&base) };
    assert_eq!(client.code(&base.files()), Some(Code::AnchorMalformed));
}
