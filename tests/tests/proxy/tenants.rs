//! Callers with credentials of their own: what one may read, another does not get from the cache.

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trustctl_lab::access::{Access, Account, Rights, TokenAccess};
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_lab::world::WorldOptions;
use trustctl_tests::http::{Request, Response};

use crate::stage::{Setup, Stage, refused, served};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";

fn as_(stage: &Stage, who: &str, path: &str) -> Response {
    let authorization = format!("Basic {}", STANDARD.encode(who));
    let request = Request::new("GET", &format!("/v2/{path}")).header("Accept", ACCEPT);
    stage.send(&request.header("Authorization", authorization))
}

fn both(access: fn(Vec<Account>) -> Access) {
    let bob = Account { name: "bob".to_owned(), password: "bob's".to_owned(), rights: Rights::Nothing };
    let access = access(vec![Account::admin("alice", "alice's"), bob]);
    let upstream = "credentials = \"pass-through\"";
    let stage = Stage::of(WorldOptions { access, ..WorldOptions::default() }, &Setup { upstream, ..Setup::default() });
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    let index = as_(&stage, "alice:alice's", "shop/cart/manifests/1");
    served(&index, &digest);
    let index: serde_json::Value = serde_json::from_slice(&index.body).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let manifest = as_(&stage, "alice:alice's", &format!("shop/cart/manifests/{child}"));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.body).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    served(&as_(&stage, "alice:alice's", &format!("shop/cart/blobs/{layer}")), &layer);
    // All of it is in the cache now.
    for who in ["bob:bob's", "alice:guessed", "nobody:"] {
        for path in [
            "manifests/1".to_owned(),
            format!("manifests/{child}"),
            format!("blobs/{layer}"),
            format!("referrers/{digest}"),
            "tags/list".to_owned(),
        ] {
            let answer = as_(&stage, who, &format!("shop/cart/{path}"));
            assert_eq!(answer.status, 403, "{who} read {path}: {}", String::from_utf8_lossy(&answer.body));
            assert!(!answer.body.windows(6).any(|part| part == b"layers"), "{who} read {path}");
        }
    }
    let unknown = stage.get("shop/cart/manifests/1");
    assert_eq!((unknown.status, unknown.headers.first("WWW-Authenticate").is_some()), (401, true));
    assert_eq!(stage.get("").status, 401, "an engine is asked for credentials before it asks for anything");
    served(&as_(&stage, "alice:alice's", "shop/cart/manifests/1"), &digest);
}

#[test]
fn by_basic_authentication() {
    both(Access::Basic);
}

#[test]
fn by_token() {
    both(|accounts| Access::Token(TokenAccess { accounts, anonymous_pull: false, realm: None }));
}

#[test]
fn with_an_account_of_the_proxy_s_own() {
    let access = Access::Basic(vec![Account::admin("alice", "alice's")]);
    let mut stage = Stage::without_proxy(WorldOptions { access, ..WorldOptions::default() });
    let digest = stage.push("shop/cart:1", &Artifact::image("signed"));
    stage.sign("shop/cart:1");
    stage.write("password", "alice's\n");
    let upstream = "user = \"alice\"\npassword = \"password\"";
    stage.start(&Setup { upstream, ..Setup::default() });
    served(&stage.get("shop/cart/manifests/1"), &digest);
    // A file without a password is told before anything is served without it.
    stage.stop();
    stage.write("password", "\n");
    let (report, exit) = stage.user().json(&["proxy", "check", "--config", "proxy.toml"]).unwrap();
    assert_eq!((exit, report["error"]["name"].as_str()), (Some(7), Some("proxy.secret-missing")), "{report:#}");
}

/// What a registry does not answer to one caller is no answer for the others: not which image a tag names, and not whether one was revoked.
#[test]
fn a_caller_who_is_not_answered_leaves_nothing_to_others() {
    let reader = |name: &str| Account { name: name.to_owned(), password: "secret".to_owned(), rights: Rights::Pull };
    let access = Access::Basic(vec![Account::admin("alice", "alice's"), reader("carol"), reader("dave")]);
    let upstream = "credentials = \"pass-through\"";
    let setup = Setup { upstream, times: "tag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"", ..Setup::default() };
    let stage = Stage::of(WorldOptions { access, ..WorldOptions::default() }, &setup);
    let old = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    let (alice, carol, dave) = ("alice:alice's", "carol:secret", "dave:secret");
    for who in [alice, carol, dave] {
        served(&as_(&stage, who, "shop/cart/manifests/1"), &old);
    }
    let new = stage.push("shop/cart:1", &Artifact::image("newer"));
    stage.sign("shop/cart:1");
    thread::sleep(Duration::from_millis(1100));
    // The lab cannot tell callers apart: the registry fails while Carol or Dave asks, and is well when Alice does.
    let throttled = Fault::Status { status: 429, retry_after: Some(60) };
    let faults = stage.world.registry().faults();
    faults.add(FaultRule::always("*/manifests/1", throttled.clone()));
    let stale = as_(&stage, carol, "shop/cart/manifests/1");
    served(&stale, &old);
    assert!(stale.headers.first("Warning").is_some());
    faults.clear();
    served(&as_(&stage, alice, "shop/cart/manifests/1"), &new);

    stage.revoke("shop/cart:1");
    thread::sleep(Duration::from_millis(1100));
    faults.add(FaultRule::always("*", throttled));
    served(&as_(&stage, dave, "shop/cart/manifests/1"), &new);
    faults.clear();
    refused(&as_(&stage, alice, "shop/cart/manifests/1"), "TC0309");
}
