//! A lab, a user who signs, and a proxy in front of the lab's registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use trustctl_lab::image::Artifact;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::http::{Request, Response};
use trustctl_tests::process::{Ready, Server};
use trustctl_tests::program::User;

/// What Docker, Podman and containerd accept.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// How a proxy differs from the usual one of the tests.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The `[times]` table.
    pub(crate) times: &'static str,
    /// More lines of the upstream's table.
    pub(crate) upstream: &'static str,
    /// The policy, with `HOST` for the registry.
    pub(crate) policy: &'static str,
    /// More of the configuration.
    pub(crate) more: &'static str,
    /// More lines before its first table.
    pub(crate) top: &'static str,
    /// Runs the proxy as this user, by a copy of the program that it may read; the home becomes that user's.
    pub(crate) uid: Option<u32>,
}

/// Every answer is good for a second at most.
pub(crate) const IMPATIENT: &str = "tag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"\nverify = \"5s\"";
/// The images of `shop` must be signed by the release key.
pub(crate) const SIGNED: &str = "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\n\
                          [[rules]]\nname = \"shop\"\nimages = [\"HOST/shop/**\"]\nrequire = { any = [\"release\"] }\n";

impl Default for Setup {
    fn default() -> Self {
        Self { times: IMPATIENT, upstream: "", policy: SIGNED, more: "", top: "", uid: None }
    }
}

/// A lab with a proxy.
pub(crate) struct Stage {
    /// The lab.
    pub(crate) world: World,
    /// The user's home: keys, policy, configuration and state of the proxy.
    pub(crate) home: TempDir,
    /// The proxy.
    pub(crate) proxy: Option<Server>,
}

impl Stage {
    /// A lab and a user with a key, before there is a proxy.
    pub(crate) fn without_proxy(options: WorldOptions) -> Self {
        let world = World::start(options).unwrap();
        let stage = Self { world, home: tempfile::tempdir().unwrap(), proxy: None };
        stage.done(&["key", "generate", "release"]);
        stage.done(&["key", "export", "release", "--public", "--to", "release.pub"]);
        stage
    }

    /// A lab with an unsigned and a signed image, and a proxy.
    pub(crate) fn new(setup: &Setup) -> Self {
        Self::of(WorldOptions::default(), setup)
    }

    /// As [`Stage::new`], with a lab of another kind.
    pub(crate) fn of(options: WorldOptions, setup: &Setup) -> Self {
        let mut stage = Self::without_proxy(options);
        stage.push("shop/cart:1", &Artifact::multi_platform("signed"));
        stage.sign("shop/cart:1");
        stage.push("shop/new:1", &Artifact::multi_platform("unsigned"));
        stage.start(setup);
        stage
    }

    /// Starts a proxy; the one before it is stopped.
    pub(crate) fn start(&mut self, setup: &Setup) {
        self.proxy = None;
        self.write("policy.toml", &setup.policy.replace("HOST", &self.host()));
        let user = self.user();
        let started = Server::start("proxy", self.home.path(), &Ready::Http("/v2/".to_owned()), |port| {
            let config = format!(
                "version = 1\npolicy = \"policy.toml\"\nstate = \"state\"\n{}\n[[listen]]\naddress = \"127.0.0.1:{port}\"\n[times]\n{}\n{}\n\
                 [[upstreams]]\nregistry = \"{}\"\ndefault = true\nnamespace = true\n{}\n",
                setup.top,
                setup.times,
                setup.more,
                self.host(),
                setup.upstream
            );
            // By its whole path, as a service names it: so are the files that it names.
            let path = self.write("proxy.toml", &config).display().to_string();
            let command = user.command(&["proxy", "run", "--config", &path]);
            Ok(if let Some(uid) = setup.uid { self.as_user(uid, &command) } else { command })
        });
        self.proxy = Some(started.unwrap());
    }

