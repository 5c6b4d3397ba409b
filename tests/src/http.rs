//! A small blocking HTTP/1.1: enough to be a client, a server and a proxy on loopback. Not for anything that faces strangers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, io};

/// Header lines in order; names are compared without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, String)>);

/// A request with its whole body.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: String,
    /// The path with the query.
    pub target: String,
    /// The header lines, without those that frame the body.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer with its whole body.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines, without those that frame the body, except for the `Content-Length` of an answer to `HEAD`.
    pub headers: Headers,
    /// The body; empty in an answer to `HEAD`.
    pub body: Vec<u8>,
}

/// A plain HTTP server on a loopback port; it stops accepting when this value is dropped.
#[derive(Debug)]
pub struct Service {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Headers {
    /// The first value under a name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Adds a line at the end.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Removes all lines under a name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    fn read(reader: &mut impl BufRead) -> Result<Self, Failure> {
        let mut headers = Self::default();
        loop {
            let line = line(reader)?.ok_or_else(|| Failure::Http("it ends within the headers".to_owned()))?;
            if line.is_empty() {
                return Ok(headers);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| Failure::Http(line.clone()))?;
            headers.push(name, value.trim());
            if headers.0.len() > 200 {
                return Err(Failure::Http("more than 200 headers".to_owned()));
            }
        }
    }

    fn text(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Headers::default(), body: Vec::new() }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same request with a body.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: &[u8]) -> Self {
        self.headers.push("Content-Type", media_type);
        self.body = body.to_vec();
        self
    }

    /// Sends the request to `HOST:PORT` over a connection of its own and reads the answer.
    ///
    /// # Errors
    /// [`Failure::Io`] when the server is not there or is silent for 30 seconds; [`Failure::Http`] when its answer is not understood.
    pub fn send(&self, address: &str) -> Result<Response, Failure> {
        let stream = TcpStream::connect(address).map_err(io(address))?;
        limit(&stream)?;
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if self.headers.first("Host").is_none() {
            text += &format!("Host: {address}\r\n");
        }
        text += &self.headers.text();
        text += &format!("Connection: close\r\nContent-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        // A server may refuse before it has read all of a body: what it answered counts, not that we could not go on writing.
        let written = (&stream).write_all(&bytes);
        let answer = Response::read(&mut BufReader::new(&stream), self.method == "HEAD");
        match (answer, written) {
            (Err(_), Err(error)) => Err(io(address)(error)),
            (answer, _) => answer,
        }
    }

    fn read(reader: &mut impl BufRead) -> Result<Option<Self>, Failure> {
        let Some(start) = line(reader)? else { return Ok(None) };
        let mut parts = start.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0")) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Failure::Http(start));
        };
        let mut request = Self::new(method, target);
        request.headers = Headers::read(reader)?;
        request.body = body(reader, &mut request.headers, false)?;
        Ok(Some(request))
    }
}

impl Response {
    /// An answer with a body of a media type.
    #[must_use]
    pub fn new(status: u16, media_type: &str, body: &[u8]) -> Self {
        let mut headers = Headers::default();
        headers.push("Content-Type", media_type);
        Self { status, headers, body: body.to_vec() }
    }

    /// Itself when the status is one of those expected.
    ///
    /// # Errors
    /// [`Failure::Status`] with the body, otherwise.
    pub fn expect(self, request: &Request, expected: &[u16]) -> Result<Self, Failure> {
        if expected.contains(&self.status) {
            return Ok(self);
        }
        Err(Failure::Status {
            method: request.method.clone(),
            target: request.target.clone(),
            status: self.status,
            body: String::from_utf8_lossy(&self.body).into_owned(),
        })
    }

    fn read(reader: &mut impl BufRead, to_head: bool) -> Result<Self, Failure> {
        loop {
            let start = line(reader)?.ok_or_else(|| Failure::Http("no answer".to_owned()))?;
            let status = start.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
            let status: u16 = status.ok_or(Failure::Http(start))?;
            let mut headers = Headers::read(reader)?;
            if (100..200).contains(&status) {
                continue;
            }
            let bodiless = to_head || status == 204 || status == 304;
            let body = if bodiless { Vec::new() } else { body(reader, &mut headers, true)? };
            return Ok(Self { status, headers, body });
        }
    }

    fn write(&self, writer: &mut impl Write, to_head: bool) -> Result<(), Failure> {
        let mut text = format!("HTTP/1.1 {} -\r\n{}", self.status, self.headers.text());
        if !to_head && self.status != 204 && self.status != 304 {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        if !to_head {
            bytes.extend_from_slice(&self.body);
        }
        writer.write_all(&bytes).map_err(io("answering"))
    }
}

impl Service {
    /// Starts answering on a free loopback port; every connection has a thread, and is kept open for further requests.
    ///
    /// # Errors
    /// [`Failure::Io`] when there is no free port.
    pub fn start(answer: impl Fn(Request) -> Response + Send + Sync + 'static) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io("listening"))?;
        let port = listener.local_addr().map_err(io("listening"))?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let answer = Arc::clone(&answer);
                thread::spawn(move || converse(&stream, answer.as_ref()));
            }
        });
        Ok(Self { port, stop })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// The value of a query parameter, decoded; every occurrence counts.
