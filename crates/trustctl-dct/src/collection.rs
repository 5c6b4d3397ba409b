//! A collection as it was read: who signs what. For judging one image, and for showing all of it.
//!
//! Everything in a [`Collection`] hangs together by signatures and hashes from its root downwards. Whether that root is one to
//! believe, and whether everything is still valid, is told by the [`crate::reading::Reading`] it comes in.

use std::collections::{BTreeMap, BTreeSet};

use trustctl_core::digest::Digest;
use trustctl_core::reason::Reason;
use trustctl_core::reference::Repository;
use trustctl_core::time::Timestamp as Time;

use crate::files::by_hash;
use crate::key::KeyId;
use crate::metadata::RoleKeys;
use crate::metadata::envelope::Signers;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::{Target, Targets};
use crate::metadata::timestamp::Timestamp;
use crate::role::RoleName;

/// A file that its role signed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Signed<T> {
    /// What it says.
    pub document: T,
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// The keys of the role that signed it.
    pub signers: Signers,
    /// Whether the bytes were kept from an earlier verification instead of being fetched now.
    pub cached: bool,
}

/// A collection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Collection {
    /// Its globally unique name.
    pub gun: Repository,
    /// The root.
    pub root: Signed<Root>,
    /// When the first of the root keys' certificates ends.
    pub root_certificate_ends: Option<Time>,
    /// The timestamp.
    pub timestamp: Signed<Timestamp>,
    /// The snapshot.
    pub snapshot: Signed<Snapshot>,
    /// The roles that sign tags: `targets` first, then the delegations in the order in which Notary asks them.
    pub roles: Vec<SigningRole>,
    /// The pinned root key ids and authorities that lead to the root; empty with trust on first use, and when nothing leads to it.
    pub anchored_by: Vec<String>,
}

/// A role that signs tags.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SigningRole {
    /// Its name.
    pub name: RoleName,
    /// Its keys, as the role above it lists them.
    pub keys: RoleKeys,
    /// The canonical ids of its keys, which Docker shows; keys that cannot be read are left out.
    pub canonical_ids: Vec<KeyId>,
    /// Prefixes of the tags it may sign; `""` means all.
    pub paths: Vec<String>,
    /// Its file.
    pub file: RoleFile,
    /// The earliest end date of everything from the root down to its file.
    pub fresh_until: Option<Time>,
}

/// The state of a role's file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RoleFile {
    /// It was read and is wrong or has expired, or is withheld although it was seen before; what it says does not count.
    Broken(Reason),
    /// Signed and valid.
    Good(Box<Signed<Targets>>),
    /// The snapshot does not name it: nothing was published for it yet.
    Unpublished,
    /// It could not be read.
    Unread,
}

/// A tag as `docker trust inspect` lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedTag {
    /// The tag.
    pub tag: String,
    /// The digest it means.
    pub digest: Digest,
    /// The signers who signed the same, by name; empty when only the repository's administrator did.
    pub signers: Vec<String>,
}

impl Collection {
    /// The role called `name`.
    #[must_use]
    pub fn role(&self, name: &RoleName) -> Option<&SigningRole> {
        self.roles.iter().find(|role| role.name == *name)
    }

    /// The name of the file of a delegation on the server: under the hash in the snapshot where that names it, else by the role.
    #[must_use]
    pub fn file_of(&self, role: &RoleName) -> String {
        let named = self.snapshot.document.delegations.get(role);
        named.map_or_else(|| format!("{role}.json"), |meta| by_hash(role.as_str(), meta))
    }

    /// The role that decides what `tag` means when Docker pulls: `targets/releases` if it has the tag, else `targets`.
    ///
    /// While `targets/releases` cannot be read or is broken nobody knows whether it has the tag, and no role decides. Notary
    /// then falls back to `targets`, which lets whoever breaks that file bring an old digest back.
    #[must_use]
    pub fn deciding_role(&self, tag: &str) -> Option<&SigningRole> {
        let releases = self.role(&RoleName::releases());
        if releases.is_some_and(|role| matches!(role.file, RoleFile::Broken(_) | RoleFile::Unread)) {
            return None;
        }
        releases.filter(|role| role.target(tag).is_some()).or_else(|| {
            let targets = self.role(&RoleName::targets())?;
            targets.target(tag).map(|_| targets)
        })
    }

    /// Every tag in the roles that count for Docker, with each digest signed for it there, sorted (`SignedTags`).
    #[must_use]
    pub fn signed_tags(&self) -> Vec<SignedTag> {
        let released = |role: &&SigningRole| role.name == RoleName::targets() || role.name == RoleName::releases();
        let all = self.roles.iter().filter(released).flat_map(SigningRole::images);
        let unique: BTreeSet<(String, Digest)> = all.map(|(tag, digest)| (tag.to_owned(), digest)).collect();
        let signed = |(tag, digest): (String, Digest)| {
            let signers = self.roles.iter().filter(|role| role.signs(&tag, &digest)).filter_map(|role| role.name.signer());
            SignedTag { signers: signers.map(str::to_owned).collect(), tag, digest }
        };
        unique.into_iter().map(signed).collect()
    }

    /// The signers and the canonical ids of their keys, by name (`Signers`).
    #[must_use]
    pub fn signers(&self) -> BTreeMap<&str, &[KeyId]> {
        self.roles.iter().filter_map(|role| Some((role.name.signer()?, role.canonical_ids.as_slice()))).collect()
    }

    /// The TUF ids of the root keys (`AdministrativeKeys`, "Root").
    #[must_use]
    pub fn root_keys(&self) -> &[KeyId] {
        &self.root.document.root.key_ids
    }

    /// The ids of the targets keys (`AdministrativeKeys`, "Repository").
    #[must_use]
    pub fn repository_keys(&self) -> &[KeyId] {
        &self.root.document.targets.key_ids
    }
}

impl SigningRole {
    /// The document, when it counts.
    #[must_use]
    pub fn document(&self) -> Option<&Targets> {
        match &self.file {
            RoleFile::Good(signed) => Some(&signed.document),
            _ => None,
        }
    }

    /// The fingerprints of the keys that signed its file, sorted; none when that does not count.
    #[must_use]
    pub fn signing_keys(&self) -> Vec<String> {
        match &self.file {
            RoleFile::Good(signed) => signed.signers.fingerprints().into_iter().map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    /// What the role signs under `tag`, if it may sign that tag.
    #[must_use]
    pub fn target(&self, tag: &str) -> Option<&Target> {
        let target = self.document()?.targets.get(tag)?;
        self.covers(tag).then_some(target)
    }

    /// The tags the role signs and may sign, with the SHA-256 digest of each.
    pub fn images(&self) -> impl Iterator<Item = (&str, Digest)> {
        let named = self.document().into_iter().flat_map(|document| &document.targets);
        named.filter(|(tag, _)| self.covers(tag)).filter_map(|(tag, target)| Some((tag.as_str(), target.digest()?)))
    }

    fn signs(&self, tag: &str, digest: &Digest) -> bool {
        self.target(tag).is_some_and(|target| target.names(digest))
    }

    fn covers(&self, tag: &str) -> bool {
        self.paths.iter().any(|prefix| tag.starts_with(prefix.as_str()))
    }
}
