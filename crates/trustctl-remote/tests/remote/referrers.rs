//! Listing what refers to an image: the API, the fallback tag, and what must not be taken for either.

use trustctl_core::evidence::{Entry, Locator, Origin, RefusalKind};
use trustctl_core::reason::Code;

use crate::reading::{Answers, IMAGE, fetch, image_digest, kind, referrers_of};
use crate::server::{Reply, Server, answer, empty, no_referrers_api, redirect, refusal};
use crate::{OCI_INDEX, OCI_MANIFEST, registry, repository, soon};

#[tokio::test]
async fn referrers_come_from_the_api_in_one_request() {
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#);
    let body = index.clone();
    let server = Server::start(move |_| answer(200, &format!("{OCI_INDEX}; charset=utf-8"), body.clone())).await;
    let entry = fetch(&registry(), referrers_of(&server), 1000).await;
    assert_eq!(entry, Entry::Present { bytes: index.into_bytes(), origin: Origin::ReferrersApi });
    assert_eq!(server.lines(), [format!("GET /v2/demo/app/referrers/{}", image_digest())]);
}

#[tokio::test]
async fn without_the_api_the_fallback_tag_is_read_and_the_api_not_asked_again() {
    let no_apis: [fn() -> Reply; 9] = [
        no_referrers_api,
        || refusal(404, "NOT_FOUND"),
        || refusal(404, "UNSUPPORTED"),
        || refusal(400, "UNSUPPORTED"),
        || refusal(405, "UNSUPPORTED"),
        || answer(406, "application/json", r#"{"errors":[{"status":406,"message":"HTTP 406 Not Acceptable"}]}"#),
        || refusal(501, "UNSUPPORTED"),
        // Routers that know nothing of the path, of registries that do not introduce themselves in other answers either.
        || answer(404, "text/plain; charset=utf-8", "404 page not found\n"),
        || empty(404),
    ];
    for (at, no_api) in no_apis.into_iter().enumerate() {
        let server = Server::start(move |seen| match seen.path().contains("/referrers/") {
            true => no_api(),
            // docker-registry introduces itself in every answer.
            false if at == 0 => answer(200, OCI_INDEX, "{}").header("Docker-Distribution-Api-Version", "registry/2.0"),
            false => answer(200, OCI_INDEX, "{}"),
        })
        .await;
        let registry = registry();
        for _ in 0..2 {
            let entry = fetch(&registry, referrers_of(&server), 1000).await;
            assert_eq!(entry, Entry::Present { bytes: b"{}".to_vec(), origin: Origin::FallbackTag });
        }
        let fallback = format!("GET /v2/demo/app/manifests/sha256-{}", image_digest().hex());
        assert_eq!(server.lines()[1..], [fallback.clone(), fallback]);
    }
}

#[tokio::test]
async fn a_fallback_tag_that_is_denied_or_unavailable_is_not_absent() {
    let cases: [(fn() -> Reply, Entry); 3] = [
        (|| refusal(404, "MANIFEST_UNKNOWN"), Entry::Absent),
        (|| refusal(404, "NAME_UNKNOWN"), Entry::Absent),
        // The image itself, as GitLab's registry answers: no listing.
        (|| answer(200, OCI_MANIFEST, IMAGE), Entry::Absent),
    ];
    for (reply, expected) in cases {
        let server = fallback_server(reply).await;
        assert_eq!(fetch(&registry(), referrers_of(&server), 1000).await, expected);
    }
    let refused: [(fn() -> Reply, RefusalKind); 6] = [
        (|| refusal(403, "DENIED"), RefusalKind::Denied),
        (|| refusal(401, "UNAUTHORIZED"), RefusalKind::Denied),
        (|| refusal(429, "TOOMANYREQUESTS"), RefusalKind::Unavailable),
        (|| refusal(500, "UNKNOWN"), RefusalKind::Unavailable),
        (|| answer(404, "text/html", "<html>"), RefusalKind::Malformed),
        (|| answer(200, OCI_INDEX, vec![b' '; 1001]), RefusalKind::TooLarge),
    ];
    for (reply, expected) in refused {
        let server = fallback_server(reply).await;
        assert_eq!(kind(fetch(&registry(), referrers_of(&server), 1000).await), expected);
    }
}

/// A server without the API whose fallback tag answers so.
async fn fallback_server(reply: fn() -> Reply) -> Server {
    Server::start(move |seen| match seen.path().contains("/referrers/") {
        true => no_referrers_api(),
        false => reply().header("Docker-Distribution-Api-Version", "registry/2.0"),
    })
    .await
}

#[tokio::test]
async fn trouble_with_the_api_is_not_a_missing_api() {
    let cases: [(Answers, RefusalKind); 23] = [
        (|_| refusal(403, "DENIED"), RefusalKind::Denied),
        (|_| refusal(404, "DENIED"), RefusalKind::Denied),
        (|_| refusal(429, "TOOMANYREQUESTS"), RefusalKind::Unavailable),
        (|_| refusal(503, "UNAVAILABLE"), RefusalKind::Unavailable),
        // What somebody on the way answers: the page of a proxy, of a portal, of a load balancer.
        (|_| answer(200, "text/html; charset=utf-8", "<html>for people</html>"), RefusalKind::Malformed),
        (|_| answer(404, "text/html", "<html>"), RefusalKind::Malformed),
        (|_| answer(404, "text/plain", " <!doctype html>"), RefusalKind::Malformed),
        // What gateways say that block a path.
        (|_| answer(404, "application/json", r#"{"error":"blocked by the secure web gateway"}"#), RefusalKind::Malformed),
        (|_| answer(404, "application/json", r#"{"errors":[{"code":"blocked","status":"404"}]}"#), RefusalKind::Malformed),
        (|_| answer(404, "text/plain", "Blocked by firewall policy 17"), RefusalKind::Malformed),
        (|_| answer(404, "text/plain", "\u{feff}<!doctype html>"), RefusalKind::Malformed),
        (|_| answer(404, "text/html", ""), RefusalKind::Malformed),
        (|_| answer(405, "text/html", "<html>"), RefusalKind::Malformed),
        (|_| answer(406, "text/html", "<html>"), RefusalKind::Malformed),
        (|_| empty(300), RefusalKind::Malformed),
        (|_| empty(304), RefusalKind::Malformed),
        (|_| empty(400), RefusalKind::Malformed),
        (|_| refusal(400, "MANIFEST_INVALID"), RefusalKind::Malformed),
        (|_| empty(410), RefusalKind::Malformed),
        (|_| empty(501), RefusalKind::Malformed),
        (|_| answer(200, "application/json", r#"{"manifests":[]}"#), RefusalKind::Malformed),
        (|_| answer(200, OCI_INDEX, "not json"), RefusalKind::Malformed),
        (|_| answer(200, OCI_INDEX, r#"{"manifests":[],"manifests":[]}"#), RefusalKind::Malformed),
    ];
    for (at, (reply, expected)) in cases.into_iter().enumerate() {
        let server = Server::start(reply).await;
        assert_eq!(kind(fetch(&registry(), referrers_of(&server), 1000).await), expected, "case {at}");
        assert!(server.lines().iter().all(|line| line.contains("/referrers/")));
    }
}

/// A gateway in front of the registry knows nothing of the path, as a router does: the rest of the answers gives it away.
#[tokio::test]
async fn the_words_of_a_router_count_only_from_a_host_that_always_answers_so() {
    const INTRODUCTION: (&str, &str) = ("Docker-Distribution-Api-Version", "registry/2.0");
    let routers: [fn() -> Reply; 3] = [
        || answer(404, "text/plain; charset=utf-8", "404 page not found\n"),
        || answer(404, "text/plain", "\u{feff}404 page not found"),
        || empty(404),
    ];
    for router in routers {
        for (of_router, of_others) in [(false, true), (true, false), (true, true), (false, false)] {
            let introduce = |reply: Reply, is_introduced: bool| match is_introduced {
                true => reply.header(INTRODUCTION.0, INTRODUCTION.1),
                false => reply,
            };
            let server = Server::start(move |seen| match seen.path().contains("/referrers/") {
                true => introduce(router(), of_router),
                false => introduce(refusal(404, "MANIFEST_UNKNOWN"), of_others),
            })
            .await;
            let registry = registry();
            for _ in 0..2 {
                let entry = fetch(&registry, referrers_of(&server), 1000).await;
                match of_router == of_others {
                    true => assert_eq!(entry, Entry::Absent),
                    false => assert_eq!(kind(entry), RefusalKind::Malformed),
                }
            }
        }
    }
    let server = Server::start(|_| answer(404, "text/plain", "404 page not found")).await;
    assert_eq!(kind(fetch(&registry(), referrers_of(&server), 1000).await), RefusalKind::Malformed, "nothing to compare it with");
}

/// However the host is written, what was learnt of it counts.
#[tokio::test]
async fn an_api_that_answered_does_not_go_away_under_another_spelling_of_its_host() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let server =
        Server::start(move |seen| match (seen.path().contains("/referrers/"), first.load(std::sync::atomic::Ordering::SeqCst)) {
            (true, true) => {
                first.store(false, std::sync::atomic::Ordering::SeqCst);
                answer(200, OCI_INDEX, r#"{"manifests":[]}"#)
            }
            (true, false) => refusal(404, "NOT_FOUND"),
            (false, _) => refusal(404, "MANIFEST_UNKNOWN"),
        })
        .await;
    let port = server.address.rsplit(':').next().unwrap();
    let registry = registry();
    let of = |host: &str| Locator::Referrers { repository: repository(&format!("{host}:{port}")), digest: image_digest() };
    assert!(matches!(fetch(&registry, of("localhost"), 1000).await, Entry::Present { .. }));
    for spelling in ["localhost", "LOCALHOST", "LocalHost"] {
        assert_eq!(kind(fetch(&registry, of(spelling), 1000).await), RefusalKind::Malformed, "{spelling}");
    }
}

#[tokio::test]
async fn a_page_that_the_api_is_redirected_to_is_not_a_missing_api() {
    let pages: [fn() -> Reply; 3] =
        [|| answer(200, "text/html", "<html>"), || answer(404, "text/html", "<html>"), no_referrers_api];
    for page in pages {
        let portal = Server::start(move |_| page()).await;
        let target = portal.url("/login");
        let server = Server::start(move |_| redirect(target.clone())).await;
        assert_eq!(kind(fetch(&registry(), referrers_of(&server), 1000).await), RefusalKind::Malformed);
    }
}

#[tokio::test]
async fn pages_of_referrers_are_merged_entry_by_entry() {
    let server = Server::start(|seen| match seen.target.split_once("page=") {
        None => answer(200, OCI_INDEX, r#"{"manifests":[{"digest":"a", "n": 1.0}]}"#).header("Link", "<?page=2>; rel=\"next\""),
        Some((_, "2")) => answer(200, OCI_INDEX, r#"{"manifests":[ {"digest":"b"}]}"#)
            .header("Link", format!("<http://{}{}?page=3>;rel=next", seen.header("host").unwrap(), seen.path())),
        Some(_) => answer(200, OCI_INDEX, r#"{"manifests":[]}"#).header("Link", "</other>; rel=\"prev\""),
    })
    .await;
    let Entry::Present { bytes, origin } = fetch(&registry(), referrers_of(&server), 1000).await else { panic!() };
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(origin, Origin::ReferrersApi);
    assert!(text.ends_with(r#""manifests":[{"digest":"a", "n": 1.0},{"digest":"b"}]}"#), "{text}");
    assert_eq!(server.seen().len(), 3);
}

/// Several links in one header, in several lines, in any order, with lists of relations: no form hides the pages that follow.
#[tokio::test]
async fn the_next_page_is_found_however_the_registry_writes_it() {
    let forms: [&[&str]; 6] = [
        &["<?page=2>; rel=\"next\", <?page=9>; rel=\"last\""],
        &["<?page=9>; rel=\"last\", <?page=2>; rel=\"next\""],
        &["<?page=2>; rel=\"next last\""],
        &["<?page=2>; rel='next'"],
        &["<?page=9>; rel=\"last\"", "<?page=2>; rel=\"next\""],
        &["<?page=2>; rel=\"next\"", "</style.css>; rel=preload"],
    ];
    for form in forms {
        let server = Server::start(move |seen| {
            let linked = |reply: Reply| form.iter().fold(reply, |reply, line| reply.header("Link", *line));
            match (seen.path().ends_with("/tags/list"), seen.target.contains("page=2")) {
                (false, false) => linked(answer(200, OCI_INDEX, r#"{"manifests":[]}"#)),
                (false, true) => answer(200, OCI_INDEX, r#"{"manifests":[{"digest":"revocation"}]}"#),
                (true, false) => linked(answer(200, "application/json", r#"{"tags":["a"]}"#)),
                (true, true) => answer(200, "application/json", r#"{"tags":["b"]}"#),
            }
        })
        .await;
        let Entry::Present { bytes, .. } = fetch(&registry(), referrers_of(&server), 1000).await else { panic!("{form:?}") };
        assert!(String::from_utf8(bytes).unwrap().contains("revocation"), "{form:?}");
        let tags = registry().tags(&repository(&server.address), soon()).await.unwrap().unwrap();
        assert_eq!(tags.len(), 2, "{form:?}");
    }
    for form in ["<?page=2>; rel=\"next", "<?page=2>; rel=next, <?page=3>; rel=next", "<?page=2>; rel=prev; rel=next"] {
        let server = Server::start(move |seen| match seen.path().ends_with("/tags/list") {
            true => answer(200, "application/json", r#"{"tags":["a"]}"#).header("Link", form),
            false => answer(200, OCI_INDEX, r#"{"manifests":[]}"#).header("Link", form),
        })
        .await;
        assert_eq!(kind(fetch(&registry(), referrers_of(&server), 1000).await), RefusalKind::Malformed, "{form}");
        assert_eq!(registry().tags(&repository(&server.address), soon()).await.unwrap_err().code(), Code::BadAnswer, "{form}");
    }
}

#[tokio::test]
async fn pages_that_lead_elsewhere_or_nowhere_are_refused() {
    let page = |link: &str| answer(200, OCI_INDEX, r#"{"manifests":[]}"#).header("Link", link);
    for link in ["<http://evil.example/next>; rel=\"next\"", "<//evil.example/next>; rel=next", "nonsense", "<unclosed; rel=next"]
    {
        let server = Server::start(move |_| page(link)).await;
        assert_eq!(kind(fetch(&registry(), referrers_of(&server), 1000).await), RefusalKind::Malformed, "{link}");
        assert_eq!(server.seen().len(), 1);
    }
    // A list without end is ended by the pages or by the bytes, whichever comes first.
    let server = Server::start(move |_| page("<?again>; rel=next")).await;
    assert_eq!(kind(fetch(&registry(), referrers_of(&server), 1_000_000).await), RefusalKind::Malformed);
    assert_eq!(server.seen().len(), 64);
    assert_eq!(kind(fetch(&registry(), referrers_of(&server), 100).await), RefusalKind::TooLarge);
}
