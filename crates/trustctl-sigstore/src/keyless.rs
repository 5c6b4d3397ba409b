//! Keyless signatures: what a Sigstore instance vouches for. The one module that knows the Sigstore library.
//!
//! [`Instance::verify`] judges one bundle by Sigstore's client specification. The library (`sigstore-verify`) checks the RFC 3161
//! timestamps, the log's promise, the signature, the artifact, and that every log entry is about this signature, key and artifact
//! (CVE-2022-36056, CVE-2026-22703). The rest is checked here, around it:
//!
//! - `root`: the trusted root's form and size, and that an authority counts only while every certificate of its chain is valid;
//! - `logs`: inclusion proofs and checkpoints, each by the very log that the entry names, and demanded of the bundle instead of
//!   inferred from its media type; duplicates; logs counted by operator;
//! - `times`: no time later than `now`, and times counted by operator;
//! - `chain`: the certificate chain at every proven time, built once where one path serves them all;
//! - [`certificate`]: exactly one name, the issuer, and every extension that says who signed;
//! - `prepared`: keys of the trusted root, parsed once;
//! - `scts`: signed certificate timestamps, counted by operator;
//! - [`authority`]: certificates of an authority of one's own;
//! - [`legacy`]: signatures under a `.sig` tag, as bundles.
//!
//! Time is an argument. The library compares with the clock in two places, both to refuse what lies in the future: timestamp authorities
//! that have not begun, and a log's promise of a later time. That can only refuse what is later than the clock of the machine, never
//! accept what `now` refuses.
//!
//! Not checked: revocation of certificates (Sigstore's live for minutes), and that the log is consistent with what it showed others.

pub mod authority;
pub mod certificate;
mod chain;
mod fault;
pub mod legacy;
mod logs;
mod prepared;
mod root;
mod scts;
mod times;

use sigstore_types::{
    Artifact, Bundle as LibraryBundle, DerPublicKey, Sha256Hash, SignatureContent, VerificationMaterialContent,
};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, Verifier};
use trustctl_core::claim::ProvenEntry;
use trustctl_core::digest::Digest;
use trustctl_core::hashes::Hashes;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::Code;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::time::Timestamp;

use crate::blob::digest_of;
use crate::bundle::{Bundle, Content, Material};
use certificate::Certificate;
use chain::{Brought, Chains, Usage};
use logs::Logs;
use prepared::Prepared;
use root::Root;
use scts::CertificateLogs;

pub use fault::Fault;
pub use root::{PUBLIC_GOOD, PUBLIC_GOOD_DATE};
pub use scts::CertificateTimestamps;

/// A Sigstore instance, ready to judge: its trusted root was read and checked.
pub struct Instance {
    name: Option<String>,
    thresholds: Thresholds,
    root: Root,
    verifier: Verifier,
    chains: Chains,
    logs: Logs,
    certificate_logs: CertificateLogs,
    prepared: Prepared,
}

/// One bundle to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The bundle, as it was received.
    pub bundle: &'a [u8],
    /// What it should be about.
    pub about: About<'a>,
    /// With what it should be signed.
    pub by: By<'a>,
}

/// What a signature should be about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// These bytes, or for an attestation their digest.
    Bytes(&'a [u8]),
    /// This digest.
    Digest(&'a Digest),
    /// A file by its hashes, and its bytes where they are held.
    File {
        /// The hashes.
        hashes: &'a Hashes,
        /// The bytes.
        bytes: Option<&'a [u8]>,
    },
}

/// With what a bundle should be signed.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// With a certificate of the instance, for whatever identity; the caller compares identity and issuer.
    Certificate,
    /// With this key.
    Key(&'a PublicKey),
}

/// What an instance vouches for.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Who signed; absent for a signature by key.
    pub certificate: Option<Certificate>,
    /// The log entries, all that came with the signature.
    pub entries: Vec<ProvenEntry>,
    /// Every proven time, the earliest first. For a signature by key there may be none.
    pub times: Vec<Timestamp>,
}

impl Instance {
    /// Reads the trusted root of an instance.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::AnchorUnusable`] when it is not a trusted root of version 0.1 or 0.2, beyond the limits, or
    /// contradicts itself.
    pub fn new(anchor: &SigstoreAnchor) -> Result<Self, Fault> {
        let root = Root::from_json(&anchor.trusted_root)?;
        let verifier = Verifier::new(&root.library).map_err(|error| Fault::root(&error))?;
        let logs = Logs::new(&root)?;
        let mut chains = Chains::new(Usage::CodeSigning);
        for authority in &root.library.certificate_authorities {
            for certificate in &authority.cert_chain.certificates {
                chains.trust(certificate.raw_bytes.as_bytes(), authority.valid_for)?;
            }
        }
        let (certificate_logs, prepared) = (CertificateLogs::new(&root), Prepared::new(&root));
        let (name, thresholds) = (anchor.name.clone(), anchor.thresholds);
        Ok(Self { name, thresholds, root, verifier, chains, logs, certificate_logs, prepared })
    }

    /// Its name in the policy.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Judges one bundle.
    ///
    /// # Errors
    /// [`Fault`], by the first thing that is wrong.
    pub fn verify(&self, question: Question<'_>, now: Timestamp) -> Result<Proof, Fault> {
        let bundle = read(question.bundle)?;
        self.prepared.during(|| self.verify_read(&bundle, question, now))
    }