#[must_use]
pub fn query(target: &str, name: &str) -> Vec<String> {
    let Some((_, query)) = target.split_once('?') else { return Vec::new() };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| decode(value))
        .collect()
}

fn converse(stream: &TcpStream, answer: &dyn Fn(Request) -> Response) {
    if limit(stream).is_err() {
        return;
    }
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = Request::read(&mut reader) {
        let to_head = request.method == "HEAD";
        let last = request.headers.first("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let mut response = answer(request);
        response.headers.remove("Connection");
        if last {
            response.headers.push("Connection", "close");
        }
        if response.write(&mut &*stream, to_head).is_err() || last {
            return;
        }
    }
}

fn limit(stream: &TcpStream) -> Result<(), Failure> {
    let set = stream.set_read_timeout(Some(SILENCE)).and_then(|()| stream.set_write_timeout(Some(SILENCE)));
    set.and_then(|()| stream.set_nodelay(true)).map_err(io("connection"))
}

fn line(reader: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut bytes = Vec::new();
    reader.by_ref().take(LINE).read_until(b'\n', &mut bytes).map_err(io("connection"))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::Http("a line is not text".to_owned()))?;
    let text = text.strip_suffix('\n').ok_or_else(|| Failure::Http("a line has no end".to_owned()))?;
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

/// Reads a body and removes the headers that framed it.
fn body(reader: &mut impl BufRead, headers: &mut Headers, to_the_end: bool) -> Result<Vec<u8>, Failure> {
    let chunked = headers.first("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length = headers.first("Content-Length").map(str::to_owned);
    headers.remove("Transfer-Encoding");
    headers.remove("Content-Length");
    if chunked {
        return chunks(reader);
    }
    match length {
        Some(length) => exactly(reader, length.parse().map_err(|_| Failure::Http(format!("Content-Length: {length}")))?),
        None if to_the_end => {
            let mut bytes = Vec::new();
            reader.by_ref().take(BODY).read_to_end(&mut bytes).map_err(io("connection"))?;
            Ok(bytes)
        }
        None => Ok(Vec::new()),
    }
}

fn chunks(reader: &mut impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    loop {
        let size = line(reader)?.unwrap_or_default();
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| Failure::Http(format!("chunk size {digits}")))?;
        if size == 0 {
            Headers::read(reader)?;
            return Ok(bytes);
        }
        bytes.extend(exactly(reader, size)?);
        line(reader)?;
    }
}

fn exactly(reader: &mut impl BufRead, length: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if length > BODY {
        return Err(Failure::Http(format!("a body of {length} bytes")));
    }
    reader.by_ref().take(length).read_to_end(&mut bytes).map_err(io("connection"))?;
    if u64::try_from(bytes.len()).ok() == Some(length) { Ok(bytes) } else { Err(Failure::Http("a body is cut off".to_owned())) }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = if first == b'%' { tail.get(..2).and_then(|digits| hex::decode(digits).ok()) } else { None };
        match hex {
            Some(decoded) => {
                bytes.extend(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if first == b'+' { b' ' } else { first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The longest silence on a connection.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest line; a token of a registry is some 1.5 KiB.
const LINE: u64 = 64 * 1024;
/// The longest body; the tests' images are a few KiB.
const BODY: u64 = 256 * 1024 * 1024;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_the_service_and_its_answer_comes_back() {
        let service = Service::start(|request| Response::new(201, "text/plain", &request.body)).unwrap();
        let answer = Request::new("PUT", "/x").body("text/plain", b"hello").send(&service.address()).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (201, b"hello".as_slice()));
    }

    #[test]
    fn chunked_bodies_are_joined() {
        let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(Response::read(&mut text.as_slice(), false).unwrap().body, b"abcde");
    }

    #[test]
    fn a_body_that_is_cut_off_is_an_error() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
        assert!(matches!(Response::read(&mut text.as_slice(), false), Err(Failure::Http(_))));
    }

    #[test]
    fn query_values_are_decoded() {
        let target = "/token?scope=repository%3Aa%2Fb:pull&service=x+y&scope=z";
        assert_eq!(query(target, "scope"), ["repository:a/b:pull", "z"]);
        assert_eq!(query(target, "service"), ["x y"]);
        assert!(query("/token", "scope").is_empty());
    }
}
