//! Signing services: what they answer is bytes, within limits; what they refuse is quoted; nobody leads a request elsewhere.

use trustctl_core::reason::Code;
use trustctl_remote::http::Http;
use trustctl_remote::sigstore::{Logged, ServiceError, Services};

use super::server::{Reply, Server, answer, empty, redirect};
use super::{network, soon};

fn services() -> Services {
    Services::new(Http::new(network()))
}

fn code(error: &ServiceError) -> Code {
    error.reason().code
}

async fn enter(server: &Server) -> Result<Logged, ServiceError> {
    services().enter_first(&server.url(""), b"{}".to_vec(), soon()).await
}

#[tokio::test]
async fn a_conflict_leads_to_the_entry_on_the_same_server_only() {
    let id = "ab".repeat(32);
    let other = Server::start(|_| answer(200, "application/json", "stolen")).await;
    let elsewhere = other.url(&format!("/api/v1/log/entries/{id}"));
    let expected = format!("GET /api/v1/log/entries/{id}");
    let server = Server::start(move |seen| match seen.method.as_str() {
        "POST" => empty(409).header("Location", elsewhere.clone()),
        _ => answer(200, "application/json", "own"),
    })
    .await;
    assert_eq!(enter(&server).await.unwrap(), Logged::There("own".into()));
    assert_eq!(server.lines().last(), Some(&expected));
    assert!(other.lines().is_empty(), "another server was asked");
}

#[tokio::test]
async fn a_conflict_that_names_no_entry_is_no_answer() {
    for location in ["", "/api/v1/log/entries/", "/api/v1/log/entries/xyz", "/api/v1/log/entries/../../../etc"] {
        let server = Server::start(move |_| empty(409).header("Location", location)).await;
        assert_eq!(code(&enter(&server).await.unwrap_err()), Code::BadAnswer, "{location}");
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_beyond_the_limit_or_without_end_is_not_read() {
    let large = Server::start(|_| answer(201, "application/json", vec![b' '; 1024 * 1024 + 1])).await;
    assert_eq!(code(&enter(&large).await.unwrap_err()), Code::TooLarge);
    let endless = Server::start(|_| Reply::Endless).await;
    assert_eq!(code(&enter(&endless).await.unwrap_err()), Code::TooLarge);
}

#[tokio::test]
async fn a_redirect_of_a_request_that_does_something_is_a_refusal() {
    let other = Server::start(|_| answer(201, "application/json", "{}")).await;
    let to = other.url("/api/v1/log/entries");
    let server = Server::start(move |_| redirect(to.clone())).await;
    assert_eq!(code(&enter(&server).await.unwrap_err()), Code::ServiceRefused);
    assert!(other.lines().is_empty());
}

#[tokio::test]
async fn an_outage_is_repeated_and_a_refusal_is_not() {
    for (status, tries) in [(502, 9), (429, 9), (400, 1), (404, 1), (422, 1)] {
        let server = Server::start(move |_| answer(status, "application/json", r#"{"code":3,"message":"words"}"#)).await;
        let error = services().timestamp(&server.url("/stamp"), b"query".to_vec(), soon()).await.unwrap_err();
        assert_eq!(server.lines().len(), tries, "{status}");
        let expected = if tries == 1 { Code::ServiceRefused } else { Code::Unavailable };
        assert_eq!(code(&error), expected);
        assert_eq!(error.to_string().contains("words"), tries == 1, "{error}");
    }
}

#[tokio::test]
async fn a_service_without_tls_that_is_not_on_loopback_is_not_asked() {
    let error = services().timestamp("http://stamps.invalid/stamp", Vec::new(), soon()).await.unwrap_err();
    assert_eq!(code(&error), Code::PlainHttp);
    for bad in ["https://user:pw@stamps.invalid/", "file:///etc/passwd", "stamps.invalid", "https://stamps.invalid/?q=1"] {
        let error = services().timestamp(bad, Vec::new(), soon()).await.unwrap_err();
        assert_eq!(code(&error), Code::ConfigUnusable, "{bad}");
    }
}
