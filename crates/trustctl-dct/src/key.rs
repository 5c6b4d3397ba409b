//! Public keys as Notary writes them, and their ids.
//!
//! A key is `{"keytype":T,"keyval":{"private":null,"public":BASE64}}`. What the base64 holds depends on the type: DER
//! SubjectPublicKeyInfo (`ecdsa`, `rsa`), 32 raw bytes (`ed25519`), or PEM certificates, leaf first (`ecdsa-x509`, `rsa-x509`).
//!
//! There are two ids. The *TUF id*, [`Key::id`], is the hexadecimal SHA-256 of the canonical JSON above; metadata, pins and the
//! "Root Key" of `docker trust inspect` use it. The *canonical id*, [`Key::canonical_id`], is the same over the bare key inside a
//! certificate; key files and lists of signers use it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trustctl_core::digest::Digest;
use trustctl_core::public_key::{KeyKind, PublicKey};

use crate::canonical_json::Value;
use crate::certificate::{Bundle, CertificateFault};
use crate::error::{DctError, Malformed};
use crate::metadata::fields::Fields;

/// A key id: 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

/// A text that is not a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 64 lower-case hexadecimal digits")]
pub struct KeyIdError;

impl KeyId {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(digit) { Ok(Self(text.to_owned())) } else { Err(KeyIdError) }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The types of key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// `ecdsa`: a bare ECDSA key.
    Ecdsa,
    /// `ecdsa-x509`: an ECDSA key in a certificate.
    EcdsaX509,
    /// `ed25519`: a bare Ed25519 key.
    Ed25519,
    /// A type this program does not know. Such keys are kept and never verify anything.
    Other(String),
    /// `rsa`: a bare RSA key.
    Rsa,
    /// `rsa-x509`: an RSA key in a certificate.
    RsaX509,
}

impl KeyType {
    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::EcdsaX509 => "ecdsa-x509",
            Self::Ed25519 => "ed25519",
            Self::Other(name) => name,
            Self::Rsa => "rsa",
            Self::RsaX509 => "rsa-x509",
        }
    }

    /// Whether the key comes in a certificate.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        matches!(self, Self::EcdsaX509 | Self::RsaX509)
    }

    fn of_name(name: &str) -> Self {
        match name {
            "ecdsa" => Self::Ecdsa,
            "ecdsa-x509" => Self::EcdsaX509,
            "ed25519" => Self::Ed25519,
            "rsa" => Self::Rsa,
            "rsa-x509" => Self::RsaX509,
            other => Self::Other(other.to_owned()),
        }
    }

    fn of_bare(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::Rsa => Self::Rsa,
            _ => Self::Ecdsa,
        }
    }
}

/// Why a key cannot be used to verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The certificate cannot be read.
    #[error("{0}")]
    Certificate(#[from] CertificateFault),
    /// The key is of another kind than its type says, or of a type or size that is not supported.
    #[error("the key cannot be read as {0}")]
    Unusable(String),
}

/// A public key of a collection. Its id always is the hash of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    key_type: KeyType,
    public: Vec<u8>,
    id: KeyId,
}

impl Key {
    /// The bare form of a key: `ecdsa`, `ed25519` or `rsa`.
    #[must_use]
    pub fn from_public_key(key: &PublicKey) -> Self {
        let public = if key.kind() == KeyKind::Ed25519 { key.raw() } else { key.spki_der() };
        Self::new(KeyType::of_bare(key.kind()), public.to_vec())
    }

    /// A key in PEM certificates, leaf first: `ecdsa-x509` or `rsa-x509`. The text is kept exactly, for the id is a hash over it.
    ///
    /// # Errors
    /// [`KeyError`] when the first certificate cannot be read, or is for a key of another kind.
    pub fn from_certificates(pem: &[u8]) -> Result<Self, KeyError> {
        let key_type = match Bundle::first_key(pem)?.kind() {
            KeyKind::Rsa => KeyType::RsaX509,
            KeyKind::Ed25519 => return Err(KeyError::Unusable("a certificate's key (ECDSA and RSA are)".to_owned())),
            _ => KeyType::EcdsaX509,
        };
        Ok(Self::new(key_type, pem.to_vec()))
    }

