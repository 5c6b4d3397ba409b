//! How signatures lie in a registry: tags, manifests, and listings of referrers.
//!
//! Two layouts exist side by side and are always both read: the tag `sha256-<hex>.sig` with one layer a signature
//! ([`signatures`]), and one manifest a bundle that refers to the image ([`bundle`], [`referrers`], [`listing`]; OCI 1.1).

pub mod bundle;
pub mod listing;
pub mod referrers;
pub mod signatures;

use serde::{Deserialize, Serialize};
use trustctl_core::digest::Digest;
use trustctl_core::reference::Tag;

use crate::format::Text;

/// Media type of an OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of `{}`, the config of a manifest that has none. Go libraries of 2025 write it as a bundle's artifact type into
/// fallback listings.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The tag of legacy signatures: `sha256-<hex>.sig`. `None` for digests whose tag would be too long (SHA-512).
#[must_use]
pub fn signature_tag(digest: &Digest) -> Option<Tag> {
    tag(digest, ".sig")
}

/// The tag of legacy attestations: `sha256-<hex>.att`.
#[must_use]
pub fn attestation_tag(digest: &Digest) -> Option<Tag> {
    tag(digest, ".att")
}

/// The tag under which clients keep the listing of referrers where the registry has none: `sha256-<hex>` (OCI distribution
/// specification 1.1, "Referrers Tag Schema").
#[must_use]
pub fn fallback_tag(digest: &Digest) -> Option<Tag> {
    tag(digest, "")
}

fn tag(digest: &Digest, suffix: &str) -> Option<Tag> {
    format!("{}-{}{suffix}", digest.algorithm().name(), digest.hex()).parse().ok()
}

/// What points to a manifest or blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Descriptor {
    /// The media type of the bytes.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// How many bytes there are.
    pub size: u64,
    /// Their digest.
    pub digest: Digest,
}

impl Descriptor {
    /// The descriptor of `bytes`.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { media_type: media_type.to_owned(), size, digest: Digest::sha256_of(bytes) }
    }
}

/// The members that every descriptor has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorForm<'a> {
    #[serde(borrow)]
    media_type: Text<'a>,
    size: u64,
    digest: Digest,
}

impl From<DescriptorForm<'_>> for Descriptor {
    fn from(form: DescriptorForm<'_>) -> Self {
        Self { media_type: form.media_type.as_str().to_owned(), size: form.size, digest: form.digest }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn tags_are_cosigns() {
        let digest = Digest::sha256_of(b"");
        let hex = digest.hex();
        assert_eq!(signature_tag(&digest).unwrap().as_str(), format!("sha256-{hex}.sig"));
        assert_eq!(attestation_tag(&digest).unwrap().as_str(), format!("sha256-{hex}.att"));
        assert_eq!(fallback_tag(&digest).unwrap().as_str(), format!("sha256-{hex}"));
        let long = Digest::of(trustctl_core::digest::DigestAlgorithm::Sha512, b"");
        assert_eq!(signature_tag(&long), None);
    }
}
