//! Canonical JSON as Notary signs it (`docker/go`, package `canonical/json`), and JSON as Notary writes it.
//!
//! A document is read once into a [`Value`]. Signatures are made and checked over [`Value::canonical`]: keys sorted bytewise, no
//! white space, strings in raw UTF-8 with only `"` and `\` escaped, no Unicode normalisation, and numbers as Go sees them, that is
//! through a 64-bit float: `1e3` is `1000`, `-0` is `0`, `9007199254740993` is `9007199254740992`, and a fraction is an error.
//!
//! Stricter than Go, because two readers must never see two documents: duplicate keys, nesting deeper than [`MAX_DEPTH`], more
//! than [`MAX_VALUES`] values, invalid UTF-8, and numbers outside 64 bits are errors.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of lists and objects that is read. Notary's own documents have seven levels.
pub const MAX_DEPTH: usize = 64;
/// Most values in one document: enough for 200,000 tags, few enough to fit in memory whatever their size.
pub const MAX_VALUES: usize = 1_000_000;
/// Integers up to this are exact in a 64-bit float (2^53).
const EXACT: i128 = 1 << 53;

/// A JSON value as Notary understands it: no fractions, no duplicate keys, keys in bytewise order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, already rounded to what a 64-bit float can hold.
    Number(i64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object.
    Object(BTreeMap<String, Value>),
}

/// Bytes that are not JSON by the rules of this module; the text says where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

impl Value {
    /// The value that `bytes` hold, with nothing but white space around it.
    ///
    /// # Errors
    /// [`JsonError`] when the bytes are not JSON, or break a rule of this module.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let budget = Cell::new(MAX_VALUES);
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let seed = Seed { depth: 0, budget: &budget };
        let value = seed.deserialize(&mut deserializer).map_err(|error| JsonError(error.to_string()))?;
        deserializer.end().map_err(|error| JsonError(error.to_string()))?;
        Ok(value)
    }

    /// An object with these members.
    pub fn object<K: Into<String>, const N: usize>(members: [(K, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = String::new();
        self.write(&mut out, push_canonical);
        out.into_bytes()
    }

    /// The bytes Notary puts on the wire: like [`Value::canonical`], with `<`, `>`, `&`, U+2028, U+2029 and control characters
    /// escaped inside strings (Go, `encoding/json`, HTML escaping).
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        let mut out = String::new();
        self.write(&mut out, push_wire);
        out.into_bytes()
    }

    /// The members, when it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements, when it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The string, when it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, when it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn write(&self, out: &mut String, push: fn(&mut String, char)) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Text(text) => write_text(text, out, push),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out, push);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(name, out, push);
                    out.push(':');
                    value.write(out, push);
                }
                out.push('}');
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

fn write_text(text: &str, out: &mut String, push: fn(&mut String, char)) {
    out.push('"');
    for c in text.chars() {
        push(out, c);
    }
    out.push('"');
}

fn push_canonical(out: &mut String, c: char) {
    if matches!(c, '"' | '\\') {
        out.push('\\');
    }
    out.push(c);
}

fn push_wire(out: &mut String, c: char) {
    if c.is_ascii_control() && c != '\u{7f}' || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
        out.push_str(&format!("\\u{:04x}", u32::from(c)));
    } else {
        push_canonical(out, c);
    }
}

/// Reads one value at a known depth; all values of a document share one budget.
#[derive(Clone, Copy)]
struct Seed<'a> {
    depth: usize,
    budget: &'a Cell<usize>,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, budget: self.budget })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.budget.get().checked_sub(1);
        self.budget.set(left.ok_or_else(|| D::Error::custom(format_args!("more than {MAX_VALUES} values")))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        rounded(number.into()).map(Value::Number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        rounded(number.into()).map(Value::Number)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        whole(number).map(Value::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(seed)?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the key \"{name}\" is there twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// The integer after a trip through a 64-bit float, as docker/go makes it.
fn rounded<E: serde::de::Error>(number: i128) -> Result<i64, E> {
    if (-EXACT..=EXACT).contains(&number) {
        return i64::try_from(number).map_err(E::custom);
    }
    // Parsing decimal digits rounds to nearest even, like Go's own parser.
    number.to_string().parse::<f64>().map_err(E::custom).and_then(whole)
}

/// The integer a float is; an error for fractions and for what does not fit 64 bits (where Go's result depends on the machine).
fn whole<E: serde::de::Error>(number: f64) -> Result<i64, E> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() != 0.0 {
        return Err(E::custom("a number with a fraction"));
    }
    if !(-TWO_TO_63..TWO_TO_63).contains(&number) {
        return Err(E::custom("a number that does not fit 64 bits"));
    }
    format!("{number:.0}").parse().map_err(E::custom)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        String::from_utf8(Value::parse(text.as_bytes()).unwrap().canonical()).unwrap()
    }

    #[test]
    fn canonical_form_is_docker_gos() {
        for (wire, signed) in [
            (r#" { "b" : 1 , "a" : [ true , null ] } "#, r#"{"a":[true,null],"b":1}"#),
            (r#"{"1.0":1.0,"1e3":1e3,"-0":-0,"big":9007199254740993}"#, r#"{"-0":0,"1.0":1,"1e3":1000,"big":9007199254740992}"#),
            (r#""a\u0026b\u003cc\u003e \"q\" \\ \/ \u2028""#, "\"a&b<c> \\\"q\\\" \\\\ / \u{2028}\""),
            ("\"e\u{301} \\n\\t\\u0001\"", "\"e\u{301} \n\t\u{1}\""),
            (r#"{"Z":1,"a":2,"é":3,"_":4}"#, r#"{"Z":1,"_":4,"a":2,"é":3}"#),
            ("9223372036854774784", "9223372036854774784"),
            ("-9223372036854775808", "-9223372036854775808"),
        ] {
            assert_eq!(canonical(wire), signed, "{wire}");
        }
    }

    #[test]
    fn wire_form_escapes_like_go_and_reads_back() {
        let value = Value::from("a&b<c>\u{2028}\u{1}\"\\é\u{7f}");
        assert_eq!(String::from_utf8(value.wire()).unwrap(), "\"a\\u0026b\\u003cc\\u003e\\u2028\\u0001\\\"\\\\é\u{7f}\"");
        assert_eq!(Value::parse(&value.wire()).unwrap(), value);
    }

    #[test]
    fn what_readers_could_disagree_about_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"x":[{"b":1,"b":1}]}}"#,
            "1.5",
            "1e30",
            "9223372036854775808",
            "18446744073709551615",
            "1e400",
            "{} {}",
            "",
            "\"\\ud800\"",
            "[1,]",
            "NaN",
        ] {
            assert!(Value::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Value::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_ends_at_64() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Value::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(Value::parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(Value::parse(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn the_number_of_values_is_limited() {
        let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
        assert!(Value::parse(many.as_bytes()).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-(1_i64 << 53)..(1_i64 << 53)).prop_map(Value::Number),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                proptest::collection::btree_map(any::<String>(), inner, 0..4).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Value::parse(&bytes);
        }

        #[test]
        fn what_is_written_reads_back_the_same(value in values()) {
            prop_assert_eq!(Value::parse(&value.wire()).unwrap(), value);
        }
    }
}
