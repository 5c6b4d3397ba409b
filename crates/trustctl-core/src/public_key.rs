//! Public keys, and the one place where a signature is verified.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use spki::SubjectPublicKeyInfoRef;

use crate::digest::Digest;
use crate::hashes::Hashes;

/// Longest SPKI that is read, in bytes: an 8192-bit RSA key needs about 1,060.
const MAX_SPKI: usize = 4096;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The kinds of key that signatures are verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// ECDSA on NIST P-521.
    EcdsaP521,
    /// Ed25519 (RFC 8032, pure).
    Ed25519,
    /// RSA, 2048 to 8192 bits.
    Rsa,
}

impl KeyKind {
    /// The name for people, such as `ecdsa-p256`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
        }
    }
}

/// The hash that a signature is made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a signature is encoded and computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// ECDSA, ASN.1 DER `SEQUENCE { r, s }` (Cosign, X.509).
    EcdsaDer(Hash),
    /// ECDSA, `r || s`, each left-padded to the curve's length (Notary's method `ecdsa`).
    EcdsaFixed(Hash),
    /// Ed25519, 64 bytes.
    Ed25519,
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(Hash),
    /// RSASSA-PSS with MGF1 of the same hash and a salt of its length.
    RsaPss(Hash),
}

/// A public key whose encoding was checked and whose point or modulus was parsed.
#[derive(Clone)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Vec<u8>,
    raw: Vec<u8>,
    parsed: Arc<Parsed>,
}

/// The library's forms of a key, each for one scheme.
struct Parsed {
    /// For ECDSA-DER with SHA-256 (EC), PKCS#1 with SHA-256 (RSA) or Ed25519: the everyday schemes.
    everyday: ParsedPublicKey,
    /// For ECDSA-DER on P-384 with SHA-384, as authorities sign certificates; made when it is first needed.
    p384: OnceLock<ParsedPublicKey>,
}

/// Why bytes are not a public key that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The text is not one PEM block labelled `PUBLIC KEY`.
    #[error("not a PEM block labelled PUBLIC KEY")]
    NotPem,
    /// The bytes are not a DER SubjectPublicKeyInfo (RFC 5280, section 4.1).
    #[error("not a DER SubjectPublicKeyInfo")]
    NotSpki,
    /// The algorithm or curve is not supported.
    #[error("unsupported key algorithm or curve (ECDSA P-256, P-384, P-521, Ed25519 and RSA are)")]
    Unsupported,
    /// The key itself is malformed or of a refused size.
    #[error("the key is malformed, or RSA of fewer than 2048 or more than 8192 bits")]
    Malformed,
}

