//! Publishing: nothing of others is lost, nothing is claimed that a stranger would not find.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Want};
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_remote::limits::Deadline;
use trustctl_remote::publish::Publisher;

use crate::memory::{Habits, MemoryRegistry};
use crate::server::{Server, answer, empty, refusal};
use crate::{OCI_MANIFEST, registry, repository, soon};

/// Adds one layer to the manifest under a tag, as a signer adds a signature.
struct AddLayer {
    repository: Repository,
    tag: Tag,
    payload: String,
}

impl AddLayer {
    fn new(address: &str, payload: &str) -> Self {
        Self { repository: repository(address), tag: "sha256-00.sig".parse().unwrap(), payload: payload.to_owned() }
    }

    fn locator(&self) -> Locator {
        Locator::TaggedManifest { repository: self.repository.clone(), tag: self.tag.clone() }
    }
}

impl Edit for AddLayer {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        let want = Want { locator: self.locator(), max_bytes: 1_000_000 };
        Some(want).filter(|want| !current.has(&want.locator)).into_iter().collect()
    }

    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        let mut manifest = match current.entry(&self.locator()).unwrap() {
            Entry::Present { bytes, .. } => serde_json::from_slice(bytes).unwrap(),
            Entry::Absent => json!({"schemaVersion": 2, "layers": []}),
            Entry::Refused(refusal) => return Err(refusal.reason(&self.locator())),
        };
        let layer = json!({"digest": Digest::sha256_of(self.payload.as_bytes())});
        let layers = manifest["layers"].as_array_mut().unwrap();
        if layers.contains(&layer) {
            return Ok(Vec::new());
        }
        layers.push(layer);
        let (repository, bytes) = (self.repository.clone(), manifest.to_string().into_bytes());
        Ok(vec![
            Put::Blob { repository: repository.clone(), bytes: self.payload.clone().into_bytes() },
            Put::TaggedManifest { repository, tag: self.tag.clone(), media_type: OCI_MANIFEST.to_owned(), bytes },
        ])
    }
}

/// Attaches one manifest to an image, as a signer attaches a bundle.
struct AddReferrer {
    repository: Repository,
    text: String,
}

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

impl AddReferrer {
    fn new(address: &str, text: &str) -> Self {
        Self { repository: repository(address), text: text.to_owned() }
    }

    fn subject() -> Digest {
        Digest::sha256_of(b"image")
    }

    fn manifest(&self) -> Vec<u8> {
        let subject = json!({"digest": Self::subject(), "size": 5, "mediaType": OCI_MANIFEST});
        json!({"text": self.text, "subject": subject, "artifactType": BUNDLE, "layers": []}).to_string().into_bytes()
    }

    fn locator(&self) -> Locator {
        Locator::Referrers { repository: self.repository.clone(), digest: Self::subject() }
    }
}

impl Edit for AddReferrer {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        let want = Want { locator: self.locator(), max_bytes: 1_000_000 };
        Some(want).filter(|want| !current.has(&want.locator)).into_iter().collect()
    }

    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        let digest = Digest::sha256_of(&self.manifest()).to_string();
        match current.entry(&self.locator()).unwrap() {
            Entry::Refused(refusal) => return Err(refusal.reason(&self.locator())),
            Entry::Present { bytes, .. } if String::from_utf8_lossy(bytes).contains(&digest) => return Ok(Vec::new()),
            _ => {}
        }
        Ok(vec![Put::Referrer {
            repository: self.repository.clone(),
            subject: Self::subject(),
            media_type: OCI_MANIFEST.to_owned(),
            artifact_type: BUNDLE.to_owned(),
            annotations: [("key".to_owned(), "value".to_owned())].into(),
            bytes: self.manifest(),
        }])
    }
}

fn layers(memory: &MemoryRegistry) -> Vec<Value> {
    memory.tagged("sha256-00.sig").unwrap()["layers"].as_array().unwrap().clone()
}

fn fallback_entries(memory: &MemoryRegistry) -> Vec<Value> {
    let tag = format!("sha256-{}", AddReferrer::subject().hex());
    memory.tagged(&tag).map(|index| index["manifests"].as_array().unwrap().clone()).unwrap_or_default()
}

