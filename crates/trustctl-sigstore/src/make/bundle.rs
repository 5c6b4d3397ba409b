//! Adding a bundle that refers to the image: a signature, or a revocation.

use std::collections::BTreeMap;

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Evidence, Locator, Want};
use trustctl_core::public_key::PublicKey;
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reason::Reason;
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::signer::Signer;
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;

use super::{MakeError, Revoking, Signing, read};
use crate::bundle::{Bundle, Content as BundleContent, MEDIA_TYPE};
use crate::dsse::IN_TOTO;
use crate::keys::has_signed;
use crate::layout::bundle::{Attachment, EMPTY, PREDICATE_TYPE as PREDICATE_TYPE_ANNOTATION};
use crate::layout::{Descriptor, OCI_MANIFEST};
use crate::revocation::{self, PREDICATE_TYPE};
use crate::seal::{Sealed, Signed};
use crate::statement::{self, SIGN, Statement};
use crate::survey::{Content, Places, Survey};
use crate::{ANNOTATION_REPOSITORY, ANNOTATION_TAG};

/// Attaches a signature to an image as a bundle.
#[derive(Clone, Debug)]
pub struct AddBundle(Attach);

/// Attaches a revocation to an image.
///
/// One edit withdraws one manifest; for an index, its children are revoked by edits of their own.
#[derive(Clone, Debug)]
pub struct AddRevocation(Attach);

impl AddBundle {
    /// Signs the statement that cosign 3 would sign, with repository and tag as annotations where they are given.
    ///
    /// # Errors
    /// [`MakeError`], by what is wrong.
    pub fn make(signing: &Signing, signer: &dyn Signer) -> Result<Self, MakeError> {
        Self::of(signing, &signed(signing.statement()?, signer)?)
    }

    /// Publishes a signature that was sealed over [`Signing::statement`], or over a statement that says the same about this image and
    /// something about others ([`super::statement_of`]).
    ///
    /// # Errors
    /// [`MakeError::OtherContent`] when something else was sealed.
    pub fn of(signing: &Signing, sealed: &Sealed) -> Result<Self, MakeError> {
        let own = signing.statement()?;
        let said = sealed.envelope().filter(|envelope| says_the_same(&envelope.payload, &own, &signing.image.digest));
        let Some(said) = said else { return Err(MakeError::OtherContent { digest: signing.image.digest }) };
        let statement = said.payload.clone();
        let storing = Storing { image: &signing.image, place: signing.place(), media_type: MEDIA_TYPE, created: signing.created };
        Attach::of(storing, SIGN, statement, sealed).map(Self)
    }
}

impl AddRevocation {
    /// Signs the revocation.
    ///
    /// # Errors
    /// [`MakeError`], by what is wrong.
    pub fn make(revoking: &Revoking, signer: &dyn Signer) -> Result<Self, MakeError> {
        let predicate = revocation::predicate(revoking.cause, &revoking.message, revoking.issued);
        let annotations = names(revoking.repository.as_ref(), None).collect();
        let statement = statement::build(&[revoking.image.digest], &annotations, PREDICATE_TYPE, &predicate);
        let storing = Storing {
            image: &revoking.image,
            place: revoking.signature_repository.as_ref().unwrap_or(&revoking.image.repository),
            media_type: revocation::MEDIA_TYPE,
            created: revoking.issued,
        };
        let sealed = signed(statement.clone(), signer)?;
        Attach::of(storing, PREDICATE_TYPE, statement, &sealed).map(Self)
    }
}

impl Edit for AddBundle {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        self.0.wants(current)
    }

    /// Nothing when this key has signed the same statement already.
    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        self.0.plan(current, |found, own| found.predicate_type == own.predicate_type)
    }
}

impl Edit for AddRevocation {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        self.0.wants(current)
    }

    /// Nothing when this key has revoked the image already, for the same reason and with the same words.
    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        use trustctl_core::claim::Statement::Revocation;
        self.0.plan(current, |found, own| match (revocation::read(found), revocation::read(own)) {
            (Revocation { reason, message, .. }, Revocation { reason: own_reason, message: own_message, .. }) => {
                found.predicate_type == own.predicate_type && reason == own_reason && message == own_message
            }
            _ => false,
        })
    }
}

/// Whether one statement says about `digest` what the other says.
pub(super) fn says_the_same(one: &[u8], other: &[u8], digest: &Digest) -> bool {
    let (Ok(one), Ok(other)) = (Statement::parse(one), Statement::parse(other)) else { return false };
    let about = |statement: &Statement<'_>| statement.about(digest).ok().flatten().cloned();
    one.predicate_type == other.predicate_type && about(&one).is_some() && about(&one) == about(&other)
}

