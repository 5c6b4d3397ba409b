//! What is remembered of a repository, and how it is named in a [`Slot`].

use sigstore_tuf::Root;
use trustctl_core::digest::Digest;
use trustctl_core::memory::{Document, Slot};
use trustctl_core::time::Timestamp;

use super::Target;
use super::floors::Floors;

const ROOT: &str = "root";
const ERA: &str = "era";
const UNTIL: &str = "until";
const FETCHED: &str = "fetched";

/// What was verified of a repository by its last complete refresh.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Its trusted root, JSON.
    pub trusted_root: &'a [u8],
    /// The version of the newest verified root metadata.
    pub root_version: u64,
    /// When it was verified.
    pub fetched: Timestamp,
    /// Until when it may be used without asking again: the first expiry of all metadata that led to it.
    pub until: Timestamp,
    slot: &'a Slot,
    era: &'a str,
}

impl<'a> Kept<'a> {
    /// The bytes of a target, as they were signed; `None` when the repository had none.
    #[must_use]
    pub fn target(&self, target: Target) -> Option<&'a [u8]> {
        let document = self.slot.documents.get(&format!("{}@{}", target.name(), self.era))?;
        Some(&document.bytes)
    }
}

/// What `remembered` holds of a repository; `None` before its first complete refresh.
#[must_use]
pub fn kept(remembered: &Slot) -> Option<Kept<'_>> {
    let era = std::str::from_utf8(&remembered.documents.get(ERA)?.bytes).ok()?;
    let document = |name: &str| remembered.documents.get(&format!("{name}@{era}"));
    let until = std::str::from_utf8(&document(UNTIL)?.bytes).ok()?.parse().ok()?;
    let fetched = i64::try_from(*remembered.floors.get(FETCHED)?).ok()?;
    Some(Kept {
        trusted_root: &document(Target::TrustedRoot.name())?.bytes,
        root_version: newest_root(remembered)?.version,
        fetched: Timestamp::from_unix_seconds(fetched).ok()?,
        until,
        slot: remembered,
        era,
    })
}

pub(super) fn newest_root(slot: &Slot) -> Option<&Document> {
    slot.documents.get(ROOT)
}

pub(super) fn root_fact(version: u64) -> String {
    format!("root:{version}")
}

pub(super) fn learn_root(learnt: &mut Slot, root: &Root, bytes: &[u8]) {
    learnt.documents.insert(ROOT.to_owned(), Document { version: root.version, bytes: bytes.to_vec() });
    learnt.facts.insert(root_fact(root.version), Digest::sha256_of(bytes).hex());
}

/// Notes that a refresh is complete: with a timestamp of version `at`, it counts until `until`.
pub(super) fn learn_use(learnt: &mut Slot, floors: &Floors, (at, until): (u64, Timestamp), now: Timestamp) {
    let root = newest_root(learnt).map(|root| root.version).unwrap_or_default();
    let text = |version, text: String| Document { version, bytes: text.into_bytes() };
    learnt.documents.insert(ERA.to_owned(), text(root, floors.era().to_owned()));
    learnt.documents.insert(floors.named(UNTIL), text(at, until.to_string()));
    learnt.floors.insert(FETCHED.to_owned(), u64::try_from(now.unix_seconds()).unwrap_or_default());
}
