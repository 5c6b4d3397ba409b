//! Why a lab could not be set up or used.

use std::path::PathBuf;

/// Why the lab could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The cryptographic library could not make a key or a signature.
    #[error("the cryptographic library failed")]
    Crypto,
    /// A certificate or another ASN.1 structure could not be written.
    #[error("cannot write ASN.1: {0}")]
    Der(#[from] der::Error),
    /// A folder was named that holds something that no lab has written.
    #[error("the folder {} is neither empty nor a former lab's", .0.display())]
    Folder(PathBuf),
    /// A folder was named that another lab, which is running, has.
    #[error("another lab runs in the folder {}", .0.display())]
    FolderInUse(PathBuf),
    /// A request that the lab itself sent was not answered.
    #[error("request failed: {0}")]
    Http(#[from] reqwest::Error),
    /// A socket, thread or file failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no such repository, tag, manifest, blob or file in the lab.
    #[error("the lab has no {what}")]
    Missing {
        /// What was looked for.
        what: String,
    },
    /// A service of the lab answered a request of the lab with this status.
    #[error("{what} was answered with {status}: {body}")]
    Refused {
        /// The request.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The start of the answer's body.
        body: String,
    },
    /// The TLS library refused its configuration.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl From<aws_lc_rs::error::Unspecified> for LabError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}

pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> LabError {
    move |source| LabError::Io { what, source }
}
