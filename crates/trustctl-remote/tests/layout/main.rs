//! Image layouts: how images, signatures and referrers are found, and what a hostile layout cannot do.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod ambiguous;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::evidence::{Entry, Locator, Origin, RefusalKind, Want};
use trustctl_core::reason::Code;
use trustctl_core::reference::{Reference, Repository};
use trustctl_remote::layout::Layout;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A layout being made.
struct Made {
    folder: TempDir,
    entries: Vec<Value>,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blobs").join("sha256")).unwrap();
        std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let made = Self { folder, entries: Vec::new() };
        made.save();
        made
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path().join("blobs").join("sha256").join(digest.hex())
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256_of(bytes);
        std::fs::write(self.blob_path(&digest), bytes).unwrap();
        digest
    }

    fn image(&self, seed: u32) -> Digest {
        let empty = Digest::sha256_of(b"{}");
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": "x", "digest": empty, "size": 2},
            "layers": [], "annotations": {"seed": seed.to_string()}});
        self.blob(manifest.to_string().as_bytes())
    }

    fn referrer(&self, subject: &Digest, seed: u32) -> Digest {
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": {"mediaType": "e"}, "layers": [],
            "annotations": {"n": seed.to_string()}, "subject": {"mediaType": MANIFEST, "digest": subject, "size": 1}});
        self.blob(manifest.to_string().as_bytes())
    }

    fn name(&mut self, digest: &Digest, annotations: Value) -> &mut Self {
        self.entries.push(json!({"mediaType": MANIFEST, "digest": digest, "size": 1, "annotations": annotations}));
        self.save();
        self
    }

    fn save(&self) {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries});
        std::fs::write(self.path().join("index.json"), index.to_string()).unwrap();
    }

    fn open(&self) -> Layout {
        Layout::open(self.path()).unwrap()
    }

    fn resolve(&self, image: &str) -> Result<Digest, Code> {
        self.open().resolve(&reference(image)).map(|resolved| resolved.subject.digest).map_err(|reason| reason.code)
    }
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn repository() -> Repository {
    "registry.example/shop/cart".parse().unwrap()
}

fn manifest(digest: &Digest) -> Locator {
    Locator::Manifest { repository: repository(), digest: *digest }
}

fn referrers(digest: &Digest) -> Locator {
    Locator::Referrers { repository: repository(), digest: *digest }
}

fn tagged(tag: &str) -> Locator {
    Locator::TaggedManifest { repository: repository(), tag: tag.parse().unwrap() }
}

fn ask(layout: &Layout, locator: Locator) -> Entry {
    layout.answer(&Want { locator, max_bytes: 4 * 1024 * 1024 })
}

fn refusal(entry: Entry) -> RefusalKind {
    match entry {
        Entry::Refused(refusal) => refusal.kind,
        other => unreachable_answer(&other),
    }
}

fn bytes(entry: Entry) -> Vec<u8> {
    match entry {
        Entry::Present { bytes, origin: Origin::Layout } => bytes,
        other => unreachable_answer(&other),
    }
}

#[expect(clippy::panic, reason = "fails the test")]
fn unreachable_answer(entry: &Entry) -> ! {
    panic!("another answer was expected than {entry:?}")
}

