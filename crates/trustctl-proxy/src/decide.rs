//! The decision path: may this digest be served in this repository? Everything the proxy refuses is refused here.
//!
//! - A tag is resolved once; what is decided about is the digest of the bytes that will be served.
//! - A digest passes when it is trusted itself, or when something trusted *of the same repository* names it.
//! - A decision is good under one policy, for one repository, tag and digest, for a bounded time on two clocks; then the evidence is
//!   looked at again. Deny entries and end dates count at once, whatever was decided before.
//! - An outage is never a refusal and never a pass: only what was trusted before passes for a while longer, marked as stale.

mod artifact;
mod below;
mod digests;
mod flights;
mod judge;
mod outage;
mod records;
mod ruling;
mod shared;
mod tags;
mod times;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use trustctl_core::digest::Digest;
use trustctl_core::evidence::Evidence;
use trustctl_core::policy::Applies;
use trustctl_core::reason::Reason;
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::subject::{ManifestBytes, Subject};
use trustctl_core::time::Timestamp;
use trustctl_core::verdict::VerdictKind;
use trustctl_remote::limits::MAX_MANIFEST;
use trustctl_remote::registry::ManifestName;
use trustctl_remote::state::Store;

use crate::break_glass::BreakGlass;
use crate::cache::Blobs;
use crate::metrics::Metrics;
use crate::store::{Kept, Parent, Records, StoreError};
use crate::trust::{InForce, Trust};
use crate::world::World;
use below::{Asker, Closed};
use flights::{Flights, Joined};
use judge::{Found, Judge};
use records::AsyncRecords;
use ruling::Words;

pub use crate::store::SubjectKey;
pub(crate) use artifact::{MAX_EVIDENCE_BLOB, is_json, media_type};
pub use digests::{Decision, Permit, Why};
pub(crate) use outage::{late, see_to};
use outage::{manifest_in_words, out_of_time};
pub use ruling::Ruling;
pub use tags::Pinned;
pub use times::Times;

/// How far the wall clock may be behind the time that a decision was made at before the decision is doubted.
pub(crate) const CLOCK_SLACK: Duration = Duration::from_secs(60);
/// Memory for decisions, in bytes.
const RULINGS: u64 = 16 * 1024 * 1024;
/// Most tags, and most digests with what names them, that are held in memory.
const NAMES: u64 = 16_384;
/// How long "cannot be decided" is repeated without asking again: long enough to spare a struggling upstream, short for a user.
const UNDECIDED: Duration = Duration::from_secs(2);
/// How often a question is asked anew because the policy was replaced meanwhile.
const POLICIES: usize = 3;
/// How often somebody joins work that others began, before it is given up that it will be good for who joins.
const JOINS: usize = 3;

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The upstream says that there is no such thing.
    NotFound,
    /// It could not be found out.
    Unknown(Reason),
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Self::Unknown(reason)
    }
}

/// A tag of a repository.
type TagKey = (Repository, Tag);
/// Who asked, by the digest of the credentials, and what came of it. What a registry did not answer to one, it may answer to others.
type Asked<T> = (Option<Digest>, Result<T, Trouble>);

