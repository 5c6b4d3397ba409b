//! Parts of files among the bytes of an answer: the system sends them, and their bytes never come into this program.
//!
//! hyper takes bytes and nothing else. A part of a file goes through it as so many blank bytes, which nobody reads; where these come out
//! at the socket, the file is sent in their place. They are known by where they lie in memory. Should hyper copy bytes one day, blank ones
//! would come out elsewhere: then the connection is cut, and the tests would find it first.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use crate::file_part::FilePart;
use crate::jobs::{Ended, Jobs};

/// As many bytes as a part of a file can have. Nobody touches them, so they take no memory.
static BLANK: LazyLock<Box<[u8]>> = LazyLock::new(|| vec![0; FilePart::MOST].into_boxed_slice());
/// How long what was seen in memory is taken to be there still: a client that takes 50 MiB/s has a whole part by then.
const FRESH: Duration = Duration::from_millis(20);
/// What is brought in for slow clients: at once as much as keeps a fast disk at work.
static BRINGING: LazyLock<Jobs> = LazyLock::new(|| Jobs::at_once(8));
/// How much is read at a time where the system does not send files.
#[cfg(target_os = "linux")]
const READ: usize = 32 * 1024;

/// What an answer goes out through.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Whether [`Socket::poll_send`] works.
    const SENDS_FILES: bool;

    /// Sends bytes of a file, and says how many.
    ///
    /// # Errors
    /// As the system; [`io::ErrorKind::UnexpectedEof`] when the file has become shorter.
    fn poll_send(&self, part: &FilePart, context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Whether the system keeps what does not fill a segment until more comes (for 200 ms at most: tcp(7), `TCP_CORK`). Where it can't,
    /// nothing but time is lost.
    fn hold_back(&self, hold: bool);
}

/// What is encrypted has to pass through this program.
impl Socket for TlsStream<TcpStream> {
    const SENDS_FILES: bool = false;

    fn poll_send(&self, _: &FilePart, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    fn hold_back(&self, _: bool) {}
}

#[cfg(test)]
impl Socket for tokio::io::DuplexStream {
    const SENDS_FILES: bool = false;

    fn poll_send(&self, _: &FilePart, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    fn hold_back(&self, _: bool) {}
}

impl Socket for TcpStream {
    const SENDS_FILES: bool = cfg!(target_os = "linux");

    #[cfg(target_os = "linux")]
    fn poll_send(&self, part: &FilePart, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(context))?;
            match self.try_io(tokio::io::Interest::WRITABLE, || send(self, part)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                // The first is told as often as the socket is full, the second when a signal comes.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                done => return Poll::Ready(done),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn poll_send(&self, _: &FilePart, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    #[cfg(target_os = "linux")]
    fn hold_back(&self, hold: bool) {
        let _ = rustix::net::sockopt::set_tcp_cork(self, hold);
    }

    #[cfg(not(target_os = "linux"))]
    fn hold_back(&self, _: bool) {}
}

/// Sends without waiting for the client: from file to socket where the system does that and a sandbox does not forbid it, else by reading
/// and writing.
#[cfg(target_os = "linux")]
fn send(socket: &TcpStream, part: &FilePart) -> io::Result<usize> {
    use rustix::io::Errno;
    let mut at = part.at();
    match rustix::fs::sendfile(socket, part.file(), Some(&mut at), part.length()) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {
            let mut buffer = vec![0; part.length().min(READ)];
            let read = crate::file_part::read_at(part.file(), &mut buffer, part.at())?;
            Ok(rustix::io::write(socket, buffer.get(..read).unwrap_or_default())?)
        }
        sent => Ok(sent?),
    }
}

/// The parts that blank bytes of one connection stand for, in their order.
#[derive(Default)]
pub(super) struct Parts(Mutex<VecDeque<Waiting>>);

/// A part that was not sent yet.
struct Waiting {
    part: FilePart,
    /// How many of its first bytes were in memory,
    looked: usize,
    /// at this time.
    when: Instant,
    /// Whoever brings them in.
    bringing: Option<BoxFuture<'static, Result<(), Ended>>>,
}

impl Waiting {
    /// Waits until the next bytes are in memory, so that the thread that sends them does not wait for a disk.
    fn poll_at_hand(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.bringing.is_none() && (self.looked == 0 || self.when.elapsed() > FRESH) {
            let next = self.part.start(FilePart::AT_ONCE);
            (self.looked, self.when) = (next.length(), Instant::now());
            if !next.is_in_memory() {
                self.bringing = Some(BRINGING.run(move || next.bring_in()).boxed());
            }
        }
        if let Some(bringing) = &mut self.bringing {
            // It has no way to fail; what cannot be read cannot be sent either, and then that is told.
            let _ = ready!(bringing.as_mut().poll(context));
            self.bringing = None;
        }
        Poll::Ready(())
    }
}

impl Parts {
    /// Bytes that stand for `part`, which was looked at just now.
    pub(super) fn stand_in(&self, part: FilePart) -> Bytes {
        let blank = BLANK.get(..part.length()).unwrap_or_default();
        self.list().push_back(Waiting { looked: part.length(), when: Instant::now(), part, bringing: None });
        Bytes::from_static(blank)
    }

