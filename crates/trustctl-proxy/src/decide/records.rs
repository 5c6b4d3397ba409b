//! What is on disk, asked and changed where waiting does no harm.

use std::sync::Arc;

use trustctl_core::reason::Reason;

use crate::jobs::Jobs;
use crate::store::{Records, StoreError};

/// Looks at the store at the same time. Most take microseconds, and more of them only start threads.
const LOOKS: usize = 4;

/// The records for the decision path.
///
/// The store takes one change after the other, and each waits while another is made durable.
pub(super) struct AsyncRecords {
    records: Arc<dyn Records>,
    looking: Jobs,
    changing: Jobs,
    settling: Jobs,
}

impl AsyncRecords {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self { records, looking: Jobs::at_once(LOOKS), changing: Jobs::at_once(1), settling: Jobs::at_once(1) }
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
        let look = move || match look(&*records) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            found => found.map_err(Reason::from),
        };
        self.looking.run(look).await?
    }

    /// Changes what is in the store, also where nobody waits for it any more.
    ///
    /// # Errors
    /// As the store's.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&dyn Records) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Reason> {
        self.in_turn(&self.changing, change).await
    }

    /// Changes what is in the store where `is_needed` finds that there is something to change: whoever changes nothing waits for nobody.
    ///
    /// # Errors
    /// As the store's.
    pub(super) async fn change_if(
        &self,
        is_needed: impl FnOnce(&dyn Records) -> Result<bool, StoreError> + Send + 'static,
        change: impl FnOnce(&dyn Records) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Reason> {
        // What cannot be read is for the change to find.
        let needed = self.look(|records| is_needed(records).map(Some)).await?;
        if needed == Some(false) { Ok(()) } else { self.change(change).await }
    }

    /// Waits until what was kept so far outlives the process: see [`Records::settle`].
    ///
    /// # Errors
    /// None of the store's.
    pub(super) async fn settle(&self) -> Result<(), Reason> {
        let settle = |records: &dyn Records| {
            records.settle();
            Ok(())
        };
        self.in_turn(&self.settling, settle).await
    }

    async fn in_turn(
        &self,
        turns: &Jobs,
        work: impl FnOnce(&dyn Records) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Reason> {
        let records = self.records.clone();
        turns.run_to_end(move || work(&*records).map_err(Reason::from)).await?
    }
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
            assert_eq!(records.change_if(|_| Ok(false), |_| unreachable!()).await, Ok(()), "nor does what changes nothing");
            records.settle().await.unwrap();
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
        let changed = records.change_if(move |_| Err(damaged()), move |_| Err(damaged())).await;
        assert!(changed.is_err(), "what cannot be read is changed");
        let failed = || StoreError::Failed { file: "records".to_owned(), detail: "no disk".to_owned() };
        assert!(records.look::<()>(move |_| Err(failed())).await.is_err());
    }
}
