//! The queue: signatures that wait for a signing service, one file each.
//!
//! A file says which images are to be signed with which claims, and holds what is finished of the signature. It holds no secret, and brings
//! no trust: services, trusted root and identity are those of the run that finishes it. It does say what that run signs, so the folder is
//! for its owner alone to write to.
//!
//! Files are replaced as a whole. Who works on one holds its lock; a lock ends with its process, however that ends.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_remote::limits::Deadline;
use trustctl_sigstore::make::{Signing, Storage};
use trustctl_sigstore::seal::kept::Kept;

use super::turn::Turn;
use super::{Session, policy};
use crate::failure::Failure;

const SCHEMA: &str = "trustctl/pending/v1";
/// Hexadecimal digits of a file's name: enough that no two intentions meet.
const DIGITS: usize = 32;
/// How long between two tries for a lock.
const PAUSE: Duration = Duration::from_millis(50);

/// A folder of files.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    folder: PathBuf,
}

/// What one file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pending {
    schema: String,
    /// When it was written first.
    pub(super) created: Timestamp,
    storage: StoredAs,
    images: Vec<PendingImage>,
    annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature_repository: Option<Repository>,
    /// What is finished of the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Value>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredAs {
    Bundle,
    SignatureTag,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PendingImage {
    image: Subject,
    /// The tag that the signature names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<Tag>,
}

impl Pending {
    /// An intention: nothing of the signature is finished.
    pub(super) fn new(storage: Storage, signings: &[Signing], created: Timestamp) -> Self {
        let first = signings.first();
        Self {
            schema: SCHEMA.to_owned(),
            created,
            storage: match storage {
                Storage::Bundle => StoredAs::Bundle,
                Storage::SignatureTag => StoredAs::SignatureTag,
            },
            images: signings.iter().map(|one| PendingImage { image: one.image.clone(), tag: one.tag.clone() }).collect(),
            annotations: first.map(|signing| signing.annotations.clone()).unwrap_or_default(),
            signature_repository: first.and_then(|signing| signing.signature_repository.clone()),
            signature: None,
        }
    }

    /// With what is finished of the signature.
    pub(super) fn with(mut self, kept: &Kept) -> Result<Self, Failure> {
        self.signature = Some(serde_json::from_str(&kept.to_json()).map_err(|error| unusable(error.to_string()))?);
        Ok(self)
    }

    /// How the signature is stored.
    pub(super) fn storage(&self) -> Storage {
        match self.storage {
            StoredAs::Bundle => Storage::Bundle,
            StoredAs::SignatureTag => Storage::SignatureTag,
        }
    }

    /// Further signed annotations.
    pub(super) fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// Where it is published, when that is not the image's repository.
    pub(super) fn place(&self) -> Option<&Repository> {
        self.signature_repository.as_ref()
    }

    /// What is to be signed.
    pub(super) fn signings(&self) -> Vec<Signing> {
        let signing = |one: &PendingImage| Signing {
            repository: Some(one.image.repository.clone()),
            image: one.image.clone(),
            tag: one.tag.clone(),
            annotations: self.annotations.clone(),
            signature_repository: self.signature_repository.clone(),
            created: self.created,
        };
        self.images.iter().map(signing).collect()
    }

    /// What is finished of the signature.
    ///
    /// # Errors
    /// [`Code::QueueUnusable`] for what is no signature, or not by the key it names.
    pub(super) fn kept(&self) -> Result<Option<Kept>, Failure> {
        let parse = |value: &Value| Kept::parse(value.to_string().as_bytes()).map_err(|fault| unusable(fault.to_string()));
        self.signature.as_ref().map(parse).transpose()
    }
}

impl Queue {
    /// The folder that is named, else the one in the state folder.
    ///
    /// # Errors
    /// [`Code::ConfigUnusable`] where nothing says where that is.
    pub(super) fn new(session: &Session, named: Option<&Path>) -> Result<Self, Failure> {
        let folder = match (named, &session.environment.state) {
            (Some(named), _) => named.to_owned(),
            (None, Some(state)) => state.join("queue"),
            (None, None) => {
                let words =
                    "there is no folder for the queue: neither XDG_STATE_HOME nor HOME is set to an absolute path; give --queue";
                return Err(Failure::new(Reason::new(Code::ConfigUnusable, words)));
            }
        };
        Ok(Self { folder })
    }

