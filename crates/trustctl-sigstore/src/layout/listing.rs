//! Listings of referrers as far as they matter for a judgement, each read once however often it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use trustctl_core::digest::Digest;

use super::referrers::{Promise, Referrer, Referrers};
use crate::format::FormatError;
use crate::limits::{MAX_BROKEN, MAX_ENTRIES, MAX_KEPT};

/// What of a listing may matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// What refers to the image and is not clearly of no interest, each manifest once, in the order in which they are read.
    pub(crate) referrers: Vec<Referrer>,
    /// What is wrong with the entries that cannot be read.
    pub(crate) broken: Vec<FormatError>,
    /// What is wrong with the first of them that says it is a revocation.
    pub(crate) withheld: Option<FormatError>,
}

impl Listing {
    /// Reads a listing.
    ///
    /// # Errors
    /// [`FormatError`] when the bytes are no index, or have more than [`MAX_ENTRIES`] entries, or more than [`MAX_BROKEN`] that cannot
    /// be read.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let referrers = Referrers::parse(bytes)?;
        let count = referrers.len();
        if count > MAX_ENTRIES {
            return Err(FormatError::TooMany { what: "entries in the listing", count, limit: MAX_ENTRIES });
        }
        let mut listing = Self::default();
        for entry in referrers.entries() {
            match &entry.referrer {
                Ok(referrer) if referrer.promise == Promise::Foreign => {}
                Ok(referrer) => listing.referrers.push(referrer.clone()),
                Err(_) if listing.broken.len() >= MAX_BROKEN => {
                    let what = "entries in the listing that cannot be read";
                    return Err(FormatError::TooMany { what, count: MAX_BROKEN + 1, limit: MAX_BROKEN });
                }
                Err(error) => {
                    if listing.withheld.is_none() && entry.says_revocation() {
                        listing.withheld = Some(error.clone());
                    }
                    listing.broken.push(error.clone());
                }
            }
        }
        listing.referrers.sort_by(|one, two| one.promise.cmp(&two.promise));
        let mut seen = BTreeSet::new();
        listing.referrers.retain(|referrer| seen.insert(referrer.manifest.digest));
        Ok(listing)
    }
}

/// The listings that were read so far. It says the same as reading again, sooner; copies share it.
#[derive(Clone, Default)]
pub struct Listings(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// By the SHA-256 of their bytes.
    read: BTreeMap<Digest, Arc<Result<Listing, FormatError>>>,
    /// How many referrers, broken entries and listings that are.
    size: usize,
    /// How often one was read from its bytes.
    #[cfg(test)]
    readings: usize,
}

impl Listings {
    /// The listing in `bytes`.
    pub(crate) fn read(&self, bytes: &[u8]) -> Arc<Result<Listing, FormatError>> {
        let name = Digest::sha256_of(bytes);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = kept.read.get(&name) {
            return Arc::clone(read);
        }
        let read = Arc::new(Listing::read(bytes));
        let size = 1 + read.as_ref().as_ref().map_or(0, |listing| listing.referrers.len() + listing.broken.len());
        if kept.size.saturating_add(size) > MAX_KEPT {
            kept.read.clear();
            kept.size = 0;
        }
        kept.size = kept.size.saturating_add(size);
        kept.read.insert(name, Arc::clone(&read));
        #[cfg(test)]
        {
            kept.readings += 1;
        }
        read
    }

    /// How often a listing was read from its bytes.
    #[cfg(test)]
    pub(crate) fn readings(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).readings
    }
}

impl fmt::Debug for Listings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listings").finish_non_exhaustive()
    }
}

/// What was read so far changes no answer.
impl PartialEq for Listings {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Listings {}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn listing(entries: impl Iterator<Item = String>) -> Vec<u8> {
        format!(r#"{{"manifests":[{}]}}"#, entries.collect::<Vec<_>>().join(",")).into_bytes()
    }

    fn entry(seed: usize, artifact_type: &str) -> String {
        let digest = Digest::sha256_of(&seed.to_le_bytes());
        format!(r#"{{"mediaType":"m","size":1,"digest":"{digest}","artifactType":"{artifact_type}"}}"#)
    }

    #[test]
    fn limits_end_the_reading_of_a_listing() {
        let foreign = |count: usize| listing((0..count).map(|seed| entry(seed, "x/y")));
        assert_eq!(Listing::read(&foreign(MAX_ENTRIES)), Ok(Listing::default()));
        let too_many = Listing::read(&foreign(MAX_ENTRIES + 1));
        assert!(matches!(too_many, Err(FormatError::TooMany { count, .. }) if count == MAX_ENTRIES + 1), "{too_many:?}");
        let broken = |count: usize| listing((0..count).map(|_| "{}".to_owned()).chain([entry(1, "")]));
        let read = Listing::read(&broken(MAX_BROKEN)).unwrap();
        assert_eq!((read.broken.len(), read.referrers.len()), (MAX_BROKEN, 1));
        assert!(matches!(Listing::read(&broken(MAX_BROKEN + 1)), Err(FormatError::TooMany { .. })));
    }

    #[test]
    fn a_manifest_counts_once_and_by_what_is_read_first() {
        let revocation = crate::revocation::MEDIA_TYPE;
        let bytes = listing([entry(1, ""), entry(2, ""), entry(1, revocation)].into_iter());
        let read = Listing::read(&bytes).unwrap();
        let promises: Vec<&Promise> = read.referrers.iter().map(|referrer| &referrer.promise).collect();
        assert_eq!(promises, [&Promise::Revocation, &Promise::Unclear]);
    }

    #[test]
    fn a_listing_is_read_once_and_what_is_kept_has_an_end() {
        let listings = Listings::default();
        let large = listing((0..MAX_ENTRIES).map(|seed| entry(seed, "")));
        for _ in 0..3 {
            assert_eq!(listings.read(&large).as_ref().as_ref().unwrap().referrers.len(), MAX_ENTRIES);
            assert!(listings.read(b"{}").is_err());
        }
        assert_eq!(listings.readings(), 2);
        let room = MAX_KEPT / (MAX_ENTRIES + 1);
        for padding in 1..=room {
            listings.read(&[large.as_slice(), &vec![b' '; padding]].concat());
        }
        assert!(listings.0.lock().unwrap().size <= MAX_KEPT);
        listings.read(&large);
        assert_eq!(listings.readings(), 3 + room, "what was forgotten is read again");
    }
}
