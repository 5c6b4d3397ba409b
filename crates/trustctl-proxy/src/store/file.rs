//! The store in one file.
//!
//! What is kept can be gathered again, so no call but [`Records::settle`] waits until the disk has it: each is a transaction of its own,
//! seen at once by whoever asks next, and all of them together are made durable once a second and at the end. A process that is killed
//! loses that second, and then asks upstream again; it never sees half of a transaction. So does one whose disk fails: the database is
//! opened anew then.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use redb::{Database, DatabaseError, Durability, ReadableDatabase as _, TableDefinition, TableError, WriteTransaction};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::time::Timestamp;

use super::error::StoreError;
use super::form::{self, Parents};
use super::handle::{self, Handle, NotOpen};
use super::seal::{self, Sealing};
use super::sweep::{BY_AGE, Entries, Kind, Sweep, TOTALS};
use super::{Kept, MAX_EVIDENCE, Parent, Records, SubjectKey, TagRecord};

const EVIDENCE: Entries = TableDefinition::new("evidence");
const TAGS: Entries = TableDefinition::new("tags");
const PARENTS: Entries = TableDefinition::new("parents");
/// What the file is: its version, under [`VERSION_NAME`].
const ABOUT: TableDefinition<'static, &'static str, u64> = TableDefinition::new("about");
const VERSION_NAME: &str = "version";
const VERSION: u64 = 1;
/// How long what was kept may be lost to a crash.
const FLUSH: Duration = Duration::from_secs(1);
/// Parents that are known are written anew only after so many seconds: often enough that what is used does not grow old.
const RENEW: u64 = 24 * 3600;

/// How much is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// Most entries of each kind.
    pub entries: u64,
    /// Most bytes of all evidence.
    pub evidence: u64,
    /// How long an entry is kept after it was last written.
    pub age: Duration,
}

impl Default for StoreOptions {
    /// 200,000 entries, 256 MiB of evidence, 90 days.
    fn default() -> Self {
        Self { entries: 200_000, evidence: 256 << 20, age: Duration::from_secs(90 * 86_400) }
    }
}

/// The store in a file. Dropping it makes everything durable.
pub struct FileRecords {
    inner: Arc<Inner>,
    flusher: Option<(SyncSender<()>, JoinHandle<()>)>,
    /// Last, so that the database is closed before.
    sealing: Sealing,
}

struct Inner {
    database: Handle,
    file: String,
    options: StoreOptions,
    /// Whether something was written since the last time it was made durable.
    dirty: AtomicBool,
    /// Held while it is made durable: whoever comes meanwhile waits, and finds it done.
    flushing: Mutex<()>,
    /// What went wrong when it was to be made durable.
    trouble: Mutex<Option<String>>,
}

impl FileRecords {
    /// The store in `file`, which is created if it is not there. All of it is checked, which takes a second for a gigabyte.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::InUse`], [`StoreError::Version`]: the file is left as it is; [`StoreError::Failed`].
    pub fn open(file: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        let path = file.as_ref();
        let name = path.display().to_string();
        let intact = seal::open(path).map_err(|error| StoreError::Failed { file: name.clone(), detail: error.to_string() })?;
        if !intact {
            return Err(StoreError::Damaged { file: name, detail: "it is not as it was when it was closed".to_owned() });
        }
        let mut database = handle::open(path).map_err(|error| unopened(&name, error))?;
        database.check_integrity().map_err(|error| unopened(&name, error))?;
        let database = Handle::new(path.to_owned(), database);
        let (dirty, flushing, trouble) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        let inner = Inner { database, file: name, options, dirty, flushing, trouble };
        inner.check_version()?;
        let inner = Arc::new(inner);
        let (stop, stopped) = sync_channel::<()>(0);
        let flushed = Arc::clone(&inner);
        let flush = move || {
            while stopped.recv_timeout(FLUSH) == Err(RecvTimeoutError::Timeout) {
                flushed.flush_and_note();
            }
        };
        let flusher = std::thread::Builder::new().name("store".to_owned()).spawn(flush);
        let flusher = flusher.map_err(|error| inner.failed(&error))?;
        Ok(Self { inner, flusher: Some((stop, flusher)), sealing: Sealing::new(path) })
    }

    /// Makes everything durable that was kept so far.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }
}

impl Drop for FileRecords {
    fn drop(&mut self) {
        if let Some((stop, flusher)) = self.flusher.take() {
            drop(stop);
            // It has no way to fail.
            let _ = flusher.join();
        }
        self.inner.flush_and_note();
        if self.inner.database.has_failed() {
            self.sealing.give_up();
        }
    }
}

impl Records for FileRecords {
    fn kept(&self, key: &SubjectKey) -> Result<Option<Kept>, StoreError> {
        let Some(value) = self.inner.get(EVIDENCE, &form::subject_key(key))? else { return Ok(None) };
        self.inner.read(&value, |json| form::read_kept(key, json)).map(Some)
    }

