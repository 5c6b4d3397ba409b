//! The bundle 0.3 as cosign 3 writes it: protojson without spaces, int64 as strings, the leaf certificate alone. Unlike there,
//! indexes and hashes are written even when they are zero and none, for the first entry of a log: sigstore-python demands them.

use serde::Serialize;

use super::{Content, Sealed};
use crate::bundle::MEDIA_TYPE;
use crate::format::{encode, json};
use crate::seal::log::Entry;

pub(super) fn bundle(sealed: &Sealed) -> Vec<u8> {
    let raw = |bytes: &[u8]| Raw { raw_bytes: encode(bytes) };
    let stamps = sealed.timestamps.iter().map(|token| Stamp { signed_timestamp: encode(token) }).collect::<Vec<_>>();
    let (message_signature, dsse_envelope) = match &sealed.signed.content {
        Content::Envelope(envelope) => (None, Some(envelope.written())),
        Content::Message { digest, signature } => {
            let message_digest = MessageDigest { algorithm: "SHA2_256", digest: encode(digest.as_bytes()) };
            (Some(Message { message_digest, signature: encode(signature) }), None)
        }
    };
    let bundle = Written {
        media_type: MEDIA_TYPE,
        verification_material: Material {
            public_key: sealed.chain().is_none().then(|| Key { hint: sealed.key().hint() }),
            certificate: sealed.chain().map(|chain| raw(chain.leaf())),
            tlog_entries: sealed.entries.iter().map(WrittenEntry::new).collect(),
            timestamp_verification_data: Some(Stamps { rfc3161_timestamps: stamps })
                .filter(|all| !all.rfc3161_timestamps.is_empty()),
        },
        message_signature,
        dsse_envelope,
    };
    json(&bundle).into_bytes()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<E: Serialize> {
    media_type: &'static str,
    verification_material: Material,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_signature: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<E>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Raw>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tlog_entries: Vec<WrittenEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<Stamps>,
}

#[derive(Serialize)]
struct Key {
    hint: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: String,
}

#[derive(Serialize)]
struct Stamps {
    #[serde(rename = "rfc3161Timestamps")]
    rfc3161_timestamps: Vec<Stamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stamp {
    signed_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_digest: MessageDigest,
    signature: String,
}

#[derive(Serialize)]
struct MessageDigest {
    algorithm: &'static str,
    digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenEntry {
    log_index: String,
    log_id: KeyId,
    kind_version: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    integrated_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_promise: Option<Promise>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_proof: Option<Proof>,
    canonicalized_body: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyId {
    key_id: String,
}

#[derive(Serialize)]
struct Kind {
    kind: String,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    log_index: String,
    root_hash: String,
    tree_size: String,
    hashes: Vec<String>,
    checkpoint: Checkpoint,
}

#[derive(Serialize)]
struct Checkpoint {
    envelope: String,
}

impl WrittenEntry {
    fn new(entry: &Entry) -> Self {
        let proof = entry.proof.as_ref().map(|proof| Proof {
            log_index: proof.index.to_string(),
            root_hash: encode(&proof.root),
            tree_size: proof.size.to_string(),
            hashes: proof.hashes.iter().map(|hash| encode(hash)).collect(),
            checkpoint: Checkpoint { envelope: proof.checkpoint.clone() },
        });
        Self {
            log_index: entry.index.to_string(),
            log_id: KeyId { key_id: encode(&entry.log_id) },
            kind_version: Kind { kind: entry.kind.clone(), version: entry.version.clone() },
            // Rekor v2 names no time.
            integrated_time: (entry.integrated != 0).then(|| entry.integrated.to_string()),
            inclusion_promise: entry.promise.as_ref().map(|bytes| Promise { signed_entry_timestamp: encode(bytes) }),
            inclusion_proof: proof,
            canonicalized_body: encode(&entry.body),
        }
    }
}
