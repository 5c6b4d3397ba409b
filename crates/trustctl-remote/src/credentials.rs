//! Whose credentials go to which registry: the files and helper programs of Docker and Podman.
//!
//! Looked up only when a server asks for credentials. In order: the file named by `REGISTRY_AUTH_FILE`, Docker's `config.json`
//! (its helper for this registry, its general helper, its own entries), Podman's `auth.json`. The first that knows the registry
//! decides.

mod file;
mod helper;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::RemoteError;
use crate::http::Authorization;
use crate::limits::Deadline;
use file::ConfigFile;

/// The name under which Docker keeps the credentials for `docker.io`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What is known about one account. Erased from memory when dropped, never shown.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credential {
    /// An OAuth 2 refresh token (Docker calls it identity token).
    IdentityToken(Zeroizing<String>),
    /// A user name and a password.
    Password {
        /// The user name.
        user: Zeroizing<String>,
        /// The password.
        password: Zeroizing<String>,
    },
    /// A ready-made bearer token for the registry.
    RegistryToken(Zeroizing<String>),
}

impl Credential {
    /// A user name and a password.
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password { user: Zeroizing::new(user.into()), password: Zeroizing::new(password.into()) }
    }

    /// The `Authorization` header for a server that takes the credentials directly; `None` for an identity token.
    #[must_use]
    pub fn basic(&self) -> Option<Authorization> {
        match self {
            Self::Password { user, password } => Some(Authorization::basic(user, password)),
            Self::IdentityToken(_) | Self::RegistryToken(_) => None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdentityToken(_) => "IdentityToken(…)",
            Self::Password { .. } => "Password(…)",
            Self::RegistryToken(_) => "RegistryToken(…)",
        })
    }
}

/// Where credentials are looked up.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    sources: Vec<Place>,
    helper_path: Option<OsString>,
}

#[derive(Clone, Debug)]
enum Place {
    /// For this account alone.
    Fixed(String, Credential),
    /// A configuration file; `required` when the user named it.
    File { path: PathBuf, required: bool },
}

impl Credentials {
    /// No credentials for anybody.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The files that Docker and Podman use.
    ///
    /// `variable` looks up environment variables: `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, `XDG_RUNTIME_DIR`, `HOME`, `PATH`.
    pub fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let home = variable("HOME").map(PathBuf::from);
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let docker = variable("DOCKER_CONFIG").map(|folder| Path::new(&folder).join("config.json"));
        let runtime = variable("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("containers/auth.json"));
        let named = variable("REGISTRY_AUTH_FILE").map(|path| Place::File { path: path.into(), required: true });
        let usual = [docker.or_else(|| below_home(".docker/config.json")), runtime, below_home(".config/containers/auth.json")];
        let usual = usual.into_iter().flatten().map(|path| Place::File { path, required: false });
        Self { sources: named.into_iter().chain(usual).collect(), helper_path: variable("PATH") }
    }

    /// Credentials in the given file, in Docker's or Podman's form, and nowhere else.
    #[must_use]
    pub fn of_file(path: impl Into<PathBuf>) -> Self {
        Self { sources: vec![Place::File { path: path.into(), required: true }], helper_path: std::env::var_os("PATH") }
    }

    /// Adds credentials that are used for `account` before all others.
    #[must_use]
    pub fn with(mut self, account: impl Into<String>, credential: Credential) -> Self {
        self.sources.insert(0, Place::Fixed(account.into(), credential));
        self
    }

    /// The credentials for `account`: a registry as references name it (`docker.io`, `localhost:5000`), optionally with the
    /// repository's path behind it, for which Podman may have credentials of its own.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`] for a file that cannot be read; [`RemoteError::CredentialHelper`] for a helper that fails.
    pub async fn lookup(&self, account: &str, deadline: Deadline) -> Result<Option<Credential>, RemoteError> {
        let registry = account.split('/').next().unwrap_or(account);
        for place in &self.sources {
            let (path, required) = match place {
                Place::Fixed(known, credential) if known == account || known == registry => return Ok(Some(credential.clone())),
                Place::Fixed(..) => continue,
                Place::File { path, required } => (path, *required),
            };
            let Some(config) = ConfigFile::read(path, required)? else { continue };
            for helper in config.helpers(registry) {
                let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
                let asked = helper::ask(helper, server, self.helper_path.as_deref(), deadline).await?;
                if asked.is_some() {
                    return Ok(asked);
                }
            }
            if let Some(found) = config.entry(account, path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