    fn verify_read(&self, bundle: &LibraryBundle, question: Question<'_>, now: Timestamp) -> Result<Proof, Fault> {
        let by_certificate = matches!(question.by, By::Certificate);
        let least = if by_certificate { self.thresholds.times } else { 0 };
        let (entries, proven) = self.witnesses(bundle, question, least, now)?;
        let times = proven.iter().map(|time| times::of(*time)).collect::<Result<Vec<_>, _>>()?;
        let certificate = match bundle.signing_certificate() {
            Some(der) if by_certificate => {
                let leaf = certificate::read(der.as_bytes())?;
                let between = between(bundle);
                let brought = Brought { der: der.as_bytes(), leaf: &leaf, between: &between };
                let issuer = self.chains.verify(brought, &proven)?;
                self.certificate_logs.check(&leaf, &issuer, self.thresholds.certificate_logs)?;
                Some(Certificate::of(&leaf)?)
            }
            _ => None,
        };
        Ok(Proof { certificate, entries, times })
    }

    /// Whether something is demanded beside the signature, whatever comes with it.
    fn demands_witnesses(&self) -> bool {
        self.thresholds.logs > 0 || self.thresholds.times > 1
    }

    /// The log entries and times that are proven for a signature which verifies, the earliest time first; by at least as many operators as
    /// are demanded. Whether the certificate is one that counts is not asked here.
    fn witnesses(
        &self,
        bundle: &LibraryBundle,
        question: Question<'_>,
        least: usize,
        now: Timestamp,
    ) -> Result<(Vec<ProvenEntry>, Vec<jiff::Timestamp>), Fault> {
        let by_certificate = matches!(question.by, By::Certificate);
        let demand = logs::Demand { inclusion_proof: self.thresholds.inclusion_proof, by_certificate };
        let mut entries = self.logs.check(bundle, demand, now)?;
        let mut proven = self.ask_library(bundle, question)?;
        if !by_certificate {
            proven.extend(entries.iter().filter_map(|entry| jiff::Timestamp::from_second(entry.integrated?.unix_seconds()).ok()));
        }
        times::not_after(&proven, now)?;
        proven.sort_unstable();
        for entry in &mut entries {
            entry.sigstore.clone_from(&self.name);
        }
        logs::enough(&entries, self.thresholds.logs)?;
        times::enough(bundle, &entries, &self.root, least)?;
        Ok((entries, proven))
    }

    /// The checks that are the library's, and the times that it proves. Inclusion proofs were checked before: asking for them here would
    /// check promises twice. The certificate is judged afterwards, once for all times.
    fn ask_library(&self, bundle: &LibraryBundle, question: Question<'_>) -> Result<Vec<jiff::Timestamp>, Fault> {
        let artifact = match question.about {
            About::Bytes(bytes) | About::File { bytes: Some(bytes), .. } => Artifact::from_blob(bytes),
            about => {
                let unsigned = || Fault::new(Code::CosignDigestMismatch, "only SHA-256 digests are signed");
                let digest = digest_of(about).ok_or_else(unsigned)?;
                Artifact::from(Sha256Hash::try_from(digest.as_bytes()).map_err(|_| unsigned())?)
            }
        };
        let answer = match question.by {
            By::Certificate => {
                let policy = VerificationPolicy::any_identity().skip_tlog_unsafe().skip_certificate_chain();
                self.verifier.verify(artifact, bundle, &policy)
            }
            By::Key(key) => {
                let key = DerPublicKey::new(key.spki_der().to_vec());
                self.verifier.verify(artifact, bundle, &PublicKeyVerificationPolicy::new(key).skip_tlog_unsafe())
            }
        };
        answer.map(|result| result.verified_timestamps().to_vec()).map_err(|error| Fault::of_library(&error))
    }
}

/// The certificates that came along with the one that signed.
fn between(bundle: &LibraryBundle) -> Vec<&[u8]> {
    match &bundle.verification_material.content {
        VerificationMaterialContent::X509CertificateChain { certificates } => {
            certificates.iter().skip(1).map(|certificate| certificate.raw_bytes.as_bytes()).collect()
        }
        _ => Vec::new(),
    }
}

fn read(bytes: &[u8]) -> Result<LibraryBundle, Fault> {
    read_both(bytes).map(|(_, theirs)| theirs)
}

/// Reads a bundle twice, with this crate's limits and with the library, and refuses what the two read differently.
fn read_both(bytes: &[u8]) -> Result<(Bundle, LibraryBundle), Fault> {
    let ours = Bundle::parse(bytes).map_err(|error| Fault::new(Code::CosignMalformed, error.to_string()))?;
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::malformed("the bundle is not UTF-8"))?;
    let theirs = LibraryBundle::from_json(text).map_err(|error| Fault::malformed(error.to_string()))?;
    let same_content = match (&ours.content, &theirs.content) {
        (Content::Message(one), SignatureContent::MessageSignature(two)) => one.signature == two.signature.as_bytes(),
        (Content::Envelope(one), SignatureContent::DsseEnvelope(two)) => {
            one.payload == two.payload.as_bytes()
                && one.payload_type == two.payload_type
                && one.signature == two.signature.sig.as_bytes()
        }
        _ => false,
    };
    let same_material = match (&ours.material, &theirs.verification_material.content) {
        (Material::Key { .. }, VerificationMaterialContent::PublicKey(_)) => true,
        (Material::Certificate(chain), _) => {
            theirs.signing_certificate().map(|leaf| leaf.as_bytes()) == chain.first().map(Vec::as_slice)
        }
        _ => false,
    };
    let stamps = &theirs.verification_material.timestamp_verification_data.rfc3161_timestamps;
    let same_counts =
        ours.log_entries.len() == theirs.verification_material.tlog_entries.len() && ours.timestamps == stamps.len();
    if same_content && same_material && same_counts {
        return Ok((ours, theirs));
    }
    Err(Fault::malformed("the bundle can be read in two ways"))
}

#[cfg(test)]
pub(crate) mod tests;
