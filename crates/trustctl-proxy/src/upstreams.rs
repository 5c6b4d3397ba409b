//! The registries behind the proxy, and which of them a request means. Pure.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;
use trustctl_core::reason::Code;
use trustctl_core::reference::{Repository, is_path};

use crate::request::{Ask, Fault, is_host};

/// How an image is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenyMode {
    /// By a status, with the reason in the error document. A client that uses the proxy as one mirror of several then asks the next.
    #[default]
    Status,
    /// By a manifest that no client can run, which also ends the search of clients that ask mirrors in turn; also where nothing could be
    /// decided.
    Sticky,
}

/// As whom the proxy asks an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UpstreamCredentials {
    /// As Docker would: configuration file, credential helpers, and keyrings through them.
    #[default]
    Docker,
    /// As nobody.
    None,
    /// As the caller: what comes with a request goes on to the upstream, and what one caller may read another may not.
    PassThrough,
    /// As one user.
    User {
        /// The name.
        user: String,
        /// Where the password is found; it is read when it is needed, and not kept here.
        password: SecretSource,
    },
}

/// Where a secret is found.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In an environment variable of this name.
    Environment(String),
    /// In a file, without the line end that closes it.
    File(PathBuf),
}

/// One registry behind the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The registry's name, as policies write it: `docker.io`, `registry.example:5000`.
    pub registry: String,
    /// Where it is really served, when that is not where its name leads: `http://127.0.0.1:5001`.
    pub endpoint: Option<String>,
    /// The Notary server of its collections, when it is another than Docker's rule gives.
    pub notary: Option<String>,
    /// The path in front of its repositories: `PROXY/<prefix>/library/alpine`.
    pub prefix: Option<String>,
    /// Whether `?ns=<registry>` leads here.
    pub namespace: bool,
    /// The host names that lead here. One without a port stands for all ports.
    pub hosts: Vec<String>,
    /// Whether names that lead nowhere else lead here.
    pub default: bool,
    /// Whether clients use it as a mirror: it never asks them for credentials, since some would send those they have for the registry.
    pub mirror: bool,
    /// How an image is refused.
    pub deny_mode: DenyMode,
    /// As whom it is asked.
    pub credentials: UpstreamCredentials,
    /// The repository, by its path in the registry, that is refused to everybody; whoever gets it has gone round the proxy.
    pub canary: Option<String>,
}

/// What a name means: a repository of an upstream.
#[derive(Clone, Debug)]
pub struct Place {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// The repository, by the name that policies speak of: `docker.io/library/alpine`.
    pub repository: Repository,
}

impl Upstream {
    /// Whether `repository` is the one that this upstream refuses to everybody.
    #[must_use]
    pub fn has_canary(&self, repository: &Repository) -> bool {
        self.registry == repository.registry() && self.canary.as_deref() == Some(repository.path())
    }
}

impl Place {
    /// Whether the repository is one that is refused to everybody.
    #[must_use]
    pub fn is_canary(&self) -> bool {
        self.upstream.has_canary(&self.repository)
    }
}

/// Every upstream; no two of them can be meant by one request.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    all: Vec<Arc<Upstream>>,
    /// Longest first.
    prefixes: Vec<(String, Arc<Upstream>)>,
    default: Option<Arc<Upstream>>,
}

/// Why upstreams cannot be used together. The first number is the position of the upstream that is wrong, from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The name is not a registry's, or not in the one spelling under which policies know it.
    #[error("\"{1}\" is not the name of a registry as policies write it; docker.io, ghcr.io and registry.example:5000 are")]
    BadRegistry(usize, String),
    /// A host is not one that a `Host` header can hold.
    #[error("\"{1}\" is not a host name, with or without a port")]
    BadHost(usize, String),
    /// A prefix is not a path.
    #[error("the prefix \"{1}\" is not a path of lower-case letters, digits and single . _ - between them")]
    BadPrefix(usize, String),
    /// Nothing leads to it.
    #[error("nothing leads to \"{1}\": give it a prefix, hosts, namespace = true or default = true")]
    Unreachable(usize, String),
    /// The canary is not the path of a repository.
    #[error("the canary \"{1}\" is not the path of a repository, such as library/hello-world")]
    BadCanary(usize, String),
    /// Two upstreams are the same registry.
    #[error("\"{1}\" is there twice; what is known of a repository is filed under its registry's name")]
    SameRegistry(usize, String),
    /// Two upstreams have the same prefix.
    #[error("two upstreams have the prefix \"{1}\"")]
    SamePrefix(usize, String),
    /// Two upstreams have the same host.
    #[error("the host \"{1}\" leads to two upstreams")]
    SameHost(usize, String),
    /// Two upstreams are the default.
    #[error("\"{1}\" and another upstream are both the default")]
    TwoDefaults(usize, String),
}

