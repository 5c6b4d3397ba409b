//! What operators see: the audit log, metrics, health, the page.

use std::fs;

use serde_json::Value;
use trustctl_tests::http::{Request, Response};
use trustctl_tests::process::free_port;

use crate::stage::{Setup, Stage};

fn ask(port: u16, path: &str) -> Response {
    Request::new("GET", path).send(&format!("127.0.0.1:{port}")).unwrap()
}

fn text(answer: &Response) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn every_decision_is_in_a_log_that_shows_alterations() {
    let mut stage = Stage::new(&Setup::default());
    stage.get("shop/cart/manifests/1");
    stage.get("shop/new/manifests/1");
    // The proxy writes everything down before it ends.
    stage.stop();
    let log = stage.home.path().join("state/audit.log");
    let lines: Vec<Value> = fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |outcome: &str| lines.iter().filter(|line| line["outcome"] == outcome).cloned().collect::<Vec<_>>();
    let (served, refused) = (of("served"), of("refused"));
    assert_eq!((served.len(), refused.len()), (1, 1), "{lines:#?}");
    assert_eq!(served[0]["tag"], "1");
    assert_eq!((&refused[0]["code"], &refused[0]["rule"]), (&"TC0301".into(), &"shop".into()), "{refused:#?}");
    assert!(refused[0]["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    let report = stage.done(&["proxy", "audit", "verify", "state/audit.log"]);
    assert_eq!(report["lines"], lines.len(), "{report:#}");
    let tail = stage.user().run(&["proxy", "audit", "tail", "state/audit.log", "--lines", "1"]).unwrap();
    assert_eq!(tail.stdout.trim_end().lines().count(), 1, "{}", tail.stdout);
    let altered = fs::read_to_string(&log).unwrap().replacen("\"served\"", "\"refused\"", 1);
    fs::write(&log, altered).unwrap();
    let (report, exit) = stage.user().json(&["proxy", "audit", "verify", "state/audit.log"]).unwrap();
    assert_eq!((exit, &report["error"]["code"]), (Some(1), &"TC0646".into()), "{report:#}");
}

#[test]
fn the_admin_address_tells_health_numbers_and_reasons() {
    let port = free_port().unwrap();
    let more: &'static str = Box::leak(format!("[admin]\naddress = \"127.0.0.1:{port}\"").into_boxed_str());
    let stage = Stage::new(&Setup { more, ..Setup::default() });
    stage.get("shop/cart/manifests/1");
    stage.get("shop/new/manifests/1");
    assert_eq!((ask(port, "/healthz").status, ask(port, "/readyz").status), (200, 200));
    let metrics = text(&ask(port, "/metrics"));
    assert!(metrics.lines().any(|line| line.contains("decisions") && line.contains("TC0301")), "{metrics}");
    let status: Value = serde_json::from_slice(&ask(port, "/status.json").body).unwrap();
    assert_eq!(status["ready"], true, "{status:#}");
    assert_eq!(status["decisions"][0]["outcome"], "refused", "{status:#}");
    let page = ask(port, "/");
    assert!(text(&page).contains("TC0301") && text(&page).contains("shop/new"), "{}", text(&page));
    assert!(page.headers.first("Content-Security-Policy").unwrap().starts_with("default-src 'none'"));
    let before = status["policy"]["fingerprint"].clone();
    stage.write("policy.toml", "nonsense");
    let begin = std::time::Instant::now();
    loop {
        let status: Value = serde_json::from_slice(&ask(port, "/status.json").body).unwrap();
        if status["notices"].to_string().contains("TC0701") {
            assert_eq!(status["policy"]["fingerprint"], before, "the policy before it stays in force");
            break;
        }
        assert!(begin.elapsed() < std::time::Duration::from_secs(10), "{status:#}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn check_judges_as_the_proxy_does() {
    let mut stage = Stage::new(&Setup::default());
    stage.stop();
    let config = ["proxy", "check", "--config", "proxy.toml"];
    assert_eq!(stage.done(&config)["exit"], 0);
    let cart = stage.world.name("shop/cart:1");
    let report = stage.done(&[&config[..], &[cart.as_str()]].concat());
    assert_eq!((&report["image"]["verdict"], &report["image"]["rule"]), (&"trusted".into(), &"shop".into()), "{report:#}");
    let new = stage.world.name("shop/new:1");
    let (report, exit) = stage.user().json(&[&config[..], &[new.as_str()]].concat()).unwrap();
    assert_eq!((exit, &report["image"]["reasons"][0]["code"]), (Some(3), &"TC0301".into()), "{report:#}");
    stage.write("proxy.toml", "version = 1\nnonsense = 1\n");
    let (report, exit) = stage.user().json(&config).unwrap();
    assert_eq!(exit, Some(7), "{report:#}");
}
