//! Why talking to a server did not give an answer that counts.

use std::time::Duration;

use trustctl_core::evidence::{Refusal, RefusalKind};
use trustctl_core::reason::{Code, Reason, Step, clean};

/// Why a server's answer does not count, or why it was not asked.
///
/// Texts from outside are cleaned when the error is made; no variant holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The answer does not follow its protocol.
    #[error("{host}: {detail}")]
    BadAnswer {
        /// Who answered.
        host: String,
        /// What is wrong with the answer.
        detail: String,
    },
    /// TLS could not be set up because of a certificate.
    #[error("{host}: {detail}")]
    CertificateRefused {
        /// Who was asked.
        host: String,
        /// Which certificate, and why.
        detail: String,
    },
    /// A local file that says how to talk to a server cannot be used.
    #[error("{file}: {detail}")]
    Configuration {
        /// The file or folder.
        file: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The registry says that somebody else is changing the same at this moment.
    #[error("{host} reports a conflict{detail}")]
    Conflict {
        /// Who answered.
        host: String,
        /// The server's words, after a colon, or nothing.
        detail: String,
    },
    /// A credential helper did not do its work.
    #[error("credential helper {helper}: {detail}")]
    CredentialHelper {
        /// The program.
        helper: String,
        /// What it did instead; never its output.
        detail: String,
    },
    /// The registry does not delete.
    #[error("{host} answered {status} to a deletion{detail}")]
    DeleteRefused {
        /// Who answered.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The server's words, after a colon, or nothing.
        detail: String,
    },
    /// 401 or 403.
    #[error("{host} answered {status}{detail}")]
    Denied {
        /// Who answered.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The server's words, after a colon, or nothing.
        detail: String,
    },
    /// The registry refuses to change what an existing tag means.
    #[error("{host} does not change the tag {tag}: {detail}")]
    ImmutableTag {
        /// Who answered.
        host: String,
        /// The tag.
        tag: String,
        /// The server's words.
        detail: String,
    },
    /// Credentials are needed and none are known.
    #[error("{host} wants credentials, and none are known for {account}")]
    NoCredentials {
        /// Who asked for them.
        host: String,
        /// The name they were looked up by.
        account: String,
    },
    /// The server says, in the form of its protocol, that this does not exist.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The time for the whole operation was used up.
    #[error("the time for the whole operation was used up while waiting for {host}")]
    OutOfTime {
        /// Who was being waited for.
        host: String,
    },
    /// Somebody else published since this upload was prepared: read again, prepare it again, send it again.
    #[error("{host} has newer files than this upload was made from: {detail}")]
    OutdatedUpload {
        /// The Notary server.
        host: String,
        /// The server's words.
        detail: String,
    },
    /// Plain HTTP would be needed, and the server is neither on loopback nor named for it.
    #[error("{host} would be asked without TLS")]
    PlainHttp {
        /// The server.
        host: String,
    },
    /// The server names a token server that it may not name.
    #[error("{host} points to the token server {realm}: {why}")]
    RealmRefused {
        /// Who names it.
        host: String,
        /// The address it names.
        realm: String,
        /// Which rule forbids it.
        why: &'static str,
    },
    /// More bytes than were allowed.
    #[error("{host} sent more than {limit} bytes")]
    TooLarge {
        /// Who sent them.
        host: String,
        /// The most bytes that are read.
        limit: u64,
    },
    /// 429, 5xx, connection trouble or timeout.
    #[error("{host}: {detail}, {tries} {}", if *tries == 1 { "try" } else { "tries" })]
    Unavailable {
        /// Who was asked.
        host: String,
        /// What happened last.
        detail: String,
        /// How often it was tried.
        tries: u32,
        /// How long the server asks to wait, from `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The Notary server does not take the upload; sending it again is of no use.
    #[error("{host} refused the upload: {detail}")]
    UploadRefused {
        /// The Notary server.
        host: String,
        /// The server's words.
        detail: String,
    },
    /// The bytes do not have the digest they were asked or announced by.
    #[error("{host} served bytes with digest {found}, not {expected}")]
    WrongDigest {
        /// Who served them.
        host: String,
        /// The digest they should have.
        expected: String,
        /// The digest they have.
        found: String,
    },
}

impl RemoteError {
    /// [`RemoteError::BadAnswer`], its text cleaned.
    pub fn bad_answer(host: impl Into<String>, detail: impl AsRef<str>) -> Self {
        Self::BadAnswer { host: host.into(), detail: clean(detail.as_ref()) }
    }

    /// [`RemoteError::Configuration`], its texts cleaned.
    pub fn configuration(file: impl AsRef<str>, detail: impl AsRef<str>) -> Self {
        Self::Configuration { file: clean(file.as_ref()), detail: clean(detail.as_ref()) }
    }

    /// The code a user sees.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::BadAnswer { .. } => Code::BadAnswer,
            Self::Configuration { .. } => Code::ConfigUnusable,
            Self::Conflict { .. } => Code::PublishConflict,
            Self::CredentialHelper { .. } => Code::CredentialHelper,
            Self::DeleteRefused { .. } => Code::DeleteRefused,
            Self::Denied { .. } => Code::AccessDenied,
            Self::ImmutableTag { .. } => Code::ImmutableTag,
            Self::NoCredentials { .. } => Code::NoCredentials,
            Self::NotFound { .. } => Code::ImageNotFound,
            Self::OutOfTime { .. } => Code::OutOfBudget,
            Self::OutdatedUpload { .. } => Code::PublishConflict,
            Self::PlainHttp { .. } => Code::PlainHttp,
            Self::RealmRefused { .. } => Code::RealmRefused,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::CertificateRefused { .. } | Self::Unavailable { .. } => Code::Unavailable,
            Self::UploadRefused { .. } => Code::DctPublishRefused,
            Self::WrongDigest { .. } => Code::WrongDigest,
        }
    }

    /// How long the server asks to wait before another try; `None` when it asks for nothing.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let reason = Reason::new(self.code(), self.to_string());
        match self {
            Self::CertificateRefused { host, .. } => reason.step(Step::words(format!(
                "if the server's issuer is your own, put its certificate into certs.d/{host}/ca.crt beside Docker's configuration, \
                 or name its file in SSL_CERT_FILE"
            ))),
            Self::WrongDigest { expected, found, .. } => reason.expected_found(expected, found),
            _ => reason,
        }
    }

    /// The refusal to file in the evidence. An outage, a denial and a broken answer stay apart; none reads as "absent".
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let kind = match self {
            Self::CredentialHelper { .. } | Self::Denied { .. } | Self::NoCredentials { .. } | Self::RealmRefused { .. } => {
                RefusalKind::Denied
            }
            Self::CertificateRefused { .. }
            | Self::Configuration { .. }
            | Self::Conflict { .. }
            | Self::PlainHttp { .. }
            | Self::Unavailable { .. } => RefusalKind::Unavailable,
            Self::OutOfTime { .. } => RefusalKind::OutOfBudget,
            Self::TooLarge { .. } => RefusalKind::TooLarge,
            Self::WrongDigest { .. } => RefusalKind::WrongDigest,
            Self::BadAnswer { .. }
            | Self::DeleteRefused { .. }
            | Self::ImmutableTag { .. }
            | Self::NotFound { .. }
            | Self::OutdatedUpload { .. }
            | Self::UploadRefused { .. } => RefusalKind::Malformed,
        };
        Refusal { kind, detail: self.to_string() }
    }
}

impl From<RemoteError> for Reason {
    fn from(error: RemoteError) -> Self {
        error.reason()
    }
}
