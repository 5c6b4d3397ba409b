//! JSON that every reader understands alike: no name twice in an object, no known name in another spelling.
//!
//! Go's decoder, which most tools in this field use, takes the last of two equal names and takes `Digest` for `digest`; others do
//! neither. A document that uses either lets a verifier see one image and a client run another.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep brackets may nest. Documents of this field nest below ten.
const MAX_DEPTH: usize = 64;

/// The JSON value that `bytes` are, all of them. A name twice in one object, at any depth, is refused.
///
/// # Errors
/// The parser's words, with line and column.
pub fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: MAX_DEPTH }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The first member of `object` whose name differs from one of `known` only as Go's decoder ignores it.
#[must_use]
pub fn misspelt<'a>(object: &'a Map<String, Value>, known: &[&str]) -> Option<&'a str> {
    let stranger = |written: &&String| !known.contains(&written.as_str());
    let resembles = |written: &&String| {
        let folded = folded(written);
        known.iter().any(|field| self::folded(field) == folded)
    };
    object.keys().filter(stranger).find(resembles).map(String::as_str)
}

/// The name as Go's decoder compares it: simple case folding, which takes two non-ASCII letters to ASCII ones.
#[must_use]
pub fn folded(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// Reads a value and refuses a name that occurs twice.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom(format_args!("nests deeper than {MAX_DEPTH} levels")))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(inner)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a name occurs twice in one object"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_twice_is_refused_at_any_depth() {
        for twice in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert!(read(twice.as_bytes()).unwrap_err().to_string().contains("twice"), "{twice}");
        }
        for once in [r#"{"a":1,"b":{"a":1}}"#, r#"[{"a":1},{"a":2}]"#, r#"{"a":1,"A":2}"#] {
            assert_eq!(read(once.as_bytes()).unwrap(), serde_json::from_str::<Value>(once).unwrap());
        }
    }

    #[test]
    fn what_nests_too_deep_or_goes_on_is_refused() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(read(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(read(nested(100_000).as_bytes()).is_err());
        assert!(read(b"{} {}").is_err());
    }

    #[test]
    fn other_spellings_of_known_names_are_found() {
        let found = |text: &str| {
            let value = read(text.as_bytes()).unwrap();
            misspelt(value.as_object().unwrap(), &["digest", "os", "size"]).map(str::to_owned)
        };
        assert_eq!(found(r#"{"digest":1,"size":2,"diges":3}"#), None);
        for other in ["Digest", "DIGEST", "o\u{17f}", "Size"] {
            assert_eq!(found(&format!(r#"{{"digest":1,"{other}":2}}"#)).as_deref(), Some(other));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_a_plain_reader_reads(text in ".{0,60}", list in proptest::collection::vec(any::<f64>(), 0..4)) {
            let value = serde_json::json!({"text": text, "list": list, "yes": true, "no": null, "n": [-1, 1]});
            let bytes = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(read(&bytes).unwrap(), serde_json::from_slice::<Value>(&bytes).unwrap());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
