//! A private key in memory, and signing with it.

use aws_lc_rs::agreement;
use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding};
use der::{Decode as _, Reader as _};
use trustctl_core::public_key::{Hash, KeyKind, PublicKey, SignatureScheme};
use trustctl_core::signer::{SignError, Signer};
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::format::der_bytes::{self, EC_PUBLIC_KEY, NULL, P256, P384, P521, RSA, SEQUENCE, bit_string, element, oid};

/// A private key and its public half. It has no `Debug` and no `Clone`; its bytes are overwritten when it is dropped.
///
/// What it can sign by: ECDSA P-256 with SHA-256, P-384 with SHA-256 and SHA-384, P-521 with SHA-256, SHA-384 and SHA-512 (both encodings),
/// Ed25519, and RSA of 2048 to 8192 bits by PKCS#1 v1.5 and PSS with SHA-256, SHA-384 and SHA-512.
pub struct PrivateKey {
    public: PublicKey,
    pub(crate) secret: Secret,
}

/// The secret in its shortest encoding (for the formats), and as the library wants it (for signing).
pub(crate) enum Secret {
    /// The scalar, big-endian, of the curve's full length.
    Ec { scalar: Zeroizing<Vec<u8>>, pair: EcdsaKeyPair },
    /// The 32-byte seed of RFC 8032.
    Ed25519 { seed: Zeroizing<Vec<u8>>, pair: Ed25519KeyPair },
    /// DER RSAPrivateKey (RFC 8017, appendix A.1.2).
    Rsa { pkcs1: Zeroizing<Vec<u8>>, pair: rsa::KeyPair },
}

impl PrivateKey {
    /// A new key: ECDSA on P-256, P-384 or P-521, or Ed25519.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for RSA, and when the random generator fails.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let failed = KeyError::Unsupported { what: "this machine's random generator", purpose: "to make a key" };
        if kind == KeyKind::Ed25519 {
            let mut seed = Zeroizing::new(vec![0_u8; 32]);
            aws_lc_rs::rand::fill(&mut seed).map_err(|_| failed)?;
            return Self::from_ed25519_seed(&seed, None);
        }
        let curve =
            Curve::of(kind).ok_or(KeyError::Unsupported { what: kind.name(), purpose: "for a new key; use ecdsa-p256" })?;
        let pair = EcdsaKeyPair::generate(curve.signing).map_err(|_| failed)?;
        let scalar = pair.private_key().as_be_bytes().map_err(|_| KeyError::unreadable("the new key has no scalar"))?;
        Self::from_ec_scalar(kind, scalar.as_ref(), None)
    }

    /// A key from its scalar; `declared` is the public point that came along with it, which must fit.
    pub(crate) fn from_ec_scalar(kind: KeyKind, scalar: &[u8], declared: Option<&[u8]>) -> Result<Self, KeyError> {
        let bad = |_| KeyError::unreadable("the elliptic-curve key is malformed");
        let curve = Curve::of(kind).ok_or(KeyError::unreadable("not an elliptic-curve key"))?;
        let scalar = curve.full_length(scalar)?;
        let holder = agreement::PrivateKey::from_private_key(curve.agreement, &scalar).map_err(bad)?;
        let point = holder.compute_public_key().map_err(|_| KeyError::unreadable("the elliptic-curve key is malformed"))?;
        // A compressed point is compared no further: the scalar alone decides.
        if declared.is_some_and(|declared| declared.first() == Some(&4) && declared != point.as_ref()) {
            return Err(KeyError::unreadable("the public half in the file does not belong to the private half"));
        }
        let spki = element(SEQUENCE, &[&element(SEQUENCE, &[&oid(EC_PUBLIC_KEY), &oid(curve.oid)]), &bit_string(point.as_ref())]);
        let public = PublicKey::from_spki_der(&spki).map_err(|_| KeyError::unreadable("the elliptic-curve key is malformed"))?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.signing, &scalar, public.raw()).map_err(bad)?;
        Ok(Self { public, secret: Secret::Ec { scalar, pair } })
    }

    /// A key from its seed; `declared` is the public half that came along with it, which must fit.
    pub(crate) fn from_ed25519_seed(seed: &[u8], declared: Option<&[u8]>) -> Result<Self, KeyError> {
        let bad = |_| KeyError::unreadable("the Ed25519 key is malformed");
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(bad)?;
        let point = pair.public_key().as_ref();
        if declared.is_some_and(|declared| declared != point) {
            return Err(KeyError::unreadable("the public half in the file does not belong to the private half"));
        }
        let public = PublicKey::from_ed25519(point).map_err(|_| KeyError::unreadable("the Ed25519 key is malformed"))?;
        Ok(Self { public, secret: Secret::Ed25519 { seed: Zeroizing::new(seed.to_vec()), pair } })
    }

    /// A key from a DER RSAPrivateKey.
    pub(crate) fn from_pkcs1(pkcs1: &[u8]) -> Result<Self, KeyError> {
        let bad = KeyError::unreadable("the RSA key is malformed, or of fewer than 2048 or more than 8192 bits");
        if !small_enough(pkcs1) {
            return Err(bad);
        }
        let Ok(pair) = rsa::KeyPair::from_der(pkcs1) else { return Err(bad) };
        let algorithm = element(SEQUENCE, &[&oid(RSA), &element(NULL, &[])]);
        let spki = element(SEQUENCE, &[&algorithm, &bit_string(pair.public_key().as_ref())]);
        let Ok(public) = PublicKey::from_spki_der(&spki) else { return Err(bad) };
        Ok(Self { public, secret: Secret::Rsa { pkcs1: Zeroizing::new(pkcs1.to_vec()), pair } })
    }

    /// The kind of key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.public.kind()
    }

    /// How this program names the key: see [`PublicKey::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint()
    }
}

