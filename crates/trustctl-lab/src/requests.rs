//! What clients asked: a bounded log of requests, for tests that count them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many requests are kept; older ones are forgotten first. A lab may run for days.
const KEPT: usize = 100_000;

/// One request that a service of the lab received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What followed the `?`; empty when there was none.
    pub query: String,
    /// The status it was answered with; `None` when the connection was dropped instead.
    pub status: Option<u16>,
    /// The first word of the `Authorization` header (`Basic`, `Bearer`); the credential itself is never kept.
    pub authorization: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// When it arrived, since the service started.
    pub started: Duration,
    /// When its answer began, since the service started.
    pub ended: Duration,
}

/// The requests of one service; clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct RequestLog {
    entries: Arc<Mutex<VecDeque<LoggedRequest>>>,
}

impl RequestLog {
    pub(crate) fn push(&self, request: LoggedRequest) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= KEPT {
            entries.pop_front();
        }
        entries.push_back(request);
    }

    /// Forgets everything so far.
    pub fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The requests since the start or the last [`RequestLog::clear`], in the order in which they were answered; at most 100,000.
    #[must_use]
    pub fn all(&self) -> Vec<LoggedRequest> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How many requests there were; see [`RequestLog::all`].
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The most requests that followed each other, each starting after the one before it was answered: the dependent round trips.
///
/// Two requests sent at once count as one round only when they overlapped here, so give the service a latency
/// ([`crate::faults::Faults::set_latency`]) before counting.
#[must_use]
pub fn dependent_rounds(requests: &[LoggedRequest]) -> usize {
    let mut by_end: Vec<&LoggedRequest> = requests.iter().collect();
    by_end.sort_by_key(|request| request.ended);
    let mut rounds = 0;
    let mut last_end = None;
    for request in by_end {
        if last_end.is_none_or(|end| request.started >= end) {
            rounds += 1;
            last_end = Some(request.ended);
        }
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(started: u64, ended: u64) -> LoggedRequest {
        LoggedRequest {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            status: Some(200),
            authorization: None,
            user_agent: None,
            started: Duration::from_millis(started),
            ended: Duration::from_millis(ended),
        }
    }

    #[test]
    fn overlapping_requests_are_one_round() {
        assert_eq!(dependent_rounds(&[]), 0);
        assert_eq!(dependent_rounds(&[request(0, 50), request(1, 51), request(2, 52)]), 1);
        assert_eq!(dependent_rounds(&[request(0, 50), request(51, 101), request(52, 102), request(110, 150)]), 3);
    }
}
