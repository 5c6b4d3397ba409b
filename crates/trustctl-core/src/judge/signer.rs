//! Whether one signer of a rule has signed: the checks that bind a claim to the signer and to what was asked for.

use std::collections::BTreeSet;

use crate::claim::{Claim, Principal, SchemeName, Statement};
use crate::policy::{CosignDemands, Policy, Rule, SignedTag, SignerRule, describe};
use crate::reason::{Code, Reason};
use crate::reference::Tag;
use crate::scheme::{Findings, Problem, Unproven, authority_id};
use crate::subject::Subject;
use crate::time::Timestamp;

/// Everything one judgement by a rule looks at.
pub(super) struct Case<'a> {
    pub(super) policy: &'a Policy,
    pub(super) rule: &'a Rule,
    pub(super) subject: &'a Subject,
    /// The tag that was asked for.
    pub(super) asked: Option<&'a Tag>,
    pub(super) findings: &'a [Findings],
    pub(super) now: Timestamp,
}

/// What is known about one signer.
pub(super) enum Outcome {
    /// Nothing of this signer's scheme is there.
    Absent,
    /// It cannot be said.
    Blocked(Vec<Reason>),
    /// There is something, and it does not do.
    Failed(Vec<Reason>),
    /// This claim does.
    Satisfied(Box<Claim>),
}

