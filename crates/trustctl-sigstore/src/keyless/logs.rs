//! Transparency log entries: each proven by the very log that it names.
//!
//! Source: Sigstore client specification, section 4 (inclusion proof, RFC 6962; signed checkpoint; promise), rekor-tiles for Rekor v2.
//! That an entry is about this signature, key and artifact is the library's to check, and is always checked.

use std::collections::BTreeSet;

use jiff::Timestamp as Instant;
use serde::Serialize;
use sigstore_crypto::{CheckpointSignature, VerificationKey};
use sigstore_types::bundle::InclusionProof;
use sigstore_types::{Bundle, KindVersion, MediaType, SignatureBytes, TimeRange, TransparencyLogEntry};
use trustctl_core::claim::ProvenEntry;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;

use super::fault::Fault;
use super::root::Root;
use crate::format::encode;

/// The transparency logs of an instance.
pub(super) struct Logs(Vec<Log>);

struct Log {
    id: Vec<u8>,
    /// The first four bytes of the id that its checkpoints are signed under.
    hint: Vec<u8>,
    key: VerificationKey,
    window: Option<TimeRange>,
    operator: String,
}

/// What is demanded of the entries of one bundle.
#[derive(Clone, Copy)]
pub(super) struct Demand {
    /// Whether a promise without an inclusion proof never counts.
    pub(super) inclusion_proof: bool,
    /// Whether the signature is by a certificate: then the library checks promises that name a time, and here the others are.
    pub(super) by_certificate: bool,
}

impl Logs {
    pub(super) fn new(root: &Root) -> Result<Self, Fault> {
        let all = root.library.tlogs.iter().zip(&root.logs).map(|(log, traits)| {
            let id = log.log_id.key_id.as_bytes().to_vec();
            let checkpoint_id = traits.checkpoint_key.as_ref().unwrap_or(&id);
            Ok(Log {
                hint: checkpoint_id.iter().take(4).copied().collect(),
                key: VerificationKey::from_spki(&log.public_key.raw_bytes).map_err(|error| Fault::root(&error))?,
                window: log.public_key.valid_for,
                operator: traits.operator.clone().unwrap_or_else(|| hex::encode(&id)),
                id,
            })
        });
        all.collect::<Result<_, _>>().map(Self)
    }

    /// Every entry of the bundle, proven. One that does not hold is a fault, however good the others are.
    pub(super) fn check(&self, bundle: &Bundle, demand: Demand, now: Timestamp) -> Result<Vec<ProvenEntry>, Fault> {
        let now = Instant::from_second(now.unix_seconds()).map_err(|error| Fault::malformed(error.to_string()))?;
        let mut seen = BTreeSet::new();
        let mut proven = Vec::new();
        for entry in &bundle.verification_material.tlog_entries {
            if !seen.insert((entry.log_id.key_id.as_bytes(), entry.log_index.get())) {
                return Err(Fault::malformed("the same log entry is there twice"));
            }
            proven.push(self.entry(entry, bundle.media_type, demand, now)?);
        }
        Ok(proven)
    }

    fn entry(
        &self,
        entry: &TransparencyLogEntry,
        media_type: MediaType,
        demand: Demand,
        now: Instant,
    ) -> Result<ProvenEntry, Fault> {
        let log = self.named(entry, now)?;
        let second = entry.kind_version == KindVersion::HashedRekordV002;
        let promised = entry.inclusion_promise.is_some();
        if promised && (second || !demand.by_certificate || entry.integrated_time.is_none()) {
            log.check_promise(entry, now)?;
        }
        // Only a promise of Rekor v1 says when; the time beside an inclusion proof is anybody's word.
        let integrated = entry.integrated_time.filter(|_| promised && !second);
        if integrated.is_some_and(|time| time > now) {
            return Err(Fault::new(Code::CosignTimeInFuture, "the log says it integrated the entry in the future"));
        }
        match &entry.inclusion_proof {
            Some(proof) => log.check_inclusion(entry, proof, second)?,
            None if promised && !second && media_type == MediaType::Bundle0_1 && !demand.inclusion_proof => {}
            None => return Err(Fault::new(Code::CosignLogMissing, "the log entry has no inclusion proof")),
        }
        let integrated = integrated.map(|time| Timestamp::from_unix_seconds(time.as_second()));
        Ok(ProvenEntry {
            sigstore: None,
            log_id: hex::encode(&log.id),
            operator: log.operator.clone(),
            index: entry.log_index.get(),
            integrated: integrated.transpose().map_err(|error| Fault::malformed(error.to_string()))?,
            included: entry.inclusion_proof.is_some(),
        })
    }

