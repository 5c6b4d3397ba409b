//! What the proxy judges by: a policy with its anchors, as one value that is replaced as a whole.

use std::sync::{Arc, PoisonError, RwLock};

use trustctl_core::digest::Digest;
use trustctl_core::policy::Policy;
use trustctl_core::reason::Reason;
use trustctl_core::reference::Repository;
use trustctl_core::scheme::Scheme;
use trustctl_core::time::Timestamp;

/// A policy with its anchors, the schemes that read signatures for it, and a name for all of it.
pub struct Trust {
    /// The policy, its keys and trusted roots included.
    pub policy: Policy,
    /// The schemes.
    pub schemes: Vec<Box<dyn Scheme + Send + Sync>>,
    /// Where Cosign's artifacts are, when they are not beside the images.
    pub signature_repository: Option<Repository>,
    /// Changes whenever a byte of the policy, of a key or of a trusted root does: verdicts are only good under the one they were
    /// reached under.
    pub fingerprint: Digest,
    /// When the first of the anchors can no longer be used, where that is known.
    pub expires: Option<Timestamp>,
}

impl Trust {
    /// The schemes, as the assessment takes them.
    #[must_use]
    pub fn schemes(&self) -> Vec<&dyn Scheme> {
        self.schemes.iter().map(|scheme| -> &dyn Scheme { &**scheme }).collect()
    }
}

/// Where the policy and its anchors come from. Blocking: callers move it off the executor.
pub trait TrustSource: Send + Sync {
    /// The policy as it is now, when it is another than the one with the fingerprint `known`; `None` when nothing has changed.
    ///
    /// # Errors
    /// Why the policy cannot be used as it stands.
    fn changed(&self, known: Option<&Digest>) -> Result<Option<Trust>, Reason>;
}

/// The trust in force, and what is wrong with a newer one that could not be used.
///
/// A new policy that cannot be used changes nothing: the one before it stays in force, and [`InForce::trouble`] says why.
pub struct InForce {
    source: Box<dyn TrustSource>,
    state: RwLock<State>,
}

struct State {
    trust: Arc<Trust>,
    trouble: Option<Reason>,
}

impl InForce {
    /// Loads the policy for the first time.
    ///
    /// # Errors
    /// As the source's: without a policy nothing can be served.
    pub fn load(source: Box<dyn TrustSource>) -> Result<Self, Reason> {
        let nothing = || Reason::new(trustctl_core::reason::Code::PolicyUnusable, "there is no policy");
        let trust = source.changed(None)?.ok_or_else(nothing)?;
        Ok(Self { source, state: RwLock::new(State { trust: Arc::new(trust), trouble: None }) })
    }

    /// The trust in force.
    #[must_use]
    pub fn trust(&self) -> Arc<Trust> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).trust.clone()
    }

    /// Why the newest policy is not in force, when it is not.
    #[must_use]
    pub fn trouble(&self) -> Option<Reason> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Looks for a newer policy and puts it in force when it can be used; true when another one is in force than before.
    ///
    /// Blocking; one call at a time.
    pub fn reload(&self) -> Reloaded {
        let known = self.trust().fingerprint;
        let looked = self.source.changed(Some(&known));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(None) => {
                let mended = state.trouble.take().is_some();
                if mended { Reloaded::Mended } else { Reloaded::Same }
            }
            Ok(Some(trust)) => {
                *state = State { trust: Arc::new(trust), trouble: None };
                Reloaded::New
            }
            Err(reason) => {
                let known = state.trouble.as_ref() == Some(&reason);
                state.trouble = Some(reason.clone());
                if known { Reloaded::Same } else { Reloaded::Broken(reason) }
            }
        }
    }
}

/// What looking for a newer policy brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The newest policy cannot be used; the one before it stays in force. Said once for each trouble.
    Broken(Reason),
    /// The newest policy could not be used and is now as the one in force.
    Mended,
    /// Another policy is in force.
    New,
    /// Nothing has changed.
    Same,
}
