//! A home with keys that trustctl and cosign share, and a registry of either kind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use trustctl_tests::image::Repository;
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::User;
use trustctl_tests::registry::{DebianRegistry, FerroRegistry, Options};

/// The passphrase of every key.
pub(crate) const PASSPHRASE: &str = "throw-away";

/// A registry without or with the referrers API.
#[expect(dead_code, reason = "the registries are only held, so that they live as long as the test")]
pub(crate) enum Host {
    Fallback(Box<DebianRegistry>),
    Referrers(FerroRegistry),
}

/// The registries that are here; those that are not are named loudly.
pub(crate) fn hosts() -> Vec<(Host, String)> {
    let debian = Peer::DockerRegistry.or_skip().map(|program| {
        let registry = DebianRegistry::start(&program, &Options::default()).unwrap();
        let address = registry.address();
        (Host::Fallback(Box::new(registry)), address)
    });
    let ferro = Peer::FerroOciServer.or_skip().map(|program| {
        let registry = FerroRegistry::start(&program).unwrap();
        let address = registry.address();
        (Host::Referrers(registry), address)
    });
    debian.into_iter().chain(ferro).collect()
}

/// An image repository of a test.
pub(crate) fn repository(address: &str, name: &str) -> Repository {
    Repository::new(address, name)
}

/// A home in which trustctl and the peers work.
pub(crate) struct Stage {
    _folder: TempDir,
    pub(crate) user: User,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = User::new(folder.path()).with("COSIGN_PASSWORD", PASSPHRASE);
        Self { _folder: folder, user }
    }

    pub(crate) fn home(&self) -> &Path {
        self.user.home()
    }

    /// Another user, with a home and state of their own.
    pub(crate) fn stranger() -> Self {
        Self::new()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home().join(name), text).unwrap();
    }

    /// Has trustctl make the key pair `NAME.key`, `NAME.pub`.
    #[track_caller]
    pub(crate) fn key(&self, name: &str) {
        accepts(self.user.run(&["key", "generate", name, "--to", "."]).unwrap());
    }

    /// Has trustctl do something that must succeed.
    #[track_caller]
    pub(crate) fn done(&self, words: &[&str]) -> Value {
        let (report, exit) = self.user.json(words).unwrap();
        assert_eq!(exit, Some(0), "{words:?}: {report}");
        report
    }

    /// Has trustctl verify; it must trust the image.
    #[track_caller]
    pub(crate) fn trusts(&self, image: &str, key: &str) -> Value {
        self.done(&["verify", image, "--key", key])
    }

    /// Has trustctl do something that must end with `exit`, its first reason being `code`.
    #[track_caller]
    pub(crate) fn ends(&self, words: &[&str], exit: i32, code: &str) -> Value {
        let (report, ended) = self.user.json(words).unwrap();
        assert_eq!(ended, Some(exit), "{words:?}: {report}");
        let first =
            if report["error"].is_object() { &report["error"]["code"] } else { &report["results"][0]["reasons"][0]["code"] };
        assert_eq!(first, code, "{words:?}: {report}");
        report
    }

    /// Has trustctl verify by a key; the first reason against the image must be `code`.
    #[track_caller]
    pub(crate) fn refuses(&self, image: &str, key: &str, (exit, code): (i32, &str)) -> Value {
        self.ends(&["verify", image, "--key", key], exit, code)
    }
}

/// How signatures are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Bundle,
    Legacy,
}

/// A real cosign.
pub(crate) struct Cosign {
    program: Program,
    three: bool,
}

impl Cosign {
    /// Both versions, as far as they are here.
    pub(crate) fn all() -> Vec<Self> {
        [Self::two(), Self::three()].into_iter().flatten().collect()
    }

    pub(crate) fn two() -> Option<Self> {
        Peer::Cosign2.or_skip().map(|program| Self { program, three: false })
    }

    pub(crate) fn three() -> Option<Self> {
        Peer::Cosign3.or_skip().map(|program| Self { program, three: true })
    }

