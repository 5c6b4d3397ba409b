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
pub const EXAMPLE_KEYS: &[ExampleKey] = &[];

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
