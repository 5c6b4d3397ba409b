//! In-toto statements, version 0.1 and 1: which digests are spoken of, and what is said.
//!
//! Source: in-toto attestation framework, "Statement layer". Unknown fields are ignored, as it demands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trustctl_core::digest::Digest;

use crate::format::{Bounded, FormatError, Pairs, Text, json, part, read};
use crate::limits::MAX_SUBJECTS;
use crate::{ANNOTATION_REPOSITORY, ANNOTATION_TAG};

/// The predicate type of an image signature (cosign 3 and this program). Any other says something else.
pub const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
const V1: &str = "https://in-toto.io/Statement/v1";
const V01: &str = "https://in-toto.io/Statement/v0.1";
const WHAT: &str = "the statement";

/// A statement about some digests.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    /// What kind of thing is said: a URI.
    pub predicate_type: String,
    /// What it is said about.
    pub subjects: Vec<Subject>,
    predicate: Option<&'a RawValue>,
}

/// One thing a statement speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What its author calls it; nobody compares it with anything.
    name: Option<String>,
    digests: BTreeMap<String, String>,
    /// The repository it was signed for (annotation `dev.trustctl.repository`).
    pub repository: Option<String>,
    /// The tag it was signed for (annotation `dev.trustctl.tag`).
    pub tag: Option<String>,
    /// Its other annotations; values that are no strings are their JSON text.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow, rename = "_type")]
    kind: Text<'a>,
    subject: Bounded<SubjectForm, MAX_SUBJECTS>,
    #[serde(borrow, rename = "predicateType")]
    predicate_type: Text<'a>,
    #[serde(borrow, default)]
    predicate: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SubjectForm {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    digest: Option<Pairs>,
    #[serde(default)]
    annotations: Option<Pairs>,
}

impl Subject {
    /// Whether this is `digest`: the same value under the same algorithm.
    #[must_use]
    pub fn is(&self, digest: &Digest) -> bool {
        self.digests.get(digest.algorithm().name()).is_some_and(|value| *value == digest.hex())
    }

    /// Its name and its digests, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let digests: Vec<String> = self.digests.iter().map(|(algorithm, value)| format!("{algorithm}:{value}")).collect();
        match &self.name {
            Some(name) => format!("{name} ({})", digests.join(", ")),
            None if digests.is_empty() => "something without a digest".to_owned(),
            None => digests.join(", "),
        }
    }

    fn from_form(form: SubjectForm) -> Self {
        let mut annotations = form.annotations.unwrap_or_default().0;
        Self {
            name: form.name,
            digests: form.digest.unwrap_or_default().0,
            repository: annotations.remove(ANNOTATION_REPOSITORY),
            tag: annotations.remove(ANNOTATION_TAG),
            annotations,
        }
    }
}

impl<'a> Statement<'a> {
    /// Reads a statement.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are not a statement of a known version, or go beyond [`MAX_SUBJECTS`] or
    /// [`crate::limits::MAX_ANNOTATIONS`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let form: Form<'a> = read(bytes, WHAT)?;
        if ![V1, V01].contains(&form.kind.as_str()) {
            return Err(FormatError::Unsupported { what: "statement type", found: form.kind.as_str().to_owned() });
        }
        let subjects: Vec<Subject> = form.subject.0.into_iter().map(Subject::from_form).collect();
        Ok(Self { predicate_type: form.predicate_type.as_str().to_owned(), subjects, predicate: form.predicate })
    }

    /// The subject that is `digest`, if there is one.
    ///
    /// # Errors
    /// [`FormatError::DigestTwice`] when there are several, for then it is not clear whose annotations count.
    pub fn about(&self, digest: &Digest) -> Result<Option<&Subject>, FormatError> {
        let mut found = self.subjects.iter().filter(|subject| subject.is(digest));
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(FormatError::DigestTwice),
            (subject, None) => Ok(subject),
        }
    }

    /// What is said, as JSON text; `None` where nothing is.
    #[must_use]
    pub fn predicate_json(&self) -> Option<&'a str> {
        self.predicate.map(RawValue::get)
    }

    /// What is said, as the type `T`.
    pub(crate) fn predicate<'p, T: Deserialize<'p>>(&'p self) -> Result<Option<T>, FormatError> {
        self.predicate.map(|raw| part(raw, "the predicate")).transpose()
    }
}

/// The statement that Cosign writes, byte for byte (protojson, without spaces): version 1, subjects without a name.
///
/// `predicate` is JSON; annotations are the same for every digest.
#[must_use]
pub fn build(digests: &[Digest], annotations: &BTreeMap<String, String>, predicate_type: &str, predicate: &str) -> Vec<u8> {
    let subjects: Vec<(Digest, BTreeMap<String, String>)> = digests.iter().map(|digest| (*digest, annotations.clone())).collect();
    build_each(&subjects, predicate_type, predicate)
}

