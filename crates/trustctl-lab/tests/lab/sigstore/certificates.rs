//! Fulcio: who gets a certificate, and what it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use trustctl_core::reason::Code;
use trustctl_lab::faults::{Fault, FaultRule, Part};
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_sigstore::keyless::certificate::Certificate;

use super::client::{Key, Signer, der_of, post};
use crate::support::Ask;

const DEVELOPER: &str = "dev@example.test";

fn read(pem: &str) -> Certificate {
    Certificate::from_der(&STANDARD.decode(der_of(pem)).unwrap()).unwrap()
}

#[tokio::test]
async fn a_bundle_signed_on_the_lab_is_trusted_with_either_log() {
    for log in [LogVersion::V1, LogVersion::V2] {
        let signer = Signer::new();
        let proof = signer.judge(&signer.sign(log).await).unwrap();
        let certificate = proof.certificate.unwrap();
        assert_eq!(certificate.identity, DEVELOPER);
        assert_eq!(certificate.issuer, signer.lab.issuer().url());
        assert!(proof.times.iter().all(|time| *time == signer.now()) && !proof.times.is_empty(), "{:?}", proof.times);
        assert_eq!(proof.entries.len(), 1);
        assert!(proof.entries[0].included);
    }
}

#[tokio::test]
async fn a_workflow_gets_every_extension() {
    let signer = Signer::new();
    let claims = Claims::github("acme/shop", "refs/tags/v1.4").with("environment", "prod");
    let leaf = signer.certificate(&claims, "repo:acme/shop:ref:refs/tags/v1.4").await.swap_remove(0);
    let certificate = read(&leaf);
    assert_eq!(certificate.identity, claims.identity());
    assert_eq!(certificate.identity, "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v1.4");
    let all = format!("{certificate:?}");
    for value in ["https://github.com/acme/shop/actions/runs/1000000001/attempts/1", "prod", "github-hosted", "refs/tags/v1.4"] {
        assert!(all.contains(value), "{value} in {all}");
    }
}

#[tokio::test]
async fn tokens_that_are_not_good_get_no_certificate() {
    let signer = Signer::new();
    let good = Claims::email(DEVELOPER);
    let other = Signer::new();
    let tokens = [
        ("expired", signer.lab.token(&good.clone().expired()).unwrap()),
        ("another audience", signer.lab.token(&good.clone().audience("other")).unwrap()),
        ("another issuer", signer.lab.token(&good.clone().with("iss", "http://127.0.0.1:1")).unwrap()),
        ("not verified", signer.lab.token(&good.clone().with("email_verified", false)).unwrap()),
        ("no address", signer.lab.token(&Claims::email("dev@localhost")).unwrap()),
        ("no subject", signer.lab.token(&Claims::subject("x").without("sub")).unwrap()),
        ("a stranger's key", other.lab.token(&good.clone().with("iss", signer.lab.issuer().url())).unwrap()),
        ("not a token", "a.b.c".to_owned()),
    ];
    for (what, token) in tokens {
        let answer = signer.ask_certificate(&token, DEVELOPER).await;
        assert_eq!((answer.status, answer.json()["code"].as_u64()), (400, Some(3)), "{what}: {}", answer.text());
        assert!(answer.text().contains("identity token"), "{what}: {}", answer.text());
    }
    let token = signer.lab.token(&good).unwrap();
    let answer = signer.ask_certificate(&token, "somebody else").await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (400, Some(3)), "{}", answer.text());
    assert!(answer.text().contains("possession"), "{}", answer.text());
    assert_eq!(signer.ask_certificate(&token, DEVELOPER).await.status, 200);
}

#[tokio::test]
async fn a_certificate_signing_request_will_do_and_must_be_signed_by_its_key() {
    let signer = Signer::new();
    let token = signer.lab.token(&Claims::email(DEVELOPER)).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let ask = |pem: String| {
        let body = json!({"certificateSigningRequest": STANDARD.encode(pem)}).to_string();
        let url = format!("{}/api/v2/signingCert", signer.lab.fulcio().url());
        Ask::new("POST", url).header("authorization", format!("Bearer {token}")).body(body).send()
    };
    let answer = ask(request.pem().unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut forged = request.der().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", STANDARD.encode(forged));
    assert_eq!(ask(pem).await.status, 400);
}

#[tokio::test]
async fn the_first_version_answers_a_chain_for_pem_and_der() {
    let signer = Signer::new();
    let token = signer.lab.token(&Claims::email(DEVELOPER)).unwrap();
    let key = Key::new();
    for content in [key.public().to_pem().into_bytes(), key.public().spki_der().to_vec()] {
        let body = json!({
            "publicKey": {"algorithm": "ecdsa", "content": STANDARD.encode(content)},
            "signedEmailAddress": key.sign(DEVELOPER.as_bytes()),
        });
        let url = format!("{}/api/v1/signingCert", signer.lab.fulcio().url());
        let ask = Ask::new("POST", url).header("authorization", format!("Bearer {token}")).body(body.to_string());
        let answer = ask.send().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.text().matches("BEGIN CERTIFICATE").count(), 3);
        assert!(answer.text().ends_with(&signer.lab.fulcio_chain_pem().unwrap()));
    }
}

#[tokio::test]
async fn a_promise_by_an_unknown_certificate_log_is_noticed() {
    let signer = Signer::new();
    signer.lab.fulcio().faults().add(FaultRule::always("*", Fault::Wrong(Part::CertificateTimestamp)));
    let bundle = signer.sign(LogVersion::V1).await;
    signer.refused(&bundle, Code::CosignCertificateUnlogged);
}

#[tokio::test]
async fn a_certificate_from_the_future_or_the_past_is_noticed() {
    for skew in [3600, -3600] {
        let signer = Signer::new();
        // The token must be good at Fulcio's time, too.
        signer.lab.issuer().set_skew(skew);
        signer.lab.fulcio().set_skew(skew);
        signer.refused(&signer.sign(LogVersion::V1).await, Code::CosignCertificateExpired);
    }
}

#[tokio::test]
async fn a_refused_permission_is_answered_as_fulcio_does() {
    let signer = Signer::new();
    let fault = Fault::Status { status: 403, retry_after: None };
    signer.lab.fulcio().faults().add(FaultRule::times(1, "/api/v2/signingCert", fault));
    let answer = post(&format!("{}/api/v2/signingCert", signer.lab.fulcio().url()), &json!({})).await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (403, Some(7)));
}
