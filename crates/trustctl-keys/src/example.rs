//! The published keys in `keys-example/`: everybody has their private halves, so no command uses them unless it is told to.

use trustctl_core::public_key::PublicKey;

use crate::error::KeyError;

/// A published key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExampleKey {
    /// The name of its file in `keys-example/`, without the ending.
    pub name: &'static str,
    /// Its fingerprint.
    pub fingerprint: &'static str,
}

/// Every key that was ever published in `keys-example/`. Keys are added and never removed: an old copy is as public as a new one.
pub const EXAMPLE_KEYS: &[ExampleKey] = &[
    ExampleKey { name: "cosign", fingerprint: "12d871b1728e0a3ef28f8038a10ef52d5cbceea105a8fd17fa35668aad6b51f4" },
    ExampleKey { name: "cosign-other", fingerprint: "9ffa0481b85c2902ab41662bceeb9a47379738af592e5723aeaefa307ae3ba51" },
    ExampleKey { name: "notary-root", fingerprint: "c5541457a1db340dc4f726b84ed5d08aa7a6229eea5b60ec04e18f041c182d84" },
    ExampleKey { name: "notary-targets", fingerprint: "6bff9e1399a1d7e9826435346ec6c00f44f9afdcd4b49325ab8d54ab09b36b49" },
    ExampleKey { name: "notary-alice", fingerprint: "146dce5c1ae9636358eb06914a185bb724569be90f71f72bbf48f35b82fa9281" },
];

/// Whether this is the fingerprint of a published key.
#[must_use]
pub fn is_example(fingerprint: &str) -> bool {
    EXAMPLE_KEYS.iter().any(|key| key.fingerprint.eq_ignore_ascii_case(fingerprint))
}

/// Refuses a published key, for signing and for trusting alike, unless `danger_example_keys` was asked for.
///
/// # Errors
/// [`KeyError::Example`].
pub fn refuse(key: &PublicKey, danger_example_keys: bool) -> Result<(), KeyError> {
    let fingerprint = key.fingerprint();
    if !danger_example_keys && is_example(&fingerprint) { Err(KeyError::Example { fingerprint }) } else { Ok(()) }
}
