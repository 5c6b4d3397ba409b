//! What was found out once and is good for whom: decisions for everybody, what a registry left without an answer for who asked alone.
//!
//! A registry may throttle one caller, or keep one waiting, and answer all others. What comes of that must not become the others' answer.

use std::sync::Arc;

use tokio::time::Instant;
use trustctl_core::digest::Digest;
use trustctl_core::time::Timestamp;
use trustctl_core::verdict::VerdictKind;
use trustctl_remote::registry::ManifestName;

use super::{Decider, Ruling, SubjectKey, Trouble};
use crate::world::World;

impl Decider {
    /// The ruling that was made before, if it is still good for who asks.
    pub(super) fn remembered(&self, world: &World, key: &SubjectKey, (policy, now): (&Digest, Timestamp)) -> Option<Arc<Ruling>> {
        let is_good = |ruling: &Arc<Ruling>| ruling.is_good(policy, now);
        let own = || self.outages.get(&(world.caller, key.clone())).filter(is_good);
        self.rulings.get(key).filter(is_good).or_else(own)
    }

    /// Whether who asks was left without an answer a moment ago.
    pub(super) fn pauses(&self, world: &World, key: &SubjectKey) -> bool {
        self.outages.get(&(world.caller, key.clone())).is_some_and(|outage| Instant::now() < outage.renew_from)
    }

    /// Whether what was found out in the world of `by` is good for whoever asks now in `world`.
    pub(super) fn is_for_all(&self, world: &World, by: Option<Digest>, found: &Result<Arc<Ruling>, Trouble>) -> bool {
        match found {
            Ok(ruling) if ruling.verdict == VerdictKind::Undecided => by == world.caller,
            Ok(ruling) => (!ruling.is_stale || by == world.caller) && ruling.is_good(&self.fingerprint(), (self.ground.clock)()),
            Err(_) => by == world.caller,
        }
    }

    /// Whether a stale answer that came of what somebody else was not answered holds for who asks in `world` too; it is theirs then.
    pub(super) async fn is_so_here(&self, world: &World, key: &SubjectKey, stale: &Arc<Ruling>) -> bool {
        let holds = stale.is_good(&self.fingerprint(), (self.ground.clock)())
            && self.is_silent(world, &key.repository, &ManifestName::Digest(key.digest)).await;
        if holds {
            self.outages.insert((world.caller, key.clone()), stale.clone());
        }
        holds
    }

    /// Keeps a ruling for those whom it is good for.
    pub(super) fn remember(&self, world: &World, key: SubjectKey, ruling: Ruling) -> Arc<Ruling> {
        let ruling = Arc::new(ruling);
        if ruling.is_stale || ruling.verdict == VerdictKind::Undecided {
            self.outages.insert((world.caller, key), ruling.clone());
        } else {
            self.outages.invalidate(&(world.caller, key.clone()));
            self.rulings.insert(key, ruling.clone());
        }
        ruling
    }
}
