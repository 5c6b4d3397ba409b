//! What the proxy judges by: a policy with its anchors, as one value that is replaced as a whole.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use trustctl_core::digest::Digest;
use trustctl_core::policy::Policy;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::scheme::Scheme;
use trustctl_core::time::Timestamp;

/// What ends within this time is pointed out: two weeks are enough to have a policy reviewed.
pub const SOON: Duration = Duration::from_secs(14 * 86_400);

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
}

/// The end of something that trust rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrustEnd {
    /// What ends, by the name that the policy or the pins give it.
    pub name: String,
    /// When it ends.
    pub at: Timestamp,
}

impl TrustEnd {
    /// What is to be said about it at `now`: that it has ended, or will within [`SOON`].
    #[must_use]
    pub fn remark(&self, now: Timestamp) -> Option<Reason> {
        let words = match self.at.since(now) {
            left if left.is_zero() => format!("{} ended at {}", self.name, self.at),
            left if left < SOON => format!("{} ends at {}", self.name, self.at),
            _ => return None,
        };
        Some(Reason::new(Code::ProxyTrustEnds, words))
    }
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

    /// When parts of what was looked at last end. Some of these times change although nothing else does: what is fetched is renewed.
    fn ends(&self) -> Vec<TrustEnd>;
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
    /// When it was put in force.
    since: SystemTime,
    trouble: Option<Reason>,
}

impl State {
    fn new(trust: Trust) -> Self {
        Self { trust: Arc::new(trust), since: SystemTime::now(), trouble: None }
    }
}

impl InForce {
    /// Loads the policy for the first time.
    ///
    /// # Errors
    /// As the source's: without a policy nothing can be served.
    pub fn load(source: Box<dyn TrustSource>) -> Result<Self, Reason> {
        let nothing = || Reason::new(Code::PolicyUnusable, "there is no policy");
        let trust = source.changed(None)?.ok_or_else(nothing)?;
        Ok(Self { source, state: RwLock::new(State::new(trust)) })
    }

    /// The trust in force.
    #[must_use]
    pub fn trust(&self) -> Arc<Trust> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).trust.clone()
    }

    /// Since when, on the wall clock, that is so.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.state.read().unwrap_or_else(PoisonError::into_inner).since
    }

    /// Why the newest policy is not in force, when it is not.
    #[must_use]
    pub fn trouble(&self) -> Option<Reason> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// When parts of it end, in no order.
    #[must_use]
    pub fn ends(&self) -> Vec<TrustEnd> {
        self.source.ends()
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
                *state = State::new(trust);
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn an_end_is_remarked_two_weeks_before_and_ever_after() {
        let end = TrustEnd { name: "corp".to_owned(), at: "2027-01-31T23:59:59Z".parse().unwrap() };
        let said = |now: &str| end.remark(now.parse().unwrap());
        assert_eq!(said("2027-01-17T23:59:59Z"), None);
        let soon = said("2027-01-18T00:00:00Z").unwrap();
        assert_eq!((soon.code, soon.message.as_str()), (Code::ProxyTrustEnds, "corp ends at 2027-01-31T23:59:59Z"));
        assert!(said("2027-01-31T23:59:59Z").unwrap().message.contains("ended at"));
    }
}
