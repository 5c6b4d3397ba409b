//! Plain HTTP, read in pieces of a limited size.
//!
//! The library's client has no such limit: each of its connections may read 408 KiB at once, 26 MiB for the 64 transfers of a proxy
//! (counted). Over TLS a piece is what is decrypted at once, 16 KiB.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::clients::{MAX_HEADERS, OUR_NAME};
use super::patient::Patient;
use super::transport::TransportError;
use crate::limits::CONNECT_TIMEOUT;

/// How many bytes a connection asks for at once; its buffer may be twice as large. A head has to fit in as well.
const AT_ONCE: usize = 64 * 1024;
/// When an unused connection is closed; as in the library's client, like all that follows.
const UNUSED: Duration = Duration::from_secs(90);
/// How often the system asks whether the other end of a quiet connection is still there, and how often in vain.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const UNANSWERED: u32 = 3;
/// How long what was sent may stay without the system's acknowledgement.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A client for plain HTTP, without proxy.
pub(super) struct PlainClient {
    client: Client<InTime<HttpConnector>, reqwest::Body>,
    idle: Duration,
}

impl PlainClient {
    /// A client that gives up when nothing comes for `idle`.
    pub(super) fn new(idle: Duration) -> Self {
        Self { client: client(InTime { connector: connector(), limit: CONNECT_TIMEOUT }), idle }
    }

    /// Sends `request` and waits for the head of the answer. Redirects are answers.
    pub(super) async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, TransportError> {
        let mut request = http::Request::try_from(request)?;
        for (name, value) in [(USER_AGENT, OUR_NAME), (ACCEPT, "*/*")] {
            request.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        }
        let answer = tokio::time::timeout(self.idle, self.client.request(request)).await;
        let answer = answer.map_err(|_| TransportError::Late)?.map_err(TransportError::Plain)?;
        Ok(answer.map(|body| reqwest::Body::wrap(Patient::new(body, self.idle))).into())
    }
}

fn client<C: Service<Uri>>(connector: InTime<C>) -> Client<InTime<C>, reqwest::Body>
where
    InTime<C>: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(UNUSED)
        .http1_max_buf_size(AT_ONCE)
        .http1_max_headers(MAX_HEADERS)
        .build(connector)
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // Of each of its addresses in turn; all of it has the same limit once more.
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEP_ALIVE));
    connector.set_keepalive_interval(Some(KEEP_ALIVE));
    connector.set_keepalive_retries(Some(UNANSWERED));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    connector
}

/// Connects within a limit, resolving the name included.
#[derive(Clone)]
struct InTime<C> {
    connector: C,
    limit: Duration,
}

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri, Error: Into<Box<dyn Error + Send + Sync>>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.limit, self.connector.call(target));
        Box::pin(async move { connected.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A server that answers whatever is asked first with `head`, then a body without end; what was asked comes back.
    async fn endless(head: String) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v2/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            // Whoever asked may have gone already.
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            String::from_utf8(asked.get(..length).unwrap().to_vec()).unwrap()
        });
        (address, server)
    }

    async fn get(address: &str) -> Result<reqwest::Response, TransportError> {
        let request = reqwest::Request::new(reqwest::Method::GET, address.parse().unwrap());
        PlainClient::new(Duration::from_secs(5)).send(request).await
    }

    #[tokio::test]
    async fn pieces_are_as_large_as_what_is_asked_for_at_once() {
        let (address, server) = endless("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".to_owned()).await;
        let mut answer = get(&address).await.unwrap();
        assert!(answer.remote_addr().is_some_and(|address| address.ip().is_loopback()), "redirects are judged by it");
        let mut largest = 0;
        for _ in 0..400 {
            // Slower than the server: what is there at once is as much as is taken.
            tokio::task::yield_now().await;
            largest = largest.max(answer.chunk().await.unwrap().unwrap().len());
        }
        assert!((AT_ONCE / 4..=2 * AT_ONCE).contains(&largest), "{largest}");
        drop(answer);
        let asked = server.await.unwrap().to_ascii_lowercase();
        assert!(asked.contains(&format!("user-agent: {OUR_NAME}\r\n")) && asked.contains("accept: */*\r\n"), "{asked}");
        assert!(asked.contains("host: 127.0.0.1:"), "{asked}");
    }

    #[tokio::test]
    async fn a_head_has_to_fit() {
        let head = |length: usize| format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "y".repeat(length));
        let (address, _server) = endless(head(AT_ONCE / 2)).await;
        assert_eq!(get(&address).await.unwrap().headers().get("x-long").unwrap().len(), AT_ONCE / 2);
        let (address, _server) = endless(head(2 * AT_ONCE)).await;
        let error = get(&address).await.err().unwrap();
        let why = error.causes().last().unwrap().to_string();
        assert!(why.contains("too large") && !error.is_timeout() && !error.is_connect(), "{why}");
    }

    #[tokio::test]
    async fn silence_is_late() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let request = reqwest::Request::new(reqwest::Method::GET, address.parse().unwrap());
        let error = PlainClient::new(Duration::from_millis(50)).send(request).await.err().unwrap();
        assert!(matches!(error, TransportError::Late) && error.is_timeout() && !error.is_connect(), "{error:?}");
    }

    /// Never gets as far as a connection, like a resolver without answer.
    #[derive(Clone)]
    struct Never;

    impl Service<Uri> for Never {
        type Response = TokioIo<TcpStream>;
        type Error = io::Error;
        type Future = std::future::Pending<Result<TokioIo<TcpStream>, io::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Uri) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_resolved_in_time_is_no_connection() {
        let client = client(InTime { connector: Never, limit: Duration::from_millis(50) });
        let request = http::Request::get("http://registry.example/").body(reqwest::Body::default()).unwrap();
        let error = TransportError::Plain(client.request(request).await.unwrap_err());
        assert!(error.is_connect() && error.is_timeout(), "{error:?}");
    }
}