    /// The name of the file for these signatures: the same for the same images, claims and storage.
    pub(super) fn name(storage: Storage, signings: &[Signing]) -> String {
        let pending = Pending::new(storage, signings, Timestamp::UNIX_EPOCH);
        let images: Vec<Value> = signings.iter().map(|one| json!([one.image.repository, one.image.digest, one.tag])).collect();
        let intention = json!([pending.storage, images, pending.annotations, pending.signature_repository]);
        let digest = Digest::sha256_of(intention.to_string().as_bytes()).hex();
        digest.get(..DIGITS).unwrap_or_default().to_owned()
    }

    /// The file of this name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Makes the folder, for its owner alone, where there is none.
    ///
    /// # Errors
    /// [`Code::QueueUnusable`].
    pub(super) fn make(&self) -> Result<(), Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| unusable(format!("{}: {error}", self.folder.display())))
    }

    /// The names of the files, in order; none where there is no folder.
    ///
    /// # Errors
    /// [`Code::QueueUnusable`].
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        let failed = |error: io::Error| unusable(format!("{}: {error}", self.folder.display()));
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|name| !name.starts_with('.'));
            names.extend(name.map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// What the file says; `None` where there is none.
    ///
    /// # Errors
    /// [`Code::QueueUnusable`] for a file that cannot be read, or is none of ours.
    pub(super) fn read(&self, name: &str) -> Result<Option<Pending>, Failure> {
        let path = self.path(name);
        let failed = |why: String| unusable(format!("{}: {why}", path.display()));
        let bytes = match policy::read_limited(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| failed(error.to_string()))?,
        };
        let value = trustctl_core::json::read(&bytes).map_err(|error| failed(error.to_string()))?;
        let pending: Pending = serde_json::from_value(value).map_err(|error| failed(error.to_string()))?;
        if pending.schema != SCHEMA || pending.images.is_empty() {
            return Err(failed(format!("it is not of the form {SCHEMA}, or names no image")));
        }
        pending.kept().map_err(|failure| failed(failure.reason.message))?;
        Ok(Some(pending))
    }

    /// Writes the file, readable for its owner alone; whoever reads meanwhile sees the old one or the new one.
    ///
    /// # Errors
    /// [`Code::QueueUnusable`].
    pub(super) fn write(&self, name: &str, pending: &Pending) -> Result<(), Failure> {
        let path = self.path(name);
        let text = serde_json::to_vec(pending).map_err(|error| unusable(error.to_string()))?;
        trustctl_remote::file::replace_private(&path, &text).map_err(|error| unusable(format!("{}: {error}", path.display())))
    }

    /// Removes the file: what it says is done.
    ///
    /// # Errors
    /// [`Code::QueueUnusable`].
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(format!("{}: {error}", path.display()))),
            _ => Ok(()),
        }
    }

    /// The lock on the file of this name, and whether another process had it; waits for it until `deadline`.
    ///
    /// # Errors
    /// [`Code::QueueNotEmpty`] when it took longer, [`Code::QueueUnusable`] when there can be no lock.
    pub(super) async fn turn(&self, name: &str, deadline: Deadline) -> Result<(Turn, bool), Failure> {
        let failed = |error: io::Error| unusable(format!("{}: {error}", self.folder.display()));
        let mut waited = false;
        loop {
            if let Some(turn) = Turn::take(&self.folder, name).map_err(failed)? {
                return Ok((turn, waited));
            }
            waited = true;
            if deadline.remaining().is_zero() {
                let words = format!("another process is working on {}", self.path(name).display());
                return Err(Failure::new(Reason::new(Code::QueueNotEmpty, words)));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn unusable(words: String) -> Failure {
    Failure::new(Reason::new(Code::QueueUnusable, words))
}
