//! From a tag to a digest: asked once for a bounded time, however many clients want it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_core::reference::{Repository, Tag};
use trustctl_remote::registry::ManifestName;

use super::artifact::media_type as media_type_of;
use super::flights::Joined;
use super::outage::out_of_time;
use super::{Asked, CLOCK_SLACK, Decider, JOINS, TagKey, Trouble, UNDECIDED, late};
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
        let now = Instant::now();
        if let Some(pinned) = self.pinned(world, &key, now) {
            let pauses = || self.unanswered.get(&(world.caller, key.clone())).is_some_and(|last| now < last.renew_from);
            if now >= pinned.renew_from && !pauses() {
                self.pinning.start(key.clone(), || self.clone().pin_anew(world.unhurried(), key.clone()));
            }
            return Ok(pinned);
        }
        for join in 0..JOINS {
            let anew = || self.clone().pin_anew(world.clone(), key.clone());
            let ((by, pinned), joined) = self.pinning.join(key.clone(), anew).await;
            // What others began before this question, and with their rights, may be too old or not for who asks; what is begun since is
            // not older. Only that a registry answered nothing may be so for them alone, however late they asked.
            let is_own = joined == Joined::Began || by == world.caller;
            let Ok(found) = &pinned else {
                if is_own || join > 0 {
                    return pinned;
                }
                continue;
            };
            if !found.is_stale {
                let is_good = Instant::now() < found.good_until || self.ground.times.tag.is_zero();
                if joined == Joined::Began || is_good || join > 0 {
                    return pinned;
                }
            } else if is_own || self.is_silent(world, repository, &ManifestName::Tag(tag.clone())).await {
                self.unanswered.insert((world.caller, key), found.clone());
                return pinned;
            }
        }
        Err(out_of_time(repository, &format!("what the tag {tag} names")).into())
    }

    /// What is known of a tag without asking: what anybody was told a moment ago, else what is left to who asks and is not answered.
    fn pinned(&self, world: &World, key: &TagKey, now: Instant) -> Option<Arc<Pinned>> {
        let is_good = |pinned: &Arc<Pinned>| now < pinned.good_until;
        let own = || self.unanswered.get(&(world.caller, key.clone())).filter(is_good);
        self.tags.get(key).filter(is_good).or_else(own)
    }

    async fn pin_anew(self: Arc<Self>, world: World, name: TagKey) -> Asked<Arc<Pinned>> {
        (world.caller, self.find_tag(world, name).await)
    }

    async fn find_tag(&self, world: World, (repository, tag): TagKey) -> Result<Arc<Pinned>, Trouble> {
        let world = world.within(self.patience());
        let name = (repository.clone(), tag.clone());
        let known = self.records.look(move |records| records.tag(&name.0, &name.1)).await?;
        // The answer is as old as the question.
        let (begins, now) = (Instant::now(), (self.ground.clock)());
        let asked = self.ask(&world, (&repository, &tag), known.as_ref()).await;
        let key = (repository.clone(), tag.clone());
        let trouble = match asked {
            Ok(record) => {
                let (digest, record) = (record.digest, TagRecord { at: now, ..record });
                let name = key.clone();
                self.records.change(move |records| records.keep_tag(&name.0, &name.1, &record)).await?;
                let good = self.ground.times.tag;
                let pinned = Pinned { digest, good_until: begins + good, renew_from: begins + good * 3 / 4, is_stale: false };
                let pinned = Arc::new(pinned);
                self.unanswered.invalidate(&(world.caller, key.clone()));
                self.tags.insert(key, pinned.clone());
                return Ok(pinned);
            }
            Err(trouble) => trouble,
        };
        let now = Instant::now();
        let good = self.tags.get(&key).filter(|pinned| now < pinned.good_until);
        let pinned = match (self.last_known(known, trouble), good) {
            (Ok((digest, left)), _) => {
                let good_until = now + self.ground.times.stale().min(left);
                Pinned { digest, good_until, renew_from: now + UNDECIDED, is_stale: true }
            }
            // It is good to its end all the same, and who asked this time asks again only after a pause.
            (Err(_), Some(good)) => Pinned { renew_from: now + UNDECIDED, ..(*good).clone() },
            (Err(trouble), None) => return Err(trouble),
        };
        let pinned = Arc::new(pinned);
        self.unanswered.insert((world.caller, key), pinned.clone());
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
