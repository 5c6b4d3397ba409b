//! A span for each decision, sent to a collector: OpenTelemetry over HTTP, in its JSON form.
//!
//! Source: OTLP specification 1.5, "OTLP/HTTP" and "JSON Protobuf Encoding"; W3C Trace Context, `traceparent`. Written here rather than taken
//! from a library, because what is sent is one kind of span and this program has an HTTP client already (docs/adr/0027).

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use trustctl_core::reason::{Code, Reason};
use trustctl_proxy::observe::{Event, Observer, Outcome};
use trustctl_proxy::server::Notices;
use trustctl_remote::http::origin::Origin;
use trustctl_remote::http::{Http, Method, Request};
use trustctl_remote::limits::Deadline;

use super::super::Session;
use crate::failure::Failure;

/// Spans that may wait. When there are more, they are lost: requests never wait for a collector.
const WAITING: usize = 4096;
/// Most spans of one request to the collector.
const BATCH: usize = 256;
/// The time in which spans are gathered for one request.
const GATHER: Duration = Duration::from_secs(2);
/// The time for one request; a collector that is down must not hold what comes after.
const PATIENCE: Duration = Duration::from_secs(10);
/// The span is of a server that answers, in the enumeration of the format.
const SERVER: u8 = 2;
/// The operation failed, in the enumeration of the format.
const ERROR: u8 = 2;

/// Sends a span for each decision it is told of.
pub(super) struct Traces(Sender<Value>);

/// Traces that are sent.
pub(super) struct Sending {
    /// Who is to be told of decisions.
    pub(super) traces: Arc<Traces>,
    /// Who sends; it ends when nobody can tell anything more, and everything is sent.
    pub(super) task: JoinHandle<()>,
}

impl Traces {
    /// Begins to send to the collector that `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` names; nothing where neither
    /// is set.
    ///
    /// # Errors
    /// [`Code::ConfigUnusable`] for an endpoint that is not an address.
    pub(super) fn start(session: &Session, notices: Notices) -> Result<Option<Sending>, Failure> {
        let variable = |name: &str| std::env::var_os(name);
        let Some(url) = endpoint(variable) else { return Ok(None) };
        let unusable = |error| Failure::new(Reason::new(Code::ConfigUnusable, format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}")));
        let (origin, path) = Origin::parse_url(&url).map_err(unusable)?;
        let service = variable("OTEL_SERVICE_NAME").and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty());
        let collector =
            Collector { http: session.http(), origin, path, service: service.unwrap_or_else(|| "trustctl-proxy".to_owned()) };
        let (spans, waiting) = channel(WAITING);
        let task = tokio::spawn(send_all(collector, waiting, notices));
        Ok(Some(Sending { traces: Arc::new(Self(spans)), task }))
    }
}

impl Observer for Traces {
    fn decided(&self, event: &Event<'_>) {
        // What is lost is lost: the audit log is what must be whole.
        if let Some(span) = span(event, SystemTime::now()) {
            let _ = self.0.try_send(span);
        }
    }
}

/// The address that takes traces, by the variables of the specification ("OpenTelemetry Protocol Exporter", section "Endpoint URLs").
fn endpoint(variable: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
    text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| text("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| format!("{}/v1/traces", base.trim_end_matches('/'))))
}

/// Where spans go.
struct Collector {
    http: Http,
    origin: Origin,
    path: String,
    service: String,
}

async fn send_all(collector: Collector, mut waiting: Receiver<Value>, notices: Notices) {
    let mut is_failing = false;
    while let Some(first) = waiting.recv().await {
        let mut spans = vec![first];
        let end = tokio::time::Instant::now() + GATHER;
        while spans.len() < BATCH {
            match tokio::time::timeout_at(end, waiting.recv()).await {
                Ok(Some(span)) => spans.push(span),
                Ok(None) | Err(_) => break,
            }
        }
        let count = spans.len();
        let sent = collector.send(spans).await;
        if let (Err(reason), false) = (&sent, is_failing) {
            let words = format!("{count} spans did not reach the collector, and more may follow: {}", reason.message);
            notices(&Reason::new(reason.code, words));
        }
        is_failing = sent.is_err();
    }
}

impl Collector {
    async fn send(&self, spans: Vec<Value>) -> Result<(), Reason> {
        let mut request = Request::new(Method::POST, self.origin.clone(), self.path.clone());
        request.body = Some(document(&self.service, spans).to_string().into());
        let request = request.header(CONTENT_TYPE, "application/json");
        let answer = self.http.send(&request, Deadline::after(PATIENCE)).await.map_err(|error| error.reason())?;
        if answer.is_success() {
            return Ok(());
        }
        Err(Reason::new(Code::Unavailable, format!("the collector answered {}", answer.status)))
    }
}

fn document(service: &str, spans: Vec<Value>) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [attribute("service.name", service), attribute("service.version", env!("CARGO_PKG_VERSION"))] },
        "scopeSpans": [{ "scope": { "name": "trustctl.proxy", "version": env!("CARGO_PKG_VERSION") }, "spans": spans }],
    }] })
}

