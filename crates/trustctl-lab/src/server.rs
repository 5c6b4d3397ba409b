//! A loopback HTTP server on a thread of its own, with request log and faults. It stops when it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue, RETRY_AFTER, SERVER, USER_AGENT};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use crate::answer::{self, Answer};
use crate::error::{LabError, io};
use crate::faults::{Fault, Faults};
use crate::requests::{LoggedRequest, RequestLog};

/// What a service answers. It has the whole body and answers at once: everything a lab holds is in memory.
pub(crate) trait Site: Send + Sync + 'static {
    fn answer(&self, request: &Request<Bytes>) -> Answer;

    /// The largest request body that is read, in bytes.
    fn body_limit(&self) -> usize;

    /// What it answers where a fault says that it fails with `status`.
    fn failure(&self, status: StatusCode) -> Answer {
        let code = if status == StatusCode::TOO_MANY_REQUESTS { "TOOMANYREQUESTS" } else { "UNAVAILABLE" };
        answer::error(status, code, "a fault of this lab", serde_json::Value::Null)
    }
}

/// How to listen.
pub(crate) struct Listen {
    pub(crate) name: &'static str,
    /// 0 for one that the system chooses.
    pub(crate) port: u16,
    pub(crate) tls: Option<rustls::ServerConfig>,
}

