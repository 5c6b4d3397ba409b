//! The files of a collection as the server's checks load them: root, then targets and delegations, then the snapshot.
//!
//! The rules and their order are those of Notary's server (`tuf/builder.go`, `trustpinning/certs.go`), so that what it refuses is refused
//! here. The timestamp is never loaded: the server makes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::time::Timestamp;
use trustctl_dct::key::{Key, KeyId};
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::targets::Targets;
use trustctl_dct::metadata::{Document, FileMeta, RoleKeys};
use trustctl_dct::role::RoleName;

/// Whether a file may have expired: stored ones may, uploaded ones may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    Allowed,
    Refused,
}

/// The files loaded so far.
#[derive(Debug)]
pub(crate) struct Loaded<'a> {
    gun: &'a str,
    now: Timestamp,
    pub(crate) root: Option<File<Root>>,
    pub(crate) targets: BTreeMap<RoleName, File<Targets>>,
}

/// A file and what it says.
#[derive(Debug)]
pub(crate) struct File<D> {
    pub(crate) document: D,
    bytes: Bytes,
    as_written: Bytes,
}

impl<D: Document> File<D> {
    fn parse(bytes: &Bytes) -> Result<(Self, Envelope), String> {
        let envelope = Envelope::parse(bytes).map_err(|error| error.to_string())?;
        let document = D::from_signed(envelope.signed()).map_err(|error| error.to_string())?;
        let as_written = Envelope::seal(&document.to_signed(), envelope.signatures()).into();
        Ok((Self { document, bytes: bytes.clone(), as_written }, envelope))
    }

    /// What a parent made by the server says about the file: Notary hashes it as its own encoder would write it, not as it was uploaded. Whoever
    /// uploads other bytes (another member order, members it does not know) gets a collection that no client accepts.
    pub(crate) fn meta(&self) -> FileMeta {
        FileMeta::of(&self.as_written)
    }
}

impl<'a> Loaded<'a> {
    pub(crate) fn new(gun: &'a str, now: Timestamp) -> Self {
        Self { gun, now, root: None, targets: BTreeMap::new() }
    }

    /// Loads a root, signed by the keys of `previous` too if there is one, and at least of version `minimum`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn load_root(
        &mut self,
        bytes: &Bytes,
        previous: Option<&Root>,
        minimum: u64,
        expired: Expired,
    ) -> Result<(), String> {
        let (file, envelope) = File::<Root>::parse(bytes)?;
        let root = &file.document;
        let acceptable =
            |id: &&KeyId| self.certificate_names_gun(root.keys.get(id)) && self.certificate_is_current(root.keys.get(id));
        let valid: Vec<KeyId> = root.root.key_ids.iter().filter(acceptable).cloned().collect();
        if valid.is_empty() {
            return Err("could not validate the path to a trusted root: unable to retrieve valid leaf certificates".to_owned());
        }
        if let Some(previous) = previous {
            let trusted = previous.root.key_ids.iter().filter(|id| self.certificate_names_gun(previous.keys.get(id)));
            let role = RoleKeys { key_ids: trusted.cloned().collect(), threshold: previous.root.threshold };
            envelope.verify(&role, &previous.keys).map_err(|_| {
                "could not rotate trust to a new trusted root: failed to validate data with current trusted certificates"
                    .to_owned()
            })?;
        }
        let role = RoleKeys { key_ids: valid, threshold: root.root.threshold };
        envelope
            .verify(&role, &root.keys)
            .map_err(|_| "could not validate the path to a trusted root: failed to validate integrity of roots".to_owned())?;
        self.check_common(&RoleName::root(), &file, minimum, expired)?;
        self.root = Some(file);
        Ok(())
    }

    /// Loads the targets file or a delegation, signed by the keys its loaded parent names.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn load_targets(&mut self, role: &RoleName, bytes: &Bytes, expired: Expired) -> Result<(), String> {
        let root = self.root.as_ref().ok_or("tuf: root must be loaded first")?;
        let (keys, known) = match role.parent() {
            None => (&root.document.targets, &root.document.keys),
            Some(parent) => self.delegated(role, &parent)?,
        };
        let (file, envelope) = File::<Targets>::parse(bytes)?;
        check_signatures(role, &envelope, keys, known)?;
        file.document.check_place(role).map_err(|error| error.to_string())?;
        self.check_common(role, &file, 1, expired)?;
        self.targets.insert(role.clone(), file);
        Ok(())
    }

    /// Checks a snapshot against its keys and against everything loaded.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn load_snapshot(&self, bytes: &Bytes) -> Result<File<Snapshot>, String> {
        let root = self.root.as_ref().ok_or("tuf: root must be loaded first")?;
        let (file, envelope) = File::<Snapshot>::parse(bytes)?;
        check_signatures(&RoleName::snapshot(), &envelope, &root.document.snapshot, &root.document.keys)?;
        self.check_common(&RoleName::snapshot(), &file, 1, Expired::Refused)?;
        check_hashes(&RoleName::root(), Some(&file.document.root), &root.bytes)?;
        for (role, targets) in &self.targets {
            let meta = if role.is_delegation() { file.document.delegations.get(role) } else { Some(&file.document.targets) };
            check_hashes(role, meta, &targets.bytes)?;
        }
        Ok(file)
    }

    fn delegated(&self, role: &RoleName, parent: &RoleName) -> Result<(&RoleKeys, &BTreeMap<KeyId, Key>), String> {
        let no_such_role = || format!("tuf: invalid role {role}. delegation does not exist");
        let parent = self.targets.get(parent).ok_or_else(no_such_role)?;
        let delegations = &parent.document.delegations;
        let delegation = delegations.roles.iter().find(|delegation| delegation.name == *role).ok_or_else(no_such_role)?;
        Ok((&delegation.keys, &delegations.keys))
    }

    fn check_common<D: Document>(&self, role: &RoleName, file: &File<D>, minimum: u64, expired: Expired) -> Result<(), String> {
        let (version, ends) = (file.document.version(), file.document.expires());
        if version < minimum {
            return Err(format!("version {version} is lower than current version {minimum}"));
        }
        if expired == Expired::Refused && ends.time() < self.now {
            return Err(format!("{role} expired at {ends}"));
        }
        Ok(())
    }

    fn certificate_names_gun(&self, key: Option<&Key>) -> bool {
        key.is_some_and(|key| key.bundle().is_ok_and(|bundle| bundle.check_form(self.gun).is_ok()))
    }

    fn certificate_is_current(&self, key: Option<&Key>) -> bool {
        key.is_some_and(|key| key.bundle().is_ok_and(|bundle| bundle.check_time(self.now).is_ok()))
    }
}

fn check_signatures(role: &RoleName, envelope: &Envelope, keys: &RoleKeys, known: &BTreeMap<KeyId, Key>) -> Result<(), String> {
    envelope.verify(keys, known).map(drop).map_err(|_| format!("valid signatures did not meet threshold for {role}"))
}

/// Hashes only: a wrong length in a snapshot passes Notary's server.
fn check_hashes(role: &RoleName, meta: Option<&FileMeta>, bytes: &Bytes) -> Result<(), String> {
    let meta = meta.ok_or_else(|| format!("{role}: no checksum in the snapshot"))?;
    let sha512_differs = meta.sha512.is_some_and(|expected| Digest::of(DigestAlgorithm::Sha512, bytes) != expected);
    if Digest::sha256_of(bytes) != meta.sha256 || sha512_differs {
        return Err(format!("sha256 checksum for {role} did not match: expected {}", meta.sha256.hex()));
    }
    Ok(())
}
