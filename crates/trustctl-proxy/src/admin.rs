//! The admin address: health, readiness, metrics, and a page on which an operator sees what is decided and why.
//!
//! Everything is read-only and rendered here: no script, no assets of others, nothing from outside unescaped.

mod html;
mod page;
mod status;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use crate::answer::{Answer, full};
use crate::metrics::{MEDIA_TYPE, Metrics};
use crate::observe::Outcome;
use crate::recent::Recent;
use crate::server::{Received, Site};
use crate::upstreams::Upstreams;

pub use status::{Check, PolicyInForce, Report, Status, UpstreamStatus};

/// Who knows what the proxy is doing now.
pub trait Reporter: Send + Sync + 'static {
    /// What is in force now. Called for each look at the page and each question for readiness, and must not wait for the network.
    fn report(&self) -> Report;
}

/// The site of the admin address.
pub struct Admin<R> {
    /// Who knows what is in force.
    pub reporter: R,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The last decisions.
    pub recent: Arc<Recent>,
    /// The registries that are served.
    pub upstreams: Upstreams,
    /// When the program was started.
    pub started: Timestamp,
}

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

impl<R: Reporter> Site for Admin<R> {
    async fn answer(&self, received: Received) -> Answer {
        let mut answer = if received.head.method == Method::GET || received.head.method == Method::HEAD {
            self.page(received.head.uri.path(), received.head.uri.query().unwrap_or_default())
        } else {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "this address is only looked at\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            answer
        };
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CONTENT_SECURITY_POLICY, content_policy());
        answer
    }
}

impl<R: Reporter> Admin<R> {
    fn page(&self, path: &str, query: &str) -> Answer {
        match path {
            "/" => full(StatusCode::OK, HTML, page::render(&self.status(), outcome(query)).into()),
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/metrics" => full(StatusCode::OK, HeaderValue::from_static(MEDIA_TYPE), self.metrics.text().into()),
            "/readyz" => readiness(&self.report()),
            "/status.json" => json_of(StatusCode::OK, serde_json::to_vec(&self.status())),
            _ => text(StatusCode::NOT_FOUND, "here are: /, /status.json, /metrics, /healthz and /readyz\n"),
        }
    }

    /// What is in force, and which upstreams are silent: what was trusted is served all the same, so that is no question of readiness.
    fn report(&self) -> Report {
        let mut report = self.reporter.report();
        let now = Instant::now();
        let silent = self.upstreams.all().iter().filter_map(|upstream| {
            let (registry, silence) = (&upstream.registry, self.metrics.upstream(&upstream.registry)?.silence(now)?);
            let (requests, seconds) = (silence.requests, now.saturating_duration_since(silence.last).as_secs());
            let words = format!(
                "{registry} has answered none of the last {requests} requests, or with an error of its own, the last {seconds} s ago; what was trusted before is served meanwhile"
            );
            Some(Reason::new(Code::Unavailable, words))
        });
        report.notices.extend(silent);
        report
    }

    fn status(&self) -> Status {
        let upstreams = self.upstreams.all().iter().map(|upstream| {
            let (requests, errors) =
                self.metrics.upstream(&upstream.registry).map(|counted| counted.totals()).unwrap_or_default();
            UpstreamStatus { registry: upstream.registry.clone(), requests, errors }
        });
        Status::new(self.report(), self.metrics.totals(), upstreams.collect(), self.recent.all(), (self.started, now()))
    }
}

fn readiness(report: &Report) -> Answer {
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let notices = report.all_notices(now());
    json_of(status, serde_json::to_vec(&json!({ "ready": report.is_ready(), "checks": report.checks, "notices": notices })))
}

fn json_of(status: StatusCode, document: serde_json::Result<Vec<u8>>) -> Answer {
    match document {
        Ok(bytes) => full(status, JSON, bytes.into()),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the status cannot be written as JSON\n"),
    }
}

fn text(status: StatusCode, words: &'static str) -> Answer {
    full(status, TEXT, Bytes::from_static(words.as_bytes()))
}

/// `?outcome=` shows one kind of decision; anything else shows all.
fn outcome(query: &str) -> Option<Outcome> {
    let word = query.split('&').find_map(|pair| pair.strip_prefix("outcome="))?;
    Outcome::ALL.into_iter().find(|outcome| outcome.word() == word)
}

/// Nothing may be loaded or run, and of styles only the one in the page.
fn content_policy() -> HeaderValue {
    let style = STANDARD.encode(Digest::sha256_of(page::STYLE.as_bytes()).as_bytes());
    let policy =
        format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::UNIX_EPOCH.saturating_add(since)
}

#[cfg(test)]
mod tests;
