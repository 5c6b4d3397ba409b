//! X.509 certificates (RFC 5280) of the lab's authorities and of those they vouch for.

use std::time::Duration;

use const_oid::AssociatedOid;
use der::asn1::{BitString, GeneralizedTime, OctetString, UtcTime};
use der::{Decode as _, Encode};
use spki::SubjectPublicKeyInfoOwned;
use trustctl_core::public_key::PublicKey;
use trustctl_core::time::Timestamp;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use super::keys::{Key, random, sha256};
use crate::error::LabError;

/// A certificate with the key that it is about.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) key: Key,
    pub(crate) certificate: Certificate,
}

/// From when until when, both included, something is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// What a new certificate says, beside what its issuer adds.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// In the text form of RFC 4514; may be empty.
    pub(crate) subject: &'a str,
    pub(crate) key: &'a PublicKey,
    pub(crate) window: Window,
    pub(crate) extensions: Vec<Extension>,
}

impl Authority {
    /// An authority that vouches for itself, and for one more below it when `intermediates` is 1.
    pub(crate) fn root(subject: &str, window: Window, intermediates: u8) -> Result<Self, LabError> {
        let key = Key::p384()?;
        let extensions = authority_extensions(intermediates)?;
        let draft = Draft { subject, key: key.public(), window, extensions };
        let name = draft.name()?;
        let certificate = sign(draft.to_be_signed(&name, &key)?, &key)?;
        Ok(Self { key, certificate })
    }

    /// An authority that this one vouches for; `extensions` say what for.
    pub(crate) fn intermediate(&self, subject: &str, window: Window, mut extensions: Vec<Extension>) -> Result<Self, LabError> {
        let key = Key::p384()?;
        extensions.extend(authority_extensions(0)?);
        let certificate = self.issue(&Draft { subject, key: key.public(), window, extensions })?;
        Ok(Self { key, certificate })
    }

    /// A certificate as drafted.
    pub(crate) fn issue(&self, draft: &Draft<'_>) -> Result<Certificate, LabError> {
        sign(self.to_be_signed(draft)?, &self.key)
    }

    /// What [`Authority::issue`] signs: for who has to add to it before [`sign`].
    pub(crate) fn to_be_signed(&self, draft: &Draft<'_>) -> Result<TbsCertificate, LabError> {
        draft.to_be_signed(&self.certificate.tbs_certificate.subject, &self.key)
    }
}

impl Draft<'_> {
    fn name(&self) -> Result<Name, LabError> {
        if self.subject.is_empty() {
            return Ok(Name::default());
        }
        Ok(self.subject.parse()?)
    }

    fn to_be_signed(&self, issuer: &Name, key: &Key) -> Result<TbsCertificate, LabError> {
        let mut extensions = self.extensions.clone();
        extensions.push(extension(false, &SubjectKeyIdentifier(key_identifier(self.key)?))?);
        let authority = AuthorityKeyIdentifier {
            key_identifier: Some(key_identifier(key.public())?),
            authority_cert_issuer: None,
            authority_cert_serial_number: None,
        };
        extensions.push(extension(false, &authority)?);
        Ok(TbsCertificate {
            version: Version::V3,
            serial_number: serial_number()?,
            signature: key.algorithm(),
            issuer: issuer.clone(),
            validity: Validity { not_before: time(self.window.from)?, not_after: time(self.window.until)? },
            subject: self.name()?,
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(self.key.spki_der())?,
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(extensions),
        })
    }
}

/// The certificate that `key` makes of what is to be signed.
pub(crate) fn sign(to_be_signed: TbsCertificate, key: &Key) -> Result<Certificate, LabError> {
    let signature = key.sign(&to_be_signed.to_der()?)?;
    Ok(Certificate {
        tbs_certificate: to_be_signed,
        signature_algorithm: key.algorithm(),
        signature: BitString::from_bytes(&signature)?,
    })
}

/// An extension that has an identifier of its own.
pub(crate) fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension, LabError> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// Certificates as PEM, one after the other.
pub(crate) fn pem<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> Result<String, LabError> {
    let encode = |certificate: &Certificate| -> Result<String, LabError> {
        let der = certificate.to_der()?;
        der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).map_err(|_| LabError::Crypto)
    };
    certificates.into_iter().map(encode).collect()
}

fn authority_extensions(intermediates: u8) -> Result<Vec<Extension>, LabError> {
    let constraints = BasicConstraints { ca: true, path_len_constraint: Some(intermediates) };
    let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
    Ok(vec![extension(true, &constraints)?, extension(true, &usage)?])
}

/// 160 bits of the SHA-256 of the key (RFC 7093, section 2, method 1).
fn key_identifier(key: &PublicKey) -> Result<OctetString, LabError> {
    let hash = sha256(key.raw());
    Ok(OctetString::new(hash.get(..20).unwrap_or_default())?)
}

/// Positive, and too long to be guessed (RFC 5280, section 4.1.2.2).
fn serial_number() -> Result<SerialNumber, LabError> {
    let mut bytes = random::<16>()?;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Ok(SerialNumber::new(&bytes)?)
}

/// As RFC 5280, section 4.1.2.5 wants it: two digits of the year until 2049.
fn time(time: Timestamp) -> Result<Time, LabError> {
    let since = Duration::from_secs(u64::try_from(time.unix_seconds()).unwrap_or_default());
    Ok(match UtcTime::from_unix_duration(since) {
        Ok(time) => time.into(),
        Err(_) => GeneralizedTime::from_unix_duration(since)?.into(),
    })
}
