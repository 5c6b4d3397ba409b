//! The Notary server's other routes, its time, its logins, and what an attacker who owns it can do.

use std::time::Duration;

use serde_json::json;
use trustctl_core::digest::Digest;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::timestamp::Timestamp;
use trustctl_dct::role::RoleName;
use trustctl_lab::access::{Access, Account};
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::notary::{LabNotary, NotaryOptions};

use crate::owner::{GUN, Owner, accepted, upload, url};
use crate::support::Ask;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn files_are_served_current_by_hash_and_by_version() {
    let mut owner = Owner::published().await;
    let first = owner.notary.files(GUN)[&RoleName::targets()].clone();
    owner.add_tag("1.0");
    accepted(&owner.upload(vec![("targets", owner.signed_targets())]).await);
    let current = Ask::get(owner.url("targets.json")).send().await;
    assert_eq!((current.status, current.body), (200, owner.notary.files(GUN)[&RoleName::targets()].to_vec()));
    assert_eq!(current.headers["cache-control"], "public, max-age=300, s-maxage=300, must-revalidate");
    assert_eq!(current.headers["last-modified"], "Mon, 23 Nov 2026 00:00:00 UTC");
    let old = Ask::get(owner.url(&format!("targets.{}.json", Digest::sha256_of(&first).hex()))).send().await;
    assert_eq!((old.status, old.header("cache-control")), (200, "public, max-age=2592000, s-maxage=2592000"));
    assert_eq!(old.body, first);
    assert_eq!(Ask::get(owner.url("1.root.json")).send().await.body, owner.notary.files(GUN)[&RoleName::root()]);
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let owner = Owner::published().await;
    let nothing = Digest::sha256_of(b"nothing").hex();
    for file in ["2.root.json", "targets/releases.json", &format!("root.{nothing}.json"), "other.json", "targets.key"] {
        let answer = Ask::get(owner.url(file)).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "METADATA_NOT_FOUND"), "{file}");
    }
    assert_eq!(Ask::new("HEAD", owner.url("root.json")).send().await.status, 404, "as the real one answers");
    assert_eq!(Ask::get(owner.url("root.json").replace("demo/app", "demo/other")).send().await.status, 404);
}

#[tokio::test]
async fn it_can_be_pinged() {
    let notary = LabNotary::start(NotaryOptions::default()).unwrap();
    assert_eq!(Ask::get(format!("{}/v2/", notary.url())).send().await.text(), "{}");
    assert_eq!(Ask::get(format!("{}/_notary_server/health", notary.url())).send().await.status, 200);
    assert!(Ask::get(format!("{}/v2/", notary.url())).send().await.header("server").contains("not for production"));
}

#[tokio::test]
async fn a_timestamp_is_renewed_when_it_is_asked_for_after_its_end() {
    let owner = Owner::published().await;
    let get = || Ask::get(owner.url("timestamp.json")).send();
    let first = get().await.body;
    owner.clock.advance(DAY * 13);
    assert_eq!(get().await.body, first, "not before its end");
    owner.clock.advance(DAY * 2);
    let renewed = get().await;
    assert_ne!(renewed.body, first);
    let stamp: Timestamp = owner.stored(&RoleName::timestamp());
    assert_eq!((stamp.version, stamp.expires.to_string().as_str()), (2, "2026-12-22T00:00:00Z"));
    Envelope::parse(&renewed.body).unwrap().verify(&owner.root.timestamp, &owner.root.keys).unwrap();
    // The snapshot ends after three years, and the root before that: then the server cannot go on.
    owner.clock.advance(DAY * 366 * 3);
    assert_eq!(get().await.status, 500);
}

#[tokio::test]
async fn a_frozen_server_serves_an_expired_timestamp() {
    let owner = Owner::published().await;
    let first = owner.notary.files(GUN)[&RoleName::timestamp()].clone();
    owner.notary.renew(false);
    owner.clock.advance(DAY * 30);
    assert_eq!(Ask::get(owner.url("timestamp.json")).send().await.body, first);
}

#[tokio::test]
async fn changes_and_deletions_are_told() {
    let owner = Owner::published().await;
    accepted(&owner.upload(vec![]).await);
    let feed = |query: &str| Ask::get(format!("{}/v2/{GUN}/_trust/changefeed?{query}", owner.notary.url())).send();
    let all = feed("change_id=0&records=100").await.json();
    let newest = Digest::sha256_of(&owner.notary.files(GUN)[&RoleName::timestamp()]).hex();
    assert_eq!(all["count"], 2);
    assert_eq!(
        all["records"][1],
        json!({"ID": "2", "CreatedAt": "2026-11-23T00:00:00Z", "GUN": GUN, "Version": 2, "SHA256": newest, "Category": "update"})
    );
    assert_eq!(Ask::new("DELETE", owner.url("")).send().await.status, 200);
    assert_eq!(Ask::get(owner.url("root.json")).send().await.status, 404);
    let global = Ask::get(format!("{}/v2/_trust/changefeed?change_id=2&records=1", owner.notary.url())).send().await.json();
    assert_eq!(global["records"][0]["Category"], "deletion");
    assert_eq!(feed("change_id=3&records=1").await.json(), json!({"count": 0, "records": null}));
    for bad in ["", "change_id=0", "change_id=x&records=1"] {
        assert_eq!(feed(bad).await.code(), "INVALID_PARAMETERS", "{bad}");
    }
    accepted(&owner.publish().await);
}