/// Wall-clock time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the decision path rests on.
pub struct Ground {
    /// The policy.
    pub trust: Arc<InForce>,
    /// What was found out before.
    pub records: Arc<dyn Records>,
    /// Manifests and blobs by their digest.
    pub blobs: Arc<dyn Blobs>,
    /// What must never be forgotten: the protection against rollback.
    pub memory: Store,
    /// For what operators have given their word.
    pub break_glass: Arc<BreakGlass>,
    /// For how long answers are good.
    pub times: Times,
    /// Wall-clock time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Decides. One for all upstreams.
pub struct Decider {
    ground: Ground,
    records: AsyncRecords,
    judge: Judge,
    rulings: moka::sync::Cache<SubjectKey, Arc<Ruling>>,
    /// What was undecided or stale, for who asked alone: a registry may throttle or fail one caller and answer all others.
    outages: moka::sync::Cache<(Option<Digest>, SubjectKey), Arc<Ruling>>,
    judging: Flights<SubjectKey, Asked<Arc<Ruling>>>,
    tags: moka::sync::Cache<TagKey, Arc<Pinned>>,
    /// What came of questions about tags that were not answered, for who asked alone.
    unanswered: moka::sync::Cache<(Option<Digest>, TagKey), Arc<Pinned>>,
    pinning: Flights<TagKey, Asked<Arc<Pinned>>>,
    edges: moka::sync::Cache<(Repository, Digest), Arc<Vec<Parent>>>,
    /// The manifests whose content is in the records.
    opened: moka::sync::Cache<(Repository, Digest), ()>,
    /// Searches below indexes.
    below: Flights<Asker, ()>,
    /// What an index names and could not be opened for who asked.
    closed: moka::sync::Cache<(Asker, Digest), Closed>,
}

impl Decider {
    /// A decider that has decided nothing yet.
    #[must_use]
    pub fn new(ground: Ground) -> Self {
        let judge = Judge::new(ground.memory.clone(), (ground.times.verify, ground.times.revocation), ground.metrics.clone());
        Self {
            records: AsyncRecords::new(ground.records.clone()),
            judge,
            rulings: moka::sync::Cache::builder()
                .max_capacity(RULINGS)
                .weigher(|_, ruling: &Arc<Ruling>| ruling.weight())
                .build(),
            outages: moka::sync::Cache::builder()
                .max_capacity(RULINGS)
                .weigher(|_, ruling: &Arc<Ruling>| ruling.weight())
                .build(),
            judging: Flights::default(),
            tags: moka::sync::Cache::new(NAMES),
            unanswered: moka::sync::Cache::new(NAMES),
            pinning: Flights::default(),
            edges: moka::sync::Cache::new(NAMES),
            opened: moka::sync::Cache::new(NAMES),
            below: Flights::default(),
            closed: moka::sync::Cache::new(NAMES),
            ground,
        }
    }

    /// The trust in force.
    #[must_use]
    pub fn in_force(&self) -> &InForce {
        &self.ground.trust
    }

    /// The time for all that is asked before one request is decided; an outage may take a small question more.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.ground.times.verify
    }

    /// How many images are being judged at this moment.
    #[must_use]
    pub fn judging(&self) -> usize {
        self.judging.count()
    }

    /// The decision about `key`: the one made before while it is good, else a new one.
    ///
    /// # Errors
    /// [`Trouble::NotFound`] when the upstream has no such manifest, [`Trouble::Unknown`] when its bytes could not be had or what is
    /// remembered could not be read. An undecided verdict is a ruling, not an error.
    pub async fn decide(self: &Arc<Self>, world: &World, key: &SubjectKey) -> Result<Arc<Ruling>, Trouble> {
        for join in 0..JOINS {
            let (trust, now) = (self.ground.trust.trust(), (self.ground.clock)());
            if let Some(ruling) = self.remembered(world, key, (&trust.fingerprint, now)) {
                if ruling.passes() && Instant::now() >= ruling.renew_from && !self.pauses(world, key) {
                    self.judging.start(key.clone(), || self.clone().anew(world.unhurried(), key.clone(), Renew::Yes));
                }
                return Ok(ruling);
            }
            let anew = || self.clone().anew(world.clone(), key.clone(), Renew::No);
            let ((by, ruling), joined) = self.judging.join(key.clone(), anew).await;
            if joined == Joined::Began || self.is_for_all(world, by, &ruling) {
                return ruling;
            }
            // What others began before this question may rest on a policy that was replaced, on their rights, or on old answers; what
            // was begun since does not. Only that a registry answered nothing may be so for them alone, however late they asked.
            if let Some(stale) = ruling.as_ref().ok().filter(|ruling| ruling.is_stale) {
                if self.is_so_here(world, key, stale).await {
                    return ruling;
                }
            } else if join > 0 {
                return ruling;
            }
        }
        Err(out_of_time(&key.repository, &format!("an answer about {}", key.digest)).into())
    }

    /// Which policy is in force, with its keys.
    fn fingerprint(&self) -> Digest {
        self.ground.trust.trust().fingerprint
    }

    async fn anew(self: Arc<Self>, world: World, key: SubjectKey, renew: Renew) -> Asked<Arc<Ruling>> {
        (world.caller, self.find_out(world, key, renew).await)
    }

