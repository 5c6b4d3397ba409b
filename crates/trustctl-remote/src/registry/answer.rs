//! What a registry's refusals mean (distribution specification, "Error Codes").

use serde_json::Value;

use crate::error::RemoteError;
use crate::http::{Response, server_words};

/// Accepts a 404 as "does not exist" when it has the registry's form: the specification's JSON errors, or the header by which
/// registries introduce themselves.
///
/// # Errors
/// [`RemoteError::Denied`] and [`RemoteError::Unavailable`] when the JSON says so in spite of the status;
/// [`RemoteError::BadAnswer`] for a 404 of somebody else.
pub(crate) fn absent(response: &Response) -> Result<(), RemoteError> {
    let codes = error_codes(&response.body);
    let host = || response.origin.to_string();
    if codes.iter().any(|code| matches!(code.as_str(), "DENIED" | "UNAUTHORIZED")) {
        return Err(RemoteError::Denied { host: host(), status: response.status, detail: server_words(&response.body) });
    }
    if codes.iter().any(|code| matches!(code.as_str(), "TOOMANYREQUESTS" | "UNAVAILABLE")) {
        let detail = format!("it answered {}{}", response.status, server_words(&response.body));
        return Err(RemoteError::Unavailable { host: host(), detail, tries: 1, retry_after: None });
    }
    if !codes.is_empty() || is_introduced(response) {
        return Ok(());
    }
    Err(RemoteError::bad_answer(host(), "it answered 404, but not as a registry does"))
}

/// Whether the answer has the header by which registries introduce themselves.
pub(crate) fn is_introduced(response: &Response) -> bool {
    response.header("docker-distribution-api-version").is_some_and(|version| version.contains("registry/2"))
}

/// The error for a status that has no meaning here.
pub(super) fn unexpected(response: &Response) -> RemoteError {
    let words = server_words(&response.body);
    RemoteError::bad_answer(response.origin.to_string(), format!("it answered {}{words}", response.status))
}

/// Whether a refusal of a manifest under a tag says that the tag is immutable. There is no standard code for it; registries use
/// 412, or say so in words.
pub(super) fn says_immutable(response: &Response) -> bool {
    let words = String::from_utf8_lossy(&response.body).to_ascii_lowercase();
    let named = words.contains("immutable") || words.contains("already exist") || words.contains("overwrit");
    response.status == 412 || ((400..500).contains(&response.status) && named)
}

/// The `code` of each error; empty when the body is not the specification's.
pub(crate) fn error_codes(body: &[u8]) -> Vec<String> {
    let code = |error: &Value| error.get("code")?.as_str().map(str::to_ascii_uppercase);
    errors(body).iter().filter_map(code).collect()
}

/// Whether the body is a list of errors with a code as the specification wants one: capital letters, digits and underscores.
pub(crate) fn has_codes(body: &[u8]) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let is_code = |code: &str| code.starts_with(|c: char| c.is_ascii_uppercase()) && code.bytes().all(allowed);
    errors(body).iter().any(|error| error.get("code").and_then(Value::as_str).is_some_and(is_code))
}

/// Whether the body is a list of errors in the specification's form, whatever their codes are called.
pub(crate) fn has_errors(body: &[u8]) -> bool {
    !errors(body).is_empty()
}

fn errors(body: &[u8]) -> Vec<Value> {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    match value.get_mut("errors").map(Value::take) {
        Some(Value::Array(errors)) => errors,
        _ => Vec::new(),
    }
}
