//! The root and what follows from it: the first files, other keys for the top-level roles, later end dates.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use super::change::Initialise;
use super::draft::Draft;
use super::keep;
use super::upload::Effect;
use crate::key::{Key, KeyId};
use crate::metadata::root::Root;
use crate::metadata::targets::Targets;
use crate::metadata::{Expiry, RoleKeys};
use crate::role::RoleName;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// When a file signed at `now` ends, as Notary has it: root after ten years, the others after three (of 365 days).
#[must_use]
pub fn default_expiry(role: &RoleName, now: Timestamp) -> Timestamp {
    let years = if *role == RoleName::root() { 10 } else { 3 };
    now.saturating_add(DAY * 365 * years)
}

impl Draft<'_> {
    pub(super) fn initialise(&mut self, first: &Initialise) -> Result<(), Reason> {
        if let Some(root) = &self.root {
            return same_root(root, &first.root, self.current.gun());
        }
        self.check_certificates(&first.root)?;
        let one = |key: &Key| RoleKeys::any_of(vec![key.id().clone()]);
        let all = first.root.iter().chain([&first.targets, &first.snapshot, &first.timestamp]);
        self.root = Some(Root {
            version: 0,
            expires: Expiry::at(self.now),
            consistent_snapshot: false,
            keys: all.map(|key| (key.id().clone(), key.clone())).collect(),
            root: RoleKeys::any_of(first.root.iter().map(|key| key.id().clone()).collect()),
            targets: one(&first.targets),
            snapshot: one(&first.snapshot),
            timestamp: one(&first.timestamp),
        });
        self.root_dirty = true;
        self.can_sign(&RoleName::root())?;
        self.roles.insert(RoleName::targets(), Targets::new(0, Expiry::at(self.now)));
        self.touch(&RoleName::targets())?;
        self.note(Effect::Initialised);
        Ok(())
    }

    pub(super) fn rotate(&mut self, role: &RoleName, keys: &[Key]) -> Result<(), Reason> {
        let bad = |message: String| Err(Reason::new(Code::DctBadChange, message));
        let root = self.root()?;
        if role.is_delegation() {
            return bad(format!("{role} is a delegation: its keys are changed in the role above it"));
        }
        let (role_keys, _) = self.keys_of(role)?;
        let new: BTreeSet<&KeyId> = keys.iter().map(Key::id).collect();
        if role_keys.key_ids.iter().collect::<BTreeSet<_>>() == new {
            return Ok(());
        }
        let needed = usize::try_from(role_keys.threshold.get()).unwrap_or(usize::MAX);
        if new.len() < needed || new.is_empty() {
            return bad(format!("{role} needs at least {needed} keys, and {} are given", new.len()));
        }
        if *role == RoleName::root() {
            self.check_certificates(keys)?;
        }
        let mut changed = root.clone();
        replace_keys(&mut changed, role, role_keys.threshold, keys);
        self.touch_root()?;
        self.root = Some(changed);
        match role.as_str() {
            "root" => self.can_sign(role)?,
            "targets" => drop(self.touch(role)?),
            "snapshot" => self.snapshot_dirty = true,
            _ => {}
        }
        let keys = keys.iter().map(|key| key.id().clone()).collect();
        self.note(Effect::KeysRotated { role: role.clone(), keys });
        Ok(())
    }

    pub(super) fn witness(&mut self, role: &RoleName) -> Result<(), Reason> {
        self.root()?;
        match role.as_str() {
            "root" => self.touch_root()?,
            "snapshot" => {
                self.can_sign(role)?;
                self.snapshot_dirty = true;
            }
            "timestamp" => return Err(Reason::new(Code::DctBadChange, "the timestamp is signed by the server alone")),
            _ => self.witness_targets(role)?,
        }
        self.note(Effect::Renewed { role: role.clone() });
        Ok(())
    }

    pub(super) fn renew(&mut self, expiring_before: Timestamp) -> Result<(), Reason> {
        let root_ends = self.root()?.expires.time();
        let snapshot_ends = self.current.snapshot().map(|snapshot| snapshot.expires.time());
        let mut due: Vec<RoleName> = Vec::new();
        if root_ends < expiring_before {
            due.push(RoleName::root());
        }
        let ends = self.roles.iter().filter(|(_, content)| content.expires.time() < expiring_before);
        due.extend(ends.map(|(role, _)| role.clone()));
        // A snapshot whose key is not here is the server's, which renews it by itself.
        if snapshot_ends.is_some_and(|ends| ends < expiring_before) && self.can_sign(&RoleName::snapshot()).is_ok() {
            due.push(RoleName::snapshot());
        }
        for role in due {
            match self.can_sign(&role) {
                Ok(()) if self.dirty.contains(&role) => {}
                Ok(()) => self.witness(&role)?,
                Err(reason) => self.left.push(reason),
            }
        }
        Ok(())
    }

    /// Marks the root to be signed.
    pub(super) fn touch_root(&mut self) -> Result<(), Reason> {
        self.can_sign(&RoleName::root())?;
        if let (false, Some(files)) = (self.root_dirty, self.current.files()) {
            keep::check::<Root>(&RoleName::root(), &files.root)?;
        }
        self.root_dirty = true;
        Ok(())
    }

    fn witness_targets(&mut self, role: &RoleName) -> Result<(), Reason> {
        self.can_sign(role)?;
        if !self.roles.contains_key(role) {
            let unsigned = self.current.unsigned_role(role).ok_or_else(|| {
                Reason::new(Code::DctMissingFile, format!("{role} has no file yet: there is nothing to sign again"))
            })?;
            self.roles.insert(role.clone(), unsigned.clone());
        }
        self.touch(role).map(drop)
    }

    /// Notary accepts only certificates for this GUN as root keys.
    fn check_certificates(&self, keys: &[Key]) -> Result<(), Reason> {
        if keys.is_empty() {
            return Err(Reason::new(Code::DctBadChange, "a root needs at least one key"));
        }
        for key in keys {
            let checked = key.bundle().and_then(|bundle| {
                bundle.check_form(self.current.gun())?;
                bundle.check_time(self.now)
            });
            checked.map_err(|fault| Reason::new(Code::DctRootCertificate, format!("root key {}: {fault}", key.id())))?;
        }
        Ok(())
    }
}

