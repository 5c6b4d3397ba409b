//! The ids by which Notary names keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trustctl_core::digest::Digest;
use trustctl_core::public_key::{KeyKind, PublicKey};

/// The canonical id of a key: the name of its file in a trust directory, and what `notary key list` shows. 64 lower-case hexadecimal digits.
///
/// It is the SHA-256 of the canonical JSON of the key as `ecdsa`, `rsa` or `ed25519` (`tuf/data/keys.go`). A root key's id in metadata is another
/// one, over its certificate.
///
/// ```
/// use trustctl_core::public_key::PublicKey;
/// # use base64::Engine as _;
/// let raw = base64::engine::general_purpose::STANDARD.decode("tBFYYxZTYPgWBzymUnEKZDCKoOpWPz1kULI4so5mJiM=")?;
/// let id = trustctl_keys::notary_id::canonical_id(&PublicKey::from_ed25519(&raw)?);
/// assert_eq!(id, "77d38dd19065ba20dbd1f5bbd01fac526ab3eddfeb88f58f38954bb4c368a732");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn canonical_id(key: &PublicKey) -> String {
    let (key_type, public) = match key.kind() {
        KeyKind::Ed25519 => ("ed25519", STANDARD.encode(key.raw())),
        KeyKind::Rsa => ("rsa", STANDARD.encode(key.spki_der())),
        _ => ("ecdsa", STANDARD.encode(key.spki_der())),
    };
    let json = format!(r#"{{"keytype":"{key_type}","keyval":{{"private":null,"public":"{public}"}}}}"#);
    Digest::sha256_of(json.as_bytes()).hex()
}

/// Whether the text has the form of a canonical id.
#[must_use]
pub fn is_canonical_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
