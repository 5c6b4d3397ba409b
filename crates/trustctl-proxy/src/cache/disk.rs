//! The cache on one machine's disk: who asks for a digest is given what is there, or follows the transfer that brings it.

use std::collections::HashMap;
use std::fs::{self, File, FileTimes};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};

use super::blob::Blob;
use super::buffers::Buffers;
use super::error::CacheError;
use super::file::{self, Stamp};
use super::fill::Fill;
use super::folder::Folder;
use super::part::Part;
use super::pump::{self, Patience, Room};
use super::shelf::Shelf;
use super::turns::Turns;
use super::{BlobSource, Blobs};
use crate::jobs::Jobs;

/// Files up to this size are read whole, checked each time, and kept in memory while they are used: manifests, configurations and
/// signatures are smaller.
const SMALL: u64 = 64 * 1024;
/// Uses are noted on disk no more often than this: the order after a restart need not be finer.
const NOTE_EVERY: Duration = Duration::from_secs(600);
/// How often something that goes away while it is opened is looked for again.
const TRIES: usize = 3;

/// How large a cache may be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// Bytes on disk, transfers included.
    pub limit: u64,
    /// Bytes of small files in memory.
    pub memory: usize,
    /// Transfers at once; more wait.
    pub transfers: usize,
    pub(super) patience: Patience,
}

impl Default for CacheOptions {
    /// 20 GiB on disk, 32 MiB in memory, 64 transfers.
    fn default() -> Self {
        Self { limit: 20 << 30, memory: 32 << 20, transfers: 64, patience: Patience::default() }
    }
}

/// How full a cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes on disk, transfers included.
    pub bytes: u64,
    /// The most there may be.
    pub limit: u64,
    /// Whole files.
    pub blobs: usize,
    /// Transfers that are going on.
    pub transfers: usize,
}

/// A cache in a folder. Clones are the same cache.
#[derive(Clone)]
pub struct DiskCache(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) folder: Folder,
    shelf: Mutex<Shelf>,
    fills: Mutex<HashMap<Digest, Arc<Fill>>>,
    buffers: Buffers,
    pub(super) transfers: Semaphore,
    pub(super) turns: Turns,
    pub(super) patience: Patience,
}

impl DiskCache {
    /// The cache in the folder `root`, which is created if it is not there. Looks at every file's name and size, and waits for that.
    ///
    /// # Errors
    /// [`Code::CacheUnusable`] when the folder cannot be used, or another process uses it.
    pub fn open(root: impl Into<PathBuf>, options: CacheOptions) -> Result<Self, Reason> {
        let root = root.into();
        let unusable = |error: io::Error| Reason::new(Code::CacheUnusable, format!("{}: {error}", root.display()));
        let folder = Folder::open(&root).map_err(unusable)?;
        let mut shelf = Shelf::new(options.limit, options.memory);
        for (digest, size) in folder.whole_files().map_err(unusable)? {
            shelf.insert(digest, size, None);
        }
        let victims = shelf.reserve(0, 0).unwrap_or_default();
        let shared = Shared {
            folder,
            shelf: Mutex::new(shelf),
            fills: Mutex::default(),
            buffers: Buffers::default(),
            transfers: Semaphore::new(options.transfers.max(1)),
            turns: Turns::default(),
            patience: options.patience,
        };
        shared.unlink(&victims);
        Ok(Self(Arc::new(shared)))
    }

