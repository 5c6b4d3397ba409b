//! Taking turns with other processes of this machine over a file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The lock on a file; released when dropped, or when the process ends, however it does.
#[derive(Debug)]
pub(super) struct Turn {
    path: PathBuf,
    _file: File,
}

impl Turn {
    /// The lock for `name` in `folder`; `None` while another process has it.
    ///
    /// # Errors
    /// [`io::Error`] when there can be no lock.
    pub(super) fn take(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        let path = folder.join(format!(".{name}.lock"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        if file.try_lock().is_err() {
            return Ok(None);
        }
        // Who had it before may have removed the file meanwhile: then it is no longer the one that others lock.
        let own = file.metadata()?.ino();
        let is_current = fs::metadata(&path).is_ok_and(|found| found.ino() == own);
        Ok(is_current.then_some(Self { path, _file: file }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // One that stays is taken by the next.
        let _ = fs::remove_file(&self.path);
    }
}
