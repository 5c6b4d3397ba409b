//! This program's own directory of named keys.

use std::fs;
use std::path::{Path, PathBuf};

use trustctl_core::public_key::PublicKey;
use trustctl_core::signer::Signer as _;

use super::atomic::{self, PRIVATE, PUBLIC};
use super::{Listing, Place, StoredKey};
use crate::error::KeyError;
use crate::format::{Export, SealedKey, read_public_key};
use crate::passphrase::Environment;
use crate::private_key::PrivateKey;
use crate::secret::Passphrase;

/// Longest name, so that `.NAME.key.<16 digits>.tmp` stays within the 255 bytes of a file name.
const MAX_NAME: usize = 100;

/// A directory of named keys: `NAME.key` with permissions 0600, and `NAME.pub`.
///
/// `NAME.pub` only helps listing: whoever opens the key computes the public half anew, and puts the file right when it is missing or another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The keys in a directory, which is made when the first key is written.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a key under a new name. Afterwards the whole key is on disk; before that, nothing of it is visible under the name.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when there is a key of this name; [`KeyError::BadName`]; [`KeyError::File`]; and what [`PrivateKey::export`] says.
    pub fn create(
        &self,
        name: &str,
        key: &PrivateKey,
        format: &Export,
        passphrase: Option<&Passphrase>,
    ) -> Result<StoredKey, KeyError> {
        let path = self.path(name)?;
        if path.symlink_metadata().is_ok() {
            return Err(KeyError::Exists { name: name.to_owned() });
        }
        let text = key.export(format, passphrase)?;
        atomic::make_folder(&self.directory)?;
        atomic::close_folder(&self.directory)?;
        atomic::sweep(&self.directory);
        atomic::write_new(&path, text.as_bytes(), PRIVATE).map_err(|error| match error {
            KeyError::Exists { .. } => KeyError::Exists { name: name.to_owned() },
            other => other,
        })?;
        atomic::replace(&self.public_path(name), key.public_key().to_pem().as_bytes(), PUBLIC)?;
        self.get(name)
    }

    /// A key by its name.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::Unreadable`] and [`KeyError::File`] when its file is broken or out of reach.
    pub fn get(&self, name: &str) -> Result<StoredKey, KeyError> {
        let path = self.path(name).map_err(|_| KeyError::NotFound { wanted: name.to_owned() })?;
        let sealed = SealedKey::read(&path).map_err(|error| match error {
            KeyError::NoFile { .. } => KeyError::NotFound { wanted: name.to_owned() },
            other => other,
        })?;
        let public_key = read_public_key(&self.public_path(name)).ok();
        Ok(StoredKey::of(&sealed, Place::Store, name.to_owned(), Some(path), public_key))
    }

    /// Every key, sorted by name. No secret is opened, except that the public half of keys without encryption is computed.
    ///
    /// # Errors
    /// [`KeyError::File`] when the directory exists and cannot be listed.
    pub fn list(&self) -> Result<Listing, KeyError> {
        let mut listing = Listing::default();
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(listing),
            other => other.map_err(KeyError::file(&self.directory, "listed"))?,
        };
        for entry in entries {
            let path = entry.map_err(KeyError::file(&self.directory, "listed"))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".key"));
            let Some(name) = name.filter(|name| check_name(name).is_ok()) else { continue };
            match self.get(name) {
                Ok(key) => listing.keys.push(key),
                Err(error) => listing.problems.push((path, error)),
            }
        }
        listing.keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    /// Removes a key for good.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]; [`KeyError::File`] when it cannot be removed.
    pub fn delete(&self, name: &str) -> Result<(), KeyError> {
        let not_found = || KeyError::NotFound { wanted: name.to_owned() };
        let path = self.path(name).map_err(|_| not_found())?;
        path.symlink_metadata().map_err(|_| not_found())?;
        // The public half first: killed in between, the key is still listed and can be deleted again.
        let public = self.public_path(name);
        match fs::remove_file(&public) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(KeyError::file(&public, "deleted")(error)),
            _ => {}
        }
        fs::remove_file(&path).map_err(KeyError::file(&path, "deleted"))
    }

    /// Puts `NAME.pub` right after the key was opened. That it could not be written is no reason not to sign.
    pub(super) fn correct_public(&self, stored: &StoredKey, public_key: &PublicKey) {
        if stored.public_key.as_ref() != Some(public_key) {
            let _ = atomic::replace(&self.public_path(&stored.name), public_key.to_pem().as_bytes(), PUBLIC);
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf, KeyError> {
        check_name(name)?;
        Ok(self.directory.join(format!("{name}.key")))
    }

    fn public_path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.pub"))
    }
}

/// `$XDG_DATA_HOME/trustctl/keys`, else `$HOME/.local/share/trustctl/keys`; `None` when neither variable is set.
#[must_use]
pub fn default_directory(environment: &dyn Environment) -> Option<PathBuf> {
    let set = |name| environment.variable(name).filter(|value| Path::new(value.as_str()).is_absolute());
    let data = match set("XDG_DATA_HOME") {
        Some(folder) => PathBuf::from(folder.as_str()),
        None => Path::new(set("HOME")?.as_str()).join(".local/share"),
    };
    Some(data.join("trustctl/keys"))
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    // These endings are how a path is told from a name.
    let like_a_file = [".key", ".pub", ".pem"].iter().any(|ending| name.ends_with(ending));
    if !starts || like_a_file || name.len() > MAX_NAME || !name.chars().all(fits) {
        return Err(KeyError::BadName { what: "name", name: name.to_owned() });
    }
    Ok(())
}
