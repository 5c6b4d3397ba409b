//! Random bytes, of the crypto library's generator, which the operating system seeds.

use crate::error::RemoteError;

/// Fills `bytes` so that nobody can guess them.
///
/// # Errors
/// [`RemoteError::Configuration`] when the generator fails.
pub fn fill(bytes: &mut [u8]) -> Result<(), RemoteError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let failed = |_| RemoteError::configuration("random generator", "it failed");
    provider.secure_random.fill(bytes).map_err(failed)
}
