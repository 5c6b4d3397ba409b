//! Policies, tokens and restarts while the proxy runs.

use std::thread;
use std::time::{Duration, Instant};

use crate::stage::{SIGNED, Setup, Stage, refused, served};

#[test]
fn a_new_policy_counts_at_once_and_a_broken_one_changes_nothing() {
    let times = "tag-ttl = \"1h\"\nrevocation = \"1h\"\nrefusal = \"1h\"";
    let stage = Stage::new(&Setup { times, ..Setup::default() });
    assert_eq!(stage.get("shop/cart/manifests/1").status, 200);
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap();
    let policy = SIGNED.replace("HOST", &stage.host());
    stage.write("policy.toml", &format!("{policy}[[deny]]\ndigest = \"{digest}\"\nreason = \"CVE-2026-1\"\n"));
    stage.until("shop/cart/manifests/1", 403);
    refused(&stage.get("shop/cart/manifests/1"), "TC0703");
    stage.write("policy.toml", "version = 1\nnonsense = true\n");
    let proxy = stage.proxy.as_ref().unwrap();
    let begin = Instant::now();
    while !proxy.log().contains("TC0701") {
        assert!(begin.elapsed() < Duration::from_secs(10), "{}", proxy.log());
        thread::sleep(Duration::from_millis(20));
    }
    refused(&stage.get("shop/cart/manifests/1"), "TC0703");
    // It is looked at several times a second, and is as broken each time.
    thread::sleep(Duration::from_secs(2));
    assert!(!proxy.log().contains("again as it is in force"), "{}", proxy.log());
    assert_eq!(proxy.log().matches("TC0701").count(), 1, "{}", proxy.log());
    stage.write("policy.toml", &policy);
    stage.until("shop/cart/manifests/1", 200);
}

#[test]
fn a_key_that_is_replaced_counts_at_once() {
    let times = "tag-ttl = \"1h\"\nrevocation = \"1h\"\nrefusal = \"1h\"";
    let stage = Stage::new(&Setup { times, ..Setup::default() });
    assert_eq!(stage.get("shop/cart/manifests/1").status, 200);
    stage.done(&["key", "generate", "other"]);
    stage.done(&["key", "export", "other", "--public", "--to", "other.pub"]);
    std::fs::rename(stage.home.path().join("other.pub"), stage.home.path().join("release.pub")).unwrap();
    stage.until("shop/cart/manifests/1", 403);
}

#[test]
fn a_break_glass_token_lets_one_image_pass_and_says_so() {
    let more = "[break-glass]\nkeys = [\"release.pub\"]";
    let stage = Stage::new(&Setup { more, ..Setup::default() });
    let digest = stage.world.registry().tag("shop/new", "1").unwrap().to_string();
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
    let image = format!("{}@{digest}", stage.world.name("shop/new"));
    std::fs::create_dir_all(stage.home.path().join("state/break-glass")).unwrap();
    let words = ["proxy", "break-glass", &image, "--key", "release", "--reason", "signing is down, INC-7"];
    stage.done(&[&words[..], &["--config", "proxy.toml", "--to", "state/break-glass/new.json"]].concat());
    stage.until("shop/new/manifests/1", 200);
    let answer = stage.get("shop/new/manifests/1");
    served(&answer, &digest);
    let key = stage.done(&["key", "show", "release"])["keys"][0]["fingerprint"].as_str().unwrap().to_owned();
    let warning = answer.headers.first("Warning").unwrap();
    assert!(warning.contains("INC-7") && warning.contains(&key), "the key as key show names it: {warning}");
    let index: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    served(&stage.get(&format!("shop/new/manifests/{child}")), &child);
    std::fs::remove_file(stage.home.path().join("state/break-glass/new.json")).unwrap();
    stage.until("shop/new/manifests/1", 403);
}

