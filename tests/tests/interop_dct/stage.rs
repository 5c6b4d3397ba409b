//! The servers of one test, the people in it, and what is asserted about their programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use trustctl_tests::engine::{DockerClient, Engine};
use trustctl_tests::image::{Image, Repository};
use trustctl_tests::notary::{NotaryClient, NotaryServer, Options, REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE};
use trustctl_tests::peers::{Peer, Program, skip};
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::User;
use trustctl_tests::registry::{DebianRegistry, Options as RegistryOptions};

/// A registry and a Notary server, with the client programs that are tested against them.
pub(crate) struct Stage {
    pub(crate) registry: DebianRegistry,
    pub(crate) notary: NotaryServer,
    notary_client: Program,
    docker: Option<(Program, Engine)>,
}

/// Somebody who uses trustctl: a home with the Notary server's authority in its Docker configuration.
pub(crate) struct Person {
    home: TempDir,
    user: User,
}

impl Stage {
    /// Servers with which everybody may do everything, and no engine.
    pub(crate) fn without_engine() -> Option<Self> {
        Self::of(&RegistryOptions::default(), &Options::default())
    }

    /// The same with an engine.
    pub(crate) fn with_engine() -> Option<Self> {
        let stage = Self::without_engine()?;
        stage.and_engine()
    }

    /// Servers set up in a special way, and no engine.
    pub(crate) fn of(registry: &RegistryOptions, notary: &Options) -> Option<Self> {
        let (program, server) = (Peer::DockerRegistry.or_skip()?, Peer::NotaryServer.or_skip()?);
        let notary_client = Peer::Notary.or_skip()?;
        let registry = DebianRegistry::start(&program, registry).unwrap();
        let notary = NotaryServer::start(&server, notary).unwrap();
        Some(Self { registry, notary, notary_client, docker: None })
    }

    /// The same with an engine and Docker's client.
    pub(crate) fn and_engine(mut self) -> Option<Self> {
        let (client, dockerd) = (Peer::DockerCli.or_skip()?, Peer::Dockerd.or_skip()?);
        match Engine::start(&dockerd) {
            Ok(engine) => self.docker = Some((client, engine)),
            Err(failure) if failure.to_string().contains("needs to be started with root") => {
                skip("dockerd", "it needs root");
                return None;
            }
            Err(failure) => panic!("{failure}"),
        }
        Some(self)
    }

    /// `localhost:PORT`, as references name the registry.
    pub(crate) fn address(&self) -> String {
        format!("localhost:{}", self.registry.port())
    }

    /// A repository on the registry.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        Repository::new(self.address(), name)
    }

    /// The collection of a repository: its full name.
    pub(crate) fn gun(&self, name: &str) -> String {
        format!("{}/{name}", self.address())
    }

    /// Pushes an image that nobody else has, and returns its digest.
    pub(crate) fn push(&self, name: &str, tag: &str) -> String {
        let digest = Image::docker(&format!("{name} {tag}")).push(&self.repository(name), tag).unwrap();
        assert!(digest.starts_with("sha256:"));
        digest
    }

    /// The digest that a tag has in the registry now. A push by the engine writes the manifest anew.
    pub(crate) fn digest(&self, name: &str, tag: &str) -> String {
        let answer = self.repository(name).ask("GET", &format!("manifests/{tag}")).unwrap();
        answer.headers.first("Docker-Content-Digest").unwrap().to_owned()
    }

    /// The length of a manifest of the repository with this full name, in digits.
    pub(crate) fn size(&self, gun: &str, digest: &str) -> String {
        let name = gun.split_once('/').unwrap().1;
        self.repository(name).ask("GET", &format!("manifests/{digest}")).unwrap().body.len().to_string()
    }

    /// Docker with Content Trust, with a configuration of its own.
    pub(crate) fn docker(&self) -> DockerClient {
        let (client, engine) = self.docker.as_ref().unwrap();
        DockerClient::new(client, engine, Some(&self.notary)).unwrap()
    }

    /// Docker without Content Trust.
    pub(crate) fn plain_docker(&self) -> DockerClient {
        let (client, engine) = self.docker.as_ref().unwrap();
        DockerClient::new(client, engine, None).unwrap()
    }

    /// The notary client, with a trust directory of its own.
    pub(crate) fn notary(&self) -> NotaryClient {
        NotaryClient::new(&self.notary_client, &self.notary).unwrap()
    }

    /// Somebody new who uses trustctl.
    pub(crate) fn person(&self) -> Person {
        let home = tempfile::tempdir().unwrap();
        let tls = home.path().join(".docker/tls").join(self.notary.address());
        fs::create_dir_all(&tls).unwrap();
        fs::copy(self.notary.authority(), tls.join("ca.crt")).unwrap();
        let user = self.equipped(User::new(home.path()));
        Person { home, user }
    }

    /// Somebody new who uses trustctl with the configuration, keys and trust directory of a Docker client.
    pub(crate) fn person_of(&self, client: &DockerClient) -> Person {
        let home = tempfile::tempdir().unwrap();
        let user = self.equipped(User::new(home.path())).with("DOCKER_CONFIG", client.config().display().to_string());
        Person { home, user }
    }

    fn equipped(&self, user: User) -> User {
        user.with("DOCKER_CONTENT_TRUST_SERVER", self.notary.url())
            .with("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", ROOT_PASSPHRASE)
            .with("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", REPOSITORY_PASSPHRASE)
    }
}

