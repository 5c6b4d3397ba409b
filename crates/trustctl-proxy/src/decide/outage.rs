//! What is answered where registries or their evidence cannot be had: an outage is never a refusal, and nobody can make one to hide something.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Repository;
use trustctl_remote::error::RemoteError;
use trustctl_remote::limits::Deadline;
use trustctl_remote::registry::ManifestName;

use super::{Decider, Renew, Ruling, SubjectKey, Times, Trouble, UNDECIDED};
use crate::store::Kept;
use crate::trust::Trust;
use crate::world::World;

/// The time for the question whether a registry answers at all.
const PROBE: Duration = Duration::from_secs(2);

impl Times {
    /// How long what was trusted before is served before the upstream has to be asked again. It is asked beside the answers after
    /// [`UNDECIDED`], and the rest is as long as the longest try, so that in an outage only who comes first waits.
    pub(super) fn stale(&self) -> Duration {
        UNDECIDED + self.verify + PROBE
    }
}

/// What to do about a registry that does not answer; for whoever pulls, who can do nothing about it but come back.
pub(crate) fn see_to(registry: &str) -> Step {
    let words =
        format!("try again in a moment; if that does not help, whoever runs this proxy has to look at how {registry} answers");
    Step::words(words)
}

/// The reason for an error, and where the time for a request is used up, which registry was waited for, and for what.
pub(crate) fn late(error: RemoteError, repository: &Repository, what: &str) -> Reason {
    match error {
        RemoteError::OutOfTime { .. } => out_of_time(repository, what),
        error => error.reason(),
    }
}

pub(super) fn manifest_in_words(name: &ManifestName) -> String {
    match name {
        ManifestName::Digest(digest) => format!("the manifest {digest}"),
        ManifestName::Tag(tag) => format!("the manifest of the tag {tag}"),
    }
}

/// That no answer of the registry came in time.
pub(super) fn out_of_time(repository: &Repository, what: &str) -> Reason {
    let registry = repository.registry();
    Reason::new(Code::OutOfBudget, format!("{what} did not come from {registry} in time")).step(see_to(registry))
}

impl Decider {
    /// Leave to gather evidence about an image of `repository`; a renewal does not wait for it, since what it renews is still good.
    ///
    /// # Errors
    /// [`Code::OutOfBudget`].
    pub(super) async fn leave_to_gather<'a>(
        &self,
        world: &'a World,
        repository: &Repository,
        renew: Renew,
    ) -> Result<SemaphorePermit<'a>, Reason> {
        let (leaves, registry) = (&world.gathering, repository.registry());
        let busy = || {
            let words = format!("evidence about many other images of {registry} is being gathered");
            Reason::new(Code::OutOfBudget, words).step(see_to(registry))
        };
        match renew {
            Renew::Yes => leaves.try_acquire().map_err(|_| busy()),
            Renew::No => {
                let leave = world.deadline(self.patience()).limit("the proxy", leaves.acquire()).await.map_err(|_| busy())?;
                leave.map_err(|_| busy())
            }
        }
    }

    /// What to answer when it could not be decided: what was trusted before, while that is not too long ago and only servers that
    /// cannot be reached are the reason.
    pub(super) async fn fall_back(
        &self,
        (world, trust, renew): (&World, &Arc<Trust>, Renew),
        key: SubjectKey,
        kept: Option<Kept>,
        answer: Result<Ruling, Trouble>,
    ) -> Result<Arc<Ruling>, Trouble> {
        if let Some(kept) = kept
            && self.is_outage(world, &key, &answer).await
            // It took a while to find that out.
            && let now = (self.ground.clock)()
            && let Some(left) = self.ground.times.max_stale.checked_sub(now.since(kept.gathered)).filter(|left| !left.is_zero())
            && let Some(ruling) = self.of_kept(trust, &kept, now).await?
        {
            let begins = Instant::now();
            let (good_until, renew_from) = (begins + self.ground.times.stale().min(left), begins + UNDECIDED);
            return Ok(self.remember(world, key, Ruling { is_stale: true, good_until, renew_from, ..ruling }));
        }
        let mut ruling = answer?;
        if world.is_late() && ruling.reasons.first().is_some_and(|reason| reason.code == Code::OutOfBudget) {
            let registry = key.repository.registry();
            let words = format!("all evidence about {} did not come from {registry} and what it names in time", key.digest);
            ruling.reasons.insert(0, Reason::new(Code::OutOfBudget, words).step(see_to(registry)));
        }
        if renew == Renew::Yes && ruling.says_nothing_of_the_image() {
            // What was to be renewed is good to its end; whoever asks then is told.
            return Ok(Arc::new(ruling));
        }
        Ok(self.remember(world, key, ruling))
    }

    /// Whether servers that cannot be reached are the whole reason for an answer.
    ///
    /// Whoever can push can pile up so much about an image, or about many, that the time for it is used up, and so hide a revocation.
    /// Running out of time therefore only counts as an outage when the registry does not answer a single small question either, which has
    /// time of its own: that of the request is used up.
    async fn is_outage(&self, world: &World, key: &SubjectKey, answer: &Result<Ruling, Trouble>) -> bool {
        let reasons = match answer {
            Err(Trouble::NotFound) => return false,
            Err(Trouble::Unknown(reason)) => slice::from_ref(reason),
            Ok(ruling) => ruling.reasons.as_slice(),
        };
        if reasons.iter().all(|reason| reason.code == Code::Unavailable) {
            return true;
        }
        if !reasons.iter().all(|reason| matches!(reason.code, Code::Unavailable | Code::OutOfBudget)) {
            return false;
        }
        self.is_silent(world, &key.repository, &ManifestName::Digest(key.digest)).await
    }

    /// Whether the registry leaves a small question of who asks in `world` without an answer.
    pub(super) async fn is_silent(&self, world: &World, repository: &Repository, name: &ManifestName) -> bool {
        let asked = world.registry.head_manifest(repository, name, Deadline::after(PROBE)).await;
        asked.is_err_and(|error| matches!(error.reason().code, Code::Unavailable | Code::OutOfBudget))
    }

    /// That whoever asks in `world` may see the manifest. To others a registry may say that there is nothing, signatures included, and that
    /// must not count as an unsigned image.
    ///
    /// # Errors
    /// [`Trouble`] as the registry's answer.
    pub(super) async fn sees(&self, world: &World, key: &SubjectKey) -> Result<(), Trouble> {
        let name = ManifestName::Digest(key.digest);
        let found = world.registry.head_manifest(&key.repository, &name, world.deadline(self.patience())).await;
        found.map_err(|error| late(error, &key.repository, &manifest_in_words(&name)))?.ok_or(Trouble::NotFound).map(drop)
    }
}
