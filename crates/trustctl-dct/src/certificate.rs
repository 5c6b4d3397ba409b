//! Certificates of root keys: Notary's rules for them, and whether one chains to a pinned authority.
//!
//! Notary uses X.509 as an envelope around a root key. It is self-signed as a rule, names the GUN as common name, and proves
//! nothing by itself: pins do. A generic path validator would refuse such certificates, so the rules are written out here
//! (Notary, `trustpinning/certs.go` and `tuf/utils/x509.go`). Validity is an argument: intermediate roots of a rotation may carry
//! certificates that have ended since.
//!
//! Not checked: the self-signature (a pin names the whole certificate), and revocation (Notary knows none).

use std::time::Duration;

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _, Reader as _};
use trustctl_core::public_key::{Hash, PublicKey, SignatureScheme};
use trustctl_core::time::Timestamp;
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};

/// Longest chain that is read, authority included.
const MAX_CHAIN: usize = 8;
/// Longest bundle that is read, in bytes of PEM.
const MAX_BUNDLE: usize = 128 * 1024;
/// A certificate may begin this long after now: clocks differ (Notary allows a day).
const BEGIN_TOLERANCE: Duration = Duration::from_secs(24 * 3600);

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// Purposes a root certificate may be limited to: any, code signing (what Notary issues), TLS server (what Go's default asks for).
const PURPOSES: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
];
/// Signature algorithms on SHA-1 or MD5: RSA with either, DSA and ECDSA with SHA-1.
const WEAK: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"),
    ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
];

/// Why a root key's certificate is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// The certificate has ended.
    #[error("the root key's certificate ended at {0}")]
    Ended(Timestamp),
    /// The bundle has no certificate, or more than one that is not an authority's, or too many.
    #[error(
        "a root key's certificate bundle must hold exactly one certificate that is not an authority's, and at most {MAX_CHAIN} in all"
    )]
    LeafCount,
    /// The key's own certificate is not the first of the bundle.
    #[error("the key's own certificate must come first in the bundle")]
    LeafNotFirst,
    /// The common name is not this GUN.
    #[error("the root key's certificate is for \"{found}\", not for \"{gun}\"")]
    Name {
        /// The GUN.
        gun: String,
        /// The common name; empty when there is not exactly one.
        found: String,
    },
    /// The root role lists no key with a certificate.
    #[error("the root key is a bare key; Notary demands a certificate")]
    NotACertificate,
    /// The certificate begins more than a day from now.
    #[error("the root key's certificate begins only at {0}")]
    NotYetValid(Timestamp),
    /// The certificate or its key cannot be read.
    #[error("the root key's certificate cannot be read")]
    Unreadable,
    /// It is signed with SHA-1 or MD5.
    #[error("the root key's certificate is signed with a broken hash function (SHA-1 or MD5)")]
    WeakSignature,
}

/// The certificate of a key, first, and those of the authorities above it.
#[derive(Clone, Debug)]
pub struct Bundle {
    leaf: Parsed,
    authorities: Vec<Parsed>,
}

#[derive(Clone, Debug)]
struct Parsed {
    certificate: Certificate,
    /// The to-be-signed part exactly as received: what a signature covers.
    signed_part: Vec<u8>,
    public_key: PublicKey,
}

impl Bundle {
    /// The bundle that PEM text holds, leaf first.
    ///
    /// # Errors
    /// [`CertificateFault`] when the text is no such bundle: `Unreadable`, `LeafCount` or `LeafNotFirst`.
    pub fn parse(text: &[u8]) -> Result<Self, CertificateFault> {
        if text.len() > MAX_BUNDLE {
            return Err(CertificateFault::Unreadable);
        }
        let blocks = pem::parse_many(text).map_err(|_| CertificateFault::Unreadable)?;
        if blocks.is_empty() || blocks.len() > MAX_CHAIN {
            return Err(CertificateFault::LeafCount);
        }
        let mut parsed = Vec::new();
        for block in &blocks {
            if block.tag() != "CERTIFICATE" {
                return Err(CertificateFault::Unreadable);
            }
            parsed.push(Parsed::from_der(block.contents())?);
        }
        if parsed.iter().filter(|certificate| !certificate.is_authority()).count() != 1 {
            return Err(CertificateFault::LeafCount);
        }
        let leaf = parsed.remove(0);
        if leaf.is_authority() {
            return Err(CertificateFault::LeafNotFirst);
        }
        Ok(Self { leaf, authorities: parsed })
    }

