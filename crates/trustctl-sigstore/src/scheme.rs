//! Cosign as a scheme: what it asks for, and what the evidence proves.
//!
//! Both storage layouts are asked for at once and judged in full, each artifact by itself: one that is broken, foreign or too
//! large hides no other, and every one is reported. The digest is bound here. Repository, tag and annotations are carried in the
//! claim; whether they fit is for [`trustctl_core::judge`] to say.
//!
//! An attestation is never a signature. Revocations are looked for wherever bundles lie, are remembered once verified, and count
//! from then on even if the registry withholds them. That a repository's referrers API has answered is remembered too: a later
//! word that there is none would hide what it lists.

use std::collections::{BTreeMap, BTreeSet};

use trustctl_core::claim::{Claim, Principal, SchemeName, Statement};
use trustctl_core::evidence::{Evidence, Want};
use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::scheme::{Context, Findings, Missing, Problem, Scheme, Unproven};
use trustctl_core::subject::Subject;

use crate::artifact::{Artifact, Form, State};
use crate::bundle::{Bundle, Content as BundleContent};
use crate::grounds::Grounds;
use crate::layout::listing::Listings;
use crate::limits::MAX_REVOCATION;
use crate::survey::{Api, Content, Found, Places, Survey};

/// What the names of remembered revocations start with.
const REMEMBERED: &str = "revocation:";
/// What is remembered of a repository whose referrers API has answered.
const REFERRERS_API: &str = "referrers-api";

/// Signatures by Cosign.
///
/// Requests for an image by tag, besides resolving the tag: `.sig` tag and referrers at once; then payloads, unless they are the usual
/// ones, and the manifests of bundles; then bundles. Attestations cost none, unless they are asked for, or nothing else is there and a few of them are read
/// to say whose they are. Each platform image of an index costs one more, for its referrers, at the same time as the index's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cosign {
    /// Where signatures are kept when that is not the image's own repository (`COSIGN_REPOSITORY`). Its `.sig` tag is read
    /// instead of the image's; referrers are read in both, for cosign 3 ignores the setting when it writes bundles.
    pub signature_repository: Option<Repository>,
    /// Whether attestations are read too: those among the referrers, and those under the `.att` tag.
    pub read_attestations: bool,
    /// What was read of listings so far: each is read once, however often it is asked what to fetch.
    pub listings: Listings,
    /// Whether payloads are asked for also where their digests say what they are: who has just published wants to see that they are there.
    pub fetch_payloads: bool,
    /// The predicate types of the attestations that are read, of those that say theirs outside of what is signed; all where none is
    /// named. What is read is judged by its signed type.
    pub attestation_types: BTreeSet<String>,
}

impl Scheme for Cosign {
    fn name(&self) -> SchemeName {
        SchemeName::Cosign
    }

    fn wants(&self, subject: &Subject, evidence: &Evidence, _context: &Context<'_>) -> Vec<Want> {
        self.survey(subject, evidence).pending.into_iter().map(|pending| pending.want).collect()
    }

