//! One statement on its way to a finished signature: through the queue where there is one, so that what a service has done is not lost,
//! whatever ends the run.
//!
//! The file is written before a log is asked and again with the log's answer, and removed when what was published is verified. A run that
//! finds it goes on from there.

use trustctl_core::reason::{Code, Reason, Step};
use trustctl_sigstore::dsse::IN_TOTO;
use trustctl_sigstore::keyless::About;
use trustctl_sigstore::make::{self, MakeError, Signing, Storage};
use trustctl_sigstore::seal::Sealed;
use trustctl_sigstore::seal::kept::Kept;

use super::super::clock;
use super::super::queue::{Pending, Queue};
use super::super::signer::{Intent, Keeping, What, Who};
use super::super::turn::Turn;
use super::cosigning::{Cosigning, Outcome};
use crate::failure::Failure;

/// One statement or payload to be signed.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) storage: Storage,
    /// The file's name in the queue. It does not depend on how much of the job is done already.
    pub(super) name: String,
    /// What is not there yet; never empty, and one alone for a `.sig` tag.
    pub(super) missing: Vec<Signing>,
    /// Whether the caller holds the lock on the file.
    pub(super) held: bool,
}

/// What came of a job.
pub(super) enum Settled {
    /// A finished signature. The file is to be removed when it is published and verified; until then the lock is held.
    Finished { sealed: Box<Sealed>, job: Job, turn: Option<Turn> },
    /// Another process has done it meanwhile.
    There,
    /// A file in the queue.
    Waiting { job: Job, path: String },
}

/// The first outage of a run: the next job does not try for a minute what just failed.
#[derive(Debug, Default)]
pub(super) struct Down(Option<Failure>);

impl Down {
    pub(super) fn note(&mut self, failure: Failure) {
        self.0.get_or_insert(failure);
    }

    pub(super) fn reason(self) -> Option<Failure> {
        self.0
    }
}

impl Job {
    fn keeping(&self) -> Keeping {
        match self.storage {
            Storage::Bundle => Keeping::Bundle,
            Storage::SignatureTag => Keeping::Annotations,
        }
    }

    /// The bytes that are signed.
    fn message(&self) -> Result<Vec<u8>, Failure> {
        let message = match (self.storage, self.missing.first()) {
            (Storage::SignatureTag, Some(signing)) => signing.payload(),
            _ => make::statement_of(&self.missing),
        };
        message.map_err(|error: MakeError| Failure::new(error.reason()))
    }

    /// What is signed, and what it is about.
    fn what<'m>(&'m self, message: &'m [u8]) -> (What<'m>, About<'m>) {
        match (self.storage, self.missing.first()) {
            (Storage::Bundle, Some(signing)) => {
                (What::Envelope { payload_type: IN_TOTO, payload: message }, About::Digest(&signing.image.digest))
            }
            _ => (What::Message(message), About::Bytes(message)),
        }
    }

    /// Whether a signature that was kept says what is missing.
    fn is_in(&self, kept: &Kept) -> bool {
        match kept.payload() {
            Some(statement) => self.storage == Storage::Bundle && self.missing.iter().all(|one| one.is_said_in(statement)),
            None => self.storage == Storage::SignatureTag && self.message().is_ok_and(|message| kept.is_over(&message)),
        }
    }
}

