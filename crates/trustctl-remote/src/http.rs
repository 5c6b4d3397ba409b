//! The one HTTP client: limits, retries, redirects, TLS, proxies; no credentials and no opinion about trust.
//!
//! - An answer is read up to a limit while it arrives; no header is believed about its length.
//! - 429, 5xx, broken connections and timeouts are tried again, as often as the request says, within the caller's [`Deadline`].
//! - Redirects are followed here, by `redirect`'s rules, never by the library.
//! - Plain HTTP is spoken with loopback and with servers named for it; which one a server on loopback speaks is found out once.
//! - TLS is set up when the first server needs it.

mod clients;
mod incoming;
mod ledger;
mod message;
pub mod origin;
mod patient;
mod plain;
mod redirect;
mod retry;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
pub use reqwest::Method;

use crate::error::RemoteError;
use crate::limits::{Deadline, IDLE_TIMEOUT, MAX_ERROR_BODY, RETRY_PAUSE};
use clients::Clients;
pub use incoming::{Incoming, Opened};
pub use ledger::{Counts, Exchange, Watch};
use ledger::{Ledger, UnderWay};
pub use message::{Authorization, Request, Response};
use origin::{Origin, Scheme};
pub(crate) use retry::pause;
pub(crate) use retry::server_words;
use retry::{Again, Failure};
use transport::TransportError;

/// How the network is to be used. [`Network::default`] uses no folder and no exception.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// Servers (`host` or `host:port`) that may be asked without TLS although they are not on loopback.
    pub plain_http: Vec<String>,
    /// Folders in the form of `/etc/docker/certs.d`: one folder for each `host:port`. The first that has the server counts.
    pub certificates: Vec<PathBuf>,
    /// Whether no proxy is used for anybody.
    pub direct: bool,
    /// The pause before the second try of a request.
    pub retry_pause: Duration,
    /// The time without a byte after which a connection is given up.
    pub idle: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Self { plain_http: Vec::new(), certificates: Vec::new(), direct: false, retry_pause: RETRY_PAUSE, idle: IDLE_TIMEOUT }
    }
}

impl Network {
    /// The usual folders: `certs.d` beside Docker's configuration, then those of Docker and Podman for the whole system.
    ///
    /// `variable` looks up environment variables.
    pub fn of_environment(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let home = variable("HOME").map(PathBuf::from);
        let docker = variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let mut certificates: Vec<PathBuf> = docker.into_iter().map(|folder| folder.join("certs.d")).collect();
        certificates.extend(home.map(|home| home.join(".config/containers/certs.d")));
        certificates.extend(["/etc/docker/certs.d", "/etc/containers/certs.d"].map(PathBuf::from));
        Self { certificates, ..Self::default() }
    }
}

/// The client. Cloning is cheap and shares connections, counts and what was learnt about servers.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    network: Network,
    clients: Clients,
    schemes: Mutex<HashMap<Origin, Scheme>>,
    ledger: Mutex<Ledger>,
    watch: Option<Arc<dyn Watch>>,
}

