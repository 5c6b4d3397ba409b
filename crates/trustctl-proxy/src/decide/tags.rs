//! From a tag to a digest: asked once for a bounded time, however many clients want it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_remote::registry::ManifestName;

use super::artifact::media_type as media_type_of;
use super::flights::Joined;
use super::{CLOCK_SLACK, Decider, Trouble, UNDECIDED, blocking, late};
use crate::store::TagRecord;
use crate::world::World;

/// What a tag names.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The digest of the manifest.
    pub digest: Digest,
    /// Until when, on the monotonic clock, that need not be asked again.
    good_until: Instant,
    /// From when on it is asked again beside the answers, so that nobody waits for that.
    renew_from: Instant,
    /// Whether the upstream could not be asked, and this is what it said last.
    pub is_stale: bool,
}

impl Decider {
    /// What `tag` names: as it was last found out within the time for it, else by asking the upstream.
    ///
    /// # Errors
    /// [`Trouble::NotFound`] when the upstream says that there is no such tag, [`Trouble::Unknown`] when it could not be asked and
    /// what it last said is too old.
    pub async fn pin(self: &Arc<Self>, world: &World, repository: &Repository, tag: &Tag) -> Result<Arc<Pinned>, Trouble> {
        let key = (repository.clone(), tag.clone());
        let anew = || self.clone().pin_anew(world.clone(), key.clone());
        let now = Instant::now();
        if let Some(pinned) = self.tags.get(&key).filter(|pinned| now < pinned.good_until) {
            if now >= pinned.renew_from {
                self.pinning.start(key.clone(), || self.clone().pin_anew(world.unhurried(), key.clone()));
            }
            return Ok(pinned);
        }
        let (pinned, joined) = self.pinning.join(key.clone(), anew).await;
        let is_for_all = match &pinned {
            Ok(pinned) => Instant::now() < pinned.good_until || self.ground.times.tag.is_zero(),
            Err(_) => world.caller.is_none(),
        };
        if joined == Joined::Began || is_for_all {
            return pinned;
        }
        // Others began it before this question, and with their rights; what is begun now is not older than it.
        self.pinning.join(key.clone(), || self.clone().pin_anew(world.clone(), key.clone())).await.0
    }

    async fn pin_anew(self: Arc<Self>, world: World, (repository, tag): (Repository, Tag)) -> Result<Arc<Pinned>, Trouble> {
        let world = world.within(self.patience());
        let (records, name) = (self.ground.records.clone(), (repository.clone(), tag.clone()));
        let known = blocking(move || super::known(records.tag(&name.0, &name.1))).await?;
        // The answer is as old as the question.
        let (begins, now) = (Instant::now(), (self.ground.clock)());
        let asked = self.ask(&world, (&repository, &tag), known.as_ref()).await;
        let pinned = match asked {
            Ok(record) => {
                let (digest, record) = (record.digest, TagRecord { at: now, ..record });
                let (records, name) = (self.ground.records.clone(), (repository.clone(), tag.clone()));
                blocking(move || records.keep_tag(&name.0, &name.1, &record).map_err(Reason::from)).await?;
                let good = self.ground.times.tag;
                Pinned { digest, good_until: begins + good, renew_from: begins + good * 3 / 4, is_stale: false }
            }
            Err(trouble) => {
                let now = Instant::now();
                let good = self.tags.get(&(repository.clone(), tag.clone())).filter(|pinned| now < pinned.good_until);
                match (self.last_known(known, trouble), good) {
                    (Ok((digest, left)), _) => {
                        let good_until = now + self.ground.times.stale().min(left);
                        Pinned { digest, good_until, renew_from: now + UNDECIDED, is_stale: true }
                    }
                    // It is good to its end all the same, and asked about again only after a pause.
                    (Err(_), Some(good)) => Pinned { renew_from: now + UNDECIDED, ..(*good).clone() },
                    (Err(trouble), None) => return Err(trouble),
                }
            }
        };
        let pinned = Arc::new(pinned);
        self.tags.insert((repository, tag), pinned.clone());
        Ok(pinned)
    }

    /// The digest that the upstream gives now. A digest in a header counts only where it is that of bytes seen before.
    async fn ask(
        &self,
        world: &World,
        (repository, tag): (&Repository, &Tag),
        known: Option<&TagRecord>,
    ) -> Result<TagRecord, Trouble> {
        let name = ManifestName::Tag(tag.clone());
        if let Some(known) = known {
            let head = world.registry.head_manifest(repository, &name, world.deadline(self.patience())).await;
            let head = head.map_err(|error| late(error, repository, &format!("what the tag {tag} names")))?;
            let head = head.ok_or(Trouble::NotFound)?;
            if head.digest == known.digest {
                return Ok(known.clone());
            }
        }
        let (digest, bytes, media_type) = self.fetch(world, repository, &name).await?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let media_type = media_type.unwrap_or_else(|| media_type_of(&bytes));
        Ok(TagRecord { digest, size, media_type, at: (self.ground.clock)() })
    }

    /// What the upstream said last, where it cannot be asked and that is not too long ago; and for how long it may still be served.
    fn last_known(&self, known: Option<TagRecord>, trouble: Trouble) -> Result<(Digest, Duration), Trouble> {
        let now = (self.ground.clock)();
        let is_outage =
            matches!(&trouble, Trouble::Unknown(reason) if matches!(reason.code, Code::Unavailable | Code::OutOfBudget));
        // The wall clock may have been set back: what was learnt in the future has no age.
        let is_past = |known: &TagRecord| known.at <= now.saturating_add(CLOCK_SLACK);
        let left =
            |known: &TagRecord| self.ground.times.max_stale.checked_sub(now.since(known.at)).filter(|left| !left.is_zero());
        let recent = known.filter(|known| is_outage && is_past(known)).and_then(|known| Some((known.digest, left(&known)?)));
        recent.ok_or(trouble)
    }
}
