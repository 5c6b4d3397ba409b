//! Who has the content already is told so, and not sent it again (RFC 9110, section 13.1.2).

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};

use super::Answer;
use crate::body::ProxyBody;

/// The answer, or 304 in its place when it is content that the client says it has.
///
/// What is not the content itself has no tag, and stays: a refusal is never hidden behind what a client has. Ranges are not looked at,
/// since this comes before them (section 13.2.2).
#[must_use]
pub fn unless_known(headers: &HeaderMap, answer: Answer) -> Answer {
    let is_content = matches!(answer.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    let is_known = is_content && answer.headers().get(ETAG).is_some_and(|etag| names(headers, etag.as_bytes()));
    if !is_known {
        return answer;
    }
    let mut answer = answer.map(|_| ProxyBody::Empty);
    *answer.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE] {
        answer.headers_mut().remove(name);
    }
    answer
}

/// Whether the headers name a tag, weak or not. Tags made here hold no comma, so a list is split at each.
fn names(headers: &HeaderMap, etag: &[u8]) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().map(http::HeaderValue::as_bytes);
    let mut tags = lists.flat_map(|list| list.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
}
