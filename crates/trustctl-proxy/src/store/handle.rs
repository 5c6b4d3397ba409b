//! The database, opened anew after the disk failed: after one error it refuses everything else until then (measured: a disk that was full
//! for a moment would leave the proxy without a store until its next start).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError};

/// Pages the database keeps in memory: the proxy as a whole stays below 60 MiB.
const PAGES: usize = 8 * 1024 * 1024;
/// How soon it is tried again: a disk that is still full costs little until then.
const PAUSE: Duration = Duration::from_secs(1);

/// A database that may have to be opened anew.
pub(super) struct Handle {
    path: PathBuf,
    database: RwLock<Option<Database>>,
    has_failed: AtomicBool,
    tried: Mutex<Instant>,
}

/// Why there is no database to work with.
pub(super) enum NotOpen {
    /// The disk failed a moment ago.
    Waiting,
    /// It cannot be opened.
    Error(DatabaseError),
}

/// Opens a database, or makes it.
pub(super) fn open(path: &std::path::Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(PAGES).create(path)
}

impl Handle {
    pub(super) fn new(path: PathBuf, database: Database) -> Self {
        let (database, tried) = (RwLock::new(Some(database)), Mutex::new(Instant::now()));
        Self { path, database, has_failed: AtomicBool::new(false), tried }
    }

    /// Takes note that the disk failed.
    pub(super) fn note_failure(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    /// Whether the disk failed and the database was not opened since.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// The result of some work with the database.
    ///
    /// # Errors
    /// [`NotOpen`] when it had to be opened anew and could not.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> T) -> Result<T, NotOpen> {
        if self.has_failed() {
            self.reopen()?;
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.as_ref().map(work).ok_or(NotOpen::Waiting)
    }

    /// What was not durable yet is lost with the old one, as in a crash.
    fn reopen(&self) -> Result<(), NotOpen> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.has_failed() {
            return Ok(());
        }
        if tried.elapsed() < PAUSE {
            return Err(NotOpen::Waiting);
        }
        *tried = Instant::now();
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // It is closed before, because only one may have the file.
        *database = None;
        *database = Some(open(&self.path).map_err(NotOpen::Error)?);
        self.has_failed.store(false, Ordering::Release);
        Ok(())
    }
}
