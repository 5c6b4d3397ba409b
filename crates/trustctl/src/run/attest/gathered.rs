//! What is attested about one image, gathered and judged.

use trustctl_core::claim::SchemeName;
use trustctl_core::digest::Digest;
use trustctl_core::evidence::Evidence;
use trustctl_core::judge::{Judgement, judge_attestations};
use trustctl_core::memory::Memory;
use trustctl_core::policy::{AttestationRule, Policy, Which};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::scheme::{Anchors, Context, Findings};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_sigstore::attestation::Attestation;
use trustctl_sigstore::scheme::Cosign;

use super::super::network::World;
use super::super::{Session, trust};
use crate::cli::SignersArgs;
use crate::failure::Failure;

/// Whose word counts in this run, for attestations of one type.
pub(super) struct Jury {
    pub(super) policy: Policy,
    pub(super) predicate_type: String,
    pub(super) now: Timestamp,
}

/// Everything that lies beside one image.
pub(super) struct Gathered {
    pub(super) subject: Subject,
    pub(super) attestations: Vec<Attestation>,
    pub(super) findings: Findings,
}

/// What is asked about.
pub(super) struct Asked<'a> {
    pub(super) image: &'a str,
    /// Only attestations of this type; all where none is named.
    pub(super) predicate_type: Option<&'a str>,
    pub(super) anchors: &'a Anchors,
    pub(super) now: Timestamp,
}

impl Jury {
    /// The policy that the flags call for; of keys and identities any one's word suffices.
    pub(super) fn new(
        session: &Session,
        args: &SignersArgs,
        (predicate_type, now): (String, Timestamp),
    ) -> Result<Self, Failure> {
        let mut policy = session.policy_of(&args.into())?;
        for rule in policy.rules.iter_mut().filter(|rule| rule.line == 0) {
            rule.attestations = vec![AttestationRule {
                predicate_type: predicate_type.clone(),
                signers: rule.require.of.clone(),
                max_age: None,
                conditions: Vec::new(),
                which: Which::Newest,
                line: 0,
            }];
        }
        Ok(Self { policy, predicate_type, now })
    }

    /// What is trusted to begin with for this image.
    ///
    /// # Errors
    /// [`Code::AttestationNotDemanded`] when the policy does not say whose attestations of the type count.
    pub(super) fn anchors(&self, repository: &Repository) -> Result<Anchors, Failure> {
        let Some(rule) = self.policy.rule_for(repository)? else { return Ok(Anchors::default()) };
        if rule.attestations.iter().any(|demand| demand.predicate_type == self.predicate_type) {
            return Ok(self.policy.anchors(rule));
        }
        let words = format!(
            "rule \"{}\" ({}:{}) demands no attestation of the type {}",
            rule.name, self.policy.name, rule.line, self.predicate_type
        );
        Err(Failure::new(Reason::new(Code::AttestationNotDemanded, words)))
    }

    pub(super) fn judge(&self, subject: &Subject, findings: &Findings) -> Judgement {
        judge_attestations(&self.policy, subject, std::slice::from_ref(findings), &self.predicate_type, self.now)
    }

    /// The attestations that would do if each were the only one, in the order of the evidence.
    pub(super) fn sound<'g>(&self, gathered: &'g Gathered) -> Vec<&'g Attestation> {
        let alone = |attestation: &&Attestation| {
            let Some(claim) = attestation.claim() else { return false };
            let findings = Findings { claims: vec![claim.clone()], ..Findings::new(SchemeName::Cosign) };
            self.judge(&gathered.subject, &findings).verdict.is_trusted()
        };
        gathered.attestations.iter().filter(alone).collect()
    }
}

/// Gathers what is attested about an image, with what was seen before; what is learnt of it is stored.
pub(super) async fn gather(
    session: &Session,
    (world, args): (&World, &SignersArgs),
    asked: &Asked<'_>,
) -> Result<Gathered, Failure> {
    let reference = super::super::parse_image(asked.image)?;
    let resolving = world.resolve(&reference, session.deadline()?);
    let (subject, evidence) = session.ui.progress(&format!("resolving {reference}"), resolving).await?;
    let place = trust::repository("--signature-repository", args.signature_repository.as_deref())?;
    let memory = recall(session, &subject, place.as_ref())?;
    let attestation_types = asked.predicate_type.map(str::to_owned).into_iter().collect();
    let cosign = Cosign { signature_repository: place, read_attestations: true, attestation_types, ..Cosign::default() };
    let context = Context { anchors: asked.anchors, memory: &memory, now: asked.now };
    let deadline = session.deadline()?;
    let source = world.until(deadline);
    let wants = |have: &Evidence| trustctl_core::scheme::Scheme::wants(&cosign, &subject, have, &context);
    let gathering = collect(&wants, evidence, Supply { source: &source, limits: Limits::default(), deadline });
    let evidence = session.ui.progress(&format!("gathering what is attested about {}", asked.image), gathering).await;
    let findings = match asked.predicate_type {
        Some(predicate_type) => cosign.examine_attestations(&subject, &evidence, &context, predicate_type),
        None => trustctl_core::scheme::Scheme::examine(&cosign, &subject, &evidence, &context),
    };
    learn(session, &findings)?;
    let wanted = |attestation: &Attestation| match (asked.predicate_type, attestation.predicate_type()) {
        (Some(wanted), Some(stated)) => wanted == stated,
        _ => true,
    };
    let attestations = cosign.attestations(&subject, &evidence, &context).into_iter().filter(wanted).collect();
    Ok(Gathered { attestations, findings, subject })
}

fn recall(session: &Session, subject: &Subject, place: Option<&Repository>) -> Result<Memory, Failure> {
    let repositories = [Some(&subject.repository), place].into_iter().flatten().map(ToString::to_string);
    let names: Vec<String> = std::iter::once(Digest::to_string(&subject.digest)).chain(repositories).collect();
    Ok(session.store()?.load(names.iter().map(|name| (SchemeName::Cosign, name.as_str())))?)
}

fn learn(session: &Session, findings: &Findings) -> Result<(), Failure> {
    let store = session.store()?;
    for learnt in [&findings.learnt, &findings.noticed] {
        if !learnt.is_empty() {
            store.learn(findings.scheme, learnt)?;
        }
    }
    Ok(())
}
