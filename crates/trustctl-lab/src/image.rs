//! Tiny images, multi-architecture indexes and referrers, built from bytes without any program.

use bytes::Bytes;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;

/// A manifest or index with everything below it, ready to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The media type of the manifest.
    pub media_type: String,
    /// The bytes of the manifest.
    pub manifest: Bytes,
    /// The blobs it names: config and layers.
    pub blobs: Vec<Bytes>,
    /// The manifests it names, if it is an index.
    pub children: Vec<Artifact>,
}

/// A platform as an index names it, such as `linux` and `arm64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The operating system, in Go's spelling.
    pub os: &'static str,
    /// The processor architecture, in Go's spelling.
    pub architecture: &'static str,
}

/// `linux/amd64`.
pub const LINUX_AMD64: Platform = Platform { os: "linux", architecture: "amd64" };
/// `linux/arm64`.
pub const LINUX_ARM64: Platform = Platform { os: "linux", architecture: "arm64" };

impl Artifact {
    /// An image for `linux/amd64` with one layer, in which a file `hello.txt` holds `text`.
    #[must_use]
    pub fn image(text: &str) -> Self {
        Self::image_for(LINUX_AMD64, text)
    }

    /// An image for `platform` with one layer, in which a file `hello.txt` holds `text`.
    #[must_use]
    pub fn image_for(platform: Platform, text: &str) -> Self {
        let layer = Bytes::from(tar("hello.txt", text.as_bytes()));
        let config = json!({
            "created": "2026-01-01T00:00:00Z",
            "architecture": platform.architecture,
            "os": platform.os,
            "config": {"Cmd": ["/hello.txt"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::sha256_of(&layer)]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "trustctl-lab"}],
        });
        let config = Bytes::from(config.to_string());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = manifest.to_string().into();
        Self { media_type: OCI_MANIFEST.to_owned(), manifest, blobs: vec![config, layer], children: Vec::new() }
    }

    /// An index of images, one for each platform.
    #[must_use]
    pub fn index(images: Vec<(Platform, Self)>) -> Self {
        let entry = |(platform, image): &(Platform, Self)| {
            let mut entry = descriptor(&image.media_type, &image.manifest);
            if let Some(fields) = entry.as_object_mut() {
                let platform = json!({"architecture": platform.architecture, "os": platform.os});
                fields.insert("platform".to_owned(), platform);
            }
            entry
        };
        let entries: Vec<Value> = images.iter().map(entry).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string().into();
        let children = images.into_iter().map(|(_, image)| image).collect();
        Self { media_type: OCI_INDEX.to_owned(), manifest, blobs: Vec::new(), children }
    }

    /// An image for `linux/amd64` and one for `linux/arm64` under one index.
    #[must_use]
    pub fn multi_platform(text: &str) -> Self {
        Self::index([LINUX_AMD64, LINUX_ARM64].map(|platform| (platform, Self::image_for(platform, text))).into())
    }

    /// An artifact of `artifact_type` whose only layer is `content`, attached to `subject` (OCI image 1.1, "Guidelines for Artifact Usage").
    #[must_use]
    pub fn referrer(subject: &Self, artifact_type: &str, content: impl Into<Bytes>) -> Self {
        let (empty, content) = (Bytes::from_static(b"{}"), content.into());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": descriptor("application/vnd.oci.empty.v1+json", &empty),
            "layers": [descriptor(artifact_type, &content)],
            "subject": descriptor(&subject.media_type, &subject.manifest),
            "annotations": {"org.opencontainers.image.created": "2026-01-01T00:00:00Z"},
        });
        let manifest = manifest.to_string().into();
        Self { media_type: OCI_MANIFEST.to_owned(), manifest, blobs: vec![empty, content], children: Vec::new() }
    }

    /// The digest of the manifest: what is signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256_of(&self.manifest)
    }
}

fn descriptor(media_type: &str, bytes: &Bytes) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256_of(bytes), "size": bytes.len()})
}

/// A tar archive (POSIX ustar) with one file, owned by root and dated 1970.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(BLOCK);
    header.extend_from_slice(name.as_bytes());
    header.resize(100, 0);
    let size = format!("{:011o}\0", content.len());
    for field in ["0000644\0", "0000000\0", "0000000\0", &size, "00000000000\0", "        ", "0"] {
        header.extend_from_slice(field.as_bytes());
    }
    header.resize(257, 0);
    header.extend_from_slice(b"ustar\x0000");
    header.resize(BLOCK, 0);
    // The sum is taken with the field itself as spaces, which is how it stands now.
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let mut archive = header;
    archive.splice(148..156, format!("{sum:06o}\0 ").into_bytes());
    archive.extend_from_slice(content);
    let padded = archive.len().next_multiple_of(BLOCK) + 2 * BLOCK;
    archive.resize(padded, 0);
    archive
}

const BLOCK: usize = 512;
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_names_its_blobs() {
        let image = Artifact::image("hello");
        let text = String::from_utf8_lossy(&image.manifest).into_owned();
        for blob in &image.blobs {
            assert!(text.contains(&Digest::sha256_of(blob).to_string()));
        }
        assert_ne!(image.digest(), Artifact::image("other").digest());
        assert_eq!(image.digest(), Artifact::image("hello").digest(), "the same text gives the same image");
    }

    #[test]
    fn a_tar_archive_is_whole_blocks_with_the_right_sum() {
        let archive = tar("hello.txt", b"hello");
        assert_eq!(archive.len(), 4 * BLOCK);
        let mut header = archive.get(..BLOCK).unwrap_or_default().to_vec();
        header.splice(148..156, *b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(archive.get(148..154), Some(format!("{sum:06o}").as_bytes()));
    }
}
