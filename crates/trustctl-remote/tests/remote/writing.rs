//! Sending to a registry: blobs, manifests, deletions.

use std::sync::atomic::{AtomicU32, Ordering};

use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_core::reference::Repository;
use trustctl_remote::error::RemoteError;
use trustctl_remote::registry::{ManifestName, ManifestPut, Pushed};

use crate::memory::{Habits, MemoryRegistry};
use crate::server::{Reply, Server, answer, empty, refusal};
use crate::{OCI_MANIFEST, registry, repository, soon};

async fn push(address: &str, name: &str, bytes: &[u8]) -> Result<Pushed, RemoteError> {
    let name = match name.parse() {
        Ok(digest) => ManifestName::Digest(digest),
        Err(_) => ManifestName::Tag(name.parse().unwrap()),
    };
    let place: Repository = repository(address);
    registry().push_manifest(&place, ManifestPut { name: &name, media_type: OCI_MANIFEST, bytes }, soon()).await
}

#[tokio::test]
async fn a_small_blob_goes_in_one_step_where_the_registry_takes_it() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    let place = repository(&memory.server.address);
    let client = registry();
    let digest = client.push_blob(&place, b"payload", soon()).await.unwrap();
    assert_eq!(memory.server.lines(), [format!("POST /v2/demo/app/blobs/uploads/?digest={digest}")]);
    client.push_blob(&place, b"payload", soon()).await.unwrap();
    assert_eq!(memory.server.seen().len(), 1, "what was sent is not sent again");
}

#[tokio::test]
async fn a_blob_that_takes_time_to_send_is_asked_for_first() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    let (place, large) = (repository(&memory.server.address), vec![b'x'; 65 * 1024]);
    let digest = registry().push_blob(&place, &large, soon()).await.unwrap();
    registry().push_blob(&place, &large, soon()).await.unwrap();
    let head = format!("HEAD /v2/demo/app/blobs/{digest}");
    let post = format!("POST /v2/demo/app/blobs/uploads/?digest={digest}");
    assert_eq!(memory.server.lines(), [head.clone(), post, head], "what is there is not sent again");
}

#[tokio::test]
async fn a_blob_goes_in_two_steps_where_the_registry_wants_that() {
    let memory = MemoryRegistry::start(Habits { one_step_upload: false, ..Habits::default() }).await;
    let digest = registry().push_blob(&repository(&memory.server.address), b"payload", soon()).await.unwrap();
    let encoded = digest.to_string().replace(':', "%3A");
    assert_eq!(memory.server.lines()[1], format!("PUT /v2/demo/app/blobs/uploads/17?_state=abc&digest={encoded}"));
    assert_eq!(memory.content.lock().unwrap().blobs[&digest.to_string()], b"payload");
}

#[tokio::test]
async fn a_registry_that_refuses_one_step_gets_two() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" if seen.target.contains("digest=") => refusal(415, "UNSUPPORTED"),
        "POST" => empty(202).header("Location", format!("http://{}/up/1", seen.header("host").unwrap())),
        _ => empty(201),
    })
    .await;
    let digest = registry().push_blob(&repository(&server.address), b"payload", soon()).await.unwrap();
    assert_eq!(server.seen()[1].header("content-length"), Some("0"));
    assert_eq!(server.lines()[2], format!("PUT /up/1?digest=sha256%3A{}", digest.hex()));
    assert_eq!(server.seen()[2].body, b"payload");
}

#[tokio::test]
async fn an_upload_that_leads_to_another_server_is_refused() {
    let thief = Server::start(|_| empty(201)).await;
    let target = thief.url("/take");
    let server = Server::start(move |seen| match seen.method.as_str() {
        "HEAD" => empty(404),
        _ => empty(202).header("Location", target.clone()),
    })
    .await;
    let error = registry().push_blob(&repository(&server.address), b"payload", soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::BadAnswer);
    assert!(error.to_string().contains("another server"), "{error}");
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_begun_again() {
    let count = AtomicU32::new(0);
    let server = Server::start(move |seen| match seen.method.as_str() {
        "HEAD" => empty(404),
        "POST" => empty(202).header("Location", "/up/1"),
        _ => match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Raw(Vec::new()),
            1 => refusal(404, "BLOB_UPLOAD_UNKNOWN"),
            _ => empty(201),
        },
    })
    .await;
    registry().push_blob(&repository(&server.address), b"payload", soon()).await.unwrap();
    let sent = |method: &str| server.lines().iter().filter(|line| line.starts_with(method)).count();
    assert_eq!((sent("POST"), sent("PUT")), (3, 3), "no bytes go twice into one upload");
}

