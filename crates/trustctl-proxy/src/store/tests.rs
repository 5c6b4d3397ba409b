//! The store as a whole: kept over restarts, bounded, and honest about damage.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use trustctl_core::evidence::{Entry, Locator, Origin};
use trustctl_core::reason::Code;
use trustctl_core::subject::ManifestBytes;

use super::*;

fn open(folder: &TempDir, options: StoreOptions) -> Result<FileRecords, StoreError> {
    FileRecords::open(path(folder), options)
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("store.redb")
}

/// Leaves the file as a process that was killed does.
fn unseal(folder: &TempDir) {
    fs::remove_file(folder.path().join("store.redb.seal")).unwrap();
}

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::sha256_of(text.as_bytes())
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_seconds(since.as_secs().try_into().unwrap()).unwrap()
}

/// Evidence about an image of its own: its manifest and a blob of `size` bytes.
fn kept(name: &str, under: Option<&str>, size: usize) -> Kept {
    let manifest = format!(r#"{{"schemaVersion":2,"config":{{}},"layers":[],"annotations":{{"name":"{name}"}}}}"#);
    let bytes = ManifestBytes { bytes: manifest.as_bytes(), announced: None };
    let subject = Subject::from_manifest(repository("r.example/app"), under.map(tag), bytes).unwrap();
    let (repository, origin) = (subject.repository.clone(), Origin::Registry);
    let mut evidence = Evidence::new();
    let locator = Locator::Manifest { repository: repository.clone(), digest: subject.digest };
    evidence.insert(locator, Entry::Present { bytes: manifest.into_bytes(), origin });
    let blob = vec![7; size];
    let locator = Locator::Blob { repository, digest: Digest::sha256_of(&blob) };
    evidence.insert(locator, Entry::Present { bytes: blob, origin });
    Kept { subject, evidence, gathered: now() }
}

fn tag_record(text: &str, at: Timestamp) -> TagRecord {
    TagRecord { digest: digest(text), size: 3, media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(), at }
}

#[test]
fn what_is_kept_is_there_at_once_and_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let image = kept("a", Some("1"), 100);
    let key = SubjectKey::of(&image.subject);
    let (app, parent) = (repository("r.example/app"), Parent::Manifest(image.subject.digest));
    let check = |store: &FileRecords| {
        assert_eq!(store.kept(&key).unwrap(), Some(image.clone()));
        assert_eq!(store.tag(&app, &tag("1")).unwrap().unwrap().digest, digest("b"));
        assert_eq!(store.parents(&app, &digest("layer")).unwrap(), [Parent::Tag(tag("1")), parent.clone()]);
        // One image, repository or tag says nothing about another.
        assert_eq!(store.kept(&SubjectKey { tag: None, ..key.clone() }).unwrap(), None);
        assert_eq!(store.tag(&app, &tag("2")).unwrap(), None);
        assert_eq!(store.parents(&repository("r.example/other"), &digest("layer")).unwrap(), []);
    };
    let store = open(&folder, StoreOptions::default()).unwrap();
    store.keep(&kept("a", Some("1"), 50)).unwrap();
    store.keep(&image).unwrap();
    store.keep_tag(&app, &tag("1"), &tag_record("a", now())).unwrap();
    store.keep_tag(&app, &tag("1"), &tag_record("b", now())).unwrap();
    let knows = |parent: &Parent, names: &[&str]| {
        let children: Vec<Digest> = names.iter().map(|name| digest(name)).collect();
        store.knows_edges(&app, parent, &children).unwrap()
    };
    assert!(!knows(&parent, &["config"]) && knows(&parent, &[]));
    store.keep_edges(&app, &parent, &[digest("config"), digest("layer")]).unwrap();
    assert!(knows(&parent, &["config", "layer"]) && !knows(&parent, &["config", "other"]));
    assert!(!knows(&Parent::Tag(tag("1")), &["layer"]), "another parent");
    store.keep_edges(&app, &Parent::Tag(tag("1")), &[digest("layer")]).unwrap();
    store.keep_edges(&app, &parent, &[digest("layer")]).unwrap();
    check(&store);
    let busy = open(&folder, StoreOptions::default()).err().unwrap();
    assert!(matches!(busy, StoreError::InUse { .. }) && busy.reason().code == Code::StoreUnusable);
    drop(store);
    check(&open(&folder, StoreOptions::default()).unwrap());
}