impl Signer for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let unsupported = SignError::Unsupported { key: self.kind().name() };
        match (&self.secret, scheme) {
            (Secret::Ec { scalar, pair }, SignatureScheme::EcdsaDer(hash)) => self.sign_ecdsa((scalar, pair), hash, message),
            (Secret::Ec { scalar, pair }, SignatureScheme::EcdsaFixed(hash)) => {
                let der = self.sign_ecdsa((scalar, pair), hash, message)?;
                der_to_fixed(scalar.len(), &der).ok_or_else(|| SignError::Failed("the signature is not DER".to_owned()))
            }
            (Secret::Ed25519 { pair, .. }, SignatureScheme::Ed25519) => {
                pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(failed)
            }
            (Secret::Rsa { pair, .. }, SignatureScheme::RsaPkcs1(_) | SignatureScheme::RsaPss(_)) => {
                let encoding = rsa_encoding(scheme).ok_or(unsupported)?;
                let mut bytes = vec![0_u8; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut bytes).map_err(failed)?;
                Ok(bytes)
            }
            _ => Err(unsupported),
        }
    }

    fn sign_hash(&self, scheme: SignatureScheme, hash: &[u8]) -> Result<Vec<u8>, SignError> {
        let unsupported = SignError::Unsupported { key: self.kind().name() };
        match (&self.secret, scheme) {
            (Secret::Ec { scalar, pair }, SignatureScheme::EcdsaDer(algorithm)) => {
                self.sign_ecdsa_hash((scalar, pair), algorithm, hash)
            }
            (Secret::Rsa { pair, .. }, SignatureScheme::RsaPkcs1(algorithm) | SignatureScheme::RsaPss(algorithm)) => {
                let encoding = rsa_encoding(scheme).ok_or(unsupported)?;
                let mut bytes = vec![0_u8; pair.public_modulus_len()];
                pair.sign_digest(encoding, &imported(algorithm, hash)?, &mut bytes).map_err(failed)?;
                Ok(bytes)
            }
            _ => Err(unsupported),
        }
    }
}

impl PrivateKey {
    fn sign_ecdsa_hash(
        &self,
        (scalar, pair): (&[u8], &EcdsaKeyPair),
        algorithm: Hash,
        hash: &[u8],
    ) -> Result<Vec<u8>, SignError> {
        if (self.kind(), algorithm) == (KeyKind::EcdsaP384, Hash::Sha256) {
            return sign_p384_sha256(pair, imported(algorithm, hash)?.as_ref());
        }
        let curve = ecdsa_algorithm(self.kind(), algorithm).ok_or(SignError::Unsupported { key: self.kind().name() })?;
        let digest = imported(algorithm, hash)?;
        let signature = if pair.algorithm() == curve {
            pair.sign_digest(&digest)
        } else {
            EcdsaKeyPair::from_private_key_and_public_key(curve, scalar, self.public.raw())
                .map_err(|error| SignError::Failed(error.to_string()))?
                .sign_digest(&digest)
        };
        signature.map(|signature| signature.as_ref().to_vec()).map_err(failed)
    }