/// The signature was not made by this key over these bytes with this scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl PublicKey {
    /// A key from DER SubjectPublicKeyInfo (RFC 5280).
    ///
    /// # Errors
    /// [`PublicKeyError`], by what is wrong.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, PublicKeyError> {
        if spki.len() > MAX_SPKI {
            return Err(PublicKeyError::NotSpki);
        }
        let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| PublicKeyError::NotSpki)?;
        let kind = kind_of(&info)?;
        let raw = info.subject_public_key.as_bytes().ok_or(PublicKeyError::NotSpki)?.to_vec();
        let everyday = ParsedPublicKey::new(everyday(kind), &raw).map_err(|_| PublicKeyError::Malformed)?;
        if kind == KeyKind::Rsa {
            check_modulus(&raw)?;
        }
        Ok(Self { kind, spki: spki.to_vec(), raw, parsed: Arc::new(Parsed { everyday, p384: OnceLock::new() }) })
    }

    /// A key from PEM text holding exactly one `PUBLIC KEY` block.
    ///
    /// # Errors
    /// [`PublicKeyError`], by what is wrong.
    pub fn from_pem(text: &[u8]) -> Result<Self, PublicKeyError> {
        let blocks = pem::parse_many(text).map_err(|_| PublicKeyError::NotPem)?;
        match blocks.as_slice() {
            [block] if block.tag() == "PUBLIC KEY" => Self::from_spki_der(block.contents()),
            _ => Err(PublicKeyError::NotPem),
        }
    }

    /// An Ed25519 key from its 32 raw bytes.
    ///
    /// # Errors
    /// [`PublicKeyError::Malformed`] when it is not 32 bytes.
    pub fn from_ed25519(raw: &[u8]) -> Result<Self, PublicKeyError> {
        if raw.len() != 32 {
            return Err(PublicKeyError::Malformed);
        }
        // RFC 8410: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }
        let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        spki.extend_from_slice(raw);
        Self::from_spki_der(&spki)
    }

    /// The kind of key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The DER SubjectPublicKeyInfo it was read from.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The content of the SPKI's bit string: an uncompressed EC point, 32 Ed25519 bytes, or a DER RSAPublicKey.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The key as PEM `PUBLIC KEY`, 64 columns, ending in a line feed.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let block = pem::Pem::new("PUBLIC KEY", self.spki.clone());
        pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
    }

    /// Lower-case hexadecimal SHA-256 of the SPKI DER: how this program names keys.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Digest::sha256_of(&self.spki).hex()
    }

    /// Standard base64 of the SHA-256 of the SPKI DER: Cosign's `verificationMaterial.publicKey.hint`.
    #[must_use]
    pub fn hint(&self) -> String {
        STANDARD.encode(Digest::sha256_of(&self.spki).as_bytes())
    }

    /// Verifies that `signature` was made over `message` with this key by `scheme`. There is no second way to verify anything.
    ///
    /// # Errors
    /// [`BadSignature`], also when the scheme does not fit the key.
    pub fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let (form, converted) = self.form(scheme, signature)?;
        let signature = converted.as_deref().unwrap_or(signature);
        match form {
            Form::Parsed(key) => key.verify_sig(message, signature),
            Form::Raw(algorithm) => UnparsedPublicKey::new(algorithm, &self.raw).verify(message, signature),
        }
        .map_err(|_| BadSignature)
    }

    /// As [`PublicKey::verify`], of a message whose hashes are known. By Ed25519 nothing verifies: it signs whole messages only.
    ///
    /// # Errors
    /// [`BadSignature`], also when the scheme does not fit the key or its hash is not known.
    pub fn verify_hashed(&self, scheme: SignatureScheme, message: &Hashes, signature: &[u8]) -> Result<(), BadSignature> {
        let (SignatureScheme::EcdsaDer(hash)
        | SignatureScheme::EcdsaFixed(hash)
        | SignatureScheme::RsaPkcs1(hash)
        | SignatureScheme::RsaPss(hash)) = scheme
        else {
            return Err(BadSignature);
        };
        let digest = message.imported(hash).ok_or(BadSignature)?;
        let (form, converted) = self.form(scheme, signature)?;
        let signature = converted.as_deref().unwrap_or(signature);
        match form {
            Form::Parsed(key) => key.verify_digest_sig(digest, signature),
            Form::Raw(algorithm) => UnparsedPublicKey::new(algorithm, &self.raw).verify_digest(digest, signature),
        }
        .map_err(|_| BadSignature)
    }

    /// The key in the form for `scheme`, and the signature as DER where it has to be converted.
    fn form(&self, scheme: SignatureScheme, signature: &[u8]) -> Result<(Form<'_>, Option<Vec<u8>>), BadSignature> {
        use Hash::{Sha256, Sha384, Sha512};
        use KeyKind::{EcdsaP256, EcdsaP384, EcdsaP521};
        let (scheme, converted) = match scheme {
            SignatureScheme::EcdsaFixed(hash) => {
                (SignatureScheme::EcdsaDer(hash), Some(fixed_to_der(self.kind, signature).ok_or(BadSignature)?))
            }
            other => (other, None),
        };
        if let SignatureScheme::EcdsaDer(Sha256) | SignatureScheme::Ed25519 | SignatureScheme::RsaPkcs1(Sha256) = scheme {
            let fits = match scheme {
                SignatureScheme::Ed25519 => self.kind == KeyKind::Ed25519,
                SignatureScheme::RsaPkcs1(_) => self.kind == KeyKind::Rsa,
                _ => matches!(self.kind, EcdsaP256 | EcdsaP384 | EcdsaP521),
            };
            return if fits { Ok((Form::Parsed(&self.parsed.everyday), converted)) } else { Err(BadSignature) };
        }
        if (scheme, self.kind) == (SignatureScheme::EcdsaDer(Sha384), EcdsaP384) {
            return Ok((Form::Parsed(self.p384()?), converted));
        }
        let algorithm: &'static dyn VerificationAlgorithm = match (scheme, self.kind) {
            (SignatureScheme::EcdsaDer(Sha384), EcdsaP256) => &signature::ECDSA_P256_SHA384_ASN1,
            (SignatureScheme::EcdsaDer(Sha512), EcdsaP256) => &signature::ECDSA_P256_SHA512_ASN1,
            (SignatureScheme::EcdsaDer(Sha512), EcdsaP384) => &signature::ECDSA_P384_SHA512_ASN1,
            (SignatureScheme::EcdsaDer(Sha384), EcdsaP521) => &signature::ECDSA_P521_SHA384_ASN1,
            (SignatureScheme::EcdsaDer(Sha512), EcdsaP521) => &signature::ECDSA_P521_SHA512_ASN1,
            (SignatureScheme::RsaPkcs1(Sha384), KeyKind::Rsa) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (SignatureScheme::RsaPkcs1(Sha512), KeyKind::Rsa) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (SignatureScheme::RsaPss(Sha256), KeyKind::Rsa) => &signature::RSA_PSS_2048_8192_SHA256,
            (SignatureScheme::RsaPss(Sha384), KeyKind::Rsa) => &signature::RSA_PSS_2048_8192_SHA384,
            (SignatureScheme::RsaPss(Sha512), KeyKind::Rsa) => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return Err(BadSignature),
        };
        Ok((Form::Raw(algorithm), converted))
    }

    fn p384(&self) -> Result<&ParsedPublicKey, BadSignature> {
        if let Some(parsed) = self.parsed.p384.get() {
            return Ok(parsed);
        }
        let parsed = ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_ASN1, &self.raw).map_err(|_| BadSignature)?;
        Ok(self.parsed.p384.get_or_init(|| parsed))
    }
}

