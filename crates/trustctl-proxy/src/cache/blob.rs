//! What is handed out: a blob, and the bodies of answers that are made from it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;

use super::buffers::{Buffers, Read};
use super::error::CacheError;
use super::fill::{Following, Progress};
use crate::body::Streamed;
use crate::file_part::{self, FilePart};

/// What is shorter is read: it goes out in one write with the head of the answer then.
const LEAST_PART: usize = 64 * 1024;

/// Something from the cache, of known length. While it is held, eviction does not reach it.
#[derive(Clone)]
pub struct Blob {
    length: u64,
    place: Place,
    buffers: Buffers,
}

#[derive(Clone)]
enum Place {
    File(Arc<File>),
    Filling(Following),
    Memory(Bytes),
}

impl Blob {
    pub(super) fn in_memory(bytes: Bytes, buffers: &Buffers) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { length, place: Place::Memory(bytes), buffers: buffers.clone() }
    }

    pub(super) fn in_file(file: File, length: u64, buffers: &Buffers) -> Self {
        Self { length, place: Place::File(Arc::new(file)), buffers: buffers.clone() }
    }

    /// What is being fetched, as soon as its length is known.
    pub(super) async fn following(mut fill: Following, buffers: &Buffers) -> Result<Self, CacheError> {
        let length = fill.length().await?;
        Ok(Self { length, place: Place::Filling(fill), buffers: buffers.clone() })
    }

    /// The bytes of the whole blob.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether the upstream is still sending it: the answer can then break off.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        match &self.place {
            Place::Filling(following) => following.changes.borrow().end.is_none(),
            Place::File(_) | Place::Memory(_) => false,
        }
    }

    /// The bytes of `range`, as far as the blob has them, as the body of an answer.
    #[must_use]
    pub fn body(&self, range: Range<u64>) -> BlobBody {
        let end = range.end.min(self.length);
        let start = range.start.min(end);
        let reading = match &self.place {
            Place::File(file) => Reading::File(Arc::clone(file)),
            Place::Filling(following) => {
                let following = following.clone();
                Reading::Filling { changes: Some(following.changes.clone()), waiting: None, following }
            }
            Place::Memory(bytes) => Reading::Memory(bytes.clone()),
        };
        BlobBody { start, at: start, end, reading, read: None, buffers: self.buffers.clone() }
    }
}

/// The body of an answer. It ends with an error when the digest turns out to be wrong, the transfer fails, or the disk does.
pub struct BlobBody {
    start: u64,
    at: u64,
    end: u64,
    reading: Reading,
    /// A read that waits for the disk.
    read: Option<Read>,
    buffers: Buffers,
}

enum Reading {
    File(Arc<File>),
    Filling {
        following: Following,
        /// Here, or with whoever waits.
        changes: Option<watch::Receiver<Progress>>,
        waiting: Option<BoxFuture<'static, watch::Receiver<Progress>>>,
    },
    Memory(Bytes),
}

impl BlobBody {
    /// The bytes that were not handed out yet.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes of a file, of which those up to `limit` may be read.
    fn next(&mut self, file: &Arc<File>, limit: u64, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let (buffer, read) = match &mut self.read {
            Some(read) => {
                let done = ready!(read.as_mut().poll(context));
                self.read = None;
                done?
            }
            None => {
                let wanted = limit - self.at;
                let mut buffer = self.buffers.take(wanted);
                match file_part::read_now(file, buffer.room(wanted), self.at) {
                    Ok(read) => (buffer, read),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.read = Some(self.buffers.read_later(Arc::clone(file), wanted, self.at));
                        return self.next(file, limit, context);
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        };
        if read == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.at += u64::try_from(read).unwrap_or_default();
        Poll::Ready(Ok(buffer.into_bytes(read)))
    }

    /// Waits until some of what follows may be sent, and says up to where.
    fn poll_allowed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let Reading::Filling { changes, waiting, .. } = &mut self.reading else { return Poll::Ready(Ok(self.end)) };
        loop {
            if let Some(wait) = waiting {
                *changes = Some(ready!(wait.as_mut().poll(context)));
                *waiting = None;
            }
            let Some(mut receiver) = changes.take() else { return Poll::Ready(Err(io::ErrorKind::Other.into())) };
            {
                let progress = receiver.borrow_and_update();
                let allowed = progress.allowed(self.start, self.end);
                let failure = match &progress.end {
                    Some(Err(error)) => Some(io::Error::other(error.clone())),
                    _ => None,
                };
                drop(progress);
                if failure.is_some() || allowed > self.at {
                    *changes = Some(receiver);
                    return Poll::Ready(failure.map_or(Ok(allowed), Err));
                }
            }
            *waiting = Some(Box::pin(async move {
                // The sender lives as long as the transfer is followed.
                let _ = receiver.changed().await;
                receiver
            }));
        }
    }
}

impl Streamed for BlobBody {
    fn file_part(mut self: Pin<&mut Self>) -> Option<FilePart> {
        let Reading::File(file) = &self.reading else { return None };
        let length = usize::try_from(self.remaining()).unwrap_or(usize::MAX).min(FilePart::MOST);
        if length < LEAST_PART || self.read.is_some() {
            return None;
        }
        let part = FilePart::new(Arc::clone(file), self.at, length).filter(FilePart::is_in_memory)?;
        self.at += u64::try_from(length).unwrap_or(u64::MAX);
        Some(part)
    }
}

impl Body for BlobBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.at >= this.end {
            return Poll::Ready(None);
        }
        if let Reading::Memory(bytes) = &this.reading {
            let at = |place| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
            let piece = bytes.slice(at(this.at)..at(this.end));
            this.at = this.end;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        // A read that waits for the disk was allowed before.
        let limit = if this.read.is_some() { this.end } else { ready!(this.poll_allowed(context))? };
        let file = match &this.reading {
            Reading::File(file) => Some(Arc::clone(file)),
            Reading::Filling { following, .. } => following.file().cloned(),
            Reading::Memory(_) => None,
        };
        let Some(file) = file else { return Poll::Ready(Some(Err(io::ErrorKind::NotFound.into()))) };
        this.next(&file, limit, context).map(|piece| Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}
