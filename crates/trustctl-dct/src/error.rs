//! What can be wrong with a collection's files, and the reason code of each.

use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use crate::canonical_json::JsonError;
use crate::certificate::CertificateFault;

/// What is wrong with one file of a collection, or with the file as part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DctError {
    /// The root is not signed by the keys of the root before it.
    #[error("root version {offered} is not signed by the keys of root version {trusted}")]
    BadRotation {
        /// Version of the root trusted before.
        trusted: u64,
        /// Version of the root that is offered.
        offered: u64,
    },
    /// Fewer distinct keys of the role signed than its threshold asks for.
    #[error("{valid} valid signatures by keys of the role, {threshold} needed")]
    BadSignature {
        /// Distinct keys of the role with a valid signature.
        valid: u32,
        /// The role's threshold.
        threshold: u32,
    },
    /// The end date lies before the time of judging.
    #[error("expired at {0}")]
    Expired(Timestamp),
    /// The bytes do not have the hash the signed parent names.
    #[error("hash {found} is not the signed {expected}")]
    HashMismatch {
        /// The hash in the parent.
        expected: Digest,
        /// The hash of the bytes.
        found: Digest,
    },
    /// A key does not hash to the id it is listed under.
    #[error("the key listed as {listed} has the id {actual}")]
    KeyIdMismatch {
        /// The id it is listed under.
        listed: String,
        /// Its real id.
        actual: String,
    },
    /// It is not of Notary's format.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// A file that signed metadata names does not exist.
    #[error("the server does not have it")]
    MissingFile,
    /// The version is lower than one that was verified before.
    #[error("version {offered} is older than {seen}, which was seen before")]
    Rollback {
        /// The highest version verified before.
        seen: u64,
        /// The version that is offered.
        offered: u64,
    },
    /// No certificate of the root role is acceptable.
    #[error("{0}")]
    RootCertificate(#[from] CertificateFault),
    /// The root is neither pinned nor reached from a pinned one, and trust on first use is not allowed.
    #[error("the root keys {found} are neither pinned nor reached from a pinned key by signed rotations")]
    RootNotPinned {
        /// The root role's key ids, separated by spaces.
        found: String,
    },
    /// The snapshot does not name the file of a role that is still delegated to and was verified before.
    #[error("the snapshot does not name it any more, and version {seen} was seen before")]
    Withdrawn {
        /// The highest version verified before.
        seen: u64,
    },
    /// The number of bytes is not the declared one.
    #[error("{} bytes where {declared} are declared", .actual.map_or_else(|| "more".to_owned(), |actual| actual.to_string()))]
    WrongLength {
        /// The length in the signed parent.
        declared: u64,
        /// The number of bytes; `None` when reading stopped at the declared length.
        actual: Option<u64>,
    },
}

/// How a file departs from Notary's format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A field is spelt in another case; readers would disagree about which one counts.
    #[error("field \"{written}\" of {of} must be spelt \"{field}\"")]
    CaseVariant {
        /// The object.
        of: &'static str,
        /// The right spelling.
        field: &'static str,
        /// The spelling found.
        written: String,
    },
    /// It is not JSON by the rules of [`crate::canonical_json`].
    #[error("not acceptable JSON: {0}")]
    Json(#[from] JsonError),
    /// A field that must be there is not.
    #[error("field \"{field}\" of {of} is missing")]
    Missing {
        /// The object.
        of: &'static str,
        /// The field.
        field: &'static str,
    },
    /// There are more of something than any honest collection has.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A field has a value that the format does not allow.
    #[error("field \"{field}\" of {of} is not {expected}")]
    Value {
        /// The object.
        of: &'static str,
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl DctError {
    /// The reason code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::BadRotation { .. } => Code::DctBadRotation,
            Self::BadSignature { .. } => Code::DctBadSignature,
            Self::Expired(_) => Code::DctExpired,
            Self::HashMismatch { .. } => Code::DctHashMismatch,
            Self::KeyIdMismatch { .. } => Code::DctKeyIdMismatch,
            Self::Malformed(_) => Code::DctMalformed,
            Self::MissingFile => Code::DctMissingFile,
            Self::Rollback { .. } | Self::Withdrawn { .. } => Code::DctRollback,
            Self::RootCertificate(_) => Code::DctRootCertificate,
            Self::RootNotPinned { .. } => Code::DctRootNotPinned,
            Self::WrongLength { .. } => Code::DctWrongLength,
        }
    }

    /// The reason to report when this is wrong with `file`.
    #[must_use]
    pub fn reason(&self, file: &str) -> Reason {
        let reason = Reason::new(self.code(), format!("{file}: {self}"));
        match self {
            Self::HashMismatch { expected, found } => reason.expected_found(expected, found),
            Self::KeyIdMismatch { listed, actual } => reason.expected_found(listed, actual),
            Self::Rollback { seen, offered } => {
                reason.expected_found(format!("version {seen} or newer"), format!("version {offered}"))
            }
            Self::Withdrawn { seen } => reason.expected_found(format!("version {seen} or newer"), "no file"),
            Self::WrongLength { declared, actual: Some(actual) } => reason.expected_found(declared, actual),
            _ => reason,
        }
    }
}
