//! The private keys a publisher holds.

use std::collections::BTreeMap;
use std::fmt;

use trustctl_core::signer::Signer;

use crate::key::{Key, KeyId};
use crate::metadata::envelope::KeyHolder;

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

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_canonical_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_canonical_id.is_empty()
    }

    /// Whether the private half of `key` is here.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.holder(key).is_some()
    }

    pub(super) fn holder<'b>(&self, key: &'b Key) -> Option<KeyHolder<'b>>
    where
        'a: 'b,
    {
        let signer = *self.by_canonical_id.get(&key.canonical_id().ok()?)?;
        // A key of a type that cannot be used has no public key; any other with this id is the signer's.
        (key.public_key().ok()? == *signer.public_key()).then_some(KeyHolder { key, signer })
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
