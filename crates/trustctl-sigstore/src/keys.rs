//! Which algorithms a key may have signed with, and which of the keys at hand has signed.
//!
//! Measured with cosign 2.5.0 and 3.1.1, keys imported, image signatures in both formats:
//!
//! | key | cosign 2 signs | cosign 3 signs | cosign 2 and 3 verify |
//! |---|---|---|---|
//! | ECDSA P-256 | SHA-256 | SHA-256 | SHA-256 |
//! | ECDSA P-384 | SHA-256 | SHA-384 | SHA-256 only |
//! | ECDSA P-521 | SHA-256 | SHA-512 | SHA-256 only |
//! | RSA | PKCS#1 v1.5, SHA-256 | the same | the same |
//! | Ed25519 | pure | Ed25519ph | pure only |
//!
//! So cosign 3.1.1 refuses what it signs itself with P-384, P-521 and Ed25519, unless `--signature-digest-algorithm` names the
//! hash. This program signs in the first form of [`schemes`] that the holder of the key can make, and reads them all. It does not
//! read Ed25519ph (RFC 8032, section 5.1): the cryptographic library offers no such operation, and no released cosign accepts
//! such an image signature.

use trustctl_core::hashes::Hashes;
use trustctl_core::public_key::{Hash, KeyKind, PublicKey, SignatureScheme};
use trustctl_core::scheme::KeyAnchor;

use crate::format::decode;

/// The schemes that a signature by a key of this kind is made and tried with; the first is the one that cosign 2 and 3 verify by
/// themselves.
#[must_use]
pub fn schemes(kind: KeyKind) -> &'static [SignatureScheme] {
    use SignatureScheme::{EcdsaDer, Ed25519, RsaPkcs1, RsaPss};
    match kind {
        KeyKind::EcdsaP256 => &[EcdsaDer(Hash::Sha256)],
        KeyKind::EcdsaP384 => &[EcdsaDer(Hash::Sha256), EcdsaDer(Hash::Sha384)],
        KeyKind::EcdsaP521 => &[EcdsaDer(Hash::Sha256), EcdsaDer(Hash::Sha512)],
        KeyKind::Ed25519 => &[Ed25519],
        KeyKind::Rsa => &[RsaPkcs1(Hash::Sha256), RsaPss(Hash::Sha256)],
        _ => &[],
    }
}

/// Whether `key` made `signature` over `message`.
#[must_use]
pub fn has_signed(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    schemes(key.kind()).iter().any(|scheme| key.verify(*scheme, message, signature).is_ok())
}

/// Whether `key` made `signature` over the message with these hashes.
#[must_use]
pub fn has_signed_hashed(key: &PublicKey, message: &Hashes, signature: &[u8]) -> bool {
    schemes(key.kind()).iter().any(|scheme| key.verify_hashed(*scheme, message, signature).is_ok())
}

/// The distinct keys that count, with their names.
pub(crate) struct Keyring<'a>(Vec<Known<'a>>);

/// A key and how it is named.
pub(crate) struct Known<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) fingerprint: String,
    pub(crate) hint: String,
}

impl<'a> Keyring<'a> {
    pub(crate) fn new(keys: impl Iterator<Item = &'a PublicKey>) -> Self {
        let mut known: Vec<Known<'a>> = Vec::new();
        for key in keys {
            if !known.iter().any(|other| other.key == key) {
                known.push(Known { key, fingerprint: key.fingerprint(), hint: key.hint() });
            }
        }
        Self(known)
    }

    pub(crate) fn of_anchors(anchors: &'a [KeyAnchor]) -> Self {
        Self::new(anchors.iter().map(|anchor| &anchor.key))
    }

    /// The key that a hint names, if it is one of these. The hint is anybody's word.
    pub(crate) fn hinted(&self, hint: &str) -> Option<&Known<'a>> {
        self.0.iter().find(|known| known.hint == hint)
    }

    /// The key that made `signature` over `message`; the hinted one is tried first, then all the others.
    pub(crate) fn signer(&self, message: &[u8], signature: &[u8], hint: &str) -> Option<&Known<'a>> {
        let first = self.hinted(hint);
        let others = self.0.iter().filter(|known| first.is_none_or(|first| first.key != known.key));
        first.into_iter().chain(others).find(|known| has_signed(known.key, message, signature))
    }

    /// The keys' fingerprints, shortened, for people.
    pub(crate) fn names(&self) -> String {
        if self.0.is_empty() {
            return "no key".to_owned();
        }
        let names: Vec<&str> = self.0.iter().map(|known| short(&known.fingerprint)).collect();
        format!("key {}", names.join(" or "))
    }
}

