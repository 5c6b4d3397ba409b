//! The judge: policy and findings in, verdict out. Pure, and the only place where trust is decided.
//!
//! The order is fixed: deny entries, allow entries, the most specific rule; then revocations, then the required signers, then
//! attestations. Evidence that could not be read blocks trust wherever it could have changed the answer.

mod attestation;
mod signer;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::claim::{Claim, Principal, SchemeName, Statement};
use crate::policy::{Applies, AttestationRule, DefaultAction, Platforms, Policy};
use crate::reason::{Code, Reason, Step};
use crate::reference::Tag;
use crate::scheme::Findings;
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::verdict::{Reasons, Verdict, VerdictKind, nothing_code};

use signer::{Case, Outcome, says_nothing_is_there};

/// A verdict with what it rests on.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The name of the rule that decided, if one did.
    pub rule: Option<String>,
    /// Remarks that did not change the verdict.
    pub warnings: Vec<Reason>,
    /// What could not be read and could hold a revocation, whatever the verdict: it blocks trust by way of children too.
    pub hidden: Vec<Reason>,
}

impl Judgement {
    fn new(verdict: Verdict) -> Self {
        Self { verdict, rule: None, warnings: Vec::new(), hidden: Vec::new() }
    }

    /// A judgement that could not begin, for `reason`.
    #[must_use]
    pub fn undecided(reason: Reason) -> Self {
        Self::new(Verdict::Undecided { missing: Reasons::one(reason) })
    }

    fn rejected(reason: Reason) -> Self {
        Self::new(Verdict::Rejected { reasons: Reasons::one(reason) })
    }
}

/// Judges one manifest by the policy and what the schemes found about it.
///
/// The same arguments always give the same judgement. Findings of schemes that the rule does not name are not looked at; a scheme
/// that it names and that has no findings blocks trust.
#[must_use]
pub fn judge(policy: &Policy, subject: &Subject, findings: &[Findings], now: Timestamp) -> Judgement {
    let judged = judge_strictly(policy, (subject, subject.tag.as_ref()), findings, now);
    warn_only(policy, subject, now, judged)
}

/// Judges what is attested about one manifest: whether the attestations of one predicate type that the rule demands are there and say
/// what they must. Whether the image is signed is not looked at; a revocation counts.
///
/// The problems in `findings` are taken for such as concern attestations of that type.
#[must_use]
pub fn judge_attestations(
    policy: &Policy,
    subject: &Subject,
    findings: &[Findings],
    predicate_type: &str,
    now: Timestamp,
) -> Judgement {
    if let Some(deny) = policy.deny.iter().find(|deny| deny.digest == subject.digest) {
        return Judgement::rejected(Reason::new(
            Code::PolicyDenied,
            format!("the policy denies {}: {}", subject.digest, deny.reason),
        ));
    }
    let rule = match policy.rule_for(&subject.repository) {
        Err(reason) => return Judgement::rejected(reason),
        Ok(None) => return uncovered(policy, subject),
        Ok(Some(rule)) => rule,
    };
    let case = Case { policy, rule, subject, asked: subject.tag.as_ref(), findings, now };
    let demands = || rule.attestations.iter().filter(|demand| demand.predicate_type == predicate_type);
    let verdict = if demands().next().is_none() {
        let words = format!("{} demands no attestation of the type {predicate_type}", case.rule_in_words());
        Verdict::Rejected { reasons: Reasons::one(Reason::new(Code::AttestationNotDemanded, words)) }
    } else {
        attestation_verdict(&case, &demands().collect::<Vec<_>>())
    };
    Judgement { rule: Some(rule.name.clone()), ..Judgement::new(verdict) }
}

