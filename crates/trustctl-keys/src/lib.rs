//! Where private keys rest and how they sign.
//!
//! It never prints or logs a key, and never turns one into text except where that is the point: [`private_key::PrivateKey::export`] and the keyring.
//! It never trusts what a key file says about itself: public halves are computed, and costs that a file asks for are limited before anything is
//! computed. It decides nothing about trust, and knows neither registries nor the meaning of metadata.
//!
//! In reading order:
//! - [`private_key`]: a key in memory, which is a [`Signer`](trustctl_core::signer::Signer); [`secret`]: passphrases; [`notary_id`]: Notary's names for keys;
//! - [`mod@format`]: the key files of Cosign, Notary and OpenSSL; [`certificate`]: what Notary wraps around a root key;
//! - [`store`]: keys on disk, in our directory and in those of docker and notary;
//! - [`passphrase`]: where a passphrase comes from; `keyring`: the operating system's, behind the feature of that name;
//! - [`example`]: published keys that must protect nothing; [`error`].
//!
//! ```
//! use trustctl_core::public_key::{Hash, KeyKind, SignatureScheme};
//! use trustctl_core::signer::Signer;
//! use trustctl_keys::format::{Export, SealedKey};
//! use trustctl_keys::private_key::PrivateKey;
//! use trustctl_keys::secret::Passphrase;
//!
//! let key = PrivateKey::generate(KeyKind::EcdsaP256)?;
//! let passphrase = Passphrase::new("a word for the example").ok_or("too long")?;
//! let file = key.export(&Export::Pkcs8, Some(&passphrase))?;
//! let again = SealedKey::parse(file.as_bytes())?.open(Some(&passphrase))?;
//! let scheme = SignatureScheme::EcdsaDer(Hash::Sha256);
//! key.public_key().verify(scheme, b"message", &again.sign(scheme, b"message")?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod certificate;
pub mod error;
pub mod example;
pub mod format;
#[cfg(feature = "keyring")]
pub mod keyring;
pub mod notary_id;
pub mod passphrase;
pub mod private_key;
pub mod secret;
pub mod store;