async fn publish(edit: &dyn Edit) -> Result<trustctl_remote::publish::Published, Reason> {
    Publisher::new(registry()).publish(edit, soon()).await
}

#[tokio::test]
async fn what_is_published_is_found_twice_and_not_sent_again() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    let edit = AddLayer::new(&memory.server.address, "one");
    let published = publish(&edit).await.unwrap();
    assert!(published.changed && published.conflicts == 0 && published.warnings.is_empty());
    let lines = memory.server.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("PUT")).count(), 1);
    let after = lines.iter().skip_while(|line| !line.starts_with("PUT")).filter(|line| line.starts_with("GET")).count();
    assert_eq!(after, 2, "read back at once, and by a fresh client after the pause: {lines:?}");

    let again = publish(&edit).await.unwrap();
    assert!(!again.changed);
    assert_eq!(memory.server.lines().iter().filter(|line| line.starts_with("PUT")).count(), 1);
}

/// Eight signers at once, each with connections of its own, with or without lock files.
async fn eight(memory: &MemoryRegistry, locks: Option<&Path>, edit: impl Fn(&str, usize) -> Box<dyn Edit>) -> u32 {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let edit = edit(&memory.server.address, n);
        let locks = locks.map(Path::to_owned);
        tasks.spawn(async move {
            let publisher = Publisher::new(registry());
            let publisher = locks.iter().fold(publisher, |publisher, folder| publisher.with_locks(folder));
            publisher.publish(&*edit, Deadline::after(Duration::from_secs(60))).await
        });
    }
    tasks.join_all().await.into_iter().map(|published| published.unwrap().conflicts).sum()
}

#[tokio::test]
async fn eight_signers_of_one_tag_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for locks in [None, Some(folder.path())] {
        let memory = MemoryRegistry::start(Habits { latency: Duration::from_millis(3), ..Habits::default() }).await;
        let conflicts = eight(&memory, locks, |address, n| Box::new(AddLayer::new(address, &n.to_string()))).await;
        assert_eq!(layers(&memory).len(), 8);
        assert!(conflicts > 0, "they were in each other's way");
    }
    assert!(folder.path().join("locks").read_dir().unwrap().count() > 0);
}

/// What a registry of one tag does: how others write to it is said by the test.
struct OneTag {
    tag: Option<Vec<u8>>,
    looks: u32,
    puts: u32,
}

/// A manifest with these layers, as [`AddLayer`] writes it.
fn of_layers(payloads: &[&str]) -> Option<Vec<u8>> {
    let layers: Vec<Value> = payloads.iter().map(|payload| json!({"digest": Digest::sha256_of(payload.as_bytes())})).collect();
    Some(json!({"schemaVersion": 2, "layers": layers}).to_string().into_bytes())
}

/// A registry of one tag; `others` write to it before each request for a manifest is answered, and may have a PUT fail.
async fn shared_tag(others: impl Fn(&mut OneTag, &str) -> bool + Send + Sync + 'static) -> (Server, Arc<Mutex<OneTag>>) {
    let state = Arc::new(Mutex::new(OneTag { tag: None, looks: 0, puts: 0 }));
    let kept = Arc::clone(&state);
    let server = Server::start(move |seen| {
        let mut state = state.lock().unwrap();
        match (seen.method.as_str(), seen.path().contains("/manifests/")) {
            ("GET", true) => {
                state.looks += 1;
                others(&mut state, "GET");
                state.tag.clone().map_or_else(|| refusal(404, "MANIFEST_UNKNOWN"), |tag| answer(200, OCI_MANIFEST, tag))
            }
            ("PUT", true) => {
                state.puts += 1;
                if !others(&mut state, "PUT") {
                    return refusal(503, "UNAVAILABLE");
                }
                state.tag = Some(seen.body.to_vec());
                empty(201)
            }
            ("POST" | "PUT", false) => empty(201),
            _ => refusal(404, "UNKNOWN"),
        }
    })
    .await;
    (server, kept)
}

