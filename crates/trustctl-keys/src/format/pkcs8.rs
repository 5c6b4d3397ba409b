//! PKCS#8: plain (RFC 5958) and encrypted by PBES2 (RFC 8018), as OpenSSL, Go and Notary write it.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use der::asn1::{AnyRef, BitStringRef, ContextSpecific, ObjectIdentifier, OctetStringRef};
use der::{Decode as _, Reader as _, SliceReader, TagNumber};
use pkcs5::EncryptionScheme;
use pkcs5::pbes2::{self, Kdf, Pbkdf2Prf};
use spki::AlgorithmIdentifierRef;
use trustctl_core::signer::Signer as _;
use zeroize::Zeroizing;

use super::der_bytes::{EC_PUBLIC_KEY, ED25519, ED25519_NOTARY, INTEGER, NULL, OCTET_STRING, RSA, SEQUENCE, element, oid};
use crate::error::KeyError;
use crate::private_key::{Curve, PrivateKey, Secret, ec_private_key};
use crate::secret::Passphrase;

/// Most PBKDF2 rounds that are computed: about two seconds. OpenSSL writes 2,048, today's advice is 600,000.
const MAX_ROUNDS: u32 = 5_000_000;
/// Most scrypt memory, `128 * N * r` bytes: twice what Cosign's strongest setting takes.
const MAX_SCRYPT_MEMORY: u64 = 256 << 20;
/// Most scrypt work, `N * r * p`: four times Cosign's strongest setting, about two seconds.
const MAX_SCRYPT_WORK: u64 = 4 << 20;
/// Longest salt, in bytes; writers use 8 to 32.
const MAX_SALT: usize = 128;

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");

/// How a key is laid out inside PKCS#8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As RFC 5958 and RFC 8410 say.
    Standard,
    /// As Notary's `convertTUFKeyToPKCS8` writes it: version 1 for EC though no public key follows, no NULL parameters for RSA, an own
    /// identifier for Ed25519.
    Notary,
}

/// How a key is encrypted when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// PBKDF2-HMAC-SHA256, 600,000 rounds (OWASP's figure for 2023 and later), 16 bytes of salt.
    Standard,
    /// PBKDF2-HMAC-SHA1, 2,048 rounds, 8 bytes of salt: the only thing that Notary and Docker read.
    Notary,
}

/// The key in a PrivateKeyInfo. Attributes and a public key that follow are ignored, as Go does.
pub(crate) fn parse(der: &[u8]) -> Result<PrivateKey, KeyError> {
    let malformed = |_| KeyError::unreadable("the PKCS#8 structure is malformed");
    let mut reader = SliceReader::new(der).map_err(malformed)?;
    let (algorithm, key) = reader
        .sequence(|inner| {
            u8::decode(inner)?;
            let algorithm = AlgorithmIdentifierRef::decode(inner)?;
            let key = OctetStringRef::decode(inner)?.as_bytes();
            while !inner.is_finished() {
                AnyRef::decode(inner)?;
            }
            Ok((algorithm, key))
        })
        .map_err(malformed)?;
    reader.finish(()).map_err(malformed)?;
    match algorithm.oid {
        EC_PUBLIC_KEY => {
            let named = algorithm.parameters_oid().map_err(|_| unsupported_curve())?;
            parse_ec(key, Some(named))
        }
        ED25519 => {
            let seed = OctetStringRef::from_der(key).map_err(malformed)?;
            PrivateKey::from_ed25519_seed(seed.as_bytes(), None)
        }
        ED25519_NOTARY => parse_notary_ed25519(key),
        RSA => PrivateKey::from_pkcs1(key),
        _ => Err(KeyError::Unsupported { what: "the algorithm in this file", purpose: "as a signing key" }),
    }
}

