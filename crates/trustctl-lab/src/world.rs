//! Registry and Notary server together, with one clock, one authority and one folder, and the variables that make programs use them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;
use trustctl_core::digest::Digest;

use crate::access::{Access, Account};
use crate::authority::Authority;
use crate::clock::Clock;
use crate::error::{LabError, io};
use crate::image::Artifact;
use crate::notary::{KeyAlgorithm, LabNotary, NotaryOptions};
use crate::registry::{LabRegistry, RegistryOptions, RegistrySettings};

/// What every user of a lab has to be told.
pub const NOTICE: &str =
    "NOT FOR PRODUCTION: this lab keeps everything in memory, guards nothing, and forgets all keys when it stops.";

/// How a [`World`] starts.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Who may do what, in the registry and in the Notary server.
    pub access: Access,
    /// How the registry behaves where registries differ.
    pub settings: RegistrySettings,
    /// The kind of keys the Notary server makes.
    pub algorithm: KeyAlgorithm,
    /// The time of all services.
    pub clock: Clock,
    /// The registry's loopback port; 0 lets the system choose.
    pub registry_port: u16,
    /// The Notary server's loopback port; 0 lets the system choose.
    pub notary_port: u16,
    /// Whether the registry speaks TLS. Clients take plain HTTP on loopback.
    pub registry_tls: bool,
    /// Whether the Notary server speaks TLS. `docker` wants it, `notary` and trustctl take both.
    pub notary_tls: bool,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            access: Access::Open,
            settings: RegistrySettings::default(),
            algorithm: KeyAlgorithm::default(),
            clock: Clock::system(),
            registry_port: 0,
            notary_port: 0,
            registry_tls: false,
            notary_tls: true,
        }
    }
}

/// A running lab. Everything stops, and its folder is removed, when this value is dropped.
#[derive(Debug)]
pub struct World {
    registry: LabRegistry,
    notary: LabNotary,
    authority: Authority,
    clock: Clock,
    account: Account,
    folder: TempDir,
}

impl World {
    /// Starts all services on 127.0.0.1 and writes the authority's certificate and a Docker configuration into a new temporary folder.
    ///
    /// # Errors
    /// [`LabError`] of the first service or file that fails.
    pub fn start(options: WorldOptions) -> Result<Self, LabError> {
        let authority = Authority::create()?;
        let account = first_account(&options.access);
        let registry = LabRegistry::start(RegistryOptions {
            port: options.registry_port,
            access: options.access.clone(),
            settings: options.settings,
            tls: options.registry_tls.then(|| authority.clone()),
        })?;
        let notary = LabNotary::start(NotaryOptions {
            port: options.notary_port,
            access: options.access,
            tls: options.notary_tls.then(|| authority.clone()),
            algorithm: options.algorithm,
            clock: options.clock.clone(),
        })?;
        let folder = tempfile::Builder::new().prefix("trustctl-lab-").tempdir().map_err(io("making a temporary folder"))?;
        let world = Self { registry, notary, authority, clock: options.clock, account, folder };
        world.write_files().map_err(io("writing the lab's folder"))?;
        Ok(world)
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> &LabRegistry {
        &self.registry
    }

    /// The Notary server.
    #[must_use]
    pub fn notary(&self) -> &LabNotary {
        &self.notary
    }

    /// The clock of all services.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The authority of all TLS certificates; its own is `ca.crt` in the folder.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The account that clients of the lab log in with; services that are open to everybody ignore it.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// A folder that lives as long as the lab, for keys, policies and state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The full name of an image or repository of this lab, which is also a repository's GUN: `shop/cart:1.4` becomes
    /// `127.0.0.1:PORT/shop/cart:1.4`.
    #[must_use]
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.registry.host())
    }

    /// Pushes an artifact over HTTP as `shop/cart:1.4`, or by digest when no tag is written; returns its digest.
    ///
    /// # Errors
    /// [`LabError::Refused`] with the registry's answer; [`LabError::Http`] when there was none.
    pub fn push(&self, image: &str, artifact: &Artifact) -> Result<Digest, LabError> {
        let (name, tag) = image.split_once(':').map_or((image, None), |(name, tag)| (name, Some(tag)));
        self.registry.push(name, tag, artifact, Some(&self.account))
    }

    /// The environment in which `docker`, `notary`, `cosign` and `trustctl` use this lab and leave the user's own files alone.
    ///
    /// State and configuration are the lab's own, because what was seen on a port of one lab says nothing about the next lab on that port.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder().join(name).display().to_string();
        vec![
            ("DOCKER_CONFIG", path("docker")),
            ("DOCKER_CONTENT_TRUST", "1".to_owned()),
            ("DOCKER_CONTENT_TRUST_SERVER", self.notary.url()),
            ("NOTARY_AUTH", self.login()),
            ("SSL_CERT_FILE", path("ca.crt")),
            ("XDG_CONFIG_HOME", path("config")),
            ("XDG_STATE_HOME", path("state")),
        ]
    }

    /// What runs where, and the environment as shell commands.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("# {NOTICE}\n");
        let _ = writeln!(text, "# registry  {}", self.registry.url());
        let _ = writeln!(text, "# notary    {}", self.notary.url());
        let _ = writeln!(text, "# notary -s {} --tlscacert {}/ca.crt", self.notary.url(), self.folder().display());
        for (name, value) in self.environment() {
            let _ = writeln!(text, "export {name}='{value}'");
        }
        text
    }

    fn login(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.account.name, self.account.password))
    }

    fn write_files(&self) -> std::io::Result<()> {
        let certificate = self.authority.certificate_pem();
        fs::write(self.folder().join("ca.crt"), certificate)?;
        for folder in ["config", "state", "docker"] {
            fs::create_dir(self.folder().join(folder))?;
        }
        let docker = self.folder().join("docker");
        let mut logins = serde_json::Map::new();
        for host in [self.registry.host(), self.notary.host()] {
            for name in [host.clone(), host.replace("127.0.0.1", "localhost")] {
                let trusted = docker.join("tls").join(&name);
                fs::create_dir_all(&trusted)?;
                fs::write(trusted.join("ca.crt"), certificate)?;
                logins.insert(name, json!({"auth": self.login()}));
            }
        }
        fs::write(docker.join("config.json"), json!({"auths": logins}).to_string())
    }
}

/// The first account that may do everything, or one that nobody asks for.
fn first_account(access: &Access) -> Account {
    let accounts = match access {
        Access::Basic(accounts) => accounts.as_slice(),
        Access::Open => &[],
        Access::Token(rules) => rules.accounts.as_slice(),
    };
    accounts.iter().max_by_key(|account| account.rights).cloned().unwrap_or_else(|| Account::admin("lab", "not-a-secret"))
}
