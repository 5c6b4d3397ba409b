//! A transfer that is going on, as those see it who follow it.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use trustctl_core::digest::Digest;

use super::HELD_BACK;
use super::error::CacheError;

/// One transfer.
pub(super) struct Fill {
    pub(super) digest: Digest,
    file: OnceLock<Arc<File>>,
    progress: watch::Sender<Progress>,
    followers: AtomicUsize,
}

/// How far a transfer is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// The length of the blob, once it is known.
    pub(super) total: Option<u64>,
    /// The bytes that are in the file.
    pub(super) arrived: u64,
    /// How it ended: well only if the bytes have the digest.
    pub(super) end: Option<Result<(), CacheError>>,
}

impl Progress {
    /// Up to where an answer with the bytes from `start` to `end` may be sent now.
    pub(super) fn allowed(&self, start: u64, end: u64) -> u64 {
        match self.end {
            Some(Ok(())) => end,
            _ => self.arrived.min(end.saturating_sub(HELD_BACK)).max(start),
        }
    }
}

impl Fill {
    pub(super) fn new(digest: &Digest) -> Arc<Self> {
        let (progress, _) = watch::channel(Progress::default());
        Arc::new(Self { digest: *digest, file: OnceLock::new(), progress, followers: AtomicUsize::new(0) })
    }

    /// Follows the transfer, which goes on at least as long as somebody does.
    pub(super) fn follow(self: &Arc<Self>) -> Following {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Following { fill: Arc::clone(self), changes: self.progress.subscribe() }
    }

    /// How many follow it.
    pub(super) fn followers(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Says where the bytes go, and how many there will be if that is known.
    pub(super) fn announce(&self, file: Arc<File>, total: Option<u64>) {
        // It is announced once.
        let _ = self.file.set(file);
        self.progress.send_modify(|progress| progress.total = total);
    }

    pub(super) fn arrived(&self, bytes: u64) {
        self.progress.send_modify(|progress| progress.arrived = bytes);
    }

    /// Ends it. After this, nothing changes any more.
    pub(super) fn finish(&self, end: Result<(), CacheError>) {
        self.progress.send_modify(|progress| {
            if progress.end.is_none() {
                if end.is_ok() {
                    progress.total = Some(progress.arrived);
                }
                progress.end = Some(end);
            }
        });
    }
}

/// Somebody who follows a transfer.
pub(super) struct Following {
    fill: Arc<Fill>,
    /// Changes since this was last looked at are not missed.
    pub(super) changes: watch::Receiver<Progress>,
}

impl Following {
    /// The length of the blob and its file, once both are known.
    pub(super) async fn length(&mut self) -> Result<u64, CacheError> {
        loop {
            {
                let progress = self.changes.borrow_and_update();
                match (&progress.end, progress.total) {
                    (Some(Err(error)), _) => return Err(error.clone()),
                    (_, Some(total)) => return Ok(total),
                    (Some(Ok(())), None) => return Ok(progress.arrived),
                    (None, None) => {}
                }
            }
            if self.changes.changed().await.is_err() {
                return Err(CacheError::Abandoned(self.fill.digest));
            }
        }
    }

    /// The file; `None` before the length is known.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        self.fill.file.get()
    }
}

impl Clone for Following {
    fn clone(&self) -> Self {
        self.fill.follow()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.fill.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_answer_is_whole_before_the_digest_is_known(arrived in 0..1_000_000_u64, start in 0..1_000_000_u64, more in 1..1_000_000_u64) {
            let end = start + more;
            let going_on = Progress { total: Some(end), arrived, end: None };
            let allowed = going_on.allowed(start, end);
            prop_assert!(allowed >= start && allowed < end);
            prop_assert!(end - allowed >= HELD_BACK.min(more));
            prop_assert!(allowed <= arrived.max(start));
            let failed = Progress { end: Some(Err(CacheError::Io(String::new()))), ..going_on.clone() };
            prop_assert!(failed.allowed(start, end) < end);
            let whole = Progress { end: Some(Ok(())), ..going_on };
            prop_assert_eq!(whole.allowed(start, end), end);
        }
    }
}
