//! Parts of files among the bytes of an answer: the system sends them, and their bytes never come into this program.
//!
//! hyper takes bytes and nothing else. A part of a file goes through it as so many blank bytes, which nobody reads; where these come out
//! at the socket, the file is sent in their place. They are known by where they lie in memory. Should hyper copy bytes one day, a client
//! would get blank ones, which do not have the digest it asked for; the tests would find it first.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::body::FilePart;

/// As many bytes as a part of a file can have. Nobody touches them, so they take no memory.
static BLANK: [u8; FilePart::MOST] = [0; FilePart::MOST];
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
}

/// What is encrypted has to pass through this program.
impl Socket for TlsStream<TcpStream> {
    const SENDS_FILES: bool = false;

    fn poll_send(&self, _: &FilePart, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

impl Socket for TcpStream {
    const SENDS_FILES: bool = cfg!(target_os = "linux");

    #[cfg(target_os = "linux")]
    fn poll_send(&self, part: &FilePart, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            std::task::ready!(self.poll_write_ready(context))?;
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
}

/// Sends without waiting: from file to socket where the system does that and a sandbox does not forbid it, else by reading and writing.
#[cfg(target_os = "linux")]
fn send(socket: &TcpStream, part: &FilePart) -> io::Result<usize> {
    use rustix::io::Errno;
    let mut at = part.at;
    match rustix::fs::sendfile(socket, &part.file, Some(&mut at), part.length) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => {
            let mut buffer = vec![0; part.length.min(READ)];
            let read = std::os::unix::fs::FileExt::read_at(&*part.file, &mut buffer, part.at)?;
            Ok(rustix::io::write(socket, buffer.get(..read).unwrap_or_default())?)
        }
        sent => Ok(sent?),
    }
}

/// The parts that blank bytes of one connection stand for, in their order.
#[derive(Default)]
pub(super) struct Parts(Mutex<VecDeque<FilePart>>);

impl Parts {
    /// Bytes that stand for `part`.
    pub(super) fn stand_in(&self, part: FilePart) -> Bytes {
        let blank = BLANK.get(..part.length).unwrap_or(&BLANK);
        self.list().push_back(FilePart { length: blank.len(), ..part });
        Bytes::from_static(blank)
    }

    /// Sends of the part that `blank` stands for.
    ///
    /// # Errors
    /// As [`Socket::poll_send`]; another one when `blank` is not as long as the rest of the part.
    pub(super) fn poll_send(&self, blank: &[u8], socket: &impl Socket, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut list = self.list();
        let Some(part) = list.front_mut().filter(|part| part.length == blank.len()) else {
            return Poll::Ready(Err(io::Error::other("bytes of an answer got lost")));
        };
        let sent = std::task::ready!(socket.poll_send(part, context))?;
        part.at += u64::try_from(sent).unwrap_or(u64::MAX);
        part.length = part.length.saturating_sub(sent);
        if part.length == 0 {
            list.pop_front();
        }
        Poll::Ready(Ok(sent))
    }

    fn list(&self) -> std::sync::MutexGuard<'_, VecDeque<FilePart>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of `pieces` comes before the first blank one, and that one.
pub(super) fn split<'a, 'b>(pieces: &'a [IoSlice<'b>]) -> (&'a [IoSlice<'b>], Option<&'a [u8]>) {
    let blank = pieces.iter().position(|piece| BLANK.as_ptr_range().contains(&piece.as_ptr()) && !piece.is_empty());
    match blank.and_then(|at| pieces.split_at_checked(at)) {
        Some((before, rest)) => (before, rest.first().map(|piece| &**piece)),
        None => (pieces, None),
    }
}
