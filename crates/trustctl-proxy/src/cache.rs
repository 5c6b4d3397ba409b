//! What was fetched, on disk, by digest: nobody gets a whole answer from here before its bytes have the digest they were asked by.
//!
//! [`Blobs`] is the seam: [`DiskCache`] is the implementation on one machine, and shared storage can follow without touching who asks.
//! Whether somebody may have a digest is not asked here, but before.
//!
//! - A blob is fetched once, however many ask for it, by a task that outlives them; each of them follows it and is sent what has arrived.
//!   The last [`HELD_BACK`] bytes of every answer wait until the digest is known to match; if it does not, all answers break off and the
//!   file is gone.
//! - A transfer that breaks is continued from where it broke.
//! - The least recently used makes room for the new; transfers count as soon as their length is known.
//! - A file is hashed before its first use after a start, and again when its size, times or inode are others than then. Small files are
//!   hashed whenever they are read.
//!
//! In reading order: `blob` (what is handed out), `fill` and `pump` (a transfer and the task behind it), `disk` (all of it together),
//! `shelf` (what is there and what goes first), `folder` (how it lies on disk), `part` (files that are not whole), `turns`, `buffers`,
//! [`RegistryBlob`].

mod blob;
mod buffers;
mod disk;
mod error;
mod file;
mod fill;
mod folder;
mod part;
mod pump;
mod shelf;
mod source;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Reason;

pub use blob::{Blob, BlobBody};
pub use disk::{CacheOptions, DiskCache, Usage};
pub use error::CacheError;
pub use source::RegistryBlob;

/// How many bytes at the end of an answer wait for the check of the digest: with them missing, no client takes the answer for whole,
/// and unpacking has begun long before.
pub const HELD_BACK: u64 = 64 * 1024;

/// Content by digest.
pub trait Blobs: Send + Sync {
    /// What is whole and has its digest; `None` when it is not there (yet).
    fn find<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<Blob>, CacheError>>;

    /// The blob, from the cache or fetched from `source`; joins a transfer that is going on, whoever began it. Returns when the length
    /// is known; the body follows the transfer.
    fn fill<'a>(&'a self, digest: &'a Digest, source: Arc<dyn BlobSource>) -> BoxFuture<'a, Result<Blob, CacheError>>;

    /// Stores what is at hand; refused when it does not have the digest.
    fn put<'a>(&'a self, digest: &'a Digest, bytes: Bytes) -> BoxFuture<'a, Result<(), CacheError>>;

    /// The bytes of something of at most `max` bytes; `None` when it is not there.
    fn read<'a>(&'a self, digest: &'a Digest, max: u64) -> BoxFuture<'a, Result<Option<Bytes>, CacheError>>;
}

/// Where a blob comes from.
pub trait BlobSource: Send + Sync {
    /// The blob from byte `offset` on; `None` when there is none. Whoever implements this tries again as far as that helps, and gives
    /// up on an upstream from which nothing comes.
    fn open<'a>(&'a self, offset: u64) -> BoxFuture<'a, Result<Option<Incoming>, Reason>>;
}

/// The bytes of a blob, as they arrive.
pub struct Incoming {
    /// The length of the whole blob, as far as the upstream says one. Without it, clients get nothing before all of it is here.
    pub total: Option<u64>,
    /// The pieces.
    pub chunks: BoxStream<'static, Result<Bytes, Reason>>,
}
