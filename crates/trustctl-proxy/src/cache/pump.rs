//! The task behind a transfer: fetches, continues what broke off, writes, hashes, and publishes or removes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};

use super::disk::Shared;
use super::error::CacheError;
use super::file::Stamp;
use super::fill::Fill;
use super::part::Part;
use super::shelf::{NoRoom, blocks};
use super::{BlobSource, Incoming};
use crate::jobs::Jobs;

/// Bytes that all transfers write at once, and what each of them does at most and at least: fewer in a piece cost the processor more, and
/// more take memory 64 times.
const AT_ONCE: usize = 2 * 1024 * 1024;
const MOST: usize = 128 * 1024;
const LEAST: usize = 32 * 1024;
/// What a piece counts for at least.
const LEAST_PIECE: usize = 256;
/// How often a transfer is continued without [`PROGRESS`] in between.
const RESUMES: u32 = 5;
/// After so many bytes the tries count anew: a large blob over a bad line arrives in the end.
const PROGRESS: u64 = 1024 * 1024;

/// How long transfers may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How often is looked after them.
    pub(super) tick: Duration,
    /// The pause before the first continuation; doubled for each one after it.
    pub(super) pause: Duration,
    /// How long one goes on that nobody follows, in ticks,
    pub(super) grace: u32,
    /// when more than this is missing,
    pub(super) rest: u64,
    /// and how long when less is.
    pub(super) longest: u32,
    /// In so many ticks
    pub(super) window: u32,
    /// at least so many bytes must have come.
    pub(super) least: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(1),
            pause: Duration::from_millis(200),
            grace: 5,
            rest: 64 * 1024 * 1024,
            longest: 60,
            window: 120,
            // A kilobyte a second: who sends less only keeps the place occupied.
            least: 120 * 1024,
        }
    }
}

/// Starts the transfer. Whatever becomes of it, `fill` is finished and not in the list of transfers any more.
pub(super) fn start(shared: Arc<Shared>, fill: Arc<Fill>, source: Arc<dyn BlobSource>) {
    tokio::spawn(async move {
        let end = Err(CacheError::Abandoned(fill.digest));
        let mut ending = Ending { shared: Arc::clone(&shared), fill: Arc::clone(&fill), end };
        ending.end = tokio::select! {
            done = transfer(&shared, &fill, &*source) => done,
            why = watch_over(&shared.patience, &fill) => Err(why),
        };
    });
}

/// Tells how it ended, also when the task is ended from outside.
struct Ending {
    shared: Arc<Shared>,
    fill: Arc<Fill>,
    end: Result<(), CacheError>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.fills().remove(&self.fill.digest);
        self.fill.finish(self.end.clone());
    }
}

/// Returns when the transfer is not worth going on with.
async fn watch_over(patience: &Patience, fill: &Fill) -> CacheError {
    let (mut alone, mut slow, mut before) = (0, 0, 0);
    loop {
        tokio::time::sleep(patience.tick).await;
        let progress = fill.progress();
        alone = if fill.followers() == 0 { alone + 1 } else { 0 };
        let short = progress.total.is_some_and(|total| total.saturating_sub(progress.arrived) <= patience.rest);
        if alone > patience.longest || (alone > patience.grace && !short) {
            return CacheError::Abandoned(fill.digest);
        }
        // Before its head, the source has limits of its own.
        slow = if progress.total.is_some() || progress.arrived > 0 { slow + 1 } else { 0 };
        if slow >= patience.window {
            if progress.arrived.saturating_sub(before) < patience.least {
                return upstream(&fill.digest, "arrives too slowly");
            }
            (slow, before) = (0, progress.arrived);
        }
    }
}

fn upstream(digest: &Digest, what: &str) -> CacheError {
    CacheError::upstream(Reason::new(Code::Unavailable, format!("blob {digest} {what}")))
}

/// Whether it is of use to ask for the rest of a transfer that broke off like this.
fn may_pass(trouble: &CacheError) -> bool {
    matches!(trouble, CacheError::Upstream(reason) if matches!(reason.code, Code::Unavailable | Code::OutOfBudget))
}

