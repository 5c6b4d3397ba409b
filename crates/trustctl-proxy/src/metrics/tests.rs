#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::time::Instant;

use trustctl_core::claim::SchemeName;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;

use super::upstream::Silence;
use super::*;
use crate::observe::Outcome;
use crate::upstreams::Upstream;

fn metrics() -> Arc<Metrics> {
    Metrics::new(&Upstreams::new(vec![Upstream::new("docker.io"), Upstream::new("ghcr.io")]).unwrap())
}

fn value(text: &str, series: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::to_owned)
}

#[test]
fn what_happens_is_counted_where_it_belongs() {
    let metrics = metrics();
    metrics.answered("manifest", StatusCode::OK);
    metrics.answered("manifest", StatusCode::NOT_MODIFIED);
    metrics.answered("evil\"call", StatusCode::FORBIDDEN);
    metrics.sent(1500);
    metrics.cache_used(CacheUse::Hit);
    metrics.cache_used(CacheUse::Coalesced);
    metrics.cache_holds(7);
    metrics.verified(Duration::from_millis(700), true);
    let hub = metrics.upstream("docker.io").unwrap();
    for status in [Some(200), Some(429), Some(503), None] {
        hub.asked(status, Duration::from_millis(30));
    }
    hub.timed_out(Duration::from_secs(8));
    hub.asked(Some(404), Duration::from_millis(30));
    hub.sent_wrong();
    hub.received(10);
    metrics.trust_ends(&[TrustEnd { name: "gone".to_owned(), at: Timestamp::UNIX_EPOCH }]);
    metrics.trust_ends(&[TrustEnd { name: "corp".to_owned(), at: Timestamp::from_unix_seconds(1_800_000_000).unwrap() }]);
    metrics.served_stale();
    metrics.broke_glass();
    metrics.policy_read(true);
    metrics.policy_read(false);
    let text = metrics.text();
    for (series, expected) in [
        ("answers_total{call=\"manifest\",status=\"2xx\"}", "1"),
        ("answers_total{call=\"manifest\",status=\"3xx\"}", "1"),
        ("answers_total{call=\"other\",status=\"4xx\"}", "1"),
        ("sent_bytes_total", "1500"),
        ("cache_uses_total{result=\"hit\"}", "1"),
        ("cache_uses_total{result=\"miss\"}", "0"),
        ("cache_uses_total{result=\"coalesced\"}", "1"),
        ("cache_size_bytes", "7"),
        ("verify_seconds_bucket{le=\"0.5\",cold=\"true\"}", "0"),
        ("verify_seconds_bucket{le=\"1.0\",cold=\"true\"}", "1"),
        ("verify_seconds_count{cold=\"false\"}", "0"),
        ("upstream_requests_total{upstream=\"docker.io\"}", "6"),
        ("upstream_requests_total{upstream=\"ghcr.io\"}", "0"),
        ("upstream_errors_total{upstream=\"docker.io\",kind=\"throttled\"}", "1"),
        ("upstream_errors_total{upstream=\"docker.io\",kind=\"timeout\"}", "1"),
        ("upstream_errors_total{upstream=\"docker.io\",kind=\"wrong\"}", "1"),
        ("upstream_received_bytes_total{upstream=\"docker.io\"}", "10"),
        ("trust_expiry_timestamp_seconds{name=\"corp\"}", "1800000000"),
        ("stale_served_total", "1"),
        ("break_glass_uses_total", "1"),
        ("policy_loads_total", "1"),
        ("policy_kept_total", "1"),
    ] {
        assert_eq!(value(&text, &format!("trustctl_proxy_{series}")).as_deref(), Some(expected), "{series}\n{text}");
    }
    assert_eq!(hub.totals(), (6, 5));
    let totals = metrics.totals();
    assert_eq!((totals.answers_ok, totals.answers_refused, totals.cache_hits, totals.sent_bytes), (1, 1, 1, 1500));
    assert!(metrics.upstream("evil.example").is_none() && text.ends_with("# EOF\n"));
}

#[test]
fn a_registry_is_silent_while_three_requests_in_a_row_have_just_failed() {
    let endpoint = Some("http://127.0.0.1:5001".to_owned());
    let local = Upstream { endpoint, ..Upstream::new("ghcr.io") };
    let metrics = Metrics::new(&Upstreams::new(vec![Upstream::new("docker.io"), local]).unwrap());
    let (hub, own) = (metrics.upstream("docker.io").unwrap(), ("registry-1.docker.io", "/v2/library/alpine/manifests/1"));
    let begin = Instant::now();
    let after = |seconds| begin + Duration::from_secs(seconds);
    hub.hear(own, false, after(0));
    hub.hear(own, false, after(1));
    assert_eq!(hub.silence(after(1)), None, "two failures are common");
    hub.hear(own, false, after(2));
    assert_eq!(hub.silence(after(61)).unwrap(), Silence { last: after(2), requests: 3 });
    assert_eq!(hub.silence(after(62)), None, "nobody has asked for a minute");
    // Others that answer say nothing of it.
    for (server, path) in [
        ("auth.docker.io", "/token"),
        ("notary.docker.io", "/v2/docker.io/library/alpine/_trust/tuf/root.json"),
        ("storage.example", "/v2/blob"),
        ("registry-1.docker.io", "/token"),
    ] {
        hub.hear((server, path), true, after(3));
    }
    hub.hear(own, false, after(63));
    assert_eq!(hub.silence(after(64)).unwrap().requests, 4);
    hub.hear(own, true, after(65));
    assert_eq!(hub.silence(after(65)), None, "it answers");
    for second in 0..3 {
        hub.hear(("auth.docker.io", "/v2/"), false, after(second));
    }
    assert_eq!(hub.silence(after(3)), None, "a token server is not the registry");

    let ghcr = metrics.upstream("ghcr.io").unwrap();
    for second in 0..3 {
        ghcr.hear(("127.0.0.1:5001", "/v2/"), false, after(second));
    }
    assert!(ghcr.silence(after(3)).is_some(), "it is served elsewhere");
}

#[test]
fn decisions_have_few_series_however_many_rules_come() {
    let metrics = metrics();
    let refused = |rule: &str| {
        metrics.decision(&Decided {
            outcome: Outcome::Refused,
            rule: Some(rule),
            scheme: Some(SchemeName::Dct),
            reason: Some(Code::DctTagMoved),
        })
    };
    let kept = refused("say \"no\"\\");
    kept.inc();
    refused("say \"no\"\\").inc();
    for number in 0..1000 {
        refused(&number.to_string()).inc();
    }
    metrics.decision(&Decided { outcome: Outcome::Served, rule: None, scheme: None, reason: None }).inc();
    let text = metrics.text();
    let code = Code::DctTagMoved.id();
    let series = |rule: &str| {
        format!("trustctl_proxy_decisions_total{{result=\"refused\",rule=\"{rule}\",scheme=\"dct\",reason=\"{code}\"}}")
    };
    assert_eq!(value(&text, &series("say \\\"no\\\"\\\\")).as_deref(), Some("2"), "{text}");
    assert_eq!(value(&text, &series("(others)")).as_deref(), Some("745"));
    assert_eq!(text.lines().filter(|line| line.starts_with("trustctl_proxy_decisions_total{")).count(), 258);
    let served = "trustctl_proxy_decisions_total{result=\"served\",rule=\"\",scheme=\"\",reason=\"\"}";
    assert_eq!(value(&text, served).as_deref(), Some("1"));
}