fn referrer_digests(layout: &Layout, subject: &Digest) -> Vec<String> {
    let index: Value = serde_json::from_slice(&bytes(ask(layout, referrers(subject)))).unwrap();
    assert_eq!(index["mediaType"], INDEX);
    index["manifests"].as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_only_image_is_found_without_a_name_and_a_named_one_by_its_name() {
    let mut made = Made::new();
    let one = made.image(1);
    made.name(&one, json!({"kind": "dev.cosignproject.cosign/image"}));
    assert_eq!(made.resolve("registry.example/shop/cart"), Ok(one));
    assert_eq!(made.resolve("registry.example/shop/cart:9"), Ok(one), "nothing has a name, so nothing contradicts");
    assert_eq!(made.resolve(&format!("registry.example/shop/cart@{one}")), Ok(one));

    let mut made = Made::new();
    let (one, two) = (made.image(1), made.image(2));
    made.name(&one, json!({"org.opencontainers.image.ref.name": "1.0"}));
    assert_eq!(made.resolve("app:2.0"), Err(Code::ImageNotFound), "the only image is called differently");
    made.name(&two, json!({"org.opencontainers.image.ref.name": "latest"}));
    assert_eq!(made.resolve("app:1.0"), Ok(one));
    assert_eq!(made.resolve("app"), Ok(two));
    assert_eq!(made.resolve(&format!("app@{}", Digest::sha256_of(b"none"))), Err(Code::ImageNotFound));
    let names: Vec<_> = made.open().images().into_iter().filter_map(|image| image.name).collect();
    assert_eq!(names, ["1.0", "latest"]);
}

#[test]
fn one_of_several_nameless_images_is_never_guessed() {
    let mut made = Made::new();
    let (one, two) = (made.image(1), made.image(2));
    made.name(&one, json!({})).name(&two, json!({}));
    let reason = made.open().resolve(&reference("app")).unwrap_err();
    assert_eq!(reason.code, Code::ImageNotFound);
    assert!(reason.found.unwrap().contains(&two.to_string()));
    assert_eq!(made.resolve("app:1"), Err(Code::ImageNotFound));
}

#[test]
fn an_artifact_listed_beside_its_image_is_not_taken_for_an_image() {
    let mut made = Made::new();
    let image = made.image(1);
    let artifact = made.referrer(&image, 1);
    made.name(&artifact, json!({})).name(&image, json!({}));
    assert_eq!(made.resolve("app"), Ok(image));
}

#[test]
fn referrers_are_found_by_their_subject_and_answered_like_a_registry_does() {
    let mut made = Made::new();
    let (image, other) = (made.image(1), made.image(2));
    made.name(&image, json!({}));
    let mut expected: Vec<_> = (0..3).map(|seed| made.referrer(&image, seed).to_string()).collect();
    made.referrer(&other, 9);
    expected.sort();
    let layout = made.open();
    assert_eq!(referrer_digests(&layout, &image), expected);
    assert_eq!(referrer_digests(&layout, &other).len(), 1);
    assert!(referrer_digests(&layout, &Digest::sha256_of(b"nobody")).is_empty());
    let index: Value = serde_json::from_slice(&bytes(ask(&layout, referrers(&image)))).unwrap();
    assert_eq!(index["manifests"][0]["artifactType"], BUNDLE);
    assert!(index["manifests"][0]["annotations"]["n"].is_string());
    let size = made.blob_path(&expected[0].parse().unwrap()).metadata().unwrap().len();
    assert_eq!(index["manifests"][0]["size"], size);
}

#[test]
fn without_an_artifact_type_the_type_of_the_configuration_stands_for_it() {
    let made = Made::new();
    let image = made.image(1);
    let manifest = json!({"config": {"mediaType": "application/x"}, "artifactType": "", "subject": {"digest": image}});
    made.blob(manifest.to_string().as_bytes());
    let index: Value = serde_json::from_slice(&bytes(ask(&made.open(), referrers(&image)))).unwrap();
    assert_eq!(index["manifests"][0]["artifactType"], "application/x");
    assert_eq!(index["manifests"][0]["mediaType"], MANIFEST);
}

#[test]
fn a_signature_tag_is_answered_from_what_cosign_save_wrote() {
    let mut made = Made::new();
    let (image, signatures) = (made.image(1), made.image(2));
    made.name(&image, json!({"kind": "dev.cosignproject.cosign/image"}));
    let tag = format!("sha256-{}.sig", image.hex());
    assert_eq!(ask(&made.open(), tagged(&tag)), Entry::Absent);
    made.name(&signatures, json!({"kind": "dev.cosignproject.cosign/sigs"}));
    let layout = made.open();
    assert!(signatures.matches(&bytes(ask(&layout, tagged(&tag)))));
    assert_eq!(ask(&layout, tagged(&format!("sha256-{}.att", image.hex()))), Entry::Absent);
    assert_eq!(ask(&layout, tagged(&format!("sha256-{}.sig", signatures.hex()))), Entry::Absent);
    made.name(&made.image(3), json!({"org.opencontainers.image.ref.name": tag}));
    assert_eq!(refusal(ask(&made.open(), tagged(&tag))), RefusalKind::Malformed, "two answers are none");
    std::fs::remove_file(made.blob_path(&signatures)).unwrap();
    made.entries.truncate(2);
    made.save();
    assert_eq!(refusal(ask(&made.open(), tagged(&tag))), RefusalKind::Malformed, "a named manifest that is gone is not absent");
}

#[test]
fn altered_bytes_are_never_handed_out() {
    let mut made = Made::new();
    let image = made.image(1);
    made.name(&image, json!({}));
    let referrer = made.referrer(&image, 1);
    std::fs::write(made.blob_path(&image), "{}").unwrap();
    assert_eq!(made.resolve("app"), Err(Code::WrongDigest));
    assert_eq!(refusal(ask(&made.open(), manifest(&image))), RefusalKind::WrongDigest);
    let altered = json!({"subject": {"digest": image}, "annotations": {"altered": "yes"}});
    std::fs::write(made.blob_path(&referrer), altered.to_string()).unwrap();
    let layout = made.open();
    assert_eq!(referrer_digests(&layout, &image), [referrer.to_string()], "it does not vanish");
    assert_eq!(refusal(ask(&layout, manifest(&referrer))), RefusalKind::WrongDigest);
}

#[test]
fn limits_hold() {
    let made = Made::new();
    let image = made.image(1);
    let layout = made.open();
    let entry = layout.answer(&Want { locator: manifest(&image), max_bytes: 10 });
    assert_eq!(refusal(entry), RefusalKind::TooLarge);
    for seed in 0..9 {
        made.referrer(&image, seed);
    }
    let entry = layout.answer(&Want { locator: referrers(&image), max_bytes: 700 });
    assert_eq!(refusal(entry), RefusalKind::TooLarge);
    let huge = made.path().join("index.json");
    std::fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(Layout::open(made.path()).unwrap_err().code, Code::LocalFile, "not read at all");
}

#[test]
fn large_layers_are_not_read_to_find_referrers() {
    let made = Made::new();
    let image = made.image(1);
    made.referrer(&image, 1);
    for seed in 0..3 {
        let path = made.blob_path(&Digest::sha256_of(&[seed]));
        std::fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    }
    assert_eq!(referrer_digests(&made.open(), &image).len(), 1);
}

/// A place that could hold a revocation and is too large to be looked through is no empty place.
#[test]
fn a_layout_with_too_much_to_look_through_has_no_answer_about_referrers() {
    let made = Made::new();
    let image = made.image(1);
    made.referrer(&image, 1);
    // 256 MiB of what could be manifests are looked through, in files that are empty but for their first byte.
    let manifest_like = |seed: u32| {
        let path = made.blob_path(&Digest::sha256_of(&seed.to_be_bytes()));
        std::fs::write(&path, b"{").unwrap();
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(4 * 1024 * 1024).unwrap();
    };
    (0..63).for_each(manifest_like);
    assert_eq!(referrer_digests(&made.open(), &image).len(), 1);
    (63..65).for_each(manifest_like);
    assert_eq!(refusal(ask(&made.open(), referrers(&image))), RefusalKind::OutOfBudget);
}

#[test]
fn a_layout_with_too_many_blobs_has_no_answer_about_referrers() {
    let made = Made::new();
    let image = made.image(1);
    made.referrer(&image, 1);
    let fill = |from: u32, until: u32| {
        for seed in from..until {
            drop(std::fs::File::create(made.blob_path(&Digest::sha256_of(&seed.to_be_bytes()))).unwrap());
        }
    };
    fill(0, 65_534);
    assert_eq!(referrer_digests(&made.open(), &image).len(), 1, "65536 in all");
    fill(65_534, 65_535);
    assert_eq!(refusal(ask(&made.open(), referrers(&image))), RefusalKind::TooLarge);
}

#[test]
fn an_image_is_known_by_its_sha256_by_whatever_digest_it_is_asked_for() {
    let made = Made::new();
    let image = made.image(1);
    let bytes = std::fs::read(made.blob_path(&image)).unwrap();
    let long = Digest::of(DigestAlgorithm::Sha512, &bytes);
    let asked = format!("registry.example/shop/cart@{long}");
    assert_eq!(made.resolve(&asked), Err(Code::ImageNotFound));
    std::fs::create_dir_all(made.path().join("blobs").join("sha512")).unwrap();
    let path = made.path().join("blobs").join("sha512").join(long.hex());
    std::fs::write(&path, &bytes).unwrap();
    let resolved = made.open().resolve(&reference(&asked)).unwrap();
    assert_eq!((resolved.subject.digest, resolved.manifest), (image, bytes));
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(made.resolve(&asked), Err(Code::WrongDigest));
}

#[cfg(unix)]
#[test]
fn nothing_outside_the_layout_is_read() {
    let outside = tempfile::tempdir().unwrap();
    let secret = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": []}).to_string();
    std::fs::write(outside.path().join("secret"), &secret).unwrap();
    let made = Made::new();
    let digest = Digest::sha256_of(secret.as_bytes());
    std::os::unix::fs::symlink(outside.path().join("secret"), made.blob_path(&digest)).unwrap();
    let layout = made.open();
    assert_eq!(refusal(ask(&layout, manifest(&digest))), RefusalKind::Malformed);
    assert_eq!(refusal(ask(&layout, referrers(&digest))), RefusalKind::Malformed);
    std::fs::remove_file(made.path().join("index.json")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), made.path().join("index.json")).unwrap();
    assert_eq!(Layout::open(made.path()).unwrap_err().code, Code::LocalFile);
}

