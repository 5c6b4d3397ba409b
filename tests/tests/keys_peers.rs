//! Keys go both ways between trustctl and the real cosign, notary and docker: each opens what the other wrote, and none without its passphrase.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use trustctl_core::public_key::KeyKind;
use trustctl_core::signer::Signer;
use trustctl_core::time::Timestamp;
use trustctl_keys::certificate::{NOTARY_YEARS, self_signed, to_pem};
use trustctl_keys::format::{Export, Format, NotaryLabels, SealedKey, read_public_key};
use trustctl_keys::notary_id::canonical_id;
use trustctl_keys::passphrase::{NoPrompt, Passphrases};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;
use trustctl_keys::store::{Places, Store, TrustDirectory};
use trustctl_tests::notary::{NotaryClient, NotaryServer, Options, REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::{Ran, run};

const WORD: &str = "throw-away";
const GUN: &str = "localhost:5000/demo/keys";

/// The program, or the end of the test after saying so.
macro_rules! need {
    ($peer:ident) => {
        match Peer::$peer.or_skip() {
            Some(program) => program,
            None => return,
        }
    };
}

fn ran(mut command: Command) -> Ran {
    run(&mut command, Duration::from_secs(60)).unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

fn labels(role: &str, gun: Option<&str>) -> NotaryLabels {
    NotaryLabels::new(role, gun).unwrap()
}

/// A file that only its owner can read, as docker demands of keys.
fn private_file(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn cosign(program: &Program, home: &Path, word: &str, arguments: &[&str]) -> Ran {
    let mut command = program.command(home);
    command.env("COSIGN_PASSWORD", word).args(arguments);
    ran(command)
}

fn cosign_agrees(program: &Program) {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Ed25519] {
        let key = PrivateKey::generate(kind).unwrap();
        let name = format!("{}.key", kind.name());
        private_file(&home.join(&name), &key.export(&Export::Cosign, Some(&passphrase(WORD))).unwrap());
        let public = cosign(program, home, WORD, &["public-key", "--key", &name]).ok().unwrap();
        assert!(public.output().contains(key.public_key().to_pem().trim_end()), "{name}: {}", public.output());
        assert!(
            !cosign(program, home, "another word", &["public-key", "--key", &name]).success(),
            "{name} opens with any passphrase"
        );
    }
    // The empty passphrase.
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    private_file(&home.join("empty.key"), &key.export(&Export::Cosign, Some(&Passphrase::empty())).unwrap());
    assert!(
        cosign(program, home, "", &["public-key", "--key", "empty.key"]).output().contains(key.public_key().to_pem().trim_end())
    );
    // And a key of its own.
    cosign(program, home, WORD, &["generate-key-pair", "--output-key-prefix", "theirs"]).ok().unwrap();
    let sealed = SealedKey::read(&home.join("theirs.key")).unwrap();
    assert_eq!((sealed.format(), sealed.is_encrypted()), (Format::Cosign, true));
    let opened = sealed.open(Some(&passphrase(WORD))).unwrap();
    assert_eq!(opened.public_key(), &read_public_key(&home.join("theirs.pub")).unwrap());
    assert!(sealed.open(Some(&passphrase("another word"))).is_err());
}

#[test]
fn cosign3_and_we_open_each_others_keys() {
    cosign_agrees(&need!(Cosign3));
}

#[test]
fn cosign2_and_we_open_each_others_keys() {
    cosign_agrees(&need!(Cosign2));
}

// Not with cosign 2: 2.5.0 refuses to import any key, openssl's too ("unsupported public key type").
#[test]
fn cosign3_imports_the_plain_formats() {
    let program = need!(Cosign3);
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    for (name, export) in [("pkcs8", Export::Pkcs8), ("sec1", Export::Traditional)] {
        let (plain, prefix) = (format!("{name}.plain"), format!("imported-{name}"));
        private_file(&home.join(&plain), &key.export(&export, None).unwrap());
        cosign(&program, home, WORD, &["import-key-pair", "--key", &plain, "--output-key-prefix", &prefix]).ok().unwrap();
        let sealed = SealedKey::read(&home.join(format!("{prefix}.key"))).unwrap();
        assert_eq!(sealed.open(Some(&passphrase(WORD))).unwrap().fingerprint(), key.fingerprint());
    }
}

/// Every key of a trust directory, opened with the passphrases of the test clients.
fn open_all(trust: TrustDirectory, root: &'static str, others: &'static str) -> usize {
    let places = Places { store: Store::at("/nonexistent"), trust: vec![trust], keyring: None };
    let environment = |name: &str| Some(if name.contains("ROOT") { root.to_owned() } else { others.to_owned() });
    let passphrases = Passphrases { named: None, environment: &environment, keyring: None, prompt: &NoPrompt };
    let listing = places.list().unwrap();
    assert!(listing.problems.is_empty(), "{:?}", listing.problems);
    for stored in &listing.keys {
        let key = places.open(stored, &passphrases).unwrap_or_else(|error| panic!("{}: {error}", stored.name));
        assert_eq!(stored.notary_id, Some(canonical_id(key.public_key())));
    }
    listing.keys.len()
}

#[test]
fn notary_publishes_with_a_root_key_of_ours_and_we_open_its_keys() {
    let server = NotaryServer::start(&need!(NotaryServer), &Options::default()).unwrap();
    let client = NotaryClient::new(&need!(Notary), &server).unwrap();
    let trust = TrustDirectory::notary(client.trust_directory());
    let root = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let root_id = canonical_id(root.public_key());
    trust.add(&root, labels("root", None), Some(&passphrase(ROOT_PASSPHRASE))).unwrap();
    let listed = ran(client.command(&["key", "list"])).ok().unwrap();
    assert!(listed.output().contains(&root_id), "{}", listed.output());
    // It opens the key to sign with it, and makes none of its own beside it.
    ran(client.command(&["init", "-p", GUN])).ok().unwrap();
    ran(client.command(&["list", GUN])).ok().unwrap();
    let roots = trust.list().unwrap().keys.into_iter().filter(|key| key.labels.role() == Some("root")).count();
    assert_eq!(roots, 1);
    assert_eq!(open_all(trust, ROOT_PASSPHRASE, REPOSITORY_PASSPHRASE), 3, "root, targets and snapshot");
    let mut wrong = client.command(&["init", "-p", "localhost:5000/demo/other"]);
    wrong.env("NOTARY_ROOT_PASSPHRASE", "another word");
    assert!(!ran(wrong).success());
}

#[test]
fn notary_takes_our_root_certificate_and_imports_and_exports_keys() {
    let server = NotaryServer::start(&need!(NotaryServer), &Options::default()).unwrap();
    let client = NotaryClient::new(&need!(Notary), &server).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let root = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let text = root.export(&Export::Notary(labels("root", None)), Some(&passphrase(ROOT_PASSPHRASE))).unwrap();
    private_file(&folder.path().join("root.key"), &text);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let now = Timestamp::from_unix_seconds(i64::try_from(now).unwrap()).unwrap();
    let certificate = self_signed(&root, GUN, now, NOTARY_YEARS).unwrap();
    fs::write(folder.path().join("root.crt"), to_pem(&certificate)).unwrap();
    ran(client.command(&["init", "-p", "--rootkey", &at("root.key"), "--rootcert", &at("root.crt"), GUN])).ok().unwrap();
    ran(client.command(&["list", GUN])).ok().unwrap();
    let published = fs::read_to_string(client.trust_directory().join("tuf").join(GUN).join("metadata/root.json")).unwrap();
    assert!(published.contains(&base64_of(to_pem(&certificate).as_bytes())), "the root role is not ours");

    // Imported, with their labels, and exported again.
    let signer = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let targets = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    for (name, key, labels) in
        [("signer.key", &signer, labels("alice", None)), ("targets.key", &targets, labels("targets", Some("a/b")))]
    {
        let text = key.export(&Export::Notary(labels), Some(&passphrase(REPOSITORY_PASSPHRASE))).unwrap();
        private_file(&folder.path().join(name), &text);
        ran(client.command(&["key", "import", &at(name)])).ok().unwrap();
    }
    ran(client.command(&["key", "export", "-o", &at("all.pem")])).ok().unwrap();
    let exported = SealedKey::parse_all(&fs::read(folder.path().join("all.pem")).unwrap()).unwrap();
    for (key, role, gun) in [(&signer, "alice", None), (&targets, "targets", Some("a/b"))] {
        let id = canonical_id(key.public_key());
        let sealed = exported.iter().find(|sealed| sealed.exported_path() == Some(&id)).unwrap();
        assert_eq!((sealed.labels().role(), sealed.labels().gun()), (Some(role), gun));
        assert_eq!(sealed.open(Some(&passphrase(REPOSITORY_PASSPHRASE))).unwrap().fingerprint(), key.fingerprint());
    }
}

#[test]
fn docker_loads_our_key_and_we_open_the_one_it_makes() {
    let docker = need!(DockerCli);
    let home = tempfile::tempdir().unwrap();
    let docker = |arguments: &[&str]| {
        let mut command = docker.command(home.path());
        command.env("DOCKER_CONFIG", home.path().join(".docker")).env("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", WORD);
        command.args(["trust", "key"]).args(arguments);
        ran(command)
    };
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let text = key.export(&Export::Notary(labels("alice", None)), Some(&passphrase(WORD))).unwrap();
    private_file(&home.path().join("alice.key"), &text);
    docker(&["load", "--name", "alice", "alice.key"]).ok().unwrap();
    // That it says so is not enough: without the path header it says so as well.
    let loaded = home.path().join(format!(".docker/trust/private/{}.key", canonical_id(key.public_key())));
    let sealed = SealedKey::read(&loaded).unwrap();
    assert_eq!(sealed.labels().role(), Some("alice"));
    docker(&["generate", "bob", "--dir", "."]).ok().unwrap();
    let public = read_public_key(&home.path().join("bob.pub")).unwrap();
    let trust = TrustDirectory::docker(home.path().join(".docker/trust"));
    let bob = trust.list().unwrap().keys.into_iter().find(|key| key.labels.role() == Some("bob")).unwrap();
    assert_eq!(bob.notary_id, Some(canonical_id(&public)));
    assert_eq!(open_all(trust, WORD, WORD), 2);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