fn attestation_verdict(case: &Case<'_>, demands: &[&AttestationRule]) -> Verdict {
    if let Some(reasons) = Reasons::ranked(case.revocations().map(|claim| case.revoked(claim)).collect()) {
        return Verdict::Rejected { reasons };
    }
    let hidden = case.consulted().flat_map(|findings| &findings.missing).filter(|missing| missing.may_hide_revocation);
    let hidden = hidden.map(|missing| missing.reason.clone()).chain(case.unproven().0).collect();
    let attested = case.attested(demands.iter().copied());
    match (Reasons::ranked(attested.failed.clone()), Reasons::ranked(attested.blocked), Reasons::ranked(hidden)) {
        (None, Some(missing), _) | (None, None, Some(missing)) => Verdict::Undecided { missing },
        (None, None, None) => Verdict::Trusted { claims: attested.claims },
        (Some(reasons), _, _) => {
            let troubles: Vec<Reason> = demands.iter().flat_map(|demand| case.troubles(demand)).collect();
            let nothing =
                demands.iter().all(|demand| case.of_type(&demand.predicate_type).next().is_none()) && troubles.is_empty();
            if nothing {
                let looked_at = case.consulted().flat_map(|findings| findings.looked_at.iter().cloned()).collect();
                return Verdict::Unsigned { looked_at, reasons };
            }
            // What is wrong with what is there tells more than that nothing else is.
            let telling =
                attested.failed.into_iter().filter(|reason| reason.code != Code::PolicyAttestationMissing || troubles.is_empty());
            let all = telling.chain(troubles.iter().cloned()).collect();
            Verdict::Rejected { reasons: Reasons::ranked(all).unwrap_or(reasons) }
        }
    }
}

/// The judgement before warn mode. `asked` is the tag the image was asked for by: for a platform image, that of its index.
pub(crate) fn judge_strictly(
    policy: &Policy,
    (subject, asked): (&Subject, Option<&Tag>),
    findings: &[Findings],
    now: Timestamp,
) -> Judgement {
    if let Some(child) = subject.children.iter().find(|child| policy.deny.iter().any(|deny| deny.digest == child.digest)) {
        let words = format!("the policy denies {}, a platform image of {}", child.digest, subject.digest);
        return Judgement::rejected(Reason::new(Code::PolicyDenied, words));
    }
    let rule = match policy.applies(&subject.repository, &subject.digest, now) {
        Err(reason) => return Judgement::rejected(reason),
        Ok(Applies::Deny(deny)) => {
            return Judgement::rejected(Reason::new(
                Code::PolicyDenied,
                format!("the policy denies {}: {}", subject.digest, deny.reason),
            ));
        }
        Ok(Applies::Allow(allow)) => {
            let words = format!("allowed until {} without a signature: {}", allow.until.date(), allow.reason);
            return passed_unchecked(Reason::new(Code::PolicyAllowed, words));
        }
        Ok(Applies::Default(DefaultAction::Allow)) => {
            let words = format!("no rule of {} covers {}; its default lets it through", policy.name, subject.repository);
            return passed_unchecked(Reason::new(Code::PolicyDefaultAllow, words));
        }
        Ok(Applies::Default(DefaultAction::Deny)) => return uncovered(policy, subject),
        Ok(Applies::Rule(rule)) => rule,
    };
    if let Some(reason) = policy.lacking(rule) {
        return Judgement { rule: Some(rule.name.clone()), ..Judgement::undecided(reason.clone()) };
    }
    let mut judgement = by_rule(&Case { policy, rule, subject, asked, findings, now });
    judgement.rule = Some(rule.name.clone());
    if let Some(allow) = policy.ended_allow(&subject.repository, &subject.digest)
        && !judgement.verdict.is_trusted()
    {
        let words = format!("the entry that allowed it ended {}", allow.until.date());
        judgement.warnings.push(Reason::new(Code::PolicyAllowExpired, words));
    }
    judgement
}

/// Whether the children of an index must be judged too before the verdict about the index is known.
#[must_use]
pub fn needs_children(policy: &Policy, subject: &Subject, whole: &Judgement, now: Timestamp) -> bool {
    let Ok(Applies::Rule(rule)) = policy.applies(&subject.repository, &subject.digest, now) else { return false };
    match rule.platforms {
        Platforms::Index => false,
        Platforms::Children => !subject.children.is_empty() && !speaks_against(whole),
        Platforms::Either => !subject.children.is_empty() && !whole.verdict.is_trusted() && !speaks_against(whole),
    }
}

