//! PEM with RFC 1421 headers, read strictly and into memory that is overwritten.
//!
//! The `pem` crate reads such files too, but keeps repeated headers and leaves copies of unencrypted keys in freed memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::KeyError;

/// Longest file, in bytes: an export of a large trust directory is about 1 KiB a key.
pub(crate) const MAX_FILE: usize = 1 << 20;
/// Most blocks in a file, for the same reason.
const MAX_BLOCKS: usize = 1024;
/// Longest body, in base64 characters: an RSA key of 8192 bits needs about 6,400.
const MAX_BODY: usize = 16 * 1024;
/// Most headers: Notary writes at most three, RFC 1421 encryption adds two.
const MAX_HEADERS: usize = 8;
/// Base64 characters a line (RFC 7468, section 2).
const COLUMNS: usize = 64;

/// One `BEGIN`..`END` block.
pub(crate) struct Block {
    pub(crate) label: String,
    headers: Vec<(String, String)>,
    pub(crate) contents: Zeroizing<Vec<u8>>,
}

impl Block {
    /// The value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every block of the text, in order. Text between blocks is ignored, as everywhere.
    pub(crate) fn parse_all(text: &[u8]) -> Result<Vec<Self>, KeyError> {
        if text.len() > MAX_FILE {
            return Err(too_large(text.len(), MAX_FILE));
        }
        let text = std::str::from_utf8(text).map_err(|_| KeyError::unreadable("the file is not text"))?;
        let mut lines = text.lines().map(str::trim_end);
        let mut blocks = Vec::new();
        while let Some(line) = lines.next() {
            let Some(label) = marker(line, "-----BEGIN ") else { continue };
            if blocks.len() == MAX_BLOCKS {
                return Err(KeyError::unreadable("the file has too many PEM blocks"));
            }
            blocks.push(Self::parse_one(label, &mut lines)?);
        }
        Ok(blocks)
    }

    fn parse_one<'a>(label: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<Self, KeyError> {
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut in_headers = true;
        let mut body = Zeroizing::new(String::with_capacity(MAX_BODY));
        for line in lines {
            if marker(line, "-----BEGIN ").is_some() {
                return Err(KeyError::unreadable("a PEM block begins inside another"));
            }
            if let Some(end) = marker(line, "-----END ") {
                if end != label {
                    return Err(KeyError::unreadable("a PEM block ends under another label"));
                }
                let contents = decode(&body)?;
                return Ok(Self { label: label.to_owned(), headers, contents });
            }
            match line.split_once(':') {
                Some((name, value)) if in_headers => add_header(&mut headers, name.trim(), value.trim())?,
                Some(_) => return Err(KeyError::unreadable("a PEM header follows the data")),
                None if line.is_empty() => in_headers = in_headers && headers.is_empty() && body.is_empty(),
                None => {
                    in_headers = false;
                    if body.len().saturating_add(line.len()) > MAX_BODY {
                        return Err(too_large(body.len().saturating_add(line.len()), MAX_BODY));
                    }
                    body.push_str(line);
                }
            }
        }
        Err(KeyError::unreadable("a PEM block is cut off"))
    }
}

/// A block as text: headers in the given order, a blank line after them, 64 columns, a line feed at the end.
///
/// Go's `encoding/pem`, which Notary and Cosign use, writes the same bytes when the headers are given sorted.
pub(crate) fn encode(label: &str, headers: &[(&str, &str)], contents: &[u8]) -> Zeroizing<String> {
    let mut base64 = Zeroizing::new(String::with_capacity(contents.len().saturating_mul(4).div_ceil(3).saturating_add(4)));
    STANDARD.encode_string(contents, &mut base64);
    let header_length: usize = headers.iter().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(4)).sum();
    let breaks = base64.len().div_ceil(COLUMNS);
    let capacity =
        base64.len().saturating_add(breaks).saturating_add(header_length).saturating_add(label.len() * 2).saturating_add(64);
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    for part in ["-----BEGIN ", label, "-----\n"] {
        text.push_str(part);
    }
    for (name, value) in headers {
        for part in [name, ": ", value, "\n"] {
            text.push_str(part);
        }
    }
    if !headers.is_empty() {
        text.push('\n');
    }
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so every index is a character boundary.
        let (line, after) = rest.split_at_checked(COLUMNS).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    for part in ["-----END ", label, "-----\n"] {
        text.push_str(part);
    }
    text
}

/// The label, when the line is a whole marker.
fn marker<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

fn add_header(headers: &mut Vec<(String, String)>, name: &str, value: &str) -> Result<(), KeyError> {
    if name.is_empty() || headers.len() == MAX_HEADERS {
        return Err(KeyError::unreadable("the PEM headers are malformed or too many"));
    }
    if headers.iter().any(|(seen, _)| seen.eq_ignore_ascii_case(name)) {
        return Err(KeyError::unreadable("a PEM header is given twice"));
    }
    if value.chars().any(char::is_control) {
        return Err(KeyError::unreadable("a PEM header has control characters"));
    }
    headers.push((name.to_owned(), value.to_owned()));
    Ok(())
}

fn decode(body: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut contents = Zeroizing::new(Vec::with_capacity(body.len()));
    STANDARD.decode_vec(body, &mut contents).map_err(|_| KeyError::unreadable("the base64 of a PEM block is malformed"))?;
    Ok(contents)
}

fn too_large(asked: usize, most: usize) -> KeyError {
    KeyError::Costly {
        parameter: "size",
        asked: u64::try_from(asked).unwrap_or(u64::MAX),
        most: u64::try_from(most).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0_usize, 1, 47, 48, 49, 500] {
            let contents: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let text = encode("TEST", &[("gun", "localhost:5000/a"), ("role", "targets")], &contents);
            let blocks = Block::parse_all(text.as_bytes()).unwrap();
            assert_eq!(blocks.len(), 1);
            assert_eq!(*blocks[0].contents, contents);
            assert_eq!(blocks[0].header("Gun"), Some("localhost:5000/a"));
            assert_eq!(pem::parse(text.as_bytes()).unwrap().contents(), contents);
        }
    }

    #[test]
    fn hostile_blocks_are_refused() {
        for (text, why) in [
            ("-----BEGIN A-----\nAAAA\n", "cut off"),
            ("-----BEGIN A-----\nAAAA\n-----END B-----\n", "another label"),
            ("-----BEGIN A-----\n-----BEGIN A-----\n-----END A-----\n", "inside another"),
            ("-----BEGIN A-----\nrole: a\nRole: b\n\nAAAA\n-----END A-----\n", "twice"),
            ("-----BEGIN A-----\nAAAA\nrole: a\n-----END A-----\n", "follows"),
            ("-----BEGIN A-----\nrole: a\u{7}b\n\nAAAA\n-----END A-----\n", "control"),
            ("-----BEGIN A-----\nAA!A\n-----END A-----\n", "base64"),
            ("-----BEGIN A-----\n: a\n\nAAAA\n-----END A-----\n", "malformed"),
        ] {
            let error = Block::parse_all(text.as_bytes()).err().unwrap().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(matches!(Block::parse_all(&vec![b'\n'; MAX_FILE + 1]), Err(KeyError::Costly { .. })));
        let long = format!("-----BEGIN A-----\n{}-----END A-----\n", "AAAA\n".repeat(MAX_BODY));
        assert!(matches!(Block::parse_all(long.as_bytes()), Err(KeyError::Costly { .. })));
        let many = "-----BEGIN A-----\nAAAA\n-----END A-----\n".repeat(MAX_BLOCKS + 1);
        assert!(Block::parse_all(many.as_bytes()).is_err());
    }
}
