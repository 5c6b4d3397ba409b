//! A lab with one image, and somebody who signs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::peers::Program;
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::User;

pub(crate) const DEVELOPER: &str = "dev@example.test";
pub(crate) const STRANGER: &str = "other@example.test";
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) user: User,
    pub(crate) digest: Digest,
    home: TempDir,
}

impl Stage {
    /// With an image for one platform.
    pub(crate) fn new() -> Self {
        Self::with(&Artifact::image("hello"))
    }

    pub(crate) fn with(artifact: &Artifact) -> Self {
        let world = World::start(WorldOptions::default()).unwrap();
        let digest = world.push("shop/cart:1.4", artifact).unwrap();
        let home = tempfile::tempdir().unwrap();
        let user = world.environment().into_iter().fold(User::new(home.path()), |user, (name, value)| user.with(name, value));
        let user = user.with("COSIGN_PASSWORD", "for the tests");
        Self { world, user, digest, home }
    }

    pub(crate) fn image(&self) -> String {
        format!("{}@{}", self.world.name("shop/cart"), self.digest)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.world.sigstore_folder().join(name).display().to_string()
    }

    pub(crate) fn token(&self, claims: &Claims) -> String {
        self.world.write_token(claims).unwrap().display().to_string()
    }

    pub(crate) fn issuer(&self) -> String {
        self.world.sigstore().issuer().url()
    }

    /// The words that sign the image with this log, by whatever identity; `more` are further flags.
    pub(crate) fn words(&self, log: LogVersion, more: &[&str]) -> Vec<String> {
        let config = match log {
            LogVersion::V1 => "signing_config.json",
            _ => "signing_config_rekor_v2.json",
        };
        self.words_with(&self.file(config), more)
    }

    pub(crate) fn words_with(&self, config: &str, more: &[&str]) -> Vec<String> {
        let (root, image) = (self.file("trusted_root.json"), self.image());
        let words = ["sign", &image, "--tag", "1.4", "--signing-config", config, "--trusted-root", &root];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    /// Signs as the developer; it must end well.
    #[track_caller]
    pub(crate) fn sign(&self, log: LogVersion, more: &[&str]) -> Value {
        let token = self.token(&Claims::email(DEVELOPER));
        let words = self.words(log, &[&["--identity-token", &token][..], more].concat());
        self.done(&words)
    }

    #[track_caller]
    pub(crate) fn done(&self, words: &[String]) -> Value {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (report, exit) = self.user.json(&words).unwrap();
        assert_eq!(exit, Some(0), "{words:?}: {report}");
        report
    }

    /// Runs as `user`; it must end with `exit` for `code`, and leave the registry as it was.
    #[track_caller]
    pub(crate) fn refused(&self, user: &User, words: &[String], (exit, code): (i32, &str)) -> String {
        let before = self.stored();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = user.run(&words).unwrap();
        assert_eq!(ran.code, Some(exit), "{words:?}: {}", ran.output());
        assert!(ran.stderr.contains(&format!("error[{code}]: ")), "{words:?}: {}", ran.stderr);
        assert_eq!(self.stored(), before, "{words:?} changed the registry");
        ran.stderr
    }

    /// Every manifest of the repository, and its tags.
    pub(crate) fn stored(&self) -> (BTreeSet<String>, Vec<String>) {
        let registry = self.world.registry();
        (registry.manifests("shop/cart").iter().map(ToString::to_string).collect(), registry.tags("shop/cart"))
    }

    /// Has trustctl judge the image for this identity: the exit code.
    pub(crate) fn judged(&self, identity: &str) -> Option<i32> {
        let (root, issuer, image) = (self.file("trusted_root.json"), self.issuer(), self.image());
        let words = ["verify", &image, "--identity", identity, "--issuer", &issuer, "--trusted-root", &root];
        self.user.run(&words).unwrap().code
    }

    /// trustctl refuses another identity, then accepts this one.
    #[track_caller]
    pub(crate) fn is_signed_by(&self, identity: &str) {
        assert_eq!(self.judged("nobody@example.test"), Some(1));
        assert_eq!(self.judged(identity), Some(0));
    }

    /// How many certificates were asked for.
    pub(crate) fn certificates(&self) -> usize {
        self.world.sigstore().fulcio().requests().all().iter().filter(|request| request.method == "POST").count()
    }

    pub(crate) fn entries(&self, log: LogVersion) -> usize {
        self.world.sigstore().entries(log).len()
    }

    pub(crate) fn run(&self, program: &Program, words: &[&str], environment: &[(&str, String)]) -> Ran {
        let mut command = program.command(self.home.path());
        command.args(words).envs(environment.iter().map(|(name, value)| (name, value)));
        run(&mut command, LIMIT).unwrap()
    }

    /// Has cosign 3 verify for an identity.
    pub(crate) fn cosign3(&self, cosign: &Program, identity: &str, more: &[&str]) -> Ran {
        let (root, issuer, image) = (self.file("trusted_root.json"), self.issuer(), self.image());
        let words = ["verify", "--trusted-root", &root, "--certificate-identity", identity, "--certificate-oidc-issuer", &issuer];
        self.run(cosign, &[&words[..], more, &["--allow-http-registry", &image]].concat(), &[])
    }
}

#[track_caller]
pub(crate) fn denies(ran: &Ran, because: &str) {
    assert!(!ran.success(), "it should have been refused: {} {}", ran.command, ran.output());
    assert!(ran.output().contains(because), "refused for another reason than {because:?}: {}", ran.output());
}
