//! Carrying out an [`Edit`] on registries, so that publishers who work at the same time lose nothing of each other.
//!
//! A registry has no "replace if unchanged". So: read, plan, and look once more right before a tag is replaced; when it changed,
//! begin again. Then read back at once, wait until writers that had read before are done, and read again with a fresh client. The
//! edit is there when it was found twice, and the second look saw just what the first one saw: where others are at work one of them
//! may be late, so the looks go on, further apart, until it is quiet. Where no tag was replaced nobody can undo it by replacing one:
//! then the fresh client looks at once, and alone. Processes of one machine also take turns through lock files, which makes
//! them safe against each other; between machines safety rests on the pause being longer than another's time between looking and
//! replacing, which is measured on the own one.

mod lock;
mod send;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use trustctl_core::evidence::{Entry, Evidence, Locator};
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reason::{Code, Reason};

use crate::gather::{Limits, Supply, collect};
use crate::limits::Deadline;
use crate::registry::{Online, Registry};
use lock::{Held, places};
use send::{Outcome, Sending};

/// How often is read and planned before giving up: with eight publishers at once each has to begin again seven times at worst,
/// and some pauses are drawn unluckily.
const MAX_TURNS: u32 = 60;
/// The pause before the last look is this many times the time in which the own replacement was made, and up to twice that.
const SETTLE_FACTOR: u32 = 3;
/// The shortest pause before the last look: on a busy machine a writer may rest this long between looking and replacing.
const MIN_SETTLE: Duration = Duration::from_millis(100);
/// The shortest such pause while others are seen to write to the same place.
const MIN_SETTLE_AMONG_OTHERS: Duration = Duration::from_millis(500);
/// How many last looks may see others at work: an edit that outlived so many of their writes stays.
const MAX_STIRRED: u32 = 8;
/// The longest such pause.
const MAX_SETTLE: Duration = Duration::from_secs(5);
/// How often in a row the registry may take something and serve what it had before; pauses double from [`MIN_SETTLE`], so that
/// caches of a few seconds are outlasted.
const MAX_INVISIBLE: u32 = 5;
/// Edits that are carried out at once by [`Publisher::publish_all`].
const CONCURRENT_EDITS: usize = 4;

/// Carries out edits.
#[derive(Clone, Debug)]
pub struct Publisher {
    registry: Registry,
    locks: Option<PathBuf>,
}

/// What carrying out an edit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Whether anything was sent; false when everything was there already.
    pub changed: bool,
    /// How often another publisher was in the way.
    pub conflicts: u32,
    /// What the fresh client saw that found the edit done, for whoever judges what was published. Nothing where nothing was sent, and
    /// nothing where a tag was replaced: others may have replaced it since, so it has to be looked at again.
    pub seen: Evidence,
    /// What did not work and does not matter for the edit: refused deletions.
    pub warnings: Vec<Reason>,
}

/// One edit on its way.
#[derive(Default)]
struct Progress {
    published: Published,
    /// Deletions that were tried: they are not tried again, whatever came of them.
    deleted: Vec<Put>,
    /// The time in which the slowest replacement of a tag was made; zero while no tag was replaced.
    replaced_in: Duration,
    /// What was read before the last thing was sent, until it was looked for.
    before: Option<Evidence>,
    /// How often in a row the registry took something and then served what it had before.
    invisible: u32,
    /// What the last look at the finished edit saw of the places that can change.
    looked: Option<Evidence>,
    /// How many looks at the finished edit saw that others had written since the look before.
    stirred: u32,
}