    /// The log that an entry names. Its key must have been in use by now; an ended one still vouches for what it logged.
    fn named(&self, entry: &TransparencyLogEntry, now: Instant) -> Result<&Log, Fault> {
        let id = entry.log_id.key_id.as_bytes();
        let begun = |log: &&Log| log.window.is_none_or(|window| window.has_started_by(now));
        self.0.iter().find(|log| log.id == id).filter(begun).ok_or_else(|| {
            let words = format!("the log {} is not one that the trusted root names for this time", hex::encode(id));
            Fault::new(Code::CosignLogUnknown, words)
        })
    }
}

/// Demands entries by `least` distinct operators.
pub(super) fn enough(entries: &[ProvenEntry], least: usize) -> Result<(), Fault> {
    let operators: BTreeSet<&str> = entries.iter().map(|entry| entry.operator.as_str()).collect();
    match operators.len() {
        0 if least > 0 => Err(Fault::new(Code::CosignLogMissing, "there is no log entry")),
        found if found < least => {
            let words = format!("log entries by {found} operator(s), {least} are demanded");
            Err(Fault::new(Code::CosignThreshold, words))
        }
        _ => Ok(()),
    }
}

/// What the log signs when it promises to integrate an entry, in the order of its canonical JSON (RFC 8785).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    body: String,
    integrated_time: i64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: i64,
}

impl Log {
    /// Checks the signed entry timestamp.
    fn check_promise(&self, entry: &TransparencyLogEntry, now: Instant) -> Result<(), Fault> {
        let Some(promise) = &entry.inclusion_promise else { return Ok(()) };
        let time = entry.integrated_time.unwrap_or(now);
        if self.window.is_some_and(|window| !window.contains(time)) {
            return Err(Fault::new(Code::CosignLogUnknown, "the log's key was not in use when it promised the entry"));
        }
        let signed = crate::format::json(&Promise {
            body: encode(entry.canonicalized_body.as_bytes()),
            integrated_time: entry.integrated_time.map_or(0, |time| time.as_second()),
            log_id: hex::encode(&self.id),
            log_index: entry.log_index.as_i64(),
        });
        let signature = SignatureBytes::new(promise.signed_entry_timestamp.as_bytes().to_vec());
        self.key.verify(signed.as_bytes(), &signature).map_err(|_| invalid("the log did not sign the promise"))
    }

    /// Checks the inclusion proof against a checkpoint that this log signed.
    fn check_inclusion(&self, entry: &TransparencyLogEntry, proof: &InclusionProof, second: bool) -> Result<(), Fault> {
        let checkpoint = proof.checkpoint.checkpoint().ok_or_else(|| invalid("the inclusion proof has no checkpoint"))?;
        if !second && (*checkpoint.root_hash() != proof.root_hash || checkpoint.tree_size() != proof.tree_size) {
            return Err(invalid("the checkpoint is about another tree than the inclusion proof"));
        }
        // Lines of witnesses and of other logs are passed over; a false line under this log's name hides no true one.
        let by_log = |line: &&CheckpointSignature| line.key_id.as_bytes().as_slice() == self.hint;
        let mut lines = checkpoint.signatures().iter().filter(by_log);
        if !lines.any(|line| self.key.verify(checkpoint.signed_data(), &line.signature).is_ok()) {
            return Err(invalid("the checkpoint is not signed by the log that the entry names"));
        }
        let index = if second { entry.log_index.get() } else { proof.log_index.get() };
        let leaf = sigstore_merkle::hash_leaf(entry.canonicalized_body.as_bytes());
        sigstore_merkle::verify_inclusion_proof(&leaf, index, checkpoint.tree_size(), &proof.hashes, checkpoint.root_hash())
            .map_err(|_| invalid("the inclusion proof does not lead to the checkpoint"))
    }
}

fn invalid(words: &str) -> Fault {
    Fault::new(Code::CosignLogInvalid, words)
}
