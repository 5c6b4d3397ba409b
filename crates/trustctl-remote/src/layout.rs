//! OCI image layouts on disk as a place where evidence is found (OCI image specification 1.1, "Image Layout").
//!
//! A layout is somebody else's: every blob is checked against its digest, nothing outside the folder is read, and sizes, counts and
//! the work of looking for referrers are limited. `cosign save` writes layouts in which the signatures are found by an annotation,
//! and bundles only by looking which manifests have the image as their `subject`; both are answered as a registry would.

mod index;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::Value;
use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::evidence::{Entry, Locator, Origin, Refusal, RefusalKind, Want};
use trustctl_core::json;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Reference, Tag};
use trustctl_core::subject::{DESCRIPTOR_FIELDS, INDEX_TYPES, MANIFEST_FIELDS, MANIFEST_TYPES, ManifestBytes, Subject};

use crate::folder::{Folder, FolderError, Links};
use crate::gather::{Fetching, Source};
use crate::registry::Resolved;
use index::LayoutIndex;

/// Most bytes of a manifest and of `index.json`, as for a registry's manifests.
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Most bytes of the file `oci-layout`.
const MAX_MARKER: u64 = 4096;
/// Most blobs that are looked at to find referrers; a layout of a thousand images has fewer.
const MAX_BLOBS: usize = 65_536;
/// Most bytes that are read to find referrers: manifests and configurations, not layers.
const MAX_SCANNED: u64 = 256 * 1024 * 1024;

/// Most signatures under one tag, as the Cosign scheme reads them.
const MAX_LAYERS: usize = 64;
/// Media types of what `cosign save` puts beside an image. No program runs a manifest with nothing but these.
const SIGNATURE_LAYERS: [&str; 2] = ["application/vnd.dev.cosign.simplesigning.v1+json", "application/vnd.dsse.envelope.v1+json"];

/// An OCI image layout. Cloning is cheap; what was found out about the folder is shared.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: Folder,
    index: Arc<LayoutIndex>,
    referrers: Arc<OnceLock<Result<Referrers, Refusal>>>,
}

/// An image in a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutImage {
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// The name the layout gives it, in full or only the tag, if any. Nobody has checked it.
    pub name: Option<String>,
}

/// Which manifests name another one as their subject.
type Referrers = BTreeMap<Digest, BTreeSet<Digest>>;

