//! Clients that have the manifests of an image already, from elsewhere: they ask for a tag, and then for layers.

use std::thread;

use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_tests::http::Request;

use crate::decisions::named;
use crate::stage::{SIGNED, Setup, Stage, refused, served};

/// What was found out about an image is not asked again.
const LASTING: &str = "tag-ttl = \"0s\"\nrevocation = \"1h\"\nrefusal = \"0s\"\nverify = \"5s\"";

#[test]
fn layers_are_served_to_whom_has_the_manifests_already() {
    let stage = Stage::new(&Setup { times: LASTING, ..Setup::default() });
    let registry = stage.world.registry();
    let (_, index) = registry.manifest("shop/cart", "1").unwrap();
    let children = named(&index.bytes);
    let layers = |repository: &str, child: &str| named(&registry.manifest(repository, child).unwrap().1.bytes);
    let wanted: Vec<String> = children.iter().flat_map(|child| layers("shop/cart", child)).collect();
    let last = wanted.last().unwrap();
    refused(&stage.get(&format!("shop/cart/blobs/{last}")), "TC0650");

    assert_eq!(stage.send(&Request::new("HEAD", "/v2/shop/cart/manifests/1")).status, 200);
    registry.requests().clear();
    let status = Fault::Status { status: 500, retry_after: None };
    registry.faults().add(FaultRule::always("*/manifests/sha256:*", status));
    let asked = || children.iter().map(|child| stage.asked("GET", &format!("shop/cart/manifests/{child}"))).sum::<usize>();
    for _ in 0..3 {
        assert_eq!(stage.get(&format!("shop/cart/blobs/{last}")).status, 503, "what names it cannot be had");
    }
    let in_vain = asked();
    assert_eq!(in_vain, 3 * children.len(), "three tries each, and for a while that is the answer");
    registry.faults().clear();
    for layer in &wanted {
        stage.until(&format!("shop/cart/blobs/{layer}"), 200);
        served(&stage.get(&format!("shop/cart/blobs/{layer}")), layer);
    }
    assert_eq!(asked() - in_vain, children.len());
    let before = registry.requests().count();
    let made_up = format!("sha256:{}", "ab".repeat(32));
    assert_eq!(stage.get(&format!("shop/cart/blobs/{made_up}")).status, 404);
    assert_eq!(registry.requests().count() - before, 1, "all was looked at");

    // What is not trusted is not looked below.
    stage.push("shop/cart:2", &Artifact::multi_platform("unsigned"));
    assert_eq!(stage.send(&Request::new("HEAD", "/v2/shop/cart/manifests/2")).status, 403);
    let (_, index) = registry.manifest("shop/cart", "2").unwrap();
    registry.requests().clear();
    for child in named(&index.bytes) {
        for layer in layers("shop/cart", &child) {
            refused(&stage.get(&format!("shop/cart/blobs/{layer}")), "TC0650");
        }
        assert_eq!(stage.asked("GET", &format!("shop/cart/manifests/{child}")), 0);
    }
}

/// Of several clients at once each gets its layer, and a manifest that the registry has not is asked for once.
#[test]
fn many_that_have_the_manifests_cause_one_look() {
    let stage = Stage::new(&Setup { times: LASTING, ..Setup::default() });
    let registry = stage.world.registry();
    let (_, index) = registry.manifest("shop/cart", "1").unwrap();
    let children = named(&index.bytes);
    let (gone, there) = children.split_first().unwrap();
    let wanted: Vec<String> =
        there.iter().flat_map(|child| named(&registry.manifest("shop/cart", child).unwrap().1.bytes)).collect();
    assert_eq!(stage.send(&Request::new("HEAD", "/v2/shop/cart/manifests/1")).status, 200);
    registry.requests().clear();
    registry.take_manifest("shop/cart", &gone.parse().unwrap()).unwrap();
    thread::scope(|scope| {
        for layer in wanted.iter().cycle().take(12) {
            let stage = &stage;
            scope.spawn(move || served(&stage.get(&format!("shop/cart/blobs/{layer}")), layer));
        }
    });
    for child in &children {
        assert!(stage.asked("GET", &format!("shop/cart/manifests/{child}")) <= 1, "{child}");
    }
    let made_up = format!("sha256:{}", "ab".repeat(32));
    assert_eq!(stage.get(&format!("shop/cart/blobs/{made_up}")).status, 404);
    assert_eq!(stage.asked("GET", &format!("shop/cart/manifests/{gone}")), 1);
}

/// Whoever makes up digests must not have an index's manifests fetched, nor may an artifact keep a layer from the image that has it.
#[test]
fn only_what_the_registry_has_is_searched_for_and_no_artifact_is_in_the_way() {
    let stage = Stage::new(&Setup { times: LASTING, ..Setup::default() });
    let registry = stage.world.registry();
    let (_, index) = registry.manifest("shop/cart", "1").unwrap();
    let children = named(&index.bytes);
    let layer = named(&registry.manifest("shop/cart", &children[0]).unwrap().1.bytes).remove(1);
    assert_eq!(stage.send(&Request::new("HEAD", "/v2/shop/cart/manifests/1")).status, 200);
    registry.requests().clear();
    let made_up = format!("sha256:{}", "ab".repeat(32));
    assert_eq!(stage.get(&format!("shop/cart/blobs/{made_up}")).status, 404);
    for child in &children {
        assert_eq!(stage.asked("GET", &format!("shop/cart/manifests/{child}")), 0);
    }
    let mut artifact = Artifact::image("x");
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": layer, "size": 2 },
        "layers": [{ "mediaType": "application/vnd.dsse.envelope.v1+json", "digest": layer, "size": 2 }],
    });
    artifact.manifest = manifest.to_string().into();
    let digest = stage.push("shop/cart:a", &artifact);
    served(&stage.get(&format!("shop/cart/manifests/{digest}")), &digest);
    served(&stage.get(&format!("shop/cart/blobs/{layer}")), &layer);
}

/// What passed under a policy that was replaced leads nowhere.
#[test]
fn the_policy_in_force_counts_for_what_is_searched() {
    let stage = Stage::new(&Setup { times: LASTING, ..Setup::default() });
    let registry = stage.world.registry();
    let (digest, index) = registry.manifest("shop/cart", "1").unwrap();
    let children = named(&index.bytes);
    assert_eq!(stage.send(&Request::new("HEAD", "/v2/shop/cart/manifests/1")).status, 200);
    let policy = SIGNED.replace("HOST", &stage.host());
    stage.write("policy.toml", &format!("{policy}[[deny]]\ndigest = \"{digest}\"\nreason = \"CVE-2026-1\"\n"));
    stage.until("shop/cart/manifests/1", 403);
    for layer in children.iter().flat_map(|child| named(&registry.manifest("shop/cart", child).unwrap().1.bytes)) {
        assert_eq!(stage.get(&format!("shop/cart/blobs/{layer}")).status, 403);
    }
}