#[test]
fn the_oldest_goes_when_there_are_too_many_too_large_or_too_old() {
    let folder = TempDir::new().unwrap();
    let app = repository("r.example/app");
    let store = open(&folder, StoreOptions { entries: 10, evidence: 100_000, ..StoreOptions::default() }).unwrap();
    let ago = |seconds| now().saturating_sub(Duration::from_secs(seconds));
    let there = |store: &FileRecords, n: u64| store.tag(&app, &tag(&n.to_string())).unwrap().is_some();
    for n in 0..15 {
        store.keep_tag(&app, &tag(&n.to_string()), &tag_record("a", ago(100 - n))).unwrap();
    }
    assert!((0..5).all(|n| !there(&store, n)) && (5..15).all(|n| there(&store, n)));
    // What is written again is not old any more.
    store.keep_tag(&app, &tag("5"), &tag_record("a", ago(1))).unwrap();
    store.keep_tag(&app, &tag("99"), &tag_record("a", ago(1))).unwrap();
    assert!(there(&store, 5) && !there(&store, 6));

    let images: Vec<Kept> = (0..5).map(|n| Kept { gathered: ago(50 - n), ..kept(&n.to_string(), None, 20_000) }).collect();
    images.iter().for_each(|image| store.keep(image).unwrap());
    let there_are = images.iter().filter(|image| store.kept(&SubjectKey::of(&image.subject)).unwrap().is_some()).count();
    assert_eq!(there_are, 3, "27 KB each in base64");
    drop(store);

    let store = open(&folder, StoreOptions { age: Duration::from_secs(60), ..StoreOptions::default() }).unwrap();
    assert!(there(&store, 7), "nothing was written yet");
    store.keep_tag(&app, &tag("now"), &tag_record("a", now())).unwrap();
    assert!(!there(&store, 7) && there(&store, 5));
}

#[test]
fn evidence_that_is_too_large_is_not_kept_and_takes_the_old_with_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder, StoreOptions::default()).unwrap();
    let image = kept("a", None, 10);
    let key = SubjectKey::of(&image.subject);
    store.keep(&image).unwrap();
    let mut large = image.clone();
    let blob = Locator::Blob { repository: image.subject.repository.clone(), digest: digest("large") };
    large.evidence.insert(blob, Entry::Present { bytes: vec![0; MAX_EVIDENCE], origin: Origin::Registry });
    assert_eq!(store.keep(&large).unwrap_err().reason().code, Code::TooLarge);
    assert_eq!(store.kept(&key).unwrap(), None);
}

#[test]
fn an_entry_that_is_not_what_was_written_is_an_error() {
    let folder = TempDir::new().unwrap();
    let (image, other) = (kept("a", None, 10), kept("b", None, 10));
    drop(open(&folder, StoreOptions::default()).unwrap());
    unseal(&folder);
    let write = |table: &'static str, key: &[u8], value: &[u8]| {
        let database = redb::Database::open(path(&folder)).unwrap();
        let transaction = database.begin_write().unwrap();
        let definition = redb::TableDefinition::<&[u8], &[u8]>::new(table);
        transaction.open_table(definition).unwrap().insert(key, value).unwrap();
        transaction.commit().unwrap();
    };
    let (app, key) = (repository("r.example/app"), SubjectKey::of(&image.subject));
    write("evidence", &form::subject_key(&key), &form::stamped(1, &form::write_kept(&other).unwrap()));
    write("tags", &form::tag_key(&app, &tag("1")), b"short");
    write("parents", &form::parents_key(&app, &digest("x")), &form::stamped(1, b"[7]"));
    let store = open(&folder, StoreOptions::default()).unwrap();
    let damaged = |error: StoreError| {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert_eq!(error.reason().code, Code::StoreUnusable);
    };
    damaged(store.kept(&key).unwrap_err());
    damaged(store.tag(&app, &tag("1")).unwrap_err());
    damaged(store.parents(&app, &digest("x")).unwrap_err());
    damaged(store.keep_edges(&app, &Parent::Tag(tag("1")), &[digest("x")]).unwrap_err());
    // What is written anew is good again.
    store.keep(&image).unwrap();
    store.keep_tag(&app, &tag("1"), &tag_record("a", now())).unwrap();
    assert_eq!((store.kept(&key).unwrap(), store.tag(&app, &tag("1")).unwrap().is_some()), (Some(image), true));
}

