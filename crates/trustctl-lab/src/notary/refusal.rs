//! What a Notary server answers when it says no (Notary, `server/errors` and `tuf/validation`).

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::answer::{self, Answer};

/// Why an upload is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// Metadata that other metadata needs is not there.
    BadHierarchy {
        missing: &'static str,
        message: String,
    },
    BadRoot(String),
    BadSnapshot(String),
    BadTargets(String),
    /// A stored file cannot be used. The server says nothing about it.
    Stored,
    Validation(String),
}

impl Invalid {
    fn detail(&self) -> Value {
        let named = |name: &str, message: &str| json!({"Name": name, "Error": {"Msg": message}});
        match self {
            Self::BadHierarchy { missing, message } => {
                json!({"Name": "ErrBadHierarchy", "Error": {"Missing": missing, "Msg": message}})
            }
            Self::BadRoot(message) => named("ErrBadRoot", message),
            Self::BadSnapshot(message) => named("ErrBadSnapshot", message),
            Self::BadTargets(message) => named("ErrBadTargets", message),
            Self::Stored => Value::Null,
            Self::Validation(message) => named("ErrValidation", message),
        }
    }
}

/// A request that a Notary server refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidRole(String),
    InvalidParameters(String),
    InvalidUpdate(Invalid),
    MalformedJson,
    MalformedUpload,
    MetadataNotFound,
    NoFilename,
    OldVersion,
    /// The server cannot go on: no key, or a stored file that cannot be used.
    Unknown,
    Updating,
}

impl Refusal {
    pub(crate) fn answer(&self) -> Answer {
        let (status, code, message, detail) = match self {
            Self::InvalidParameters(detail) => {
                (400, "INVALID_PARAMETERS", "The parameters provided are not valid.", json!(detail))
            }
            Self::InvalidRole(role) => {
                (400, "INVALID_ROLE", "The role you are attempting to operate on is invalid.", json!(role))
            }
            Self::InvalidUpdate(why) => (400, "INVALID_UPDATE", "Update sent by the client is invalid.", why.detail()),
            Self::MalformedJson => {
                (400, "MALFORMED_JSON", "JSON sent by the client could not be parsed by the server", Value::Null)
            }
            Self::MalformedUpload => (400, "MALFORMED_UPLOAD", "The body of your request is malformed.", Value::Null),
            Self::MetadataNotFound => (404, "METADATA_NOT_FOUND", "You have requested metadata that does not exist.", json!({})),
            Self::NoFilename => (400, "NO_FILENAME", "No file/role name provided.", Value::Null),
            Self::OldVersion => (400, "VERSION", "A newer version of metadata is already available.", json!({})),
            Self::Unknown => (500, "UNKNOWN", "unknown error", json!({})),
            Self::Updating => (500, "UPDATING", "An error has occurred while updating the TUF repository.", Value::Null),
        };
        answer::error(StatusCode::from_u16(status).unwrap_or_default(), code, message, detail)
    }
}
