//! The payload of a legacy signature: containers/image's "simple signing" JSON as Cosign writes it.
//!
//! Source: cosign `pkg/signature/payload` and containers/image `signature/internal/sigstore_payload.go`. What is in `critical`
//! must be understood, so a field that is not known there, or one that occurs twice, makes the payload malformed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trustctl_core::digest::Digest;
use trustctl_core::reference::{Reference, Repository, Tag};

use crate::ANNOTATION_TAG;
use crate::format::{FormatError, Pairs, Text, go_json, read};
use crate::layout::Descriptor;

/// The only value of `critical.type` that is a Cosign signature.
pub const TYPE: &str = "cosign container image signature";
const WHAT: &str = "the payload";

/// What a payload says, as far as it is about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The signed manifest digest.
    pub digest: Digest,
    /// The repository named in `docker-reference`: its full name, or the text itself where it is no image reference.
    pub repository: Option<String>,
    /// The tag: of `docker-reference` (skopeo writes one), else the annotation `dev.trustctl.tag`.
    pub tag: Option<String>,
    /// The other signed key-value pairs; values that are no strings are their JSON text.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    #[serde(borrow)]
    critical: CriticalForm<'a>,
    #[serde(default)]
    optional: Option<Pairs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CriticalForm<'a> {
    #[serde(borrow)]
    identity: IdentityForm<'a>,
    image: ImageForm,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityForm<'a> {
    #[serde(borrow, rename = "docker-reference")]
    docker_reference: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageForm {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: Digest,
}

impl Payload {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are not a payload of [`TYPE`], or have more than [`crate::limits::MAX_ANNOTATIONS`] annotations.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let form: Form<'_> = read(bytes, WHAT)?;
        if form.critical.kind.as_str() != TYPE {
            let found = form.critical.kind.as_str().to_owned();
            return Err(FormatError::Unsupported { what: "payload type", found });
        }
        let mut annotations = form.optional.unwrap_or_default().0;
        let (repository, tag) = named(form.critical.identity.docker_reference.as_str());
        let tag = tag.or_else(|| annotations.remove(ANNOTATION_TAG));
        Ok(Self { digest: form.critical.image.docker_manifest_digest, repository, tag, annotations })
    }
}

/// Repository and tag of a `docker-reference`: `host/repo`, `host/repo:tag` or `host/repo@digest`; empty names nothing.
fn named(docker_reference: &str) -> (Option<String>, Option<String>) {
    if docker_reference.is_empty() {
        return (None, None);
    }
    match docker_reference.parse::<Reference>() {
        Ok(reference) => (Some(reference.repository.to_string()), reference.tag.map(|tag| tag.to_string())),
        // What cannot be read must not pass for "names no repository".
        Err(_) => (Some(docker_reference.to_owned()), None),
    }
}

#[derive(Serialize)]
struct Written<'a> {
    critical: WrittenCritical<'a>,
    optional: Option<&'a BTreeMap<&'a str, &'a str>>,
}

#[derive(Serialize)]
struct WrittenCritical<'a> {
    identity: WrittenIdentity<'a>,
    image: WrittenImage,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct WrittenIdentity<'a> {
    #[serde(rename = "docker-reference")]
    docker_reference: &'a str,
}

#[derive(Serialize)]
struct WrittenImage {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: Digest,
}

/// The payload that Cosign writes for `digest` in `repository`, byte for byte; a tag becomes the annotation `dev.trustctl.tag`.
#[must_use]
pub fn build(digest: &Digest, repository: &Repository, tag: Option<&Tag>, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    let mut optional: BTreeMap<&str, &str> = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    if let Some(tag) = tag {
        optional.insert(ANNOTATION_TAG, tag.as_str());
    }
    let docker_reference = docker_reference(repository);
    let written = Written {
        critical: WrittenCritical {
            identity: WrittenIdentity { docker_reference: &docker_reference },
            image: WrittenImage { docker_manifest_digest: *digest },
            kind: TYPE,
        },
        optional: Some(&optional).filter(|optional| !optional.is_empty()),
    };
    go_json(&written).into_bytes()
}

/// The payload that `payload` describes, where it is one that Cosign writes about this image without annotations, or this program about
/// this tag.
///
/// The digest of bytes says what they are, whether they are fetched or made: a signature over them is a signature over these. So most
/// signatures are verified without asking for their payload.
#[must_use]
pub fn foresee(payload: &Descriptor, digest: &Digest, repository: &Repository, tag: Option<&Tag>) -> Option<Vec<u8>> {
    let tags = [None, tag];
    let usual = tags.iter().take(1 + usize::from(tag.is_some())).map(|tag| build(digest, repository, *tag, &BTreeMap::new()));
    let same_length = |bytes: &Vec<u8>| u64::try_from(bytes.len()).is_ok_and(|length| length == payload.size);
    usual.filter(same_length).find(|bytes| payload.digest.matches(bytes))
}