impl Publisher {
    /// Publishes through `registry`.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry, locks: None }
    }

    /// Takes turns with other processes through lock files below `state_folder`. A folder that cannot be written to is done without.
    #[must_use]
    pub fn with_locks(self, state_folder: &Path) -> Self {
        Self { locks: Some(state_folder.join("locks")), ..self }
    }

    /// Carries out `edit`; when this succeeds, a fresh client has found it done.
    ///
    /// # Errors
    /// The edit's own reason; [`Code::PublishConflict`] when others were in the way every time; [`Code::PublishNotVisible`] when
    /// the registry takes everything and serves none of it; [`Code::ImmutableTag`]; the reasons of
    /// [`crate::error::RemoteError`]. Nothing of others is lost by any of them, and a repetition is safe.
    pub async fn publish(&self, edit: &dyn Edit, deadline: Deadline) -> Result<Published, Reason> {
        self.carry_out(edit, &self.registry.fresh(), deadline).await
    }

    /// Carries out an edit, for whose last look `stranger` is there.
    async fn carry_out(&self, edit: &dyn Edit, stranger: &Registry, deadline: Deadline) -> Result<Published, Reason> {
        let mut progress = Progress::default();
        let mut known = Evidence::new();
        let mut held: Option<Held> = None;
        let mut is_last_look = false;
        for _ in 0..MAX_TURNS {
            // The last look must see what a stranger would see.
            let (registry, base) = if is_last_look { (stranger, Evidence::new()) } else { (&self.registry, known) };
            let current = read(edit, registry, base, deadline).await;
            let puts = progress.left(edit.plan(&current)?);
            known = lasting(&current);
            if puts.is_empty() && (!progress.published.changed || (is_last_look && progress.is_quiet(&current))) {
                return Ok(progress.done(current));
            }
            if puts.is_empty() {
                progress.looked = Some(changeable(&current));
                held = None;
                is_last_look = true;
                pause(progress.settle(), deadline).await?;
                continue;
            }
            progress.was_not_found(&current, deadline).await?;
            is_last_look = false;
            held = self.hold(held, &puts, deadline).await;
            match progress.send(&self.registry, &puts, &current, deadline).await? {
                Outcome::Sent => {
                    progress.before = Some(current);
                    is_last_look = progress.is_lasting();
                }
                Outcome::Outrun => {
                    progress.published.conflicts += 1;
                    if held.is_none() {
                        pause(progress.back_off(), deadline).await?;
                    }
                }
            }
        }
        let words = format!("tried {MAX_TURNS} times, and another publisher was faster {} times", progress.published.conflicts);
        Err(Reason::new(Code::PublishConflict, words))
    }

    /// Carries out several edits, some at once; the results are in the order of the edits.
    pub async fn publish_all(&self, edits: &[&dyn Edit], deadline: Deadline) -> Vec<Result<Published, Reason>> {
        let (mut results, stranger) = (Vec::new(), self.registry.fresh());
        for some in edits.chunks(CONCURRENT_EDITS) {
            let mut going = Vec::new();
            for edit in some {
                going.push(self.carry_out(*edit, &stranger, deadline));
            }
            results.extend(join_all(going).await);
        }
        results
    }

    /// The locks for the places that `puts` replace; those that are held already are kept when they suffice.
    async fn hold(&self, held: Option<Held>, puts: &[Put], deadline: Deadline) -> Option<Held> {
        let folder = self.locks.as_deref()?;
        let wanted = places(puts);
        match held {
            Some(held) if held.covers(&wanted) => Some(held),
            other => {
                // Locks are only ever taken in one order, and never while others are held.
                drop(other);
                Held::take(folder, &wanted, deadline).await
            }
        }
    }
}

impl Progress {
    /// What of a plan is still to be sent.
    fn left(&self, plan: Vec<Put>) -> Vec<Put> {
        plan.into_iter().filter(|put| !self.deleted.contains(put)).collect()
    }

    async fn send(
        &mut self,
        registry: &Registry,
        puts: &[Put],
        current: &Evidence,
        deadline: Deadline,
    ) -> Result<Outcome, Reason> {
        let mut sending =
            Sending { registry, current, deadline, replaced_in: Duration::ZERO, deleted: Vec::new(), warnings: Vec::new() };
        let outcome = sending.all(puts).await;
        self.replaced_in = self.replaced_in.max(sending.replaced_in);
        // A replacement that nobody answered for may be there, and has to be looked for as long as one that was taken.
        self.published.changed |= outcome == Ok(Outcome::Sent) || !sending.replaced_in.is_zero();
        self.deleted.extend(sending.deleted);
        self.published.warnings.extend(sending.warnings);
        Ok(outcome?)
    }

