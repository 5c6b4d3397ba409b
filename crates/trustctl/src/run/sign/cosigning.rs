//! Signing images with Cosign: what is there already, what is sealed, and the proof that it was published.
//!
//! All images of a run share one statement, one certificate and one log entry, as far as their bundles can ([`make::shares`]). What is
//! there already costs nothing: neither certificate nor log entry.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trustctl_core::assess::{Assessment, Assessor};
use trustctl_core::claim::{Claim, Principal, Statement};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::Evidence;
use trustctl_core::memory::Memory;
use trustctl_core::policy::CosignDemands;
use trustctl_core::publish::Edit;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_sigstore::artifact::Form;
use trustctl_sigstore::make::{self, Signing, Storage};

use super::super::network::World;
use super::super::queue::{Pending, Queue};
use super::super::signer::{Who, With};
use super::super::{Session, clock, revoke, schemes};
use super::settle::{Down, Job, Settled};
use super::{Work, each, publish_each, say};
use crate::failure::Failure;

/// Signing the images of one run.
pub(in crate::run) struct Cosigning<'a> {
    pub(in crate::run) session: &'a Session,
    pub(in crate::run) world: &'a World,
    pub(in crate::run) with: &'a With<'a>,
    pub(in crate::run) place: Option<Repository>,
    pub(in crate::run) annotations: BTreeMap<String, String>,
    pub(in crate::run) storages: &'a [Storage],
    /// Where signatures wait while a service is down; without one, the run fails then.
    pub(in crate::run) queue: Option<&'a Queue>,
}

/// Where something is signed: a repository, and a manifest in it.
type Place = (Repository, Digest);

/// What came of signing.
#[derive(Debug, Default)]
pub(in crate::run) struct Outcome {
    /// Who signed; nobody where everything waits.
    pub(in crate::run) signer: Option<Principal>,
    /// The manifests that were signed now, by repository and digest.
    pub(in crate::run) changed: Vec<Place>,
    /// Those that wait in the queue, each with its file.
    pub(in crate::run) waiting: Vec<(Repository, Digest, String)>,
    /// Why they wait.
    pub(in crate::run) down: Option<Failure>,
}

