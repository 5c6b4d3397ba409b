//! Versions below which nothing is accepted, as long as the same keys sign.

use std::collections::{BTreeMap, BTreeSet};

use sigstore_tuf::Root;
use trustctl_core::digest::Digest;
use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason};

use super::fault::{MetadataFile, malformed};

/// What the names of roles' floors start with.
const ROLE: &str = "role:";
/// Digits of the digest that stands for the keys: enough that nobody meets one by accident, and whoever could choose keys needs none.
const DIGITS: usize = 32;

/// The floors that hold under the keys of one root.
#[derive(Clone, Debug)]
pub(super) struct Floors {
    era: String,
    versions: BTreeMap<String, u64>,
}

impl Floors {
    /// What `remembered` says for the keys of timestamp and snapshot that `root` names.
    pub(super) fn of(remembered: &Slot, root: &Root) -> Self {
        let era = era(root);
        let suffix = format!("@{era}");
        let versions = remembered.floors.iter();
        let versions = versions.filter_map(|(name, version)| Some((name.strip_suffix(&suffix)?.to_owned(), *version))).collect();
        Self { era, versions }
    }

    /// The digest of the keys.
    pub(super) fn era(&self) -> &str {
        &self.era
    }

    /// A name that belongs to these keys.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{name}@{}", self.era)
    }

    /// # Errors
    /// [`Code::AnchorRolledBack`] when `version` is below what was seen.
    pub(super) fn check(&self, name: &str, version: u64) -> Result<(), Reason> {
        let seen = self.versions.get(name).copied().unwrap_or_default();
        if version >= seen {
            return Ok(());
        }
        let words = format!("the repository offers version {version} of {name}, and version {seen} was seen before");
        Err(Reason::new(Code::AnchorRolledBack, words).expected_found(format!("at least {seen}"), version))
    }

    /// Compares the files that a snapshot lists (section 5.5.5): none older than seen, none left out.
    ///
    /// # Errors
    /// [`Code::AnchorRolledBack`].
    pub(super) fn check_roles(&self, listed: &BTreeMap<String, u64>) -> Result<(), Reason> {
        for name in self.versions.keys().filter_map(|name| name.strip_prefix(ROLE)) {
            match listed.get(name) {
                Some(version) => self.check(&format!("{ROLE}{name}"), *version)?,
                None => {
                    let words = format!("the repository's snapshot no longer lists {name}, which was seen before");
                    return Err(Reason::new(Code::AnchorRolledBack, words));
                }
            }
        }
        Ok(())
    }

    pub(super) fn learn(&self, name: &str, version: u64, learnt: &mut Slot) {
        learnt.floors.insert(self.named(name), version);
    }

    pub(super) fn learn_role(&self, name: &str, version: u64, learnt: &mut Slot) {
        self.learn(&format!("{ROLE}{name}"), version, learnt);
    }
}

/// Refuses a root in which a role lists one key under two ids: the library counts ids towards the threshold.
///
/// # Errors
/// [`Code::AnchorMalformed`].
pub(super) fn check_keys(root: &Root) -> Result<(), Reason> {
    for (role, keys) in &root.roles {
        let ids: BTreeSet<&String> = keys.keyids.iter().collect();
        let known: Vec<&str> = ids.iter().filter_map(|id| root.keys.get(*id)).map(|key| key.keyval.public.trim()).collect();
        if known.iter().collect::<BTreeSet<_>>().len() < known.len() {
            return Err(malformed(MetadataFile::Root, &format!("the role {role} lists one key under two ids")));
        }
    }
    Ok(())
}

/// A digest of who may sign timestamp and snapshot, in whatever order and under whatever ids they are listed.
fn era(root: &Root) -> String {
    let mut text = String::new();
    for role in ["timestamp", "snapshot"] {
        let Some(keys) = root.roles.get(role) else { continue };
        let mut signers: Vec<String> = keys
            .keyids
            .iter()
            .filter_map(|id| root.keys.get(id))
            .map(|key| format!("{}\n{}", key.scheme, key.keyval.public.trim()))
            .collect();
        signers.sort();
        signers.dedup();
        text.push_str(&format!("{role} {}\n{}\n", keys.threshold, signers.join("\n")));
    }
    Digest::sha256_of(text.as_bytes()).hex().chars().take(DIGITS).collect()
}
