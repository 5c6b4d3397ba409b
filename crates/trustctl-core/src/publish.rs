//! Publishing as values: what to send, and edits of places that several publishers share.
//!
//! Registries have no compare-and-swap. An [`Edit`] is therefore written as "read, and say what is still to be sent": whoever
//! carries it out reads, sends, reads again, and is done when nothing is left to send.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::evidence::{Evidence, Want};
use crate::reason::Reason;
use crate::reference::{Repository, Tag};

/// Something to send to a registry. Sending the same twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Put {
    /// A blob.
    Blob {
        /// Where to.
        repository: Repository,
        /// Its bytes; the digest is theirs.
        bytes: Vec<u8>,
    },
    /// Deletes the manifest with this digest. Refusal by the registry is reported, and nothing else fails.
    Delete {
        /// Where.
        repository: Repository,
        /// The manifest.
        digest: Digest,
    },
    /// A manifest that refers to another one by its `subject` field, pushed by digest. Where the registry has no referrers API,
    /// whoever sends it also adds the descriptor to the index under the fallback tag.
    Referrer {
        /// Where to.
        repository: Repository,
        /// The digest of the manifest it refers to.
        subject: Digest,
        /// The manifest's media type.
        media_type: String,
        /// Its artifact type, for the fallback index.
        artifact_type: String,
        /// Its annotations, for the fallback index.
        annotations: BTreeMap<String, String>,
        /// Its bytes; the digest is theirs.
        bytes: Vec<u8>,
    },
    /// A manifest under a tag; replaces what the tag meant before.
    TaggedManifest {
        /// Where to.
        repository: Repository,
        /// The tag.
        tag: Tag,
        /// The manifest's media type.
        media_type: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// A change to a place that others may change at the same time, such as the `.sig` tag of an image.
pub trait Edit: Send + Sync {
    /// What has to be read, given what was read already; empty when [`Edit::plan`] can be asked.
    fn wants(&self, current: &Evidence) -> Vec<Want>;

    /// What is still to be sent so that the change is there and nothing of anybody else is lost; empty when it is done.
    ///
    /// # Errors
    /// A [`Reason`] when the change cannot be made: what is there cannot be read, or a limit is reached.
    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason>;
}
