//! Predicates of attestations: the kinds that have a short name, and the JSON that one consists of.
//!
//! The short names are those of `cosign attest --type`; everything else is named by its URI.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::json;

/// The predicate type of a software bill of materials in CycloneDX.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
/// The predicate type that Cosign gives to a predicate of no known kind.
pub const CUSTOM: &str = "https://cosign.sigstore.dev/attestation/v1";
/// The predicate type of an in-toto link.
pub const LINK: &str = "https://in-toto.io/Link/v1";
/// The predicate type of an OpenVEX document.
pub const OPENVEX: &str = "https://openvex.dev/ns";
/// The predicate type of SLSA provenance 0.2.
pub const SLSA_V02: &str = "https://slsa.dev/provenance/v0.2";
/// The predicate type of SLSA provenance 1.
pub const SLSA_V1: &str = "https://slsa.dev/provenance/v1";
/// The predicate type of a software bill of materials in SPDX.
pub const SPDX: &str = "https://spdx.dev/Document";
/// The predicate type of Cosign's vulnerability scan.
pub const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

/// The short names, each with its URI.
pub const SHORT_NAMES: [(&str, &str); 10] = [
    ("slsaprovenance", SLSA_V02),
    ("slsaprovenance02", SLSA_V02),
    ("slsaprovenance1", SLSA_V1),
    ("link", LINK),
    ("spdx", SPDX),
    ("spdxjson", SPDX),
    ("cyclonedx", CYCLONEDX),
    ("vuln", VULN),
    ("openvex", OPENVEX),
    ("custom", CUSTOM),
];

/// The URI of a predicate type: that of a short name, or `text` itself where it is one. `None` for anything else.
#[must_use]
pub fn type_of(text: &str) -> Option<String> {
    let short = SHORT_NAMES.iter().find(|(name, _)| *name == text).map(|(_, uri)| *uri);
    short.or_else(|| is_uri(text).then_some(text)).map(str::to_owned)
}

/// The shortest way to name a predicate type: its short name where it has one.
#[must_use]
pub fn short_name(uri: &str) -> &str {
    // Of several names the plainest, which is not the first one for SLSA.
    let plain = [(SLSA_V02, "slsaprovenance02"), (SPDX, "spdxjson")];
    let known = plain.iter().map(|(uri, name)| (*name, *uri)).chain(SHORT_NAMES);
    known.into_iter().find(|(_, known)| *known == uri).map_or(uri, |(name, _)| name)
}

/// A scheme and something after it, without spaces and control characters.
fn is_uri(text: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !c.is_control();
    let scheme = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_scheme);
    text.split_once("://").is_some_and(|(name, rest)| scheme(name) && !rest.is_empty()) && text.chars().all(fits)
}

fn is_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// The predicate of an attestation, as it was signed. Nothing is known of its content but that it is JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Predicate(Arc<str>);

impl Predicate {
    /// The predicate with this JSON text.
    #[must_use]
    pub fn new(json: &str) -> Self {
        Self(json.into())
    }

    /// Its JSON text, as it was signed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it says.
    ///
    /// # Errors
    /// The parser's words where it is no JSON, nests too deep, or has a name twice in one object, so that others may read it
    /// differently.
    pub fn value(&self) -> Result<Value, serde_json::Error> {
        json::read(self.0.as_bytes())
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Predicate({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_short_names_or_uris() {
        assert_eq!(type_of("vuln").as_deref(), Some(VULN));
        assert_eq!(type_of("https://example.com/p/v1").as_deref(), Some("https://example.com/p/v1"));
        for bad in ["", "vulns", "example.com/p", "://x", "https://", "https://a b", "1x://y", "https://a\u{7}"] {
            assert_eq!(type_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_short_name_is_found_again() {
        for (name, uri) in SHORT_NAMES {
            assert_eq!(type_of(name).as_deref(), Some(uri));
            assert_eq!(type_of(short_name(uri)).as_deref(), Some(uri));
        }
        assert_eq!(short_name("https://example.com/p"), "https://example.com/p");
    }

    #[test]
    fn a_name_twice_is_not_read() {
        assert!(Predicate::new(r#"{"a":1}"#).value().is_ok());
        assert!(Predicate::new(r#"{"a":{"b":1,"b":2}}"#).value().is_err());
    }
}
