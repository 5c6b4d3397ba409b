//! Which answers say that a registry has no referrers API.
//!
//! Without the API the fallback tag is read instead, and that may be empty. An answer of somebody else on the way (the page of a
//! proxy, of a portal, of a load balancer, of a gateway) must therefore not be taken for the registry's: it would hide what the API
//! lists, such as a revocation.

use trustctl_core::reference::Repository;

use crate::error::RemoteError;
use crate::http::Response;
use crate::registry::answer;

/// What a web framework says of a path that it knows nothing of: Go's `net/http`, in which most registries are written.
const ROUTERS_WORDS: &[u8] = b"404 page not found";
/// A mark that some programs write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What an answer says about the referrers API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing: whether it is a listing has to be seen.
    Nothing,
    /// The registry says, in the form of the specification, that there is none.
    Registrys,
    /// Somebody knows nothing of the path and says no more than that. It is the registry if its other answers are
    /// [introduced](answer::is_introduced) as this one is.
    Routers {
        /// Whether this one is.
        introduced: bool,
    },
}

/// What `response` says about the API of the registry of `repository`.
///
/// - 404 (distribution specification, "Unavailable Referrers API") in the registry's form, as crane answers; or with the bare words of
///   a router or none, as docker-registry and others answer, since they know nothing of the path.
/// - 400, 405 and 501 with the error code `UNSUPPORTED`. Registries with the API answer 400 as well (Quay does, to a manifest it
///   cannot read), with other codes.
/// - 406 with a JSON list of errors, as Artifactory answers.
/// - GHCR's redirect to a page of github.com that is not there.
///
/// # Errors
/// [`RemoteError::Denied`], [`RemoteError::Unavailable`] and [`RemoteError::BadAnswer`] for a 404 that says something else.
pub(super) fn said(response: &Response, repository: &Repository) -> Result<Word, RemoteError> {
    let registrys = |is_said| if is_said { Word::Registrys } else { Word::Nothing };
    if response.redirected {
        return Ok(registrys(is_page_of_ghcr(response, repository)));
    }
    match response.status {
        404 if answer::has_codes(&response.body) => answer::absent(response).map(|()| Word::Registrys),
        404 if is_routers(response) => Ok(Word::Routers { introduced: answer::is_introduced(response) }),
        404 => Err(strangers(response)),
        400 | 405 | 501 => Ok(registrys(answer::error_codes(&response.body).iter().any(|code| code == "UNSUPPORTED"))),
        406 => Ok(registrys(answer::has_errors(&response.body))),
        _ => Ok(Word::Nothing),
    }
}

/// The error for a 404 that is not the registry's own.
pub(super) fn strangers(response: &Response) -> RemoteError {
    let words = String::from_utf8_lossy(&response.body);
    let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect();
    let words = if words.is_empty() { "no words".to_owned() } else { format!("\"{words}\"") };
    let detail = format!(
        "it answered 404 with {words} to a listing of referrers, which is not a registry's own answer: somebody on the way, such \
         as a gateway, may hold back what is listed there; let {} through, or ask from another network",
        response.path
    );
    RemoteError::bad_answer(response.origin.to_string(), detail)
}

/// Whether it says no more than that there is no such path.
fn is_routers(response: &Response) -> bool {
    let is_html = |media_type: &str| media_type.to_ascii_lowercase().contains("html");
    let body = response.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&response.body).trim_ascii();
    let bare = body.is_empty() || body.eq_ignore_ascii_case(ROUTERS_WORDS);
    bare && !response.header("content-type").is_some_and(is_html)
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
        let said = |status, address, repository: &str| said(&redirected(status, address), &repository.parse().unwrap());
        assert_eq!(said(404, page, "ghcr.io/owner/app"), Ok(Word::Registrys));
        for (status, address, repository) in [
            (200, page, "ghcr.io/owner/app"),
            (404, page, "registry.example/owner/app"),
            (404, "https://github.com/login", "ghcr.io/owner/app"),
            (404, "https://github.com:444/-/v2/packages/x", "ghcr.io/owner/app"),
            (404, "https://portal.example/-/v2/packages/x", "ghcr.io/owner/app"),
        ] {
            assert_eq!(said(status, address, repository), Ok(Word::Nothing), "{status} {address} {repository}");
        }
    }
}
