//! Which token server a registry may point to.
//!
//! A registry names the server that gets the user's credentials. Clients that follow any address hand them to strangers
//! (CVE-2020-15157, CVE-2026-33540). Here the token server must be the registry's own host, or have the same registrable domain by
//! the public suffix list, and must speak TLS unless the registry itself is asked in plain HTTP or both are on this machine.

use reqwest::Url;
use trustctl_core::reason::clean;

use crate::error::RemoteError;
use crate::http::Http;
use crate::http::origin::{Origin, Scheme};

/// The token server at `realm` with the path to ask, when the server `asked` may point to it, on its own account or as the host
/// of the registry that the credentials belong to (`account`; a Notary server may point to its registry's token server).
pub(super) fn check(http: &Http, asked: &Origin, account: Option<&Origin>, realm: &str) -> Result<(Origin, String), RemoteError> {
    let refused = |why| RemoteError::RealmRefused { host: asked.to_string(), realm: clean(realm), why };
    let url: Url = realm.parse().map_err(|_| refused("it is not an address"))?;
    let target = Origin::of_url(&url).ok_or_else(|| refused("it is not an https address"))?;
    if target.scheme() == Some(Scheme::Http) {
        let registry_is_plain = http.scheme_of(asked) == Some(Scheme::Http);
        let on_this_machine = asked.is_loopback() && target.is_loopback();
        if !(registry_is_plain || on_this_machine) || !http.may_be_plain(&target) {
            return Err(refused("it does not use TLS"));
        }
    }
    if !is_same_site(asked, &target) && !account.is_some_and(|account| is_same_site(account, &target)) {
        return Err(refused("it belongs to another domain"));
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok((target, format!("{}{query}", url.path())))
}

/// Whether two servers are on one host, both on loopback, or under one registrable domain.
fn is_same_site(one: &Origin, other: &Origin) -> bool {
    if one.host() == other.host() || (one.is_loopback() && other.is_loopback()) {
        return true;
    }
    if one.address().is_some() || other.address().is_some() {
        return false;
    }
    let domain = |origin: &Origin| psl::domain_str(origin.host().trim_end_matches('.')).map(str::to_owned);
    domain(one).is_some_and(|registrable| domain(other) == Some(registrable))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::http::Network;

    fn verdict(registry: &str, realm: &str) -> Result<(), &'static str> {
        let http = Http::new(Network::default());
        let asked = match registry.contains("://") {
            true => Origin::parse_url(registry).unwrap().0,
            false => Origin::of_registry(registry).unwrap(),
        };
        match check(&http, &asked, None, realm) {
            Ok(_) => Ok(()),
            Err(RemoteError::RealmRefused { why, .. }) => Err(why),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn own_host_and_own_domain_are_accepted() {
        for (registry, realm) in [
            ("docker.io", "https://auth.docker.io/token"),
            ("ghcr.io", "https://ghcr.io/token"),
            ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("registry.shop.co.uk", "https://auth.shop.co.uk/token"),
            ("registry.example:5000", "https://registry.example:5001/auth?x=y"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("http://localhost:5000", "http://127.0.0.1:5001/token"),
            ("https://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("10.0.0.1:5000", "https://10.0.0.1/token"),
        ] {
            assert_eq!(verdict(registry, realm), Ok(()), "{registry} {realm}");
        }
    }

    #[test]
    fn strangers_and_plain_http_are_refused() {
        let (other, plain) = (Err("it belongs to another domain"), Err("it does not use TLS"));
        for (registry, realm, expected) in [
            ("registry.example.com", "https://evil.com/token", other),
            ("registry.example.com", "https://example.com.evil.com/token", other),
            ("registry.shop.co.uk", "https://evil.co.uk/token", other),
            ("one.github.io", "https://two.github.io/token", other),
            ("registry.example.com", "https://127.0.0.1/token", other),
            ("127.0.0.1:5000", "https://evil.com/token", other),
            ("10.0.0.1:5000", "https://10.0.0.2/token", other),
            ("registry", "https://auth/token", other),
            ("registry.example.com", "http://registry.example.com/token", plain),
            ("https://registry.example.com", "http://127.0.0.1:5001/token", plain),
            ("registry.example.com", "ftp://registry.example.com/", Err("it is not an https address")),
            ("registry.example.com", "https://user@registry.example.com/", Err("it is not an https address")),
            ("registry.example.com", "/token", Err("it is not an address")),
        ] {
            assert_eq!(verdict(registry, realm), expected, "{registry} {realm}");
        }
    }
}
