//! All the places where keys rest, searched together.

use std::path::Path;

use trustctl_core::signer::Signer as _;

use super::near::near;
use super::{Listing, Place, Store, StoredKey, TrustDirectory};
use crate::error::KeyError;
use crate::format::{Export, NotaryLabels, SealedKey};
use crate::notary_id::canonical_id;
use crate::passphrase::{KeyUse, Passphrases, SecretStore, Wanted};
use crate::private_key::PrivateKey;

/// Fewest digits of a fingerprint or Notary id that stand for a key; notary and docker show seven.
const FEWEST_DIGITS: usize = 7;
/// Endings that say that a file was meant, where there is no key of such a name.
const FILE_ENDINGS: [&str; 9] = ["cer", "crt", "der", "key", "p8", "pem", "pk8", "pkcs8", "pub"];
/// What a key's name in the keyring starts with.
const KEYRING_KEY: &str = "key:";

/// Every place where a key may rest.
pub struct Places<'a> {
    /// This program's own directory.
    pub store: Store,
    /// Directories of docker and notary.
    pub trust: Vec<TrustDirectory>,
    /// The keyring, when it is to be used.
    pub keyring: Option<&'a dyn SecretStore>,
}

impl Places<'_> {
    /// Every key in the directories, and in the keyring where it can list.
    ///
    /// # Errors
    /// [`KeyError::File`] when a directory exists and cannot be listed.
    pub fn list(&self) -> Result<Listing, KeyError> {
        let mut all = self.store.list()?;
        for trust in &self.trust {
            let Listing { keys, problems } = trust.list()?;
            all.keys.extend(keys);
            all.problems.extend(problems);
        }
        // A keyring that is locked or gone hides only its own keys.
        let names = self.keyring.and_then(|keyring| keyring.names().ok()).unwrap_or_default();
        let keys = names.iter().filter_map(|name| name.strip_prefix(KEYRING_KEY)).filter_map(|name| self.in_keyring(name).ok());
        all.keys.extend(keys.map(|(key, _)| key));
        Ok(all)
    }

    /// The one key that a text means. In this order: `keyring:NAME`; a path, when it has a slash or ends in `.key` or `.pem`; a name; at least
    /// seven digits from the start of a fingerprint or Notary id; a file.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], or [`KeyError::Misspelt`] when names are similar; [`KeyError::Ambiguous`] when several different keys fit;
    /// [`KeyError::NoFile`], [`KeyError::File`] and [`KeyError::Unreadable`] by file.
    pub fn find(&self, wanted: &str) -> Result<StoredKey, KeyError> {
        if let Some(name) = wanted.strip_prefix("keyring:") {
            return Ok(self.in_keyring(name)?.0);
        }
        let path = Path::new(wanted);
        if wanted.contains('/') || path.extension().is_some_and(|ending| ending == "key" || ending == "pem") {
            return self.file(path);
        }
        match self.store.get(wanted) {
            Err(KeyError::NotFound { .. }) => {}
            other => return other,
        }
        let digits = wanted.to_ascii_lowercase();
        if digits.len() >= FEWEST_DIGITS
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            && let Some(found) = self.by_digits(&digits)?
        {
            return Ok(found);
        }
        if path.is_file() {
            return self.file(path);
        }
        if path.extension().is_some_and(|ending| FILE_ENDINGS.iter().any(|known| ending == *known)) {
            return Err(KeyError::NoFile { path: path.to_owned() });
        }
        let wanted = wanted.to_owned();
        // Not the roles of trust directories: only the key commands find a key by its role.
        let near = near(&wanted, self.store.list().unwrap_or_default().keys.into_iter().map(|key| key.name).collect());
        Err(if near.is_empty() { KeyError::NotFound { wanted } } else { KeyError::Misspelt { wanted, near } })
    }

    /// The one key of docker's and notary's directories that has this role, such as a signer's name, with or without `targets/`. `None` when
    /// none has it.
    ///
    /// # Errors
    /// [`KeyError::Ambiguous`] with the ids of the keys when several different ones have it; [`KeyError::File`].
    pub fn find_by_role(&self, role: &str) -> Result<Option<StoredKey>, KeyError> {
        let bare = |role: &str| role.strip_prefix("targets/").unwrap_or(role).to_owned();
        let mut found = Vec::new();
        for trust in &self.trust {
            let keys = trust.list()?.keys;
            found.extend(keys.into_iter().filter(|key| key.labels.role().is_some_and(|has| bare(has) == bare(role))));
        }
        only(role, found)
    }

    /// The private key, opened by the first passphrase that fits, and compared with what its listing said.
    ///
    /// # Errors
    /// What [`Passphrases::open`] says, [`KeyError::NotFound`] when it is gone, and [`KeyError::Unreadable`] when a file of a trust directory holds
    /// another key than its name says.
    pub fn open(&self, stored: &StoredKey, passphrases: &Passphrases<'_>) -> Result<PrivateKey, KeyError> {
        let sealed = self.sealed(stored)?;
        let (called, ids) = (stored.called(), stored.ids());
        let used = KeyUse::of(&sealed);
        let key = passphrases.open(&sealed, &Wanted { called: &called, used, ids: &ids })?;
        match stored.place {
            Place::Store => self.store.correct_public(stored, key.public_key()),
            Place::Docker | Place::Notary
                if stored.notary_id.as_ref().is_some_and(|id| *id != canonical_id(key.public_key())) =>
            {
                return Err(KeyError::unreadable("the file is named for another key than it holds"));
            }
            _ => {}
        }
        Ok(key)
    }

    /// The file of a key, not opened.
    ///
    /// # Errors
    /// [`KeyError::NotFound`] when it is gone; [`KeyError::File`] and [`KeyError::Unreadable`].
    pub fn sealed(&self, stored: &StoredKey) -> Result<SealedKey, KeyError> {
        let labels = (stored.labels.role().map(str::to_owned), stored.labels.gun().map(str::to_owned));
        match &stored.path {
            Some(path) => Ok(SealedKey::read(path)?.in_place(labels.0, labels.1)),
            None => Ok(self.in_keyring(&stored.name)?.1),
        }
    }

    /// Puts a key into the keyring, which is its protection: there is no passphrase of its own.
    ///
    /// # Errors
    /// [`KeyError::Exists`]; [`KeyError::KeyringUnavailable`].
    pub fn add_to_keyring(&self, name: &str, key: &PrivateKey, labels: Option<NotaryLabels>) -> Result<StoredKey, KeyError> {
        let keyring = self.keyring()?;
        let entry = format!("{KEYRING_KEY}{name}");
        if keyring.load(&entry)?.is_some() {
            return Err(KeyError::Exists { name: format!("keyring:{name}") });
        }
        let text = key.export(&labels.map_or(Export::Pkcs8, Export::Notary), None)?;
        keyring.store(&entry, text.as_bytes())?;
        Ok(self.in_keyring(name)?.0)
    }

    /// Removes a key for good, from one of the directories or the keyring.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::Unsupported`] for a file that the user named, which is not ours to delete; [`KeyError::File`].
    pub fn delete(&self, stored: &StoredKey) -> Result<(), KeyError> {
        match (stored.place, &stored.path) {
            (Place::Store, _) => self.store.delete(&stored.name),
            (Place::Docker | Place::Notary, Some(path)) => std::fs::remove_file(path).map_err(KeyError::file(path, "deleted")),
            (Place::Keyring, _) => match self.keyring()?.delete(&format!("{KEYRING_KEY}{}", stored.name))? {
                true => Ok(()),
                false => Err(KeyError::NotFound { wanted: format!("keyring:{}", stored.name) }),
            },
            _ => Err(KeyError::Unsupported { what: "a file outside the key directories", purpose: "here; delete it yourself" }),
        }
    }

    fn file(&self, path: &Path) -> Result<StoredKey, KeyError> {
        // A path into a trust directory has its layout's meaning.
        if let Some(trust) = self.trust.iter().find(|trust| path.starts_with(trust.directory())) {
            return Ok(trust.read(path)?.0);
        }
        let sealed = SealedKey::read(path)?;
        let beside = crate::format::read_public_key(&path.with_extension("pub")).ok();
        Ok(StoredKey::of(&sealed, Place::File, path.display().to_string(), Some(path.to_owned()), beside))
    }

    fn by_digits(&self, digits: &str) -> Result<Option<StoredKey>, KeyError> {
        let fits =
            |key: &StoredKey| [key.fingerprint(), key.notary_id.clone()].into_iter().flatten().any(|id| id.starts_with(digits));
        only(digits, self.list()?.keys.into_iter().filter(fits).collect())
    }

    fn in_keyring(&self, name: &str) -> Result<(StoredKey, SealedKey), KeyError> {
        let secret = self.keyring()?.load(&format!("{KEYRING_KEY}{name}"))?;
        let secret = secret.ok_or_else(|| KeyError::NotFound { wanted: format!("keyring:{name}") })?;
        let sealed = SealedKey::parse(&secret)?;
        Ok((StoredKey::of(&sealed, Place::Keyring, name.to_owned(), None, None), sealed))
    }

    fn keyring(&self) -> Result<&dyn SecretStore, KeyError> {
        self.keyring.ok_or_else(|| KeyError::KeyringUnavailable { why: "this run does not use one".to_owned() })
    }
}

/// The one key among those that fit. The same key in several places is one key; the first place wins.
fn only(wanted: &str, mut found: Vec<StoredKey>) -> Result<Option<StoredKey>, KeyError> {
    let different = |a: &StoredKey, b: &StoredKey| a.notary_id.is_none() || a.notary_id != b.notary_id;
    match found.split_first() {
        Some((first, rest)) if rest.iter().any(|other| different(first, other)) => Err(KeyError::Ambiguous {
            wanted: wanted.to_owned(),
            candidates: found.iter().map(|key| format!("{}:{}", key.place.name(), key.name)).collect(),
        }),
        Some(_) => Ok(Some(found.swap_remove(0))),
        None => Ok(None),
    }
}
