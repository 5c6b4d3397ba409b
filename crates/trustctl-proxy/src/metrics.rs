//! What the proxy counts, for Prometheus (OpenMetrics 1.0 text).
//!
//! Counting is an addition to a number that is at hand: series are made when the program starts, or when the first thing of their kind
//! happens. No label holds anything that a client chose; rules come from the policy, and only so many of them.

mod decisions;
mod labels;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::trust::TrustEnd;
use crate::upstreams::Upstreams;
use decisions::Decisions;
use labels::{AnswerLabels, CacheLabels, ColdLabels, NameLabels};

pub use decisions::Decided;
pub use labels::CacheUse;
pub use upstream::UpstreamMetrics;

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Seconds. From what is answered out of memory, over the 2 s that a cold verification should take at most, to the end of a verification.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 8.0];
/// The calls that are told apart: [`crate::request::Call::word`], and what is no call.
const CALLS: [&str; 6] = ["blob", "manifest", "other", "ping", "referrers", "tags"];

/// Every number that is kept.
pub struct Metrics {
    registry: Registry,
    answered: [[Counter; 5]; CALLS.len()],
    sent_bytes: Counter,
    decisions: Decisions,
    verify_cold: Histogram,
    verify_warm: Histogram,
    cache: [Counter; 3],
    cache_bytes: Gauge,
    upstreams: BTreeMap<String, Arc<UpstreamMetrics>>,
    trust_expiry: Family<NameLabels, Gauge>,
    known_ends: Mutex<BTreeSet<String>>,
    stale: Counter,
    break_glass: Counter,
    policy_kept: Counter,
    policy_loaded: Counter,
}

impl Metrics {
    /// Nothing has been counted yet.
    #[must_use]
    pub fn new(upstreams: &Upstreams) -> Arc<Self> {
        let mut registry = Registry::with_prefix("trustctl_proxy");
        let version = vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        registry.register("build", "The version that runs", Info::new(version));
        let (answers, cache) = (Family::<AnswerLabels, Counter>::default(), Family::<CacheLabels, Counter>::default());
        let verify = verify_family();
        registry.register("answers", "Answers to clients, by call and class of status", answers.clone());
        registry.register_with_unit(
            "verify",
            "How long judging took; cold where anything had to be fetched",
            Unit::Seconds,
            verify.clone(),
        );
        registry.register(
            "cache_uses",
            "Blobs that were wanted of the cache: hit, miss, or coalesced with a transfer that ran already",
            cache.clone(),
        );
        let decisions = Decisions::register(&mut registry);
        let upstreams = UpstreamMetrics::register(&mut registry, upstreams);
        let trust_expiry = Family::<NameLabels, Gauge>::default();
        let help = "When trust material ends, in seconds since 1970";
        registry.register_with_unit("trust_expiry_timestamp", help, Unit::Seconds, trust_expiry.clone());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let stale = counter("stale_served", "Answers from what was verified before, while the upstream was down");
        let break_glass = counter("break_glass_uses", "Images that were served because of a break-glass token");
        let policy_loaded = counter("policy_loads", "Policies that were put in force");
        let policy_kept = counter("policy_kept", "New policies that could not be used, so that the old one stayed in force");
        let (sent_bytes, cache_bytes) = (Counter::default(), Gauge::default());
        registry.register_with_unit("sent", "What was sent to clients", Unit::Bytes, sent_bytes.clone());
        registry.register_with_unit("cache_size", "What the cache holds", Unit::Bytes, cache_bytes.clone());
        Arc::new(Self {
            registry,
            answered: CALLS.map(|call| CLASSES.map(|class| answers.get_or_create_owned(&AnswerLabels { call, status: class }))),
            sent_bytes,
            decisions,
            verify_cold: verify.get_or_create_owned(&ColdLabels { cold: "true" }),
            verify_warm: verify.get_or_create_owned(&ColdLabels { cold: "false" }),
            cache: CacheUse::ALL.map(|result| cache.get_or_create_owned(&CacheLabels { result })),
            cache_bytes,
            upstreams,
            trust_expiry,
            known_ends: Mutex::default(),
            stale,
            break_glass,
            policy_kept,
            policy_loaded,
        })
    }

