//! From a draft to signed files.

use std::collections::BTreeMap;
use std::time::Duration;

use trustctl_core::reason::{Code, Reason};
use trustctl_core::signer::SignError;

use super::current::signed_content;
use super::draft::{Draft, holders};
use super::root::default_expiry;
use super::upload::{Effect, Upload};
use crate::canonical_json::Value;
use crate::metadata::envelope::{Envelope, KeyHolder};
use crate::metadata::snapshot::Snapshot;
use crate::metadata::{Document as _, Expiry, FileMeta};
use crate::role::RoleName;

/// A root that ends sooner than this is signed again whenever something else is (Notary: six months).
const SOON: Duration = Duration::from_secs(182 * 24 * 3600);

impl Draft<'_> {
    /// The files to upload: everything that was changed, under a new version, an end date and signatures.
    pub(super) fn seal(mut self) -> Result<Upload, Reason> {
        if self.root.is_some() {
            self.mend()?;
            self.look_ahead()?;
        }
        let mut files = Vec::new();
        if self.root_dirty {
            files.push((RoleName::root(), self.seal_root()?));
        }
        let mut roles: Vec<RoleName> = self.dirty.iter().cloned().collect();
        roles.sort_by_key(|role| role.as_str().matches('/').count());
        for role in roles {
            let bytes = self.seal_targets(&role)?;
            files.push((role, bytes));
        }
        if (self.snapshot_dirty || !files.is_empty())
            && let Some(bytes) = self.seal_snapshot(&files)?
        {
            files.push((RoleName::snapshot(), bytes));
        }
        Ok(Upload { files, effects: self.effects, left: self.left, remarks: self.remarks })
    }

    /// Brings delegations whose keys have changed, and whose file these keys did not sign, back to life: signs them again when
    /// the key is here, and says so when it is not.
    fn mend(&mut self) -> Result<(), Reason> {
        for role in self.delegations() {
            let Some(bytes) = self.current.bytes(&role).filter(|_| !self.dirty.contains(&role)) else { continue };
            let (role_keys, keys) = self.keys_of(&role)?;
            let signed = signed_content(bytes, &role, role_keys, keys);
            match (signed, self.roles.contains_key(&role)) {
                (Some(_), true) | (None, false) => {}
                (Some(content), false) => {
                    let count = content.targets.len();
                    let message = format!("{role} has an older file signed by these keys: its {count} entries count again");
                    self.remarks.push(Reason::new(Code::DctRoleConflict, message));
                    self.roles.insert(role, content);
                }
                (None, true) => match self.touch(&role).map(drop) {
                    Ok(()) => self.note(Effect::Renewed { role }),
                    Err(reason) => {
                        let message = format!("readers will skip {role} until a holder of its key signs it again (witness)");
                        self.remarks.push(Reason { message, ..reason });
                        self.roles.remove(&role);
                    }
                },
            }
        }
        Ok(())
    }

    /// Signs the root as well when it is near its end, and tells what else is.
    fn look_ahead(&mut self) -> Result<(), Reason> {
        let changes = !self.dirty.is_empty() || self.snapshot_dirty;
        let soon = self.now.saturating_add(SOON);
        let root_ends = self.root()?.expires.time();
        if !self.root_dirty && root_ends < soon {
            if changes && self.touch_root().is_ok() {
                self.note(Effect::Renewed { role: RoleName::root() });
            } else {
                self.remarks.push(ends_soon(&RoleName::root(), root_ends));
            }
        }
        for (role, content) in &self.roles {
            let ends = content.expires.time();
            if !self.dirty.contains(role) && ends < soon {
                self.remarks.push(ends_soon(role, ends));
            }
        }
        let root = self.root()?;
        let certificates = root.root.key_ids.iter().filter_map(|id| root.keys.get(id)?.bundle().ok()?.end().ok());
        if let Some(end) = certificates.max().filter(|end| *end < soon) {
            let message = format!("the root key's certificate ends at {end}: rotate the root key before, or nobody can follow");
            self.remarks.push(Reason::new(Code::DctExpiresSoon, message));
        }
        Ok(())
    }

    /// Signed by the new root's keys and, when these have changed, by those of the root before.
    fn seal_root(&mut self) -> Result<Vec<u8>, Reason> {
        let role = RoleName::root();
        let mut root = self.root()?.clone();
        root.version = self.current.version(&role).saturating_add(1);
        root.expires = Expiry::at(default_expiry(&role, self.now));
        let mut signing = BTreeMap::new();
        let before = self.current.root().filter(|before| before.root != root.root);
        for document in before.into_iter().chain([&root]) {
            for holder in holders(&role, &document.root, &document.keys, self.keys)? {
                signing.insert(holder.key.id().clone(), holder);
            }
        }
        let signing: Vec<KeyHolder<'_>> = signing.into_values().collect();
        sign(&role, &root.to_signed(), &signing)
    }

    fn seal_targets(&mut self, role: &RoleName) -> Result<Vec<u8>, Reason> {
        let (role_keys, keys) = self.keys_of(role)?;
        let signing = holders(role, role_keys, keys, self.keys)?;
        let mut content = self.roles.get(role).cloned().ok_or_else(|| super::draft::no_such_role(role))?;
        content.version = self.current.version(role).saturating_add(1);
        content.expires = Expiry::at(default_expiry(role, self.now));
        sign(role, &content.to_signed(), &signing)
    }

    /// The snapshot over what is there after the upload; `None` when its key is not here, for then it is the server's.
    fn seal_snapshot(&self, files: &[(RoleName, Vec<u8>)]) -> Result<Option<Vec<u8>>, Reason> {
        let role = RoleName::snapshot();
        let (role_keys, keys) = self.keys_of(&role)?;
        let signing = match holders(&role, role_keys, keys, self.keys) {
            Ok(signing) => signing,
            Err(_) if !self.holds_any(&role) => return Ok(None),
            Err(reason) => return Err(reason),
        };
        if self.current.root().is_some() && self.current.snapshot().is_none() {
            return Err(Reason::new(Code::DctMissingFile, "the snapshot is signed here, and its present file was not read"));
        }
        let new = |role: &RoleName| files.iter().find(|(name, _)| name == role).map(|(_, bytes)| bytes.as_slice());
        let old_root = self.current.files().map(|files| files.root.as_slice());
        let missing = |role: &str| Reason::new(Code::DctMissingFile, format!("there is no {role} to put into the snapshot"));
        let targets = RoleName::targets();
        let mut delegations = BTreeMap::new();
        for role in self.delegations() {
            if let Some(bytes) = new(&role).or_else(|| self.current.bytes(&role)) {
                delegations.insert(role, FileMeta::of(bytes));
            }
        }
        let snapshot = Snapshot {
            version: self.current.version(&role).saturating_add(1),
            expires: Expiry::at(default_expiry(&role, self.now)),
            root: FileMeta::of(new(&RoleName::root()).or(old_root).ok_or_else(|| missing("root"))?),
            targets: FileMeta::of(new(&targets).or_else(|| self.current.bytes(&targets)).ok_or_else(|| missing("targets"))?),
            delegations,
        };
        sign(&role, &snapshot.to_signed(), &signing).map(Some)
    }
}

fn sign(role: &RoleName, document: &Value, holders: &[KeyHolder<'_>]) -> Result<Vec<u8>, Reason> {
    Envelope::sign(document, holders).map_err(|error| {
        let code = match error {
            SignError::Unsupported { .. } => Code::KeyUnsupported,
            _ => Code::KeySigningFailed,
        };
        Reason::new(code, format!("{role} was not signed: {error}"))
    })
}

fn ends_soon(role: &RoleName, ends: trustctl_core::time::Timestamp) -> Reason {
    Reason::new(Code::DctExpiresSoon, format!("{role} ends at {ends}"))
}
