//! Where registries are really served: a mirror, a gateway, or a test.

use std::collections::BTreeMap;

use crate::error::RemoteError;
use crate::http::origin::Origin;

/// Servers that answer for registries in place of those their names stand for. Images keep their names, and credentials are looked
/// up by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints(BTreeMap<String, Origin>);

impl Endpoints {
    /// Every registry is where its name says.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The registry that references call `registry` (`docker.io`, `registry.example:5000`) is served at `endpoint`: `http://` or
    /// `https://`, host and port. The rule for plain HTTP stays: loopback, or servers named for it.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`] when either is something else. A path is refused: the distribution specification has none
    /// before `/v2/`.
    pub fn add(&mut self, registry: &str, endpoint: &str) -> Result<(), RemoteError> {
        Origin::of_registry(registry)?;
        let (origin, path) = Origin::parse_url(endpoint)?;
        if !path.is_empty() {
            return Err(RemoteError::configuration(endpoint, "an endpoint is a scheme, a host and a port, without a path"));
        }
        self.0.insert(registry.to_ascii_lowercase(), origin);
        Ok(())
    }

    /// The server to ask for the registry that references call `registry`.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`] when that is not a host with an optional port.
    pub fn origin(&self, registry: &str) -> Result<Origin, RemoteError> {
        match self.0.get(registry) {
            Some(origin) => Ok(origin.clone()),
            None => Origin::of_registry(registry),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::http::origin::Scheme;

    #[test]
    fn an_endpoint_answers_for_its_registry_alone() {
        let mut endpoints = Endpoints::none();
        endpoints.add("docker.io", "http://127.0.0.1:5001/").unwrap();
        let hub = endpoints.origin("docker.io").unwrap();
        assert_eq!((hub.to_string().as_str(), hub.scheme()), ("127.0.0.1:5001", Some(Scheme::Http)));
        assert_eq!(endpoints.origin("ghcr.io").unwrap(), Origin::of_registry("ghcr.io").unwrap());
        assert_eq!(Endpoints::none().origin("docker.io").unwrap().host(), "registry-1.docker.io");
    }

    #[test]
    fn an_endpoint_is_scheme_host_and_port() {
        for bad in
            ["127.0.0.1:5001", "ftp://mirror.example", "https://mirror.example/v2", "https://u:p@mirror.example", "https://m?q"]
        {
            assert!(Endpoints::none().add("docker.io", bad).is_err(), "{bad}");
        }
        assert!(Endpoints::none().add("not a host", "https://mirror.example").is_err());
    }
}
