//! What an attacker who owns the server, or has stolen keys, tries; each beside what passes.

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::memory::Slot;
use trustctl_core::reason::Code;
use trustctl_lab::tuf::{Files, Key, KeyKind, Repository, Role};
use trustctl_sigstore::tuf::Target;

use crate::client::{Client, NOW, at, new_key, repository, rotate, trusted_root};

const ROOT: &str = "trusted_root.json";

#[test]
fn fewer_signatures_than_the_threshold_are_none() {
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
        let mut base = repository();
        let keys: Vec<Key> = (0..3).map(|_| Key::generate(KeyKind::Ed25519).unwrap()).collect();
        let state = base.role(role).unwrap();
        (state.keys, state.threshold) = (keys.clone(), 2);
        base.publish_root(&[]).unwrap();
        for (signers, expected) in [(&keys[..1], Some(Code::AnchorNotSigned)), (&keys[1..], None)] {
            base.role(role).unwrap().signed_by = signers.to_vec();
            base.publish().unwrap();
            assert_eq!(Client::of(&base).code(&base.files()), expected, "{role:?} signed by {}", signers.len());
        }
        base.role(role).unwrap().signed_by = vec![keys[0].clone(), Key::generate(KeyKind::Ecdsa).unwrap()];
        base.publish().unwrap();
        assert_eq!(Client::of(&base).code(&base.files()), Some(Code::AnchorNotSigned), "{role:?} with a stranger's");
    }
}

/// Freeze: the last good state is served for ever.
#[test]
fn metadata_that_has_ended_is_refused_and_the_last_second_counts() {
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
        let mut base = repository();
        base.role(role).unwrap().expires = at(NOW);
        base.publish().unwrap();
        let mut client = Client::of(&base);
        assert_eq!(client.code(&base.files()), None, "{role:?}");
        client.now = at("2026-11-28T12:00:01Z");
        assert_eq!(client.code(&base.files()), Some(Code::AnchorExpired), "{role:?}");
        assert_eq!(client.uses(), Some(trusted_root(1)), "what was fetched before stays");
    }
}

/// A state with three releases: the files after each, and a client that has seen the second.
fn history() -> (Repository, Vec<Files>, Client) {
    let mut repository = repository();
    let mut client = Client::of(&repository);
    let mut states = vec![repository.files()];
    for number in 2..=3 {
        repository.set_target(ROOT, trusted_root(number));
        repository.release().unwrap();
        states.push(repository.files());
    }
    client.refresh(&states[1]).unwrap();
    (repository, states, client)
}

#[test]
fn an_older_state_is_refused_whether_it_has_ended_or_not() {
    let (_, states, client) = history();
    assert_eq!(client.clone().code(&states[0]), Some(Code::AnchorRolledBack));
    for newer in &states[1..] {
        assert_eq!(client.clone().code(newer), None);
    }
}

/// What was seen counts after it has ended as well, against an older file that has not.
#[test]
fn an_older_state_that_ends_later_is_refused_by_who_saw_a_newer_one_that_has_ended() {
    let mut repository = repository();
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
        repository.role(role).unwrap().expires = at("2027-04-01");
    }
    repository.publish().unwrap();
    let long = repository.files();
    repository.role(Role::Timestamp).unwrap().expires = at("2026-12-05");
    repository.release().unwrap();
    let mut client = Client::of(&repository);
    client.refresh(&repository.files()).unwrap();
    client.now = at("2027-01-15");
    assert_eq!(client.clone().code(&long), Some(Code::AnchorRolledBack));
    assert_eq!(client.clone().code(&repository.files()), Some(Code::AnchorExpired));
    assert_eq!(Client { slot: Slot::default(), ..client }.code(&long), None);
}

/// Somebody who stole the key of the timestamp alone, or of timestamp and snapshot, mixes old and new.
#[test]
fn every_role_is_compared_with_what_was_seen() {
    for (role, lowered) in
        [(Role::Timestamp, "timestamp.json"), (Role::Snapshot, "snapshot.json"), (Role::Targets, "role:targets.json")]
    {
        let (mut repository, _, client) = history();
        for behind in [Role::Targets, Role::Snapshot, Role::Timestamp] {
            repository.role(behind).unwrap().version = if behind == role { 1 } else { 9 };
        }
        repository.publish().unwrap();
        let reason = client.clone().refresh(&repository.files()).unwrap_err();
        assert_eq!(reason.code, Code::AnchorRolledBack, "{reason}");
        assert!(reason.message.contains(lowered), "{reason}");
        repository.role(role).unwrap().version = 9;
        repository.publish().unwrap();
        assert_eq!(client.clone().code(&repository.files()), None, "{role:?}");
    }
}

