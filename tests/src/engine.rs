//! A Docker engine of its own on a Unix socket, and a Docker client with Content Trust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::Hub;
use crate::failure::{Failure, io};
use crate::notary::{NotaryServer, REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE};
use crate::peers::Program;
use crate::process::{Ready, Server};
use crate::tokens::basic;

/// A running dockerd; it needs root.
#[derive(Debug)]
pub struct Engine {
    server: Server,
    folder: TempDir,
}

/// The Docker client with a configuration directory of its own.
#[derive(Debug)]
pub struct DockerClient {
    program: Program,
    socket: PathBuf,
    notary: Option<String>,
    folder: TempDir,
}

/// How an engine differs from the usual one.
#[derive(Debug, Default)]
pub struct EngineOptions<'a> {
    /// What its `daemon.json` says; nothing by default.
    pub settings: Value,
    /// The storage driver, or the snapshotter where containerd keeps the images; `vfs` by default.
    pub storage: Option<&'a str>,
    /// What it takes for Docker Hub; without, it knows the real one, which no test asks.
    pub hub: Option<&'a Hub>,
    /// What it sees as `/etc/docker`; goes with `hub`.
    pub etc: Option<&'a Path>,
    /// The containerd that it starts; else the first one on the path.
    pub containerd: Option<&'a Program>,
    /// Whether it makes networks for its containers: it gets a network of its own then, from which nothing outside can be reached
    /// ([`Engine::inside`]), and knows no hub. By default it makes none.
    pub networks: bool,
}

impl Engine {
    /// Starts an engine without images; registries on 127.0.0.1 may speak plain HTTP to it.
    ///
    /// # Errors
    /// [`Failure::NotReady`] with its log when it does not come up; [`Failure::Io`] for its files.
    pub fn start(program: &Program) -> Result<Self, Failure> {
        Self::start_with(program, &EngineOptions::default())
    }

    /// Like [`Engine::start`], for an engine that differs.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_with(program: &Program, options: &EngineOptions<'_>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(io("temporary folder"))?;
        let at = |name: &str| folder.path().join(name);
        let settings = if options.settings.is_null() { json!({}) } else { options.settings.clone() };
        fs::write(at("daemon.json"), settings.to_string()).map_err(io("daemon.json"))?;
        let server = Server::start("dockerd", folder.path(), &Ready::Socket(at(SOCKET)), |_| {
            let mut command = match options.hub {
                Some(hub) => hub.command(program, folder.path(), options.etc),
                None if options.networks => with_own_network(program.path(), folder.path()),
                None => program.command(folder.path()),
            };
            if let Some(place) = options.containerd.and_then(|program| program.path().parent()) {
                command.env("PATH", format!("{}:{SEARCH_PATH}", place.display()));
            }
            command.arg("--config-file").arg(at("daemon.json")).arg("--data-root").arg(at("data"));
            command.arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("pid"));
            command.arg("-H").arg(format!("unix://{}", at(SOCKET).display()));
            command.arg(format!("--storage-driver={}", options.storage.unwrap_or("vfs")));
            if !options.networks {
                command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
                command.args(["--ip-forward=false", "--ip-masq=false", "--userland-proxy=false"]);
            }
            Ok(command)
        })?;
        Ok(Self { server, folder })
    }

    /// The Unix socket of its API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// The Unix socket of the containerd that it runs.
    #[must_use]
    pub fn containerd(&self) -> PathBuf {
        self.folder.path().join("exec/containerd/containerd.sock")
    }

    /// Where all its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The same command, run where the engine publishes its containers' ports.
    #[must_use]
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net=/proc/{}/ns/net", self.server.pid())).arg(command.get_program()).args(command.get_args());
        inside.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// The program in a network of its own, which has a loopback interface and no way out.
fn with_own_network(program: &Path, home: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", r#"ip link set lo up && exec "$@""#, "sh"]).arg(program);
    command.env_clear().current_dir(home).env("HOME", home).env("PATH", SEARCH_PATH);
    command
}

impl DockerClient {
    /// A client of `engine` whose configuration and trust directory are empty; with a Notary server, Content Trust is on.
    ///
    /// # Errors
    /// [`Failure::Io`] for its files.
    pub fn new(program: &Program, engine: &Engine, notary: Option<&NotaryServer>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(io("temporary folder"))?;
        if let Some(notary) = notary {
            let tls = folder.path().join(".docker/tls").join(notary.address());
            fs::create_dir_all(&tls).map_err(io("folder for certificates"))?;
            fs::copy(notary.authority(), tls.join("ca.crt")).map_err(io("ca.crt"))?;
        }
        let client = Self { program: program.clone(), socket: engine.socket(), notary: notary.map(NotaryServer::url), folder };
        fs::create_dir_all(client.config()).map_err(io("configuration folder"))?;
        Ok(client)
    }

    /// Stores the credentials of [`crate::tokens::USER`] for these hosts, as `docker login` does.
    ///
    /// `docker trust sign` names the signer after the user who is logged in to the registry.
    ///
    /// # Errors
    /// [`Failure::Io`] when its configuration cannot be written.
    pub fn log_in(&self, hosts: &[&str]) -> Result<(), Failure> {
        let secret = basic();
        let secret = secret.trim_start_matches("Basic ");
        let hosts: serde_json::Map<_, _> = hosts.iter().map(|host| ((*host).to_owned(), json!({"auth": secret}))).collect();
        fs::write(self.config().join("config.json"), json!({"auths": hosts}).to_string()).map_err(io("config.json"))
    }

    /// `docker` with its environment and these arguments.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program.command(self.folder.path());
        command
            .args(arguments)
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("DOCKER_CONFIG", self.config());
        if let Some(notary) = &self.notary {
            command.env("DOCKER_CONTENT_TRUST", "1").env("DOCKER_CONTENT_TRUST_SERVER", notary);
            command.env("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", ROOT_PASSPHRASE);
            command.env("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", REPOSITORY_PASSPHRASE);
        }
        command
    }

    /// Its configuration directory (`DOCKER_CONFIG`); the trust directory is `trust` in it.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join(".docker")
    }

    /// Its home directory, which is also the directory its commands run in.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.folder.path()
    }
}

const SOCKET: &str = "docker.sock";
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