#[tokio::test]
async fn a_replacement_that_failed_is_tried_again_only_after_another_look() {
    let (server, state) = shared_tag(|state, method| {
        if method == "PUT" && state.puts == 1 {
            state.tag = of_layers(&["theirs"]);
            return false;
        }
        true
    })
    .await;
    publish(&AddLayer::new(&server.address, "ours")).await.unwrap();
    assert_eq!(state.lock().unwrap().tag, of_layers(&["theirs", "ours"]), "what came between two tries is kept");
}

/// The registry stores what is sent and answers 503; then somebody undoes it who had looked before.
#[tokio::test]
async fn a_replacement_that_was_made_without_an_answer_is_looked_for_as_long_as_another() {
    let (server, state) = shared_tag(|state, method| match (method, state.puts, state.looks) {
        ("PUT", 1, _) => {
            state.tag = of_layers(&["ours"]);
            false
        }
        // Read, looked at once more, sent, looked at before another try, read anew; then the stranger looks.
        ("GET", 1, 5) => {
            state.tag = of_layers(&["late"]);
            true
        }
        _ => true,
    })
    .await;
    let published = publish(&AddLayer::new(&server.address, "ours")).await.unwrap();
    assert!(published.changed);
    assert_eq!(state.lock().unwrap().tag, of_layers(&["late", "ours"]));
}

#[tokio::test]
async fn a_listing_that_was_made_without_an_answer_is_looked_for_as_long_as_another() {
    let stored = Arc::new(Mutex::new((None::<Vec<u8>>, 0_u32, 0_u32)));
    let own = Arc::clone(&stored);
    let server = Server::start(move |seen| {
        let mut state = own.lock().unwrap();
        let is_tag = seen.path().contains("/manifests/sha256-");
        match (seen.method.as_str(), is_tag) {
            ("GET", true) => {
                state.1 += 1;
                // Read, looked at to merge, sent, looked at again, read back; then the stranger looks: a late writer undid it.
                if state.1 == 5 {
                    state.0 = None;
                }
                state.0.clone().map_or_else(|| refusal(404, "MANIFEST_UNKNOWN"), |index| answer(200, crate::OCI_INDEX, index))
            }
            ("PUT", true) => {
                state.0 = Some(seen.body.to_vec());
                state.2 += 1;
                if state.2 == 1 { refusal(503, "UNAVAILABLE") } else { empty(201) }
            }
            ("PUT", false) => empty(201),
            _ => refusal(404, "NOT_FOUND"),
        }
    })
    .await;
    let edit = AddReferrer::new(&server.address, "one");
    let published = publish(&edit).await.unwrap();
    let state = stored.lock().unwrap();
    let listed = String::from_utf8(state.0.clone().unwrap_or_default()).unwrap();
    assert!(listed.contains(&Digest::sha256_of(&edit.manifest()).to_string()), "{listed} after {} looks", state.1);
    assert!(published.changed && state.2 == 2 && published.seen == Evidence::new());
}

/// One of several is late: it had looked before anybody wrote, and undoes all of it after the last look at what is quiet otherwise.
#[tokio::test]
async fn where_others_write_the_looks_go_on_until_it_is_quiet() {
    let (server, state) = shared_tag(|state, method| {
        match (method, state.looks) {
            // Read, looked at once more, sent, found; the stranger then sees another's on top.
            ("GET", 4) => state.tag = of_layers(&["ours", "theirs"]),
            ("GET", 5) => state.tag = of_layers(&["late"]),
            _ => {}
        }
        true
    })
    .await;
    let published = publish(&AddLayer::new(&server.address, "ours")).await.unwrap();
    let state = state.lock().unwrap();
    assert_eq!(state.tag, of_layers(&["late", "ours"]));
    assert_eq!((state.puts, published.conflicts), (2, 1));
}

