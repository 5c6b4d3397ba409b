//! Both Rekors: what they take, how they prove it, and what they get wrong on demand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_lab::faults::{Fault, FaultRule, Part};
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_sigstore::dsse::{IN_TOTO, pae};

use super::client::{ARTIFACT, Key, Signer, post};
use crate::support::Ask;

async fn leaf(signer: &Signer) -> String {
    let claims = Claims::email("dev@example.test");
    signer.certificate(&claims, &claims.identity()).await.swap_remove(0)
}

/// An envelope around `{}` with its signature, and the key's PEM.
fn envelope(key: &Key) -> (Value, String) {
    let signature = key.sign(&pae(IN_TOTO, b"{}"));
    let envelope = json!({"payload": STANDARD.encode("{}"), "payloadType": IN_TOTO, "signatures": [{"sig": signature}]});
    (envelope, STANDARD.encode(key.public().to_pem()))
}

#[tokio::test]
async fn an_entry_is_named_kept_and_found_again() {
    let signer = Signer::new();
    let proposed = signer.proposed(&leaf(&signer).await);
    let added = signer.propose(&proposed).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let uuid = added.header("etag").to_owned();
    assert_eq!(added.header("location"), format!("/api/v1/log/entries/{uuid}"));
    let again = signer.propose(&proposed).await;
    assert_eq!((again.status, again.header("location")), (409, added.header("location")), "a duplicate");

    let url = |path: &str| format!("{}{path}", signer.lab.rekor().url());
    let body = added.json()[&uuid]["body"].clone();
    assert!(body.is_string());
    for path in [added.header("location"), "/api/v1/log/entries?logIndex=0"] {
        assert_eq!(Ask::get(url(path)).send().await.json()[&uuid]["body"], body, "{path}");
    }
    for query in [json!({"logIndexes": [0]}), json!({"entryUUIDs": [uuid]}), json!({"entries": [proposed]})] {
        let found = post(&url("/api/v1/log/entries/retrieve"), &query).await;
        assert_eq!(found.json()[0][&uuid]["body"], body, "{query}");
    }
    let hash = json!({"hash": format!("sha256:{}", Digest::sha256_of(ARTIFACT).hex())});
    assert_eq!(post(&url("/api/v1/index/retrieve"), &hash).await.json(), json!([uuid]));
    let nothing = json!({"hash": format!("sha256:{}", Digest::sha256_of(b"other").hex())});
    assert_eq!(post(&url("/api/v1/index/retrieve"), &nothing).await.json(), json!([]));
    let state = Ask::get(url("/api/v1/log")).send().await.json();
    assert_eq!(state["treeSize"], 1);
    assert_eq!(signer.lab.entries(LogVersion::V1).len(), 1);
    assert_eq!(Ask::get(url("/api/v1/log/entries?logIndex=1")).send().await.status, 404);
}

#[tokio::test]
async fn attestations_are_logged_by_their_hashes_and_only_when_they_are_signed() {
    let signer = Signer::new();
    let (envelope, verifier) = envelope(&signer.key);
    let dsse = |verifier: &str| {
        let content = json!({"envelope": envelope.to_string(), "verifiers": [verifier]});
        json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": content}})
    };
    let stranger = STANDARD.encode(Key::new().public().to_pem());
    assert_eq!(signer.propose(&dsse(&stranger)).await.status, 400);
    let added = signer.propose(&dsse(&verifier)).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let twice = |text: &Value| STANDARD.encode(text.as_str().unwrap());
    let signature = json!({"sig": twice(&envelope["signatures"][0]["sig"]), "publicKey": verifier});
    let content = json!({"payload": twice(&envelope["payload"]), "payloadType": IN_TOTO, "signatures": [signature]});
    let in_toto = json!({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": {"envelope": content}}});
    let added = signer.propose(&in_toto).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let hash = Digest::sha256_of(b"{}").hex();
    let [first, second] = <[Value; 2]>::try_from(signer.lab.entries(LogVersion::V1)).unwrap();
    assert_eq!(first["spec"]["payloadHash"]["value"], hash);
    assert_eq!(second["spec"]["content"]["payloadHash"]["value"], hash);
}

#[tokio::test]
async fn a_signature_that_does_not_verify_is_not_logged() {
    let signer = Signer::new();
    let leaf = leaf(&signer).await;
    let stranger = Key::new();
    let mut first = signer.proposed(&leaf);
    first["spec"]["signature"]["content"] = stranger.sign(ARTIFACT).into();
    let answer = signer.propose(&first).await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (400, Some(400)), "{}", answer.text());
    let mut second = signer.proposed_second(&leaf);
    second["hashedRekordRequestV002"]["signature"]["content"] = stranger.sign(ARTIFACT).into();
    let answer = signer.propose_second(&second).await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (400, Some(3)), "{}", answer.text());
    assert!(signer.lab.entries(LogVersion::V1).is_empty() && signer.lab.entries(LogVersion::V2).is_empty());
}

