//! The store at the start of a proxy: one that cannot be used is set aside, since all that is in it can be gathered again.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::error::StoreError;
use super::file::{FileRecords, StoreOptions};
use super::seal;

impl FileRecords {
    /// The store in `file`, and where the one before it lies when that was damaged: beside it, in place of an earlier one. What is lost is
    /// asked for again; nothing is trusted for it. A store counts as damaged when
    ///
    /// - its seal or the database's own checks say so;
    /// - it has no seal, since its process was killed, and `survives` is false for it: the database ends the program on some damaged
    ///   files, so whoever can start another program opens the file there first.
    ///
    /// # Errors
    /// Those of [`FileRecords::open`] other than [`StoreError::Damaged`], for a file that is left as it is; [`StoreError::Failed`] when it
    /// cannot be set aside.
    pub fn open_or_begin_anew(
        file: &Path,
        options: &StoreOptions,
        survives: impl FnOnce(&Path) -> bool,
    ) -> Result<(Self, Option<PathBuf>), StoreError> {
        let is_known_good = !file.exists() || seal::is_sealed(file) || survives(file);
        if is_known_good {
            match Self::open(file, options.clone()) {
                Err(StoreError::Damaged { .. }) => {}
                opened => return opened.map(|store| (store, None)),
            }
        }
        let failed = |error: io::Error| StoreError::Failed { file: file.display().to_string(), detail: error.to_string() };
        let aside = set_aside(file).map_err(failed)?;
        Self::open(file, options.clone()).map(|store| (store, Some(aside)))
    }
}

/// Moves a store away, and with it its seal. There is one such place, so that a bad disk does not fill up.
fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let mut aside = file.as_os_str().to_owned();
    aside.push(".damaged");
    let aside = PathBuf::from(aside);
    seal::remove(file)?;
    fs::rename(file, &aside)?;
    Ok(aside)
}