    fn sign_ecdsa(&self, (scalar, pair): (&[u8], &EcdsaKeyPair), hash: Hash, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if (self.kind(), hash) == (KeyKind::EcdsaP384, Hash::Sha256) {
            return sign_p384_sha256(pair, digest::digest(&digest::SHA256, message).as_ref());
        }
        let algorithm = ecdsa_algorithm(self.kind(), hash).ok_or(SignError::Unsupported { key: self.kind().name() })?;
        let signature = if pair.algorithm() == algorithm {
            pair.sign(&SystemRandom::new(), message)
        } else {
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, self.public.raw())
                .map_err(|error| SignError::Failed(error.to_string()))?
                .sign(&SystemRandom::new(), message)
        };
        signature.map(|signature| signature.as_ref().to_vec()).map_err(failed)
    }
}

/// A signature on P-384 over SHA-256, which Notary always and Cosign by default wants and the library has no name for.
///
/// ECDSA signs an integer: a hash of 32 bytes and the same hash behind 16 zero bytes are one integer, and neither is cut, since the
/// curve's order has 48 bytes (FIPS 186-5, section 6.4.1, step 2). So the library is given the hash in the length that it knows.
fn sign_p384_sha256(pair: &EcdsaKeyPair, hash: &[u8]) -> Result<Vec<u8>, SignError> {
    let integer = [&[0; 16], hash].concat();
    let integer = digest::Digest::import_less_safe(&integer, &digest::SHA384).map_err(failed)?;
    pair.sign_digest(&integer).map(|signature| signature.as_ref().to_vec()).map_err(failed)
}

/// A hash as the library takes it; one of another length is refused.
fn imported(algorithm: Hash, hash: &[u8]) -> Result<digest::Digest, SignError> {
    let algorithm = match algorithm {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
        _ => return Err(SignError::Failed("the hash is of no known algorithm".to_owned())),
    };
    digest::Digest::import_less_safe(hash, algorithm).map_err(failed)
}

/// What the formats and the library call a curve.
pub(crate) struct Curve {
    pub(crate) kind: KeyKind,
    pub(crate) oid: der::asn1::ObjectIdentifier,
    /// Bytes of a scalar.
    length: usize,
    agreement: &'static agreement::Algorithm,
    signing: &'static EcdsaSigningAlgorithm,
}

impl Curve {
    const ALL: [Self; 3] = [
        Self {
            kind: KeyKind::EcdsaP256,
            oid: P256,
            length: 32,
            agreement: &agreement::ECDH_P256,
            signing: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        },
        Self {
            kind: KeyKind::EcdsaP384,
            oid: P384,
            length: 48,
            agreement: &agreement::ECDH_P384,
            signing: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        },
        Self {
            kind: KeyKind::EcdsaP521,
            oid: P521,
            length: 66,
            agreement: &agreement::ECDH_P521,
            signing: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        },
    ];

    pub(crate) fn of(kind: KeyKind) -> Option<&'static Self> {
        const ALL: &[Curve] = &Curve::ALL;
        ALL.iter().find(|curve| curve.kind == kind)
    }

    pub(crate) fn named(oid: der::asn1::ObjectIdentifier) -> Option<&'static Self> {
        const ALL: &[Curve] = &Curve::ALL;
        ALL.iter().find(|curve| curve.oid == oid)
    }

    /// The scalar padded to the curve's length: old writers dropped leading zeros.
    fn full_length(&self, scalar: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let start = scalar.iter().position(|byte| *byte != 0).unwrap_or(scalar.len());
        let digits = scalar.get(start..).unwrap_or_default();
        let Some(zeros) = self.length.checked_sub(digits.len()) else {
            return Err(KeyError::unreadable("the elliptic-curve key is longer than its curve"));
        };
        let mut padded = Zeroizing::new(Vec::with_capacity(self.length));
        padded.resize(zeros, 0);
        padded.extend_from_slice(digits);
        Ok(padded)
    }
}

