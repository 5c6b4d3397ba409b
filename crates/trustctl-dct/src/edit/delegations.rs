//! Signers and delegations: who may sign what.

use std::collections::BTreeSet;

use trustctl_core::reason::{Code, Reason};

use super::change::Delegate;
use super::draft::Draft;
use super::upload::Effect;
use crate::key::{Key, KeyId};
use crate::metadata::targets::{Delegation, Delegations};
use crate::metadata::{MAX_KEYS, RoleKeys};
use crate::role::RoleName;

impl Draft<'_> {
    pub(super) fn add_signer(&mut self, name: &str, keys: &[Key]) -> Result<(), Reason> {
        let role = signer_role(name)?;
        self.root()?;
        if keys.is_empty() {
            return Err(bad_change(format!("the signer {name} needs at least one key")));
        }
        for role in [role, RoleName::releases()] {
            self.delegate(&Delegate::to(role).adding(keys.to_vec(), &[""]))?;
        }
        Ok(())
    }

    pub(super) fn remove_signer(&mut self, name: &str) -> Result<(), Reason> {
        let role = signer_role(name)?;
        self.root()?;
        let Some(delegation) = self.delegation(&role).cloned() else { return Ok(()) };
        self.remove_delegation(&role)?;
        let others: BTreeSet<KeyId> = self.signers_keys();
        let remove_keys = delegation.keys.key_ids.into_iter().filter(|id| !others.contains(id)).collect();
        self.delegate(&Delegate { remove_keys, ..Delegate::to(RoleName::releases()) })
    }

    pub(super) fn delegate(&mut self, change: &Delegate) -> Result<(), Reason> {
        self.root()?;
        let Some(parent) = change.role.parent() else {
            return Err(bad_change(format!("{} is not a delegation", change.role)));
        };
        for key in &change.add_keys {
            key.public_key().map_err(|error| bad_change(format!("key {} cannot sign: {error}", key.id())))?;
        }
        let existing = self.delegation(&change.role);
        if existing.is_none() && change.add_keys.is_empty() {
            let removes_only = change.add_paths.is_empty();
            return if removes_only { Ok(()) } else { Err(super::draft::no_such_role(&change.role)) };
        }
        let mut changed = existing.cloned().unwrap_or_else(|| new_delegation(&change.role));
        let removed = self.listed_ids(&parent, &change.remove_keys);
        edit(&mut changed, change, &removed);
        if existing == Some(&changed) {
            return Ok(());
        }
        self.check_paths(&parent, change)?;
        if changed.keys.key_ids.is_empty() {
            return self.remove_delegation(&change.role);
        }
        self.put_delegation(&parent, changed, &change.add_keys)
    }

    pub(super) fn remove_delegation(&mut self, role: &RoleName) -> Result<(), Reason> {
        self.root()?;
        let Some(parent) = role.parent() else { return Err(bad_change(format!("{role} is not a delegation"))) };
        if self.delegation(role).is_none() {
            return Ok(());
        }
        let delegations = &mut self.touch(&parent)?.delegations;
        delegations.roles.retain(|delegation| delegation.name != *role);
        drop_unused_keys(delegations);
        let lost = self.roles.get(role).map_or(0, |content| content.targets.len());
        self.forget(role);
        if *role == RoleName::releases() && lost > 0 {
            let message =
                format!("{role} is removed with {lost} signed tags: docker pull sees what targets signs, and nothing else");
            self.remarks.push(Reason::new(Code::DctRoleMissing, message));
        }
        self.note(Effect::RoleRemoved { role: role.clone() });
        Ok(())
    }

    pub(super) fn purge_keys(&mut self, keys: &[KeyId]) -> Result<(), Reason> {
        self.root()?;
        for role in self.delegations() {
            // A role above may have been removed a moment ago for want of keys, and this one with it.
            if self.delegation(&role).is_some() {
                self.delegate(&Delegate { remove_keys: keys.to_vec(), ..Delegate::to(role) })?;
            }
        }
        Ok(())
    }

    /// Those of the keys listed in `parent` that `ids` name, by TUF or canonical id.
    fn listed_ids(&self, parent: &RoleName, ids: &[KeyId]) -> BTreeSet<KeyId> {
        let listed = self.roles.get(parent).into_iter().flat_map(|targets| targets.delegations.keys.values());
        let named = |key: &&Key| ids.contains(key.id()) || key.canonical_id().is_ok_and(|id| ids.contains(&id));
        listed.filter(named).map(|key| key.id().clone()).collect()
    }

    /// The keys of all signers' own roles.
    fn signers_keys(&self) -> BTreeSet<KeyId> {
        let top = self.roles.get(&RoleName::targets());
        let roles = top.into_iter().flat_map(|targets| &targets.delegations.roles);
        let signers = roles.filter(|delegation| delegation.name.signer().is_some());
        signers.flat_map(|delegation| delegation.keys.key_ids.iter().cloned()).collect()
    }

    fn put_delegation(&mut self, parent: &RoleName, delegation: Delegation, add_keys: &[Key]) -> Result<(), Reason> {
        let role = delegation.name.clone();
        let delegations = &mut self.touch(parent)?.delegations;
        delegations.keys.extend(add_keys.iter().map(|key| (key.id().clone(), key.clone())));
        match delegations.roles.iter_mut().find(|listed| listed.name == role) {
            Some(listed) => *listed = delegation,
            None => delegations.roles.push(delegation),
        }
        drop_unused_keys(delegations);
        let (here, needed) = count(delegations, &role);
        if delegations.keys.len() > MAX_KEYS || delegations.roles.len() > MAX_KEYS {
            return Err(bad_change(format!("{parent} cannot have more than {MAX_KEYS} keys or delegations")));
        }
        if here < needed {
            let message =
                format!("{role} has {here} keys and needs {needed} signatures: nobody can sign for it until keys are added");
            self.remarks.push(Reason::new(Code::DctKeyNeeded, message));
        }
        self.note(Effect::RoleChanged { role });
        Ok(())
    }

    /// Paths that are added must lie within those of the role above, or they would never count.
    fn check_paths(&self, parent: &RoleName, change: &Delegate) -> Result<(), Reason> {
        let above = self.paths(parent);
        for path in &change.add_paths {
            if !above.iter().any(|prefix| path.starts_with(prefix.as_str())) {
                let reason =
                    bad_change(format!("{} cannot have the path \"{path}\": {parent} itself may not sign it", change.role));
                return Err(reason.expected_found(format!("a path within those of {parent}: {}", above.join(", ")), path));
            }
        }
        Ok(())
    }
}