/// Of many who send the same blob at once, a registry may refuse all but one.
#[tokio::test]
async fn a_blob_that_somebody_else_sent_meanwhile_is_there() {
    let count = AtomicU32::new(0);
    let server = Server::start(move |seen| match seen.method.as_str() {
        "HEAD" if count.load(Ordering::SeqCst) > 0 => empty(200),
        "HEAD" => empty(404),
        "POST" => empty(202).header("Location", "/up/1"),
        _ => {
            count.fetch_add(1, Ordering::SeqCst);
            refusal(400, "DIGEST_INVALID")
        }
    })
    .await;
    registry().push_blob(&repository(&server.address), b"payload", soon()).await.unwrap();
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("PUT")).count(), 1);
}

#[tokio::test]
async fn a_registry_that_never_takes_a_blob_is_not_asked_for_ever() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "HEAD" => empty(404),
        "POST" => empty(202).header("Location", "/up/1"),
        _ => refusal(400, "DIGEST_INVALID"),
    })
    .await;
    let error = registry().push_blob(&repository(&server.address), b"payload", soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("PUT")).count(), 5);
}

#[tokio::test]
async fn a_manifest_is_sent_and_the_subject_noted() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    let subject = Digest::sha256_of(b"image");
    let manifest = format!(r#"{{"subject":{{"digest":"{subject}"}},"layers":[]}}"#);
    let digest = Digest::sha256_of(manifest.as_bytes());
    let pushed = push(&memory.server.address, &digest.to_string(), manifest.as_bytes()).await.unwrap();
    assert_eq!(pushed.subject, Some(subject));
    assert_eq!(memory.server.seen()[0].header("content-type"), Some(OCI_MANIFEST));
    let without = MemoryRegistry::start(Habits { referrers_api: false, ..Habits::default() }).await;
    assert_eq!(push(&without.server.address, "v1", manifest.as_bytes()).await.unwrap().subject, None);
}

#[tokio::test]
async fn what_the_registry_refuses_has_its_reason() {
    let cases: [(fn() -> Reply, Code); 9] = [
        (
            || answer(400, "application/json", r#"{"errors":[{"code":"TAG_INVALID","message":"Immutable tag"}]}"#),
            Code::ImmutableTag,
        ),
        (|| answer(400, "application/json", "ImageTagAlreadyExistsException: already exists"), Code::ImmutableTag),
        (|| refusal(412, "PRECONDITION"), Code::ImmutableTag),
        (|| refusal(409, "CONFLICT"), Code::PublishConflict),
        (|| refusal(400, "MANIFEST_BLOB_UNKNOWN"), Code::BadAnswer),
        (|| refusal(413, "SIZE_INVALID"), Code::BadAnswer),
        (|| refusal(403, "DENIED"), Code::AccessDenied),
        (|| refusal(503, "UNAVAILABLE"), Code::Unavailable),
        (|| empty(201).header("Docker-Content-Digest", Digest::sha256_of(b"other").to_string()), Code::WrongDigest),
    ];
    for (at, (reply, code)) in cases.into_iter().enumerate() {
        let server = Server::start(move |_| reply()).await;
        assert_eq!(push(&server.address, "v1", b"{}").await.unwrap_err().code(), code, "case {at}");
    }
    let memory = MemoryRegistry::start(Habits { immutable_tags: true, ..Habits::default() }).await;
    push(&memory.server.address, "v1", b"{}").await.unwrap();
    push(&memory.server.address, "v1", b"{}").await.unwrap();
    assert_eq!(push(&memory.server.address, "v1", b"{ }").await.unwrap_err().code(), Code::ImmutableTag);
}

#[tokio::test]
async fn deletions_are_done_or_refused() {
    let memory = MemoryRegistry::start(Habits::default()).await;
    let place = repository(&memory.server.address);
    let digest = memory.store(Some("v1"), OCI_MANIFEST, b"{}");
    assert!(registry().delete_manifest(&place, &digest, soon()).await.unwrap());
    assert!(!registry().delete_manifest(&place, &digest, soon()).await.unwrap());
    let cases: [(fn() -> Reply, Code); 5] = [
        (|| refusal(405, "UNSUPPORTED"), Code::DeleteRefused),
        (|| refusal(400, "UNSUPPORTED"), Code::DeleteRefused),
        (|| refusal(403, "DENIED"), Code::DeleteRefused),
        (|| answer(404, "text/html", "<html>"), Code::BadAnswer),
        (|| refusal(503, "UNAVAILABLE"), Code::Unavailable),
    ];
    for (reply, code) in cases {
        let server = Server::start(move |_| reply()).await;
        let error = registry().delete_manifest(&repository(&server.address), &digest, soon()).await.unwrap_err();
        assert_eq!(error.code(), code);
    }
}
