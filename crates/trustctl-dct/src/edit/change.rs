//! What a publisher wants, said so that it can be applied again to what another publisher left meanwhile.

use trustctl_core::digest::Digest;
use trustctl_core::time::Timestamp;

use crate::key::{Key, KeyId};
use crate::role::RoleName;

/// One intention. Applying it to a collection that already is as intended changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A signer as `docker trust signer add` makes one: keys in `targets/<name>` and in `targets/releases`. Needs the targets key.
    AddSigner {
        /// The signer's name, `[a-z0-9][a-z0-9_-]*` and not `releases`.
        name: String,
        /// The signer's public keys.
        keys: Vec<Key>,
    },
    /// Creates or changes a delegation. Needs a key of the role above it.
    Delegate(Delegate),
    /// The first files of a repository that has none.
    Initialise(Initialise),
    /// Takes keys out of every delegation of the collection. Needs the keys of the roles that list them.
    PurgeKeys {
        /// TUF or canonical ids.
        keys: Vec<KeyId>,
    },
    /// Takes a delegation, and all below it, out of the collection. Needs a key of the role above it.
    RemoveDelegation {
        /// The delegation.
        role: RoleName,
    },
    /// Takes a signer out: the role `targets/<name>`, and its keys out of `targets/releases`. Needs the targets key.
    ///
    /// Tags that the signer put into `targets/releases` stay, and that role is signed again if a key of it is here; to withdraw
    /// them, apply [`Change::RevokeSigner`] before.
    RemoveSigner {
        /// The signer's name.
        name: String,
    },
    /// Signs roles again that expire before a time, if their keys are here.
    Renew {
        /// Roles whose files expire before this.
        expiring_before: Timestamp,
    },
    /// Withdraws what a signer signed: empties `targets/<name>` (or removes the role, when only the targets key is here), and
    /// takes the same tag and digest out of every role that is not another signer's, unless another signer signs it as well.
    RevokeSigner {
        /// The signer's name.
        name: String,
        /// What happens when the key of a role is not here.
        missing: MissingKey,
    },
    /// Takes a tag out of every role that holds it.
    RevokeTag {
        /// The tag, or any other name of a target.
        name: String,
        /// Only entries with this digest; `None` for any.
        digest: Option<Digest>,
        /// What happens when the key of a role is not here.
        missing: MissingKey,
    },
    /// Replaces the keys of a top-level role. Needs the root key; for `root` the old and the new one.
    RotateKey {
        /// `root`, `targets`, `snapshot` or `timestamp`.
        role: RoleName,
        /// The new keys, all of them. Certificates for `root`; for `timestamp`, and for a snapshot role that the server is to keep,
        /// the key that the server answered when asked to rotate.
        keys: Vec<Key>,
    },
    /// Says which digest a tag means.
    SignTag(SignTag),
    /// Signs a role again with the keys that are here, also one whose file is not signed by its present keys: whoever witnesses
    /// vouches for all its content.
    Witness {
        /// `root`, `targets`, `snapshot` or a delegation.
        role: RoleName,
    },
}

/// What to do about roles whose keys are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MissingKey {
    /// Nothing is changed at all.
    #[default]
    Fail,
    /// The other roles are changed; the upload says which were left ([`Upload::left`](super::Upload::left)).
    LeaveOut,
}

/// The first files of a repository: root and targets, each version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Initialise {
    /// The root keys, in certificates for this GUN.
    pub root: Vec<Key>,
    /// The targets key (Docker's "repository key").
    pub targets: Key,
    /// The snapshot key: the server's, as Docker does, or an own one.
    pub snapshot: Key,
    /// The timestamp key: the server's.
    pub timestamp: Key,
}

impl Initialise {
    /// A repository with these keys.
    #[must_use]
    pub fn new(root: Key, targets: Key, snapshot: Key, timestamp: Key) -> Self {
        Self { root: vec![root], targets, snapshot, timestamp }
    }
}

/// A change to a delegation, which is created when it does not exist and keys are added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delegate {
    /// The delegation.
    pub role: RoleName,
    /// Keys to add.
    pub add_keys: Vec<Key>,
    /// Keys to take out, by TUF or canonical id. A delegation that has no key left is removed.
    pub remove_keys: Vec<KeyId>,
    /// Path prefixes to add; `""` allows every name.
    pub add_paths: Vec<String>,
    /// Path prefixes to take out.
    pub remove_paths: Vec<String>,
    /// Takes all path prefixes out before any is added.
    pub clear_paths: bool,
}

impl Delegate {
    /// No change yet, to `role`.
    #[must_use]
    pub fn to(role: RoleName) -> Self {
        Self {
            role,
            add_keys: Vec::new(),
            remove_keys: Vec::new(),
            add_paths: Vec::new(),
            remove_paths: Vec::new(),
            clear_paths: false,
        }
    }

    /// With these keys and path prefixes added.
    #[must_use]
    pub fn adding(mut self, keys: Vec<Key>, paths: &[&str]) -> Self {
        self.add_keys.extend(keys);
        self.add_paths.extend(paths.iter().map(|path| (*path).to_owned()));
        self
    }

    /// With these keys, named by TUF or canonical id, and path prefixes taken out.
    #[must_use]
    pub fn removing(mut self, keys: Vec<KeyId>, paths: &[&str]) -> Self {
        self.remove_keys.extend(keys);
        self.remove_paths.extend(paths.iter().map(|path| (*path).to_owned()));
        self
    }

    /// With all path prefixes taken out before any is added.
    #[must_use]
    pub fn clearing_paths(mut self) -> Self {
        self.clear_paths = true;
        self
    }
}

/// Which digest a tag means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignTag {
    /// The tag, or any other name of a target.
    pub name: String,
    /// The SHA-256 digest of the manifest or index.
    pub digest: Digest,
    /// The size of the manifest or index in bytes.
    pub length: u64,
    /// Where to sign.
    pub roles: SignIn,
    /// A role that already says the same is signed again if it expires before this; `None` leaves it as it is, as Docker does.
    pub renew_before: Option<Timestamp>,
}

impl SignTag {
    /// The tag by Docker's role rule.
    pub fn new(name: impl Into<String>, digest: Digest, length: u64) -> Self {
        Self { name: name.into(), digest, length, roles: SignIn::DockersRule, renew_before: None }
    }
}

/// The roles a tag is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignIn {
    /// Every delegation directly below `targets` whose key is here and whose paths allow the name; `targets` when the collection
    /// has no delegation. What `docker trust sign` and `docker push` do.
    DockersRule,
    /// Docker's rule, and every other role that signs the tag differently and whose key is here: no stale digest is left behind.
    DockersRuleAndStale,
    /// These roles.
    Named(Vec<RoleName>),
}
