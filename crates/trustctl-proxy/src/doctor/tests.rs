#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use trustctl_core::reason::Reason;

use super::*;
use crate::answer::{Denial, Refusal, denied};

const PROXY: &str = "127.0.0.1:5000";

/// An answer of this proxy: its status and body.
fn bytes(answer: crate::answer::Answer) -> (StatusCode, Vec<u8>) {
    use http_body_util::BodyExt as _;
    let status = answer.status();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    (status, runtime.block_on(answer.into_body().collect()).unwrap().to_bytes().to_vec())
}

#[test]
fn what_clients_say_of_a_refusal_is_understood() {
    // As measured: Docker 20.10 and Skopeo repeat the message, containerd 1.6 names host and status, a denial manifest is named by type.
    for refused in [
        "Error response from daemon: pull access denied for 127.0.0.1:5000/shop/canary: denied: TC0655: shop/canary is the canary",
        "level=fatal msg=\"initializing source docker://r/c:1: reading manifest 1 in r/c: denied: TC0655: is the canary\"",
        "ctr: failed to resolve reference \"r/c:1\": pulling from host 127.0.0.1:5000 failed with status code [manifests 1]: 403 Forbidden",
        "reading config blob sha256:0000000000000000000000000000000000000000000000000000000000000000: invalid status code 403 (Forbidden)",
        "unsupported media type application/vnd.dev.trustctl.denied.tc0655.proxy.canary.v1+json",
    ] {
        assert_eq!(outcome(false, refused, PROXY, Code::ProxyCanary), Outcome::Refused, "{refused}");
        assert_eq!(
            outcome(true, refused, PROXY, Code::ProxyCanary),
            Outcome::Arrived,
            "what ends well has the image, whatever it says"
        );
    }
    for other in [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "pulling from host 10.0.0.9:5000 failed with status code [manifests 1]: 403 Forbidden",
        "manifest unknown",
        "denied: TC0301: nothing was signed",
        "",
    ] {
        assert_eq!(outcome(false, other, PROXY, Code::ProxyCanary), Outcome::Failed, "{other}");
    }
    let unsigned = "denied: TC0301: nothing was signed";
    assert_eq!(outcome(false, unsigned, PROXY, Code::CosignUnsigned), Outcome::Refused, "the policy's refusal of another image");
    assert_eq!(said("first\n\n  the cause \u{1b}[31m\n\n"), "the cause \u{fffd}[31m");
}

#[test]
fn the_proxy_s_own_answers_are_understood() {
    let digest = Digest::sha256_of(b"canary");
    let canary = Reason::new(Code::ProxyCanary, "a canary").expected_found("to be refused", digest);
    let refusal = Refusal { digest: None, image: None, reason: &canary, rule: None, link: "https://docs.example" };
    let (status, body) = bytes(denied(&refusal));
    assert_eq!(endpoint(status, &body), Endpoint::Refuses(Some(digest)));
    let (status, body) = bytes(Denial::new(&refusal).answer());
    assert_eq!(endpoint(status, &body), Endpoint::Refuses(Some(digest)));
    for code in [Code::CosignUnsigned, Code::DctTagMoved, Code::PolicyNoRule] {
        let reason = Reason::new(code, "words");
        let refusal = Refusal { digest: None, image: None, reason: &reason, rule: None, link: "https://docs.example" };
        for (status, body) in [bytes(denied(&refusal)), bytes(Denial::new(&refusal).answer())] {
            assert_eq!(endpoint(status, &body), Endpoint::Forbids(code, None));
        }
        let refusal = Refusal { digest: Some(digest), ..refusal };
        for (status, body) in [bytes(denied(&refusal)), bytes(Denial::new(&refusal).answer())] {
            assert_eq!(endpoint(status, &body), Endpoint::Forbids(code, Some(digest)));
        }
    }
    // Whether the registry has the image is not known by these.
    for code in [Code::ProxyCanaryLost, Code::AccessDenied, Code::ProxyNamespace, Code::Unavailable] {
        let reason = Reason::new(code, "words");
        let refusal = Refusal { digest: None, image: None, reason: &reason, rule: None, link: "https://docs.example" };
        for (status, body) in [bytes(denied(&refusal)), bytes(Denial::new(&refusal).answer())] {
            assert!(matches!(endpoint(status, &body), Endpoint::Unclear(why) if why.contains("words")), "{code}");
        }
    }
    let foreign = Reason::new(Code::ProxyNamespace, "not served");
    let (status, body) =
        bytes(denied(&Refusal { digest: None, image: None, reason: &foreign, rule: None, link: "https://docs.example" }));
    assert!(is_proxy(status, &body) && !is_proxy(StatusCode::NOT_FOUND, b"{}") && !is_proxy(StatusCode::OK, &body));
    assert_eq!(endpoint(StatusCode::OK, b"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\"}}"), Endpoint::Gives);
    assert_eq!(endpoint(StatusCode::NOT_FOUND, b"<html>"), Endpoint::Unclear("status 404 Not Found".to_owned()));
}

