//! The manifest under a `.sig` tag: one layer a signature.
//!
//! Every layer is read by itself, so that a broken one hides no other; and is kept as it was written, so that adding or removing
//! one changes no other.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trustctl_core::digest::Digest;

use super::{Descriptor, DescriptorForm, OCI_MANIFEST};
use crate::format::{FormatError, RawObject, Text, go_json, json, list, part, read};

/// Media type of a payload, and of the layer that holds it.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Media type of a DSSE envelope, the layer of a legacy attestation.
pub const DSSE: &str = "application/vnd.dsse.envelope.v1+json";
/// Artifact type of a legacy signature manifest that is stored as a referrer (cosign's experimental `oci-1-1` mode).
pub const REFERRER_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const WHAT: &str = "the signature manifest";

/// A signature manifest, nothing checked.
#[derive(Clone, Debug)]
pub struct SignatureManifest<'a> {
    object: RawObject<'a>,
    layers: Vec<&'a RawValue>,
}

/// One layer: as it was written, and what it means.
#[derive(Clone, Debug)]
pub struct Layer<'a> {
    raw: &'a str,
    /// What it means; an error when it cannot be read.
    pub meaning: Result<SignatureLayer, FormatError>,
}

/// What one layer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLayer {
    /// The payload.
    pub payload: Descriptor,
    /// The signature, base64; empty for attestations.
    pub signature: Option<String>,
    /// The certificate that comes with it, PEM.
    pub certificate: Option<String>,
    /// What lies between the certificate and a root, PEM.
    pub chain: Option<String>,
    /// The log entry, as JSON.
    pub log_entry: Option<String>,
    /// The signed timestamp, as JSON.
    pub timestamp: Option<String>,
    /// The predicate type that an attestation names outside of what is signed.
    pub predicate_type: Option<String>,
}

#[derive(Deserialize)]
struct LayerForm<'a> {
    #[serde(borrow, default)]
    annotations: Option<Annotations<'a>>,
}

#[derive(Default, Deserialize)]
struct Annotations<'a> {
    #[serde(borrow, default, rename = "dev.cosignproject.cosign/signature")]
    signature: Option<Text<'a>>,
    #[serde(borrow, default, rename = "dev.sigstore.cosign/certificate")]
    certificate: Option<Text<'a>>,
    #[serde(borrow, default, rename = "dev.sigstore.cosign/chain")]
    chain: Option<Text<'a>>,
    #[serde(borrow, default, rename = "dev.sigstore.cosign/bundle")]
    bundle: Option<Text<'a>>,
    #[serde(borrow, default, rename = "dev.sigstore.cosign/rfc3161timestamp")]
    timestamp: Option<Text<'a>>,
    #[serde(borrow, default, rename = "predicateType")]
    predicate_type: Option<Text<'a>>,
}

impl<'a> SignatureManifest<'a> {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are not an image manifest; a layer that cannot be read is an error of that layer only.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let object: RawObject<'a> = read(bytes, WHAT)?;
        let lacking = |detail: &str| FormatError::Json { what: WHAT, detail: detail.to_owned() };
        if object.member("manifests").is_some() || object.member("config").is_none() {
            return Err(lacking("it is not an image manifest"));
        }
        let layers = object.member("layers").ok_or_else(|| lacking("it has no layers"))?;
        let layers: Option<Vec<&'a RawValue>> = part(layers, WHAT)?;
        Ok(Self { object, layers: layers.unwrap_or_default() })
    }

    /// The layers, in order, each read when it is its turn: there may be very many.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'a>> {
        self.layers.iter().map(|raw| Layer::parse(raw))
    }

    /// How many layers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.layers.len()
    }

    /// The manifest with one more layer at its end, and its config; everything else is kept as it was written.
    #[must_use]
    pub fn with_layer(&self, payload: &[u8], notes: &Notes) -> Written {
        let layer = layer_json(payload, notes);
        let raws = self.layers.iter().map(|layer| layer.get()).chain([layer.as_str()]);
        self.rewritten(&list(raws), &config(self.digests().chain([Descriptor::of(SIMPLE_SIGNING, payload).digest])))
    }

    /// The manifest with only the layers for which `keep` is true, and its config.
    #[must_use]
    pub fn without(&self, mut is_removed: impl FnMut(&Layer<'a>) -> bool) -> Written {
        let kept: Vec<Layer<'a>> = self.layers().filter(|layer| !is_removed(layer)).collect();
        let digests = kept.iter().filter_map(|layer| layer.digest());
        self.rewritten(&list(kept.iter().map(|layer| layer.raw)), &config(digests))
    }

    fn digests(&self) -> impl Iterator<Item = Digest> {
        self.layers().filter_map(|layer| layer.digest())
    }

    fn rewritten(&self, layers: &str, config: &[u8]) -> Written {
        let config_type = self.object.member("config").and_then(|config| part::<DescriptorForm<'_>>(config, WHAT).ok());
        let config_type = config_type.map_or(OCI_CONFIG.to_owned(), |form| form.media_type.as_str().to_owned());
        let media_type = self.object.member("mediaType").and_then(|value| part::<String>(value, WHAT).ok());
        let descriptor = json(&Descriptor::of(&config_type, config));
        Written {
            media_type: media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned()),
            manifest: self.object.with(&[("config", &descriptor), ("layers", layers)]).into_bytes(),
            config: config.to_vec(),
        }
    }
}