/// The members of a manifest that say what it refers to, and how a referrers API describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReferrerForm {
    media_type: Option<String>,
    subject: Option<SubjectForm>,
    artifact_type: Option<String>,
    config: Option<ConfigForm>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct SubjectForm {
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigForm {
    media_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MarkerForm {
    image_layout_version: String,
}

impl Layout {
    /// The layout in the folder at `path`.
    ///
    /// # Errors
    /// [`Code::LocalFile`] when there is none or it cannot be read, [`Code::BadManifest`] when its version or `index.json` cannot be
    /// understood.
    pub fn open(path: &Path) -> Result<Self, Reason> {
        let local = |why: String| Reason::new(Code::LocalFile, format!("{}: {why}", path.display()));
        let folder = Folder::open(path, Links::Inside)
            .map_err(|error| local(error.to_string()))?
            .ok_or_else(|| local("no such folder".to_owned()))?;
        let required = |name: &str, max_bytes| match folder.read(name, max_bytes) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(local(format!("not an image layout: it has no file {name}"))),
            Err(error) => Err(local(format!("{name}: {error}"))),
        };
        let version =
            serde_json::from_slice(&required("oci-layout", MAX_MARKER)?).map(|marker: MarkerForm| marker.image_layout_version);
        if !version.as_ref().is_ok_and(|version| version.starts_with("1.")) {
            let found = version.map_or_else(|error| error.to_string(), |version| format!("\"{version}\""));
            return Err(Reason::new(Code::BadManifest, "the image layout has a version that cannot be read")
                .expected_found("1.0.0", found));
        }
        let index = LayoutIndex::parse(&required("index.json", MAX_MANIFEST)?)?;
        Ok(Self { folder, index: Arc::new(index), referrers: Arc::default() })
    }

    /// The images the layout names, in its order. Signatures and other artifacts are not among them.
    #[must_use]
    pub fn images(&self) -> Vec<LayoutImage> {
        let entries = self.index.entries().iter().filter(|entry| entry.kind == index::Kind::Image);
        entries.map(|entry| LayoutImage { digest: entry.digest, name: entry.name().map(str::to_owned) }).collect()
    }

    /// The image meant by `reference`: by its digest, else by the name the layout gives it, else the only image there is.
    ///
    /// The only image is taken when `reference` has no tag, or when no image of the layout has a name. By whatever digest it was asked
    /// for, it is known by its SHA-256, as everywhere.
    ///
    /// # Errors
    /// [`Code::ImageNotFound`] when no image is meant or nothing says which one, [`Code::LayoutAmbiguous`] when programs may take
    /// different ones for the one that is meant, [`Code::WrongDigest`], [`Code::TooLarge`] and
    /// [`Code::BadManifest`] for what is wrong with its manifest.
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved, Reason> {
        let digest = match reference.digest {
            Some(digest) => digest,
            None => self.choose(reference)?,
        };
        let want =
            Want { locator: Locator::Manifest { repository: reference.repository.clone(), digest }, max_bytes: MAX_MANIFEST };
        let bytes = match self.blob(&digest, MAX_MANIFEST) {
            Entry::Present { bytes, .. } => bytes,
            Entry::Absent => return Err(Reason::new(Code::ImageNotFound, format!("the image layout does not hold {digest}"))),
            Entry::Refused(refusal) => return Err(refusal.reason(&want.locator)),
        };
        let named = self.index.entries().iter().find(|entry| entry.digest == digest);
        let announced = named.and_then(|entry| entry.media_type.as_deref());
        let manifest = ManifestBytes { bytes: &bytes, announced };
        let subject = Subject::from_manifest(reference.repository.clone(), reference.tag.clone(), manifest)?;
        Ok(Resolved { subject, manifest: bytes })
    }

    /// What the layout has at `want`'s place, the way a registry would answer.
    ///
    /// It is asked for nothing but its bytes: the repository of a locator is not looked at.
    #[must_use]
    pub fn answer(&self, want: &Want) -> Entry {
        match &want.locator {
            Locator::Manifest { digest, .. } | Locator::Blob { digest, .. } => self.blob(digest, want.max_bytes),
            Locator::TaggedManifest { repository, tag } => {
                let mut found = self.index.attached(tag);
                if found.is_empty() {
                    let reference = Reference { repository: repository.clone(), tag: None, digest: None };
                    found = digests(&self.index.answering(&reference, tag));
                }
                match exactly_one(&found) {
                    Some(digest) => match self.blob(&digest, want.max_bytes) {
                        Entry::Absent => {
                            refused(RefusalKind::Malformed, format!("the layout names {digest} and does not hold it"))
                        }
                        entry => entry,
                    },
                    None if found.is_empty() => Entry::Absent,
                    None => refused(RefusalKind::Malformed, format!("the layout names {} manifests \"{tag}\"", found.len())),
                }
            }
            Locator::Referrers { digest, .. } => self.referrers_of(digest, want.max_bytes).unwrap_or_else(Entry::Refused),
            other => refused(RefusalKind::Unavailable, format!("an image layout cannot hold {other}")),
        }
    }

    fn choose(&self, reference: &Reference) -> Result<Digest, Reason> {
        let called = |tag: &Tag| self.runnable(self.index.answering(reference, tag));
        let found = match &reference.tag {
            Some(tag) => match called(tag) {
                named if !named.is_empty() => return self.only(&named, reference),
                _ => self.without_referrers(self.index.nameless_images()),
            },
            None => {
                let images = self.without_referrers(self.index.images());
                let latest = reference.tag_or_latest().map(|tag| called(&tag)).unwrap_or_default();
                match (images.len(), latest.is_empty()) {
                    (_, true) => images,
                    (1, false) => return self.only(&images.union(&latest).copied().collect(), reference),
                    (_, false) => return self.only(&latest, reference),
                }
            }
        };
        exactly_one(&found).ok_or_else(|| {
            let names: Vec<String> =
                self.images().into_iter().map(|image| image.name.unwrap_or_else(|| image.digest.to_string())).collect();
            let why =
                if found.is_empty() { "the image layout does not hold" } else { "several images of the layout may be meant by" };
            Reason::new(Code::ImageNotFound, format!("{why} {reference}")).expected_found(reference, names.join(", "))
        })
    }

    /// The one image that every program takes for `reference`.
    fn only(&self, named: &BTreeSet<Digest>, reference: &Reference) -> Result<Digest, Reason> {
        exactly_one(named).ok_or_else(|| {
            let found = named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let words = format!("programs may load {} different images of the layout as {reference}", named.len());
            Reason::new(Code::LayoutAmbiguous, words).expected_found("one image", found)
        })
    }

    /// The digests of what could be run. What `cosign save` put beside an image under its name could not.
    fn runnable(&self, entries: Vec<&index::IndexEntry>) -> BTreeSet<Digest> {
        let beside = |entry: &index::IndexEntry| {
            matches!(entry.kind, index::Kind::Signatures | index::Kind::Attestations) && self.holds_only_signatures(&entry.digest)
        };
        entries.into_iter().filter(|entry| !beside(entry)).map(|entry| entry.digest).collect()
    }

    /// Whether a manifest has layers, and all of them are signatures or attestations by type and by content: some programs unpack a
    /// layer whatever it is called.
    fn holds_only_signatures(&self, digest: &Digest) -> bool {
        let Entry::Present { bytes, .. } = self.blob(digest, MAX_MANIFEST) else { return false };
        let Ok(manifest) = json::read(&bytes) else { return false };
        let one_spelling =
            |value: &Value, fields: &[&str]| value.as_object().is_some_and(|object| json::misspelt(object, fields).is_none());
        let text = |layer: &Value, name: &str| layer.get(name).and_then(Value::as_str).map(str::to_owned);
        let is_signature = |layer: &Value| {
            let typed = text(layer, "mediaType").is_some_and(|media_type| SIGNATURE_LAYERS.contains(&media_type.as_str()));
            let digest = text(layer, "digest").and_then(|digest| digest.parse().ok());
            let content = digest.map(|digest| self.blob(&digest, MAX_MANIFEST));
            let is_json = matches!(content, Some(Entry::Present { bytes, .. }) if json::read(&bytes).is_ok());
            typed && is_json && one_spelling(layer, &DESCRIPTOR_FIELDS)
        };
        let layers = manifest.get("layers").and_then(Value::as_array);
        one_spelling(&manifest, &MANIFEST_FIELDS)
            && manifest.get("manifests").is_none()
            && layers.is_some_and(|layers| (1..=MAX_LAYERS).contains(&layers.len()) && layers.iter().all(is_signature))
    }

    /// `images` without those that are artifacts about another one, as some tools list them all; all of them when that leaves none.
    fn without_referrers(&self, images: BTreeSet<Digest>) -> BTreeSet<Digest> {
        if images.len() < 2 {
            return images;
        }
        let Ok(referrers) = self.referrers() else { return images };
        let artifacts: BTreeSet<&Digest> = referrers.values().flatten().collect();
        let rest: BTreeSet<Digest> = images.iter().filter(|image| !artifacts.contains(image)).copied().collect();
        if rest.is_empty() { images } else { rest }
    }

    fn blob(&self, digest: &Digest, max_bytes: u64) -> Entry {
        match self.folder.read(&blob_path(digest), max_bytes) {
            Ok(None) => Entry::Absent,
            Ok(Some(bytes)) if digest.matches(&bytes) => Entry::Present { bytes, origin: Origin::Layout },
            Ok(Some(bytes)) => {
                let found = Digest::of(digest.algorithm(), &bytes);
                refused(RefusalKind::WrongDigest, format!("the file in the layout has digest {found}"))
            }
            Err(error) => Entry::Refused(refusal(&error)),
        }
    }

    /// The answer of a referrers API for `digest`: one index, its descriptors ordered by digest.
    fn referrers_of(&self, digest: &Digest, max_bytes: u64) -> Result<Entry, Refusal> {
        let referrers = self.referrers().map_err(Refusal::clone)?;
        let mut manifests = Vec::new();
        let mut length = 0_u64;
        for referrer in referrers.get(digest).into_iter().flatten() {
            let bytes = match self.folder.read(&blob_path(referrer), MAX_MANIFEST) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) => return Err(refusal(&error)),
            };
            let Ok(form) = serde_json::from_slice::<ReferrerForm>(&bytes) else { continue };
            let descriptor = descriptor(referrer, bytes.len(), form);
            length = length.saturating_add(u64::try_from(descriptor.to_string().len()).unwrap_or(u64::MAX));
            if length > max_bytes {
                let detail = format!("the referrers in the layout need more than {max_bytes} bytes");
                return Err(Refusal { kind: RefusalKind::TooLarge, detail });
            }
            manifests.push(descriptor);
        }
        let [media_type, _] = INDEX_TYPES;
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        Ok(Entry::Present { bytes: index.to_string().into_bytes(), origin: Origin::Layout })
    }

    fn referrers(&self) -> Result<&Referrers, &Refusal> {
        self.referrers.get_or_init(|| self.scan()).as_ref()
    }

    /// Looks through all blobs for manifests with a subject. Blobs that are no JSON, such as layers, cost one byte each. Digests are
    /// not checked here: whoever fetches a referrer by its digest does that, and sees it when one was altered.
    fn scan(&self) -> Result<Referrers, Refusal> {
        let mut referrers = Referrers::new();
        let mut budget = MAX_SCANNED;
        let folder = DigestAlgorithm::Sha256.name();
        for file in self.folder.list(&format!("blobs/{folder}"), MAX_BLOBS).map_err(|error| refusal(&error))? {
            let Ok(digest) = format!("{folder}:{}", file.name).parse::<Digest>() else { continue };
            let Some(bytes) = self.read_if_json(&blob_path(&digest)).map_err(|error| refusal(&error))? else { continue };
            budget = budget.checked_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX)).ok_or_else(|| Refusal {
                kind: RefusalKind::OutOfBudget,
                detail: format!("the layout holds more than {MAX_SCANNED} bytes of manifests"),
            })?;
            let subject = serde_json::from_slice::<ReferrerForm>(&bytes).ok().and_then(|form| form.subject);
            if let Some(subject) = subject {
                referrers.entry(subject.digest).or_default().insert(digest);
            }
        }
        Ok(referrers)
    }

    /// The bytes of a file that may be a manifest: not too large, and beginning like a JSON object.
    fn read_if_json(&self, path: &str) -> Result<Option<Vec<u8>>, FolderError> {
        let Some(mut file) = self.folder.file(path)? else { return Ok(None) };
        let mut first = [0_u8];
        let length = file.metadata()?.len();
        if length > MAX_MANIFEST || file.read(&mut first)? == 0 || !(first == *b"{" || first[0].is_ascii_whitespace()) {
            return Ok(None);
        }
        self.folder.read(path, MAX_MANIFEST)
    }
}

