//! A collection while it is being changed.

use std::collections::{BTreeMap, BTreeSet};

use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use super::current::{Current, no_data};
use super::keep;
use super::keys::HeldKeys;
use super::upload::Effect;
use crate::key::{Key, KeyId};
use crate::metadata::envelope::KeyHolder;
use crate::metadata::root::Root;
use crate::metadata::targets::{Delegation, Targets};
use crate::metadata::{Expiry, RoleKeys};
use crate::role::RoleName;

/// What will be uploaded, as far as the changes applied until now say.
///
/// Versions and end dates stay as they are until the draft is sealed; a role that is in `dirty` gets new ones.
pub(super) struct Draft<'a> {
    pub(super) current: &'a Current,
    pub(super) keys: &'a HeldKeys<'a>,
    pub(super) now: Timestamp,
    pub(super) root: Option<Root>,
    pub(super) root_dirty: bool,
    pub(super) snapshot_dirty: bool,
    /// `targets` and the delegations that are reached.
    pub(super) roles: BTreeMap<RoleName, Targets>,
    pub(super) dirty: BTreeSet<RoleName>,
    /// What was done.
    pub(super) effects: Vec<Effect>,
    /// What was asked for and left undone because a key is not here.
    pub(super) left: Vec<Reason>,
    /// What the publisher should know.
    pub(super) remarks: Vec<Reason>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(current: &'a Current, keys: &'a HeldKeys<'a>, now: Timestamp) -> Self {
        Self {
            current,
            keys,
            now,
            root: current.root().cloned(),
            root_dirty: false,
            snapshot_dirty: false,
            roles: current.roles().map(|(role, targets)| (role.clone(), targets.clone())).collect(),
            dirty: BTreeSet::new(),
            effects: Vec::new(),
            left: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// The content of `targets` or a delegation, to be changed: it will be signed.
    ///
    /// A delegation that has no file, or none that its present keys signed, begins empty.
    pub(super) fn touch(&mut self, role: &RoleName) -> Result<&mut Targets, Reason> {
        self.can_sign(role)?;
        if !self.dirty.contains(role) {
            match (self.roles.get(role), self.current.bytes(role)) {
                (Some(_), Some(bytes)) => keep::check::<Targets>(role, bytes)?,
                (Some(_), None) => {}
                (None, _) => self.begin(role),
            }
            self.dirty.insert(role.clone());
        }
        self.roles.get_mut(role).ok_or_else(|| no_such_role(role))
    }

    /// Checks that enough keys of `role` are here to sign for it.
    pub(super) fn can_sign(&self, role: &RoleName) -> Result<(), Reason> {
        let (role_keys, keys) = self.keys_of(role)?;
        holders(role, role_keys, keys, self.keys).map(drop)
    }

    /// Whether any key of `role` is here.
    pub(super) fn holds_any(&self, role: &RoleName) -> bool {
        self.keys_of(role)
            .is_ok_and(|(role_keys, keys)| role_keys.key_ids.iter().filter_map(|id| keys.get(id)).any(|key| self.keys.holds(key)))
    }

    /// The keys of a role, and where they are listed.
    pub(super) fn keys_of(&self, role: &RoleName) -> Result<(&RoleKeys, &BTreeMap<KeyId, Key>), Reason> {
        let Some(parent) = role.parent() else {
            let root = self.root()?;
            let keys = match role.as_str() {
                "root" => &root.root,
                "targets" => &root.targets,
                "snapshot" => &root.snapshot,
                _ => &root.timestamp,
            };
            return Ok((keys, &root.keys));
        };
        let above = self.roles.get(&parent).ok_or_else(|| no_such_role(role))?;
        let delegation = find(above, role).ok_or_else(|| no_such_role(role))?;
        Ok((&delegation.keys, &above.delegations.keys))
    }

    pub(super) fn root(&self) -> Result<&Root, Reason> {
        self.root.as_ref().ok_or_else(|| no_data(self.current.gun()))
    }

    pub(super) fn delegation(&self, role: &RoleName) -> Option<&Delegation> {
        find(self.roles.get(&role.parent()?)?, role)
    }

    /// Every delegation that is reached, parents first, whether or not it has a file.
    pub(super) fn delegations(&self) -> Vec<RoleName> {
        let mut found = vec![RoleName::targets()];
        let mut next = 0;
        while let Some(role) = found.get(next) {
            next += 1;
            let below = self.roles.get(role).into_iter().flat_map(|targets| &targets.delegations.roles);
            let below: Vec<RoleName> = below.map(|delegation| delegation.name.clone()).collect();
            for role in below {
                // A name listed twice is one role; the first listing counts.
                if !found.contains(&role) {
                    found.push(role);
                }
            }
        }
        found.remove(0);
        found
    }

    /// The path prefixes that `role` may sign, by its own list and by those of the roles above it.
    pub(super) fn paths(&self, role: &RoleName) -> Vec<String> {
        let (Some(parent), Some(delegation)) = (role.parent(), self.delegation(role)) else { return vec![String::new()] };
        let above = self.paths(&parent);
        let allowed = |path: &&String| above.iter().any(|prefix| path.starts_with(prefix.as_str()));
        delegation.paths.iter().filter(allowed).cloned().collect()
    }

    pub(super) fn may_sign(&self, role: &RoleName, name: &str) -> bool {
        self.paths(role).iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// Takes a role, and all below it, out of what will be uploaded.
    pub(super) fn forget(&mut self, role: &RoleName) {
        let below = format!("{role}/");
        let gone = |name: &RoleName| name == role || name.as_str().starts_with(&below);
        self.roles.retain(|name, _| !gone(name));
        self.dirty.retain(|name| !gone(name));
    }

    /// Notes an effect, once.
    pub(super) fn note(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    fn begin(&mut self, role: &RoleName) {
        if let Some(unsigned) = self.current.unsigned_role(role) {
            let count = unsigned.targets.len();
            let message = format!(
                "{role} has an older file that does not count here (removed role, or other keys); its {count} entries were not \
                 taken over into the new one"
            );
            self.remarks.push(Reason::new(Code::DctBadSignature, message));
        }
        self.roles.insert(role.clone(), Targets::new(0, Expiry::at(self.now)));
    }
}

/// The holders of `role_keys` that are here: as many as the threshold asks for, or the reason why not.
pub(super) fn holders<'b>(
    role: &RoleName,
    role_keys: &RoleKeys,
    keys: &'b BTreeMap<KeyId, Key>,
    held: &HeldKeys<'b>,
) -> Result<Vec<KeyHolder<'b>>, Reason> {
    let listed: BTreeSet<&KeyId> = role_keys.key_ids.iter().collect();
    let keys: Vec<&Key> = listed.into_iter().filter_map(|id| keys.get(id)).collect();
    let here: Vec<KeyHolder<'b>> = keys.iter().filter_map(|key| held.holder(key)).collect();
    let needed = usize::try_from(role_keys.threshold.get()).unwrap_or(usize::MAX);
    // A key that is listed bare and in a certificate is one key.
    let distinct = here.iter().map(|holder| holder.signer.public_key().fingerprint()).collect::<BTreeSet<String>>().len();
    if distinct >= needed {
        return Ok(here);
    }
    let ids: Vec<String> = keys.iter().map(|key| key.canonical_id().unwrap_or_else(|_| key.id().clone()).to_string()).collect();
    let expected = match needed {
        1 => format!("one of {}", ids.join(", ")),
        needed => format!("{needed} of {}", ids.join(", ")),
    };
    let message = format!("{role} cannot be signed: the private half of its key is not here");
    Err(Reason::new(Code::DctKeyNeeded, message).expected_found(expected, format!("{distinct} of them")))
}

pub(super) fn no_such_role(role: &RoleName) -> Reason {
    Reason::new(Code::DctRoleMissing, format!("the collection has no role {role}"))
}

fn find<'b>(above: &'b Targets, role: &RoleName) -> Option<&'b Delegation> {
    above.delegations.roles.iter().find(|delegation| delegation.name == *role)
}