    fn keep(&self, kept: &Kept) -> Result<(), StoreError> {
        let key = form::subject_key(&SubjectKey::of(&kept.subject));
        let size = size_of(&kept.evidence);
        if size > MAX_EVIDENCE {
            self.inner.change(EVIDENCE, |entries| entries.remove(&key).map_err(|error| self.inner.broken(error)))?;
            return Err(StoreError::TooLarge { size, limit: MAX_EVIDENCE });
        }
        let json = form::write_kept(kept).map_err(|error| self.inner.failed(&error))?;
        self.inner.put(EVIDENCE, &key, kept.gathered, &json)
    }

    fn forget(&self, key: &SubjectKey) -> Result<(), StoreError> {
        let key = form::subject_key(key);
        if self.inner.get(EVIDENCE, &key)?.is_none() {
            return Ok(());
        }
        self.inner.change(EVIDENCE, |entries| entries.remove(&key).map_err(|error| self.inner.broken(error)))
    }

    fn tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        let Some(value) = self.inner.get(TAGS, &form::tag_key(repository, tag))? else { return Ok(None) };
        self.inner.read(&value, form::read_tag).map(Some)
    }

    fn keep_tag(&self, repository: &Repository, tag: &Tag, record: &TagRecord) -> Result<(), StoreError> {
        let json = form::write_tag(record).map_err(|error| self.inner.failed(&error))?;
        self.inner.put(TAGS, &form::tag_key(repository, tag), record.at, &json)
    }

    fn parents(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Parent>, StoreError> {
        let Some(value) = self.inner.get(PARENTS, &form::parents_key(repository, digest))? else { return Ok(Vec::new()) };
        self.inner.read(&value, Parents::read).map(Parents::into_vec)
    }

    fn keep_edges(&self, repository: &Repository, parent: &Parent, children: &[Digest]) -> Result<(), StoreError> {
        let inner = &self.inner;
        let missing = inner.missing_edges(repository, parent, children)?;
        if missing.is_empty() {
            return Ok(());
        }
        inner.change(PARENTS, |entries| {
            for key in missing {
                let known = entries.get(&key).map_err(|error| inner.broken(error))?;
                let mut parents = known.map_or(Ok(Parents::default()), |value| inner.read(&value, Parents::read))?;
                parents.add(parent);
                let json = parents.write().map_err(|error| inner.failed(&error))?;
                entries.put(&key, now(), &json).map_err(|error| inner.broken(error))?;
            }
            Ok(())
        })
    }

    fn knows_edges(&self, repository: &Repository, parent: &Parent, children: &[Digest]) -> Result<bool, StoreError> {
        self.inner.missing_edges(repository, parent, children).map(|missing| missing.is_empty())
    }

    fn settle(&self) {
        self.inner.flush_and_note();
    }
}