#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    tls: bool,
    faults: Faults,
    requests: RequestLog,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Listens on 127.0.0.1, which no other machine can reach, and answers with the site that `site` makes for the address.
    pub(crate) fn start<S: Site>(listen: Listen, site: impl FnOnce(SocketAddr) -> S) -> Result<Self, LabError> {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, listen.port)).map_err(io("listening on loopback"))?;
        socket.set_nonblocking(true).map_err(io("listening on loopback"))?;
        let address = socket.local_addr().map_err(io("listening on loopback"))?;
        let tls = listen.tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        let server = Self {
            address,
            tls: tls.is_some(),
            faults: Faults::default(),
            requests: RequestLog::default(),
            stop: None,
            thread: None,
        };
        let shared = Arc::new(Shared {
            site: site(address),
            faults: server.faults.clone(),
            requests: server.requests.clone(),
            epoch: Instant::now(),
        });
        server.run(listen.name, socket, tls, shared)
    }

    fn run<S: Site>(
        mut self,
        name: &str,
        socket: std::net::TcpListener,
        tls: Option<tokio_rustls::TlsAcceptor>,
        shared: Arc<Shared<S>>,
    ) -> Result<Self, LabError> {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async {
                let listener = TcpListener::from_std(socket);
                let listener = match listener {
                    Ok(listener) => listener,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let _ = ready.send(Ok(()));
                tokio::select! {
                    () = accept(listener, tls, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        self.thread = Some(thread.map_err(io("starting a thread"))?);
        self.stop = Some(stop);
        match is_ready.recv() {
            Ok(Ok(())) => Ok(self),
            Ok(Err(error)) => Err(io("starting a server")(error)),
            Err(_) => Err(io("starting a server")(std::io::ErrorKind::Other.into())),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn requests(&self) -> &RequestLog {
        &self.requests
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Shared<S> {
    site: S,
    faults: Faults,
    requests: RequestLog,
    epoch: Instant,
}

async fn accept<S: Site>(listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>, shared: Arc<Shared<S>>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (tls, shared) = (tls.clone(), shared.clone());
        tokio::spawn(async move {
            serve(stream, tls, shared).await;
            drop(slot);
        });
    }
}

async fn serve<S: Site>(stream: TcpStream, tls: Option<tokio_rustls::TlsAcceptor>, shared: Arc<Shared<S>>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(request, shared.clone()));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
    // A connection that fails is the client's business; what it asked for is in the log.
    match tls {
        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HEADER_LIMIT, tls.accept(stream)).await {
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}

type Sent = Response<BoxBody<Bytes, std::io::Error>>;

/// Dropping the connection is the only error.
async fn respond<S: Site>(request: Request<Incoming>, shared: Arc<Shared<S>>) -> Result<Sent, std::io::Error> {
    let started = shared.epoch.elapsed();
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let mut entry = LoggedRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        status: None,
        authorization: header(AUTHORIZATION).and_then(|value| value.split(' ').next()).map(str::to_owned),
        user_agent: header(USER_AGENT).map(str::to_owned),
        started,
        ended: started,
    };
    let (latency, fault) = shared.faults.take(&entry.method, &entry.path);
    let is_head = parts.method == Method::HEAD;
    let answer = answered(&shared.site, (parts, body), fault.as_ref()).await;
    let delay = if let Some(Fault::Slow(delay)) = fault { latency.saturating_add(delay) } else { latency };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    entry.status = answer.as_ref().map(|answer| answer.status().as_u16());
    entry.ended = shared.epoch.elapsed();
    shared.requests.push(entry);
    if fault == Some(Fault::Hang) {
        tokio::time::sleep(STALL).await;
    }
    match answer {
        Some(answer) => Ok(sent(answer, is_head, fault)),
        None => Err(std::io::ErrorKind::ConnectionAborted.into()),
    }
}

/// What the site answers, or what `fault` makes of that; nothing when the connection is to be dropped.
async fn answered(site: &impl Site, request: (Parts, Incoming), fault: Option<&Fault>) -> Option<Answer> {
    let (mut parts, body) = request;
    match fault {
        Some(Fault::Drop | Fault::Hang) => return None,
        Some(Fault::Status { status, retry_after }) => return Some(failing(site, *status, *retry_after)),
        Some(Fault::Wrong(part)) => drop(parts.extensions.insert(*part)),
        _ => {}
    }
    let answer = match Limited::new(body, site.body_limit()).collect().await {
        Ok(body) => site.answer(&Request::from_parts(parts, body.to_bytes())),
        Err(_) => answer::text(StatusCode::PAYLOAD_TOO_LARGE, "larger than this lab takes\n"),
    };
    Some(answer).filter(|_| fault != Some(&Fault::Lost))
}

fn failing(site: &impl Site, status: u16, retry_after: Option<u32>) -> Answer {
    let mut answer = site.failure(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    if let Some(seconds) = retry_after {
        answer::set(&mut answer, RETRY_AFTER, seconds.to_string());
    }
    answer
}

/// The answer as it goes out, with its length, and with what `fault` makes of its body.
fn sent(answer: Answer, is_head: bool, fault: Option<Fault>) -> Sent {
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(SERVER, HeaderValue::from_static("trustctl-lab (not for production)"));
    if is_head {
        declare_length(&mut parts.headers, body.len());
        return Response::from_parts(parts, full(Bytes::new()));
    }
    let body = match fault {
        Some(Fault::Endless) => {
            parts.headers.remove(CONTENT_LENGTH);
            return Response::from_parts(parts, broken(body, Ending::Never));
        }
        Some(Fault::Replaced(bytes)) => full_with_length(&mut parts.headers, bytes),
        Some(Fault::WrongBytes) => full_with_length(&mut parts.headers, one_bit_off(&body)),
        Some(Fault::Stalled) => {
            declare_length(&mut parts.headers, body.len());
            broken(body, Ending::Stalled)
        }
        Some(Fault::Truncated) => {
            declare_length(&mut parts.headers, body.len());
            broken(body, Ending::Closed)
        }
        _ => full_with_length(&mut parts.headers, body),
    };
    Response::from_parts(parts, body)
}

fn declare_length(headers: &mut HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
}

fn full_with_length(headers: &mut HeaderMap, body: Bytes) -> BoxBody<Bytes, std::io::Error> {
    declare_length(headers, body.len());
    full(body)
}

fn full(body: Bytes) -> BoxBody<Bytes, std::io::Error> {
    Full::new(body).map_err(|never| match never {}).boxed()
}

fn one_bit_off(body: &Bytes) -> Bytes {
    let mut wrong = body.to_vec();
    let middle = wrong.len() / 2;
    if let Some(byte) = wrong.get_mut(middle) {
        *byte ^= 1;
    }
    wrong.into()
}

enum Ending {
    Closed,
    Never,
    Stalled,
}

/// A body that does not end as it should.
fn broken(body: Bytes, ending: Ending) -> BoxBody<Bytes, std::io::Error> {
    let (sender, channel) = Channel::new(1);
    tokio::spawn(send_broken(sender, body, ending));
    channel.boxed()
}

async fn send_broken(mut sender: Sender<Bytes, std::io::Error>, body: Bytes, ending: Ending) {
    match ending {
        Ending::Never => {
            let filling = Bytes::from(vec![b' '; ENDLESS_CHUNK]);
            if sender.send_data(body).await.is_ok() {
                while sender.send_data(filling.clone()).await.is_ok() {}
            }
        }
        Ending::Closed | Ending::Stalled => {
            let half = body.slice(..body.len() / 2);
            if sender.send_data(half).await.is_ok() {
                // The half must have left before the connection breaks.
                let pause = if matches!(ending, Ending::Stalled) { STALL } else { ACCEPT_PAUSE };
                tokio::time::sleep(pause).await;
                sender.abort(std::io::ErrorKind::ConnectionAborted.into());
            }
        }
    }
}

/// Connections at once; more wait.
const MAX_CONNECTIONS: usize = 256;
/// A client that says nothing for so long is hung up on; also ends connections that are kept alive.
const HEADER_LIMIT: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Longer than any client should wait for an answer or the rest of one.
const STALL: Duration = Duration::from_secs(300);
const ENDLESS_CHUNK: usize = 16 * 1024;
