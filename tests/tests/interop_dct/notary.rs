//! What the notary client publishes and rotates, trustctl follows from the first root on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use trustctl_tests::notary::NotaryClient;
use trustctl_tests::process::{Ran, run_with_input};

use crate::stage::{Person, Stage, accepts, hex, refuses, root_id};

/// The notary client at work on one collection.
struct Publisher<'a> {
    stage: &'a Stage,
    client: &'a NotaryClient,
    gun: &'a str,
}

impl Publisher<'_> {
    #[track_caller]
    fn does(&self, words: &[&str]) -> Ran {
        accepts(self.client.command(words))
    }

    /// Starts the collection and returns its root's key id.
    #[track_caller]
    fn starts(&self) -> String {
        refuses(self.client.command(&["list", self.gun]), "does not have trust data");
        self.does(&["init", "-p", self.gun]);
        self.root()
    }

    fn root(&self) -> String {
        root_id(&self.client.trust_directory(), self.gun)
    }

    /// Names a digest in a role, as `notary addhash` does, and publishes.
    #[track_caller]
    fn adds(&self, tag: &str, digest: &str, more: &[&str]) {
        let size = self.stage.size(self.gun, digest);
        let words = ["addhash", "-p", self.gun, tag, &size, "--sha256", hex(digest)];
        self.does(&[&words, more].concat());
    }
}

#[track_caller]
fn trusts(stage: &Stage, image: &str, root: &str) -> Value {
    stage.person().trusts(image, &["--dct-root", root])
}

#[test]
fn tags_added_and_removed_are_trusted_and_no_longer_trusted() {
    let stage = set!(Stage::without_engine());
    let (repository, gun) = (stage.repository("demo/added"), stage.gun("demo/added"));
    let client = stage.notary();
    let publisher = Publisher { stage: &stage, client: &client, gun: &gun };
    let digest = stage.push("demo/added", "1.0");
    let root = publisher.starts();
    let reader = stage.person();
    let pin = ["--dct-root", root.as_str()];
    reader.judges(&repository.tagged("1.0"), &pin, ("unsigned", 3, "TC0202"));
    publisher.adds("1.0", &digest, &[]);
    reader.trusts(&repository.tagged("1.0"), &pin);
    // `notary add` takes a file: here the manifest itself, so that length and hash are those of the image.
    let manifest = repository.ask("GET", "manifests/1.0").unwrap();
    let file = reader.home().join("manifest.json");
    fs::write(&file, &manifest.body).unwrap();
    publisher.does(&["add", &gun, "1.0", file.to_str().unwrap()]);
    publisher.does(&["publish", &gun]);
    reader.trusts(&repository.tagged("1.0"), &pin);
    publisher.does(&["remove", "-p", &gun, "1.0"]);
    reader.judges(&repository.tagged("1.0"), &pin, ("unsigned", 3, "TC0202"));
    publisher.does(&["delete", "--remote", &gun]);
    // What was seen before is remembered: a collection that is gone is not a repository that never had one.
    stage.person().judges(&repository.tagged("1.0"), &pin, ("unsigned", 3, "TC0201"));
}

/// A delegation with a key of openssl's, which the notary client takes as a certificate.
fn certificate(folder: &Path, name: &str) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    let openssl = trustctl_tests::peers::Peer::Openssl.or_skip()?;
    let (key, file) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.crt")));
    let mut command = openssl.command(folder);
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "900"]);
    command.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(&key).arg("-out").arg(&file);
    accepts(command);
    Some((key, file))
}

#[test]
fn delegations_are_followed_and_forgotten() {
    let stage = set!(Stage::without_engine());
    let (repository, gun) = (stage.repository("demo/delegated"), stage.gun("demo/delegated"));
    let client = stage.notary();
    let publisher = Publisher { stage: &stage, client: &client, gun: &gun };
    let digest = stage.push("demo/delegated", "1.0");
    let root = publisher.starts();
    let pin = ["--dct-root", root.as_str()];
    let reader = stage.person();
    let Some((key, file)) = certificate(reader.home(), "releases") else { return };
    let role = "targets/releases";
    publisher.does(&["delegation", "add", "-p", &gun, role, file.to_str().unwrap(), "--all-paths"]);
    publisher.does(&["key", "import", key.to_str().unwrap(), "--role", role]);
    publisher.adds("1.0", &digest, &["--roles", role]);
    let trusted = reader.trusts(&repository.tagged("1.0"), &pin);
    assert_eq!(trusted["schemes"][0]["claims"][0]["principal"]["role"], role, "{trusted:#}");
    publisher.does(&["witness", "-p", &gun, role]);
    publisher.does(&["witness", "-p", &gun, "targets"]);
    reader.trusts(&repository.tagged("1.0"), &pin);
    publisher.does(&["delegation", "remove", "-p", "-y", &gun, role]);
    reader.judges(&repository.tagged("1.0"), &pin, ("unsigned", 3, "TC0202"));
}