    /// Makes a decision and remembers it.
    async fn find_out(&self, world: World, key: SubjectKey, renew: Renew) -> Result<Arc<Ruling>, Trouble> {
        let (trust, now) = (self.ground.trust.trust(), (self.ground.clock)());
        let world = world.within(self.patience());
        let name = key.clone();
        let kept = self.records.look(move |records| records.kept(&name)).await?;
        let kept = kept.filter(|kept| kept.gathered <= now.saturating_add(CLOCK_SLACK));
        let age = |kept: &Kept| now.since(kept.gathered);
        if renew == Renew::No
            && let Some(kept) = kept.as_ref().filter(|kept| age(kept) < self.ground.times.revocation)
            && let Some(ruling) = self.of_kept(&trust, kept, now).await?
        {
            return Ok(self.remember(&world, key, ruling));
        }
        if world.is_late() {
            // Nobody is asked without time for an answer, and what is not asked says nothing to those who ask later.
            let late = out_of_time(&key.repository, &format!("all that was asked before {}", key.digest));
            return self.fall_back((&world, &trust, renew), key, kept, Err(late.into())).await;
        }
        let manifest = match self.manifest(&world, &key, kept.is_some()).await {
            Ok(manifest) => manifest,
            Err(trouble) => return self.fall_back((&world, &trust, renew), key, kept, Err(trouble)).await,
        };
        let announced = ManifestBytes { bytes: &manifest.0, announced: manifest.1.as_deref() };
        let subject = Subject::from_manifest(key.repository.clone(), key.tag.clone(), announced)?;
        if artifact::is_evidence(&manifest.0) && !self.is_denied(&key.repository, &key.digest) {
            self.connect_content(&key.repository, &key.digest, &manifest.0).await?;
            return Ok(self.remember(&world, key, Ruling::of_evidence(&trust, (subject, manifest.0), now)));
        }
        let leave = match self.leave_to_gather(&world, &key.repository, renew).await {
            Ok(leave) => leave,
            Err(reason) => return self.fall_back((&world, &trust, renew), key, kept, Err(reason.into())).await,
        };
        // What is found is as old as the first question, however long the last answer takes.
        let begins = Instant::now();
        let found = self.judge.gather(&world, &trust, (&subject, &manifest.0), now).await?;
        drop(leave);
        let ruling = self.rule(&trust, (subject, manifest.0), &found, (now, begins));
        match ruling.verdict {
            VerdictKind::Trusted => {
                self.keep(&ruling, found.evidence).await?;
                Ok(self.remember(&world, key, ruling))
            }
            VerdictKind::Undecided => self.fall_back((&world, &trust, renew), key, kept, Ok(ruling)).await,
            VerdictKind::Rejected | VerdictKind::Unsigned => {
                if ruling.verdict == VerdictKind::Unsigned && kept.is_some() {
                    self.sees(&world, &key).await?;
                }
                let (kept, name) = (key.clone(), key.clone());
                let is_kept = move |records: &dyn Records| records.kept(&kept).map(|kept| kept.is_some());
                self.records.change_if(is_kept, move |records| records.forget(&name)).await?;
                Ok(self.remember(&world, key, ruling))
            }
        }
    }

    /// A ruling by evidence that was gathered earlier, if it is enough to trust the image now.
    async fn of_kept(&self, trust: &Arc<Trust>, kept: &Kept, now: Timestamp) -> Result<Option<Ruling>, Trouble> {
        let Some(manifest) = self.cached(&kept.subject.digest).await? else { return Ok(None) };
        let begins = Instant::now();
        let found = self.judge.again(trust, (&kept.subject, kept.evidence.clone()), now).await?;
        let mut ruling = self.rule(trust, (kept.subject.clone(), manifest), &found, (now, begins));
        if !ruling.passes() {
            return Ok(None);
        }
        let left = self.ground.times.revocation.saturating_sub(now.since(kept.gathered));
        ruling.gathered = kept.gathered;
        ruling.good_until = ruling.good_until.min(begins + left);
        ruling.renew_from = ruling.good_until.min(ruling.renew_from);
        Ok(Some(ruling))
    }

