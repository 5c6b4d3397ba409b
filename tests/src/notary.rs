//! notary-server, alone or with notary-signer, and the notary client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::failure::{Failure, io};
use crate::peers::Program;
use crate::process::{Ready, Server};
use crate::tls::{Authority, Pair};
use crate::tokens::{ISSUER, SERVICE, TokenServer};

/// The passphrase of root keys that [`NotaryClient`] and [`crate::engine::DockerClient`] make.
pub const ROOT_PASSPHRASE: &str = "root-throw-away";
/// The passphrase of all their other keys.
pub const REPOSITORY_PASSPHRASE: &str = "repository-throw-away";

/// How a [`NotaryServer`] is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A notary-signer that holds the server's keys (ECDSA), reached over mutual TLS; without it the server holds them itself (Ed25519).
    pub signer: Option<Program>,
    /// Whether reads need an anonymous token and writes a token of [`crate::tokens::USER`].
    pub tokens: bool,
}

/// notary-server on loopback with TLS and its storage in memory.
#[derive(Debug)]
pub struct NotaryServer {
    // The server is stopped before the signer that it asks.
    server: Server,
    signer: Option<Server>,
    tokens: Option<TokenServer>,
    authority: Authority,
    _folder: TempDir,
}

/// The notary client with a trust directory of its own.
#[derive(Debug)]
pub struct NotaryClient {
    program: Program,
    folder: TempDir,
    config: PathBuf,
}

impl NotaryServer {
    /// Starts an empty server, and first the signer when there is to be one.
    ///
    /// # Errors
    /// [`Failure::NotReady`] with its log when it does not come up; [`Failure::Io`] and [`Failure::Certificate`] for its files.
    pub fn start(program: &Program, options: &Options) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(io("temporary folder"))?;
        let authority = Authority::create(folder.path())?;
        let pair = authority.issue("notary-server")?;
        let signer = match &options.signer {
            Some(signer) => Some(start_signer(signer, &authority, folder.path())?),
            None => None,
        };
        let tokens = if options.tokens { Some(start_tokens(folder.path())?) } else { None };
        let trust = trust_service(signer.as_ref(), &authority, &pair);
        let server = Server::start("notary-server", folder.path(), &Ready::Tcp, |port| {
            let mut config = json!({
                "server": {"http_addr": format!("127.0.0.1:{port}"), "tls_key_file": pair.key, "tls_cert_file": pair.certificate},
                "trust_service": trust, "logging": {"level": "info"}, "storage": {"backend": "memory"},
            });
            if let (Some(tokens), Some(members)) = (&tokens, config.as_object_mut()) {
                let options = json!({"realm": tokens.realm(), "service": SERVICE, "issuer": ISSUER, "rootcertbundle": tokens.certificate()});
                members.insert("auth".to_owned(), json!({"type": "token", "options": options}));
            }
            configured(program, folder.path(), "server.json", &config)
        })?;
        Ok(Self { server, signer, tokens, authority, _folder: folder })
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.server.address())
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// The loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The certificate file of the authority that issued the server's certificate.
    #[must_use]
    pub fn authority(&self) -> &Path {
        self.authority.certificate()
    }

    /// The token server beside it, when there is one.
    #[must_use]
    pub fn tokens(&self) -> Option<&TokenServer> {
        self.tokens.as_ref()
    }

    /// Everything that the server and then the signer have logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log() + &self.signer.as_ref().map(Server::log).unwrap_or_default()
    }
}

impl NotaryClient {
    /// A client of `server` whose trust directory is empty.
    ///
    /// # Errors
    /// [`Failure::Io`] for its files.
    pub fn new(program: &Program, server: &NotaryServer) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(io("temporary folder"))?;
        let config = folder.path().join("config.json");
        let text = json!({
            "trust_dir": folder.path().join("trust"),
            "remote_server": {"url": server.url(), "root_ca": server.authority()},
        });
        fs::write(&config, text.to_string()).map_err(io("config.json"))?;
        Ok(Self { program: program.clone(), folder, config })
    }

    /// `notary` with its configuration and passphrases and these arguments.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program.command(self.folder.path());
        command.arg("-c").arg(&self.config).args(arguments).env("NOTARY_ROOT_PASSPHRASE", ROOT_PASSPHRASE);
        for role in ["TARGETS", "SNAPSHOT", "DELEGATION"] {
            command.env(format!("NOTARY_{role}_PASSPHRASE"), REPOSITORY_PASSPHRASE);
        }
        command
    }

    /// Its trust directory: `private/` and `tuf/`.
    #[must_use]
    pub fn trust_directory(&self) -> PathBuf {
        self.folder.path().join("trust")
    }
}

fn start_signer(program: &Program, authority: &Authority, folder: &Path) -> Result<Server, Failure> {
    let pair = authority.issue("notary-signer")?;
    Server::start("notary-signer", folder, &Ready::Tcp, |port| {
        let config = json!({
            "server": {
                "grpc_addr": format!("127.0.0.1:{port}"), "tls_cert_file": pair.certificate, "tls_key_file": pair.key,
                "client_ca_file": authority.certificate(),
            },
            "logging": {"level": "info"}, "storage": {"backend": "memory"},
        });
        configured(program, folder, "signer.json", &config)
    })
}

fn start_tokens(folder: &Path) -> Result<TokenServer, Failure> {
    let folder = folder.join("tokens");
    fs::create_dir(&folder).map_err(io("folder for tokens"))?;
    TokenServer::start(&folder)
}

fn trust_service(signer: Option<&Server>, authority: &Authority, client: &Pair) -> Value {
    match signer {
        None => json!({"type": "local"}),
        Some(signer) => json!({
            "type": "remote", "hostname": "127.0.0.1", "port": signer.port().to_string(), "key_algorithm": "ecdsa",
            "tls_ca_file": authority.certificate(), "tls_client_cert": client.certificate, "tls_client_key": client.key,
        }),
    }
}

fn configured(program: &Program, folder: &Path, name: &str, config: &Value) -> Result<Command, Failure> {
    let file = folder.join(name);
    fs::write(&file, config.to_string()).map_err(io(name))?;
    let mut command = program.command(folder);
    command.arg("-config").arg(file).arg("-logf").arg("logfmt");
    Ok(command)
}
