//! How entries are written: keys are names with zero bytes between, values a time and JSON.
//!
//! Names hold no zero bytes, so no two keys are alike. Values are read strictly: what was not written by this version is no entry.

use serde::{Deserialize, Serialize};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::EvidenceFile;
use trustctl_core::reference::{Repository, Tag};

use super::{Kept, MAX_PARENTS, Parent, SubjectKey, TagRecord};

/// Most bytes of an entry: [`super::MAX_EVIDENCE`] in base64, with as much again for names. What is larger was not written here.
const MAX_ENTRY: usize = 24 * 1024 * 1024;
/// The bytes of the time before each value.
const TIME: usize = 8;

/// The key of an image's evidence.
#[must_use]
pub fn subject_key(key: &SubjectKey) -> Vec<u8> {
    let tag = key.tag.as_ref().map(Tag::as_str).unwrap_or_default();
    join(&[&key.repository.canonical_name(), tag, &key.digest.to_string()])
}

/// The key of a tag.
#[must_use]
pub fn tag_key(repository: &Repository, tag: &Tag) -> Vec<u8> {
    join(&[&repository.canonical_name(), tag.as_str()])
}

/// The key of a digest's parents.
#[must_use]
pub fn parents_key(repository: &Repository, digest: &Digest) -> Vec<u8> {
    join(&[&repository.canonical_name(), &digest.to_string()])
}

fn join(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// A value as it is stored: the time in seconds since 1970, then its JSON.
#[must_use]
pub fn stamped(seconds: u64, json: &[u8]) -> Vec<u8> {
    [&seconds.to_be_bytes(), json].concat()
}

/// The two parts of a stored value; `None` when it is too short or too long to be one.
#[must_use]
pub fn unstamped(value: &[u8]) -> Option<(u64, &[u8])> {
    let (time, json) = value.split_at_checked(TIME).filter(|_| value.len() <= MAX_ENTRY)?;
    Some((u64::from_be_bytes(time.try_into().ok()?), json))
}

/// The JSON of evidence.
///
/// # Errors
/// The words of whoever writes JSON.
pub fn write_kept(kept: &Kept) -> Result<Vec<u8>, String> {
    let Kept { subject, evidence, gathered } = kept.clone();
    EvidenceFile { subject, evidence, gathered }.to_json().map(String::into_bytes).map_err(|error| error.to_string())
}

/// Evidence about the image of `key`, from its JSON. Digests are computed anew; what does not have its own is not present.
///
/// # Errors
/// What is wrong with it; among others that it is about another image.
pub fn read_kept(key: &SubjectKey, json: &[u8]) -> Result<Kept, String> {
    let EvidenceFile { subject, evidence, gathered } = EvidenceFile::from_json(json).map_err(|error| error.to_string())?;
    if SubjectKey::of(&subject) != *key {
        return Err(format!("evidence about {} is filed under {}", subject.digest, key.digest));
    }
    Ok(Kept { subject, evidence, gathered })
}

/// The JSON of what a tag meant.
///
/// # Errors
/// The words of whoever writes JSON.
pub fn write_tag(record: &TagRecord) -> Result<Vec<u8>, String> {
    serde_json::to_vec(record).map_err(|error| error.to_string())
}

/// What a tag meant, from its JSON.
///
/// # Errors
/// What is wrong with it.
pub fn read_tag(json: &[u8]) -> Result<TagRecord, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// The parents of one digest, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parents(Vec<Parent>);

impl Parents {
    /// From their JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let parents: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if parents.0.len() > MAX_PARENTS {
            return Err(format!("a digest has {} parents, more than {MAX_PARENTS}", parents.0.len()));
        }
        Ok(parents)
    }

    /// Their JSON.
    ///
    /// # Errors
    /// The words of whoever writes JSON.
    pub fn write(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|error| error.to_string())
    }

    /// Whether `parent` is among them.
    #[must_use]
    pub fn holds(&self, parent: &Parent) -> bool {
        self.0.contains(parent)
    }

    /// Makes `parent` the newest; the oldest goes when there are too many.
    pub fn add(&mut self, parent: &Parent) {
        self.0.retain(|known| known != parent);
        self.0.insert(0, parent.clone());
        self.0.truncate(MAX_PARENTS);
    }

    /// All of them, the newest first.
    #[must_use]
    pub fn into_vec(self) -> Vec<Parent> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    fn key(repository: &str, tag: Option<&str>, content: &str) -> Vec<u8> {
        let tag = tag.map(|tag| tag.parse().unwrap());
        subject_key(&SubjectKey { repository: repository.parse().unwrap(), tag, digest: Digest::sha256_of(content.as_bytes()) })
    }

    #[test]
    fn no_two_images_share_a_key() {
        let keys = [
            key("r.example/a", None, "1"),
            key("r.example/a", None, "2"),
            key("r.example/a", Some("1"), "1"),
            key("r.example/a/b", None, "1"),
            key("other.example/a", None, "1"),
        ];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(key("alpine", None, "1"), key("docker.io/library/alpine", None, "1"), "one image, one name");
    }

    #[test]
    fn the_newest_parents_are_kept() {
        let parent = |n: usize| Parent::Manifest(Digest::sha256_of(&n.to_be_bytes()));
        let mut parents = Parents::default();
        (0..MAX_PARENTS + 3).for_each(|n| parents.add(&parent(n)));
        parents.add(&parent(10));
        let listed = Parents::read(&parents.write().unwrap()).unwrap().into_vec();
        assert_eq!(listed.len(), MAX_PARENTS);
        assert_eq!(listed.first(), Some(&parent(10)));
        assert_eq!(listed.iter().filter(|known| **known == parent(10)).count(), 1);
        assert!(!listed.contains(&parent(2)) && listed.contains(&parent(3)));
        assert!(Parents::read(&serde_json::to_vec(&vec![parent(1); MAX_PARENTS + 1]).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn no_value_panics(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((seconds, json)) = unstamped(&value) {
                prop_assert_eq!(stamped(seconds, json), value.clone());
                if let Ok(parents) = Parents::read(json) {
                    prop_assert!(parents.into_vec().len() <= MAX_PARENTS);
                }
                if let Ok(record) = read_tag(json) {
                    prop_assert_eq!(read_tag(&write_tag(&record).unwrap()).unwrap(), record);
                }
            }
        }
    }
}
