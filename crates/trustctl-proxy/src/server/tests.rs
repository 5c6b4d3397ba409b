#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap or index fails the test")]

mod parts;
mod tls;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};

use super::*;
use crate::answer::{error, full};
use crate::body::{ProxyBody, Streamed};

/// Longer than anything here takes; what is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits { connections: 8, header: PATIENCE, idle: PATIENCE, shutdown: PATIENCE };

/// Answers by path.
struct Paths {
    release: Notify,
    ended: mpsc::UnboundedSender<()>,
    waiting: mpsc::UnboundedSender<()>,
}

impl Site for Paths {
    async fn answer(&self, received: Received) -> Answer {
        let text = |text: String| full(StatusCode::OK, http::HeaderValue::from_static("text/plain"), text.into());
        match received.head.uri.path() {
            "/client" => text(format!("{:?}", received.client)),
            "/endless" => Answer::new(ProxyBody::streamed(Endless(self.ended.clone()))),
            "/broken" => Answer::new(ProxyBody::streamed(Broken)),
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(400)).await;
                text("slow".to_owned())
            }
            "/wait" => {
                self.waiting.send(()).unwrap();
                self.release.notified().await;
                text("waited".to_owned())
            }
            _ if received.head.method == http::Method::POST => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "no", None),
            path => text(path.to_owned()),
        }
    }
}

/// A body without an end, which tells of its own.
struct Endless(mpsc::UnboundedSender<()>);

impl Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 4096])))))
    }
}

impl Streamed for Endless {}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A body that breaks off.
struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}

impl Streamed for Broken {}

struct Running {
    address: SocketAddr,
    site: Arc<Paths>,
    ended: mpsc::UnboundedReceiver<()>,
    waiting: mpsc::UnboundedReceiver<()>,
    notices: mpsc::UnboundedReceiver<Reason>,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<bool>,
}

impl Running {
    async fn start(limits: Limits) -> Self {
        Self::start_on(&Listen { address: "127.0.0.1:0".parse().unwrap(), tls: None }, limits).await
    }