/// The judgement about an index from the one about the index itself and those about all of its children, in its order.
///
/// Called only when [`needs_children`] says so. Children count when every one of them is trusted; one that is revoked or denied counts
/// whatever else is known.
#[must_use]
pub fn with_children(whole: &Judgement, subject: &Subject, children: Vec<Judgement>) -> Judgement {
    if children.len() != subject.children.len() || children.is_empty() {
        return whole.clone();
    }
    let kinds: BTreeSet<VerdictKind> = children.iter().map(|child| child.verdict.kind()).collect();
    let mut warnings = whole.warnings.clone();
    warnings.extend(children.iter().flat_map(|child| child.warnings.clone()));
    let judged = |verdict: Verdict| Judgement { verdict, warnings, ..whole.clone() };
    if kinds.iter().all(|kind| *kind == VerdictKind::Trusted) {
        if let Some(missing) = Reasons::ranked(whole.hidden.clone()) {
            return judged(Verdict::Undecided { missing });
        }
        let claims = children.into_iter().flat_map(|child| match child.verdict {
            Verdict::Trusted { claims } => claims,
            _ => Vec::new(),
        });
        return judged(Verdict::Trusted { claims: claims.collect() });
    }
    let withdrawn = children.iter().any(|child| for_good(&child.verdict));
    // Where no child is trusted either, the children explain nothing that the index does not, unless there is nothing on the index.
    let some_trusted = whole.verdict.is_trusted() || kinds.contains(&VerdictKind::Trusted);
    let only_unsigned = kinds.iter().all(|kind| *kind == VerdictKind::Unsigned);
    if !withdrawn && !some_trusted && (only_unsigned || whole.verdict.kind() != VerdictKind::Unsigned) {
        return whole.clone();
    }
    let rejected = kinds.contains(&VerdictKind::Rejected) || whole.verdict.kind() == VerdictKind::Rejected;
    let (reasons, undecided) = why_not(whole, subject, &children, some_trusted);
    let Some(reasons) = Reasons::ranked(reasons) else { return whole.clone() };
    judged(if undecided && !rejected { Verdict::Undecided { missing: reasons } } else { Verdict::Rejected { reasons } })
}

/// What is said against an index and its children, and whether some of it is only that something could not be read.
fn why_not(whole: &Judgement, subject: &Subject, children: &[Judgement], name_them: bool) -> (Vec<Reason>, bool) {
    let untrusted = children.iter().zip(&subject.children).filter(|(child, _)| !child.verdict.is_trusted());
    let mut reasons: Vec<Reason> = whole.verdict.reasons().into_iter().cloned().collect();
    let mut undecided = whole.verdict.kind() == VerdictKind::Undecided;
    for (judged, child) in untrusted {
        undecided |= judged.verdict.kind() == VerdictKind::Undecided;
        let platform = child.platform.as_deref().unwrap_or("unnamed platform");
        let words = format!("{platform} ({}) is {}", child.digest, judged.verdict.kind().word());
        if name_them {
            reasons.push(Reason::new(Code::PolicyChildUntrusted, words));
        }
        reasons.extend(judged.verdict.reasons().into_iter().cloned());
    }
    (reasons, undecided)
}

/// Whether something was read that speaks against the image as it was asked for: signed children do not mend that. An old index
/// under a moved tag has children that are signed as well.
fn speaks_against(judgement: &Judgement) -> bool {
    let against = [
        Code::CosignRepositoryMismatch,
        Code::CosignRevoked,
        Code::CosignTagMismatch,
        Code::DctRollback,
        Code::DctTagMoved,
        Code::PolicyDenied,
    ];
    matches!(&judgement.verdict, Verdict::Rejected { reasons } if against.iter().any(|code| reasons.has(*code)))
}

