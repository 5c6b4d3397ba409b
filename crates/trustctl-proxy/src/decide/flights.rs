//! Work that is done once, however many ask for it at the same time.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, Shared};

type Flight<V> = Shared<BoxFuture<'static, V>>;

/// The work under way, by what it is about.
///
/// The work is carried on by whoever waits for it, and by a task of its own, so that it ends even when all who asked have gone.
pub(crate) struct Flights<K, V> {
    under_way: Arc<Mutex<HashMap<K, Flight<V>>>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { under_way: Arc::default() }
    }
}

/// Whether work was begun or joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It had been begun by somebody else.
    Joined,
    /// It was begun here.
    Began,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What the work about `key` gives: `work` is only begun when none about it is under way.
    pub(crate) async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> (V, Joined)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (flight, joined) = self.begin(key, work);
        (flight.await, joined)
    }

    /// Begins work about `key` unless there is some under way, and does not wait for it.
    pub(crate) fn start<F>(&self, key: K, work: impl FnOnce() -> F)
    where
        F: Future<Output = V> + Send + 'static,
    {
        drop(self.begin(key, work));
    }

    /// How much work is under way.
    pub(crate) fn count(&self) -> usize {
        lock(&self.under_way).len()
    }

    fn begin<F>(&self, key: K, work: impl FnOnce() -> F) -> (Flight<V>, Joined)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(flight) = under_way.get(&key) {
            return (flight.clone(), Joined::Joined);
        }
        let (work, done, name) = (work(), Done { under_way: self.under_way.clone(), key: key.clone() }, key);
        let flight = async move {
            let value = work.await;
            drop(done);
            value
        };
        let flight = flight.boxed().shared();
        under_way.insert(name, flight.clone());
        drop(tokio::spawn(flight.clone()));
        (flight, Joined::Began)
    }
}

/// Takes the work off the list when it is over, also when it panicked.
struct Done<K: Eq + Hash, V> {
    under_way: Arc<Mutex<HashMap<K, Flight<V>>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Done<K, V> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_is_done_once_for_all_who_ask_meanwhile() {
        let (flights, begun) = (Flights::<u8, usize>::default(), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let begun = begun.clone();
            async move {
                tokio::task::yield_now().await;
                begun.fetch_add(1, Ordering::SeqCst) + 1
            }
        };
        let (one, two) = tokio::join!(flights.join(7, work), flights.join(7, work));
        assert_eq!((one, two), ((1, Joined::Began), (1, Joined::Joined)));
        assert_eq!(flights.count(), 0, "what is over is forgotten");
        assert_eq!(flights.join(7, work).await, (2, Joined::Began), "asked again later, it is done again");
    }

    #[tokio::test]
    async fn work_ends_although_whoever_asked_has_gone() {
        let (flights, (done, ended)) = (Flights::<u8, ()>::default(), tokio::sync::oneshot::channel());
        flights.start(1, || async move {
            tokio::task::yield_now().await;
            done.send(()).unwrap();
        });
        ended.await.unwrap();
    }
}
