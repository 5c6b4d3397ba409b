//! Addresses that a registry hands out: the next page of a listing, and where to upload.

use reqwest::Url;

use crate::error::RemoteError;
use crate::http::Response;

/// The path and query of the next page, when `Link` names one (RFC 8288); it must be on the server that answered.
///
/// # Errors
/// [`RemoteError::BadAnswer`] when the header cannot be read or leads elsewhere: the rest of the listing is then unknown.
pub(crate) fn next_page(response: &Response) -> Result<Option<String>, RemoteError> {
    let wrong = |why: &str| RemoteError::bad_answer(response.origin.to_string(), why);
    for value in response.headers.get_all("link") {
        let text = value.to_str().map_err(|_| wrong("its Link header cannot be read"))?;
        let target = text.trim_start().strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let (target, parameters) = target.ok_or_else(|| wrong("its Link header cannot be read"))?;
        if is_next(parameters) {
            let path = on_same_server(response, target).ok_or_else(|| wrong("its Link header leads to another server"))?;
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    })
}

/// The path and query where an upload goes on: `Location`, on the server that answered.
///
/// # Errors
/// [`RemoteError::BadAnswer`] when there is none, or it leads elsewhere: what is uploaded goes to the registry alone.
pub(crate) fn location(response: &Response) -> Result<String, RemoteError> {
    let wrong = |why: &str| RemoteError::bad_answer(response.origin.to_string(), why);
    let text = response.header("location").ok_or_else(|| wrong("it does not say where to upload to"))?;
    on_same_server(response, text).ok_or_else(|| wrong("it wants the upload to go to another server"))
}

/// Path with query, when `target` is on the server that answered. The scheme is not compared: behind a proxy
/// registries write `http` for themselves, and the request is made on the known server and scheme whatever they write.
fn on_same_server(response: &Response, target: &str) -> Option<String> {
    let base: Url = format!("{}://{}{}", response.origin.scheme()?.as_str(), response.origin, response.path).parse().ok()?;
    let url = base.join(target).ok()?;
    let known = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let same_port = url.port() == base.port() || (url.port().is_none() && url.scheme() != base.scheme());
    if !known || url.host_str() != base.host_str() || !same_port {
        return None;
    }
    Some(match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}
