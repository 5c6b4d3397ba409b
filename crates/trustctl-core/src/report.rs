//! Reports: the JSON view of judgements. The schema is `docs/reference/verify-v1.schema.json`; additions only within v1.

use serde::Serialize;

use crate::claim::{Claim, SchemeName, Source};
use crate::digest::Digest;
use crate::judge::Judgement;
use crate::policy::Policy;
use crate::reason::{Reason, Step};
use crate::scheme::Findings;
use crate::time::Timestamp;
use crate::verdict::{Verdict, VerdictKind};

/// The `schema` member of a verification report.
pub const VERIFY_SCHEMA: &str = "trustctl/verify/v1";

/// The one object that `trustctl verify --output json` prints.
#[derive(Debug, Serialize)]
pub struct VerifyReport {
    /// Always [`VERIFY_SCHEMA`].
    pub schema: &'static str,
    /// The exit code of the run.
    pub exit: u8,
    /// The time as of which was judged, where it was given and is not now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// When the evidence was gathered, where it was saved earlier: what has happened since then is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gathered: Option<Timestamp>,
    /// One result for each image, in the order asked; empty when the run failed before looking at any.
    pub results: Vec<ImageReport>,
    /// Remarks that concern the run.
    pub warnings: Vec<ReasonReport>,
    /// Why the run failed as a whole, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ReasonReport>,
}

/// The result for one image.
#[derive(Debug, Serialize)]
pub struct ImageReport {
    /// The image as it was asked for.
    pub image: String,
    /// The digest that was judged; absent when the image could not be resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The verdict.
    pub verdict: VerdictKind,
    /// The policy and rule that decided.
    pub policy: PolicyReport,
    /// What each scheme found.
    pub schemes: Vec<SchemeReport>,
    /// Why not, the most telling first; empty when trusted.
    pub reasons: Vec<ReasonReport>,
    /// Remarks that did not change the verdict.
    pub warnings: Vec<ReasonReport>,
}

/// The policy and rule that decided.
#[derive(Debug, Serialize)]
pub struct PolicyReport {
    /// The policy's path, or `command line`.
    pub file: String,
    /// The rule's name, if a rule decided.
    pub rule: Option<String>,
}

/// What one scheme found.
#[derive(Debug, Serialize)]
pub struct SchemeReport {
    /// The scheme.
    pub scheme: SchemeName,
    /// What was proven.
    pub claims: Vec<Claim>,
    /// What was read and is not what it should be.
    pub problems: Vec<ProblemReport>,
    /// What could not be read.
    pub missing: Vec<ReasonReport>,
    /// Where it looked.
    pub looked_at: Vec<String>,
}

/// Evidence that is not what it should be.
#[derive(Debug, Serialize)]
pub struct ProblemReport {
    /// Where it was found.
    pub source: Source,
    /// What is wrong.
    #[serde(flatten)]
    pub reason: ReasonReport,
}

/// A reason with its name and all advice.
#[derive(Debug, Serialize)]
pub struct ReasonReport {
    /// The code, `TCnnnn`.
    pub code: String,
    /// Its name, `scheme.fact`.
    pub name: &'static str,
    /// What happened here.
    pub message: String,
    /// What was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What to do next.
    pub next: Vec<Step>,
}

/// One judged image with what led to the judgement.
#[derive(Debug)]
pub struct Judged<'a> {
    /// The image as it was asked for.
    pub image: &'a str,
    /// The digest, when it was resolved.
    pub digest: Option<Digest>,
    /// What each scheme found.
    pub findings: &'a [Findings],
    /// The judgement.
    pub judgement: &'a Judgement,
}

impl ImageReport {
    /// The report on one judged image.
    #[must_use]
    pub fn new(policy: &Policy, judged: &Judged<'_>) -> Self {
        let judgement = judged.judgement;
        Self {
            image: judged.image.to_owned(),
            digest: judged.digest,
            verdict: judgement.verdict.kind(),
            policy: PolicyReport { file: policy.name.clone(), rule: judgement.rule.clone() },
            schemes: judged.findings.iter().map(SchemeReport::new).collect(),
            reasons: judgement.verdict.reasons().into_iter().map(ReasonReport::new).collect(),
            warnings: judgement.warnings.iter().map(ReasonReport::new).collect(),
        }
    }

    /// The claims that made the image trusted.
    #[must_use]
    pub fn accepted(verdict: &Verdict) -> &[Claim] {
        match verdict {
            Verdict::Trusted { claims } => claims,
            _ => &[],
        }
    }
}

impl SchemeReport {
    fn new(findings: &Findings) -> Self {
        let problems = findings
            .problems
            .iter()
            .map(|problem| ProblemReport { source: problem.source.clone(), reason: ReasonReport::new(&problem.reason) });
        Self {
            scheme: findings.scheme,
            claims: findings.claims.clone(),
            problems: problems.collect(),
            missing: findings.missing.iter().map(|missing| ReasonReport::new(&missing.reason)).collect(),
            looked_at: findings.looked_at.clone(),
        }
    }
}

impl ReasonReport {
    /// The report on one reason: its own steps, or the advice of its code where it has none.
    #[must_use]
    pub fn new(reason: &Reason) -> Self {
        let mut next = reason.next.clone();
        if next.is_empty() {
            next.push(Step::words(reason.code.advice()));
        }
        Self {
            code: reason.code.id(),
            name: reason.code.name(),
            message: reason.message.clone(),
            expected: reason.expected.clone(),
            found: reason.found.clone(),
            next,
        }
    }
}
