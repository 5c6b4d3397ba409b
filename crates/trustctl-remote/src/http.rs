//! The one HTTP client: limits, retries, redirects, TLS, proxies; no credentials and no opinion about trust.
//!
//! - An answer is read up to a limit while it arrives; no header is believed about its length.
//! - 429, 5xx, broken connections and timeouts are tried again, [`TRIES`] times in all, within the caller's [`Deadline`].
//! - Redirects are followed here, by [`redirect`]'s rules, never by the library.
//! - Plain HTTP is spoken with loopback and with servers named for it; which one a server on loopback speaks is found out once.
//! - TLS is set up when the first server needs it.

mod clients;
pub mod origin;
mod redirect;
mod retry;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
pub use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::error::RemoteError;
use crate::limits::{Deadline, MAX_ERROR_BODY, RETRY_PAUSE, TRIES};
use clients::Clients;
use origin::{Origin, Scheme};
use retry::{Again, Failure};

/// Most exchanges that are remembered for `-v` and for tests.
const MAX_EXCHANGES: usize = 4096;

/// How the network is to be used. [`Network::default`] uses no folder and no exception.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// Servers (`host` or `host:port`) that may be asked without TLS although they are not on loopback.
    pub plain_http: Vec<String>,
    /// Folders in the form of `/etc/docker/certs.d`: one folder for each `host:port`. The first that has the server counts.
    pub certificates: Vec<PathBuf>,
    /// The pause before the second try of a request.
    pub retry_pause: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Self { plain_http: Vec::new(), certificates: Vec::new(), retry_pause: RETRY_PAUSE }
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

/// The value of an `Authorization` header. Erased from memory when dropped, never shown.
#[derive(Clone)]
pub struct Authorization(Zeroizing<String>);

impl Authorization {
    /// `Bearer <token>`.
    #[must_use]
    pub fn bearer(token: &str) -> Self {
        Self(Zeroizing::new(format!("Bearer {token}")))
    }

    /// `Basic <base64 of user:password>` (RFC 7617).
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
        Self(Zeroizing::new(format!("Basic {}", *encoded)))
    }

    fn header(&self) -> Result<HeaderValue, RemoteError> {
        let mut value = HeaderValue::from_str(&self.0)
            .map_err(|_| RemoteError::configuration("credentials", "they hold characters that HTTP cannot carry"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}

/// One request. Made by [`Request::get`] or [`Request::new`], then completed field by field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The server.
    pub origin: Origin,
    /// Path and query, encoded; begins with a slash.
    pub path: String,
    /// Further headers; not `Authorization`.
    pub headers: Vec<(HeaderName, String)>,
    /// Credentials; they never reach another server.
    pub authorization: Option<Authorization>,
    /// The body.
    pub body: Option<Bytes>,
    /// Most bytes of a successful answer; more is [`RemoteError::TooLarge`].
    pub max_bytes: u64,
    /// Whether sending it twice does no harm. What may not be repeated is only tried again when it surely was not carried out.
    pub repeatable: bool,
}

impl Request {
    /// A GET of at most `max_bytes`.
    #[must_use]
    pub fn get(origin: Origin, path: impl Into<String>, max_bytes: u64) -> Self {
        Self { max_bytes, ..Self::new(Method::GET, origin, path) }
    }

    /// A request without body. Of the answer [`MAX_ERROR_BODY`] bytes are read; GET, HEAD, PUT and DELETE may be repeated.
    #[must_use]
    pub fn new(method: Method, origin: Origin, path: impl Into<String>) -> Self {
        Self {
            repeatable: matches!(method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE),
            method,
            origin,
            path: path.into(),
            headers: Vec::new(),
            authorization: None,
            body: None,
            max_bytes: MAX_ERROR_BODY,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a body and its media type.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self.header(reqwest::header::CONTENT_TYPE, media_type)
    }
}

/// An answer: any status but those that were tried again in vain.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: of a success all of it, of anything else its first [`MAX_ERROR_BODY`] bytes.
    pub body: Bytes,
    /// Who answered: after a redirect another server than the one asked.
    pub origin: Origin,
    /// The path that was answered, without query.
    pub path: String,
    /// Whether the answer came from another server than the one asked.
    pub redirected: bool,
}

impl Response {
    /// The value of a header, when it is there once and is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() { None } else { Some(value) }
    }

    /// The media type, lower-case, without parameters.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One request that was made, for `-v` and for tests. No query, no header, no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The server.
    pub server: String,
    /// The path.
    pub path: String,
    /// The status; `None` when there was no answer.
    pub status: Option<u16>,
    /// From sending to the last byte.
    pub took: Duration,
    /// Its place in the longest chain of requests of which each began after an earlier one had been answered, from 1.
    pub round_trip: u32,
}

