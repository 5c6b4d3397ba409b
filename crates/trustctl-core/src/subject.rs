//! What is judged: one manifest of one repository, named by its digest.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Digest, DigestAlgorithm};
use crate::evidence::{Evidence, Locator};
use crate::json;
use crate::reason::{Code, Reason, clean};
use crate::reference::{Repository, Tag};

/// Media types of manifests that name other manifests.
pub const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// Media types of single-image manifests.
pub const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// The members of a manifest or index that decide what it is: another spelling of one of them is refused.
pub const MANIFEST_FIELDS: [&str; 8] =
    ["annotations", "artifactType", "config", "layers", "manifests", "mediaType", "schemaVersion", "subject"];
/// Those of a descriptor.
pub const DESCRIPTOR_FIELDS: [&str; 8] =
    ["annotations", "artifactType", "data", "digest", "mediaType", "platform", "size", "urls"];
/// Those of a platform.
pub const PLATFORM_FIELDS: [&str; 5] = ["architecture", "os", "os.features", "os.version", "variant"];
/// Most children that are read from an index; an index with more is refused.
pub const MAX_CHILDREN: usize = 256;

/// One image to be judged. A tag was resolved to the digest once; only the digest decides from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The repository it was asked for in.
    pub repository: Repository,
    /// The tag it was asked for by, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// The digest of the manifest's bytes.
    pub digest: Digest,
    /// The manifest's size in bytes.
    pub size: u64,
    /// The manifest's media type: what it says itself, else what the registry said.
    pub media_type: String,
    /// The manifests an index names, in its order; empty for a single image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Child>,
}

/// A manifest named by an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Child {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, as the index says.
    pub size: u64,
    /// Its media type, as the index says.
    pub media_type: String,
    /// The platform as `os/architecture[/variant]`, when the index names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// The bytes of a manifest, with what is needed to name it.
#[derive(Clone, Copy, Debug)]
pub struct ManifestBytes<'a> {
    /// The bytes as served.
    pub bytes: &'a [u8],
    /// The media type the registry announced, if any.
    pub announced: Option<&'a str>,
}

impl Subject {
    /// The subject that the bytes of a manifest define. The digest is computed here, never taken from a header.
    ///
    /// Read in the one way that every client reads it (OCI image specification, `manifest.md` and `image-index.md`): no name twice, no
    /// known name in another spelling.
    ///
    /// # Errors
    /// [`Code::BadManifest`] when the bytes are not a manifest or index that this program reads, can be read in two ways, are an index
    /// where the registry announced an image or the other way round, or name more than [`MAX_CHILDREN`] children.
    pub fn from_manifest(repository: Repository, tag: Option<Tag>, manifest: ManifestBytes<'_>) -> Result<Self, Reason> {
        let value = json::read(manifest.bytes).map_err(|error| bad(format!("the manifest is not plain JSON ({error})")))?;
        one_spelling(&value, "manifest", &MANIFEST_FIELDS)?;
        let inside = value.get("mediaType").and_then(Value::as_str);
        let announced = manifest.announced.filter(|announced| known(announced));
        let media_type = match (inside, announced) {
            (Some(inside), _) => inside.to_owned(),
            (None, Some(announced)) => announced.to_owned(),
            (None, None) if value.get("manifests").is_some() => first(INDEX_TYPES),
            (None, None) => first(MANIFEST_TYPES),
        };
        if !known(&media_type) {
            return Err(bad(format!("unsupported manifest type \"{media_type}\"")));
        }
        let is_index = INDEX_TYPES.contains(&media_type.as_str());
        if announced.is_some_and(|announced| INDEX_TYPES.contains(&announced) != is_index) {
            return Err(bad(format!("it is \"{media_type}\", and the registry announced another kind of manifest")));
        }
        // A document that can be read both ways lets two readers see two images (CVE-2021-41190).
        if is_index == value.get("layers").is_some() || is_index != value.get("manifests").is_some() {
            return Err(bad("the manifest mixes or lacks the fields of its type".to_owned()));
        }
        let children = if is_index { children(&value)? } else { Vec::new() };
        Ok(Self {
            repository,
            tag,
            digest: Digest::sha256_of(manifest.bytes),
            size: u64::try_from(manifest.bytes.len()).unwrap_or(u64::MAX),
            media_type,
            children,
        })
    }

