//! Bodies that lie in files: sent by the system where it can, and always the same bytes.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::AtomicUsize;

use http::header::CONTENT_LENGTH;
use tempfile::TempDir;
use tokio::io::AsyncRead;
use tokio::time::Instant;

use super::*;
use crate::file_part::FilePart;

const LENGTH: usize = 3_000_001;
const REQUEST: &[u8] = b"GET /file HTTP/1.1\r\nhost: x\r\n\r\n";

/// Answers with a file, some pieces of which it reads itself.
struct Files {
    file: Arc<File>,
    /// How many pieces the system was to send.
    handed_out: Arc<AtomicUsize>,
}

struct InFile {
    file: Arc<File>,
    at: usize,
    end: usize,
    handed_out: Arc<AtomicUsize>,
}

impl InFile {
    /// The next piece; their sizes go up and down, and the last one is small.
    fn next(&mut self) -> FilePart {
        let length = (self.end - self.at).min((256 * 1024) >> (self.at % 5));
        let part = FilePart::new(self.file.clone(), u64::try_from(self.at).unwrap(), length).unwrap();
        self.at += length;
        part
    }
}

impl Streamed for InFile {
    fn file_part(mut self: Pin<&mut Self>) -> Option<FilePart> {
        if self.at == self.end || self.at % 3 == 1 {
            return None;
        }
        self.handed_out.fetch_add(1, Ordering::SeqCst);
        Some(self.next())
    }
}

impl Body for InFile {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.at == self.end {
            return Poll::Ready(None);
        }
        let part = self.next();
        let mut bytes = vec![0; part.length()];
        let read = part.file().read_exact_at(&mut bytes, part.at());
        Poll::Ready(Some(read.map(|()| Frame::data(bytes.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }
}

impl Site for Files {
    async fn answer(&self, _: Received) -> Answer {
        let body = InFile { file: self.file.clone(), at: 0, end: LENGTH, handed_out: self.handed_out.clone() };
        let mut answer = Answer::new(ProxyBody::streamed(body));
        answer.headers_mut().insert(CONTENT_LENGTH, LENGTH.into());
        answer
    }
}

fn content() -> Vec<u8> {
    (0..LENGTH).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

/// A server of a file with [`content`].
async fn serve(listen: &Listen) -> (SocketAddr, Arc<Files>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content()).unwrap();
    let server = Server::bind(std::slice::from_ref(listen), LIMITS).await.unwrap();
    let address = server.addresses()[0];
    let site = Arc::new(Files { file: Arc::new(file), handed_out: Arc::default() });
    tokio::spawn(server.run(site.clone(), Arc::new(|_: &Reason| ()), std::future::pending()));
    (address, site)
}

fn plain() -> Listen {
    Listen { address: "127.0.0.1:0".parse().unwrap(), tls: None }
}

/// The body of the next answer.
async fn body(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&head));
    let mut bytes = vec![0; LENGTH];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

#[tokio::test]
async fn what_lies_in_a_file_arrives_as_it_is() {
    let (address, site) = serve(&plain()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Several at once: the second is asked for before the first has gone out.
    stream.write_all(&REQUEST.repeat(3)).await.unwrap();
    for _ in 0..3 {
        assert!(body(&mut stream).await == content());
    }
    assert!(site.handed_out.load(Ordering::SeqCst) > 3 * 8 || !cfg!(target_os = "linux"), "the system sends most of it");
}

#[tokio::test]
async fn the_end_of_an_answer_does_not_wait() {
    let (address, _) = serve(&plain()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let start = Instant::now();
    for _ in 0..20 {
        stream.write_all(REQUEST).await.unwrap();
        body(&mut stream).await;
    }
    assert!(start.elapsed() < Duration::from_secs(3), "held back until a packet is full, each comes 200 ms late");
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_same() {
    let (address, _) = serve(&plain()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let (mut got, mut piece) = (Vec::new(), vec![0; 30_000]);
    while got.len() < LENGTH {
        tokio::time::sleep(Duration::from_micros(200)).await;
        let read = within(stream.read(&mut piece)).await.unwrap();
        assert_ne!(read, 0);
        got.extend_from_slice(&piece[..read]);
    }
    assert!(got[got.len() - 2_000_000..] == content()[LENGTH - 2_000_000..]);
}

#[tokio::test]
async fn what_is_encrypted_is_read_here() {
    let folder = TempDir::new().unwrap();
    let (listen, connect) = tls::listener(folder.path()).await;
    let (address, site) = serve(&listen).await;
    let mut stream = connect(address).await;
    stream.write_all(REQUEST).await.unwrap();
    assert!(body(&mut stream).await == content());
    assert_eq!(site.handed_out.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_file_that_became_shorter_cuts_the_connection() {
    let (address, site) = serve(&plain()).await;
    site.file.set_len(500_000).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&REQUEST.repeat(2)).await.unwrap();
    let mut bytes = Vec::new();
    let _ = within(stream.read_to_end(&mut bytes)).await;
    let start = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert!(
        content().starts_with(&bytes[start..]) && bytes.len() - start <= 500_000,
        "nothing but the file, and no second answer"
    );
}
