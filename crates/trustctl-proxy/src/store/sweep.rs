//! Entries of one kind, with a list of them by age, so that the oldest are found without looking at all.

use redb::{ReadableTable as _, Table, TableDefinition, WriteTransaction};

use super::form;

/// Entries by key.
pub(super) type Entries = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// Kind, time and key of each entry; its size.
pub(super) const BY_AGE: TableDefinition<'static, (u8, u64, &'static [u8]), u64> = TableDefinition::new("by-age");
/// How many entries of a kind there are, and how many bytes they take.
pub(super) const TOTALS: TableDefinition<'static, u8, (u64, u64)> = TableDefinition::new("totals");

/// One kind of entries and how many of them are kept.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) number: u8,
    pub(super) entries: Entries,
    /// Most entries.
    pub(super) count: u64,
    /// Most bytes, keys and values together.
    pub(super) bytes: u64,
    /// Entries from before this time go, in seconds since 1970.
    pub(super) since: u64,
}

/// The tables of one kind, open for writing.
pub(super) struct Sweep<'txn> {
    kind: Kind,
    entries: Table<'txn, &'static [u8], &'static [u8]>,
    by_age: Table<'txn, (u8, u64, &'static [u8]), u64>,
    totals: Table<'txn, u8, (u64, u64)>,
}

impl<'txn> Sweep<'txn> {
    pub(super) fn open(transaction: &'txn WriteTransaction, kind: Kind) -> Result<Self, redb::Error> {
        Ok(Self {
            kind,
            entries: transaction.open_table(kind.entries)?,
            by_age: transaction.open_table(BY_AGE)?,
            totals: transaction.open_table(TOTALS)?,
        })
    }

    /// The value under `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        Ok(self.entries.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Stores a value of the given time, in place of an earlier one.
    pub(super) fn put(&mut self, key: &[u8], seconds: u64, json: &[u8]) -> Result<(), redb::Error> {
        self.remove(key)?;
        let value = form::stamped(seconds, json);
        let size = size(key, &value);
        self.entries.insert(key, value.as_slice())?;
        self.by_age.insert((self.kind.number, seconds, key), size)?;
        self.count(|(count, bytes)| (count + 1, bytes + size))
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), redb::Error> {
        let Some((seconds, size)) = self.entries.remove(key)?.map(|old| {
            let old = old.value();
            (form::unstamped(old).map_or(0, |(seconds, _)| seconds), size(key, old))
        }) else {
            return Ok(());
        };
        self.by_age.remove((self.kind.number, seconds, key))?;
        self.count(|(count, bytes)| (count.saturating_sub(1), bytes.saturating_sub(size)))
    }

    /// Removes the oldest entries as long as they are too old or too many.
    pub(super) fn sweep(&mut self) -> Result<(), redb::Error> {
        loop {
            let (count, bytes) = self.totals.get(self.kind.number)?.map(|totals| totals.value()).unwrap_or_default();
            let crowded = count > self.kind.count || bytes > self.kind.bytes;
            let from: &[u8] = &[];
            let oldest = self.by_age.range((self.kind.number, 0, from)..(self.kind.number + 1, 0, from))?.next().transpose()?;
            let oldest = oldest.map(|(place, _)| {
                let (_, seconds, key) = place.value();
                (seconds, key.to_vec())
            });
            match oldest {
                Some((seconds, key)) if crowded || seconds < self.kind.since => {
                    // Should the entry not be there, its place goes all the same, so that this ends.
                    self.by_age.remove((self.kind.number, seconds, key.as_slice()))?;
                    self.remove(&key)?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn count(&mut self, change: impl FnOnce((u64, u64)) -> (u64, u64)) -> Result<(), redb::Error> {
        let totals = self.totals.get(self.kind.number)?.map(|totals| totals.value()).unwrap_or_default();
        self.totals.insert(self.kind.number, change(totals))?;
        Ok(())
    }
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX)
}