/// The key in an ECPrivateKey (RFC 5915), on `curve` or on the one it names itself; both must be the same.
pub(crate) fn parse_ec(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<PrivateKey, KeyError> {
    let malformed = |_| KeyError::unreadable("the EC private key structure is malformed");
    let mut reader = SliceReader::new(der).map_err(malformed)?;
    let (scalar, named, point) = reader
        .sequence(|inner| {
            u8::decode(inner)?;
            let scalar = OctetStringRef::decode(inner)?.as_bytes();
            let named = ContextSpecific::<AnyRef<'_>>::decode_explicit(inner, TagNumber::N0)?;
            let point = ContextSpecific::<BitStringRef<'_>>::decode_explicit(inner, TagNumber::N1)?;
            Ok((scalar, named, point))
        })
        .map_err(malformed)?;
    reader.finish(()).map_err(malformed)?;
    let named = named.map(|named| named.value.decode_as::<ObjectIdentifier>().map_err(|_| unsupported_curve())).transpose()?;
    let curve = match (curve, named) {
        (Some(outer), Some(inner)) if outer != inner => return Err(KeyError::unreadable("the file names two different curves")),
        (outer, inner) => outer.or(inner).ok_or(KeyError::unreadable("the file does not name the curve"))?,
    };
    let curve = Curve::named(curve).ok_or_else(unsupported_curve)?;
    PrivateKey::from_ec_scalar(curve.kind, scalar, point.and_then(|point| point.value.as_bytes()))
}

/// Notary's `public || seed || public`.
pub(crate) fn parse_notary_ed25519(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let (Some(public), Some(seed), Some(again), 96) = (bytes.get(..32), bytes.get(32..64), bytes.get(64..96), bytes.len()) else {
        return Err(KeyError::unreadable("the Ed25519 key is malformed"));
    };
    if public != again {
        return Err(KeyError::unreadable("the Ed25519 key is malformed"));
    }
    PrivateKey::from_ed25519_seed(seed, Some(public))
}

/// The PrivateKeyInfo of a key.
pub(crate) fn encode(key: &PrivateKey, layout: Layout) -> Zeroizing<Vec<u8>> {
    let notary = layout == Layout::Notary;
    let (version, algorithm, inner) = match &key.secret {
        Secret::Ec { scalar, .. } => {
            let Some(curve) = Curve::of(key.kind()) else { return Zeroizing::default() };
            let algorithm = element(SEQUENCE, &[&oid(EC_PUBLIC_KEY), &oid(curve.oid)]);
            (u8::from(notary), algorithm, ec_private_key(curve, scalar, key.public_key().raw(), notary))
        }
        Secret::Ed25519 { seed, .. } if notary => {
            let public = key.public_key().raw();
            let inner = Zeroizing::new([public, seed.as_slice(), public].concat());
            (0, element(SEQUENCE, &[&oid(ED25519_NOTARY)]), inner)
        }
        Secret::Ed25519 { seed, .. } => (0, element(SEQUENCE, &[&oid(ED25519)]), element(OCTET_STRING, &[seed])),
        Secret::Rsa { pkcs1, .. } => {
            let parameters = if notary { Zeroizing::default() } else { element(NULL, &[]) };
            (0, element(SEQUENCE, &[&oid(RSA), &parameters]), Zeroizing::new(pkcs1.to_vec()))
        }
    };
    element(SEQUENCE, &[&element(INTEGER, &[&[version]]), &algorithm, &element(OCTET_STRING, &[&inner])])
}

/// The PrivateKeyInfo inside an EncryptedPrivateKeyInfo. A wrong passphrase mostly shows in the padding; where it does not, what comes out is no key.
pub(crate) fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let malformed = |_| KeyError::unreadable("the encrypted PKCS#8 structure is malformed, or its encryption is not supported");
    let mut reader = SliceReader::new(der).map_err(malformed)?;
    let (scheme, data) = reader
        .sequence(|inner| Ok((EncryptionScheme::decode(inner)?, OctetStringRef::decode(inner)?.as_bytes())))
        .map_err(malformed)?;
    reader.finish(()).map_err(malformed)?;
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return Err(KeyError::Unsupported {
            what: "PKCS#5 version 1 encryption",
            purpose: "any more; convert the key with openssl pkcs8",
        });
    };
    let (length, iv) = match parameters.encryption {
        pbes2::EncryptionScheme::Aes128Cbc { iv } => (16, iv),
        pbes2::EncryptionScheme::Aes192Cbc { iv } => (24, iv),
        pbes2::EncryptionScheme::Aes256Cbc { iv } => (32, iv),
        _ => return Err(KeyError::Unsupported { what: "the cipher of this file", purpose: "to decrypt keys" }),
    };
    let key = derive(&parameters.kdf, passphrase, length)?;
    decrypt_cbc(&key, iv, data)
}

