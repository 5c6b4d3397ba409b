//! The manifest that attaches a bundle to an image: OCI 1.1, with a `subject`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trustctl_core::time::Timestamp;

use super::{Descriptor, DescriptorForm, OCI_EMPTY, OCI_MANIFEST};
use crate::bundle::is_bundle_type;
use crate::format::{FormatError, Text, json, part, read};
use crate::layout::signatures::SIMPLE_SIGNING;
use crate::revocation::is_revocation_type;

/// The annotation that says what a bundle contains.
pub const CONTENT: &str = "dev.sigstore.bundle.content";
/// The annotation that names the predicate type of the statement in the bundle.
pub const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
/// The annotation with the time of creation.
pub const CREATED: &str = "org.opencontainers.image.created";
/// The value of [`CONTENT`] for a DSSE envelope.
pub const DSSE_ENVELOPE: &str = "dsse-envelope";
/// The bytes of an empty config.
pub const EMPTY: &[u8] = b"{}";
const WHAT: &str = "the manifest";

/// A manifest that refers to an image, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferrerManifest {
    /// A bundle: the layer that holds it, and the predicate type it is said to have.
    Bundle {
        /// The bundle.
        blob: Descriptor,
        /// The predicate type, by annotation.
        predicate_type: Option<String>,
    },
    /// Legacy signatures (cosign's experimental `oci-1-1` mode).
    Signatures,
    /// Something else.
    Other,
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow)]
    layers: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Option<Annotations<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Annotations<'a> {
    #[serde(borrow, default, rename = "dev.sigstore.bundle.predicateType")]
    pub(super) predicate_type: Option<Text<'a>>,
}

impl ReferrerManifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are no image manifest, or hold more than one bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let form: Form<'_> = read(bytes, WHAT)?;
        let layers: Vec<Descriptor> =
            form.layers.iter().filter_map(|raw| part::<DescriptorForm<'_>>(raw, WHAT).ok()).map(Descriptor::from).collect();
        let bundles = |layer: &&Descriptor| is_bundle_type(&layer.media_type) || is_revocation_type(&layer.media_type);
        let predicate_type = form.annotations.unwrap_or_default().predicate_type.map(|text| text.as_str().to_owned());
        match layers.iter().filter(bundles).collect::<Vec<_>>().as_slice() {
            [blob] => Ok(Self::Bundle { blob: (*blob).clone(), predicate_type }),
            [] if layers.iter().any(|layer| layer.media_type == SIMPLE_SIGNING) => Ok(Self::Signatures),
            [] => Ok(Self::Other),
            several => Err(FormatError::NotOne { what: "bundle in the manifest", count: several.len() }),
        }
    }
}

/// What a manifest to be written says.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// The image it refers to.
    pub subject: &'a Descriptor,
    /// The media type of the layer and the artifact type of the manifest.
    pub media_type: &'a str,
    /// The predicate type of the statement in the bundle.
    pub predicate_type: &'a str,
    /// When it was made.
    pub created: Timestamp,
}

impl Attachment<'_> {
    /// The manifest's annotations, which listings of referrers repeat.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (CONTENT.to_owned(), DSSE_ENVELOPE.to_owned()),
            (PREDICATE_TYPE.to_owned(), self.predicate_type.to_owned()),
            (CREATED.to_owned(), self.created.to_string()),
        ])
    }

    /// The manifest for `bundle`, byte for byte as cosign 3 writes it, the odd `config.artifactType` included.
    #[must_use]
    pub fn manifest(&self, bundle: &[u8]) -> Vec<u8> {
        json(&Written {
            schema_version: 2,
            media_type: OCI_MANIFEST,
            config: WrittenConfig { descriptor: Descriptor::of(OCI_EMPTY, EMPTY), artifact_type: self.media_type },
            layers: [Descriptor::of(self.media_type, bundle)],
            annotations: self.annotations(),
            subject: self.subject,
            artifact_type: self.media_type,
        })
        .into_bytes()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u8,
    media_type: &'static str,
    config: WrittenConfig<'a>,
    layers: [Descriptor; 1],
    annotations: BTreeMap<String, String>,
    subject: &'a Descriptor,
    artifact_type: &'a str,
}

#[derive(Serialize)]
struct WrittenConfig<'a> {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(rename = "artifactType")]
    artifact_type: &'a str,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::bundle::MEDIA_TYPE;
    use proptest::prelude::*;

    /// As written by cosign 3.1.1, but for the digest and size of the layer.
    const COSIGN: &str = concat!(
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"#,
        r#""digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"},"#,
        r#""layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}],"#,
        r#""annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://example.com/p/v1","#,
        r#""org.opencontainers.image.created":"2026-11-22T15:02:19Z"},"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":418,"#,
        r#""digest":"sha256:07eb76d96eebb9dd5fa95e719512e2fd2fc690b46990aceea65a556f351647fe"},"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#,
    );

    fn subject() -> Descriptor {
        let digest = "sha256:07eb76d96eebb9dd5fa95e719512e2fd2fc690b46990aceea65a556f351647fe".parse().unwrap();
        Descriptor { media_type: OCI_MANIFEST.to_owned(), size: 418, digest }
    }

    #[test]
    fn the_manifest_is_cosigns_byte_for_byte() {
        let attachment = Attachment {
            subject: &subject(),
            media_type: MEDIA_TYPE,
            predicate_type: "https://example.com/p/v1",
            created: "2026-11-22T15:02:19Z".parse().unwrap(),
        };
        assert_eq!(String::from_utf8(attachment.manifest(b"{}")).unwrap(), COSIGN);
    }

    #[test]
    fn what_a_manifest_holds_is_told_by_its_layers() {
        let bundle = ReferrerManifest::parse(COSIGN.as_bytes()).unwrap();
        let predicate_type = Some("https://example.com/p/v1".to_owned());
        assert_eq!(bundle, ReferrerManifest::Bundle { blob: Descriptor::of(MEDIA_TYPE, b"{}"), predicate_type });
        let layer = |media_type: &str| {
            let layer = json(&Descriptor::of(media_type, b"{}"));
            ReferrerManifest::parse(format!(r#"{{"config":{{}},"layers":[{layer},7]}}"#).as_bytes()).unwrap()
        };
        assert_eq!(layer(SIMPLE_SIGNING), ReferrerManifest::Signatures);
        assert_eq!(layer("text/plain"), ReferrerManifest::Other);
        assert!(matches!(layer(crate::revocation::MEDIA_TYPE), ReferrerManifest::Bundle { predicate_type: None, .. }));
        let two = COSIGN.replace(r#""layers":["#, &format!(r#""layers":[{},"#, json(&Descriptor::of(MEDIA_TYPE, b""))));
        assert!(matches!(ReferrerManifest::parse(two.as_bytes()), Err(FormatError::NotOne { count: 2, .. })));
    }

    proptest! {
        #[test]
        fn a_damaged_manifest_never_panics(at in 0..COSIGN.len(), byte in any::<u8>()) {
            let mut bytes = COSIGN.as_bytes().to_vec();
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            let _ = ReferrerManifest::parse(&bytes);
        }
    }
}
