//! Reading from a registry: resolving, manifests, blobs, referrers, tags.

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Locator, Origin, RefusalKind, Want};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Reference;
use trustctl_remote::gather::Source as _;
use trustctl_remote::http::Http;
use trustctl_remote::registry::{Online, Registry, Resolved};

use crate::memory::{Habits, MemoryRegistry};
use crate::server::{Reply, Seen, Server, answer, empty, no_referrers_api, redirect, refusal};
use crate::{OCI_INDEX, OCI_MANIFEST, registry, repository, soon};

const IMAGE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}"#;

/// How a server answers.
type Answers = fn(&Seen) -> Reply;

fn image_digest() -> Digest {
    Digest::sha256_of(IMAGE.as_bytes())
}

async fn resolve(server: &Server, rest: &str) -> Result<Resolved, Reason> {
    let reference: Reference = format!("{}/demo/app{rest}", server.address).parse().unwrap();
    registry().resolve(&reference, soon()).await
}

async fn fetch(registry: &Registry, locator: Locator, max_bytes: u64) -> Entry {
    Online { registry, notary: None, deadline: soon() }.fetch(&Want { locator, max_bytes }).await
}

fn referrers_of(server: &Server) -> Locator {
    Locator::Referrers { repository: repository(&server.address), digest: image_digest() }
}

fn kind(entry: Entry) -> RefusalKind {
    match entry {
        Entry::Refused(refusal) => refusal.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tag_is_resolved_in_one_request() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    memory.store(Some("v1"), OCI_MANIFEST, IMAGE.as_bytes());
    let resolved = resolve(&memory.server, ":v1").await.unwrap();
    assert_eq!(resolved.subject.digest, image_digest());
    assert_eq!(resolved.subject.tag.unwrap().as_str(), "v1");
    assert_eq!(resolved.manifest, IMAGE.as_bytes());
    assert_eq!(memory.server.lines(), ["GET /v2/demo/app/manifests/v1"]);
    let accept = memory.server.seen()[0].header("accept").unwrap().to_owned();
    for media_type in [OCI_INDEX, OCI_MANIFEST, "manifest.list.v2+json", "manifest.v2+json"] {
        assert!(accept.contains(media_type), "{accept}");
    }
    let by_digest = resolve(&memory.server, &format!(":v1@{}", image_digest())).await.unwrap();
    assert_eq!(by_digest.subject.tag.unwrap().as_str(), "v1");
    assert_eq!(memory.server.lines()[1], format!("GET /v2/demo/app/manifests/{}", image_digest()));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_only_in_the_registrys_form() {
    let cases: [(Answers, Code); 10] = [
        (|_| refusal(404, "MANIFEST_UNKNOWN"), Code::ImageNotFound),
        (|_| refusal(404, "NAME_UNKNOWN"), Code::ImageNotFound),
        (|_| empty(404).header("Docker-Distribution-Api-Version", "registry/2.0"), Code::ImageNotFound),
        (|_| answer(404, "text/html", "<h1>captive portal</h1>"), Code::BadAnswer),
        (|_| empty(404), Code::BadAnswer),
        (|_| refusal(404, "DENIED"), Code::AccessDenied),
        (|_| refusal(404, "TOOMANYREQUESTS"), Code::Unavailable),
        (|_| refusal(403, "DENIED"), Code::AccessDenied),
        (|_| refusal(429, "TOOMANYREQUESTS"), Code::Unavailable),
        (|_| refusal(400, "NAME_INVALID"), Code::BadAnswer),
    ];
    for (at, (reply, code)) in cases.into_iter().enumerate() {
        let server = Server::start(reply).await;
        assert_eq!(resolve(&server, ":v1").await.unwrap_err().code, code, "case {at}");
    }
}

/// docker-registry, while somebody else writes the tag.
#[tokio::test]
async fn a_tag_that_is_being_written_is_read_again() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let server = Server::start(move |_| match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
        true => refusal(400, "DIGEST_INVALID"),
        false => answer(200, OCI_MANIFEST, IMAGE),
    })
    .await;
    assert_eq!(resolve(&server, ":v1").await.unwrap().subject.digest, image_digest());
    let server = Server::start(|_| refusal(400, "DIGEST_INVALID")).await;
    assert_eq!(resolve(&server, ":v1").await.unwrap_err().code, Code::Unavailable);
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused() {
    let other = Digest::sha256_of(b"other");
    let server = Server::start(|_| answer(200, OCI_MANIFEST, IMAGE)).await;
    let error = resolve(&server, &format!("@{other}")).await.unwrap_err();
    assert_eq!(error.code, Code::WrongDigest);
    assert_eq!((error.expected, error.found), (Some(other.to_string()), Some(image_digest().to_string())));
    for locator in [
        Locator::Manifest { repository: repository(&server.address), digest: other },
        Locator::Blob { repository: repository(&server.address), digest: other },
    ] {
        assert_eq!(kind(fetch(&registry(), locator, 1000).await), RefusalKind::WrongDigest);
    }
}

#[tokio::test]
async fn a_header_that_contradicts_the_bytes_is_refused() {
    let other = Digest::sha256_of(b"other").to_string();
    let server = Server::start(move |_| answer(200, OCI_MANIFEST, IMAGE).header("Docker-Content-Digest", other.clone())).await;
    assert_eq!(resolve(&server, ":v1").await.unwrap_err().code, Code::WrongDigest);
    let server = Server::start(|_| answer(200, OCI_MANIFEST, IMAGE).header("Docker-Content-Digest", "nonsense")).await;
    assert_eq!(resolve(&server, ":v1").await.unwrap().subject.digest, image_digest());
}

#[tokio::test]
async fn a_manifest_that_is_too_large_or_none_is_refused() {
    let server = Server::start(|_| answer(200, OCI_MANIFEST, vec![b' '; 4 * 1024 * 1024 + 1])).await;
    assert_eq!(resolve(&server, ":v1").await.unwrap_err().code, Code::TooLarge);
    let server = Server::start(|_| answer(200, OCI_MANIFEST, "<html>")).await;
    assert_eq!(resolve(&server, ":v1").await.unwrap_err().code, Code::BadManifest);
    let server = Server::start(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"schema".to_vec())).await;
    assert_eq!(resolve(&server, ":v1").await.unwrap_err().code, Code::Unavailable);
}

