//! Who is asked: a host, a port, and whether TLS is spoken.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::error::RemoteError;

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as URLs write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A server: host and port, and the scheme when it was said.
///
/// Without a scheme it is HTTPS, except that servers on loopback and those named for plain HTTP are asked which one they speak.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    scheme: Option<Scheme>,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// The server of a registry as references name it, such as `localhost:5000`. `docker.io` is served by `registry-1.docker.io`.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`] when the text is not a host with an optional port.
    pub fn of_registry(name: &str) -> Result<Self, RemoteError> {
        let served_by = if name == "docker.io" { "registry-1.docker.io" } else { name };
        let (mut origin, path) = Self::parse_url(&format!("https://{served_by}"))?;
        if !path.is_empty() {
            return Err(RemoteError::configuration(name, "not a registry host"));
        }
        // "https://host:443" loses its port as the default one, and that is what was meant.
        origin.scheme = None;
        Ok(origin)
    }

    /// The server and the path (without a final slash) of an `http://` or `https://` address.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`] when the text is another kind of address, or names a user.
    pub fn parse_url(text: &str) -> Result<(Self, String), RemoteError> {
        let url: Url = text.parse().map_err(|_| RemoteError::configuration(text, "not an address"))?;
        let origin = Self::of_url(&url).ok_or_else(|| RemoteError::configuration(text, "not an http or https address"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(RemoteError::configuration(text, "the address must not have a query"));
        }
        Ok((origin, url.path().trim_end_matches('/').to_owned()))
    }

    /// The server of `url`; `None` when it is not HTTP, or holds a user name or password.
    #[must_use]
    pub fn of_url(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        Some(Self { scheme: Some(scheme), host: url.host_str()?.to_ascii_lowercase(), port: url.port() })
    }

    /// The host, lower-case, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, when it was written and is not the scheme's default.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The scheme, when it was said.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The host as an address, when it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let bare = self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&self.host);
        bare.parse().ok()
    }

    /// Whether it is on this machine: `localhost`, `127.0.0.0/8` or `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.to_canonical().is_loopback())
    }

    /// The address of `path` (which begins with a slash, is encoded and may have a query) on this server.
    pub(crate) fn url(&self, scheme: Scheme, path: &str) -> Result<Url, RemoteError> {
        let text = format!("{}://{}{path}", scheme.as_str(), self);
        let wrong = || RemoteError::configuration(&text, "not an address");
        let url: Url = text.parse().map_err(|_| wrong())?;
        let same = Self::of_url(&url).is_some_and(|origin| origin.host == self.host);
        if same && path.starts_with('/') { Ok(url) } else { Err(wrong()) }
    }
}

impl fmt::Display for Origin {
    /// `host` or `host:port`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Whether an address is not one of the public Internet: loopback, private, link-local (cloud metadata), shared, multicast, or
/// an IPv6 form that carries such an IPv4 address (RFC 6890, RFC 6052, RFC 3056).
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
}

fn is_private_v6(v6: Ipv6Addr) -> bool {
    let [first, second, third, .., seventh, eighth] = v6.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    v6.is_loopback()
        || v6.is_unspecified()
        || v6.is_multicast()
        || v6.is_unique_local()
        || v6.is_unicast_link_local()
        || (first == 0x64 && second == 0xff9b && embedded(seventh, eighth))
        || (first == 0x2002 && embedded(second, third))
        || v6.segments().iter().take(6).all(|segment| *segment == 0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn registries_become_servers() {
        assert_eq!(Origin::of_registry("docker.io").unwrap().to_string(), "registry-1.docker.io");
        assert_eq!(Origin::of_registry("Registry.example:443").unwrap().to_string(), "registry.example");
        assert_eq!(Origin::of_registry("localhost:5000").unwrap().to_string(), "localhost:5000");
        assert_eq!(Origin::of_registry("[::1]:5000").unwrap().to_string(), "[::1]:5000");
        for bad in ["", "a/b", "user@host", "host:1:2", "a?b", "a#b"] {
            assert!(Origin::of_registry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_is_told_from_names_that_look_like_it() {
        for loopback in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]:1"] {
            assert!(Origin::of_registry(loopback).unwrap().is_loopback(), "{loopback}");
        }
        for other in ["127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "registry.example"] {
            assert!(!Origin::of_registry(other).unwrap().is_loopback(), "{other}");
        }
    }

    #[test]
    fn private_addresses_are_known_in_every_disguise() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "::7f00:1",
            "ff02::1",
            "255.255.255.255",
        ];
        for address in private {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        for public in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
