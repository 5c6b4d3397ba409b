//! The timestamp authority.

use serde_json::json;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_lab::faults::{Fault, FaultRule, Part};
use trustctl_lab::sigstore::LogVersion;

use super::client::{Signer, post};
use crate::support::Ask;

/// A query for the SHA-256 of `x` with nonce 0x0123456789 and no wish for certificates, DER.
fn query() -> Vec<u8> {
    let version_and_algorithm = hex::decode("0201013031300d060960864801650304020105000420").unwrap();
    let nonce = hex::decode("02050123456789").unwrap();
    let content = [&version_and_algorithm, Digest::sha256_of(b"x").as_bytes(), &nonce].concat();
    [&[0x30, u8::try_from(content.len()).unwrap()], content.as_slice()].concat()
}

fn ask(signer: &Signer, body: Vec<u8>) -> Ask {
    Ask::new("POST", signer.lab.timestamp_url()).header("content-type", "application/timestamp-query").body(body)
}

#[tokio::test]
async fn a_query_is_answered_with_its_own_nonce_and_hash() {
    let signer = Signer::new();
    let answer = ask(&signer, query()).send().await;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/timestamp-reply"));
    let text = hex::encode(&answer.body);
    assert!(text.contains("02050123456789"), "the nonce");
    assert!(text.contains(&Digest::sha256_of(b"x").hex()), "the hash");
    let chain = Ask::get(format!("{}/certchain", signer.lab.timestamp_url())).send().await;
    assert_eq!(chain.text(), signer.lab.timestamp_chain_pem().unwrap());
}

#[tokio::test]
async fn what_is_not_a_query_is_refused() {
    let signer = Signer::new();
    assert_eq!(ask(&signer, b"not DER".to_vec()).send().await.status, 400);
    let short = json!({"artifactHash": "AAAA", "hashAlgorithm": "sha256"});
    assert_eq!(post(&signer.lab.timestamp_url(), &short).await.status, 400);
    let weak = json!({"artifactHash": "AAAA", "hashAlgorithm": "sha1"});
    assert_eq!(post(&signer.lab.timestamp_url(), &weak).await.status, 400);
}

#[tokio::test]
async fn a_wrong_stamp_is_noticed() {
    let signer = Signer::new();
    signer.lab.timestamps().faults().add(FaultRule::always("*", Fault::Wrong(Part::Imprint)));
    let bundle = signer.sign(LogVersion::V2).await;
    signer.refused(&bundle, Code::CosignTimestampInvalid);
    let answer = {
        signer.lab.timestamps().faults().clear();
        signer.lab.timestamps().faults().add(FaultRule::always("*", Fault::Wrong(Part::Nonce)));
        ask(&signer, query()).send().await
    };
    assert!(!hex::encode(&answer.body).contains("02050123456789"), "another nonce");
}

#[tokio::test]
async fn a_stamp_from_a_clock_that_is_wrong_is_noticed() {
    let signer = Signer::new();
    signer.lab.timestamps().set_skew(-3600);
    signer.refused(&signer.sign(LogVersion::V2).await, Code::CosignCertificateExpired);
    signer.lab.timestamps().set_skew(0);
    assert!(signer.judge(&signer.sign(LogVersion::V2).await).is_ok());
}
