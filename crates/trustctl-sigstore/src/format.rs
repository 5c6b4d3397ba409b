//! Reading what others wrote, strictly: JSON without duplicates where it decides, base64 in the forms that Go accepts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trustctl_core::reason::{Code, Reason};

use crate::limits::{MAX_ANNOTATIONS, MAX_DEPTH};

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A base64 value is malformed.
    #[error("{what} is not base64")]
    Base64 {
        /// Which value.
        what: &'static str,
    },
    /// The same digest is named twice, so that it is not clear which annotations count.
    #[error("the statement names the same digest twice")]
    DigestTwice,
    /// The JSON nests deeper than is read.
    #[error("{what} nests deeper than {MAX_DEPTH} levels")]
    Depth {
        /// Which document.
        what: &'static str,
    },
    /// The JSON is malformed, lacks a field, has one twice, or has one of another type.
    #[error("{what} is malformed ({detail})")]
    Json {
        /// Which document.
        what: &'static str,
        /// The parser's words.
        detail: String,
    },
    /// Exactly one of something is demanded.
    #[error("there must be exactly one {what}, not {count}")]
    NotOne {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// More of something than is read.
    #[error("there are {count} {what}, more than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many are read.
        limit: usize,
    },
    /// A type or version that is not read.
    #[error("unsupported {what} \"{found}\"")]
    Unsupported {
        /// The type or version of what.
        what: &'static str,
        /// What was found.
        found: String,
    },
}

impl FormatError {
    /// The reason to report for the artifact found at `at`.
    #[must_use]
    pub fn reason(&self, at: &str) -> Reason {
        Reason::new(Code::CosignMalformed, format!("{at}: {self}"))
    }
}

/// Reads `bytes` as one JSON value of type `T`.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, FormatError> {
    if !is_shallow(bytes) {
        return Err(FormatError::Depth { what });
    }
    serde_json::from_slice(bytes).map_err(|error| FormatError::Json { what, detail: error.to_string() })
}

/// Reads a part of a document that was already read.
pub(crate) fn part<'a, T: Deserialize<'a>>(raw: &'a RawValue, what: &'static str) -> Result<T, FormatError> {
    serde_json::from_str(raw.get()).map_err(|error| FormatError::Json { what, detail: error.to_string() })
}

/// Whether brackets nest at most [`MAX_DEPTH`] deep. Malformed JSON gets any answer.
fn is_shallow(bytes: &[u8]) -> bool {
    let (mut depth, mut rest) = (0_usize, bytes.iter());
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => rest = after_string(rest.as_slice()).iter(),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// What follows the quotation mark that ends a string; nothing when none does.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let is_end = rest.get(at) == Some(&b'"');
        rest = rest.get(at + if is_end { 1 } else { 2 }..).unwrap_or_default();
        if is_end {
            return rest;
        }
    }
    &[]
}

/// A string that borrows from the document unless it has escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// An object whose members are kept as they were written, in their order. A name that occurs twice is refused.
#[derive(Clone, Debug)]
pub(crate) struct RawObject<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'a> RawObject<'a> {
    pub(crate) fn member(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| *value)
    }

    /// The value of the one member, whatever its name; `None` when there are none or several.
    pub(crate) fn only(&self) -> Option<&'a RawValue> {
        match self.0.as_slice() {
            [(_, value)] => Some(value),
            _ => None,
        }
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The object again, with some members' values replaced; a member that is not there is added at the end.
    pub(crate) fn with(&self, replacements: &[(&str, &str)]) -> String {
        let kept = self.0.iter().map(|(key, value)| {
            let replacement = replacements.iter().find(|(name, _)| *name == key.as_str());
            (key.as_str(), replacement.map_or(value.get(), |(_, new)| new))
        });
        let added = replacements.iter().filter(|(name, _)| self.member(name).is_none());
        object(kept.chain(added.copied()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Text<'de>, &'de RawValue)> = Vec::new();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if members.len() >= MAX_ANNOTATIONS {
                        return Err(de::Error::custom("too many fields"));
                    }
                    if members.iter().any(|(known, _)| *known == key) {
                        return Err(de::Error::custom("a field occurs twice"));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(RawObject(members))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Signed key-value pairs. Values that are no strings are kept as their JSON text; a key that occurs twice is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs(pub(crate) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RawObject(members) = RawObject::deserialize(deserializer)?;
        let pair = |(key, value): (Text<'de>, &RawValue)| {
            let text = value.get();
            let value =
                if text.starts_with('"') { serde_json::from_str(text).map_err(de::Error::custom)? } else { text.to_owned() };
            Ok((key.0.into_owned(), value))
        };
        members.into_iter().map(pair).collect::<Result<_, D::Error>>().map(Self)
    }
}

/// A list of at most `N` elements; a longer one is refused before it takes memory.
#[derive(Clone, Debug)]
pub(crate) struct Bounded<T, const N: usize>(pub(crate) Vec<T>);

impl<T, const N: usize> Default for Bounded<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Bounded<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for ListVisitor<T, N> {
            type Value = Bounded<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {N}")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    if list.len() >= N {
                        return Err(de::Error::custom(format_args!("more than {N} elements")));
                    }
                    list.push(element);
                }
                Ok(Bounded(list))
            }
        }
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// How many elements a list has; none of them is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl<'de> Visitor<'de> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut count = 0;
                while elements.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(CountVisitor)
    }
}

