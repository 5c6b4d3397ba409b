//! What operators see: the audit log, metrics, health, the page.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trustctl_lab::image::Artifact;
use trustctl_tests::http::{Request, Response};
use trustctl_tests::process::free_port;

use crate::stage::{Setup, Stage, refused, undecided};

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
    assert!(served[0]["signers"][0].as_str().unwrap().starts_with("cosign key "), "{served:#?}");
    assert!(served[0]["evidence_age"].as_u64().unwrap() < 60 && served[0]["took_us"].as_u64().unwrap() > 0, "{served:#?}");
    assert!(served[0]["host"].as_str().unwrap().starts_with("127.0.0.1"), "{served:#?}");
    assert_eq!(refused[0].get("signers"), None, "nobody's signature counted");
    assert_eq!((&refused[0]["code"], &refused[0]["rule"]), (&"TC0301".into(), &"shop".into()), "{refused:#?}");
    assert!(refused[0]["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    let report = stage.done(&["proxy", "audit", "verify", "state/audit.log"]);
    assert_eq!(report["lines"], lines.len(), "{report:#}");
    let tail = |words: &[&str]| stage.user().run(&[&["proxy", "audit", "tail"], words].concat()).unwrap().stdout;
    let line = tail(&["state/audit.log", "--lines", "1"]);
    let image = stage.world.name("shop/new:1");
    let parts: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(parts[1..7], ["refused", "TC0301", &image, "rule", "shop", "from"], "{line}");
    assert_eq!((line.lines().count(), parts[0]), (1, refused[0]["time"].as_str().unwrap()), "{line}");
    assert_eq!(tail(&["--config", "proxy.toml", "--lines", "1"]), line, "the configuration names the log");
    let report = stage.done(&["proxy", "audit", "tail", "--config", "proxy.toml", "--lines", "1"]);
    assert_eq!(report["entries"], Value::Array(refused.clone()), "JSON has all that is recorded");
    assert_eq!(stage.done(&["proxy", "audit", "verify", "--config", "proxy.toml"])["lines"], lines.len());
    for words in [&["proxy", "audit", "tail"][..], &["proxy", "audit", "verify", "state/audit.log", "--config", "proxy.toml"]] {
        assert_eq!(stage.user().json(words).unwrap().1, Some(2), "{words:?}: one of both");
    }
    let whole = fs::read_to_string(&log).unwrap();
    let verified = |text: &str, words: &[&str]| {
        fs::write(&log, text).unwrap();
        let (report, exit) = stage.user().json(&[&["proxy", "audit", "verify", "state/audit.log"], words].concat()).unwrap();
        (exit.unwrap(), report["error"]["code"].as_str().map(str::to_owned), report)
    };
    let (first, rest) = whole.split_once('\n').unwrap();
    let hash = trustctl_core::digest::Digest::sha256_of(first.as_bytes()).hex();
    let (exit, code, report) = verified(rest, &[]);
    assert_eq!((exit, code.as_deref()), (1, Some("TC0646")), "the first line is gone: {report:#}");
    assert!(report["error"]["next"].to_string().contains("--from") && !report.to_string().contains(&hash), "{report:#}");
    let (exit, _, report) = verified(rest, &["--from", &hash]);
    assert_eq!((exit, &report["first"], &report["after"]), (0, &2.into(), &hash.clone().into()), "it was put away: {report:#}");
    let (exit, code, report) = verified(&whole, &["--from", &hash]);
    assert_eq!((exit, code.as_deref()), (1, Some("TC0646")), "another beginning: {report:#}");
    assert_eq!(verified(&whole, &["--from", "first"]).0, 2);
    let (exit, code, report) = verified(&format!("{whole}{{\"seq\":"), &[]);
    assert_eq!((exit, code.as_deref()), (4, Some("TC0647")), "half a line: {report:#}");
    let (exit, code, report) = verified("", &[]);
    assert_eq!((exit, code.as_deref()), (7, Some("TC0645")), "nothing to verify: {report:#}");
    let (exit, code, _) = verified(&whole, &[]);
    assert_eq!((exit, code), (0, None));
    let altered = whole.replacen("\"served\"", "\"refused\"", 1);
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

/// The value of a series of metrics, by the beginning of its name.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(series) && !line.starts_with('#'));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn what_the_proxy_does_is_counted() {
    let port = free_port().unwrap();
    let more: &'static str = Box::leak(format!("[admin]\naddress = \"127.0.0.1:{port}\"").into_boxed_str());
    let stage = Stage::new(&Setup { more, ..Setup::default() });
    let index = stage.get("shop/cart/manifests/1");
    let index: Value = serde_json::from_slice(&index.body).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest: Value = serde_json::from_slice(&stage.get(&format!("shop/cart/manifests/{child}")).body).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(stage.get(&format!("shop/cart/blobs/{layer}")).status, 200);
    }
    stage.get("shop/new/manifests/1");
    let metrics = text(&ask(port, "/metrics"));
    let at_least = |series: &str, least: f64| assert!(value(&metrics, series) >= least, "{series}: {metrics}");
    at_least("trustctl_proxy_answers_total{call=\"manifest\",status=\"2xx\"}", 2.0);
    at_least("trustctl_proxy_answers_total{call=\"manifest\",status=\"4xx\"}", 1.0);
    at_least("trustctl_proxy_verify_seconds_count{cold=\"true\"}", 2.0);
    at_least("trustctl_proxy_cache_uses_total{result=\"miss\"}", 1.0);
    at_least("trustctl_proxy_cache_uses_total{result=\"hit\"}", 1.0);
    let upstream = format!("{{upstream=\"{}\"}}", stage.host());
    at_least(&format!("trustctl_proxy_upstream_requests_total{upstream}"), 4.0);
    at_least(&format!("trustctl_proxy_upstream_received_bytes_total{upstream}"), 100.0);
    at_least(&format!("trustctl_proxy_upstream_answer_seconds_count{upstream}"), 4.0);
    at_least("trustctl_proxy_sent_bytes_total", 100.0);
    at_least("trustctl_proxy_policy_loads_total", 1.0);
    assert!(metrics.contains("result=\"served\",rule=\"shop\",scheme=\"cosign\""), "{metrics}");
}