#[test]
fn every_rotation_is_followed_from_the_first_root() {
    let stage = set!(Stage::without_engine());
    let (repository, gun) = (stage.repository("demo/rotated"), stage.gun("demo/rotated"));
    let client = stage.notary();
    let publisher = Publisher { stage: &stage, client: &client, gun: &gun };
    let digest = stage.push("demo/rotated", "1.0");
    let first = publisher.starts();
    publisher.adds("1.0", &digest, &[]);
    let image = repository.tagged("1.0");
    let reader = stage.person();
    reader.trusts(&image, &["--dct-root", &first]);
    let steps: [&[&str]; 5] = [
        &["key", "rotate", &gun, "targets"],
        &["key", "rotate", &gun, "snapshot", "-r"],
        &["key", "rotate", &gun, "timestamp", "-r"],
        &["key", "rotate", &gun, "root"],
        &["key", "rotate", &gun, "root"],
    ];
    for step in steps {
        // It asks before it replaces a root key, and takes no flag for an answer.
        let mut rotate = client.command(step);
        run_with_input(&mut rotate, Duration::from_secs(60), b"yes\n").unwrap().ok().unwrap();
        publisher.does(&["publish", &gun]);
        // The one who watched all along, and one who starts with the old pin now.
        reader.trusts(&image, &["--dct-root", &first]);
        trusts(&stage, &image, &first);
    }
    assert_ne!(publisher.root(), first);
    publisher.adds("2.0", &digest, &[]);
    trusts(&stage, &image, &first);
    trusts(&stage, &image, &publisher.root());
    let unknown = "f".repeat(64);
    stage.person().judges(&image, &["--dct-root", &unknown], ("rejected", 1, "TC0209"));
}

#[test]
fn a_collection_that_is_started_again_under_other_keys_is_refused() {
    let stage = set!(Stage::without_engine());
    let (repository, gun) = (stage.repository("demo/hijacked"), stage.gun("demo/hijacked"));
    let (owner, thief) = (stage.notary(), stage.notary());
    let digest = stage.push("demo/hijacked", "1.0");
    let owned = Publisher { stage: &stage, client: &owner, gun: &gun };
    let first = owned.starts();
    owned.adds("1.0", &digest, &[]);
    let reader = stage.person();
    let image = repository.tagged("1.0");
    reader.trusts(&image, &["--dct-root", &first]);
    owned.does(&["delete", "--remote", &gun]);
    let stolen = Publisher { stage: &stage, client: &thief, gun: &gun };
    stolen.does(&["init", "-p", &gun]);
    stolen.adds("1.0", &digest, &[]);
    stage.person().judges(&image, &["--dct-root", &first], ("rejected", 1, "TC0209"));
    let (report, code) = reader.user().json(&["verify", &image, "--dct-root", &first]).unwrap();
    assert_eq!((report["results"][0]["verdict"].as_str(), code), (Some("rejected"), Some(1)), "{report:#}");
}

#[test]
fn trustctl_adds_to_a_collection_that_notary_started_and_notary_goes_on() {
    let stage = set!(Stage::without_engine());
    let (repository, gun) = (stage.repository("demo/shared"), stage.gun("demo/shared"));
    let client = stage.notary();
    let publisher = Publisher { stage: &stage, client: &client, gun: &gun };
    let (one, two, three) = (stage.push("demo/shared", "1"), stage.push("demo/shared", "2"), stage.push("demo/shared", "3"));
    let root = publisher.starts();
    publisher.adds("1", &one, &[]);
    let person: Person = stage.person();
    let trust = client.trust_directory();
    let folder = ["--trust-dir", trust.to_str().unwrap()];
    // The snapshot key is the client's here, not the server's.
    let signed = person.signs(&repository.at(&two), "2", &folder);
    assert_eq!(signed["roles"], json!(["targets"]), "{signed:#}");
    publisher.adds("3", &three, &[]);
    let listed = accepts(client.command(&["list", &gun]));
    for (tag, digest) in [("1", &one), ("2", &two), ("3", &three)] {
        assert!(listed.stdout.contains(hex(digest)), "{tag}: {}", listed.output());
        trusts(&stage, &repository.tagged(tag), &root);
    }
}
