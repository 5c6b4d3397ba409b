//! Editing a collection: from what is there and what is wanted to the files to upload.
//!
//! A publisher reads the collection, sees whether it is [`editable`], [opens](Current::open) it, [applies](apply) changes and sends the
//! [`Upload`] in one request, which the server takes whole or not at all. When the server answers that somebody else was
//! faster (`VERSION`), the same changes are applied to what is there now: a [`Change`] is an intention, not a difference, and
//! applying it where it already holds changes nothing. That is also why a run that was killed can be repeated.
//!
//! Nothing is claimed that does not happen: a tag is revoked in every role that holds it, or the reason names the key that is
//! not here. Nobody else's data changes: a file that could not be written again as it is ([`Code::DctCannotKeep`]) is not
//! signed. What [`apply`] returns has been read and verified as readers and the server will.
//!
//! Not done here: reading and sending (the caller's), anchoring the root and refusing old files (the reading side's), and
//! signing timestamps, or snapshots whose key the server keeps (the server's).
//!
//! [`Code::DctCannotKeep`]: trustctl_core::reason::Code::DctCannotKeep

mod accept;
mod change;
mod check;
mod current;
mod delegations;
mod draft;
mod keep;
mod keys;
mod root;
mod seal;
mod tags;
mod upload;

use trustctl_core::reason::Reason;
use trustctl_core::time::Timestamp;

pub use accept::editable;
pub use change::{Change, Delegate, Initialise, MissingKey, SignIn, SignTag};
pub use check::verify_upload;
pub use current::{Current, Files};
pub use keys::HeldKeys;
pub use root::default_expiry;
pub use upload::{Effect, Upload};

use draft::Draft;

/// The files that make `current` as `changes` intend, in their order, signed with `keys` at `now`.
///
/// # Errors
/// A [`Reason`] when nothing can be uploaded: [`DctKeyNeeded`](trustctl_core::reason::Code::DctKeyNeeded) naming the role whose
/// key is not here, `DctNoData` for a repository that has to be initialised first, `DctInitialised`, `DctRoleMissing`,
/// `DctBadChange` or `DctCannotKeep` for changes that do not fit, `DctRootCertificate`, and what the holder of a key answered.
pub fn apply(changes: &[Change], current: &Current, keys: &HeldKeys<'_>, now: Timestamp) -> Result<Upload, Reason> {
    let mut draft = Draft::new(current, keys, now);
    for change in changes {
        draft.apply(change)?;
    }
    let upload = draft.seal()?;
    verify_upload(&upload, current, now)?;
    Ok(upload)
}

impl Draft<'_> {
    fn apply(&mut self, change: &Change) -> Result<(), Reason> {
        match change {
            Change::AddSigner { name, keys } => self.add_signer(name, keys),
            Change::Delegate(change) => self.delegate(change),
            Change::Initialise(first) => self.initialise(first),
            Change::PurgeKeys { keys } => self.purge_keys(keys),
            Change::RemoveDelegation { role } => self.remove_delegation(role),
            Change::RemoveSigner { name } => self.remove_signer(name),
            Change::Renew { expiring_before } => self.renew(*expiring_before),
            Change::RevokeSigner { name, missing } => self.revoke_signer(name, *missing),
            Change::RevokeTag { name, digest, missing } => self.revoke_tag(name, digest.as_ref(), *missing),
            Change::RotateKey { role, keys } => self.rotate(role, keys),
            Change::SignTag(tag) => self.sign_tag(tag),
            Change::Witness { role } => self.witness(role),
        }
    }
}
