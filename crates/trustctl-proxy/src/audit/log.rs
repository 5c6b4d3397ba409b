//! Appending to the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use trustctl_core::reason::{Code, Reason};

use super::record::Record;
use super::spare::Spares;
use super::writer::{Order, Writer};
use crate::observe::Outcome;

/// Records that wait to be written; who appends more waits, and who posts more is told.
const WAITING: usize = 65_536;

const ENDED: &str = "the writer has ended";

/// How a log is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditOptions {
    /// Bytes after which a file is renamed and a new one begun.
    pub rotate_at: u64,
    /// How many renamed files are kept; `None` for all.
    pub keep: Option<usize>,
}

impl Default for AuditOptions {
    /// 128 MiB a file; all files are kept.
    fn default() -> Self {
        Self { rotate_at: 128 << 20, keep: None }
    }
}

/// A log that is written. Dropping it writes what waits, and waits for that.
#[derive(Debug)]
pub struct AuditLog {
    orders: Option<mpsc::Sender<Order>>,
    failing: Arc<AtomicBool>,
    /// Records that found no place, until the writer has recorded how many.
    dropped: Arc<AtomicU64>,
    spares: Spares,
    file: String,
    writer: Option<JoinHandle<()>>,
}

impl AuditLog {
    /// The log in the file `path`, which is created if it is not there; continues its chain.
    ///
    /// # Errors
    /// [`Code::AuditUnusable`] when the file cannot be opened, another process writes it, or its last whole line is no record.
    pub fn open(path: impl Into<PathBuf>, options: AuditOptions) -> Result<Self, Reason> {
        let path = path.into();
        let file = path.display().to_string();
        let unusable = |why: &dyn std::fmt::Display| Reason::new(Code::AuditUnusable, format!("{file}: {why}"));
        let failing = Arc::new(AtomicBool::new(false));
        let dropped = Arc::new(AtomicU64::new(0));
        let spares = Spares::default();
        let told = (Arc::clone(&failing), Arc::clone(&dropped), spares.clone());
        let mut writer = Writer::open(path, options, told).map_err(|why| unusable(&why))?;
        let (orders, receiver) = mpsc::channel(WAITING);
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|why| unusable(&why))?;
        let run = move || clock.block_on(writer.run(receiver));
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(run).map_err(|why| unusable(&why))?;
        Ok(Self { orders: Some(orders), failing, dropped, spares, file, writer: Some(thread) })
    }

    /// Whether records can be written at the moment.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Appends a record. It is on disk within a second; a crash before that can lose it. After a failure, each record is waited for
    /// until one can be written again.
    ///
    /// # Errors
    /// [`Code::AuditFailed`] when nothing can be written: the record counts as lost, which will be recorded.
    pub async fn append(&self, record: &Record<'_>) -> Result<(), Reason> {
        if self.is_failing() {
            return self.append_durable(record).await;
        }
        self.order(record, None).await
    }

    /// Appends a record and returns when it is on disk, so that no crash can lose it.
    ///
    /// # Errors
    /// [`Code::AuditFailed`] when it could not be written.
    pub async fn append_durable(&self, record: &Record<'_>) -> Result<(), Reason> {
        let (done, told) = oneshot::channel();
        self.order(record, Some(done)).await?;
        self.written(told).await
    }

    /// Returns when everything that was appended or posted before is on disk.
    ///
    /// # Errors
    /// [`Code::AuditFailed`] when it could not be written.
    pub async fn flush(&self) -> Result<(), Reason> {
        let (done, told) = oneshot::channel();
        self.orders()?.send(Order { fields: None, done: Some(done) }).await.map_err(|_| self.failed(ENDED))?;
        self.written(told).await
    }

    async fn written(&self, told: oneshot::Receiver<bool>) -> Result<(), Reason> {
        match told.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(self.failed("the record could not be written")),
        }
    }

    fn orders(&self) -> Result<&mpsc::Sender<Order>, Reason> {
        self.orders.as_ref().ok_or_else(|| self.failed("the log is closed"))
    }

    /// Appends a record without waiting for anything. It is on disk within about a second, and one about an emergency as soon as can be; a
    /// crash before that can lose it.
    ///
    /// # Errors
    /// [`Code::AuditFailed`] when too many records wait, so that this one is not in the log, and while nothing can be written: then this
    /// record may get there later.
    pub fn post(&self, record: &Record<'_>) -> Result<(), Reason> {
        let fields = record.fields(self.spares.take()).map_err(|why| self.failed(&why))?;
        // Whoever waits for the disk makes it happen at once; here nobody listens.
        let done = (record.outcome == Outcome::BreakGlass).then(|| oneshot::channel().0);
        match self.orders()?.try_send(Order { fields: Some(fields), done }) {
            Ok(()) if self.is_failing() => Err(self.failed("nothing can be written at the moment")),
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                Err(self.failed("it falls behind; a decision is not in it"))
            }
            Err(TrySendError::Closed(_)) => Err(self.failed(ENDED)),
        }
    }

    async fn order(&self, record: &Record<'_>, done: Option<oneshot::Sender<bool>>) -> Result<(), Reason> {
        let fields = record.fields(self.spares.take()).map_err(|why| self.failed(&why))?;
        self.orders()?.send(Order { fields: Some(fields), done }).await.map_err(|_| self.failed(ENDED))
    }

    fn failed(&self, why: &str) -> Reason {
        Reason::new(Code::AuditFailed, format!("{}: {why}", self.file))
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(writer) = self.writer.take() {
            // It has no way to fail but a bug, and then there is nothing left to do.
            let _ = writer.join();
        }
    }
}
