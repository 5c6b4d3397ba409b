//! Why a signature is not what a Sigstore instance vouches for.

use sigstore_verify::bundle::Error as Structure;
use sigstore_verify::{CertificateError, Error, TimestampError, TransparencyLogError};
use trustctl_core::reason::{Code, Reason};

/// What is wrong with a signature, or with a trusted root: one code, and the words for this case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    /// The code to report.
    pub code: Code,
    /// What is wrong here. May quote what came from outside.
    pub detail: String,
    /// What was expected and what was found, where that can be said in few words.
    pub compared: Option<Box<(String, String)>>,
}

impl Fault {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), compared: None }
    }

    /// The same with what was expected and what was found.
    pub(crate) fn expected_found(self, expected: String, found: String) -> Self {
        Self { compared: Some(Box::new((expected, found))), ..self }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::CosignMalformed, detail)
    }

    /// A trusted root that cannot be used.
    pub(super) fn root(error: &dyn std::fmt::Display) -> Self {
        Self::new(Code::AnchorUnusable, format!("the trusted root cannot be used: {error}"))
    }

    /// What the library found, by the code that says the same.
    pub(super) fn of_library(error: &Error) -> Self {
        let code = match error {
            Error::SignatureInvalid(_) => Code::CosignBadSignature,
            // Which digest differs, the entry's or the statement's, the library says only in its words.
            Error::ArtifactMismatch(words) if words.contains("hashedrekord") => Code::CosignLogMismatch,
            Error::ArtifactMismatch(_) => Code::CosignDigestMismatch,
            Error::Certificate(error) => of_certificate(error),
            Error::TransparencyLog(error) => of_log(error),
            Error::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => Code::CosignTimeMissing,
            Error::Timestamp(_) => Code::CosignTimestampInvalid,
            Error::Bundle(Structure::MissingSigningTimeEvidence) => Code::CosignTimeMissing,
            Error::Bundle(Structure::MissingInclusionPromise(_)) => Code::CosignLogMissing,
            _ => Code::CosignMalformed,
        };
        let detail = match code {
            Code::CosignBadSignature => "the signature does not verify with the key it names".to_owned(),
            Code::CosignDigestMismatch => "it is validly signed, for something else".to_owned(),
            Code::CosignCertificateExpired => {
                "the certificate, or one above it, was not valid at a time that is proven for the signature".to_owned()
            }
            Code::CosignLogInvalid => "the log did not sign the promise, inclusion proof or checkpoint that is there".to_owned(),
            Code::CosignTimeMissing => "neither a log's promise nor a timestamp says when it was signed".to_owned(),
            _ => error.to_string(),
        };
        Self::new(code, detail)
    }

    /// The reason to report for the artifact found at `at`.
    #[must_use]
    pub fn reason(&self, at: &str) -> Reason {
        let reason = Reason::new(self.code, format!("{at}: {}", self.detail));
        match self.compared.as_deref() {
            Some((expected, found)) => reason.expected_found(expected, found),
            None => reason,
        }
    }
}

fn of_certificate(error: &CertificateError) -> Code {
    match error {
        CertificateError::Expired { .. } | CertificateError::NotYetValid { .. } => Code::CosignCertificateExpired,
        // The chain builder names the certificate that was not valid only in its words.
        CertificateError::ChainInvalid(words) if words.contains("CertExpired") || words.contains("CertNotValidYet") => {
            Code::CosignCertificateExpired
        }
        CertificateError::Sct(_) => Code::CosignCertificateUnlogged,
        CertificateError::Malformed(_) => Code::CosignMalformed,
        _ => Code::CosignCertificateUntrusted,
    }
}

fn of_log(error: &TransparencyLogError) -> Code {
    match error {
        TransparencyLogError::UnknownLog { .. } => Code::CosignLogUnknown,
        TransparencyLogError::EntryMismatch(_) => Code::CosignLogMismatch,
        TransparencyLogError::MalformedEntry(_) => Code::CosignMalformed,
        // A time before or after the certificate's, or one that is not yet: the library says which only in its words.
        TransparencyLogError::IntegratedTime(words) if words.contains("certificate validity") => Code::CosignCertificateExpired,
        TransparencyLogError::IntegratedTime(_) => Code::CosignTimeInFuture,
        _ => Code::CosignLogInvalid,
    }
}