impl Http {
    /// A client. Reads nothing and connects to nobody.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self::of(network, None)
    }

    /// A client that tells `watch` of everything it does, and keeps nothing of it but the counts.
    #[must_use]
    pub fn watched(network: Network, watch: Arc<dyn Watch>) -> Self {
        Self::of(network, Some(watch))
    }

    fn of(network: Network, watch: Option<Arc<dyn Watch>>) -> Self {
        let clients = Clients::new(&network);
        Self(Arc::new(Inner { network, clients, schemes: Mutex::default(), ledger: Mutex::default(), watch }))
    }

    /// A client with the same settings and nothing else in common: no connection, no memory of servers.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::of(self.0.network.clone(), self.0.watch.clone())
    }

    /// Sends `request`, repeating it as its kind of trouble allows, and reads the answer.
    ///
    /// # Errors
    /// [`RemoteError::Unavailable`] for 429, 500, 502, 503, 504, broken connections and timeouts after all tries;
    /// [`RemoteError::OutOfTime`] at the deadline; [`RemoteError::TooLarge`]; [`RemoteError::PlainHttp`];
    /// [`RemoteError::BadAnswer`] for a redirect that is not followed; [`RemoteError::Configuration`] for certificates.
    /// Every other status is an answer.
    pub async fn send(&self, request: &Request, deadline: Deadline) -> Result<Response, RemoteError> {
        Ok(self.ask(request, Take::Whole, deadline).await?.response)
    }

    /// Sends `request` like [`Http::send`], and leaves the body of a success to be read piece by piece: `deadline` is for the head
    /// alone, and [`Request::max_bytes`] does not count.
    ///
    /// # Errors
    /// Those of [`Http::send`]. What breaks after the head is an error of [`Incoming::chunk`] and is not tried again here.
    pub async fn open(&self, request: &Request, deadline: Deadline) -> Result<Opened, RemoteError> {
        self.ask(request, Take::Head, deadline).await
    }

    pub(crate) async fn ask(&self, request: &Request, take: Take, deadline: Deadline) -> Result<Opened, RemoteError> {
        let host = request.origin.to_string();
        let mut attempt = 1;
        loop {
            if deadline.remaining().is_zero() {
                // Begun without time, it would count as a request that its server did not answer.
                return Err(RemoteError::OutOfTime { host });
            }
            let under_way = UnderWay::default();
            let failure = match deadline.limit(&host, self.attempt(request, take, &under_way)).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(failure)) => failure,
                Err(late) => {
                    self.record(request, &under_way, End::OutOfTime);
                    return Err(late);
                }
            };
            match failure.again {
                Again::Never => return Err(failure.error),
                Again::IfRepeatable if !request.repeatable => return Err(failure.error),
                Again::IfRepeatable | Again::Always => {}
            }
            let pause = pause(self.0.network.retry_pause, attempt, failure.error.retry_after());
            let Some(pause) = pause.filter(|pause| attempt < request.tries && *pause < deadline.remaining()) else {
                return Err(retry::gave_up(failure, attempt));
            };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// How much was asked so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.ledger().counts
    }

    /// The requests made so far, in the order of their answers; the first 4,096 of them. None of a client that is watched: it may run for
    /// months.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.ledger().exchanges.clone()
    }

    /// Whether `origin` may be asked without TLS.
    #[must_use]
    pub fn may_be_plain(&self, origin: &Origin) -> bool {
        let named = |name: &String| name.eq_ignore_ascii_case(&origin.to_string()) || name.eq_ignore_ascii_case(origin.host());
        origin.is_loopback() || self.0.network.plain_http.iter().any(named)
    }

    /// The scheme that `origin` is known to speak: said in the request, or found out by an earlier one.
    #[must_use]
    pub fn scheme_of(&self, origin: &Origin) -> Option<Scheme> {
        origin.scheme().or_else(|| lock(&self.0.schemes).get(origin).copied())
    }

    /// One try, on the scheme the server speaks; finds out which one that is where it may be either.
    async fn attempt(&self, request: &Request, take: Take, under_way: &UnderWay) -> Result<Opened, Failure> {
        let origin = &request.origin;
        if let Some(scheme) = self.scheme_of(origin) {
            return self.follow((request, take), scheme, under_way).await;
        }
        let [first, second] = match self.schemes_to_try(origin) {
            Some(order) => order,
            None => return self.follow((request, take), Scheme::Https, under_way).await,
        };
        let answer = self.follow((request, take), first, under_way).await;
        if !spoke_other_scheme(answer.as_ref().map(|opened| &opened.response), first) {
            if answer.is_ok() {
                lock(&self.0.schemes).insert(origin.clone(), first);
            }
            return answer;
        }
        match self.follow((request, take), second, under_way).await {
            Ok(opened) if !spoke_other_scheme(Ok(&opened.response), second) => {
                lock(&self.0.schemes).insert(origin.clone(), second);
                Ok(opened)
            }
            // Trouble with certificates, theirs or ours, is what the user has to hear about.
            Err(failure) if failure.is_certificate || matches!(failure.error, RemoteError::Configuration { .. }) => Err(failure),
            _ => answer,
        }
    }

    /// The order in which to try the schemes with a server that may speak either; `None` where it is HTTPS alone.
    fn schemes_to_try(&self, origin: &Origin) -> Option<[Scheme; 2]> {
        if !self.may_be_plain(origin) || self.0.clients.has_certificates(origin) {
            return None;
        }
        match origin.port() {
            None => Some([Scheme::Https, Scheme::Http]),
            Some(_) => Some([Scheme::Http, Scheme::Https]),
        }
    }

    /// One try with all its redirects.
    async fn follow(&self, (request, take): (&Request, Take), scheme: Scheme, under_way: &UnderWay) -> Result<Opened, Failure> {
        if scheme == Scheme::Http && !self.may_be_plain(&request.origin) {
            return Err(RemoteError::PlainHttp { host: request.origin.to_string() }.into());
        }
        let first = request.origin.url(scheme, &request.path)?;
        let mut hop = redirect::Hop::first(first, &request.origin, under_way.clone());
        loop {
            let response = self.exchange(request, &hop).await?;
            let Some(next) = redirect::next(&hop, &response, request, |origin| self.may_be_plain(origin))? else {
                return self.read((request, take), &hop, response).await;
            };
            self.record(request, &hop.began, End::Answered(response.status().as_u16()));
            hop = next;
        }
    }

    /// Sends to one server and waits for the head of its answer.
    async fn exchange(&self, request: &Request, hop: &redirect::Hop) -> Result<reqwest::Response, Failure> {
        let client = self.0.clients.client(hop).await?;
        let outgoing = request.outgoing(&hop.url, hop.may_have_credentials)?;
        *lock(&hop.began) = Some(self.ledger().begin(&hop.server, hop.url.path()));
        client.send(outgoing).await.map_err(|error| {
            self.record(request, &hop.began, if error.is_timeout() { End::OutOfTime } else { End::Broken });
            Failure::of_transport(&hop.server, &error)
        })
    }

    /// Reads the body of an answer that is not a redirect, or leaves that of a success to be read.
    async fn read(
        &self,
        (request, take): (&Request, Take),
        hop: &redirect::Hop,
        mut response: reqwest::Response,
    ) -> Result<Opened, Failure> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let success = (200..300).contains(&status);
        let origin = Origin::of_url(&hop.url).ok_or_else(|| RemoteError::bad_answer(&hop.server, "not an address"))?;
        let (redirected, path) = (hop.left_first_server, hop.url.path().to_owned());
        let head = |body| Response { status, headers: headers.clone(), body, redirected, origin, path };
        if success && take == Take::Head {
            self.record(request, &hop.began, End::Answered(status));
            let body = Incoming::new(self.clone(), hop.server.clone(), response);
            return Ok(Opened { response: head(Bytes::new()), body: Some(body) });
        }
        let limit = if success { request.max_bytes } else { MAX_ERROR_BODY };
        let body = read_body(&mut response, limit, success).await;
        self.record(request, &hop.began, body_end(&body, status));
        let body = body.map_err(|trouble| match trouble {
            Trouble::TooLarge => RemoteError::TooLarge { host: hop.server.clone(), limit }.into(),
            Trouble::Transport(error) => Failure::of_transport(&hop.server, &error),
        })?;
        self.received(body.len());
        if let Some(failure) = Failure::of_status(&hop.server, status, &headers, &body) {
            return Err(failure);
        }
        Ok(Opened { response: head(body), body: None })
    }

    fn record(&self, request: &Request, under_way: &UnderWay, end: End) {
        let Some(began) = lock(under_way).take() else { return };
        let exchange = Exchange {
            method: request.method.to_string(),
            server: began.server,
            path: began.path,
            status: if let End::Answered(status) = end { Some(status) } else { None },
            out_of_time: matches!(end, End::OutOfTime),
            took: began.at.elapsed(),
            round_trip: began.round_trip,
        };
        match &self.0.watch {
            Some(watch) => {
                watch.exchanged(&exchange);
                self.ledger().answered(exchange.round_trip);
            }
            None => self.ledger().record(exchange),
        }
    }

    fn received(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if let Some(watch) = &self.0.watch {
            watch.received(bytes);
        }
        self.ledger().counts.bytes += bytes;
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.0.ledger)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("network", &self.0.network).finish_non_exhaustive()
    }
}

