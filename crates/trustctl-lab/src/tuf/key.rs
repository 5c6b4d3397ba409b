//! Keys that sign a repository's metadata: in memory, and gone with it.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;

use crate::error::{LabError, io};

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256, as Sigstore's own repository uses it.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

/// A key pair. Clones are the same key.
#[derive(Clone, Debug)]
pub struct Key {
    pair: Arc<Pair>,
    id: String,
    public: Value,
}

#[derive(Debug)]
enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// [`LabError::Io`] when the crypto library makes none.
    pub fn generate(kind: KeyKind) -> Result<Self, LabError> {
        let (pair, public) = match kind {
            KeyKind::Ecdsa => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(no_key)?;
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(no_key)?;
                let public =
                    json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": pem(der.as_ref())}});
                (Pair::Ecdsa(pair), public)
            }
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(no_key)?;
                let public = hex::encode(pair.public_key().as_ref());
                (Pair::Ed25519(pair), json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}))
            }
        };
        // Readers take the id as it is written (section 4.2): any name that no other key has will do.
        let id = Digest::sha256_of(public.to_string().as_bytes()).hex();
        Ok(Self { pair: Arc::new(pair), id, public })
    }

    /// The id under which metadata name it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its public half, as metadata write it.
    #[must_use]
    pub fn public(&self) -> &Value {
        &self.public
    }

    /// A signature over `bytes`, in hexadecimal.
    pub(super) fn sign(&self, bytes: &[u8]) -> Result<String, LabError> {
        match &*self.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), bytes).map(hex::encode).map_err(no_key),
            Pair::Ed25519(pair) => Ok(hex::encode(pair.sign(bytes))),
        }
    }
}

fn no_key(_: aws_lc_rs::error::Unspecified) -> LabError {
    io("making or using a key")(std::io::ErrorKind::Other.into())
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
    lines + "-----END PUBLIC KEY-----\n"
}
