//! What artifacts are judged by: the keys and Sigstore instances at hand, and the time.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use trustctl_core::claim::{LogFindings, Principal};
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::scheme::{AuthorityAnchor, Context, SigstoreAnchor};
use trustctl_core::time::Timestamp;

use crate::keyless::authority::Authority;
use crate::keyless::{About, By, Fault, Instance, Proof, Question};
use crate::keys::{Keyring, Known};

/// What artifacts are judged by.
pub(crate) struct Grounds<'a> {
    /// The keys.
    pub(crate) ring: Keyring<'a>,
    /// The Sigstore instances, each read when it is first needed.
    sigstores: Vec<(&'a SigstoreAnchor, OnceCell<Result<Instance, Fault>>)>,
    /// Authorities of one's own, each read when it is first needed.
    authorities: Vec<(&'a AuthorityAnchor, OnceCell<Result<Authority, Fault>>)>,
    now: Timestamp,
}

/// Who signed, and what is proven beside that.
pub(crate) struct Signed {
    pub(crate) principal: Principal,
    pub(crate) log: LogFindings,
    pub(crate) certificate: BTreeMap<String, String>,
    pub(crate) at: Option<Timestamp>,
}

/// A bundle, and what it should be about.
#[derive(Clone, Copy)]
pub(crate) struct Carrier<'a> {
    pub(crate) bundle: &'a [u8],
    pub(crate) about: About<'a>,
}

impl<'a> Grounds<'a> {
    pub(crate) fn of(context: &Context<'a>) -> Self {
        Self {
            ring: Keyring::of_anchors(&context.anchors.keys),
            sigstores: context.anchors.sigstores.iter().map(|anchor| (anchor, OnceCell::new())).collect(),
            authorities: context.anchors.authorities.iter().map(|anchor| (anchor, OnceCell::new())).collect(),
            now: context.now,
        }
    }

    /// Whether an instance is at hand that could vouch for a certificate or a log entry.
    pub(crate) fn have_sigstore(&self) -> bool {
        !self.sigstores.is_empty()
    }

    /// Whether authorities of one's own are at hand, which vouch for certificates without any log entry too.
    pub(crate) fn have_authorities(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// Who signed, by the first instance or authority that vouches for the certificate; `None` when none is at hand.
    pub(crate) fn by_certificate(&self, carrier: Carrier<'_>) -> Option<Result<Signed, Fault>> {
        let mut telling: Option<Fault> = None;
        let instances = self.ask(carrier, By::Certificate).map(|(anchor, verified)| (anchor.name.clone(), verified));
        for (name, verified) in instances.chain(self.ask_authorities(carrier)) {
            match verified {
                Ok(proof) => return Some(Ok(by_certificate(name, proof))),
                Err(fault) if telling.as_ref().is_none_or(is_foreign) => telling = Some(fault),
                Err(_) => {}
            }
        }
        telling.map(Err)
    }

    /// That `known` signed, and what every instance at hand proves of the log entries; none is asked where there is no carrier.
    pub(crate) fn by_key(&self, known: &Known<'_>, carrier: Option<Carrier<'_>>, at: &str) -> Signed {
        let principal = Principal::Key { fingerprint: known.fingerprint.clone() };
        let mut signed = Signed { principal, log: LogFindings::default(), certificate: BTreeMap::new(), at: None };
        let Some(carrier) = carrier else {
            let none = |(anchor, _): &(&SigstoreAnchor, _)| {
                (anchor.name.clone(), Reason::new(Code::CosignLogMissing, format!("{at}: there is no log entry")))
            };
            signed.log.problems = self.sigstores.iter().map(none).collect();
            return signed;
        };
        for (name, verified) in self.ask_key(carrier, known.key) {
            match verified {
                Ok(proof) if proof.entries.is_empty() => {
                    let reason = Reason::new(Code::CosignLogMissing, format!("{at}: there is no log entry"));
                    signed.log.problems.push((name, reason));
                }
                Ok(proof) => {
                    signed.at = signed.at.or(proof.times.first().copied());
                    signed.log.proven.extend(proof.entries);
                }
                Err(fault) => signed.log.problems.push((name, fault.reason(at))),
            }
        }
        signed
    }

    fn ask_key<'s>(
        &'s self,
        carrier: Carrier<'s>,
        key: &'s PublicKey,
    ) -> impl Iterator<Item = (Option<String>, Result<Proof, Fault>)> + 's {
        self.ask(carrier, By::Key(key)).map(|(anchor, verified)| (anchor.name.clone(), verified))
    }

    fn ask_authorities<'s>(&'s self, carrier: Carrier<'s>) -> impl Iterator<Item = (Option<String>, Result<Proof, Fault>)> + 's {
        self.authorities.iter().map(move |(anchor, authority)| {
            let authority = authority.get_or_init(|| Authority::new(anchor)).as_ref();
            let verified = authority.map_err(Clone::clone);
            let verified = verified.and_then(|authority| authority.verify(carrier.bundle, carrier.about, self.now));
            (Some(anchor.name.clone()), verified)
        })
    }

    fn ask<'s>(
        &'s self,
        carrier: Carrier<'s>,
        by: By<'s>,
    ) -> impl Iterator<Item = (&'s SigstoreAnchor, Result<Proof, Fault>)> + 's {
        let question = Question { bundle: carrier.bundle, about: carrier.about, by };
        self.sigstores.iter().map(move |(anchor, instance)| {
            let instance = instance.get_or_init(|| Instance::new(anchor)).as_ref();
            (*anchor, instance.map_err(Clone::clone).and_then(|instance| instance.verify(question, self.now)))
        })
    }
}

fn by_certificate(sigstore: Option<String>, proof: Proof) -> Signed {
    let at = proof.times.first().copied();
    let (identity, issuer, certificate) =
        proof.certificate.map(|named| (named.identity, named.issuer, named.claims)).unwrap_or_default();
    Signed {
        principal: Principal::Identity { identity, issuer, sigstore },
        log: LogFindings { proven: proof.entries, problems: Vec::new() },
        certificate,
        at,
    }
}

/// Whether a fault only says that another instance made it.
fn is_foreign(fault: &Fault) -> bool {
    matches!(fault.code, Code::CosignCertificateUntrusted | Code::CosignLogUnknown)
}
