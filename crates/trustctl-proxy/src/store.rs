//! What was learnt about images, kept over restarts: evidence, what tags meant, and which object names which.
//!
//! [`Records`] is the seam: [`FileRecords`] is the implementation on one machine. Everything in it is a fact that can be gathered again,
//! so nothing is lost that matters when it is empty; what it says is judged anew each time, and a verdict is never kept.
//!
//! - An entry that cannot be read is an error, never "there is none".
//! - Entries go when they are old, when there are too many, or when they take too much room: the oldest first.
//! - All calls wait for the disk; callers keep them off their executor.
//!
//! In reading order: [`form`] (how entries are written), `file` (the store), `handle` (its database), `sweep` (what goes), `seal` and `start`
//! (what becomes of a file that is damaged).

mod error;
mod file;
pub mod form;
mod handle;
mod seal;
mod start;
mod sweep;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::Evidence;
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;

pub use error::StoreError;
pub use file::{FileRecords, StoreOptions};

/// Most bytes of one image's evidence; real ones have some 10 KB, and a verification reads 64 MiB at most.
pub const MAX_EVIDENCE: usize = 8 * 1024 * 1024;
/// Most reasons that are kept for which one digest may be asked for.
pub const MAX_PARENTS: usize = 64;

/// An image as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubjectKey {
    /// The repository.
    pub repository: Repository,
    /// The tag, if it was asked for by one.
    pub tag: Option<Tag>,
    /// The digest.
    pub digest: Digest,
}

impl SubjectKey {
    /// The key under which evidence about `subject` is kept.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        Self { repository: subject.repository.clone(), tag: subject.tag.clone(), digest: subject.digest }
    }
}

/// Evidence that was gathered about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The image.
    pub subject: Subject,
    /// The evidence; untrusted, as ever. It holds the subject's manifest.
    pub evidence: Evidence,
    /// When it was gathered.
    pub gathered: Timestamp,
}

/// What a tag meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagRecord {
    /// The digest it meant.
    pub digest: Digest,
    /// The size of that manifest, in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// When the registry said so.
    pub at: Timestamp,
}

/// Why a digest may be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parent {
    /// A signature or another artifact about an image names it.
    Artifact(Digest),
    /// A manifest or index names it.
    Manifest(Digest),
    /// A tag meant it.
    Tag(Tag),
}

/// The store.
pub trait Records: Send + Sync {
    /// The evidence about an image; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the entry cannot be read; [`StoreError::Failed`].
    fn kept(&self, key: &SubjectKey) -> Result<Option<Kept>, StoreError>;

    /// Keeps evidence, in place of what was known about the same image.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_EVIDENCE`], and then what was known is gone too; [`StoreError::Failed`].
    fn keep(&self, kept: &Kept) -> Result<(), StoreError>;

    /// Forgets the evidence about an image: it no longer says that the image is trusted.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn forget(&self, key: &SubjectKey) -> Result<(), StoreError>;

    /// What a tag meant when that was last kept.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the entry cannot be read; [`StoreError::Failed`].
    fn tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<TagRecord>, StoreError>;

    /// Keeps what a tag means, in place of what was known.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn keep_tag(&self, repository: &Repository, tag: &Tag, record: &TagRecord) -> Result<(), StoreError>;

    /// Why a digest may be asked for in a repository: at most [`MAX_PARENTS`] reasons, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the entry cannot be read; [`StoreError::Failed`].
    fn parents(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Parent>, StoreError>;

    /// Keeps that `parent` names each of `children`, all of them or none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when an entry cannot be read; [`StoreError::Failed`].
    fn keep_edges(&self, repository: &Repository, parent: &Parent, children: &[Digest]) -> Result<(), StoreError>;

    /// Whether [`Records::keep_edges`] of the same would change nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when an entry cannot be read; [`StoreError::Failed`].
    fn knows_edges(&self, repository: &Repository, parent: &Parent, children: &[Digest]) -> Result<bool, StoreError>;

    /// Waits until what was kept so far outlives the process, however that ends. What goes wrong is told to who keeps something next: it
    /// can be gathered again.
    fn settle(&self);
}
