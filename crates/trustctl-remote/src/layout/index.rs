//! The `index.json` of an image layout: which manifests it names, and what each of them is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use trustctl_core::digest::Digest;
use trustctl_core::json;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Reference, Tag};
use trustctl_core::subject::{DESCRIPTOR_FIELDS, MANIFEST_FIELDS, PLATFORM_FIELDS};

/// `cosign save` says with this annotation what a manifest is.
const KIND: &str = "kind";
/// The tag, or the full name, of a manifest (OCI image specification, "Pre-Defined Annotation Keys").
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name, as containerd and Docker write it.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// The manifests an `index.json` names, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LayoutIndex {
    entries: Vec<IndexEntry>,
}

/// One manifest that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) digest: Digest,
    pub(super) media_type: Option<String>,
    pub(super) kind: Kind,
    /// What [`REF_NAME`] says.
    pub(super) ref_name: Option<String>,
    /// What [`IMAGE_NAME`] says.
    image_name: Option<String>,
}

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Cosign's attestations of an image, the content of a `.att` tag.
    Attestations,
    /// An image or a multi-platform image.
    Image,
    /// Something else, such as an artifact or what is under one of Cosign's tags.
    Other,
    /// Cosign's signatures of an image, the content of a `.sig` tag.
    Signatures,
}

#[derive(Deserialize)]
struct IndexForm {
    manifests: Vec<DescriptorForm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorForm {
    media_type: Option<String>,
    digest: Digest,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

impl LayoutIndex {
    /// The index in `bytes`, read in the one way that every program reads it: no name twice, no known name in another spelling.
    ///
    /// # Errors
    /// [`Code::BadManifest`] when it is not an index, can be read in two ways, or names a manifest by a digest that cannot be checked.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let value = json::read(bytes).map_err(|error| unreadable(&error))?;
        one_spelling(&value, &MANIFEST_FIELDS)?;
        for descriptor in value.get("manifests").and_then(Value::as_array).into_iter().flatten() {
            one_spelling(descriptor, &DESCRIPTOR_FIELDS)?;
            descriptor.get("platform").map_or(Ok(()), |platform| one_spelling(platform, &PLATFORM_FIELDS))?;
        }
        let form: IndexForm = serde_json::from_value(value).map_err(|error| unreadable(&error))?;
        Ok(Self { entries: form.manifests.into_iter().map(IndexEntry::from).collect() })
    }

    pub(super) fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// The digests of the images, each once.
    pub(super) fn images(&self) -> BTreeSet<Digest> {
        self.entries.iter().filter(|entry| entry.kind == Kind::Image).map(|entry| entry.digest).collect()
    }

    /// The digests of the images that have no name at all, when no image has one.
    pub(super) fn nameless_images(&self) -> BTreeSet<Digest> {
        let named = |entry: &IndexEntry| entry.kind == Kind::Image && entry.name().is_some();
        if self.entries.iter().any(named) { BTreeSet::new() } else { self.images() }
    }

    /// The entries that some program may take for `reference` with `tag`, whatever they say they are: those named so in full, and
    /// those named by the tag alone. Where there are none, those of another repository with that tag: a copy may be called differently.
    pub(super) fn answering(&self, reference: &Reference, tag: &Tag) -> Vec<&IndexEntry> {
        let in_full = |name: &Reference| name.repository == reference.repository && name.tag_or_latest().as_ref() == Some(tag);
        let called =
            |entry: &&IndexEntry| entry.names().any(|name| name == tag.as_str()) || entry.full_names().any(|name| in_full(&name));
        let found: Vec<&IndexEntry> = self.entries.iter().filter(called).collect();
        if !found.is_empty() {
            return found;
        }
        self.entries.iter().filter(|entry| entry.full_names().any(|name| name.tag.as_ref() == Some(tag))).collect()
    }

    /// The digests of what is under `tag`, one of Cosign's tags `sha256-<hex>.sig` and `.att`: what carries it as its name, and
    /// what `cosign save` put beside the one image it can belong to.
    pub(super) fn attached(&self, tag: &Tag) -> BTreeSet<Digest> {
        let Some((image, kind)) = cosign_tag(tag.as_str()) else { return BTreeSet::new() };
        let under = |entry: &&IndexEntry| {
            let by_name = entry.short_tag().as_ref() == Some(tag);
            by_name
                || (kind == Some(entry.kind)
                    && entry.short_tag().is_none_or(|name| cosign_tag(name.as_str()).is_none())
                    && self.images_called(entry.ref_name.as_deref()) == BTreeSet::from([image]))
        };
        self.entries.iter().filter(under).map(|entry| entry.digest).collect()
    }

    fn images_called(&self, ref_name: Option<&str>) -> BTreeSet<Digest> {
        let images = self.entries.iter().filter(|entry| entry.kind == Kind::Image);
        images.filter(|entry| ref_name.is_none() || entry.ref_name.as_deref() == ref_name).map(|entry| entry.digest).collect()
    }
}

impl IndexEntry {
    /// The name to show: the full one, else the tag.
    pub(super) fn name(&self) -> Option<&str> {
        self.image_name.as_deref().or(self.ref_name.as_deref())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [self.image_name.as_deref(), self.ref_name.as_deref()].into_iter().flatten()
    }

