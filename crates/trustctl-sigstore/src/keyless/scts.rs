//! Signed certificate timestamps, where more than one counts. Source: RFC 6962, sections 3.2 and 3.3.
//!
//! One embedded timestamp is the library's to check, which refuses certificates with several. Those, and thresholds above one, are
//! checked here.

use std::collections::BTreeSet;

use der::{Decode as _, Encode as _};
use sigstore_crypto::{SigningScheme, VerificationKey};
use sigstore_types::bundle::VerificationMaterialContent;
use sigstore_types::{Bundle, SignatureBytes};
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SignedCertificateTimestampList;
use x509_cert::ext::pkix::sct::SignedCertificateTimestamp;

use super::fault::Fault;
use super::root::Root;

/// Most timestamps of one certificate that are read.
const MAX_TIMESTAMPS: usize = 16;

/// Whether the certificate carries more than one timestamp.
pub(super) fn several(bundle: &Bundle) -> bool {
    leaf(bundle).and_then(|leaf| timestamps(&leaf)).is_some_and(|all| all.len() > 1)
}

/// Demands timestamps by `least` distinct operators of certificate transparency logs.
pub(super) fn enough(bundle: &Bundle, root: &Root, least: usize) -> Result<(), Fault> {
    if least == 0 || (least == 1 && !several(bundle)) {
        return Ok(());
    }
    let unlogged = |words: &str| Fault::new(Code::CosignCertificateUnlogged, words);
    let leaf = leaf(bundle).ok_or_else(|| unlogged("the certificate cannot be read"))?;
    let timestamps = timestamps(&leaf).ok_or_else(|| unlogged("the certificate has no readable timestamps"))?;
    if timestamps.len() > MAX_TIMESTAMPS {
        return Err(unlogged("the certificate has more timestamps than are read"));
    }
    let precertificate = precertificate(&leaf).ok_or_else(|| unlogged("the certificate cannot be written again"))?;
    let issuers = issuer_keys(&leaf, bundle, root);
    let mut operators = BTreeSet::new();
    for timestamp in &timestamps {
        let made = issuers.iter().find_map(|issuer| operator(timestamp, issuer, &precertificate, root));
        operators.insert(made.ok_or_else(|| unlogged("a timestamp of the certificate is not by a trusted log"))?);
    }
    if operators.len() < least {
        let words = format!("certificate timestamps by {} operator(s), {least} are demanded", operators.len());
        return Err(Fault::new(Code::CosignThreshold, words));
    }
    Ok(())
}

fn leaf(bundle: &Bundle) -> Option<Certificate> {
    Certificate::from_der(bundle.signing_certificate()?.as_bytes()).ok()
}

fn timestamps(leaf: &Certificate) -> Option<Vec<SignedCertificateTimestamp>> {
    let (_, list) = leaf.tbs_certificate.get::<SignedCertificateTimestampList>().ok()??;
    list.parse_timestamps().ok()?.iter().map(|one| one.parse_timestamp().ok()).collect()
}

/// What the log saw: the certificate's inner part without the timestamps.
fn precertificate(leaf: &Certificate) -> Option<Vec<u8>> {
    let mut inner = leaf.tbs_certificate.clone();
    let list = <SignedCertificateTimestampList as der::oid::AssociatedOid>::OID;
    inner.extensions = inner.extensions.map(|all| all.into_iter().filter(|one| one.extn_id != list).collect());
    inner.to_der().ok()
}

/// The keys of those who may have issued the certificate, by name. Its chain was verified before.
fn issuer_keys(leaf: &Certificate, bundle: &Bundle, root: &Root) -> Vec<Digest> {
    let trusted = root.library.certificate_authorities.iter().flat_map(|authority| &authority.cert_chain.certificates);
    let mut certificates: Vec<&[u8]> = trusted.map(|entry| entry.raw_bytes.as_bytes()).collect();
    if let VerificationMaterialContent::X509CertificateChain { certificates: chain } = &bundle.verification_material.content {
        certificates.extend(chain.iter().skip(1).map(|entry| entry.raw_bytes.as_bytes()));
    }
    let named = certificates.iter().filter_map(|der| Certificate::from_der(der).ok());
    let named = named.filter(|issuer| issuer.tbs_certificate.subject == leaf.tbs_certificate.issuer);
    named.filter_map(|it| it.tbs_certificate.subject_public_key_info.to_der().ok()).map(|key| Digest::sha256_of(&key)).collect()
}

/// Who runs the log that made a timestamp for a certificate issued with this key.
fn operator<'r>(
    timestamp: &SignedCertificateTimestamp,
    issuer: &Digest,
    precertificate: &[u8],
    root: &'r Root,
) -> Option<&'r str> {
    let id = timestamp.log_id.key_id;
    let log = root.library.ctlogs.iter().find(|log| log.log_id.key_id.as_bytes() == id)?;
    let at = jiff::Timestamp::from_millisecond(i64::try_from(timestamp.timestamp).ok()?).ok()?;
    if log.public_key.valid_for.is_some_and(|window| !window.contains(at)) {
        return None;
    }
    let schemes = [SigningScheme::EcdsaP256Sha256, SigningScheme::EcdsaP384Sha384, SigningScheme::RsaPkcs1Sha256];
    let signed = signed_bytes(timestamp, issuer, precertificate)?;
    let signature = SignatureBytes::new(timestamp.signature.signature.as_slice().to_vec());
    let keys = schemes.iter().filter_map(|scheme| VerificationKey::from_der(&log.public_key.raw_bytes, *scheme).ok());
    let valid = keys.into_iter().any(|key| key.verify(&signed, &signature).is_ok());
    root.certificate_logs.get(id.as_slice()).filter(|_| valid).map(String::as_str)
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