impl<'a> Layer<'a> {
    fn parse(raw: &'a RawValue) -> Self {
        Self { raw: raw.get(), meaning: SignatureLayer::parse(raw) }
    }

    fn digest(&self) -> Option<Digest> {
        self.meaning.as_ref().ok().map(|layer| layer.payload.digest)
    }
}

impl SignatureLayer {
    fn parse(raw: &RawValue) -> Result<Self, FormatError> {
        let payload = Descriptor::from(part::<DescriptorForm<'_>>(raw, "the layer")?);
        let form: LayerForm<'_> = part(raw, "the layer")?;
        let annotations = form.annotations.unwrap_or_default();
        let filled =
            |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned()).filter(|text| !text.trim().is_empty());
        Ok(Self {
            payload,
            signature: annotations.signature.as_ref().map(|text| text.as_str().to_owned()),
            certificate: filled(&annotations.certificate),
            chain: filled(&annotations.chain),
            log_entry: filled(&annotations.bundle),
            timestamp: filled(&annotations.timestamp),
            predicate_type: filled(&annotations.predicate_type),
        })
    }
}

/// A manifest to be sent, with its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The manifest's media type.
    pub media_type: String,
    /// Its bytes.
    pub manifest: Vec<u8>,
    /// The bytes of its config.
    pub config: Vec<u8>,
}

/// What the annotations of one layer to be written say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The signature, base64.
    pub signature: String,
    /// The certificate, PEM; absent where a key signed.
    pub certificate: Option<String>,
    /// The certificates above it, PEM.
    pub chain: Option<String>,
    /// The log entry, as JSON.
    pub log_entry: Option<String>,
    /// The signed timestamp, as JSON.
    pub timestamp: Option<String>,
    /// The predicate type, where the layer is the envelope of an attestation.
    pub predicate_type: Option<String>,
}

impl Notes {
    /// Just a signature, base64.
    #[must_use]
    pub fn of_signature(signature: impl Into<String>) -> Self {
        Self { signature: signature.into(), ..Self::default() }
    }
}

/// A manifest with one signature or attestation, as Cosign writes it, byte for byte.
#[must_use]
pub fn build(payload: &[u8], notes: &Notes) -> Written {
    let layer = layer_json(payload, notes);
    let config = config([Descriptor::of(SIMPLE_SIGNING, payload).digest].into_iter());
    let descriptor = json(&Descriptor::of(OCI_CONFIG, &config));
    let manifest = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{descriptor},"layers":[{layer}]}}"#);
    Written { media_type: OCI_MANIFEST.to_owned(), manifest: manifest.into_bytes(), config }
}

#[derive(Serialize)]
struct WrittenLayer<'a> {
    #[serde(flatten)]
    payload: Descriptor,
    annotations: WrittenAnnotations<'a>,
}

