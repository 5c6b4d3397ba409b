//! Bodies that are read while they arrive.

use std::fmt;

use bytes::Bytes;

use super::retry::Failure;
use super::transport::TransportError;
use super::{Http, Response};
use crate::error::RemoteError;

/// An answer whose body, when it is a success, is still on its way.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The answer; without its body when that follows.
    pub response: Response,
    /// The body of a success; `None` for any other answer.
    pub body: Option<Incoming>,
}

/// A body that arrives. Dropping it ends the transfer.
pub struct Incoming {
    http: Http,
    server: String,
    response: reqwest::Response,
}

impl Incoming {
    pub(super) fn new(http: Http, server: String, response: reqwest::Response) -> Self {
        Self { http, server, response }
    }

    /// The server that sends it.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The next piece, of whatever size it came in; `None` at the end. A body that is shorter than was declared has no end.
    ///
    /// # Errors
    /// [`RemoteError::Unavailable`] when the transfer breaks off, or nothing comes for [`super::Network::idle`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let chunk = self.response.chunk().await.map_err(|error| {
            let error = TransportError::from(error);
            if let (Some(watch), true) = (&self.http.0.watch, error.is_timeout()) {
                watch.stalled();
            }
            Failure::of_transport(&self.server, &error).error
        })?;
        if let Some(chunk) = &chunk {
            self.http.received(chunk.len());
        }
        Ok(chunk)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("server", &self.server).finish_non_exhaustive()
    }
}
