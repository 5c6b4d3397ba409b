//! What is there before a change: the files of a collection, checked against each other's keys.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trustctl_core::reason::{Code, Reason};

use super::change::Change;
use super::upload::Upload;
use crate::collection::{Collection, RoleFile};
use crate::error::DctError;
use crate::key::{Key, KeyId};
use crate::metadata::envelope::Envelope;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::Targets;
use crate::metadata::{Document, RoleKeys};
use crate::role::RoleName;

/// The files of a collection, byte for byte as the server has them.
///
/// The publisher has verified them as a reader would: the root is anchored, nothing is older than what was seen before. Files
/// that have expired belong here all the same, for renewing them is an edit; so do files of delegations that are not signed by
/// the role's present keys, and those to which no delegation leads any more ([`Current::roles_to_read`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Files {
    /// `root.json`.
    pub root: Vec<u8>,
    /// `targets.json`.
    pub targets: Vec<u8>,
    /// `snapshot.json`. It tells which delegations have files, so leave it out only where none exists yet.
    pub snapshot: Option<Vec<u8>>,
    /// The files of delegations, by role.
    pub delegations: BTreeMap<RoleName, Vec<u8>>,
}

impl Files {
    /// A collection of these two files.
    #[must_use]
    pub fn new(root: Vec<u8>, targets: Vec<u8>) -> Self {
        Self { root, targets, ..Self::default() }
    }
}

impl From<&Collection> for Files {
    /// The files that were verified. Those of broken roles are not among them; see [`Current::roles_to_read`].
    fn from(collection: &Collection) -> Self {
        let mut files = Self::new(collection.root.bytes.clone(), Vec::new());
        files.snapshot = Some(collection.snapshot.bytes.clone());
        for role in &collection.roles {
            if let RoleFile::Good(signed) = &role.file {
                if role.name == RoleName::targets() {
                    files.targets.clone_from(&signed.bytes);
                } else {
                    files.delegations.insert(role.name.clone(), signed.bytes.clone());
                }
            }
        }
        files
    }
}

/// The state of a collection that a change is applied to.
#[derive(Clone, Debug)]
pub struct Current {
    gun: String,
    files: Option<Files>,
    root: Option<Root>,
    snapshot: Option<Snapshot>,
    /// `targets`, and every delegation that is reached and signed by its present keys.
    roles: BTreeMap<RoleName, Targets>,
    /// Files of delegations that no key of the role signed, or that no delegation leads to.
    unsigned: BTreeMap<RoleName, Targets>,
}

impl Current {
    /// A repository without any trust data. `gun` is its full name, as in `docker.io/library/alpine`.
    #[must_use]
    pub fn virgin(gun: &str) -> Self {
        Self { gun: gun.to_owned(), files: None, root: None, snapshot: None, roles: BTreeMap::new(), unsigned: BTreeMap::new() }
    }

    /// The state that these files hold. Signatures are checked again, down from the root's own; dates and pins are not.
    ///
    /// # Errors
    /// A [`Reason`] when root or targets cannot be read or are not signed by their keys, when the snapshot cannot be read, and
    /// `DctMissingFile` when the snapshot names the file of a delegation and it is not here: whoever edits without having read
    /// everything could drop it, or claim that it holds nothing. A delegation's file with a fault is no error, as for readers:
    /// its content does not count.
    pub fn open(gun: &str, files: Files) -> Result<Self, Reason> {
        let (root, envelope) = read::<Root>(&files.root).map_err(|error| error.reason("root"))?;
        envelope.verify(&root.root, &root.keys).map_err(|error| error.reason("root"))?;
        let (targets, envelope) = read::<Targets>(&files.targets).map_err(|error| error.reason("targets"))?;
        envelope.verify(&root.targets, &root.keys).map_err(|error| error.reason("targets"))?;
        targets.check_place(&RoleName::targets()).map_err(|error| error.reason("targets"))?;
        // A snapshot is signed by the key it was made under: after a rotation the old file stays until the next upload.
        let snapshot = files.snapshot.as_deref().map(read::<Snapshot>).transpose();
        let snapshot = snapshot.map_err(|error| error.reason("snapshot"))?.map(|(snapshot, _)| snapshot);
        let mut current = Self { root: Some(root), snapshot, ..Self::virgin(gun) };
        current.roles.insert(RoleName::targets(), targets);
        current.walk(&files)?;
        current.files = Some(files);
        Ok(current)
    }

    /// The state after `upload` was accepted, as far as this publisher knows it: without what the server signs.
    ///
    /// # Errors
    /// See [`Current::open`].
    pub fn after(&self, upload: &Upload) -> Result<Self, Reason> {
        let mut files = self.files.clone().unwrap_or_default();
        for (role, bytes) in upload.files() {
            let bytes = bytes.clone();
            match role.as_str() {
                "root" => files.root = bytes,
                "targets" => files.targets = bytes,
                "snapshot" => files.snapshot = Some(bytes),
                _ => drop(files.delegations.insert(role.clone(), bytes)),
            }
        }
        Self::open(&self.gun, files)
    }

    /// The repository's full name.
    #[must_use]
    pub fn gun(&self) -> &str {
        &self.gun
    }

    /// The root; `None` when the repository has no trust data.
    #[must_use]
    pub fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// The content of `targets` or of a delegation; `None` when it has no file that its present keys signed.
    #[must_use]
    pub fn role(&self, role: &RoleName) -> Option<&Targets> {
        self.roles.get(role)
    }

