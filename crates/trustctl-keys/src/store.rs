//! Keys in files: named keys of this program, and the trust directories of docker and notary as they are.
//!
//! - [`Store`]: `NAME.key` (0600) and, beside it, `NAME.pub`, so that keys can be listed without opening them;
//! - [`TrustDirectory`]: `~/.docker/trust` and `~/.notary` in every layout since notary 0.1, readable and writable by those programs afterwards;
//! - [`Places`]: all of them, the keyring, and single files, searched by name, fingerprint, Notary id or path.
//!
//! A file is complete or not there: it is written under another name, flushed, and then linked; an existing key is never replaced.

mod atomic;
mod named;
mod near;
mod places;
mod trust_directory;

use std::path::PathBuf;

use trustctl_core::public_key::{KeyKind, PublicKey};

use crate::error::KeyError;
use crate::format::{Format, NotaryLabels, SealedKey};
use crate::notary_id::canonical_id;

pub use named::{Store, default_directory};
pub use places::Places;
pub use trust_directory::{TrustDirectory, default_trust_directories};

/// What kind of place a key rests in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Place {
    /// Docker's trust directory.
    Docker,
    /// A file that the user named.
    File,
    /// The operating system's keyring.
    Keyring,
    /// Notary's trust directory.
    Notary,
    /// This program's own directory.
    Store,
}

impl Place {
    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::File => "file",
            Self::Keyring => "keyring",
            Self::Notary => "notary",
            Self::Store => "trustctl",
        }
    }
}

/// A key as it can be listed without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredKey {
    /// Where it rests.
    pub place: Place,
    /// Its name there: chosen by the user, or in trust directories the Notary id.
    pub name: String,
    /// The file; none in a keyring.
    pub path: Option<PathBuf>,
    /// The format.
    pub format: Format,
    /// Whether a passphrase opens it.
    pub encrypted: bool,
    /// Role and GUN, where file or place say so.
    pub labels: NotaryLabels,
    /// The public half, where it rests beside the key or the key is not encrypted.
    pub public_key: Option<PublicKey>,
    /// The canonical Notary id, from the public half or the file's name.
    pub notary_id: Option<String>,
}

impl StoredKey {
    /// The kind of key, where the public half is known.
    #[must_use]
    pub fn kind(&self) -> Option<KeyKind> {
        self.public_key.as_ref().map(PublicKey::kind)
    }

    /// The fingerprint, where the public half is known.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        self.public_key.as_ref().map(PublicKey::fingerprint)
    }

    /// What to call the key in a question: `the root key 77d38dd (docker)`.
    #[must_use]
    pub fn called(&self) -> String {
        let role = self.labels.role().map(|role| format!("{role} ")).unwrap_or_default();
        // Seven digits, as notary and docker show.
        let name = if self.place == Place::Docker || self.place == Place::Notary { self.name.get(..7) } else { None };
        format!("the {role}key {} ({})", name.unwrap_or(&self.name), self.place.name())
    }

    /// Names under which a keyring may have the passphrase.
    pub(crate) fn ids(&self) -> Vec<String> {
        [self.fingerprint(), self.notary_id.clone(), (self.place == Place::Store).then(|| self.name.clone())]
            .into_iter()
            .flatten()
            .collect()
    }

    fn of(sealed: &SealedKey, place: Place, name: String, path: Option<PathBuf>, public_key: Option<PublicKey>) -> Self {
        let public_key = public_key.or_else(|| {
            let key = if sealed.is_encrypted() { None } else { sealed.open(None).ok() }?;
            Some(trustctl_core::signer::Signer::public_key(&key).clone())
        });
        Self {
            place,
            name,
            path,
            format: sealed.format(),
            encrypted: sealed.is_encrypted(),
            labels: sealed.labels().clone(),
            notary_id: public_key.as_ref().map(canonical_id),
            public_key,
        }
    }
}

/// What a directory holds: its keys, and the files in it that should be keys and are not.
#[derive(Debug, Default)]
pub struct Listing {
    /// The keys, sorted by name.
    pub keys: Vec<StoredKey>,
    /// Files that could not be read as a key, and why.
    pub problems: Vec<(PathBuf, KeyError)>,
}
