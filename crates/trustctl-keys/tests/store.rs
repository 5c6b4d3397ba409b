//! Keys on disk: complete or not there, never replaced, found by what users know of them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use trustctl_core::public_key::KeyKind;
use trustctl_core::reason::Code;
use trustctl_core::signer::Signer;
use trustctl_keys::error::KeyError;
use trustctl_keys::format::{Export, NotaryLabels, SealedKey, read_public_key};
use trustctl_keys::notary_id::canonical_id;
use trustctl_keys::passphrase::{NoPrompt, Passphrases, SecretStore, Source};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;
use trustctl_keys::store::{Place, Places, Store, TrustDirectory, default_directory, default_trust_directories};
use zeroize::Zeroizing;

fn key() -> PrivateKey {
    PrivateKey::generate(KeyKind::EcdsaP256).unwrap()
}

fn code(result: Result<impl Sized, KeyError>) -> Code {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.code(),
    }
}

fn labels(role: &str, gun: Option<&str>) -> NotaryLabels {
    NotaryLabels::new(role, gun).unwrap()
}

fn places(folder: &Path) -> Places<'static> {
    Places { store: Store::at(folder.join("keys")), trust: vec![TrustDirectory::docker(folder.join("trust"))], keyring: None }
}

const NOTHING_SET: fn(&str) -> Option<String> = |_| None;

fn without_passphrase<'a>() -> Passphrases<'a> {
    Passphrases { named: None, environment: &NOTHING_SET, keyring: None, prompt: &NoPrompt }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_is_created_listed_opened_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let key = key();
    let passphrase = Passphrase::new("secret word").unwrap();
    assert!(places.list().unwrap().keys.is_empty());
    let stored = places.store.create("release", &key, &Export::Pkcs8, Some(&passphrase)).unwrap();
    assert_eq!((stored.fingerprint(), stored.kind()), (Some(key.fingerprint()), Some(KeyKind::EcdsaP256)));
    assert_eq!(stored.notary_id, Some(canonical_id(key.public_key())));
    assert!(stored.encrypted);
    assert_eq!(places.list().unwrap().keys.as_slice(), std::slice::from_ref(&stored));
    #[cfg(unix)]
    {
        assert_eq!(mode(&folder.path().join("keys")), 0o700);
        assert_eq!(mode(&folder.path().join("keys/release.key")), 0o600);
    }
    let word = |name: &str| (name == "WORD").then(|| "secret word".to_owned());
    let passphrases =
        Passphrases { named: Some(Source::parse("env:WORD")), environment: &word, keyring: None, prompt: &NoPrompt };
    assert_eq!(places.open(&stored, &passphrases).unwrap().fingerprint(), key.fingerprint());
    assert_eq!(code(places.open(&stored, &without_passphrase())), Code::PassphraseNeeded);
    places.delete(&stored).unwrap();
    assert!(fs::read_dir(folder.path().join("keys")).unwrap().next().is_none());
    assert_eq!(code(places.delete(&stored)), Code::KeyNotFound);
    assert_eq!(code(places.open(&stored, &passphrases)), Code::KeyNotFound);
}

#[test]
fn an_existing_key_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let first = key();
    store.create("a", &first, &Export::Pkcs8, None).unwrap();
    assert_eq!(code(store.create("a", &key(), &Export::Pkcs8, None)), Code::KeyExists);
    assert_eq!(store.get("a").unwrap().fingerprint(), Some(first.fingerprint()));
    // Not even by writers at once: exactly one of eight wins.
    let wins: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| usize::from(store.create("b", &key(), &Export::Pkcs8, None).is_ok()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(wins, 1);
    let opened = SealedKey::read(&folder.path().join("b.key")).unwrap().open(None).unwrap();
    assert_eq!(&read_public_key(&folder.path().join("b.pub")).unwrap(), opened.public_key());
    let trust = TrustDirectory::docker(folder.path());
    trust.add(&first, labels("root", None), None).unwrap();
    assert_eq!(code(trust.add(&first, labels("root", None), None)), Code::KeyExists);
}

