//! Signing, revoking and removing, as plans: what is signed is fixed first, then an [`Edit`] says what has to be sent, given what
//! is there.
//!
//! An edit can be asked again at any time. It answers with nothing once its signature is there, keeps what others wrote byte for
//! byte, and never touches what another key signed.

mod attestation;
mod bundle;
pub mod given;
pub mod predicate;
mod remove;
mod signature;

use std::collections::{BTreeMap, BTreeSet};

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator};
use trustctl_core::public_key::PublicKey;
use trustctl_core::publish::Edit;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::signer::{SignError, Signer};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;

use crate::keyless::Fault;
use crate::keys::{has_signed, schemes};
use crate::limits::MAX_SUBJECTS;
use crate::revocation::Cause;
use crate::seal::Sealed;
use crate::simple_signing;
use crate::statement::{self, SIGN};
use crate::{ANNOTATION_REPOSITORY, ANNOTATION_TAG};

pub use attestation::{AttestationStorage, Attesting, attest};
pub use bundle::{AddBundle, AddRevocation};
pub use remove::RemoveSignatures;
pub use signature::AddSignature;

/// What is to be signed.
#[derive(Clone, Debug)]
pub struct Signing {
    /// The image, or one child of an index.
    pub image: Subject,
    /// The repository that the signature names. Cosign's legacy format always names one: there `None` means the image's own.
    pub repository: Option<Repository>,
    /// The tag that the signature names.
    pub tag: Option<Tag>,
    /// Further signed key-value pairs (`-a`).
    pub annotations: BTreeMap<String, String>,
    /// Where the signature is kept when that is not the image's repository (`COSIGN_REPOSITORY`).
    pub signature_repository: Option<Repository>,
    /// When it is made; written beside the bundle, not signed.
    pub created: Timestamp,
}

/// What is to be revoked, and why.
#[derive(Clone, Debug)]
pub struct Revoking {
    /// The image, or one child of an index.
    pub image: Subject,
    /// The repository that the revocation names.
    pub repository: Option<Repository>,
    /// Why.
    pub cause: Cause,
    /// For those who meet the revocation.
    pub message: String,
    /// Where it is kept when that is not the image's repository.
    pub signature_repository: Option<Repository>,
    /// When; signed, and merely claimed.
    pub issued: Timestamp,
}

/// A form in which signatures are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Storage {
    /// A bundle that refers to the image: what cosign 3 writes.
    Bundle,
    /// The `.sig` tag: what every cosign and skopeo reads.
    SignatureTag,
}

/// Why nothing could be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The image's digest has no tag for signatures.
    #[error("{digest} is too long for a .sig tag: only bundles can hold its signatures")]
    DigestTooLong {
        /// The digest.
        digest: Digest,
    },
    /// What was sealed is not what the image's signature has to say.
    #[error("what was sealed is not what is to be published for {digest}")]
    OtherContent {
        /// The image.
        digest: Digest,
    },
    /// The kind of key is not one that this program signs with.
    #[error("a {kind} key cannot sign images")]
    KeyUnsupported {
        /// The kind of key.
        kind: &'static str,
    },
    /// The annotation is written by this program itself.
    #[error("the annotation {name} is written by this program: give the repository or tag instead")]
    ReservedAnnotation {
        /// Its name.
        name: String,
    },
    /// What the signer returned does not verify with its public key.
    #[error("the signature that was just made does not verify with the public key {fingerprint}")]
    SelfCheck {
        /// The key.
        fingerprint: String,
    },
    /// It is larger than verifiers read.
    #[error("what is to be published has {size} bytes, and verifiers read {}", crate::limits::MAX_BLOB)]
    TooLarge {
        /// How many bytes it has.
        size: u64,
    },
    /// What vouches for the signature cannot be kept in the storage that was asked for.
    #[error("{0}")]
    Storage(Fault),
    /// The signer failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl MakeError {
    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::OtherContent { .. } | Self::SelfCheck { .. } => Code::CosignSelfCheck,
            Self::DigestTooLong { .. } | Self::KeyUnsupported { .. } | Self::Sign(_) => Code::KeyUnsupported,
            Self::ReservedAnnotation { .. } => Code::ConfigUnusable,
            Self::Storage(fault) => fault.code,
            Self::TooLarge { .. } => Code::PredicateForm,
        };
        Reason::new(code, self.to_string())
    }
}

/// Signs once for each storage and returns the edits that publish the signatures.
///
/// # Errors
/// [`MakeError`] when the signer cannot sign or the request contradicts itself.
pub fn sign(signing: &Signing, storages: &[Storage], signer: &dyn Signer) -> Result<Vec<Box<dyn Edit>>, MakeError> {
    let edit = |storage: &Storage| -> Result<Box<dyn Edit>, MakeError> {
        Ok(match storage {
            Storage::Bundle => Box::new(AddBundle::make(signing, signer)?),
            Storage::SignatureTag => Box::new(AddSignature::make(signing, signer)?),
        })
    };
    storages.iter().map(edit).collect()
}

/// The edit that publishes a signature that was sealed: of [`Signing::statement`] or [`statement_of`] for a bundle, of [`Signing::payload`] for a `.sig` tag.
///
/// # Errors
/// [`MakeError::OtherContent`] when something else was sealed; [`MakeError::DigestTooLong`]; [`MakeError::Storage`] when a log entry
/// cannot be kept in that storage.
pub fn publish(signing: &Signing, storage: Storage, sealed: &Sealed) -> Result<Box<dyn Edit>, MakeError> {
    Ok(match storage {
        Storage::Bundle => Box::new(AddBundle::of(signing, sealed)?),
        Storage::SignatureTag => Box::new(AddSignature::of(signing, sealed)?),
    })
}