#[tokio::test]
async fn tokens_are_asked_for_by_what_is_done() {
    let access = Access::token(vec![Account::admin("alice", "secret-1")]);
    let notary = LabNotary::start(NotaryOptions { access, ..NotaryOptions::default() }).unwrap();
    let challenge = |ask: Ask| async move {
        let answer = ask.send().await;
        let header = answer.header("www-authenticate").to_owned();
        (answer.status, header.split("scope=").nth(1).unwrap_or_default().to_owned())
    };
    let scope = |actions: &str| (401, format!("\"repository:{GUN}:{actions}\""));
    assert_eq!(challenge(Ask::get(format!("{}/v2/", notary.url()))).await, (401, "\"registry:catalog:*\"".to_owned()));
    assert_eq!(challenge(Ask::get(url(&notary, "root.json"))).await, scope("pull"));
    assert_eq!(challenge(upload(&notary, &[])).await, scope("push,pull"));
    assert_eq!(challenge(Ask::get(url(&notary, "timestamp.key"))).await, scope("push,pull"));
    assert_eq!(challenge(Ask::new("POST", url(&notary, "timestamp.key"))).await, scope("*"));
    assert_eq!(challenge(Ask::new("DELETE", url(&notary, ""))).await, scope("*"));
    let token = Ask::get(format!("{}/token?service=x&scope=repository:{GUN}:pull", notary.url())).send().await.json();
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    assert_eq!(Ask::get(url(&notary, "root.json")).header("authorization", &bearer).send().await.status, 404);
    assert_eq!(upload(&notary, &[]).header("authorization", &bearer).send().await.status, 401);
}

#[tokio::test]
async fn an_attacker_brings_back_old_files_and_stamps_them_anew() {
    let mut owner = Owner::published().await;
    let before = owner.notary.snapshot();
    let old = owner.notary.files(GUN);
    owner.add_tag("1.0");
    accepted(&owner.upload(vec![("targets", owner.signed_targets())]).await);
    owner.notary.restore(&before);
    assert_eq!(owner.notary.files(GUN), old);
    owner.notary.sign_timestamp(GUN, 9).unwrap();
    let stamp = Ask::get(owner.url("timestamp.json")).send().await;
    Envelope::parse(&stamp.body).unwrap().verify(&owner.root.timestamp, &owner.root.keys).unwrap();
    assert_eq!(owner.stored::<Timestamp>(&RoleName::timestamp()).version, 9);
    assert!(owner.notary.sign_timestamp("nowhere", 1).is_err());
}

#[tokio::test]
async fn an_attacker_changes_takes_and_plants_files() {
    let owner = Owner::published().await;
    let targets = RoleName::targets();
    let hash = owner.notary.hash(GUN, &targets).unwrap();
    let by_hash = || Ask::get(owner.url(&format!("targets.{}.json", hash.hex()))).send();
    owner.notary.overwrite(GUN, &targets, "evil".into()).unwrap();
    assert_eq!(by_hash().await.text(), "evil", "also under the hash it had");
    assert!(owner.notary.overwrite(GUN, &RoleName::releases(), "evil".into()).is_err());
    owner.notary.take_file(GUN, &targets);
    assert_eq!(by_hash().await.status, 404);
    owner.notary.put_file(GUN, &targets, r#"{"signed":{"version":5}}"#.into());
    assert_eq!(Ask::get(owner.url("5.targets.json")).send().await.status, 200);
    assert_eq!(owner.notary.guns(), [GUN]);
    owner.notary.forget(GUN);
    assert!(owner.notary.files(GUN).is_empty() && owner.notary.guns().is_empty());
}

#[tokio::test]
async fn it_fails_on_demand_and_logs() {
    let owner = Owner::published().await;
    owner.notary.requests().clear();
    owner.notary.faults().add(FaultRule::times(1, "*/timestamp.json", Fault::Status { status: 503, retry_after: None }));
    owner.notary.faults().add(FaultRule::times(1, "*/timestamp.json", Fault::WrongBytes));
    let get = || Ask::get(owner.url("timestamp.json")).send();
    assert_eq!(get().await.status, 503);
    assert_ne!(get().await.body, owner.notary.files(GUN)[&RoleName::timestamp()]);
    assert_eq!(get().await.body, owner.notary.files(GUN)[&RoleName::timestamp()]);
    assert_eq!(owner.notary.requests().count(), 3);
}
