//! Which Sigstore instances vouch for identities and log entries: the one of the run, and those that a policy names.

use std::path::Path;

use trustctl_core::policy::{Policy, SignerRule};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::time::Timestamp;
use trustctl_sigstore::keyless::authority::Authority;
use trustctl_sigstore::keyless::{Instance, PUBLIC_GOOD, PUBLIC_GOOD_DATE};

use super::{Session, policy};
use crate::failure::Failure;

/// The policy with the trusted root that counts where a signer names no instance: the one in `file`, else the public-good one that this
/// program carries.
///
/// # Errors
/// [`Code::AnchorUnusable`] for a trusted root that cannot be used, [`Code::LocalFile`] for a file that cannot be read.
pub(super) fn with_trusted_root(policy: Policy, file: Option<&Path>) -> Result<Policy, Failure> {
    let root = match file {
        Some(path) => policy::read_limited(path).map_err(|error| Failure::file(path, &error))?,
        None => PUBLIC_GOOD.as_bytes().to_vec(),
    };
    let policy = policy.with_sigstore(root.into());
    for anchor in policy.sigstores.iter().filter(|anchor| anchor.name.is_some() || file.is_some()) {
        check(anchor, file)?;
    }
    for own in &policy.authorities {
        let unusable = |fault| Failure::new(Reason::new(Code::AnchorUnusable, format!("{}: {fault}", own.name)));
        Authority::new(own).map_err(unusable)?;
    }
    Ok(policy)
}

/// The instance whose services are asked when signing, and its anchor: by the trusted root in `file`, else the public-good one.
///
/// # Errors
/// As [`with_trusted_root`].
pub(super) fn for_signing(file: Option<&Path>) -> Result<(Instance, SigstoreAnchor), Failure> {
    let root = match file {
        Some(path) => policy::read_limited(path).map_err(|error| Failure::file(path, &error))?,
        None => PUBLIC_GOOD.as_bytes().to_vec(),
    };
    let anchor = SigstoreAnchor { name: None, trusted_root: root.into(), thresholds: Thresholds::default() };
    check(&anchor, file)?;
    let instance = Instance::new(&anchor).map_err(|fault| Failure::new(fault.reason("the trusted root")))?;
    Ok((instance, anchor))
}

fn check(anchor: &SigstoreAnchor, file: Option<&Path>) -> Result<(), Failure> {
    let Err(fault) = Instance::new(anchor) else { return Ok(()) };
    let whose = match (&anchor.name, file) {
        (Some(name), _) => format!("[sigstores.{name}]"),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => "the public-good instance".to_owned(),
    };
    Err(Failure::new(Reason::new(Code::AnchorUnusable, format!("{whose}: {fault}"))))
}

impl Session {
    /// Says, where it matters and details are asked for, how old the trusted root is that this program carries.
    pub(super) fn tell_age_of_root(&self, policy: &Policy, now: Timestamp) {
        let carried = |anchor: &SigstoreAnchor| anchor.name.is_none() && *anchor.trusted_root == *PUBLIC_GOOD.as_bytes();
        let matters = policy.signers.values().any(|signer| match signer {
            SignerRule::CosignIdentity { demands, .. } => demands.sigstore.is_none(),
            SignerRule::CosignKey { demands, .. } => demands.log && demands.sigstore.is_none(),
            _ => false,
        });
        if !self.ui.verbose || !matters || !policy.sigstores.iter().any(carried) {
            return;
        }
        let Ok(released) = PUBLIC_GOOD_DATE.parse::<Timestamp>() else { return };
        let days = now.since(released).as_secs() / 86_400;
        self.ui.tell(format!(
            "trusted root: public-good Sigstore, carried by this program, of {PUBLIC_GOOD_DATE} ({days} days old)"
        ));
    }
}