#[test]
fn names_that_could_leave_the_directory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let long = "x".repeat(101);
    for name in ["", ".", "..", "../a", "a/b", "-a", ".a", "a b", "a\0b", "ä", "a.key", "a.pub", long.as_str()] {
        assert_eq!(code(store.create(name, &key(), &Export::Pkcs8, None)), Code::KeyBadName, "{name:?}");
        assert_eq!(code(store.get(name)), Code::KeyNotFound, "{name:?}");
        assert_eq!(code(store.delete(name)), Code::KeyNotFound, "{name:?}");
    }
}

#[test]
fn a_wrong_or_missing_public_file_is_put_right_when_the_key_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let (key, other) = (key(), key());
    let passphrase = Passphrase::new("secret word").unwrap();
    places.store.create("a", &key, &Export::Pkcs8, Some(&passphrase)).unwrap();
    let public = folder.path().join("keys/a.pub");
    let word = |_: &str| Some("secret word".to_owned());
    let passphrases = Passphrases { named: Some(Source::parse("env:W")), environment: &word, keyring: None, prompt: &NoPrompt };
    for wrong in [None, Some(other.public_key().to_pem()), Some("rubbish".to_owned())] {
        match wrong {
            Some(text) => fs::write(&public, text).unwrap(),
            None => fs::remove_file(&public).unwrap(),
        }
        let opened = places.open(&places.store.get("a").unwrap(), &passphrases).unwrap();
        assert_eq!(opened.fingerprint(), key.fingerprint());
        assert_eq!(&read_public_key(&public).unwrap(), key.public_key());
    }
}

#[test]
fn keys_are_found_by_name_fingerprint_notary_id_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let (key, signer) = (key(), PrivateKey::generate(KeyKind::Ed25519).unwrap());
    places.store.create("release", &key, &Export::Pkcs8, None).unwrap();
    places.trust[0].add(&signer, labels("alice", Some("ignored/for/signers")), None).unwrap();
    let id = canonical_id(signer.public_key());
    let path = folder.path().join("keys/release.key").display().to_string();
    for (wanted, place, name) in [
        ("release", Place::Store, "release"),
        (&key.fingerprint(), Place::Store, "release"),
        (&key.fingerprint()[..7].to_uppercase(), Place::Store, "release"),
        (&canonical_id(key.public_key())[..10], Place::Store, "release"),
        (&path, Place::File, &path),
        (&id, Place::Docker, &id),
        (&signer.fingerprint(), Place::Docker, &id),
        (&folder.path().join(format!("trust/private/{id}.key")).display().to_string(), Place::Docker, &id),
    ] {
        let found = places.find(wanted).unwrap_or_else(|error| panic!("{wanted}: {error}"));
        assert_eq!((found.place, found.name.as_str()), (place, name), "{wanted}");
        assert!(places.open(&found, &without_passphrase()).is_ok());
    }
    for missing in ["nobody", &key.fingerprint()[..6], "no/such/file.key", "gone.key", "keyring-less", &"0".repeat(64)] {
        assert_eq!(code(places.find(missing)), Code::KeyNotFound, "{missing}");
    }
    // The same key twice is one key; two keys are not.
    places.trust[0].add(&key, labels("root", None), None).unwrap();
    assert_eq!(places.find(&key.fingerprint()).unwrap().place, Place::Store);
}

#[test]
fn a_file_named_for_another_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let word = |_: &str| Some("long enough".to_owned());
    let passphrases = Passphrases { named: None, environment: &word, keyring: None, prompt: &NoPrompt };
    let stored = places.trust[0].add(&key(), labels("root", None), Passphrase::new("long enough").as_ref()).unwrap();
    assert!(places.open(&stored, &passphrases).is_ok());
    let renamed = stored.path.as_ref().unwrap().with_file_name(format!("{}.key", "0".repeat(64)));
    fs::rename(stored.path.unwrap(), &renamed).unwrap();
    assert_eq!(code(places.open(&places.find(&"0".repeat(64)).unwrap(), &passphrases)), Code::KeyUnreadable);
}

