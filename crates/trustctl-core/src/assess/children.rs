//! What the manifests that an index names are: images, by their bytes, and never another index.
//!
//! A client that follows an index into the next one runs an image that nobody looked at here. What an index says of its children is
//! believed where somebody whose word counts has signed it; elsewhere, and where it says nothing that can be believed, their bytes are
//! read.

use crate::evidence::{Entry, Evidence, Locator, Want};
use crate::reason::{Code, Reason, Step};
use crate::subject::{Child, INDEX_TYPES, MANIFEST_TYPES, ManifestBytes, Subject};

/// Most bytes of a manifest: what registries accept.
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

/// What an index says of the kind of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// A signer of the rule says it, and clients go by it too.
    Believed,
    /// Anybody says it.
    Doubted,
}

/// What is known of the children of an index.
#[derive(Debug, Default)]
pub struct Children {
    /// Manifests that must still be read.
    pub wants: Vec<Want>,
    /// What is wrong with them; then the index is refused whatever is signed.
    pub refused: Vec<Reason>,
    /// What could not be read.
    pub unread: Vec<Reason>,
}

impl Children {
    /// Looks at the children of `index`, as it names them, with what of their bytes is in `evidence`.
    #[must_use]
    pub fn look(index: &Subject, evidence: &Evidence, labels: Labels) -> Self {
        let mut children = Self::default();
        for child in &index.children {
            if INDEX_TYPES.contains(&child.media_type.as_str()) {
                children.refused.push(nested(index, child));
            } else if labels == Labels::Doubted || !child.is_by_sha256() || !MANIFEST_TYPES.contains(&child.media_type.as_str()) {
                children.read(index, child, evidence);
            }
        }
        children
    }

    fn read(&mut self, index: &Subject, child: &Child, evidence: &Evidence) {
        let locator = Locator::Manifest { repository: index.repository.clone(), digest: child.digest };
        match evidence.entry(&locator) {
            Some(Entry::Present { bytes, .. }) => {
                // Read as it says itself what it is: the label is what is in question.
                match Subject::from_manifest(index.repository.clone(), None, ManifestBytes { bytes, announced: None }) {
                    Ok(read) if read.is_index() => self.refused.push(nested(index, child)),
                    Ok(_) => {}
                    Err(reason) => {
                        let words = format!("{}, which {} names: {}", child.digest, index.digest, reason.message);
                        self.refused.push(Reason::new(reason.code, words));
                    }
                }
            }
            Some(Entry::Absent) => {
                let words = format!("{} names {}, and the registry does not have it", index.digest, child.digest);
                self.unread.push(Reason::new(Code::ImageNotFound, words));
            }
            Some(Entry::Refused(refusal)) => self.unread.push(refusal.reason(&locator)),
            None => {
                self.unread.push(Reason::new(Code::NotGathered, format!("{locator} was never asked for")));
                self.wants.push(Want { locator, max_bytes: child.size.min(MAX_MANIFEST) });
            }
        }
    }
}

fn nested(index: &Subject, child: &Child) -> Reason {
    let words = format!("{}, which {} names, is an index itself", child.digest, index.digest);
    let inner = format!("{}@{}", index.repository, child.digest);
    Reason::new(Code::PolicyNestedIndex, words)
        .expected_found("an image", format!("an index, labelled \"{}\"", child.media_type))
        .step(Step::command("see the inner index", ["trustctl", "inspect", &inner]))
}
