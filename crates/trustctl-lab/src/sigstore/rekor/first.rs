//! Rekor v1: entries of several kinds, each with a promise, an inclusion proof and a checkpoint (Rekor, `openapi.yaml`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{ETAG, LOCATION};
use hyper::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};

use super::entry::canonical;
use crate::answer::{self, Answer};
use crate::faults::Part;
use crate::server::Site;
use crate::sigstore::log::{Added, Log, Proof};
use crate::sigstore::refusal::Refusal;
use crate::sigstore::service::{ServiceTime, failed_plain};

#[derive(Debug)]
pub(crate) struct RekorSite {
    pub(crate) log: Arc<Mutex<Log>>,
    pub(crate) tree: TreeId,
    pub(crate) time: ServiceTime,
}

/// The number of the one shard of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeId(pub(crate) u64);

impl Site for RekorSite {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        self.route(request).unwrap_or_else(|refusal| refusal.plain())
    }

    fn body_limit(&self) -> usize {
        MAX_ENTRY
    }

    fn failure(&self, status: StatusCode) -> Answer {
        failed_plain(status)
    }
}

impl RekorSite {
    fn route(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let wrong = request.extensions().get::<Part>().copied();
        let query = |name| answer::query(request.uri().query(), name);
        let ok = |value| Ok(answer::json_value(StatusCode::OK, &value));
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/api/v1/log/entries") => self.add(request.body(), wrong),
            (&Method::GET, "/api/v1/log/entries") => {
                let index = query("logIndex").and_then(|index| index.parse().ok());
                ok(self.entry(index.ok_or_else(|| Refusal::bad("logIndex is missing"))?, wrong)?)
            }
            (&Method::POST, "/api/v1/log/entries/retrieve") => ok(self.retrieve(request.body(), wrong)?),
            (&Method::POST, "/api/v1/index/retrieve") => ok(self.search(request.body())?),
            (&Method::GET, "/api/v1/log") => ok(self.state(wrong)?),
            (&Method::GET, "/api/v1/log/proof") => {
                let number = |name| query(name).and_then(|number| number.parse::<usize>().ok());
                ok(self.consistency(number("firstSize").unwrap_or(1), number("lastSize"))?)
            }
            (&Method::GET, "/api/v1/log/publicKey") => {
                let pem = self.log().key.public().to_pem();
                Ok(answer::bytes(StatusCode::OK, "application/x-pem-file", pem))
            }
            (&Method::GET, "/ping") => ok(json!({"ok": true})),
            (&Method::GET, path) => match path.strip_prefix("/api/v1/log/entries/") {
                Some(uuid) => ok(self.entry(self.find(uuid)?, wrong)?),
                None => Err(Refusal::not_found()),
            },
            _ => Err(Refusal::not_found()),
        }
    }

    /// Adds an entry; the answer names it in `ETag` and `Location`, without which cosign 3 stops dead.
    fn add(&self, body: &Bytes, wrong: Option<Part>) -> Result<Answer, Refusal> {
        let proposed: Value = serde_json::from_slice(body).map_err(Refusal::bad)?;
        let body = canonical(&proposed)?;
        let now = self.time.now().unix_seconds();
        let added = self.log().add(body, now);
        let full = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "this lab's log is full");
        let (status, index) = match added.ok_or_else(full)? {
            Added::New(index) => (StatusCode::CREATED, index),
            Added::Known(index) => (StatusCode::CONFLICT, index),
        };
        let uuid = self.uuid(index);
        let mut answer = if status == StatusCode::CONFLICT {
            Refusal::new(status, format!("an equivalent entry already exists in the transparency log with UUID {uuid}")).plain()
        } else {
            answer::json_value(status, &self.entry(index, wrong)?)
        };
        answer::set(&mut answer, LOCATION, format!("/api/v1/log/entries/{uuid}"));
        if status == StatusCode::CREATED {
            answer::set(&mut answer, ETAG, uuid);
        }
        Ok(answer)
    }

    /// `{UUID: entry}`.
    fn entry(&self, index: usize, wrong: Option<Part>) -> Result<Value, Refusal> {
        let log = self.log();
        let entry = log.entry(index).ok_or_else(Refusal::not_found)?;
        let log_id = hex::encode(log.id());
        // In the order of RFC 8785: these bytes are what the log promises by signing them.
        let promised = json!({
            "body": STANDARD.encode(&entry.body), "integratedTime": entry.integrated, "logID": log_id, "logIndex": index,
        });
        let promise = log.sign(promised.to_string().as_bytes(), wrong == Some(Part::Promise))?;
        let proof = log.prove(index, wrong)?;
        drop(log);
        let mut whole = promised;
        if let Some(members) = whole.as_object_mut() {
            let verification = json!({"inclusionProof": written(&proof), "signedEntryTimestamp": STANDARD.encode(promise)});
            members.insert("verification".to_owned(), verification);
        }
        let mut answer = Map::new();
        answer.insert(self.uuid(index), whole);
        Ok(answer.into())
    }

    /// Entries by index, UUID or content.
    fn retrieve(&self, body: &Bytes, wrong: Option<Part>) -> Result<Value, Refusal> {
        let query: Value = serde_json::from_slice(body).map_err(Refusal::bad)?;
        let list = |name: &str| query.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut found = Vec::new();
        let by_index = list("logIndexes").iter().filter_map(|index| usize::try_from(index.as_u64()?).ok()).collect::<Vec<_>>();
        let by_uuid = list("entryUUIDs").iter().filter_map(|uuid| self.find(uuid.as_str()?).ok()).collect::<Vec<_>>();
        found.extend(by_index.into_iter().chain(by_uuid));
        for proposed in list("entries") {
            let body = canonical(&proposed)?;
            found.extend(self.log().entries().iter().position(|entry| entry.body == body));
        }
        if found.len() > MAX_RETRIEVED {
            return Err(Refusal::bad("too many entries are asked for at once"));
        }
        let entries = found.into_iter().filter_map(|index| self.entry(index, wrong).ok());
        Ok(Value::Array(entries.collect()))
    }

    /// The UUIDs of entries about a hash, or by a key or certificate.
    fn search(&self, body: &Bytes) -> Result<Value, Refusal> {
        let query: Value = serde_json::from_slice(body).map_err(Refusal::bad)?;
        let hash = query.get("hash").and_then(Value::as_str).map(|hash| hash.rsplit(':').next().unwrap_or_default());
        let key = query.pointer("/publicKey/content").and_then(Value::as_str);
        let wanted: Vec<&str> = hash.into_iter().chain(key).filter(|text| !text.is_empty()).collect();
        let log = self.log();
        let found = log.values().into_iter().enumerate().filter(|(_, body)| wanted.iter().any(|text| holds(body, text)));
        let found: Vec<usize> = found.map(|(index, _)| index).collect();
        drop(log);
        Ok(found.into_iter().map(|index| self.uuid(index)).collect())
    }

    fn state(&self, wrong: Option<Part>) -> Result<Value, Refusal> {
        let log = self.log();
        let size = log.tree().size();
        Ok(json!({
            "inactiveShards": [],
            "rootHash": hex::encode(log.tree().root(size)),
            "signedTreeHead": log.checkpoint(wrong)?,
            "treeID": self.tree.0.to_string(),
            "treeSize": size,
        }))
    }

    fn consistency(&self, first: usize, last: Option<usize>) -> Result<Value, Refusal> {
        let log = self.log();
        let last = last.filter(|last| first >= 1 && first <= *last && *last <= log.tree().size());
        let last = last.ok_or_else(|| Refusal::bad("firstSize and lastSize must be sizes that the log has had"))?;
        let hashes: Vec<String> = log.tree().consistency(first, last).iter().map(hex::encode).collect();
        Ok(json!({"hashes": hashes, "rootHash": hex::encode(log.tree().root(last))}))
    }

    /// The number of the tree and the hash of the leaf, hexadecimal.
    fn uuid(&self, index: usize) -> String {
        let leaf = self.log().tree().level(0).get(index).copied().unwrap_or_default();
        format!("{:016x}{}", self.tree.0, hex::encode(leaf))
    }

    /// The place of the entry with this UUID, or with this leaf hash alone.
    fn find(&self, uuid: &str) -> Result<usize, Refusal> {
        let leaf = match uuid.len() {
            64 => uuid,
            80 => uuid.strip_prefix(&format!("{:016x}", self.tree.0)).ok_or_else(Refusal::not_found)?,
            _ => return Err(Refusal::bad("a UUID has 64 or 80 hexadecimal digits")),
        };
        let leaf = hex::decode(leaf).map_err(|_| Refusal::bad("a UUID is hexadecimal"))?;
        self.log().find(&leaf).ok_or_else(Refusal::not_found)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TreeId {
    /// The id that belongs to a log's key, below 2^63 as Trillian's.
    pub(crate) fn of(log_id: &[u8; 32]) -> Self {
        let bytes = log_id.first_chunk::<8>().copied().unwrap_or_default();
        Self(u64::from_be_bytes(bytes) >> 1)
    }

    /// The first line of the log's checkpoints.
    pub(crate) fn origin(self, host: &str) -> String {
        format!("{host} - {}", self.0)
    }
}

fn written(proof: &Proof) -> Value {
    let hashes: Vec<String> = proof.hashes.iter().map(hex::encode).collect();
    json!({
        "checkpoint": proof.checkpoint,
        "hashes": hashes,
        "logIndex": proof.index,
        "rootHash": hex::encode(proof.root),
        "treeSize": proof.size,
    })
}

/// Whether any text in an entry is this one.
fn holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(all) => all.iter().any(|one| holds(one, wanted)),
        Value::Object(members) => members.values().any(|one| holds(one, wanted)),
        Value::String(text) => text == wanted,
        _ => false,
    }
}

/// The largest request, in bytes: an attestation travels whole, though only its hash is kept.
const MAX_ENTRY: usize = 32 << 20;
/// As the public log.
const MAX_RETRIEVED: usize = 10;
