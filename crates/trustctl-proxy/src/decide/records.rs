//! What is on disk, asked and changed where waiting does no harm.

use std::sync::Arc;

use tokio::sync::Semaphore;
use trustctl_core::reason::{Code, Reason};

use crate::store::{Records, StoreError};

/// The records for the decision path.
///
/// The store takes one change after the other, and each waits while another is made durable. Here they wait as tasks, not as threads: a thread
/// costs its stack and a part of the heap for good, a hundred kilobytes together (measured).
pub(super) struct AsyncRecords {
    records: Arc<dyn Records>,
    changing: Arc<Semaphore>,
}

impl AsyncRecords {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self { records, changing: Arc::new(Semaphore::new(1)) }
    }

    /// What is in the store. An entry that cannot be read is none: it is gathered again, and nothing is served for it.
    ///
    /// # Errors
    /// As the store's, but for [`StoreError::Damaged`].
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn Records) -> Result<Option<T>, StoreError> + Send + 'static,
    ) -> Result<Option<T>, Reason> {
        let records = self.records.clone();
        blocking(move || match look(&*records) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            found => found.map_err(Reason::from),
        })
        .await
    }

    /// Changes what is in the store, or makes it durable.
    ///
    /// # Errors
    /// As the store's.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&dyn Records) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Reason> {
        let records = self.records.clone();
        let turn = self.changing.clone().acquire_owned().await.map_err(|_| ended())?;
        blocking(move || {
            // It is given back when the work is done, also where nobody waits for it any more.
            let _turn = turn;
            change(&*records).map_err(Reason::from)
        })
        .await
    }
}

/// The result of blocking work, done off the executor.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Reason> + Send + 'static) -> Result<T, Reason> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ended())?
}

fn ended() -> Reason {
    Reason::new(Code::ConfigUnusable, "a worker of the proxy came to an end")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::sync::mpsc;

    use super::*;
    use crate::store::{FileRecords, StoreOptions};

    fn records() -> (tempfile::TempDir, Arc<AsyncRecords>) {
        let folder = tempfile::tempdir().unwrap();
        let store = FileRecords::open(folder.path().join("records"), StoreOptions::default()).unwrap();
        (folder, Arc::new(AsyncRecords::new(Arc::new(store))))
    }

    #[tokio::test]
    async fn one_change_is_at_work_and_who_looks_does_not_wait() {
        let (_folder, records) = records();
        let (begun, has_begun) = mpsc::channel();
        let mut changes = Vec::new();
        let mut releases = Vec::new();
        for _ in 0..3 {
            let (release, released) = mpsc::channel();
            let (records, begun) = (records.clone(), begun.clone());
            let change = async move {
                let work = move |_: &dyn Records| {
                    begun.send(()).unwrap();
                    released.recv().unwrap();
                    Ok(())
                };
                records.change(work).await
            };
            changes.push(tokio::spawn(change));
            releases.push(release);
        }
        for (release, change) in releases.into_iter().zip(changes) {
            while has_begun.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
            assert_eq!(records.look(|_| Ok(Some(1))).await, Ok(Some(1)), "it goes on beside a change");
            assert!(has_begun.try_recv().is_err(), "another change waits");
            release.send(()).unwrap();
            assert_eq!(change.await.unwrap(), Ok(()));
        }
    }

    #[tokio::test]
    async fn what_is_damaged_is_not_there() {
        let (_folder, records) = records();
        let damaged = || StoreError::Damaged { file: "records".to_owned(), detail: "torn".to_owned() };
        assert_eq!(records.look::<()>(move |_| Err(damaged())).await, Ok(None));
        assert!(records.change(move |_| Err(damaged())).await.is_err(), "a change that did not happen is told");
        let failed = || StoreError::Failed { file: "records".to_owned(), detail: "no disk".to_owned() };
        assert!(records.look::<()>(move |_| Err(failed())).await.is_err());
    }
}
