//! Signing in, and the tokens of CI systems, against an issuer and endpoints on loopback.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;
use trustctl_remote::http::Http;
use trustctl_remote::oidc::ambient::{Ambient, Surroundings};
use trustctl_remote::oidc::discovery::Issuer;
use trustctl_remote::oidc::token::IdentityToken;
use trustctl_remote::oidc::{TokenError, browser, device};

use super::server::{Reply, Seen, Server, answer};
use super::{network, soon};

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "CiQ", "aud": "sigstore", "exp": now().unix_seconds() + 60, "email": "dev@example.test"})
}

fn json_answer(status: u16, value: &Value) -> Reply {
    answer(status, "application/json", value.to_string())
}

/// The pairs of a form or a query.
fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| text.replace('+', " ").replace("%3A", ":").replace("%2F", "/").replace("%40", "@");
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}

fn one(pairs: &[(String, String)], name: &str) -> String {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn body(seen: &Seen) -> Vec<(String, String)> {
    pairs(std::str::from_utf8(&seen.body).unwrap())
}

/// How an issuer lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    Issuer,
    Nonce,
    Refuses,
}

/// An issuer that checks what it is sent as a real one does, and keeps what the browser brought.
async fn issuer(lie: Lie, pending: u32) -> Server {
    let asked: &'static Mutex<Vec<(String, String)>> = Box::leak(Box::default());
    let polls: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(pending)));
    Server::start(move |seen| {
        let url = format!("http://{}", seen.header("host").unwrap());
        match seen.path() {
            "/.well-known/openid-configuration" => json_answer(
                200,
                &json!({
                    "issuer": if lie == Lie::Issuer { "http://issuer.invalid" } else { url.as_str() },
                    "authorization_endpoint": format!("{url}/auth"), "token_endpoint": format!("{url}/token"),
                    "device_authorization_endpoint": format!("{url}/device")
                }),
            ),
            "/auth" => {
                *asked.lock().unwrap() = pairs(seen.target.split_once('?').unwrap().1);
                answer(200, "text/plain", "log in")
            }
            "/device" => {
                *asked.lock().unwrap() = body(seen);
                let codes = json!({"device_code": "dc", "user_code": "ABCD-EFGH", "verification_uri": format!("{url}/activate"), "interval": 0});
                json_answer(200, &codes)
            }
            "/token" if lie == Lie::Refuses => json_answer(400, &json!({"error": "access_denied"})),
            "/token" if polls.load(Ordering::SeqCst) > 0 => {
                polls.fetch_sub(1, Ordering::SeqCst);
                json_answer(400, &json!({"error": "authorization_pending"}))
            }
            "/token" => {
                let (form, asked) = (body(seen), asked.lock().unwrap().clone());
                let challenge = URL_SAFE_NO_PAD.encode(Digest::sha256_of(one(&form, "code_verifier").as_bytes()).as_bytes());
                assert_eq!((one(&asked, "code_challenge"), one(&asked, "code_challenge_method")), (challenge, "S256".to_owned()));
                assert_eq!(one(&form, "redirect_uri"), one(&asked, "redirect_uri"));
                let mut claims = claims(&url);
                claims["nonce"] = if lie == Lie::Nonce { json!("another") } else { json!(one(&asked, "nonce")) };
                json_answer(200, &json!({"access_token": "a", "id_token": token(&claims)}))
            }
            _ => answer(404, "text/plain", "nothing"),
        }
    })
    .await
}