impl Cosigning<'_> {
    /// Finishes the signature, or keeps what there is of it.
    ///
    /// # Errors
    /// A [`Failure`]; an outage only where there is no queue.
    pub(super) async fn settle(&self, mut job: Job, known: &[Who], down: &mut Down) -> Result<Settled, Failure> {
        let Some(queue) = self.queue.filter(|_| self.with.is_vouched_for()) else {
            let sealed = Box::new(self.without_queue(&job).await?);
            return Ok(Settled::Finished { sealed, job, turn: None });
        };
        let mut turn = None;
        if !job.held {
            queue.make()?;
            let (held, waited) = queue.turn(&job.name, self.session.deadline()?).await?;
            turn = Some(held);
            if waited {
                job.missing = self.missing(job.storage, &job.missing, known).await?;
            }
        }
        if job.missing.is_empty() {
            return Ok(Settled::There);
        }
        let sealed = match (self.kept(&job, known).await?, &down.0) {
            (None, Some(failure)) => Err(failure.clone()),
            (kept, _) => self.through(queue, &job, kept).await,
        };
        match sealed {
            Ok(sealed) => Ok(Settled::Finished { sealed: Box::new(sealed), job, turn }),
            Err(failure) if failure.is_outage() => {
                if queue.read(&job.name)?.is_none() {
                    queue.write(&job.name, &Pending::new(job.storage, &job.missing, clock()))?;
                }
                down.note(failure);
                let path = queue.path(&job.name).display().to_string();
                Ok(Settled::Waiting { job, path })
            }
            Err(failure) => Err(failure),
        }
    }

    async fn without_queue(&self, job: &Job) -> Result<Sealed, Failure> {
        let message = job.message()?;
        let intent = Intent { name: job.name.clone(), is_in: &|kept| job.is_in(kept) };
        match job.what(&message) {
            (What::Envelope { payload_type, payload }, About::Digest(digest)) => {
                self.with.envelope((payload_type, payload), digest, job.keeping(), intent).await
            }
            _ => self.with.message(&message, job.keeping(), intent).await,
        }
    }

    /// Signs, has the logs asked, and writes down what each has brought before the next thing is done.
    async fn through(&self, queue: &Queue, job: &Job, kept: Option<Kept>) -> Result<Sealed, Failure> {
        let pending = Pending::new(job.storage, &job.missing, clock());
        let message = job.message()?;
        let write = |kept: &Kept| queue.write(&job.name, &pending.clone().with(kept)?);
        self.with.through(job.what(&message), job.keeping(), kept, &write).await
    }

    /// What a run before has left of this job, in the queue or else in the journal, where it is by the same signer and can still become valid.
    async fn kept(&self, job: &Job, known: &[Who]) -> Result<Option<Kept>, Failure> {
        let kept = match self.queue {
            Some(queue) => queue.read(&job.name)?.map(|pending| pending.kept()).transpose()?.flatten(),
            None => self.with.left(&job.name),
        };
        match kept {
            Some(kept) if known.contains(&Who::of(&kept)?) && job.is_in(&kept) => self.with.usable(kept, job.keeping()).await,
            _ => Ok(None),
        }
    }

    /// Whether of each job a signature was kept that only lacks a log entry or its publication.
    pub(super) async fn are_kept(&self, jobs: &[Job], known: &[Who]) -> Result<bool, Failure> {
        for job in jobs {
            if self.kept(job, known).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Keeps the intention to sign all of this: nothing else is known yet.
    pub(super) fn wait_for_all(&self, signings: &[Signing], failure: Failure) -> Result<Outcome, Failure> {
        let Some(queue) = self.queue else { return Err(failure) };
        queue.make()?;
        let mut outcome = Outcome::default();
        for storage in self.storages {
            let groups = match storage {
                Storage::Bundle => make::shares(signings.to_vec()),
                Storage::SignatureTag => signings.iter().map(|signing| vec![signing.clone()]).collect(),
            };
            for group in groups {
                let name = Queue::name(*storage, &group);
                if queue.read(&name)?.is_none() {
                    queue.write(&name, &Pending::new(*storage, &group, clock()))?;
                }
                let path = queue.path(&name).display().to_string();
                let waiting = |signing: &Signing| (signing.image.repository.clone(), signing.image.digest, path.clone());
                outcome.waiting.extend(group.iter().map(waiting));
            }
        }
        outcome.down = Some(failure);
        Ok(outcome)
    }
}

/// Why a run that put something into the queue does not end well.
pub(in crate::run) fn waits(outcome: &Outcome) -> Option<Failure> {
    let (_, _, path) = outcome.waiting.first()?;
    let mut files: Vec<&str> = outcome.waiting.iter().map(|(_, _, path)| path.as_str()).collect();
    files.dedup();
    let why = outcome.down.as_ref().map(|down| down.reason.message.clone()).unwrap_or_default();
    let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
    let words = format!("{why}; what is finished is kept in {path}{more}, and the images are not signed");
    let step = Step::command("finish it when the service answers again", ["trustctl", "complete"]);
    Some(Failure::new(Reason::new(Code::SignatureQueued, words).step(step)))
}