fn attribute(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

/// The span of a decision that was made at `end`; nothing without random numbers for its name.
fn span(event: &Event<'_>, end: SystemTime) -> Option<Value> {
    let mut random = [0; 24];
    trustctl_remote::random::fill(&mut random).ok()?;
    let (own_trace, own) = random.split_at_checked(16)?;
    let parent = event.trace.and_then(parent);
    let nanoseconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    let mut attributes = vec![
        attribute("client.address", &event.client.address.ip().to_string()),
        attribute("trustctl.request_id", &event.id.to_string()),
        attribute("trustctl.repository", &event.repository.to_string()),
        attribute("trustctl.outcome", event.outcome.word()),
    ];
    let more = [
        ("trustctl.tag", event.tag.map(ToString::to_string)),
        ("trustctl.digest", event.digest.map(ToString::to_string)),
        ("trustctl.reason", event.code().map(Code::id)),
        ("trustctl.rule", event.rule.map(str::to_owned)),
        ("trustctl.policy", event.fingerprint.map(ToString::to_string)),
        ("trustctl.evidence_age", event.evidence_age.map(|age| age.as_secs().to_string())),
    ];
    attributes.extend(more.into_iter().filter_map(|(name, value)| value.map(|value| attribute(name, &value))));
    let mut span = json!({
        "traceId": parent.map_or_else(|| hex(own_trace), |(trace, _)| trace.to_owned()),
        "spanId": hex(own),
        "name": format!("proxy.{}", event.call),
        "kind": SERVER,
        "startTimeUnixNano": nanoseconds(end.checked_sub(event.took).unwrap_or(end)),
        "endTimeUnixNano": nanoseconds(end),
        "attributes": attributes,
    });
    let fields = span.as_object_mut()?;
    if let Some((_, parent)) = parent {
        fields.insert("parentSpanId".to_owned(), parent.into());
    }
    if event.outcome == Outcome::Undecided {
        let words = event.reason.map(|reason| reason.message.as_str()).unwrap_or_default();
        fields.insert("status".to_owned(), json!({ "code": ERROR, "message": words }));
    }
    Some(span)
}

/// Trace and span of a `traceparent` of version 00.
fn parent(header: &str) -> Option<(&str, &str)> {
    let mut parts = header.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let named = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_right = version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2) && parts.next().is_none();
    (is_right && named(trace) && named(span)).then_some((trace, span))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]
    use trustctl_core::digest::Digest;
    use trustctl_core::time::Timestamp;
    use trustctl_proxy::server::{Client, RequestId};

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn told(outcome: Outcome, trace: Option<&str>) -> Value {
        let (client, digest) = (Client::new("192.0.2.1:4000".parse().unwrap(), None), Digest::sha256_of(b"image"));
        let (repository, tag) = ("r.example/app".parse().unwrap(), "1".parse().unwrap());
        let reason = Reason::new(Code::Unavailable, "no answer");
        let event = Event {
            at: Timestamp::UNIX_EPOCH,
            client: &client,
            host: None,
            trace,
            id: RequestId::new(1, 1),
            call: "manifest",
            repository: &repository,
            tag: Some(&tag),
            digest: Some(&digest),
            outcome,
            reason: (outcome == Outcome::Undecided).then_some(&reason),
            rule: Some("shop"),
            scheme: None,
            signers: None,
            evidence_age: Some(Duration::from_secs(3)),
            took: Duration::from_millis(5),
            fingerprint: None,
            ruling: None,
        };
        span(&event, SystemTime::UNIX_EPOCH + Duration::from_secs(100)).unwrap()
    }

    #[test]
    fn a_decision_is_a_span_in_the_json_of_the_specification() {
        let span = told(Outcome::Served, None);
        assert_eq!((&span["startTimeUnixNano"], &span["endTimeUnixNano"]), (&"99995000000".into(), &"100000000000".into()));
        assert_eq!((&span["name"], &span["kind"]), (&"proxy.manifest".into(), &2.into()));
        assert_eq!((span["traceId"].as_str().unwrap().len(), span["spanId"].as_str().unwrap().len()), (32, 16));
        assert_eq!((span.get("parentSpanId"), span.get("status")), (None, None));
        let attribute = |name: &str| {
            let all = span["attributes"].as_array().unwrap();
            all.iter().find(|attribute| attribute["key"] == name).map(|attribute| attribute["value"]["stringValue"].clone())
        };
        assert_eq!(attribute("trustctl.outcome"), Some("served".into()));
        assert_eq!(attribute("trustctl.repository"), Some("r.example/app".into()));
        assert_eq!((attribute("client.address"), attribute("trustctl.reason")), (Some("192.0.2.1".into()), None));
        let document = document("proxy", vec![span.clone()]);
        assert_eq!(document["resourceSpans"][0]["scopeSpans"][0]["spans"][0], span);
    }

    #[test]
    fn a_span_goes_on_where_its_caller_is_and_says_what_failed() {
        let span = told(Outcome::Undecided, Some(PARENT));
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
        assert_eq!((&span["status"]["code"], &span["status"]["message"]), (&2.into(), &"no answer".into()));
        for other in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(parent(other), None, "{other}");
        }
    }

    #[test]
    fn the_collector_is_named_by_the_variables_of_the_specification() {
        let of = |pairs: &[(&str, &str)]| {
            endpoint(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/")]).as_deref(), Some("http://c:4318/v1/traces"));
        let both = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/x")];
        assert_eq!(of(&both).as_deref(), Some("http://t/x"));
    }
}
