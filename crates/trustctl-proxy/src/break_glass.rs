//! Break-glass tokens: an operator's signed word that one digest may pass for a short time although the policy refuses it.
//!
//! A token is a DSSE envelope in a file of a folder that the proxy watches. It names one repository, one digest, a reason and an end at
//! most 24 hours after it was issued, and is signed by a key that the configuration names. Every use is told to the observers. What the
//! policy denies by digest passes with no token.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trustctl_core::digest::Digest;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::signer::Signer;
use trustctl_core::time::Timestamp;
use trustctl_sigstore::dsse::Envelope;
use trustctl_sigstore::keys::has_signed;
use trustctl_sigstore::make::checked_signature;

/// The payload type of tokens in the envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.trustctl.break-glass.v1+json";
/// The longest time that a token may be good.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of a token's file.
const MAX_TOKEN: u64 = 64 * 1024;
/// Most tokens that are looked at.
const MAX_TOKENS: usize = 256;
/// Shortest reason that is accepted, in characters: "x" is none.
const SHORTEST_REASON: usize = 8;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The repository, by the name that policies speak of.
    pub repository: Repository,
    /// The digest that may pass, with everything it names.
    pub digest: Digest,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub issued: Timestamp,
    /// The last moment at which it counts.
    pub until: Timestamp,
}

/// A token that counts, and whose word it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it says.
    pub token: Token,
    /// The fingerprint of the key that signed it ([`PublicKey::fingerprint`]).
    pub key: String,
}

/// Why a file is no token that counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not an envelope with one signature, or its payload is no token.
    #[error("it is no break-glass token ({0})")]
    Malformed(String),
    /// None of the keys that the configuration names has signed it.
    #[error("no key that the configuration names has signed it")]
    WrongKey,
    /// It ends more than [`LONGEST`] after it was issued, or before.
    #[error("it does not end within 24 hours of when it was issued")]
    TooLong,
    /// It counts only later, or no more.
    #[error("it counts from {0} to {1}")]
    NotNow(Timestamp, Timestamp),
    /// It gives no reason.
    #[error("it gives no reason of at least {SHORTEST_REASON} characters")]
    NoReason,
}

impl Token {
    /// Checks what holds at any time.
    ///
    /// # Errors
    /// [`TokenError::TooLong`], [`TokenError::NoReason`].
    pub fn check(&self) -> Result<(), TokenError> {
        if self.until < self.issued || self.until > self.issued.saturating_add(LONGEST) {
            return Err(TokenError::TooLong);
        }
        if self.reason.trim().chars().count() < SHORTEST_REASON {
            return Err(TokenError::NoReason);
        }
        Ok(())
    }

    /// The token, signed: the bytes of its file.
    ///
    /// # Errors
    /// [`Code::KeySigningFailed`] when the holder of the key does not sign; [`Code::BadCommandLine`] for a token that would not count.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Reason> {
        self.check().map_err(|error| Reason::new(Code::BadCommandLine, error.to_string()))?;
        let payload = serde_json::to_vec(self).map_err(|error| Reason::new(Code::BadCommandLine, error.to_string()))?;
        let mut envelope = Envelope { payload_type: PAYLOAD_TYPE.to_owned(), payload, signature: Vec::new() };
        envelope.signature = checked_signature(signer, &envelope.signed_bytes()).map_err(|error| error.reason())?;
        Ok(envelope.to_json().into_bytes())
    }

    /// The token in a file's bytes, if one of `keys` has signed it and it counts at `now`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(bytes: &[u8], keys: &[PublicKey], now: Timestamp) -> Result<Grant, TokenError> {
        let malformed = |error: &dyn std::fmt::Display| TokenError::Malformed(error.to_string());
        let envelope = Envelope::parse(bytes).map_err(|error| malformed(&error))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(malformed(&"its payload is of another type"));
        }
        let signed = envelope.signed_bytes();
        let key = keys.iter().find(|key| has_signed(key, &signed, &envelope.signature)).ok_or(TokenError::WrongKey)?;
        let token: Self = serde_json::from_slice(&envelope.payload).map_err(|error| malformed(&error))?;
        token.check()?;
        if now < token.issued || now > token.until {
            return Err(TokenError::NotNow(token.issued, token.until));
        }
        Ok(Grant { token, key: key.fingerprint() })
    }
}

/// The tokens in a folder.
#[derive(Default)]
pub struct BreakGlass {
    folder: Option<PathBuf>,
    keys: Vec<PublicKey>,
    grants: RwLock<Vec<Arc<Grant>>>,
}

impl BreakGlass {
    /// The tokens in `folder` that one of `keys` has signed. Nothing is read before [`BreakGlass::reload`].
    #[must_use]
    pub fn new(folder: PathBuf, keys: Vec<PublicKey>) -> Self {
        Self { folder: Some(folder), keys, grants: RwLock::default() }
    }

    /// The token that lets `digest` of `repository` pass at `now`.
    #[must_use]
    pub fn grant(&self, repository: &Repository, digest: &Digest, now: Timestamp) -> Option<Arc<Grant>> {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let covers = |grant: &&Arc<Grant>| {
            let token = &grant.token;
            token.digest == *digest && token.repository == *repository && token.issued <= now && now <= token.until
        };
        grants.iter().find(covers).cloned()
    }