/// One in-toto statement for several images, each with the annotations it would have in one of its own. Published for each image, it
/// costs one signature and one log entry.
///
/// Readers refuse a statement with more than [`MAX_SUBJECTS`] subjects, and about a digest that it names twice:
/// [`shares`] says how to avoid both.
///
/// # Errors
/// [`MakeError::ReservedAnnotation`].
pub fn statement_of<'s>(signings: impl IntoIterator<Item = &'s Signing>) -> Result<Vec<u8>, MakeError> {
    let subjects = signings.into_iter().map(Signing::subject).collect::<Result<Vec<_>, _>>()?;
    Ok(statement::build_each(&subjects, SIGN, "{}"))
}

/// The fewest groups that can share a statement each, in the order given: at most [`MAX_SUBJECTS`] images, none
/// with the digest of another.
#[must_use]
pub fn shares(signings: Vec<Signing>) -> Vec<Vec<Signing>> {
    let mut groups: Vec<(BTreeSet<Digest>, Vec<Signing>)> = Vec::new();
    for signing in signings {
        let digest = signing.image.digest;
        let free = groups.iter_mut().find(|(taken, group)| group.len() < MAX_SUBJECTS && !taken.contains(&digest));
        match free {
            Some((taken, group)) => {
                taken.insert(digest);
                group.push(signing);
            }
            None => groups.push((BTreeSet::from([digest]), vec![signing])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

impl Signing {
    /// The in-toto statement that a bundle signs: what cosign 3 would sign, with repository and tag as annotations where they are given.
    ///
    /// # Errors
    /// [`MakeError::ReservedAnnotation`].
    pub fn statement(&self) -> Result<Vec<u8>, MakeError> {
        statement_of([self])
    }

    /// Whether a statement says about the image what [`Signing::statement`] says.
    #[must_use]
    pub fn is_said_in(&self, statement: &[u8]) -> bool {
        self.statement().is_ok_and(|own| bundle::says_the_same(statement, &own, &self.image.digest))
    }

    /// What the statement says about the image.
    fn subject(&self) -> Result<(Digest, BTreeMap<String, String>), MakeError> {
        let mut annotations = self.checked_annotations()?.clone();
        annotations.extend(bundle::names(self.repository.as_ref(), self.tag.as_ref()));
        Ok((self.image.digest, annotations))
    }

    /// The payload that a signature under a `.sig` tag signs, as cosign writes it.
    ///
    /// # Errors
    /// [`MakeError::ReservedAnnotation`].
    pub fn payload(&self) -> Result<Vec<u8>, MakeError> {
        let named = self.repository.as_ref().unwrap_or(&self.image.repository);
        Ok(simple_signing::build(&self.image.digest, named, self.tag.as_ref(), self.checked_annotations()?))
    }

    fn place(&self) -> &Repository {
        self.signature_repository.as_ref().unwrap_or(&self.image.repository)
    }

    /// The user's annotations, which must not be those of this program.
    fn checked_annotations(&self) -> Result<&BTreeMap<String, String>, MakeError> {
        match [ANNOTATION_REPOSITORY, ANNOTATION_TAG].into_iter().find(|name| self.annotations.contains_key(*name)) {
            Some(name) => Err(MakeError::ReservedAnnotation { name: name.to_owned() }),
            None => Ok(&self.annotations),
        }
    }
}

/// Signs, in the first form that the holder of the key can make, and checks the signature.
///
/// # Errors
/// [`MakeError::KeyUnsupported`] when the key makes no signature that is known here, [`MakeError::SelfCheck`] when what it made is not
/// its own, and that of the holder of the key when it fails.
pub fn checked_signature(signer: &dyn Signer, message: &[u8]) -> Result<Vec<u8>, MakeError> {
    let key = signer.public_key();
    let signature = schemes(key.kind()).iter().map(|scheme| signer.sign(*scheme, message));
    let mut signature = signature.skip_while(|signature| matches!(signature, Err(SignError::Unsupported { .. })));
    let signature = signature.next().ok_or(MakeError::KeyUnsupported { kind: key.kind().name() })??;
    if !has_signed(key, message, &signature) {
        return Err(MakeError::SelfCheck { fingerprint: key.fingerprint() });
    }
    Ok(signature)
}

/// The bytes at `locator`, `None` when there is nothing.
fn read<'e>(current: &'e Evidence, locator: &Locator) -> Result<Option<&'e [u8]>, Reason> {
    match current.entry(locator) {
        Some(Entry::Present { bytes, .. }) => Ok(Some(bytes)),
        Some(Entry::Absent) => Ok(None),
        Some(Entry::Refused(refusal)) => Err(refusal.reason(locator)),
        None => Err(Reason::new(Code::NotGathered, format!("{locator} was never asked for"))),
    }
}

/// Whether `key` made the base64 `signature` over `message`.
fn is_own(key: &PublicKey, message: &[u8], signature: Option<&str>) -> bool {
    let signature = signature.and_then(|text| crate::format::decode(text, "the signature").ok());
    signature.is_some_and(|signature| has_signed(key, message, &signature))
}

#[cfg(test)]
mod tests;
