//! A client that asks for one thing after the other on one connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::arena::{MANIFEST, NAME};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Manifest,
    Blob,
    Range,
    Unsigned,
}

impl Kind {
    /// What a client asks for: of ten, six ask for a manifest, two for a blob, one for a part of it and one for an image that is refused.
    pub(crate) fn of(client: usize) -> Self {
        match client % 10 {
            0..=5 => Self::Manifest,
            6 | 7 => Self::Blob,
            8 => Self::Range,
            _ => Self::Unsigned,
        }
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) kind: Kind,
    /// 0 where the connection broke.
    pub(crate) status: u16,
    pub(crate) milliseconds: f64,
}

impl Answered {
    /// Whether the proxy may answer so: an outage never makes it serve what is refused, and never makes it refuse what is trusted.
    pub(crate) fn is_allowed(&self) -> bool {
        match self.kind {
            Kind::Manifest | Kind::Blob => matches!(self.status, 200 | 503),
            Kind::Range => matches!(self.status, 206 | 503),
            Kind::Unsigned => matches!(self.status, 403 | 503),
        }
    }
}

pub(crate) struct Client {
    address: String,
    blob: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: &str, blob: &str) -> Self {
        Self { address: address.to_owned(), blob: blob.to_owned(), connection: None }
    }

    /// Asks, on a new connection where the last one was closed; the time counts from `due`.
    pub(crate) fn ask(&mut self, kind: Kind, due: Instant) -> Answered {
        let was_open = self.connection.is_some();
        let mut status = self.try_ask(kind);
        if status.is_none() && was_open {
            // A server may close a connection between two requests.
            status = self.try_ask(kind);
        }
        Answered { kind, status: status.unwrap_or(0), milliseconds: due.elapsed().as_secs_f64() * 1000.0 }
    }

    fn try_ask(&mut self, kind: Kind) -> Option<u16> {
        let (rest, range) = match kind {
            Kind::Manifest => ("manifests/1".to_owned(), ""),
            Kind::Unsigned => ("manifests/unsigned".to_owned(), ""),
            Kind::Blob => (format!("blobs/{}", self.blob), ""),
            Kind::Range => (format!("blobs/{}", self.blob), "Range: bytes=100-1099\r\n"),
        };
        let text = format!("GET /v2/{NAME}/{rest} HTTP/1.1\r\nHost: {}\r\nAccept: {MANIFEST}\r\n{range}\r\n", self.address);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(connect(&self.address)?),
        };
        connection.get_mut().write_all(text.as_bytes()).ok()?;
        let (status, stays) = read_answer(&mut connection)?;
        self.connection = Some(connection).filter(|_| stays);
        Some(status)
    }
}

fn connect(address: &str) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// The status of an answer that came whole, and whether the connection stays open.
fn read_answer(connection: &mut BufReader<TcpStream>) -> Option<(u16, bool)> {
    let mut line = String::new();
    connection.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut stays) = (0_u64, true);
    loop {
        line.clear();
        connection.read_line(&mut line).ok()?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        stays &= header != "connection: close";
    }
    let read = std::io::copy(&mut connection.by_ref().take(length), &mut std::io::sink()).ok()?;
    (read == length).then_some((status, stays))
}

/// Asks for a blob, reads some of it and closes the connection.
pub(crate) fn go_away(address: &str, digest: &str) {
    let Some(mut stream) = connect(address) else { return };
    let text = format!("GET /v2/{NAME}/blobs/{digest} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut some = [0; 65_536];
    // What becomes of it is not this client's concern any more.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.read(&mut some));
}
