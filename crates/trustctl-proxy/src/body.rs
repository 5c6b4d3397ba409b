//! The body of an answer: nothing, bytes at hand, or a stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::file_part::FilePart;
use crate::metrics::Metrics;

/// What goes out after the headers of an answer.
#[derive(Default)]
pub enum ProxyBody {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes that are at hand.
    Full(Bytes),
    /// Bytes that are still coming. Where they end with an error the connection is cut, so that a client cannot take what came for the whole.
    Streamed(Pin<Box<dyn Streamed>>),
}

/// A body that streams, some of which may lie in a file.
pub trait Streamed: Body<Data = Bytes, Error = io::Error> + Send {
    /// The next part of the body as a part of a file that is in memory, so that the system can send it without waiting for the disk.
    /// What is handed out here does not come as a frame too. Nothing where the next part has to come as a frame.
    ///
    /// A body with parts has to tell its end with its last piece (`is_end_stream`): what does not fill a packet waits for that.
    fn file_part(self: Pin<&mut Self>) -> Option<FilePart> {
        None
    }
}

impl ProxyBody {
    /// A body that streams.
    pub fn streamed(body: impl Streamed + 'static) -> Self {
        Self::Streamed(Box::pin(body))
    }

    /// The next part of the body, where it lies in a file: see [`Streamed::file_part`].
    pub fn file_part(&mut self) -> Option<FilePart> {
        match self {
            Self::Streamed(body) => body.as_mut().file_part(),
            Self::Empty | Self::Full(_) => None,
        }
    }
}

impl ProxyBody {
    /// The same body, whose bytes are counted as they are taken.
    #[must_use]
    pub fn counted(self, metrics: &Arc<Metrics>) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Full(bytes) => {
                metrics.sent(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                Self::Full(bytes)
            }
            Self::Streamed(body) => Self::streamed(Counted { body, metrics: metrics.clone() }),
        }
    }
}

/// A body that streams and is counted.
struct Counted {
    body: Pin<Box<dyn Streamed>>,
    metrics: Arc<Metrics>,
}

impl Streamed for Counted {
    fn file_part(mut self: Pin<&mut Self>) -> Option<FilePart> {
        let part = self.body.as_mut().file_part()?;
        self.metrics.sent(u64::try_from(part.length()).unwrap_or(u64::MAX));
        Some(part)
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = self.body.as_mut().poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            self.metrics.sent(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl From<Bytes> for ProxyBody {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Streamed(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Streamed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for ProxyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Streamed(_) => f.write_str("Streamed"),
        }
    }
}
