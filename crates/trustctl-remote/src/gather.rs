//! Fetching everything that schemes want to see about one image: at once what can be asked for at once, within limits.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use trustctl_core::evidence::{Entry, Evidence, Locator, Refusal, RefusalKind, Want};
use trustctl_core::scheme::{Context, Scheme};
use trustctl_core::subject::Subject;

use crate::limits::{Deadline, MAX_CONCURRENT, MAX_EVIDENCE, MAX_PIECES, MAX_ROUNDS};

/// With more evidence than this, schemes are only asked again when all that was asked for is in: each asking reads what is there.
const EAGER_PIECES: usize = 32;

/// An answer on its way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Entry> + Send + 'a>>;

/// Where evidence comes from: the network, a folder, a saved file.
pub trait Source: Send + Sync {
    /// What asking for one piece brings. Trouble is an [`Entry::Refused`], never [`Entry::Absent`].
    fn fetch<'a>(&'a self, want: &'a Want) -> Fetching<'a>;
}

/// Saved evidence answers with what is in it, and refuses the rest: it does not know whether there is more.
impl Source for Evidence {
    fn fetch<'a>(&'a self, want: &'a Want) -> Fetching<'a> {
        let entry = match self.entry(&want.locator) {
            None => refused(RefusalKind::Unavailable, "it is not in the saved evidence"),
            Some(Entry::Present { bytes, .. }) if length(bytes) > want.max_bytes => {
                refused(RefusalKind::TooLarge, &format!("it has more than {} bytes", want.max_bytes))
            }
            Some(entry) => entry.clone(),
        };
        Box::pin(std::future::ready(entry))
    }
}

/// How much one gathering may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most bytes in all, of what has arrived and what may still arrive together.
    pub bytes: u64,
    /// Most requests at once.
    pub concurrent: usize,
    /// Most pieces in all.
    pub pieces: usize,
    /// Longest chain of pieces of which each was only asked for because of the one before.
    pub rounds: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: MAX_EVIDENCE, concurrent: MAX_CONCURRENT, pieces: MAX_PIECES, rounds: MAX_ROUNDS }
    }
}

/// Where evidence is taken from, and how much of it, until when.
#[derive(Clone, Copy)]
pub struct Supply<'a> {
    /// Where from.
    pub source: &'a dyn Source,
    /// How much.
    pub limits: Limits,
    /// Until when.
    pub deadline: Deadline,
}