    /// An answer was sent to a call, by [`crate::request::Call::word`]; "other" for what is no call.
    pub fn answered(&self, call: &str, status: StatusCode) {
        let call = CALLS.iter().position(|known| *known == call).unwrap_or(OTHER);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.answered.get(call).and_then(|classes| classes.get(class)) {
            counter.inc();
        }
    }

    /// Bytes of bodies were sent to clients.
    pub fn sent(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }

    /// The counter of a kind of decision. Whoever decides often keeps it.
    #[must_use]
    pub fn decision(&self, decided: &Decided<'_>) -> Counter {
        self.decisions.counter(decided)
    }

    /// A judgement took so long; `cold` where anything had to be fetched for it.
    pub fn verified(&self, took: Duration, cold: bool) {
        let histogram = if cold { &self.verify_cold } else { &self.verify_warm };
        histogram.observe(took.as_secs_f64());
    }

    /// Something was wanted of the cache.
    pub fn cache_used(&self, result: CacheUse) {
        if let Some(counter) =
            CacheUse::ALL.iter().zip(&self.cache).find_map(|(known, counter)| (*known == result).then_some(counter))
        {
            counter.inc();
        }
    }

    /// The cache holds so many bytes.
    pub fn cache_holds(&self, bytes: u64) {
        self.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// What is counted of an upstream, by its registry's name.
    #[must_use]
    pub fn upstream(&self, registry: &str) -> Option<&Arc<UpstreamMetrics>> {
        self.upstreams.get(registry)
    }

    /// What trust rests on ends so, and nothing else does. Names come from the policy and the pins, never from what was fetched.
    pub fn trust_ends(&self, ends: &[TrustEnd]) {
        let Ok(mut known) = self.known_ends.lock() else { return };
        let names: BTreeSet<String> = ends.iter().map(|end| end.name.clone()).collect();
        for name in known.difference(&names) {
            self.trust_expiry.remove(&NameLabels { name: name.clone() });
        }
        for end in ends {
            self.trust_expiry.get_or_create_owned(&NameLabels { name: end.name.clone() }).set(end.at.unix_seconds());
        }
        *known = names;
    }

    /// Something was served although the upstream could not be asked.
    pub fn served_stale(&self) {
        self.stale.inc();
    }

    /// A break-glass token let an image through.
    pub fn broke_glass(&self) {
        self.break_glass.inc();
    }

    /// A policy was read: in force now, or unusable so that the old one stays.
    pub fn policy_read(&self, in_force: bool) {
        if in_force {
            self.policy_loaded.inc()
        } else {
            self.policy_kept.inc()
        };
    }

    /// Everything, in the text format of OpenMetrics 1.0.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// The numbers that the status page shows.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let [hits, misses, coalesced] = self.cache.each_ref().map(Counter::get);
        let by_class = |class: usize| self.answered.iter().filter_map(|classes| classes.get(class)).map(Counter::get).sum();
        Totals {
            answers_ok: by_class(1),
            answers_refused: by_class(3),
            answers_failed: by_class(4),
            cache_hits: hits,
            cache_misses: misses,
            cache_coalesced: coalesced,
            cache_bytes: u64::try_from(self.cache_bytes.get()).unwrap_or_default(),
            sent_bytes: self.sent_bytes.get(),
            stale_served: self.stale.get(),
            break_glass_uses: self.break_glass.get(),
        }
    }
}

/// Numbers since the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Answers with a status from 200.
    pub answers_ok: u64,
    /// Answers with a status from 400.
    pub answers_refused: u64,
    /// Answers with a status from 500.
    pub answers_failed: u64,
    /// What was in the cache.
    pub cache_hits: u64,
    /// What had to be fetched.
    pub cache_misses: u64,
    /// What somebody else was fetching already.
    pub cache_coalesced: u64,
    /// What the cache holds, in bytes.
    pub cache_bytes: u64,
    /// What was sent to clients, in bytes.
    pub sent_bytes: u64,
    /// Answers while the upstream was down.
    pub stale_served: u64,
    /// Images that a break-glass token let through.
    pub break_glass_uses: u64,
}

fn verify_family() -> Family<ColdLabels, Histogram, fn() -> Histogram> {
    Family::new_with_constructor(|| Histogram::new(SECONDS))
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Where "other" is in [`CALLS`].
const OTHER: usize = 2;

#[cfg(test)]
mod tests;
