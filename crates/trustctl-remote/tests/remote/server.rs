//! A server on loopback that answers by a function, well or badly.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_rustls::TlsAcceptor;

/// A request as the server saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What the server does with a request.
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, then nothing more, the connection staying open.
    Stalled(Vec<u8>),
    /// A 200 whose body does not end.
    Endless,
    /// Nothing, for ever.
    Silent,
    /// The answer after a while.
    Late(Duration, Box<Reply>),
    /// The answer as soon as all others of this barrier are due too.
    Together(Arc<Barrier>, Box<Reply>),
}

impl Reply {
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.into()));
        }
        self
    }
}

pub(crate) fn answer(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Reply {
    Reply::Answer { status, headers: vec![("Content-Type".to_owned(), media_type.to_owned())], body: body.into() }
}

pub(crate) fn empty(status: u16) -> Reply {
    Reply::Answer { status, headers: Vec::new(), body: Vec::new() }
}

/// A refusal in the form of the distribution specification.
pub(crate) fn refusal(status: u16, code: &str) -> Reply {
    answer(status, "application/json", format!(r#"{{"errors":[{{"code":"{code}","message":"words of the server"}}]}}"#))
}

/// What docker-registry 2.8 answers to a listing of referrers.
pub(crate) fn no_referrers_api() -> Reply {
    answer(404, "text/plain; charset=utf-8", "404 page not found\n").header("Docker-Distribution-Api-Version", "registry/2.0")
}

pub(crate) fn redirect(to: impl Into<String>) -> Reply {
    empty(307).header("Location", to)
}

/// The server; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(Arc::new(answer), None).await
    }

    pub(crate) async fn start_tls(acceptor: TlsAcceptor, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(Arc::new(answer), Some(acceptor)).await
    }

    async fn serve(answer: Arc<dyn Fn(&Seen) -> Reply + Send + Sync>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, log, tls) = (Arc::clone(&answer), Arc::clone(&log), tls.clone());
                tokio::spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    match tls {
                        None => converse(stream, &*answer, &log).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => converse(stream, &*answer, &log).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Requests of one connection until it ends; `None` when it does.
async fn converse<S>(stream: S, answer: &(dyn Fn(&Seen) -> Reply + Send + Sync), log: &Mutex<Vec<Seen>>) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    loop {
        let seen = read_request(&mut stream).await?;
        let head = seen.method == "HEAD";
        log.lock().unwrap().push(seen.clone());
        let mut reply = answer(&seen);
        loop {
            match reply {
                Reply::Late(span, later) => {
                    tokio::time::sleep(span).await;
                    reply = *later;
                }
                Reply::Together(barrier, later) => {
                    barrier.wait().await;
                    reply = *later;
                }
                _ => break,
            }
        }
        match reply {
            Reply::Answer { status, headers, body } => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let text = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
                stream.write_all(text.as_bytes()).await.ok()?;
                if !head {
                    stream.write_all(&body).await.ok()?;
                }
                stream.flush().await.ok()?;
            }
            Reply::Raw(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                stream.shutdown().await.ok()?;
                return None;
            }
            Reply::Stalled(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                stream.flush().await.ok()?;
                std::future::pending().await
            }
            Reply::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(format!("4000\r\n{}\r\n", "x".repeat(0x4000)).as_bytes()).await.ok()?;
                    stream.flush().await.ok()?;
                }
            }
            Reply::Silent => std::future::pending().await,
            Reply::Late(..) | Reply::Together(..) => return None,
        }
    }
}

async fn read_request<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>) -> Option<Seen> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let mut seen = Seen { method: words.next()?.to_owned(), target: words.next()?.to_owned(), ..Seen::default() };
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        seen.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length: usize = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    seen.body = vec![0; length];
    stream.read_exact(&mut seen.body).await.ok()?;
    Some(seen)
}
