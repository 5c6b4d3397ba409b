//! What is answered where registries or their evidence cannot be had: an outage is never a refusal, and nobody can make one to hide something.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use trustctl_core::reason::{Code, Reason};
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

/// Leave to gather evidence from an upstream; a renewal does not wait for it, since what it renews is still good.
///
/// # Errors
/// [`Code::OutOfBudget`].
pub(super) async fn leave_to_gather(world: &World, renew: Renew, time: Duration) -> Result<SemaphorePermit<'_>, Reason> {
    let leaves = &world.gathering;
    let busy = || Reason::new(Code::OutOfBudget, "evidence about many other images of this registry is being gathered");
    match renew {
        Renew::Yes => leaves.try_acquire().map_err(|_| busy()),
        Renew::No => {
            let leave = Deadline::after(time).limit("the proxy", leaves.acquire()).await.map_err(Reason::from)?;
            leave.map_err(|_| busy())
        }
    }
}

impl Decider {
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
            return Ok(self.remember(key, Ruling { is_stale: true, good_until, renew_from, ..ruling }));
        }
        let ruling = answer?;
        if renew == Renew::Yes && ruling.says_nothing_of_the_image() {
            // What was to be renewed is good to its end; whoever asks then is told.
            return Ok(Arc::new(ruling));
        }
        Ok(self.remember(key, ruling))
    }

    /// Whether servers that cannot be reached are the whole reason for an answer.
    ///
    /// Whoever can push can pile up so much about an image, or about many, that the time for it is used up, and so hide a revocation.
    /// Running out of time therefore only counts as an outage when the registry does not answer a single small question either.
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
        let name = ManifestName::Digest(key.digest);
        let asked = world.registry.head_manifest(&key.repository, &name, Deadline::after(PROBE)).await;
        asked.is_err_and(|error| matches!(error.reason().code, Code::Unavailable | Code::OutOfBudget))
    }

    /// That whoever asks in `world` may see the manifest. To others a registry may say that there is nothing, signatures included, and that
    /// must not count as an unsigned image.
    ///
    /// # Errors
    /// [`Trouble`] as the registry's answer.
    pub(super) async fn sees(&self, world: &World, key: &SubjectKey) -> Result<(), Trouble> {
        let name = ManifestName::Digest(key.digest);
        let found = world.registry.head_manifest(&key.repository, &name, Deadline::after(self.ground.times.verify)).await;
        found.map_err(Reason::from)?.ok_or(Trouble::NotFound).map(drop)
    }
}