    /// What it can write and read without asking anybody outside.
    pub(crate) fn forms(&self) -> &'static [Form] {
        if self.three { &[Form::Bundle, Form::Legacy] } else { &[Form::Legacy] }
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.three { "cosign3" } else { "cosign2" }
    }

    pub(crate) fn command(&self, stage: &Stage, words: &[&str]) -> Command {
        let mut command = self.program.command(stage.home());
        command.env("COSIGN_PASSWORD", PASSPHRASE).args(words);
        command
    }

    pub(crate) fn run(&self, stage: &Stage, words: &[&str]) -> Ran {
        run(&mut self.command(stage, words), Duration::from_secs(60)).unwrap()
    }

    /// Makes the key pair `NAME.key`, `NAME.pub`.
    #[track_caller]
    pub(crate) fn key(&self, stage: &Stage, name: &str) {
        accepts(self.run(stage, &["generate-key-pair", "--output-key-prefix", name]));
    }

    /// The flags of `sign` and `attest` with which nothing is asked of anybody but the registry.
    fn quiet(&self, stage: &Stage, form: Form) -> &'static [&'static str] {
        match (self.three, form) {
            (true, Form::Bundle) => {
                if !stage.home().join("empty.json").exists() {
                    accepts(self.run(stage, &["signing-config", "create", "--out", "empty.json"]));
                }
                &["--signing-config", "empty.json", "--allow-http-registry", "-y"]
            }
            (true, Form::Legacy) => {
                &["--use-signing-config=false", "--new-bundle-format=false", "--tlog-upload=false", "--allow-http-registry", "-y"]
            }
            (false, _) => &["--tlog-upload=false", "--allow-http-registry", "-y"],
        }
    }

    /// Signs with `KEY.key`; `more` are further flags and the image.
    #[track_caller]
    pub(crate) fn sign(&self, stage: &Stage, form: Form, key: &str, more: &[&str]) {
        let key = format!("{key}.key");
        accepts(self.run(stage, &[&["sign", "--key", &key], self.quiet(stage, form), more].concat()));
    }

    /// Attests with `KEY.key`; `more` are further flags and the image.
    #[track_caller]
    pub(crate) fn attest(&self, stage: &Stage, form: Form, key: &str, more: &[&str]) {
        let key = format!("{key}.key");
        accepts(self.run(stage, &[&["attest", "--key", &key], self.quiet(stage, form), more].concat()));
    }

    /// Verifies attestations with `KEY.pub`; `more` are further flags and the image.
    pub(crate) fn verify_attestation(&self, stage: &Stage, form: Form, key: &str, more: &[&str]) -> Ran {
        let key = format!("{key}.pub");
        let plain = ["verify-attestation", "--key", &key, "--insecure-ignore-tlog=true", "--allow-http-registry"];
        let legacy: &[&str] = if self.three && form == Form::Legacy { &["--new-bundle-format=false"] } else { &[] };
        self.run(stage, &[&plain[..], legacy, more].concat())
    }

    /// Verifies with `KEY.pub`; `more` are further flags and the image.
    pub(crate) fn verify(&self, stage: &Stage, form: Form, key: &str, more: &[&str]) -> Ran {
        let key = format!("{key}.pub");
        let plain = ["verify", "--key", &key, "--insecure-ignore-tlog=true", "--allow-http-registry"];
        let legacy: &[&str] = if self.three && form == Form::Legacy { &["--new-bundle-format=false"] } else { &[] };
        self.run(stage, &[&plain[..], legacy, more].concat())
    }
}

#[track_caller]
pub(crate) fn accepts(ran: Ran) -> Ran {
    match ran.ok() {
        Ok(ran) => ran,
        Err(failure) => panic!("{failure}"),
    }
}

#[track_caller]
pub(crate) fn denies(ran: &Ran, because: &str) {
    assert!(!ran.success(), "it should have been refused: {} {}", ran.command, ran.output());
    assert!(ran.output().contains(because), "refused for another reason than {because:?}: {}", ran.output());
}