/// A key in the form in which the library checks a signature.
enum Form<'k> {
    Parsed(&'k ParsedPublicKey),
    Raw(&'static dyn VerificationAlgorithm),
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.kind.name(), self.fingerprint())
    }
}

fn kind_of(info: &SubjectPublicKeyInfoRef<'_>) -> Result<KeyKind, PublicKeyError> {
    let curve = || info.algorithm.parameters_oid().map_err(|_| PublicKeyError::Unsupported);
    match info.algorithm.oid {
        ED25519 => Ok(KeyKind::Ed25519),
        RSA => Ok(KeyKind::Rsa),
        EC_PUBLIC_KEY => match curve()? {
            P256 => Ok(KeyKind::EcdsaP256),
            P384 => Ok(KeyKind::EcdsaP384),
            P521 => Ok(KeyKind::EcdsaP521),
            _ => Err(PublicKeyError::Unsupported),
        },
        _ => Err(PublicKeyError::Unsupported),
    }
}

fn everyday(kind: KeyKind) -> &'static dyn VerificationAlgorithm {
    match kind {
        KeyKind::EcdsaP256 => &signature::ECDSA_P256_SHA256_ASN1,
        KeyKind::EcdsaP384 => &signature::ECDSA_P384_SHA256_ASN1,
        KeyKind::EcdsaP521 => &signature::ECDSA_P521_SHA256_ASN1,
        KeyKind::Ed25519 => &signature::ED25519,
        KeyKind::Rsa => &signature::RSA_PKCS1_2048_8192_SHA256,
    }
}

/// The library checks the size when it verifies; checking here gives the error when the key is loaded.
fn check_modulus(rsa_public_key: &[u8]) -> Result<(), PublicKeyError> {
    let bad = |_| PublicKeyError::Malformed;
    let mut reader = der::SliceReader::new(rsa_public_key).map_err(bad)?;
    let modulus = der::Reader::sequence(&mut reader, |inner| {
        let modulus = der::asn1::UintRef::decode(inner)?;
        der::asn1::UintRef::decode(inner)?;
        Ok(modulus)
    })
    .map_err(bad)?;
    let bytes = modulus.as_bytes();
    let leading = bytes.first().map_or(0, |byte| byte.leading_zeros());
    let bits = bytes.len().saturating_mul(8).saturating_sub(usize::try_from(leading).unwrap_or(0));
    if (2048..=8192).contains(&bits) { Ok(()) } else { Err(PublicKeyError::Malformed) }
}

/// `r || s` of exactly the curve's length, as DER.
fn fixed_to_der(kind: KeyKind, signature: &[u8]) -> Option<Vec<u8>> {
    let length = match kind {
        KeyKind::EcdsaP256 => 32,
        KeyKind::EcdsaP384 => 48,
        KeyKind::EcdsaP521 => 66,
        KeyKind::Ed25519 | KeyKind::Rsa => return None,
    };
    if signature.len() != 2 * length {
        return None;
    }
    let (r, s) = signature.split_at(length);
    let integers = [der::asn1::UintRef::new(r).ok()?, der::asn1::UintRef::new(s).ok()?];
    let mut content = Vec::new();
    for integer in integers {
        content.extend_from_slice(&integer.to_der().ok()?);
    }
    der::asn1::AnyRef::new(der::Tag::Sequence, &content).ok()?.to_der().ok()
}
