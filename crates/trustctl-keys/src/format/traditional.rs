//! The formats before PKCS#8: `EC PRIVATE KEY`, `RSA PRIVATE KEY`, Notary's `ED25519 PRIVATE KEY`, and OpenSSL's encryption of them.

use md5::{Digest as _, Md5};
use trustctl_core::signer::Signer as _;
use zeroize::Zeroizing;

use super::pkcs8;
use crate::error::KeyError;
use crate::private_key::{Curve, PrivateKey, Secret, ec_private_key};
use crate::secret::Passphrase;

/// The plain content of a block encrypted as RFC 1421 and OpenSSL's `PEM_bytes_read_bio` have it: `DEK-Info: AES-256-CBC,<hex iv>`.
///
/// The key is `EVP_BytesToKey` with MD5 and one round, the first eight bytes of the IV as salt. It is weak; notary before 0.6 and docker before
/// 17.12 wrote it, and it is read only.
pub(crate) fn decrypt(dek_info: &str, data: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (cipher, iv) = dek_info.split_once(',').ok_or(KeyError::unreadable("the DEK-Info header is malformed"))?;
    let length = match cipher.trim() {
        "AES-128-CBC" => 16,
        "AES-192-CBC" => 24,
        "AES-256-CBC" => 32,
        _ => return Err(KeyError::Unsupported { what: "the cipher in DEK-Info", purpose: "to decrypt keys; AES-CBC can" }),
    };
    let mut bytes = [0_u8; 16];
    hex::decode_to_slice(iv.trim(), &mut bytes).map_err(|_| KeyError::unreadable("the DEK-Info header is malformed"))?;
    let key = bytes_to_key(passphrase, &bytes, length);
    pkcs8::decrypt_cbc(&key, &bytes, data)
}

fn bytes_to_key(passphrase: &Passphrase, iv: &[u8; 16], length: usize) -> Zeroizing<Vec<u8>> {
    let salt = iv.get(..8).unwrap_or_default();
    let mut key = Zeroizing::new(Vec::with_capacity(48));
    let mut previous: Zeroizing<Vec<u8>> = Zeroizing::default();
    while key.len() < length {
        let mut hash = Md5::new();
        hash.update(&*previous);
        hash.update(passphrase.expose());
        hash.update(salt);
        previous = Zeroizing::new(hash.finalize().to_vec());
        key.extend_from_slice(&previous);
    }
    key.truncate(length);
    key
}

/// The label and DER of the key: SEC1 for EC, PKCS#1 for RSA. There is none for Ed25519.
pub(crate) fn encode(key: &PrivateKey) -> Result<(&'static str, Zeroizing<Vec<u8>>), KeyError> {
    match &key.secret {
        Secret::Ec { scalar, .. } => {
            let curve = Curve::of(key.kind()).ok_or(KeyError::unreadable("not an elliptic-curve key"))?;
            Ok(("EC PRIVATE KEY", ec_private_key(curve, scalar, key.public_key().raw(), true)))
        }
        Secret::Rsa { pkcs1, .. } => Ok(("RSA PRIVATE KEY", Zeroizing::new(pkcs1.to_vec()))),
        Secret::Ed25519 { .. } => Err(KeyError::Unsupported { what: "an ed25519 key", purpose: "in a format older than PKCS#8" }),
    }
}
