//! Image references, normalised the way Docker does.
//!
//! Source: `distribution/reference` grammar. `alpine` means `docker.io/library/alpine`; a first component is a registry host
//! only when it has a dot, a colon, a capital letter, or is `localhost`.

mod host;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError};
use host::check_host;
pub(crate) use host::{check_address, one_host, split_port};

/// Longest repository name (host and path) that Docker's grammar allows, in bytes.
const MAX_NAME: usize = 255;
/// Longest tag, in bytes.
const MAX_TAG: usize = 128;
const DEFAULT_REGISTRY: &str = "docker.io";

/// A repository on a registry: the host as written (with port) and the path below it.
///
/// Prints as the full name, which is also Notary's GUN: `docker.io/library/alpine`, `localhost:5000/demo/app`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// The registry's host, with its port when one was written; `docker.io` for Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The full name with the host in the one spelling by which servers are told apart: what is known of a repository is filed under it.
    #[must_use]
    pub fn canonical_name(&self) -> String {
        format!("{}/{}", one_host(&self.registry), self.path)
    }

    /// The path below the host, such as `library/alpine`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let reference: Reference = text.parse()?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(ReferenceError::NotARepository);
        }
        Ok(reference.repository)
    }
}

impl Serialize for Repository {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Repository {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A tag: 1 to 128 of `[A-Za-z0-9_.-]`, not starting with `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let first = text.bytes().next().is_some_and(word);
        let rest = text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
        if !first || !rest || text.len() > MAX_TAG {
            return Err(ReferenceError::BadTag);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Serialize for Tag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a user wrote to name an image: a repository and, if written, a tag and a digest.
///
/// Prints in full (`docker.io/library/alpine:3.20@sha256:…`), which parses to the same value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The repository.
    pub repository: Repository,
    /// The tag that was written; see [`Reference::tag_or_latest`].
    pub tag: Option<Tag>,
    /// The digest that was written.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The tag to resolve: the written one, or `latest` when neither tag nor digest was written.
    #[must_use]
    pub fn tag_or_latest(&self) -> Option<Tag> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(Tag("latest".to_owned())),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Why a text is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Nothing was written.
    #[error("the reference is empty")]
    Empty,
    /// It starts with `http://` or `https://`, or another scheme.
    #[error("write the image without a URL scheme")]
    HasScheme,
    /// A path component has a character or a form that Docker refuses.
    #[error("the repository path may hold lower-case letters, digits and single . _ - (or __) between them")]
    BadPath,
    /// The host or port is malformed.
    #[error("the registry host is malformed")]
    BadHost,
    /// An address is written in another form than its usual one: the same server under a name that no rule of a policy covers.
    #[error("write the address of the registry as {0}")]
    OddAddress(String),
    /// The tag is malformed.
    #[error("the tag may hold 1 to 128 letters, digits, _ . - and must not start with . or -")]
    BadTag,
    /// The digest is malformed.
    #[error("the digest is malformed: {0}")]
    BadDigest(#[from] DigestError),
    /// The name is longer than 255 bytes.
    #[error("the repository name is longer than 255 bytes")]
    TooLong,
    /// 64 hexadecimal digits alone would be mistaken for an image id.
    #[error("64 hexadecimal digits are an image id, not a repository name")]
    LooksLikeAnId,
    /// A repository was wanted, but a tag or digest was written.
    #[error("only a repository is wanted here, without tag or digest")]
    NotARepository,
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.contains("://") {
            return Err(ReferenceError::HasScheme);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let after_host = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest.get(after_host..).and_then(|last| last.find(':')) {
            Some(colon) => {
                let (name, tag) = rest.split_at(after_host + colon);
                (name, Some(tag.trim_start_matches(':')).filter(|_| tag.matches(':').count() == 1))
            }
            None => (rest, Some("")),
        };
        let tag = match tag {
            None => return Err(ReferenceError::BadTag),
            Some("") if name.len() == rest.len() => None,
            Some(tag) => Some(tag.parse::<Tag>()?),
        };
        Ok(Self { repository: parse_name(name)?, tag, digest })
    }
}

fn parse_name(name: &str) -> Result<Repository, ReferenceError> {
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest.to_owned()),
        _ => (DEFAULT_REGISTRY, name.to_owned()),
    };
    let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
    check_host(registry)?;
    if registry == DEFAULT_REGISTRY && is_id(&path) {
        return Err(ReferenceError::LooksLikeAnId);
    }
    let path = if registry == DEFAULT_REGISTRY && !path.contains('/') { format!("library/{path}") } else { path };
    if !is_path(&path) {
        return Err(ReferenceError::BadPath);
    }
    if registry.len() + 1 + path.len() > MAX_NAME {
        return Err(ReferenceError::TooLong);
    }
    Ok(Repository { registry: registry.to_owned(), path })
}