async fn transfer(shared: &Arc<Shared>, fill: &Arc<Fill>, source: &dyn BlobSource) -> Result<(), CacheError> {
    let digest = fill.digest;
    let closed = || CacheError::Abandoned(digest);
    let _turn = shared.transfers.acquire().await.map_err(|_| closed())?;
    let mut incoming = source.open(0).await.map_err(CacheError::upstream)?.ok_or(CacheError::NotFound(digest))?;
    let mut room = Room::none(shared, digest, &shared.turns.evictions);
    room.learn(incoming.total).await?;
    let filling = shared.folder.filling();
    let created = shared.turns.writes.run(move || Part::create(&filling, &digest)).await?;
    let mut part = created.map_err(|error| CacheError::writing(&digest, &error))?;
    fill.announce(part.file(), room.total);
    let mut resumes = 0;
    loop {
        let from = part.length();
        let (written, outcome) = receive(fill, &mut room, part, incoming.chunks).await?;
        part = written;
        let Err(trouble) = outcome else { break };
        if room.total == Some(part.length()) && may_pass(&trouble) {
            break;
        }
        resumes = if part.length() - from >= PROGRESS { 0 } else { resumes };
        incoming = room.reopen(source, part.length(), &mut resumes, trouble).await?;
    }
    let place = shared.folder.place(&digest);
    shared.turns.writes.run(move || part.publish(&place, room)).await?
}

/// What a transfer takes of the cache's size; given back when dropped.
pub(super) struct Room {
    shared: Arc<Shared>,
    digest: Digest,
    total: Option<u64>,
    reserved: u64,
    evictions: Jobs,
}

impl Room {
    /// No room yet. What goes to make some is removed in its turn among `evictions`.
    fn none(shared: &Arc<Shared>, digest: Digest, evictions: &Jobs) -> Self {
        Self { shared: Arc::clone(shared), digest, total: None, reserved: 0, evictions: evictions.clone() }
    }

    /// Room for something of `size` bytes that those who decide keep.
    pub(super) async fn of(shared: &Arc<Shared>, digest: Digest, size: u64) -> Result<Self, CacheError> {
        let mut room = Self::none(shared, digest, &shared.turns.puts);
        room.learn(Some(size)).await?;
        Ok(room)
    }

    /// Takes note of the length an upstream says, and makes room for it.
    async fn learn(&mut self, total: Option<u64>) -> Result<(), CacheError> {
        match (self.total, total) {
            (_, None) => Ok(()),
            (Some(known), Some(total)) if known == total => Ok(()),
            (Some(_), Some(_)) => {
                let why = format!("blob {} has another length than before", self.digest);
                Err(CacheError::upstream(Reason::new(Code::BadAnswer, why)))
            }
            (None, Some(total)) => {
                self.grow(total).await?;
                self.total = Some(total);
                Ok(())
            }
        }
    }

    /// Makes room for `bytes` in all.
    async fn grow(&mut self, bytes: u64) -> Result<(), CacheError> {
        if bytes <= self.reserved {
            return Ok(());
        }
        let victims = {
            let mut shelf = self.shared.shelf();
            let limit = shelf.limit();
            if blocks(bytes) > limit {
                return Err(CacheError::TooLarge { digest: self.digest, size: bytes, limit });
            }
            shelf.reserve(self.reserved, bytes).map_err(|NoRoom| CacheError::Full(self.digest))?
        };
        self.reserved = bytes;
        if !victims.is_empty() {
            // The index has forgotten them already.
            let shared = Arc::clone(&self.shared);
            self.evictions.run_to_end(move || shared.unlink(&victims)).await?;
        }
        Ok(())
    }