impl Inner {
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.database.with(work).unwrap_or_else(|why| {
            Err(match why {
                NotOpen::Error(error) => unopened(&self.file, error),
                NotOpen::Waiting => self.failed(&"the disk failed a moment ago"),
            })
        })
    }

    fn check_version(&self) -> Result<(), StoreError> {
        self.with(|database| self.check_version_of(database))
    }

    fn check_version_of(&self, database: &Database) -> Result<(), StoreError> {
        let transaction = database.begin_write().map_err(|error| self.broken(error))?;
        let create = || -> Result<Option<u64>, redb::Error> {
            let mut about = transaction.open_table(ABOUT)?;
            let found = redb::ReadableTable::get(&about, VERSION_NAME)?.map(|version| version.value());
            if found.is_none() {
                about.insert(VERSION_NAME, VERSION)?;
                for entries in [EVIDENCE, TAGS, PARENTS] {
                    transaction.open_table(entries)?;
                }
                transaction.open_table(BY_AGE)?;
                transaction.open_table(TOTALS)?;
            }
            Ok(found)
        };
        match create().map_err(|error| self.broken(error))? {
            None => transaction.commit().map_err(|error| self.broken(error)),
            Some(VERSION) => Ok(()),
            Some(found) => Err(StoreError::Version { file: self.file.clone(), found, expected: VERSION }),
        }
    }

    fn get(&self, entries: Entries, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let find = |database: &Database| -> Result<Option<Vec<u8>>, redb::Error> {
            let table = match database.begin_read()?.open_table(entries) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        self.with(|database| find(database).map_err(|error| self.broken(error)))
    }

    /// The keys of those of `children` that are not known to be named by `parent`, or not lately.
    fn missing_edges(&self, repository: &Repository, parent: &Parent, children: &[Digest]) -> Result<Vec<Vec<u8>>, StoreError> {
        let now = now();
        let mut missing = Vec::new();
        for child in children {
            let key = form::parents_key(repository, child);
            let is_known = match self.get(PARENTS, &key)? {
                Some(value) => {
                    let recent = form::unstamped(&value).is_some_and(|(seconds, _)| seconds.saturating_add(RENEW) > now);
                    recent && self.read(&value, Parents::read)?.holds(parent)
                }
                None => false,
            };
            if !is_known {
                missing.push(key);
            }
        }
        Ok(missing)
    }

    /// The content of a stored value.
    fn read<T>(&self, value: &[u8], read: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, StoreError> {
        let json = form::unstamped(value).map(|(_, json)| json).ok_or_else(|| "an entry is cut short".to_owned());
        json.and_then(read).map_err(|detail| StoreError::Damaged { file: self.file.clone(), detail })
    }

    fn put(&self, entries: Entries, key: &[u8], at: Timestamp, json: &[u8]) -> Result<(), StoreError> {
        let seconds = u64::try_from(at.unix_seconds()).unwrap_or_default();
        self.change(entries, |entries| entries.put(key, seconds, json).map_err(|error| self.broken(error)))
    }

    /// Changes entries of one kind in one transaction, and removes those that are too many then.
    fn change(&self, entries: Entries, change: impl FnOnce(&mut Sweep<'_>) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.with(|database| {
            let mut transaction = database.begin_write().map_err(|error| self.broken(error))?;
            transaction.set_durability(Durability::None).map_err(|error| self.broken(error))?;
            self.change_in(&transaction, entries, change)?;
            transaction.commit().map_err(|error| self.broken(error))
        })?;
        self.dirty.store(true, Ordering::Release);
        Ok(())
    }

    fn change_in(
        &self,
        transaction: &WriteTransaction,
        entries: Entries,
        change: impl FnOnce(&mut Sweep<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut sweep = Sweep::open(transaction, self.kind(entries)).map_err(|error| self.broken(error))?;
        change(&mut sweep)?;
        sweep.sweep().map_err(|error| self.broken(error))
    }

    fn kind(&self, entries: Entries) -> Kind {
        let StoreOptions { entries: count, evidence, age } = self.options;
        let since = now().saturating_sub(age.as_secs());
        // Parents and tags are small: 64 parents have some 6 KB.
        let (number, bytes) = match redb::TableHandle::name(&entries) {
            "evidence" => (1, evidence),
            "tags" => (2, u64::MAX),
            _ => (3, evidence),
        };
        Kind { number, entries, count, bytes, since }
    }

    fn flush(&self) -> Result<(), StoreError> {
        let _one = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.dirty.swap(false, Ordering::AcqRel) {
            let flush = |database: &Database| -> Result<(), redb::Error> {
                let mut transaction = database.begin_write()?;
                transaction.set_durability(Durability::Immediate)?;
                Ok(transaction.commit()?)
            };
            let flushed = self.with(|database| flush(database).map_err(|error| self.broken(error)));
            if flushed.is_err() {
                self.dirty.store(true, Ordering::Release);
                return flushed;
            }
        }
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        trouble.map_or(Ok(()), |detail| Err(StoreError::Failed { file: self.file.clone(), detail }))
    }

    /// Nobody waits for this one; what goes wrong is told to who flushes next.
    fn flush_and_note(&self) {
        if let Err(error) = self.flush() {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::Failed { file: self.file.clone(), detail: error.to_string() }
    }

    fn broken(&self, error: impl Into<redb::Error>) -> StoreError {
        match error.into() {
            error @ (redb::Error::Io(_) | redb::Error::PreviousIo) => {
                self.database.note_failure();
                self.failed(&error)
            }
            redb::Error::Corrupted(detail) => StoreError::Damaged { file: self.file.clone(), detail },
            redb::Error::TableTypeMismatch { table, .. } => {
                StoreError::Damaged { file: self.file.clone(), detail: format!("the table {table} is another one") }
            }
            other => self.failed(&other),
        }
    }
}

fn unopened(file: &str, error: DatabaseError) -> StoreError {
    let file = file.to_owned();
    let damaged = |detail: String| StoreError::Damaged { file: file.clone(), detail };
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { file },
        DatabaseError::Storage(redb::StorageError::Corrupted(detail)) => damaged(detail),
        DatabaseError::Storage(redb::StorageError::Io(error)) if is_content(&error) => damaged(error.to_string()),
        DatabaseError::UpgradeRequired(version) => damaged(format!("the database has the old format {version}")),
        other => StoreError::Failed { file, detail: other.to_string() },
    }
}

/// Whether an error of reading is about what was read.
fn is_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn size_of(evidence: &Evidence) -> usize {
    let size = |entry: &Entry| match entry {
        Entry::Present { bytes, .. } => bytes.len(),
        Entry::Refused(refusal) => refusal.detail.len(),
        Entry::Absent => 0,
    };
    evidence.iter().map(|(_, entry)| size(entry)).sum()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