#[tokio::test]
async fn eight_signers_of_one_fallback_tag_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for locks in [None, Some(folder.path())] {
        let memory =
            MemoryRegistry::start(Habits { referrers_api: false, latency: Duration::from_millis(3), ..Habits::default() }).await;
        eight(&memory, locks, |address, n| Box::new(AddReferrer::new(address, &n.to_string()))).await;
        let entries = fallback_entries(&memory);
        assert_eq!(entries.len(), 8);
        for entry in entries {
            assert_eq!(entry["artifactType"], BUNDLE);
            assert_eq!(entry["annotations"]["key"], "value");
        }
    }
}

#[tokio::test]
async fn what_no_replaced_tag_can_undo_is_looked_for_once_by_a_stranger() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    let (one, two) = (AddReferrer::new(&memory.server.address, "one"), AddLayer::new(&memory.server.address, "two"));
    let results = Publisher::new(registry()).publish_all(&[&one, &two], soon()).await;
    let [referrer, tag] = results.try_into().unwrap();
    let listing = referrer.unwrap().seen.bytes(&one.locator()).unwrap().to_vec();
    let digest = Digest::sha256_of(&one.manifest()).to_string();
    assert!(String::from_utf8_lossy(&listing).contains(&digest), "what is handed on was read after it was sent");
    let looked = memory.server.lines().iter().filter(|line| line.starts_with("GET") && line.contains("/referrers/")).count();
    assert_eq!(looked, 2, "before it was sent, and after");
    assert_eq!(tag.unwrap().seen, Evidence::new(), "others may have replaced the tag since");
    let again = publish(&one).await.unwrap();
    assert_eq!((again.changed, again.seen), (false, Evidence::new()));
}

/// A registry that takes a referrer and does not list it: the one look afterwards must not be skipped.
#[tokio::test]
async fn a_referrer_that_is_not_listed_was_not_published() {
    let server = Server::start(|seen| match (seen.method.as_str(), seen.path().contains("/referrers/")) {
        ("GET", true) => answer(200, crate::OCI_INDEX, br#"{"schemaVersion":2,"manifests":[]}"#.to_vec()),
        ("PUT", _) => empty(201).header("OCI-Subject", AddReferrer::subject().to_string()),
        _ => refusal(404, "NAME_UNKNOWN"),
    })
    .await;
    let reason = publish(&AddReferrer::new(&server.address, "one")).await.unwrap_err();
    assert_eq!(reason.code, Code::PublishNotVisible);
}

#[tokio::test]
async fn with_the_api_there_is_no_fallback_tag() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    publish(&AddReferrer::new(&memory.server.address, "one")).await.unwrap();
    assert!(memory.content.lock().unwrap().tags.is_empty());
    let lines = memory.server.lines();
    assert!(lines.iter().all(|line| !line.contains("/manifests/sha256-")), "{lines:?}");
}

