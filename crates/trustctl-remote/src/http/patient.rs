//! Bodies that must not stop coming.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body that is an error when nothing of it comes for as long as `idle`, while it is waited for.
pub(super) struct Patient<B> {
    body: B,
    idle: Duration,
    /// Set when a wait begins. What comes ends the wait; a reader may then take its time.
    limit: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<B> Patient<B> {
    pub(super) fn new(body: B, idle: Duration) -> Self {
        Self { body, idle, limit: None, waiting: false }
    }

    /// Whether the wait that goes on, or begins now, is over.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = Instant::now() + self.idle;
        let limit = self.limit.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if !self.waiting {
            limit.as_mut().reset(until);
            self.waiting = true;
        }
        limit.as_mut().poll(context)
    }
}

impl<B> Body for Patient<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.poll_late(context));
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use http_body_util::BodyExt;
    use http_body_util::channel::{Channel, Sender};

    const IDLE: Duration = Duration::from_millis(200);

    fn patient() -> (Sender<Bytes, io::Error>, Patient<Channel<Bytes, io::Error>>) {
        let (sender, body) = Channel::new(1);
        (sender, Patient::new(body, IDLE))
    }

    /// When the wait for a piece that is not there ends.
    fn ends(body: &mut Patient<Channel<Bytes, io::Error>>) -> Instant {
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut *body).poll_frame(&mut context).is_pending());
        body.limit.as_ref().unwrap().deadline()
    }

    #[tokio::test]
    async fn each_wait_has_its_own_limit() {
        let (mut sender, mut body) = patient();
        let first = ends(&mut body);
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(ends(&mut body), first, "one wait, however often one looks");
        sender.send_data(Bytes::from_static(b"x")).await.unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(ends(&mut body) > first, "the next wait");
    }

    #[tokio::test]
    async fn a_reader_may_be_away() {
        let (mut sender, mut body) = patient();
        for _ in 0..2 {
            let end = ends(&mut body);
            sender.send_data(Bytes::from_static(b"x")).await.unwrap();
            tokio::time::sleep_until(end + IDLE).await;
            assert!(body.frame().await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn what_stops_coming_is_late() {
        let (_sender, mut body) = patient();
        let begun = Instant::now();
        let late = body.frame().await.unwrap().unwrap_err();
        assert_eq!(late.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= IDLE);
    }
}