    /// Waits for the disk where the next bytes are not in memory any more.
    pub(super) fn poll_at_hand(&self, context: &mut Context<'_>) -> Poll<()> {
        self.list().front_mut().map_or(Poll::Ready(()), |waiting| waiting.poll_at_hand(context))
    }

    /// Sends of the part that `blank` stands for.
    ///
    /// # Errors
    /// As [`Socket::poll_send`]; another one when `blank` is not as long as the rest of the part.
    pub(super) fn poll_send(&self, blank: &[u8], socket: &impl Socket, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut list = self.list();
        let Some(waiting) = list.front_mut().filter(|waiting| waiting.part.length() == blank.len()) else {
            return Poll::Ready(Err(lost()));
        };
        let sent = ready!(socket.poll_send(&waiting.part.start(waiting.looked), context))?;
        waiting.looked = waiting.looked.saturating_sub(sent);
        match waiting.part.clone().after(sent) {
            Some(rest) => waiting.part = rest,
            None => drop(list.pop_front()),
        }
        Poll::Ready(Ok(sent))
    }

    /// # Errors
    /// When a part waits: its blank bytes have to come before whatever comes now.
    pub(super) fn none_waits(&self) -> io::Result<()> {
        if self.list().is_empty() { Ok(()) } else { Err(lost()) }
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost() -> io::Error {
    io::Error::other("bytes of an answer got lost")
}

/// What of `pieces` comes before the first blank one, and that one.
pub(super) fn split<'a, 'b>(pieces: &'a [IoSlice<'b>]) -> (&'a [IoSlice<'b>], Option<&'a [u8]>) {
    let blank = pieces.iter().position(|piece| BLANK.as_ptr_range().contains(&piece.as_ptr()) && !piece.is_empty());
    match blank.and_then(|at| pieces.split_at_checked(at)) {
        Some((before, rest)) => (before, rest.first().map(|piece| &**piece)),
        None => (pieces, None),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::sync::Arc;

    use rustix::fs::{Advice, fadvise};

    use super::*;

    /// A part that the system has just dropped from memory; nothing on file systems that live there.
    fn forgotten(file: &Arc<std::fs::File>) -> Option<FilePart> {
        let part = FilePart::new(file.clone(), 0, FilePart::AT_ONCE).unwrap();
        file.sync_all().unwrap();
        fadvise(file, 0, None, Advice::DontNeed).unwrap();
        (!part.is_in_memory()).then_some(part)
    }

    #[tokio::test]
    async fn what_left_memory_while_a_client_was_slow_is_brought_in_again() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; FilePart::AT_ONCE]).unwrap();
        let file = Arc::new(file);
        // Some file systems cannot tell what is in memory, and what lies in memory cannot leave it.
        let can_tell = FilePart::new(file.clone(), 0, FilePart::AT_ONCE).unwrap().is_in_memory();
        let Some(part) = forgotten(&file).filter(|_| can_tell) else {
            eprintln!("SKIPPED: the file system of the temporary folder does not let files leave memory");
            return;
        };
        let parts = Parts::default();
        drop(parts.stand_in(part.clone()));
        let looked = |when| parts.list().front_mut().unwrap().when = when;
        let is_brought = || parts.list().front().unwrap().bringing.is_some();
        let (fresh, stale) = (Instant::now() + FRESH * 1000, Instant::now().checked_sub(FRESH * 2).unwrap());
        looked(fresh);
        poll_fn(|context| parts.poll_at_hand(context)).await;
        assert!(!is_brought() && !part.is_in_memory(), "it was looked at a moment ago");
        // That look has brought in a page.
        let part = forgotten(&file).unwrap();
        looked(stale);
        poll_fn(|context| parts.poll_at_hand(context)).await;
        assert!(part.is_in_memory() && !is_brought());
    }
}