    /// Takes note of what comes next: a piece, and whether it is the last; or the end, good or bad.
    async fn accept(
        &mut self,
        next: Option<Result<Bytes, Reason>>,
        arrived: &mut u64,
    ) -> Result<(Bytes, bool), Result<(), CacheError>> {
        let chunk = match next {
            Some(Ok(chunk)) => chunk,
            Some(Err(reason)) => return Err(Err(CacheError::upstream(reason))),
            None if self.total.is_some_and(|total| *arrived < total) => {
                return Err(Err(upstream(&self.digest, "ended before its declared length")));
            }
            None => return Err(Ok(())),
        };
        *arrived = arrived.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        self.admit(*arrived).await.map_err(Err)?;
        // Whatever comes after the last byte is of no interest.
        Ok((chunk, self.total == Some(*arrived)))
    }

    /// Takes note of a piece; refuses it when there is more than was declared.
    async fn admit(&mut self, arrived: u64) -> Result<(), CacheError> {
        match self.total {
            Some(total) if arrived > total => {
                let why = format!("blob {} is longer than was declared", self.digest);
                Err(CacheError::upstream(Reason::new(Code::BadAnswer, why)))
            }
            Some(_) => Ok(()),
            None => self.grow(arrived).await,
        }
    }

    /// Asks for the rest of a transfer that broke off.
    async fn reopen(
        &mut self,
        source: &dyn BlobSource,
        offset: u64,
        resumes: &mut u32,
        mut trouble: CacheError,
    ) -> Result<Incoming, CacheError> {
        while may_pass(&trouble) && *resumes < RESUMES {
            tokio::time::sleep(self.shared.patience.pause.saturating_mul(1 << *resumes)).await;
            *resumes += 1;
            match source.open(offset).await {
                Ok(Some(incoming)) => {
                    self.learn(incoming.total).await?;
                    return Ok(incoming);
                }
                Ok(None) => return Err(CacheError::NotFound(self.digest)),
                Err(reason) => trouble = CacheError::upstream(reason),
            }
        }
        Err(trouble)
    }

    /// The file takes the room now, and is there to be found. Where there is no stamp, it is hashed before its first use.
    pub(super) fn become_file(mut self, length: u64, stamp: Option<Stamp>) {
        let mut shelf = self.shared.shelf();
        // Giving back always succeeds, and needs no victims.
        let _ = shelf.reserve(self.reserved, 0);
        self.reserved = 0;
        shelf.insert(self.digest, length, stamp);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.reserved > 0 {
            let _ = self.shared.shelf().reserve(self.reserved, 0);
        }
    }
}

/// Writes what arrives, and says why it ended before the blob did. While one batch is hashed and written, the next one waits in the
/// connection: the system collects it, and it takes no memory here.
async fn receive(
    fill: &Arc<Fill>,
    room: &mut Room,
    mut part: Part,
    mut chunks: BoxStream<'static, Result<Bytes, Reason>>,
) -> Result<(Part, Result<(), CacheError>), CacheError> {
    let mut arrived = part.length();
    loop {
        let most = (AT_ONCE / room.shared.fills().len().max(1)).clamp(LEAST, MOST);
        let (mut batch, mut collected, mut end) = (Vec::new(), 0, None);
        let mut next = Some(chunks.next().await);
        while let Some(chunk) = next {
            match room.accept(chunk, &mut arrived).await {
                Ok((chunk, is_last)) => {
                    // Also a piece without bytes takes room, and an upstream may send nothing else.
                    collected += chunk.len().max(LEAST_PIECE);
                    batch.push(chunk);
                    end = is_last.then_some(Ok(()));
                }
                Err(why) => end = Some(why),
            }
            // As much of it as is there already.
            next = if end.is_none() && collected < most { chunks.next().now_or_never() } else { None };
        }
        if !batch.is_empty() {
            part = write(&room.shared, part, batch).await?;
            fill.arrived(part.length());
        }
        if let Some(end) = end {
            return Ok((part, end));
        }
    }
}

async fn write(shared: &Arc<Shared>, mut part: Part, batch: Vec<Bytes>) -> Result<Part, CacheError> {
    let making_room = Arc::clone(shared);
    let write = move || {
        part.append(&batch, |bytes| making_room.give_up(bytes))?;
        Ok(part)
    };
    shared.turns.writes.run(write).await?
}
