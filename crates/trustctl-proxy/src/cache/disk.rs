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
use super::{BlobSource, Blobs};

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
    /// Whole files that are being hashed at once: as many as there are processors.
    checks: Semaphore,
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
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Shared {
            folder,
            shelf: Mutex::new(shelf),
            fills: Mutex::default(),
            buffers: Buffers::default(),
            transfers: Semaphore::new(options.transfers.max(1)),
            checks: Semaphore::new(processors),
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
            let (size, note) = {
                let mut shelf = self.0.shelf();
                if let Some(bytes) = shelf.warm(digest) {
                    return Ok(Some(Blob::in_memory(bytes, &self.0.buffers)));
                }
                shelf.touch(digest);
                let Some(entry) = shelf.entry(digest) else { return Ok(None) };
                let note = entry.noted.is_none_or(|noted| noted.elapsed() > NOTE_EVERY);
                if note {
                    entry.noted = Some(Instant::now());
                }
                (entry.size, note)
            };
            let found = if size <= SMALL { self.load(digest, note).await? } else { self.open_large(digest, note).await? };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Reads and checks a small file; `None` when it is gone or wrong, and then it is forgotten.
    async fn load(&self, digest: &Digest, note: bool) -> Result<Option<Blob>, CacheError> {
        let (shared, asked) = (Arc::clone(&self.0), *digest);
        let read = on_disk(move || {
            let Some(file) = shared.open_file(&asked)? else { return Ok(None) };
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(&file, SMALL + 1), &mut bytes)?;
            if !asked.matches(&bytes) {
                shared.forget(&asked);
                return Ok(None);
            }
            if note {
                // Only the order after the next start depends on it.
                let _ = note_use(&file);
            }
            Ok(Some(Bytes::from(bytes)))
        })
        .await?;
        let Some(bytes) = read else { return Ok(None) };
        self.0.shelf().keep_warm(digest, bytes.clone());
        Ok(Some(Blob::in_memory(bytes, &self.0.buffers)))
    }

    /// Opens a large file, which is hashed when that was not done since it last changed; `None` when it is gone or wrong.
    async fn open_large(&self, digest: &Digest, note: bool) -> Result<Option<Blob>, CacheError> {
        let Some((file, stamp)) = self.open_stamped(digest, note).await? else { return Ok(None) };
        let known = self.0.shelf().entry(digest).map(|entry| (entry.checked, Arc::clone(&entry.checking)));
        let Some((checked, checking)) = known else { return Ok(None) };
        if checked == Some(stamp) {
            return Ok(Some(Blob::in_file(file, stamp.size(), &self.0.buffers)));
        }
        let _only_one = checking.lock().await;
        let checked = self.0.shelf().entry(digest).and_then(|entry| entry.checked);
        let _turn = self.0.checks.acquire().await.map_err(|_| CacheError::Abandoned(*digest))?;
        let (shared, asked) = (Arc::clone(&self.0), *digest);
        let good = on_disk(move || {
            // Somebody else may have checked it meanwhile, or noted its use.
            let before = Stamp::of(&file.metadata()?);
            if checked == Some(before) {
                return Ok(Some((file, before)));
            }
            if !file::has_digest(&file, &asked)? {
                shared.forget(&asked);
                return Ok(None);
            }
            // What changed while it was hashed is looked at anew.
            Ok((Stamp::of(&file.metadata()?) == before).then_some((file, before)))
        })
        .await?;
        let Some((file, stamp)) = good else { return Ok(None) };
        if let Some(entry) = self.0.shelf().entry(digest) {
            entry.checked = Some(stamp);
        }
        Ok(Some(Blob::in_file(file, stamp.size(), &self.0.buffers)))
    }

    async fn open_stamped(&self, digest: &Digest, note: bool) -> Result<Option<(File, Stamp)>, CacheError> {
        let (shared, asked) = (Arc::clone(&self.0), *digest);
        on_disk(move || {
            let Some(file) = shared.open_file(&asked)? else { return Ok(None) };
            let before = Stamp::of(&file.metadata()?);
            if !note || note_use(&file).is_err() {
                return Ok(Some((file, before)));
            }
            let after = Stamp::of(&file.metadata()?);
            if let Some(entry) = shared.shelf().entry(&asked)
                && entry.checked == Some(before)
                && after.same_content(&before)
            {
                entry.checked = Some(after);
            }
            Ok(Some((file, after)))
        })
        .await
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
                part.publish(&shared.folder.place(&asked))
            };
            let stamp = tokio::task::spawn_blocking(write).await.map_err(|_| CacheError::Abandoned(*digest))??;
            room.become_file(length, stamp);
        }
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= SMALL) {
            self.0.shelf().keep_warm(digest, bytes);
        }
        Ok(())
    }

    async fn read(&self, digest: &Digest, max: u64) -> Result<Option<Bytes>, CacheError> {
        let Some(blob) = self.find(digest).await? else { return Ok(None) };
        let size = blob.length();
        if size > max {
            return Err(CacheError::TooLarge { digest: *digest, size, limit: max });
        }
        if let Some(bytes) = blob.memory() {
            return Ok(Some(bytes.clone()));
        }
        let (shared, asked) = (Arc::clone(&self.0), *digest);
        on_disk(move || {
            let Some(file) = shared.open_file(&asked)? else { return Ok(None) };
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(&file, max), &mut bytes)?;
            Ok(asked.matches(&bytes).then(|| Bytes::from(bytes)))
        })
        .await
    }
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
        self.unlink(&[*digest]);
        self.shelf().remove(digest);
    }

    /// Removes files that the index does not have any more. Who is reading one reads on.
    pub(super) fn unlink(&self, victims: &[Digest]) {
        for victim in victims {
            // What cannot be removed is counted again at the next start.
            let _ = fs::remove_file(self.folder.place(victim));
        }
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

/// Runs what waits for the disk where that does no harm.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, CacheError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| CacheError::Io(error.to_string()))?.map_err(CacheError::from)
}

fn note_use(file: &File) -> io::Result<()> {
    file.set_times(FileTimes::new().set_accessed(SystemTime::now()))
}
