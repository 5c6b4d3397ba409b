//! Keys made by notary, docker and cosign, kept outside the repository: set `TRUSTCTL_EXTERNAL_TESTDATA` to the folder that holds `dct/` and `sigstore/`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use trustctl_core::public_key::{Hash, KeyKind, PublicKey, SignatureScheme};
use trustctl_core::signer::Signer;
use trustctl_keys::error::KeyError;
use trustctl_keys::format::{Export, Format, NotaryLabels, SealedKey};
use trustctl_keys::notary_id::canonical_id;
use trustctl_keys::passphrase::{NoPrompt, Passphrases};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;
use trustctl_keys::store::{Places, Store, StoredKey, TrustDirectory};

fn testdata(area: &str) -> Option<PathBuf> {
    match std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") {
        Some(folder) => Some(Path::new(&folder).join(area)),
        None => {
            eprintln!("SKIPPED external keys: TRUSTCTL_EXTERNAL_TESTDATA is not set");
            None
        }
    }
}

/// The variables that a user of notary or docker would have set, by the README of the data.
fn variables(set: &str) -> impl Fn(&str) -> Option<String> {
    let values: &[(&str, &str)] = match set {
        "docker" => &[
            ("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "rootpass1234"),
            ("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "repopass1234"),
        ],
        "notary" => &[
            ("NOTARY_ROOT_PASSPHRASE", "rootpass1234"),
            ("NOTARY_TARGETS_PASSPHRASE", "targetspass1234"),
            ("NOTARY_SNAPSHOT_PASSPHRASE", "snapshotpass1234"),
            ("NOTARY_DELEGATION_PASSPHRASE", "delegpass1234"),
        ],
        "notary0.1" => &[
            ("NOTARY_ROOT_PASSPHRASE", "randompass"),
            ("NOTARY_TARGETS_PASSPHRASE", "randompass"),
            ("NOTARY_SNAPSHOT_PASSPHRASE", "randompass"),
        ],
        "notary0.3" => &[
            ("NOTARY_ROOT_PASSPHRASE", "password"),
            ("NOTARY_TARGETS_PASSPHRASE", "password"),
            ("NOTARY_SNAPSHOT_PASSPHRASE", "password"),
            ("NOTARY_DELEGATION_PASSPHRASE", "password"),
        ],
        "none" => &[],
        _ => &[
            ("NOTARY_ROOT_PASSPHRASE", "not this one"),
            ("NOTARY_TARGETS_PASSPHRASE", "not this one"),
            ("NOTARY_SNAPSHOT_PASSPHRASE", "not this one"),
            ("NOTARY_DELEGATION_PASSPHRASE", "not this one"),
        ],
    };
    move |name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

fn open(places: &Places<'_>, key: &StoredKey, set: &str) -> Result<PrivateKey, KeyError> {
    let environment = variables(set);
    places.open(key, &Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt })
}

fn signs(key: &PrivateKey) {
    let scheme = match key.kind() {
        KeyKind::Rsa => SignatureScheme::RsaPss(Hash::Sha256),
        _ => SignatureScheme::EcdsaFixed(Hash::Sha256),
    };
    let signature = key.sign(scheme, b"{}").unwrap();
    key.public_key().verify(scheme, b"{}", &signature).unwrap();
}

#[test]
fn trust_directories_of_every_generation_are_usable_as_they_are() {
    let Some(data) = testdata("dct") else { return };
    let mut opened = 0;
    for (folder, set, count) in [
        ("client-dirs/notary-cli-after-root-rotation", "notary", 5),
        ("client-dirs/docker-28.2.2/trust", "docker", 13),
        ("client-dirs/with-changelist", "notary", 3),
        ("legacy/notary0.1", "notary0.1", 3),
        ("legacy/notary0.3", "notary0.3", 4),
        ("repo-rsa-root", "notary", 3),
    ] {
        let places =
            Places { store: Store::at("/nonexistent"), trust: vec![TrustDirectory::notary(data.join(folder))], keyring: None };
        let listing = places.list().unwrap();
        assert!(listing.problems.is_empty(), "{folder}: {:?}", listing.problems);
        assert_eq!(listing.keys.len(), count, "{folder}");
        for stored in &listing.keys {
            assert!(stored.encrypted && stored.labels.role().is_some() && stored.notary_id.is_some(), "{stored:?}");
            let key = open(&places, stored, set).unwrap_or_else(|error| panic!("{folder} {}: {error}", stored.name));
            assert_eq!(Some(canonical_id(key.public_key())), stored.notary_id, "{folder}");
            signs(&key);
            assert!(matches!(open(&places, stored, "wrong"), Err(KeyError::WrongPassphrase { .. })), "{}", stored.name);
            match open(&places, stored, "none") {
                Err(KeyError::PassphraseNeeded { variables, .. }) => assert!(variables[0].starts_with("DOCKER_CONTENT_TRUST_")),
                _ => panic!("{} opened without a passphrase", stored.name),
            }
            // Seven digits find it again.
            assert_eq!(places.find(&stored.name[..7]).unwrap().name, stored.name);
            opened += 1;
        }
    }
    assert_eq!(opened, 31);
}

#[test]
fn role_and_gun_of_old_layouts_come_from_the_path() {
    let Some(data) = testdata("dct") else { return };
    let roles = |folder: &str| {
        let listing = TrustDirectory::notary(data.join(folder)).list().unwrap();
        let mut roles: Vec<_> =
            listing.keys.iter().map(|key| (key.labels.role().unwrap().to_owned(), key.labels.gun().map(str::to_owned))).collect();
        roles.sort();
        roles
    };
    let gun = Some("docker.com/notary0.1/samplerepo".to_owned());
    assert_eq!(
        roles("legacy/notary0.1"),
        [("root".to_owned(), None), ("snapshot".to_owned(), gun.clone()), ("targets".to_owned(), gun)]
    );
    let gun = Some("docker.com/notary0.3/tst".to_owned());
    assert_eq!(
        roles("legacy/notary0.3"),
        [
            ("root".to_owned(), None),
            ("snapshot".to_owned(), gun.clone()),
            ("targets".to_owned(), gun),
            ("targets/releases".to_owned(), None)
        ]
    );
}

#[test]
fn an_rsa_root_key_is_of_its_kind() {
    let Some(data) = testdata("dct") else { return };
    let places = Places {
        store: Store::at("/nonexistent"),
        trust: vec![TrustDirectory::notary(data.join("repo-rsa-root"))],
        keyring: None,
    };
    let stored = places.find("593304943276aaad").unwrap();
    assert_eq!(stored.labels.role(), Some("root"));
    assert_eq!(open(&places, &stored, "notary").unwrap().kind(), KeyKind::Rsa);
}

#[test]
fn a_concatenated_export_is_read_whole() {
    let Some(data) = testdata("dct") else { return };
    let keys = SealedKey::parse_all(&std::fs::read(data.join("notary-key-export.pem")).unwrap()).unwrap();
    assert!(keys.len() > 2);
    let environment = variables("notary");
    for sealed in &keys {
        let passphrase = match sealed.labels().role() {
            Some("root") => environment("NOTARY_ROOT_PASSPHRASE"),
            Some("targets") => environment("NOTARY_TARGETS_PASSPHRASE"),
            Some("snapshot") => environment("NOTARY_SNAPSHOT_PASSPHRASE"),
            _ => environment("NOTARY_DELEGATION_PASSPHRASE"),
        };
        let key = sealed.open(Passphrase::new(passphrase.unwrap()).as_ref()).unwrap();
        assert_eq!(sealed.exported_path().unwrap(), canonical_id(key.public_key()));
    }
}

#[test]
fn a_rewritten_notary_key_differs_in_its_random_parts_only() {
    let Some(data) = testdata("dct") else { return };
    // Headers, labels and the length of every line; that the plain bytes inside are equal is a unit test of the format.
    let shape = |text: &str| -> Vec<String> {
        let fixed = |line: &str| line.contains(':') || line.starts_with('-');
        text.lines().map(|line| if fixed(line) { line.to_owned() } else { line.len().to_string() }).collect()
    };
    for entry in std::fs::read_dir(data.join("client-dirs/docker-28.2.2/trust/private")).unwrap() {
        let original = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let sealed = SealedKey::parse(original.as_bytes()).unwrap();
        let passphrase = Passphrase::new(if sealed.labels().role() == Some("root") { "rootpass1234" } else { "repopass1234" });
        let key = sealed.open(passphrase.as_ref()).unwrap();
        let labels = NotaryLabels::new(sealed.labels().role().unwrap(), sealed.labels().gun()).unwrap();
        let rewritten = key.export(&Export::NotaryInPlace(labels), passphrase.as_ref()).unwrap();
        assert_eq!(shape(&rewritten), shape(&original));
        assert!(rewritten.as_str() != original, "salt and IV are fresh");
    }
}

#[test]
fn a_real_cosign_key_opens() {
    let Some(data) = testdata("sigstore") else { return };
    let folder = data.join("local-real-cosign");
    let sealed = SealedKey::read(&folder.join("key1.encrypted-password-is-pw.key")).unwrap();
    assert_eq!((sealed.format(), sealed.is_encrypted()), (Format::Cosign, true));
    let key = sealed.open(Passphrase::new("pw").as_ref()).unwrap();
    let public = PublicKey::from_pem(&std::fs::read(folder.join("key1.pub")).unwrap()).unwrap();
    assert_eq!(key.public_key(), &public);
    assert!(matches!(sealed.open(Passphrase::new("PW").as_ref()), Err(KeyError::WrongPassphrase { .. })));
}
