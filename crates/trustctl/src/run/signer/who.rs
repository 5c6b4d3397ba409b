//! Who signs: known from the key or the certificate, and before there is one, expected from the token.

use trustctl_core::claim::Principal;
use trustctl_core::policy::{CosignDemands, Glob, Policy, SignerRule};
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::scheme::{Anchors, KeyAnchor};
use trustctl_core::signer::Signer as _;
use trustctl_remote::oidc::token::IdentityToken;
use trustctl_sigstore::seal::kept::Kept;

use super::super::clock;
use super::{LIFE_LEFT, Vouching, With, no_signer, token, untrue};
use crate::failure::Failure;

/// Somebody who signs, or may have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) enum Who {
    /// Who a certificate names.
    Identity { identity: String, issuer: String },
    /// A key.
    Key(Box<PublicKey>),
}

impl Who {
    /// Who made a signature that was kept. Proven only when the finished signature is judged.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub(in crate::run) fn of(kept: &Kept) -> Result<Self, Failure> {
        let Some(chain) = kept.chain() else { return Ok(Self::Key(Box::new(kept.signed().key().clone()))) };
        let names = chain.names().map_err(|fault| untrue(&fault))?;
        Ok(Self::Identity { identity: names.identity, issuer: names.issuer })
    }

    /// As verifiers see it.
    pub(in crate::run) fn principal(&self) -> Principal {
        match self {
            Self::Key(key) => Principal::Key { fingerprint: key.fingerprint() },
            Self::Identity { identity, issuer } => {
                Principal::Identity { identity: identity.clone(), issuer: issuer.clone(), sigstore: None }
            }
        }
    }

    fn rule(&self, demands: CosignDemands) -> SignerRule {
        match self {
            Self::Key(key) => SignerRule::CosignKey { key: key.clone(), demands },
            Self::Identity { identity, issuer } => {
                let (identity, issuer) = (Glob::new(identity.clone()).into(), Glob::new(issuer.clone()).into());
                SignerRule::CosignIdentity { identity, issuer, demands }
            }
        }
    }
}

impl With<'_> {
    /// Who signs. For an identity this asks for the certificate.
    ///
    /// # Errors
    /// As [`With::envelope`].
    pub(in crate::run) async fn who(&self) -> Result<Who, Failure> {
        if let Some(key) = &self.key {
            return Ok(Who::Key(Box::new(key.public_key().clone())));
        }
        let certified = self.certified().await?;
        if certified.identity.is_empty() {
            return Err(Failure::new(Reason::new(Code::CosignSelfCheck, "the certificate names nobody")));
        }
        Ok(Who::Identity { identity: certified.identity.clone(), issuer: certified.issuer.clone() })
    }

    /// Whom the signature will name, by what the token says: one of these, unless the certificate authority has a rule of its own. No
    /// certificate is asked for. Each of them is whoever holds the token.
    ///
    /// # Errors
    /// As [`With::envelope`], for the token.
    pub(in crate::run) async fn expected(&self) -> Result<Vec<Who>, Failure> {
        if self.key.is_some() || self.certified.lock().await.is_some() {
            return Ok(vec![self.who().await?]);
        }
        let Some(vouching) = &self.vouching else { return Err(no_signer()) };
        let token = self.token(vouching).await?;
        let names = token.names().into_iter().map(|(identity, issuer)| Who::Identity { identity, issuer }).collect();
        *self.token.lock().await = Some(token);
        Ok(names)
    }

    /// The token: the one that was fetched to know who signs, while it lives, else a fresh one.
    pub(super) async fn token(&self, vouching: &Vouching) -> Result<IdentityToken, Failure> {
        let held = self.token.lock().await.take();
        match held.filter(|token| token.claims().expires.since(clock()) > LIFE_LEFT) {
            Some(token) => Ok(token),
            None => token::fetch(self.session, &self.args, &vouching.config, &vouching.http).await,
        }
    }

    /// A policy that trusts each of these, with `demands`; log entries are demanded where they are made.
    pub(in crate::run) fn policy_for(&self, signers: &[Who], demands: CosignDemands) -> Policy {
        let demands = CosignDemands { log: self.logs(), ..demands };
        let rule = |(number, who): (usize, &Who)| (name(number), who.rule(demands.clone()));
        let policy = Policy::of_command_line(signers.iter().enumerate().map(rule).collect());
        match &self.vouching {
            Some(vouching) => policy.with_sigstore(vouching.anchor.trusted_root.clone()),
            None => policy,
        }
    }

    /// What a verifier trusts to begin with to know the statements of these.
    pub(in crate::run) fn anchors_for(&self, signers: &[Who]) -> Anchors {
        let key = |(number, who): (usize, &Who)| match who {
            Who::Key(key) => Some(KeyAnchor { signer: name(number), key: PublicKey::clone(key) }),
            Who::Identity { .. } => None,
        };
        Anchors {
            keys: signers.iter().enumerate().filter_map(key).collect(),
            sigstores: self.vouching.as_ref().map(|vouching| vouching.anchor.clone()).into_iter().collect(),
            ..Anchors::default()
        }
    }
}

/// What reports call the signer with this number: there is hardly ever a second one.
fn name(number: usize) -> String {
    if number == 0 { "the signer".to_owned() } else { format!("the signer ({number})") }
}