#[test]
fn what_ends_soon_is_told_by_page_readiness_and_metrics() {
    let port = free_port().unwrap();
    let more: &'static str = Box::leak(format!("[admin]\naddress = \"127.0.0.1:{port}\"").into_boxed_str());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let soon = trustctl_core::time::Timestamp::UNIX_EPOCH.saturating_add(now + std::time::Duration::from_secs(3 * 86_400));
    let allow = |name: &str, until: &str| {
        format!(
            "[[allow]]\nimages = [\"r.example/{name}\"]\ndigest = \"sha256:{}\"\nreason = \"x\"\nuntil = {until}\n",
            "a".repeat(64)
        )
    };
    let policy = format!("{}{}{}", crate::stage::SIGNED, allow("soon", &soon.date().to_string()), allow("late", "2099-01-01"));
    let stage = Stage::new(&Setup { more, policy: Box::leak(policy.into_boxed_str()), ..Setup::default() });
    let ready = ask(port, "/readyz");
    let notices = text(&ready);
    assert_eq!(ready.status, 200, "what ends soon keeps nobody from being served: {notices}");
    assert!(
        notices.contains("TC0659") && notices.contains("leave for r.example/soon") && !notices.contains("r.example/late"),
        "{notices}"
    );
    let status: Value = serde_json::from_slice(&ask(port, "/status.json").body).unwrap();
    assert_eq!(status["trust"].as_array().unwrap().len(), 2, "{status:#}");
    assert!(text(&ask(port, "/")).contains("leave for r.example/soon"));
    let begin = std::time::Instant::now();
    while !text(&ask(port, "/metrics")).contains("trust_expiry_timestamp_seconds{name=\"leave for r.example/late") {
        assert!(begin.elapsed() < std::time::Duration::from_secs(10));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(stage);
}

#[test]
fn refusals_lead_to_the_operator_s_page_where_there_is_one() {
    let message = |setup: &Setup| {
        let stage = Stage::new(setup);
        let answer = stage.get("shop/new/manifests/1");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let (error, detail) = (&body["errors"][0], &body["errors"][0]["detail"]);
        assert_eq!((&detail["reason"], &detail["rule"]), (&"TC0301".into(), &"shop".into()), "{body:#}");
        let message = error["message"].as_str().unwrap().to_owned();
        let image =
            format!("TC0301: {}: no signature was found (rule shop); next: ask the publisher", stage.world.name("shop/new:1"));
        assert!(message.starts_with(&image) && message.contains(detail["link"].as_str().unwrap()), "{message}");
        assert!(!message.contains("policy.toml"), "whoever pulls has no use for where the policy is: {message}");
        message
    };
    assert!(
        message(&Setup { top: "help = \"https://wiki.example/images\"", ..Setup::default() })
            .contains("https://wiki.example/images")
    );
    assert!(message(&Setup::default()).contains("reasons.md#tc0301"));
}

#[test]
fn check_judges_as_the_proxy_does() {
    let mut stage = Stage::new(&Setup { upstream: "canary = \"shop/canary\"", ..Setup::default() });
    let canary = stage.push("shop/canary:1", &Artifact::image("canary"));
    stage.sign("shop/canary:1");
    let proxy = stage.proxy.as_ref().unwrap().address();
    let refusal: Value = serde_json::from_slice(&stage.get("shop/new/manifests/1").body).unwrap();
    stage.stop();
    let config = ["proxy", "check", "--config", "proxy.toml"];
    assert_eq!(stage.done(&config)["exit"], 0);
    let asked = |image: &str| {
        let (report, exit) = stage.user().json(&[&config[..], &[image]].concat()).unwrap();
        (report["image"].clone(), exit.unwrap())
    };
    // By the name that policies speak of, and as a client asks the proxy for it.
    for host in [stage.host(), proxy.clone()] {
        let (cart, exit) = asked(&format!("{host}/shop/cart:1"));
        assert_eq!((exit, &cart["verdict"], &cart["outcome"]), (0, &"trusted".into(), &"served".into()), "{cart:#}");
        assert_eq!((&cart["tag"], &cart["rule"], &cart["status"]), (&"1".into(), &"shop".into(), &200.into()), "{cart:#}");
        let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
        assert_eq!(cart["digest"], digest, "{cart:#}");
        assert_eq!(cart["image"], format!("{}@{digest}", stage.world.name("shop/cart:1")), "{cart:#}");
        assert!(cart["signers"][0].as_str().unwrap().starts_with("cosign key "), "{cart:#}");
        let (new, exit) = asked(&format!("{host}/shop/new:1"));
        assert_eq!((exit, &new["outcome"], &new["status"]), (3, &"refused".into(), &403.into()), "{new:#}");
        let told = new["reasons"][0]["message"].as_str().unwrap().replace("policy.toml:", "the policy, line ");
        assert_eq!(told, refusal["errors"][0]["detail"]["message"], "the reason that the proxy gave");
        let (refused, exit) = asked(&format!("{host}/shop/canary:1"));
        assert_eq!(
            (exit, &refused["outcome"], &refused["digest"]),
            (1, &"refused".into(), &canary.clone().into()),
            "{refused:#}"
        );
        assert_eq!((&refused["verdict"], &refused["reasons"][0]["code"]), (&Value::Null, &"TC0655".into()), "{refused:#}");
        let (none, exit) = asked(&format!("{host}/shop/cart:none"));
        assert_eq!((exit, &none["outcome"]), (6, &"not-found".into()), "{none:#}");
        assert_eq!(none["reasons"][0]["code"], "TC0102", "{none:#}");
        let said = none["reasons"][0]["message"].as_str().unwrap();
        assert!(said.starts_with(&stage.world.name("shop/cart:none")), "{none:#}");
    }
    let text = stage.user().run(&[&config[..], &[&format!("{proxy}/shop/cart:1")]].concat()).unwrap();
    let named = format!("name: {proxy}/shop/cart:1 is {} to the policy", stage.world.name("shop/cart"));
    assert!(text.stdout.contains("served: ") && text.stderr.contains(&named) && text.stderr.contains("rule: shop"), "{text:?}");
    let (report, exit) = stage.user().json(&[&config[..], &["elsewhere.example/shop/cart:1"]].concat()).unwrap();
    assert_eq!((exit, &report["error"]["code"]), (Some(6), &"TC0602".into()), "{report:#}");
    stage.write("proxy.toml", "version = 1\nnonsense = 1\n");
    let (report, exit) = stage.user().json(&config).unwrap();
    assert_eq!(exit, Some(7), "{report:#}");
}

#[test]
fn checks_say_that_a_mode_has_ended() {
    let stage = Stage::without_proxy(trustctl_lab::world::WorldOptions::default());
    let config = "version = 1\npolicy = \"policy.toml\"\nstate = \"state\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
                  [[upstreams]]\nregistry = \"r.example\"\ndefault = true\n";
    stage.write("proxy.toml", config);
    let signed = crate::stage::SIGNED.replace("HOST", "r.example");
    for (mode, told) in [
        ("", None),
        ("mode = \"audit\"\nuntil = 2099-01-01\n", None),
        ("mode = \"audit\"\nuntil = 2026-01-31\n", Some("mode of rule shop ended at 2026-01-31T23:59:59Z")),
        ("mode = \"warn\"\nuntil = 2026-01-31\n", Some("mode of rule shop ended at 2026-01-31T23:59:59Z")),
    ] {
        stage.write("policy.toml", &format!("{signed}{mode}"));
        for words in [&["policy", "check", "policy.toml"][..], &["proxy", "check", "--config", "proxy.toml"]] {
            let report = stage.done(words);
            let warnings = report["warnings"].as_array().unwrap();
            let ended = warnings.iter().find(|warning| warning["code"] == "TC0659");
            assert_eq!(ended.map(|ended| ended["message"].as_str().unwrap()), told, "{report:#}");
            let text = stage.user().run(words).unwrap();
            assert_eq!((text.code, text.stderr.contains("warning[TC0659]")), (Some(0), told.is_some()), "{text:?}");
        }
    }
}

/// Every file and folder below one, with the bytes of files.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
            found.insert(path, None);
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, Some(bytes));
        }
    }
    found
}