/// How Cosign (go-containerregistry) names a repository: Docker Hub is `index.docker.io`.
fn docker_reference(repository: &Repository) -> String {
    match repository.registry() {
        "docker.io" => format!("index.docker.io/{}", repository.path()),
        _ => repository.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:07eb76d96eebb9dd5fa95e719512e2fd2fc690b46990aceea65a556f351647fe";

    fn digest() -> Digest {
        DIGEST.parse().unwrap()
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_has_the_digest_of_a_usual_payload_is_foreseen() {
        let repository: Repository = "docker.io/library/alpine".parse().unwrap();
        let tag: Tag = "3".parse().unwrap();
        let described = |bytes: &[u8]| Descriptor::of(crate::layout::signatures::SIMPLE_SIGNING, bytes);
        let usual = build(&digest(), &repository, None, &BTreeMap::new());
        let tagged = build(&digest(), &repository, Some(&tag), &BTreeMap::new());
        for bytes in [&usual, &tagged] {
            assert_eq!(foresee(&described(bytes), &digest(), &repository, Some(&tag)).as_ref(), Some(bytes));
        }
        assert_eq!(foresee(&described(&tagged), &digest(), &repository, None), None, "asked for without its tag");
        let noted = build(&digest(), &repository, None, &map(&[("env", "prod")]));
        let other = build(&digest(), &"docker.io/library/other".parse().unwrap(), None, &BTreeMap::new());
        let another = build(&Digest::sha256_of(b"another"), &repository, None, &BTreeMap::new());
        for bytes in [&noted, &other, &another] {
            assert_eq!(foresee(&described(bytes), &digest(), &repository, Some(&tag)), None);
        }
        let wrong_length = Descriptor { size: 1, ..described(&usual) };
        assert_eq!(foresee(&wrong_length, &digest(), &repository, None), None);
    }

    #[test]
    fn the_payload_is_cosigns_byte_for_byte() {
        let plain = build(&digest(), &"127.0.0.1:14100/t/b".parse().unwrap(), None, &BTreeMap::new());
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"127.0.0.1:14100/t/b"}},"image":{{"docker-manifest-digest":"{DIGEST}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        assert_eq!(String::from_utf8(plain).unwrap(), expected);

        let annotated = build(&digest(), &"alpine".parse().unwrap(), None, &map(&[("z", "<b>&é\u{2028}"), ("env", "prod")]));
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"index.docker.io/library/alpine"}},"image":{{"docker-manifest-digest":"{DIGEST}"}},"type":"cosign container image signature"}},"optional":{{"env":"prod","z":"\u003cb\u003e\u0026é\u2028"}}}}"#
        );
        assert_eq!(String::from_utf8(annotated).unwrap(), expected);
    }

    #[test]
    fn skopeos_payload_names_the_tag_and_numbers() {
        let text = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"192.168.64.2:5000/skopeo-signed:tag"}},"image":{{"docker-manifest-digest":"{DIGEST}"}},"type":"cosign container image signature"}},"optional":{{"creator":"containers/image 5.21.2-dev","timestamp":1657296609}}}}"#
        );
        let payload = Payload::parse(text.as_bytes()).unwrap();
        assert_eq!(payload.repository.as_deref(), Some("192.168.64.2:5000/skopeo-signed"));
        assert_eq!(payload.tag.as_deref(), Some("tag"));
        assert_eq!(payload.annotations, map(&[("creator", "containers/image 5.21.2-dev"), ("timestamp", "1657296609")]));
    }

    fn with(reference: &str, kind: &str, rest: &str) -> String {
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{reference}"}},"image":{{"docker-manifest-digest":"{DIGEST}"}},"type":"{kind}"}},"optional":{rest}}}"#
        )
    }

    #[test]
    fn what_cannot_be_read_as_a_repository_is_not_taken_for_none() {
        let named = |reference: &str| Payload::parse(with(reference, TYPE, "{}").as_bytes()).unwrap().repository;
        assert_eq!(named(""), None);
        assert_eq!(named("index.docker.io/library/alpine").as_deref(), Some("docker.io/library/alpine"));
        assert_eq!(named("Not A Reference").as_deref(), Some("Not A Reference"));
        assert_eq!(named(&format!("registry.example/a@{DIGEST}")).as_deref(), Some("registry.example/a"));
    }

    #[test]
    fn anything_but_one_clear_reading_is_refused() {
        let good = with("registry.example/a", TYPE, "null");
        assert!(Payload::parse(good.as_bytes()).is_ok());
        let other_type = Payload::parse(with("registry.example/a", "atomic container signature", "null").as_bytes());
        assert!(matches!(other_type, Err(FormatError::Unsupported { .. })), "{other_type:?}");
        let bad = [
            good.replace("\"optional\"", "\"critical\":{},\"optional\""),
            good.replace("\"image\":", "\"image\":{},\"image\":"),
            good.replace("\"image\":", "\"Image\":{},\"image\":"),
            good.replace(DIGEST, "sha256:00"),
            good.replace("null", r#"{"a":"1","a":"2"}"#),
            good.replace("null", "[]"),
            format!("{good}x"),
            String::new(),
        ];
        for text in bad {
            assert!(matches!(Payload::parse(text.as_bytes()), Err(FormatError::Json { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Payload::parse(&bytes);
        }

        #[test]
        fn what_is_built_is_read_back(
            annotations in proptest::collection::btree_map("\\PC{0,9}", "\\PC{0,9}", 0..4),
            tag in proptest::option::of("[a-z0-9][a-z0-9._-]{0,9}"),
        ) {
            let tag: Option<Tag> = tag.map(|tag| tag.parse().unwrap());
            let repository: Repository = "registry.example/team/app".parse().unwrap();
            let payload = Payload::parse(&build(&digest(), &repository, tag.as_ref(), &annotations)).unwrap();
            prop_assert_eq!(payload.digest, digest());
            prop_assert_eq!(payload.repository, Some(repository.to_string()));
            prop_assert_eq!(payload.tag, tag.map(|tag| tag.to_string()));
            prop_assert_eq!(payload.annotations, annotations);
        }
    }
}
