//! Adding a bundle that refers to the image: a signature, or a revocation.

use std::collections::BTreeMap;

use trustctl_core::evidence::{Evidence, Locator, Want};
use trustctl_core::public_key::PublicKey;
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reason::Reason;
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::signer::Signer;
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;

use super::{MakeError, Revoking, Signing, checked_signature, read};
use crate::bundle::{Bundle, Content as BundleContent, MEDIA_TYPE};
use crate::dsse::{Envelope, IN_TOTO, pae};
use crate::keys::has_signed;
use crate::layout::bundle::{Attachment, EMPTY};
use crate::layout::{Descriptor, OCI_MANIFEST};
use crate::revocation::{self, PREDICATE_TYPE};
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
        let mut annotations = signing.checked_annotations()?.clone();
        annotations.extend(names(signing.repository.as_ref(), signing.tag.as_ref()));
        let statement = statement::build(&[signing.image.digest], &annotations, SIGN, "{}");
        let storing = Storing { image: &signing.image, place: signing.place(), media_type: MEDIA_TYPE, created: signing.created };
        Attach::make(storing, SIGN, statement, signer).map(Self)
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
        Attach::make(storing, PREDICATE_TYPE, statement, signer).map(Self)
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

fn names(repository: Option<&Repository>, tag: Option<&Tag>) -> impl Iterator<Item = (String, String)> + use<> {
    let repository = repository.map(|repository| (ANNOTATION_REPOSITORY.to_owned(), repository.to_string()));
    let tag = tag.map(|tag| (ANNOTATION_TAG.to_owned(), tag.to_string()));
    repository.into_iter().chain(tag)
}

/// Where and as what a bundle is stored.
struct Storing<'a> {
    image: &'a Subject,
    place: &'a Repository,
    media_type: &'static str,
    created: Timestamp,
}

/// A signed bundle and the manifest that attaches it.
#[derive(Clone, Debug)]
struct Attach {
    repository: Repository,
    subject: Descriptor,
    key: PublicKey,
    statement: Vec<u8>,
    bundle: Vec<u8>,
    manifest: Vec<u8>,
    artifact_type: &'static str,
    annotations: BTreeMap<String, String>,
}

impl Attach {
    fn make(storing: Storing<'_>, predicate_type: &str, statement: Vec<u8>, signer: &dyn Signer) -> Result<Self, MakeError> {
        let Storing { image, place, media_type, created } = storing;
        let signature = checked_signature(signer, &pae(IN_TOTO, &statement))?;
        let envelope = Envelope { payload_type: IN_TOTO.to_owned(), payload: statement.clone(), signature };
        let bundle = Bundle::build(&envelope, &signer.public_key().hint());
        let subject = Descriptor { media_type: image.media_type.clone(), size: image.size, digest: image.digest };
        let attachment = Attachment { subject: &subject, media_type, predicate_type, created };
        let (manifest, annotations) = (attachment.manifest(&bundle), attachment.annotations());
        let key = signer.public_key().clone();
        Ok(Self { repository: place.clone(), key, statement, bundle, manifest, artifact_type: media_type, annotations, subject })
    }

    fn survey<'e>(&self, current: &'e Evidence) -> Survey<'e> {
        let places = Places { referrers: vec![self.repository.clone()], ..Places::default() };
        Survey::new(&self.subject.digest, &places, current)
    }

    fn wants(&self, current: &Evidence) -> Vec<Want> {
        self.survey(current).pending.into_iter().map(|pending| pending.want).collect()
    }

    fn plan(
        &self,
        current: &Evidence,
        says_the_same: impl Fn(&Statement<'_>, &Statement<'_>) -> bool,
    ) -> Result<Vec<Put>, Reason> {
        read(current, &Locator::Referrers { repository: self.repository.clone(), digest: self.subject.digest })?;
        let own = Statement::parse(&self.statement).map_err(|error| error.reason("the statement to be signed"))?;
        let digest = &self.subject.digest;
        let is_there = self.survey(current).found.iter().any(|found| {
            let Content::Bundle(bytes) = &found.content else { return false };
            let Ok(Bundle { content: BundleContent::Envelope(envelope), .. }) = Bundle::parse(bytes) else { return false };
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