/// The key that a hint names, in words; anybody's word.
pub(crate) fn named_by_hint(hint: &str) -> String {
    match decode(hint, "the key hint") {
        // The SHA-256 of the key, of which a fingerprint is the hexadecimal form.
        Ok(hash) if hash.len() == 32 => {
            let digits: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("key {digits}, by the signature's own word")
        }
        _ => format!("a key with hint {hint}"),
    }
}

/// The first 16 digits of a fingerprint.
pub(crate) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..16).unwrap_or(fingerprint)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::testing::{Ecdsa, TestKey};
    use trustctl_core::signer::Signer as _;

    #[test]
    fn every_hash_that_cosign_uses_for_a_curve_is_accepted() {
        for (curve, hash) in
            [(Ecdsa::P256, Hash::Sha256), (Ecdsa::P384, Hash::Sha384), (Ecdsa::P521, Hash::Sha256), (Ecdsa::P521, Hash::Sha512)]
        {
            let key = TestKey::ecdsa(curve);
            let signature = key.sign(SignatureScheme::EcdsaDer(hash), b"message").unwrap();
            assert!(has_signed(key.public_key(), b"message", &signature), "{curve:?} {hash:?}");
            assert!(!has_signed(key.public_key(), b"massage", &signature), "{curve:?} {hash:?}");
        }
        let key = TestKey::ed25519();
        let signature = key.sign(SignatureScheme::Ed25519, b"message").unwrap();
        assert!(has_signed(key.public_key(), b"message", &signature));
    }

    const CURVE_384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEeKMxMcN3mP/qsCLxcq/Kl54I7YxLGhMh
l0ay5AWMnR83oHMCGmzigNwlVxjtsgfoI1VS3a8qAXDENKh4R1jepUzOuOsvmU8y
1pyr2vtBch6LKAF7VoCoBm3yqvVGOxq6
-----END PUBLIC KEY-----
";
    const EDWARDS: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAKQ0ifdAOAJGbvyl+8dSEO+aFpkLmGFGZdqq/ybojhpw=
-----END PUBLIC KEY-----
";

    fn payload(name: &str) -> Vec<u8> {
        let repository = format!("127.0.0.1:14777/t/{name}").parse().unwrap();
        let digest = "sha256:d66345975bb6613cbbdadcfd5029e915ce5ba8c450ccbe0d4a84158add676eea".parse().unwrap();
        crate::simple_signing::build(&digest, &repository, None, &std::collections::BTreeMap::new())
    }

    #[test]
    fn what_cosign_2_signs_with_p384_is_accepted_and_ed25519ph_of_cosign_3_is_not() {
        let signature = "MGYCMQD1l0o1KOcAZ437Cot45AiSNhhH10SFRiz7vo4wYI7tBZB210L+SdjoSLqBKI2X9jMCMQD1za/koB07bfPsaHD1nmCxG7Yd6oxyKgNCKkQL9c23nRJABuU3BXbAhGnmDwt8nxs=";
        let signature = decode(signature, "it").unwrap();
        assert!(has_signed(&PublicKey::from_pem(CURVE_384.as_bytes()).unwrap(), &payload("p384-v2l"), &signature));

        let signature = "psC8eAVxQ6vu02x7Jo1GIixCpJ+fIHYV/i95PC+ZBS0d6xUZ2V/qyyt2D3z/PFlCfgXo0uT52w3vUJcT9BBqBA==";
        let signature = decode(signature, "it").unwrap();
        assert!(!has_signed(&PublicKey::from_pem(EDWARDS.as_bytes()).unwrap(), &payload("ed-v3l"), &signature));
    }

    #[test]
    fn a_false_hint_neither_helps_nor_hides() {
        let (one, two) = (TestKey::new(), TestKey::new());
        let ring = Keyring::new([one.public_key(), two.public_key()].into_iter());
        let signature = two.sign(SignatureScheme::EcdsaDer(Hash::Sha256), b"message").unwrap();
        let found = ring.signer(b"message", &signature, &one.public_key().hint()).unwrap();
        assert_eq!(found.key, two.public_key());
        let only_one = Keyring::new([one.public_key()].into_iter());
        assert!(only_one.signer(b"message", &signature, &one.public_key().hint()).is_none());
    }
}
