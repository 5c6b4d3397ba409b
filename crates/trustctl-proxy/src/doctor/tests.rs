#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use trustctl_core::reason::Reason;

use super::*;
use crate::answer::{Denial, Refusal, denied};

const CANARY: Signs<'_> = Signs { proxy: "127.0.0.1:5000", code: Code::ProxyCanary, denied: None };

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
        assert_eq!(outcome(false, refused, &CANARY), Outcome::Refused, "{refused}");
        assert_eq!(outcome(true, refused, &CANARY), Outcome::Arrived, "what ends well has the image, whatever it says");
    }
    for other in [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "pulling from host 10.0.0.9:5000 failed with status code [manifests 1]: 403 Forbidden",
        "manifest unknown",
        "denied: TC0301: nothing was signed",
        "",
    ] {
        assert_eq!(outcome(false, other, &CANARY), Outcome::Failed, "{other}");
    }
    let unsigned = "denied: TC0301: nothing was signed";
    assert_eq!(
        outcome(false, unsigned, &Signs { code: Code::CosignUnsigned, ..CANARY }),
        Outcome::Refused,
        "the policy's refusal of another image"
    );
    // By digest, a denial manifest is another one than was asked for. Only where the proxy gives it is that its refusal.
    let (asked, got) = (Digest::sha256_of(b"image"), Digest::sha256_of(b"denial"));
    for other in [
        format!(
            "level=fatal msg=\"determining manifest MIME type for docker://r/c@{asked}: Manifest does not match provided manifest digest {asked}\""
        ),
        format!(
            "ctr: failed commit on ref \"manifest-{asked}\": unexpected commit digest {got}, expected {asked}: failed precondition"
        ),
    ] {
        assert_eq!(outcome(false, &other, &Signs { denied: Some(asked), ..CANARY }), Outcome::Refused, "{other}");
        assert_eq!(outcome(false, &other, &CANARY), Outcome::Failed, "{other}");
        let unrelated = Signs { denied: Some(Digest::sha256_of(b"unrelated")), ..CANARY };
        assert_eq!(outcome(false, &other, &unrelated), Outcome::Failed, "{other}");
    }
    let down = format!("docker://r/c@{asked}: connection refused");
    assert_eq!(outcome(false, &down, &Signs { denied: Some(asked), ..CANARY }), Outcome::Failed);
    assert_eq!(said("first\n\n  the cause \u{1b}[31m\n\n"), "the cause \u{fffd}[31m");
}

#[test]
fn the_proxy_s_own_answers_are_understood() {
    let digest = Digest::sha256_of(b"canary");
    let canary = Reason::new(Code::ProxyCanary, "a canary").expected_found("to be refused", digest);
    let refusal = Refusal { digest: None, image: None, reason: &canary, rule: None, link: "https://docs.example" };
    let (status, body) = bytes(denied(&refusal));
    assert_eq!((endpoint(status, &body), is_denial(status, &body)), (Endpoint::Refuses(Some(digest)), false));
    let (status, body) = bytes(Denial::new(&refusal).answer());
    assert!(is_denial(status, &body));
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
    let table: [(&Endpoint, &[Outcome], Standing); 21] = [
        (&untold, &[Refused], Standing::CannotTell),
        (&untold, &[Arrived], Standing::NotEnforced),
        (&untold, &[], Standing::Refusing),
        (&forbids, &[Refused], Standing::Enforced),
        (&forbids, &[Failed], Standing::CannotTell),
        (&forbids, &[Arrived], Standing::NotEnforced),
        (&forbids, &[], Standing::Refusing),
        (&Endpoint::Passes, &[Arrived], Standing::CannotTell),
        (&Endpoint::Passes, &[], Standing::CannotTell),
        (&refuses, &[Refused, Refused], Standing::Enforced),
        (&refuses, &[Refused, Failed], Standing::CannotTell),
        (&refuses, &[Failed, Refused], Standing::CannotTell),
        (&forbids, &[Refused, Failed], Standing::CannotTell),
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
        assert_eq!(standing(endpoint, pulls, None), expected, "{endpoint:?} {pulls:?}");
    }
    // By the proxy's name, where the way to the registry is closed.
    let by_proxy = |pulls: &[Outcome], outcome| standing(&refuses, pulls, Some(outcome));
    assert_eq!(by_proxy(&[Failed, Failed], Refused), Standing::Enforced);
    assert_eq!(by_proxy(&[Failed, Failed], Failed), Standing::CannotTell);
    assert_eq!(by_proxy(&[Failed, Failed], Arrived), Standing::NotEnforced);
    assert_eq!(by_proxy(&[Refused, Failed], Refused), Standing::CannotTell);
    assert_eq!(standing(&unclear, &[Failed], Some(Refused)), Standing::CannotTell);
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