/// In the order of their names, as Go writes a map.
#[derive(Serialize)]
struct WrittenAnnotations<'a> {
    #[serde(rename = "dev.cosignproject.cosign/signature")]
    signature: &'a str,
    #[serde(rename = "dev.sigstore.cosign/bundle", skip_serializing_if = "Option::is_none")]
    log_entry: Option<&'a str>,
    #[serde(rename = "dev.sigstore.cosign/certificate", skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
    #[serde(rename = "dev.sigstore.cosign/chain", skip_serializing_if = "Option::is_none")]
    chain: Option<&'a str>,
    #[serde(rename = "dev.sigstore.cosign/rfc3161timestamp", skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
    #[serde(rename = "predicateType", skip_serializing_if = "Option::is_none")]
    predicate_type: Option<&'a str>,
}

fn layer_json(payload: &[u8], notes: &Notes) -> String {
    let media_type = if notes.predicate_type.is_some() { DSSE } else { SIMPLE_SIGNING };
    let payload = Descriptor::of(media_type, payload);
    let annotations = WrittenAnnotations {
        signature: &notes.signature,
        log_entry: notes.log_entry.as_deref(),
        certificate: notes.certificate.as_deref(),
        chain: notes.chain.as_deref(),
        timestamp: notes.timestamp.as_deref(),
        predicate_type: notes.predicate_type.as_deref(),
    };
    go_json(&WrittenLayer { payload, annotations })
}

