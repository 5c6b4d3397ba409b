//! What a manifest is by its content: an image, or evidence about images that everybody may read.

use serde_json::Value;
use trustctl_core::digest::Digest;
use trustctl_core::json;
use trustctl_core::subject::{INDEX_TYPES, MANIFEST_TYPES, MAX_CHILDREN};

/// Most layers of an image that are followed; Docker's limit is 127.
const MAX_LAYERS: usize = 1024;
/// Most blobs of a signature or attestation.
const MAX_EVIDENCE_LAYERS: usize = 64;
/// Most bytes of one blob of a signature or attestation.
pub(crate) const MAX_EVIDENCE_BLOB: u64 = 8 * 1024 * 1024;
/// Media types of what verifiers read: Cosign's signatures and attestations, Sigstore's bundles, in-toto statements.
const EVIDENCE: [&str; 4] = [
    "application/vnd.dev.cosign.simplesigning.v1+json",
    "application/vnd.dsse.envelope.v1+json",
    "application/vnd.in-toto+json",
    "application/vnd.dev.sigstore.bundle",
];

/// Whether every blob of a manifest is, by the type it is announced with, a signature or an attestation of bounded size, so that
/// nothing in it can be run. An index is evidence when all it names is.
///
/// A blob that is served for this reason must be read in full and be JSON; see [`is_json`].
pub(crate) fn is_evidence(manifest: &[u8]) -> bool {
    let Ok(Value::Object(document)) = json::read(manifest) else { return false };
    if let Some(named) = document.get("manifests") {
        let Some(named) = named.as_array().filter(|named| !named.is_empty() && named.len() <= MAX_CHILDREN) else { return false };
        return !document.contains_key("layers")
            && named
                .iter()
                .all(|entry| entry.get("platform").is_none() && text(entry, "artifactType").is_some_and(is_evidence_type));
    }
    let Some(layers) = document.get("layers").and_then(Value::as_array) else { return false };
    let fits = |layer: &Value| {
        let small = layer.get("size").and_then(Value::as_u64).is_some_and(|size| size <= MAX_EVIDENCE_BLOB);
        small && text(layer, "mediaType").is_some_and(is_evidence_type)
    };
    !layers.is_empty() && layers.len() <= MAX_EVIDENCE_LAYERS && layers.iter().all(fits)
}

/// Whether bytes are one JSON document: no archive and no program is.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// The digests of everything a manifest names: the children of an index, or config and layers of an image; empty when it is neither.
pub(crate) fn content(manifest: &[u8]) -> Vec<Digest> {
    let Ok(Value::Object(document)) = json::read(manifest) else { return Vec::new() };
    let list = |name: &str, most: usize| {
        let entries = document.get(name).and_then(Value::as_array).filter(|entries| entries.len() <= most);
        entries.cloned().unwrap_or_default()
    };
    let digests =
        |entries: Vec<Value>| -> Vec<Digest> { entries.iter().filter_map(|entry| text(entry, "digest")?.parse().ok()).collect() };
    if document.contains_key("manifests") {
        return digests(list("manifests", MAX_CHILDREN));
    }
    let config = document.get("config").cloned();
    digests(config.into_iter().chain(list("layers", MAX_LAYERS)).collect())
}

/// The media type to serve a manifest with: what it says itself, else what its fields make it.
pub(crate) fn media_type(manifest: &[u8]) -> String {
    let document = json::read(manifest).unwrap_or_default();
    let own = text(&document, "mediaType").filter(|own| INDEX_TYPES.contains(own) || MANIFEST_TYPES.contains(own));
    let is_index = document.get("manifests").is_some();
    let [[index, _], [image, _]] = [INDEX_TYPES, MANIFEST_TYPES];
    own.unwrap_or(if is_index { index } else { image }).to_owned()
}

