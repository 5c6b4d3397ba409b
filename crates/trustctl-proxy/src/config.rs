//! The configuration of the proxy, `proxy.toml`: read strictly, every contradiction refused with its line.
//!
//! The file is described by [`mod@reference`], from which `docs/reference/proxy-config.md` is generated.

mod form;
mod listen;
mod parse;
pub mod reference;
mod secret;
mod upstream;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason, Step};

use crate::upstreams::Upstreams;

/// Largest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1024 * 1024;
/// Largest key file that the configuration names, in bytes.
const MAX_KEY: u64 = 64 * 1024;

/// Everything that the proxy is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The policy file.
    pub policy: PathBuf,
    /// Where the configuration names it: file and line, for messages.
    pub policy_named: String,
    /// The folder for what is kept: evidence, memory, cache.
    pub state: PathBuf,
    /// Where clients are served; at least one.
    pub listen: Vec<Listen>,
    /// Where the status page, metrics and health are served.
    pub admin: Option<Listen>,
    /// The cache of blobs holds at most so many bytes.
    pub cache_size: u64,
    /// How long what is known is good for.
    pub times: Times,
    /// What clients may take.
    pub limits: Limits,
    /// The audit log.
    pub audit: PathBuf,
    /// Who may sign break-glass tokens; nobody where it is empty.
    pub break_glass: Vec<PublicKey>,
    /// The page that refusals lead to instead of the documentation of the reason.
    pub help: Option<String>,
    /// The registries that are served.
    pub upstreams: Upstreams,
    /// What is allowed and should be looked at all the same.
    pub warnings: Vec<Reason>,
}

/// An address that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 is one that the system chooses.
    pub address: SocketAddr,
    /// The files for TLS; none for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// The files that a listener needs for TLS. They are looked at again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Whose clients are let in.
    pub clients: Option<ClientAuthority>,
}

/// Who vouches for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthority {
    /// Certificates of authorities, PEM.
    pub authority: PathBuf,
    /// Whether a client without a certificate is turned away.
    pub required: bool,
}

/// How long what is known is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The answer for a tag; zero means that the upstream is asked each time.
    pub tag_ttl: Duration,
    /// After this at the latest a revocation counts.
    pub revocation: Duration,
    /// A refusal.
    pub refusal: Duration,
    /// What was verified, while the upstream is down.
    pub max_stale: Duration,
    /// A verification takes at most so long.
    pub verify: Duration,
}

/// What clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections of all listeners together.
    pub connections: usize,
    /// A client has to have sent the headers of a request after this time.
    pub header: Duration,
    /// A connection without a request, or one that takes nothing of its answer, is closed after this time.
    pub idle: Duration,
    /// Answers that run when the proxy is told to stop may take so long to end.
    pub shutdown: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            tag_ttl: Duration::from_secs(30),
            revocation: Duration::from_secs(60),
            refusal: Duration::from_secs(10),
            max_stale: Duration::from_secs(24 * 3600),
            verify: Duration::from_secs(8),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            header: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// The text of a configuration and what it refers to.
pub struct ConfigText<'a> {
    /// Where it comes from, for messages.
    pub name: &'a str,
    /// The folder from which its relative paths start.
    pub folder: &'a Path,
    /// The TOML text.
    pub text: &'a str,
    /// Reads a file that it names; the error is for people.
    pub load: &'a dyn Fn(&Path) -> Result<Vec<u8>, String>,
}

/// Why a configuration cannot be used: the place and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}: {message}")]
pub struct ConfigError {
    /// The configuration's name.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl ConfigError {
    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::new(Code::ProxyConfig, format!("{}, line {}: {}", self.name, self.line, self.message))
            .step(Step::command("fix the line, then run", ["trustctl", "proxy", "check", "--config", &self.name]))
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn parse(source: &ConfigText<'_>) -> Result<Self, ConfigError> {
        parse::parse(source)
    }

    /// Reads the configuration in a file, with the keys that it names.
    ///
    /// # Errors
    /// A [`Reason`] of [`Code::ProxyConfig`] or [`Code::LocalFile`].
    pub fn load(path: &Path) -> Result<Self, Reason> {
        let name = path.display().to_string();
        let bytes = read(path, MAX_CONFIG).map_err(|error| Reason::new(Code::LocalFile, format!("{name}: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| Reason::new(Code::ProxyConfig, format!("{name} is not UTF-8 text")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let load = |path: &Path| read(path, MAX_KEY);
        Self::parse(&ConfigText { name: &name, folder, text: &text, load: &load }).map_err(|error| error.reason())
    }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(format!("it is larger than {limit} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
