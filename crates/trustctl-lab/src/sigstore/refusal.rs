//! Why a Sigstore service refuses a request, and how each of them writes that down.

use std::fmt;

use hyper::StatusCode;
use serde_json::json;

use crate::answer::{self, Answer};
use crate::error::LabError;

/// A refused request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message.to_string())
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here")
    }

    pub(crate) fn unauthenticated(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message.to_string())
    }

    /// `{"code","message"}` with the HTTP status, as Rekor v1 and the timestamp authority answer.
    pub(crate) fn plain(&self) -> Answer {
        answer::json_value(self.status, &json!({"code": self.status.as_u16(), "message": self.message}))
    }

    /// `{"code","message","details"}` with the gRPC status, as Fulcio and Rekor v2 answer behind their gateway.
    pub(crate) fn grpc(&self) -> Answer {
        let code = grpc_code(self.status);
        answer::json_value(self.status, &json!({"code": code, "message": self.message, "details": []}))
    }

    /// `{"error","error_description"}` (RFC 6749, section 5.2), whose `error` is the message up to the first colon.
    pub(crate) fn oauth(&self) -> Answer {
        let (error, description) = self.message.split_once(": ").unwrap_or((&self.message, ""));
        answer::json_value(self.status, &json!({"error": error, "error_description": description}))
    }
}

/// The status of google.rpc.Code that a gateway turns into this HTTP status.
fn grpc_code(status: StatusCode) -> u8 {
    match status {
        StatusCode::BAD_REQUEST => 3,
        StatusCode::GATEWAY_TIMEOUT => 4,
        StatusCode::NOT_FOUND => 5,
        StatusCode::CONFLICT => 6,
        StatusCode::FORBIDDEN => 7,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::NOT_IMPLEMENTED => 12,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::UNAUTHORIZED => 16,
        _ => 13,
    }
}

impl From<LabError> for Refusal {
    fn from(error: LabError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}