impl Person {
    /// The home.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The trust directory in the home.
    pub(crate) fn trust_directory(&self) -> PathBuf {
        self.home().join(".docker/trust")
    }

    /// The user of the program.
    pub(crate) fn user(&self) -> &User {
        &self.user
    }

    /// Runs trustctl, which must succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn does(&self, words: &[&str]) -> Value {
        let (value, code) = self.user.json(words).unwrap();
        assert_eq!(code, Some(0), "{words:?}: {value:#}");
        value
    }

    /// Runs trustctl, which must fail with this exit code and reason.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str], exit: i32, reason: &str) -> Value {
        let (value, code) = self.user.json(words).unwrap();
        assert_eq!((code, value["error"]["code"].as_str()), (Some(exit), Some(reason)), "{words:?}: {value:#}");
        assert_eq!(value["exit"], exit, "{value:#}");
        value
    }

    /// Signs an image, named by digest, with Docker Content Trust, and returns the report on it.
    #[track_caller]
    pub(crate) fn signs(&self, image: &str, tag: &str, more: &[&str]) -> Value {
        let words = [&["sign", image, "--tag", tag, "--scheme", "dct"], more].concat();
        self.does(&words)["results"][0].clone()
    }

    /// Verifies an image, which must be trusted, and returns the report on it.
    #[track_caller]
    pub(crate) fn trusts(&self, image: &str, whom: &[&str]) -> Value {
        let report = self.does(&[&["verify", image], whom].concat());
        assert_eq!(report["results"][0]["verdict"], "trusted", "{report:#}");
        report["results"][0].clone()
    }

    /// Verifies an image, which must be judged otherwise, with this exit code and first reason.
    #[track_caller]
    pub(crate) fn judges(&self, image: &str, whom: &[&str], (verdict, exit, reason): (&str, i32, &str)) -> Value {
        let (report, code) = self.user.json(&[&["verify", image], whom].concat()).unwrap();
        let result = &report["results"][0];
        let found = (result["verdict"].as_str(), code, result["reasons"][0]["code"].as_str());
        assert_eq!(found, (Some(verdict), Some(exit), Some(reason)), "{image}: {report:#}");
        result.clone()
    }
}

/// What running a command brought.
pub(crate) fn ran(mut command: Command) -> Ran {
    run(&mut command, Duration::from_secs(60)).unwrap()
}

/// Runs a command that must succeed.
#[track_caller]
pub(crate) fn accepts(command: Command) -> Ran {
    match ran(command).ok() {
        Ok(ran) => ran,
        Err(failure) => panic!("{failure}"),
    }
}

/// Runs a command that must fail and say why.
#[track_caller]
pub(crate) fn refuses(command: Command, because: &str) -> Ran {
    let ran = ran(command);
    assert!(!ran.success(), "it should have been refused: {} {}", ran.command, ran.output());
    assert!(ran.output().contains(because), "refused for another reason than {because:?}: {}", ran.output());
    ran
}

/// The key id of the root that a trust directory has cached for a collection.
#[track_caller]
pub(crate) fn root_id(trust_directory: &Path, gun: &str) -> String {
    let file = trust_directory.join(format!("tuf/{gun}/metadata/root.json"));
    let root: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    root["signed"]["roles"]["root"]["keyids"][0].as_str().unwrap().to_owned()
}

/// The hexadecimal digits of a digest.
pub(crate) fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap()
}

/// The JSON that a command prints.
#[track_caller]
pub(crate) fn json_of(command: Command) -> Value {
    let ran = accepts(command);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.output()))
}
