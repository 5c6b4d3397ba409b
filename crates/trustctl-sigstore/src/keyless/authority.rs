//! Certificates of an authority of one's own, without Fulcio: the whole chain at every proven time, and one of the names that count.
//!
//! What differs from a Sigstore instance: no certificate transparency log is asked for; the certificate is for code signing where it says
//! what it is for at all (RFC 5280, section 4.2.1.12), and for digital signatures where it names key usages; it may have several names, of
//! which the one that the policy looks for counts, and where it has none its subject (RFC 4514).
//!
//! Times are proven by the logs and timestamp authorities of the instance that the signer names. Log entries and timestamps that are there
//! must hold. Where there are none at all, nobody knows when it was signed: then the chain must be valid at the time judged at, and no
//! time is proven. Not checked: revocation lists of the authority.

use sigstore_types::Bundle as LibraryBundle;
use trustctl_core::claim::ProvenEntry;
use trustctl_core::policy::NamePattern;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::Code;
use trustctl_core::scheme::AuthorityAnchor;
use trustctl_core::time::Timestamp;
use x509_cert::Certificate as X509;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use super::certificate::{self, Certificate};
use super::chain::{self, Brought, Chains, Usage};
use super::fault::Fault;
use super::{About, By, Instance, Proof, Question, between, read_both, times};
use crate::blob::signed_by;
use crate::bundle::Bundle;

/// An authority of one's own, ready to judge.
pub struct Authority {
    name: String,
    names: NamePattern,
    chains: Chains,
    instance: Option<Instance>,
}

impl Authority {
    /// Reads the certificates of an authority, and the trusted root that goes with it.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::AnchorUnusable`] for a certificate that cannot be read or is not an authority's, and as [`Instance::new`].
    pub fn new(anchor: &AuthorityAnchor) -> Result<Self, Fault> {
        let mut chains = Chains::new(Usage::NothingElse);
        for der in &anchor.roots {
            let root = authority(der)?;
            chains.trust(der, Some(chain::validity(&root).ok_or_else(|| Fault::root(&"a certificate is valid for ever"))?))?;
        }
        for der in &anchor.intermediates {
            authority(der)?;
        }
        chains.between(&anchor.intermediates);
        let instance = anchor.sigstore.as_ref().map(Instance::new).transpose()?;
        Ok(Self { name: anchor.name.clone(), names: anchor.names.clone(), chains, instance })
    }

    /// Its name in claims.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Judges one bundle that was signed with a certificate.
    ///
    /// # Errors
    /// [`Fault`], by the first thing that is wrong; with [`Code::CosignWrongIdentity`] when none of the certificate's names counts.
    pub fn verify(&self, bundle: &[u8], about: About<'_>, now: Timestamp) -> Result<Proof, Fault> {
        let (ours, theirs) = read_both(bundle)?;
        let Some(der) = theirs.signing_certificate() else {
            return Err(Fault::malformed("the bundle is not signed with a certificate"));
        };
        let leaf = certificate::read(der.as_bytes())?;
        let (mut entries, proven) = if self.has_witnesses(&ours) {
            self.witnesses(&theirs, Question { bundle, about, by: By::Certificate }, now)?
        } else {
            let key = PublicKey::from_spki_der(&chain::spki(&leaf)?);
            let key = key.map_err(|error| Fault::malformed(format!("the key in the certificate: {error}")))?;
            signed_by(&ours.content, &key, about)?;
            (Vec::new(), Vec::new())
        };
        let between = between(&theirs);
        let brought = Brought { der: der.as_bytes(), leaf: &leaf, between: &between };
        let judged_at = jiff::Timestamp::from_second(now.unix_seconds()).map_err(|error| Fault::malformed(error.to_string()))?;
        self.chains.verify(brought, if proven.is_empty() { std::slice::from_ref(&judged_at) } else { &proven })?;
        check_usage(&leaf)?;
        let certificate = Certificate::with_name(&leaf, self.counting_name(&leaf)?)?;
        for entry in &mut entries {
            entry.sigstore = Some(self.name.clone());
        }
        let times = proven.iter().map(|time| times::of(*time)).collect::<Result<_, _>>()?;
        Ok(Proof { certificate: Some(certificate), entries, times })
    }

    /// Whether log entries or timestamps are to be judged: those that are there, and those that the instance demands.
    fn has_witnesses(&self, bundle: &Bundle) -> bool {
        let demanded = self.instance.as_ref().is_some_and(Instance::demands_witnesses);
        demanded || !bundle.log_entries.is_empty() || bundle.timestamps > 0
    }

    fn witnesses(
        &self,
        bundle: &LibraryBundle,
        question: Question<'_>,
        now: Timestamp,
    ) -> Result<(Vec<ProvenEntry>, Vec<jiff::Timestamp>), Fault> {
        let Some(instance) = &self.instance else {
            let words = "there are log entries or timestamps, and no trusted root at hand that names whom they are by";
            return Err(Fault::new(Code::CosignLogUnknown, words));
        };
        instance.prepared.during(|| instance.witnesses(bundle, question, instance.thresholds.times, now))
    }

    /// The first of the certificate's names that counts.
    fn counting_name(&self, leaf: &X509) -> Result<String, Fault> {
        let mut names = certificate::readable_names(leaf);
        if names.is_empty() {
            names.push(leaf.tbs_certificate.subject.to_string());
        }
        if let Some(name) = names.iter().find(|name| self.names.matches(name)) {
            return Ok(name.clone());
        }
        let words = format!("the certificate names {}, and {} is looked for", names.join(", "), self.names);
        Err(Fault::new(Code::CosignWrongIdentity, words))
    }
}

/// The certificate of an authority.
fn authority(der: &[u8]) -> Result<X509, Fault> {
    let certificate = certificate::read(der).map_err(|fault| Fault::root(&fault.detail))?;
    match certificate.tbs_certificate.get::<BasicConstraints>() {
        Ok(Some((_, constraints))) if constraints.ca => Ok(certificate),
        _ => Err(Fault::root(&format_args!("the certificate of {} is not an authority's", certificate.tbs_certificate.subject))),
    }
}

/// Key usages, where the certificate names any, must have digital signatures among them (RFC 5280, section 4.2.1.3).
fn check_usage(leaf: &X509) -> Result<(), Fault> {
    match leaf.tbs_certificate.get::<KeyUsage>() {
        Ok(None) => Ok(()),
        Ok(Some((_, usage))) if usage.digital_signature() => Ok(()),
        _ => Err(Fault::new(Code::CosignCertificateUntrusted, "the certificate is not meant for digital signatures")),
    }
}
