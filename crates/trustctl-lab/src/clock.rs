//! The lab's time: the machine's own, or one that stands still until it is moved.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trustctl_core::time::Timestamp;

/// A clock that all services of a lab share; clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// The time it stands at; `None` follows the machine.
    stands_at: Arc<Mutex<Option<Timestamp>>>,
}

impl Clock {
    /// A clock that follows the machine's.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still at `time`.
    #[must_use]
    pub fn stopped_at(time: Timestamp) -> Self {
        Self { stands_at: Arc::new(Mutex::new(Some(time))) }
    }

    /// Stops the clock at `time`.
    pub fn set(&self, time: Timestamp) {
        *self.stands_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
    }

    /// Stops the clock at `span` after what it shows now.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().saturating_add(span));
    }

    /// The time it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.stands_at.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(machine_time)
    }
}

#[expect(clippy::expect_used, reason = "the year 1970 is within the years that a Timestamp holds")]
fn machine_time() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_seconds(0).expect("1970").saturating_add(Duration::from_secs(since_1970.as_secs()))
}
