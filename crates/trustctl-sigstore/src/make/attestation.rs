//! Adding an attestation: as a bundle that refers to the image, or as a layer under the `.att` tag. Everybody else's stay as they are.

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Evidence, Locator, Want};
use trustctl_core::public_key::PublicKey;
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;

use super::bundle::{Attach, Storing};
use super::predicate::Checked;
use super::{MakeError, read};
use crate::bundle::MEDIA_TYPE;
use crate::dsse::{Envelope, IN_TOTO};
use crate::keys::has_signed;
use crate::layout::attestation_tag;
use crate::layout::signatures::{DSSE, Notes, SignatureLayer, SignatureManifest, build};
use crate::limits::{MAX_BLOB, MAX_MANIFEST, MAX_SIGNATURES};
use crate::seal::Sealed;
use crate::statement::{self, Statement};

/// What is to be attested.
#[derive(Clone, Debug)]
pub struct Attesting {
    /// The image, or one child of an index.
    pub image: Subject,
    /// What is said about it.
    pub predicate: Checked,
    /// The whole statement, where it was not made here: it says the predicate, and speaks of the image.
    pub statement: Option<Vec<u8>>,
    /// Where the attestation is kept when that is not the image's repository (`COSIGN_REPOSITORY`).
    pub signature_repository: Option<Repository>,
    /// When it is made; written beside the bundle, not signed.
    pub created: Timestamp,
}

/// A form in which attestations are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttestationStorage {
    /// The `.att` tag: what every cosign reads.
    AttestationTag,
    /// A bundle that refers to the image: what cosign 3 writes.
    Bundle,
}

impl Attesting {
    /// The in-toto statement that is signed: the given one, else the one that cosign 3.1.1 writes in both storages.
    #[must_use]
    pub fn statement(&self) -> Vec<u8> {
        if let Some(given) = &self.statement {
            return given.clone();
        }
        let Checked { predicate_type, json } = &self.predicate;
        statement::build_attestation(&self.image.digest, &self.image.repository.to_string(), predicate_type, json)
    }

    fn place(&self) -> &Repository {
        self.signature_repository.as_ref().unwrap_or(&self.image.repository)
    }

    /// Whether `payload` is what is to be said, and about nothing else.
    fn is_sealed(&self, payload: &[u8]) -> bool {
        match &self.statement {
            Some(given) => given == payload,
            None => self.predicate.is_in(payload, &self.image.digest),
        }
    }

    /// Whether `statement` says the same about the image.
    fn is_said_by(&self, statement: &Statement<'_>) -> bool {
        statement.predicate_type == self.predicate.predicate_type
            && matches!(statement.about(&self.image.digest), Ok(Some(_)))
            && statement.predicate_json().is_some_and(|json| self.predicate.says_the_same(json))
    }
}

/// The edit that publishes an attestation sealed over [`Attesting::statement`], or over one that was made of the same at another time. It changes nothing when its key has said the same there
/// already.
///
/// # Errors
/// [`MakeError::OtherContent`] when something else was sealed; [`MakeError::TooLarge`] when verifiers would not read it;
/// [`MakeError::DigestTooLong`]; [`MakeError::Storage`] when a log entry cannot be kept in that storage.
pub fn attest(attesting: &Attesting, storage: AttestationStorage, sealed: &Sealed) -> Result<Box<dyn Edit>, MakeError> {
    let envelope =
        sealed.envelope().filter(|envelope| envelope.payload_type == IN_TOTO && attesting.is_sealed(&envelope.payload));
    let Some(envelope) = envelope else { return Err(MakeError::OtherContent { digest: attesting.image.digest }) };
    Ok(match storage {
        AttestationStorage::AttestationTag => Box::new(AddLayer::of(attesting, envelope, sealed)?),
        AttestationStorage::Bundle => Box::new(AddAttestation::of(attesting, envelope, sealed)?),
    })
}

fn check_size(bytes: &[u8]) -> Result<(), MakeError> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > MAX_BLOB { Err(MakeError::TooLarge { size }) } else { Ok(()) }
}

/// Attaches an attestation as a bundle.
struct AddAttestation {
    attesting: Attesting,
    attach: Attach,
}

impl AddAttestation {
    fn of(attesting: &Attesting, envelope: &Envelope, sealed: &Sealed) -> Result<Self, MakeError> {
        check_size(&sealed.bundle())?;
        let storing =
            Storing { image: &attesting.image, place: attesting.place(), media_type: MEDIA_TYPE, created: attesting.created };
        let attach = Attach::of(storing, &attesting.predicate.predicate_type, envelope.payload.clone(), sealed)?;
        Ok(Self { attesting: attesting.clone(), attach })
    }
}

