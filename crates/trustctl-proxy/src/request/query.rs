//! The query of a request target.

use super::Fault;

/// Longest query that is read, in bytes: several times what the specified parameters can need.
const MAX_QUERY: usize = 2048;

/// A query whose names are all written plainly.
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// An encoded name could hide a parameter from whoever filters requests before this program.
    pub(super) fn new(text: &'a str) -> Result<Self, Fault> {
        if text.len() > MAX_QUERY {
            return Err(Fault::bad("UNSUPPORTED", "the query is longer than 2048 bytes"));
        }
        let query = Self(text);
        if query.pairs().any(|(name, _)| name.contains(['%', '+'])) {
            return Err(Fault::bad("UNSUPPORTED", "the names of query parameters are written without encoding"));
        }
        Ok(query)
    }

    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let text = Some(self.0).filter(|text| !text.is_empty());
        text.into_iter().flat_map(|text| text.split('&')).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// The value of a parameter, decoded.
    ///
    /// # Errors
    /// A [`Fault`] when the parameter is given twice, or its value is not text.
    pub(super) fn value(&self, name: &str) -> Result<Option<String>, Fault> {
        let mut values = self.pairs().filter(|(key, _)| *key == name).map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Fault::bad("UNSUPPORTED", format!("the query parameter {name} is given twice")));
        }
        let decoded = decode(value).filter(|text| !text.contains(char::is_control));
        let bad = || Fault::bad("UNSUPPORTED", format!("the query parameter {name} is not text"));
        decoded.map(Some).ok_or_else(bad)
    }
}

/// A plus sign stands for itself: no parameter of the specification can hold a space, and media types hold plus signs.
fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => nibble(rest.next()?)? << 4 | nibble(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
