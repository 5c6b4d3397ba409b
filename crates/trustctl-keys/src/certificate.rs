//! The self-signed certificate in which Notary wraps a root key.

use der::asn1::ObjectIdentifier;
use trustctl_core::public_key::{Hash, KeyKind, SignatureScheme};
use trustctl_core::signer::Signer;
use trustctl_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::format::der_bytes::{BIT_STRING, INTEGER, NULL, OCTET_STRING, SEQUENCE, SET, bit_string, context, element, oid};
use crate::format::pem_text;
use crate::format::pkcs8::{minimal, random};

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

const BOOLEAN: u8 = 0x01;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Longest GUN, in bytes. Notary and its server accept names beyond the 64 characters of X.520.
const MAX_GUN: usize = 1024;
/// Notary's year (`const.go`): 365 days, so that ten of them end two or three days early.
const YEAR_SECONDS: i64 = 365 * 86_400;
/// The first second of 2050, from which on times are written as GeneralizedTime (RFC 5280, section 4.1.2.5).
const YEAR_2050: i64 = 2_524_608_000;

/// What [`self_signed`] takes where Notary's default is wanted.
pub const NOTARY_YEARS: u16 = 10;

/// A self-signed X.509 certificate over the signer's key, in DER, with the fields that Notary gives a root key (`tuf/utils/x509.go`,
/// `NewCertificate`): subject and issuer are `CN=gun`, a random 128-bit serial number, `digitalSignature` and `keyEncipherment`, extended usage
/// `codeSigning`, not an authority. It is valid from `not_before` for `years` times 365 days.
///
/// Verifiers take the key and the dates from it; nobody checks the certificate's own signature against an authority.
///
/// # Errors
/// [`KeyError::BadName`] when the GUN is empty, has control characters or is longer than 1,024 bytes; [`KeyError::Unsupported`] for an Ed25519 key,
/// which Notary does not accept as a root key, and when the signer fails.
pub fn self_signed(signer: &dyn Signer, gun: &str, not_before: Timestamp, years: u16) -> Result<Vec<u8>, KeyError> {
    if gun.is_empty() || gun.len() > MAX_GUN || gun.chars().any(char::is_control) {
        return Err(KeyError::BadName { what: "gun", name: gun.to_owned() });
    }
    let (scheme, algorithm) = algorithm(signer.public_key().kind())?;
    let mut serial = [0; 16];
    random(&mut serial)?;
    let name = name(gun);
    let start = not_before.unix_seconds();
    let end = start.saturating_add(i64::from(years).saturating_mul(YEAR_SECONDS));
    let to_be_signed = element(
        SEQUENCE,
        &[
            &element(context(0), &[&element(INTEGER, &[&[2]])]),
            &element(INTEGER, &[&minimal(&serial)]),
            &algorithm,
            &name,
            &element(SEQUENCE, &[&time(start)?, &time(end)?]),
            &name,
            signer.public_key().spki_der(),
            &element(context(3), &[&extensions()]),
        ],
    );
    let signature = signer
        .sign(scheme, &to_be_signed)
        .map_err(|_| KeyError::Unsupported { what: signer.public_key().kind().name(), purpose: "to sign a certificate" })?;
    Ok(element(SEQUENCE, &[&to_be_signed, &algorithm, &bit_string(&signature)]).to_vec())
}

/// A certificate as PEM, as it stands in Notary's metadata (where it is base64-encoded once more).
#[must_use]
pub fn to_pem(certificate: &[u8]) -> String {
    pem_text::encode("CERTIFICATE", &[], certificate).to_string()
}

fn algorithm(kind: KeyKind) -> Result<(SignatureScheme, Zeroizing<Vec<u8>>), KeyError> {
    let ecdsa = |hash, id| Ok((SignatureScheme::EcdsaDer(hash), element(SEQUENCE, &[&oid(id)])));
    match kind {
        KeyKind::EcdsaP256 => ecdsa(Hash::Sha256, ECDSA_WITH_SHA256),
        KeyKind::EcdsaP384 => ecdsa(Hash::Sha384, ECDSA_WITH_SHA384),
        KeyKind::EcdsaP521 => ecdsa(Hash::Sha512, ECDSA_WITH_SHA512),
        KeyKind::Rsa => {
            let parameters = element(NULL, &[]);
            Ok((SignatureScheme::RsaPkcs1(Hash::Sha256), element(SEQUENCE, &[&oid(SHA256_WITH_RSA), &parameters])))
        }
        other => Err(KeyError::Unsupported { what: other.name(), purpose: "as a Notary root key" }),
    }
}

/// `CN=gun`; a PrintableString where the characters allow it, as Go chooses.
fn name(gun: &str) -> Zeroizing<Vec<u8>> {
    let printable = gun.chars().all(|c| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c));
    let value = element(if printable { PRINTABLE_STRING } else { UTF8_STRING }, &[gun.as_bytes()]);
    element(SEQUENCE, &[&element(SET, &[&element(SEQUENCE, &[&oid(COMMON_NAME), &value])])])
}