#[tokio::test]
async fn a_blob_follows_its_redirect() {
    let storage = Server::start(|_| answer(200, "application/octet-stream", IMAGE)).await;
    let target = storage.url("/storage?signature=abc");
    let server = Server::start(move |_| redirect(target.clone())).await;
    let locator = Locator::Blob { repository: repository(&server.address), digest: image_digest() };
    let registry = registry();
    let entry = fetch(&registry, locator, 1000).await;
    assert_eq!(entry, Entry::Present { bytes: IMAGE.as_bytes().to_vec(), origin: Origin::Registry });
    let shown = format!("{:?}", registry.session().http().exchanges());
    assert!(shown.contains("/storage") && !shown.contains("signature"), "{shown}");
}

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
        // Routers that know nothing of the path.
        || answer(404, "text/plain; charset=utf-8", "404 page not found\n"),
        || empty(404),
    ];
    for no_api in no_apis {
        let server = Server::start(move |seen| match seen.path().contains("/referrers/") {
            true => no_api(),
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
        false => reply(),
    })
    .await
}

#[tokio::test]
async fn trouble_with_the_api_is_not_a_missing_api() {
    let cases: [(Answers, RefusalKind); 18] = [
        (|_| refusal(403, "DENIED"), RefusalKind::Denied),
        (|_| refusal(404, "DENIED"), RefusalKind::Denied),
        (|_| refusal(429, "TOOMANYREQUESTS"), RefusalKind::Unavailable),
        (|_| refusal(503, "UNAVAILABLE"), RefusalKind::Unavailable),
        // What somebody on the way answers: the page of a proxy, of a portal, of a load balancer.
        (|_| answer(200, "text/html; charset=utf-8", "<html>for people</html>"), RefusalKind::Malformed),
        (|_| answer(404, "text/html", "<html>"), RefusalKind::Malformed),
        (|_| answer(404, "text/plain", " <!doctype html>"), RefusalKind::Malformed),
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

#[tokio::test]
async fn tags_are_listed_over_pages() {
    let server = Server::start(|seen| match seen.target.contains("last=b") {
        false => answer(200, "application/json", r#"{"name":"demo/app","tags":["a","b","not a tag"]}"#)
            .header("Link", "</v2/demo/app/tags/list?last=b&n=2>; rel=\"next\""),
        true => answer(200, "application/json", r#"{"name":"demo/app","tags":["c"]}"#),
    })
    .await;
    let tags = registry().tags(&repository(&server.address), soon()).await.unwrap().unwrap();
    assert_eq!(tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(server.lines()[0], "GET /v2/demo/app/tags/list?n=1000");
}

#[tokio::test]
async fn a_repository_without_tags_is_told_from_none() {
    let server = Server::start(|_| answer(200, "application/json", r#"{"name":"demo/app","tags":null}"#)).await;
    assert_eq!(registry().tags(&repository(&server.address), soon()).await.unwrap(), Some(Vec::new()));
    let server = Server::start(|_| refusal(404, "NAME_UNKNOWN")).await;
    assert_eq!(registry().tags(&repository(&server.address), soon()).await.unwrap(), None);
    let server = Server::start(|_| answer(200, "application/json", "[]")).await;
    assert_eq!(registry().tags(&repository(&server.address), soon()).await.unwrap_err().code(), Code::BadAnswer);
    let endless = |_: &Seen| answer(200, "application/json", r#"{"tags":["a"]}"#).header("Link", "<?x>; rel=next");
    let server = Server::start(endless).await;
    assert_eq!(registry().tags(&repository(&server.address), soon()).await.unwrap_err().code(), Code::BadAnswer);
}

#[tokio::test]
async fn nobody_to_ask_for_notary_files_is_a_refusal() {
    let gun = repository("127.0.0.1:1");
    let locator = Locator::Notary { gun, file: "timestamp.json".to_owned() };
    assert_eq!(kind(fetch(&registry(), locator, 10).await), RefusalKind::Unavailable);
    assert_eq!(Http::new(crate::network()).counts().requests, 0);
}
