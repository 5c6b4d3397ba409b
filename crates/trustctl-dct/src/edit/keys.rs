//! The keys a publisher holds, and signing with them.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trustctl_core::public_key::{Hash, KeyKind, SignatureScheme};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::signer::{SignError, Signer};

use crate::canonical_json::Value;
use crate::key::{Key, KeyId};

/// The private keys that are here, by canonical id.
///
/// A key in a certificate is found through the bare key inside it: metadata names the certificate, key files name the key.
#[derive(Clone, Default)]
pub struct HeldKeys<'a> {
    by_canonical_id: BTreeMap<KeyId, &'a dyn Signer>,
}

impl<'a> HeldKeys<'a> {
    /// No key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    pub fn hold(&mut self, signer: &'a dyn Signer) {
        self.by_canonical_id.insert(Key::from_public_key(signer.public_key()).id().clone(), signer);
    }

    /// Whether the private half of `key` is here.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.signer(key).is_some()
    }

    /// The signature of `key` over `message`, as it stands in metadata; `None` when the private half is not here.
    pub(super) fn sign(&self, key: &Key, message: &[u8]) -> Option<Result<Value, Reason>> {
        let signer = self.signer(key)?;
        Some(signature(key, signer, message).map_err(|error| failed(key, &error)))
    }

    fn signer(&self, key: &Key) -> Option<&'a dyn Signer> {
        let id = key.canonical_id().ok()?;
        let signer = *self.by_canonical_id.get(&id)?;
        // The id was computed from the signer's own public key, so it is this key; a key of an unusable type has no such id.
        (key.public_key().ok()? == *signer.public_key()).then_some(signer)
    }
}

impl<'a> FromIterator<&'a dyn Signer> for HeldKeys<'a> {
    fn from_iter<I: IntoIterator<Item = &'a dyn Signer>>(signers: I) -> Self {
        let mut held = Self::new();
        for signer in signers {
            held.hold(signer);
        }
        held
    }
}

impl fmt::Debug for HeldKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_canonical_id.keys().map(KeyId::as_str)).finish()
    }
}

fn signature(key: &Key, signer: &dyn Signer, message: &[u8]) -> Result<Value, SignError> {
    let (method, scheme) = match signer.public_key().kind() {
        KeyKind::Ed25519 => ("eddsa", SignatureScheme::Ed25519),
        KeyKind::Rsa => ("rsapss", SignatureScheme::RsaPss(Hash::Sha256)),
        // SHA-256 whatever the curve.
        _ => ("ecdsa", SignatureScheme::EcdsaFixed(Hash::Sha256)),
    };
    let signature = signer.sign(scheme, message)?;
    signer
        .public_key()
        .verify(scheme, message, &signature)
        .map_err(|_| SignError::Failed("the signature does not verify with the key's public half".to_owned()))?;
    Ok(Value::object([
        ("keyid", Value::from(key.id().as_str())),
        ("method", Value::from(method)),
        ("sig", Value::from(STANDARD.encode(signature))),
    ]))
}

fn failed(key: &Key, error: &SignError) -> Reason {
    Reason::new(Code::DctKeyNeeded, format!("key {} did not sign: {error}", key.id()))
}