    /// The full names that are written: with a registry or at least a path, or a tag.
    fn full_names(&self) -> impl Iterator<Item = Reference> {
        self.names().filter(|name| name.contains(['/', ':'])).filter_map(|name| name.parse().ok())
    }

    /// The tag, alone or at the end of the full name.
    fn short_tag(&self) -> Option<Tag> {
        let short = self.ref_name.as_deref().and_then(|name| name.parse().ok());
        short.or_else(|| self.full_names().find_map(|full| full.tag))
    }
}

impl From<DescriptorForm> for IndexEntry {
    fn from(form: DescriptorForm) -> Self {
        let mut annotations = form.annotations.unwrap_or_default();
        let ref_name = annotations.remove(REF_NAME);
        let kind = match annotations.get(KIND).map(|kind| kind.trim_start_matches("dev.cosignproject.cosign/")) {
            Some("image" | "imageIndex") => Kind::Image,
            Some("sigs") => Kind::Signatures,
            Some("atts") => Kind::Attestations,
            _ if form.artifact_type.is_some() => Kind::Other,
            _ if ref_name.as_deref().is_some_and(|name| cosign_tag(name).is_some()) => Kind::Other,
            _ => Kind::Image,
        };
        Self { digest: form.digest, media_type: form.media_type, kind, ref_name, image_name: annotations.remove(IMAGE_NAME) }
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Reason {
    Reason::new(Code::BadManifest, format!("index.json of the layout cannot be read ({error})"))
}

fn one_spelling(value: &Value, fields: &[&str]) -> Result<(), Reason> {
    match value.as_object().and_then(|object| json::misspelt(object, fields)) {
        None => Ok(()),
        Some(written) => {
            Err(Reason::new(Code::BadManifest, format!("index.json has a field \"{written}\", which programs read differently")))
        }
    }
}

/// What a tag in Cosign's form, `sha256-<hex>` with or without a suffix, is about, and what is under it where the suffix says so.
fn cosign_tag(tag: &str) -> Option<(Digest, Option<Kind>)> {
    let (algorithm, rest) = tag.split_once('-')?;
    let (hex, suffix) = rest.split_once('.').unwrap_or((rest, ""));
    let digest = format!("{algorithm}:{hex}").parse().ok()?;
    let kind = match suffix {
        "sig" => Some(Kind::Signatures),
        "att" => Some(Kind::Attestations),
        _ => None,
    };
    Some((digest, kind))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn digest(seed: u8) -> Digest {
        Digest::sha256_of(&[seed])
    }

    fn entry(seed: u8, annotations: Value) -> Value {
        json!({"mediaType": null, "digest": digest(seed), "size": 1, "annotations": annotations})
    }

    fn index(entries: &[Value]) -> LayoutIndex {
        LayoutIndex::parse(json!({"schemaVersion": 2, "manifests": entries}).to_string().as_bytes()).unwrap()
    }

    fn answering(index: &LayoutIndex, image: &str, tag: &str) -> BTreeSet<Digest> {
        let found = index.answering(&image.parse().unwrap(), &tag.parse().unwrap());
        found.into_iter().map(|entry| entry.digest).collect()
    }

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    fn sig_tag(seed: u8) -> Tag {
        tag(&format!("sha256-{}.sig", digest(seed).hex()))
    }

    #[test]
    fn images_are_found_by_tag_and_by_full_name() {
        let index = index(&[
            entry(1, json!({"io.containerd.image.name": "docker.io/library/app:1.0", REF_NAME: "1.0"})),
            entry(2, json!({"io.containerd.image.name": "registry.example/other:1.0", REF_NAME: "1.0"})),
            entry(3, json!({REF_NAME: "registry.example/shop/cart:2.0"})),
        ]);
        let named = |image: &str, tag: &str| answering(&index, image, tag).into_iter().collect::<Vec<_>>();
        assert_eq!(named("app", "1.0").len(), 2, "some programs know the tag alone");
        assert_eq!(named("registry.example/shop/cart", "2.0"), [digest(3)]);
        assert_eq!(named("mirror.example/cart", "2.0"), [digest(3)], "a copy may be called differently");
        assert_eq!(named("mirror.example/app", "1.0").len(), 2, "two images answer to the tag");
        assert!(named("app", "3.0").is_empty());
    }

    #[test]
    fn what_cosign_save_put_beside_the_only_image_is_its_signature() {
        let image = |seed| entry(seed, json!({KIND: "dev.cosignproject.cosign/image"}));
        let sigs = |seed| entry(seed, json!({KIND: "dev.cosignproject.cosign/sigs"}));
        let one = index(&[image(1), sigs(2), entry(3, json!({KIND: "dev.cosignproject.cosign/atts"}))]);
        assert_eq!(one.images(), BTreeSet::from([digest(1)]));
        assert_eq!(one.attached(&sig_tag(1)), BTreeSet::from([digest(2)]));
        assert_eq!(one.attached(&tag(&format!("sha256-{}.att", digest(1).hex()))), BTreeSet::from([digest(3)]));
        assert!(one.attached(&sig_tag(9)).is_empty(), "not those of another image");
        let two = index(&[image(1), image(5), sigs(2)]);
        assert!(two.attached(&sig_tag(1)).is_empty(), "with two images nobody knows whose they are");
    }

    #[test]
    fn signatures_saved_under_names_belong_to_the_image_of_that_name() {
        let named =
            |seed, kind: &str, name: &str| entry(seed, json!({KIND: format!("dev.cosignproject.cosign/{kind}"), REF_NAME: name}));
        let index = index(&[
            named(1, "image", "r.example/a:1"),
            named(2, "sigs", "r.example/a:1"),
            named(3, "image", "r.example/b:1"),
            named(4, "sigs", sig_tag(3).as_str()),
        ]);
        assert_eq!(index.attached(&sig_tag(1)), BTreeSet::from([digest(2)]));
        assert_eq!(index.attached(&sig_tag(3)), BTreeSet::from([digest(4)]));
        assert_eq!(answering(&index, "r.example/a", "1"), BTreeSet::from([digest(1), digest(2)]));
    }

    #[test]
    fn a_digest_that_cannot_be_checked_is_refused() {
        for digest in ["md5:abcd", "sha256:../../etc/passwd", "sha256:00"] {
            let text = json!({"manifests": [{"digest": digest}]}).to_string();
            assert_eq!(LayoutIndex::parse(text.as_bytes()).unwrap_err().code, Code::BadManifest, "{digest}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            Just(Value::from(digest(1).to_string())),
            Just(Value::from(sig_tag(1).to_string())),
        ];
        let key = prop_oneof![
            "\\PC{0,6}",
            proptest::sample::select(vec!["manifests", "digest", "annotations", "mediaType", "artifactType", KIND, REF_NAME])
                .prop_map(str::to_owned)
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(key.clone(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_an_index_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(LayoutIndex::parse(&bytes));
        }

        #[test]
        fn whatever_is_read_can_be_asked_and_answers_with_what_it_names(value in any_json(), list in any_json()) {
            for text in [value.to_string(), json!({"manifests": list}).to_string(), json!({"manifests": [list, value]}).to_string()] {
                let Ok(index) = LayoutIndex::parse(text.as_bytes()) else { continue };
                let all: BTreeSet<Digest> = index.entries().iter().map(|entry| entry.digest).collect();
                prop_assert!(index.images().is_subset(&all));
                prop_assert!(index.nameless_images().is_subset(&index.images()));
                prop_assert!(index.attached(&sig_tag(1)).is_subset(&all));
                prop_assert!(answering(&index, "app", "1").is_subset(&all));
            }
        }

        #[test]
        fn an_annotated_image_is_found_by_its_annotation(seed in any::<u8>(), name in "[a-z0-9][a-z0-9._-]{0,20}") {
            let index = index(&[entry(seed, json!({REF_NAME: name}))]);
            let expected = if cosign_tag(&name).is_some() { BTreeSet::new() } else { BTreeSet::from([digest(seed)]) };
            prop_assert_eq!(index.images(), expected);
            prop_assert_eq!(answering(&index, "app", &name), BTreeSet::from([digest(seed)]));
        }
    }
}
