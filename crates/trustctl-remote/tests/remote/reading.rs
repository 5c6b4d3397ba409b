//! Reading from a registry: resolving, manifests, blobs, tags.

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Locator, Origin, RefusalKind, Want};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Reference;
use trustctl_remote::gather::Source as _;
use trustctl_remote::http::Http;
use trustctl_remote::registry::{Online, Registry, Resolved};

use crate::memory::{Habits, MemoryRegistry};
use crate::server::{Reply, Seen, Server, answer, empty, redirect, refusal};
use crate::{OCI_INDEX, OCI_MANIFEST, registry, repository, soon};

pub(crate) const IMAGE: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}"#;

/// How a server answers.
pub(crate) type Answers = fn(&Seen) -> Reply;

pub(crate) fn image_digest() -> Digest {
    Digest::sha256_of(IMAGE.as_bytes())
}

async fn resolve(server: &Server, rest: &str) -> Result<Resolved, Reason> {
    let reference: Reference = format!("{}/demo/app{rest}", server.address).parse().unwrap();
    registry().resolve(&reference, soon()).await
}

pub(crate) async fn fetch(registry: &Registry, locator: Locator, max_bytes: u64) -> Entry {
    Online { registry, notary: None, deadline: soon() }.fetch(&Want { locator, max_bytes }).await
}

pub(crate) fn referrers_of(server: &Server) -> Locator {
    Locator::Referrers { repository: repository(&server.address), digest: image_digest() }
}

pub(crate) fn kind(entry: Entry) -> RefusalKind {
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

#[tokio::test]
async fn without_a_tag_it_is_said_that_latest_was_looked_for() {
    let server = Server::start(|_| refusal(404, "MANIFEST_UNKNOWN")).await;
    for (rest, says) in [("", true), (":latest", false), (":1.0", false)] {
        let reason = resolve(&server, rest).await.unwrap_err();
        assert_eq!((reason.code, reason.message.contains("no tag is named")), (Code::ImageNotFound, says), "{}", reason.message);
        assert!(reason.message.contains(":latest") || rest == ":1.0", "{}", reason.message);
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
