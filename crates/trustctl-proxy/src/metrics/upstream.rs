//! What is counted of each upstream.

use std::collections::BTreeMap;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{ErrorLabels, UpstreamLabels};
use crate::upstreams::Upstreams;

/// What is counted of one upstream.
pub struct UpstreamMetrics {
    requests: Counter,
    throttled: Counter,
    failed: Counter,
    unreachable: Counter,
    wrong: Counter,
    received: Counter,
}

impl UpstreamMetrics {
    pub(super) fn register(registry: &mut Registry, upstreams: &Upstreams) -> BTreeMap<String, Self> {
        let (requests, bytes) = (Family::<UpstreamLabels, Counter>::default(), Family::<UpstreamLabels, Counter>::default());
        let errors = Family::<ErrorLabels, Counter>::default();
        registry.register("upstream_requests", "Requests to upstreams", requests.clone());
        let help =
            "Requests to upstreams that failed: throttled (429), failed (5xx), unreachable, wrong (not what its digest says)";
        registry.register("upstream_errors", help, errors.clone());
        registry.register_with_unit("upstream_received", "Bodies that came from upstreams", Unit::Bytes, bytes.clone());
        let series = |name: &String| {
            let labels = UpstreamLabels { upstream: name.clone() };
            let error = |kind| errors.get_or_create_owned(&ErrorLabels { upstream: name.clone(), kind });
            Self {
                requests: requests.get_or_create_owned(&labels),
                throttled: error("throttled"),
                failed: error("failed"),
                unreachable: error("unreachable"),
                wrong: error("wrong"),
                received: bytes.get_or_create_owned(&labels),
            }
        };
        upstreams.all().iter().map(|upstream| (upstream.registry.clone(), series(&upstream.registry))).collect()
    }

    /// A request was sent.
    pub fn asked(&self) {
        self.requests.inc();
    }

    /// It answered 429.
    pub fn throttled(&self) {
        self.throttled.inc();
    }

    /// It answered with a status from 500.
    pub fn failed(&self) {
        self.failed.inc();
    }

    /// It did not answer, or broke off.
    pub fn unreachable(&self) {
        self.unreachable.inc();
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
        let errors = [&self.throttled, &self.failed, &self.unreachable, &self.wrong];
        (self.requests.get(), errors.iter().map(|counter| counter.get()).sum())
    }
}