/// What a browser gets from the program's own server.
async fn browse(address: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Signs in by browser; `state` makes the state that comes back from the one that was sent.
async fn by_browser(lie: Lie, state: impl Fn(&str) -> String) -> Result<IdentityToken, TokenError> {
    let (server, http) = (issuer(lie, 0).await, Http::new(network()));
    let found = Issuer::discover(&http, &server.url(""), soon()).await?;
    let waiting = browser::Waiting::begin(found, "sigstore").await?;
    let query = waiting.address.split_once('?').unwrap().1.to_owned();
    let target = format!("/auth?{query}");
    Http::new(network()).send(&trustctl_remote::http::Request::get(server_origin(&server), target, 1000), soon()).await.unwrap();
    let sent = pairs(&query);
    let redirect = one(&sent, "redirect_uri").replace("http://localhost:", "127.0.0.1:");
    let address = redirect.split('/').next().unwrap().to_owned();
    let back = format!("/auth/callback?code=c&state={}", state(&one(&sent, "state")));
    let browsing = async {
        assert!(browse(&address, "/favicon.ico").await.starts_with("HTTP/1.1 404"));
        browse(&address, &back).await
    };
    let (finished, _) = tokio::join!(
        waiting.finish(&http, now, trustctl_remote::limits::Deadline::after(std::time::Duration::from_secs(3))),
        browsing
    );
    finished
}

fn server_origin(server: &Server) -> trustctl_remote::http::origin::Origin {
    trustctl_remote::http::origin::Origin::parse_url(&server.url("")).unwrap().0
}

fn code(signed_in: Result<IdentityToken, TokenError>) -> Option<Code> {
    signed_in.err().map(|error| error.reason().code)
}

#[tokio::test]
async fn a_browser_brings_the_token_of_its_own_sign_in() {
    let token = by_browser(Lie::None, str::to_owned).await.unwrap();
    assert_eq!(token.identity(), "dev@example.test");
}

#[tokio::test]
async fn a_browser_with_another_state_nonce_or_issuer_brings_nothing() {
    assert_eq!(code(by_browser(Lie::None, |_| "another".to_owned()).await), Some(Code::OutOfBudget), "it is waited on");
    assert_eq!(code(by_browser(Lie::Nonce, str::to_owned).await), Some(Code::SignInFailed));
    assert_eq!(code(by_browser(Lie::Issuer, str::to_owned).await), Some(Code::SignInFailed));
    assert_eq!(code(by_browser(Lie::Refuses, str::to_owned).await), Some(Code::SignInFailed));
}

async fn by_device(lie: Lie, pending: u32) -> Result<IdentityToken, TokenError> {
    let (server, http) = (issuer(lie, pending).await, Http::new(network()));
    let found = Issuer::discover(&http, &server.url(""), soon()).await?;
    let waiting = device::Waiting::begin(&http, found, "sigstore", soon()).await?;
    assert_eq!(waiting.user_code, "ABCD-EFGH");
    waiting.finish(&http, now, soon()).await
}

#[tokio::test]
async fn a_device_waits_until_its_code_was_entered() {
    assert_eq!(by_device(Lie::None, 2).await.unwrap().identity(), "dev@example.test");
    assert_eq!(code(by_device(Lie::Refuses, 0).await), Some(Code::SignInFailed));
}

/// A token of the surroundings that these variables describe.
async fn ambient(variables: Vec<(&'static str, String)>) -> Result<IdentityToken, TokenError> {
    let folder = tempfile::tempdir().unwrap();
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let mut around = Surroundings::new(&variable);
    around.token_file = folder.path().join("none");
    around.product_name = folder.path().join("none");
    let source = Ambient::detect(&around)?.unwrap();
    source.fetch(&Http::new(network()), "sigstore", soon()).await
}

#[tokio::test]
async fn a_workflow_asks_its_runner_for_this_audience() {
    let server = Server::start(|seen| {
        assert_eq!(
            (seen.target.as_str(), seen.header("authorization")),
            ("/t?api-version=2.0&audience=sigstore", Some("Bearer secret"))
        );
        json_answer(200, &json!({"value": token(&claims("https://issuer.example")), "count": 1}))
    })
    .await;
    let of = |url: String| vec![("ACTIONS_ID_TOKEN_REQUEST_URL", url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret".to_owned())];
    assert_eq!(ambient(of(server.url("/t?api-version=2.0"))).await.unwrap().identity(), "dev@example.test");
    let denies = Server::start(|_| answer(403, "text/plain", "secret words")).await;
    let error = ambient(of(denies.url("/t"))).await.unwrap_err();
    assert_eq!(error.reason().code, Code::TokenSource);
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_buildkite_job_asks_its_agents_api() {
    let server = Server::start(|seen| {
        assert_eq!((seen.line().as_str(), seen.header("authorization")), ("POST /v3/jobs/j-1/oidc/tokens", Some("Token secret")));
        assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), json!({"audience": "sigstore"}));
        json_answer(200, &json!({"token": token(&claims("https://agent.example"))}))
    })
    .await;
    let of = |job: &str| {
        vec![
            ("BUILDKITE_AGENT_ACCESS_TOKEN", "secret".to_owned()),
            ("BUILDKITE_AGENT_ENDPOINT", server.url("/v3")),
            ("BUILDKITE_JOB_ID", job.to_owned()),
        ]
    };
    assert_eq!(ambient(of("j-1")).await.unwrap().claims().issuer, "https://agent.example");
    assert_eq!(ambient(of("../x")).await.unwrap_err().reason().code, Code::TokenSource);
}

#[tokio::test]
async fn the_metadata_server_must_say_that_it_is_one() {
    for (flavor, good) in [("Google", true), ("Other", false)] {
        let server = Server::start(move |seen| {
            assert_eq!(seen.header("metadata-flavor"), Some("Google"));
            assert!(seen.target.ends_with("/identity?audience=sigstore&format=full"), "{}", seen.target);
            answer(200, "text/html", token(&claims("https://accounts.example"))).header("Metadata-Flavor", flavor)
        })
        .await;
        let fetched = ambient(vec![("GCE_METADATA_HOST", server.address.clone())]).await;
        assert_eq!(fetched.is_ok(), good);
    }
}
