//! Files that are not whole yet: written, hashed, and either moved to their place at once or removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use trustctl_core::digest::Digest;

use super::error::{CacheError, is_full};
use super::file::{Check, Stamp};
use super::pump::Room;

/// A file in the folder of transfers. Removed when dropped, unless it was published.
pub(super) struct Part {
    digest: Digest,
    path: PathBuf,
    file: Arc<File>,
    check: Check,
    length: u64,
    published: bool,
}

impl Part {
    /// A new, empty file in `folder`.
    pub(super) fn create(folder: &Path, digest: &Digest) -> io::Result<Self> {
        let path = folder.join(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let check = Check::new(digest);
        Ok(Self { digest: *digest, path, file: Arc::new(file), check, length: 0, published: false })
    }

    /// The file, to read what is there already.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// The bytes that are there.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds `pieces`. Where the disk is full, `make_room` is asked for the given number of bytes until it has none left to give.
    pub(super) fn append(&mut self, pieces: &[Bytes], make_room: impl Fn(u64) -> bool) -> Result<(), CacheError> {
        for piece in pieces {
            self.check.update(piece);
            let mut rest = piece.as_ref();
            while !rest.is_empty() {
                match self.file.write_at(rest, self.length) {
                    Ok(0) => return Err(CacheError::Io("nothing could be written".to_owned())),
                    Ok(written) => {
                        rest = rest.get(written..).unwrap_or_default();
                        self.length += u64::try_from(written).unwrap_or_default();
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if is_full(&error) && make_room(u64::try_from(rest.len()).unwrap_or(u64::MAX)) => {}
                    Err(error) => return Err(CacheError::writing(&self.digest, &error)),
                }
            }
        }
        Ok(())
    }

    /// Moves the file to `place`, when it has its digest, and has it found from then on: it takes `room`. Both happen or none, also where
    /// nobody waits for it any more.
    ///
    /// Nothing is flushed to the disk before: a file that a power cut leaves incomplete is found out when it is hashed, before its first
    /// use after the start.
    pub(super) fn publish(mut self, place: &Path, room: Room) -> Result<(), CacheError> {
        if let Some(found) = self.check.clone().mismatch() {
            return Err(CacheError::WrongDigest { expected: self.digest, found });
        }
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(&self.path, place)?;
        self.published = true;
        room.become_file(self.length, self.file.metadata().ok().map(|metadata| Stamp::of(&metadata)));
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.published {
            // Should it stay, the next start removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