    /// Looks at the folder; what is wrong with the files that do not count.
    ///
    /// Blocking.
    pub fn reload(&self, now: Timestamp) -> Vec<(PathBuf, String)> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let (mut grants, mut wrong) = (Vec::new(), Vec::new());
        for path in files(folder) {
            match read(&path, &self.keys, now) {
                Ok(grant) => grants.push(Arc::new(grant)),
                Err(why) => wrong.push((path, why)),
            }
        }
        *self.grants.write().unwrap_or_else(PoisonError::into_inner) = grants;
        wrong
    }
}

fn read(path: &Path, keys: &[PublicKey], now: Timestamp) -> Result<Grant, String> {
    let bytes = trustctl_remote::file::read(path, MAX_TOKEN).map_err(|error| error.to_string())?;
    Token::open(&bytes, keys, now).map_err(|error| error.to_string())
}

/// The files of a folder that may be tokens, in the order of their names. A folder that is not there has none.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    paths.sort_unstable();
    paths.truncate(MAX_TOKENS);
    paths
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use trustctl_core::public_key::{Hash, SignatureScheme};
    use trustctl_core::signer::SignError;

    use super::*;

    struct Key(EcdsaKeyPair, PublicKey);

    impl Key {
        fn new() -> Self {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
            // SubjectPublicKeyInfo of a P-256 point (RFC 5480).
            let head = hex_bytes("3059301306072a8648ce3d020106082a8648ce3d030107034200");
            let public = PublicKey::from_spki_der(&[head, pair.public_key().as_ref().to_vec()].concat()).unwrap();
            Self(pair, public)
        }
    }

    fn hex_bytes(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2).unwrap(), 16).unwrap()).collect()
    }

    impl Signer for Key {
        fn public_key(&self) -> &PublicKey {
            &self.1
        }

        fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
            assert_eq!(scheme, SignatureScheme::EcdsaDer(Hash::Sha256));
            Ok(self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(seconds))
    }

    fn token() -> Token {
        Token {
            repository: "registry.example/shop/cart".parse().unwrap(),
            digest: Digest::sha256_of(b"cart"),
            reason: "the signing service is down, INC-7".to_owned(),
            issued: at(1000),
            until: at(4600),
        }
    }

    #[test]
    fn a_token_counts_for_its_digest_until_its_end() {
        let (key, folder) = (Key::new(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("a.json"), token().sign(&key).unwrap()).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
        let glass = BreakGlass::new(folder.path().to_owned(), vec![Key::new().1, key.1.clone()]);
        assert_eq!(glass.reload(at(2000)), []);
        let Token { repository, digest, .. } = token();
        let grant = glass.grant(&repository, &digest, at(2000)).unwrap();
        assert_eq!((&grant.token, &grant.key), (&token(), &key.1.fingerprint()));
        assert_eq!(glass.grant(&repository, &digest, at(4601)), None, "over");
        assert_eq!(glass.grant(&repository, &Digest::sha256_of(b"other"), at(2000)), None);
        assert_eq!(glass.grant(&"registry.example/shop/other".parse().unwrap(), &digest, at(2000)), None);
        std::fs::remove_file(folder.path().join("a.json")).unwrap();
        glass.reload(at(2000));
        assert_eq!(glass.grant(&repository, &digest, at(2000)), None, "taken back");
    }

    #[test]
    fn a_token_counts_only_as_it_was_signed() {
        let key = Key::new();
        let good = token().sign(&key).unwrap();
        let open = |bytes: &[u8], now| Token::open(bytes, std::slice::from_ref(&key.1), at(now));
        assert!(open(&good, 1000).is_ok() && open(&good, 4600).is_ok());
        assert_eq!(open(&good, 999), Err(TokenError::NotNow(at(1000), at(4600))));
        assert_eq!(Token::open(&good, &[Key::new().1], at(2000)), Err(TokenError::WrongKey));
        assert_eq!(Token::open(&good, &[], at(2000)), Err(TokenError::WrongKey));
        let envelope = Envelope::parse(&good).unwrap();
        let other = Token { digest: Digest::sha256_of(b"other"), ..token() };
        let swapped = Envelope { payload: serde_json::to_vec(&other).unwrap(), ..envelope.clone() };
        assert_eq!(open(swapped.to_json().as_bytes(), 2000), Err(TokenError::WrongKey));
        let retyped = Envelope { payload_type: "application/vnd.in-toto+json".to_owned(), ..envelope };
        assert!(matches!(open(retyped.to_json().as_bytes(), 2000), Err(TokenError::Malformed(_))));
    }

    #[test]
    fn no_token_is_good_for_long_or_without_a_reason() {
        let key = Key::new();
        let long = Token { until: at(1000 + 24 * 3600 + 1), ..token() };
        assert_eq!(long.check(), Err(TokenError::TooLong));
        assert_eq!(Token { until: at(999), ..token() }.check(), Err(TokenError::TooLong));
        assert_eq!(Token { reason: " x ".to_owned(), ..token() }.check(), Err(TokenError::NoReason));
        assert!(long.sign(&key).is_err());
        // Signed all the same, by a program that does not look, it does not count.
        let payload = serde_json::to_vec(&long).unwrap();
        let mut envelope = Envelope { payload_type: PAYLOAD_TYPE.to_owned(), payload, signature: Vec::new() };
        envelope.signature = checked_signature(&key, &envelope.signed_bytes()).unwrap();
        assert_eq!(Token::open(envelope.to_json().as_bytes(), &[key.1], at(2000)), Err(TokenError::TooLong));
    }
}
