//! The services that vouch for signatures: certificate authorities (Fulcio), transparency logs (Rekor v1 and v2), timestamp authorities.
//!
//! Bytes go out and come in, within limits; what they mean is not looked at here. TLS is spoken, except with loopback and servers that are
//! named for plain HTTP. A request is repeated while the deadline allows it: a certificate or timestamp more does no harm, and a log
//! remembers what it has.

mod fulcio;
mod rekor;
mod timestamp;

use bytes::Bytes;
use trustctl_core::reason::{Code, Reason, clean};

use crate::error::RemoteError;
use crate::http::origin::Origin;
use crate::http::{Http, Method, Request, Response};
use crate::limits::{Deadline, MAX_SERVICE_ANSWER, SERVICE_TRIES};

/// A client for signing services. Cloning is cheap and shares connections.
#[derive(Clone, Debug)]
pub struct Services {
    http: Http,
}

/// What a log answered to a request for an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// The entry that was just made.
    New(Bytes),
    /// An entry that the log said it had already. Whether it is the same has to be checked.
    There(Bytes),
}

/// Why a service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The log has an entry like this already and does not hand it out (Rekor v2). A new signature makes a new entry.
    #[error("{host} has an equivalent entry already")]
    Duplicate {
        /// The log.
        host: String,
    },
    /// The service refused.
    #[error("{host} refused with {status}{words}")]
    Refused {
        /// Who answered.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The server's words, after a colon, or nothing.
        words: String,
    },
    /// The certificate authority does not accept the identity token.
    #[error("{host} refused the identity token with {status}{words}")]
    TokenRefused {
        /// Who answered.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The server's words, after a colon, or nothing.
        words: String,
    },
    /// The service could not be asked, or what came back is no answer.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl ServiceError {
    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Duplicate { .. } => Reason::new(Code::NotOurs, self.to_string()),
            Self::Refused { .. } => Reason::new(Code::ServiceRefused, self.to_string()),
            Self::TokenRefused { .. } => Reason::new(Code::TokenRefused, self.to_string()),
            Self::Remote(error) => error.reason(),
        }
    }
}

impl From<ServiceError> for Reason {
    fn from(error: ServiceError) -> Self {
        error.reason()
    }
}

impl Services {
    /// A client. Connects to nobody.
    #[must_use]
    pub fn new(http: Http) -> Self {
        Self { http }
    }

    /// A request to `path` below the address `base`.
    fn request(method: Method, base: &str, path: &str) -> Result<Request, RemoteError> {
        let (origin, below) = Origin::parse_url(base)?;
        let mut request = Request::new(method, origin, format!("{below}{path}"));
        // An address without a path still asks for one.
        if request.path.is_empty() {
            request.path = "/".to_owned();
        }
        request.max_bytes = MAX_SERVICE_ANSWER;
        request.tries = SERVICE_TRIES;
        request.repeatable = true;
        Ok(request)
    }

    async fn send(&self, request: &Request, deadline: Deadline) -> Result<Response, RemoteError> {
        self.http.send(request, deadline).await
    }
}

/// The answer as a refusal.
fn refused(response: &Response) -> ServiceError {
    let (host, status) = (response.origin.to_string(), response.status);
    ServiceError::Refused { host, status, words: words(&response.body) }
}

/// What a service says for people: the `message` of its JSON, or a short text as it is.
fn words(body: &[u8]) -> String {
    let message = serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|value| match value.get("message") {
        Some(serde_json::Value::String(message)) => Some(message.clone()),
        _ => None,
    });
    match message {
        Some(message) if !message.is_empty() => format!(": {}", clean(&message)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_services_own_words_are_quoted_and_clean() {
        assert_eq!(words(br#"{"code":3,"message":"no \u001b[31m token"}"#), ": no \u{fffd}[31m token");
        for other in [&b"<html>"[..], b"{}", br#"{"message":7}"#, br#"{"message":""}"#, b""] {
            assert_eq!(words(other), "");
        }
    }
}