/// A whole number that protobuf's JSON writes as a string and others as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Integer(pub(crate) i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerVisitor;
        impl Visitor<'_> for IntegerVisitor {
            type Value = Integer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or one in quotes")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Integer(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                i64::try_from(value).map(Integer).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(Integer).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(IntegerVisitor)
    }
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The bytes behind base64 text: either alphabet, padded or not, line ends ignored, as Go's readers accept it.
pub(crate) fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, FormatError> {
    let has = |one: u8, other: u8| memchr::memchr2(one, other, text.as_bytes()).is_some();
    let engine = if has(b'-', b'_') { &URL_SAFE } else { &STANDARD };
    let text = if has(b'\n', b'\r') { Cow::Owned(text.replace(['\n', '\r'], "")) } else { Cow::Borrowed(text) };
    engine.decode(text.as_bytes()).map_err(|_| FormatError::Base64 { what })
}

/// Standard base64 with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Compact JSON. Only for values that cannot fail to serialise: strings, numbers, structs of them.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Compact JSON as Go's `encoding/json` writes it: `<`, `>`, `&`, U+2028 and U+2029 are escaped.
pub(crate) fn go_json(value: &impl Serialize) -> String {
    let plain = json(value);
    if !plain.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return plain;
    }
    // Outside of strings none of these characters occurs in JSON.
    plain
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// An object from members whose values are JSON already.
pub(crate) fn object<'m>(members: impl Iterator<Item = (&'m str, &'m str)>) -> String {
    let members: Vec<String> = members.map(|(name, value)| format!("{}:{value}", json(&name))).collect();
    format!("{{{}}}", members.join(","))
}

/// A list from elements that are JSON already.
pub(crate) fn list<'m>(elements: impl Iterator<Item = &'m str>) -> String {
    let elements: Vec<&str> = elements.collect();
    format!("[{}]", elements.join(","))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn nesting_beyond_the_limit_is_refused_before_parsing() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read::<serde_json::Value>(deep(64).as_bytes(), "it").is_ok());
        assert_eq!(read::<serde_json::Value>(deep(65).as_bytes(), "it"), Err(FormatError::Depth { what: "it" }));
        let in_string = format!("\"\\\"{}\"", "[".repeat(100));
        assert!(read::<String>(in_string.as_bytes(), "it").is_ok());
    }

    #[test]
    fn names_that_occur_twice_are_refused() {
        assert!(read::<Pairs>(br#"{"a":"1","a":"2"}"#, "it").is_err());
        assert!(read::<Pairs>(br#"{"a":"1","\u0061":"2"}"#, "it").is_err());
        let pairs: Pairs = read(br#"{"b":"<","a":1657296609,"c":null}"#, "it").unwrap();
        let pairs: Vec<(&str, &str)> = pairs.0.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("a", "1657296609"), ("b", "<"), ("c", "null")]);
    }

    #[test]
    fn base64_is_read_as_go_reads_it() {
        for text in ["+/8=", "+/8", "-_8=", "-_8", "+/\n8=\n"] {
            assert_eq!(decode(text, "it").unwrap(), [0xfb, 0xff], "{text:?}");
        }
        for text in ["+_8=", "+/8==", "+/9=", "€"] {
            assert!(decode(text, "it").is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_list_beyond_its_bound_is_refused() {
        assert_eq!(read::<Bounded<u8, 2>>(b"[1,2]", "it").unwrap().0, [1, 2]);
        assert!(read::<Bounded<u8, 2>>(b"[1,2,3]", "it").is_err());
        assert_eq!(read::<Count>(b"[1,{},[]]", "it").unwrap(), Count(3));
    }

    #[test]
    fn integers_come_as_numbers_and_as_strings() {
        for text in ["7", "\"7\""] {
            assert_eq!(read::<Integer>(text.as_bytes(), "it").unwrap(), Integer(7));
        }
        for text in ["7.5", "\"x\"", "18446744073709551615", "null", "[]"] {
            assert!(read::<Integer>(text.as_bytes(), "it").is_err(), "{text}");
        }
    }

    #[test]
    fn members_are_kept_as_written_when_others_are_replaced() {
        let object: RawObject<'_> = read(br#"{"a" : 1.0,"b":[ 1 ], "c":"\u0041"}"#, "it").unwrap();
        assert_eq!(object.with(&[("b", "2"), ("d", "3")]), r#"{"a":1.0,"b":2,"c":"\u0041","d":3}"#);
    }
}
