//! The files to send, and what they change.

use trustctl_core::reason::Reason;

use crate::key::KeyId;
use crate::role::RoleName;

/// New files of a collection. All of them go to the server in one request: it takes them all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    pub(super) files: Vec<(RoleName, Vec<u8>)>,
    pub(super) effects: Vec<Effect>,
    pub(super) left: Vec<Reason>,
    pub(super) remarks: Vec<Reason>,
}

impl Upload {
    /// Whether there is nothing to send: the collection already is as intended, or could not be changed ([`Upload::left`]).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files with their exact bytes: root, targets, delegations from above to below, snapshot.
    #[must_use]
    pub fn files(&self) -> &[(RoleName, Vec<u8>)] {
        &self.files
    }

    /// The bytes of a role's new file.
    #[must_use]
    pub fn file(&self, role: &RoleName) -> Option<&[u8]> {
        self.files.iter().find(|(name, _)| name == role).map(|(_, bytes)| bytes.as_slice())
    }

    /// What it does, in the order of the changes. Nothing that is already so is listed.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// What was asked for and is not done, one reason a role. A caller that reports success while this is not empty lies.
    #[must_use]
    pub fn left(&self) -> &[Reason] {
        &self.left
    }

    /// What the publisher should know: roles that disagree, files that readers will skip, end dates that come near.
    #[must_use]
    pub fn remarks(&self) -> &[Reason] {
        &self.remarks
    }

    /// Whether the server is to sign the snapshot, because its key is not here. A server that does not hold it refuses the upload;
    /// see [`Current::snapshot_key_needed`](super::Current::snapshot_key_needed).
    #[must_use]
    pub fn leaves_snapshot_to_server(&self) -> bool {
        !self.is_empty() && self.file(&RoleName::snapshot()).is_none()
    }
}

/// One thing that an upload changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The repository gets its first files.
    Initialised,
    /// A top-level role has other keys.
    KeysRotated {
        /// The role.
        role: RoleName,
        /// TUF ids of its keys from now on.
        keys: Vec<KeyId>,
    },
    /// A role is signed again with the same content and a later end date.
    Renewed {
        /// The role.
        role: RoleName,
    },
    /// A role no longer holds a name.
    Revoked {
        /// The role.
        role: RoleName,
        /// The tag, or other name of a target.
        name: String,
    },
    /// A delegation exists, or has other keys or paths.
    RoleChanged {
        /// The delegation.
        role: RoleName,
    },
    /// A delegation, and all below it, is gone.
    RoleRemoved {
        /// The delegation.
        role: RoleName,
    },
    /// A role says what a tag means.
    Signed {
        /// The role.
        role: RoleName,
        /// The tag, or other name of a target.
        name: String,
    },
}
