//! What is counted of each upstream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{ErrorLabels, UpstreamLabels};
use crate::upstreams::Upstreams;
use trustctl_remote::http::{Exchange, Watch};

/// What is counted of one upstream.
pub struct UpstreamMetrics {
    requests: Counter,
    throttled: Counter,
    failed: Counter,
    unreachable: Counter,
    timeout: Counter,
    wrong: Counter,
    received: Counter,
    seconds: Histogram,
    silence: Mutex<Option<Silence>>,
}

/// That none of the last requests was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When the first of them had failed.
    pub since: Instant,
    /// How many they are.
    pub requests: u64,
}

impl UpstreamMetrics {
    pub(super) fn register(registry: &mut Registry, upstreams: &Upstreams) -> BTreeMap<String, Arc<Self>> {
        let (requests, bytes) = (Family::<UpstreamLabels, Counter>::default(), Family::<UpstreamLabels, Counter>::default());
        let errors = Family::<ErrorLabels, Counter>::default();
        registry.register("upstream_requests", "Requests to upstreams", requests.clone());
        let help = "Requests to upstreams that failed: throttled (429), failed (5xx), unreachable, timeout (no answer in time), wrong (not what its digest says)";
        registry.register("upstream_errors", help, errors.clone());
        registry.register_with_unit("upstream_received", "Bodies that came from upstreams", Unit::Bytes, bytes.clone());
        let seconds =
            Family::<UpstreamLabels, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(super::SECONDS));
        let help = "How long upstreams took to answer; of a layer, until it began to come";
        registry.register_with_unit("upstream_answer", help, Unit::Seconds, seconds.clone());
        let series = |name: &String| {
            let labels = UpstreamLabels { upstream: name.clone() };
            let error = |kind| errors.get_or_create_owned(&ErrorLabels { upstream: name.clone(), kind });
            Arc::new(Self {
                requests: requests.get_or_create_owned(&labels),
                throttled: error("throttled"),
                failed: error("failed"),
                unreachable: error("unreachable"),
                timeout: error("timeout"),
                wrong: error("wrong"),
                received: bytes.get_or_create_owned(&labels),
                seconds: seconds.get_or_create_owned(&labels),
                silence: Mutex::default(),
            })
        };
        upstreams.all().iter().map(|upstream| (upstream.registry.clone(), series(&upstream.registry))).collect()
    }

    /// A request was answered with a status, or was not, after a time.
    pub fn asked(&self, status: Option<u16>, took: Duration) {
        self.requests.inc();
        self.seconds.observe(took.as_secs_f64());
        self.hear(status.is_some_and(|status| status < 500));
        match status {
            None => self.unreachable.inc(),
            Some(429) => self.throttled.inc(),
            Some(500..) => self.failed.inc(),
            Some(_) => return,
        };
    }

    /// A request was given up after a time without an answer.
    pub fn timed_out(&self, took: Duration) {
        self.requests.inc();
        self.seconds.observe(took.as_secs_f64());
        self.hear(false);
        self.timeout.inc();
    }

    /// That none of the last requests was answered, where that is so. An error of the server is no answer.
    #[must_use]
    pub fn silence(&self) -> Option<Silence> {
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, is_answer: bool) {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        *silence = (!is_answer).then(|| {
            let before = silence.unwrap_or(Silence { since: Instant::now(), requests: 0 });
            Silence { requests: before.requests + 1, ..before }
        });
    }

    /// It sent bytes that do not have the digest they were asked by.
    pub fn sent_wrong(&self) {
        self.wrong.inc();
    }

    /// Bytes of bodies came.
    pub fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    /// Requests, and those of them that failed, since the start.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let errors = [&self.throttled, &self.failed, &self.unreachable, &self.timeout, &self.wrong];
        (self.requests.get(), errors.iter().map(|counter| counter.get()).sum())
    }
}

impl Watch for UpstreamMetrics {
    fn exchanged(&self, exchange: &Exchange) {
        match exchange.out_of_time {
            true => self.timed_out(exchange.took),
            false => self.asked(exchange.status, exchange.took),
        }
    }

    fn received(&self, bytes: u64) {
        self.received(bytes);
    }

    fn stalled(&self) {
        self.timeout.inc();
    }
}