/// The role of a signer.
pub(super) fn signer_role(name: &str) -> Result<RoleName, Reason> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let role: Option<RoleName> = format!("targets/{name}").parse().ok();
    match role {
        Some(role) if first && role.signer() == Some(name) => Ok(role),
        _ => {
            let reason = bad_change(format!("\"{name}\" cannot be the name of a signer"));
            Err(reason.expected_found("a-z, 0-9, - and _, starting with a letter or digit; not \"releases\"", name))
        }
    }
}

fn new_delegation(role: &RoleName) -> Delegation {
    Delegation { name: role.clone(), keys: RoleKeys::any_of(Vec::new()), paths: Vec::new() }
}

fn edit(delegation: &mut Delegation, change: &Delegate, removed: &BTreeSet<KeyId>) {
    let ids = &mut delegation.keys.key_ids;
    ids.retain(|id| !removed.contains(id));
    for key in &change.add_keys {
        if !ids.contains(key.id()) {
            ids.push(key.id().clone());
        }
    }
    let paths = &mut delegation.paths;
    paths.retain(|path| !change.clear_paths && !change.remove_paths.contains(path));
    for path in &change.add_paths {
        if !paths.contains(path) {
            paths.push(path.clone());
        }
    }
}

/// How many keys a delegation has, and how many it needs.
fn count(delegations: &Delegations, role: &RoleName) -> (usize, usize) {
    let listed = delegations.roles.iter().find(|delegation| delegation.name == *role);
    listed.map_or((0, 0), |delegation| {
        (delegation.keys.key_ids.len(), usize::try_from(delegation.keys.threshold.get()).unwrap_or(usize::MAX))
    })
}

fn drop_unused_keys(delegations: &mut Delegations) {
    let used: BTreeSet<KeyId> = delegations.roles.iter().flat_map(|role| role.keys.key_ids.iter().cloned()).collect();
    delegations.keys.retain(|id, _| used.contains(id));
}

fn bad_change(message: String) -> Reason {
    Reason::new(Code::DctBadChange, message)
}
