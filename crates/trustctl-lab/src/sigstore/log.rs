//! A transparency log: entries that stay, the tree over them, and signed checkpoints (C2SP tlog-checkpoint).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use trustctl_core::public_key::KeyKind;

use super::keys::{Key, sha256};
use super::merkle::{Hash, Tree, leaf};
use crate::error::LabError;
use crate::faults::Part;

/// A log and everything in it.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) key: Key,
    /// A key that nobody trusts, for what should be noticed.
    wrong: Key,
    /// The first line of checkpoints.
    origin: String,
    /// The name in front of checkpoint signatures.
    name: String,
    id: [u8; 32],
    tree: Tree,
    entries: Vec<Entry>,
}

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Canonical JSON (RFC 8785).
    pub(crate) body: Bytes,
    /// Unix seconds.
    pub(crate) integrated: i64,
}

/// That an entry is in the tree.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) index: usize,
    pub(crate) size: usize,
    pub(crate) root: Hash,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) checkpoint: String,
}

/// What came of adding an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New(usize),
    /// The same entry was there before.
    Known(usize),
}

impl Log {
    /// An empty log that signs with `key`.
    pub(crate) fn new(key: Key, origin: &str, name: &str) -> Result<Self, LabError> {
        let id = log_id(&key, name);
        let (origin, name) = (origin.to_owned(), name.to_owned());
        let wrong = if key.public().kind() == KeyKind::Ed25519 { Key::ed25519()? } else { Key::p256()? };
        Ok(Self { key, wrong, origin, name, id, tree: Tree::default(), entries: Vec::new() })
    }

    /// Adds an entry, unless it is there already or there is no more room; `None` then.
    pub(crate) fn add(&mut self, body: Bytes, now: i64) -> Option<Added> {
        if let Some(index) = self.entries.iter().position(|entry| entry.body == body) {
            return Some(Added::Known(index));
        }
        if self.entries.len() >= MAX_ENTRIES {
            return None;
        }
        self.tree.push(leaf(&body));
        self.entries.push(Entry { body, integrated: now });
        Some(Added::New(self.entries.len() - 1))
    }

    /// SHA-256 of the key; for Ed25519 of the note's name and key (C2SP signed-note).
    pub(crate) fn id(&self) -> &[u8; 32] {
        &self.id
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// The entries as JSON, the oldest first.
    pub(crate) fn values(&self) -> Vec<Value> {
        self.entries.iter().map(|entry| serde_json::from_slice(&entry.body).unwrap_or_default()).collect()
    }

    /// The place of an entry with this leaf hash.
    pub(crate) fn find(&self, leaf: &[u8]) -> Option<usize> {
        self.tree.level(0).iter().position(|hash| hash.as_slice() == leaf)
    }

    /// Proves an entry in the tree as it is now, or does what `wrong` says.
    pub(crate) fn prove(&self, index: usize, wrong: Option<Part>) -> Result<Proof, LabError> {
        let size = self.tree.size();
        let mut hashes = self.tree.inclusion(index, size);
        if wrong == Some(Part::InclusionProof) {
            match hashes.first_mut() {
                Some(hash) => *hash = sha256(hash),
                // In a tree of one there is nothing to get wrong but to say too much.
                None => hashes.push(sha256(&[])),
            }
        }
        Ok(Proof { index, size, root: self.tree.root(size), hashes, checkpoint: self.checkpoint(wrong)? })
    }

    /// The signed size and root of the tree as it is now.
    pub(crate) fn checkpoint(&self, wrong: Option<Part>) -> Result<String, LabError> {
        let size = self.tree.size();
        let text = format!("{}\n{size}\n{}\n", self.origin, STANDARD.encode(self.tree.root(size)));
        let key = if wrong == Some(Part::Checkpoint) { &self.wrong } else { &self.key };
        let signature = key.sign(text.as_bytes())?;
        let hint = self.id.get(..4).unwrap_or_default();
        Ok(format!("{text}\n\u{2014} {} {}\n", self.name, STANDARD.encode([hint, signature.as_slice()].concat())))
    }

    /// A signature by the log, or by the key that nobody trusts.
    pub(crate) fn sign(&self, message: &[u8], wrong: bool) -> Result<Vec<u8>, LabError> {
        if wrong { self.wrong.sign(message) } else { self.key.sign(message) }
    }
}

fn log_id(key: &Key, name: &str) -> [u8; 32] {
    match key.public().kind() {
        // 0x01 is the signed note's number for Ed25519.
        KeyKind::Ed25519 => sha256(&[name.as_bytes(), b"\n\x01", key.public().raw()].concat()),
        _ => sha256(key.public().spki_der()),
    }
}

/// Entries that a log takes: each is compared with every new one, and a lab lives in memory.
const MAX_ENTRIES: usize = 100_000;
