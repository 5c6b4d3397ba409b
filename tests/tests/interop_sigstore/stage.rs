//! A lab, and somebody in a home of their own who has files and an image to sign.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::peers::Program;
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::User;

pub(crate) const STRANGER: &str = "https://github.com/acme/other/.github/workflows/release.yml@refs/tags/v1.4";
pub(crate) const LOGS: [LogVersion; 2] = [LogVersion::V1, LogVersion::V2];
/// The type of the statements that other clients sign here.
pub(crate) const PREDICATE: &str = "https://example.test/reviewed/v1";
/// Generous: the interpreters of some clients take seconds to load on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) user: User,
    pub(crate) home: TempDir,
    pub(crate) digest: Digest,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let world = World::start(WorldOptions::default()).unwrap();
        let digest = world.push("shop/cart:1.4", &Artifact::multi_platform("hello")).unwrap();
        let home = tempfile::tempdir().unwrap();
        let user = world.environment().into_iter().fold(User::new(home.path()), |user, (name, value)| user.with(name, value));
        let stage = Self { world, user, home, digest };
        stage.write("release", "what is released");
        stage.write("another", "something else");
        stage
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file that the lab wrote for clients.
    pub(crate) fn shared(&self, name: &str) -> String {
        self.world.sigstore_folder().join(name).display().to_string()
    }

    /// The signing config of a log; both name the timestamp authority too.
    pub(crate) fn config(&self, log: LogVersion) -> String {
        self.shared(if log == LogVersion::V1 { "signing_config.json" } else { "signing_config_rekor_v2.json" })
    }

    /// The signing config of Rekor v1 without a timestamp authority, so that the log's promise alone tells the time.
    pub(crate) fn config_without_timestamps(&self) -> String {
        let mut config = json(self.config(LogVersion::V1));
        for name in ["tsaUrls", "tsaConfig"] {
            config.as_object_mut().unwrap().remove(name);
        }
        self.write("no-timestamps.json", &config.to_string())
    }

    /// A trusted root and a signing config in the one file that sigstore-python takes.
    pub(crate) fn trust_config(&self, root: &str, config: &str) -> String {
        let both = json!({
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": json(root), "signingConfig": json(config),
        });
        self.write("trust-config.json", &both.to_string())
    }

    pub(crate) fn claims() -> Claims {
        Claims::github("acme/shop", "refs/tags/v1.4")
    }

    pub(crate) fn token(&self, claims: &Claims) -> String {
        self.world.write_token(claims).unwrap().display().to_string()
    }

    pub(crate) fn issuer(&self) -> String {
        self.world.sigstore().issuer().url()
    }

    pub(crate) fn image(&self) -> String {
        format!("{}@{}", self.world.name("shop/cart"), self.digest)
    }

    /// An in-toto statement about `release`, as a file.
    pub(crate) fn statement(&self) -> String {
        let digest = Digest::sha256_of(b"what is released").hex();
        let subject = json!([{"name": "release", "digest": {"sha256": digest}}]);
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": PREDICATE, "predicate": {"by": "two"},
        });
        self.write("statement.json", &statement.to_string())
    }

    pub(crate) fn run(&self, program: &Program, words: &[&str], environment: &[(&str, String)]) -> Ran {
        let mut command = program.command(self.home.path());
        command.args(words).envs(environment.iter().map(|(name, value)| (name, value)));
        run(&mut command, LIMIT).unwrap()
    }

    /// Has trustctl do something that must succeed.
    #[track_caller]
    pub(crate) fn done(&self, words: &[&str]) -> Value {
        let (report, exit) = self.user.json(words).unwrap();
        assert_eq!(exit, Some(0), "{words:?}: {report}");
        report
    }

    /// Has trustctl sign `release` by identity into `bundle`.
    #[track_caller]
    pub(crate) fn sign_blob(&self, config: &str, bundle: &str) {
        let (root, token) = (self.shared("trusted_root.json"), self.token(&Self::claims()));
        let words = ["blob", "sign", "release", "--bundle", bundle, "--signing-config", config, "--trusted-root", &root];
        self.done(&[&words[..], &["--identity-token", &token]].concat());
    }

    /// Has trustctl sign the image by identity; `more` are further flags.
    #[track_caller]
    pub(crate) fn sign_image(&self, config: &str, claims: &Claims, more: &[&str]) {
        let (root, token, image) = (self.shared("trusted_root.json"), self.token(claims), self.image());
        let words = ["sign", &image, "--tag", "1.4", "--signing-config", config, "--trusted-root", &root];
        self.done(&[&words[..], &["--identity-token", &token], more].concat());
    }

    /// Has trustctl attest by identity what [`PREDICATE`] says about the image.
    #[track_caller]
    pub(crate) fn attest_image(&self, config: &str) {
        let (root, token, image) = (self.shared("trusted_root.json"), self.token(&Self::claims()), self.image());
        let predicate = self.write("predicate.json", "{\"by\": \"two\"}");
        let words = ["attest", &image, "--type", PREDICATE, "--predicate", &predicate, "--signing-config", config];
        self.done(&[&words[..], &["--trusted-root", &root, "--identity-token", &token]].concat());
    }

    /// Exit code and first reason of trustctl's judgement of a file by `bundle`.
    pub(crate) fn judged(
        &self,
        (file, bundle): (&str, &str),
        identity: &str,
        issuer: &str,
        more: &[&str],
    ) -> (Option<i32>, String) {
        let root = self.shared("trusted_root.json");
        let words = ["blob", "verify", file, "--bundle", bundle, "--identity", identity, "--issuer", issuer];
        self.verdict(&[&words[..], &["--trusted-root", &root], more].concat())
    }

    /// Exit code and first reason of trustctl's judgement of an image.
    pub(crate) fn judged_image(&self, image: &str, identity: &str) -> (Option<i32>, String) {
        let (root, issuer) = (self.shared("trusted_root.json"), self.issuer());
        self.verdict(&["verify", image, "--identity", identity, "--issuer", &issuer, "--trusted-root", &root])
    }

    fn verdict(&self, words: &[&str]) -> (Option<i32>, String) {
        let (report, exit) = self.user.json(words).unwrap();
        let reason = ["/results/0/reasons/0/code", "/reasons/0/code", "/error/code"];
        let code = reason.iter().find_map(|pointer| report.pointer(pointer)).and_then(Value::as_str);
        (exit, code.unwrap_or_default().to_owned())
    }

    /// The bundles that refer to the image, as files.
    pub(crate) fn bundles(&self) -> Vec<String> {
        let registry = self.world.registry();
        let bundle = |(number, referrer): (usize, Digest)| {
            let (_, manifest) = registry.manifest("shop/cart", &referrer.to_string()).unwrap();
            let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
            let blob = manifest.pointer("/layers/0/digest").and_then(Value::as_str).unwrap().parse().unwrap();
            let bytes = registry.blob("shop/cart", &blob).unwrap();
            self.write(&format!("attached-{number}.json"), std::str::from_utf8(&bytes).unwrap())
        };
        registry.referrers("shop/cart", &self.digest).into_iter().enumerate().map(bundle).collect()
    }
}

pub(crate) fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[track_caller]
pub(crate) fn accepts(ran: Ran) -> Ran {
    match ran.ok() {
        Ok(ran) => ran,
        Err(failure) => panic!("{failure}"),
    }
}

/// Output is searched without line breaks and runs of blanks: some clients wrap their messages.
#[track_caller]
pub(crate) fn denies(ran: &Ran, because: &str) {
    assert!(!ran.success(), "it should have been refused: {} {}", ran.command, ran.output());
    let said = ran.output().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(because), "refused for another reason than {because:?}: {}", ran.output());
}