#[test]
fn a_role_that_was_listed_may_not_vanish_from_the_snapshot() {
    let mut repository = repository();
    repository.listed.insert("delegated.json".to_owned(), 4);
    repository.publish().unwrap();
    let mut client = Client::of(&repository);
    client.refresh(&repository.files()).unwrap();
    let gone = repository.listed.remove("delegated.json").unwrap();
    repository.release().unwrap();
    assert_eq!(client.clone().code(&repository.files()), Some(Code::AnchorRolledBack));
    repository.listed.insert("delegated.json".to_owned(), gone + 1);
    repository.release().unwrap();
    assert_eq!(client.code(&repository.files()), None);
}

/// Users and moonshots, section 6, cases 10 and A: an online key is stolen, the root replaces it, and the files that were made with it are
/// served again, to a client whose pinned root is still the first.
#[test]
fn files_of_a_stolen_key_are_refused_after_its_rotation_though_the_first_root_is_pinned() {
    let mut repository = repository();
    let mut client = Client::of(&repository);
    let mut stolen = repository.clone();
    stolen.set_target(ROOT, trusted_root(7));
    for _ in 0..5 {
        stolen.release().unwrap();
    }
    let rotated = repository.rotate(|repository| {
        repository.role(Role::Timestamp)?.keys = vec![Key::generate(KeyKind::Ed25519)?];
        repository.role(Role::Snapshot)?.keys = vec![Key::generate(KeyKind::Ed25519)?];
        Ok(())
    });
    rotated.unwrap();
    repository.release().unwrap();
    client.refresh(&repository.files()).unwrap();
    // The server says that there is no second root; to a client that has seen it, that is no matter.
    assert_eq!(client.code(&stolen.files()), Some(Code::AnchorNotSigned));
    assert_eq!(client.uses(), Some(trusted_root(1)));
    // Whoever has seen nothing cannot know: said in the decision record.
    assert_eq!(Client::of(&stolen).code(&stolen.files()), None);
}

/// Case B2: after a rotation, an older release under the same online keys.
#[test]
fn a_plain_rollback_after_a_rotation_is_refused() {
    let (mut repository, _, mut client) = history();
    rotate(&mut repository, Role::Root, new_key(KeyKind::Ecdsa));
    let before = repository.files();
    repository.release().unwrap();
    client.refresh(&repository.files()).unwrap();
    assert_eq!(client.code(&before), Some(Code::AnchorRolledBack));
    assert_eq!(client.code(&repository.files()), None);
}

/// A stolen key can name the highest version there is. Only a root that replaces the key lets versions begin anew (5.3.11).
#[test]
fn versions_begin_anew_under_new_keys_and_only_then() {
    let mut repository = repository();
    let mut forward = repository.clone();
    forward.role(Role::Timestamp).unwrap().version = 1 << 52;
    forward.publish().unwrap();
    let mut client = Client::of(&repository);
    client.refresh(&forward.files()).unwrap();
    repository.release().unwrap();
    assert_eq!(client.code(&repository.files()), Some(Code::AnchorRolledBack));
    rotate(&mut repository, Role::Timestamp, new_key(KeyKind::Ed25519));
    repository.release().unwrap();
    assert_eq!(client.code(&repository.files()), None);
    assert_eq!(client.refresh(&repository.files()).unwrap(), ["3.root.json", "timestamp.json"]);
}

#[test]
fn targets_must_have_the_length_and_digest_that_were_signed() {
    let base = repository();
    let text = trusted_root(1);
    let digest = Digest::sha256_of(text.as_bytes()).hex();
    let path = format!("targets/{digest}.{ROOT}");
    let mut altered = base.files();
    altered.insert(path.clone(), text.replacen("rekor", "rekkr", 1).into());
    assert_eq!(Client::of(&base).code(&altered), Some(Code::AnchorHashMismatch));
    altered.insert(path.clone(), text[..text.len() - 1].to_owned().into());
    assert_eq!(Client::of(&base).code(&altered), Some(Code::AnchorHashMismatch));
    altered.insert(path, text.clone().into());
    assert_eq!(Client::of(&base).code(&altered), None);
    for (lie, expected) in [
        (json!({"length": text.len() + 1, "hashes": {"sha256": digest}}), Code::AnchorHashMismatch),
        (json!({"length": text.len(), "hashes": {"sha256": "0".repeat(64)}}), Code::AnchorFileMissing),
        (json!({"length": text.len(), "hashes": {"sha512": "0".repeat(128)}}), Code::AnchorHashMismatch),
        (json!({"length": 2_000_000, "hashes": {"sha256": digest}}), Code::TooLarge),
        (json!({"length": 1_u64 << 53, "hashes": {"sha256": digest}}), Code::TooLarge),
    ] {
        let mut lying = base.clone();
        lying.lie_about(ROOT, lie.clone());
        lying.release().unwrap();
        assert_eq!(Client::of(&base).code(&lying.files()), Some(expected), "{lie}");
    }
}

