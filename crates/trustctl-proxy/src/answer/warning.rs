//! `Warning` headers: how a client is told of an image that the policy would refuse.

use http::header::WARNING;
use http::{HeaderMap, HeaderValue};

/// Most bytes of all warnings of an answer (OCI distribution specification 1.1, "Warnings").
const MAX_ALL: usize = 4096;
/// Most bytes of one warning, so that the first does not push out all others.
const MAX_ONE: usize = 1024;
const BEFORE: &str = "299 - \"";

/// Adds a warning header for each text, as far as they fit; what is too long ends in `...`.
///
/// A text becomes a quoted string of printable ASCII (RFC 9110, section 5.6.4): whatever else is in it becomes `?`, so that it can neither
/// end the string nor the header.
pub fn add_warnings<'a>(headers: &mut HeaderMap, texts: impl IntoIterator<Item = &'a str>) {
    let mut left = MAX_ALL;
    for text in texts {
        let value = warning(text);
        let Some(rest) = left.checked_sub(value.len()) else { break };
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(WARNING, value);
            left = rest;
        }
    }
}

fn warning(text: &str) -> String {
    let mut value = BEFORE.to_owned();
    // The closing quote, and the dots of a text that is cut.
    let room = MAX_ONE - 4;
    for c in text.chars() {
        let quoted = match c {
            '"' | '\\' => ['\\', c],
            ' '..='~' => [c, '\0'],
            _ => ['?', '\0'],
        };
        let quoted = quoted.iter().filter(|c| **c != '\0');
        if value.len() + quoted.clone().count() > room {
            value.push_str("...");
            break;
        }
        value.extend(quoted);
    }
    value.push('"');
    value
}
