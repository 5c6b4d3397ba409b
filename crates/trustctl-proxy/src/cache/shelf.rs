//! What is there, how much room it takes, and what goes first. No file is touched here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use trustctl_core::digest::Digest;

use super::file::Stamp;

/// File systems keep files in blocks; a cache of small files would else take several times its size.
const BLOCK: u64 = 4096;

/// The index of a cache.
pub(super) struct Shelf {
    limit: u64,
    /// Bytes of whole files, in blocks.
    kept: u64,
    /// Bytes of transfers, in blocks.
    reserved: u64,
    entries: HashMap<Digest, Entry>,
    order: Order,
    /// What is held in memory as well.
    warm: Order,
    warm_bytes: usize,
    warm_limit: usize,
}

/// One whole file.
pub(super) struct Entry {
    pub(super) size: u64,
    /// What the file was like when its digest was checked.
    pub(super) checked: Option<Stamp>,
    /// Held by whoever checks it, so that it is checked once.
    pub(super) checking: Arc<tokio::sync::Mutex<()>>,
    /// When a use was last noted on disk, since the start.
    pub(super) noted: Option<Instant>,
    turn: u64,
    warm: Option<(Bytes, u64)>,
}

/// By last use.
#[derive(Default)]
struct Order {
    next: u64,
    turns: BTreeMap<u64, Digest>,
}

impl Order {
    /// Moves a digest to the end; `turn` was its place, if it had one.
    fn renew(&mut self, turn: Option<u64>, digest: Digest) -> u64 {
        if let Some(turn) = turn {
            self.turns.remove(&turn);
        }
        self.next += 1;
        self.turns.insert(self.next, digest);
        self.next
    }
}

