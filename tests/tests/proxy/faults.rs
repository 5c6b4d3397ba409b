//! Upstreams that are slow, stop in the middle, never end or send something else: undecided, in bounded time, and nothing is left of it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use trustctl_core::time::Timestamp;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_tests::http::{Request, Response};
use trustctl_tests::process::free_port;

use crate::stage::{Setup, Stage, refused, served, undecided};

/// What is asked about an image may take a second in all.
const HASTY: &str = "tag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"\nverify = \"1s\"";
/// By then an answer must be there: the second, and as much again for a busy machine.
const BOUND: Duration = Duration::from_secs(10);

fn hasty() -> Stage {
    Stage::new(&Setup { times: HASTY, ..Setup::default() })
}

fn code(body: &[u8]) -> String {
    let error: Value = serde_json::from_slice(body).unwrap();
    error["errors"][0]["detail"]["reason"].as_str().unwrap_or_default().to_owned()
}

/// Silence, trickles and halves are outages; other bytes are lies. None of them says that an image is not signed.
#[test]
fn an_upstream_that_fails_in_the_middle_is_undecided_in_bounded_time() {
    let stage = hasty();
    let outages = [Fault::Hang, Fault::Slow(Duration::from_secs(60)), Fault::Stalled, Fault::Endless, Fault::Truncated];
    for path in ["*/manifests/1", "*/referrers/*"] {
        for fault in &outages {
            stage.world.registry().faults().clear();
            stage.world.registry().faults().add(FaultRule::always(path, fault.clone()));
            for image in ["shop/cart", "shop/new"] {
                let begin = Instant::now();
                let answer = stage.get(&format!("{image}/manifests/1"));
                let told = format!("{image} {path} {fault:?}: {}", String::from_utf8_lossy(&answer.body));
                assert_eq!(answer.status, 503, "{told}");
                assert!(answer.headers.first("Retry-After").is_some() && begin.elapsed() < BOUND, "{:?} {told}", begin.elapsed());
            }
        }
    }
    stage.world.registry().faults().clear();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(stage.get("shop/cart/manifests/1").status, 200, "it is well again");
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
}