    /// The command as another user runs it.
    fn as_user(&self, uid: u32, command: &Command) -> Command {
        let home = self.home.path();
        let program = home.join("trustctl");
        // Not copied here: a program that is being written, by whatever child has inherited the file, cannot be run.
        assert!(Command::new("cp").args([command.get_program(), program.as_os_str()]).status().unwrap().success());
        assert!(Command::new("chown").args(["-R", &uid.to_string()]).arg(home).status().unwrap().success());
        let mut other = setpriv(uid, &program);
        other.args(command.get_args()).env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        other.current_dir(home);
        other
    }

    /// Stops the proxy, as an operator does.
    pub(crate) fn stop(&mut self) {
        self.proxy = None;
    }

    /// A file in the user's home.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        // As an editor does it: whoever reads sees the old file or the new one.
        let new = self.home.path().join(format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// The registry's name.
    pub(crate) fn host(&self) -> String {
        self.world.registry().host()
    }

    /// The user.
    pub(crate) fn user(&self) -> User {
        let environment = self.world.environment().into_iter();
        let user = environment.fold(User::new(self.home.path()), |user, (name, value)| user.with(name, value));
        let passphrases =
            ["COSIGN_PASSWORD", "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"];
        passphrases.into_iter().fold(user, |user, name| user.with(name, "for the tests"))
    }

    /// The JSON that the program prints for a command that succeeds.
    #[track_caller]
    pub(crate) fn done(&self, words: &[&str]) -> Value {
        let (report, exit) = self.user().json(words).unwrap();
        assert_eq!(exit, Some(0), "{words:?}: {report:#}");
        report
    }

    /// Pushes an image to the registry; its digest.
    pub(crate) fn push(&self, name: &str, artifact: &Artifact) -> String {
        self.world.push(name, artifact).unwrap().to_string()
    }

    /// Signs an image with the release key.
    pub(crate) fn sign(&self, name: &str) {
        self.done(&["sign", &self.world.name(name), "--resolve-tag", "--key", "release"]);
    }

    /// Withdraws an image with the release key.
    pub(crate) fn revoke(&self, name: &str) {
        let image = self.world.name(name);
        self.done(&["revoke", &image, "--resolve-tag", "--key", "release", "--reason", "compromised", "--message", "x", "--yes"]);
    }

    /// What the proxy answers to a request.
    pub(crate) fn send(&self, request: &Request) -> Response {
        request.send(&self.proxy.as_ref().unwrap().address()).unwrap()
    }

    /// What the proxy answers to a GET below `/v2/`.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(&Request::new("GET", &format!("/v2/{path}")).header("Accept", ACCEPT))
    }

    /// Waits until an answer has this status.
    #[track_caller]
    pub(crate) fn until(&self, path: &str, status: u16) {
        let begin = Instant::now();
        while self.get(path).status != status {
            assert!(begin.elapsed() < Duration::from_secs(30), "{path} never became {status}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How often the registry was asked by `method` for a path that ends so.
    pub(crate) fn asked(&self, method: &str, end: &str) -> usize {
        let requests = self.world.registry().requests().all();
        requests.iter().filter(|request| request.method == method && request.path.ends_with(end)).count()
    }
}

/// A program, run as this user.
pub(crate) fn setpriv(uid: u32, program: &Path) -> Command {
    let uid = uid.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]).arg(program);
    command
}

/// Asserts that an answer is a refusal with this reason code.
#[track_caller]
pub(crate) fn refused(answer: &Response, code: &str) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 403, "{body}");
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["errors"][0]["code"], "DENIED", "{body}");
    assert_eq!(error["errors"][0]["detail"]["reason"], code, "{body}");
}

/// Asserts that an answer is "cannot be decided", with this reason code.
#[track_caller]
pub(crate) fn undecided(answer: &Response, code: &str) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 503, "{body}");
    assert!(answer.headers.first("Retry-After").is_some(), "{body}");
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["errors"][0]["detail"]["reason"], code, "{body}");
}

/// Asserts that an answer has the bytes of a digest.
#[track_caller]
pub(crate) fn served(answer: &Response, digest: &str) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(trustctl_core::digest::Digest::sha256_of(&answer.body).to_string(), digest);
    assert_eq!(answer.headers.first("Docker-Content-Digest"), Some(digest));
}
