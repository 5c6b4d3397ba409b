//! How clients are set up so that they get images from the proxy and from nowhere else: pure functions from what is wanted to files.
//!
//! A mirror enforces nothing: every client that was measured takes a refusal of a mirror as a cause to ask the registry itself. So what is
//! made here names the proxy as the registry's only address; and where a client has no such setting, that is said. What was measured, with
//! which versions, is in `docs/reference/clients.md`.

mod containerd;
mod containers;
mod docker;
mod k3s;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use trustctl_core::reference::Reference;

/// Begins every file that is made here, after the file's sign for a comment.
pub const MARK: &str = "Made by trustctl proxy client-config.";
/// Longest line of a comment, where its words allow that.
const WIDTH: usize = 120;
/// The registry that is meant where none is named and the client must be told names.
const DOCKER_HUB: &str = "docker.io";

/// A program that pulls images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// BuildKit as a daemon of its own, and the one inside Docker.
    Buildkit,
    /// containerd, by `ctr`, `nerdctl` or Kubernetes.
    Containerd,
    /// CRI-O.
    Crio,
    /// The Docker engine.
    Docker,
    /// k3s and RKE2, which write containerd's configuration themselves.
    K3s,
    /// Podman, Buildah and Skopeo.
    Podman,
}

/// Where the proxy is and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The proxy.
    pub proxy: Address,
    /// The registries that it stands for; empty for all, where the client knows such a setting, else for Docker Hub.
    pub registries: Vec<Served>,
    /// The certificate of the authority behind the proxy's own, where the system does not know it: an absolute path on the client's host.
    pub authority: Option<PathBuf>,
}

/// The address of a proxy: `http://` or `https://`, a host, and a port where it is not the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    scheme: &'static str,
    authority: String,
}

/// A registry that the proxy serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its name in images.
    registry: String,
    /// The path in front of its repositories at the proxy; empty for the default upstream.
    prefix: String,
}

/// What is to be put where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Whether a client with these files gets no image past the proxy.
    pub enforced: bool,
    /// The folder that the client reads.
    pub folder: &'static str,
    /// Files below it: path and content. The notes are in each of them, as comments, but for what is JSON.
    pub files: Vec<(PathBuf, String)>,
    /// What else is to be done or known, one sentence each.
    pub notes: Vec<String>,
}

/// Why no configuration can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not the address of a proxy.
    #[error("\"{0}\" is not an address like https://proxy.example:5000, without a path")]
    BadAddress(String),
    /// Not a registry.
    #[error("\"{0}\" is not a registry like docker.io, or like registry.example:5000=PREFIX")]
    BadRegistry(String),
    /// The certificate is named relative to nothing.
    #[error("\"{0}\" is not an absolute path: clients read it from other folders than this one")]
    RelativeAuthority(PathBuf),
    /// A registry that cannot be part of a path.
    #[error("{0} has no prefix at the proxy, and its name cannot be a path: write {0}=PREFIX, with the prefix of its upstream")]
    NoPrefix(String),
}

impl Address {
    /// The address that a text is.
    ///
    /// # Errors
    /// [`ClientError::BadAddress`] for anything with a path, a query or a user, and for other schemes.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let bad = || ClientError::BadAddress(text.to_owned());
        let uri: http::Uri = text.parse().map_err(|_| bad())?;
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?.as_str().to_ascii_lowercase();
        // What is written into the files of several languages has none of their signs.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        if !authority.chars().all(plain) || uri.path() != "/" || uri.query().is_some() {
            return Err(bad());
        }
        Ok(Self { scheme, authority })
    }

    /// The address, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Host and port, as they stand in the names of images.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    fn is_plain(&self) -> bool {
        self.scheme == "http"
    }
}

impl Served {
    /// The registry that a text names, with the prefix of its upstream behind a `=` where it is not the name itself.
    ///
    /// # Errors
    /// [`ClientError::BadRegistry`].
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let bad = || ClientError::BadRegistry(text.to_owned());
        let (name, prefix) = text.split_once('=').map_or((text, None), |(name, prefix)| (name, Some(prefix)));
        let registry_of = |image: String| image.parse::<Reference>().ok().map(|image| image.repository.registry().to_owned());
        if registry_of(format!("{name}/a/b")).as_deref() != Some(name) {
            return Err(bad());
        }
        let prefix = prefix.unwrap_or(name);
        if prefix != name && !prefix.is_empty() && registry_of(format!("proxy.example/{prefix}/a")).is_none() {
            return Err(bad());
        }
        Ok(Self { registry: name.to_owned(), prefix: prefix.to_owned() })
    }

    /// Where its repositories are at `proxy`: an image name without the repository.
    fn location(&self, proxy: &Address) -> Result<String, ClientError> {
        if self.prefix.is_empty() {
            return Ok(proxy.authority.clone());
        }
        if self.prefix.contains(':') {
            return Err(ClientError::NoPrefix(self.registry.clone()));
        }
        Ok(format!("{}/{}", proxy.authority, self.prefix))
    }
}

impl Wanted {
    /// The files and notes for a client.
    ///
    /// # Errors
    /// [`ClientError`] where they cannot be made.
    pub fn setup(&self, client: Client) -> Result<Setup, ClientError> {
        if let Some(path) = self.authority.as_ref().filter(|path| !path.is_absolute()) {
            return Err(ClientError::RelativeAuthority(path.clone()));
        }
        let mut setup = match client {
            Client::Buildkit => docker::buildkit(self)?,
            Client::Containerd => containerd::setup(self),
            Client::Crio => containers::setup(self, containers::CRIO)?,
            Client::Docker => docker::engine(self)?,
            Client::K3s => k3s::setup(self),
            Client::Podman => containers::setup(self, containers::PODMAN)?,
        };
        if self.proxy.is_plain() {
            let words =
                "the proxy is spoken to without TLS: whoever is on the way can replace what it has verified, except on loopback";
            setup.notes.push(words.to_owned());
        }
        if setup.enforced {
            let words = "images that are on the host already are not asked for: look at those with trustctl verify, and see to it that \
                         nobody on the host can change these files";
            setup.notes.push(words.to_owned());
        }
        let remarks: String = setup.notes.iter().map(|note| comment(note)).collect();
        let first = format!("# {MARK}\n");
        for (_, text) in &mut setup.files {
            if let Some(rest) = text.strip_prefix(&first) {
                *text = format!("{first}{remarks}{rest}");
            }
        }
        Ok(setup)
    }

    /// The registries for a client that must be told names.
    fn named(&self) -> Vec<Served> {
        if self.registries.is_empty() {
            return vec![Served { registry: DOCKER_HUB.to_owned(), prefix: DOCKER_HUB.to_owned() }];
        }
        self.registries.clone()
    }

    /// What is to be said where registries are named one by one.
    fn others(&self) -> String {
        let named: Vec<String> = self.named().into_iter().map(|served| served.registry).collect();
        format!(
            "this is about {} alone: images of every other registry are pulled without the proxy, unless the way out is blocked",
            named.join(", ")
        )
    }
}

/// A sentence as a comment of TOML and YAML.
fn comment(sentence: &str) -> String {
    let (mut lines, mut line) = (String::new(), "# -".to_owned());
    for word in sentence.split_whitespace() {
        if line.chars().count() + word.chars().count() >= WIDTH {
            lines.push_str(&line);
            line = "\n#  ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    format!("{lines}{line}\n")
}

/// A string of TOML, in quotes.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
