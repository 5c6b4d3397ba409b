//! The trust directories of docker and notary, in every layout they ever had.
//!
//! Since notary 0.4 a key is `private/<id>.key`, with role and GUN in its headers. Before, it was under `private/root_keys/` or
//! `private/tuf_keys/<gun>/`; in 0.1 the role was in the name, `<id>_<role>.key`, and nowhere else. Notary 0.7 moves old files when it runs; here they
//! are read where they are.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::atomic::{self, PRIVATE};
use super::{Listing, Place, StoredKey};
use crate::error::KeyError;
use crate::format::{Export, NotaryLabels, SealedKey};
use crate::notary_id::{canonical_id, is_canonical_id};
use crate::passphrase::Environment;
use crate::private_key::PrivateKey;
use crate::secret::Passphrase;

/// Deepest folder below `private/`: a GUN has few segments.
const MAX_DEPTH: usize = 32;
/// Most files that are looked at in a trust directory.
const MAX_FILES: usize = 20_000;

/// A trust directory, such as `~/.docker/trust`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDirectory {
    directory: PathBuf,
    place: Place,
}

impl TrustDirectory {
    /// Docker's, mostly `~/.docker/trust`.
    #[must_use]
    pub fn docker(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), place: Place::Docker }
    }

    /// Notary's, mostly `~/.notary`.
    #[must_use]
    pub fn notary(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), place: Place::Notary }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Every key, sorted by id. Links to folders are not followed.
    ///
    /// # Errors
    /// [`KeyError::File`] when the directory exists and cannot be listed; [`KeyError::Costly`] when it holds more than 20,000 files.
    pub fn list(&self) -> Result<Listing, KeyError> {
        let mut listing = Listing::default();
        for path in self.files()? {
            match self.read(&path) {
                Ok((key, _)) => listing.keys.push(key),
                Err(error) => listing.problems.push((path, error)),
            }
        }
        listing.keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    /// Writes a key so that docker and notary find it: `private/<id>.key`, in the current format.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when the key is there already; [`KeyError::File`]; and what [`PrivateKey::export`] says.
    pub fn add(&self, key: &PrivateKey, labels: NotaryLabels, passphrase: Option<&Passphrase>) -> Result<StoredKey, KeyError> {
        let id = canonical_id(trustctl_core::signer::Signer::public_key(key));
        let folder = self.directory.join("private");
        let path = folder.join(format!("{id}.key"));
        let text = key.export(&Export::NotaryInPlace(labels), passphrase)?;
        atomic::make_folder(&folder)?;
        atomic::sweep(&folder);
        atomic::write_new(&path, text.as_bytes(), PRIVATE)?;
        Ok(self.read(&path)?.0)
    }

    /// The key in a file of this directory.
    pub(super) fn read(&self, path: &Path) -> Result<(StoredKey, SealedKey), KeyError> {
        let inside = path.strip_prefix(self.directory.join("private")).unwrap_or(path);
        let stem = inside.file_stem().and_then(OsStr::to_str).ok_or(KeyError::unreadable("the name of the file is not text"))?;
        let (id, role) = match stem.split_once('_') {
            Some((id, role)) => (id, Some(role.to_owned())),
            None => (stem, None),
        };
        let folders: Vec<&str> = inside.parent().into_iter().flat_map(Path::iter).filter_map(OsStr::to_str).collect();
        let (role, gun) = match folders.split_first() {
            Some((&"root_keys", _)) => (role.or_else(|| Some("root".to_owned())), None),
            Some((&"tuf_keys", gun)) if !gun.is_empty() => (role, Some(gun.join("/"))),
            _ => (role, None),
        };
        let sealed = SealedKey::read(path)?.in_place(role, gun);
        let mut key = StoredKey::of(&sealed, self.place, id.to_owned(), Some(path.to_owned()), None);
        key.notary_id = key.notary_id.or_else(|| is_canonical_id(id).then(|| id.to_owned()));
        Ok((key, sealed))
    }

    fn files(&self) -> Result<Vec<PathBuf>, KeyError> {
        let mut found = Vec::new();
        let mut looked_at = 0_usize;
        let mut folders = vec![(self.directory.join("private"), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(KeyError::file(&folder, "listed"))?,
            };
            for entry in entries {
                let entry = entry.map_err(KeyError::file(&folder, "listed"))?;
                looked_at = looked_at.saturating_add(1);
                if looked_at > MAX_FILES {
                    return Err(KeyError::Costly { parameter: "files", asked: 20_001, most: 20_000 });
                }
                let kind = entry.file_type().map_err(KeyError::file(&folder, "listed"))?;
                let path = entry.path();
                // A link may lead to a file; anything but a file (a pipe, a device) is left alone.
                let is_file = kind.is_file() || (kind.is_symlink() && path.is_file());
                if kind.is_dir() && depth < MAX_DEPTH {
                    folders.push((path, depth + 1));
                } else if is_file && path.extension() == Some(OsStr::new("key")) {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }
}

/// `$DOCKER_CONFIG/trust`, else `$HOME/.docker/trust`, and `$HOME/.notary`; those that exist.
#[must_use]
pub fn default_trust_directories(environment: &dyn Environment) -> Vec<TrustDirectory> {
    let home = environment.variable("HOME").filter(|home| !home.is_empty()).map(|home| PathBuf::from(home.as_str()));
    let docker = match environment.variable("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(PathBuf::from(folder.as_str())),
        None => home.as_ref().map(|home| home.join(".docker")),
    };
    let docker = docker.map(|folder| TrustDirectory::docker(folder.join("trust")));
    let notary = home.map(|home| TrustDirectory::notary(home.join(".notary")));
    [docker, notary].into_iter().flatten().filter(|trust| trust.directory.is_dir()).collect()
}
