//! What is attested, looked at before it is signed: a predicate must have the parts by which readers know its type.
//!
//! Sources: SLSA provenance 0.2 and 1.0, in-toto link 0.3 (as cosign demands it), SPDX 2.3 and 3.0, CycloneDX 1.x (JSON), cosign
//! `specs/COSIGN_VULN_ATTESTATION_SPEC.md` and `specs/COSIGN_PREDICATE_SPEC.md`, OpenVEX 0.2. Only what those demand is demanded.

use serde_json::{Map, Value};
use trustctl_core::digest::Digest;
use trustctl_core::json;
use trustctl_core::predicate::{CUSTOM, CYCLONEDX, LINK, OPENVEX, SLSA_V1, SLSA_V02, SPDX, VULN, type_of};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use crate::statement::Statement;

/// Most bytes of a predicate. Base64 in an envelope makes three bytes four, and a bundle of 8 MiB is the largest that is read.
pub const MAX_PREDICATE: usize = 6 * 1024 * 1024 - 8 * 1024;

/// What is to be attested: a type, and JSON that has its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The predicate type, a URI.
    pub predicate_type: String,
    /// The predicate, JSON on one line.
    pub json: String,
}

/// Why something cannot be attested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredicateError {
    /// It lacks a part, or has one of another type or value.
    #[error("a predicate of the type {kind} must have {expected}{hint}")]
    Form {
        /// The type as it was asked for.
        kind: String,
        /// What it has.
        expected: &'static str,
        /// What may have happened.
        hint: &'static str,
    },
    /// It is not JSON that everybody reads alike.
    #[error("the predicate is not JSON without doubt: {0}")]
    Json(String),
    /// It is larger than verifiers read.
    #[error("the predicate has {size} bytes; verifiers read up to {MAX_PREDICATE}")]
    TooLarge {
        /// How many bytes it has.
        size: usize,
    },
    /// The type is no short name and no URI.
    #[error("{0} is no predicate type: give a short name or a URI")]
    Type(String),
}

impl PredicateError {
    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = if matches!(self, Self::Type(_)) { Code::BadValue } else { Code::PredicateForm };
        Reason::new(code, self.to_string())
    }
}

impl Checked {
    /// The predicate in `bytes`, of the type with the short name or URI `kind`; `now` is written into one of the type `custom`, which
    /// wraps whatever it is given as cosign does.
    ///
    /// # Errors
    /// [`PredicateError`], by what is wrong.
    pub fn new(kind: &str, bytes: &[u8], now: Timestamp) -> Result<Self, PredicateError> {
        let predicate_type = type_of(kind).ok_or_else(|| PredicateError::Type(kind.to_owned()))?;
        if bytes.len() > MAX_PREDICATE {
            return Err(PredicateError::TooLarge { size: bytes.len() });
        }
        let form = |expected, hint| PredicateError::Form { kind: kind.to_owned(), expected, hint };
        let json = match (kind, predicate_type.as_str()) {
            ("custom", _) => wrapped(bytes, now).ok_or_else(|| form("UTF-8 text", ""))?,
            ("spdx", _) => tag_value(bytes).map_err(|hint| form("a line SPDXVersion: SPDX-2.x", hint))?,
            (_, uri) => {
                let value = json::read(bytes).map_err(|error| PredicateError::Json(error.to_string()))?;
                let object = value.as_object().ok_or_else(|| form("a JSON object", ""))?;
                demand(uri, object).map_err(|(expected, hint)| form(expected, hint))?;
                compact(bytes)
            }
        };
        if json.len() > MAX_PREDICATE {
            return Err(PredicateError::TooLarge { size: json.len() });
        }
        Ok(Self { predicate_type, json })
    }

    /// Whether `other`, JSON of the same type, says the same: whatever the order of fields, and for the type `custom` whenever it was
    /// made.
    #[must_use]
    pub fn says_the_same(&self, other: &str) -> bool {
        self.json == other || self.without_time(&self.json).is_some_and(|own| self.without_time(other) == Some(own))
    }

    /// The same text for predicates that say the same.
    #[must_use]
    pub fn timeless(&self) -> String {
        self.without_time(&self.json).map_or_else(|| self.json.clone(), |value| value.to_string())
    }