fn is_evidence_type(media_type: &str) -> bool {
    EVIDENCE.iter().any(|known| {
        let rest = media_type.strip_prefix(known);
        rest.is_some_and(|rest| {
            rest.is_empty() || (known.ends_with("bundle") && (rest.starts_with("+json") || rest.starts_with(".v0")))
        })
    })
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

    fn manifest(layer_type: &str, size: u64) -> Vec<u8> {
        let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": ONE, "size": 2 });
        let layers = [json!({ "mediaType": layer_type, "digest": TWO, "size": size })];
        json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string().into_bytes()
    }

    #[test]
    fn signatures_attestations_and_bundles_are_evidence() {
        for known in [
            "application/vnd.dev.cosign.simplesigning.v1+json",
            "application/vnd.dsse.envelope.v1+json",
            "application/vnd.dev.sigstore.bundle.v0.3+json",
            "application/vnd.dev.sigstore.bundle+json;version=0.2",
        ] {
            assert!(is_evidence(&manifest(known, 100)), "{known}");
        }
    }

    #[test]
    fn whatever_can_be_run_is_no_evidence() {
        for other in [
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.dev.sigstore.bundlex",
            "application/vnd.dev.cosign.simplesigning.v1+json2",
            "",
        ] {
            assert!(!is_evidence(&manifest(other, 100)), "{other}");
        }
        let known = "application/vnd.dsse.envelope.v1+json";
        assert!(!is_evidence(&manifest(known, MAX_EVIDENCE_BLOB + 1)), "too large");
        let layers =
            [json!({ "mediaType": known, "digest": ONE, "size": 1 }), json!({ "mediaType": "x", "digest": TWO, "size": 1 })];
        assert!(!is_evidence(json!({ "layers": layers }).to_string().as_bytes()), "one layer is something else");
        assert!(!is_evidence(json!({ "layers": [] }).to_string().as_bytes()), "no layer");
        assert!(!is_evidence(b"{\"layers\":[],\"layers\":[]}"), "two meanings");
        assert!(!is_evidence(b"not JSON"));
    }

    #[test]
    fn an_index_is_evidence_when_all_it_names_is() {
        let entry = json!({ "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json", "digest": ONE });
        let image = json!({ "platform": { "os": "linux", "architecture": "amd64" }, "digest": TWO });
        assert!(is_evidence(json!({ "manifests": [entry] }).to_string().as_bytes()));
        assert!(!is_evidence(json!({ "manifests": [entry, image] }).to_string().as_bytes()));
        assert!(!is_evidence(json!({ "manifests": [] }).to_string().as_bytes()));
        assert!(!is_evidence(json!({ "manifests": [entry], "layers": [] }).to_string().as_bytes()));
    }

    #[test]
    fn content_is_what_a_client_asks_for_next() {
        let digests: Vec<String> = content(&manifest("x", 1)).iter().map(Digest::to_string).collect();
        assert_eq!(digests, [ONE, TWO]);
        let index = json!({ "manifests": [{ "digest": TWO }, { "digest": "sha256:../../x" }] }).to_string();
        let digests: Vec<String> = content(index.as_bytes()).iter().map(Digest::to_string).collect();
        assert_eq!(digests, [TWO], "what is no digest leads nowhere");
        assert!(content(b"[]").is_empty());
    }

    #[test]
    fn an_archive_is_no_json() {
        assert!(is_json(b"{\"critical\":{}}"));
        assert!(!is_json(b"\x1f\x8b\x08\x00"));
        assert!(!is_json(b"{} tar"));
    }

    #[test]
    fn the_media_type_is_the_manifest_s_own_or_that_of_its_fields() {
        assert_eq!(media_type(b"{\"manifests\":[]}"), INDEX_TYPES[0]);
        assert_eq!(media_type(b"{\"layers\":[]}"), MANIFEST_TYPES[0]);
        assert_eq!(media_type(format!("{{\"mediaType\":\"{}\"}}", MANIFEST_TYPES[1]).as_bytes()), MANIFEST_TYPES[1]);
        assert_eq!(media_type(b"{\"mediaType\":\"text/html\"}"), MANIFEST_TYPES[0]);
    }
}