/// Whether one of the root's keys is one of `keys`, whatever certificate it comes in.
fn same_root(root: &Root, keys: &[Key], gun: &str) -> Result<(), Reason> {
    let canonical = |key: &Key| key.canonical_id().ok();
    let given: BTreeSet<KeyId> = keys.iter().filter_map(canonical).collect();
    let there: Vec<KeyId> = root.root.key_ids.iter().filter_map(|id| root.keys.get(id)).filter_map(canonical).collect();
    if there.iter().any(|id| given.contains(id)) {
        return Ok(());
    }
    let list = |ids: &mut dyn Iterator<Item = &KeyId>| ids.map(KeyId::as_str).collect::<Vec<_>>().join(", ");
    let reason = Reason::new(Code::DctInitialised, format!("{gun} is initialised already, with another root key"));
    Err(reason.expected_found(list(&mut given.iter()), list(&mut there.iter())))
}

/// Gives a role other keys. Certificates of former root keys stay listed: clients use them to follow the rotation.
fn replace_keys(root: &mut Root, role: &RoleName, threshold: NonZeroU32, keys: &[Key]) {
    let new = RoleKeys { key_ids: keys.iter().map(|key| key.id().clone()).collect(), threshold };
    let old = match role.as_str() {
        "root" => std::mem::replace(&mut root.root, new),
        "targets" => std::mem::replace(&mut root.targets, new),
        "snapshot" => std::mem::replace(&mut root.snapshot, new),
        _ => std::mem::replace(&mut root.timestamp, new),
    };
    root.keys.extend(keys.iter().map(|key| (key.id().clone(), key.clone())));
    if *role != RoleName::root() {
        let used: BTreeSet<&KeyId> =
            [&root.root, &root.targets, &root.snapshot, &root.timestamp].into_iter().flat_map(|role| &role.key_ids).collect();
        root.keys.retain(|id, _| used.contains(id) || !old.key_ids.contains(id));
    }
}