    /// The ruling by what was found. Trust is good from when `begins`, before the first question: what was published since may not be in
    /// the answers. Everything else is good from now on.
    fn rule(
        &self,
        trust: &Trust,
        (subject, manifest): (Subject, Bytes),
        found: &Found,
        (now, begins): (Timestamp, Instant),
    ) -> Ruling {
        let words = Words::of(found.assessment.clone());
        let times = &self.ground.times;
        let good = match words.verdict {
            VerdictKind::Trusted if found.lasts => times.revocation,
            VerdictKind::Trusted => Duration::from_secs(1).min(times.revocation),
            VerdictKind::Rejected | VerdictKind::Unsigned => times.refusal,
            VerdictKind::Undecided => UNDECIDED,
        };
        let begins = if words.verdict == VerdictKind::Trusted { begins } else { Instant::now() };
        Ruling {
            subject,
            manifest,
            verdict: words.verdict,
            reasons: words.reasons,
            warnings: words.warnings,
            rule: words.rule,
            signers: words.signers,
            scheme: words.scheme,
            fingerprint: trust.fingerprint,
            gathered: now,
            good_until: begins + good,
            renew_from: begins + good / 2,
            holds_until: now.saturating_add(good),
            is_stale: false,
            is_evidence: false,
            answer: OnceLock::new(),
        }
    }

    /// Stores the evidence for a trusted image, and what it leads to.
    async fn keep(&self, ruling: &Ruling, evidence: Evidence) -> Result<(), Trouble> {
        let kept = Kept { subject: ruling.subject.clone(), evidence, gathered: ruling.gathered };
        let keep = self.records.change(move |records| match records.keep(&kept) {
            // It is trusted all the same; it will have to be gathered again.
            Err(StoreError::TooLarge { .. }) => Ok(()),
            kept => kept,
        });
        keep.await?;
        if let Some(tag) = &ruling.subject.tag {
            self.connect(&ruling.subject.repository, Parent::Tag(tag.clone()), vec![ruling.subject.digest]).await?;
        }
        self.connect_content(&ruling.subject.repository, &ruling.subject.digest, &ruling.manifest).await
    }

    /// The bytes of the manifest and the media type it was announced with; from the cache when this repository is known to have it.
    async fn manifest(&self, world: &World, key: &SubjectKey, is_known: bool) -> Result<(Bytes, Option<String>), Trouble> {
        if (is_known || key.tag.is_some())
            && let Some(bytes) = self.cached(&key.digest).await?
        {
            return Ok((bytes, None));
        }
        self.fetch(world, &key.repository, &ManifestName::Digest(key.digest))
            .await
            .map(|(_, bytes, media_type)| (bytes, media_type))
    }

    /// Fetches a manifest from the upstream and puts it in the cache.
    async fn fetch(
        &self,
        world: &World,
        repository: &Repository,
        name: &ManifestName,
    ) -> Result<(Digest, Bytes, Option<String>), Trouble> {
        let deadline = world.deadline(self.patience());
        let found = world.registry.manifest(repository, name, MAX_MANIFEST, deadline).await;
        let found = found.map_err(|error| late(error, repository, &manifest_in_words(name)))?;
        let manifest = found.ok_or(Trouble::NotFound)?;
        let bytes = Bytes::from(manifest.bytes);
        let digest = match name {
            ManifestName::Digest(digest) => *digest,
            ManifestName::Tag(_) => Digest::sha256_of(&bytes),
        };
        self.ground.blobs.put(&digest, bytes.clone()).await.map_err(Reason::from)?;
        Ok((digest, bytes, manifest.media_type))
    }

    async fn cached(&self, digest: &Digest) -> Result<Option<Bytes>, Trouble> {
        Ok(self.ground.blobs.read(digest, MAX_MANIFEST).await.map_err(Reason::from)?)
    }

    /// Whether a deny entry is for this digest.
    fn is_denied(&self, repository: &Repository, digest: &Digest) -> bool {
        let trust = self.ground.trust.trust();
        matches!(trust.policy.applies(repository, digest, (self.ground.clock)()), Ok(Applies::Deny(_)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Renew {
    No,
    Yes,
}