/// Whoever checks may be another user: what that user wrote, the proxy could not read.
#[test]
fn check_leaves_the_state_folder_as_it_is_and_the_proxy_remembers() {
    let mut stage = Stage::new(&Setup::default());
    stage.push("shop/old:1", &Artifact::image("old"));
    stage.sign("shop/old:1");
    stage.revoke("shop/old:1");
    stage.stop();
    let state = stage.home.path().join("state");
    let image = stage.world.name("shop/old:1");
    let check = |stage: &Stage| {
        let (report, exit) = stage.user().json(&["proxy", "check", "--config", "proxy.toml", &image]).unwrap();
        assert_eq!((exit, &report["image"]["reasons"][0]["code"]), (Some(1), &"TC0309".into()), "{report:#}");
    };
    let before = contents(&state);
    assert!(!state.join("memory").exists(), "nothing was learnt yet");
    check(&stage);
    assert_eq!(contents(&state), before);
    stage.start(&Setup::default());
    refused(&stage.get("shop/old/manifests/1"), "TC0309");
    stage.stop();
    let after = contents(&state);
    assert!(after.keys().any(|path| path.starts_with(state.join("memory")) && path.extension().is_some()), "{:?}", after.keys());
    check(&stage);
    assert_eq!(contents(&state), after);
    fs::remove_dir_all(&state).unwrap();
    check(&stage);
    assert!(!state.exists(), "nothing is created");
}