impl Cosigning<'_> {
    /// Signs each image, and of an index what it names, and verifies what is published then.
    ///
    /// # Errors
    /// A [`Failure`], by the first thing that stands in the way; an outage only where there is no queue.
    pub(in crate::run) async fn sign(&self, signings: &[Signing]) -> Result<Outcome, Failure> {
        let mut down = Down::default();
        let mut known = match self.with.expected().await {
            Ok(known) => known,
            Err(failure) if self.waits_for(&failure) => return self.wait_for_all(signings, failure),
            Err(failure) => return Err(failure),
        };
        let mut jobs = self.jobs(signings, &known).await?;
        if !jobs.is_empty() && self.with.is_vouched_for() && !self.are_kept(&jobs, &known).await? {
            match self.with.who().await {
                Ok(who) if known.contains(&who) => {}
                // The authority names somebody else than the token made believe.
                Ok(who) => {
                    known = vec![who];
                    jobs = self.jobs(signings, &known).await?;
                }
                Err(failure) if self.waits_for(&failure) => down.note(failure),
                Err(failure) => return Err(failure),
            }
        }
        self.carry_out(signings, jobs, (&known, down)).await
    }

    /// Finishes what a file of the queue says, whose lock the caller holds.
    ///
    /// # Errors
    /// As [`Cosigning::sign`].
    pub(in crate::run) async fn complete(&self, name: &str, pending: &Pending) -> Result<Outcome, Failure> {
        let signings = pending.signings();
        let kept = pending.kept()?;
        let mut known = match &kept {
            Some(kept) => vec![Who::of(kept)?],
            None => self.with.expected().await?,
        };
        let mut job = Job { storage: pending.storage(), name: name.to_owned(), missing: Vec::new(), held: true };
        job.missing = self.missing(job.storage, &signings, &known).await?;
        // It has to be signed anew, by whoever this run signs as.
        if !job.missing.is_empty() && !self.are_kept(std::slice::from_ref(&job), &known).await? {
            known = vec![self.with.who().await?];
            job.missing = self.missing(job.storage, &signings, &known).await?;
        }
        if job.missing.is_empty() {
            let mut outcome = Outcome::default();
            self.publish_and_prove(&signings, (&[], Vec::new()), (&known, &mut outcome)).await?;
            if let Some(queue) = self.queue {
                queue.remove(name)?;
            }
            return Ok(outcome);
        }
        self.carry_out(&signings, vec![job], (&known, Down::default())).await
    }

    /// Signs, publishes and proves what the jobs say.
    async fn carry_out(
        &self,
        signings: &[Signing],
        jobs: Vec<Job>,
        (known, mut down): (&[Who], Down),
    ) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        let (mut edits, mut places, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            match self.settle(job, known, &mut down).await? {
                Settled::Finished { sealed, job, turn } => {
                    for signing in &job.missing {
                        let edit = make::publish(signing, job.storage, &sealed);
                        edits.push(edit.map_err(|error| Failure::new(error.reason()))?);
                        places.push((signing.image.repository.clone(), signing.image.digest));
                    }
                    finished.push((job.name, turn));
                }
                Settled::There => {}
                Settled::Waiting { job, path } => {
                    let waiting = |signing: &Signing| (signing.image.repository.clone(), signing.image.digest, path.clone());
                    outcome.waiting.extend(job.missing.iter().map(waiting));
                }
            }
        }
        let done = self.publish_and_prove(signings, (&edits, places), (known, &mut outcome)).await;
        outcome.down = down.reason();
        for (name, turn) in finished {
            if let (Some(queue), Ok(())) = (self.queue, &done) {
                queue.remove(&name)?;
            }
            drop(turn);
        }
        if done.is_ok() {
            self.with.settled().await;
        }
        done.map(|()| outcome)
    }

    async fn publish_and_prove(
        &self,
        signings: &[Signing],
        (edits, places): (&[Box<dyn Edit>], Vec<Place>),
        (known, outcome): (&[Who], &mut Outcome),
    ) -> Result<(), Failure> {
        let published = publish_each((self.session, self.world), edits).await?;
        let mut seen: BTreeMap<Place, Evidence> = BTreeMap::new();
        for (place, published) in places.into_iter().zip(published).filter(|(_, published)| published.changed) {
            seen.entry(place.clone()).or_default().merge(published.seen);
            outcome.changed.push(place);
        }
        let waits = |signing: &Signing| {
            let place = (&signing.image.repository, &signing.image.digest);
            outcome.waiting.iter().any(|(repository, digest, _)| (repository, digest) == place)
        };
        let done: Vec<&Signing> = signings.iter().filter(|signing| !waits(signing)).collect();
        let stranger = self.world.fresh();
        let proving = each(&done, |signing| {
            let seen = seen.get(&(signing.image.repository.clone(), signing.image.digest)).cloned();
            self.prove(signing, known, (&stranger, seen.unwrap_or_default()))
        });
        outcome.signer = proving.await?.pop();
        Ok(())
    }

    /// What has to be signed, after looking for what is there and refusing what the signer has revoked.
    ///
    /// A signature by key alone is the same whenever it is made, and its edit sees that it is there.
    async fn jobs(&self, signings: &[Signing], known: &[Who]) -> Result<Vec<Job>, Failure> {
        let looked = each(signings, |signing| self.look(signing, known)).await?;
        let mut jobs = Vec::new();
        for storage in self.storages {
            let missing = self.lacking(*storage, signings.iter().zip(&looked), known);
            let groups = match *storage == Storage::Bundle && self.with.is_vouched_for() {
                true => make::shares(signings.to_vec()),
                false => signings.iter().map(|signing| vec![signing.clone()]).collect(),
            };
            for group in groups {
                let name = Queue::name(*storage, &group);
                let lacks = |one: &Signing| missing.iter().any(|signing| is_same(signing, one));
                let missing: Vec<Signing> = group.into_iter().filter(lacks).collect();
                if missing.is_empty() {
                    self.with.forget(&name);
                } else {
                    jobs.push(Job { storage: *storage, name, missing, held: false });
                }
            }
        }
        Ok(jobs)
    }

    /// What is not signed yet, in this storage, by one of these with the same claims, vouched for as a new signature would be; after
    /// refusing what one of these has revoked.
    pub(super) async fn missing(&self, storage: Storage, signings: &[Signing], known: &[Who]) -> Result<Vec<Signing>, Failure> {
        let looked = each(signings, |signing| self.look(signing, known)).await?;
        Ok(self.lacking(storage, signings.iter().zip(&looked), known))
    }

    /// As [`Cosigning::missing`], of what was looked at.
    fn lacking<'s>(
        &self,
        storage: Storage,
        looked: impl Iterator<Item = (&'s Signing, &'s Option<Assessment>)>,
        known: &[Who],
    ) -> Vec<Signing> {
        let form = match storage {
            Storage::Bundle => Form::Bundle,
            Storage::SignatureTag => Form::SignatureTag,
        };
        let is_there = |signing: &Signing, assessment: &Assessment| {
            self.same(assessment, signing, known).any(|claim| claim.source.form == form.words())
        };
        let lacks = |(signing, assessment): &(&Signing, &Option<Assessment>)| {
            assessment.as_ref().is_none_or(|assessment| !is_there(signing, assessment))
        };
        looked.filter(lacks).map(|(signing, _)| signing.clone()).collect()
    }

    /// Refuses what one of these has revoked, and says what is proven of the image; nothing where that does not matter, for a signature
    /// by key alone is the same whenever it is made. Each piece of evidence is read once for both.
    async fn look(&self, signing: &Signing, known: &[Who]) -> Result<Option<Assessment>, Failure> {
        let work = self.work(&signing.image);
        let mut have = Evidence::new();
        for who in known {
            let (anchors, signer) = (self.with.anchors_for(std::slice::from_ref(who)), who.principal());
            have =
                revoke::refuse_revoked(&work, &signing.image, (&anchors, &signer), (self.place.clone(), have.answered())).await?;
        }
        if !self.with.is_vouched_for() {
            return Ok(None);
        }
        self.judge(&signing.image, known, (self.world, have.answered())).await.map(Some)
    }

    /// Whether a failure is one that the queue is for.
    pub(super) fn waits_for(&self, failure: &Failure) -> bool {
        self.queue.is_some() && failure.is_outage()
    }

    fn work<'w>(&'w self, subject: &'w Subject) -> Work<'w> {
        Work { session: self.session, world: self.world, subject, now: clock() }
    }

    /// What is proven of it that says the same, by one of these.
    fn same<'c>(&'c self, assessment: &'c Assessment, signing: &'c Signing, known: &'c [Who]) -> impl Iterator<Item = &'c Claim> {
        let by = |claim: &Claim| known.iter().any(|who| claim.principal == who.principal());
        let logged = |claim: &Claim| !claim.log.proven.is_empty() || !self.with.logs();
        let claims = assessment.findings.iter().flat_map(|findings| &findings.claims);
        claims.filter(move |claim| by(claim) && logged(claim) && says_the_same(claim, signing))
    }

    /// Verifies what was published as anybody would: by what a client sees that knows nothing of this run, trusting just these. What such
    /// a client has seen since it was published is not read again. Who signed it.
    async fn prove(&self, signing: &Signing, known: &[Who], (stranger, seen): (&World, Evidence)) -> Result<Principal, Failure> {
        let assessment = self.judge(&signing.image, known, (stranger, seen)).await?;
        let verdict = &assessment.judgement.verdict;
        let digest = signing.image.digest;
        if verdict.is_trusted() {
            let signer = self.same(&assessment, signing, known).next().map(|claim| claim.principal.clone());
            let words = format!("{digest} was published and does not say what it should");
            return signer.ok_or_else(|| Failure::new(Reason::new(Code::CosignSelfCheck, words)));
        }
        let why = verdict.reasons().first().map(|reason| reason.message.clone()).unwrap_or_default();
        let code = match verdict.reasons().first().map(|reason| reason.code) {
            Some(Code::CosignRevoked) => Code::CosignRevoked,
            Some(Code::Unavailable) => Code::Unavailable,
            _ => Code::CosignSelfCheck,
        };
        let words = format!("{digest} was published and is {}: {why}", verdict.kind().word());
        Err(Failure::new(Reason::new(code, words)))
    }

    /// What is proven of this manifest alone, trusting just these, as of now: what was just signed has times of just now. What was read
    /// before is not asked for.
    async fn judge(&self, manifest: &Subject, known: &[Who], (world, have): (&World, Evidence)) -> Result<Assessment, Failure> {
        let demands = CosignDemands { annotations: self.annotations.clone(), ..CosignDemands::default() };
        let policy = self.with.policy_for(known, demands);
        let schemes = schemes(&policy, self.place.clone()).fetching_payloads();
        let (held, memory) = (schemes.all(), Memory::new());
        let assessor = Assessor { policy: &policy, schemes: &held, memory: &memory, now: clock() };
        let subject = Subject { children: Vec::new(), ..manifest.clone() };
        let deadline = self.session.deadline()?;
        let source = world.until(deadline);
        let wants = |have: &Evidence| assessor.wants(&subject, have);
        let supply = Supply { source: &source, limits: Limits::default(), deadline };
        let evidence = collect(&wants, have, supply).await;
        let assessor = Assessor { now: clock(), ..assessor };
        Ok(assessor.assess(&subject, &evidence))
    }
}