/// A registry that takes connections and never answers. What is asked for one request has one time, and a small question more.
#[test]
fn a_registry_that_hangs_costs_the_time_for_one_image_and_the_refusal_names_it() {
    let times = "tag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"\nverify = \"3s\"";
    // Once for the tag, again for the evidence, and the small question: what it must not take.
    let (once, twice) = (Duration::from_secs(3), Duration::from_secs(3 + 3 + 2));
    let port = free_port().unwrap();
    let more = format!("[admin]\naddress = \"127.0.0.1:{port}\"").leak();
    let stage = Stage::new(&Setup { times, more, ..Setup::default() });
    let admin = |path: &str| {
        let answer = Request::new("GET", path).send(&format!("127.0.0.1:{port}")).unwrap();
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    served(&stage.get("shop/cart/manifests/1"), &digest);
    let silent = format!("{} has answered none of the last", stage.host());
    assert!(!admin("/readyz").1.contains(&silent));
    thread::sleep(Duration::from_millis(1500));
    stage.world.registry().faults().add(FaultRule::always("*", Fault::Hang));

    let begin = Instant::now();
    let stale = stage.get("shop/cart/manifests/1");
    served(&stale, &digest);
    assert!(stale.headers.first("Warning").unwrap().contains("TC0651"), "{stale:?}");
    assert!((once..twice).contains(&begin.elapsed()), "{:?}", begin.elapsed());

    let begin = Instant::now();
    let unknown = stage.get("shop/new/manifests/1");
    undecided(&unknown, "TC0405");
    assert!((once..twice).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    let body: Value = serde_json::from_slice(&unknown.body).unwrap();
    let (message, host) = (body["errors"][0]["message"].as_str().unwrap(), stage.host());
    assert!(message.contains(&format!("the manifest of the tag 1 did not come from {host} in time")), "{message}");
    assert!(message.contains(&format!("has to look at how {host} answers")) && !message.contains("--timeout"), "{message}");

    let (ready, notices) = admin("/readyz");
    assert!(ready == 200 && notices.contains(&silent), "what was trusted is served all the same: {notices}");
    assert!(admin("/").1.contains(&silent) && admin("/status.json").1.contains(&silent));
    let series = format!("trustctl_proxy_upstream_errors_total{{upstream=\"{}\",kind=\"timeout\"}} ", stage.host());
    let metrics = admin("/metrics").1;
    let timeouts = metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or_default();
    assert!(timeouts.parse::<u64>().unwrap() >= 2, "{metrics}");
    stage.world.registry().faults().clear();
    thread::sleep(Duration::from_secs(2));
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
    assert!(!admin("/readyz").1.contains(&silent), "it answers again");
}

/// The pair to the one above: time that one question used up is no outage while the registry answers another.
#[test]
fn a_question_that_hangs_hides_no_revocation() {
    let stage = hasty();
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    served(&stage.get("shop/cart/manifests/1"), &digest);
    thread::sleep(Duration::from_millis(1500));
    stage.revoke("shop/cart:1");
    stage.world.registry().faults().add(FaultRule::always("*/manifests/1", Fault::Hang));
    undecided(&stage.get("shop/cart/manifests/1"), "TC0405");
    stage.world.registry().faults().clear();
    thread::sleep(Duration::from_secs(2));
    refused(&stage.get("shop/cart/manifests/1"), "TC0309");
}

#[test]
fn evidence_that_cannot_be_had_or_is_not_what_it_was_is_never_no_signature() {
    let stage = hasty();
    let faults = [Fault::Hang, Fault::Endless, Fault::Truncated, Fault::WrongBytes, Fault::Replaced(Bytes::from_static(b"{}"))];
    for path in ["*/manifests/sha256:*", "*/blobs/*"] {
        for fault in &faults {
            stage.world.registry().faults().clear();
            stage.world.registry().faults().add(FaultRule::always(path, fault.clone()));
            let answer = stage.get("shop/cart/manifests/1");
            let told = format!("{path} {fault:?}: {}", String::from_utf8_lossy(&answer.body));
            assert!(matches!(answer.status, 403 | 503), "{told}");
            assert_ne!(code(&answer.body), "TC0301", "{told}");
            let is_lie = matches!(fault, Fault::WrongBytes | Fault::Replaced(_));
            assert!(answer.status == 503 || is_lie, "{told}");
        }
    }
}

/// The layers of a trusted image, when the registry can no longer send one as it is.
#[test]
fn a_layer_that_does_not_come_whole_leaves_nothing_behind() {
    let stage = Stage::new(&Setup { more: "[cache]\nmax-size = \"64MiB\"", ..Setup::default() });
    let index: Value = serde_json::from_slice(&stage.get("shop/cart/manifests/1").body).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest: Value = serde_json::from_slice(&stage.get(&format!("shop/cart/manifests/{child}")).body).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let path = format!("shop/cart/blobs/{layer}");
    let cache = stage.home.path().join("state/cache");
    let hex = layer.trim_start_matches("sha256:");
    let faults = [
        Fault::Truncated,
        Fault::WrongBytes,
        Fault::Endless,
        Fault::Drop,
        Fault::Replaced(Bytes::from_static(b"short")),
        Fault::Status { status: 500, retry_after: None },
        Fault::Status { status: 429, retry_after: Some(1) },
    ];
    for fault in faults {
        stage.world.registry().faults().clear();
        stage.world.registry().faults().add(FaultRule::always(&format!("*/blobs/{layer}"), fault.clone()));
        let request = Request::new("GET", &format!("/v2/{path}"));
        match request.send(&stage.proxy.as_ref().unwrap().address()) {
            // It broke off: what came is not whole.
            Err(_) => {}
            Ok(answer) => assert_eq!(answer.status, 503, "{fault:?}: {}", String::from_utf8_lossy(&answer.body)),
        }
        let end = Instant::now() + BOUND;
        while fs::read_dir(cache.join("filling")).unwrap().count() > 0 {
            assert!(Instant::now() < end, "{fault:?} left a file that is not whole");
            thread::yield_now();
        }
        assert!(!cache.join("sha256").join(&hex[..2]).join(hex).exists(), "{fault:?}");
    }
    stage.world.registry().faults().clear();
    served(&stage.get(&path), &layer);
}

/// The name of a registry that leads nowhere. The child has a network of its own, in which there is nothing but itself: no name server
/// can be asked, here or elsewhere.
#[test]
fn a_registry_whose_name_is_gone_is_an_outage() {
    let script = "ip link set lo up && exec \"$0\" --ignored --exact --nocapture faults::nameless_child";
    let possible =
        std::process::Command::new("unshare").args(["--map-root-user", "--net", "ip", "link", "set", "lo", "up"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        return trustctl_tests::peers::skip(
            "network",
            "no network of one's own can be made here (unshare --map-root-user --net)",
        );
    }
    let mut child = std::process::Command::new("unshare");
    child.args(["--map-root-user", "--net", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    let done = child.output().unwrap();
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[test]
#[ignore = "run as a child process by a_registry_whose_name_is_gone_is_an_outage"]
fn nameless_child() {
    let mut stage = Stage::new(&Setup::default());
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    served(&stage.get("shop/cart/manifests/1"), &digest);
    let upstream = "endpoint = \"http://registry.invalid:5000\"\nplain = true";
    stage.start(&Setup { upstream, ..Setup::default() });
    thread::sleep(Duration::from_millis(1500));
    let stale = stage.get("shop/cart/manifests/1");
    served(&stale, &digest);
    assert!(stale.headers.first("Warning").unwrap().contains("TC0651"), "{stale:?}");
    undecided(&stage.get("shop/new/manifests/1"), "TC0401");
}

/// A collection that nobody keeps fresh: what it says was true once. A stolen timestamp key makes one that is too old from the start.
#[test]
fn what_trust_rests_on_is_no_longer_served_when_it_has_expired() {
    let mut stage = Stage::new(&Setup::default());
    let image = stage.world.name("shop/new:1");
    stage.done(&["sign", &image, "--resolve-tag", "--scheme", "dct"]);
    let shown = stage.user().json(&["inspect", &stage.world.name("shop/new"), "--docker-json"]).unwrap().0;
    let keys = shown[0]["AdministrativeKeys"].as_array().unwrap();
    let root = keys.iter().find(|keys| keys["Name"] == "Root").and_then(|keys| keys["Keys"][0]["ID"].as_str()).unwrap();
    let policy = format!(
        "version = 1\n[signers.notary]\nscheme = \"dct\"\nroots = [\"{root}\"]\n\
         [[rules]]\nname = \"shop\"\nimages = [\"HOST/shop/**\"]\nrequire = {{ any = [\"notary\"] }}\n"
    );
    let upstream = format!("notary = \"{}\"", stage.world.notary().url());
    stage.start(&Setup { policy: policy.leak(), upstream: upstream.leak(), ..Setup::default() });
    let digest = stage.world.registry().tag("shop/new", "1").unwrap().to_string();
    served(&stage.get("shop/new/manifests/1"), &digest);

    let (notary, clock) = (stage.world.notary(), stage.world.clock());
    notary.renew(false);
    let now = clock.now().unix_seconds();
    clock.set(Timestamp::from_unix_seconds(now - 20 * 86_400).unwrap());
    notary.sign_timestamp(&stage.world.name("shop/new"), 1000).unwrap();
    let end = Instant::now() + BOUND;
    let mut answer = stage.get("shop/new/manifests/1");
    while answer.status == 200 && Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        answer = stage.get("shop/new/manifests/1");
    }
    assert_eq!(code(&answer.body), "TC0205", "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
    assert!(matches!(answer.status, 403 | 503));
}

/// Whoever makes up digests must not use up what a registry allows, nor the proxy's connections to it: a few questions at once are passed
/// on, and beyond them the blob is refused without asking. Of those that are asked, what the registry does not know is not found.
#[test]
fn only_a_few_made_up_digests_at_once_are_asked_about() {
    const AT_ONCE: usize = 8;
    const MORE: usize = 6;
    let stage = Stage::new(&Setup::default());
    stage.world.registry().faults().add(FaultRule::always("*/blobs/*", Fault::Slow(Duration::from_secs(4))).on("HEAD"));
    let get = |number: usize| {
        let digest = format!("sha256:{}", format!("{number:02x}").repeat(32));
        stage.get(&format!("shop/cart/blobs/{digest}"))
    };
    let asked = || stage.world.registry().requests().all().iter().filter(|request| request.method == "HEAD").count();
    let before = asked();
    let answers: Vec<Response> = thread::scope(|scope| {
        let asking: Vec<_> = (1..=AT_ONCE + MORE).map(|number| scope.spawn(move || get(number))).collect();
        asking.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    let (unknown, rest): (Vec<&Response>, Vec<&Response>) = answers.iter().partition(|answer| answer.status == 404);
    assert_eq!((unknown.len(), rest.len(), asked() - before), (AT_ONCE, MORE, AT_ONCE));
    for answer in rest {
        refused(answer, "TC0650");
    }
    stage.world.registry().faults().clear();
    assert_eq!(get(AT_ONCE + MORE).status, 404, "there is room again");
}
