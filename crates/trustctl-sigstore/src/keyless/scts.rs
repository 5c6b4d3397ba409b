//! Signed certificate timestamps: that a certificate was logged. Source: RFC 6962, sections 3.2 and 3.3.
//!
//! Every timestamp of a certificate must be by a trusted log, whose key was in use then; operators are counted once.

use std::collections::{BTreeMap, BTreeSet};

use der::{Decode as _, Encode as _};
use sigstore_types::TimeRange;
use trustctl_core::digest::Digest;
use trustctl_core::public_key::{Hash, KeyKind, PublicKey, SignatureScheme};
use trustctl_core::reason::Code;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SignedCertificateTimestampList;
use x509_cert::ext::pkix::sct::{HashAlgorithm, SignatureAlgorithm, SignedCertificateTimestamp};

use super::fault::Fault;
use super::root::Root;

/// Most timestamps of one certificate that are read.
const MAX_TIMESTAMPS: usize = 16;

/// The certificate transparency logs of an instance, by key id.
pub(super) struct CertificateLogs(BTreeMap<Vec<u8>, CertificateLog>);

struct CertificateLog {
    key: PublicKey,
    window: Option<TimeRange>,
    operator: String,
}

impl CertificateLogs {
    /// Every log whose key can be used; the others vouch for nothing.
    pub(super) fn new(root: &Root) -> Self {
        let logs = root.library.ctlogs.iter().filter_map(|log| {
            let id = log.log_id.key_id.as_bytes().to_vec();
            let key = PublicKey::from_spki_der(log.public_key.raw_bytes.as_bytes()).ok()?;
            let operator = root.certificate_logs.get(&id)?.clone();
            Some((id, CertificateLog { key, window: log.public_key.valid_for, operator }))
        });
        Self(logs.collect())
    }

    /// Demands timestamps by `least` distinct operators in a certificate that the key `issuer` (DER SubjectPublicKeyInfo) signed.
    pub(super) fn check(&self, leaf: &Certificate, issuer: &[u8], least: usize) -> Result<(), Fault> {
        if least == 0 {
            return Ok(());
        }
        let timestamps = timestamps(leaf).ok_or_else(|| unlogged("the certificate has no readable timestamps"))?;
        if timestamps.count() == 0 {
            return Err(unlogged("the certificate has no timestamp"));
        }
        let precertificate = precertificate(leaf).ok_or_else(|| unlogged("the certificate cannot be written again"))?;
        let issuer = Digest::sha256_of(issuer);
        let mut operators = BTreeSet::new();
        for timestamp in &timestamps.0 {
            let made = self.operator(timestamp, &issuer, &precertificate);
            operators.insert(made.ok_or_else(|| unlogged("a timestamp of the certificate is not by a trusted log"))?);
        }
        if operators.len() < least {
            let words = format!("certificate timestamps by {} operator(s), {least} are demanded", operators.len());
            return Err(Fault::new(Code::CosignThreshold, words));
        }
        Ok(())
    }

    /// Who runs the log that made a timestamp for a certificate issued with this key.
    fn operator(&self, timestamp: &SignedCertificateTimestamp, issuer: &Digest, precertificate: &[u8]) -> Option<&str> {
        let log = self.0.get(timestamp.log_id.key_id.as_slice())?;
        let at = jiff::Timestamp::from_millisecond(i64::try_from(timestamp.timestamp).ok()?).ok()?;
        if log.window.is_some_and(|window| !window.contains(at)) {
            return None;
        }
        let signed = signed_bytes(timestamp, issuer, precertificate)?;
        let signature = timestamp.signature.signature.as_slice();
        log.key.verify(scheme(timestamp, log.key.kind())?, &signed, signature).ok()?;
        Some(&log.operator)
    }
}

fn unlogged(words: &str) -> Fault {
    Fault::new(Code::CosignCertificateUnlogged, words)
}

/// How a log of this kind of key says that it signed (RFC 5246, section 7.4.1.4.1; RFC 6962 knows ECDSA on P-256 and RSA).
fn scheme(timestamp: &SignedCertificateTimestamp, kind: KeyKind) -> Option<SignatureScheme> {
    let said = &timestamp.signature.algorithm;
    let hash = match said.hash {
        HashAlgorithm::Sha256 => Hash::Sha256,
        HashAlgorithm::Sha384 => Hash::Sha384,
        HashAlgorithm::Sha512 => Hash::Sha512,
        _ => return None,
    };
    match (&said.signature, kind) {
        (SignatureAlgorithm::Ecdsa, KeyKind::EcdsaP256 | KeyKind::EcdsaP384) => Some(SignatureScheme::EcdsaDer(hash)),
        (SignatureAlgorithm::Rsa, KeyKind::Rsa) => Some(SignatureScheme::RsaPkcs1(hash)),
        _ => None,
    }
}

fn timestamps(leaf: &Certificate) -> Option<CertificateTimestamps> {
    let list = <SignedCertificateTimestampList as der::oid::AssociatedOid>::OID;
    let mut found = leaf.tbs_certificate.extensions.iter().flatten().filter(|one| one.extn_id == list);
    // With two lists, it would depend on the reader which one counts.
    match (found.next(), found.next()) {
        (Some(one), None) => CertificateTimestamps::from_der(one.extn_value.as_bytes()).ok(),
        _ => None,
    }
}

/// The signed certificate timestamps that a certificate carries. None of them has been checked.
pub struct CertificateTimestamps(Vec<SignedCertificateTimestamp>);

impl CertificateTimestamps {
    /// Reads the extension 1.3.6.1.4.1.11129.2.4.2 of a certificate: an octet string around a list (RFC 6962, section 3.3).
    ///
    /// # Errors
    /// [`Fault`] with [`Code::CosignCertificateUnlogged`] when it is not of that form, or has more timestamps than are read.
    pub fn from_der(content: &[u8]) -> Result<Self, Fault> {
        let unreadable = || unlogged("the certificate has no readable timestamps");
        let list = SignedCertificateTimestampList::from_der(content).map_err(|_| unreadable())?;
        let written = list.parse_timestamps().map_err(|_| unreadable())?;
        if written.len() > MAX_TIMESTAMPS {
            return Err(unlogged("the certificate has more timestamps than are read"));
        }
        written.iter().map(|one| one.parse_timestamp()).collect::<Result<_, _>>().map(Self).map_err(|_| unreadable())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// What the log saw: the certificate's inner part without the timestamps.
fn precertificate(leaf: &Certificate) -> Option<Vec<u8>> {
    let mut inner = leaf.tbs_certificate.clone();
    let list = <SignedCertificateTimestampList as der::oid::AssociatedOid>::OID;
    inner.extensions = inner.extensions.map(|all| all.into_iter().filter(|one| one.extn_id != list).collect());
    inner.to_der().ok()
}

/// RFC 6962, section 3.2: version 1, certificate_timestamp, time, precert_entry, issuer key hash, certificate, extensions.
fn signed_bytes(timestamp: &SignedCertificateTimestamp, issuer: &Digest, precertificate: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(&timestamp.timestamp.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes.extend_from_slice(issuer.as_bytes());
    let length = u32::try_from(precertificate.len()).ok()?.to_be_bytes();
    let [0, rest @ ..] = length else { return None };
    bytes.extend_from_slice(&rest);
    bytes.extend_from_slice(precertificate);
    let extensions = timestamp.extensions.as_slice();
    bytes.extend_from_slice(&u16::try_from(extensions.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(extensions);
    Some(bytes)
}
