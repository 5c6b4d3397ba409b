//! What a registry holds: repositories of manifests, blobs and tags, in memory and bounded.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use trustctl_core::digest::Digest;

/// A manifest or index as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The `Content-Type` it was pushed with.
    pub media_type: String,
    /// The bytes that are served. They hash to the digest they are stored under, unless an attack of the lab replaced them.
    pub bytes: Bytes,
}

/// One repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repository {
    pub(crate) manifests: BTreeMap<Digest, Manifest>,
    pub(crate) blobs: BTreeMap<Digest, Bytes>,
    pub(crate) tags: BTreeMap<String, Digest>,
}

/// Every repository of a registry. A clone shares the bytes, so it is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Store {
    pub(crate) repositories: BTreeMap<String, Repository>,
}

impl Store {
    /// The bytes held; what two repositories share counts twice.
    pub(crate) fn size(&self) -> usize {
        let sizes = self.repositories.values().map(|repository| {
            let manifests: usize = repository.manifests.values().map(|manifest| manifest.bytes.len()).sum();
            let blobs: usize = repository.blobs.values().map(Bytes::len).sum();
            manifests.saturating_add(blobs)
        });
        sizes.sum()
    }

    /// The number of manifests, blobs and tags.
    pub(crate) fn entries(&self) -> usize {
        let counts = self.repositories.values().map(|one| one.manifests.len() + one.blobs.len() + one.tags.len());
        counts.sum()
    }
}

impl Repository {
    /// The manifest that a tag or a digest names.
    pub(crate) fn find(&self, reference: &str) -> Option<(Digest, &Manifest)> {
        let digest = match reference.parse::<Digest>() {
            Ok(digest) => digest,
            Err(_) => *self.tags.get(reference)?,
        };
        self.manifests.get(&digest).map(|manifest| (digest, manifest))
    }

    /// Takes a manifest away, and every tag that points to it.
    pub(crate) fn remove(&mut self, digest: &Digest) -> Option<(Manifest, Vec<String>)> {
        let manifest = self.manifests.remove(digest)?;
        let tags: Vec<String> = self.tags.iter().filter(|(_, to)| *to == digest).map(|(tag, _)| tag.clone()).collect();
        self.tags.retain(|_, to| to != digest);
        Some((manifest, tags))
    }

    /// The descriptors of all manifests whose `subject` is `digest`, as the referrers API lists them (OCI distribution 1.1, "Listing Referrers").
    pub(crate) fn referrers(&self, digest: &Digest) -> Vec<Value> {
        let wanted = digest.to_string();
        self.manifests.iter().filter_map(|(own, manifest)| referrer(own, manifest, &wanted)).collect()
    }
}

fn referrer(own: &Digest, manifest: &Manifest, subject: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&manifest.bytes).ok()?;
    if value.pointer("/subject/digest")?.as_str()? != subject {
        return None;
    }
    let mut descriptor = serde_json::json!({
        "mediaType": manifest.media_type,
        "digest": own,
        "size": manifest.bytes.len(),
    });
    let fields = descriptor.as_object_mut()?;
    // "artifactType … MUST be set to the config descriptor mediaType" when the manifest names none itself.
    let artifact_type =
        value.get("artifactType").filter(|own| own.as_str() != Some("")).or_else(|| value.pointer("/config/mediaType"));
    if let Some(artifact_type) = artifact_type {
        fields.insert("artifactType".to_owned(), artifact_type.clone());
    }
    if let Some(annotations) = value.get("annotations").filter(|value| value.is_object()) {
        fields.insert("annotations".to_owned(), annotations.clone());
    }
    Some(descriptor)
}
