//! The HTTP client.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trustctl_core::evidence::RefusalKind;
use trustctl_core::reason::Code;
use trustctl_remote::error::RemoteError;
use trustctl_remote::http::origin::{Origin, Scheme};
use trustctl_remote::http::{Authorization, Exchange, Http, Method, Request, Watch};
use trustctl_remote::limits::{Deadline, MAX_ERROR_BODY};

use crate::server::{Reply, Server, answer, empty, redirect, refusal};
use crate::{network, soon};

fn get(server: &Server, path: &str) -> Request {
    Request::get(Origin::of_registry(&server.address).unwrap(), path, 1000)
}

async fn body_of(http: &Http, request: &Request) -> Result<String, RemoteError> {
    let response = http.send(request, soon()).await?;
    Ok(String::from_utf8(response.body.to_vec()).unwrap())
}

#[tokio::test]
async fn plain_http_on_loopback_costs_no_additional_request() {
    let server = Server::start(|_| answer(200, "text/plain", "hello")).await;
    let http = Http::new(network());
    for _ in 0..2 {
        assert_eq!(body_of(&http, &get(&server, "/a?b=c")).await.unwrap(), "hello");
    }
    assert_eq!(server.lines(), ["GET /a?b=c", "GET /a?b=c"]);
    assert_eq!(http.counts().requests, 2);
    assert_eq!(http.counts().round_trips, 2);
    assert_eq!(http.scheme_of(&Origin::of_registry(&server.address).unwrap()), Some(Scheme::Http));
    let exchange = http.exchanges().remove(0);
    assert_eq!((exchange.path.as_str(), exchange.status, exchange.round_trip), ("/a", Some(200), 1));
}

/// Writes down what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Watch for Told {
    fn exchanged(&self, exchange: &Exchange) {
        self.0.lock().unwrap().push(format!("{} {:?} {}", exchange.path, exchange.status, exchange.round_trip));
    }

    fn received(&self, bytes: u64) {
        self.0.lock().unwrap().push(format!("{bytes} bytes"));
    }

    fn stalled(&self) {}
}

#[tokio::test]
async fn a_client_that_is_watched_keeps_nothing_of_what_it_told() {
    let server = Server::start(|_| answer(200, "text/plain", "hello")).await;
    let told = Arc::new(Told::default());
    let http = Http::watched(network(), told.clone());
    for path in ["/a", "/b"] {
        http.send(&get(&server, path), soon()).await.unwrap();
    }
    assert_eq!(*told.0.lock().unwrap(), ["/a Some(200) 1", "5 bytes", "/b Some(200) 2", "5 bytes"]);
    assert_eq!((http.exchanges(), http.counts().requests, http.counts().round_trips), (Vec::new(), 2, 2));
}

#[tokio::test]
async fn requests_at_once_are_one_round_trip() {
    let server = Server::start(|_| Reply::Late(Duration::from_millis(30), Box::new(empty(200)))).await;
    let http = Http::new(network());
    let request = get(&server, "/");
    let (a, b, c) = tokio::join!(http.send(&request, soon()), http.send(&request, soon()), http.send(&request, soon()));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!((http.counts().requests, http.counts().round_trips), (3, 1));
}

#[tokio::test]
async fn plain_http_elsewhere_is_only_for_servers_that_are_named() {
    let http = Http::new(network());
    let (origin, _) = Origin::parse_url("http://registry.example").unwrap();
    let error = http.send(&Request::get(origin.clone(), "/v2/", 10), soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::PlainHttp);
    assert_eq!(http.counts().requests, 0);
    let mut network = network();
    network.plain_http = vec!["registry.example".to_owned()];
    assert!(Http::new(network).may_be_plain(&origin));
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let server = Server::start(|_| Reply::Endless).await;
    let error = Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap_err();
    assert_eq!(error, RemoteError::TooLarge { host: server.address.clone(), limit: 1000 });
    assert_eq!(error.refusal().kind, RefusalKind::TooLarge);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let server = Server::start(|seen| answer(200, "x/y", vec![b'x'; seen.path()[1..].parse().unwrap()])).await;
    let http = Http::new(network());
    assert_eq!(http.send(&get(&server, "/1000"), soon()).await.unwrap().body.len(), 1000);
    assert_eq!(http.send(&get(&server, "/1001"), soon()).await.unwrap_err().code(), Code::TooLarge);
}

