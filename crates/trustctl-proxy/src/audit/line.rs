//! What a line of the log is: a JSON object with its number and the hash of the line before it.

use serde::{Deserialize, Serialize};
use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::time::Timestamp;

/// Most bytes of a line. Records have some 500; what is longer was not written here.
pub const MAX_LINE: usize = 64 * 1024;
/// The hash before the first line: 64 zeros.
pub const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last line; 0 before the first.
    pub seq: u64,
    /// The SHA-256 of the last line's bytes, without its newline, in hexadecimal.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: BEGINNING.to_owned() }
    }
}

/// What every line has in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its number, from 1.
    pub seq: u64,
    /// The hash of the line before it, or [`BEGINNING`].
    pub prev: String,
    /// When it was written.
    pub time: Timestamp,
    /// What kind of record it is.
    pub kind: String,
}

impl Head {
    /// The next line, without newline, and the head after it. `fields` are the members of a JSON object, without the braces.
    #[must_use]
    pub fn next(&self, time: Timestamp, kind: &str, fields: &str) -> (String, Self) {
        let seq = self.seq + 1;
        let comma = if fields.is_empty() { "" } else { "," };
        let line = format!(r#"{{"seq":{seq},"prev":"{}","time":"{time}","kind":"{kind}"{comma}{fields}}}"#, self.hash);
        let head = Self { seq, hash: hash(line.as_bytes()) };
        (line, head)
    }

    /// The head after `line`, when it follows from this one.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn follow(&self, line: &[u8]) -> Result<(Link, Self), String> {
        let link = parse(line)?;
        if link.seq != self.seq + 1 {
            return Err(format!("it has number {}, and {} follows", link.seq, self.seq + 1));
        }
        if link.prev != self.hash {
            return Err("it does not follow from the line before it".to_owned());
        }
        let head = Self { seq: link.seq, hash: hash(line) };
        Ok((link, head))
    }
}

/// The link of a line, whatever was before it.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse(line: &[u8]) -> Result<Link, String> {
    if line.len() > MAX_LINE {
        return Err(format!("it has more than {MAX_LINE} bytes"));
    }
    let link: Link = serde_json::from_slice(line).map_err(|error| format!("it is not a record: {error}"))?;
    let is_hash = hex_length(&link.prev) && link.seq > 0 && link.seq < u64::MAX;
    if is_hash { Ok(link) } else { Err("it is not a record: number or hash are none".to_owned()) }
}

fn hex_length(text: &str) -> bool {
    format!("{}:{text}", DigestAlgorithm::Sha256.name()).parse::<Digest>().is_ok()
}

/// The SHA-256 of a line's bytes, in hexadecimal.
#[must_use]
pub fn hash(line: &[u8]) -> String {
    Digest::sha256_of(line).hex()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    fn time() -> Timestamp {
        "2026-11-28T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_line_follows_from_the_one_before_it_alone() {
        let (first, one) = Head::default().next(time(), "decision", r#""tag":"1""#);
        let (second, two) = one.next(time(), "decision", "");
        assert!(first.starts_with(r#"{"seq":1,"prev":"0000"#) && first.ends_with(r#","kind":"decision","tag":"1"}"#));
        assert_eq!(Head::default().follow(first.as_bytes()).unwrap().1, one);
        assert_eq!(one.follow(second.as_bytes()).unwrap().1, two);
        assert!(Head::default().follow(second.as_bytes()).unwrap_err().contains("number 2"));
        let changed = first.replace(r#""tag":"1""#, r#""tag":"2""#);
        let (_, other) = Head::default().follow(changed.as_bytes()).unwrap();
        assert!(other.follow(second.as_bytes()).unwrap_err().contains("does not follow"));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..300), seq in any::<u64>(), text in ".{0,80}") {
            let made = format!(r#"{{"seq":{seq},"prev":"{BEGINNING}","time":"2026-11-28T12:00:00Z","kind":{text:?}}}"#);
            for line in [line.as_slice(), made.as_bytes()] {
                if let Ok(link) = parse(line) {
                    prop_assert!(link.seq > 0 && link.prev.len() == 64);
                }
            }
        }
    }
}