/// The config that Cosign writes: no platform, year one, one history entry and one diff id a layer.
fn config(layers: impl Iterator<Item = Digest>) -> Vec<u8> {
    const EPOCH: &str = "0001-01-01T00:00:00Z";
    let diff_ids: Vec<Digest> = layers.collect();
    let history = list(diff_ids.iter().map(|_| r#"{"created":"0001-01-01T00:00:00Z"}"#));
    let diff_ids = json(&diff_ids);
    format!(
        r#"{{"architecture":"","created":"{EPOCH}","history":{history},"os":"","rootfs":{{"type":"layers","diff_ids":{diff_ids}}},"config":{{}}}}"#
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    /// Three signatures written by cosign 3.1.1, one after the other.
    const THREE: &str = concat!(
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","#,
        r#""size":451,"digest":"sha256:77173c60cc7fdfce76eeff8d171a478b436bd021315c1dd4379a65c7813a62ba"},"layers":["#,
        r#"{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":235,"digest":"sha256:18cd1ceae25269bac9b2704c91f9645d2aaef3f0c8bbe62db3677206a929be9f","#,
        r#""annotations":{"dev.cosignproject.cosign/signature":"MEYCIQDqR/3GwqCzJmu4a7gjnpLE5MaNUhVWGnNXAmWjsWq4NQIhAM/iBlF9lLBqE5A+IdImNunFfXhTGceWt9vnz/flwN11"}},"#,
        r#"{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":235,"digest":"sha256:5b9007e270cb23dca0c5e95d47c6e794293b1350d55a15d8708c6f0343084f53","#,
        r#""annotations":{"dev.cosignproject.cosign/signature":"MEUCIDm0kfJIt7brkt0lYvTibzXL/X3/a33YCIppEoQmtTduAiEAsXrgLAIQKJiK+HmkJIYu+RptdGepEHQviVO0zCzFtm8="}},"#,
        r#"{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":255,"digest":"sha256:d18d5bf5df243efa367987f5f24eae580ee114c48bd352a6f063433eedba2537","#,
        r#""annotations":{"dev.cosignproject.cosign/signature":"MEUCIEoMz6dKGRMJ2k+s38iPmuWfO2QeQp3+bUxOuNKATayoAiEAq8ttyy02K+d9Z01TqZgfmwSvJZeWrSiDnJ5WV5mNhqY="}}]}"#,
    );

    /// The payloads of [`THREE`], in its order.
    fn payloads() -> [String; 3] {
        let payload = |port: u16, optional: &str| {
            format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"127.0.0.1:{port}/t/b"}},"image":{{"docker-manifest-digest":"sha256:07eb76d96eebb9dd5fa95e719512e2fd2fc690b46990aceea65a556f351647fe"}},"type":"cosign container image signature"}},"optional":{optional}}}"#
            )
        };
        [payload(14102, "null"), payload(14100, "null"), payload(14100, r#"{"build":"7","team":"x"}"#)]
    }

    fn signatures() -> Vec<String> {
        let manifest = SignatureManifest::parse(THREE.as_bytes()).unwrap();
        manifest.layers().map(|layer| layer.meaning.clone().unwrap().signature.unwrap()).collect()
    }

    #[test]
    fn the_config_is_cosigns_byte_for_byte() {
        let [first, ..] = payloads();
        let written = build(first.as_bytes(), &Notes::of_signature("AA=="));
        let expected = r#"{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z"}],"os":"","rootfs":{"type":"layers","diff_ids":["sha256:18cd1ceae25269bac9b2704c91f9645d2aaef3f0c8bbe62db3677206a929be9f"]},"config":{}}"#;
        assert_eq!(String::from_utf8(written.config.clone()).unwrap(), expected);
        assert_eq!(written.config.len(), 233);
    }

    #[test]
    fn three_signatures_one_after_the_other_give_cosigns_manifest() {
        let ([a, b, c], signatures) = (payloads(), signatures());
        let mut written = build(a.as_bytes(), &Notes::of_signature(signatures.first().unwrap()));
        for (payload, signature) in [b, c].iter().zip(signatures.iter().skip(1)) {
            let before = written.manifest.clone();
            written = SignatureManifest::parse(&before).unwrap().with_layer(payload.as_bytes(), &Notes::of_signature(signature));
        }
        assert_eq!(String::from_utf8(written.manifest).unwrap(), THREE);
        assert_eq!(written.config.len(), 451);
    }

    #[test]
    fn removing_one_signature_keeps_the_others_as_they_were() {
        let odd = THREE
            .replace(r#""size":255,"#, r#""size" : 255, "x-unknown":{"b":1,"a":[ ]},"#)
            .replace(r#","layers""#, r#","annotations":{"k":"\u0041"},"layers""#);
        let manifest = SignatureManifest::parse(odd.as_bytes()).unwrap();
        let mut index = 0;
        let written = manifest.without(|_| {
            index += 1;
            index == 2
        });
        let text = String::from_utf8(written.manifest.clone()).unwrap();
        assert!(text.contains(r#""size" : 255, "x-unknown":{"b":1,"a":[ ]}"#) && text.contains(r#"{"k":"\u0041"}"#), "{text}");
        assert!(!text.contains("5b9007e2"), "{text}");
        assert_eq!(SignatureManifest::parse(&written.manifest).unwrap().count(), 2);
        assert_eq!(written.config.len(), 342);
    }

    #[test]
    fn docker_media_types_are_kept() {
        let docker = THREE
            .replace("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
            .replace("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json");
        let written = SignatureManifest::parse(docker.as_bytes()).unwrap().with_layer(b"{}", &Notes::of_signature("AA=="));
        assert_eq!(written.media_type, "application/vnd.docker.distribution.manifest.v2+json");
        assert!(String::from_utf8(written.manifest).unwrap().contains("application/vnd.docker.container.image.v1+json"));
    }

    #[test]
    fn a_broken_layer_hides_no_other() {
        let broken = THREE.replace("sha256:18cd1ceae25269bac9b2704c91f9645d2aaef3f0c8bbe62db3677206a929be9f", "sha256:00");
        let manifest = SignatureManifest::parse(broken.as_bytes()).unwrap();
        let readable: Vec<bool> = manifest.layers().map(|layer| layer.meaning.is_ok()).collect();
        assert_eq!(readable, [false, true, true]);
    }

    #[test]
    fn what_is_no_image_manifest_is_refused() {
        for text in [
            "{}",
            r#"{"layers":[]}"#,
            r#"{"config":{},"manifests":[],"layers":[]}"#,
            r#"{"config":{}}"#,
            "[]",
            r#"{"config":{},"layers":7}"#,
        ] {
            assert!(SignatureManifest::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_manifest_never_panics(at in 0..THREE.len(), byte in any::<u8>()) {
            let mut bytes = THREE.as_bytes().to_vec();
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            if let Ok(manifest) = SignatureManifest::parse(&bytes) {
                let _ = manifest.with_layer(b"{}", &Notes::of_signature("AA=="));
            }
        }
    }
}