impl UpstreamError {
    /// The position of the upstream that is wrong, from 0.
    #[must_use]
    pub fn position(&self) -> usize {
        match self {
            Self::BadRegistry(at, _)
            | Self::BadHost(at, _)
            | Self::BadPrefix(at, _)
            | Self::BadCanary(at, _)
            | Self::Unreachable(at, _)
            | Self::SameRegistry(at, _)
            | Self::SamePrefix(at, _)
            | Self::SameHost(at, _)
            | Self::TwoDefaults(at, _) => *at,
        }
    }
}

impl Upstream {
    /// A registry that is asked where its name leads, as Docker would ask it, and that its name as a prefix leads to.
    #[must_use]
    pub fn new(registry: impl Into<String>) -> Self {
        let registry = registry.into();
        Self {
            prefix: Some(registry.clone()).filter(|name| is_path(name)),
            registry,
            endpoint: None,
            notary: None,
            namespace: false,
            hosts: Vec::new(),
            default: false,
            mirror: false,
            deny_mode: DenyMode::Status,
            credentials: UpstreamCredentials::Docker,
            canary: None,
        }
    }

    fn has_host(&self, asked: &str) -> bool {
        self.hosts.iter().any(|host| {
            let (name, port) = asked.split_at_checked(host.len()).unwrap_or((asked, ""));
            name.eq_ignore_ascii_case(host) && (port.is_empty() || (port.starts_with(':') && !has_port(host)))
        })
    }