    fn examine(&self, subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Findings {
        let mut findings = findings_of(self.survey(subject, evidence), subject, context, &|_| true);
        attestations_only(&mut findings);
        findings
    }

    fn wants_revocations(&self, subject: &Subject, evidence: &Evidence, _context: &Context<'_>) -> Vec<Want> {
        let survey = self.survey_revocations(subject, evidence);
        survey.pending.into_iter().map(|pending| pending.want).collect()
    }

    fn examine_revocations(&self, subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Findings {
        let mut findings = findings_of(self.survey_revocations(subject, evidence), subject, context, &|_| true);
        findings.claims.retain(is_revocation);
        findings.problems.clear();
        findings.missing.retain(|missing| missing.may_hide_revocation);
        findings
    }
}

/// What a survey of the evidence about `subject` proves, with what the memory holds. Of what proves nothing only that is told which is
/// `told`.
fn findings_of(survey: Survey<'_>, subject: &Subject, context: &Context<'_>, told: &dyn Fn(&Artifact) -> bool) -> Findings {
    let grounds = Grounds::of(context);
    let mut findings = Findings::new(SchemeName::Cosign);
    findings.missing = survey.missing();
    findings.looked_at = survey.looked_at;
    compare_apis(&survey.apis, &mut findings, context);

    let mut revoked_by = BTreeSet::new();
    let mut learnt = BTreeMap::new();
    for found in survey.found {
        let bundle = match &found.content {
            Content::Bundle(bytes) => Some(*bytes),
            _ => None,
        };
        let artifact = Artifact::judge(found, &subject.digest, &grounds);
        if let State::Proven(claim) = &artifact.state
            && is_revocation(claim)
        {
            let remember = bundle.and_then(|bundle| kept(bundle, &claim.principal));
            learnt.extend(remember.map(|text| (fact(&claim.principal), text)));
            revoked_by.insert(claim.principal.clone());
        }
        findings.unproven.extend(unproven(&artifact));
        if matches!(artifact.state, State::Proven(_)) || told(&artifact) {
            report(artifact, &mut findings);
        }
    }
    for text in remembered(subject, context) {
        let artifact = Artifact::remembered(text.as_bytes(), &subject.digest, &grounds);
        // What a key of nobody's has signed names nobody; it counts again with the key.
        let unproven = unproven(&artifact).filter(|unproven| unproven.by.is_some());
        findings.unproven.extend(unproven);
        if let State::Proven(claim) = artifact.state
            && is_revocation(&claim)
        {
            learnt.remove(&fact(&claim.principal));
            if revoked_by.insert(claim.principal.clone()) {
                findings.claims.push(*claim);
            }
        }
    }
    if !learnt.is_empty() {
        findings.learnt.push((subject.digest.to_string(), Slot { facts: learnt, ..Slot::default() }));
    }
    findings
}

impl Cosign {
    /// As [`Scheme::examine`], about the attestations of one predicate type: what is wrong with signatures, and with attestations that
    /// are of another type by their own word, is not told.
    #[must_use]
    pub fn examine_attestations(
        &self,
        subject: &Subject,
        evidence: &Evidence,
        context: &Context<'_>,
        predicate_type: &str,
    ) -> Findings {
        let told = |artifact: &Artifact| match &artifact.predicate_type {
            Some(stated) => stated.peek() == predicate_type,
            None => matches!(artifact.form, Form::AttestationTag | Form::Bundle),
        };
        findings_of(self.survey(subject, evidence), subject, context, &told)
    }

    /// Every artifact that the evidence holds, in the order in which they are read, proven with the anchors' keys where it can
    /// be.
    #[must_use]
    pub fn artifacts(&self, subject: &Subject, evidence: &Evidence, context: &Context<'_>) -> Vec<Artifact> {
        let grounds = Grounds::of(context);
        let judge = |found: Found<'_>| Artifact::judge(found, &subject.digest, &grounds);
        let there = self.survey(subject, evidence).found.into_iter().map(judge);
        let before =
            remembered(subject, context).into_iter().map(|it| Artifact::remembered(it.as_bytes(), &subject.digest, &grounds));
        there.chain(before).collect()
    }

    fn survey<'e>(&self, subject: &Subject, evidence: &'e Evidence) -> Survey<'e> {
        let image = (!self.fetch_payloads).then(|| (subject.repository.clone(), subject.tag.clone()));
        Survey::new(&subject.digest, &Places { image, ..self.places(&subject.repository) }, evidence)
    }

    /// As [`Cosign::survey`], of what could withdraw the image alone.
    fn survey_revocations<'e>(&self, subject: &Subject, evidence: &'e Evidence) -> Survey<'e> {
        let Places { referrers, listings, .. } = self.places(&subject.repository);
        let places = Places { referrers, listings, only_revocations: true, ..Places::default() };
        Survey::new(&subject.digest, &places, evidence)
    }

    fn places(&self, image: &Repository) -> Places {
        let signatures = self.signature_repository.as_ref().unwrap_or(image);
        let referrers = BTreeSet::from([image.clone(), signatures.clone()]);
        Places {
            signatures: Some(signatures.clone()),
            referrers: referrers.into_iter().collect(),
            attestations: self.read_attestations.then(|| signatures.clone()),
            bundled_attestations: self.read_attestations,
            attestation_types: self.attestation_types.clone(),
            diagnose: true,
            listings: self.listings.clone(),
            only_revocations: false,
            image: None,
        }
    }
}