#[test]
fn a_file_of_another_version_or_kind_is_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder, StoreOptions::default()).unwrap());
    unseal(&folder);
    {
        let database = redb::Database::open(path(&folder)).unwrap();
        let transaction = database.begin_write().unwrap();
        let about = redb::TableDefinition::<&str, u64>::new("about");
        transaction.open_table(about).unwrap().insert("version", 2).unwrap();
        transaction.commit().unwrap();
    }
    let error = open(&folder, StoreOptions::default()).err().unwrap();
    assert!(matches!(error, StoreError::Version { found: 2, expected: 1, .. }), "{error:?}");
    let text = "this is no database, and somebody may want it back".repeat(100);
    fs::write(path(&folder), &text).unwrap();
    let error = open(&folder, StoreOptions::default()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(path(&folder)).unwrap(), text);
    let error = FileRecords::open(folder.path().join("no/such/folder"), StoreOptions::default()).err().unwrap();
    assert_eq!(error.reason().code, Code::StoreFailed);
}

#[test]
fn a_seal_is_of_one_file_and_of_its_last_closing() {
    let folder = TempDir::new().unwrap();
    let seal = folder.path().join("store.redb.seal");
    let store = open(&folder, StoreOptions::default()).unwrap();
    assert!(!seal.exists(), "nothing is sealed while it is open");
    store.keep(&kept("a", None, 10)).unwrap();
    drop(store);
    assert!(seal.exists());
    let whole = fs::read(path(&folder)).unwrap();
    for place in [0, whole.len() / 2, whole.len() - 1] {
        let mut altered = whole.clone();
        *altered.get_mut(place).unwrap() ^= 1;
        fs::write(path(&folder), &altered).unwrap();
        let error = open(&folder, StoreOptions::default()).err().unwrap();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert_eq!(fs::read(path(&folder)).unwrap(), altered, "it is left as it is");
    }
    fs::write(path(&folder), &whole).unwrap();
    drop(open(&folder, StoreOptions::default()).unwrap());
    // Moved away as the reason advises, it takes its seal's meaning with it.
    fs::remove_file(path(&folder)).unwrap();
    drop(open(&folder, StoreOptions::default()).unwrap());
}

#[test]
fn a_damaged_store_is_set_aside_and_everything_else_is_left() {
    let folder = TempDir::new().unwrap();
    let (file, aside) = (path(&folder), folder.path().join("store.redb.damaged"));
    let begin = |survives: bool| FileRecords::open_or_begin_anew(&file, &StoreOptions::default(), |_| survives);
    let image = kept("a", None, 10);
    let key = SubjectKey::of(&image.subject);
    let (store, none) = begin(false).unwrap();
    assert_eq!(none, None, "there was nothing that could be damaged");
    store.keep(&image).unwrap();
    let error = begin(true).err().unwrap();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    drop(store);

    let (store, none) = begin(false).unwrap();
    assert_eq!((none, store.kept(&key).unwrap().is_some()), (None, true), "what is sealed is not tried elsewhere");
    drop(store);
    unseal(&folder);
    let (store, none) = begin(true).unwrap();
    assert_eq!((none, store.kept(&key).unwrap().is_some()), (None, true), "what was not closed, and survives");
    drop(store);

    unseal(&folder);
    let old = fs::read(&file).unwrap();
    let (store, moved) = begin(false).unwrap();
    assert_eq!((moved, store.kept(&key).unwrap()), (Some(aside.clone()), None));
    assert_eq!(fs::read(&aside).unwrap(), old, "it is there to be looked at");
    drop(store);
    fs::write(&file, "no database").unwrap();
    assert_eq!(begin(true).unwrap().1, Some(aside.clone()), "its seal says so");
    assert_eq!(fs::read(&aside).unwrap(), b"no database", "one of them is kept");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A bit that falls over is found out at the start, or does not matter; nothing is read that was not written.
    #[test]
    fn a_damaged_file_is_found_out(places in proptest::collection::vec((0..10_000_usize, 0..8_u8), 1..4), cut in proptest::bool::weighted(0.2)) {
        let folder = TempDir::new().unwrap();
        let images: Vec<Kept> = (0..20).map(|n| kept(&n.to_string(), None, 3000)).collect();
        {
            let store = open(&folder, StoreOptions::default()).unwrap();
            images.iter().for_each(|image| store.keep(image).unwrap());
        }
        let mut bytes = fs::read(path(&folder)).unwrap();
        let length = bytes.len();
        let at = |place: usize| place * length / 10_000;
        for (place, bit) in &places {
            if let Some(byte) = bytes.get_mut(at(*place)) {
                *byte ^= 1 << bit;
            }
        }
        if cut {
            bytes.truncate(at(places.first().unwrap().0));
        }
        fs::write(path(&folder), &bytes).unwrap();
        if let Ok(store) = open(&folder, StoreOptions::default()) {
            for image in &images {
                let found = store.kept(&SubjectKey::of(&image.subject));
                prop_assert!(found.is_err() || found.clone().unwrap().is_none_or(|found| found == *image), "{found:?}");
            }
        }
    }
}
