//! A proxy in front of a plain HTTP server that records every request and can answer with faults instead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::http::{Request, Response, Service};

/// A recorded request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path with the query.
    pub target: String,
    /// The status that the caller was given.
    pub status: u16,
    /// Whether the caller sent an `Authorization` header.
    pub authorized: bool,
    /// When the request had arrived.
    pub arrived: Instant,
    /// When the answer was ready to be sent.
    pub answered: Instant,
}

/// An answer given instead of the server's own.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which requests: those whose path and query contain this text.
    pub target: String,
    /// Which requests: those with this method, or all.
    pub method: Option<String>,
    /// How many of them, from the first.
    pub times: usize,
    /// The status to answer with.
    pub status: u16,
    /// Further headers of the answer, such as `Retry-After`.
    pub headers: Vec<(String, String)>,
    /// The body of the answer.
    pub body: String,
}

/// A recording proxy on a loopback port; it stops accepting when this value is dropped.
#[derive(Debug)]
pub struct Counting {
    service: Service,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    upstream: String,
    delay: Duration,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<Fault>>,
}

impl Fault {
    /// A fault for every request whose path contains `target`.
    #[must_use]
    pub fn always(target: &str, status: u16) -> Self {
        Self::times(target, status, usize::MAX)
    }

    /// A fault for the first `times` requests whose path contains `target`.
    #[must_use]
    pub fn times(target: &str, status: u16, times: usize) -> Self {
        Self { target: target.to_owned(), method: None, times, status, headers: Vec::new(), body: String::new() }
    }

    /// The same fault for one method only.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// The same fault with one more header in the answer.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn hits(&self, request: &Request) -> bool {
        let method = self.method.as_ref().is_none_or(|method| *method == request.method);
        method && self.times > 0 && request.target.contains(&self.target)
    }

    fn response(&self) -> Response {
        let mut response = Response::new(self.status, "application/json", self.body.as_bytes());
        for (name, value) in &self.headers {
            response.headers.push(name, value.as_str());
        }
        response
    }
}

impl Counting {
    /// Starts a proxy to the server at `HOST:PORT`.
    ///
    /// The caller's `Host` header is passed on, so that addresses in the server's answers lead through the proxy again.
    ///
    /// # Errors
    /// [`Failure::Io`] when there is no free port.
    pub fn start(upstream: &str) -> Result<Self, Failure> {
        Self::start_slow(upstream, Duration::ZERO)
    }

    /// Like [`Counting::start`], with every answer held back for `delay`: a caller's wall time divided by it is its number of dependent rounds.
    ///
    /// # Errors
    /// As [`Counting::start`].
    pub fn start_slow(upstream: &str, delay: Duration) -> Result<Self, Failure> {
        let state = Arc::new(State { upstream: upstream.to_owned(), delay, seen: Mutex::default(), faults: Mutex::default() });
        let own = Arc::clone(&state);
        Ok(Self { service: Service::start(move |request| own.answer(&request))?, state })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.service.address()
    }

    /// Adds a fault; of several that fit a request the first added is used.
    pub fn inject(&self, fault: Fault) {
        self.state.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.state.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The requests recorded so far, in the order in which they were answered.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the requests recorded so far, and returns them.
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.state.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The longest chain of requests of which each arrived after the one before it had been answered: the dependent round trips.
    #[must_use]
    pub fn rounds(&self) -> usize {
        rounds(&self.seen())
    }
}

impl State {
    fn answer(&self, request: &Request) -> Response {
        let arrived = Instant::now();
        let response = self.fault(request).unwrap_or_else(|| self.forward(request));
        std::thread::sleep(self.delay.saturating_sub(arrived.elapsed()));
        let seen = Seen {
            method: request.method.clone(),
            target: request.target.clone(),
            status: response.status,
            authorized: request.headers.first("Authorization").is_some(),
            arrived,
            answered: Instant::now(),
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        response
    }

    fn fault(&self, request: &Request) -> Option<Response> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = faults.iter_mut().find(|fault| fault.hits(request))?;
        fault.times -= 1;
        Some(fault.response())
    }

    fn forward(&self, request: &Request) -> Response {
        let mut request = request.clone();
        request.headers.remove("Connection");
        request.headers.remove("Expect");
        match request.send(&self.upstream) {
            Ok(response) => response,
            Err(failure) => Response::new(502, "text/plain", failure.to_string().as_bytes()),
        }
    }
}

fn rounds(seen: &[Seen]) -> usize {
    let mut by_end: Vec<&Seen> = seen.iter().collect();
    by_end.sort_by_key(|request| request.answered);
    // Of the requests that could come next, the one answered first leaves the most room: the classic greedy choice.
    let mut count = 0;
    let mut end: Option<Instant> = None;
    for request in by_end {
        if end.is_none_or(|end| request.arrived >= end) {
            count += 1;
            end = Some(request.answered);
        }
    }
    count
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn get(address: &str, target: &str) -> u16 {
        Request::new("GET", target).send(address).unwrap().status
    }

    #[test]
    fn requests_are_recorded_and_faults_are_given_as_often_as_asked() {
        let upstream = Service::start(|_| Response::new(200, "text/plain", b"ok")).unwrap();
        let proxy = Counting::start(&upstream.address()).unwrap();
        proxy.inject(Fault::times("/manifests/", 429, 1).method("GET").header("Retry-After", "1"));
        let first = Request::new("GET", "/v2/a/manifests/x").send(&proxy.address()).unwrap();
        assert_eq!((first.status, first.headers.first("retry-after")), (429, Some("1")));
        assert_eq!((get(&proxy.address(), "/v2/a/manifests/x"), get(&proxy.address(), "/v2/")), (200, 200));
        let seen: Vec<_> = proxy.take().into_iter().map(|seen| (seen.target, seen.status)).collect();
        let expected = [("/v2/a/manifests/x", 429), ("/v2/a/manifests/x", 200), ("/v2/", 200)];
        assert_eq!(seen, expected.map(|(target, status)| (target.to_owned(), status)));
        assert!(proxy.seen().is_empty());
    }

    #[test]
    fn parallel_requests_are_one_round() {
        let upstream = Service::start(|_| Response::new(200, "text/plain", b"ok")).unwrap();
        let proxy = Counting::start_slow(&upstream.address(), Duration::from_millis(80)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| get(&proxy.address(), "/"));
            }
        });
        assert_eq!(proxy.rounds(), 1);
        get(&proxy.address(), "/");
        assert_eq!((proxy.rounds(), proxy.seen().len()), (2, 4));
    }

    #[test]
    fn a_server_that_is_gone_is_a_bad_gateway() {
        let port = crate::process::free_port().unwrap();
        let proxy = Counting::start(&format!("127.0.0.1:{port}")).unwrap();
        assert_eq!(get(&proxy.address(), "/"), 502);
    }
}
