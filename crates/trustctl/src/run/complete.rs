//! `trustctl complete`: finishes the signatures that wait in the queue.
//!
//! Each file is taken on its own, under its lock: what is published already is only verified; what a log has entered is published; what was
//! signed is logged, while that can still make it valid; everything else is signed anew, by the identity or key of this run. A file goes
//! when a fresh client has verified what it stands for.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::{Reference, Repository};
use trustctl_core::report::ReasonReport;
use trustctl_sigstore::make::Signing;

use super::network::World;
use super::queue::{Pending, Queue};
use super::sign::{Cosigning, waits};
use super::signer::With;
use super::turn::Turn;
use super::{Session, parse_image};
use crate::cli::CompleteArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;

/// What is said of a file that stays.
const WAITS: &str = "still waits";

/// What came of one file.
struct Done {
    name: String,
    images: Vec<String>,
    word: &'static str,
    failure: Option<Failure>,
}

/// Finishes what can be finished.
///
/// # Errors
/// A [`Failure`] for what concerns the whole run; what stands in the way of one file is reported with it.
pub(super) async fn run(session: &Session, args: &CompleteArgs) -> Result<Exit, Failure> {
    let queue = Queue::new(session, args.queue.as_deref())?;
    let only = wanted(&args.images)?;
    let names = queue.names()?;
    let mut all = Vec::new();
    if !names.is_empty() {
        let key = args.key.as_ref().map(|key| session.private_key(key, args.passphrase.as_deref(), None)).transpose()?;
        let with = With::new(session, &args.vouching, key)?;
        let completing = Completing { session, with: &with, world: session.world(None)?, queue: &queue, only };
        for name in names {
            all.extend(completing.file(name).await);
        }
    }
    Ok(report(session, &all))
}

/// The images that are named, by digest.
fn wanted(images: &[String]) -> Result<Option<BTreeSet<(Repository, Digest)>>, Failure> {
    let mut wanted = BTreeSet::new();
    for text in images {
        let reference: Reference = parse_image(text)?;
        let Some(digest) = reference.digest else {
            let words = format!("{text} has no digest, and the queue is about digests");
            return Err(Failure::new(Reason::new(Code::TagNotAllowed, words)));
        };
        wanted.insert((reference.repository, digest));
    }
    Ok(if images.is_empty() { None } else { Some(wanted) })
}

struct Completing<'a> {
    session: &'a Session,
    with: &'a With<'a>,
    world: World,
    queue: &'a Queue,
    only: Option<BTreeSet<(Repository, Digest)>>,
}

impl Completing<'_> {
    /// Finishes one file; `None` where there is nothing to do: another process was faster, or it is about other images.
    async fn file(&self, name: String) -> Option<Done> {
        let (images, done) = match self.held(&name).await {
            Ok(None) => return None,
            Ok(Some((_, pending))) if !self.is_wanted(&pending) => return None,
            Ok(Some((_turn, pending))) => {
                let name_of = |signing: &Signing| format!("{}@{}", signing.image.repository, signing.image.digest);
                (pending.signings().iter().map(name_of).collect(), self.finish(&name, &pending).await)
            }
            Err(failure) => (Vec::new(), Err(failure)),
        };
        let (word, failure) = match done {
            Ok(word) => (word, None),
            Err(failure) if failure.is_outage() || failure.reason.code == Code::QueueNotEmpty => (WAITS, Some(failure)),
            Err(failure) => ("failed", Some(failure)),
        };
        Some(Done { name, images, word, failure })
    }

    /// The file, and the lock on it.
    async fn held(&self, name: &str) -> Result<Option<(Turn, Pending)>, Failure> {
        let (turn, _) = self.queue.turn(name, self.session.deadline()?).await?;
        Ok(self.queue.read(name)?.map(|pending| (turn, pending)))
    }

    /// Whether everything that the file is about was named.
    fn is_wanted(&self, pending: &Pending) -> bool {
        let Some(only) = &self.only else { return true };
        pending.signings().into_iter().all(|signing| only.contains(&(signing.image.repository, signing.image.digest)))
    }

    async fn finish(&self, name: &str, pending: &Pending) -> Result<&'static str, Failure> {
        let storages = [pending.storage()];
        let cosigning = Cosigning {
            session: self.session,
            world: &self.world,
            with: self.with,
            place: pending.place().cloned(),
            annotations: pending.annotations().clone(),
            storages: &storages,
            queue: Some(self.queue),
        };
        let outcome = cosigning.complete(name, pending).await?;
        if let Some(failure) = waits(&outcome) {
            return Err(outcome.down.unwrap_or(failure));
        }
        Ok(if outcome.changed.is_empty() { "already signed" } else { "signed" })
    }
}

/// Says what came of each file; the exit code.
fn report(session: &Session, all: &[Done]) -> Exit {
    let waiting = all.iter().filter(|done| done.word == WAITS).count();
    let exits: Vec<Exit> = all.iter().filter_map(|done| done.failure.as_ref()).map(|failure| failure.exit).collect();
    let exit = Exit::of_several(&exits);
    if session.ui.json() {
        let result = |done: &Done| -> Value {
            let error = done.failure.as_ref().map(|failure| ReasonReport::new(&failure.reason));
            json!({ "name": done.name, "images": done.images, "done": done.word, "error": error })
        };
        let results: Vec<Value> = all.iter().map(result).collect();
        let report = json!({ "schema": "trustctl/complete/v1", "exit": exit.code(), "pending": waiting, "results": results });
        session.ui.say(report.to_string());
        return exit;
    }
    for done in all {
        for image in &done.images {
            session.ui.say(format!("{}: {image}", done.word));
        }
        if let Some(failure) = &done.failure {
            render::failure(&session.ui, failure);
        }
    }
    if waiting > 0 {
        let words = format!("{waiting} of {} still wait", all.len());
        let step = Step::words("run trustctl complete again later");
        render::failure(&session.ui, &Failure::new(Reason::new(Code::QueueNotEmpty, words).step(step)));
    }
    if all.is_empty() {
        session.ui.note("nothing waits in the queue");
    }
    exit
}
