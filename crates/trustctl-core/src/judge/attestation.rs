//! Whether the attestations that are demanded are there, by whom they must be, and say what they must.

use super::signer::{Case, Outcome, cannot_say, check_claims, check_log, is_by};
use crate::claim::{Claim, Statement};
use crate::policy::condition::Condition;
use crate::policy::{AttestationRule, Which};
use crate::predicate::short_name;
use crate::reason::{Code, Reason};
use crate::scheme::Problem;

/// What is known about everything that is demanded.
pub(super) struct Attested {
    /// One claim for each demand that is met.
    pub(super) claims: Vec<Claim>,
    /// What does not do.
    pub(super) failed: Vec<Reason>,
    /// What cannot be said.
    pub(super) blocked: Vec<Reason>,
}

impl<'a> Case<'a> {
    /// Whether every one of `demands` is met.
    pub(super) fn attested<'d>(&self, demands: impl Iterator<Item = &'d AttestationRule>) -> Attested {
        let mut attested = Attested { claims: Vec::new(), failed: Vec::new(), blocked: Vec::new() };
        for demand in demands {
            match self.attestation(demand) {
                Outcome::Absent => {}
                Outcome::Blocked(reasons) => attested.blocked.extend(reasons),
                Outcome::Failed(reasons) => attested.failed.extend(reasons),
                Outcome::Satisfied(claim) => attested.claims.push(*claim),
            }
        }
        attested
    }

    /// The attestations of a type about this manifest, by whomever.
    pub(super) fn of_type(&self, predicate_type: &str) -> impl Iterator<Item = &'a Claim> {
        let digest = self.subject.digest;
        self.consulted().flat_map(|findings| &findings.claims).filter(move |claim| {
            matches!(&claim.statement, Statement::Attestation { predicate_type: stated, .. } if stated == predicate_type)
                && claim.digest == digest
        })
    }

    fn attestation(&self, demand: &AttestationRule) -> Outcome {
        let (mut sound, mut failed, mut blocked) = (Vec::new(), Vec::new(), Vec::new());
        for claim in self.of_type(&demand.predicate_type) {
            let rules = demand.signers.iter().filter_map(|name| self.policy.signers.get(name));
            let by_signer = rules.filter(|rule| is_by(rule, &claim.principal));
            let checks = by_signer.map(|rule| check_claims(rule, claim).and_then(|()| check_log(rule, claim)));
            match checks.reduce(|one, other| one.or(other)) {
                None => {}
                Some(Ok(())) => sound.push(claim),
                Some(Err(reason)) if cannot_say(reason.code) => blocked.push(reason),
                Some(Err(reason)) => failed.push(reason),
            }
        }
        let mut decided = match demand.which {
            _ if demand.conditions.is_empty() => self.any_of(demand, &sound),
            Which::Any => self.any_of(demand, &sound),
            Which::Newest => self.newest_of(demand, &sound),
        };
        let only_newest = !demand.conditions.is_empty() && demand.which == Which::Newest;
        let unread = self.consulted().flat_map(|findings| &findings.missing).map(|missing| missing.reason.clone());
        // What is larger than is read never counts, so that it is not the newest one either.
        blocked.extend(unread.filter(|reason| !(only_newest && reason.code == Code::TooLarge)));
        match decided.satisfied.take() {
            Some(claim) if blocked.is_empty() || !only_newest => return Outcome::Satisfied(Box::new(claim.clone())),
            Some(_) => return Outcome::Blocked(blocked),
            None => {}
        }
        // That the newest one says otherwise stays so whatever else there is; only for a newer one it could be different.
        blocked.extend(decided.blocked);
        failed.extend(decided.failed);
        if !blocked.is_empty() {
            return Outcome::Blocked(blocked);
        }
        if failed.is_empty() {
            failed.push(self.none_there(demand));
        }
        Outcome::Failed(failed)
    }

    /// Whether one of them does.
    fn any_of(&self, demand: &AttestationRule, claims: &[&'a Claim]) -> Decided<'a> {
        let mut decided = Decided::default();
        for claim in claims {
            match self.check_attestation_age(demand, claim).and_then(|()| self.check_conditions(demand, claim)) {
                Ok(()) => return Decided { satisfied: Some(claim), ..Decided::default() },
                Err(reason) => decided.refuse(reason),
            }
        }
        decided
    }

    /// Whether the newest one does, and each that could be it.
    fn newest_of(&self, demand: &AttestationRule, claims: &[&'a Claim]) -> Decided<'a> {
        let newest = claims.iter().filter_map(|claim| claim.signed_at).max();
        let mut decided = Decided::default();
        let mut too_old = Vec::new();
        for claim in claims.iter().filter(|claim| claim.signed_at.is_none() || claim.signed_at == newest) {
            if let Err(reason) = self.check_conditions(demand, claim) {
                decided.refuse(reason);
                continue;
            }
            match self.check_attestation_age(demand, claim) {
                Ok(()) => decided.satisfied = Some(claim),
                Err(reason) => too_old.push(reason),
            }
        }
        if !(decided.failed.is_empty() && decided.blocked.is_empty()) {
            return Decided { satisfied: None, ..decided };
        }
        if decided.satisfied.is_none() {
            decided.failed = too_old;
        }
        decided
    }

    fn check_attestation_age(&self, demand: &AttestationRule, claim: &Claim) -> Result<(), Reason> {
        let Some(limit) = demand.max_age else { return Ok(()) };
        match claim.signed_at {
            Some(time) if self.now.since(time) <= limit => Ok(()),
            Some(time) => {
                let words = format!("{} is too old", self.attestation_in_words(demand, claim));
                let oldest = self.now.saturating_sub(limit);
                Err(Reason::new(Code::PolicyTooOld, words).expected_found(format!("after {oldest}"), time))
            }
            None => {
                let words = format!("{} has no time that a third party vouches for", self.attestation_in_words(demand, claim));
                Err(Reason::new(Code::PolicyNoTime, words))
            }
        }
    }

    fn check_conditions(&self, demand: &AttestationRule, claim: &Claim) -> Result<(), Reason> {
        if demand.conditions.is_empty() {
            return Ok(());
        }
        let words = || self.attestation_in_words(demand, claim);
        let Statement::Attestation { predicate, .. } = &claim.statement else { return Ok(()) };
        let value = predicate.value().map_err(|error| Reason::new(Code::PredicateUnreadable, format!("{}: {error}", words())))?;
        Condition::check_all(&demand.conditions, &value, self.now).map_err(|unmet| unmet.reason(&words()))
    }

    fn attestation_in_words(&self, demand: &AttestationRule, claim: &Claim) -> String {
        let kind = short_name(&demand.predicate_type);
        format!("attestation {kind} by {}, {} {}", self.name_of(&claim.principal), claim.source.form, claim.source.at)
    }

    /// Nothing of the type that counts; with what there is instead.
    fn none_there(&self, demand: &AttestationRule) -> Reason {
        let expected = format!("{} by {}", demand.predicate_type, demand.signers.join(" or "));
        let others = self.of_type(&demand.predicate_type).map(|claim| format!("one by {}", self.name_of(&claim.principal)));
        let kinds = self.consulted().flat_map(|findings| &findings.claims).filter_map(|claim| match &claim.statement {
            Statement::Attestation { predicate_type, .. } if *predicate_type != demand.predicate_type => {
                Some(format!("{predicate_type} by {}", self.name_of(&claim.principal)))
            }
            _ => None,
        });
        let mut found: Vec<String> = others.chain(kinds).collect();
        found.dedup();
        let found = if found.is_empty() { "none of that type that is proven".to_owned() } else { found.join(", ") };
        let words = format!("attestation {} by {}", short_name(&demand.predicate_type), demand.signers.join(" or "));
        Reason::new(Code::PolicyAttestationMissing, words).expected_found(expected, found).step(self.look())
    }

    /// What is wrong with evidence that could have been an attestation by one of the signers, or by somebody unknown.
    pub(super) fn troubles(&self, demand: &AttestationRule) -> Vec<Reason> {
        let rules: Vec<_> = demand.signers.iter().filter_map(|name| self.policy.signers.get(name)).collect();
        let concerns = |problem: &&Problem| {
            problem.principal.as_ref().is_none_or(|principal| rules.iter().any(|rule| is_by(rule, principal)))
                && problem.reason.code != Code::CosignAttestationOnly
        };
        self.consulted().flat_map(|findings| &findings.problems).filter(concerns).map(|problem| problem.reason.clone()).collect()
    }
}

/// What came of looking at several attestations.
#[derive(Default)]
struct Decided<'a> {
    satisfied: Option<&'a Claim>,
    failed: Vec<Reason>,
    blocked: Vec<Reason>,
}

impl Decided<'_> {
    fn refuse(&mut self, reason: Reason) {
        if reason.code == Code::PredicateTooComplex { self.blocked.push(reason) } else { self.failed.push(reason) }
    }
}
