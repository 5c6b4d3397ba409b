//! What happens when the registry cannot be asked, or lies.

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_tests::http::Request;

use crate::stage::{Setup, Stage, refused, served, undecided};

const DOWN: Fault = Fault::Status { status: 503, retry_after: None };

#[test]
fn an_outage_is_never_unsigned() {
    let stage = Stage::new(&Setup::default());
    for fault in [DOWN, Fault::Status { status: 429, retry_after: Some(60) }, Fault::Drop] {
        for path in ["*/manifests/*", "*/referrers/*", "*/blobs/*"] {
            stage.world.registry().faults().clear();
            stage.world.registry().faults().add(FaultRule::always(path, fault.clone()));
            let answer = stage.get("shop/cart/manifests/1");
            assert_eq!(answer.status, 503, "{path} {fault:?}: {}", String::from_utf8_lossy(&answer.body));
            assert!(answer.headers.first("Retry-After").is_some());
        }
    }
    stage.world.registry().faults().clear();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(stage.get("shop/cart/manifests/1").status, 200, "it is well again");
}

#[test]
fn what_was_trusted_is_served_for_a_while_without_its_registry() {
    let mut stage = Stage::new(&Setup::default());
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    served(&stage.get("shop/cart/manifests/1"), &digest);
    stage.world.registry().faults().add(FaultRule::always("*", DOWN));
    thread::sleep(Duration::from_millis(1500));
    let stale = stage.get("shop/cart/manifests/1");
    served(&stale, &digest);
    assert!(stale.headers.first("Warning").unwrap().contains("cannot be asked"));
    undecided(&stage.get("shop/new/manifests/1"), "TC0401");
    // Also after a restart.
    stage.start(&Setup::default());
    served(&stage.get("shop/cart/manifests/1"), &digest);
    // But not longer than is configured.
    stage.start(&Setup {
        times: "tag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"\nmax-stale = \"1s\"",
        ..Setup::default()
    });
    undecided(&stage.get("shop/cart/manifests/1"), "TC0401");
}

#[test]
fn bytes_that_were_altered_never_arrive_whole() {
    let stage = Stage::new(&Setup::default());
    let image = Artifact::image("altered");
    stage.push("shop/altered:1", &image);
    stage.sign("shop/altered:1");
    let digest = stage.world.registry().tag("shop/altered", "1").unwrap();
    assert_eq!(stage.get("shop/altered/manifests/1").status, 200);
    let (_, manifest) = stage.world.registry().manifest("shop/altered", "1").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let bytes = stage.world.registry().blob("shop/altered", &layer.parse().unwrap()).unwrap();
    let mut evil = bytes.to_vec();
    evil[0] ^= 1;
    stage.world.registry().overwrite_blob("shop/altered", &layer.parse().unwrap(), Bytes::from(evil)).unwrap();
    let request = Request::new("GET", &format!("/v2/shop/altered/blobs/{layer}"));
    match request.send(&stage.proxy.as_ref().unwrap().address()) {
        Err(_) => {}
        Ok(answer) => assert_ne!(answer.status, 200, "altered bytes came whole"),
    }
    stage.world.registry().put_blob("shop/altered", layer.parse().unwrap(), bytes);
    served(&stage.get(&format!("shop/altered/blobs/{layer}")), &layer);
    // A manifest that is altered is no manifest of that digest.
    let other = Stage::new(&Setup::default());
    other.push("shop/altered:1", &image);
    other.sign("shop/altered:1");
    other.world.registry().overwrite_manifest("shop/altered", &digest, Bytes::from_static(b"{}")).unwrap();
    assert_ne!(other.get(&format!("shop/altered/manifests/{digest}")).status, 200);
}

#[test]
fn many_who_ask_at_once_cause_one_look() {
    let times = "tag-ttl = \"1h\"\nrevocation = \"1h\"";
    let stage = Stage::new(&Setup { times, ..Setup::default() });
    stage.world.registry().faults().set_latency(Duration::from_millis(100));
    stage.world.registry().requests().clear();
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..16).map(|_| scope.spawn(|| stage.get("shop/cart/manifests/1").status)).collect();
        assert!(pulls.into_iter().all(|pull| pull.join().unwrap() == 200));
    });
    assert_eq!(stage.asked("GET", "/manifests/1"), 1);
    let (_, index) = stage.world.registry().manifest("shop/cart", "1").unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index.bytes).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let manifest: serde_json::Value = serde_json::from_slice(&stage.get(&format!("shop/cart/manifests/{child}")).body).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..16).map(|_| scope.spawn(|| stage.get(&format!("shop/cart/blobs/{layer}")).status)).collect();
        assert!(pulls.into_iter().all(|pull| pull.join().unwrap() == 200));
    });
    assert_eq!(stage.asked("GET", &format!("/blobs/{layer}")), 1);
}

#[test]
fn a_lying_referrers_list_hides_no_signature() {
    let stage = Stage::new(&Setup::default());
    let fault = Fault::Replaced(Bytes::from_static(b"<html>welcome to the hotel</html>"));
    stage.world.registry().faults().add(FaultRule::always("*/referrers/*", fault));
    assert_eq!(stage.get("shop/cart/manifests/1").status, 503, "a portal's page is no empty list");
    stage.world.registry().faults().clear();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(stage.get("shop/cart/manifests/1").status, 200);
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
}