    /// Whether `statement` says this about `digest`, and about nothing else.
    #[must_use]
    pub fn is_in(&self, statement: &[u8], digest: &Digest) -> bool {
        let Ok(statement) = Statement::parse(statement) else { return false };
        statement.predicate_type == self.predicate_type
            && statement.subjects.len() == 1
            && matches!(statement.about(digest), Ok(Some(_)))
            && statement.predicate_json().is_some_and(|json| self.says_the_same(json))
    }

    /// A predicate of this type without the time at which it was made.
    fn without_time(&self, text: &str) -> Option<Value> {
        let mut value = json::read(text.as_bytes()).ok()?;
        if let (CUSTOM, Some(members)) = (self.predicate_type.as_str(), value.as_object_mut())
            && members.contains_key("Data")
        {
            members.remove("Timestamp");
        }
        Some(value)
    }
}

/// The parts that a predicate type has, in words, and what may have happened where they are missing.
type Lacking = (&'static str, &'static str);

fn demand(predicate_type: &str, predicate: &Map<String, Value>) -> Result<(), Lacking> {
    let at = |path: &[&str]| {
        let mut names = path.iter();
        let first = predicate.get(*names.next()?)?;
        names.try_fold(first, |value, name| value.get(*name))
    };
    let text = |path: &[&str]| at(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let object = |path: &[&str]| at(path).is_some_and(Value::is_object);
    let time = |path: &[&str]| text(path).is_some_and(|text| text.parse::<Timestamp>().is_ok());
    let (fits, lacking) = match predicate_type {
        SLSA_V1 => (
            text(&["buildDefinition", "buildType"]).is_some()
                && object(&["buildDefinition", "externalParameters"])
                && text(&["runDetails", "builder", "id"]).is_some(),
            (
                "buildDefinition.buildType, buildDefinition.externalParameters and runDetails.builder.id",
                slsa_hint(predicate, "builder"),
            ),
        ),
        SLSA_V02 => (
            text(&["builder", "id"]).is_some() && text(&["buildType"]).is_some(),
            ("builder.id and buildType", slsa_hint(predicate, "buildDefinition")),
        ),
        LINK => (
            text(&["_type"]) == Some("link")
                && text(&["name"]).is_some()
                && at(&["command"]).is_some_and(Value::is_array)
                && ["materials", "products", "byproducts", "environment"].iter().all(|name| object(&[name])),
            ("_type \"link\", name, command, materials, products, byproducts and environment", ""),
        ),
        SPDX => (
            text(&["spdxVersion"]).is_some_and(|version| version.starts_with("SPDX-"))
                || (text(&["@context"]).is_some_and(|uri| uri.starts_with("https://spdx.org/rdf/")) && at(&["@graph"]).is_some()),
            ("spdxVersion, or the @context and @graph of SPDX 3", sbom_hint(predicate)),
        ),
        CYCLONEDX => (
            text(&["bomFormat"]) == Some("CycloneDX") && text(&["specVersion"]).is_some(),
            ("bomFormat \"CycloneDX\" and specVersion", sbom_hint(predicate)),
        ),
        VULN => (
            text(&["scanner", "uri"]).is_some()
                && at(&["scanner", "result"]).is_some()
                && time(&["metadata", "scanStartedOn"])
                && time(&["metadata", "scanFinishedOn"]),
            ("scanner.uri, scanner.result, metadata.scanStartedOn and metadata.scanFinishedOn", scan_hint(predicate)),
        ),
        OPENVEX => (
            text(&["@context"]).is_some_and(|uri| uri.starts_with(OPENVEX)) && at(&["statements"]).is_some_and(Value::is_array),
            ("the @context of OpenVEX and statements", ""),
        ),
        _ => (true, ("", "")),
    };
    if fits { Ok(()) } else { Err(lacking) }
}

fn slsa_hint(predicate: &Map<String, Value>, of_the_other: &str) -> &'static str {
    match (predicate.contains_key(of_the_other), of_the_other) {
        (true, "builder") => "; this looks like version 0.2: --type slsaprovenance02",
        (true, _) => "; this looks like version 1: --type slsaprovenance1",
        (false, _) if predicate.contains_key("predicate") => "; give the predicate alone, without the statement around it",
        (false, _) => "",
    }
}

fn sbom_hint(predicate: &Map<String, Value>) -> &'static str {
    match (predicate.contains_key("bomFormat"), predicate.contains_key("spdxVersion")) {
        (true, false) => "; this looks like CycloneDX: --type cyclonedx",
        (false, true) => "; this looks like SPDX: --type spdxjson",
        _ if predicate.contains_key("artifacts") => {
            "; this looks like Syft's own format: have it write spdx-json or cyclonedx-json"
        }
        _ => "",
    }
}

