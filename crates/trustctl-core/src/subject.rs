//! What is judged: one manifest of one repository, named by its digest.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::reason::{Code, Reason};
use crate::reference::{Repository, Tag};

/// Media types of manifests that name other manifests.
pub const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// Media types of single-image manifests.
pub const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
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
    /// # Errors
    /// [`Code::BadManifest`] when the bytes are not a manifest or index that this program reads, contradict the announced
    /// media type, or name more than [`MAX_CHILDREN`] children.
    pub fn from_manifest(repository: Repository, tag: Option<Tag>, manifest: ManifestBytes<'_>) -> Result<Self, Reason> {
        let value: Value =
            serde_json::from_slice(manifest.bytes).map_err(|error| bad(format!("the manifest is not JSON ({error})")))?;
        let inside = value.get("mediaType").and_then(Value::as_str);
        let media_type = match (inside, manifest.announced) {
            (Some(inside), _) => inside.to_owned(),
            (None, Some(announced)) if known(announced) => announced.to_owned(),
            (None, _) if value.get("manifests").is_some() => first(INDEX_TYPES),
            (None, _) => first(MANIFEST_TYPES),
        };
        let is_index = INDEX_TYPES.contains(&media_type.as_str());
        if !known(&media_type) {
            return Err(bad(format!("unsupported manifest type \"{media_type}\"")));
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

    /// Whether this is an index (a multi-platform image).
    #[must_use]
    pub fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
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

fn child(descriptor: &Value) -> Result<Child, Reason> {
    let text = |name: &str| descriptor.get(name).and_then(Value::as_str);
    let digest = text("digest").and_then(|digest| digest.parse().ok());
    let size = descriptor.get("size").and_then(Value::as_u64);
    let (Some(digest), Some(size), Some(media_type)) = (digest, size, text("mediaType")) else {
        return Err(bad("a descriptor of the index lacks digest, size or mediaType".to_owned()));
    };
    let platform = descriptor.get("platform").map(|platform| {
        let part = |name: &str| platform.get(name).and_then(Value::as_str).unwrap_or_default();
        let variant = part("variant");
        let slash = if variant.is_empty() { "" } else { "/" };
        format!("{}/{}{slash}{variant}", part("os"), part("architecture"))
    });
    Ok(Child { digest, size, media_type: media_type.to_owned(), platform })
}
