//! Whom to trust about a file: a key, an identity or an authority of the command line, or a signer that a policy names.

use std::collections::BTreeMap;
use std::path::Path;

use trustctl_core::policy::{Glob, NamePattern, Policy, SignerRule};
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::scheme::{AuthorityAnchor, SigstoreAnchor};
use trustctl_sigstore::blob::{Signed, Who};
use trustctl_sigstore::keyless::authority::Authority;
use trustctl_sigstore::keyless::{Fault, Instance};

use super::super::{Session, clock, policy, sigstore, trust};
use crate::cli::BlobVerifyArgs;
use crate::failure::Failure;

/// Whom to trust, loaded.
pub(super) struct Trusted {
    pub(super) who: Trustee,
    /// The Sigstore instance that judges.
    pub(super) anchor: SigstoreAnchor,
    instance: Instance,
    /// Whether a proven log entry is demanded, where the command line does not say.
    pub(super) log: bool,
    /// What the certificate must say beside identity and issuer.
    claims: BTreeMap<String, Glob>,
}

/// Who must have signed.
pub(super) enum Trustee {
    Authority(Box<Authority>, NamePattern),
    Identity { identity: NamePattern, issuer: NamePattern },
    Key(PublicKey),
}

impl Trusted {
    /// What the flags call for.
    ///
    /// # Errors
    /// [`Code::UsageAnchor`] when they name nobody, or a policy's signer that cannot sign files; what reading keys, roots and policy says.
    pub(super) fn load(session: &Session, args: &BlobVerifyArgs) -> Result<Self, Failure> {
        match &args.signer {
            Some(name) => Self::of_policy(session, args, name),
            None => Self::of_flags(session, args),
        }
    }

    fn of_flags(session: &Session, args: &BlobVerifyArgs) -> Result<Self, Failure> {
        let anchor = sigstore::anchor(session, &args.instance)?;
        let identity = trust::names(("--identity", &args.identity), ("--identity-regex", &args.identity_regex))?;
        let issuer = trust::names(("--issuer", &args.issuer), ("--issuer-regex", &args.issuer_regex))?;
        let who = match (&args.key, identity, issuer, &args.ca) {
            (Some(name), ..) => Trustee::Key(session.public_key(name)?),
            (None, Some(identity), issuer, Some(ca)) => {
                let anchor = AuthorityAnchor {
                    name: format!("ca:{}", ca.display()),
                    roots: certificates(ca)?,
                    intermediates: args.ca_intermediates.as_deref().map(certificates).transpose()?.unwrap_or_default(),
                    names: identity,
                    instance: None,
                    sigstore: Some(anchor.clone()),
                };
                let authority = Authority::new(&anchor).map_err(|fault| unusable(&ca.display(), &fault))?;
                Trustee::Authority(Box::new(authority), issuer.unwrap_or_else(NamePattern::any))
            }
            (None, Some(identity), Some(issuer), None) => Trustee::Identity { identity, issuer },
            (None, Some(_), None, None) => {
                return Err(Failure::usage(Code::UsageAnchor, "an identity is what an issuer says: give --issuer too"));
            }
            (None, None, ..) => {
                let step = Step::words("give --key, --identity with --issuer, --ca with --identity, or --signer of a policy");
                return Err(Failure::usage(Code::UsageAnchor, "nothing says whom to trust").step(step));
            }
        };
        let log = matches!(who, Trustee::Identity { .. });
        Self::new(session, who, (anchor, log, BTreeMap::new()))
    }