fn derive(kdf: &Kdf<'_>, passphrase: &Passphrase, length: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let wrong_length = |stated: Option<u16>| stated.is_some_and(|stated| usize::from(stated) != length);
    let mut key = Zeroizing::new(vec![0; length]);
    match kdf {
        Kdf::Pbkdf2(parameters) => {
            if wrong_length(parameters.key_length) || parameters.salt.is_empty() || parameters.salt.len() > MAX_SALT {
                return Err(KeyError::unreadable("the parameters of the key derivation are malformed"));
            }
            limit("PBKDF2 rounds", parameters.iteration_count.into(), MAX_ROUNDS.into())?;
            let rounds = NonZeroU32::new(parameters.iteration_count)
                .ok_or(KeyError::unreadable("the parameters of the key derivation are malformed"))?;
            let algorithm = match parameters.prf {
                Pbkdf2Prf::HmacWithSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
                Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
                Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
                Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
                _ => {
                    return Err(KeyError::Unsupported {
                        what: "the hash of this file's key derivation",
                        purpose: "to decrypt keys",
                    });
                }
            };
            pbkdf2::derive(algorithm, rounds, parameters.salt, passphrase.expose(), &mut key);
        }
        Kdf::Scrypt(parameters) => {
            if wrong_length(parameters.key_length)
                || parameters.salt.len() > MAX_SALT
                || !parameters.cost_parameter.is_power_of_two()
            {
                return Err(KeyError::unreadable("the parameters of the key derivation are malformed"));
            }
            let (blocks, lanes) = (u64::from(parameters.block_size), u64::from(parameters.parallelization));
            let memory = parameters.cost_parameter.saturating_mul(blocks).saturating_mul(128);
            limit("scrypt memory", memory, MAX_SCRYPT_MEMORY)?;
            limit("scrypt work", parameters.cost_parameter.saturating_mul(blocks).saturating_mul(lanes), MAX_SCRYPT_WORK)?;
            let log_n = u8::try_from(parameters.cost_parameter.ilog2()).unwrap_or(u8::MAX);
            scrypt::Params::new(log_n, parameters.block_size.into(), parameters.parallelization.into(), length)
                .ok()
                .and_then(|parameters_| scrypt::scrypt(passphrase.expose(), parameters.salt, &parameters_, &mut key).ok())
                .ok_or(KeyError::unreadable("the parameters of the key derivation are malformed"))?;
        }
        _ => return Err(KeyError::Unsupported { what: "the key derivation of this file", purpose: "to decrypt keys" }),
    }
    Ok(key)
}

/// The EncryptedPrivateKeyInfo around `info`.
pub(crate) fn encrypt(info: &[u8], passphrase: &Passphrase, strength: Strength) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (algorithm, rounds, salt_length) = match strength {
        Strength::Standard => (pbkdf2::PBKDF2_HMAC_SHA256, 600_000_u32, 16),
        Strength::Notary => (pbkdf2::PBKDF2_HMAC_SHA1, 2048, 8),
    };
    let mut salt = vec![0; salt_length];
    let mut iv = [0; 16];
    random(&mut salt)?;
    random(&mut iv)?;
    let mut key = Zeroizing::new(vec![0; 32]);
    let Some(nonzero) = NonZeroU32::new(rounds) else { return Err(KeyError::unreadable("no rounds")) };
    pbkdf2::derive(algorithm, nonzero, &salt, passphrase.expose(), &mut key);
    let data = encrypt_cbc(&key, iv, info)?;
    // SHA-1 is the default of the structure and is left out, as DER demands and Notary expects.
    let prf = match strength {
        Strength::Standard => element(SEQUENCE, &[&oid(HMAC_SHA256), &element(NULL, &[])]),
        Strength::Notary => Zeroizing::default(),
    };
    let rounds = minimal(&rounds.to_be_bytes());
    let kdf = element(SEQUENCE, &[&element(OCTET_STRING, &[&salt]), &element(INTEGER, &[&rounds]), &prf]);
    let parameters = element(
        SEQUENCE,
        &[&element(SEQUENCE, &[&oid(PBKDF2), &kdf]), &element(SEQUENCE, &[&oid(AES_256_CBC), &element(OCTET_STRING, &[&iv])])],
    );
    Ok(element(SEQUENCE, &[&element(SEQUENCE, &[&oid(PBES2), &parameters]), &element(OCTET_STRING, &[&data])]))
}

