//! Why the store does not give or take something.

use trustctl_core::reason::{Code, Reason};

/// Why the store does not give or take something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file or an entry in it is not what was written. It is left as it is.
    #[error("the store {file} is damaged: {detail}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// Reading or writing failed.
    #[error("the store {file} cannot be read or written: {detail}")]
    Failed {
        /// The file.
        file: String,
        /// What the system says.
        detail: String,
    },
    /// Another process has it open.
    #[error("the store {file} is in use by another process")]
    InUse {
        /// The file.
        file: String,
    },
    /// The evidence is larger than is kept.
    #[error("{size} bytes of evidence are more than the {limit} that are kept of one image")]
    TooLarge {
        /// The bytes it has.
        size: usize,
        /// The most that are kept.
        limit: usize,
    },
    /// It was written by another version of this program.
    #[error("the store {file} has version {found}, and this program reads version {expected}")]
    Version {
        /// The file.
        file: String,
        /// The version it has.
        found: u64,
        /// The version that is read.
        expected: u64,
    },
}

impl StoreError {
    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Damaged { .. } | Self::InUse { .. } | Self::Version { .. } => Code::StoreUnusable,
            Self::Failed { .. } => Code::StoreFailed,
            Self::TooLarge { .. } => Code::TooLarge,
        };
        Reason::new(code, self.to_string())
    }
}

impl From<StoreError> for Reason {
    fn from(error: StoreError) -> Self {
        error.reason()
    }
}
