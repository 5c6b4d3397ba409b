//! The private keys of the Sigstore services: in memory, made when the lab starts.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use der::asn1::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use trustctl_core::public_key::{Hash, KeyKind, PublicKey, SignatureScheme};

use crate::error::LabError;

/// A private key with its public half.
#[derive(Debug)]
pub(crate) struct Key {
    public: PublicKey,
    private: Private,
}

#[derive(Debug)]
enum Private {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<rsa::KeyPair>),
}

impl Key {
    pub(crate) fn p256() -> Result<Self, LabError> {
        Self::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
    }

    pub(crate) fn p384() -> Result<Self, LabError> {
        Self::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self, LabError> {
        let pair = EcdsaKeyPair::generate(algorithm)?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
        Ok(Self { public: public(spki.as_ref())?, private: Private::Ecdsa(Box::new(pair)) })
    }

    pub(crate) fn ed25519() -> Result<Self, LabError> {
        let pair = Ed25519KeyPair::generate()?;
        let public = PublicKey::from_ed25519(pair.public_key().as_ref()).map_err(|_| LabError::Crypto)?;
        Ok(Self { public, private: Private::Ed25519(Box::new(pair)) })
    }

    /// An RSA key of 2048 bits, which takes a tenth of a second to find.
    pub(crate) fn rsa() -> Result<Self, LabError> {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048)?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
        Ok(Self { public: public(spki.as_ref())?, private: Private::Rsa(Box::new(pair)) })
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature over `message`: ECDSA in ASN.1 DER with the curve's own hash, Ed25519, or RSA PKCS#1 with SHA-256.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, LabError> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Private::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }

    /// How [`Key::sign`] is named in certificates and signed data (RFC 5758, RFC 8410, RFC 8017).
    pub(crate) fn algorithm(&self) -> AlgorithmIdentifierOwned {
        let oid = match self.public.kind() {
            KeyKind::EcdsaP384 => ECDSA_WITH_SHA384,
            KeyKind::Ed25519 => ED25519,
            KeyKind::Rsa => RSA_WITH_SHA256,
            _ => ECDSA_WITH_SHA256,
        };
        AlgorithmIdentifierOwned { oid, parameters: None }
    }
}

fn public(spki: &[u8]) -> Result<PublicKey, LabError> {
    PublicKey::from_spki_der(spki).map_err(|_| LabError::Crypto)
}

/// The scheme in which Sigstore's clients sign with a key of this kind, where they leave the choice to it.
pub(crate) fn usual_scheme(kind: KeyKind) -> SignatureScheme {
    match kind {
        KeyKind::EcdsaP384 => SignatureScheme::EcdsaDer(Hash::Sha384),
        KeyKind::EcdsaP521 => SignatureScheme::EcdsaDer(Hash::Sha512),
        KeyKind::Ed25519 => SignatureScheme::Ed25519,
        KeyKind::Rsa => SignatureScheme::RsaPkcs1(Hash::Sha256),
        _ => SignatureScheme::EcdsaDer(Hash::Sha256),
    }
}

/// The scheme that a certificate request or certificate names for its signature; `None` for one that the lab does not know.
pub(crate) fn scheme_of(algorithm: ObjectIdentifier) -> Option<SignatureScheme> {
    match algorithm {
        ECDSA_WITH_SHA256 => Some(SignatureScheme::EcdsaDer(Hash::Sha256)),
        ECDSA_WITH_SHA384 => Some(SignatureScheme::EcdsaDer(Hash::Sha384)),
        ECDSA_WITH_SHA512 => Some(SignatureScheme::EcdsaDer(Hash::Sha512)),
        ED25519 => Some(SignatureScheme::Ed25519),
        RSA_WITH_SHA256 => Some(SignatureScheme::RsaPkcs1(Hash::Sha256)),
        _ => None,
    }
}

/// Whether `signature` was made over a message with this digest, which is all that a log learns of an artifact.
///
/// `PublicKey::verify` takes messages; a log is the one place that has only the digest.
pub(crate) fn signs_digest(key: &PublicKey, hash: Hash, digest: &[u8], signature: &[u8]) -> bool {
    let algorithm = match hash {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
        _ => return false,
    };
    let verification: &'static dyn signature::VerificationAlgorithm = match (key.kind(), hash) {
        (KeyKind::EcdsaP256, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyKind::EcdsaP256, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (KeyKind::EcdsaP256, Hash::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (KeyKind::EcdsaP384, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyKind::EcdsaP384, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyKind::EcdsaP384, Hash::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (KeyKind::EcdsaP521, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (KeyKind::EcdsaP521, Hash::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
        (KeyKind::Rsa, Hash::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa, Hash::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa, Hash::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        _ => return false,
    };
    let Ok(digest) = Digest::import_less_safe(digest, algorithm) else { return false };
    UnparsedPublicKey::new(verification, key.raw()).verify_digest(&digest, signature).is_ok()
}

/// Bytes that nobody guesses.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], LabError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(bytes)
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