fn is_same(one: &Signing, other: &Signing) -> bool {
    (&one.image.repository, &one.image.digest, &one.tag) == (&other.image.repository, &other.image.digest, &other.tag)
}

fn says_the_same(claim: &Claim, signing: &Signing) -> bool {
    claim.statement == Statement::Signature
        && claim.annotations == signing.annotations
        && claim.repository.as_ref().is_some_and(|named| *named == signing.image.repository.to_string())
        && claim.tag == signing.tag.as_ref().map(ToString::to_string)
}

/// What is to be signed of an image: itself, and each manifest in `manifests` that it names, under the image's tag.
pub(super) fn signings(
    (manifests, tag): (Vec<Subject>, Option<&Tag>),
    annotations: &BTreeMap<String, String>,
    (place, created): (Option<&Repository>, Timestamp),
) -> Vec<Signing> {
    let signing = |manifest: Subject| Signing {
        repository: Some(manifest.repository.clone()),
        image: Subject { children: Vec::new(), ..manifest },
        tag: tag.cloned(),
        annotations: annotations.clone(),
        signature_repository: place.cloned(),
        created,
    };
    manifests.into_iter().map(signing).collect()
}

/// The report on one image.
pub(super) fn report(work: &Work<'_>, manifests: &[Signing], outcome: &Outcome) -> Value {
    let is = |repository: &Repository, digest: &Digest| {
        manifests.iter().any(|signing| (&signing.image.repository, &signing.image.digest) == (repository, digest))
    };
    let waiting = outcome.waiting.iter().find(|(repository, digest, _)| is(repository, digest));
    let changed = outcome.changed.iter().any(|(repository, digest)| is(repository, digest));
    let done = match (waiting, changed) {
        (Some(_), _) => "waits in the queue",
        (None, true) => "signed",
        (None, false) => "already signed",
    };
    let mut report = described(work, manifests, done);
    let (name, value, how) = match &outcome.signer {
        Some(principal @ Principal::Identity { identity, issuer, .. }) => {
            ("identity", json!({ "identity": identity, "issuer": issuer }), format!("identity {principal}"))
        }
        Some(Principal::Key { fingerprint }) => ("key", json!(fingerprint), format!("cosign key {fingerprint}")),
        Some(other) => ("signer", json!(other), other.to_string()),
        None => ("signer", Value::Null, "nothing is signed yet".to_owned()),
    };
    if let Value::Object(members) = &mut report {
        members.insert(name.to_owned(), value);
        if let Some((_, _, path)) = waiting {
            members.insert("pending".to_owned(), json!(path));
        }
    }
    say(work, done, &format!("{how}, {} manifest(s)", manifests.len()));
    report
}

/// What a run would sign, without asking any service for anything.
pub(super) fn would_sign(work: &Work<'_>, with: &With<'_>, manifests: &[Signing]) -> Value {
    let how = match with.key() {
        Some(key) => format!("cosign key {}", key.fingerprint()),
        None => "an identity".to_owned(),
    };
    say(work, "would sign", &format!("{how}, {} manifest(s)", manifests.len()));
    let mut report = described(work, manifests, "would sign");
    if let (Some(key), Value::Object(members)) = (with.key(), &mut report) {
        members.insert("key".to_owned(), json!(key.fingerprint()));
    }
    report
}

fn described(work: &Work<'_>, manifests: &[Signing], done: &str) -> Value {
    let digests: Vec<String> = manifests.iter().map(|signing| signing.image.digest.to_string()).collect();
    let subject = work.subject;
    json!({
        "image": subject.repository.to_string(), "digest": subject.digest, "scheme": "cosign", "done": done,
        "digests": digests, "tag": subject.tag,
    })
}
