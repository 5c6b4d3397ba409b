//! Buffers that are read into again and again: taken, filled, sent, and back. They are zeroed once, when they are made.
//!
//! Mostly they are filled from memory; of those that wait for the disk, only some do so at once.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::file_part;
use crate::jobs::Jobs;

/// Buffers below this size double the processor's work for large blobs (measured).
const LARGE: usize = 256 * 1024;
/// What slow clients get when there are many of them.
const SMALL: usize = 32 * 1024;
/// Bytes in large buffers at once. Beyond, buffers are small: a thousand clients that do not read must not take hundreds of megabytes.
const LARGE_AT_ONCE: usize = 8 * 1024 * 1024;
/// Bytes in small buffers that are kept for later.
const SMALL_KEPT: usize = 4 * 1024 * 1024;

/// Buffers that wait for the disk at once: enough to keep a fast one at work.
const READS: usize = 8;

/// A read that is going on.
pub(super) type Read = BoxFuture<'static, io::Result<(Buffer, usize)>>;

/// The buffers of one cache. Clones are the same pool.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Inner>);

struct Inner {
    large: Mutex<Vec<Box<[u8]>>>,
    small: Mutex<Vec<Box<[u8]>>>,
    reads: Jobs,
    /// Bytes in large buffers that are out.
    out: AtomicUsize,
}

impl Default for Inner {
    fn default() -> Self {
        Self { large: Mutex::default(), small: Mutex::default(), reads: Jobs::at_once(READS), out: AtomicUsize::new(0) }
    }
}

impl Buffers {
    /// Reads bytes of `file` from `at` on, `wanted` at most, waiting for the disk; says how many. Who waits for a turn has no buffer yet.
    pub(super) fn read_later(&self, file: Arc<File>, wanted: u64, at: u64) -> Read {
        let buffers = self.clone();
        let read = move || {
            let mut buffer = buffers.take(wanted);
            let read = file_part::read_at(&file, buffer.room(wanted), at)?;
            Ok((buffer, read))
        };
        self.0.reads.run(read).map(|done| done.map_err(io::Error::other)?).boxed()
    }

    /// A buffer for up to `wanted` bytes; it can be smaller than that.
    pub(super) fn take(&self, wanted: u64) -> Buffer {
        let wants_large = usize::try_from(wanted).unwrap_or(usize::MAX) > SMALL;
        let large = wants_large && self.0.out.load(Ordering::Relaxed) < LARGE_AT_ONCE;
        let (list, size) = if large { (&self.0.large, LARGE) } else { (&self.0.small, SMALL) };
        if large {
            self.0.out.fetch_add(LARGE, Ordering::Relaxed);
        }
        // The last one that came back is the one the processor's cache still has.
        let bytes = lock(list).pop().unwrap_or_else(|| vec![0; size].into_boxed_slice());
        Buffer { bytes, filled: 0, home: Arc::clone(&self.0) }
    }
}

/// A buffer; goes back to its pool when dropped.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
    home: Arc<Inner>,
}

impl Buffer {
    /// The room for at most `wanted` bytes.
    pub(super) fn room(&mut self, wanted: u64) -> &mut [u8] {
        let size = usize::try_from(wanted).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.get_mut(..size).unwrap_or_default()
    }

    /// Its first `filled` bytes, without a copy.
    pub(super) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.filled = filled;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.len() == LARGE {
            self.home.out.fetch_sub(LARGE, Ordering::Relaxed);
            lock(&self.home.large).push(bytes);
            return;
        }
        let mut small = lock(&self.home.small);
        if small.len() < SMALL_KEPT / SMALL {
            small.push(bytes);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_comes_back_is_used_again() {
        let buffers = Buffers::default();
        let mut first = buffers.take(1 << 30);
        assert_eq!(first.room(1 << 30).len(), LARGE);
        first.room(3).copy_from_slice(b"abc");
        let sent = first.into_bytes(3);
        assert_eq!(&sent[..], b"abc");
        let at = sent.as_ptr();
        drop(sent);
        assert_eq!(buffers.take(1 << 30).room(1).as_ptr(), at);
    }

    #[test]
    fn many_slow_readers_get_small_buffers() {
        let buffers = Buffers::default();
        let mut held: Vec<Buffer> = (0..LARGE_AT_ONCE / LARGE).map(|_| buffers.take(1 << 30)).collect();
        assert!(held.iter_mut().all(|buffer| buffer.room(u64::MAX).len() == LARGE));
        held.extend((0..500).map(|_| buffers.take(1 << 30)));
        assert!(held.iter_mut().skip(LARGE_AT_ONCE / LARGE).all(|buffer| buffer.room(u64::MAX).len() == SMALL));
        drop(held);
        assert_eq!(lock(&buffers.0.small).len(), SMALL_KEPT / SMALL);
        assert_eq!(buffers.take(1 << 30).room(u64::MAX).len(), LARGE);
        assert_eq!(buffers.take(10).room(u64::MAX).len(), SMALL);
    }
}