    /// How full it is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let transfers = self.0.fills().len();
        let shelf = self.0.shelf();
        let (bytes, blobs) = shelf.usage();
        Usage { bytes, limit: shelf.limit(), blobs, transfers }
    }

    async fn find(&self, digest: &Digest) -> Result<Option<Blob>, CacheError> {
        for _ in 0..TRIES {
            let found = match self.look_up(digest) {
                None => return Ok(None),
                Some(Known::InMemory(bytes)) => return Ok(Some(Blob::in_memory(bytes, &self.0.buffers))),
                Some(Known::OnDisk { size, note }) if size <= SMALL => {
                    let bytes = self.load(&self.0.turns.looks, digest, (SMALL, note)).await?;
                    bytes.map(|bytes| Blob::in_memory(bytes, &self.0.buffers))
                }
                Some(Known::OnDisk { note, .. }) => self.open_large(digest, note).await?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What the index has of it, which counts as a use.
    fn look_up(&self, digest: &Digest) -> Option<Known> {
        let mut shelf = self.0.shelf();
        if let Some(bytes) = shelf.warm(digest) {
            return Some(Known::InMemory(bytes));
        }
        shelf.touch(digest);
        let entry = shelf.entry(digest)?;
        let note = entry.noted.is_none_or(|noted| noted.elapsed() > NOTE_EVERY);
        if note {
            entry.noted = Some(Instant::now());
        }
        Some(Known::OnDisk { size: entry.size, note })
    }

    /// Reads and checks a file of up to `max` bytes; `None` when it is gone or wrong, and then it is forgotten.
    async fn load(&self, jobs: &Jobs, digest: &Digest, (max, note): (u64, bool)) -> Result<Option<Bytes>, CacheError> {
        let (shared, asked) = (Arc::clone(&self.0), *digest);
        let read = move || {
            let Some(file) = shared.open_file(&asked)? else { return Ok(None) };
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(&file, max.saturating_add(1)), &mut bytes)?;
            if !asked.matches(&bytes) {
                shared.forget(&asked);
                return Ok(None);
            }
            if note {
                shared.note_use(&asked, &file)?;
            }
            io::Result::Ok(Some(Bytes::from(bytes)))
        };
        let Some(bytes) = jobs.run(read).await?? else { return Ok(None) };
        self.keep_small(digest, &bytes);
        Ok(Some(bytes))
    }

    fn keep_small(&self, digest: &Digest, bytes: &Bytes) {
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= SMALL) {
            self.0.shelf().keep_warm(digest, bytes.clone());
        }
    }

    /// Opens a large file, which is hashed when that was not done since it last changed; `None` when it is gone or wrong.
    async fn open_large(&self, digest: &Digest, note: bool) -> Result<Option<Blob>, CacheError> {
        let Some((file, stamp)) = self.open_stamped(digest, note).await? else { return Ok(None) };
        let known = self.0.shelf().entry(digest).map(|entry| (entry.checked, Arc::clone(&entry.checking)));
        let Some((checked, checking)) = known else { return Ok(None) };
        if checked == Some(stamp) {
            return Ok(Some(Blob::in_file(file, stamp.size(), &self.0.buffers)));
        }
        let only_one = checking.lock_owned().await;
        let (shared, asked) = (Arc::clone(&self.0), *digest);
        let check = move || {
            // Until the end, also when whoever asked has gone: the next one finds it done.
            let _only_one = only_one;
            // Somebody else may have checked it meanwhile, or noted its use.
            let before = Stamp::of(&file.metadata()?);
            if shared.shelf().entry(&asked).and_then(|entry| entry.checked) == Some(before) {
                return Ok(Some((file, before)));
            }
            if !file::has_digest(&file, &asked)? {
                shared.forget(&asked);
                return Ok(None);
            }
            // What changed while it was hashed is looked at anew.
            if Stamp::of(&file.metadata()?) != before {
                return Ok(None);
            }
            if let Some(entry) = shared.shelf().entry(&asked) {
                entry.checked = Some(before);
            }
            io::Result::Ok(Some((file, before)))
        };
        let Some((file, stamp)) = self.0.turns.checks.run(check).await?? else { return Ok(None) };
        Ok(Some(Blob::in_file(file, stamp.size(), &self.0.buffers)))
    }

    async fn open_stamped(&self, digest: &Digest, note: bool) -> Result<Option<(File, Stamp)>, CacheError> {
        let (shared, asked) = (Arc::clone(&self.0), *digest);
        let look = move || {
            let Some(file) = shared.open_file(&asked)? else { return Ok(None) };
            let stamp = if note { shared.note_use(&asked, &file)? } else { Stamp::of(&file.metadata()?) };
            io::Result::Ok(Some((file, stamp)))
        };
        Ok(self.0.turns.looks.run(look).await??)
    }

    async fn fill(&self, digest: &Digest, source: Arc<dyn BlobSource>) -> Result<Blob, CacheError> {
        let mut result = Err(CacheError::Abandoned(*digest));
        for _ in 0..TRIES {
            if let Some(blob) = self.find(digest).await? {
                return Ok(blob);
            }
            let following = {
                let mut fills = self.0.fills();
                match fills.get(digest) {
                    Some(fill) => fill.follow(),
                    // It became whole just now.
                    None if self.0.shelf().entry(digest).is_some() => continue,
                    None => {
                        let fill = Fill::new(digest);
                        let following = fill.follow();
                        fills.insert(*digest, Arc::clone(&fill));
                        pump::start(Arc::clone(&self.0), fill, Arc::clone(&source));
                        following
                    }
                }
            };
            result = Blob::following(following, &self.0.buffers).await;
            // One that was given up before we came is not ours.
            if !matches!(result, Err(CacheError::Abandoned(_))) {
                return result;
            }
        }
        result
    }

    async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), CacheError> {
        if !digest.matches(&bytes) {
            return Err(CacheError::WrongDigest { expected: *digest, found: Digest::of(digest.algorithm(), &bytes) });
        }
        let known = {
            let mut shelf = self.0.shelf();
            shelf.touch(digest);
            shelf.entry(digest).is_some()
        };
        if !known {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let room = Room::of(&self.0, *digest, length).await?;
            let (shared, asked, pieces) = (Arc::clone(&self.0), *digest, [bytes.clone()]);
            let write = move || {
                let mut part =
                    Part::create(&shared.folder.filling(), &asked).map_err(|error| CacheError::writing(&asked, &error))?;
                part.append(&pieces, |bytes| shared.give_up(bytes))?;
                part.publish(&shared.folder.place(&asked), room)
            };
            self.0.turns.puts.run(write).await??;
        }
        self.keep_small(digest, &bytes);
        Ok(())
    }

    async fn read(&self, digest: &Digest, max: u64) -> Result<Option<Bytes>, CacheError> {
        let too_large = |size| CacheError::TooLarge { digest: *digest, size, limit: max };
        for _ in 0..TRIES {
            match self.look_up(digest) {
                None => return Ok(None),
                Some(Known::InMemory(bytes)) => {
                    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    return if size > max { Err(too_large(size)) } else { Ok(Some(bytes)) };
                }
                Some(Known::OnDisk { size, .. }) if size > max => return Err(too_large(size)),
                Some(Known::OnDisk { note, .. }) => {
                    if let Some(bytes) = self.load(&self.0.turns.reads, digest, (max, note)).await? {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// What the index has.
enum Known {
    InMemory(Bytes),
    OnDisk {
        size: u64,
        /// Whether the use is noted on disk.
        note: bool,
    },
}

impl Blobs for DiskCache {
    fn find<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<Blob>, CacheError>> {
        self.find(digest).boxed()
    }

    fn fill<'a>(&'a self, digest: &'a Digest, source: Arc<dyn BlobSource>) -> BoxFuture<'a, Result<Blob, CacheError>> {
        self.fill(digest, source).boxed()
    }

    fn put<'a>(&'a self, digest: &'a Digest, bytes: Bytes) -> BoxFuture<'a, Result<(), CacheError>> {
        self.put(digest, bytes).boxed()
    }

    fn read<'a>(&'a self, digest: &'a Digest, max: u64) -> BoxFuture<'a, Result<Option<Bytes>, CacheError>> {
        self.read(digest, max).boxed()
    }
}

impl Shared {
    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fills(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Fill>>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self, digest: &Digest) -> io::Result<Option<File>> {
        match File::open(self.folder.place(digest)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.shelf().remove(digest);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a file that is wrong, so that it is fetched again.
    fn forget(&self, digest: &Digest) {
        self.remove_file(digest);
        self.shelf().remove(digest);
    }

    /// Removes files that the index does not have any more, unless it has them again. Who is reading one reads on.
    pub(super) fn unlink(&self, victims: &[Digest]) {
        for victim in victims {
            let is_back = self.shelf().entry(victim).is_some();
            if !is_back {
                self.remove_file(victim);
            }
        }
    }

    fn remove_file(&self, digest: &Digest) {
        // What cannot be removed is counted again at the next start.
        let _ = fs::remove_file(self.folder.place(digest));
    }

    /// Notes on disk that a file was used, for the order after the next start; what was checked stays so. What the file is like then.
    fn note_use(&self, digest: &Digest, file: &File) -> io::Result<Stamp> {
        let before = Stamp::of(&file.metadata()?);
        if file.set_times(FileTimes::new().set_accessed(SystemTime::now())).is_err() {
            // Only the order depends on it.
            return Ok(before);
        }
        let after = Stamp::of(&file.metadata()?);
        if let Some(entry) = self.shelf().entry(digest)
            && entry.checked == Some(before)
            && after.same_content(&before)
        {
            entry.checked = Some(after);
        }
        Ok(after)
    }

    /// The disk is full: removes what was least recently used, at least `bytes`. False when nothing is left.
    pub(super) fn give_up(&self, bytes: u64) -> bool {
        /// Less is not worth the interruption.
        const AT_LEAST: u64 = 16 * 1024 * 1024;
        let victims = self.shelf().give_up(bytes.max(AT_LEAST));
        self.unlink(&victims);
        !victims.is_empty()
    }
}