#[tokio::test]
async fn an_error_page_is_cut_and_is_still_an_answer() {
    let server = Server::start(|_| answer(404, "text/html", vec![b'x'; 1_000_000])).await;
    let response = Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap();
    assert_eq!((response.status, u64::try_from(response.body.len()).unwrap()), (404, MAX_ERROR_BODY));
}

#[tokio::test]
async fn a_declared_length_is_not_believed() {
    // More is announced than comes.
    let server = Server::start(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nshort".to_vec())).await;
    let error = Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("3 tries"), "{error}");
}

#[tokio::test]
async fn trouble_is_tried_again_and_then_passes() {
    for status in [429, 500, 502, 503, 504] {
        let count = AtomicU32::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => refusal(status, "TOOMANYREQUESTS"),
            _ => answer(200, "x/y", "at last"),
        })
        .await;
        assert_eq!(body_of(&Http::new(network()), &get(&server, "/")).await.unwrap(), "at last");
        assert_eq!(server.seen().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn trouble_that_stays_is_unavailable_and_says_what_the_server_said() {
    let server = Server::start(|_| refusal(503, "UNAVAILABLE")).await;
    let error = Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.refusal().kind, RefusalKind::Unavailable);
    assert!(error.to_string().ends_with("it answered 503: UNAVAILABLE, words of the server, 3 tries"), "{error}");
}

#[tokio::test]
async fn a_status_that_will_not_change_is_not_tried_again() {
    for status in [200, 201, 400, 404, 405, 409, 418, 501] {
        let server = Server::start(move |_| empty(status)).await;
        assert_eq!(Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap().status, status);
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let count = AtomicU32::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => empty(429).header("Retry-After", "2"),
        _ => empty(200),
    })
    .await;
    let start = Instant::now();
    assert_eq!(Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap().status, 200);
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    for wish in ["15", "86400", "99999999999999", "18446744073709551615"] {
        let server = Server::start(move |_| empty(429).header("Retry-After", wish)).await;
        let start = Instant::now();
        let error = Http::new(network()).send(&get(&server, "/"), Deadline::after(Duration::from_secs(5))).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.to_string().contains(&format!("asking to wait {wish} s")), "{error}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn without_time_nobody_is_asked_and_nothing_counted() {
    let server = Server::start(|_| Reply::Silent).await;
    let http = Http::new(network());
    let error = http.send(&get(&server, "/"), Deadline::after(Duration::ZERO)).await.unwrap_err();
    assert_eq!(error, RemoteError::OutOfTime { host: server.address.clone() });
    assert_eq!((http.counts().requests, http.exchanges()), (0, Vec::new()));
    http.send(&get(&server, "/"), Deadline::after(Duration::from_millis(80))).await.unwrap_err();
    assert!(http.exchanges().iter().any(|exchange| exchange.out_of_time));
}

#[tokio::test]
async fn the_deadline_ends_everything() {
    let server = Server::start(|_| Reply::Silent).await;
    let error = Http::new(network()).send(&get(&server, "/"), Deadline::after(Duration::from_millis(80))).await.unwrap_err();
    assert_eq!(error, RemoteError::OutOfTime { host: server.address.clone() });
    assert_eq!(error.refusal().kind, RefusalKind::OutOfBudget);
}

#[tokio::test]
async fn silence_is_given_up_before_the_deadline() {
    let server = Server::start(|_| Reply::Silent).await;
    let mut network = network();
    network.idle = Duration::from_millis(50);
    let http = Http::new(network);
    let mut request = get(&server, "/");
    request.tries = 1;
    let error = http.send(&request, soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert!(http.exchanges().iter().all(|exchange| exchange.out_of_time) && http.counts().requests > 0);
}

#[tokio::test]
async fn a_header_that_http_cannot_carry_is_not_sent() {
    let server = Server::start(|_| answer(200, "text/plain", "hello")).await;
    let http = Http::new(network());
    let request = |value: &str| get(&server, "/").header(http::header::ACCEPT, value);
    assert_eq!(body_of(&http, &request("a/b")).await.unwrap(), "hello");
    let error = http.send(&request("a/b\r\nX-Other: c"), soon()).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Configuration { .. }) && error.to_string().contains("accept"), "{error}");
    assert_eq!((server.lines().len(), http.counts().requests), (1, 1));
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let http = Http::new(network());
    let error = http.send(&Request::get(Origin::of_registry(&address).unwrap(), "/", 10), soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("no connection"), "{error}");
    assert_eq!(http.counts().requests, 3);
}

