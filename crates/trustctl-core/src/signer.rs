//! Who can sign: a key whose private half rests somewhere else.

use crate::public_key::{PublicKey, SignatureScheme};

/// Something that signs: a key in memory, in a keyring, in a token. The private half never leaves it.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// The signature over `message` by `scheme`, encoded as the scheme says.
    ///
    /// # Errors
    /// [`SignError::Unsupported`] when the key cannot sign by `scheme`; [`SignError::Failed`] when the holder of the key fails.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// This key cannot make signatures of this scheme.
    #[error("a {key} key cannot make signatures of this kind")]
    Unsupported {
        /// The kind of key.
        key: &'static str,
    },
    /// The holder of the key refused or broke; the text is its own.
    #[error("signing failed: {0}")]
    Failed(String),
}