/// What does not fit even when everything else is removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Shelf {
    /// An empty one, for at most `limit` bytes on disk and `warm_limit` in memory.
    pub(super) fn new(limit: u64, warm_limit: usize) -> Self {
        Self {
            limit,
            kept: 0,
            reserved: 0,
            entries: HashMap::new(),
            order: Order::default(),
            warm: Order::default(),
            warm_bytes: 0,
            warm_limit,
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes on disk, transfers included, and the number of whole files.
    pub(super) fn usage(&self) -> (u64, usize) {
        (self.kept + self.reserved, self.entries.len())
    }

    pub(super) fn entry(&mut self, digest: &Digest) -> Option<&mut Entry> {
        self.entries.get_mut(digest)
    }

    /// Notes a use.
    pub(super) fn touch(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.get_mut(digest) {
            entry.turn = self.order.renew(Some(entry.turn), *digest);
        }
    }

    /// The bytes, when they are in memory. Counts as a use.
    pub(super) fn warm(&mut self, digest: &Digest) -> Option<Bytes> {
        let entry = self.entries.get_mut(digest)?;
        let (bytes, turn) = entry.warm.as_mut()?;
        *turn = self.warm.renew(Some(*turn), *digest);
        entry.turn = self.order.renew(Some(entry.turn), *digest);
        Some(bytes.clone())
    }

    /// Keeps the bytes of an entry in memory as well, in place of others.
    pub(super) fn keep_warm(&mut self, digest: &Digest, bytes: Bytes) {
        if bytes.len() > self.warm_limit || !self.entries.contains_key(digest) {
            return;
        }
        self.cool(digest);
        while self.warm_bytes + bytes.len() > self.warm_limit {
            let Some((_, oldest)) = self.warm.turns.first_key_value().map(|(turn, digest)| (*turn, *digest)) else { break };
            self.cool(&oldest);
        }
        if let Some(entry) = self.entries.get_mut(digest) {
            self.warm_bytes += bytes.len();
            entry.warm = Some((bytes, self.warm.renew(None, *digest)));
        }
    }

    fn cool(&mut self, digest: &Digest) {
        let Some((bytes, turn)) = self.entries.get_mut(digest).and_then(|entry| entry.warm.take()) else { return };
        self.warm.turns.remove(&turn);
        self.warm_bytes = self.warm_bytes.saturating_sub(bytes.len());
    }

    /// Adds a whole file as the most recently used.
    pub(super) fn insert(&mut self, digest: Digest, size: u64, checked: Option<Stamp>) {
        self.remove(&digest);
        self.kept += blocks(size);
        let turn = self.order.renew(None, digest);
        self.entries.insert(digest, Entry { size, checked, checking: Arc::default(), noted: None, turn, warm: None });
    }

    /// Forgets a file; false when it was not known.
    pub(super) fn remove(&mut self, digest: &Digest) -> bool {
        self.cool(digest);
        let Some(entry) = self.entries.remove(digest) else { return false };
        self.order.turns.remove(&entry.turn);
        self.kept = self.kept.saturating_sub(blocks(entry.size));
        true
    }

    /// Changes what a transfer takes from `before` bytes to `after`; gives what has to be removed for it, which is forgotten here.
    pub(super) fn reserve(&mut self, before: u64, after: u64) -> Result<Vec<Digest>, NoRoom> {
        let reserved = self.reserved.saturating_sub(blocks(before)).saturating_add(blocks(after));
        if after > before && reserved > self.limit {
            return Err(NoRoom);
        }
        self.reserved = reserved;
        let mut victims = Vec::new();
        while self.kept + self.reserved > self.limit {
            let Some(oldest) = self.oldest() else { break };
            self.remove(&oldest);
            victims.push(oldest);
        }
        Ok(victims)
    }

    /// Forgets the least recently used files that take at least `bytes` together.
    pub(super) fn give_up(&mut self, bytes: u64) -> Vec<Digest> {
        let (mut victims, mut freed) = (Vec::new(), 0);
        while freed < bytes {
            let Some(oldest) = self.oldest() else { break };
            freed += self.entries.get(&oldest).map_or(0, |entry| blocks(entry.size));
            self.remove(&oldest);
            victims.push(oldest);
        }
        victims
    }

    fn oldest(&self) -> Option<Digest> {
        self.order.turns.first_key_value().map(|(_, digest)| *digest)
    }
}

/// The bytes that a file of `size` bytes takes.
pub(super) fn blocks(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_mul(BLOCK)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    fn digest(n: u8) -> Digest {
        Digest::sha256_of(&[n])
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut shelf = Shelf::new(3 * BLOCK, 0);
        (1..=3).for_each(|n| shelf.insert(digest(n), 1, None));
        shelf.touch(&digest(1));
        assert_eq!(shelf.reserve(0, 1).unwrap(), [digest(2)]);
        assert_eq!(shelf.reserve(1, 2 * BLOCK).unwrap(), [digest(3)]);
        assert_eq!(shelf.reserve(0, 2 * BLOCK), Err(NoRoom), "transfers are not removed for others");
        assert_eq!(shelf.usage(), (3 * BLOCK, 1));
    }

    #[test]
    fn memory_holds_the_most_recently_read() {
        let mut shelf = Shelf::new(100 * BLOCK, 10);
        (1..=3).for_each(|n| shelf.insert(digest(n), 5, None));
        shelf.keep_warm(&digest(1), Bytes::from_static(b"11111"));
        shelf.keep_warm(&digest(2), Bytes::from_static(b"22222"));
        assert_eq!(shelf.warm(&digest(1)).unwrap(), "11111");
        shelf.keep_warm(&digest(3), Bytes::from_static(b"33333"));
        assert_eq!((shelf.warm(&digest(2)), shelf.warm(&digest(3)).is_some()), (None, true));
        shelf.remove(&digest(1));
        assert_eq!((shelf.warm(&digest(1)), shelf.warm_bytes), (None, 5));
        shelf.keep_warm(&digest(9), Bytes::from_static(b"9"));
        assert_eq!(shelf.warm_bytes, 5, "what is not on disk is not kept");
    }

    proptest! {
        #[test]
        fn the_books_balance(steps in proptest::collection::vec((0..6_u8, 0..8_u8, 0..20_000_u64), 0..200)) {
            let limit = 16 * BLOCK;
            let mut shelf = Shelf::new(limit, 6);
            let mut transfers: Vec<u64> = Vec::new();
            for (what, n, size) in steps {
                match what {
                    0 => shelf.touch(&digest(n)),
                    1 => drop(shelf.remove(&digest(n))),
                    2 => if shelf.reserve(0, size).is_ok() { transfers.push(size) },
                    3 => if let Some(size) = transfers.pop() {
                        shelf.reserve(size, 0).unwrap();
                        shelf.insert(digest(n), size, None);
                    },
                    4 => shelf.keep_warm(&digest(n), Bytes::from(vec![n; usize::from(n)])),
                    _ => drop(shelf.warm(&digest(n))),
                }
                let kept: u64 = shelf.entries.values().map(|entry| blocks(entry.size)).sum();
                let reserved: u64 = transfers.iter().map(|size| blocks(*size)).sum();
                prop_assert_eq!((shelf.kept, shelf.reserved), (kept, reserved));
                prop_assert!(kept + reserved <= limit);
                prop_assert_eq!(shelf.order.turns.len(), shelf.entries.len());
                let warm: usize = shelf.entries.values().filter_map(|entry| Some(entry.warm.as_ref()?.0.len())).sum();
                prop_assert_eq!(shelf.warm_bytes, warm);
                prop_assert!(warm <= 6);
            }
        }
    }
}
