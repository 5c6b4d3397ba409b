//! Which Notary server keeps the collections of which registry.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::error::RemoteError;
use crate::http::origin::Origin;

/// The Notary server of Docker Hub.
const DOCKER_HUB_SERVER: &str = "https://notary.docker.io";

/// The Notary servers to ask: one named for everything, those named for a registry, else Docker's rule.
///
/// Docker's rule: `https://notary.docker.io` for `docker.io`, and for any other registry the registry's own host and port. Docker
/// takes `DOCKER_CONTENT_TRUST_SERVER` for everything, and so do we; that a registry can have its own server is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotaryServers {
    everything: Option<String>,
    by_registry: BTreeMap<String, String>,
}

/// Where a server is: the host, and a path before `/v2/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) origin: Origin,
    pub(super) path: String,
}

impl NotaryServers {
    /// Docker's rule, and `DOCKER_CONTENT_TRUST_SERVER` when it is set.
    ///
    /// `variable` looks up environment variables.
    pub fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let named = variable("DOCKER_CONTENT_TRUST_SERVER").filter(|address| !address.is_empty());
        Self { everything: named.map(|address| address.to_string_lossy().into_owned()), by_registry: BTreeMap::new() }
    }

    /// The server at `address` (`https://…`, or `http://…` for loopback and servers named for plain HTTP), for every registry.
    #[must_use]
    pub fn with_server(mut self, address: impl Into<String>) -> Self {
        self.everything = Some(address.into());
        self
    }

    /// The server at `address` for the collections of `registry`, a host as references name it. A server for everything beats it.
    #[must_use]
    pub fn with_registry(mut self, registry: impl Into<String>, address: impl Into<String>) -> Self {
        self.by_registry.insert(registry.into(), address.into());
        self
    }

    /// Where the collections of `registry` are.
    pub(super) fn base(&self, registry: &str) -> Result<Base, RemoteError> {
        let named = self.everything.as_ref().or_else(|| self.by_registry.get(registry)).map(String::as_str);
        match named.or_else(|| (registry == "docker.io").then_some(DOCKER_HUB_SERVER)) {
            Some(address) => Origin::parse_url(address).map(|(origin, path)| Base { origin, path }),
            None => Ok(Base { origin: Origin::of_registry(registry)?, path: String::new() }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::http::origin::Scheme;

    fn address(servers: &NotaryServers, registry: &str) -> String {
        let base = servers.base(registry).unwrap();
        let scheme = base.origin.scheme().map_or("", Scheme::as_str);
        format!("{scheme}://{}{}", base.origin, base.path)
    }

    #[test]
    fn the_server_follows_dockers_rule_unless_one_is_named() {
        let rule = NotaryServers::default();
        assert_eq!(address(&rule, "docker.io"), "https://notary.docker.io");
        assert_eq!(address(&rule, "registry.example:5000"), "://registry.example:5000");
        let mapped = rule.with_registry("registry.example:5000", "https://notary.example/trust/");
        assert_eq!(address(&mapped, "registry.example:5000"), "https://notary.example/trust");
        assert_eq!(address(&mapped, "docker.io"), "https://notary.docker.io");
        let named = mapped.with_server("http://127.0.0.1:4443");
        assert_eq!(address(&named, "registry.example:5000"), "http://127.0.0.1:4443");
        assert_eq!(address(&named, "docker.io"), "http://127.0.0.1:4443");
    }

    #[test]
    fn the_variable_counts_when_it_is_not_empty() {
        let of = |value: &str| NotaryServers::of_environment(|_| Some(OsString::from(value)));
        assert_eq!(address(&of("https://n.example:4443"), "docker.io"), "https://n.example:4443");
        assert_eq!(of(""), NotaryServers::default());
        for bad in ["n.example:4443", "ftp://n.example", "https://user:pw@n.example", "https://n.example/?x"] {
            assert!(of(bad).base("docker.io").is_err(), "{bad}");
        }
    }
}
