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

    /// The signature by `scheme` over the message whose hash by the scheme's algorithm is `hash`: for messages that are too large to be
    /// held.
    ///
    /// # Errors
    /// As [`Signer::sign`]; [`SignError::Unsupported`] as well where the holder of the key or the scheme signs whole messages only.
    fn sign_hash(&self, _scheme: SignatureScheme, _hash: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError::Unsupported { key: self.public_key().kind().name() })
    }
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