#[test]
fn broken_files_are_listed_as_problems_and_hide_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    places.store.create("good", &key(), &Export::Pkcs8, None).unwrap();
    fs::write(folder.path().join("keys/broken.key"), "rubbish").unwrap();
    fs::create_dir(folder.path().join("keys/folder.key")).unwrap();
    fs::create_dir_all(folder.path().join("trust/private/tuf_keys/a/b")).unwrap();
    fs::write(folder.path().join("trust/private/tuf_keys/a/b/x.key"), "rubbish").unwrap();
    let listing = places.list().unwrap();
    assert_eq!(listing.keys.len(), 1);
    assert_eq!(listing.problems.len(), 3, "{:?}", listing.problems);
    assert_eq!(code(places.find("broken")), Code::KeyUnreadable);
}

#[test]
fn a_folder_that_cannot_be_used_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keys"), "a file").unwrap();
    let store = Store::at(folder.path().join("keys"));
    assert_eq!(code(store.create("a", &key(), &Export::Pkcs8, None)), Code::KeyFileAccess);
    assert_eq!(code(store.list()), Code::KeyFileAccess);
}

#[test]
fn default_places_follow_the_variables() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display().to_string();
    let with = |set: &[(&str, &str)]| {
        let set: BTreeMap<String, String> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        move |name: &str| set.get(name).cloned()
    };
    assert_eq!(default_directory(&with(&[("HOME", "/h")])), Some("/h/.local/share/trustctl/keys".into()));
    assert_eq!(default_directory(&with(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")])), Some("/d/trustctl/keys".into()));
    assert_eq!(
        default_directory(&with(&[("HOME", "/h"), ("XDG_DATA_HOME", "relative")])),
        None.or(Some("/h/.local/share/trustctl/keys".into()))
    );
    assert_eq!(default_directory(&with(&[])), None);
    assert!(default_trust_directories(&with(&[("HOME", &home)])).is_empty());
    fs::create_dir_all(folder.path().join(".docker/trust")).unwrap();
    fs::create_dir_all(folder.path().join(".notary")).unwrap();
    fs::create_dir_all(folder.path().join("config/trust")).unwrap();
    let found = default_trust_directories(&with(&[("HOME", &home)]));
    assert_eq!(
        found,
        [TrustDirectory::docker(folder.path().join(".docker/trust")), TrustDirectory::notary(folder.path().join(".notary"))]
    );
    let config = folder.path().join("config").display().to_string();
    let found = default_trust_directories(&with(&[("HOME", &home), ("DOCKER_CONFIG", &config)]));
    assert_eq!(found[0], TrustDirectory::docker(folder.path().join("config/trust")));
}

/// A keyring in memory.
#[derive(Default)]
struct Memory(RefCell<BTreeMap<String, Vec<u8>>>);

impl SecretStore for Memory {
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        Ok(self.0.borrow().get(name).cloned().map(Zeroizing::new))
    }

    fn store(&self, name: &str, secret: &[u8]) -> Result<(), KeyError> {
        self.0.borrow_mut().insert(name.to_owned(), secret.to_vec());
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<bool, KeyError> {
        Ok(self.0.borrow_mut().remove(name).is_some())
    }

    fn names(&self) -> Result<Vec<String>, KeyError> {
        Ok(self.0.borrow().keys().cloned().collect())
    }
}

#[test]
fn a_keyring_keeps_keys_too() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Memory::default();
    let places = Places { keyring: Some(&keyring), ..places(folder.path()) };
    let key = key();
    let stored = places.add_to_keyring("ci", &key, Some(labels("targets", Some("a/b")))).unwrap();
    assert_eq!((stored.place, stored.labels.gun(), stored.path.as_ref()), (Place::Keyring, Some("a/b"), None));
    assert_eq!(code(places.add_to_keyring("ci", &key, None)), Code::KeyExists);
    assert_eq!(places.list().unwrap().keys.as_slice(), std::slice::from_ref(&stored));
    for wanted in ["keyring:ci", &key.fingerprint()] {
        let found = places.find(wanted).unwrap();
        assert_eq!(places.open(&found, &without_passphrase()).unwrap().fingerprint(), key.fingerprint());
    }
    places.delete(&stored).unwrap();
    assert_eq!(code(places.find("keyring:ci")), Code::KeyNotFound);
    let none = Places { keyring: None, ..self::places(folder.path()) };
    assert_eq!(code(none.find("keyring:ci")), Code::KeyringUnavailable);
}

/// Writes keys until it is killed. Run by the test below, in a process of its own.
#[test]
#[ignore = "the victim of a_killed_writer_leaves_no_half_key"]
fn victim() {
    let Some(folder) = std::env::var_os("TRUSTCTL_TEST_VICTIM_FOLDER") else { return };
    let places = places(Path::new(&folder));
    let passphrase = Passphrase::new("secret word").unwrap();
    for n in 0..100_000 {
        let key = key();
        places.store.create(&format!("k{n}"), &key, &Export::Notary(labels("root", None)), Some(&passphrase)).unwrap();
        places.trust[0].add(&key, labels("root", None), Some(&passphrase)).unwrap();
        if n % 3 == 2 {
            places.store.delete(&format!("k{n}")).unwrap();
        }
    }
}

#[test]
fn a_killed_writer_leaves_no_half_key() {
    let word = |_: &str| Some("secret word".to_owned());
    let passphrases = Passphrases { named: None, environment: &word, keyring: None, prompt: &NoPrompt };
    let mut opened = 0;
    for round in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim", "--ignored"])
            .env("TRUSTCTL_TEST_VICTIM_FOLDER", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // However busy the machine is, it is killed while it writes: some milliseconds after its second key.
        let deadline = Instant::now() + Duration::from_secs(60);
        let written = || fs::read_dir(folder.path().join("keys")).map_or(0, Iterator::count);
        while written() < 4 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(round * 3));
        child.kill().expect("the victim is still writing");
        child.wait().unwrap();
        let places = places(folder.path());
        let listing = places.list().unwrap();
        assert!(listing.problems.is_empty(), "{:?}", listing.problems);
        for stored in &listing.keys {
            places.open(stored, &passphrases).unwrap_or_else(|error| panic!("{}: {error}", stored.name));
            opened += 1;
        }
        // And a re-run completes.
        if let Some(last) = listing.keys.iter().find(|key| key.place == Place::Store) {
            places.delete(last).unwrap();
            places.store.create(&last.name, &key(), &Export::Pkcs8, None).unwrap();
        }
    }
    assert!(opened >= 24, "only {opened} keys were written before the kills");
}