/// Whether it is rejected for what no mode of a rule and no signature lets through: it is denied or revoked, or what is in it cannot be
/// looked at for that.
fn for_good(verdict: &Verdict) -> bool {
    let never = [Code::BadManifest, Code::CosignRevoked, Code::PolicyDenied, Code::PolicyNestedIndex];
    matches!(verdict, Verdict::Rejected { reasons } if never.iter().any(|code| reasons.has(*code)))
}

fn passed_unchecked(warning: Reason) -> Judgement {
    Judgement { warnings: vec![warning], ..Judgement::new(Verdict::Trusted { claims: Vec::new() }) }
}

fn uncovered(policy: &Policy, subject: &Subject) -> Judgement {
    if let Some(allow) = policy.ended_allow(&subject.repository, &subject.digest) {
        let words = format!("the entry that allowed {} ended {}", subject.repository, allow.until.date());
        return Judgement::rejected(Reason::new(Code::PolicyAllowExpired, words));
    }
    let words = format!("no rule of {} covers {}", policy.name, subject.repository);
    Judgement::rejected(Reason::new(Code::PolicyNoRule, words))
}

/// A child of an index that somebody whose word counts has revoked, by what `findings` about it prove.
pub(crate) fn revoked_child(policy: &Policy, child: &Subject, findings: &[Findings], now: Timestamp) -> Option<Reasons> {
    let Ok(Applies::Rule(rule)) = policy.applies(&child.repository, &child.digest, now) else { return None };
    let case = Case { policy, rule, subject: child, asked: None, findings, now };
    Reasons::ranked(case.revocations().map(|claim| case.revoked(claim)).collect())
}

/// What says that a child of an index is withdrawn and is not proven: reasons against trusting the index, and a remark.
pub(crate) fn unproven_of_child(
    policy: &Policy,
    child: &Subject,
    findings: &[Findings],
    now: Timestamp,
) -> (Vec<Reason>, Option<Reason>) {
    let Ok(Applies::Rule(rule)) = policy.applies(&child.repository, &child.digest, now) else { return (Vec::new(), None) };
    Case { policy, rule, subject: child, asked: None, findings, now }.unproven()
}

/// In warn and audit mode everything passes but what is denied or revoked, or could be and cannot be looked into; it is reported as what it is.
pub(crate) fn warn_only(policy: &Policy, subject: &Subject, now: Timestamp, mut judgement: Judgement) -> Judgement {
    let Ok(Applies::Rule(rule)) = policy.applies(&subject.repository, &subject.digest, now) else { return judgement };
    let Some(until) = rule.warn_until.filter(|until| now <= *until) else { return judgement };
    if judgement.verdict.is_trusted() || for_good(&judgement.verdict) {
        return judgement;
    }
    let (code, does) = if rule.audit_only { (Code::ProxyAuditOnly, "records") } else { (Code::PolicyWarn, "warns") };
    let words =
        format!("rule \"{}\" only {does} until {}: the image is {}", rule.name, until.date(), judgement.verdict.kind().word());
    judgement.warnings.push(Reason::new(code, words));
    judgement.warnings.extend(judgement.verdict.reasons().into_iter().cloned());
    judgement.verdict = Verdict::Trusted { claims: Vec::new() };
    judgement
}

