//! Reading files, and telling whether one has changed.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;

use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::hashes::Hasher;
use trustctl_core::public_key::Hash;

use crate::file_part::read_at;

/// How many bytes are hashed at a time.
const PIECE: usize = 256 * 1024;

/// What of a file's metadata changes when its content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(file: &Metadata) -> Self {
        Self {
            size: file.size(),
            inode: (file.dev(), file.ino()),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the content can only be the same if nothing but the file's times of use was set between the two.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        Self { changed: other.changed, ..*self } == *other
    }
}

/// Hashes by the algorithm of one digest.
#[derive(Clone)]
pub(super) struct Check {
    expected: Digest,
    hasher: Hasher,
}

impl Check {
    pub(super) fn new(expected: &Digest) -> Self {
        Self { expected: *expected, hasher: Hasher::new(&[hash_of(expected.algorithm())]) }
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
    }

    /// The digest of all the pieces, when it is not the expected one.
    pub(super) fn mismatch(self) -> Option<Digest> {
        let algorithm = self.expected.algorithm();
        let hashes = self.hasher.finish();
        let found = hashes.get(hash_of(algorithm)).unwrap_or_default();
        if found == self.expected.as_bytes() {
            return None;
        }
        Some(Digest::from_slice(algorithm, found).unwrap_or_else(|| Digest::sha256_of(&[])))
    }
}

fn hash_of(algorithm: DigestAlgorithm) -> Hash {
    match algorithm {
        DigestAlgorithm::Sha512 => Hash::Sha512,
        _ => Hash::Sha256,
    }
}

/// Whether all of `file` has the digest.
pub(super) fn has_digest(file: &File, digest: &Digest) -> io::Result<bool> {
    let mut check = Check::new(digest);
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    loop {
        let read = read_at(file, &mut buffer, at)?;
        if read == 0 {
            return Ok(check.mismatch().is_none());
        }
        check.update(buffer.get(..read).unwrap_or_default());
        at += u64::try_from(read).unwrap_or(u64::MAX);
    }
}