/// A token that the proxy would pass over is not made, where the proxy is named.
#[test]
fn a_break_glass_token_that_would_not_count_is_refused() {
    let stage = Stage::without_proxy(trustctl_lab::world::WorldOptions::default());
    stage.done(&["key", "generate", "other"]);
    let config = "version = 1\npolicy = \"policy.toml\"\nstate = \"state\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
                  [break-glass]\nkeys = [\"release.pub\"]\n[[upstreams]]\nregistry = \"r.example\"\ndefault = true\n\
                  canary = \"shop/canary\"\n";
    stage.write("proxy.toml", config);
    stage.write("policy.toml", &SIGNED.replace("HOST", "r.example"));
    let key = |name: &str| stage.done(&["key", "show", name])["keys"][0]["fingerprint"].as_str().unwrap().to_owned();
    let (release, other) = (key("release"), key("other"));
    assert_eq!(stage.done(&["proxy", "check", "--config", "proxy.toml"])["breakGlass"], serde_json::json!([release]));
    let make = |repository: &str, words: &[&str]| {
        let image = format!("{repository}@sha256:{}", "a".repeat(64));
        let all =
            [&["proxy", "break-glass", &image, "--reason", "signing is down, INC-7", "--to", "token.json"][..], words].concat();
        let (report, exit) = stage.user().json(&all).unwrap();
        let is_there = std::fs::remove_file(stage.home.path().join("token.json")).is_ok();
        assert_eq!(is_there, exit == Some(0), "{report:#}");
        (exit.unwrap(), report)
    };
    let with = ["--config", "proxy.toml", "--key"];
    let (exit, report) = make("r.example/shop/cart", &[&with[..], &["release"]].concat());
    assert_eq!((exit, &report["key"]), (0, &release.clone().into()), "{report:#}");
    assert!(report["copyTo"].as_str().unwrap().ends_with("state/break-glass"), "{report:#}");
    let (exit, report) = make("r.example/shop/cart", &[&with[..], &["other"]].concat());
    assert_eq!((exit, &report["error"]["code"]), (2, &"TC0802".into()), "{report:#}");
    let said = report["error"]["message"].as_str().unwrap();
    assert!(said.contains(&release) && said.contains(&other), "{said}");
    for (repository, code) in [("r.example/shop/canary", "TC0655"), ("elsewhere.example/shop/cart", "TC0602")] {
        let (exit, report) = make(repository, &[&with[..], &["release"]].concat());
        assert_eq!((exit, &report["error"]["code"]), (2, &code.into()), "{report:#}");
    }
    assert_eq!(
        make("r.example/shop/cart", &[&with[..], &["release", "--for", "25h"]].concat()).0,
        2,
        "longer than any proxy takes"
    );
    // Where the proxy does not look, it counts for nothing, and that is said.
    std::fs::create_dir_all(stage.home.path().join("state/break-glass")).unwrap();
    let image = format!("r.example/shop/cart@sha256:{}", "a".repeat(64));
    for (file, is_told) in [("state/break-glass/a.json", false), ("state/break-glass/a.token", true), ("a.json", true)] {
        let words =
            ["proxy", "break-glass", &image, "--key", "release", "--reason", "signing is down", "--config", "proxy.toml", "--to"];
        let text = stage.user().run(&[&words[..], &[file]].concat()).unwrap();
        assert!(text.code == Some(0) && text.stderr.contains("the proxy does not read") == is_told, "{text:?}");
    }
    // What the policy denies by digest passes with no token.
    let denied =
        format!("{}[[deny]]\ndigest = \"sha256:{}\"\nreason = \"a worm\"\n", SIGNED.replace("HOST", "r.example"), "a".repeat(64));
    stage.write("policy.toml", &denied);
    let (exit, report) = make("r.example/shop/cart", &[&with[..], &["release"]].concat());
    assert_eq!((exit, &report["error"]["code"]), (2, &trustctl_core::reason::Code::PolicyDenied.id().into()), "{report:#}");
    // Without a configuration nobody knows, and that is said.
    let words = ["proxy", "break-glass", &image, "--key", "other", "--reason", "signing is down", "--to", "token.json"];
    let text = stage.user().run(&words).unwrap();
    let unknown = format!("whether a proxy takes the key {other} is not known without --config");
    assert!(text.code == Some(0) && text.stderr.contains(&unknown), "{text:?}");
}

#[test]
fn what_was_found_out_survives_a_restart() {
    let times = "tag-ttl = \"0s\"\nrevocation = \"1h\"";
    let mut stage = Stage::new(&Setup { times, ..Setup::default() });
    let index = stage.get("shop/cart/manifests/1");
    let index: serde_json::Value = serde_json::from_slice(&index.body).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let manifest: serde_json::Value = serde_json::from_slice(&stage.get(&format!("shop/cart/manifests/{child}")).body).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    served(&stage.get(&format!("shop/cart/blobs/{layer}")), &layer);
    stage.start(&Setup { times, ..Setup::default() });
    stage.world.registry().requests().clear();
    served(&stage.get(&format!("shop/cart/blobs/{layer}")), &layer);
    served(&stage.get(&format!("shop/cart/manifests/{child}")), &child);
    assert_eq!(stage.world.registry().requests().count(), 0, "a verdict, its evidence and the bytes were kept");
    stage.get("shop/cart/manifests/1");
    assert_eq!(stage.world.registry().requests().count(), 1, "only the tag is asked for");
}
