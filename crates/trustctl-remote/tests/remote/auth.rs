//! Challenges, tokens and whom credentials are sent to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use trustctl_core::evidence::RefusalKind;
use trustctl_core::reason::Code;
use trustctl_remote::credentials::{Credential, Credentials};
use trustctl_remote::error::RemoteError;
use trustctl_remote::http::{Http, Method, Response};
use trustctl_remote::limits::Deadline;
use trustctl_remote::token::{Access, Session};

use crate::server::{Reply, Seen, Server, answer, empty, redirect, refusal};
use crate::{network, repository, soon};

/// `dXNlcjpwYXNz` is `user:pass`.
const BASIC: &str = "Basic dXNlcjpwYXNz";

fn known(account: &str) -> Credentials {
    Credentials::none().with(account, Credential::password("user", "pass"))
}

fn session(credentials: Credentials) -> Session {
    Session::new(Http::new(network()), credentials)
}

async fn read(session: &Session, server: &Server) -> Result<Response, RemoteError> {
    send(session, server, Access::pull(&repository(&server.address))).await
}

async fn send(session: &Session, server: &Server, access: Access) -> Result<Response, RemoteError> {
    let origin = trustctl_remote::http::origin::Origin::of_registry(&server.address).unwrap();
    let request = trustctl_remote::http::Request::new(Method::GET, origin, "/v2/demo/app/manifests/v1");
    session.send(request, &access, soon()).await
}

/// A registry that wants `Bearer good` and points to `realm` for it.
fn wants_bearer(seen: &Seen, realm: &str) -> Reply {
    if seen.header("authorization") == Some("Bearer good") {
        return answer(200, "x/y", "content");
    }
    let challenge = format!("Bearer realm=\"{realm}\",service=\"the registry\",scope=\"repository:demo/app:pull\"");
    refusal(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge)
}

async fn token_server(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(answer).await
}

