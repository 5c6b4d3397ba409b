//! Blobs that are read while they arrive, manifests that are only asked after, and registries that are served elsewhere.

use std::time::Duration;

use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_core::reference::Repository;
use trustctl_remote::credentials::{Credential, Credentials};
use trustctl_remote::error::RemoteError;
use trustctl_remote::http::{Http, Network};
use trustctl_remote::registry::{BlobStream, Endpoints, ManifestName, Registry};
use trustctl_remote::token::Session;

use crate::reading::{Answers, IMAGE, image_digest};
use crate::server::{Reply, Seen, Server, answer, empty, redirect, refusal};
use crate::{OCI_MANIFEST, network, registry, repository, soon};

const BLOB: &[u8] = b"0123456789";

async fn open(server: &Server, offset: u64) -> Result<Option<BlobStream>, RemoteError> {
    registry().open_blob(&repository(&server.address), &Digest::sha256_of(BLOB), offset, soon()).await
}

async fn collect(mut stream: BlobStream) -> Result<Vec<u8>, RemoteError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// From byte `offset` on, as a server that answers everything with `reply`.
async fn read(offset: u64, reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Result<(Option<u64>, Vec<u8>), Code> {
    let server = Server::start(reply).await;
    let stream = open(&server, offset).await.map_err(|error| error.code())?.unwrap();
    let total = stream.total();
    Ok((total, collect(stream).await.map_err(|error| error.code())?))
}

fn part(range: &str, bytes: &[u8]) -> Reply {
    answer(206, "application/octet-stream", bytes).header("Content-Range", range)
}

#[tokio::test]
async fn a_blob_is_read_from_any_place_on() {
    let whole = read(0, |_| answer(200, "x/y", BLOB)).await.unwrap();
    assert_eq!(whole, (Some(10), BLOB.to_vec()));
    let rest = read(4, |seen| {
        assert_eq!(seen.header("range"), Some("bytes=4-"));
        part("bytes 4-9/10", b"456789")
    });
    assert_eq!(rest.await.unwrap(), (Some(10), b"456789".to_vec()));
    let some = read(4, |_| part("bytes 4-6/10", b"456")).await.unwrap();
    assert_eq!(some, (Some(10), b"456".to_vec()), "a server may send less than was asked for");
    let ignorant = read(4, |_| answer(200, "x/y", BLOB)).await.unwrap();
    assert_eq!(ignorant, (Some(10), b"456789".to_vec()), "a server without ranges is read past");
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n7\r\n3456789\r\n0\r\n\r\n";
    assert_eq!(read(0, |_| Reply::Raw(chunked.to_vec())).await.unwrap(), (None, BLOB.to_vec()));
    assert_eq!(read(5, |_| Reply::Raw(chunked.to_vec())).await.unwrap(), (None, b"56789".to_vec()));
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_refused() {
    let cases: [(u64, Answers); 6] = [
        (4, |_| part("bytes 3-9/10", b"3456789")),
        (4, |_| part("bytes 4-9/10", b"4567")),
        (4, |_| part("bytes 9-4/10", b"456789")),
        (4, |_| answer(206, "x/y", &b"456789"[..])),
        (0, |_| part("bytes 0-9/10", BLOB)),
        (4, |_| empty(416).header("Content-Range", "bytes */10")),
    ];
    for (offset, reply) in cases {
        assert_eq!(read(offset, reply).await.unwrap_err(), Code::BadAnswer, "{offset}");
    }
}

#[tokio::test]
async fn a_blob_that_breaks_off_or_stalls_has_no_end() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123";
    assert_eq!(read(0, |_| Reply::Raw(short.to_vec())).await.unwrap_err(), Code::Unavailable);

    let mut hasty = network();
    hasty.idle = Duration::from_millis(100);
    let server = Server::start(|_| Reply::Stalled(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123".to_vec())).await;
    let registry = Registry::new(Session::new(Http::new(hasty), Credentials::none()));
    let opened = registry.open_blob(&repository(&server.address), &Digest::sha256_of(BLOB), 0, soon()).await;
    let mut stream = opened.unwrap().unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "0123");
    assert_eq!(stream.chunk().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn the_deadline_is_for_the_head_alone() {
    let server = Server::start(|_| Reply::Endless).await;
    let deadline = trustctl_remote::limits::Deadline::after(Duration::from_millis(200));
    let opened = registry().open_blob(&repository(&server.address), &Digest::sha256_of(BLOB), 0, deadline).await;
    let mut stream = opened.unwrap().unwrap();
    while !deadline.remaining().is_zero() {
        assert!(stream.chunk().await.unwrap().is_some());
    }
    assert!(stream.chunk().await.unwrap().is_some());

    let silent = Server::start(|_| Reply::Silent).await;
    let deadline = trustctl_remote::limits::Deadline::after(Duration::from_millis(50));
    let opened = registry().open_blob(&repository(&silent.address), &Digest::sha256_of(BLOB), 0, deadline).await;
    assert_eq!(opened.unwrap_err().code(), Code::OutOfBudget);
}

#[tokio::test]
async fn refusals_keep_their_meaning() {
    let cases: [(Answers, Option<Code>); 5] = [
        (|_| refusal(404, "BLOB_UNKNOWN"), None),
        (|_| answer(404, "text/html", "<h1>captive portal</h1>"), Some(Code::BadAnswer)),
        (|_| refusal(403, "DENIED"), Some(Code::AccessDenied)),
        (|_| refusal(429, "TOOMANYREQUESTS"), Some(Code::Unavailable)),
        (|_| empty(503), Some(Code::Unavailable)),
    ];
    for (reply, expected) in cases {
        let server = Server::start(reply).await;
        match open(&server, 0).await {
            Ok(found) => assert!(found.is_none() && expected.is_none()),
            Err(error) => assert_eq!(Some(error.code()), expected),
        }
    }
    // What was asked again in vain is in the count; the body is only begun once.
    let server = Server::start(|_| empty(503)).await;
    drop(open(&server, 0).await);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_redirected_blob_is_followed_without_credentials() {
    let storage = Server::start(|_| part("bytes 4-9/10", b"456789")).await;
    let url = storage.url("/storage?signed");
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some(_) => redirect(url.clone()),
        None => refusal(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"r\""),
    })
    .await;
    let credentials = Credentials::none().with(server.address.clone(), Credential::password("user", "pass"));
    let registry = crate::registry_with(credentials);
    let stream = registry.open_blob(&repository(&server.address), &Digest::sha256_of(BLOB), 4, soon()).await.unwrap().unwrap();
    assert_eq!(collect(stream).await.unwrap(), b"456789");
    assert_eq!(storage.seen()[0].header("authorization"), None);
    assert_eq!(storage.seen()[0].header("range"), Some("bytes=4-"));
}

fn tag() -> ManifestName {
    ManifestName::Tag("v1".parse().unwrap())
}

fn described(seen: &Seen) -> Reply {
    assert!(seen.header("accept").unwrap().contains(OCI_MANIFEST));
    answer(200, OCI_MANIFEST, IMAGE).header("Docker-Content-Digest", image_digest().to_string())
}

#[tokio::test]
async fn a_tag_is_asked_after_without_fetching_it() {
    let server = Server::start(described).await;
    let head = registry().head_manifest(&repository(&server.address), &tag(), soon()).await.unwrap().unwrap();
    let size = u64::try_from(IMAGE.len()).unwrap();
    assert_eq!((head.digest, head.size, head.media_type.as_str()), (image_digest(), size, OCI_MANIFEST));
    assert_eq!(server.lines(), ["HEAD /v2/demo/app/manifests/v1"]);
    let other = ManifestName::Digest(Digest::sha256_of(b"another"));
    let error = registry().head_manifest(&repository(&server.address), &other, soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::WrongDigest);
}

#[tokio::test]
async fn where_a_head_does_not_say_enough_the_manifest_is_fetched() {
    let cases: [(Answers, Result<bool, Code>); 6] = [
        (|_| answer(200, OCI_MANIFEST, IMAGE), Ok(true)),
        (|seen| if seen.method == "HEAD" { empty(405) } else { described(seen) }, Ok(true)),
        (|_| refusal(404, "MANIFEST_UNKNOWN"), Ok(false)),
        (|_| empty(404).header("Docker-Distribution-Api-Version", "registry/2.0"), Ok(false)),
        (|_| answer(404, "text/html", "<h1>captive portal</h1>"), Err(Code::BadAnswer)),
        (|_| refusal(404, "TOOMANYREQUESTS"), Err(Code::Unavailable)),
    ];
    for (at, (reply, expected)) in cases.into_iter().enumerate() {
        let server = Server::start(reply).await;
        let found = registry().head_manifest(&repository(&server.address), &tag(), soon()).await;
        let found = found.map(|head| head.is_some_and(|head| head.digest == image_digest())).map_err(|error| error.code());
        assert_eq!(found, expected, "case {at}");
    }
}

/// A registry that is called `registry.example` and served by `server`.
fn served_by(server: &Server, credentials: Credentials, network: Network) -> (Registry, Repository) {
    let mut endpoints = Endpoints::none();
    endpoints.add("registry.example", &server.url("")).unwrap();
    let registry = Registry::at(Session::new(Http::new(network), credentials), endpoints);
    (registry, "registry.example/demo/app".parse().unwrap())
}

#[tokio::test]
async fn a_registry_served_elsewhere_keeps_its_name_and_its_credentials() {
    let tokens = Server::start(|seen| match seen.header("authorization") {
        Some("Basic dXNlcjpwYXNz") => answer(200, "application/json", r#"{"token":"good"}"#),
        _ => empty(401),
    })
    .await;
    let realm = tokens.url("/token");
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some("Bearer good") => described(seen),
        _ => refusal(401, "UNAUTHORIZED").header("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"s\"")),
    })
    .await;
    let credentials = Credentials::none().with("registry.example", Credential::password("user", "pass"));
    let (registry, repository) = served_by(&server, credentials, network());
    for registry in [registry.fresh(), registry] {
        assert!(registry.manifest(&repository, &tag(), 4096, soon()).await.unwrap().is_some());
        assert!(registry.head_manifest(&repository, &tag(), soon()).await.unwrap().is_some());
    }
    assert_eq!(tokens.lines()[0], "GET /token?service=s&scope=repository%3Ademo%2Fapp%3Apull");
    // Credentials that are filed under the endpoint's own address are another account's.
    let others = Credentials::none().with(server.address.clone(), Credential::password("user", "pass"));
    let (registry, repository) = served_by(&server, others, network());
    assert_eq!(registry.manifest(&repository, &tag(), 4096, soon()).await.unwrap_err().code(), Code::AccessDenied);
}

#[tokio::test]
async fn an_endpoint_beyond_loopback_needs_tls_or_to_be_named() {
    let mut endpoints = Endpoints::none();
    endpoints.add("registry.example", "http://0.0.0.0:1").unwrap();
    let registry = Registry::at(Session::new(Http::new(network()), Credentials::none()), endpoints);
    let repository: Repository = "registry.example/demo/app".parse().unwrap();
    // Refused before anybody is asked.
    let error = registry.manifest(&repository, &tag(), 4096, soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::PlainHttp);
    assert_eq!(registry.session().http().counts().requests, 0);
}
