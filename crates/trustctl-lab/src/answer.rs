//! Answers of the lab's services: small helpers over HTTP types, and the error shape that registries and Notary share.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

pub(crate) type Answer = Response<Bytes>;

/// An empty answer.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}

pub(crate) fn bytes(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, content_type);
    answer
}

pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    bytes(status, "text/plain; charset=utf-8", body.into())
}

pub(crate) fn json_value(status: StatusCode, value: &Value) -> Answer {
    bytes(status, "application/json", value.to_string())
}

/// `{"errors":[{"code","message","detail"}]}` (OCI distribution 1.1, "Error codes"; Notary's server uses the same).
pub(crate) fn error(status: StatusCode, code: &str, message: &str, detail: Value) -> Answer {
    json_value(status, &json!({"errors": [{"code": code, "message": message, "detail": detail}]}))
}

/// Sets a header; a value that HTTP cannot carry is left out.
pub(crate) fn set(answer: &mut Answer, name: HeaderName, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        answer.headers_mut().insert(name, value);
    }
}

pub(crate) fn with(mut answer: Answer, name: &'static str, value: impl AsRef<str>) -> Answer {
    set(&mut answer, HeaderName::from_static(name), value);
    answer
}

/// The value of `name` in a query string, percent-decoded.
pub(crate) fn query(query: Option<&str>, name: &str) -> Option<String> {
    queries(query, name).into_iter().next()
}

/// Every value of `name` in a query string or form, percent-decoded.
pub(crate) fn queries(query: Option<&str>, name: &str) -> Vec<String> {
    let pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| percent_decoded(value)).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => out.push(b' '),
            b'%' => match after.get(..2).and_then(|digits| hex::decode(digits).ok()) {
                Some(byte) => {
                    out.extend(byte);
                    rest = after.get(2..).unwrap_or_default();
                }
                None => out.push(b'%'),
            },
            other => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_decoded() {
        assert_eq!(query(Some("a=1&digest=sha256%3Aab&b"), "digest").as_deref(), Some("sha256:ab"));
        assert_eq!(query(Some("a=1%2&b=x+y"), "a").as_deref(), Some("1%2"));
        assert_eq!(queries(Some("s=1&s=2"), "s"), ["1", "2"]);
        assert_eq!(query(None, "a"), None);
    }
}
