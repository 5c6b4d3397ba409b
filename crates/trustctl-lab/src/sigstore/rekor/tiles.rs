//! Rekor v2: `hashedrekord` entries only, checkpoints of Ed25519, and tiles to read from (rekor-tiles; C2SP tlog-tiles).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};
use trustctl_core::public_key::{Hash, KeyKind, PublicKey};

use super::entry::{bytes, invalid, key_of, text};
use crate::answer::{self, Answer};
use crate::faults::Part;
use crate::server::Site;
use crate::sigstore::keys::signs_digest;
use crate::sigstore::log::{Added, Log};
use crate::sigstore::refusal::Refusal;
use crate::sigstore::service::failed_grpc;

#[derive(Debug)]
pub(crate) struct TilesSite(pub(crate) Arc<Mutex<Log>>);

impl Site for TilesSite {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        self.route(request).unwrap_or_else(|refusal| refusal.grpc())
    }

    fn body_limit(&self) -> usize {
        MAX_ENTRY
    }

    fn failure(&self, status: StatusCode) -> Answer {
        failed_grpc(status)
    }
}

impl TilesSite {
    fn route(&self, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let wrong = request.extensions().get::<Part>().copied();
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/api/v2/log/entries") => self.add(request.body(), wrong),
            (&Method::GET, "/api/v2/checkpoint") => Ok(answer::text(StatusCode::OK, self.log().checkpoint(wrong)?)),
            (&Method::GET, "/healthz") => Ok(answer::json_value(StatusCode::OK, &json!({"status": "SERVING"}))),
            (&Method::GET, path) => {
                let path = path.strip_prefix("/api/v2/tile/").ok_or_else(Refusal::not_found)?;
                let tile = Tile::parse(path).and_then(|tile| tile.of(&self.log())).ok_or_else(Refusal::not_found)?;
                Ok(answer::bytes(StatusCode::OK, "application/octet-stream", tile))
            }
            _ => Err(Refusal::not_found()),
        }
    }

    /// Adds an entry, and answers a `TransparencyLogEntry` (protobuf-specs, `sigstore_rekor.proto`) without promise and time.
    fn add(&self, body: &Bytes, wrong: Option<Part>) -> Result<Answer, Refusal> {
        let proposed: Value = serde_json::from_slice(body).map_err(Refusal::bad)?;
        let Some(request) = proposed.get("hashedRekordRequestV002") else {
            return Err(Refusal::bad("invalid type, must be hashedrekord"));
        };
        only(&proposed, "", &["hashedRekordRequestV002"])?;
        only(request, "", &["digest", "signature"])?;
        only(request, "/signature", &["content", "verifier"])?;
        only(request, "/signature/verifier", &["keyDetails", "publicKey", "x509Certificate"])?;
        let body = canonical(request)?;
        let mut log = self.log();
        let full = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "this lab's log is full");
        // A log of this version names no time; what is kept here is never shown.
        let index = match log.add(body, 0).ok_or_else(full)? {
            Added::New(index) => index,
            Added::Known(index) => {
                let words = format!("an equivalent entry already exists in the transparency log with index {index}");
                return Err(Refusal::new(StatusCode::CONFLICT, words));
            }
        };
        Ok(answer::json_value(StatusCode::CREATED, &entry(&log, index, wrong)?))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(log: &Log, index: usize, wrong: Option<Part>) -> Result<Value, Refusal> {
    let body = log.entry(index).map(|entry| STANDARD.encode(&entry.body)).unwrap_or_default();
    let proof = log.prove(index, wrong)?;
    let hashes: Vec<String> = proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    Ok(json!({
        "logIndex": index.to_string(),
        "logId": {"keyId": STANDARD.encode(log.id())},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "integratedTime": "0",
        "inclusionPromise": null,
        "inclusionProof": {
            "logIndex": index.to_string(),
            "rootHash": STANDARD.encode(proof.root),
            "treeSize": proof.size.to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": proof.checkpoint},
        },
        "canonicalizedBody": body,
    }))
}

/// The body of a proposed entry whose signature is good, in the order of RFC 8785.
fn canonical(request: &Value) -> Result<Bytes, Refusal> {
    let (digest, signature) = (bytes(request, "/digest")?, bytes(request, "/signature/content")?);
    let (verifier, key) = verifier(request.pointer("/signature/verifier").unwrap_or(&Value::Null))?;
    let (hash, algorithm) = hash_of(text(request, "/signature/verifier/keyDetails")?, &key)?;
    if !signs_digest(&key, hash, &digest, &signature) {
        return Err(invalid("the signature does not verify"));
    }
    let spec = json!({"hashedRekordV002": {
        "data": {"algorithm": algorithm, "digest": STANDARD.encode(digest)},
        "signature": {"content": STANDARD.encode(signature), "verifier": verifier},
    }});
    Ok(json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec}).to_string().into())
}

/// The real gateway refuses members that it does not know.
fn only(value: &Value, pointer: &str, known: &[&str]) -> Result<(), Refusal> {
    let members = value.pointer(pointer).and_then(Value::as_object);
    let unknown = members.into_iter().flat_map(Map::keys).find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| Err(Refusal::bad(format!("unknown field \"{name}\""))))
}

