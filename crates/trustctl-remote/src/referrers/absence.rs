//! Which answers say that a registry has no referrers API.
//!
//! Without the API the fallback tag is read instead, and that may be empty. An answer of somebody else on the way (the page of a
//! proxy, of a portal, of a load balancer) must therefore not be taken for the registry's: it would hide what the API lists.

use trustctl_core::reference::Repository;

use crate::error::RemoteError;
use crate::http::Response;
use crate::registry::answer;

/// Whether the registry says that it has no referrers API.
///
/// - 404 that is no page for people (distribution specification, "Unavailable Referrers API"): docker-registry and crane answer in the
///   registry's form, others with the bare words of their web framework, since they know nothing of the path.
/// - 400, 405 and 501 with the error code `UNSUPPORTED`. Registries with the API answer 400 as well (Quay does, to a manifest it
///   cannot read), with other codes.
/// - 406 with a JSON list of errors, as Artifactory answers.
/// - GHCR's redirect to a page of github.com that is not there.
///
/// # Errors
/// [`RemoteError::Denied`], [`RemoteError::Unavailable`] and [`RemoteError::BadAnswer`] for a 404 that says something else.
pub(super) fn is_said(response: &Response, repository: &Repository) -> Result<bool, RemoteError> {
    if response.redirected {
        return Ok(is_page_of_ghcr(response, repository));
    }
    match response.status {
        404 => match answer::absent(response) {
            Err(RemoteError::BadAnswer { .. }) if !is_page(response) => Ok(true),
            said => said.map(|()| true),
        },
        400 | 405 | 501 => Ok(answer::error_codes(&response.body).iter().any(|code| code == "UNSUPPORTED")),
        406 => Ok(answer::has_errors(&response.body)),
        _ => Ok(false),
    }
}

/// Whether the answer is made for people, as portals, proxies and load balancers make theirs.
fn is_page(response: &Response) -> bool {
    let is_html = |media_type: &str| media_type.to_ascii_lowercase().contains("html");
    response.header("content-type").is_some_and(is_html) || response.body.trim_ascii_start().starts_with(b"<")
}

/// GHCR has no API and sends its address to the packages of github.com, where nothing is.
fn is_page_of_ghcr(response: &Response, repository: &Repository) -> bool {
    let at = (repository.registry(), response.origin.host(), response.origin.port());
    response.status == 404 && at == ("ghcr.io", "github.com", None) && response.path.starts_with("/-/v2/packages/")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::http::origin::Origin;

    fn redirected(status: u16, address: &str) -> Response {
        let (origin, path) = Origin::parse_url(address).unwrap();
        let (headers, body) = (reqwest::header::HeaderMap::new(), bytes::Bytes::from_static(b"<html>"));
        Response { status, headers, body, origin, path, redirected: true }
    }

    #[test]
    fn only_ghcr_may_send_its_referrers_to_a_page_that_is_not_there() {
        let page = "https://github.com/-/v2/packages/container/package/owner%2Fapp%2Freferrers%2Fsha256";
        let said = |status, address, repository: &str| is_said(&redirected(status, address), &repository.parse().unwrap());
        assert_eq!(said(404, page, "ghcr.io/owner/app"), Ok(true));
        for (status, address, repository) in [
            (200, page, "ghcr.io/owner/app"),
            (404, page, "registry.example/owner/app"),
            (404, "https://github.com/login", "ghcr.io/owner/app"),
            (404, "https://github.com:444/-/v2/packages/x", "ghcr.io/owner/app"),
            (404, "https://portal.example/-/v2/packages/x", "ghcr.io/owner/app"),
        ] {
            assert_eq!(said(status, address, repository), Ok(false), "{status} {address} {repository}");
        }
    }
}
