//! A registry in memory, as small as its clients allow, with the deviations that real registries have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Barrier;
use trustctl_core::digest::Digest;

use crate::OCI_INDEX;
use crate::server::{Reply, Seen, Server, answer, empty, no_referrers_api, refusal};

/// How the registry behaves.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    pub(crate) referrers_api: bool,
    pub(crate) immutable_tags: bool,
    pub(crate) deletes: bool,
    /// Takes a blob with the request that opens the upload.
    pub(crate) one_step_upload: bool,
    /// How long a replaced tag keeps showing what it meant before; with more than the test lasts, for ever.
    pub(crate) forgets_tags: bool,
    /// How long every answer takes.
    pub(crate) latency: Duration,
    /// Sizes of the first waves of requests: none of a wave is answered before all of it have come. What waits for an answer that it
    /// need not wait for never gets one, and what runs at once is counted as such however busy the machine is.
    pub(crate) waves: &'static [usize],
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            referrers_api: true,
            immutable_tags: false,
            deletes: true,
            one_step_upload: true,
            forgets_tags: false,
            latency: Duration::ZERO,
            waves: &[],
        }
    }
}

#[derive(Default)]
pub(crate) struct Content {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// Media type and bytes, by digest.
    pub(crate) manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub(crate) tags: BTreeMap<String, String>,
}

pub(crate) struct MemoryRegistry {
    pub(crate) server: Server,
    pub(crate) content: Arc<Mutex<Content>>,
}

impl MemoryRegistry {
    pub(crate) async fn start(habits: Habits) -> Self {
        let content: Arc<Mutex<Content>> = Arc::default();
        let stored = Arc::clone(&content);
        let places = habits.waves.iter().flat_map(|size| {
            let wave = Arc::new(Barrier::new(*size));
            std::iter::repeat_n(wave, *size)
        });
        let places: Mutex<VecDeque<Arc<Barrier>>> = Mutex::new(places.collect());
        let server = Server::start(move |seen| {
            let reply = Box::new(stored.lock().unwrap().reply(seen, &habits));
            match places.lock().unwrap().pop_front() {
                Some(wave) => Reply::Together(wave, reply),
                None => Reply::Late(habits.latency, reply),
            }
        })
        .await;
        Self { server, content }
    }

    /// Stores a manifest, under a tag when one is given.
    pub(crate) fn store(&self, tag: Option<&str>, media_type: &str, bytes: &[u8]) -> Digest {
        self.content.lock().unwrap().store(tag, media_type, bytes)
    }

    pub(crate) fn tagged(&self, tag: &str) -> Option<Value> {
        let content = self.content.lock().unwrap();
        let (_, bytes) = content.manifests.get(content.tags.get(tag)?)?;
        Some(serde_json::from_slice(bytes).unwrap())
    }
}

impl Content {
    fn store(&mut self, tag: Option<&str>, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256_of(bytes);
        self.manifests.insert(digest.to_string(), (media_type.to_owned(), bytes.to_vec()));
        if let Some(tag) = tag {
            self.tags.insert(tag.to_owned(), digest.to_string());
        }
        digest
    }

    /// The answer, with the header by which registries introduce themselves.
    fn reply(&mut self, seen: &Seen, habits: &Habits) -> Reply {
        match (self.answer(seen, habits), seen.path().contains("/referrers/")) {
            (answered, true) if !habits.referrers_api => answered,
            (answered, _) => answered.header("Docker-Distribution-Api-Version", "registry/2.0"),
        }
    }