/// AES-CBC with PKCS#7 padding; the length of the key chooses the cipher. Bad padding is a wrong passphrase.
pub(crate) fn decrypt_cbc(key: &[u8], iv: &[u8; 16], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let wrong = || KeyError::WrongPassphrase { key: "the key".to_owned() };
    if data.is_empty() || !data.len().is_multiple_of(16) {
        return Err(KeyError::unreadable("the encrypted data is cut off"));
    }
    let cipher = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    let key = UnboundCipherKey::new(cipher, key).map_err(|_| wrong())?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| wrong())?;
    let mut buffer = Zeroizing::new(data.to_vec());
    let plain = key.decrypt(&mut buffer, DecryptionContext::Iv128(FixedLength::from(*iv))).map_err(|_| wrong())?;
    Ok(Zeroizing::new(plain.to_vec()))
}

fn encrypt_cbc(key: &[u8], iv: [u8; 16], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    let failed = |_| KeyError::Unsupported { what: "AES-256-CBC", purpose: "on this machine" };
    let key = UnboundCipherKey::new(&AES_256, key).map_err(failed)?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(failed)?;
    // Reserved with the padding: growing would leave a copy of the plain key behind.
    let mut buffer = Vec::with_capacity(plain.len().saturating_add(16));
    buffer.extend_from_slice(plain);
    key.less_safe_encrypt(&mut buffer, EncryptionContext::Iv128(FixedLength::from(iv))).map_err(failed)?;
    Ok(buffer)
}

pub(crate) fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    aws_lc_rs::rand::fill(bytes)
        .map_err(|_| KeyError::Unsupported { what: "this machine's random generator", purpose: "to protect a key" })
}

pub(crate) fn limit(parameter: &'static str, asked: u64, most: u64) -> Result<(), KeyError> {
    if asked > most { Err(KeyError::Costly { parameter, asked, most }) } else { Ok(()) }
}

/// Big-endian digits as the content of a positive DER INTEGER.
pub(crate) fn minimal(digits: &[u8]) -> Vec<u8> {
    let start = digits.iter().position(|byte| *byte != 0).unwrap_or(digits.len().saturating_sub(1));
    let rest = digits.get(start..).unwrap_or_default();
    let sign: &[u8] = if rest.first().is_none_or(|byte| *byte >= 0x80) { &[0] } else { &[] };
    [sign, rest].concat()
}

fn unsupported_curve() -> KeyError {
    KeyError::Unsupported { what: "an elliptic curve other than P-256, P-384 and P-521", purpose: "as a signing key" }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::pem_text::Block;
    use super::*;

    #[test]
    fn numbers_are_minimal_and_positive() {
        assert_eq!(minimal(&[0, 0, 8, 0]), [8, 0]);
        assert_eq!(minimal(&[0, 0x80]), [0, 0x80]);
        assert_eq!(minimal(&[0, 0]), [0]);
        assert_eq!(minimal(&[0x7f]), [0x7f]);
    }

    #[test]
    fn the_plain_bytes_of_a_notary_key_are_notarys() {
        let Some(data) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
            return eprintln!("SKIPPED external keys: TRUSTCTL_EXTERNAL_TESTDATA is not set");
        };
        let data = std::path::Path::new(&data).join("dct");
        let mut compared = 0;
        for (folder, word) in
            [("client-dirs/docker-28.2.2/trust/private", "repopass1234"), ("repo-rsa-root/private", "rootpass1234")]
        {
            for entry in std::fs::read_dir(data.join(folder)).unwrap() {
                let block = Block::parse_all(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap().remove(0);
                let Ok(plain) = decrypt(&block.contents, &Passphrase::new(word).unwrap()) else { continue };
                let Ok(key) = parse(&plain) else { continue };
                assert_eq!(*encode(&key, Layout::Notary), *plain);
                compared += 1;
            }
        }
        assert!(compared > 10, "{compared}");
    }
}
