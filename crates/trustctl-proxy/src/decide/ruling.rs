//! What was decided about one image, and how long that may be repeated without looking again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use trustctl_core::assess::Assessment;
use trustctl_core::claim::SchemeName;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason, clean};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_core::verdict::{Verdict, VerdictKind};

use crate::answer::ManifestAnswer;
use crate::trust::Trust;

/// How long it is remembered that something is a signature or an attestation.
const EVIDENCE: Duration = Duration::from_secs(600);
/// Most signers that are told of a decision: more than policies ask for, and few enough for a line of the audit log.
const MAX_SIGNERS: usize = 16;

/// A decision about one image under one policy.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The image.
    pub subject: Subject,
    /// The bytes of its manifest, which have the subject's digest.
    pub manifest: Bytes,
    /// The verdict, after warn mode.
    pub verdict: VerdictKind,
    /// Why not; empty when trusted.
    pub reasons: Vec<Reason>,
    /// What is to be said although it passes.
    pub warnings: Vec<Reason>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Whose claims counted, in words.
    pub signers: Arc<[String]>,
    /// The scheme of the first of these claims.
    pub scheme: Option<SchemeName>,
    /// The trust it was reached under.
    pub fingerprint: Digest,
    /// When the evidence was gathered.
    pub gathered: Timestamp,
    /// Until when, on the monotonic clock, it may be repeated.
    pub good_until: Instant,
    /// From when on, on the monotonic clock, it is worth looking again before it must be.
    pub renew_from: Instant,
    /// The last moment of wall-clock time for which the verdict was computed.
    pub holds_until: Timestamp,
    /// Whether it rests on old evidence because newer could not be had.
    pub is_stale: bool,
    /// Whether it is no image but a signature or an attestation, which nobody's signature is asked for.
    pub is_evidence: bool,
    /// The answer with its manifest, once it was made: it is given many times.
    pub(crate) answer: OnceLock<ManifestAnswer>,
}

impl Ruling {
    /// That something is a signature or an attestation. Its bytes say so, and they cannot change.
    pub(super) fn of_evidence(trust: &Trust, (subject, manifest): (Subject, Bytes), now: Timestamp) -> Self {
        let good_until = Instant::now() + EVIDENCE;
        Self {
            subject,
            manifest,
            verdict: VerdictKind::Unsigned,
            reasons: Vec::new(),
            warnings: Vec::new(),
            rule: None,
            signers: Arc::default(),
            scheme: None,
            fingerprint: trust.fingerprint,
            gathered: now,
            good_until,
            renew_from: good_until,
            holds_until: now.saturating_add(EVIDENCE),
            is_stale: false,
            is_evidence: true,
            answer: OnceLock::new(),
        }
    }

    /// Whether it is trusted.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.verdict == VerdictKind::Trusted
    }

    /// Whether all it says is that servers could not be asked, or not with these credentials.
    pub(super) fn says_nothing_of_the_image(&self) -> bool {
        let is_about_servers = |code| matches!(code, Code::Unavailable | Code::OutOfBudget);
        let is_about_rights =
            |code| matches!(code, Code::AccessDenied | Code::CredentialHelper | Code::NoCredentials | Code::RealmRefused);
        self.reasons.iter().all(|reason| is_about_servers(reason.code) || is_about_rights(reason.code))
    }

    /// Whether it may be repeated under the trust with `fingerprint`.
    ///
    /// The wall clock may have been set back or forward: outside of the time it was computed for, a ruling is no longer good.
    #[must_use]
    pub fn is_good(&self, fingerprint: &Digest, now: Timestamp) -> bool {
        self.fingerprint == *fingerprint
            && Instant::now() < self.good_until
            && now <= self.holds_until
            && self.gathered <= now.saturating_add(super::CLOCK_SLACK)
    }

    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn weight(&self) -> u32 {
        let children: usize = self.subject.children.iter().map(|child| 256 + child.media_type.len()).sum();
        let reasons: usize = self.reasons.iter().chain(&self.warnings).map(|reason| 256 + reason.message.len()).sum();
        let signers: usize = self.signers.iter().map(|signer| 24 + signer.len()).sum();
        u32::try_from(1536 + self.manifest.len() + children + reasons + signers).unwrap_or(u32::MAX)
    }
}

/// The verdict of an assessment, with its words.
pub(super) struct Words {
    pub(super) verdict: VerdictKind,
    pub(super) reasons: Vec<Reason>,
    pub(super) warnings: Vec<Reason>,
    pub(super) rule: Option<String>,
    pub(super) signers: Arc<[String]>,
    pub(super) scheme: Option<SchemeName>,
}

impl Words {
    pub(super) fn of(assessment: Assessment) -> Self {
        let judgement = assessment.judgement;
        let claims = match &judgement.verdict {
            Verdict::Trusted { claims } => claims.as_slice(),
            _ => &[],
        };
        Self {
            signers: claims
                .iter()
                .take(MAX_SIGNERS)
                .map(|claim| clean(&format!("{} {}", claim.scheme, claim.principal)))
                .collect(),
            scheme: claims.first().map(|claim| claim.scheme),
            verdict: judgement.verdict.kind(),
            reasons: judgement.verdict.reasons().into_iter().cloned().collect(),
            warnings: judgement.warnings,
            rule: judgement.rule,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use trustctl_core::subject::ManifestBytes;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(seconds))
    }

    fn ruling() -> Ruling {
        let config =
            format!("{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:{:064}\",\"size\":2}}", 1);
        let text = format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[]}}");
        let announced = ManifestBytes { bytes: text.as_bytes(), announced: Some("application/vnd.oci.image.manifest.v1+json") };
        let begins = Instant::now();
        Ruling {
            subject: Subject::from_manifest("r.example/app".parse().unwrap(), None, announced).unwrap(),
            manifest: Bytes::from(text),
            verdict: VerdictKind::Trusted,
            reasons: Vec::new(),
            warnings: Vec::new(),
            rule: None,
            signers: Arc::default(),
            scheme: None,
            fingerprint: Digest::sha256_of(b"policy"),
            gathered: at(10_000),
            good_until: begins + Duration::from_secs(60),
            renew_from: begins + Duration::from_secs(30),
            holds_until: at(10_060),
            is_stale: false,
            is_evidence: false,
            answer: OnceLock::new(),
        }
    }

    #[test]
    fn a_ruling_is_good_under_its_policy_and_within_its_time_on_both_clocks() {
        let (ruling, policy) = (ruling(), Digest::sha256_of(b"policy"));
        assert!(ruling.is_good(&policy, at(10_000)) && ruling.is_good(&policy, at(10_060)));
        assert!(!ruling.is_good(&Digest::sha256_of(b"another"), at(10_000)), "another policy");
        assert!(!ruling.is_good(&policy, at(10_061)), "the wall clock was set forward");
        assert!(ruling.is_good(&policy, at(9_940)), "a clock that is a little behind");
        assert!(!ruling.is_good(&policy, at(9_939)), "the wall clock was set back");
        let over = Ruling { good_until: Instant::now(), ..ruling };
        assert!(!over.is_good(&policy, at(10_000)), "its time is over although the wall clock stood still");
    }
}