#[test]
fn whoever_pulls_is_not_told_where_the_proxy_keeps_its_files() {
    let mut stage = Stage::new(&Setup::default());
    let memory = stage.home.path().join("state/memory");
    fs::create_dir_all(&memory).unwrap();
    fs::set_permissions(&memory, fs::Permissions::from_mode(0o777)).unwrap();
    let answer = stage.get("shop/cart/manifests/1");
    undecided(&answer, "TC0713");
    assert!(!text(&answer).contains("state/memory"), "{}", text(&answer));
    stage.stop();
    let log = fs::read_to_string(stage.home.path().join("state/audit.log")).unwrap();
    assert!(log.lines().any(|line| line.contains("TC0713") && line.contains("state/memory can be")), "operators are: {log}");
}

#[test]
fn check_refuses_a_certificate_that_run_would_refuse() {
    let stage = Stage::new(&Setup::default());
    let config = fs::read_to_string(stage.home.path().join("proxy.toml")).unwrap();
    let tls = config.replacen("[[listen]]\n", "[[listen]]\ncertificate = \"no.crt\"\nkey = \"no.key\"\n", 1);
    assert_ne!(tls, config);
    stage.write("tls.toml", &tls);
    let (report, exit) = stage.user().json(&["proxy", "check", "--config", "tls.toml"]).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0606")), "{report:#}");
    let (_, exit) = stage.user().json(&["proxy", "check", "--config", "proxy.toml"]).unwrap();
    assert_eq!(exit, Some(0));
}
