//! The Sigstore instances of a policy: which are at hand, and what is judged without them.

use std::sync::Arc;

use super::{Policy, Rule, SignerRule, parse};
use crate::reason::Reason;
use crate::scheme::{AuthorityAnchor, SigstoreAnchor, Thresholds};

impl Policy {
    /// The same policy with the trusted root that counts where a signer names no Sigstore instance. Without one, such signers are
    /// undecided.
    #[must_use]
    pub fn with_sigstore(mut self, trusted_root: Arc<[u8]>) -> Self {
        self.sigstores.retain(|anchor| anchor.name.is_some());
        self.sigstores.push(SigstoreAnchor { name: None, trusted_root, thresholds: Thresholds::default() });
        self
    }

    /// The same policy with the trusted root that was fetched for the instance `name` of [`Policy::repositories`], or with why there
    /// is none: then every rule that names a signer of this instance is undecided.
    #[must_use]
    pub fn with_fetched(mut self, name: &str, fetched: Result<Arc<[u8]>, Reason>) -> Self {
        let Some(repository) = self.repositories.iter_mut().find(|repository| repository.name == name) else { return self };
        self.sigstores.retain(|anchor| anchor.name.as_deref() != Some(name));
        match fetched {
            Ok(trusted_root) => {
                let (name, thresholds) = (Some(name.to_owned()), repository.thresholds);
                self.sigstores.push(SigstoreAnchor { name, trusted_root, thresholds });
            }
            Err(reason) => repository.lacking = reason,
        }
        self
    }

    /// Why nothing can be judged by `rule`: it names a signer of a Sigstore instance whose trusted root is not at hand. What that signer
    /// withdrew could not be seen either, so that no other signer stands in for it.
    #[must_use]
    pub fn lacking(&self, rule: &Rule) -> Option<&Reason> {
        let at_hand = |name: &str| self.sigstores.iter().any(|anchor| anchor.name.as_deref() == Some(name));
        let brings = |name: &str| self.authorities_of(rule).iter().any(|authority| authority.instance.as_deref() == Some(name));
        let named = |name: &str| self.named_by(rule).any(|(_, signer)| parse::is_judged_by(signer, Some(name))) || brings(name);
        let missing = self.repositories.iter().find(|repository| !at_hand(&repository.name) && named(&repository.name));
        missing.map(|repository| &repository.lacking)
    }

    /// The authorities of the rule's signers, each with the logs and timestamp authorities that count for it.
    pub(super) fn authorities_of(&self, rule: &Rule) -> Vec<AuthorityAnchor> {
        let of_rule = |anchor: &&AuthorityAnchor| {
            self.named_by(rule).any(|(_, signer)| {
                matches!(signer, SignerRule::CosignIdentity { demands, .. } if demands.sigstore.as_ref() == Some(&anchor.name))
            })
        };
        let with_instance = |anchor: &AuthorityAnchor| AuthorityAnchor {
            sigstore: self.sigstores.iter().find(|sigstore| sigstore.name == anchor.instance).cloned(),
            ..anchor.clone()
        };
        self.authorities.iter().filter(of_rule).map(with_instance).collect()
    }
}
