//! What the library finds wrong with metadata, by the code that says the same.

use std::error::Error as _;

use sigstore_tuf::Error;
use trustctl_core::reason::{Code, Reason};

/// A metadata file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetadataFile {
    Root,
    Snapshot,
    Targets,
    Timestamp,
}

impl MetadataFile {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "root.json",
            Self::Snapshot => "snapshot.json",
            Self::Targets => "targets.json",
            Self::Timestamp => "timestamp.json",
        }
    }

    pub(super) fn fault(self, error: &Error) -> Reason {
        let code = match error {
            Error::BadRootVersion { .. } => Code::AnchorRotation,
            Error::Expired { .. } => Code::AnchorExpired,
            Error::IntegrityMismatch(_) => Code::AnchorHashMismatch,
            Error::Rollback { .. } => Code::AnchorRolledBack,
            Error::DuplicateSignature { .. } | Error::ThresholdNotMet { .. } => Code::AnchorNotSigned,
            _ => Code::AnchorMalformed,
        };
        // The library's error says what is wrong, and its cause where.
        let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
        Reason::new(code, format!("{}: {error}{cause}", self.name()))
    }
}

pub(super) fn malformed(file: MetadataFile, detail: &str) -> Reason {
    Reason::new(Code::AnchorMalformed, format!("{}: {detail}", file.name()))
}
