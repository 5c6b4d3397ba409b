//! What is counted of each upstream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{ErrorLabels, UpstreamLabels};
use crate::upstreams::{Upstream, Upstreams};
use trustctl_remote::http::origin::Origin;
use trustctl_remote::http::{Exchange, Watch};

/// From so many failures in a row a registry is called silent: one alone is common, and the tries of one request are three.
const SILENT_FROM: u64 = 3;
/// For so long after its last failure a registry is called silent. After that nobody has asked, and nobody knows.
const SILENT_FOR: Duration = Duration::from_secs(60);

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
    /// The registry's own server, as exchanges name it.
    server: String,
    silence: Mutex<Option<Silence>>,
}

/// That none of the last requests was answered, or only with an error of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When the last of them had failed.
    pub last: Instant,
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
        let series = |upstream: &Upstream| {
            let name = &upstream.registry;
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
                server: server_of(upstream),
                silence: Mutex::default(),
            })
        };
        upstreams.all().iter().map(|upstream| (upstream.registry.clone(), series(upstream))).collect()
    }

    /// A request was answered with a status, or was not, after a time.
    pub fn asked(&self, status: Option<u16>, took: Duration) {
        self.requests.inc();
        self.seconds.observe(took.as_secs_f64());
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
        self.timeout.inc();
    }

    /// That none of the last requests to the registry itself was answered, where that is so at `now`. An error of the server is no
    /// answer; one failure or two are no silence, and neither is a minute in which nobody asked.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Option<Silence> {
        let silence = *self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.filter(|silence| silence.requests >= SILENT_FROM && now.saturating_duration_since(silence.last) < SILENT_FOR)
    }

    /// A request to `server` for `path` was answered at `now`, or was not. What a token server, a Notary server or the storage behind
    /// a redirect does says nothing of the registry.
    pub(super) fn hear(&self, (server, path): (&str, &str), is_answer: bool, now: Instant) {
        if server != self.server || !path.starts_with("/v2/") {
            return;
        }
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = silence.map_or(0, |silence| silence.requests) + 1;
        *silence = (!is_answer).then_some(Silence { last: now, requests });
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
        let is_answer = !exchange.out_of_time && exchange.status.is_some_and(|status| status < 500);
        self.hear((&exchange.server, &exchange.path), is_answer, Instant::now());
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

/// The server that `upstream` is asked at, as exchanges name it.
fn server_of(upstream: &Upstream) -> String {
    let origin = match &upstream.endpoint {
        Some(endpoint) => Origin::parse_url(endpoint).map(|(origin, _)| origin),
        None => Origin::of_registry(&upstream.registry),
    };
    origin.map_or_else(|_| upstream.registry.clone(), |origin| origin.to_string())
}
