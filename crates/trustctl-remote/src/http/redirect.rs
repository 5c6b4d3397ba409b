//! Where a redirect may lead: never from TLS to plain HTTP, never from a public server to a private address, and never with
//! credentials to another server.

use std::net::IpAddr;

use reqwest::header::LOCATION;
use reqwest::{Method, Url};

use super::Request;
use super::ledger::UnderWay;
use super::origin::{Origin, is_private};
use crate::error::RemoteError;
use crate::limits::MAX_REDIRECTS;

/// One request of a chain of redirects.
pub(super) struct Hop {
    /// The address.
    pub(super) url: Url,
    /// The server, for people.
    pub(super) server: String,
    /// Whether it is the server that the credentials are for.
    pub(super) may_have_credentials: bool,
    /// Whether another server than the first was ever asked.
    pub(super) left_first_server: bool,
    /// Whether only public addresses may be connected to.
    pub(super) public_only: bool,
    /// The request that is going on, until it is recorded.
    pub(super) began: UnderWay,
    followed: usize,
}

impl Hop {
    /// The request as it was asked for.
    pub(super) fn first(url: Url, origin: &Origin, began: UnderWay) -> Self {
        Self {
            url,
            server: origin.to_string(),
            may_have_credentials: true,
            left_first_server: false,
            public_only: false,
            began,
            followed: 0,
        }
    }

    /// Whether the host is written as an address of this machine or as `localhost`.
    pub(super) fn is_loopback(&self) -> bool {
        Origin::of_url(&self.url).is_some_and(|origin| origin.is_loopback())
    }
}

/// The next request, when `response` is a redirect that may be followed; `None` when it is a final answer.
///
/// Only GET and HEAD are redirected; to anything else a redirect is an answer that its caller will not understand.
pub(super) fn next(
    hop: &Hop,
    response: &reqwest::Response,
    request: &Request,
    may_be_plain: impl Fn(&Origin) -> bool,
) -> Result<Option<Hop>, RemoteError> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    if !redirects || !matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(None);
    }
    let refused = |why: &str| RemoteError::bad_answer(&hop.server, why);
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| refused("it redirects without saying where"))?;
    if hop.followed >= MAX_REDIRECTS {
        return Err(refused("it redirects more than 5 times"));
    }
    let url = hop.url.join(location).map_err(|_| refused("it redirects to something that is not an address"))?;
    let target = Origin::of_url(&url).ok_or_else(|| refused("it redirects to an address of another kind"))?;
    if url.scheme() == "http" && (hop.url.scheme() == "https" || !may_be_plain(&target)) {
        return Err(refused("it redirects to an address without TLS"));
    }
    let public_only = hop.public_only || !is_inside(hop, response.remote_addr().map(|address| address.ip()));
    if public_only && (target.is_loopback() || target.address().is_some_and(is_private)) {
        return Err(refused("it redirects to a private address"));
    }
    let same_server = Origin::of_url(&hop.url).is_some_and(|origin| origin == target);
    Ok(Some(Hop {
        server: target.to_string(),
        may_have_credentials: hop.may_have_credentials && same_server,
        left_first_server: hop.left_first_server || !same_server,
        public_only,
        began: hop.began.clone(),
        followed: hop.followed + 1,
        url,
    }))
}

/// Whether the server that redirects is itself on a private address, so that it may point to its neighbours.
fn is_inside(hop: &Hop, peer: Option<IpAddr>) -> bool {
    match Origin::of_url(&hop.url) {
        Some(origin) if origin.is_loopback() => true,
        Some(origin) => match (origin.address(), super::clients::is_proxied(&hop.url), peer) {
            (Some(address), _, _) => is_private(address),
            // Behind a proxy the peer is the proxy, which says nothing about the server.
            (None, true, _) | (None, false, None) => false,
            (None, false, Some(peer)) => is_private(peer),
        },
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    /// What becomes of a redirect from a server on the Internet (or `from`) to `to`.
    fn follow(from: &str, to: &str) -> Result<Hop, String> {
        let url: Url = from.parse().unwrap();
        let origin = Origin::of_url(&url).unwrap();
        let response = http::Response::builder().status(307).header(LOCATION, to).body("").unwrap();
        let request = Request::get(origin.clone(), "/", 1);
        let hop = Hop::first(url, &origin, UnderWay::default());
        let next = next(&hop, &response.into(), &request, Origin::is_loopback);
        next.map(Option::unwrap).map_err(|error| error.to_string())
    }

    #[test]
    fn a_public_server_does_not_lead_to_private_addresses() {
        for to in [
            "https://127.0.0.1/x",
            "https://localhost/x",
            "https://[::1]/x",
            "https://10.0.0.1/x",
            "https://169.254.169.254/latest/meta-data",
            "https://[::ffff:192.168.0.1]/x",
            "https://2130706433/x",
            "https://0x7f.1/x",
        ] {
            let refused = follow("https://registry.example/v2/", to).err().unwrap();
            assert!(refused.ends_with("it redirects to a private address"), "{to}: {refused}");
        }
        let storage = follow("https://registry.example/v2/", "https://storage.example/x").unwrap();
        assert!(storage.public_only, "its name is resolved to public addresses only");
        assert!(!storage.may_have_credentials && storage.left_first_server);
    }

    #[test]
    fn a_private_server_may_lead_to_its_neighbours() {
        for from in ["https://10.0.0.1/v2/", "http://127.0.0.1:5000/v2/"] {
            let hop = follow(from, "https://10.0.0.2/x").unwrap();
            assert!(!hop.public_only && !hop.may_have_credentials, "{from}");
        }
    }

    #[test]
    fn another_port_or_scheme_is_another_server() {
        assert!(follow("https://registry.example/v2/", "/x").unwrap().may_have_credentials);
        assert!(follow("https://registry.example/v2/", "https://registry.example:443/x").unwrap().may_have_credentials);
        assert!(!follow("https://registry.example/v2/", "https://registry.example:444/x").unwrap().may_have_credentials);
        assert!(!follow("http://127.0.0.1:5000/v2/", "https://127.0.0.1:5000/x").unwrap().may_have_credentials);
        let refused = follow("https://127.0.0.1:5000/v2/", "http://127.0.0.1:5000/x").err().unwrap();
        assert!(refused.ends_with("without TLS"), "{refused}");
    }
}