    fn check(&self, at: usize) -> Result<(), UpstreamError> {
        let bad = || UpstreamError::BadRegistry(at, self.registry.clone());
        let example: Repository = format!("{}/a/b", self.registry).parse().map_err(|_| bad())?;
        if example.registry() != self.registry || example.canonical_name() != example.to_string() {
            return Err(bad());
        }
        if let Some(prefix) = self.prefix.as_ref().filter(|prefix| !is_path(prefix)) {
            return Err(UpstreamError::BadPrefix(at, prefix.clone()));
        }
        if let Some(host) = self.hosts.iter().find(|host| host.is_empty() || !is_host(host)) {
            return Err(UpstreamError::BadHost(at, host.clone()));
        }
        let is_named_so = |canary: &str| {
            let repository = format!("{}/{canary}", self.registry).parse();
            repository.is_ok_and(|repository: Repository| repository.path() == canary)
        };
        if let Some(canary) = self.canary.as_ref().filter(|canary| !is_named_so(canary)) {
            return Err(UpstreamError::BadCanary(at, canary.clone()));
        }
        if self.prefix.is_none() && self.hosts.is_empty() && !self.namespace && !self.default {
            return Err(UpstreamError::Unreachable(at, self.registry.clone()));
        }
        Ok(())
    }
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Upstreams {
    /// Upstreams that do not contradict each other.
    ///
    /// # Errors
    /// [`UpstreamError`] for the first that is wrong by itself or beside an earlier one.
    pub fn new(upstreams: Vec<Upstream>) -> Result<Self, UpstreamError> {
        let mut known = Self::default();
        for (at, upstream) in upstreams.into_iter().enumerate() {
            upstream.check(at)?;
            known.check_beside(&upstream, at)?;
            let upstream = Arc::new(upstream);
            if let Some(prefix) = &upstream.prefix {
                known.prefixes.push((format!("{prefix}/"), upstream.clone()));
            }
            if upstream.default {
                known.default = Some(upstream.clone());
            }
            known.all.push(upstream);
        }
        known.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(known)
    }

    fn check_beside(&self, new: &Upstream, at: usize) -> Result<(), UpstreamError> {
        for known in &self.all {
            if known.registry == new.registry {
                return Err(UpstreamError::SameRegistry(at, new.registry.clone()));
            }
            if let Some(prefix) = new.prefix.as_ref().filter(|prefix| known.prefix.as_ref() == Some(*prefix)) {
                return Err(UpstreamError::SamePrefix(at, prefix.clone()));
            }
            let shared = |host: &&String| known.has_host(host) || known.hosts.iter().any(|other| new.has_host(other));
            if let Some(host) = new.hosts.iter().find(shared) {
                return Err(UpstreamError::SameHost(at, host.clone()));
            }
        }
        if new.default && self.default.is_some() {
            return Err(UpstreamError::TwoDefaults(at, new.registry.clone()));
        }
        Ok(())
    }

    /// Every upstream, in the order in which they were given.
    #[must_use]
    pub fn all(&self) -> &[Arc<Upstream>] {
        &self.all
    }

    /// What `name` means in `ask`: the registry of `?ns=`, else the one of the host name, else the one whose prefix it begins with, else
    /// the default one. On Docker Hub a name without a slash is one of `library/`.
    ///
    /// # Errors
    /// A [`Fault`]: 403 for a registry in `?ns=` that is not served, 404 when nothing is meant, 400 for a name that the registry cannot have.
    pub fn place(&self, ask: &Ask, name: &str) -> Result<Place, Fault> {
        if let Some(namespace) = &ask.namespace {
            let upstream = self.of_namespace(namespace).ok_or_else(|| {
                let message = format!("this proxy does not serve {namespace}");
                Fault { reason: Some(Code::ProxyNamespace), ..Fault::new(StatusCode::FORBIDDEN, "DENIED", message) }
            })?;
            return placed(upstream, name);
        }
        if let Some(upstream) = ask.host.as_ref().and_then(|host| self.all.iter().find(|upstream| upstream.has_host(host))) {
            return placed(upstream, name);
        }
        let by_prefix = self.prefixes.iter().find_map(|(prefix, upstream)| Some((upstream, name.strip_prefix(prefix.as_str())?)));
        if let Some((upstream, rest)) = by_prefix {
            return placed(upstream, rest);
        }
        let upstream = self.default.as_ref().ok_or_else(|| {
            let message = format!("no upstream serves {name}: write the registry in front of it");
            Fault { reason: Some(Code::ProxyNoUpstream), ..Fault::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message) }
        })?;
        placed(upstream, name)
    }

    /// The upstream that a request means by its namespace or its host, else the default: all that is known before a repository is
    /// named.
    #[must_use]
    pub fn meant_by_host(&self, ask: &Ask) -> Option<&Upstream> {
        if let Some(namespace) = &ask.namespace {
            return self.of_namespace(namespace).map(Arc::as_ref);
        }
        let by_host = ask.host.as_ref().and_then(|host| self.all.iter().find(|upstream| upstream.has_host(host)));
        by_host.or(self.default.as_ref()).map(Arc::as_ref)
    }

    fn of_namespace(&self, namespace: &str) -> Option<&Arc<Upstream>> {
        let mut served = self.all.iter().filter(|upstream| upstream.namespace);
        if let Some(upstream) = served.clone().find(|upstream| upstream.registry == namespace) {
            return Some(upstream);
        }
        let written: Repository = format!("{namespace}/a/b").parse().ok()?;
        let canonical = written.canonical_name();
        served.find(|upstream| written.path() == "a/b" && canonical.strip_suffix("/a/b") == Some(upstream.registry.as_str()))
    }
}

fn placed(upstream: &Arc<Upstream>, name: &str) -> Result<Place, Fault> {
    let repository = format!("{}/{name}", upstream.registry).parse();
    let repository = repository.map_err(|error: trustctl_core::reference::ReferenceError| {
        Fault::new(StatusCode::BAD_REQUEST, "NAME_INVALID", error.to_string())
    })?;
    Ok(Place { upstream: upstream.clone(), repository })
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
