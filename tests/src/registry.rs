//! Real registries on loopback.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failure::{Failure, io};
use crate::peers::Program;
use crate::process::{Ready, Server};
use crate::tls::Authority;
use crate::tokens::{ISSUER, SERVICE, TokenServer};

/// Who may do what in a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Only [`crate::tokens::USER`] may do anything (HTTP basic authentication).
    Basic,
    /// Everybody may do everything.
    #[default]
    Open,
    /// Everybody may pull, only [`crate::tokens::USER`] may push (bearer tokens).
    Token,
}

/// How a [`DebianRegistry`] is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Who may do what.
    pub access: Access,
    /// Whether it speaks TLS, with a certificate of a throw-away authority, or plain HTTP.
    pub tls: bool,
}

/// Debian's docker-registry: no referrers API, deletion enabled.
#[derive(Debug)]
pub struct DebianRegistry {
    server: Server,
    authority: Option<Authority>,
    tokens: Option<TokenServer>,
    folder: TempDir,
}

/// ferro-oci-server: the referrers API, plain HTTP, no access control.
#[derive(Debug)]
pub struct FerroRegistry {
    server: Server,
    _folder: TempDir,
}

/// crane's registry for tests: no referrers API, everything in memory, plain HTTP, no access control.
#[derive(Debug)]
pub struct CraneRegistry {
    server: Server,
    _folder: TempDir,
}

impl DebianRegistry {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// [`Failure::NotReady`] with its log when it does not come up; [`Failure::Io`] and [`Failure::Certificate`] for its files.
    pub fn start(program: &Program, options: &Options) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(io("temporary folder"))?;
        let authority = if options.tls { Some(Authority::create(folder.path())?) } else { None };
        let tokens = if options.access == Access::Token { Some(start_tokens(folder.path())?) } else { None };
        let mut text = base_config(folder.path());
        if let Some(authority) = &authority {
            let pair = authority.issue("registry")?;
            text += &format!("  tls:\n    certificate: {}\n    key: {}\n", pair.certificate.display(), pair.key.display());
        }
        match &tokens {
            Some(tokens) => text += &token_config(tokens),
            None if options.access == Access::Basic => text += &basic_config(folder.path())?,
            None => {}
        }
        let ready = if options.tls { Ready::Tcp } else { Ready::Http("/v2/".to_owned()) };
        let server = Server::start("docker-registry", folder.path(), &ready, |port| {
            let file = folder.path().join("config.yml");
            fs::write(&file, text.replace("@PORT@", &port.to_string())).map_err(io("config.yml"))?;
            let mut command = program.command(folder.path());
            command.arg("serve").arg(file);
            Ok(command)
        })?;
        Ok(Self { server, authority, tokens, folder })
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

    /// The certificate file of the authority that issued its certificate, when it speaks TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_ref().map(Authority::certificate)
    }

    /// The token server beside it, with [`Access::Token`].
    #[must_use]
    pub fn tokens(&self) -> Option<&TokenServer> {
        self.tokens.as_ref()
    }

    /// The folder in which it keeps its blobs, for tests that damage them.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }
}

impl FerroRegistry {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// [`Failure::NotReady`] with its log when it does not come up; [`Failure::Io`] for its folder.
    pub fn start(program: &Program) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(io("temporary folder"))?;
        let server = Server::start("ferro-oci-server", folder.path(), &Ready::Http("/v2/".to_owned()), |port| {
            let mut command = program.command(folder.path());
            // Its default is to listen on all interfaces.
            command.env("FERRO_OCI_LISTEN", format!("127.0.0.1:{port}"));
            command.env("FERRO_OCI_STORAGE_DIR", folder.path().join("storage"));
            Ok(command)
        })?;
        Ok(Self { server, _folder: folder })
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
}

impl CraneRegistry {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// [`Failure::NotReady`] with its log when it does not come up; [`Failure::Io`] for its folder.
    pub fn start(program: &Program) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(io("temporary folder"))?;
        let server = Server::start("crane", folder.path(), &Ready::Http("/v2/".to_owned()), |port| {
            let mut command = program.command(folder.path());
            command.args(["registry", "serve", "--address", &format!("127.0.0.1:{port}")]);
            Ok(command)
        })?;
        Ok(Self { server, _folder: folder })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address()
    }
}

fn start_tokens(folder: &Path) -> Result<TokenServer, Failure> {
    // A folder of its own: the registry's authority has a file of the same name.
    let folder = folder.join("tokens");
    fs::create_dir(&folder).map_err(io("folder for tokens"))?;
    TokenServer::start(&folder)
}

fn base_config(folder: &Path) -> String {
    format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:@PORT@\n  secret: trustctl-tests\n  relativeurls: true\n",
        folder.join("storage").display()
    )
}

fn basic_config(folder: &Path) -> Result<String, Failure> {
    let file = folder.join("htpasswd");
    fs::write(&file, HTPASSWD).map_err(io("htpasswd"))?;
    Ok(format!("auth:\n  htpasswd:\n    realm: trustctl-tests\n    path: {}\n", file.display()))
}

fn token_config(tokens: &TokenServer) -> String {
    format!(
        "auth:\n  token:\n    realm: {}\n    service: {SERVICE}\n    issuer: {ISSUER}\n    rootcertbundle: {}\n",
        tokens.realm(),
        tokens.certificate().display()
    )
}

/// [`crate::tokens::USER`] and the bcrypt hash (cost 5) of [`crate::tokens::PASSWORD`]; docker-registry takes no other kind of hash.
const HTPASSWD: &str = "alice:$2y$05$19rEhuMRVl8syt7/9C9BGujEmFiEhp0i4fGSVRzWR0n.xt5RXxNtC\n";