    /// Reads a key as a Notary server sends it for `timestamp.key` and `snapshot.key`.
    ///
    /// # Errors
    /// [`DctError::Malformed`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, DctError> {
        Self::from_value(&Value::parse(bytes).map_err(Malformed::Json)?)
    }

    /// Reads a key from metadata. A private half, which has no place there, is ignored, as Notary does.
    ///
    /// # Errors
    /// [`DctError::Malformed`].
    pub fn from_value(value: &Value) -> Result<Self, DctError> {
        let key = Fields::of(value, "key", &["keytype", "keyval"])?;
        let key_type = KeyType::of_name(key.text("keytype")?);
        let halves = Fields::of(key.required("keyval")?, "keyval", &["private", "public"])?;
        let public = STANDARD.decode(halves.text("public")?);
        let public = public.map_err(|_| Malformed::Value { of: "keyval", field: "public", expected: "base64" })?;
        Ok(Self::new(key_type, public))
    }

    /// The key as it stands in metadata.
    #[must_use]
    pub fn to_value(&self) -> Value {
        wire_form(&self.key_type, &self.public)
    }

    /// The type.
    #[must_use]
    pub fn key_type(&self) -> &KeyType {
        &self.key_type
    }

    /// The TUF id.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The canonical id: of the bare key when this one is in a certificate, else the TUF id.
    ///
    /// # Errors
    /// [`KeyError`] when the certificate cannot be read.
    pub fn canonical_id(&self) -> Result<KeyId, KeyError> {
        if !self.key_type.has_certificate() {
            return Ok(self.id.clone());
        }
        Ok(Self::from_public_key(&self.public_key()?).id)
    }

    /// The key that verifies signatures: the bare one, or the one in the first certificate.
    ///
    /// # Errors
    /// [`KeyError`] when it cannot be read, is of another kind than the type says, or of a type that is not supported.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        let unusable = || KeyError::Unusable(self.key_type.name().to_owned());
        let key = match self.key_type {
            KeyType::Ecdsa | KeyType::Rsa => PublicKey::from_spki_der(&self.public).map_err(|_| unusable())?,
            KeyType::EcdsaX509 | KeyType::RsaX509 => Bundle::first_key(&self.public)?,
            KeyType::Ed25519 => PublicKey::from_ed25519(&self.public).map_err(|_| unusable())?,
            KeyType::Other(_) => return Err(unusable()),
        };
        let fits = match self.key_type {
            KeyType::Rsa | KeyType::RsaX509 => key.kind() == KeyKind::Rsa,
            KeyType::Ed25519 => key.kind() == KeyKind::Ed25519,
            _ => !matches!(key.kind(), KeyKind::Rsa | KeyKind::Ed25519),
        };
        if fits { Ok(key) } else { Err(unusable()) }
    }

    /// The certificates the key comes in.
    ///
    /// # Errors
    /// [`CertificateFault::NotACertificate`] for a bare key; otherwise what [`Bundle::parse`] says.
    pub fn bundle(&self) -> Result<Bundle, CertificateFault> {
        if self.key_type.has_certificate() { Bundle::parse(&self.public) } else { Err(CertificateFault::NotACertificate) }
    }

    fn new(key_type: KeyType, public: Vec<u8>) -> Self {
        let id = KeyId(Digest::sha256_of(&wire_form(&key_type, &public).canonical()).hex());
        Self { key_type, public, id }
    }
}

fn wire_form(key_type: &KeyType, public: &[u8]) -> Value {
    let halves = Value::object([("private", Value::Null), ("public", STANDARD.encode(public).into())]);
    Value::object([("keytype", key_type.name().into()), ("keyval", halves)])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn the_id_is_notarys() {
        let json = br#"{"keytype":"ed25519","keyval":{"public":"tBFYYxZTYPgWBzymUnEKZDCKoOpWPz1kULI4so5mJiM=","private":null}}"#;
        let key = Key::from_json(json).unwrap();
        assert_eq!(key.id().as_str(), "77d38dd19065ba20dbd1f5bbd01fac526ab3eddfeb88f58f38954bb4c368a732");
        assert_eq!(key.canonical_id().unwrap(), *key.id());
        assert_eq!(key.public_key().unwrap().kind(), KeyKind::Ed25519);
        assert_eq!(Key::from_public_key(&key.public_key().unwrap()), key);
        assert_eq!(Key::from_value(&key.to_value()).unwrap(), key);
    }

    #[test]
    fn unknown_types_are_kept_but_verify_nothing() {
        let key = Key::from_json(br#"{"keytype":"dilithium","keyval":{"public":"AAAA"}}"#).unwrap();
        assert_eq!(key.key_type().name(), "dilithium");
        assert!(key.public_key().is_err());
    }

    #[test]
    fn a_key_of_another_kind_than_its_type_is_unusable() {
        let json = br#"{"keytype":"rsa","keyval":{"public":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEC9Ac5GrUPNn0p5GaoQLpT18QBw13uneHyCIc2/lffPhzjNNsHRs8JZTRaQCBaeEB6nt4oZ0Qag20DqpkCsZIqQ=="}}"#;
        assert!(Key::from_json(json).unwrap().public_key().is_err());
    }

    #[test]
    fn ids_are_lower_case_hexadecimal() {
        let digits = "77d38dd19065ba20dbd1f5bbd01fac526ab3eddfeb88f58f38954bb4c368a732";
        assert!(digits.parse::<KeyId>().is_ok());
        assert!(digits.to_uppercase().parse::<KeyId>().is_err());
        assert!("77d38d".parse::<KeyId>().is_err());
    }
}
