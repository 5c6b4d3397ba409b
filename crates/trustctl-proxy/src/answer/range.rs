//! Which bytes of a blob are wanted (RFC 9110, section 14).

use std::ops::Range;

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

/// The bytes that are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Some of them: a range that is not empty and lies within the whole.
    Part(Range<u64>),
    /// A range that begins after the end.
    Unsatisfiable,
    /// All of them.
    Whole,
}

/// Which bytes of a blob of `total` bytes the headers ask for.
///
/// Several ranges, another unit than bytes and what cannot be read are answered with the whole, which RFC 9110 (section 14.2) allows and
/// every client can use. With `If-Range` that names another content than `etag` (with its quotes) the whole is meant.
#[must_use]
pub fn wanted(headers: &HeaderMap, etag: &str, total: u64) -> Wanted {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    if headers.get_all(IF_RANGE).iter().any(|known| known.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    range.to_str().ok().and_then(|text| parse(text, total)).unwrap_or(Wanted::Whole)
}

fn parse(text: &str, total: u64) -> Option<Wanted> {
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
    let range = match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(suffix)) => total.saturating_sub(suffix)..total,
        (Some(first), None) => first..total,
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(total),
    };
    Some(if range.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(range) })
}

/// `Some(None)` for nothing, `None` for what is no number. A number that does not fit is larger than every blob.
fn number(digits: &str) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| Some(digits.parse().unwrap_or(u64::MAX)))
}