#[test]
fn a_role_finds_the_one_key_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    assert!(places.find_by_role("alice").unwrap().is_none());
    let first = places.trust[0].add(&key(), labels("alice", None), None).unwrap();
    assert_eq!(places.find_by_role("alice").unwrap().unwrap(), first);
    assert_eq!(places.find_by_role("targets/alice").unwrap().unwrap(), first);
    assert!(matches!(places.find("alice"), Err(KeyError::NotFound { .. })), "no other command takes a role for a key");
    let second = places.trust[0].add(&key(), labels("alice", None), None).unwrap();
    let Err(KeyError::Ambiguous { candidates, .. }) = places.find_by_role("alice") else { panic!("two keys are not one") };
    for key in [&first, &second] {
        assert!(candidates.iter().any(|id| id.contains(&key.name)), "{candidates:?}");
    }
}

#[test]
fn a_missing_file_is_told_from_a_missing_name() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    for file in ["./release", "release.pub", "release.key", "release.pem", "release.pkcs8"] {
        assert!(matches!(places.find(file), Err(KeyError::NoFile { .. })), "{file}");
    }
    assert!(matches!(places.find("releas"), Err(KeyError::NotFound { .. })));
    places.store.create("release", &key(), &Export::Pkcs8, None).unwrap();
    places.store.create("v1.2", &key(), &Export::Pkcs8, None).unwrap();
    let error = places.find("releas").unwrap_err();
    assert_eq!(error.to_string(), "there is no key \"releas\"; did you mean release?");
    assert_eq!(error.code(), Code::KeyNotFound);
    assert!(places.find("v1.2").is_ok(), "a dot alone makes no file");
}
