//! Memory: what was seen before, as a value. It is what gives protection against rollback and against vanishing revocations.
//!
//! A memory only grows: [`Memory::merge`] is commutative, associative and idempotent, so several processes can store what they
//! learnt in any order and nothing is forgotten.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::claim::SchemeName;

/// What has been seen before, by scheme and by a name the scheme chooses (a GUN, a digest).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    #[serde(default)]
    slots: BTreeMap<String, Slot>,
}

/// What has been seen about one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Lowest acceptable numbers, such as role versions. Merging keeps the highest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub floors: BTreeMap<String, u64>,
    /// Documents with a version, such as the newest verified root. Merging keeps the highest version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<String, Document>,
    /// Facts that never become untrue, such as revocations. Merging keeps all; for one key the smaller text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// A document and its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Its version; with equal versions the larger bytes win a merge, so that merging stays commutative.
    pub version: u64,
    /// Its bytes, exactly as verified.
    #[serde(with = "as_base64")]
    pub bytes: Vec<u8>,
}

impl Memory {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is remembered of `name` in `scheme`.
    #[must_use]
    pub fn slot(&self, scheme: SchemeName, name: &str) -> Option<&Slot> {
        self.slots.get(&key(scheme, name))
    }

    /// Adds what was learnt about `name` in `scheme`; nothing remembered gets lost.
    pub fn learn(&mut self, scheme: SchemeName, name: &str, learnt: Slot) {
        self.slots.entry(key(scheme, name)).or_default().merge(learnt);
    }

    /// Adds everything `other` remembers.
    pub fn merge(&mut self, other: Self) {
        for (name, slot) in other.slots {
            self.slots.entry(name).or_default().merge(slot);
        }
    }

    /// Forgets `name` in `scheme`; true when something was remembered. Only for a user who starts trust afresh.
    pub fn forget(&mut self, scheme: SchemeName, name: &str) -> bool {
        self.slots.remove(&key(scheme, name)).is_some()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl Slot {
    /// Adds everything `other` holds.
    pub fn merge(&mut self, other: Self) {
        for (name, floor) in other.floors {
            let slot = self.floors.entry(name).or_default();
            *slot = (*slot).max(floor);
        }
        for (name, document) in other.documents {
            match self.documents.get(&name) {
                Some(old) if *old >= document => {}
                _ => drop(self.documents.insert(name, document)),
            }
        }
        for (name, fact) in other.facts {
            match self.facts.get(&name) {
                Some(old) if *old <= fact => {}
                _ => drop(self.facts.insert(name, fact)),
            }
        }
    }
}

fn key(scheme: SchemeName, name: &str) -> String {
    format!("{scheme}:{name}")
}

mod as_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slots() -> impl Strategy<Value = Memory> {
        let name = "[ab]";
        let documents = proptest::collection::btree_map(name, (0..4_u64, proptest::collection::vec(0..3_u8, 0..2)), 0..3);
        (
            proptest::collection::btree_map(name, 0..9_u64, 0..3),
            documents,
            proptest::collection::btree_map(name, "[xy]{0,2}", 0..3),
        )
            .prop_map(|(floors, documents, facts)| {
                let documents =
                    documents.into_iter().map(|(name, (version, bytes))| (name, Document { version, bytes })).collect();
                let mut memory = Memory::new();
                memory.learn(SchemeName::Dct, "gun", Slot { floors, documents, facts });
                memory
            })
    }

    fn merged(mut one: Memory, two: Memory) -> Memory {
        one.merge(two);
        one
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(a in slots(), b in slots(), c in slots()) {
            prop_assert_eq!(merged(a.clone(), b.clone()), merged(b.clone(), a.clone()));
            prop_assert_eq!(merged(merged(a.clone(), b.clone()), c.clone()), merged(a.clone(), merged(b, c)));
            prop_assert_eq!(merged(a.clone(), a.clone()), a);
        }

        #[test]
        fn a_memory_survives_storage(memory in slots()) {
            let text = serde_json::to_string(&memory).unwrap_or_default();
            prop_assert_eq!(serde_json::from_str::<Memory>(&text).ok(), Some(memory));
        }
    }
}
