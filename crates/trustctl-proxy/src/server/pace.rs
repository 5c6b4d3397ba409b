//! Whether a client keeps pace: how long its connection has been without a request, in one, or without taking what is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::parts::{self, Parts, Socket};
use crate::body::ProxyBody;
use crate::config::Limits;

const IDLE: u8 = 0;
const READING: u8 = 1;
const ANSWERING: u8 = 2;
const NOT_BLOCKED: u64 = u64::MAX;

/// What a connection does, and since when. Everything that touches it runs in the connection's own task; the atomics are for the compiler.
pub(super) struct Pace {
    epoch: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    blocked: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), phase: AtomicU8::new(IDLE), since: AtomicU64::new(0), blocked: AtomicU64::new(NOT_BLOCKED) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(NOT_BLOCKED - 1)
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// A whole request is there.
    pub(super) fn answering(&self) {
        self.phase.store(ANSWERING, Ordering::Relaxed);
    }

    /// When to look again, or nothing when the client has had its time.
    pub(super) fn next_look(&self, limits: &Limits) -> Option<Instant> {
        let at = |since: u64, limit: Duration| self.epoch + Duration::from_millis(since) + limit;
        let since = self.since.load(Ordering::Relaxed);
        let due = match self.phase.load(Ordering::Relaxed) {
            IDLE => Some(at(since, limits.idle)),
            READING => Some(at(since, limits.header)),
            _ => None,
        };
        let stalled = match self.blocked.load(Ordering::Relaxed) {
            NOT_BLOCKED => None,
            since => Some(at(since, limits.idle)),
        };
        let now = Instant::now();
        match due.into_iter().chain(stalled).min() {
            Some(due) if due <= now => None,
            // Looking four times as often as the shorter limit keeps a limit that begins between two looks within a quarter of it.
            due => Some(due.unwrap_or(now + limits.idle).min(now + limits.idle.min(limits.header).max(SHORTEST) / 4)),
        }
    }
}

/// A connection whose reads and writes are noticed, and which sends the parts of files that bytes stand for.
pub(super) struct Watched<S> {
    stream: S,
    pace: Arc<Pace>,
    parts: Option<Arc<Parts>>,
    /// Whether the system waits for whole segments.
    holds_back: bool,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>, parts: Option<Arc<Parts>>) -> Self {
        Self { stream, pace, parts, holds_back: false }
    }

    fn none_waits(&self) -> io::Result<()> {
        self.parts.as_ref().map_or(Ok(()), |parts| parts.none_waits())
    }

    /// Takes note of bytes that went out, or of a client that takes none.
    fn sent(&self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(_)), IDLE | READING) = (&done, self.pace.phase.load(Ordering::Relaxed)) {
            // The end of an answer is still going out.
            self.pace.since.store(self.pace.now(), Ordering::Relaxed);
        }
        self.wrote(done)
    }

    fn wrote<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let blocked = &self.pace.blocked;
        match (&done, blocked.load(Ordering::Relaxed)) {
            (Poll::Pending, NOT_BLOCKED) => blocked.store(self.pace.now(), Ordering::Relaxed),
            (Poll::Pending, _) | (Poll::Ready(_), NOT_BLOCKED) => {}
            (Poll::Ready(_), _) => blocked.store(NOT_BLOCKED, Ordering::Relaxed),
        }
        done
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before && self.pace.phase.load(Ordering::Relaxed) == IDLE {
            self.pace.enter(READING);
        }
        done
    }
}

