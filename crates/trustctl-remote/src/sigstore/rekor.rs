//! Transparency logs: Rekor v1 and v2.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{Logged, ServiceError, Services, refused};
use crate::error::RemoteError;
use crate::http::{Method, Response};
use crate::limits::Deadline;

/// Hexadecimal digits of an entry's id: the hash of its leaf, with or without the id of its tree in front.
const UUID_DIGITS: [usize; 2] = [64, 80];

impl Services {
    /// What the Rekor v1 at `base` answers to a request for an entry. Of one that it has already, the entry it names is fetched: a
    /// repetition after a lost answer meets its own.
    ///
    /// # Errors
    /// [`ServiceError::Refused`]; [`ServiceError::Remote`], also for a conflict that names no entry.
    pub async fn enter_first(&self, base: &str, body: Vec<u8>, deadline: Deadline) -> Result<Logged, ServiceError> {
        let request = Self::request(Method::POST, base, "/api/v1/log/entries")?.body("application/json", body);
        let response = self.send(&request, deadline).await?;
        match response.status {
            200 | 201 => Ok(Logged::New(response.body)),
            409 => {
                let named = uuid(&response).ok_or_else(|| {
                    RemoteError::bad_answer(response.origin.to_string(), "it answered 409 and does not name the entry it has")
                })?;
                let request = Self::request(Method::GET, base, &format!("/api/v1/log/entries/{named}"))?;
                let there = self.send(&request, deadline).await?;
                if there.status == 200 { Ok(Logged::There(there.body)) } else { Err(refused(&there)) }
            }
            _ => Err(refused(&response)),
        }
    }

    /// The entry that the Rekor v1 at `base` has for what `proposal`, the body of a request for an entry, would enter; `None` when it has
    /// none. Nothing is entered.
    ///
    /// # Errors
    /// [`ServiceError::Refused`]; [`ServiceError::Remote`].
    pub async fn find_first(&self, base: &str, proposal: &[u8], deadline: Deadline) -> Result<Option<Bytes>, ServiceError> {
        let body = [br#"{"entries":["#, proposal, b"]}"].concat();
        let request = Self::request(Method::POST, base, "/api/v1/log/entries/retrieve")?.body("application/json", body);
        let response = self.send(&request, deadline).await?;
        if response.status != 200 {
            return Err(refused(&response));
        }
        let no_list = |_| RemoteError::bad_answer(response.origin.to_string(), "it answered a search for an entry with no list");
        let found: Vec<&RawValue> = serde_json::from_slice(&response.body).map_err(no_list)?;
        Ok(found.first().map(|entry| Bytes::copy_from_slice(entry.get().as_bytes())))
    }

    /// What the Rekor v2 at `base` answers to a request for an entry.
    ///
    /// # Errors
    /// [`ServiceError::Duplicate`] for one that it has already; [`ServiceError::Refused`]; [`ServiceError::Remote`].
    pub async fn enter_second(&self, base: &str, body: Vec<u8>, deadline: Deadline) -> Result<Logged, ServiceError> {
        let request = Self::request(Method::POST, base, "/api/v2/log/entries")?.body("application/json", body);
        let response = self.send(&request, deadline).await?;
        match response.status {
            200 | 201 => Ok(Logged::New(response.body)),
            409 => Err(ServiceError::Duplicate { host: response.origin.to_string() }),
            _ => Err(refused(&response)),
        }
    }
}

/// The id of the entry that a conflict names: of its `Location` only the last part counts, so that it leads to no other server.
fn uuid(response: &Response) -> Option<String> {
    let last = response.header("location")?.split(['?', '#']).next()?.rsplit('/').next()?;
    let is_id = UUID_DIGITS.contains(&last.len()) && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| last.to_ascii_lowercase())
}
