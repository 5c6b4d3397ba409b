//! How one request is sent: by the library's client, or where there is no TLS by its lower layer. What either fails with reads the same.

use std::error::Error;
use std::io;
use std::sync::Arc;

use hyper_util::client::legacy;

use super::plain::PlainClient;

/// A client for one way of connecting. Cloning shares its connections.
#[derive(Clone)]
pub(super) enum Transport {
    /// TLS, proxies, and redirects to where only public addresses may be.
    Library(reqwest::Client),
    /// Plain HTTP, straight to the server.
    Plain(Arc<PlainClient>),
}

impl Transport {
    /// Sends `request` and waits for the head of the answer.
    pub(super) async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, TransportError> {
        match self {
            Self::Library(client) => Ok(client.execute(request).await?),
            Self::Plain(client) => client.send(request).await,
        }
    }
}

/// Trouble on the way to a server or back.
#[derive(Debug)]
pub(super) enum TransportError {
    /// The library's, also for every body.
    Library(reqwest::Error),
    /// That of its lower layer.
    Plain(legacy::Error),
    /// No head of an answer came in time.
    Late,
}

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> Self {
        Self::Library(error)
    }
}

impl TransportError {
    /// Whether it took too long: to connect, or until the next byte.
    pub(super) fn is_timeout(&self) -> bool {
        let timed_out = |cause: &(dyn Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        };
        match self {
            Self::Library(error) => error.is_timeout(),
            Self::Plain(_) => self.causes().into_iter().any(timed_out),
            Self::Late => true,
        }
    }

    /// Whether no connection was made.
    pub(super) fn is_connect(&self) -> bool {
        match self {
            Self::Library(error) => error.is_connect(),
            Self::Plain(error) => error.is_connect(),
            Self::Late => false,
        }
    }

    /// Whether a head came, and the body broke off.
    pub(super) fn is_body(&self) -> bool {
        matches!(self, Self::Library(error) if error.is_body() || error.is_decode())
    }

    /// The error and what it came from, the first cause last.
    pub(super) fn causes(&self) -> Vec<&(dyn Error + 'static)> {
        let first: Option<&(dyn Error + 'static)> = match self {
            Self::Library(error) => Some(error),
            Self::Plain(error) => Some(error),
            Self::Late => None,
        };
        std::iter::successors(first, |cause: &&(dyn Error + 'static)| (*cause).source()).collect()
    }
}
