//! The library's clients: one for each way of connecting, made when first needed.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

use super::Network;
use super::origin::{Origin, is_private};
use super::plain::PlainClient;
use super::redirect::Hop;
use super::transport::Transport;
use crate::error::RemoteError;
use crate::limits::CONNECT_TIMEOUT;
use crate::tls::{self, HostCertificates, SystemRoots};

/// What we call ourselves.
pub(super) const OUR_NAME: &str = concat!("trustctl/", env!("CARGO_PKG_VERSION"));
/// Most response headers; registries send twenty.
pub(super) const MAX_HEADERS: usize = 128;

/// A way of connecting; each has a client, and so connections, of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// Plain HTTP, straight to any address.
    Plain,
    /// All else, by the library's client.
    Library {
        trust: Trust,
        /// No proxy: servers on loopback, as Go's clients do it.
        direct: bool,
        /// Refuse to connect to private addresses.
        public_only: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Trust {
    /// Plain HTTP.
    NoTls,
    /// The system's roots.
    System,
    /// The system's roots and a `certs.d` folder.
    Folder(PathBuf),
}

pub(super) struct Clients {
    folders: Vec<PathBuf>,
    direct: bool,
    idle: Duration,
    roots: SystemRoots,
    made: Mutex<HashMap<Way, Transport>>,
}

impl Clients {
    /// Clients as `network` wants them.
    pub(super) fn new(network: &Network) -> Self {
        Self {
            folders: network.certificates.clone(),
            direct: network.direct,
            idle: network.idle,
            roots: SystemRoots::default(),
            made: Mutex::default(),
        }
    }

    /// Whether a folder holds certificates for `origin`: then it speaks TLS.
    pub(super) fn has_certificates(&self, origin: &Origin) -> bool {
        tls::host_folder(&self.folders, &origin.to_string()).is_some()
    }

    /// The client to send `hop` with.
    pub(super) async fn client(&self, hop: &Hop) -> Result<Transport, RemoteError> {
        let trust = match hop.url.scheme() {
            "http" => Trust::NoTls,
            _ => tls::host_folder(&self.folders, &hop.server).map_or(Trust::System, Trust::Folder),
        };
        let direct = self.direct || hop.is_loopback();
        let proxied = !direct && is_proxied(&hop.url);
        // Behind a proxy names are resolved there; only addresses can be judged here, and were.
        let public_only = hop.public_only && !proxied;
        let way = match trust {
            Trust::NoTls if !proxied && !public_only => Way::Plain,
            trust => Way::Library { trust, direct, public_only },
        };
        if let Some(client) = super::lock(&self.made).get(&way) {
            return Ok(client.clone());
        }
        let client = self.make(&way).await?;
        super::lock(&self.made).insert(way, client.clone());
        Ok(client)
    }

    async fn make(&self, way: &Way) -> Result<Transport, RemoteError> {
        let Way::Library { trust, direct, public_only } = way else {
            return Ok(Transport::Plain(Arc::new(PlainClient::new(self.idle))));
        };
        let config = match trust {
            Trust::NoTls => tls::no_tls()?,
            Trust::System => tls::client_config(&*self.roots.load().await?, HostCertificates::default())?,
            Trust::Folder(folder) => tls::client_config(&*self.roots.load().await?, tls::read_host_folder(folder)?)?,
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(config)
            .user_agent(OUR_NAME)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(self.idle)
            .http1_max_headers(MAX_HEADERS);
        if *direct {
            builder = builder.no_proxy();
        }
        if *public_only {
            builder = builder.dns_resolver(PublicOnly);
        }
        builder.build().map(Transport::Library).map_err(|error| RemoteError::configuration("network", error.to_string()))
    }
}

/// Whether the environment names a proxy for `url` (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
pub(super) fn is_proxied(url: &Url) -> bool {
    static PROXIES: LazyLock<Matcher> = LazyLock::new(Matcher::from_env);
    url.as_str().parse().is_ok_and(|uri| PROXIES.intercept(&uri).is_some())
}

/// Resolves names to public addresses alone: for redirects of public servers.
struct PublicOnly;

/// The name of a redirect's target stands for private addresses only.
#[derive(Debug)]
pub(super) struct PrivateAddress;

impl fmt::Display for PrivateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it redirects to a name with a private address")
    }
}

impl Error for PrivateAddress {}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| !is_private(address.ip())).collect();
            if public.is_empty() {
                return Err(PrivateAddress.into());
            }
            Ok::<Addrs, _>(Box::new(public.into_iter()))
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[tokio::test]
    async fn names_of_private_addresses_are_not_resolved() {
        let error = PublicOnly.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(error.is::<PrivateAddress>(), "{error}");
    }
}