/// All that `schemes` want to see about `subject`, added to `evidence` (such as the manifest that resolving a tag brought).
///
/// Nothing is asked for twice. What a limit forbids to fetch is there as [`RefusalKind::OutOfBudget`].
pub async fn gather(
    schemes: &[&dyn Scheme],
    subject: &Subject,
    context: &Context<'_>,
    (evidence, supply): (Evidence, Supply<'_>),
) -> Evidence {
    let wants = |have: &Evidence| schemes.iter().flat_map(|scheme| scheme.wants(subject, have, context)).collect();
    collect(&wants, evidence, supply).await
}

/// All that `wants` asks for, given what is there already; see [`gather`]. It is not asked again after the deadline.
pub async fn collect(wants: &(dyn Fn(&Evidence) -> Vec<Want> + Sync), evidence: Evidence, supply: Supply<'_>) -> Evidence {
    let mut gathering = Gathering::new(evidence, supply.limits);
    gathering.enqueue(wants(&gathering.evidence));
    let mut flying = FuturesUnordered::new();
    loop {
        let is_over = supply.deadline.remaining().is_zero();
        if is_over {
            gathering.refuse_waiting();
        }
        while flying.len() < supply.limits.concurrent.max(1) {
            let Some(next) = gathering.next_want() else { break };
            flying.push(fetch_one(supply, next));
        }
        let Some(first) = flying.next().await else { return gathering.evidence };
        gathering.arrived(first);
        // Answers that are in already are read before asking again.
        while let Some(Some(next)) = flying.next().now_or_never() {
            gathering.arrived(next);
        }
        let idle = flying.is_empty() && gathering.waiting.is_empty();
        // Saying what more is wanted takes time as well: not after the end of it.
        if !is_over && (idle || gathering.asked.len() <= EAGER_PIECES) {
            gathering.enqueue(wants(&gathering.evidence));
        }
    }
}

/// One piece to fetch, with its place in its chain and the bytes it may have.
struct Piece {
    want: Want,
    /// What the scheme allows; the want itself may be cut down to what is left of the budget.
    allowed: u64,
    depth: usize,
}

async fn fetch_one(supply: Supply<'_>, piece: Piece) -> (Piece, Entry) {
    let entry = supply.deadline.limit("the servers", supply.source.fetch(&piece.want)).await;
    let entry = entry.unwrap_or_else(|error| Entry::Refused(error.refusal()));
    (piece, entry)
}

struct Gathering {
    evidence: Evidence,
    asked: BTreeSet<Locator>,
    waiting: VecDeque<(Want, usize)>,
    /// The longest chain that has arrived.
    depth: usize,
    /// Bytes that have arrived.
    spent: u64,
    /// Bytes that the pieces on their way may have.
    reserved: u64,
    /// How many pieces are on their way.
    flying: usize,
    limits: Limits,
}

impl Gathering {
    fn new(evidence: Evidence, limits: Limits) -> Self {
        let (asked, waiting) = (BTreeSet::new(), VecDeque::new());
        Self { evidence, asked, waiting, depth: 0, spent: 0, reserved: 0, flying: 0, limits }
    }

    fn enqueue(&mut self, wants: Vec<Want>) {
        let depth = self.depth + 1;
        for want in wants {
            if self.evidence.has(&want.locator) || self.asked.contains(&want.locator) {
                continue;
            }
            if depth > self.limits.rounds {
                let detail = format!("not fetched: a chain of more than {} pieces led to it", self.limits.rounds);
                self.evidence.insert(want.locator, refused(RefusalKind::OutOfBudget, &detail));
            } else if self.asked.len() >= self.limits.pieces {
                let detail = format!("not fetched: more than {} pieces were asked for", self.limits.pieces);
                self.evidence.insert(want.locator, refused(RefusalKind::OutOfBudget, &detail));
            } else {
                self.asked.insert(want.locator.clone());
                self.waiting.push_back((want, depth));
            }
        }
    }

    /// The next piece to fetch, its bytes reserved; `None` while there is none, or it has to wait for those on their way.
    ///
    /// All that may arrive at once is within the budget. In the order of asking, so that what was asked for first, such as a
    /// revocation, is not starved by what is smaller. Alone, a piece may have all that is left; with nothing left it is refused.
    fn next_want(&mut self) -> Option<Piece> {
        while let Some((want, depth)) = self.waiting.pop_front() {
            let left = self.limits.bytes.saturating_sub(self.spent).saturating_sub(self.reserved);
            if self.flying > 0 && want.max_bytes > left {
                self.waiting.push_front((want, depth));
                return None;
            }
            if left > 0 {
                let allowed = want.max_bytes;
                let piece = Piece { want: Want { max_bytes: allowed.min(left), ..want }, allowed, depth };
                self.reserved = self.reserved.saturating_add(piece.want.max_bytes);
                self.flying += 1;
                return Some(piece);
            }
            self.evidence.insert(want.locator, self.no_bytes_left());
        }
        None
    }

    fn arrived(&mut self, (piece, entry): (Piece, Entry)) {
        self.depth = self.depth.max(piece.depth);
        self.reserved = self.reserved.saturating_sub(piece.want.max_bytes);
        self.flying = self.flying.saturating_sub(1);
        let entry = match entry {
            Entry::Present { ref bytes, .. } => {
                self.spent = self.spent.saturating_add(length(bytes));
                if self.spent > self.limits.bytes { self.no_bytes_left() } else { entry }
            }
            Entry::Refused(Refusal { kind: RefusalKind::TooLarge, .. }) if piece.want.max_bytes < piece.allowed => {
                self.no_bytes_left()
            }
            entry => entry,
        };
        self.evidence.insert(piece.want.locator, entry);
    }

    /// Refuses what there is no time left for.
    fn refuse_waiting(&mut self) {
        for (want, _) in self.waiting.drain(..) {
            self.evidence
                .insert(want.locator, refused(RefusalKind::OutOfBudget, "not fetched: the time for one image was used up"));
        }
    }

    fn no_bytes_left(&self) -> Entry {
        refused(RefusalKind::OutOfBudget, &format!("the evidence of one image has more than {} bytes", self.limits.bytes))
    }
}

fn refused(kind: RefusalKind, detail: &str) -> Entry {
    Entry::Refused(Refusal { kind, detail: detail.to_owned() })
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
