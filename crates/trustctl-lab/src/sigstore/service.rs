//! What the handles of all five Sigstore services have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use trustctl_core::time::Timestamp;

use super::refusal::Refusal;
use crate::answer::Answer;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::requests::RequestLog;
use crate::server::Server;

/// One running service of a Sigstore lab.
#[derive(Debug)]
pub struct Service {
    server: Server,
    time: ServiceTime,
}

impl Service {
    pub(crate) fn new(server: Server, time: ServiceTime) -> Self {
        Self { server, time }
    }

    /// The base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The faults it commits.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// What it was asked.
    #[must_use]
    pub fn requests(&self) -> &RequestLog {
        self.server.requests()
    }

    /// Makes its clock show `seconds` later than the lab's, earlier when negative.
    pub fn set_skew(&self, seconds: i64) {
        self.time.skew.store(seconds, Ordering::Relaxed);
    }
}

/// The lab's clock as one service reads it.
#[derive(Clone, Debug)]
pub(crate) struct ServiceTime {
    clock: Clock,
    skew: Arc<AtomicI64>,
}

impl ServiceTime {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), skew: Arc::default() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let skew = self.skew.load(Ordering::Relaxed);
        let span = Duration::from_secs(skew.unsigned_abs());
        let now = self.clock.now();
        if skew < 0 { now.saturating_sub(span) } else { now.saturating_add(span) }
    }
}

/// What a gateway in front of Fulcio or Rekor v2 answers where a fault says that it fails.
pub(crate) fn failed_grpc(status: StatusCode) -> Answer {
    Refusal::new(status, FAULT).grpc()
}

/// What Rekor v1 or the timestamp authority answers where a fault says that it fails.
pub(crate) fn failed_plain(status: StatusCode) -> Answer {
    Refusal::new(status, FAULT).plain()
}

const FAULT: &str = "a fault of this lab";