/// A referrers API that has answered before does not go away: what says so is missing evidence, for the API may list a revocation
/// that the fallback tag does not.
fn compare_apis(apis: &[(Repository, Api)], findings: &mut Findings, context: &Context<'_>) {
    for (repository, api) in apis {
        let name = repository.canonical_name();
        let slot = context.memory.slot(SchemeName::Cosign, &name);
        let answered_before = slot.is_some_and(|slot| slot.facts.contains_key(REFERRERS_API));
        match api {
            Api::Answered if !answered_before => {
                let facts = BTreeMap::from([(REFERRERS_API.to_owned(), "answered".to_owned())]);
                findings.noticed.push((name, Slot { facts, ..Slot::default() }));
            }
            Api::NotThere if answered_before => {
                let words = format!("the referrers API of {name} answered before, and now it is said not to be there");
                findings.missing.push(Missing { reason: Reason::new(Code::BadAnswer, words), may_hide_revocation: true });
            }
            Api::Answered | Api::NotThere => {}
        }
    }
}

fn is_revocation(claim: &Claim) -> bool {
    matches!(claim.statement, Statement::Revocation { .. })
}

/// The envelopes and bundles remembered for the image.
fn remembered(subject: &Subject, context: &Context<'_>) -> Vec<String> {
    let Some(slot) = context.memory.slot(SchemeName::Cosign, &subject.digest.to_string()) else { return Vec::new() };
    let facts = slot.facts.iter().filter(|(name, _)| name.starts_with(REMEMBERED));
    facts.map(|(_, text)| text.clone()).collect()
}

/// The name under which a signer's revocation is remembered. One a signer is enough, and keeps the memory small.
fn fact(principal: &Principal) -> String {
    match principal {
        Principal::Key { fingerprint } => format!("{REMEMBERED}key:{fingerprint}"),
        other => format!("{REMEMBERED}{other}"),
    }
}

/// What is remembered of a bundle that is small enough: of one by key the envelope, which proves itself; of one by certificate all.
fn kept(bundle: &[u8], principal: &Principal) -> Option<String> {
    if u64::try_from(bundle.len()).is_ok_and(|length| length > MAX_REVOCATION) {
        return None;
    }
    match (Bundle::parse(bundle).ok()?.content, principal) {
        (BundleContent::Envelope(envelope), Principal::Key { .. }) => Some(envelope.to_json()),
        (BundleContent::Envelope(_), _) => String::from_utf8(bundle.to_vec()).ok(),
        (BundleContent::Message(_), _) => None,
    }
}

/// What an artifact that withdraws the image leaves open, when it is not proven.
fn unproven(artifact: &Artifact) -> Option<Unproven> {
    let reason = match &artifact.state {
        State::Broken(reason) | State::Claimed(reason) if artifact.withdraws => reason.clone(),
        _ => return None,
    };
    Some(Unproven { reason, by: artifact.named.clone(), source: artifact.source.clone() })
}

fn report(artifact: Artifact, findings: &mut Findings) {
    let Artifact { state, principal, source, .. } = artifact;
    match state {
        State::Proven(claim) => findings.claims.push(*claim),
        State::Broken(reason) => findings.problems.push(Problem { reason, principal, source }),
        State::Claimed(reason) => findings.problems.push(Problem { reason, principal, source }),
        State::Unread => {}
    }
}

/// Says so where somebody attests and does not sign.
fn attestations_only(findings: &mut Findings) {
    let signs = |claim: &Claim| claim.statement == Statement::Signature;
    let signers: BTreeSet<_> = findings.claims.iter().filter(|claim| signs(claim)).map(|claim| claim.principal.clone()).collect();
    let mut told = BTreeSet::new();
    for claim in &findings.claims {
        let Statement::Attestation { predicate_type, .. } = &claim.statement else { continue };
        if signers.contains(&claim.principal) || !told.insert(claim.principal.clone()) {
            continue;
        }
        let words = format!("{} is an attestation by {}, which does not sign the image", claim.source.at, claim.principal);
        let reason = Reason::new(Code::CosignAttestationOnly, words).expected_found(crate::statement::SIGN, predicate_type);
        findings.problems.push(Problem { reason, principal: Some(claim.principal.clone()), source: claim.source.clone() });
    }
}

#[cfg(test)]
mod keyless_tests;
#[cfg(test)]
mod tests;