impl Source for Layout {
    fn fetch<'a>(&'a self, want: &'a Want) -> Fetching<'a> {
        let (layout, want) = (self.clone(), want.clone());
        Box::pin(async move {
            let answer = tokio::task::spawn_blocking(move || layout.answer(&want)).await;
            answer.unwrap_or_else(|_| refused(RefusalKind::Unavailable, "reading the layout was interrupted".to_owned()))
        })
    }
}

fn descriptor(digest: &Digest, size: usize, form: ReferrerForm) -> Value {
    let [manifest_type, _] = MANIFEST_TYPES;
    let mut descriptor = serde_json::json!({
        "mediaType": form.media_type.as_deref().unwrap_or(manifest_type),
        "size": size,
        "digest": digest,
    });
    if let Some(object) = descriptor.as_object_mut() {
        // OCI distribution specification 1.1, "Listing Referrers": the artifact type, else the type of the configuration.
        let artifact_type =
            form.artifact_type.filter(|text| !text.is_empty()).or(form.config.and_then(|config| config.media_type));
        object.extend(artifact_type.map(|text| ("artifactType".to_owned(), serde_json::json!(text))));
        object.extend(form.annotations.map(|annotations| ("annotations".to_owned(), serde_json::json!(annotations))));
    }
    descriptor
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

fn digests(entries: &[&index::IndexEntry]) -> BTreeSet<Digest> {
    entries.iter().map(|entry| entry.digest).collect()
}

fn exactly_one(found: &BTreeSet<Digest>) -> Option<Digest> {
    found.first().copied().filter(|_| found.len() == 1)
}

fn refused(kind: RefusalKind, detail: String) -> Entry {
    Entry::Refused(Refusal { kind, detail })
}

fn refusal(error: &FolderError) -> Refusal {
    let kind = match error {
        FolderError::Io(_) => RefusalKind::Unavailable,
        FolderError::NotAFile | FolderError::Outside => RefusalKind::Malformed,
        FolderError::TooLarge(_) => RefusalKind::TooLarge,
    };
    Refusal { kind, detail: format!("a file of the layout cannot be used: {error}") }
}