fn scan_hint(predicate: &Map<String, Value>) -> &'static str {
    match (predicate.contains_key("Results"), predicate.contains_key("matches")) {
        (true, _) => "; this looks like Trivy's own format: have it write cosign-vuln, or give --type a URI of yours",
        (_, true) => "; this looks like Grype's own format: give --type a URI of yours",
        _ => "",
    }
}

/// What cosign makes of a predicate of the type `custom`: the text as it is, and the time.
fn wrapped(bytes: &[u8], now: Timestamp) -> Option<String> {
    let data = crate::format::json(&std::str::from_utf8(bytes).ok()?);
    Some(format!(r#"{{"Data":{data},"Timestamp":"{now}"}}"#))
}

/// The tag-value form of SPDX becomes a JSON text, as with cosign.
fn tag_value(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "")?;
    if text.trim_start().starts_with('{') {
        return Err("; this looks like JSON: --type spdxjson");
    }
    let is_version = |line: &str| line.strip_prefix("SPDXVersion:").is_some_and(|version| version.trim().starts_with("SPDX-"));
    if text.lines().any(is_version) { Ok(crate::format::json(&text)) } else { Err("") }
}

/// JSON without the spaces between its parts; every part stays as it was written. The bytes were read as JSON before.
fn compact(bytes: &[u8]) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let mut kept = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => continue,
            _ => {}
        }
        kept.push(*byte);
    }
    String::from_utf8(kept).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        "2026-11-28T15:41:54Z".parse().unwrap()
    }

    fn checked(kind: &str, text: &str) -> Result<Checked, PredicateError> {
        Checked::new(kind, text.as_bytes(), now())
    }

    /// For each type a document that has its form, and one that lacks a part.
    const FORMS: [(&str, &str, &str); 10] = [
        (
            "slsaprovenance1",
            r#"{"buildDefinition":{"buildType":"t","externalParameters":{}},"runDetails":{"builder":{"id":"b"}}}"#,
            r#"{"buildDefinition":{"buildType":"t","externalParameters":{}},"runDetails":{"builder":{"id":""}}}"#,
        ),
        ("slsaprovenance", r#"{"builder":{"id":"b"},"buildType":"t"}"#, r#"{"builder":{"id":"b"}}"#),
        ("slsaprovenance02", r#"{"builder":{"id":"b"},"buildType":"t"}"#, r#"{"buildType":"t"}"#),
        (
            "link",
            r#"{"_type":"link","name":"n","command":[],"materials":{},"products":{},"byproducts":{},"environment":{}}"#,
            r#"{"_type":"link","name":"n"}"#,
        ),
        ("spdxjson", r#"{"spdxVersion":"SPDX-2.3","packages":[]}"#, r#"{"packages":[]}"#),
        ("spdxjson", r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}"#, r#"{"spdxVersion":2}"#),
        ("cyclonedx", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#, r#"{"bomFormat":"CycloneDX"}"#),
        (
            "vuln",
            r#"{"scanner":{"uri":"u","result":{}},"metadata":{"scanStartedOn":"2026-11-28T10:00:00Z","scanFinishedOn":"2026-11-28T10:00:01.5Z"}}"#,
            r#"{"scanner":{"uri":"u","result":{}},"metadata":{"scanStartedOn":"2026-11-28T10:00:00Z"}}"#,
        ),
        ("openvex", r#"{"@context":"https://openvex.dev/ns/v0.2.0","statements":[]}"#, r#"{"statements":[]}"#),
        ("https://example.com/p/v1", r#"{"hello":1}"#, "[1]"),
    ];

    #[test]
    fn each_type_is_known_by_its_parts() {
        for (kind, good, bad) in FORMS {
            assert_eq!(checked(kind, good).unwrap().json, good, "{kind}");
            let error = checked(kind, bad).unwrap_err();
            assert_eq!(error.reason().code, Code::PredicateForm, "{kind}: {error}");
            assert!(matches!(error, PredicateError::Form { .. }), "{kind}: {error}");
        }
        assert_eq!(checked("vulns", "{}").unwrap_err().reason().code, Code::BadValue);
    }

    #[test]
    fn what_was_likely_meant_is_named() {
        let hint = |kind: &str, text: &str| checked(kind, text).unwrap_err().to_string();
        assert!(hint("slsaprovenance1", r#"{"builder":{"id":"b"},"buildType":"t"}"#).contains("slsaprovenance02"));
        assert!(hint("slsaprovenance", r#"{"buildDefinition":{}}"#).contains("slsaprovenance1"));
        assert!(hint("slsaprovenance1", r#"{"_type":"x","predicate":{}}"#).contains("without the statement"));
        assert!(hint("spdxjson", r#"{"bomFormat":"CycloneDX"}"#).contains("cyclonedx"));
        assert!(hint("cyclonedx", r#"{"artifacts":[]}"#).contains("Syft"));
        assert!(hint("vuln", r#"{"SchemaVersion":2,"Results":[]}"#).contains("cosign-vuln"));
        assert!(hint("vuln", r#"{"matches":[]}"#).contains("Grype"));
        assert!(hint("spdx", r#"{"spdxVersion":"SPDX-2.3"}"#).contains("spdxjson"));
    }

    #[test]
    fn json_that_two_programs_read_differently_is_not_signed() {
        for text in ["not json", r#"{"a":1,"a":2}"#, "{} {}", &format!("{}{}", "[".repeat(65), "]".repeat(65))] {
            assert!(matches!(checked("https://example.com/p", text), Err(PredicateError::Json(_))), "{text}");
        }
    }

    #[test]
    fn spaces_go_and_nothing_else() {
        let text = "{\n  \"a b\": [ 1.50, \"c \\\" d\" ],\t\"é\": 1e3 }\r\n";
        assert_eq!(checked("https://example.com/p", text).unwrap().json, r#"{"a b":[1.50,"c \" d"],"é":1e3}"#);
    }

    /// As cosign 3.1.1 wrote them.
    #[test]
    fn texts_are_wrapped_as_cosign_wraps_them() {
        let custom = checked("custom", "{\"hello\": [1, 2]}\n").unwrap();
        assert_eq!(custom.json, r#"{"Data":"{\"hello\": [1, 2]}\n","Timestamp":"2026-11-28T15:41:54Z"}"#);
        let spdx = checked("spdx", "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n").unwrap();
        assert_eq!(spdx.json, r#""SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n""#);
        assert!(checked("spdx", "DataLicense: CC0-1.0\n").is_err());
        assert!(Checked::new("custom", &[0xff], now()).is_err());
    }

    #[test]
    fn what_verifiers_would_not_read_is_not_signed() {
        let of_size = |size: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
        assert!(checked("https://example.com/p", &of_size(MAX_PREDICATE)).is_ok());
        let larger = checked("https://example.com/p", &of_size(MAX_PREDICATE + 1)).unwrap_err();
        assert_eq!(larger, PredicateError::TooLarge { size: MAX_PREDICATE + 1 });
        assert!(matches!(checked("custom", &"\u{1}".repeat(MAX_PREDICATE / 2)), Err(PredicateError::TooLarge { .. })));
    }

    #[test]
    fn the_same_is_the_same_in_any_order_and_a_custom_one_at_any_time() {
        let one = checked("https://example.com/p", r#"{"a":1,"b":[2]}"#).unwrap();
        assert!(one.says_the_same(r#"{ "b": [2], "a": 1 }"#));
        assert!(!one.says_the_same(r#"{"a":1,"b":[3]}"#));
        assert!(!one.says_the_same(r#"{"a":1,"b":[2],"b":[2]}"#));
        let custom = checked("custom", "text").unwrap();
        assert!(custom.says_the_same(r#"{"Data":"text","Timestamp":"2020-01-01T00:00:00Z"}"#));
        assert!(!custom.says_the_same(r#"{"Data":"other","Timestamp":"2026-11-28T15:41:54Z"}"#));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), which in 0..FORMS.len()) {
            let (kind, _, _) = FORMS.get(which).unwrap();
            let _ = Checked::new(kind, &bytes, now());
        }

        #[test]
        fn compact_json_says_the_same(text in "\\PC{0,40}", spaces in "[ \n\t]{0,3}") {
            let pretty = format!("{{{spaces}\"k\"{spaces}:{spaces}{}{spaces}}}", serde_json::to_string(&text).unwrap());
            let compact = checked("https://example.com/p", &pretty).unwrap();
            prop_assert!(compact.says_the_same(&pretty));
        }
    }
}
