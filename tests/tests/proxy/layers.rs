//! Clients that have the manifests of an image already, from elsewhere: they ask for a tag, and then for layers.

use std::thread;

use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_tests::http::Request;

use crate::decisions::named;
use crate::stage::{Setup, Stage, refused, served};

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
    assert!(in_vain <= 6 * children.len(), "{in_vain}: three tries each, and for a while that is the answer");
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
    for child in named(&index.bytes) {
        for layer in layers("shop/cart", &child) {
            refused(&stage.get(&format!("shop/cart/blobs/{layer}")), "TC0650");
        }
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
