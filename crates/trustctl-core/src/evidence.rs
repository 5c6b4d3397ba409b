//! Evidence: untrusted bytes, keyed by where they came from.
//!
//! Nothing in here has been checked beyond transport limits and content digests. Evidence can be saved and judged again later,
//! offline, with the same result: [`EvidenceFile::to_json`] and [`EvidenceFile::from_json`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::reason::{Code, Reason};
use crate::reference::{Repository, Tag};
use crate::subject::{ManifestBytes, Subject};
use crate::time::Timestamp;

/// Where a piece of evidence is found. The key of [`Evidence`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Locator {
    /// A manifest by digest. Whoever fetches it checks the digest.
    Manifest {
        /// The repository it is in.
        repository: Repository,
        /// Its digest.
        digest: Digest,
    },
    /// A manifest by tag, such as Cosign's `sha256-<hex>.sig`.
    TaggedManifest {
        /// The repository it is in.
        repository: Repository,
        /// The tag.
        tag: Tag,
    },
    /// A blob by digest. Whoever fetches it checks the digest.
    Blob {
        /// The repository it is in.
        repository: Repository,
        /// Its digest.
        digest: Digest,
    },
    /// The list of what refers to a manifest (OCI distribution specification 1.1, "Listing Referrers"), as one OCI index:
    /// all pages of the API merged, or the index under the fallback tag when the registry has no such API.
    Referrers {
        /// The repository the manifest is in.
        repository: Repository,
        /// The manifest's digest.
        digest: Digest,
    },
    /// A file of a Notary v1 collection, below `/v2/<GUN>/_trust/tuf/`.
    Notary {
        /// The collection's globally unique name.
        gun: Repository,
        /// The file as the server names it: `timestamp.json`, `targets/releases.<sha256>.json`, `3.root.json`.
        file: String,
    },
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest { repository, digest } | Self::Blob { repository, digest } => write!(f, "{repository}@{digest}"),
            Self::TaggedManifest { repository, tag } => write!(f, "{repository}:{tag}"),
            Self::Referrers { repository, digest } => write!(f, "referrers of {repository}@{digest}"),
            Self::Notary { gun, file } => write!(f, "{file} of {gun}"),
        }
    }
}

/// A request for evidence: where, and how many bytes at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Where it is.
    pub locator: Locator,
    /// The most bytes that are read; more is [`RefusalKind::TooLarge`].
    pub max_bytes: u64,
}

/// Which way a piece of evidence came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Origin {
    /// The index under the tag `sha256-<hex>`, kept by clients of registries without the referrers API.
    FallbackTag,
    /// An OCI image layout on disk.
    Layout,
    /// The Notary server.
    Notary,
    /// The registry's referrers API.
    ReferrersApi,
    /// The registry.
    Registry,
}

/// What asking for one locator brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It does not exist: whoever was asked answered so (404), in the form its protocol prescribes.
    Absent,
    /// These bytes, as received.
    Present {
        /// The bytes.
        bytes: Vec<u8>,
        /// The way they came.
        origin: Origin,
    },
    /// No answer that counts. Never to be read as "does not exist".
    Refused(Refusal),
}

/// Why there is no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The class of trouble.
    pub kind: RefusalKind,
    /// What happened, for people: status, host, number of tries.
    pub detail: String,
}

/// Classes of trouble in fetching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RefusalKind {
    /// 401 or 403, or no credentials where some are needed.
    Denied,
    /// The answer does not follow its protocol.
    Malformed,
    /// The rounds, bytes or time of one verification were used up before this was fetched.
    OutOfBudget,
    /// More bytes than the [`Want`] allowed.
    TooLarge,
    /// 429, 5xx, connection trouble or timeout.
    Unavailable,
    /// The bytes do not have the digest they were asked by.
    WrongDigest,
}

impl Refusal {
    /// The reason to report for this refusal of `locator`.
    #[must_use]
    pub fn reason(&self, locator: &Locator) -> Reason {
        let code = match self.kind {
            RefusalKind::Denied => Code::AccessDenied,
            RefusalKind::Malformed => Code::BadAnswer,
            RefusalKind::OutOfBudget => Code::OutOfBudget,
            RefusalKind::TooLarge => Code::TooLarge,
            RefusalKind::Unavailable => Code::Unavailable,
            RefusalKind::WrongDigest => Code::WrongDigest,
        };
        Reason::new(code, format!("{locator}: {}", self.detail))
    }
}

