//! Each fault, as a client sees it.

use std::time::{Duration, Instant};

use trustctl_core::digest::Digest;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::registry::{LabRegistry, RegistryOptions};
use trustctl_lab::requests::dependent_rounds;

use crate::support::Ask;

const CONTENT: &str = "0123456789";

fn registry() -> (LabRegistry, String) {
    let registry = LabRegistry::start(RegistryOptions::default()).unwrap();
    let digest = Digest::sha256_of(CONTENT.as_bytes());
    registry.put_blob("demo/app", digest, CONTENT.into());
    let url = format!("{}/v2/demo/app/blobs/{digest}", registry.url());
    (registry, url)
}

#[tokio::test]
async fn a_status_comes_as_often_as_asked_with_its_retry_after() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::times(1, "/v2/*/blobs/*", Fault::Status { status: 429, retry_after: Some(7) }));
    registry.faults().add(FaultRule::times(1, "/v2/*/blobs/*", Fault::Status { status: 503, retry_after: None }));
    assert_eq!(Ask::get(format!("{}/v2/", registry.url())).send().await.status, 200, "another path");
    let limited = Ask::get(&url).send().await;
    assert_eq!((limited.status, limited.header("retry-after"), limited.code().as_str()), (429, "7", "TOOMANYREQUESTS"));
    let down = Ask::get(&url).send().await;
    assert_eq!((down.status, down.header("retry-after")), (503, ""));
    assert_eq!(Ask::get(&url).send().await.text(), CONTENT);
    let statuses: Vec<_> = registry.requests().all().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(200), Some(429), Some(503), Some(200)]);
}

#[tokio::test]
async fn a_dropped_connection_gives_no_answer() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::times(1, "*", Fault::Drop));
    assert!(Ask::get(&url).try_send().await.is_err());
    assert_eq!(registry.requests().all().first().unwrap().status, None);
}

#[tokio::test]
async fn a_truncated_body_ends_early() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::always("*", Fault::Truncated));
    let mut answer = reqwest::Client::builder().no_proxy().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(10)));
    assert_eq!(answer.chunk().await.unwrap().unwrap().as_ref(), b"01234");
    assert!(answer.chunk().await.is_err());
}

#[tokio::test]
async fn wrong_bytes_have_the_right_length() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::times(1, "*", Fault::WrongBytes));
    let wrong = Ask::get(&url).send().await;
    assert_eq!(wrong.body.len(), CONTENT.len());
    assert_ne!(wrong.text(), CONTENT);
    assert!(url.ends_with(wrong.header("docker-content-digest")), "the header still claims the right digest");
    assert_eq!(Ask::get(&url).send().await.text(), CONTENT);
}

#[tokio::test]
async fn a_replaced_body_keeps_the_headers() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::always("*", Fault::Replaced("evil".into())));
    let answer = Ask::get(&url).send().await;
    assert_eq!((answer.status, answer.text().as_str(), answer.header("content-length")), (200, "evil", "4"));
    assert!(url.ends_with(answer.header("docker-content-digest")));
}

#[tokio::test]
async fn an_endless_body_does_not_end() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::always("*", Fault::Endless));
    let mut answer = reqwest::Client::builder().no_proxy().build().unwrap().get(&url).send().await.unwrap();
    let mut seen = 0;
    while seen < 5_000_000 {
        seen += answer.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_stalled_body_keeps_the_client_waiting() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::always("*", Fault::Stalled));
    let mut answer = reqwest::Client::builder().no_proxy().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap().as_ref(), b"01234");
    let more = tokio::time::timeout(Duration::from_millis(200), answer.chunk()).await;
    assert!(more.is_err(), "nothing comes, and the connection stays open");
}

#[tokio::test]
async fn a_slow_answer_is_slow_for_its_path_only() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::always("*/blobs/*", Fault::Slow(Duration::from_millis(120))).on("GET"));
    let start = Instant::now();
    assert_eq!(Ask::get(&url).send().await.text(), CONTENT);
    assert!(start.elapsed() >= Duration::from_millis(120));
    registry.requests().clear();
    Ask::new("HEAD", &url).send().await;
    let logged = registry.requests().all();
    assert!(logged.iter().all(|request| request.ended - request.started < Duration::from_millis(100)), "{logged:?}");
}

#[tokio::test]
async fn requests_sent_at_once_are_one_round_trip() {
    let (registry, url) = registry();
    registry.faults().set_latency(Duration::from_millis(60));
    tokio::join!(Ask::get(&url).send(), Ask::get(&url).send(), Ask::get(&url).send());
    Ask::get(&url).send().await;
    let requests = registry.requests().all();
    assert_eq!((requests.len(), dependent_rounds(&requests)), (4, 2));
    registry.faults().clear();
    registry.requests().clear();
    assert_eq!(registry.requests().count(), 0);
}

#[tokio::test]
async fn it_stops_when_it_is_dropped() {
    let (registry, url) = registry();
    registry.faults().add(FaultRule::always("*", Fault::Slow(Duration::from_secs(60))));
    let waiting = tokio::spawn(Ask::get(&url).try_send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    drop(registry);
    assert!(start.elapsed() < Duration::from_secs(1), "a request under way does not hold it up");
    assert!(waiting.await.unwrap().is_err());
    assert!(Ask::get(&url).try_send().await.is_err());
}