impl<S: Socket> AsyncWrite for Watched<S> {
    /// Not used where bytes can stand for parts: hyper hands over all its buffers then.
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.none_waits()?;
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let done = match (&this.parts, parts::split(pieces)) {
            (Some(parts), ([], Some(blank))) => {
                // It is not the client who is waited for.
                ready!(parts.poll_at_hand(context));
                if !this.holds_back {
                    this.stream.hold_back(true);
                    this.holds_back = true;
                }
                parts.poll_send(blank, &this.stream, context)
            }
            (Some(_), (bytes, _)) => Pin::new(&mut this.stream).poll_write_vectored(context, bytes),
            (None, _) => Pin::new(&mut this.stream).poll_write_vectored(context, pieces),
        };
        self.sent(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written everything.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.none_waits()?;
        if self.holds_back && self.pace.phase.load(Ordering::Relaxed) != ANSWERING {
            // The end of the answer.
            self.stream.hold_back(false);
            self.holds_back = false;
        }
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.wrote(done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The body of an answer; with its end the connection is without a request again.
pub(super) struct Paced {
    body: ProxyBody,
    pace: Arc<Pace>,
    parts: Option<Arc<Parts>>,
}

impl Paced {
    pub(super) fn new(body: ProxyBody, pace: Arc<Pace>, parts: Option<Arc<Parts>>) -> Self {
        Self { body, pace, parts }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.pace.enter(IDLE);
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if let Some(parts) = &this.parts
            && let Some(part) = this.body.file_part()
        {
            return Poll::Ready(Some(Ok(Frame::data(parts.stand_in(part)))));
        }
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Connections are not looked at more often than four times in this time, however short the limits.
const SHORTEST: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::file_part::FilePart;

    const LIMIT: Duration = Duration::from_secs(10);
    const LIMITS: Limits = Limits { connections: 1, header: LIMIT, idle: LIMIT, shutdown: LIMIT };

    /// A connection that has been in a phase for longer than the limit.
    fn long_since(phase: u8) -> Arc<Pace> {
        let epoch = Instant::now().checked_sub(LIMIT * 2).unwrap();
        Arc::new(Pace { epoch, phase: AtomicU8::new(phase), since: AtomicU64::new(0), blocked: AtomicU64::new(NOT_BLOCKED) })
    }

    #[tokio::test]
    async fn whoever_takes_the_end_of_an_answer_slowly_is_not_idle() {
        for phase in [IDLE, READING] {
            let pace = long_since(phase);
            let (stream, _client) = tokio::io::duplex(1000);
            let mut watched = Watched::new(stream, pace.clone(), None);
            watched.flush().await.unwrap();
            assert!(pace.next_look(&LIMITS).is_none(), "nothing goes out");
            watched.write_all(b"the end of an answer").await.unwrap();
            assert!(pace.next_look(&LIMITS).is_some(), "something goes out");
        }
    }

    #[tokio::test]
    async fn nothing_comes_before_a_part_that_waits() {
        let parts = Arc::new(Parts::default());
        let (stream, _client) = tokio::io::duplex(1000);
        let mut watched = Watched::new(stream, Arc::new(Pace::new()), Some(parts.clone()));
        watched.write_all(b"a head").await.unwrap();
        watched.flush().await.unwrap();
        let file = Arc::new(tempfile::tempfile().unwrap());
        let blank = parts.stand_in(FilePart::new(file, 0, 100).unwrap());
        // Blank bytes that were copied are bytes like others, and must not go out.
        let (copied, split) = (blank.to_vec(), [&b"a head"[..], &blank[..], &b"more"[..]].map(io::IoSlice::new));
        assert!(watched.write_all(&copied).await.is_err() && watched.flush().await.is_err());
        assert!(parts::split(&[io::IoSlice::new(&copied)]).1.is_none());
        // Less than the part that is to be sent: hyper has cut it, and would be told that more went out than it gave.
        let cut = watched.write_vectored(&[io::IoSlice::new(blank.get(..60).unwrap())]).await.unwrap_err();
        assert!(cut.to_string().contains("got lost"), "{cut}");
        let (before, part) = parts::split(&split);
        assert_eq!((before.len(), part.map(<[u8]>::as_ptr)), (1, Some(blank.as_ptr())));
    }

    /// Segments that are not full are many more; an end that is held back comes 200 ms late.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn segments_are_filled_until_the_answer_has_ended() {
        let (pace, parts) = (Arc::new(Pace::new()), Arc::new(Parts::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut watched = Watched::new(listener.accept().await.unwrap().0, pace.clone(), Some(parts.clone()));
        let file = tempfile::tempfile().unwrap();
        file.set_len(100).unwrap();
        let part = FilePart::new(Arc::new(file), 0, 100).unwrap();
        let holds_back = |watched: &Watched<_>| rustix::net::sockopt::tcp_cork(&watched.stream).unwrap();
        for _ in 0..2 {
            pace.answering();
            watched.write_all(b"a head").await.unwrap();
            assert!(!holds_back(&watched), "what is not from a file goes at once");
            for _ in 0..2 {
                let blank = parts.stand_in(part.clone());
                assert_eq!(watched.write_vectored(&[io::IoSlice::new(&blank)]).await.unwrap(), 100);
                watched.flush().await.unwrap();
                assert!(holds_back(&watched), "more will come");
            }
            pace.enter(IDLE);
            watched.flush().await.unwrap();
            assert!(!holds_back(&watched), "the answer has ended");
        }
    }
}