fn time(seconds: i64) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let out_of_range = |_| KeyError::Unsupported { what: "a time beyond the year 9999", purpose: "in a certificate" };
    let text = Timestamp::from_unix_seconds(seconds).map_err(out_of_range)?.to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if (0..YEAR_2050).contains(&seconds) {
        Ok(element(UTC_TIME, &[digits.get(2..).unwrap_or_default().as_bytes(), b"Z"]))
    } else {
        Ok(element(GENERALIZED_TIME, &[digits.as_bytes(), b"Z"]))
    }
}

fn extensions() -> Zeroizing<Vec<u8>> {
    let critical = element(BOOLEAN, &[&[0xff]]);
    let extension =
        |id, critical: &[u8], value: &[u8]| element(SEQUENCE, &[&oid(id), critical, &element(OCTET_STRING, &[value])]);
    // Bits 0 (digitalSignature) and 2 (keyEncipherment), five bits unused.
    let usage = element(BIT_STRING, &[&[5, 0b1010_0000]]);
    let extended = element(SEQUENCE, &[&oid(CODE_SIGNING)]);
    let not_an_authority = element(SEQUENCE, &[]);
    element(
        SEQUENCE,
        &[
            &extension(KEY_USAGE, &critical, &usage),
            &extension(EXTENDED_KEY_USAGE, &[], &extended),
            &extension(BASIC_CONSTRAINTS, &critical, &not_an_authority),
        ],
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::private_key::PrivateKey;
    use der::{Decode as _, Encode as _};
    use x509_cert::Certificate;

    fn now() -> Timestamp {
        "2026-11-23T10:00:00.5Z".parse().unwrap()
    }

    #[test]
    fn the_certificate_has_notarys_fields_and_verifies() {
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521] {
            let key = PrivateKey::generate(kind).unwrap();
            let der = self_signed(&key, "localhost:5000/demo/app", now(), NOTARY_YEARS).unwrap();
            let certificate = Certificate::from_der(&der).unwrap();
            let tbs = &certificate.tbs_certificate;
            assert_eq!(tbs.subject.to_string(), "CN=localhost:5000/demo/app");
            assert_eq!(tbs.issuer, tbs.subject);
            assert_eq!(tbs.validity.not_before.to_string(), "2026-11-23T10:00:00Z");
            assert_eq!(tbs.validity.not_after.to_string(), "2036-11-20T10:00:00Z");
            assert_eq!(tbs.subject_public_key_info.to_der().unwrap(), key.public_key().spki_der());
            assert_eq!(tbs.extensions.as_ref().unwrap().len(), 3);
            let scheme = algorithm(kind).unwrap().0;
            let signature = certificate.signature.raw_bytes();
            key.public_key().verify(scheme, &tbs.to_der().unwrap(), signature).unwrap();
        }
    }

    #[test]
    fn serial_numbers_differ() {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let serial = || {
            let der = self_signed(&key, "a/b", now(), 1).unwrap();
            Certificate::from_der(&der).unwrap().tbs_certificate.serial_number
        };
        assert_ne!(serial(), serial());
    }

    #[test]
    fn odd_names_and_late_dates_are_encoded_properly() {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        for gun in ["example.com/team_a/app", "registry/\u{fc}ber", &"long/".repeat(40)] {
            let der = self_signed(&key, gun, now(), 30).unwrap();
            let certificate = Certificate::from_der(&der).unwrap();
            let name = &certificate.tbs_certificate.subject.0[0];
            assert_eq!(name.0.as_slice()[0].value.value(), gun.as_bytes());
            assert_eq!(certificate.tbs_certificate.validity.not_after.to_string(), "2056-11-15T10:00:00Z");
        }
        for gun in ["", "a\nb", &"x".repeat(MAX_GUN + 1)] {
            assert!(matches!(self_signed(&key, gun, now(), 1), Err(KeyError::BadName { .. })), "{gun}");
        }
        let ed25519 = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        assert!(matches!(self_signed(&ed25519, "a/b", now(), 1), Err(KeyError::Unsupported { .. })));
    }

    #[test]
    fn the_layout_is_the_one_of_a_real_notary_certificate() {
        // The DER that notary 0.7 made for this name and date range, without its random parts: serial number, key and signature.
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let start: Timestamp = "2026-11-22T14:57:14Z".parse().unwrap();
        let der = self_signed(&key, "localhost:14005/demo/app", start, NOTARY_YEARS).unwrap();
        let text = hex::encode(&der);
        for part in [
            "300a06082a8648ce3d040302",
            "30233121301f060355040313186c6f63616c686f73743a31343030352f64656d6f2f617070",
            "301e170d3236313132323134353731345a170d3336313131393134353731345a",
            "a3353033300e0603551d0f0101ff0404030205a030130603551d25040c300a06082b06010505070303300c0603551d130101ff04023000",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
