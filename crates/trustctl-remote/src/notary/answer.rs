//! What a Notary server answers, told apart from what others answer in its place.

use serde::Deserialize;
use serde_json::Value;
use trustctl_core::reason::clean;

use crate::error::RemoteError;
use crate::http::Response;

/// The server's code for "this does not exist". Other 404 are not its own: a registry without Notary, a proxy, a wrong path.
const NOT_FOUND: &str = "METADATA_NOT_FOUND";
/// The server's code for a file that is not newer than the one it has.
const OLD_VERSION: &str = "VERSION";

/// The errors of an answer.
#[derive(Deserialize)]
struct ErrorsForm {
    errors: Vec<ErrorForm>,
}

#[derive(Deserialize)]
struct ErrorForm {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: Value,
}

/// The body of a successful answer; `None` when the server says, in its own form, that there is nothing.
///
/// # Errors
/// [`RemoteError::BadAnswer`] for any other answer.
pub(super) fn found(response: Response) -> Result<Option<Vec<u8>>, RemoteError> {
    if response.status == 200 {
        return Ok(Some(response.body.to_vec()));
    }
    let errors = errors(&response.body);
    if response.status == 404 && errors.iter().any(|error| error.code == NOT_FOUND) {
        return Ok(None);
    }
    Err(unexpected(&response, &errors))
}

/// Success, or why an upload was not taken.
///
/// # Errors
/// [`RemoteError::OutdatedUpload`] when a file is older than the server's, [`RemoteError::UploadRefused`] for what the server checked
/// and did not like, [`RemoteError::BadAnswer`] for what is not a Notary server's answer.
pub(super) fn accepted(response: &Response) -> Result<(), RemoteError> {
    if response.status == 200 {
        return Ok(());
    }
    let (host, errors) = (response.origin.to_string(), errors(&response.body));
    if errors.is_empty() || !(400..500).contains(&response.status) {
        return Err(unexpected(response, &errors));
    }
    let detail = errors.iter().map(words).collect::<Vec<_>>().join("; ");
    match errors.iter().any(|error| error.code == OLD_VERSION) {
        true => Err(RemoteError::OutdatedUpload { host, detail }),
        false => Err(RemoteError::UploadRefused { host, detail }),
    }
}

fn unexpected(response: &Response, errors: &[ErrorForm]) -> RemoteError {
    let host = response.origin.to_string();
    let said = match errors.first() {
        Some(error) => format!(": {}", words(error)),
        None if response.status == 404 => ", and not as a Notary server does: there seems to be none at this address".to_owned(),
        None => String::new(),
    };
    let detail = format!("it answered {}{said}", response.status);
    match response.status {
        500.. => RemoteError::Unavailable { host, detail, tries: 1, retry_after: None },
        _ => RemoteError::bad_answer(host, detail),
    }
}

fn errors(body: &[u8]) -> Vec<ErrorForm> {
    serde_json::from_slice(body).map(|form: ErrorsForm| form.errors).unwrap_or_default()
}

/// Code, message and, for what a validation found, its words.
fn words(error: &ErrorForm) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let name = text(error.detail.get("Name"));
    let inner = error.detail.get("Error");
    let found = text(inner.and_then(|inner| inner.get("Msg"))).or_else(|| text(inner)).or_else(|| text(Some(&error.detail)));
    let parts = [Some(error.code.clone()), name, found.or_else(|| Some(error.message.clone()))];
    let missing = inner.and_then(|inner| inner.get("Missing")).filter(|missing| !missing.is_null());
    let missing = missing.map(|missing| format!("missing: {missing}"));
    clean(&parts.into_iter().chain([missing]).flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "))
}
