//! What goes back to a client: the answers of the pull surface, refusals and errors. Pure; nothing from outside can add a header.
//!
//! Source: OCI distribution specification 1.1, "Endpoints" and "Error Codes"; RFC 9110 for ranges and conditions.

mod blob;
mod condition;
mod places;
mod range;
mod refusal;
mod warning;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LINK};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;

use crate::body::ProxyBody;
use crate::request::Fault;

pub use blob::blob;
pub use condition::unless_known;
pub use places::Places;
pub use range::{Wanted, wanted};
pub use refusal::{DENIED_MEDIA_TYPE, Denial, NOBODY_S, Refusal, denied, docs_link, throttled, undecided};
pub use warning::add_warnings;

/// What is sent to a client.
pub type Answer = Response<ProxyBody>;

/// The digest of what is in the body.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The registry for which a mirror answers.
pub const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An answer with bytes as they are, and their length.
#[must_use]
pub fn full(status: StatusCode, content_type: HeaderValue, bytes: Bytes) -> Answer {
    let length = HeaderValue::from(bytes.len());
    let mut answer = Response::new(ProxyBody::from(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer
}

/// The answer to a HEAD request: the same headers, and no body.
#[must_use]
pub fn without_body(answer: Answer) -> Answer {
    answer.map(|_| ProxyBody::Empty)
}

/// That the specification is spoken here. Some engines take a server without the version header for one of the old protocol.
#[must_use]
pub fn ping() -> Answer {
    let mut answer = full(StatusCode::OK, JSON, Bytes::from_static(b"{}"));
    answer.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    answer
}

/// An error in the specified form; no cache may keep it.
#[must_use]
pub fn error(status: StatusCode, code: &str, message: &str, detail: Option<Value>) -> Answer {
    let mut entry = json!({ "code": code, "message": message });
    if let (Some(detail), Some(fields)) = (detail, entry.as_object_mut()) {
        fields.insert("detail".to_owned(), detail);
    }
    let mut answer = full(status, JSON, json!({ "errors": [entry] }).to_string().into());
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    answer
}

/// The answer to a request that is not served.
#[must_use]
pub fn fault(fault: &Fault) -> Answer {
    match fault.reason {
        None => error(fault.status, fault.code, &fault.message, None),
        Some(code) => {
            let detail = json!({ "reason": code, "name": code.name(), "link": docs_link(code) });
            error(fault.status, fault.code, &format!("{}: {}", code.id(), fault.message), Some(detail))
        }
    }
}

/// A manifest that is ready to be served many times: its headers are made once.
#[derive(Clone, Debug)]
pub struct ManifestAnswer {
    digest: HeaderValue,
    etag: HeaderValue,
    media_type: HeaderValue,
    bytes: Bytes,
}

impl ManifestAnswer {
    /// The manifest `bytes`, which have this digest and media type. A media type that no header can hold becomes the one for bytes.
    #[must_use]
    pub fn new(digest: &Digest, media_type: &str, bytes: Bytes) -> Self {
        Self { digest: digest_value(digest), etag: etag(digest), media_type: media_value(media_type), bytes }
    }

    /// The manifest's bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The answer with the manifest.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let mut answer = full(StatusCode::OK, self.media_type.clone(), self.bytes.clone());
        answer.headers_mut().insert(CONTENT_DIGEST, self.digest.clone());
        answer.headers_mut().insert(ETAG, self.etag.clone());
        answer
    }
}

/// Says for which registry a mirror answers, as is due where the client asked with `?ns=`.
pub fn add_namespace(headers: &mut HeaderMap, registry: &str) {
    if let Ok(value) = HeaderValue::from_str(registry) {
        headers.insert(OCI_NAMESPACE, value);
    }
}

/// A page of tags, in the order in which they are given. With `more`, the tag after which the next page begins and its length, the answer
/// says where that is; `name` is the repository as the client wrote it.
#[must_use]
pub fn tags(name: &str, tags: &[String], more: Option<(&str, usize)>) -> Answer {
    let mut answer = full(StatusCode::OK, JSON, json!({ "name": name, "tags": tags }).to_string().into());
    let link = more.and_then(|(last, limit)| {
        HeaderValue::from_str(&format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\"")).ok()
    });
    if let Some(link) = link {
        answer.headers_mut().insert(LINK, link);
    }
    answer
}

/// An index of referrers; `filtered` when only those of the wanted artifact type are in it.
#[must_use]
pub fn referrers(index: Bytes, filtered: bool) -> Answer {
    let index_type = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
    let mut answer = full(StatusCode::OK, index_type, index);
    if filtered {
        answer.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    answer
}

fn digest_value(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(&digest.to_string()).unwrap_or(HeaderValue::from_static(""))
}

fn etag(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn media_value(media_type: &str) -> HeaderValue {
    let visible = media_type.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let value = Some(media_type).filter(|_| visible && !media_type.is_empty()).and_then(|text| HeaderValue::from_str(text).ok());
    value.unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests;
