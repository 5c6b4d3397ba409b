//! Cosign's key file: JSON around NaCl secretbox with a key from scrypt (`secure-systems-lab/go-securesystemslib`, package `encrypted`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::AeadInPlace as _;
use crypto_secretbox::{KeyInit as _, Nonce, Tag, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::pkcs8;
use crate::error::KeyError;
use crate::secret::Passphrase;

/// The label that is written; Cosign up to 2.0 wrote [`OLD_LABEL`].
pub(crate) const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
pub(crate) const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// The only costs that Cosign's library reads, as log2 of N; it refuses others since they let a file choose how long its reader works.
const COSTS: [(u64, u8); 3] = [(32_768, 15), (65_536, 16), (131_072, 17)];
/// log2 of the N that is written: Cosign's own.
const WRITTEN: (u64, u8) = (65_536, 16);
const BLOCK_SIZE: u32 = 8;
const LANES: u32 = 1;
const SALT: usize = 32;
const NONCE: usize = 24;
const MAC: usize = 16;

#[derive(Serialize, Deserialize)]
struct Envelope {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The PKCS#8 PrivateKeyInfo in a key file's JSON.
pub(crate) fn decrypt(json: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let malformed = || KeyError::unreadable("the JSON of the Cosign key is malformed");
    let envelope: Envelope = serde_json::from_slice(json).map_err(|_| malformed())?;
    if envelope.kdf.name != "scrypt" || envelope.cipher.name != "nacl/secretbox" {
        return Err(KeyError::Unsupported { what: "an encryption other than scrypt and secretbox", purpose: "in a Cosign key" });
    }
    let params = &envelope.kdf.params;
    let cost = COSTS.iter().find(|(n, _)| *n == params.n && params.r == u64::from(BLOCK_SIZE) && params.p == u64::from(LANES));
    let Some((_, log_n)) = cost else {
        return Err(KeyError::Costly { parameter: "scrypt N (with r = 8, p = 1)", asked: params.n, most: 131_072 });
    };
    let salt = STANDARD.decode(&envelope.kdf.salt).map_err(|_| malformed())?;
    let nonce = STANDARD.decode(&envelope.cipher.nonce).map_err(|_| malformed())?;
    let sealed = STANDARD.decode(&envelope.ciphertext).map_err(|_| malformed())?;
    if salt.len() != SALT || nonce.len() != NONCE {
        return Err(malformed());
    }
    // secretbox puts the authenticator first.
    let (mac, data) = sealed.split_at_checked(MAC).ok_or_else(malformed)?;
    let mut plain = Zeroizing::new(data.to_vec());
    secretbox(passphrase, &salt, *log_n)?
        .decrypt_in_place_detached(Nonce::from_slice(&nonce), b"", &mut plain, Tag::from_slice(mac))
        .map_err(|_| KeyError::WrongPassphrase { key: "the key".to_owned() })?;
    Ok(plain)
}

/// The key file's JSON around a PKCS#8 PrivateKeyInfo, as Go writes it: compact, in this order.
pub(crate) fn encrypt(info: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, KeyError> {
    let mut salt = [0; SALT];
    let mut nonce = [0; NONCE];
    pkcs8::random(&mut salt)?;
    pkcs8::random(&mut nonce)?;
    let failed = || KeyError::Unsupported { what: "secretbox", purpose: "on this machine" };
    let mut data = Zeroizing::new(info.to_vec());
    let mac = secretbox(passphrase, &salt, WRITTEN.1)?
        .encrypt_in_place_detached(Nonce::from_slice(&nonce), b"", &mut data)
        .map_err(|_| failed())?;
    let envelope = Envelope {
        kdf: Kdf {
            name: "scrypt".to_owned(),
            params: Params { n: WRITTEN.0, r: BLOCK_SIZE.into(), p: LANES.into() },
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode([mac.as_slice(), data.as_slice()].concat()),
    };
    serde_json::to_vec(&envelope).map_err(|_| failed())
}

fn secretbox(passphrase: &Passphrase, salt: &[u8], log_n: u8) -> Result<XSalsa20Poly1305, KeyError> {
    let failed = KeyError::Unsupported { what: "scrypt", purpose: "with these parameters" };
    let mut key = Zeroizing::new([0_u8; 32]);
    let Ok(params) = scrypt::Params::new(log_n, BLOCK_SIZE, LANES, key.len()) else { return Err(failed) };
    if scrypt::scrypt(passphrase.expose(), salt, &params, key.as_mut_slice()).is_err() {
        return Err(failed);
    }
    Ok(XSalsa20Poly1305::new(key.as_slice().into()))
}
