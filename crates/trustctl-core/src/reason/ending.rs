//! How a run ends that fails for a reason. Every code is named here, so that a new one cannot be forgotten.

use super::Code;

/// What a run that fails for a reason has come to. A verification ends by its verdicts instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A policy, configuration, file or anchor cannot be used.
    Configuration,
    /// Somebody else changed the same thing meanwhile.
    Conflict,
    /// Credentials, a passphrase or a key's holder are missing or refuse.
    Credentials,
    /// The thing that was named does not exist.
    NotFound,
    /// Evidence was read, and it is not what it has to be.
    Rejected,
    /// None: the code is a remark, and no run fails for it.
    Remark,
    /// Something could not be fetched, sent or judged.
    Undecided,
    /// There is no signature.
    Unsigned,
    /// The command line is wrong.
    Usage,
}

impl Code {
    /// How a run ends that fails for this reason.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "one match without a default, so that the compiler finds a code that was forgotten"
    )]
    pub fn ending(self) -> Ending {
        match self {
            Self::AnchorUnusable | Self::ConfigUnusable | Self::LocalFile | Self::PlainHttp | Self::PolicyUnusable => {
                Ending::Configuration
            }
            Self::ExampleKey | Self::KeyExists | Self::KeyFileAccess | Self::KeyUnreadable | Self::KeyUnsupported => {
                Ending::Configuration
            }
            // What the remote side is set up to refuse stays refused however often it is asked.
            Self::DctCannotKeep | Self::DctInitialised | Self::DeleteRefused | Self::ImmutableTag => Ending::Configuration,
            Self::LegacyNotPossible | Self::ServiceMissing | Self::ServiceRefused | Self::SigningConfigUnusable => {
                Ending::Configuration
            }
            Self::QueueUnusable => Ending::Configuration,
            Self::AuditUnusable | Self::CacheUnusable | Self::StoreUnusable => Ending::Configuration,
            Self::AuditBroken => Ending::Rejected,
            Self::AuditFailed | Self::BlobTooLarge | Self::CacheFailed | Self::CacheFull | Self::StoreFailed => Ending::Undecided,
            Self::NotOurs => Ending::Rejected,
            Self::SignInFailed
            | Self::TokenAudience
            | Self::TokenExpired
            | Self::TokenIssuer
            | Self::TokenMalformed
            | Self::TokenMissing
            | Self::TokenPermission
            | Self::TokenRefused
            | Self::TokenSource
            | Self::TokenUnverified => Ending::Credentials,
            Self::DctPublishRefused | Self::PublishConflict | Self::TagMovedMeanwhile => Ending::Conflict,
            Self::AccessDenied | Self::CredentialHelper | Self::NoCredentials | Self::RealmRefused => Ending::Credentials,
            Self::DctKeyNeeded
            | Self::KeyringUnavailable
            | Self::KeySigningFailed
            | Self::PassphraseNeeded
            | Self::WrongPassphrase => Ending::Credentials,
            Self::DctRoleMissing | Self::ImageNotFound | Self::KeyNotFound => Ending::NotFound,
            Self::BadManifest | Self::WrongDigest => Ending::Rejected,
            Self::CosignAnnotationMismatch
            | Self::CosignAttestationOnly
            | Self::CosignBadSignature
            | Self::CosignDigestMismatch
            | Self::CosignMalformed
            | Self::CosignPredicateType
            | Self::CosignRepositoryMismatch
            | Self::CosignRepositoryUnnamed
            | Self::CosignRevoked
            | Self::CosignSelfCheck
            | Self::CosignTagMismatch
            | Self::CosignWrongIdentity
            | Self::CosignWrongKey => Ending::Rejected,
            Self::DctBadRotation
            | Self::DctBadSignature
            | Self::DctExpired
            | Self::DctHashMismatch
            | Self::DctKeyIdMismatch
            | Self::DctMalformed
            | Self::DctMissingFile
            | Self::DctRoleConflict
            | Self::DctRollback
            | Self::DctRootCertificate
            | Self::DctRootNotPinned
            | Self::DctSelfCheck
            | Self::DctStillSigned
            | Self::DctTagMoved
            | Self::DctWrongLength => Ending::Rejected,
            Self::PolicyAllowExpired
            | Self::PolicyAttestationMissing
            | Self::PolicyCaseFailed
            | Self::PolicyChildUntrusted
            | Self::PolicyDenied
            | Self::PolicyNestedIndex
            | Self::PolicyNoRule
            | Self::PolicyNoTime
            | Self::PolicyThreshold
            | Self::PolicyTooOld => Ending::Rejected,
            Self::PredicateCondition | Self::PredicateFieldMissing | Self::PredicateUnreadable | Self::PredicateWrongType => {
                Ending::Rejected
            }
            Self::AttestationNotDemanded | Self::PredicateForm | Self::StatementSubjects => Ending::Configuration,
            Self::AttestationAmbiguous => Ending::Usage,
            Self::PredicateTooComplex => Ending::Undecided,
            // The certificate, its log entries and its times were looked at, and do not hold.
            Self::CosignCertificateClaim
            | Self::CosignCertificateExpired
            | Self::CosignCertificateUnlogged
            | Self::CosignCertificateUntrusted
            | Self::CosignLogInvalid
            | Self::CosignLogMismatch
            | Self::CosignLogMissing
            | Self::CosignLogUnknown
            | Self::CosignThreshold
            | Self::CosignTimeInFuture
            | Self::CosignTimeMissing
            | Self::CosignTimestampInvalid => Ending::Rejected,
            Self::AnchorExpired
            | Self::AnchorHashMismatch
            | Self::AnchorMalformed
            | Self::AnchorNotSigned
            | Self::AnchorRolledBack
            | Self::AnchorRotation => Ending::Rejected,
            Self::AnchorExists | Self::AnchorForeign => Ending::Configuration,
            Self::AnchorUnknown => Ending::NotFound,
            Self::AnchorFileMissing | Self::AnchorNotFetched | Self::AnchorOutdated => Ending::Undecided,
            Self::AnchorOld
            | Self::Danger
            | Self::JournalUnwritten
            | Self::KeyEmptyPassphrase
            | Self::DctCached
            | Self::DctExpiresSoon
            | Self::DctFirstUse
            | Self::OldEvidence
            | Self::OtherTime
            | Self::PolicyAllowed
            | Self::PolicyDefaultAllow
            | Self::PolicyNotUsed
            | Self::PolicyRevocationByOther
            | Self::SecondLogEntry
            | Self::PolicyWarn
            | Self::ProxyBreakGlass
            | Self::ProxyPolicy
            | Self::ProxyStale
            | Self::ProxyToken
            | Self::ProxyTrustEnds => Ending::Remark,
            Self::ProxyAuditOnly => Ending::Remark,
            Self::ContainerdDigest | Self::ProxyBypassed | Self::ProxyCanary | Self::ProxyUnreached => Ending::Rejected,
            Self::ProxyCanaryLost | Self::ProxyUntold => Ending::Undecided,
            Self::ContainerdInput => Ending::Usage,
            Self::ClientNotEnforced => Ending::Remark,
            Self::ProxyCertificate | Self::ProxyConfig | Self::ProxyListen | Self::ProxySecret => Ending::Configuration,
            Self::ProxyCertificateKept | Self::ProxyPlain | Self::ProxyStoreAside => Ending::Remark,
            Self::ProxyNamespace | Self::ProxyNoUpstream => Ending::NotFound,
            Self::BadAnswer
            | Self::CosignKeylessUnjudged
            | Self::CosignLogUnjudged
            | Self::CosignTooMany
            | Self::LayoutAmbiguous
            | Self::NotGathered
            | Self::Offline
            | Self::OutOfBudget
            | Self::PolicyRevocationUnproven
            | Self::PublishNotVisible
            | Self::QueueNotEmpty
            | Self::SignatureQueued
            | Self::TooLarge
            | Self::Unavailable => Ending::Undecided,
            Self::CosignUnsigned | Self::DctDigestNotSigned | Self::DctNoData | Self::DctTagNotSigned => Ending::Unsigned,
            Self::BadReference | Self::DctBadChange | Self::KeyBadName | Self::TagNotAllowed | Self::UsageAnchor => Ending::Usage,
            Self::BadCommandLine | Self::BadValue | Self::ConfirmationNeeded | Self::NoSigningKey => Ending::Usage,
        }
    }
}