fn ecdsa_algorithm(kind: KeyKind, hash: Hash) -> Option<&'static EcdsaSigningAlgorithm> {
    match (kind, hash) {
        (KeyKind::EcdsaP256, Hash::Sha256) => Some(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
        (KeyKind::EcdsaP384, Hash::Sha384) => Some(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
        (KeyKind::EcdsaP521, Hash::Sha256) => Some(&signature::ECDSA_P521_SHA256_ASN1_SIGNING),
        (KeyKind::EcdsaP521, Hash::Sha384) => Some(&signature::ECDSA_P521_SHA384_ASN1_SIGNING),
        (KeyKind::EcdsaP521, Hash::Sha512) => Some(&signature::ECDSA_P521_SHA512_ASN1_SIGNING),
        _ => None,
    }
}

fn rsa_encoding(scheme: SignatureScheme) -> Option<&'static dyn RsaEncoding> {
    match scheme {
        SignatureScheme::RsaPkcs1(Hash::Sha256) => Some(&signature::RSA_PKCS1_SHA256),
        SignatureScheme::RsaPkcs1(Hash::Sha384) => Some(&signature::RSA_PKCS1_SHA384),
        SignatureScheme::RsaPkcs1(Hash::Sha512) => Some(&signature::RSA_PKCS1_SHA512),
        SignatureScheme::RsaPss(Hash::Sha256) => Some(&signature::RSA_PSS_SHA256),
        SignatureScheme::RsaPss(Hash::Sha384) => Some(&signature::RSA_PSS_SHA384),
        SignatureScheme::RsaPss(Hash::Sha512) => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}

/// Whether modulus and public exponent are of honest sizes: checking a huge exponent costs the library seconds.
fn small_enough(pkcs1: &[u8]) -> bool {
    const MOST_MODULUS: usize = 1024;
    const MOST_EXPONENT: usize = 8;
    let read = |der: &[u8]| -> der::Result<bool> {
        let mut reader = der::SliceReader::new(der)?;
        reader.sequence(|inner| {
            let version = der::asn1::UintRef::decode(inner)?;
            let modulus = der::asn1::UintRef::decode(inner)?;
            let exponent = der::asn1::UintRef::decode(inner)?;
            let rest = inner.remaining_len();
            inner.read_slice(rest)?;
            Ok(version.as_bytes() == [0]
                && modulus.as_bytes().len() <= MOST_MODULUS
                && exponent.as_bytes().len() <= MOST_EXPONENT)
        })
    };
    read(pkcs1).unwrap_or(false)
}

/// A DER `SEQUENCE { r, s }` as `r || s`, each padded to `length` bytes.
fn der_to_fixed(length: usize, signature: &[u8]) -> Option<Vec<u8>> {
    let mut reader = der::SliceReader::new(signature).ok()?;
    let integers = reader.sequence(|inner| Ok([der::asn1::UintRef::decode(inner)?, der::asn1::UintRef::decode(inner)?])).ok()?;
    let mut fixed = Vec::with_capacity(length.checked_mul(2)?);
    for integer in integers {
        let zeros = length.checked_sub(integer.as_bytes().len())?;
        fixed.resize(fixed.len().checked_add(zeros)?, 0);
        fixed.extend_from_slice(integer.as_bytes());
    }
    Some(fixed)
}

fn failed(_: aws_lc_rs::error::Unspecified) -> SignError {
    SignError::Failed("the cryptographic library refused".to_owned())
}

/// The private half as an ECPrivateKey (RFC 5915); `with_curve` names the curve inside.
pub(crate) fn ec_private_key(curve: &Curve, scalar: &[u8], point: &[u8], with_curve: bool) -> Zeroizing<Vec<u8>> {
    let parameters = if with_curve { element(der_bytes::context(0), &[&oid(curve.oid)]) } else { Zeroizing::default() };
    element(
        SEQUENCE,
        &[
            &element(der_bytes::INTEGER, &[&[1]]),
            &element(der_bytes::OCTET_STRING, &[scalar]),
            &parameters,
            &element(der_bytes::context(1), &[&bit_string(point)]),
        ],
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every scheme that the kind of key is documented to sign by.
    fn schemes(kind: KeyKind) -> Vec<SignatureScheme> {
        let ecdsa = |hashes: &[Hash]| {
            hashes.iter().flat_map(|hash| [SignatureScheme::EcdsaDer(*hash), SignatureScheme::EcdsaFixed(*hash)]).collect()
        };
        match kind {
            KeyKind::EcdsaP256 => ecdsa(&[Hash::Sha256]),
            KeyKind::EcdsaP384 => ecdsa(&[Hash::Sha256, Hash::Sha384]),
            KeyKind::EcdsaP521 => ecdsa(&[Hash::Sha256, Hash::Sha384, Hash::Sha512]),
            _ => vec![SignatureScheme::Ed25519],
        }
    }

    #[test]
    fn generated_keys_sign_by_their_schemes_and_no_others() {
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521, KeyKind::Ed25519] {
            let key = PrivateKey::generate(kind).unwrap();
            assert_eq!(key.kind(), kind);
            for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
                for scheme in [
                    SignatureScheme::EcdsaDer(hash),
                    SignatureScheme::EcdsaFixed(hash),
                    SignatureScheme::Ed25519,
                    SignatureScheme::RsaPkcs1(hash),
                    SignatureScheme::RsaPss(hash),
                ] {
                    let signature = key.sign(scheme, b"message");
                    assert_eq!(signature.is_ok(), schemes(kind).contains(&scheme), "{kind:?} {scheme:?}");
                    if let Ok(signature) = signature {
                        key.public_key().verify(scheme, b"message", &signature).unwrap();
                        assert!(key.public_key().verify(scheme, b"massage", &signature).is_err());
                    }
                }
            }
        }
        assert!(matches!(PrivateKey::generate(KeyKind::Rsa), Err(KeyError::Unsupported { .. })));
    }

    #[test]
    fn a_hash_is_signed_as_its_message_is() {
        use trustctl_core::hashes::Hashes;
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521] {
            let key = PrivateKey::generate(kind).unwrap();
            for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
                let (scheme, hashes) = (SignatureScheme::EcdsaDer(hash), Hashes::of(b"message", &[hash]));
                let Ok(signature) = key.sign_hash(scheme, hashes.get(hash).unwrap()) else {
                    assert!(!schemes(kind).contains(&scheme), "{kind:?} {hash:?}");
                    continue;
                };
                key.public_key().verify(scheme, b"message", &signature).unwrap();
                key.public_key().verify_hashed(scheme, &hashes, &signature).unwrap();
                assert!(key.public_key().verify_hashed(scheme, &Hashes::of(b"massage", &[hash]), &signature).is_err());
                assert!(key.sign_hash(scheme, b"short").is_err());
            }
        }
        let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        assert!(key.sign_hash(SignatureScheme::Ed25519, &[0; 64]).is_err());
    }

    #[test]
    fn fixed_signatures_keep_their_length() {
        // One in 128 signatures has an r or s with a leading zero byte.
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        for n in 0..400_u32 {
            let signature = key.sign(SignatureScheme::EcdsaFixed(Hash::Sha256), &n.to_be_bytes()).unwrap();
            assert_eq!(signature.len(), 64);
            key.public_key().verify(SignatureScheme::EcdsaFixed(Hash::Sha256), &n.to_be_bytes(), &signature).unwrap();
        }
    }

    #[test]
    fn halves_that_do_not_belong_together_are_refused() {
        let (one, other) = (PrivateKey::generate(KeyKind::EcdsaP256).unwrap(), PrivateKey::generate(KeyKind::EcdsaP256).unwrap());
        let Secret::Ec { scalar, .. } = &one.secret else { unreachable!() };
        assert!(PrivateKey::from_ec_scalar(KeyKind::EcdsaP256, scalar, Some(other.public_key().raw())).is_err());
        assert!(PrivateKey::from_ec_scalar(KeyKind::EcdsaP256, scalar, Some(one.public_key().raw())).is_ok());
        let (one, other) = (PrivateKey::generate(KeyKind::Ed25519).unwrap(), PrivateKey::generate(KeyKind::Ed25519).unwrap());
        let Secret::Ed25519 { seed, .. } = &one.secret else { unreachable!() };
        assert!(PrivateKey::from_ed25519_seed(seed, Some(other.public_key().raw())).is_err());
    }

    #[test]
    fn an_independent_library_agrees_on_the_public_half() {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let Secret::Ec { scalar, .. } = &key.secret else { unreachable!() };
        let other = p256::ecdsa::SigningKey::from_slice(scalar).unwrap();
        assert_eq!(other.verifying_key().to_encoded_point(false).as_bytes(), key.public_key().raw());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_key_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521, KeyKind::Rsa] {
                let _ = PrivateKey::from_ec_scalar(kind, &bytes, Some(&bytes));
            }
            let _ = PrivateKey::from_ed25519_seed(&bytes, None);
            let _ = PrivateKey::from_pkcs1(&bytes);
            let _ = der_to_fixed(32, &bytes);
        }
    }
}
