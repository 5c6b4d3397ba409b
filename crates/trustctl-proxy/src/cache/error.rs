//! Why something cannot be had from the cache.

use std::io;

use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};

use crate::jobs::Ended;

/// Why something cannot be had from the cache or through it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The transfer was given up because nobody waited for it any more. Whoever asks again gets a new one.
    #[error("the transfer of {0} was given up, as nobody waited for it")]
    Abandoned(Digest),
    /// The file system has no room left, and removing what is least recently used did not help.
    #[error("the disk is full, fetching {0}")]
    DiskFull(Digest),
    /// All of the cache's size is taken by transfers that are going on.
    #[error("other transfers take all of the cache, fetching {0}")]
    Full(Digest),
    /// The file system failed otherwise.
    #[error("the cache's file system failed: {0}")]
    Io(String),
    /// The upstream says that there is no such blob.
    #[error("the registry has no blob {0}")]
    NotFound(Digest),
    /// More bytes than all of the cache may have, or than the reader allows.
    #[error("{digest} has {size} bytes, more than {limit}")]
    TooLarge {
        /// What was asked for.
        digest: Digest,
        /// The bytes it has, or that have arrived.
        size: u64,
        /// The most that are taken.
        limit: u64,
    },
    /// The upstream failed.
    #[error("{0}")]
    Upstream(Box<Reason>),
    /// The bytes do not have the digest they were asked by.
    #[error("the bytes that came for {expected} have digest {found}")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
}

impl CacheError {
    pub(super) fn upstream(reason: Reason) -> Self {
        Self::Upstream(Box::new(reason))
    }

    /// An error of the file system while `digest` was written.
    pub(super) fn writing(digest: &Digest, error: &io::Error) -> Self {
        if is_full(error) { Self::DiskFull(*digest) } else { Self::Io(error.to_string()) }
    }

    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Abandoned(_) | Self::Io(_) => Code::CacheFailed,
            Self::DiskFull(_) | Self::Full(_) => Code::CacheFull,
            Self::NotFound(_) => Code::ImageNotFound,
            Self::TooLarge { .. } => Code::BlobTooLarge,
            Self::Upstream(reason) => return Reason::clone(reason),
            Self::WrongDigest { expected, found } => {
                return Reason::new(Code::WrongDigest, self.to_string()).expected_found(expected, found);
            }
        };
        Reason::new(code, self.to_string())
    }
}

impl From<CacheError> for Reason {
    fn from(error: CacheError) -> Self {
        error.reason()
    }
}

impl From<io::Error> for CacheError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<Ended> for CacheError {
    fn from(ended: Ended) -> Self {
        Self::Io(ended.to_string())
    }
}

/// Whether a write failed for want of room: on the disk, in a quota, or below a limit on the size of files.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
