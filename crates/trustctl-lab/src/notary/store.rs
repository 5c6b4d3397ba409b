//! What a Notary server keeps: every version of every file of every collection, and the history of changes.

use std::collections::BTreeMap;

use bytes::Bytes;
use trustctl_core::digest::Digest;
use trustctl_core::time::Timestamp;
use trustctl_dct::role::RoleName;

/// One version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) version: u64,
    /// The hash it is found by. The bytes have it, unless an attack of the lab replaced them.
    pub(crate) sha256: Digest,
    pub(crate) bytes: Bytes,
    pub(crate) stored: Timestamp,
}

/// A file to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) role: RoleName,
    pub(crate) version: u64,
    pub(crate) bytes: Bytes,
}

/// The files of one collection: for each role its versions, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collection {
    pub(crate) roles: BTreeMap<RoleName, Vec<Version>>,
}

/// An entry of the changefeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) id: u64,
    pub(crate) gun: String,
    /// The timestamp's version and hash; `None` for a deletion.
    pub(crate) timestamp: Option<(u64, Digest)>,
    pub(crate) created: Timestamp,
}

/// Every collection. A clone shares the bytes, so it is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Store {
    pub(crate) collections: BTreeMap<String, Collection>,
    pub(crate) changes: Vec<Change>,
}

/// Why an update is not stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotStored {
    Full,
    OldVersion,
}

impl Collection {
    pub(crate) fn current(&self, role: &RoleName) -> Option<&Version> {
        self.roles.get(role)?.last()
    }

    pub(crate) fn by_hash(&self, role: &RoleName, sha256: &Digest) -> Option<&Version> {
        self.roles.get(role)?.iter().find(|version| version.sha256 == *sha256)
    }

    pub(crate) fn by_version(&self, role: &RoleName, version: u64) -> Option<&Version> {
        self.roles.get(role)?.iter().find(|stored| stored.version == version)
    }

    /// Adds a version, in its place.
    pub(crate) fn add(&mut self, update: Update, now: Timestamp) {
        let versions = self.roles.entry(update.role).or_default();
        let sha256 = Digest::sha256_of(&update.bytes);
        versions.push(Version { version: update.version, sha256, bytes: update.bytes, stored: now });
        versions.sort_by_key(|version| version.version);
    }

    fn size(&self) -> usize {
        self.roles.values().flatten().map(|version| version.bytes.len()).sum()
    }
}

impl Store {
    /// Stores all updates of a collection, or none: each must be newer than every version of its role.
    pub(crate) fn update(&mut self, gun: &str, updates: Vec<Update>, now: Timestamp) -> Result<(), NotStored> {
        let old = |update: &Update| {
            let newest = self.collections.get(gun).and_then(|collection| collection.current(&update.role));
            newest.is_some_and(|newest| newest.version >= update.version)
        };
        if updates.iter().any(old) {
            return Err(NotStored::OldVersion);
        }
        let more: usize = updates.iter().map(|update| update.bytes.len()).sum();
        let size: usize = self.collections.values().map(Collection::size).sum();
        let new = usize::from(!self.collections.contains_key(gun));
        if size.saturating_add(more) > MAX_BYTES || self.collections.len() + new > MAX_COLLECTIONS {
            return Err(NotStored::Full);
        }
        for update in updates {
            if update.role == RoleName::timestamp() {
                self.record(gun, Some((update.version, Digest::sha256_of(&update.bytes))), now);
            }
            self.collections.entry(gun.to_owned()).or_default().add(update, now);
        }
        Ok(())
    }

    /// Forgets a collection. One that is not there is no error and no change.
    pub(crate) fn delete(&mut self, gun: &str, now: Timestamp) {
        if self.collections.remove(gun).is_some() {
            self.record(gun, None, now);
        }
    }

    fn record(&mut self, gun: &str, timestamp: Option<(u64, Digest)>, now: Timestamp) {
        if self.changes.len() >= MAX_CHANGES {
            self.changes.remove(0);
        }
        let id = self.changes.last().map_or(0, |last| last.id) + 1;
        self.changes.push(Change { id, gun: gun.to_owned(), timestamp, created: now });
    }

    /// The changes after `after`, oldest first; with a negative number in either argument, the last ones before it (Notary, `storage/memory.go`).
    pub(crate) fn changes(&self, after: i64, records: i64, gun: Option<&str>) -> Vec<&Change> {
        let matching = |change: &&Change| gun.is_none_or(|gun| gun == change.gun);
        let count = usize::try_from(records.unsigned_abs()).unwrap_or(usize::MAX);
        let id = |change: &Change| i64::try_from(change.id).unwrap_or(i64::MAX);
        if after >= 0 && records >= 0 {
            return self.changes.iter().filter(matching).filter(|change| id(change) > after).take(count).collect();
        }
        let before = self.changes.iter().filter(matching).filter(|change| after < 0 || id(change) < after);
        let mut last: Vec<&Change> = before.rev().take(count).collect();
        last.reverse();
        last
    }
}

/// All files together.
const MAX_BYTES: usize = 256 << 20;
const MAX_COLLECTIONS: usize = 10_000;
const MAX_CHANGES: usize = 100_000;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn update(version: u64) -> Update {
        Update { role: RoleName::timestamp(), version, bytes: format!("{version}").into() }
    }

    #[test]
    fn an_update_is_stored_whole_or_not_at_all() {
        let now = Timestamp::from_unix_seconds(0).unwrap();
        let mut store = Store::default();
        store.update("a", vec![update(1)], now).unwrap();
        let root = Update { role: RoleName::root(), version: 1, bytes: "r".into() };
        assert_eq!(store.update("a", vec![root, update(1)], now), Err(NotStored::OldVersion));
        assert!(store.collections.get("a").unwrap().current(&RoleName::root()).is_none());
        assert_eq!(store.changes.len(), 1);
    }

    #[test]
    fn changes_are_paged_in_both_directions() {
        let now = Timestamp::from_unix_seconds(0).unwrap();
        let mut store = Store::default();
        for gun in ["a", "b", "a", "a"] {
            let next =
                store.collections.get(gun).and_then(|one| one.current(&RoleName::timestamp())).map_or(1, |one| one.version + 1);
            store.update(gun, vec![update(next)], now).unwrap();
        }
        store.delete("b", now);
        store.delete("b", now);
        let ids = |after, records, gun| store.changes(after, records, gun).iter().map(|change| change.id).collect::<Vec<_>>();
        assert_eq!(ids(0, 100, None), [1, 2, 3, 4, 5]);
        assert_eq!(ids(2, 2, None), [3, 4]);
        assert_eq!(ids(0, 100, Some("b")), [2, 5]);
        assert_eq!(ids(-1, 2, None), [4, 5]);
        assert_eq!(ids(4, -2, Some("a")), [1, 3]);
        assert_eq!(ids(9, 1, None), [0; 0]);
    }
}
