//! Registry, Notary server and Sigstore together, with one clock, one authority and one folder, and the variables that make programs use
//! them.

mod folder;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use trustctl_core::digest::Digest;

use crate::access::{Access, Account};
use crate::authority::Authority;
use crate::clock::Clock;
use crate::error::{LabError, io};
use crate::image::Artifact;
use crate::notary::{KeyAlgorithm, LabNotary, NotaryOptions};
use crate::registry::{LabRegistry, RegistryOptions, RegistrySettings};
use crate::sigstore::{Claims, LabSigstore, LogVersion, SigstoreOptions, SigstorePorts};
use folder::Folder;

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
    /// The loopback ports of the Sigstore services.
    pub sigstore_ports: SigstorePorts,
    /// Where its files are: an empty folder, one that does not exist yet, or a former lab's. It stays when the lab stops. `None` for a
    /// temporary one.
    pub folder: Option<PathBuf>,
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
            sigstore_ports: SigstorePorts::default(),
            folder: None,
            registry_tls: false,
            notary_tls: true,
        }
    }
}

/// A running lab. Everything stops, and a temporary folder is removed, when this value is dropped.
#[derive(Debug)]
pub struct World {
    registry: LabRegistry,
    notary: LabNotary,
    sigstore: LabSigstore,
    authority: Authority,
    clock: Clock,
    account: Account,
    folder: Folder,
}

impl World {
    /// Starts all services on 127.0.0.1 and writes what their clients need into the folder: the authority's certificate, a Docker
    /// configuration, and what [`World::sigstore_folder`] holds.
    ///
    /// # Errors
    /// [`LabError`] of the first service or file that fails; [`LabError::Folder`] when the folder holds something else,
    /// [`LabError::FolderInUse`] when another lab runs in it.
    pub fn start(options: WorldOptions) -> Result<Self, LabError> {
        let folder = Folder::open(options.folder.as_deref())?;
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
        let sigstore = LabSigstore::start(SigstoreOptions { clock: options.clock.clone(), ports: options.sigstore_ports })?;
        let clock = options.clock;
        let world = Self { registry, notary, sigstore, authority, clock, account, folder };
        world.write_files().map_err(io("writing the lab's folder"))?;
        world.write_sigstore_files()?;
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

    /// The Sigstore services.
    #[must_use]
    pub fn sigstore(&self) -> &LabSigstore {
        &self.sigstore
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

    /// A folder for keys, policies and state; a temporary one lives as long as the lab.
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
            ("TRUSTCTL_LAB_REGISTRY", self.registry.host()),
            ("XDG_CONFIG_HOME", path("config")),
            ("XDG_STATE_HOME", path("state")),
        ]
    }

    /// The folder with what clients have to know about the Sigstore: `trusted_root.json`, `signing_config.json` (Rekor v1),
    /// `signing_config_rekor_v2.json`, and in PEM `fulcio-chain.pem`, `tsa-chain.pem`, `ctlog.pub`, `rekor.pub` and `rekor-v2.pub`.
    #[must_use]
    pub fn sigstore_folder(&self) -> PathBuf {
        self.folder().join("sigstore")
    }

    /// Writes a token with these claims into the file `token` beside them; its path.
    ///
    /// # Errors
    /// [`LabError::Crypto`] and [`LabError::Io`].
    pub fn write_token(&self, claims: &Claims) -> Result<PathBuf, LabError> {
        let path = self.sigstore_folder().join("token");
        fs::write(&path, self.sigstore.token(claims)?).map_err(io("writing a token"))?;
        Ok(path)
    }

    /// Writes [`World::describe`] into the file `environment` of the folder, at once, so that a script can wait for it; its path.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub fn write_environment(&self) -> Result<PathBuf, LabError> {
        let path = self.folder().join(folder::ENVIRONMENT);
        let unfinished = path.with_extension("new");
        let written = fs::write(&unfinished, self.describe()).and_then(|()| fs::rename(&unfinished, &path));
        written.map_err(io("writing the lab's folder"))?;
        Ok(path)
    }

    /// The environment in which cosign 2 takes this Sigstore for the public one; cosign 3 is given `--trusted-root` instead.
    #[must_use]
    pub fn sigstore_environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.sigstore_folder().join(name).display().to_string();
        vec![
            ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", path("ctlog.pub")),
            ("SIGSTORE_REKOR_PUBLIC_KEY", path("rekor.pub")),
            ("SIGSTORE_ROOT_FILE", path("fulcio-chain.pem")),
        ]
    }

    /// What runs where, and everything that programs need to use it, as a shell script that sets variables: also those that make a program
    /// believe it runs in GitHub Actions, so that it gets its tokens from the lab.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("# {NOTICE}\n");
        let (folder, lab) = (self.folder().display(), &self.sigstore);
        let services = [
            ("registry", self.registry.url()),
            ("notary", self.notary.url()),
            ("issuer", lab.issuer().url()),
            ("fulcio", lab.fulcio().url()),
            ("rekor v1", lab.rekor().url()),
            ("rekor v2", lab.tiles().url()),
            ("timestamps", lab.timestamp_url()),
        ];
        for (name, url) in services {
            let _ = writeln!(text, "# {name:<10} {url}");
        }
        let _ = writeln!(text, "# notary -s {} --tlscacert {folder}/ca.crt", self.notary.url());
        let configured = "--signing-config \"$TRUSTCTL_LAB/sigstore/signing_config.json\"";
        let trusted = "--trusted-root \"$TRUSTCTL_LAB/sigstore/trusted_root.json\"";
        let _ = writeln!(text, "# cosign sign {configured} {trusted} IMAGE@DIGEST");
        let _ = writeln!(text, "# trustctl verify --identity IDENTITY --issuer {} {trusted} IMAGE", lab.issuer().url());
        let variables = [self.environment(), self.sigstore_environment(), lab.workload_environment()];
        for (name, value) in variables.into_iter().flatten().chain([("TRUSTCTL_LAB", folder.to_string())]) {
            let _ = writeln!(text, "export {name}='{value}'");
        }
        text
    }

    fn login(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.account.name, self.account.password))
    }

    fn write_sigstore_files(&self) -> Result<(), LabError> {
        let lab = &self.sigstore;
        let folder = self.sigstore_folder();
        let files = [
            ("ctlog.pub", lab.certificate_log_key_pem()),
            ("fulcio-chain.pem", lab.fulcio_chain_pem()?),
            ("rekor.pub", lab.rekor_key_pem()),
            ("rekor-v2.pub", lab.tiles_key_pem()),
            ("signing_config.json", lab.signing_config(LogVersion::V1)),
            ("signing_config_rekor_v2.json", lab.signing_config(LogVersion::V2)),
            ("trusted_root.json", lab.trusted_root().to_owned()),
            ("tsa-chain.pem", lab.timestamp_chain_pem()?),
        ];
        fs::create_dir_all(&folder).map_err(io("writing the lab's folder"))?;
        for (name, content) in files {
            fs::write(folder.join(name), content).map_err(io("writing the lab's folder"))?;
        }
        Ok(())
    }

    fn write_files(&self) -> std::io::Result<()> {
        let certificate = self.authority.certificate_pem();
        fs::write(self.folder().join("ca.crt"), certificate)?;
        for folder in ["config", "state", "docker"] {
            fs::create_dir_all(self.folder().join(folder))?;
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