#[test]
fn what_is_no_layout_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let code = |path: &Path| Layout::open(path).unwrap_err().code;
    assert_eq!(code(&folder.path().join("none")), Code::LocalFile);
    assert_eq!(code(folder.path()), Code::LocalFile);
    let made = Made::new();
    std::fs::write(made.path().join("index.json"), "[").unwrap();
    assert_eq!(code(made.path()), Code::BadManifest);
    std::fs::write(made.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert_eq!(code(made.path()), Code::BadManifest);
}

#[test]
fn a_layout_says_nothing_about_notary() {
    let made = Made::new();
    let locator = Locator::Notary { gun: repository(), file: "timestamp.json".to_owned() };
    assert_eq!(refusal(ask(&made.open(), locator)), RefusalKind::Unavailable, "that would read as unsigned otherwise");
}

/// The folder of other people's material, named by an environment variable; `None`, said loudly, when there is none.
fn external(folder: &str) -> Option<PathBuf> {
    let found =
        std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA").map(|base| PathBuf::from(base).join(folder)).filter(|path| path.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: TRUSTCTL_EXTERNAL_TESTDATA does not name a folder with {folder}");
    }
    found
}

fn layouts_below(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.join("oci-layout").is_file());
    found.sort();
    found
}

#[test]
fn layouts_written_by_cosign_hold_what_they_are_said_to_hold() {
    let Some(folder) = external("sigstore/local-real-cosign") else { return };
    let expected = [
        ("attestation-only-bundle", false, 1),
        ("bundle-key-10", false, 10),
        ("bundle-key-index-recursive", false, 1),
        ("bundle-keyless-rekorv2-tsa", false, 1),
        ("legacy-key-3sigs", true, 0),
        ("legacy-keyless-rekorv1-tsa", true, 0),
    ];
    assert_eq!(layouts_below(&folder).len(), expected.len());
    for (name, has_signature_tag, bundles) in expected {
        let layout = Layout::open(&folder.join(name)).unwrap();
        let subject = layout.resolve(&reference("registry.example/shop/cart:1")).unwrap().subject;
        assert_eq!(subject.is_index(), name == "bundle-key-index-recursive", "{name}");
        let signatures = ask(&layout, tagged(&format!("sha256-{}.sig", subject.digest.hex())));
        assert_eq!(matches!(signatures, Entry::Present { .. }), has_signature_tag, "{name}");
        assert_eq!(referrer_digests(&layout, &subject.digest).len(), bundles, "{name}");
        for digest in referrer_digests(&layout, &subject.digest) {
            let manifest: Value = serde_json::from_slice(&bytes(ask(&layout, manifest(&digest.parse().unwrap())))).unwrap();
            let blob = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
            assert!(!bytes(ask(&layout, Locator::Blob { repository: repository(), digest: blob })).is_empty());
        }
    }
}

#[test]
fn layouts_repacked_from_public_images_are_read() {
    let Some(folder) = external("sigstore/public-good-legacy-layouts") else { return };
    let layouts = layouts_below(&folder);
    assert_eq!(layouts.len(), 10);
    for path in layouts {
        let layout = Layout::open(&path).unwrap();
        let [image] = layout.images().try_into().unwrap();
        let resolved = layout.resolve(&reference("registry.example/shop/cart"));
        let resolved = resolved.map(|resolved| resolved.subject.digest).map_err(|reason| reason.code);
        // That one is about a document that is no manifest.
        let expected = if path.ends_with("manifest-digest-error") { Err(Code::BadManifest) } else { Ok(image.digest) };
        assert_eq!(resolved, expected, "{}", path.display());
        let signatures = bytes(ask(&layout, tagged(&format!("sha256-{}.sig", image.digest.hex()))));
        let manifest: Value = serde_json::from_slice(&signatures).unwrap();
        assert!(manifest["layers"].as_array().is_some_and(|layers| !layers.is_empty()), "{}", path.display());
    }
}