    fn answer(&mut self, seen: &Seen, habits: &Habits) -> Reply {
        let rest = seen.path().strip_prefix("/v2/demo/app/").unwrap_or_default();
        let (kind, name) = rest.split_once('/').unwrap_or_default();
        match (seen.method.as_str(), kind) {
            ("GET", "manifests") => self.manifest(name),
            ("PUT", "manifests") => self.put_manifest(name, seen, habits),
            ("DELETE", "manifests") if !habits.deletes => refusal(405, "UNSUPPORTED"),
            ("DELETE", "manifests") => match self.manifests.remove(name) {
                Some(_) => {
                    self.tags.retain(|_, digest| digest != name);
                    empty(202)
                }
                None => refusal(404, "MANIFEST_UNKNOWN"),
            },
            ("GET", "referrers") if habits.referrers_api => self.referrers(name),
            ("GET", "referrers") => no_referrers_api(),
            ("GET" | "HEAD", "blobs") => match self.blobs.get(name) {
                Some(bytes) => answer(200, "application/octet-stream", bytes.clone()),
                None => refusal(404, "BLOB_UNKNOWN"),
            },
            ("POST", "blobs") => match seen.target.split_once("?digest=") {
                Some((_, digest)) if habits.one_step_upload => self.put_blob(digest, &seen.body),
                _ => empty(202).header("Location", "/v2/demo/app/blobs/uploads/17?_state=abc"),
            },
            ("PUT", "blobs") => match seen.target.split_once("&digest=sha256%3A") {
                Some((_, hex)) => self.put_blob(&format!("sha256:{hex}"), &seen.body),
                None => refusal(400, "DIGEST_INVALID"),
            },
            _ => refusal(404, "NAME_UNKNOWN"),
        }
    }

    fn manifest(&self, name: &str) -> Reply {
        let digest = self.tags.get(name).map_or(name, String::as_str);
        match self.manifests.get(digest) {
            Some((media_type, bytes)) => answer(200, media_type, bytes.clone()).header("Docker-Content-Digest", digest),
            None => refusal(404, "MANIFEST_UNKNOWN"),
        }
    }

    fn put_manifest(&mut self, name: &str, seen: &Seen, habits: &Habits) -> Reply {
        let media_type = seen.header("content-type").unwrap().to_owned();
        let value: Value = serde_json::from_slice(&seen.body).unwrap();
        let needed: BTreeSet<&str> =
            value["layers"].as_array().into_iter().flatten().filter_map(|layer| layer["digest"].as_str()).collect();
        if needed.iter().any(|digest| !self.blobs.contains_key(*digest)) {
            return refusal(400, "MANIFEST_BLOB_UNKNOWN");
        }
        let by_digest = name.starts_with("sha256:");
        let digest = Digest::sha256_of(&seen.body).to_string();
        if by_digest && name != digest {
            return refusal(400, "DIGEST_INVALID");
        }
        if habits.immutable_tags && self.tags.get(name).is_some_and(|known| *known != digest) {
            return answer(400, "application/json", r#"{"errors":[{"code":"TAG_INVALID","message":"the tag is immutable"}]}"#);
        }
        let tag = Some(name).filter(|_| !by_digest && !habits.forgets_tags);
        self.store(tag, &media_type, &seen.body);
        let reply = empty(201).header("Docker-Content-Digest", digest);
        match value["subject"]["digest"].as_str() {
            Some(subject) if habits.referrers_api => reply.header("OCI-Subject", subject),
            _ => reply,
        }
    }

    fn put_blob(&mut self, digest: &str, bytes: &[u8]) -> Reply {
        if Digest::sha256_of(bytes).to_string() != digest {
            return refusal(400, "DIGEST_INVALID");
        }
        self.blobs.insert(digest.to_owned(), bytes.to_vec());
        empty(201)
    }

    fn referrers(&self, subject: &str) -> Reply {
        let listed = self.manifests.iter().filter_map(|(digest, (media_type, bytes))| {
            let value: Value = serde_json::from_slice(bytes).ok()?;
            (value["subject"]["digest"].as_str() == Some(subject)).then(
                || json!({"mediaType": media_type, "digest": digest, "size": bytes.len(), "artifactType": value["artifactType"]}),
            )
        });
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed.collect::<Vec<_>>()});
        answer(200, OCI_INDEX, index.to_string())
    }
}
