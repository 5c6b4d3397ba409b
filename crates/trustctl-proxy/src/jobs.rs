//! Work that waits for a disk: on threads of its own, and of each kind only so much at once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use trustctl_core::reason::{Code, Reason};

/// A kind of work. Clones are the same kind.
///
/// What comes while enough is at work waits as a task: a thread costs its stack and a part of the heap, a hundred kilobytes together
/// (measured). One kind does not wait for another.
#[derive(Clone, Debug)]
pub(crate) struct Jobs(Arc<Semaphore>);

/// The work panicked, or the proxy is ending.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a worker of the proxy came to an end")]
pub(crate) struct Ended;

impl From<Ended> for Reason {
    fn from(ended: Ended) -> Self {
        Self::new(Code::ConfigUnusable, ended.to_string())
    }
}

impl Jobs {
    /// A kind of which `most` are at work at once.
    pub(crate) fn at_once(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.max(1))))
    }

    /// Does `work` in its turn, which comes whether or not the caller looks for the end meanwhile. What has its turn goes on to its end
    /// also when nobody waits for it any more, and counts until then; what has not is never begun.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Ended>> + Send + 'static {
        // Dropping the set ends a task that waits.
        let mut task = JoinSet::new();
        task.spawn(in_turn(self.0.clone(), work));
        async move { task.join_next().await.and_then(Result::ok).ok_or(Ended)? }
    }

    /// The same, but that its turn comes also when nobody waits for it any more.
    pub(crate) fn run_to_end<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Ended>> + Send + 'static {
        let task = tokio::spawn(in_turn(self.0.clone(), work));
        async move { task.await.map_err(|_| Ended)? }
    }
}

async fn in_turn<T: Send + 'static>(turns: Arc<Semaphore>, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Ended> {
    let turn = turns.acquire_owned().await.map_err(|_| Ended)?;
    let job = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    job.await.map_err(|_| Ended)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    /// A job that says that it has begun, and ends when it is told to.
    fn job(begun: mpsc::Sender<u8>, name: u8) -> (mpsc::Sender<()>, impl FnOnce() -> u8 + Send + 'static) {
        let (release, released) = mpsc::channel();
        let work = move || {
            begun.send(name).unwrap();
            released.recv().unwrap();
            name
        };
        (release, work)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn so_many_are_at_work_at_once_and_the_others_in_their_order() {
        let jobs = Jobs::at_once(2);
        let (begun, has_begun) = mpsc::channel();
        let (mut releases, mut tasks) = (Vec::new(), Vec::new());
        for name in 0..5 {
            let (release, work) = job(begun.clone(), name);
            releases.push(release);
            tasks.push(tokio::spawn(jobs.run(work)));
            if name < 2 {
                assert_eq!(has_begun.recv_timeout(Duration::from_secs(20)).unwrap(), name);
            }
            // It has its place before the next one asks.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(has_begun.recv_timeout(Duration::from_millis(50)).is_err(), "two are at work, and no other begins");
        for (released, next) in [(1_u8, 2), (0, 3), (2, 4)] {
            releases.get(usize::from(released)).unwrap().send(()).unwrap();
            assert_eq!(has_begun.recv_timeout(Duration::from_secs(20)).unwrap(), next);
        }
        for last in [3, 4] {
            releases.get(last).unwrap().send(()).unwrap();
        }
        for (name, task) in (0..).zip(tasks) {
            assert_eq!(task.await.unwrap().unwrap(), name);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_nobody_waits_for_counts_while_it_is_at_work_and_is_not_begun_later() {
        let jobs = Jobs::at_once(1);
        let (begun, has_begun) = mpsc::channel();
        let (release, work) = job(begun.clone(), 1);
        let first = tokio::spawn(jobs.run(work));
        assert_eq!(has_begun.recv_timeout(Duration::from_secs(20)).unwrap(), 1);
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let (_never, work) = job(begun.clone(), 2);
        assert!(tokio::time::timeout(Duration::from_millis(50), jobs.run(work)).await.is_err());
        let (release_third, work) = job(begun.clone(), 3);
        drop(jobs.run_to_end(work));
        for release in [release, release_third] {
            release.send(()).unwrap();
        }
        let (release, work) = job(begun, 4);
        release.send(()).unwrap();
        assert_eq!(jobs.run(work).await.unwrap(), 4);
        assert_eq!(has_begun.try_iter().collect::<Vec<_>>(), [3, 4], "the second was never begun, the third was");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_waits_for_a_caller_that_does_not_look() {
        let jobs = Jobs::at_once(1);
        let (begun, has_begun) = mpsc::channel();
        let (release, work) = job(begun.clone(), 1);
        let first = tokio::spawn(jobs.run(work));
        assert_eq!(has_begun.recv_timeout(Duration::from_secs(20)).unwrap(), 1);
        let mut second = Box::pin(jobs.run(|| 2));
        // It has its place in the queue, and takes its turn while nobody asks for its end.
        assert!(second.as_mut().now_or_never().is_none());
        tokio::time::sleep(Duration::from_millis(20)).await;
        let third = jobs.run(|| 3);
        release.send(()).unwrap();
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), third).await.unwrap().unwrap(), 3);
        assert_eq!((second.await.unwrap(), first.await.unwrap().unwrap()), (2, 1));
    }

    #[tokio::test]
    async fn one_that_panics_gives_its_place_back() {
        let jobs = Jobs::at_once(1);
        let nothing: Vec<u8> = Vec::new();
        assert!(jobs.run(move || *nothing.first().unwrap()).await.is_err());
        assert_eq!(jobs.run(|| 7).await.unwrap(), 7);
    }
}