    async fn start_on(listen: &Listen, limits: Limits) -> Self {
        let server = Server::bind(std::slice::from_ref(listen), limits).await.unwrap();
        let address = server.addresses()[0];
        let ((tell_ended, ended), (tell_waiting, waiting)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (tell, notices) = mpsc::unbounded_channel();
        let site = Arc::new(Paths { release: Notify::new(), ended: tell_ended, waiting: tell_waiting });
        let (stop, stopped) = oneshot::channel();
        let notice = move |reason: &Reason| drop(tell.send(reason.clone()));
        let run = server.run(site.clone(), Arc::new(notice), async move { drop(stopped.await) });
        Self { address, site, ended, waiting, notices, stop: Some(stop), served: tokio::spawn(run) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What comes back for `request` until the server closes the connection.
    async fn all_of(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    async fn stop(mut self) -> bool {
        self.stop.take().unwrap().send(()).unwrap();
        within(self.served).await.unwrap()
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

/// What comes until the connection is closed or reset.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer whose body is `body`.
async fn answer_with(stream: &mut TcpStream, body: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(&format!("\r\n\r\n{body}")) {
        let mut byte = [0];
        within(stream.read_exact(&mut byte)).await.unwrap();
        text.push(char::from(byte[0]));
    }
    text
}

#[tokio::test]
async fn a_connection_answers_one_request_after_the_other() {
    let server = Running::start(LIMITS).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let first = answer_with(&mut stream, "/a").await;
    stream
        .write_all(b"HEAD /long HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let more = rest(&mut stream).await;
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    let (head, get) = more.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 5") && get.starts_with("HTTP/1.1 200 OK") && get.ends_with("/b"), "{more}");
    let id = |text: &str| text.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().to_owned();
    let ids = [id(&first), id(head), id(get)];
    assert!(ids[0] < ids[1] && ids[1] < ids[2] && ids.iter().all(|id| id.len() == 16), "{ids:?}");
    assert!(server.all_of("GET /client HTTP/1.0\r\n\r\n").await.contains("subject: None"));
    assert!(server.stop().await);
}

#[tokio::test]
async fn a_request_body_is_not_read_and_ends_the_connection() {
    let server = Running::start(LIMITS).await;
    for head in ["content-length: 1000000", "transfer-encoding: chunked"] {
        let answer = server.all_of(&format!("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n5\r\nhello")).await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("UNSUPPORTED"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn what_is_no_request_or_too_large_is_refused() {
    let server = Running::start(LIMITS).await;
    let many: String = (0..200).map(|n| format!("h{n}: x\r\n")).collect();
    let long = "x".repeat(40_000);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), "HTTP/1.1 4"),
        (format!("GET / HTTP/1.1\r\nlong: {long}\r\n\r\n"), "HTTP/1.1 431"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "HTTP/1.1 431"),
        ("GET / HTTP/1.1\r\nbad header: x\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx".to_owned(), "HTTP/1.1 400"),
    ] {
        let answer = server.all_of(&request).await;
        assert!(answer.starts_with(status), "{status}: {}", &answer[..answer.len().min(200)]);
    }
    assert_eq!(server.all_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, "", "HTTP/2 is hung up on");
}

#[tokio::test]
async fn a_client_that_does_not_keep_pace_is_hung_up_on() {
    let short = Duration::from_millis(100);
    let server = Running::start(Limits { header: short, ..LIMITS }).await;
    assert_eq!(server.all_of("GET / HTTP/1.1\r\nhost:").await, "", "unfinished headers");
    let mut server = Running::start(Limits { idle: short, ..LIMITS }).await;
    assert_eq!(server.all_of("").await, "", "no request");
    let kept_alive = server.all_of("GET /a HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(kept_alive.ends_with("/a"), "no second request: {kept_alive}");
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    within(server.ended.recv()).await.unwrap();
    drop(stream);
    // An answer that takes long is not the client's fault.
    let slow = server.all_of("GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(slow.ends_with("slow"), "{slow}");
}

#[tokio::test]
async fn a_body_that_breaks_off_cuts_the_connection() {
    let server = Running::start(LIMITS).await;
    let answer = server.all_of("GET /broken HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!answer.ends_with("0\r\n\r\n"), "the end of a chunked body must not be sent: {answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_free_slot() {
    let mut server = Running::start(Limits { connections: 1, ..LIMITS }).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    within(server.waiting.recv()).await.unwrap();
    let mut second = server.connect().await;
    second.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), server.waiting.recv()).await;
    assert!(early.is_err(), "the second was let in");
    drop(first);
    within(server.waiting.recv()).await.unwrap();
    server.site.release.notify_one();
    assert!(answer_with(&mut second, "waited").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn stopping_finishes_what_was_begun() {
    let mut server = Running::start(LIMITS).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    within(server.waiting.recv()).await.unwrap();
    let mut idle = server.connect().await;
    idle.write_all(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer_with(&mut idle, "/a").await;
    let (address, site) = (server.address, server.site.clone());
    let stopped = tokio::spawn(server.stop());
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed at once");
    site.release.notify_one();
    assert!(rest(&mut busy).await.ends_with("waited"));
    assert!(within(stopped).await.unwrap(), "nothing was cut");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn stopping_cuts_what_does_not_finish() {
    let mut server = Running::start(Limits { shutdown: Duration::from_millis(50), ..LIMITS }).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    within(server.waiting.recv()).await.unwrap();
    assert!(!server.stop().await);
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = Running::start(LIMITS).await;
    let again = Server::bind(&[Listen { address: server.address, tls: None }], LIMITS).await;
    let reason = again.err().unwrap();
    assert!(reason.code == Code::ProxyListen && reason.message.contains(&server.address.to_string()), "{reason}");
}

#[test]
fn numbers_of_requests_are_sixteen_digits() {
    let id = RequestId::new(0xabc, 0x1f);
    assert_eq!((id.to_string().as_str(), id.header().to_str().unwrap()), ("00000abc0000001f", "00000abc0000001f"));
}