#[tokio::test]
async fn what_may_not_be_repeated_is_not() {
    let server = Server::start(|_| empty(500)).await;
    let post = Request::new(Method::POST, Origin::of_registry(&server.address).unwrap(), "/");
    assert_eq!(Http::new(network()).send(&post, soon()).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.seen().len(), 1);
    // A 429 says that nothing was done.
    let server = Server::start(|_| empty(429)).await;
    let post = Request::new(Method::POST, Origin::of_registry(&server.address).unwrap(), "/");
    assert_eq!(Http::new(network()).send(&post, soon()).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn credentials_follow_a_redirect_on_the_same_server_only() {
    let other = Server::start(|_| answer(200, "x/y", "elsewhere")).await;
    let elsewhere = other.url("/blob");
    let server = Server::start(move |seen| match seen.path() {
        "/here" => redirect("/there"),
        "/there" => answer(200, "x/y", "there"),
        _ => redirect(elsewhere.clone()),
    })
    .await;
    let http = Http::new(network());
    let with_secret = |path: &str| {
        let mut request = get(&server, path);
        request.authorization = Some(Authorization::basic("user", "s3cret"));
        request
    };
    assert_eq!(body_of(&http, &with_secret("/here")).await.unwrap(), "there");
    assert!(server.seen()[1].header("authorization").is_some());
    let response = http.send(&with_secret("/away"), soon()).await.unwrap();
    assert!(response.redirected);
    assert_eq!(response.origin.to_string(), other.address);
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|seen| redirect(format!("{}x", seen.target))).await;
    let error = Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::BadAnswer);
    assert!(error.to_string().contains("more than 5 times"), "{error}");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn redirects_to_other_kinds_of_addresses_are_refused() {
    for target in
        ["file:///etc/passwd", "ftp://127.0.0.1/", "http://user:pass@127.0.0.1/", "http://registry.example/", "https://"]
    {
        let server = Server::start(move |_| redirect(target)).await;
        let error = Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap_err();
        assert_eq!(error.code(), Code::BadAnswer, "{target}");
        assert!(error.to_string().contains("it redirects to"), "{error}");
    }
    let server = Server::start(|_| empty(302)).await;
    let error = Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap_err();
    assert!(error.to_string().contains("without saying where"), "{error}");
}

#[tokio::test]
async fn a_put_is_not_redirected() {
    let server = Server::start(|_| redirect("/there")).await;
    let put = Request::new(Method::PUT, Origin::of_registry(&server.address).unwrap(), "/");
    assert_eq!(Http::new(network()).send(&put, soon()).await.unwrap().status, 307);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn garbage_instead_of_http_is_unavailable() {
    let server = Server::start(|_| Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())).await;
    let error = Http::new(network()).send(&get(&server, "/"), soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
}

#[test]
fn secrets_are_not_shown() {
    let mut request = Request::get(Origin::of_registry("registry.example").unwrap(), "/", 1);
    request.authorization = Some(Authorization::bearer("s3cret"));
    assert!(!format!("{request:?}").contains("s3cret"));
}

/// The part of [`proxies_of_the_environment_are_used_but_not_for_loopback`] that runs in a process with the variables set.
#[tokio::test]
#[ignore = "run by proxies_of_the_environment_are_used_but_not_for_loopback"]
async fn asks_through_the_proxy_of_the_environment() {
    let mut network = network();
    network.plain_http = vec!["registry.example".to_owned()];
    let http = Http::new(network);
    let (far, _) = Origin::parse_url("http://registry.example").unwrap();
    assert_eq!(body_of(&http, &Request::get(far, "/v2/", 100)).await.unwrap(), "from the proxy");
    let near = Origin::of_registry(&std::env::var("TRUSTCTL_TEST_SERVER").unwrap()).unwrap();
    assert_eq!(body_of(&http, &Request::get(near, "/v2/", 100)).await.unwrap(), "from the server");
}

#[tokio::test]
async fn proxies_of_the_environment_are_used_but_not_for_loopback() {
    let proxy = Server::start(|_| answer(200, "x/y", "from the proxy")).await;
    let server = Server::start(|_| answer(200, "x/y", "from the server")).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--ignored", "http::asks_through_the_proxy_of_the_environment"]);
    child.env("http_proxy", proxy.url("")).env("HTTP_PROXY", proxy.url("")).env_remove("NO_PROXY").env_remove("no_proxy");
    let output = child.env("TRUSTCTL_TEST_SERVER", &server.address).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.lines(), ["GET http://registry.example/v2/"]);
    assert_eq!(server.lines(), ["GET /v2/"]);
}
