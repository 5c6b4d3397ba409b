#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap or index fails the test")]

use std::net::SocketAddr;

use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde_json::Value;
use trustctl_core::reason::{Code, Reason};

use super::*;
use crate::config::{Limits, Listen};
use crate::recent::Decision;
use crate::server::{Client, RequestId, Server};
use crate::trust::TrustEnd;
use crate::upstreams::Upstream;

/// A text that would be markup, an attribute's end and a control character if it were not escaped.
const HOSTILE: &str = "<script>alert('x')</script>\" onload=\"y\" & \u{1b}[31m";

struct Told(Report);

impl Reporter for Told {
    fn report(&self) -> Report {
        self.0.clone()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn decision(outcome: Outcome, reason: Option<Reason>) -> Decision {
    Decision {
        at: at(1_764_000_000),
        request: "00000abc0000001f".to_owned(),
        client: HOSTILE.to_owned(),
        image: format!("docker.io/library/{HOSTILE}"),
        digest: Some(Digest::sha256_of(b"image")),
        outcome,
        rule: Some(HOSTILE.to_owned()),
        signers: vec![HOSTILE.to_owned()],
        reason,
        took_ms: 12,
        times: 0,
    }
}

fn admin(problem: Option<&str>) -> Admin<Told> {
    let upstreams = Upstreams::new(vec![Upstream::new("docker.io")]).unwrap();
    let metrics = Metrics::new(&upstreams);
    metrics.upstream("docker.io").unwrap().asked(Some(200), std::time::Duration::ZERO);
    let recent = Recent::default();
    recent.keep(decision(Outcome::Refused, Some(Reason::new(Code::DctTagMoved, HOSTILE))));
    recent.keep(decision(Outcome::Served, None));
    let report = Report {
        checks: vec![Check { name: "policy", problem: None }, Check { name: "store", problem: problem.map(str::to_owned) }],
        policy: PolicyInForce { file: HOSTILE.to_owned(), fingerprint: HOSTILE.to_owned(), since: at(1_764_000_000) },
        trust: vec![
            TrustEnd { name: "late".to_owned(), at: now().saturating_add(std::time::Duration::from_secs(86_400 * 400)) },
            TrustEnd { name: HOSTILE.to_owned(), at: now().saturating_add(std::time::Duration::from_secs(86_400 * 3)) },
            TrustEnd { name: "gone".to_owned(), at: at(1_700_000_000) },
        ],
        notices: vec![Reason::new(Code::ProxyPlain, HOSTILE)],
    };
    Admin { reporter: Told(report), metrics, recent: Arc::new(recent), upstreams, started: at(1_764_000_000) }
}

async fn get(admin: &Admin<Told>, target: &str) -> (StatusCode, http::HeaderMap, String) {
    asked(admin, Method::GET, target).await
}

async fn asked(admin: &Admin<Told>, method: Method, target: &str) -> (StatusCode, http::HeaderMap, String) {
    let (head, ()) = Request::builder().method(method).uri(target).body(()).unwrap().into_parts();
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let received = Received { head, client: Arc::new(Client::new(address, None)), id: RequestId::new(1, 1) };
    let (parts, body) = admin.answer(received).await.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn nothing_from_outside_becomes_markup() {
    let (status, headers, page) = get(&admin(Some(HOSTILE)), "/").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(!page.contains("<script") && !page.contains("onload=\""), "{page}");
    // Image, client, rule, reason, signer, trust material, notice, policy's file and fingerprint, and the problem.
    assert!(
        page.matches("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;y&quot; &amp;").count() >= 10,
        "{page}"
    );
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(headers[X_CONTENT_TYPE_OPTIONS] == "nosniff" && headers[CACHE_CONTROL] == "no-store");
}

#[tokio::test]
async fn the_page_needs_nothing_but_itself_and_its_style_has_the_hash_that_is_allowed() {
    let (_, headers, page) = get(&admin(None), "/").await;
    for loads in ["src=", "url(", "@import", "<link", "<script", "<iframe", "<form", "style=\""] {
        assert!(!page.contains(loads), "{loads}");
    }
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = STANDARD.encode(Digest::sha256_of(style.as_bytes()).as_bytes());
    assert!(headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains(&format!("'sha256-{hash}'")));
    assert!(page.contains(">ready<") && page.contains("has ended") && page.contains(" days</span>"), "{page}");
    assert_eq!(page.matches("<tr>").count() - page.matches("<thead><tr>").count(), 2 + 3 + 1, "decisions, trust, upstreams");
}

#[tokio::test]
async fn one_kind_of_decision_can_be_shown() {
    let admin = admin(None);
    let rows = async |query: &str| get(&admin, &format!("/{query}")).await.2.matches("<td class=\"image\">").count();
    for (query, count) in [("", 2), ("?outcome=refused", 1), ("?outcome=stale", 0), ("?outcome=%3Cscript%3E", 2), ("?x", 2)] {
        assert_eq!(rows(query).await, count, "{query}");
    }
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let (status, headers, ready) = get(&admin(None), "/readyz").await;
    assert_eq!((status.as_u16(), &headers[CONTENT_TYPE]), (200, &HeaderValue::from_static("application/json")));
    assert_eq!(serde_json::from_str::<Value>(&ready).unwrap()["ready"], true);
    let broken = admin(Some("it is locked by another process"));
    let (status, _, ready) = get(&broken, "/readyz").await;
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((status.as_u16(), &ready["ready"]), (503, &Value::Bool(false)));
    assert_eq!(ready["checks"][1], json!({ "name": "store", "problem": "it is locked by another process" }));
    assert!(get(&broken, "/").await.2.contains("not ready</span>"));
    assert_eq!(get(&broken, "/healthz").await.0, StatusCode::OK, "a process that is not ready lives");
}

#[tokio::test]
async fn the_status_is_there_as_json() {
    let (_, _, text) = get(&admin(None), "/status.json").await;
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["schema"], "trustctl/proxy-status/v1");
    let names: Vec<&str> = status["trust"].as_array().unwrap().iter().map(|end| end["name"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[2]), ("gone", "late"), "the first end first");
    let decision = &status["decisions"][1];
    assert_eq!(
        (decision["outcome"].as_str(), decision["reason"]["code"].as_str()),
        (Some("refused"), Some(&*Code::DctTagMoved.id()))
    );
    assert_eq!(status["upstreams"][0], json!({ "registry": "docker.io", "requests": 1, "errors": 0 }));
}

#[tokio::test]
async fn every_field_of_the_status_is_in_the_reference() {
    let page = include_str!("../../../../docs/reference/metrics.md");
    let (_, _, text) = get(&admin(Some("locked")), "/status.json").await;
    let status: Value = serde_json::from_str(&text).unwrap();
    let mut missing = Vec::new();
    for (name, value) in status.as_object().unwrap() {
        let inside = value.as_array().map_or(value, |list| &list[list.len() - 1]);
        let inside = if name == "notices" { None } else { inside.as_object() };
        let fields = inside.into_iter().flatten().map(|(name, _)| name.as_str());
        missing.extend(
            fields
                .chain([name.as_str()])
                .filter(|name| !page.contains(&format!("`{name}`")) && !page.contains(&format!("`{name}[]`"))),
        );
    }
    assert!(missing.is_empty(), "docs/reference/metrics.md does not name {missing:?}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let admin = admin(None);
    let (status, _, metrics) = get(&admin, "/metrics").await;
    assert!(status == StatusCode::OK && metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(get(&admin, "/v2/").await.0, StatusCode::NOT_FOUND);
    for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
        let (status, headers, _) = asked(&admin, method, "/").await;
        assert_eq!((status, &headers[ALLOW]), (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("GET, HEAD")));
    }
}

#[tokio::test]
async fn it_is_served_like_every_site() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listen = Listen { address: "127.0.0.1:0".parse().unwrap(), tls: None };
    let server = Server::bind(&[listen], Limits::default()).await.unwrap();
    let address = server.addresses()[0];
    let serving = tokio::spawn(server.run(Arc::new(admin(None)), Arc::new(|_| {}), std::future::pending()));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("content-security-policy: default-src 'none'"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "no body: {answer}");
    serving.abort();
}