    /// The key that the first certificate of PEM text certifies, whatever else is in the text: how Notary reads keys of
    /// delegations, whose certificates are not judged.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`].
    pub fn first_key(text: &[u8]) -> Result<PublicKey, CertificateFault> {
        if text.len() > MAX_BUNDLE {
            return Err(CertificateFault::Unreadable);
        }
        let blocks = pem::parse_many(text).map_err(|_| CertificateFault::Unreadable)?;
        let first = blocks.iter().find(|block| block.tag() == "CERTIFICATE").ok_or(CertificateFault::Unreadable)?;
        Ok(Parsed::from_der(first.contents())?.public_key)
    }

    /// Checks what holds at any time: the common name is `gun` or a prefix of it ending in `*`, and no broken hash is used.
    ///
    /// # Errors
    /// [`CertificateFault::Name`] or [`CertificateFault::WeakSignature`].
    pub fn check_form(&self, gun: &str) -> Result<(), CertificateFault> {
        if WEAK.contains(&self.leaf.certificate.signature_algorithm.oid) {
            return Err(CertificateFault::WeakSignature);
        }
        let name = self.leaf.common_name().unwrap_or_default();
        let fits = match name.strip_suffix('*') {
            Some(prefix) => gun.starts_with(prefix),
            None => name == gun,
        };
        if fits { Ok(()) } else { Err(CertificateFault::Name { gun: gun.to_owned(), found: name }) }
    }

    /// Checks that the leaf is valid at `now`.
    ///
    /// # Errors
    /// [`CertificateFault::Ended`], or [`CertificateFault::NotYetValid`] when it begins more than a day later.
    pub fn check_time(&self, now: Timestamp) -> Result<(), CertificateFault> {
        let (begin, end) = self.leaf.validity()?;
        if now > end {
            return Err(CertificateFault::Ended(end));
        }
        if begin > now.saturating_add(BEGIN_TOLERANCE) {
            return Err(CertificateFault::NotYetValid(begin));
        }
        Ok(())
    }

    /// The end of the leaf's validity.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`] when the date is out of range.
    pub fn end(&self) -> Result<Timestamp, CertificateFault> {
        self.leaf.validity().map(|(_, end)| end)
    }

    /// Whether the leaf chains to `authority` (DER of a certificate) with every certificate valid at `now`.
    ///
    /// Rules (RFC 5280, section 6.1, as far as they apply): names and signatures link up, every issuer is an authority allowed to
    /// sign certificates, path lengths hold, no certificate has a critical extension that is not understood here (name
    /// constraints are not), and a leaf limited to purposes is limited to code signing, TLS server or any.
    #[must_use]
    pub fn chains_to(&self, authority: &[u8], now: Timestamp) -> bool {
        let Ok(authority) = Parsed::from_der(authority) else { return false };
        if !self.leaf.has_purpose() || !self.leaf.understood() {
            return false;
        }
        let mut current = &self.leaf;
        for below in 0..MAX_CHAIN {
            if !current.valid_at(now) {
                return false;
            }
            if authority.issued(current, below) {
                return authority.valid_at(now);
            }
            // Each intermediate once: a loop of two certificates that sign each other ends with MAX_CHAIN.
            match self.authorities.iter().find(|candidate| candidate.issued(current, below)) {
                Some(issuer) => current = issuer,
                None => return false,
            }
        }
        false
    }
}

impl Parsed {
    fn from_der(bytes: &[u8]) -> Result<Self, CertificateFault> {
        let unreadable = |_| CertificateFault::Unreadable;
        let certificate = Certificate::from_der(bytes).map_err(unreadable)?;
        let mut reader = der::SliceReader::new(bytes).map_err(unreadable)?;
        let header = der::Header::decode(&mut reader).map_err(unreadable)?;
        header.tag.assert_eq(der::Tag::Sequence).map_err(unreadable)?;
        let signed_part = reader.tlv_bytes().map_err(unreadable)?.to_vec();
        let spki = certificate.tbs_certificate.subject_public_key_info.to_der().map_err(unreadable)?;
        let public_key = PublicKey::from_spki_der(&spki).map_err(|_| CertificateFault::Unreadable)?;
        Ok(Self { certificate, signed_part, public_key })
    }