fn by_rule(case: &Case<'_>) -> Judgement {
    let (unproven, remark) = case.unproven();
    let warnings: Vec<Reason> = case.consulted().flat_map(|findings| findings.warnings.clone()).chain(remark).collect();
    let hidden = case.consulted().flat_map(|findings| &findings.missing).filter(|missing| missing.may_hide_revocation);
    let hidden: Vec<Reason> = hidden.map(|missing| missing.reason.clone()).chain(unproven).collect();
    let done = |verdict: Verdict| Judgement { verdict, rule: None, warnings: warnings.clone(), hidden: hidden.clone() };

    let revoked: Vec<Reason> = case.revocations().map(|claim| case.revoked(claim)).collect();
    if let Some(reasons) = Reasons::ranked(revoked) {
        return done(Verdict::Rejected { reasons });
    }
    let outcomes: Vec<Outcome> = case.rule.require.of.iter().map(|name| case.outcome(name)).collect();
    let verdict = count(case, outcomes);
    let Verdict::Trusted { claims } = verdict else { return done(verdict) };

    // The signers are satisfied. What could still say no: a revocation that could not be read, and demanded attestations.
    if let Some(missing) = Reasons::ranked(hidden.clone()) {
        return done(Verdict::Undecided { missing });
    }
    let attested = case.attested(case.rule.attestations.iter());
    match (attested.failed.is_empty(), attested.blocked.is_empty()) {
        (false, _) => done(rejected(attested.failed, claims)),
        (true, false) => done(undecided(attested.blocked, claims)),
        (true, true) => done(Verdict::Trusted { claims: claims.into_iter().chain(attested.claims).collect() }),
    }
}

fn undecided(reasons: Vec<Reason>, claims: Vec<Claim>) -> Verdict {
    Reasons::ranked(reasons).map_or(Verdict::Trusted { claims }, |missing| Verdict::Undecided { missing })
}

fn rejected(reasons: Vec<Reason>, claims: Vec<Claim>) -> Verdict {
    Reasons::ranked(reasons).map_or(Verdict::Trusted { claims }, |reasons| Verdict::Rejected { reasons })
}

/// Counts the signers' outcomes against the requirement. Signers that signed with a key in common are one signer.
fn count(case: &Case<'_>, outcomes: Vec<Outcome>) -> Verdict {
    let needed = case.rule.require.at_least.max(1);
    let total = case.rule.require.of.len();
    let (mut claims, mut failed, mut blocked) = (Vec::new(), Vec::new(), Vec::new());
    let mut open = 0_usize;
    for outcome in outcomes {
        match outcome {
            Outcome::Absent => {}
            Outcome::Blocked(reasons) => {
                open += 1;
                blocked.extend(reasons);
            }
            Outcome::Failed(reasons) => failed.extend(reasons),
            // One key under two names is one signer.
            Outcome::Satisfied(claim) if claims.iter().any(|other: &Claim| other.principal == claim.principal) => {}
            Outcome::Satisfied(claim) => claims.push(*claim),
        }
    }
    let satisfied = most_apart(&claims.iter().map(|claim| &claim.principal).collect::<Vec<_>>());
    if satisfied >= needed {
        return Verdict::Trusted { claims };
    }
    if satisfied + open >= needed
        && let Some(missing) = Reasons::ranked(blocked.clone())
    {
        return Verdict::Undecided { missing };
    }
    if satisfied > 0 {
        let shared = if satisfied < claims.len() { "; those that share a key count once" } else { "" };
        let words = format!("{satisfied} of the {needed} required signers signed ({total} are named{shared})");
        failed.push(Reason::new(Code::PolicyThreshold, words).expected_found(needed, satisfied));
    } else {
        failed.extend(blocked);
    }
    let by_others = |reason: Reason| match reason.code {
        Code::CosignWrongKey => reason.step(case.look()).step(Step::words(Code::CosignWrongKey.advice())),
        _ => reason,
    };
    match Reasons::ranked(failed.into_iter().map(by_others).collect()) {
        Some(reasons) => Verdict::Rejected { reasons },
        None => unsigned(case),
    }
}

/// Most signers whose choices are all tried: who controls what signs could else make the judge count for ever. Rules name a handful.
const MAX_TRIED: usize = 16;

/// The largest number of `principals` of whom no two share a key. Of more than [`MAX_TRIED`] the first are always counted: that
/// may be too few in all, never too many.
fn most_apart(principals: &[&Principal]) -> usize {
    let Some((first, rest)) = principals.split_first() else { return 0 };
    let apart: Vec<&Principal> = rest.iter().copied().filter(|other| !first.shares_key_with(other)).collect();
    let with_first = 1 + most_apart(&apart);
    // Who is in the way of one other at most can be counted at no loss.
    let lossless = rest.len() - apart.len() <= 1;
    if lossless || principals.len() > MAX_TRIED { with_first } else { with_first.max(most_apart(rest)) }
}