/// GHSA-fcv2-xgw5-pqxf: names and digests that somebody else chose must not become paths.
#[test]
fn no_name_or_digest_from_a_repository_becomes_a_path() {
    let mut base = repository();
    let text = trusted_root(1);
    base.set_target("../../../etc/cron.d/x", "* * * * * root id");
    base.release().unwrap();
    let mut client = Client::of(&base);
    let asked = client.refresh(&base.files()).unwrap();
    assert!(asked.iter().all(|path| !path.contains("..") && !path.contains("cron")), "{asked:?}");
    assert!(client.slot.documents.keys().all(|name| !name.contains("..")), "what nobody asked for is not kept");
    for digest in ["../../../etc/passwd", "", "zz", &format!("..%2f{}", "a".repeat(59)), &"é".repeat(32)] {
        base.lie_about(ROOT, json!({"length": text.len(), "hashes": {"sha256": digest}}));
        base.release().unwrap();
        let reason = Client::of(&base).refresh(&base.files()).unwrap_err();
        assert_eq!(reason.code, Code::AnchorHashMismatch, "{digest}: {reason}");
    }
}

/// What others than the instance's own keys sign says nothing about what trust begins with; delegations beside it do no harm.
#[test]
fn a_delegated_trusted_root_is_no_trusted_root_and_delegations_for_other_files_are_passed_over() {
    let mut base = repository();
    let key = Key::generate(KeyKind::Ed25519).unwrap();
    let delegations = json!({
        "keys": {key.id(): key.public()},
        "roles": [{"name": "registry.npmjs.org", "keyids": [key.id()], "threshold": 1, "terminating": true, "paths": ["*"]}],
    });
    base.listed.insert("registry.npmjs.org.json".to_owned(), 1);
    base.release().unwrap();
    let whole: Value = serde_json::from_slice(&base.files()["2.targets.json"]).unwrap();
    let mut signed = whole["signed"].clone();
    signed["delegations"] = delegations;
    let served = |base: &mut Repository, signed: &Value| {
        let mut files = base.files();
        files.insert("2.targets.json".to_owned(), base.sign_again(Role::Targets, signed).unwrap());
        files
    };
    let files = served(&mut base, &signed);
    let mut client = Client::of(&base);
    let asked = client.refresh(&files).unwrap();
    assert!(client.uses().is_some() && asked.iter().all(|path| !path.contains("npmjs")), "{asked:?}");

    signed["targets"].as_object_mut().unwrap().remove(ROOT);
    let files = served(&mut base, &signed);
    let reason = Client::of(&base).refresh(&files).unwrap_err();
    assert_eq!(reason.code, Code::AnchorFileMissing);
    assert!(reason.message.contains("registry.npmjs.org"), "{reason}");
}

#[test]
fn files_that_are_missing_or_no_metadata_have_their_reasons() {
    let base = repository();
    let paths = Client::of(&base).refresh(&base.files()).unwrap();
    for path in &paths[1..] {
        let mut files = base.files();
        files.remove(path);
        assert_eq!(Client::of(&base).code(&files), Some(Code::AnchorFileMissing), "{path}");
    }
    let targets = Digest::sha256_of(&base.files()["1.targets.json"]).hex();
    assert_eq!(targets.len(), 64);
    for path in ["2.root.json", "timestamp.json"] {
        let timestamp = base.files()["1.snapshot.json"].clone();
        for bytes in ["".into(), "<html>".into(), "{}".into(), "[".repeat(100_000).into(), timestamp] {
            let mut files = base.files();
            files.insert(path.to_owned(), bytes);
            assert_eq!(Client::of(&base).code(&files), Some(Code::AnchorMalformed), "{path}");
        }
    }
    let mut without = Repository::create([("other.json".to_owned(), "{}".into())].into(), at(NOW)).unwrap();
    assert_eq!(Client::of(&without).code(&without.files()), Some(Code::AnchorFileMissing), "it signs no trusted root");
    without.set_target(ROOT, "{\"mediaType\":\"application/json\"}");
    without.release().unwrap();
    let mut client = Client::of(&without);
    assert_eq!(client.code(&without.files()), Some(Code::AnchorUnusable), "it signs something else under that name");
    without.set_target(ROOT, trusted_root(1));
    without.release().unwrap();
    assert_eq!(client.code(&without.files()), None);
    assert_eq!(client.slot.documents.keys().filter(|name| name.starts_with(Target::SigningConfig.name())).count(), 0);
}

#[test]
fn more_roots_than_decades_bring_are_not_followed() {
    let mut repository = repository();
    for _ in 0..=trustctl_sigstore::tuf::MAX_ROOTS {
        repository.rotate(|_| Ok(())).unwrap();
    }
    repository.publish().unwrap();
    let mut client = Client::of(&repository);
    assert_eq!(client.code(&repository.files()), Some(Code::OutOfBudget));
    assert_eq!(client.code(&repository.files()), None, "what was followed is remembered, so that a second run arrives");
    assert_ne!(client.slot, Slot::default());
}
