//! Fetching the files of a TUF repository. It knows nothing of their meaning.

use bytes::Bytes;

use crate::error::RemoteError;
use crate::http::origin::Origin;
use crate::http::{Http, Request};
use crate::limits::Deadline;

/// A TUF repository behind an address.
#[derive(Clone, Debug)]
pub struct TufRepository {
    http: Http,
    origin: Origin,
    path: String,
}

impl TufRepository {
    /// The repository whose `timestamp.json` lies directly below `url`. Connects to nobody.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`] when the text is not an address.
    pub fn new(http: Http, url: &str) -> Result<Self, RemoteError> {
        let (origin, path) = Origin::parse_url(url)?;
        Ok(Self { http, origin, path })
    }

    /// The client, for its counts.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The file at `path` below the repository's address; `None` when the server says with 404 that there is none. Nothing else says so:
    /// an outage, a denial or a page in its place must not look like "there is no newer root".
    ///
    /// # Errors
    /// [`RemoteError::TooLarge`] beyond `max_bytes`; [`RemoteError::Denied`] for 401 and 403; [`RemoteError::BadAnswer`] for every
    /// other status; and those of [`Http::send`].
    pub async fn fetch(&self, path: &str, max_bytes: u64, deadline: Deadline) -> Result<Option<Bytes>, RemoteError> {
        let request = Request::get(self.origin.clone(), format!("{}/{path}", self.path), max_bytes);
        let response = self.http.send(&request, deadline).await?;
        let host = self.origin.to_string();
        match response.status {
            200 => Ok(Some(response.body)),
            404 => Ok(None),
            status @ (401 | 403) => Err(RemoteError::Denied { host, status, detail: String::new() }),
            status => Err(RemoteError::bad_answer(host, format!("it answered {status} for {path}"))),
        }
    }
}