/// The signed annotations that this program writes.
pub(super) fn names(repository: Option<&Repository>, tag: Option<&Tag>) -> impl Iterator<Item = (String, String)> + use<> {
    let repository = repository.map(|repository| (ANNOTATION_REPOSITORY.to_owned(), repository.to_string()));
    let tag = tag.map(|tag| (ANNOTATION_TAG.to_owned(), tag.to_string()));
    repository.into_iter().chain(tag)
}

/// A statement signed by a key, with nobody to vouch for it.
fn signed(statement: Vec<u8>, signer: &dyn Signer) -> Result<Sealed, MakeError> {
    Ok(Signed::envelope(signer, None, IN_TOTO, statement)?.sealed(Vec::new(), Vec::new()))
}

/// Where and as what a bundle is stored.
pub(super) struct Storing<'a> {
    pub(super) image: &'a Subject,
    pub(super) place: &'a Repository,
    pub(super) media_type: &'static str,
    pub(super) created: Timestamp,
}

/// A signed bundle and the manifest that attaches it.
#[derive(Clone, Debug)]
pub(super) struct Attach {
    repository: Repository,
    subject: Descriptor,
    key: PublicKey,
    statement: Vec<u8>,
    bundle: Vec<u8>,
    /// Whether it has a log entry: then only one that has takes its place.
    logged: bool,
    manifest: Vec<u8>,
    artifact_type: &'static str,
    annotations: BTreeMap<String, String>,
}

impl Attach {
    pub(super) fn of(storing: Storing<'_>, predicate_type: &str, statement: Vec<u8>, sealed: &Sealed) -> Result<Self, MakeError> {
        let Storing { image, place, media_type, created } = storing;
        if sealed.envelope().is_none_or(|envelope| envelope.payload != statement || envelope.payload_type != IN_TOTO) {
            return Err(MakeError::OtherContent { digest: image.digest });
        }
        let bundle = sealed.bundle();
        let subject = Descriptor { media_type: image.media_type.clone(), size: image.size, digest: image.digest };
        let attachment = Attachment { subject: &subject, media_type, predicate_type, created };
        let (manifest, annotations) = (attachment.manifest(&bundle), attachment.annotations());
        let (repository, key, logged) = (place.clone(), sealed.key().clone(), !sealed.entries().is_empty());
        Ok(Self { repository, key, statement, bundle, logged, manifest, artifact_type: media_type, annotations, subject })
    }

    fn survey<'e>(&self, current: &'e Evidence) -> Survey<'e> {
        // Of attestations those of the own type: one of them may say the same.
        let attestation_types = self.annotations.get(PREDICATE_TYPE_ANNOTATION).cloned().into_iter().collect();
        let referrers = vec![self.repository.clone()];
        let places = Places { referrers, bundled_attestations: true, attestation_types, ..Places::default() };
        Survey::new(&self.subject.digest, &places, current)
    }

    pub(super) fn wants(&self, current: &Evidence) -> Vec<Want> {
        self.survey(current).pending.into_iter().map(|pending| pending.want).collect()
    }

    pub(super) fn plan(
        &self,
        current: &Evidence,
        says_the_same: impl Fn(&Statement<'_>, &Statement<'_>) -> bool,
    ) -> Result<Vec<Put>, Reason> {
        read(current, &Locator::Referrers { repository: self.repository.clone(), digest: self.subject.digest })?;
        let own = Statement::parse(&self.statement).map_err(|error| error.reason("the statement to be signed"))?;
        let digest = &self.subject.digest;
        let is_there = self.survey(current).found.iter().any(|found| {
            let Content::Bundle(bytes) = &found.content else { return false };
            let Ok(Bundle { content: BundleContent::Envelope(envelope), log_entries, .. }) = Bundle::parse(bytes) else {
                return false;
            };
            if self.logged && log_entries.is_empty() {
                return false;
            }
            let Ok(statement) = Statement::parse(&envelope.payload) else { return false };
            matches!((statement.about(digest), own.about(digest)), (Ok(Some(there)), Ok(Some(here))) if there == here)
                && says_the_same(&statement, &own)
                && has_signed(&self.key, &envelope.signed_bytes(), &envelope.signature)
        });
        Ok(if is_there { Vec::new() } else { self.puts() })
    }

    fn puts(&self) -> Vec<Put> {
        let repository = &self.repository;
        vec![
            Put::Blob { repository: repository.clone(), bytes: EMPTY.to_vec() },
            Put::Blob { repository: repository.clone(), bytes: self.bundle.clone() },
            Put::Referrer {
                repository: repository.clone(),
                subject: self.subject.digest,
                media_type: OCI_MANIFEST.to_owned(),
                artifact_type: self.artifact_type.to_owned(),
                annotations: self.annotations.clone(),
                bytes: self.manifest.clone(),
            },
        ]
    }
}