    fn extension<T: for<'a> der::Decode<'a>>(&self, id: ObjectIdentifier) -> Option<T> {
        let extensions = self.certificate.tbs_certificate.extensions.as_deref().unwrap_or_default();
        let found = extensions.iter().find(|extension| extension.extn_id == id)?;
        T::from_der(found.extn_value.as_bytes()).ok()
    }

    fn is_authority(&self) -> bool {
        self.extension::<BasicConstraints>(BASIC_CONSTRAINTS).is_some_and(|constraints| constraints.ca)
    }

    /// The common name; `None` unless there is exactly one. Its X.520 bound of 64 characters is not applied: real GUNs are longer.
    fn common_name(&self) -> Option<String> {
        let mut names =
            self.certificate.tbs_certificate.subject.0.iter().flat_map(|set| set.0.iter()).filter(|a| a.oid == COMMON_NAME);
        let (only, None) = (names.next()?, names.next()) else { return None };
        std::str::from_utf8(only.value.value()).ok().map(str::to_owned)
    }

    fn validity(&self) -> Result<(Timestamp, Timestamp), CertificateFault> {
        let validity = &self.certificate.tbs_certificate.validity;
        let time = |time: x509_cert::time::Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs()).map_err(|_| CertificateFault::Unreadable)?;
            Timestamp::from_unix_seconds(seconds).map_err(|_| CertificateFault::Unreadable)
        };
        Ok((time(validity.not_before)?, time(validity.not_after)?))
    }

    fn valid_at(&self, now: Timestamp) -> bool {
        self.validity().is_ok_and(|(begin, end)| begin <= now && now <= end)
    }

    fn has_purpose(&self) -> bool {
        match self.extension::<ExtendedKeyUsage>(EXTENDED_KEY_USAGE) {
            Some(usage) => usage.0.iter().any(|purpose| PURPOSES.contains(purpose)),
            None => true,
        }
    }

    /// Whether every critical extension is one this module knows.
    fn understood(&self) -> bool {
        let known = [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME];
        let extensions = self.certificate.tbs_certificate.extensions.as_deref().unwrap_or_default();
        extensions.iter().all(|extension| !extension.critical || known.contains(&extension.extn_id))
    }

    /// Whether this authority issued `other`, below which there are `below` certificates.
    fn issued(&self, other: &Self, below: usize) -> bool {
        let Some(constraints) = self.extension::<BasicConstraints>(BASIC_CONSTRAINTS) else { return false };
        let may_sign = match self.extension::<KeyUsage>(KEY_USAGE) {
            Some(usage) => usage.0.contains(KeyUsages::KeyCertSign),
            None => true,
        };
        let short_enough = constraints.path_len_constraint.is_none_or(|most| below <= usize::from(most));
        let linked = self.certificate.tbs_certificate.subject == other.certificate.tbs_certificate.issuer;
        constraints.ca && may_sign && short_enough && linked && self.understood() && self.signed(other)
    }

    fn signed(&self, other: &Self) -> bool {
        let Some(scheme) = signature_scheme(&other.certificate) else { return false };
        let Some(signature) = other.certificate.signature.as_bytes() else { return false };
        self.public_key.verify(scheme, &other.signed_part, signature).is_ok()
    }
}

/// The scheme of a certificate's signature; `None` for those not supported, SHA-1 and MD5 among them.
fn signature_scheme(certificate: &Certificate) -> Option<SignatureScheme> {
    if certificate.signature_algorithm != certificate.tbs_certificate.signature {
        return None;
    }
    match certificate.signature_algorithm.oid.to_string().as_str() {
        "1.2.840.10045.4.3.2" => Some(SignatureScheme::EcdsaDer(Hash::Sha256)),
        "1.2.840.10045.4.3.3" => Some(SignatureScheme::EcdsaDer(Hash::Sha384)),
        "1.2.840.10045.4.3.4" => Some(SignatureScheme::EcdsaDer(Hash::Sha512)),
        "1.2.840.113549.1.1.11" => Some(SignatureScheme::RsaPkcs1(Hash::Sha256)),
        "1.2.840.113549.1.1.12" => Some(SignatureScheme::RsaPkcs1(Hash::Sha384)),
        "1.2.840.113549.1.1.13" => Some(SignatureScheme::RsaPkcs1(Hash::Sha512)),
        "1.3.101.112" => Some(SignatureScheme::Ed25519),
        _ => None,
    }
}