#[tokio::test]
async fn the_second_version_takes_one_kind_once() {
    let signer = Signer::new();
    let proposed = signer.proposed_second(&leaf(&signer).await);
    let mut unknown = proposed.clone();
    unknown["hashedRekordRequestV002"]["signature"]["verifier"]["keyHint"] = "AAAA".into();
    let answer = signer.propose_second(&unknown).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(signer.propose_second(&proposed).await.status, 201);
    let again = signer.propose_second(&proposed).await;
    assert_eq!((again.status, again.json()["code"].as_u64()), (409, Some(6)));
    let (envelope, _) = envelope(&signer.key);
    let dsse = json!({"dsseRequestV002": {"envelope": envelope, "verifiers": []}});
    let answer = signer.propose_second(&dsse).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("must be hashedrekord"), "{}", answer.text());
}

#[tokio::test]
async fn tiles_hold_the_tree_of_the_checkpoint() {
    let signer = Signer::new();
    let leaf = leaf(&signer).await;
    for _ in 0..3 {
        assert_eq!(signer.propose_second(&signer.proposed_second(&leaf)).await.status, 201);
    }
    let get = |path: &str| Ask::get(format!("{}/api/v2/{path}", signer.lab.tiles().url())).send();
    let checkpoint = get("checkpoint").await.text();
    let lines: Vec<&str> = checkpoint.lines().collect();
    assert_eq!((lines[0], lines[1]), ("127.0.0.1", "3"));
    assert!(lines[4].starts_with("\u{2014} 127.0.0.1 "), "{checkpoint}");
    let bundle = get("tile/entries/000.p/3").await.body;
    let first = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
    let body: Value = serde_json::from_slice(&bundle[2..2 + first]).unwrap();
    assert_eq!(body, signer.lab.entries(LogVersion::V2)[0]);
    let hashes = get("tile/0/000.p/3").await.body;
    assert_eq!(hashes.len(), 3 * 32);
    assert_eq!(hashes[..32], *sigstore_merkle::hash_leaf(&bundle[2..2 + first]).as_bytes());
    assert_eq!(get("tile/0/000").await.status, 404, "it is not full yet");
}

#[tokio::test]
async fn what_a_bad_log_says_is_noticed() {
    let lies = [
        (LogVersion::V1, Part::Promise, Code::CosignLogInvalid),
        (LogVersion::V1, Part::InclusionProof, Code::CosignLogInvalid),
        (LogVersion::V1, Part::Checkpoint, Code::CosignLogInvalid),
        (LogVersion::V2, Part::InclusionProof, Code::CosignLogInvalid),
        (LogVersion::V2, Part::Checkpoint, Code::CosignLogInvalid),
    ];
    for (log, part, code) in lies {
        let signer = Signer::new();
        let service = if log == LogVersion::V1 { signer.lab.rekor() } else { signer.lab.tiles() };
        service.faults().add(FaultRule::times(1, "*", Fault::Wrong(part)));
        let bundle = signer.sign(log).await;
        let fault = signer.judge(&bundle).unwrap_err();
        assert_eq!(fault.code, code, "{part:?}: {fault}");
        let bundle = signer.sign(log).await;
        assert!(signer.judge(&bundle).is_ok(), "the next entry is good, in a tree of two");
    }
}

#[tokio::test]
async fn an_entry_from_a_log_whose_clock_is_wrong_is_noticed() {
    for (skew, code) in [(-3600, Code::CosignCertificateExpired), (3600, Code::CosignTimeInFuture)] {
        let signer = Signer::new();
        signer.lab.rekor().set_skew(skew);
        signer.refused(&signer.sign(LogVersion::V1).await, code);
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_entry() {
    let signer = Signer::new();
    let proposed = signer.proposed(&leaf(&signer).await);
    signer.lab.rekor().faults().add(FaultRule::times(1, "/api/v1/log/entries", Fault::Lost));
    let url = format!("{}/api/v1/log/entries", signer.lab.rekor().url());
    assert!(Ask::new("POST", &url).body(proposed.to_string()).try_send().await.is_err());
    assert_eq!(signer.lab.entries(LogVersion::V1).len(), 1);
    assert_eq!(signer.propose(&proposed).await.status, 409);
}

#[tokio::test]
async fn a_log_that_hangs_takes_nothing() {
    let signer = Signer::new();
    let proposed = signer.proposed(&leaf(&signer).await);
    signer.lab.rekor().faults().add(FaultRule::times(1, "*", Fault::Hang));
    let url = format!("{}/api/v1/log/entries", signer.lab.rekor().url());
    let error = Ask::new("POST", &url).body(proposed.to_string()).try_send().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(signer.lab.entries(LogVersion::V1).is_empty());
}