/// Nothing anywhere: one reason for each scheme that was looked at.
fn unsigned(case: &Case<'_>) -> Verdict {
    let mut looked_at = Vec::new();
    let mut reasons = Vec::new();
    for findings in case.consulted() {
        let words = format!(
            "{} asks for {}, and there is no such signature: looked at {}",
            case.rule_in_words(),
            findings.scheme,
            case.in_short(&findings.looked_at)
        );
        let said = findings.problems.iter().map(|problem| &problem.reason).find(|reason| says_nothing_is_there(reason.code));
        let reason = said.cloned().unwrap_or_else(|| Reason::new(nothing_code(findings.scheme), words));
        reasons.push(case.how_to_sign(reason, findings.scheme));
        looked_at.extend(findings.looked_at.iter().cloned());
    }
    match Reasons::ranked(reasons) {
        Some(reasons) => Verdict::Unsigned { looked_at, reasons },
        None => Verdict::Undecided { missing: Reasons::one(Reason::new(Code::NotGathered, "no scheme was examined")) },
    }
}

impl Case<'_> {
    /// The rule that asks, and where it is written.
    fn rule_in_words(&self) -> String {
        match self.rule.line {
            0 => format!("the {}", self.rule.name),
            line => format!("rule \"{}\" ({}:{line})", self.rule.name, self.policy.name),
        }
    }

    /// Places of this image without its long name, which the reader knows.
    fn in_short(&self, places: &[String]) -> String {
        let (repository, digest) = (&self.subject.repository, self.subject.digest);
        let (whole, tag) = (format!(" of {repository}@{digest}"), format!("{repository}:"));
        places.iter().map(|place| place.replace(&whole, "").replace(&tag, "tag ")).collect::<Vec<_>>().join(", ")
    }

    /// The steps that lead to a signature, for the user and for the publisher.
    fn how_to_sign(&self, reason: Reason, scheme: SchemeName) -> Reason {
        let image = format!("{}@{}", self.subject.repository, self.subject.digest);
        let mut sign: Vec<&str> = vec!["trustctl", "sign", &image];
        match scheme {
            SchemeName::Cosign => sign.extend(["--key", self.key_name()]),
            SchemeName::Dct => sign.extend(["--scheme", "dct"]),
        }
        match self.asked {
            Some(tag) => sign.extend(["--tag", tag.as_str()]),
            None if scheme == SchemeName::Dct => sign.extend(["--tag", "TAG"]),
            None => {}
        }
        reason.step(self.look()).step(Step::command("ask the publisher to sign it; if you publish it", sign))
    }

    /// The name of the stored key that was asked for, where the command line names one and no more.
    fn key_name(&self) -> &str {
        let stored =
            |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        match self.rule.require.of.iter().collect::<Vec<_>>().as_slice() {
            [only] if self.rule.line == 0 => only.strip_prefix("key ").filter(stored).unwrap_or("KEY"),
            _ => "KEY",
        }
    }

    /// What shows everything that there is about the image.
    fn look(&self) -> Step {
        let image = format!("{}@{}", self.subject.repository, self.subject.digest);
        Step::command("see what exists", ["trustctl", "inspect", &image])
    }

    fn revoked(&self, claim: &Claim) -> Reason {
        let (why, message) = match &claim.statement {
            Statement::Revocation { reason, message, .. } => (reason.as_str(), message.as_str()),
            _ => ("", ""),
        };
        Reason::new(Code::CosignRevoked, format!("revoked ({why}) by {}: {message}", self.name_of(&claim.principal)))
            .expected_found("no revocation", format!("{}: {}", claim.source.form, claim.source.at))
    }
}