#[tokio::test]
async fn entries_of_others_in_the_fallback_tag_stay() {
    let memory = MemoryRegistry::start(Habits { referrers_api: false, ..Habits::default() }).await;
    let tag = format!("sha256-{}", AddReferrer::subject().hex());
    let theirs = r#"{ "mediaType":"x/y", "digest":"sha256:00", "size":1.0, "artifactType":"application/vnd.oci.empty.v1+json" }"#;
    memory.store(Some(&tag), crate::OCI_INDEX, format!(r#"{{"schemaVersion":2,"manifests":[{theirs}]}}"#).as_bytes());
    publish(&AddReferrer::new(&memory.server.address, "one")).await.unwrap();
    let content = memory.content.lock().unwrap();
    let (_, bytes) = &content.manifests[&content.tags[&tag]];
    assert!(String::from_utf8_lossy(bytes).contains(theirs));
    assert!(String::from_utf8_lossy(bytes).contains(BUNDLE));
}

#[tokio::test]
async fn a_fallback_tag_with_something_else_is_not_overwritten() {
    let memory = MemoryRegistry::start(Habits { referrers_api: false, ..Habits::default() }).await;
    let tag = format!("sha256-{}", AddReferrer::subject().hex());
    memory.store(Some(&tag), OCI_MANIFEST, br#"{"schemaVersion":2,"layers":[]}"#);
    let reason = publish(&AddReferrer::new(&memory.server.address, "one")).await.unwrap_err();
    assert_eq!(reason.code, Code::BadAnswer);
    assert!(reason.message.contains("is not an index"), "{reason}");
    assert_eq!(memory.tagged(&tag).unwrap()["layers"], json!([]));
}

#[tokio::test]
async fn immutable_tags_are_named_as_the_trouble() {
    let memory = MemoryRegistry::start(Habits { immutable_tags: true, ..Habits::default() }).await;
    publish(&AddLayer::new(&memory.server.address, "one")).await.unwrap();
    let reason = publish(&AddLayer::new(&memory.server.address, "two")).await.unwrap_err();
    assert_eq!(reason.code, Code::ImmutableTag);
    assert_eq!(layers(&memory).len(), 1);
    // Bundles do not need a tag where the registry has the referrers API.
    publish(&AddReferrer::new(&memory.server.address, "one")).await.unwrap();
    publish(&AddReferrer::new(&memory.server.address, "two")).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_forgets_is_not_believed() {
    let memory = MemoryRegistry::start(Habits { forgets_tags: true, ..Habits::default() }).await;
    let reason = publish(&AddLayer::new(&memory.server.address, "one")).await.unwrap_err();
    assert_eq!(reason.code, Code::PublishNotVisible);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_overwritten() {
    for (status, code) in [(403, Code::AccessDenied), (503, Code::Unavailable)] {
        let server = Server::start(move |_| refusal(status, "X")).await;
        assert_eq!(publish(&AddLayer::new(&server.address, "one")).await.unwrap_err().code, code);
        assert!(server.lines().iter().all(|line| line.starts_with("GET")));
    }
}

#[tokio::test]
async fn a_deadline_ends_publishing() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "GET" => refusal(404, "MANIFEST_UNKNOWN"),
        "HEAD" => empty(200),
        _ => refusal(409, "CONFLICT"),
    })
    .await;
    let start = Instant::now();
    let edit = AddLayer::new(&server.address, "one");
    let reason = Publisher::new(registry()).publish(&edit, Deadline::after(Duration::from_millis(300))).await.unwrap_err();
    assert!(matches!(reason.code, Code::OutOfBudget | Code::PublishConflict), "{reason}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Deletes one manifest for as long as it is there.
struct Remove(Repository, Digest);

impl Edit for Remove {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        let locator = Locator::Manifest { repository: self.0.clone(), digest: self.1 };
        if current.has(&locator) { Vec::new() } else { vec![Want { locator, max_bytes: 1000 }] }
    }

    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        let locator = Locator::Manifest { repository: self.0.clone(), digest: self.1 };
        let put = Put::Delete { repository: self.0.clone(), digest: self.1 };
        Ok(current.bytes(&locator).map(|_| put).into_iter().collect())
    }
}

#[tokio::test]
async fn a_refused_deletion_is_a_warning() {
    for (deletes, warnings) in [(true, Vec::new()), (false, vec![Code::DeleteRefused])] {
        let memory = MemoryRegistry::start(Habits { deletes, ..Habits::default() }).await;
        let digest = memory.store(None, OCI_MANIFEST, b"{}");
        let published = publish(&Remove(repository(&memory.server.address), digest)).await.unwrap();
        assert_eq!(published.warnings.iter().map(|reason| reason.code).collect::<Vec<_>>(), warnings);
        assert_eq!(memory.server.lines().iter().filter(|line| line.starts_with("DELETE")).count(), 1);
    }
}

#[tokio::test]
async fn several_edits_are_answered_in_their_order() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    let one = AddLayer::new(&memory.server.address, "one");
    let server = Server::start(|_| refusal(403, "DENIED")).await;
    let denied = AddLayer::new(&server.address, "one");
    let two = AddReferrer::new(&memory.server.address, "two");
    let results = Arc::new(Publisher::new(registry())).publish_all(&[&one, &denied, &two], soon()).await;
    let codes: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|reason| reason.code)).collect();
    assert_eq!(codes, [None, Some(Code::AccessDenied), None]);
}
