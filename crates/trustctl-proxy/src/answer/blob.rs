//! Blobs, whole or in part.

use std::ops::Range;

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use trustctl_core::digest::Digest;

use super::{Answer, CONTENT_DIGEST, Wanted, digest_value, error, etag, wanted};
use crate::body::ProxyBody;

const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The answer with a blob of `total` bytes: the range that the headers of a GET ask for, or the whole. `body` is asked for the bytes
/// that go out; for a HEAD request, `head`, it is not, and a range does not count (RFC 9110, section 14.2).
pub fn blob(
    headers: &HeaderMap,
    head: bool,
    (digest, total): (&Digest, u64),
    body: impl FnOnce(Range<u64>) -> ProxyBody,
) -> Answer {
    let etag = etag(digest);
    let wanted = if head { Wanted::Whole } else { wanted(headers, etag.to_str().unwrap_or_default(), total) };
    let (status, range) = match wanted {
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => return unsatisfiable(total),
        Wanted::Whole => (StatusCode::OK, 0..total),
    };
    let length = range.end.saturating_sub(range.start);
    let content_range = HeaderValue::from_str(&format!("bytes {}-{}/{total}", range.start, range.end.saturating_sub(1)));
    let mut answer = Response::new(if head { ProxyBody::Empty } else { body(range) });
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    if let (StatusCode::PARTIAL_CONTENT, Ok(content_range)) = (status, content_range) {
        fields.insert(CONTENT_RANGE, content_range);
    }
    fields.insert(ACCEPT_RANGES, BYTES);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    fields.insert(CONTENT_TYPE, OCTETS);
    fields.insert(CONTENT_DIGEST, digest_value(digest));
    fields.insert(ETAG, etag);
    answer
}

/// The specification has no code for ranges, and allows no other than its own.
fn unsatisfiable(total: u64) -> Answer {
    let message = format!("the range begins after the {total} bytes of the blob");
    let mut answer = error(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", &message, None);
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{total}")) {
        answer.headers_mut().insert(CONTENT_RANGE, value);
    }
    answer
}