impl<'a> Case<'a> {
    /// The findings of the schemes that the rule names.
    pub(super) fn consulted(&self) -> impl Iterator<Item = &'a Findings> {
        let schemes = self.policy.schemes(self.rule);
        self.findings.iter().filter(move |findings| schemes.contains(&findings.scheme))
    }

    /// Revocations of this manifest by somebody whose word counts here.
    pub(super) fn revocations(&self) -> impl Iterator<Item = &'a Claim> {
        let rules: Vec<&SignerRule> = self.whose_word_counts().collect();
        let digest = self.subject.digest;
        self.consulted().flat_map(|findings| &findings.claims).filter(move |claim| {
            matches!(claim.statement, Statement::Revocation { .. })
                && claim.digest == digest
                && rules.iter().any(|rule| is_by(rule, &claim.principal))
        })
    }

    /// What says that this manifest is withdrawn and is not proven: reasons against trusting it, where a signer whose word counts is
    /// named as the maker, and one remark about all others.
    pub(super) fn unproven(&self) -> (Vec<Reason>, Option<Reason>) {
        let rules: Vec<&SignerRule> = self.whose_word_counts().collect();
        let counts =
            |unproven: &&Unproven| unproven.by.as_ref().is_some_and(|by| rules.iter().any(|rule| names(rule, by.peek())));
        let (named, others): (Vec<_>, Vec<_>) =
            self.consulted().flat_map(|findings| &findings.unproven).partition(|unproven| counts(unproven));
        let against = |unproven: &Unproven| {
            let by = unproven.by.as_ref().map(|by| by.peek().to_string()).unwrap_or_default();
            let words = format!("says that it withdraws the image, by {by}, which is not proven: {}", unproven.reason.message);
            Reason::new(Code::PolicyRevocationUnproven, words).expected_found("no revocation", &unproven.source.at)
        };
        let remark = others.first().map(|first| {
            let by = first.by.as_ref().map_or_else(|| "somebody".to_owned(), |by| by.peek().to_string());
            let more = if others.len() > 1 { format!(" (and {} more)", others.len() - 1) } else { String::new() };
            let words = format!("{} says that {} is withdrawn, by {by}{more}", first.source.at, self.subject.digest);
            Reason::new(Code::PolicyRevocationByOther, words)
        });
        (named.into_iter().map(against).collect(), remark)
    }

    /// Whose revocations count here: required signers and revokers.
    fn whose_word_counts(&self) -> impl Iterator<Item = &'a SignerRule> {
        self.policy.revokers(self.rule)
    }

    /// The name the policy gives to a principal, or how it names itself.
    pub(super) fn name_of(&self, principal: &Principal) -> String {
        let named = self.policy.signers.iter().find(|(_, rule)| is_by(rule, principal));
        named.map_or_else(|| principal.to_string(), |(name, _)| format!("{name} ({principal})"))
    }

    /// Whether the signer `name` has signed.
    pub(super) fn outcome(&self, name: &str) -> Outcome {
        let Some(signer) = self.policy.signers.get(name) else {
            return Outcome::Failed(vec![Reason::new(Code::PolicyUnusable, format!("there is no signer \"{name}\""))]);
        };
        let Some(findings) = self.findings.iter().find(|findings| findings.scheme == signer.scheme()) else {
            return Outcome::Blocked(vec![Reason::new(Code::NotGathered, format!("{} was not examined", signer.scheme()))]);
        };
        let signed = || findings.claims.iter().filter(|claim| claim.statement == Statement::Signature && self.is_about(claim));
        let by_signer = signed().filter(|claim| claim.digest == self.subject.digest && is_by(signer, &claim.principal));
        let (mut refused, mut blocked) = (Vec::new(), Vec::new());
        for claim in by_signer {
            match self.check(signer, claim) {
                Ok(()) => return Outcome::Satisfied(Box::new(claim.clone())),
                Err(reason) if cannot_say(reason.code) => blocked.push(reason),
                Err(reason) => refused.push(reason),
            }
        }
        blocked.extend(findings.missing.iter().map(|missing| missing.reason.clone()));
        blocked.extend(unjudged(signer, &findings.problems));
        if !blocked.is_empty() {
            return Outcome::Blocked(blocked);
        }
        refused
            .extend(findings.problems.iter().filter(|problem| concerns(signer, problem)).map(|problem| problem.reason.clone()));
        let others: BTreeSet<String> = signed().map(|claim| claim.principal.to_string()).collect();
        if let (true, Some(first)) = (refused.is_empty(), others.first()) {
            let more = if others.len() > 1 { format!(" and {} more", others.len() - 1) } else { String::new() };
            let reason = Reason::new(somebody_else(signer), format!("signed, but not by {name}"));
            refused.push(reason.expected_found(wanted(signer), format!("{first}{more}")));
        }
        if refused.is_empty() { Outcome::Absent } else { Outcome::Failed(refused) }
    }

    /// Whether a claim speaks about what was asked for. A collection binds tags to digests, so that what it says of another tag is
    /// nothing about this one: an index that nobody signed must not borrow the name under which a platform image of it was signed.
    fn is_about(&self, claim: &Claim) -> bool {
        claim.scheme != SchemeName::Dct || self.asked.is_none_or(|asked| claim.tag.as_deref() == Some(asked.as_str()))
    }

    /// The checks that the rule and the signer add to a valid signature.
    fn check(&self, signer: &SignerRule, claim: &Claim) -> Result<(), Reason> {
        self.check_repository(claim)?;
        self.check_tag(claim)?;
        check_annotations(signer, claim)?;
        check_claims(signer, claim)?;
        check_log(signer, claim)?;
        self.check_age(claim)
    }

    fn check_repository(&self, claim: &Claim) -> Result<(), Reason> {
        let expected = self.rule.signed_repository.expected(&self.subject.repository);
        match &claim.repository {
            _ if self.rule.signed_repository.any => Ok(()),
            Some(named) if *named == expected => Ok(()),
            Some(named) => Err(Reason::new(
                Code::CosignRepositoryMismatch,
                format!("the signature by {} is for another repository", self.name_of(&claim.principal)),
            )
            .expected_found(expected, named)),
            None if self.rule.signed_repository.required => Err(Reason::new(
                Code::CosignRepositoryUnnamed,
                format!("the signature by {} names no repository", self.name_of(&claim.principal)),
            )
            .expected_found(expected, "no repository")),
            None => Ok(()),
        }
    }

    fn check_tag(&self, claim: &Claim) -> Result<(), Reason> {
        let (SignedTag::Same, Some(asked)) = (self.rule.signed_tag, self.asked) else { return Ok(()) };
        if claim.tag.as_deref() == Some(asked.as_str()) {
            return Ok(());
        }
        let words = format!("the signature by {} is not for this tag", self.name_of(&claim.principal));
        let found = claim.tag.as_deref().unwrap_or("no tag");
        Err(Reason::new(Code::CosignTagMismatch, words).expected_found(asked, found))
    }

    fn check_age(&self, claim: &Claim) -> Result<(), Reason> {
        let Some(limit) = self.rule.max_age else { return Ok(()) };
        match claim.signed_at {
            None => Err(Reason::new(
                Code::PolicyNoTime,
                format!("the signature by {} has no time that a third party vouches for", self.name_of(&claim.principal)),
            )),
            Some(time) if self.now.since(time) > limit => {
                let oldest = self.now.saturating_sub(limit);
                Err(Reason::new(Code::PolicyTooOld, "the signature is too old").expected_found(format!("after {oldest}"), time))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Whether `principal` is the signer that `rule` describes.
pub(super) fn is_by(rule: &SignerRule, principal: &Principal) -> bool {
    match (rule, principal) {
        (SignerRule::CosignKey { key, .. }, Principal::Key { fingerprint }) => key.fingerprint() == *fingerprint,
        (
            SignerRule::CosignIdentity { identity, issuer, demands },
            Principal::Identity { identity: named, issuer: by, sigstore },
        ) => demands.sigstore == *sigstore && identity.matches(named) && issuer.matches(by),
        (SignerRule::Dct { roots, authorities, tofu, role }, Principal::Role { role: named, effective, anchored_by, .. }) => {
            let right_role = role.as_ref().map_or(*effective, |role| role == named);
            let by_authority = |id: &String| authorities.iter().any(|der| *id == authority_id(der));
            let anchored = anchored_by.iter().any(|id| roots.contains(id) || by_authority(id));
            right_role && (anchored || (*tofu && roots.is_empty() && authorities.is_empty()))
        }
        _ => false,
    }
}

/// Whether a certificate that names `principal` could be of the signer that `rule` describes. Which Sigstore instance vouches for it is
/// what is not known.
fn names(rule: &SignerRule, principal: &Principal) -> bool {
    match (rule, principal) {
        (SignerRule::CosignIdentity { identity, issuer, .. }, Principal::Identity { identity: named, issuer: by, .. }) => {
            identity.matches(named) && issuer.matches(by)
        }
        _ => false,
    }
}

/// Whether a problem is worth telling when this signer's signature is looked for.
fn concerns(signer: &SignerRule, problem: &Problem) -> bool {
    match (signer, &problem.principal) {
        (SignerRule::Dct { role: Some(wanted), .. }, Some(Principal::Role { role, .. })) => wanted == role,
        (SignerRule::Dct { role: None, .. }, Some(Principal::Role { effective, .. })) => *effective,
        (_, Some(principal)) => is_by(signer, principal),
        (_, None) => !says_nothing_is_there(problem.reason.code),
    }
}

/// Whether a problem only says that there is nothing: then the image is unsigned, not rejected.
pub(super) fn says_nothing_is_there(code: Code) -> bool {
    matches!(code, Code::CosignUnsigned | Code::DctDigestNotSigned | Code::DctNoData | Code::DctTagNotSigned)
}

/// Whether a reason says that nothing at hand could judge, and not that something is wrong.
pub(super) fn cannot_say(code: Code) -> bool {
    matches!(code, Code::AnchorUnusable | Code::CosignKeylessUnjudged | Code::CosignLogUnjudged)
}

/// A signature by certificate may be the one an identity signer made, where nothing at hand could judge it.
fn unjudged(signer: &SignerRule, problems: &[Problem]) -> Vec<Reason> {
    let SignerRule::CosignIdentity { .. } = signer else { return Vec::new() };
    problems.iter().filter(|problem| cannot_say(problem.reason.code)).map(|problem| problem.reason.clone()).collect()
}

/// Who must have signed, in the form in which those who have are shown.
fn wanted(signer: &SignerRule) -> String {
    match signer {
        SignerRule::CosignIdentity { identity, issuer, demands } => {
            let by = demands.sigstore.as_ref().map(|name| format!(", by {name}")).unwrap_or_default();
            format!("{identity} (issuer {issuer}{by})")
        }
        SignerRule::CosignKey { key, .. } => Principal::Key { fingerprint: key.fingerprint() }.to_string(),
        SignerRule::Dct { .. } => describe(signer),
    }
}

fn somebody_else(signer: &SignerRule) -> Code {
    match signer {
        SignerRule::CosignIdentity { .. } => Code::CosignWrongIdentity,
        SignerRule::CosignKey { .. } => Code::CosignWrongKey,
        SignerRule::Dct { role: Some(_), .. } => Code::DctRoleMissing,
        SignerRule::Dct { role: None, .. } => Code::DctRootNotPinned,
    }
}

fn check_annotations(signer: &SignerRule, claim: &Claim) -> Result<(), Reason> {
    let Some(demands) = demands_of(signer) else { return Ok(()) };
    for (name, value) in &demands.annotations {
        let found = claim.annotations.get(name);
        if found != Some(value) {
            let words = format!("the signature by {} lacks a demanded annotation", claim.principal);
            let found = found.map_or_else(|| format!("no {name}"), |found| format!("{name}={found}"));
            return Err(Reason::new(Code::CosignAnnotationMismatch, words).expected_found(format!("{name}={value}"), found));
        }
    }
    Ok(())
}

/// What the certificate must say beside identity and issuer.
pub(super) fn check_claims(signer: &SignerRule, claim: &Claim) -> Result<(), Reason> {
    for (name, value) in demands_of(signer).iter().flat_map(|demands| &demands.claims) {
        let found = claim.certificate.get(name);
        if !found.is_some_and(|found| value.matches(found)) {
            let words = format!("the certificate of {} does not say what is demanded", claim.principal);
            let found = found.map_or_else(|| format!("no {name}"), |found| format!("{name} {found}"));
            return Err(Reason::new(Code::CosignCertificateClaim, words).expected_found(format!("{name} {value}"), found));
        }
    }
    Ok(())
}

/// A demanded log entry must be proven by the instance that the signer belongs to; a claimed one is none.
pub(super) fn check_log(signer: &SignerRule, claim: &Claim) -> Result<(), Reason> {
    let Some(demands) = demands_of(signer).filter(|demands| demands.log) else { return Ok(()) };
    if claim.log.proven.iter().any(|entry| entry.sigstore == demands.sigstore) {
        return Ok(());
    }
    if let Some((_, reason)) = claim.log.problems.iter().find(|(sigstore, _)| *sigstore == demands.sigstore) {
        return Err(reason.clone());
    }
    if matches!(&claim.principal, Principal::Identity { sigstore, .. } if *sigstore == demands.sigstore) {
        let words = format!("{}: no log entry comes with the signature by {}", claim.source.at, claim.principal);
        return Err(Reason::new(Code::CosignLogMissing, words));
    }
    let there = if claim.log_entries.is_empty() { "none is there" } else { "one is there, and no trusted root to judge it" };
    Err(Reason::new(Code::CosignLogUnjudged, format!("a log entry is demanded: {there}")))
}

fn demands_of(signer: &SignerRule) -> Option<&CosignDemands> {
    match signer {
        SignerRule::CosignIdentity { demands, .. } | SignerRule::CosignKey { demands, .. } => Some(demands),
        SignerRule::Dct { .. } => None,
    }
}