    /// The subject for one child of this index, asked for by digest.
    #[must_use]
    pub fn child(&self, child: &Child) -> Self {
        Self {
            repository: self.repository.clone(),
            tag: None,
            digest: child.digest,
            size: child.size,
            media_type: child.media_type.clone(),
            children: Vec::new(),
        }
    }

    /// The same index, each child under the SHA-256 of its bytes where it is named by another digest and `evidence` holds them.
    ///
    /// Deny entries, revocations and the memory know an image by that digest alone: under another one it would be another image to them.
    #[must_use]
    pub fn by_sha256(&self, evidence: &Evidence) -> Self {
        let mut known = self.clone();
        for child in &mut known.children {
            if child.is_by_sha256() {
                continue;
            }
            let locator = Locator::Manifest { repository: self.repository.clone(), digest: child.digest };
            if let Some(bytes) = evidence.bytes(&locator) {
                child.digest = Digest::sha256_of(bytes);
            }
        }
        known
    }

    /// Whether this is an index (a multi-platform image).
    #[must_use]
    pub fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
    }
}

impl Child {
    /// Whether it is named by the digest under which images are known.
    #[must_use]
    pub fn is_by_sha256(&self) -> bool {
        self.digest.algorithm() == DigestAlgorithm::Sha256
    }
}

fn first(types: [&str; 2]) -> String {
    let [oci, _] = types;
    oci.to_owned()
}

fn known(media_type: &str) -> bool {
    INDEX_TYPES.contains(&media_type) || MANIFEST_TYPES.contains(&media_type)
}

fn bad(why: String) -> Reason {
    Reason::new(Code::BadManifest, why)
}

fn children(index: &Value) -> Result<Vec<Child>, Reason> {
    let list = index.get("manifests").and_then(Value::as_array).ok_or_else(|| bad("\"manifests\" is not a list".to_owned()))?;
    if list.len() > MAX_CHILDREN {
        return Err(bad(format!("the index names {} manifests, more than {MAX_CHILDREN}", list.len())));
    }
    list.iter().map(child).collect()
}

/// That no member of the object `value` is another spelling of one of `fields`.
fn one_spelling(value: &Value, what: &str, fields: &[&str]) -> Result<(), Reason> {
    match value.as_object().and_then(|object| json::misspelt(object, fields)) {
        None => Ok(()),
        Some(written) => Err(bad(format!("the {what} has a field \"{written}\", which programs read differently"))),
    }
}

