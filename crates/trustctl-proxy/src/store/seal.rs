//! A seal on the store's file while nobody has it open: the hash of all of it.
//!
//! The database checks its own pages, but believes some of what it wrote when it was closed, and ends the program where that is damaged
//! (measured). So the file is compared with its seal before the database sees it. The seal is broken before anything is written; a process
//! that is killed leaves none, and then the database repairs and checks everything itself.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use trustctl_core::hashes::Hasher;

/// Bytes that are read at once.
const PIECE: usize = 1024 * 1024;
/// Most bytes of a seal: a digest, and room.
const MAX_SEAL: u64 = 128;

/// Compares `file` with its seal and breaks the seal; `false` when the file is not as it was when it was sealed. A file without a seal
/// is not looked at.
///
/// # Errors
/// Those of reading the file, and of removing the seal for good.
pub(super) fn open(file: &Path) -> io::Result<bool> {
    let place = place(file);
    let seal = match trustctl_remote::file::read(&place, MAX_SEAL) {
        Ok(seal) => seal,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let found = match digest(file) {
        // It was moved away, and its seal is of no use.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        found => Some(found?),
    };
    if found.is_some_and(|found| found.as_bytes() != seal) {
        return Ok(false);
    }
    fs::remove_file(&place)?;
    // It must not come back after a loss of power: on a newer file it would read as damage.
    folder(file).and_then(|folder| folder.sync_all())?;
    Ok(true)
}

/// Whether a file has a seal. Whether it is that of its content is for [`open`] to say.
pub(super) fn is_sealed(file: &Path) -> bool {
    place(file).exists()
}

/// Removes the seal of a file, if it has one.
///
/// # Errors
/// Those of removing it.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(place(file)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Seals a file when dropped: after the database has closed it.
pub(super) struct Sealing(Option<PathBuf>);

impl Sealing {
    pub(super) fn new(file: &Path) -> Self {
        Self(Some(file.to_owned()))
    }

    /// Leaves the file without a seal: it was not closed as it should be, and has to be checked.
    pub(super) fn give_up(&mut self) {
        self.0 = None;
    }
}

impl Drop for Sealing {
    fn drop(&mut self) {
        let Some(file) = &self.0 else { return };
        // Without a seal the database checks everything itself; so what goes wrong here loses time, and nothing else.
        let _ = digest(file).and_then(|digest| trustctl_remote::file::replace(&place(file), digest.as_bytes()));
    }
}

fn place(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".seal");
    PathBuf::from(name)
}

fn folder(file: &Path) -> io::Result<File> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
}

fn digest(file: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut piece) = (File::open(file)?, Hasher::new(&[]), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => hasher.update(piece.get(..read).unwrap_or_default()),
        }
    }
    Ok(hasher.finish().sha256().map(|digest| digest.to_string()).unwrap_or_default())
}
