//! The status page of the proxy in a real browser: what is hostile stays text, the style is applied, and nothing else is asked for.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;
use trustctl_proxy::admin::{Admin, Check, PolicyInForce, Report, Reporter};
use trustctl_proxy::answer::Answer;
use trustctl_proxy::config::{Limits, Listen};
use trustctl_proxy::metrics::{CacheUse, Decided, Metrics};
use trustctl_proxy::observe::Outcome;
use trustctl_proxy::recent::{Decision, Recent};
use trustctl_proxy::server::{Received, Server, Site};
use trustctl_proxy::trust::TrustEnd;
use trustctl_proxy::upstreams::{Upstream, Upstreams};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::{Ran, run};

/// Runs in a page that does not escape it.
const HOSTILE: &str = "registry.example/<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

struct Told;

impl Reporter for Told {
    fn report(&self) -> Report {
        let since = Timestamp::from_unix_seconds(1_764_300_000).unwrap();
        Report {
            checks: vec![Check { name: "policy", problem: None }, Check { name: "store", problem: None }],
            policy: PolicyInForce { file: "/etc/trustctl/policy.toml".to_owned(), fingerprint: "9f2c51aa".to_owned(), since },
            trust: vec![
                TrustEnd { name: "corp (Sigstore)".to_owned(), at: since.saturating_add(Duration::from_secs(86_400 * 9)) },
                TrustEnd { name: "registry.example/shop (DCT timestamp)".to_owned(), at: since },
            ],
            notices: vec![Reason::new(Code::ProxyPlain, "0.0.0.0:5000 is served without TLS")],
        }
    }
}

/// The admin site, with a note of every path that is asked for.
struct Noted(Admin<Told>, Mutex<Vec<String>>);

impl Site for Noted {
    async fn answer(&self, received: Received) -> Answer {
        self.1.lock().unwrap().push(received.head.uri.to_string());
        self.0.answer(received).await
    }
}

fn decision(outcome: Outcome, image: &str, reason: Option<Reason>) -> Decision {
    Decision {
        at: Timestamp::from_unix_seconds(1_764_355_000).unwrap(),
        request: "00000abc0000001f".to_owned(),
        client: "10.0.3.17".to_owned(),
        image: image.to_owned(),
        digest: Some(Digest::sha256_of(image.as_bytes())),
        outcome,
        rule: Some("shop".to_owned()),
        signers: if reason.is_none() { vec!["release".to_owned()] } else { Vec::new() },
        reason,
        took_ms: 412,
        times: 0,
    }
}

fn site() -> Noted {
    let upstreams = Upstreams::new(vec![Upstream::new("docker.io"), Upstream::new("registry.example")]).unwrap();
    let (metrics, recent) = (Metrics::new(&upstreams), Recent::default());
    metrics.answered("manifest", http::StatusCode::OK);
    metrics.cache_used(CacheUse::Hit);
    metrics.cache_holds(3 << 30);
    metrics.decision(&Decided { outcome: Outcome::Served, rule: Some("shop"), scheme: None, reason: None }).inc();
    let moved = Reason::new(Code::DctTagMoved, "the signed digest of 1.4 is another one than the registry serves");
    recent.keep(decision(Outcome::Refused, "registry.example/shop/cart:1.4", Some(moved)));
    recent.keep(decision(Outcome::Served, "docker.io/library/alpine:3.20", None));
    let slow = Reason::new(Code::Unavailable, "the registry does not answer");
    recent.keep(decision(Outcome::Undecided, "registry.example/shop/web:2", Some(slow)));
    recent.keep(decision(Outcome::Refused, HOSTILE, Some(Reason::new(Code::PolicyNoRule, HOSTILE))));
    let started = Timestamp::from_unix_seconds(1_764_300_000).unwrap();
    let admin = Admin { reporter: Told, metrics, recent: Arc::new(recent), upstreams, started };
    Noted(admin, Mutex::default())
}

/// A browser that reaches nothing but 127.0.0.1.
fn browse(browser: &Program, home: &Path, more: &[String], address: SocketAddr) -> Ran {
    let mut command = browser.command(home);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"]);
    command.args(["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1400,1100"]);
    command.arg(format!("--user-data-dir={}", home.join("profile").display())).args(more).arg(format!("http://{address}/"));
    run(&mut command, Duration::from_secs(60)).unwrap().ok().unwrap()
}

#[test]
fn a_browser_shows_the_page_and_runs_nothing_of_it() {
    let Some(browser) = Peer::Chromium.or_skip() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listen = Listen { address: "127.0.0.1:0".parse().unwrap(), tls: None };
    let server = runtime.block_on(Server::bind(&[listen], Limits::default())).unwrap();
    let address = *server.addresses().first().unwrap();
    let site = Arc::new(site());
    drop(runtime.spawn(server.run(site.clone(), Arc::new(|_| {}), std::future::pending())));
    let home = tempfile::tempdir().unwrap();

    let seen = browse(&browser, home.path(), &["--dump-dom".to_owned()], address);
    assert!(seen.stdout.contains("<title>trustctl proxy: ready</title>"), "no script ran: {}", seen.stdout);
    assert!(seen.stdout.contains("&lt;img src=x") && !seen.stdout.contains("<img") && !seen.stdout.contains("<script"));
    assert!(!seen.output().contains("Content Security Policy"), "the style is allowed: {}", seen.output());

    let folder = std::env::var_os("TRUSTCTL_SCREENSHOTS").map_or_else(|| home.path().to_owned(), Into::into);
    let shot = |name: &str, more: &[&str]| {
        let file = folder.join(name);
        let arguments = [format!("--screenshot={}", file.display())];
        let more: Vec<String> = arguments.into_iter().chain(more.iter().map(|&flag| flag.to_owned())).collect();
        browse(&browser, home.path(), &more, address);
        std::fs::read(file).unwrap()
    };
    let light = shot("light.png", &[]);
    let dark = shot("dark.png", &["--blink-settings=preferredColorScheme=0"]);
    let narrow = shot("narrow.png", &["--window-size=420,1800"]);
    for picture in [&light, &dark, &narrow] {
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "an empty page is smaller: {}", picture.len());
    }
    assert!(light != dark, "the page follows the preferred colours");

    let asked = site.1.lock().unwrap().clone();
    assert!(asked.iter().all(|path| path == "/" || path == "/favicon.ico"), "{asked:?}");
}