/// How much was asked so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests, repeated and redirected ones included.
    pub requests: u64,
    /// Bytes of answers' bodies.
    pub bytes: u64,
    /// Dependent round trips: the longest chain of requests of which each began after an earlier one had been answered. With a
    /// round trip of 50 ms, 50 ms times this is what waiting cost.
    pub round_trips: u32,
}

/// The client. Cloning is cheap and shares connections, counts and what was learnt about servers.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    network: Network,
    clients: Clients,
    schemes: Mutex<HashMap<Origin, Scheme>>,
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    counts: Counts,
    answered: u32,
    exchanges: Vec<Exchange>,
}

impl Http {
    /// A client. Reads nothing and connects to nobody.
    #[must_use]
    pub fn new(network: Network) -> Self {
        let clients = Clients::new(network.certificates.clone());
        Self(Arc::new(Inner { network, clients, schemes: Mutex::default(), ledger: Mutex::default() }))
    }

    /// A client with the same settings and nothing else in common: no connection, no memory of servers.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(self.0.network.clone())
    }

    /// Sends `request`, repeating it as its kind of trouble allows, and reads the answer.
    ///
    /// # Errors
    /// [`RemoteError::Unavailable`] for 429, 500, 502, 503, 504, broken connections and timeouts after all tries;
    /// [`RemoteError::OutOfTime`] at the deadline; [`RemoteError::TooLarge`]; [`RemoteError::PlainHttp`];
    /// [`RemoteError::BadAnswer`] for a redirect that is not followed; [`RemoteError::Configuration`] for certificates.
    /// Every other status is an answer.
    pub async fn send(&self, request: &Request, deadline: Deadline) -> Result<Response, RemoteError> {
        let host = request.origin.to_string();
        let mut attempt = 1;
        loop {
            let failure = match deadline.limit(&host, self.attempt(request)).await? {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let pause = match failure.again {
                Again::Never => return Err(failure.error),
                Again::IfRepeatable if !request.repeatable => return Err(failure.error),
                Again::IfRepeatable | Again::Always => retry::pause(self.0.network.retry_pause, attempt, failure.retry_after),
            };
            let patient = failure.retry_after.is_none_or(|wished| wished <= crate::limits::MAX_RETRY_AFTER);
            if attempt >= TRIES || !patient || pause >= deadline.remaining() {
                return Err(retry::gave_up(failure, attempt));
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// How much was asked so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.ledger().counts
    }

    /// The requests made so far, in the order of their answers; the first 4,096 of them.
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
    async fn attempt(&self, request: &Request) -> Result<Response, Failure> {
        let origin = &request.origin;
        if let Some(scheme) = self.scheme_of(origin) {
            return self.follow(request, scheme).await;
        }
        let [first, second] = match self.schemes_to_try(origin) {
            Some(order) => order,
            None => return self.follow(request, Scheme::Https).await,
        };
        let answer = self.follow(request, first).await;
        if !spoke_other_scheme(answer.as_ref(), first) {
            if answer.is_ok() {
                lock(&self.0.schemes).insert(origin.clone(), first);
            }
            return answer;
        }
        match self.follow(request, second).await {
            Ok(response) if !spoke_other_scheme(Ok(&response), second) => {
                lock(&self.0.schemes).insert(origin.clone(), second);
                Ok(response)
            }
            // Trouble with a certificate shows that TLS is spoken, and is what the user has to hear about.
            Err(failure) if failure.is_certificate => Err(failure),
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
    async fn follow(&self, request: &Request, scheme: Scheme) -> Result<Response, Failure> {
        if scheme == Scheme::Http && !self.may_be_plain(&request.origin) {
            return Err(RemoteError::PlainHttp { host: request.origin.to_string() }.into());
        }
        let first = request.origin.url(scheme, &request.path)?;
        let mut hop = redirect::Hop::first(first, &request.origin);
        loop {
            let response = self.exchange(request, &hop).await?;
            let Some(next) = redirect::next(&hop, &response, request, |origin| self.may_be_plain(origin))? else {
                return self.read(request, &hop, response).await;
            };
            self.record(request, &hop, Some(&response));
            hop = next;
        }
    }

    /// Sends to one server and waits for the head of its answer.
    async fn exchange(&self, request: &Request, hop: &redirect::Hop) -> Result<reqwest::Response, Failure> {
        let client = self.0.clients.client(hop).await?;
        *lock(&hop.began) = self.began();
        let mut outgoing = client.request(request.method.clone(), hop.url.clone());
        for (name, value) in &request.headers {
            outgoing = outgoing.header(name, value);
        }
        if let Some(authorization) = request.authorization.as_ref().filter(|_| hop.may_have_credentials) {
            outgoing = outgoing.header(AUTHORIZATION, authorization.header()?);
        }
        if let Some(body) = &request.body {
            outgoing = outgoing.body(body.clone());
        }
        outgoing.send().await.map_err(|error| {
            self.record(request, hop, None);
            Failure::of_transport(&hop.server, &error)
        })
    }

    /// Reads the body of an answer that is not a redirect.
    async fn read(&self, request: &Request, hop: &redirect::Hop, mut response: reqwest::Response) -> Result<Response, Failure> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let success = (200..300).contains(&status);
        let limit = if success { request.max_bytes } else { MAX_ERROR_BODY };
        let body = read_body(&mut response, limit, success).await;
        self.record(request, hop, Some(&response));
        let body = body.map_err(|trouble| match trouble {
            Trouble::TooLarge => RemoteError::TooLarge { host: hop.server.clone(), limit }.into(),
            Trouble::Transport(error) => Failure::of_transport(&hop.server, &error),
        })?;
        self.ledger().counts.bytes += u64::try_from(body.len()).unwrap_or(u64::MAX);
        if let Some(failure) = Failure::of_status(&hop.server, status, &headers, &body) {
            return Err(failure);
        }
        let origin = Origin::of_url(&hop.url).ok_or_else(|| RemoteError::bad_answer(&hop.server, "not an address"))?;
        Ok(Response { status, headers, body, redirected: hop.left_first_server, origin, path: hop.url.path().to_owned() })
    }

    /// Counts a request that begins; gives its time and its round trip.
    fn began(&self) -> Option<(Instant, u32)> {
        let mut ledger = self.ledger();
        ledger.counts.requests += 1;
        let round_trip = ledger.answered + 1;
        ledger.counts.round_trips = ledger.counts.round_trips.max(round_trip);
        Some((Instant::now(), round_trip))
    }

    fn record(&self, request: &Request, hop: &redirect::Hop, response: Option<&reqwest::Response>) {
        let Some((start, round_trip)) = lock(&hop.began).take() else { return };
        let mut ledger = self.ledger();
        ledger.answered = ledger.answered.max(round_trip);
        if ledger.exchanges.len() < MAX_EXCHANGES {
            ledger.exchanges.push(Exchange {
                method: request.method.to_string(),
                server: hop.server.clone(),
                path: hop.url.path().to_owned(),
                status: response.map(|response| response.status().as_u16()),
                took: start.elapsed(),
                round_trip,
            });
        }
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

enum Trouble {
    TooLarge,
    Transport(reqwest::Error),
}

/// The body, at most `limit` bytes. What is longer is an error for a success, and cut for anything else.
async fn read_body(response: &mut reqwest::Response, limit: u64, success: bool) -> Result<Bytes, Trouble> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Trouble::Transport)? {
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