fn good_token(_: &Seen) -> Reply {
    answer(200, "application/json", r#"{"token":"good","expires_in":300}"#)
}

async fn bearer_registry(tokens: &Server) -> Server {
    let realm = tokens.url("/token");
    Server::start(move |seen| wants_bearer(seen, &realm)).await
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_from_then_on() {
    let tokens = token_server(good_token).await;
    let server = bearer_registry(&tokens).await;
    let session = session(Credentials::none());
    for _ in 0..3 {
        assert_eq!(read(&session, &server).await.unwrap().body, "content");
    }
    assert_eq!(tokens.lines(), ["GET /token?service=the%20registry&scope=repository%3Ademo%2Fapp%3Apull"]);
    assert_eq!(tokens.seen()[0].header("authorization"), None);
    assert_eq!(server.seen().len(), 4);
    assert_eq!(session.fresh().http().counts().requests, 0);
}

#[tokio::test]
async fn requests_at_once_share_one_token() {
    let tokens = token_server(|seen| Reply::Late(Duration::from_millis(30), Box::new(good_token(seen)))).await;
    let server = bearer_registry(&tokens).await;
    let session = session(Credentials::none());
    let (a, b, c) = tokio::join!(read(&session, &server), read(&session, &server), read(&session, &server));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(tokens.seen().len(), 1);
}

#[tokio::test]
async fn the_token_server_gets_the_password_and_the_registry_the_token() {
    let tokens = token_server(|seen| match seen.header("authorization") {
        Some(BASIC) => answer(200, "application/json", r#"{"access_token":"good"}"#),
        _ => empty(401),
    })
    .await;
    let server = bearer_registry(&tokens).await;
    assert!(read(&session(known(&server.address)), &server).await.is_ok());
    let sent: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("Bearer good".to_owned())]);
    // Credentials for somebody else are not used.
    let error = read(&session(known("registry.example")), &server).await.unwrap_err();
    assert_eq!(error.code(), Code::AccessDenied);
    assert_eq!(tokens.seen()[1].header("authorization"), None);
}

#[tokio::test]
async fn a_foreign_realm_gets_nothing() {
    for realm in ["https://tokens.evil.example/", "http://tokens.evil.example/", "https://10.0.0.1/token"] {
        let server = Server::start(move |seen| wants_bearer(seen, realm)).await;
        let session = session(known(&server.address));
        let error = read(&session, &server).await.unwrap_err();
        assert_eq!(error.code(), Code::RealmRefused, "{realm}");
        assert_eq!(error.refusal().kind, RefusalKind::Denied);
        assert_eq!(session.http().counts().requests, 1);
    }
}

#[tokio::test]
async fn a_token_server_that_redirects_does_not_pass_credentials_on() {
    let thief = Server::start(good_token).await;
    let target = thief.url("/take");
    let tokens = token_server(move |_| redirect(target.clone())).await;
    let server = bearer_registry(&tokens).await;
    assert!(read(&session(known(&server.address)), &server).await.is_ok());
    assert_eq!(tokens.seen()[0].header("authorization"), Some(BASIC));
    assert_eq!(thief.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn basic_is_answered_when_there_are_credentials() {
    let wants_basic = |seen: &Seen| match seen.header("authorization") {
        Some(BASIC) => answer(200, "x/y", "content"),
        _ => empty(401).header("WWW-Authenticate", "Basic realm=\"here\""),
    };
    let server = Server::start(wants_basic).await;
    let with = session(known(&server.address));
    assert!(read(&with, &server).await.is_ok());
    assert!(read(&with, &server).await.is_ok());
    assert_eq!(server.seen().len(), 3);

    let error = read(&session(Credentials::none()), &server).await.unwrap_err();
    assert_eq!(error.code(), Code::NoCredentials);
    assert_eq!(error.refusal().kind, RefusalKind::Denied);
    let wrong = Credentials::none().with(&server.address, Credential::password("user", "wrong"));
    assert_eq!(read(&session(wrong), &server).await.unwrap_err().code(), Code::AccessDenied);
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let tokens = token_server(|seen| match seen.method.as_str() {
        "POST" => answer(200, "application/json", r#"{"access_token":"good","refresh_token":"another"}"#),
        _ => empty(405),
    })
    .await;
    let server = bearer_registry(&tokens).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"dG9rZW46","identitytoken":"re/fresh"}}}}}}"#, server.address);
    fs::write(&file, text).unwrap();
    assert!(read(&session(Credentials::of_file(&file)), &server).await.is_ok());
    let expected = "grant_type=refresh_token&client_id=trustctl&refresh_token=re%2Ffresh&service=the%20registry\
                    &scope=repository%3Ademo%2Fapp%3Apull";
    assert_eq!(String::from_utf8(tokens.seen()[0].body.clone()).unwrap(), expected);
    assert_eq!(tokens.seen()[0].header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn a_token_that_expired_is_renewed_once() {
    let count = AtomicU32::new(0);
    let tokens = token_server(move |_| {
        let token = format!("t{}", count.fetch_add(1, Ordering::SeqCst));
        answer(200, "application/json", format!(r#"{{"token":"{token}","expires_in":3600}}"#))
    })
    .await;
    let realm = tokens.url("/token");
    let uses = AtomicU32::new(0);
    // The first token is good for one request only.
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some("Bearer t0") if uses.fetch_add(1, Ordering::SeqCst) == 0 => empty(200),
        Some("Bearer t1") => empty(200),
        _ => empty(401).header("WWW-Authenticate", format!("Bearer realm=\"{realm}\"")),
    })
    .await;
    let session = session(Credentials::none());
    assert!(read(&session, &server).await.is_ok());
    assert!(read(&session, &server).await.is_ok());
    assert_eq!(tokens.seen().len(), 2);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_registry_that_is_never_content_is_denied_after_one_new_token() {
    let tokens = token_server(|_| answer(200, "application/json", r#"{"token":"useless"}"#)).await;
    let server = bearer_registry(&tokens).await;
    assert_eq!(read(&session(known(&server.address)), &server).await.unwrap_err().code(), Code::AccessDenied);
    assert_eq!(read(&session(Credentials::none()), &server).await.unwrap_err().code(), Code::NoCredentials);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn writing_asks_for_a_token_that_allows_it() {
    let tokens = token_server(good_token).await;
    let server = bearer_registry(&tokens).await;
    let session = session(Credentials::none());
    assert!(send(&session, &server, Access::push(&repository(&server.address))).await.is_ok());
    assert!(tokens.lines()[0].ends_with("&scope=repository%3Ademo%2Fapp%3Apull%2Cpush"));
}

#[tokio::test]
async fn a_scope_that_the_registry_maps_is_asked_for_too() {
    let tokens = token_server(good_token).await;
    let realm = tokens.url("/token");
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some(_) => empty(200),
        None => {
            empty(401).header("WWW-Authenticate", format!("Bearer realm=\"{realm}\",scope=\"repository:proxy/demo/app:pull\""))
        }
    })
    .await;
    assert!(read(&session(Credentials::none()), &server).await.is_ok());
    assert_eq!(tokens.lines(), ["GET /token?scope=repository%3Ademo%2Fapp%3Apull&scope=repository%3Aproxy%2Fdemo%2Fapp%3Apull"]);
}

#[tokio::test]
async fn answers_that_are_no_tokens_are_refused() {
    let cases = [
        (r#"{}"#, Code::BadAnswer),
        (r#"<html>"#, Code::BadAnswer),
        (r#"{"token":""}"#, Code::BadAnswer),
        (r#"{"token":"a\r\nX-Injected: 1"}"#, Code::BadAnswer),
        (r#"{"token":7}"#, Code::BadAnswer),
    ];
    for (body, code) in cases {
        let tokens = token_server(move |_| answer(200, "application/json", body)).await;
        let server = bearer_registry(&tokens).await;
        let error = read(&session(Credentials::none()), &server).await.unwrap_err();
        assert_eq!(error.code(), code, "{body}");
    }
    let tokens = token_server(|_| Reply::Endless).await;
    let server = bearer_registry(&tokens).await;
    assert_eq!(read(&session(Credentials::none()), &server).await.unwrap_err().code(), Code::TooLarge);
    let tokens = token_server(|_| empty(500)).await;
    let server = bearer_registry(&tokens).await;
    assert_eq!(read(&session(Credentials::none()), &server).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_401_without_a_challenge_and_a_403_are_denials() {
    for (status, challenge) in [(401, None), (401, Some("Digest realm=\"x\"")), (403, None), (403, Some(BASIC))] {
        let server = Server::start(move |_| {
            let reply = refusal(status, "DENIED");
            challenge.map_or_else(|| refusal(status, "DENIED"), |challenge| reply.header("WWW-Authenticate", challenge))
        })
        .await;
        let error = read(&session(known(&server.address)), &server).await.unwrap_err();
        assert_eq!(error.code(), Code::AccessDenied);
        assert!(error.to_string().contains("DENIED, words of the server"), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn the_challenge_of_a_redirects_target_is_not_answered() {
    let thief = Server::start(|seen| match seen.header("authorization") {
        None => empty(401).header("WWW-Authenticate", "Basic realm=\"give\""),
        Some(_) => empty(200),
    })
    .await;
    let target = thief.url("/blob");
    let server = Server::start(move |_| redirect(target.clone())).await;
    let error =
        read(&session(known(&server.address).with(&thief.address, Credential::password("a", "b"))), &server).await.unwrap_err();
    assert_eq!(error.code(), Code::AccessDenied);
    assert_eq!(thief.seen().len(), 1);
}

/// A credential helper: a shell script.
fn helper(folder: &Path, name: &str, script: &str) {
    let path = folder.join(format!("docker-credential-{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Docker's configuration with a helper for all registries, found in the same folder.
fn with_helper(folder: &Path, name: &str) -> Credentials {
    fs::write(folder.join("config.json"), format!(r#"{{"credsStore":"{name}"}}"#)).unwrap();
    let folder = folder.to_owned();
    Credentials::of_environment(move |variable| match variable {
        "DOCKER_CONFIG" => Some(folder.clone().into()),
        "PATH" => Some(format!("{}:/usr/bin:/bin", folder.display()).into()),
        _ => None,
    })
}

#[tokio::test]
async fn a_helper_is_asked_for_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"read server; [ "$1 $server" = "get registry.example" ] && echo '{"Username":"user","Secret":"pass"}'"#;
    helper(folder.path(), "good", script);
    let found = with_helper(folder.path(), "good").lookup("registry.example/app", soon()).await.unwrap().unwrap();
    assert!(matches!(found, Credential::Password { user, password } if *user == "user" && *password == "pass"));

    helper(folder.path(), "hub", r#"read server; echo "{\"Username\":\"<token>\",\"Secret\":\"$server\"}""#);
    let found = with_helper(folder.path(), "hub").lookup("docker.io/library/alpine", soon()).await.unwrap().unwrap();
    assert!(matches!(found, Credential::IdentityToken(token) if *token == "https://index.docker.io/v1/"));

    helper(folder.path(), "empty", "echo 'credentials not found in native keychain'; exit 1");
    assert!(with_helper(folder.path(), "empty").lookup("registry.example", soon()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_helper_that_fails_is_named_without_its_output() {
    let folder = tempfile::tempdir().unwrap();
    for (name, script, expected) in [
        ("broken", "echo s3cret; exit 3", "it ended with an error"),
        ("garbage", "echo s3cret", "something else"),
        ("endless", "while :; do echo s3cret; done", "more than 64 KiB"),
        ("slow", "sleep 20", "did not answer in time"),
    ] {
        helper(folder.path(), name, script);
        let credentials = with_helper(folder.path(), name);
        let error = credentials.lookup("registry.example", Deadline::after(Duration::from_millis(900))).await.unwrap_err();
        assert_eq!(error.code(), Code::CredentialHelper);
        assert!(error.to_string().contains(expected) && !error.to_string().contains("s3cret"), "{name}: {error}");
    }
    for name in ["missing", "../../bin/evil"] {
        let error = with_helper(folder.path(), name).lookup("registry.example", soon()).await.unwrap_err();
        assert_eq!(error.code(), Code::CredentialHelper);
    }
}

#[test]
fn credentials_are_not_shown() {
    let credentials = Credentials::none().with("registry.example", Credential::password("user", "s3cret"));
    assert!(!format!("{credentials:?}").contains("s3cret"));
}
