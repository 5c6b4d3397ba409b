//! What is served and what is refused.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_tests::http::Request;

use crate::stage::{SIGNED, Setup, Stage, refused, served};

/// An upstream of a mirror whose refusals stick.
const STICKY: &str = "mirror = true\ndeny-mode = \"sticky\"";

/// The digests that a manifest names: of its children, or of its configuration and layers.
pub(crate) fn named(manifest: &[u8]) -> Vec<String> {
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    let list = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
    let config = manifest["config"]["digest"].as_str().map(str::to_owned);
    let entries = list("manifests").into_iter().chain(list("layers"));
    config.into_iter().chain(entries.map(|entry| entry["digest"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_signed_image_arrives_whole() {
    let stage = Stage::new(&Setup::default());
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    let index = stage.get("shop/cart/manifests/1");
    served(&index, &digest);
    assert_eq!(index.headers.first("Content-Type"), Some("application/vnd.oci.image.index.v1+json"));
    served(&stage.get(&format!("shop/cart/manifests/{digest}")), &digest);
    for child in named(&index.body) {
        let manifest = stage.get(&format!("shop/cart/manifests/{child}"));
        served(&manifest, &child);
        for blob in named(&manifest.body) {
            served(&stage.get(&format!("shop/cart/blobs/{blob}")), &blob);
        }
    }
    let head = stage.send(&Request::new("HEAD", "/v2/shop/cart/manifests/1"));
    assert_eq!((head.status, head.headers.first("Docker-Content-Digest")), (200, Some(digest.as_str())));
    assert_eq!(head.headers.first("Content-Length"), Some(index.body.len().to_string().as_str()));
}

#[test]
fn an_unsigned_image_never_arrives() {
    let stage = Stage::new(&Setup::default());
    let (digest, index) = stage.world.registry().manifest("shop/new", "1").unwrap();
    let answer = stage.get("shop/new/manifests/1");
    refused(&answer, "TC0301");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("rule shop"), "{text}");
    refused(&stage.get(&format!("shop/new/manifests/{digest}")), "TC0301");
    for child in named(&index.bytes) {
        refused(&stage.get(&format!("shop/new/manifests/{child}")), "TC0301");
        let (_, manifest) = stage.world.registry().manifest("shop/new", &child).unwrap();
        for blob in named(&manifest.bytes) {
            refused(&stage.get(&format!("shop/new/blobs/{blob}")), "TC0650");
        }
    }
}

/// Trust belongs to a repository: what is trusted in one is not for that trusted in another.
#[test]
fn a_signed_image_is_not_served_under_another_name() {
    let stage = Stage::new(&Setup::default());
    let digest = stage.push("shop/other:1", &Artifact::multi_platform("signed"));
    served(&stage.get(&format!("shop/cart/manifests/{digest}")), &digest);
    refused(&stage.get("shop/other/manifests/1"), "TC0301");
    refused(&stage.get(&format!("shop/other/manifests/{digest}")), "TC0301");
    let child = named(&stage.get("shop/cart/manifests/1").body).remove(0);
    let layer = named(&stage.get(&format!("shop/cart/manifests/{child}")).body).remove(1);
    served(&stage.get(&format!("shop/cart/blobs/{layer}")), &layer);
    refused(&stage.get(&format!("shop/other/blobs/{layer}")), "TC0650");
}

#[test]
fn a_tag_that_moves_to_an_unsigned_image_is_refused_at_once() {
    let stage = Stage::new(&Setup::default());
    let good = stage.world.registry().tag("shop/cart", "1").unwrap();
    served(&stage.get("shop/cart/manifests/1"), &good.to_string());
    let bad = stage.push("shop/cart:bad", &Artifact::image("evil"));
    stage.world.registry().point_tag("shop/cart", "1", bad.parse().unwrap());
    refused(&stage.get("shop/cart/manifests/1"), "TC0301");
    served(&stage.get(&format!("shop/cart/manifests/{good}")), &good.to_string());
    stage.world.registry().point_tag("shop/cart", "1", good);
    served(&stage.get("shop/cart/manifests/1"), &good.to_string());
}

#[test]
fn a_tag_is_asked_for_once_within_its_time() {
    let times = "tag-ttl = \"1h\"\nrevocation = \"1h\"";
    let stage = Stage::new(&Setup { times, ..Setup::default() });
    let good = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    stage.world.registry().requests().clear();
    served(&stage.get("shop/cart/manifests/1"), &good);
    let cold = stage.world.registry().requests().count();
    for _ in 0..20 {
        served(&stage.get("shop/cart/manifests/1"), &good);
    }
    assert_eq!(stage.world.registry().requests().count(), cold, "what is known is not asked again");
    assert_eq!(stage.asked("GET", "/manifests/1"), 1);
}

#[test]
fn a_revocation_counts_within_its_time_whatever_is_cached() {
    let stage = Stage::new(&Setup::default());
    let index = stage.get("shop/cart/manifests/1");
    let child = named(&index.body).remove(0);
    let layer = named(&stage.get(&format!("shop/cart/manifests/{child}")).body).remove(1);
    served(&stage.get(&format!("shop/cart/blobs/{layer}")), &layer);
    stage.revoke("shop/cart:1");
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while stage.get("shop/cart/manifests/1").status == 200 {
        assert!(std::time::Instant::now() < end, "a revocation counts after a second");
        thread::sleep(Duration::from_millis(100));
    }
    refused(&stage.get("shop/cart/manifests/1"), "TC0309");
    refused(&stage.get(&format!("shop/cart/manifests/{child}")), "TC0309");
    assert_eq!(stage.get(&format!("shop/cart/blobs/{layer}")).status, 403, "its layers are gone with it");
}

#[test]
fn signatures_are_served_unsigned_and_nothing_in_their_guise() {
    let stage = Stage::new(&Setup::default());
    let subject = stage.world.registry().tag("shop/cart", "1").unwrap();
    let referrers = stage.get(&format!("shop/cart/referrers/{subject}"));
    assert_eq!(referrers.status, 200);
    let bundle = named(&referrers.body).remove(0);
    let manifest = stage.get(&format!("shop/cart/manifests/{bundle}"));
    served(&manifest, &bundle);
    let blob = named(&manifest.body).pop().unwrap();
    served(&stage.get(&format!("shop/cart/blobs/{blob}")), &blob);
    // An archive that is announced as a bundle.
    let image = Artifact::image("base");
    let type_ = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let fake = stage.push("shop/cart:fake", &Artifact::referrer(&image, type_, &b"\x1f\x8b\x08\x00 an archive"[..]));
    let manifest = stage.get(&format!("shop/cart/manifests/{fake}"));
    served(&manifest, &fake);
    let blob = named(&manifest.body).pop().unwrap();
    refused(&stage.get(&format!("shop/cart/blobs/{blob}")), "TC0650");
}

/// Whoever can push can attach artifacts that name the layers of a signed image as theirs.
#[test]
fn artifacts_that_name_a_layer_do_not_take_it_from_its_image() {
    let stage = Stage::new(&Setup::default());
    let child = named(&stage.get("shop/cart/manifests/1").body).remove(0);
    let layer = named(&stage.get(&format!("shop/cart/manifests/{child}")).body).remove(1);
    for number in 0..70 {
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": layer, "size": 2 },
            "layers": [{ "mediaType": "application/vnd.dsse.envelope.v1+json", "digest": layer, "size": 2 }],
            "annotations": { "number": number.to_string() },
        });
        let mut artifact = Artifact::image("x");
        artifact.manifest = manifest.to_string().into();
        let digest = stage.push(&format!("shop/cart:a{number}"), &artifact);
        served(&stage.get(&format!("shop/cart/manifests/{digest}")), &digest);
    }
    served(&stage.get(&format!("shop/cart/blobs/{layer}")), &layer);
}

#[test]
fn warn_mode_serves_with_a_warning() {
    let policy = "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\n[[rules]]\nname = \"shop\"\n\
                  images = [\"HOST/shop/**\"]\nrequire = { any = [\"release\"] }\nmode = \"warn\"\nuntil = 2099-01-01\n";
    let stage = Stage::new(&Setup { policy, ..Setup::default() });
    let answer = stage.get("shop/new/manifests/1");
    assert_eq!(answer.status, 200);
    let warning = answer.headers.first("Warning").unwrap();
    assert!(warning.starts_with("299 - \"TC0710: ") && warning.contains("only warns until 2099-01-01"), "{warning}");
    assert_eq!(stage.get("shop/cart/manifests/1").headers.first("Warning"), None);
}

/// A rule that only records until a day.
const AUDIT: [&str; 2] = [
    "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\n[[rules]]\nname = \"shop\"\n\
     images = [\"HOST/shop/**\"]\nrequire = { any = [\"release\"] }\nmode = \"audit\"\nuntil = 2099-01-01\n",
    "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\n[[rules]]\nname = \"shop\"\n\
     images = [\"HOST/shop/**\"]\nrequire = { any = [\"release\"] }\nmode = \"audit\"\nuntil = 2026-01-01\n",
];

#[test]
fn a_rule_that_only_records_serves_until_its_end_and_tells_the_log_alone() {
    let mut stage = Stage::new(&Setup { policy: AUDIT[0], ..Setup::default() });
    let answer = stage.get("shop/new/manifests/1");
    assert_eq!((answer.status, answer.headers.first("Warning")), (200, None), "the client is told nothing");
    stage.push("shop/old:1", &Artifact::multi_platform("old"));
    stage.sign("shop/old:1");
    stage.revoke("shop/old:1");
    refused(&stage.get("shop/old/manifests/1"), "TC0309");
    stage.stop();
    let log = std::fs::read_to_string(stage.home.path().join("state/audit.log")).unwrap();
    let line = log.lines().find(|line| line.contains("\"audited\"")).unwrap();
    assert!(line.contains("TC0301") && line.contains("\"rule\":\"shop\""), "what it would be refused for: {line}");
    stage.start(&Setup { policy: AUDIT[1], ..Setup::default() });
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
}

#[test]
fn what_is_denied_is_refused_although_a_trusted_index_names_it() {
    let mut stage = Stage::new(&Setup::default());
    let child = named(&stage.get("shop/cart/manifests/1").body).remove(0);
    served(&stage.get(&format!("shop/cart/manifests/{child}")), &child);
    let deny = format!("{SIGNED}[[deny]]\ndigest = \"{child}\"\nreason = \"CVE-2026-1\"\n");
    let policy: &'static str = Box::leak(deny.into_boxed_str());
    stage.start(&Setup { policy, ..Setup::default() });
    refused(&stage.get(&format!("shop/cart/manifests/{child}")), "TC0703");
}

#[test]
fn a_sticky_refusal_is_a_manifest_that_nobody_can_run() {
    let stage = Stage::new(&Setup { upstream: STICKY, ..Setup::default() });
    let answer = stage.get("shop/new/manifests/1");
    let digest = answer.headers.first("Docker-Content-Digest").unwrap().to_owned();
    served(&answer, &digest);
    let manifest: Value = serde_json::from_slice(&answer.body).unwrap();
    let config = manifest["config"]["mediaType"].as_str().unwrap();
    assert!(config.contains(".denied.tc0301."), "{config}");
    assert_eq!((answer.headers.first("Cache-Control"), &manifest["layers"]), (Some("no-store"), &Value::Array(Vec::new())));
    // Engines ask for the tag by HEAD, and then for what they were told by its digest.
    served(&stage.get(&format!("shop/new/manifests/{digest}")), &digest);
    let unsigned = stage.world.registry().tag("shop/new", "1").unwrap().to_string();
    assert_ne!(
        stage.get(&format!("shop/new/manifests/{unsigned}")).headers.first("Docker-Content-Digest"),
        Some(unsigned.as_str())
    );
}

/// Engines that ask for it before they look at its type show what they are answered then, and nothing else.
#[test]
fn who_asks_for_the_configuration_of_a_denial_is_told_its_reason() {
    let mut stage = Stage::new(&Setup { upstream: STICKY, ..Setup::default() });
    stage.push("shop/new:2", &Artifact::multi_platform("old"));
    stage.sign("shop/new:2");
    stage.revoke("shop/new:2");
    let configuration = |stage: &Stage, tag: &str| {
        let denial: Value = serde_json::from_slice(&stage.get(&format!("shop/new/manifests/{tag}")).body).unwrap();
        denial["config"]["digest"].as_str().unwrap().to_owned()
    };
    let (unsigned, revoked) = (configuration(&stage, "1"), configuration(&stage, "2"));
    refused(&stage.get(&format!("shop/new/blobs/{unsigned}")), "TC0301");
    refused(&stage.get(&format!("shop/new/blobs/{revoked}")), "TC0309");
    let fault = FaultRule::always("/v2/shop/new/referrers/*", Fault::Status { status: 500, retry_after: None });
    stage.world.registry().faults().add(fault);
    stage.push("shop/new:3", &Artifact::multi_platform("unsure"));
    let unsure = configuration(&stage, "3");
    refused(&stage.get(&format!("shop/new/blobs/{unsure}")), "TC0401");
    // In another repository it is nothing special, as is what this proxy has not handed out, and neither is a manifest that is asked for as a blob.
    assert_eq!(stage.get(&format!("shop/cart/blobs/{unsigned}")).status, 404);
    let unknown = format!("sha256:{}", "0".repeat(64));
    assert_eq!(stage.get(&format!("shop/new/blobs/{unknown}")).status, 404);
    let denial = stage.get("shop/new/manifests/1").headers.first("Docker-Content-Digest").unwrap().to_owned();
    assert_eq!(stage.get(&format!("shop/new/blobs/{denial}")).status, 404);
    assert_eq!(stage.get(&format!("shop/new/manifests/{unsigned}")).status, 404);
    stage.start(&Setup::default());
    assert_eq!(stage.get(&format!("shop/new/blobs/{unsigned}")).status, 404, "whoever is refused by status has no use for it");
}

/// A client that asks mirrors in turn would take 503 as a cause to ask the registry.
#[test]
fn what_cannot_be_decided_sticks_too() {
    let fault = FaultRule::always("/v2/shop/new/referrers/*", Fault::Status { status: 500, retry_after: None });
    let mut stage = Stage::new(&Setup::default());
    stage.world.registry().faults().add(fault);
    let answer = stage.get("shop/new/manifests/1");
    assert_eq!(answer.status, 503, "a client that knows nothing else may come again");
    stage.start(&Setup { upstream: STICKY, ..Setup::default() });
    let answer = stage.get("shop/new/manifests/1");
    let digest = answer.headers.first("Docker-Content-Digest").unwrap().to_owned();
    served(&answer, &digest);
    let manifest: Value = serde_json::from_slice(&answer.body).unwrap();
    let config = manifest["config"]["mediaType"].as_str().unwrap();
    assert!(config.contains(".denied.tc04"), "{config}");
}

#[test]
fn only_what_the_specification_reads_is_answered() {
    let stage = Stage::new(&Setup::default());
    for (method, path, status) in [
        ("PUT", "/v2/shop/cart/manifests/1", 405),
        ("POST", "/v2/shop/cart/blobs/uploads/", 405),
        ("DELETE", "/v2/shop/cart/manifests/1", 405),
        ("GET", "/v2/shop/cart/manifests/none", 404),
        ("GET", "/v2/SHOP/manifests/1", 400),
        ("GET", "/v2/shop/../cart/manifests/1", 400),
        ("GET", "/v2/shop/cart/blobs/sha256:12", 400),
        ("GET", "/v2/shop/cart/manifests/1?ns=other.example", 403),
    ] {
        let answer = stage.send(&Request::new(method, path));
        assert_eq!(answer.status, status, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        let error: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(error["errors"][0]["code"].is_string(), "{method} {path}");
    }
    let host = stage.host();
    let mirrored = stage.get(&format!("shop/cart/manifests/1?ns={host}"));
    assert_eq!((mirrored.status, mirrored.headers.first("OCI-Namespace")), (200, Some(host.as_str())));
    let tags: Value = serde_json::from_slice(&stage.get("shop/cart/tags/list?n=1").body).unwrap();
    assert_eq!(tags["tags"], serde_json::json!(["1"]));
}

/// The time within which a revocation counts begins with the first question about the image, not with the last answer.
#[test]
fn a_revocation_that_comes_while_answers_are_slow_counts_in_its_time() {
    let times = "tag-ttl = \"0s\"\nrevocation = \"3s\"\nrefusal = \"0s\"\nverify = \"30s\"";
    let stage = Stage::new(&Setup { times, ..Setup::default() });
    let slow = FaultRule::times(1, "/v2/shop/cart/manifests/sha256-*.sig", Fault::Slow(Duration::from_secs(4)));
    stage.world.registry().faults().add(slow);
    thread::scope(|scope| {
        let before = stage.world.registry().requests().all().len();
        let first = scope.spawn(|| stage.get("shop/cart/manifests/1"));
        while !stage
            .world
            .registry()
            .requests()
            .all()
            .iter()
            .skip(before)
            .any(|request| request.path.contains("/cart/referrers/"))
        {
            thread::sleep(Duration::from_millis(20));
        }
        stage.revoke("shop/cart:1");
        assert_eq!(first.join().unwrap().status, 200, "nothing was withdrawn when it was looked at");
    });
    refused(&stage.get("shop/cart/manifests/1"), "TC0309");
}

/// What comes last, when the time of a request is used up, was not asked about: it is decided when the next one asks.
#[test]
fn what_there_was_no_time_for_is_not_remembered() {
    let times = "tag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"\nverify = \"1s\"";
    let stage = Stage::new(&Setup { times, ..Setup::default() });
    let (index, manifest) = stage.world.registry().manifest("shop/cart", "1").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let child = manifest["manifests"][0]["digest"].as_str().unwrap();
    // By itself at first, so that there is evidence about it to look at again.
    served(&stage.get(&format!("shop/cart/manifests/{child}")), child);
    served(&stage.get("shop/cart/manifests/1"), &index.to_string());
    thread::sleep(Duration::from_millis(1100));
    let faults = stage.world.registry().faults();
    faults.add(FaultRule::always(&format!("*/referrers/{index}"), Fault::Hang));
    // The child is signed itself, but the time goes into the index: as its tag's at first, then by itself.
    let child = format!("shop/cart/manifests/{child}");
    let statuses = [(); 3].map(|()| stage.get(&child).status);
    assert_eq!(statuses, [503, 503, 200]);
}
