//! From a manifest to an assessment: evidence is gathered, judged with what is remembered, and what was learnt is stored.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use trustctl_core::assess::{Assessment, Assessor, remembered_names};
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin};
use trustctl_core::memory::Memory;
use trustctl_core::reason::Reason;
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_remote::registry::Online;
use trustctl_remote::state::Store;

use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::trust::Trust;
use crate::world::World;

/// What was found out about one image.
pub(super) struct Found {
    pub(super) evidence: Evidence,
    pub(super) assessment: Assessment,
    /// Whether it is trusted at the far end of the time for which it was judged, too.
    pub(super) lasts: bool,
}

/// Readers of the memory at once, and writers, who mostly find that nothing is new.
const AT_ONCE: usize = 4;

/// Judges images with the memory of this proxy.
#[derive(Clone)]
pub(super) struct Judge {
    memory: Store,
    recalling: Jobs,
    learning: Jobs,
    /// The time for all that is asked for about one image.
    budget: Duration,
    /// For how long a judgement is made at once.
    span: Duration,
    metrics: Arc<Metrics>,
}

impl Judge {
    pub(super) fn new(memory: Store, (budget, span): (Duration, Duration), metrics: Arc<Metrics>) -> Self {
        Self { memory, recalling: Jobs::at_once(AT_ONCE), learning: Jobs::at_once(AT_ONCE), budget, span, metrics }
    }

    /// Gathers the evidence about `subject` and judges it at `now`.
    ///
    /// # Errors
    /// Why what is remembered could not be read or stored: without memory there is no protection against rollback.
    pub(super) async fn gather(
        &self,
        world: &World,
        trust: &Arc<Trust>,
        (subject, manifest): (&Subject, &Bytes),
        now: Timestamp,
    ) -> Result<Found, Reason> {
        let begin = Instant::now();
        let memory = self.recall(trust, subject).await?;
        let deadline = world.deadline(self.budget);
        let notary = world.notary.source(deadline);
        let source = Online { registry: &world.registry, notary: Some(&notary), deadline };
        let supply = Supply { source: &source, limits: Limits::default(), deadline };
        let schemes = trust.schemes();
        let assessor = Assessor { policy: &trust.policy, schemes: &schemes, memory: &memory, now };
        let wants = |have: &Evidence| assessor.wants(subject, have);
        let evidence = collect(&wants, beginning(subject, manifest), supply).await;
        // What the manifests of children have shown may have names of its own in memory.
        let memory = self.recall(trust, &subject.by_sha256(&evidence)).await?;
        let found = self.assess(trust, subject, (evidence, &memory), now);
        self.learn(&found.assessment).await?;
        self.metrics.verified(begin.elapsed(), true);
        Ok(found)
    }

    /// Judges evidence that was gathered earlier at `now`. Of what it shows nothing new is stored.
    ///
    /// # Errors
    /// As for [`Judge::gather`].
    pub(super) async fn again(
        &self,
        trust: &Arc<Trust>,
        (subject, evidence): (&Subject, Evidence),
        now: Timestamp,
    ) -> Result<Found, Reason> {
        let begin = Instant::now();
        let memory = self.recall(trust, &subject.by_sha256(&evidence)).await?;
        let found = self.assess(trust, subject, (evidence, &memory), now);
        self.metrics.verified(begin.elapsed(), false);
        Ok(found)
    }

    fn assess(&self, trust: &Trust, subject: &Subject, (evidence, memory): (Evidence, &Memory), now: Timestamp) -> Found {
        let schemes = trust.schemes();
        let assessor = Assessor { policy: &trust.policy, schemes: &schemes, memory, now };
        let assessment = assessor.assess(subject, &evidence);
        // What a judgement rests on only runs out: trusted at both ends, it is trusted in between.
        let lasts = assessment.judgement.verdict.is_trusted() && {
            let later = Assessor { now: now.saturating_add(self.span), ..assessor };
            later.assess(subject, &evidence).judgement.verdict.is_trusted()
        };
        Found { evidence, assessment, lasts }
    }

    async fn recall(&self, trust: &Trust, subject: &Subject) -> Result<Memory, Reason> {
        let names = remembered_names(subject, trust.signature_repository.as_ref());
        let store = self.memory.clone();
        let load = move || store.load(names.iter().map(|(scheme, name)| (*scheme, name.as_str())));
        self.recalling.run(load).await?
    }

    async fn learn(&self, assessment: &Assessment) -> Result<(), Reason> {
        let new = |findings: &&trustctl_core::scheme::Findings| !findings.learnt.is_empty() || !findings.noticed.is_empty();
        let news: Vec<_> = assessment.findings.iter().filter(new).cloned().collect();
        if news.is_empty() {
            return Ok(());
        }
        let store = self.memory.clone();
        let learn = move || {
            for findings in &news {
                store.learn(findings.scheme, &findings.learnt)?;
                store.learn(findings.scheme, &findings.noticed)?;
            }
            Ok(())
        };
        self.learning.run_to_end(learn).await?
    }
}

/// The manifest itself, as the first piece of evidence.
fn beginning(subject: &Subject, manifest: &Bytes) -> Evidence {
    let locator = Locator::Manifest { repository: subject.repository.clone(), digest: subject.digest };
    let mut evidence = Evidence::new();
    evidence.insert(locator, Entry::Present { bytes: manifest.to_vec(), origin: Origin::Registry });
    evidence
}
