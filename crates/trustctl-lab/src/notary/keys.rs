//! The keys a Notary server makes and keeps: in memory, for timestamps and, where the owner wants it, snapshots.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use trustctl_core::public_key::{Hash, PublicKey, SignatureScheme};
use trustctl_core::signer::{SignError, Signer};
use trustctl_dct::canonical_json::Value;
use trustctl_dct::key::{Key, KeyId};
use trustctl_dct::metadata::RoleKeys;
use trustctl_dct::metadata::envelope::{Envelope, KeyHolder};
use trustctl_dct::metadata::root::Root;
use trustctl_dct::role::RoleName;

/// The kind of keys that a Notary server makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// ECDSA on P-256: a server with a separate signer.
    Ecdsa,
    /// Ed25519: a server that signs by itself.
    #[default]
    Ed25519,
}

/// The private keys of all collections of a server.
#[derive(Debug, Default)]
pub(crate) struct ServerKeys {
    algorithm: KeyAlgorithm,
    held: BTreeMap<KeyId, Held>,
    /// The newest key made for a role of a collection.
    newest: BTreeMap<(String, RoleName), Key>,
}

#[derive(Debug)]
struct Held {
    key: Key,
    signer: ServerKey,
}

/// The server cannot make or use a key.
#[derive(Debug)]
pub(crate) struct NoKey;

impl ServerKeys {
    pub(crate) fn new(algorithm: KeyAlgorithm) -> Self {
        Self { algorithm, ..Self::default() }
    }

    /// The key that `timestamp.key` or `snapshot.key` answers: the one in use if it is the server's, else the newest, made if need be.
    pub(crate) fn current(&mut self, gun: &str, role: &RoleName, root: Option<&Root>) -> Result<Key, NoKey> {
        let in_use = root.map(|root| role_keys(root, role)).and_then(|keys| keys.key_ids.iter().find_map(|id| self.held.get(id)));
        match in_use {
            Some(held) => Ok(held.key.clone()),
            None => self.pending(gun, role, root),
        }
    }

    /// The key to rotate to: the newest, if no root names it yet, else a new one.
    pub(crate) fn pending(&mut self, gun: &str, role: &RoleName, root: Option<&Root>) -> Result<Key, NoKey> {
        let place = (gun.to_owned(), role.clone());
        let named = |key: &Key| root.is_some_and(|root| role_keys(root, role).key_ids.contains(key.id()));
        if let Some(newest) = self.newest.get(&place).filter(|key| !named(key)) {
            return Ok(newest.clone());
        }
        if self.held.len() >= MAX_KEYS {
            return Err(NoKey);
        }
        let signer = ServerKey::generate(self.algorithm).ok_or(NoKey)?;
        let key = Key::from_public_key(&signer.public);
        self.held.insert(key.id().clone(), Held { key: key.clone(), signer });
        self.newest.insert(place, key.clone());
        Ok(key)
    }

    /// `signed`, signed by every key of the role that the server holds; `None` when those are fewer than the role's threshold.
    pub(crate) fn sign(&self, role: &RoleKeys, signed: &Value) -> Option<Vec<u8>> {
        let held = role.key_ids.iter().filter_map(|id| self.held.get(id));
        let holders: Vec<KeyHolder<'_>> = held.map(|held| KeyHolder { key: &held.key, signer: &held.signer }).collect();
        let enough = u32::try_from(holders.len()).is_ok_and(|count| count >= role.threshold.get());
        if enough { Envelope::sign(signed, &holders).ok() } else { None }
    }
}

pub(crate) fn role_keys<'a>(root: &'a Root, role: &RoleName) -> &'a RoleKeys {
    match role.as_str() {
        "root" => &root.root,
        "snapshot" => &root.snapshot,
        "timestamp" => &root.timestamp,
        _ => &root.targets,
    }
}

#[derive(Debug)]
struct ServerKey {
    public: PublicKey,
    private: Private,
}

#[derive(Debug)]
enum Private {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl ServerKey {
    fn generate(algorithm: KeyAlgorithm) -> Option<Self> {
        match algorithm {
            KeyAlgorithm::Ecdsa => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
                let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
                let public = PublicKey::from_spki_der(spki.as_ref()).ok()?;
                Some(Self { public, private: Private::Ecdsa(Box::new(pair)) })
            }
            KeyAlgorithm::Ed25519 => {
                let pair = Ed25519KeyPair::generate().ok()?;
                let public = PublicKey::from_ed25519(pair.public_key().as_ref()).ok()?;
                Some(Self { public, private: Private::Ed25519(Box::new(pair)) })
            }
        }
    }
}

impl Signer for ServerKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match (&self.private, scheme) {
            (Private::Ecdsa(pair), SignatureScheme::EcdsaFixed(Hash::Sha256)) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| SignError::Failed("no randomness".to_owned()))
            }
            (Private::Ed25519(pair), SignatureScheme::Ed25519) => Ok(pair.sign(message).as_ref().to_vec()),
            _ => Err(SignError::Unsupported { key: self.public.kind().name() }),
        }
    }
}

/// Keys of all collections together.
const MAX_KEYS: usize = 10_000;