/// The verifier as the log keeps it, and its key.
fn verifier(proposed: &Value) -> Result<(Value, PublicKey), Refusal> {
    let (name, raw) = match (proposed.get("x509Certificate"), proposed.get("publicKey")) {
        (Some(_), None) => ("x509Certificate", bytes(proposed, "/x509Certificate/rawBytes")?),
        (None, Some(_)) => ("publicKey", bytes(proposed, "/publicKey/rawBytes")?),
        _ => return Err(invalid("there must be one verifier, a certificate or a public key")),
    };
    let key = match name {
        "publicKey" => PublicKey::from_spki_der(&raw).map_err(|_| invalid("the public key cannot be read"))?,
        _ => key_of(&raw)?.0,
    };
    let mut kept = Map::new();
    kept.insert("keyDetails".to_owned(), text(proposed, "/keyDetails")?.into());
    kept.insert(name.to_owned(), json!({"rawBytes": STANDARD.encode(raw)}));
    // "keyDetails" sorts before "publicKey" and "x509Certificate".
    Ok((kept.into(), key))
}

/// The hash that goes with a named kind of key, when the key is of that kind.
fn hash_of(details: &str, key: &PublicKey) -> Result<(Hash, &'static str), Refusal> {
    let (kind, hash, name) = match details {
        "PKIX_ECDSA_P256_SHA_256" => (KeyKind::EcdsaP256, Hash::Sha256, "SHA2_256"),
        "PKIX_ECDSA_P384_SHA_384" => (KeyKind::EcdsaP384, Hash::Sha384, "SHA2_384"),
        "PKIX_ECDSA_P521_SHA_512" => (KeyKind::EcdsaP521, Hash::Sha512, "SHA2_512"),
        "PKIX_RSA_PKCS1V15_2048_SHA256" | "PKIX_RSA_PKCS1V15_3072_SHA256" | "PKIX_RSA_PKCS1V15_4096_SHA256" => {
            (KeyKind::Rsa, Hash::Sha256, "SHA2_256")
        }
        other => return Err(invalid(&format!("keys of kind {other} are not taken here"))),
    };
    if key.kind() == kind { Ok((hash, name)) } else { Err(invalid("the key is not of the kind that is named")) }
}

/// A piece of the log as it is served: 256 hashes of one level, or 256 entries; fewer at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    /// In steps of eight levels of the tree; `None` for entries.
    level: Option<usize>,
    index: usize,
    width: usize,
}

impl Tile {
    /// Reads `0/x001/234`, `entries/067.p/8` (C2SP tlog-tiles, "Tiles" and "Log entries").
    fn parse(path: &str) -> Option<Self> {
        let (path, width) = match path.split_once(".p/") {
            Some((path, width)) => (path, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?),
            None => (path, WIDTH),
        };
        let mut parts = path.split('/');
        let level = match parts.next()? {
            "entries" => None,
            level => Some(level.parse().ok().filter(|level| *level < MAX_LEVEL)?),
        };
        let mut index: usize = 0;
        let mut last = false;
        for part in parts {
            if last {
                return None;
            }
            let digits = part.strip_prefix('x').unwrap_or(part);
            last = digits.len() == part.len();
            let is_number = digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok().filter(|_: &usize| is_number)?)?;
        }
        last.then_some(Self { level, index, width })
    }

    /// Its bytes, when the log has grown that far.
    fn of(self, log: &Log) -> Option<Bytes> {
        let from = self.index.checked_mul(WIDTH)?;
        let to = from.checked_add(self.width)?;
        match self.level {
            Some(level) => Some(log.tree().level(level * LEVELS).get(from..to)?.concat().into()),
            None => {
                let mut bundle = Vec::new();
                for entry in log.entries().get(from..to)? {
                    bundle.extend(u16::try_from(entry.body.len()).ok()?.to_be_bytes());
                    bundle.extend(&entry.body);
                }
                Some(bundle.into())
            }
        }
    }
}

/// Hashes or entries in a full tile.
const WIDTH: usize = 256;
/// Levels of the tree that a tile stands for.
const LEVELS: usize = 8;
/// More than any log has: eight of them hold 2^64 entries.
const MAX_LEVEL: usize = 8;
/// The largest request, in bytes; entries are read in bundles whose parts have two bytes for their length.
const MAX_ENTRY: usize = 48 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_tiles_are_read() {
        let tile = |level, index, width| Some(Tile { level, index, width });
        assert_eq!(Tile::parse("0/000"), tile(Some(0), 0, 256));
        assert_eq!(Tile::parse("1/x001/x234/067.p/8"), tile(Some(1), 1_234_067, 8));
        assert_eq!(Tile::parse("entries/x001/000"), tile(None, 1000, 256));
        for bad in ["0", "0/1", "0/x001", "0/001/002", "0/000.p/0", "0/000.p/256", "a/000", "9/000", "0/0+1", ""] {
            assert_eq!(Tile::parse(bad), None, "{bad}");
        }
    }
}