impl Edit for AddAttestation {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        self.attach.wants(current)
    }

    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        self.attach.plan(current, |found, _| self.attesting.is_said_by(found))
    }
}

/// Adds a layer to the `.att` tag.
struct AddLayer {
    attesting: Attesting,
    tag: Tag,
    key: PublicKey,
    envelope: Vec<u8>,
    notes: Notes,
}

impl AddLayer {
    fn of(attesting: &Attesting, envelope: &Envelope, sealed: &Sealed) -> Result<Self, MakeError> {
        let digest = attesting.image.digest;
        let tag = attestation_tag(&digest).ok_or(MakeError::DigestTooLong { digest })?;
        let bytes = envelope.to_json().into_bytes();
        check_size(&bytes)?;
        // The signature is in the envelope. Cosign's timestamp here would be over the whole of that, and the one at hand is not.
        let notes = sealed.notes().map_err(MakeError::Storage)?;
        let predicate_type = Some(attesting.predicate.predicate_type.clone());
        let notes = Notes { signature: String::new(), timestamp: None, predicate_type, ..notes };
        Ok(Self { attesting: attesting.clone(), tag, key: sealed.key().clone(), envelope: bytes, notes })
    }

    fn repository(&self) -> &Repository {
        self.attesting.place()
    }

    fn locator(&self) -> Locator {
        Locator::TaggedManifest { repository: self.repository().clone(), tag: self.tag.clone() }
    }

    /// The envelopes that may be the same, of a manifest that is there: those of the type, and those that do not say theirs.
    fn candidates(&self, bytes: &[u8]) -> Vec<SignatureLayer> {
        let Ok(manifest) = SignatureManifest::parse(bytes) else { return Vec::new() };
        let may_be = |layer: &SignatureLayer| {
            let predicate_type = layer.predicate_type.as_ref();
            layer.payload.media_type == DSSE
                && layer.payload.size <= MAX_BLOB
                && predicate_type.is_none_or(|stated| *stated == self.attesting.predicate.predicate_type)
        };
        manifest.layers().filter_map(|layer| layer.meaning.ok()).filter(may_be).take(MAX_SIGNATURES).collect()
    }

    fn blob(&self, digest: Digest) -> Locator {
        Locator::Blob { repository: self.repository().clone(), digest }
    }

    /// Whether this key has said the same there, logged if this one is.
    fn is_there(&self, layers: &[SignatureLayer], current: &Evidence) -> bool {
        layers.iter().any(|layer| {
            let Some(envelope) = current.bytes(&self.blob(layer.payload.digest)).and_then(|bytes| Envelope::parse(bytes).ok())
            else {
                return false;
            };
            layer.log_entry.is_some() >= self.notes.log_entry.is_some()
                && envelope.payload_type == IN_TOTO
                && Statement::parse(&envelope.payload).is_ok_and(|statement| self.attesting.is_said_by(&statement))
                && has_signed(&self.key, &envelope.signed_bytes(), &envelope.signature)
        })
    }
}

impl Edit for AddLayer {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        let locator = self.locator();
        if !current.has(&locator) {
            return vec![Want { locator, max_bytes: MAX_MANIFEST }];
        }
        let layers = current.bytes(&locator).map(|bytes| self.candidates(bytes)).unwrap_or_default();
        let wants = layers.iter().map(|layer| Want { locator: self.blob(layer.payload.digest), max_bytes: layer.payload.size });
        wants.filter(|want| !current.has(&want.locator)).collect()
    }

    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        let locator = self.locator();
        let written = match read(current, &locator)? {
            None => build(&self.envelope, &self.notes),
            Some(bytes) => {
                let at = locator.to_string();
                let manifest = SignatureManifest::parse(bytes).map_err(|error| error.reason(&at))?;
                if self.is_there(&self.candidates(bytes), current) {
                    return Ok(Vec::new());
                }
                if manifest.count() >= MAX_SIGNATURES {
                    let words = format!("{at} has {} attestations, and verifiers read {MAX_SIGNATURES}", manifest.count());
                    return Err(Reason::new(Code::CosignTooMany, words));
                }
                manifest.with_layer(&self.envelope, &self.notes)
            }
        };
        let repository = self.repository();
        Ok(vec![
            Put::Blob { repository: repository.clone(), bytes: self.envelope.clone() },
            Put::Blob { repository: repository.clone(), bytes: written.config },
            Put::TaggedManifest {
                repository: repository.clone(),
                tag: self.tag.clone(),
                media_type: written.media_type,
                bytes: written.manifest,
            },
        ])
    }
}

#[cfg(test)]
mod tests;