    /// The signer that a policy calls `name`, with what it demands. Rules are about images; they say nothing about a file.
    fn of_policy(session: &Session, args: &BlobVerifyArgs, name: &str) -> Result<Self, Failure> {
        let policy = sigstore::with_fetched(session, policy::load(session, args.policy.as_deref())?, clock())?;
        let refused = |words: &str| {
            let words = format!("the signer \"{name}\" of {} {words}", policy.name);
            Failure::usage(Code::UsageAnchor, words)
        };
        let (signer, demands) = match policy.signers.get(name) {
            None => return Err(refused("does not exist").step(Step::words("name one of the policy's signers"))),
            Some(signer @ (SignerRule::CosignIdentity { demands, .. } | SignerRule::CosignKey { demands, .. })) => {
                (signer, demands)
            }
            Some(_) => return Err(refused("signs with Docker Content Trust, which signs no files")),
        };
        if !demands.annotations.is_empty() {
            return Err(refused("must sign annotations, which the signature of a file does not have"));
        }
        let own = policy.authorities.iter().find(|own| demands.sigstore.as_deref() == Some(own.name.as_str()));
        let anchor = match own {
            Some(own) => own.sigstore.clone().map_or_else(|| instance_of(&policy, own.instance.as_deref()), Ok)?,
            None => instance_of(&policy, demands.sigstore.as_deref())?,
        };
        let who = match (signer, own) {
            (SignerRule::CosignKey { key, .. }, _) => Trustee::Key(PublicKey::clone(key)),
            (SignerRule::CosignIdentity { issuer, .. }, Some(own)) => {
                let own = AuthorityAnchor { sigstore: Some(anchor.clone()), ..own.clone() };
                let authority = Authority::new(&own).map_err(|fault| unusable(&own.name, &fault))?;
                Trustee::Authority(Box::new(authority), issuer.clone())
            }
            (SignerRule::CosignIdentity { identity, issuer, .. }, None) => {
                Trustee::Identity { identity: identity.clone(), issuer: issuer.clone() }
            }
            _ => return Err(refused("cannot sign files")),
        };
        Self::new(session, who, (anchor, demands.log, demands.claims.clone()))
    }

    fn new(
        session: &Session,
        who: Trustee,
        (anchor, log, claims): (SigstoreAnchor, bool, BTreeMap<String, Glob>),
    ) -> Result<Self, Failure> {
        if let Trustee::Key(key) = &who {
            session.refuse_example(&key.fingerprint())?;
        }
        let instance = Instance::new(&anchor).map_err(|fault| unusable(&"the trusted root", &fault))?;
        Ok(Self { who, anchor, instance, log, claims })
    }

    /// The same for the judge.
    pub(super) fn who(&self) -> Who<'_> {
        match &self.who {
            Trustee::Authority(authority, issuer) => Who::Authority(authority, issuer),
            Trustee::Identity { identity, issuer } => Who::Identity { identity, issuer, instance: &self.instance },
            Trustee::Key(key) => Who::Key(key, Some(&self.instance)),
        }
    }

    /// That the certificate says what is demanded beside identity and issuer.
    ///
    /// # Errors
    /// [`Code::CosignCertificateClaim`].
    pub(super) fn check_claims(&self, signed: Signed, path: &Path) -> Result<Signed, Reason> {
        for (name, value) in &self.claims {
            let found = signed.proof.certificate.as_ref().and_then(|certificate| certificate.claims.get(name));
            if !found.is_some_and(|found| value.matches(found)) {
                let words = format!("{}: the certificate does not say what is demanded", path.display());
                let found = found.map_or_else(|| format!("no {name}"), |found| format!("{name} {found}"));
                return Err(Reason::new(Code::CosignCertificateClaim, words).expected_found(format!("{name} {value}"), found));
            }
        }
        Ok(signed)
    }
}

/// The instance of this name in a policy; the one that counts where none is named.
fn instance_of(policy: &Policy, name: Option<&str>) -> Result<SigstoreAnchor, Failure> {
    if let Some(anchor) = policy.sigstores.iter().find(|anchor| anchor.name.as_deref() == name) {
        return Ok(anchor.clone());
    }
    let lacking = policy.repositories.iter().find(|repository| Some(repository.name.as_str()) == name);
    let reason = lacking.map_or_else(
        || Reason::new(Code::AnchorUnknown, format!("{} has no Sigstore instance for this signer", policy.name)),
        |repository| repository.lacking.clone(),
    );
    Err(Failure::new(reason))
}

fn unusable(what: &dyn std::fmt::Display, fault: &Fault) -> Failure {
    Failure::new(Reason::new(Code::AnchorUnusable, format!("{what}: {fault}")))
}

/// DER of the certificates in a PEM file.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let bytes = policy::read_limited(path).map_err(|error| Failure::file(path, &error))?;
    let certificates = trustctl_sigstore::keyless::certificate::of_pem(&bytes);
    certificates.map_err(|fault| unusable(&path.display(), &fault))
}