    /// Whether nothing was sent that another could replace: a manifest is kept by its digest, and the registry's own list of referrers
    /// loses none of them.
    fn is_lasting(&self) -> bool {
        self.replaced_in.is_zero()
    }

    /// Whether nobody wrote to the places of the edit since the look before; true also when they were seen at it often enough.
    fn is_quiet(&mut self, current: &Evidence) -> bool {
        if self.is_lasting() || self.looked == Some(changeable(current)) || self.stirred >= MAX_STIRRED {
            return true;
        }
        self.stirred += 1;
        false
    }

    /// The end of it, `last` being what was looked at last.
    fn done(self, last: Evidence) -> Published {
        let (is_lasting, mut published) = (self.is_lasting(), self.published);
        if published.changed && is_lasting {
            published.seen = last.answered();
        }
        published
    }

    /// How long to wait until those who looked before the own replacement have made theirs; not at all when nothing was sent that
    /// another could replace.
    fn settle(&self) -> Duration {
        if self.is_lasting() {
            return Duration::ZERO;
        }
        let is_alone = self.published.conflicts == 0 && self.stirred == 0;
        let shortest = if is_alone { MIN_SETTLE } else { MIN_SETTLE_AMONG_OTHERS };
        let measured = self.replaced_in.saturating_mul(SETTLE_FACTOR).clamp(shortest, MAX_SETTLE);
        measured.mul_f64(1.0 + fastrand::f64())
    }

    /// How long to stand aside after another was faster: the longer the more often that happened.
    fn back_off(&self) -> Duration {
        let step = self.replaced_in.clamp(Duration::from_millis(10), Duration::from_secs(1));
        step.saturating_mul(self.published.conflicts.min(8)).mul_f64(fastrand::f64())
    }

    /// Notes that what was sent last is not there: overwritten by another publisher, or not served by the registry.
    async fn was_not_found(&mut self, current: &Evidence, deadline: Deadline) -> Result<(), Reason> {
        let Some(before) = self.before.take() else { return Ok(()) };
        if before != *current {
            self.invisible = 0;
            self.published.conflicts += 1;
            return Ok(());
        }
        self.invisible += 1;
        if self.invisible >= MAX_INVISIBLE {
            let words = format!("{MAX_INVISIBLE} times the registry took what was sent, and then served what it had before");
            return Err(Reason::new(Code::PublishNotVisible, words));
        }
        pause(MIN_SETTLE.saturating_mul(1 << self.invisible), deadline).await
    }
}

/// Everything the edit wants to see.
async fn read(edit: &dyn Edit, registry: &Registry, base: Evidence, deadline: Deadline) -> Evidence {
    let online = Online { registry, notary: None, deadline };
    collect(&|have| edit.wants(have), base, Supply { source: &online, limits: Limits::default(), deadline }).await
}

/// What cannot have changed meanwhile: content that is named by its digest.
fn lasting(evidence: &Evidence) -> Evidence {
    let mut kept = Evidence::new();
    for (locator, entry) in evidence.iter() {
        if let (Locator::Manifest { .. } | Locator::Blob { .. }, Entry::Present { .. }) = (locator, entry) {
            kept.insert(locator.clone(), entry.clone());
        }
    }
    kept
}

/// What can change: tags and lists.
fn changeable(evidence: &Evidence) -> Evidence {
    let lasting = lasting(evidence);
    let mut kept = Evidence::new();
    for (locator, entry) in evidence.iter().filter(|(locator, _)| !lasting.has(locator)) {
        kept.insert(locator.clone(), entry.clone());
    }
    kept
}

async fn pause(span: Duration, deadline: Deadline) -> Result<(), Reason> {
    Ok(deadline.limit("other publishers", tokio::time::sleep(span)).await?)
}
