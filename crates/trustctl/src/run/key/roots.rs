//! Which collections have which root key, as the metadata says that docker and notary have cached.
//!
//! It is shown and nothing else: a key whose id fits is the one in the metadata, but nobody has verified the metadata itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trustctl_core::public_key::PublicKey;
use trustctl_dct::metadata::Document as _;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_keys::store::{Places, StoredKey};
use trustctl_remote::trust_dir::TrustDir;

/// Root keys by their canonical ids, which name their files.
pub(super) struct Roots(BTreeMap<String, RootKey>);

struct RootKey {
    public_key: PublicKey,
    uses: Vec<RootOf>,
}

/// A collection, and the id that its root key has there: over the key's certificate, which is another one in every collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RootOf {
    gun: String,
    key_id: String,
}

impl Roots {
    /// What is cached beside the keys. What cannot be read is left out, as it hides only itself.
    pub(super) fn cached(places: &Places<'_>) -> Self {
        let mut roots = Self(BTreeMap::new());
        for trust in &places.trust {
            let Ok(Some(folder)) = TrustDir::open(trust.directory()) else { continue };
            for collection in folder.collections().unwrap_or_default() {
                let Ok(Some(bytes)) = folder.metadata(&collection.gun, "root.json") else { continue };
                let parsed = Envelope::parse(&bytes).and_then(|envelope| Root::from_signed(envelope.signed()));
                if let Ok(root) = parsed {
                    roots.add(&collection.gun, &root);
                }
            }
        }
        roots
    }

    fn add(&mut self, gun: &str, root: &Root) {
        for key in root.root.key_ids.iter().filter_map(|id| root.keys.get(id)) {
            let (Ok(canonical), Ok(public_key)) = (key.canonical_id(), key.public_key()) else { continue };
            let known = self.0.entry(canonical.as_str().to_owned()).or_insert_with(|| RootKey { public_key, uses: Vec::new() });
            known.uses.push(RootOf { gun: gun.to_owned(), key_id: key.id().as_str().to_owned() });
            known.uses.sort();
            known.uses.dedup();
        }
    }

    /// The collections whose root has the key with this canonical id.
    pub(super) fn of(&self, canonical_id: &str) -> &[RootOf] {
        self.0.get(canonical_id).map(|key| key.uses.as_slice()).unwrap_or_default()
    }

    /// The public half of a stored key, by its id.
    pub(super) fn public_key(&self, stored: &StoredKey) -> Option<&PublicKey> {
        Some(&self.0.get(stored.notary_id.as_ref()?)?.public_key)
    }
}

impl RootOf {
    /// For people.
    pub(super) fn line(&self) -> String {
        format!("root of {}: --dct-root {}", self.gun, self.key_id)
    }

    /// For programs.
    pub(super) fn view(&self) -> Value {
        json!({ "gun": self.gun, "keyId": self.key_id })
    }
}
