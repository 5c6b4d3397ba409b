//! A lab with one image, and a pipeline that signs it.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::process::Ran;
use trustctl_tests::program::{User, program};

pub(crate) const DEVELOPER: &str = "dev@example.test";
/// Longest that a test waits for something to happen in the lab.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a run may take over an outage that does not end.
pub(crate) const SOON: [&str; 2] = ["--timeout", "2s"];

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) user: User,
    pub(crate) digest: Digest,
    pub(crate) log: LogVersion,
    _home: TempDir,
}

impl Stage {
    pub(crate) fn new(log: LogVersion) -> Self {
        // Built before tokens are made, which live for minutes.
        program();
        let world = World::start(WorldOptions::default()).unwrap();
        let digest = world.push("shop/cart:1.4", &Artifact::image("hello")).unwrap();
        let home = tempfile::tempdir().unwrap();
        let user = world.environment().into_iter().fold(User::new(home.path()), |user, (name, value)| user.with(name, value));
        Self { world, user, digest, log, _home: home }
    }

    pub(crate) fn image(&self) -> String {
        format!("{}@{}", self.world.name("shop/cart"), self.digest)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.world.sigstore_folder().join(name).display().to_string()
    }

    /// The flags that name the lab's services and this identity.
    pub(crate) fn services(&self, claims: &Claims) -> Vec<String> {
        let config = match self.log {
            LogVersion::V1 => "signing_config.json",
            _ => "signing_config_rekor_v2.json",
        };
        let token = self.world.write_token(claims).unwrap().display().to_string();
        let flags = ["--signing-config", &self.file(config), "--trusted-root", &self.file("trusted_root.json")];
        flags.iter().chain(&["--identity-token", &token]).map(|word| (*word).to_owned()).collect()
    }

    /// The words that sign the image.
    pub(crate) fn words(&self, claims: &Claims, more: &[&str]) -> Vec<String> {
        let start = ["sign".to_owned(), self.image(), "--tag".to_owned(), "1.4".to_owned()];
        start.into_iter().chain(self.services(claims)).chain(more.iter().map(|word| (*word).to_owned())).collect()
    }

    pub(crate) fn run(&self, words: &[String]) -> Ran {
        self.user.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
    }

    pub(crate) fn json(&self, words: &[String]) -> (Value, Option<i32>) {
        self.user.json(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
    }

    /// Signs as the developer: the exit code and all that was said.
    pub(crate) fn sign(&self, more: &[&str]) -> (Option<i32>, String) {
        let ran = self.run(&self.words(&Claims::email(DEVELOPER), more));
        (ran.code, ran.output())
    }

    /// The same with the queue.
    pub(crate) fn sign_or_queue(&self, more: &[&str]) -> (Option<i32>, String) {
        self.sign(&[&["--if-log-down", "queue", "--queue", "queue"][..], more].concat())
    }

    pub(crate) fn complete(&self, more: &[&str]) -> (Option<i32>, String) {
        let start = ["complete", "--queue", "queue"].map(str::to_owned);
        let services = self.services(&Claims::email(DEVELOPER));
        let words: Vec<String> = start.into_iter().chain(services).chain(more.iter().map(|word| (*word).to_owned())).collect();
        let ran = self.run(&words);
        (ran.code, ran.output())
    }

    /// Starts signing with the queue, and leaves it running.
    pub(crate) fn start(&self) -> Child {
        self.start_of(&self.words(&Claims::email(DEVELOPER), &["--if-log-down", "queue", "--queue", "queue"]))
    }

    /// Starts this, and leaves it running.
    pub(crate) fn start_of(&self, words: &[String]) -> Child {
        let mut command = self.user.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The folder of the journal.
    pub(crate) fn journal_folder(&self) -> PathBuf {
        let (_, state) = self.world.environment().into_iter().find(|(name, _)| *name == "XDG_STATE_HOME").unwrap();
        PathBuf::from(state).join("trustctl/journal")
    }

    /// The files of the journal.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let Ok(entries) = std::fs::read_dir(self.journal_folder()) else { return Vec::new() };
        let files = entries.map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        // One that is gone meanwhile, or not there yet, is no file.
        files.filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok()).collect()
    }

    /// The files of the queue.
    pub(crate) fn queue(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.user.home().join("queue")) else { return Vec::new() };
        let files = entries.map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
    }

    pub(crate) fn pending(&self) -> Value {
        let files = self.queue();
        assert_eq!(files.len(), 1, "{files:?}");
        serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap()
    }

    /// How many bundles refer to the image.
    pub(crate) fn bundles(&self) -> usize {
        self.world.registry().manifests("shop/cart").len() - 1
    }

    /// What verify says of the image: the exit code.
    pub(crate) fn verdict(&self) -> Option<i32> {
        self.verdict_of(&self.image(), DEVELOPER)
    }

    pub(crate) fn verdict_of(&self, image: &str, identity: &str) -> Option<i32> {
        let (root, issuer) = (self.file("trusted_root.json"), self.world.sigstore().issuer().url());
        let words = ["verify", image, "--identity", identity, "--issuer", &issuer, "--trusted-root", &root];
        self.user.run(&words).unwrap().code
    }

    /// How many certificates were issued.
    pub(crate) fn certificates(&self) -> usize {
        let asked = self.world.sigstore().fulcio().requests().all();
        asked.iter().filter(|request| request.method == "POST" && request.status.is_some_and(|status| status < 300)).count()
    }

    pub(crate) fn entries(&self) -> usize {
        self.world.sigstore().entries(self.log).len()
    }

    /// One signature, one log entry, verified; and nothing waits.
    #[track_caller]
    pub(crate) fn is_signed_once(&self) {
        assert_eq!((self.verdict(), self.bundles(), self.entries()), (Some(0), 1, 1));
        assert_eq!(self.queue(), Vec::<PathBuf>::new());
    }
}

/// Returns when it is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}
