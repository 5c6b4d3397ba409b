//! What is pushed to a registry before it is asked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{MANY, TAGS};
use crate::failure::Failure;
use crate::image::{Content, Image, Index, Repository};

const APP: &str = "conform/app";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Bytes of the layer: several times what a proxy holds back until it knows the digest.
const LAYER: usize = 200_000;

/// Pieces by name, and one that is in no registry.
#[derive(Debug)]
pub struct Material {
    pieces: BTreeMap<&'static str, Content>,
    unknown: Content,
    child: Image,
    index: Index,
    docker: Image,
}

impl Default for Material {
    fn default() -> Self {
        Self::new()
    }
}

impl Material {
    /// The same pieces each time.
    #[must_use]
    pub fn new() -> Self {
        let layer: Vec<u8> = (0..LAYER).map(|n| u8::try_from(n * n % 251).unwrap_or_default()).collect();
        let layer = Content::new("application/vnd.oci.image.layer.v1.tar", layer);
        let config =
            json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [layer.digest()] } });
        let config = Content::new("application/vnd.oci.image.config.v1+json", config.to_string());
        let image =
            json!({ "schemaVersion": 2, "mediaType": OCI, "config": config.descriptor(), "layers": [layer.descriptor()] });
        let image = Content::new(OCI, image.to_string());
        let bare = json!({ "schemaVersion": 2, "config": config.descriptor(), "layers": [layer.descriptor()] });
        let empty = Content::new("application/vnd.oci.empty.v1+json", "{}");
        let note = Content::new("application/vnd.example.signature", "{\"signed\":true}");
        let subject = image.descriptor();
        let sbom = json!({
            "schemaVersion": 2, "mediaType": OCI, "artifactType": "application/vnd.example.sbom+json", "config": empty.descriptor(),
            "layers": [note.descriptor()], "subject": subject, "annotations": { "org.example.format": "json" },
        });
        let signature = json!({
            "schemaVersion": 2, "mediaType": OCI, "config": note.descriptor(), "layers": [empty.descriptor()], "subject": subject,
        });
        let (index, docker) = (Index::two_architectures("conformance"), Image::docker("conformance"));
        let child = index.images.first().cloned().unwrap_or_else(|| Image::tiny("conformance"));
        let pieces = BTreeMap::from([
            ("bare", Content::new(OCI, bare.to_string())),
            ("child", child.manifest.clone()),
            ("config", config),
            ("docker", docker.manifest.clone()),
            ("empty", empty),
            ("image", image),
            ("index", index.manifest.clone()),
            ("layer", layer),
            ("note", note),
            ("sbom", Content::new(OCI, sbom.to_string())),
            ("signature", Content::new(OCI, signature.to_string())),
        ]);
        Self { pieces, unknown: Content::new("", "nobody has this"), child, index, docker }
    }

    /// Pushes all of it to the registry at `HOST:PORT`. To one without the referrers API, with the index under the fallback tag.
    ///
    /// # Errors
    /// A [`Failure`] when the registry takes a piece not.
    pub fn push(&self, address: &str, fallback: bool) -> Result<(), Failure> {
        let app = Repository::new(address, APP);
        self.blobs(&app, &["config", "layer", "empty", "note"])?;
        for (name, tag) in [("image", "oci"), ("bare", "bare")] {
            app.push_manifest(self.piece(name), tag)?;
        }
        self.docker.push(&app, "docker")?;
        self.child.push(&app, &self.child.digest())?;
        self.index.push(&app, "multi")?;
        for name in ["sbom", "signature"] {
            app.push_manifest(self.piece(name), &self.piece(name).digest())?;
        }
        if fallback {
            app.push_manifest(&self.fallback(), &self.piece("image").digest().replace(':', "-"))?;
        }
        let many = Repository::new(address, MANY);
        self.blobs(&many, &["config", "layer"])?;
        TAGS.iter().try_for_each(|tag| many.push_manifest(self.piece("image"), tag).map(drop))
    }

    fn blobs(&self, repository: &Repository, names: &[&str]) -> Result<(), Failure> {
        names.iter().try_for_each(|name| repository.push_blob(self.piece(name)))
    }

    /// A piece; the one that nobody has for a name that is none.
    #[must_use]
    pub fn piece(&self, name: &str) -> &Content {
        self.pieces.get(name).unwrap_or(&self.unknown)
    }

    /// Replaces `{name}` by the digest of a piece, `{IMAGE}` by one in upper case, and `{tag128}` by the longest tag.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.replace("{tag128}", &"t".repeat(128)).replace("{unknown}", &self.unknown.digest());
        for (name, content) in &self.pieces {
            let digest = content.digest();
            filled = filled.replace(&format!("{{{name}}}"), &digest);
            filled = filled.replace(&format!("{{{}}}", name.to_uppercase()), &digest.to_uppercase().replace("SHA256", "sha256"));
        }
        filled
    }

    /// What a client keeps for a registry that does not list referrers (section "Referrers Tag Schema").
    fn fallback(&self) -> Content {
        let entry = |name: &str| -> Value {
            let content = self.piece(name);
            let document: Value = serde_json::from_slice(&content.bytes).unwrap_or_default();
            let own = document.get("artifactType").or_else(|| document.get("config").and_then(|config| config.get("mediaType")));
            let mut entry = content.descriptor();
            if let Some(fields) = entry.as_object_mut() {
                fields.insert("artifactType".to_owned(), own.cloned().unwrap_or_default());
                fields.extend(document.get("annotations").map(|notes| ("annotations".to_owned(), notes.clone())));
            }
            entry
        };
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry("sbom"), entry("signature")] });
        Content::new(INDEX, index.to_string())
    }
}
