//! Whether a file survives being written again: nobody's data may change because somebody else signs.

use trustctl_core::reason::{Code, Reason};

use super::current::read;
use crate::canonical_json::Value;
use crate::metadata::Document;
use crate::role::RoleName;

/// Integers up to this are exact in a 64-bit float, through which Notary passes every number (2^53).
const EXACT: i128 = 1 << 53;

/// Checks that the document in `bytes` means the same when it is written again.
///
/// The server writes out what it has read when it signs a snapshot: a field it does not know would break the hash chain.
pub(super) fn check<T: Document>(role: &RoleName, bytes: &[u8]) -> Result<(), Reason> {
    let (document, envelope) = read::<T>(bytes).map_err(|error| error.reason(role.as_str()))?;
    let cannot = |what: String| {
        let message = format!("{role} holds {what}, which would not survive being signed again");
        Err(Reason::new(Code::DctCannotKeep, message))
    };
    if let Some(place) = difference(envelope.signed(), &document.to_signed()) {
        return cannot(format!("the field {place}"));
    }
    match inexact_number(bytes) {
        Some(number) => cannot(format!("the number {number}")),
        None => Ok(()),
    }
}

/// Where two values differ in meaning; an empty list, `null` and nothing are the same.
fn difference(old: &Value, new: &Value) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names = old.keys().chain(new.keys());
            names.into_iter().find_map(|name| {
                let (old, new) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
                difference(old, new).map(|place| format!("{name}{}{place}", if place.is_empty() { "" } else { "." }))
            })
        }
        (Value::List(old), Value::List(new)) if old.len() == new.len() => {
            old.iter().zip(new).find_map(|(old, new)| difference(old, new))
        }
        (old, new) => (old != new && !(is_nothing(old) && is_nothing(new))).then(String::new),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::List(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A number of the JSON text that a 64-bit float does not hold exactly.
fn inexact_number(json: &[u8]) -> Option<String> {
    let mut in_string = false;
    let mut escaped = false;
    let mut number = String::new();
    for byte in json.iter().copied().chain([b' ']) {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        if byte.is_ascii_digit() || (!number.is_empty() && b".eE+-".contains(&byte)) || byte == b'-' {
            number.push(char::from(byte));
            continue;
        }
        if !number.is_empty() && !is_exact(&number) {
            return Some(number);
        }
        number.clear();
        in_string = byte == b'"';
    }
    None
}

fn is_exact(number: &str) -> bool {
    match number.parse::<i128>() {
        Ok(whole) => (-EXACT..=EXACT).contains(&whole),
        // Written as a float: large ones may have been rounded already, and no honest file has them.
        Err(_) => number.parse::<f64>().is_ok_and(|float| float.abs() <= 9_007_199_254_740_992.0),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn numbers_are_found_outside_strings_only() {
        assert_eq!(inexact_number(br#"{"9007199254740993":1,"a":"9007199254740993","b":"\"9007199254740993"}"#), None);
        assert_eq!(inexact_number(br#"{"a":[1,-0,1e3,9007199254740992]}"#), None);
        assert_eq!(inexact_number(br#"{"a":[1,9007199254740993]}"#).unwrap(), "9007199254740993");
        assert_eq!(inexact_number(b"-9007199254740993").unwrap(), "-9007199254740993");
        assert_eq!(inexact_number(b"1e17").unwrap(), "1e17");
    }

    #[test]
    fn nothing_null_and_empty_are_the_same() {
        let value = |text: &str| Value::parse(text.as_bytes()).unwrap();
        assert_eq!(difference(&value(r#"{"a":null,"b":[],"c":1}"#), &value(r#"{"c":1}"#)), None);
        assert_eq!(difference(&value(r#"{"a":{"x":1}}"#), &value(r#"{"a":{}}"#)).unwrap(), "a.x");
        assert_eq!(difference(&value(r#"{"a":[1,2]}"#), &value(r#"{"a":[2,1]}"#)).unwrap(), "a");
        assert_eq!(difference(&value(r#"{"a":0}"#), &value(r#"{}"#)).unwrap(), "a");
    }
}