/// How much of an answer is read before it is handed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Of a success its head.
    Head,
    /// All of it.
    Whole,
}

enum Trouble {
    TooLarge,
    Transport(TransportError),
}

/// How a request ended.
#[derive(Clone, Copy)]
enum End {
    /// With an answer of this status.
    Answered(u16),
    /// Without an answer.
    Broken,
    /// Without an answer, since the time for it was over.
    OutOfTime,
}

/// How a request ended whose body is in, or is not: what stops in the middle has not been answered in time.
fn body_end(body: &Result<Bytes, Trouble>, status: u16) -> End {
    match body {
        Err(Trouble::Transport(error)) if error.is_timeout() => End::OutOfTime,
        _ => End::Answered(status),
    }
}

/// The body, at most `limit` bytes. What is longer is an error for a success, and cut for anything else.
async fn read_body(response: &mut reqwest::Response, limit: u64, success: bool) -> Result<Bytes, Trouble> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Trouble::Transport(error.into()))? {
        let room = limit - body.len();
        if chunk.len() <= room {
            body.extend_from_slice(&chunk);
        } else if success {
            return Err(Trouble::TooLarge);
        } else {
            body.extend_from_slice(chunk.get(..room).unwrap_or_default());
            break;
        }
    }
    Ok(Bytes::from(body))
}

/// Whether what came back says that the server speaks the other scheme.
fn spoke_other_scheme(answer: Result<&Response, &Failure>, tried: Scheme) -> bool {
    match (answer, tried) {
        // Go's server and nginx answer in plain HTTP; others close the connection or send a TLS alert.
        (Ok(response), Scheme::Http) => {
            response.status == 400 && {
                let text = String::from_utf8_lossy(&response.body).to_ascii_lowercase();
                text.contains("http request to an https server") || text.contains("http request was sent to https port")
            }
        }
        (Ok(_), Scheme::Https) => false,
        (Err(failure), Scheme::Http) => failure.is_broken_connection,
        (Err(failure), Scheme::Https) => failure.is_refused || (failure.is_broken_connection && !failure.is_certificate),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