/// Whether a text is the path of a repository, such as `library/alpine`: lower-case components with slashes between them. Its length is
/// not looked at (OCI distribution specification 1.1, "Pulling manifests", `<name>`).
#[must_use]
pub fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_component)
}

fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_id(path: &str) -> bool {
    path.len() == 64 && path.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut separator = String::new();
    let mut seen_any = false;
    for byte in component.bytes() {
        if alphanumeric(byte) {
            let allowed = matches!(separator.as_str(), "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
            if !allowed || (!separator.is_empty() && !seen_any) {
                return false;
            }
            separator.clear();
            seen_any = true;
        } else if matches!(byte, b'.' | b'_' | b'-') {
            separator.push(char::from(byte));
        } else {
            return false;
        }
    }
    seen_any && separator.is_empty()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_normalised_like_docker_does() {
        let cases = [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:3.20", "docker.io/library/alpine:3.20"),
            ("me/app", "docker.io/me/app"),
            ("index.docker.io/alpine", "docker.io/library/alpine"),
            ("docker.io/alpine", "docker.io/library/alpine"),
            ("localhost/app", "localhost/app"),
            ("localhost:5000/demo/app:v1", "localhost:5000/demo/app:v1"),
            ("Registry/app", "Registry/app"),
            ("[::1]:5000/app:v1", "[::1]:5000/app:v1"),
            ("registry.example/a__b/c-d/e---f.g", "registry.example/a__b/c-d/e---f.g"),
        ];
        for (written, full) in cases {
            let parsed: Reference = written.parse().unwrap();
            assert_eq!(parsed.to_string(), full);
            assert_eq!(full.parse::<Reference>().unwrap(), parsed, "{full} parses to itself");
        }
    }

    #[test]
    fn a_repository_is_filed_under_one_name_however_its_host_is_written() {
        let filed = |name: &str| name.parse::<Repository>().unwrap().canonical_name();
        for written in ["LOCALHOST:5000/app", "localhost:05000/app", "LocalHost:5000/app"] {
            assert_eq!(filed(written), "localhost:5000/app");
        }
        assert_eq!(filed("registry-1.docker.io/library/alpine"), filed("alpine"));
        assert_ne!(filed("localhost:5001/app"), filed("localhost:5000/app"));
    }

    #[test]
    fn tag_and_digest_are_both_kept() {
        let parsed: Reference = format!("alpine:3@sha256:{HEX}").parse().unwrap();
        assert_eq!(parsed.tag.as_ref().map(Tag::as_str), Some("3"));
        assert_eq!(parsed.digest.unwrap().hex(), HEX);
        let bare: Reference = "alpine".parse().unwrap();
        assert_eq!(bare.tag_or_latest().unwrap().as_str(), "latest");
        let by_digest: Reference = format!("alpine@sha256:{HEX}").parse().unwrap();
        assert_eq!(by_digest.tag_or_latest(), None);
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        let long = format!("registry.example/{}", "a".repeat(240));
        let cases = [
            ("", ReferenceError::Empty),
            ("https://registry.example/app", ReferenceError::HasScheme),
            ("Alpine", ReferenceError::BadPath),
            ("a//b", ReferenceError::BadPath),
            ("a/../b", ReferenceError::BadPath),
            ("a/b/", ReferenceError::BadPath),
            ("-a", ReferenceError::BadPath),
            ("a..b", ReferenceError::BadPath),
            ("a___b", ReferenceError::BadPath),
            ("a b", ReferenceError::BadPath),
            ("registry.example:70000/a", ReferenceError::BadHost),
            ("registry.example:/a:", ReferenceError::BadTag),
            ("-registry.example/a", ReferenceError::BadHost),
            ("[::1/a", ReferenceError::BadHost),
            ("app:", ReferenceError::BadTag),
            ("app:.x", ReferenceError::BadTag),
            ("app:a:b", ReferenceError::BadTag),
            ("app@sha256:12", ReferenceError::BadDigest(DigestError::BadValue)),
            (HEX, ReferenceError::LooksLikeAnId),
            (long.as_str(), ReferenceError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Reference>(), Err(error), "{text}");
        }
    }
}