#[test]
fn only_a_refusal_of_an_image_that_exists_enforces() {
    use Outcome::{Arrived, Failed, Refused};
    let (refuses, unclear) = (Endpoint::Refuses(None), Endpoint::Unclear("no".to_owned()));
    let forbids = Endpoint::Forbids(Code::CosignUnsigned, Some(Digest::sha256_of(b"image")));
    let untold = Endpoint::Forbids(Code::CosignUnsigned, None);
    let table: [(&Endpoint, &[Outcome], Standing); 18] = [
        (&untold, &[Refused], Standing::CannotTell),
        (&untold, &[Arrived], Standing::NotEnforced),
        (&untold, &[], Standing::Refusing),
        (&forbids, &[Refused], Standing::Enforced),
        (&forbids, &[Failed], Standing::CannotTell),
        (&forbids, &[Arrived], Standing::NotEnforced),
        (&forbids, &[], Standing::Refusing),
        (&Endpoint::Passes, &[Arrived], Standing::CannotTell),
        (&Endpoint::Passes, &[], Standing::CannotTell),
        (&refuses, &[Refused, Failed], Standing::Enforced),
        (&refuses, &[Failed, Failed], Standing::CannotTell),
        (&refuses, &[Refused, Arrived], Standing::NotEnforced),
        (&refuses, &[], Standing::Refusing),
        (&unclear, &[Refused], Standing::CannotTell),
        (&unclear, &[Arrived], Standing::NotEnforced),
        (&unclear, &[], Standing::CannotTell),
        (&Endpoint::Gives, &[], Standing::NotEnforced),
        (&Endpoint::Gives, &[Refused], Standing::NotEnforced),
    ];
    for (endpoint, pulls, expected) in table {
        assert_eq!(standing(endpoint, pulls), expected, "{endpoint:?} {pulls:?}");
    }
}

#[test]
fn pulls_are_command_lines_of_each_engine() {
    let options = ["--address".to_owned(), "/run/x.sock".to_owned()];
    let pull = Pull { image: "r.example/c:1", options: &options, hosts: Path::new("/etc/h"), folder: Path::new("/tmp/e") };
    let line = |engine: Engine| engine.arguments(&pull).join(" ");
    assert_eq!(line(Engine::Docker), "--address /run/x.sock pull r.example/c:1");
    assert_eq!(line(Engine::Ctr), "--address /run/x.sock content fetch --hosts-dir /etc/h r.example/c:1");
    assert_eq!(line(Engine::Skopeo), "--address /run/x.sock --insecure-policy copy docker://r.example/c:1 dir:/tmp/e");
    assert_eq!(line(Engine::Buildah), "--address /run/x.sock pull --policy always r.example/c:1");
}