fn child(descriptor: &Value) -> Result<Child, Reason> {
    one_spelling(descriptor, "descriptor", &DESCRIPTOR_FIELDS)?;
    let text = |name: &str| descriptor.get(name).and_then(Value::as_str);
    let digest = text("digest").and_then(|digest| digest.parse().ok());
    let size = descriptor.get("size").and_then(Value::as_u64);
    let (Some(digest), Some(size), Some(media_type)) = (digest, size, text("mediaType")) else {
        return Err(bad("a descriptor of the index lacks digest, size or mediaType".to_owned()));
    };
    if let Some(platform) = descriptor.get("platform") {
        one_spelling(platform, "platform", &PLATFORM_FIELDS)?;
    }
    let platform = descriptor.get("platform").map(|platform| {
        let part = |name: &str| platform.get(name).and_then(Value::as_str).unwrap_or_default();
        let variant = part("variant");
        let slash = if variant.is_empty() { "" } else { "/" };
        clean(&format!("{}/{}{slash}{variant}", part("os"), part("architecture")))
    });
    Ok(Child { digest, size, media_type: media_type.to_owned(), platform })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::evidence::{Entry, Origin};

    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    fn read(bytes: &str, announced: Option<&str>) -> Result<Subject, Code> {
        let manifest = ManifestBytes { bytes: bytes.as_bytes(), announced };
        Subject::from_manifest("r.example/app".parse().unwrap(), None, manifest).map_err(|reason| reason.code)
    }

    fn digest(of: &str) -> String {
        Digest::sha256_of(of.as_bytes()).to_string()
    }

    /// An index with one descriptor and more members of its own.
    fn index(descriptor: &str, more: &str) -> String {
        let one = digest("signed");
        format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{IMAGE}","digest":"{one}","size":3{descriptor}}}]{more}}}"#)
    }

    /// Go's decoder, and with it most clients, would run the evil image in each of these; a plain reader judges the signed one.
    #[test]
    fn an_index_that_two_readers_read_differently_is_refused() {
        let evil = digest("evil");
        for (descriptor, more) in [
            (format!(r#","Digest":"{evil}""#), String::new()),
            (format!(r#","digest":"{evil}""#), String::new()),
            (format!(r#","dige\u017ft":"{evil}""#), String::new()),
            (String::new(), format!(r#","Manifests":[{{"mediaType":"{IMAGE}","digest":"{evil}","size":3}}]"#)),
            (String::new(), format!(r#","manifests":[{{"mediaType":"{IMAGE}","digest":"{evil}","size":3}}]"#)),
            (r#","platform":{"os":"linux","OS":"windows","architecture":"amd64"}"#.to_owned(), String::new()),
        ] {
            assert_eq!(read(&index(&descriptor, &more), None), Err(Code::BadManifest), "{descriptor} {more}");
        }
    }

    #[test]
    fn members_that_nobody_knows_and_annotations_are_free() {
        let descriptor =
            r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"},"annotations":{"Digest":"x"},"x-y":1"#;
        let subject =
            read(&index(descriptor, r#","annotations":{"MediaType":"x"},"vendor":{"Manifests":[]}"#), Some(INDEX)).unwrap();
        let child = subject.children.first().unwrap();
        assert_eq!((child.digest.to_string(), child.platform.as_deref()), (digest("signed"), Some("linux/arm64/v8")));
    }

    #[test]
    fn the_announced_type_is_of_the_same_kind() {
        let docker = "application/vnd.docker.distribution.manifest.list.v2+json";
        let named = index("", &format!(r#","mediaType":"{INDEX}""#));
        assert!(read(&named, Some(INDEX)).is_ok());
        assert!(read(&named, Some(docker)).is_ok());
        assert!(read(&named, Some("text/plain")).is_ok());
        assert_eq!(read(&named, Some(IMAGE)), Err(Code::BadManifest));
        let image = format!(r#"{{"mediaType":"{IMAGE}","config":{{}},"layers":[]}}"#);
        assert!(read(&image, Some(IMAGE)).is_ok());
        assert_eq!(read(&image, Some(INDEX)), Err(Code::BadManifest));
    }

    #[test]
    fn what_a_platform_is_called_has_no_control_characters() {
        let subject = read(&index(r#","platform":{"os":"\u001b[2Jlinux","architecture":"amd64"}"#, ""), None).unwrap();
        let platform = subject.children.first().unwrap().platform.clone().unwrap();
        assert!(!platform.chars().any(char::is_control) && platform.ends_with("linux/amd64"), "{platform:?}");
    }

    #[test]
    fn an_index_names_only_so_many_manifests() {
        let of = |count: usize| {
            let entry = |number: usize| {
                let digest = digest(&number.to_string());
                format!(r#"{{"mediaType":"{IMAGE}","digest":"{digest}","size":3}}"#)
            };
            let entries: Vec<String> = (0..count).map(entry).collect();
            format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","))
        };
        assert_eq!(read(&of(MAX_CHILDREN), None).map(|subject| subject.children.len()), Ok(MAX_CHILDREN));
        assert_eq!(read(&of(MAX_CHILDREN + 1), None), Err(Code::BadManifest));
    }

    #[test]
    fn a_child_under_another_digest_is_known_by_the_sha256_of_its_bytes() {
        let long = Digest::of(DigestAlgorithm::Sha512, b"child");
        let named = format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{IMAGE}","digest":"{long}","size":5}}]}}"#);
        let index = read(&named, None).unwrap();
        let first = |subject: &Subject| subject.children.first().map(|child| child.digest);
        let mut evidence = Evidence::new();
        assert_eq!(first(&index.by_sha256(&evidence)), Some(long));
        let locator = Locator::Manifest { repository: index.repository.clone(), digest: long };
        evidence.insert(locator, Entry::Present { bytes: b"child".to_vec(), origin: Origin::Registry });
        assert_eq!(first(&index.by_sha256(&evidence)), Some(Digest::sha256_of(b"child")));
    }
}