/// The same, with annotations of its own for every digest: what is said about one says nothing about another.
#[must_use]
pub fn build_each(subjects: &[(Digest, BTreeMap<String, String>)], predicate_type: &str, predicate: &str) -> Vec<u8> {
    let subjects: Vec<Written<'_>> = subjects.iter().map(|(digest, annotations)| Written::new(digest, annotations)).collect();
    let subjects = json(&subjects);
    let predicate_type = json(&predicate_type);
    format!(r#"{{"_type":"{V1}","subject":{subjects},"predicateType":{predicate_type},"predicate":{predicate}}}"#).into_bytes()
}

/// The statement around an attestation that cosign 3.1.1 writes, also into bundles: version 0.1, one subject with the repository as its
/// name.
///
/// `predicate` is JSON and becomes part of what is signed as it is.
#[must_use]
pub fn build_attestation(digest: &Digest, repository: &str, predicate_type: &str, predicate: &str) -> Vec<u8> {
    let digest = json(&BTreeMap::from([(digest.algorithm().name(), digest.hex())]));
    let (name, predicate_type) = (json(&repository), json(&predicate_type));
    format!(
        r#"{{"_type":"{V01}","subject":[{{"name":{name},"digest":{digest}}}],"predicateType":{predicate_type},"predicate":{predicate}}}"#
    )
    .into_bytes()
}

#[derive(Serialize)]
struct Written<'a> {
    digest: BTreeMap<&'static str, String>,
    annotations: &'a BTreeMap<String, String>,
}

impl<'a> Written<'a> {
    fn new(digest: &Digest, annotations: &'a BTreeMap<String, String>) -> Self {
        Self { digest: BTreeMap::from([(digest.algorithm().name(), digest.hex())]), annotations }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "d66345975bb6613cbbdadcfd5029e915ce5ba8c450ccbe0d4a84158add676eea";

    fn digest() -> Digest {
        format!("sha256:{HEX}").parse().unwrap()
    }

    #[test]
    fn the_statement_is_cosigns_byte_for_byte() {
        let plain = build(&[digest()], &BTreeMap::new(), SIGN, "{}");
        let expected = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{HEX}"}},"annotations":{{}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#
        );
        assert_eq!(String::from_utf8(plain).unwrap(), expected);

        let annotations = BTreeMap::from([("z".to_owned(), "<b>&é".to_owned()), ("env".to_owned(), "prod".to_owned())]);
        let annotated = String::from_utf8(build(&[digest()], &annotations, SIGN, "{}")).unwrap();
        assert!(annotated.contains(r#""annotations":{"env":"prod","z":"<b>&é"}"#), "{annotated}");
    }

    /// As cosign 3.1.1 wrote it, into a bundle and under an `.att` tag alike.
    #[test]
    fn the_statement_of_an_attestation_is_cosigns_byte_for_byte() {
        let expected = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v0.1","subject":[{{"name":"127.0.0.1:15099/m/app","digest":{{"sha256":"{HEX}"}}}}],"predicateType":"https://example.com/p/v1","predicate":{{"hello":[1,2]}}}}"#
        );
        let built = build_attestation(&digest(), "127.0.0.1:15099/m/app", "https://example.com/p/v1", r#"{"hello":[1,2]}"#);
        assert_eq!(String::from_utf8(built.clone()).unwrap(), expected);
        let statement = Statement::parse(&built).unwrap();
        assert_eq!(statement.predicate_json(), Some(r#"{"hello":[1,2]}"#));
        assert!(statement.about(&digest()).unwrap().is_some());
    }

    #[test]
    fn both_versions_are_read_and_others_are_not() {
        let with = |kind: &str| {
            format!(r#"{{"_type":"{kind}","subject":[{{"name":"x","digest":{{"sha256":"{HEX}"}}}}],"predicateType":"p"}}"#)
        };
        for kind in [V1, V01] {
            let text = with(kind);
            let statement = Statement::parse(text.as_bytes()).unwrap();
            assert!(statement.about(&digest()).unwrap().is_some());
        }
        let text = with("https://in-toto.io/Statement/v2");
        assert!(matches!(Statement::parse(text.as_bytes()), Err(FormatError::Unsupported { .. })));
    }

    #[test]
    fn a_digest_counts_only_under_its_own_algorithm_and_once() {
        let with = |subject: &str| format!(r#"{{"_type":"{V1}","subject":[{subject}],"predicateType":"p"}}"#);
        for subject in ["null", "{}", r#"{"digest":null}"#, &format!(r#"{{"digest":{{"sha512":"{HEX}"}}}}"#)] {
            let text = with(subject);
            let found = Statement::parse(text.as_bytes()).map(|statement| statement.about(&digest()).unwrap().cloned());
            assert!(matches!(found, Ok(None) | Err(FormatError::Json { .. })), "{subject}: {found:?}");
        }
        let one = format!(r#"{{"digest":{{"sha256":"{HEX}"}}}}"#);
        let text = with(&format!("{one},{one}"));
        assert_eq!(Statement::parse(text.as_bytes()).unwrap().about(&digest()), Err(FormatError::DigestTwice));
        let text = with(&format!(r#"{{"digest":{{"sha256":"{HEX}","sha256":"{HEX}"}}}}"#));
        assert!(Statement::parse(text.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(statement) = Statement::parse(&bytes) {
                let _ = statement.about(&digest());
            }
        }

        #[test]
        fn what_is_built_is_read_back(annotations in proptest::collection::btree_map("\\PC{0,9}", "\\PC{0,9}", 0..4), kind in "\\PC{0,20}") {
            let bytes = build(&[digest()], &annotations, &kind, "{}");
            let statement = Statement::parse(&bytes).unwrap();
            prop_assert_eq!(&statement.predicate_type, &kind);
            prop_assert_eq!(&statement.about(&digest()).unwrap().unwrap().annotations, &annotations);
        }
    }
}