    /// `targets` and every delegation that is reached and signed by its present keys, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&RoleName, &Targets)> {
        self.roles.iter()
    }

    /// The file of a delegation that its present keys did not sign. Readers skip it; [`Change::Witness`] takes it over.
    #[must_use]
    pub fn unsigned_role(&self, role: &RoleName) -> Option<&Targets> {
        self.unsigned.get(role)
    }

    /// Delegations whose files should be read, if the server has them, before `changes` are applied, whether or not a delegation
    /// leads there now: those the changes make or name.
    ///
    /// A server keeps the file of a removed delegation, and refuses a new one whose version is not higher.
    #[must_use]
    pub fn roles_to_read(changes: &[Change]) -> BTreeSet<RoleName> {
        let mut roles = BTreeSet::new();
        for change in changes {
            match change {
                Change::AddSigner { name, .. } => {
                    roles.insert(RoleName::releases());
                    roles.extend(format!("targets/{name}").parse::<RoleName>());
                }
                Change::Delegate(change) => drop(roles.insert(change.role.clone())),
                Change::Witness { role } if role.is_delegation() => drop(roles.insert(role.clone())),
                _ => {}
            }
        }
        roles
    }

    /// The reason to report when the server refuses an upload that left the snapshot to it, because it does not hold the key
    /// either (`ErrBadHierarchy`, missing `snapshot`): metadata does not tell who holds a key.
    #[must_use]
    pub fn snapshot_key_needed(&self) -> Reason {
        let listed = self.root.iter().flat_map(|root| root.snapshot.key_ids.iter().filter_map(|id| root.keys.get(id)));
        let ids: Vec<String> = listed.filter_map(|key| key.canonical_id().ok()).map(|id| id.to_string()).collect();
        let reason =
            Reason::new(Code::DctKeyNeeded, "snapshot cannot be signed: neither this program nor the server holds its key");
        reason.expected_found(format!("one of {}", ids.join(", ")), "no such key")
    }

    pub(super) fn files(&self) -> Option<&Files> {
        self.files.as_ref()
    }

    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// The version the server has of a file, or 0.
    pub(super) fn version(&self, role: &RoleName) -> u64 {
        match role.as_str() {
            "root" => self.root.as_ref().map_or(0, |root| root.version),
            "snapshot" => self.snapshot.as_ref().map_or(0, |snapshot| snapshot.version),
            _ => self.roles.get(role).or_else(|| self.unsigned.get(role)).map_or(0, |targets| targets.version),
        }
    }

    /// The bytes the server has of `targets` or a delegation.
    pub(super) fn bytes(&self, role: &RoleName) -> Option<&[u8]> {
        let files = self.files.as_ref()?;
        if *role == RoleName::targets() { Some(&files.targets) } else { files.delegations.get(role).map(Vec::as_slice) }
    }

    /// Sorts the delegations' files into those that count and those that do not, parents first.
    fn walk(&mut self, files: &Files) -> Result<(), Reason> {
        let mut parents = VecDeque::from([RoleName::targets()]);
        while let Some(parent) = parents.pop_front() {
            let Some(targets) = self.roles.get(&parent) else { continue };
            let mut signed = Vec::new();
            for delegation in &targets.delegations.roles {
                let Some(bytes) = files.delegations.get(&delegation.name) else {
                    self.check_unpublished(&delegation.name)?;
                    continue;
                };
                if let Some(content) = signed_content(bytes, &delegation.name, &delegation.keys, &targets.delegations.keys) {
                    signed.push((delegation.name.clone(), content));
                }
            }
            for (role, content) in signed {
                parents.push_back(role.clone());
                self.roles.entry(role).or_insert(content);
            }
        }
        for (role, bytes) in &files.delegations {
            if !self.roles.contains_key(role)
                && let Ok((content, _)) = read::<Targets>(bytes)
                && content.check_place(role).is_ok()
            {
                self.unsigned.insert(role.clone(), content);
            }
        }
        Ok(())
    }

    fn check_unpublished(&self, role: &RoleName) -> Result<(), Reason> {
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.delegations.contains_key(role)) {
            return Err(Reason::new(Code::DctMissingFile, format!("the file of {role} was not read, and the snapshot names it")));
        }
        Ok(())
    }
}

/// The document in `bytes`, with the envelope it came in.
pub(super) fn read<T: Document>(bytes: &[u8]) -> Result<(T, Envelope), DctError> {
    let envelope = Envelope::parse(bytes)?;
    Ok((T::from_signed(envelope.signed())?, envelope))
}

/// The content of a delegation's file when it is readable and signed by the role's keys.
pub(super) fn signed_content(
    bytes: &[u8],
    role: &RoleName,
    role_keys: &RoleKeys,
    keys: &BTreeMap<KeyId, Key>,
) -> Option<Targets> {
    let (content, envelope) = read::<Targets>(bytes).ok()?;
    content.check_place(role).ok()?;
    envelope.verify(role_keys, keys).ok()?;
    Some(content)
}

/// The reason for a change to a repository that has no trust data.
pub(super) fn no_data(gun: &str) -> Reason {
    Reason::new(Code::DctNoData, format!("{gun} has no trust data yet; it has to be initialised first"))
}
