//! Timestamp authorities: RFC 3161 over HTTP (section 3.4).

use bytes::Bytes;
use reqwest::header::ACCEPT;

use super::{ServiceError, Services, refused};
use crate::http::Method;
use crate::limits::Deadline;

impl Services {
    /// The answer of the authority at `url`, its whole address, to a DER query.
    ///
    /// # Errors
    /// [`ServiceError::Refused`]; [`ServiceError::Remote`].
    pub async fn timestamp(&self, url: &str, query: Vec<u8>, deadline: Deadline) -> Result<Bytes, ServiceError> {
        let request = Self::request(Method::POST, url, "")?.body("application/timestamp-query", query);
        let response = self.send(&request.header(ACCEPT, "application/timestamp-reply"), deadline).await?;
        match response.status {
            200 | 201 => Ok(response.body),
            _ => Err(refused(&response)),
        }
    }
}
