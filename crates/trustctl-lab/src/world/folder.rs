//! The folder of a lab: temporary, or one that the user names and that no other files are mixed into.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::NOTICE;
use crate::error::{LabError, io};

/// The file by which a lab knows its folder again.
const MARK: &str = "NOT-FOR-PRODUCTION";

/// The file with the variables; while it is there, a lab is up.
pub(super) const ENVIRONMENT: &str = "environment";

/// A folder that a lab may write into.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held as long as the lab runs, and let go by the system however it ends.
    _lock: Option<File>,
    /// Removes the folder when it is dropped.
    _temporary: Option<TempDir>,
}

impl Folder {
    /// The named folder, made if need be, or a temporary one.
    pub(super) fn open(named: Option<&Path>) -> Result<Self, LabError> {
        let Some(named) = named else {
            let folder = tempfile::Builder::new().prefix("trustctl-lab-").tempdir().map_err(io("making a temporary folder"))?;
            return Ok(Self { path: folder.path().to_owned(), _lock: None, _temporary: Some(folder) });
        };
        fs::create_dir_all(named).map_err(io("making the lab's folder"))?;
        // Variables that name files must mean the same from everywhere.
        let path = fs::canonicalize(named).map_err(io("making the lab's folder"))?;
        let mut content = fs::read_dir(&path).map_err(io("reading the lab's folder"))?;
        if content.next().is_some() && !path.join(MARK).is_file() {
            return Err(LabError::Folder(named.to_owned()));
        }
        let lock = lock(&path.join(MARK), named)?;
        match fs::remove_file(path.join(ENVIRONMENT)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io("removing a former lab's file")(error)),
            _ => {}
        }
        fs::write(path.join(MARK), format!("{NOTICE}\n")).map_err(io("writing the lab's folder"))?;
        Ok(Self { path, _lock: Some(lock), _temporary: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes the folder for this lab alone.
fn lock(mark: &Path, named: &Path) -> Result<File, LabError> {
    let file = File::options().create(true).append(true).open(mark).map_err(io("writing the lab's folder"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LabError::FolderInUse(named.to_owned())),
        Err(TryLockError::Error(error)) => Err(io("locking the lab's folder")(error)),
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever is left of a lab that has stopped says nothing.
        let _ = fs::remove_file(self.path.join(ENVIRONMENT));
    }
}
