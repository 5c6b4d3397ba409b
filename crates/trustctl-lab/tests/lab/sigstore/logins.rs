//! The OpenID Connect issuer: discovery, keys, the workflow endpoint, and logins of people.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use trustctl_core::digest::Digest;
use trustctl_lab::sigstore::Claims;

use super::client::Signer;
use crate::support::{Answer, Ask};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn url(signer: &Signer, path: &str) -> String {
    format!("{}{path}", signer.lab.issuer().url())
}

fn claims(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn form(signer: &Signer, path: &str, fields: &str) -> Answer {
    let ask = Ask::new("POST", url(signer, path)).header("content-type", "application/x-www-form-urlencoded");
    ask.body(fields.to_owned()).send().await
}

/// The code that the browser brings back.
async fn code(signer: &Signer) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Digest::sha256_of(VERIFIER.as_bytes()).as_bytes());
    let query = format!(
        "response_type=code&client_id=sigstore&redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fcallback&state=a%26b&nonce=n-1\
         &scope=openid+email&code_challenge={challenge}&code_challenge_method=S256"
    );
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.get(url(signer, &format!("/auth?{query}"))).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 302);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let (target, query) = location.split_once('?').unwrap();
    assert_eq!(target, "http://localhost:9/callback");
    assert!(query.ends_with("&state=a%26b"), "{query}");
    query.split('&').next().unwrap().strip_prefix("code=").unwrap().to_owned()
}

#[tokio::test]
async fn the_issuer_says_where_everything_is() {
    let signer = Signer::new();
    let discovery = Ask::get(url(&signer, "/.well-known/openid-configuration")).send().await.json();
    assert_eq!(discovery["issuer"], signer.lab.issuer().url());
    let keys = Ask::get(discovery["jwks_uri"].as_str().unwrap()).send().await.json();
    let token = signer.lab.token(&Claims::email("dev@example.test")).unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!((&header["alg"], &header["kid"]), (&keys["keys"][0]["alg"], &keys["keys"][0]["kid"]));
    assert_eq!(URL_SAFE_NO_PAD.decode(keys["keys"][0]["n"].as_str().unwrap()).unwrap().len(), 256);
    assert_eq!(keys["keys"][0]["e"], "AQAB");
}

#[tokio::test]
async fn a_workflow_gets_a_token_for_the_audience_it_names_and_a_stranger_none() {
    let signer = Signer::new();
    signer.lab.set_workload(Claims::github("acme/shop", "refs/heads/main"));
    let environment = signer.lab.workload_environment();
    let (address, secret) = (&environment[0].1, &environment[1].1);
    let ask = |secret: &str| Ask::get(format!("{address}&audience=sigstore")).header("authorization", format!("Bearer {secret}"));
    assert_eq!(ask("guessed").send().await.status, 401);
    let answer = ask(secret).send().await;
    let claims = claims(&answer.json()["value"]);
    assert_eq!((&claims["aud"], &claims["repository"]), (&"sigstore".into(), &"acme/shop".into()));
}

#[tokio::test]
async fn a_browser_login_needs_the_verifier_and_brings_the_nonce() {
    let signer = Signer::new();
    signer.lab.set_login(Claims::email("someone@example.test"));
    let redeem = |code: String, verifier: &'static str| {
        let signer = &signer;
        async move {
            let fields = format!(
                "grant_type=authorization_code&code={code}&client_id=sigstore&redirect_uri=http://localhost:9/callback&code_verifier={verifier}"
            );
            form(signer, "/token", &fields).await
        }
    };
    let stolen = redeem(code(&signer).await, "guessed").await;
    assert_eq!((stolen.status, stolen.json()["error"].as_str()), (400, Some("invalid_grant")));
    let good = code(&signer).await;
    let answer = redeem(good.clone(), VERIFIER).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let claims = claims(&answer.json()["id_token"]);
    assert_eq!((&claims["nonce"], &claims["email"]), (&"n-1".into(), &"someone@example.test".into()));
    assert_eq!(claims["aud"], "sigstore");
    assert_eq!(redeem(good, VERIFIER).await.status, 400, "a code is good once");
}

#[tokio::test]
async fn nobody_is_sent_away_from_this_machine() {
    let signer = Signer::new();
    let elsewhere = ["https://example.test/", "http://example.test/", "http://127.0.0.1.example.test/"];
    for target in elsewhere.into_iter().chain(["http://127.0.0.1:9@example.test/", "http://localhost@example.test/", ""]) {
        let path = format!("/auth?response_type=code&client_id=sigstore&redirect_uri={target}");
        assert_eq!(Ask::get(url(&signer, &path)).send().await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn a_device_waits_as_often_as_told() {
    let signer = Signer::new();
    signer.lab.set_device_polls(2);
    let begun = form(&signer, "/device/code", "client_id=sigstore&scope=openid+email").await.json();
    let device = begun["device_code"].as_str().unwrap();
    let fields = format!("grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=sigstore&device_code={device}");
    for _ in 0..2 {
        let answer = form(&signer, "/token", &fields).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("authorization_pending")));
    }
    let answer = form(&signer, "/token", &fields).await;
    assert_eq!(claims(&answer.json()["id_token"])["email"], "lab-user@example.test");
}