/// Everything that was fetched about one subject. Untrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    entries: BTreeMap<Locator, Entry>,
}

impl Evidence {
    /// No evidence yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records what asking for `locator` brought, replacing an earlier answer.
    pub fn insert(&mut self, locator: Locator, entry: Entry) {
        self.entries.insert(locator, entry);
    }

    /// What asking for `locator` brought; `None` when nobody asked.
    #[must_use]
    pub fn entry(&self, locator: &Locator) -> Option<&Entry> {
        self.entries.get(locator)
    }

    /// The bytes at `locator`, when they are present.
    #[must_use]
    pub fn bytes(&self, locator: &Locator) -> Option<&[u8]> {
        match self.entries.get(locator) {
            Some(Entry::Present { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }

    /// Whether `locator` was asked for, whatever the answer.
    #[must_use]
    pub fn has(&self, locator: &Locator) -> bool {
        self.entries.contains_key(locator)
    }

    /// All entries, ordered by locator.
    pub fn iter(&self) -> impl Iterator<Item = (&Locator, &Entry)> {
        self.entries.iter()
    }

    /// Adds every entry of `other`; its answers replace earlier ones.
    pub fn merge(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// The same without what was refused: whoever goes on with it may ask for that again.
    #[must_use]
    pub fn answered(mut self) -> Self {
        self.entries.retain(|_, entry| !matches!(entry, Entry::Refused(_)));
        self
    }

    /// Forgets one entry, as if nobody had asked. For tests and for re-fetching.
    pub fn remove(&mut self, locator: &Locator) -> Option<Entry> {
        self.entries.remove(locator)
    }
}

/// Evidence with the subject it is about and the time it was gathered: the content of a `--save-evidence` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceFile {
    /// The image.
    pub subject: Subject,
    /// When the evidence was gathered, by the clock of the machine that did.
    pub gathered: Timestamp,
    /// The evidence.
    pub evidence: Evidence,
}

/// The `schema` member of an evidence file.
const SCHEMA: &str = "trustctl/evidence/v1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    schema: String,
    subject: Subject,
    gathered: Timestamp,
    entries: Vec<EntryForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm {
    at: Locator,
    #[serde(flatten)]
    answer: AnswerForm,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AnswerForm {
    Absent(bool),
    Present { origin: Origin, base64: String },
    Refused(Refusal),
}

/// Why a file is not an evidence file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// It is not the JSON of the schema.
    #[error("not an evidence file: {0}")]
    Json(#[from] serde_json::Error),
    /// Another schema is named.
    #[error("evidence of schema \"{0}\" cannot be read by this version")]
    Schema(String),
    /// The subject is not what the manifest in the same file is.
    #[error("the manifest of {0} is not in the file, or is another than the file says")]
    Subject(Digest),
    /// Two answers to one question: readers would differ in which counts.
    #[error("{0} is in the file twice")]
    Twice(Box<Locator>),
    /// A base64 value is malformed.
    #[error("the bytes of {0} are not base64")]
    Base64(Box<Locator>),
}

impl EvidenceFile {
    /// The JSON text of the file, entries in a stable order.
    ///
    /// # Errors
    /// [`EvidenceError::Json`] should serialisation fail.
    pub fn to_json(&self) -> Result<String, EvidenceError> {
        use base64::Engine as _;
        let entries = self.evidence.iter().map(|(locator, entry)| EntryForm {
            at: locator.clone(),
            answer: match entry {
                Entry::Absent => AnswerForm::Absent(true),
                Entry::Present { bytes, origin } => {
                    AnswerForm::Present { origin: *origin, base64: base64::engine::general_purpose::STANDARD.encode(bytes) }
                }
                Entry::Refused(refusal) => AnswerForm::Refused(refusal.clone()),
            },
        });
        let form = FileForm {
            schema: SCHEMA.to_owned(),
            subject: self.subject.clone(),
            gathered: self.gathered,
            entries: entries.collect(),
        };
        Ok(serde_json::to_string_pretty(&form)?)
    }

    /// Reads such a file. It must hold the manifest of its subject. Manifests and blobs whose bytes do not match their digest become [`RefusalKind::WrongDigest`].
    ///
    /// # Errors
    /// [`EvidenceError`] when the file is not of this schema.
    pub fn from_json(text: &[u8]) -> Result<Self, EvidenceError> {
        use base64::Engine as _;
        let form: FileForm = serde_json::from_slice(text)?;
        if form.schema != SCHEMA {
            return Err(EvidenceError::Schema(form.schema));
        }
        let mut evidence = Evidence::new();
        for EntryForm { at, answer } in form.entries {
            let entry = match answer {
                AnswerForm::Absent(_) => Entry::Absent,
                AnswerForm::Refused(refusal) => Entry::Refused(refusal),
                AnswerForm::Present { origin, base64 } => {
                    let bytes = base64::engine::general_purpose::STANDARD
                        .decode(base64)
                        .map_err(|_| EvidenceError::Base64(Box::new(at.clone())))?;
                    checked(&at, bytes, origin)
                }
            };
            if evidence.has(&at) {
                return Err(EvidenceError::Twice(Box::new(at)));
            }
            evidence.insert(at, entry);
        }
        check_subject(&form.subject, &evidence)?;
        Ok(Self { subject: form.subject, gathered: form.gathered, evidence })
    }
}

/// A file must not say of its subject what the subject's own bytes do not: its children would be judged in its place.
fn check_subject(subject: &Subject, evidence: &Evidence) -> Result<(), EvidenceError> {
    let wrong = || EvidenceError::Subject(subject.digest);
    let locator = Locator::Manifest { repository: subject.repository.clone(), digest: subject.digest };
    let bytes = evidence.bytes(&locator).ok_or_else(wrong)?;
    let manifest = ManifestBytes { bytes, announced: Some(&subject.media_type) };
    let read = Subject::from_manifest(subject.repository.clone(), subject.tag.clone(), manifest).map_err(|_| wrong())?;
    if read == *subject { Ok(()) } else { Err(wrong()) }
}

/// Content-addressed bytes are only present when they have the digest they are filed under.
fn checked(locator: &Locator, bytes: Vec<u8>, origin: Origin) -> Entry {
    match locator {
        Locator::Manifest { digest, .. } | Locator::Blob { digest, .. } if !digest.matches(&bytes) => Entry::Refused(Refusal {
            kind: RefusalKind::WrongDigest,
            detail: format!("the bytes have digest {}", Digest::of(digest.algorithm(), &bytes)),
        }),
        _ => Entry::Present { bytes, origin },
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    /// Evidence about an index of two images, as a run saves it.
    fn saved() -> EvidenceFile {
        let child = |name: &str| {
            let digest = Digest::sha256_of(name.as_bytes());
            format!(r#"{{"mediaType":"{IMAGE}","digest":"{digest}","size":3}}"#)
        };
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#, child("a"), child("b"));
        let manifest = ManifestBytes { bytes: index.as_bytes(), announced: None };
        let subject = Subject::from_manifest("r.example/app".parse().unwrap(), Some("1".parse().unwrap()), manifest).unwrap();
        let mut evidence = Evidence::new();
        let locator = Locator::Manifest { repository: subject.repository.clone(), digest: subject.digest };
        evidence.insert(locator, Entry::Present { bytes: index.into_bytes(), origin: Origin::Registry });
        EvidenceFile { subject, gathered: "2026-11-24T00:00:00Z".parse().unwrap(), evidence }
    }

    fn read_again(file: &EvidenceFile) -> Result<EvidenceFile, EvidenceError> {
        EvidenceFile::from_json(file.to_json().unwrap().as_bytes())
    }

    #[test]
    fn a_file_says_of_its_subject_what_the_bytes_say() {
        assert_eq!(read_again(&saved()).unwrap(), saved());
        let changes: [fn(&mut EvidenceFile); 6] = [
            |file| file.subject.children.clear(),
            |file| file.subject.children.iter_mut().for_each(|child| child.digest = Digest::sha256_of(b"another")),
            |file| file.subject.children.iter_mut().for_each(|child| child.media_type = "text/plain".to_owned()),
            |file| file.subject.media_type = IMAGE.to_owned(),
            |file| file.subject.digest = Digest::sha256_of(b"another"),
            |file| file.evidence = Evidence::new(),
        ];
        for change in changes {
            let mut file = saved();
            change(&mut file);
            assert!(matches!(read_again(&file), Err(EvidenceError::Subject(_))), "{file:?}");
        }
    }

    #[test]
    fn the_manifest_of_a_file_has_the_digest_it_is_filed_under() {
        let mut file = saved();
        let locator = Locator::Manifest { repository: file.subject.repository.clone(), digest: file.subject.digest };
        file.evidence.insert(locator, Entry::Present { bytes: b"{}".to_vec(), origin: Origin::Registry });
        assert!(matches!(read_again(&file), Err(EvidenceError::Subject(_))));
    }
}
