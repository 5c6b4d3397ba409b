#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use trustctl_core::reason::Reason;

use super::*;
use crate::answer::{Denial, Refusal, denied};

const CANARY: Signs<'_> = Signs { proxy: "127.0.0.1:5000", registry: "r", path: "c", code: Code::ProxyCanary, denied: None };

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
    assert_eq!(said("first\n\n  the cause \u{1b}[31m\n\n"), "the cause \u{fffd}[31m");
}

#[test]
fn other_bytes_than_were_asked_for_are_a_refusal_only_where_they_are_the_proxy_s() {
    let (asked, got) = (Digest::sha256_of(b"image"), Digest::sha256_of(b"denial"));
    let denied = Some(Denied { asked, given: Some(got) });
    let skopeo = |host: &str| {
        format!("level=fatal msg=\"docker://{host}/c@{asked}: Manifest does not match provided manifest digest {asked}\"")
    };
    let told = |host: &str| format!("level=debug msg=\"GET http://{host}/v2/c/manifests/{asked}\"\n{}", skopeo("r"));
    let ctr = |got: &Digest| {
        format!(
            "ctr: failed commit on ref \"manifest-{asked}\": unexpected commit digest {got}, expected {asked}: failed precondition"
        )
    };
    for of_proxy in [skopeo("127.0.0.1:5000"), told("127.0.0.1:5000"), ctr(&got)] {
        assert_eq!(outcome(false, &of_proxy, &Signs { denied, ..CANARY }), Outcome::Refused, "{of_proxy}");
        assert_eq!(outcome(false, &of_proxy, &CANARY), Outcome::Failed, "{of_proxy}");
        let other = Some(Denied { asked: Digest::sha256_of(b"unrelated"), given: None });
        assert_eq!(outcome(false, &of_proxy, &Signs { denied: other, ..CANARY }), Outcome::Failed, "{of_proxy}");
    }
    // A mirror that gives a page of its own for everything; one at another port; and the proxy, before another was asked.
    let both = format!("{}\n{}", told("127.0.0.1:5000"), told("mirror.example"));
    for of_others in [skopeo("r"), skopeo("127.0.0.1:50001"), told("mirror.example"), both, ctr(&Digest::sha256_of(b"page"))] {
        assert_eq!(outcome(false, &of_others, &Signs { denied, ..CANARY }), Outcome::Failed, "{of_others}");
    }
    let down = format!("docker://r/c@{asked}: connection refused");
    assert_eq!(outcome(false, &down, &Signs { denied, ..CANARY }), Outcome::Failed);
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
    use Outcome::{Arrived, Closed, Failed, Refused};
    let image = Digest::sha256_of(b"image");
    let (refuses, unclear) = (Endpoint::Refuses(Some(image)), Endpoint::Unclear("no".to_owned()));
    let forbids = Endpoint::Forbids(Code::CosignUnsigned, Some(image));
    let unsaid = Endpoint::Refuses(None);
    let untold = Endpoint::Forbids(Code::CosignUnsigned, None);
    let table: [(&Endpoint, &[Outcome], Standing); 25] = [
        (&unsaid, &[Refused], Standing::CannotTell),
        (&unsaid, &[Arrived], Standing::NotEnforced),
        (&refuses, &[Closed, Closed], Standing::CannotTell),
        (&refuses, &[Closed, Refused], Standing::CannotTell),
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
    assert_eq!(by_proxy(&[Closed, Closed], Refused), Standing::Enforced);
    assert_eq!(by_proxy(&[Closed, Closed], Failed), Standing::CannotTell);
    assert_eq!(by_proxy(&[Closed, Closed], Arrived), Standing::NotEnforced);
    // The registry answered, or nobody knows whether it did.
    assert_eq!(by_proxy(&[Failed, Failed], Refused), Standing::CannotTell);
    assert_eq!(by_proxy(&[Closed, Failed], Refused), Standing::CannotTell);
    assert_eq!(by_proxy(&[Refused, Failed], Refused), Standing::CannotTell);
    assert_eq!(standing(&unclear, &[Failed], Some(Refused)), Standing::CannotTell);
}

#[test]
fn pulls_are_command_lines_of_each_engine() {
    let options = ["--address".to_owned(), "/run/x.sock".to_owned()];
    let pull =
        Pull { image: "r.example/c:1", options: &options, hosts: Path::new("/etc/h"), folder: Path::new("/tmp/e"), tells: false };
    let line = |engine: Engine| engine.arguments(&pull).join(" ");
    assert_eq!(line(Engine::Docker), "--address /run/x.sock pull r.example/c:1");
    assert_eq!(line(Engine::Ctr), "--address /run/x.sock content fetch --hosts-dir /etc/h r.example/c:1");
    assert_eq!(line(Engine::Skopeo), "--address /run/x.sock --insecure-policy copy docker://r.example/c:1 dir:/tmp/e");
    assert_eq!(line(Engine::Buildah), "--address /run/x.sock pull --policy always r.example/c:1");
    let told = Pull { options: &[], tells: true, ..pull };
    assert_eq!(Engine::Podman.arguments(&told).join(" "), "--log-level=debug pull r.example/c:1");
    assert_eq!(Engine::Docker.arguments(&told).join(" "), "pull r.example/c:1", "it cannot");
}

#[test]
fn only_a_connection_that_does_not_come_about_closes_a_way() {
    let signs = Signs { registry: "r.example", path: "shop/canary", ..CANARY };
    let (get, docker) = ("Get \"https://r.example/v2/\": ", "Error response from daemon: ");
    for closed in [
        // Docker, Podman, Skopeo, Buildah, ctr and crictl, by a firewall that rejects, drops or filters, and without route or name.
        format!("{docker}{get}dial tcp 192.0.2.1:443: connect: connection refused"),
        format!("{docker}{get}net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"),
        format!("Error: initializing source docker://r.example/shop/canary:1: pinging container registry r.example: {get}dial tcp: lookup r.example on 127.0.0.53:53: no such host"),
        "level=fatal msg=\"initializing source docker://r.example/shop/canary:1: pinging container registry r.example: Get \\\"https://r.example/v2/\\\": dial tcp 192.0.2.1:443: connect: no route to host\"".to_owned(),
        format!("Error: {get}dial tcp [2001:db8::1]:443: connect: network is unreachable\ntime=\"1\" level=error msg=\"exit status 125\""),
        "ctr: failed to resolve reference \"r.example/shop/canary:1\": failed to do request: Head \"https://r.example/v2/shop/canary/manifests/1\": dial tcp 192.0.2.1:443: i/o timeout".to_owned(),
        "\"PullImage failed\" err=\"Head \\\"https://r.example/v2/shop/canary/manifests/1\\\": dial tcp 192.0.2.1:443: connect: operation not permitted\" image=\"x\"".to_owned(),
        format!("Error: initializing source: (Mirrors also failed: [127.0.0.1:5000/shop/canary:1: denied: TC0655: a canary]): r.example/shop/canary:1: {get}dial tcp 192.0.2.1:443: connect: connection refused"),
    ] {
        assert_eq!(outcome(false, &closed, &signs), Outcome::Closed, "{closed}");
    }
    let refused = "dial tcp 192.0.2.1:443: connect: connection refused";
    for open in [
        // The registry answered.
        "Error response from daemon: manifest for r.example/shop/canary:1 not found: manifest unknown".to_owned(),
        format!("{docker}{get}unauthorized: authentication required"),
        "toomanyrequests: You have reached your pull rate limit".to_owned(),
        format!("{get}{refused}\nError: reading manifest 1 in r.example/shop/canary: manifest unknown"),
        format!("{docker}{get}x509: certificate signed by unknown authority"),
        format!("{docker}{get}net/http: TLS handshake timeout"),
        format!("{docker}{get}read tcp 192.0.2.9:1->192.0.2.1:443: read: connection reset by peer"),
        // Others did not: who gives tokens, a mirror, a proxy for HTTP, a name server, the daemon.
        format!("failed to resolve r.example/shop/canary:1: failed to fetch token: Get \"https://r.example.auth/token\": {refused}"),
        format!("shop/canary: Get \"https://mirror.example/v2/\": {refused}"),
        format!("{docker}{get}proxyconnect tcp: {refused}"),
        format!("{docker}{get}dial tcp: lookup r.example on 192.0.2.53:53: read udp 192.0.2.9:1->192.0.2.53:53: i/o timeout"),
        format!("{docker}{get}dial tcp: lookup r.example: Temporary failure in name resolution"),
        "dial unix /var/run/docker.sock: connect: permission denied".to_owned(),
        // A mirror that refuses does not keep the client from the registry.
        "Error: (Mirrors also failed: [127.0.0.1:5000/shop/canary:1: denied: TC0655: a canary]): r.example/shop/canary:1: toomanyrequests".to_owned(),
    ] {
        assert_eq!(outcome(false, &open, &signs), Outcome::Failed, "{open}");
    }
}
