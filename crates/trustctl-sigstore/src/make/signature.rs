//! Adding a legacy signature: read, modify and write the manifest under the `.sig` tag.

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Evidence, Locator, Want};
use trustctl_core::public_key::PublicKey;
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::signer::Signer;

use super::{MakeError, Signing, is_own, read};
use crate::keys::has_signed;
use crate::layout::signature_tag;
use crate::layout::signatures::{Notes, SIMPLE_SIGNING, SignatureManifest, build};
use crate::limits::{MAX_MANIFEST, MAX_SIGNATURES};
use crate::seal::{Sealed, Signed};

/// Adds one signature to the `.sig` tag of an image; everybody else's stay as they are.
#[derive(Clone, Debug)]
pub struct AddSignature {
    repository: Repository,
    tag: Tag,
    key: PublicKey,
    payload: Vec<u8>,
    notes: Notes,
}

impl AddSignature {
    /// Signs the payload that Cosign would sign; what is published is then fixed.
    ///
    /// # Errors
    /// [`MakeError`], by what is wrong.
    pub fn make(signing: &Signing, signer: &dyn Signer) -> Result<Self, MakeError> {
        Self::of(signing, &Signed::message(signer, None, &signing.payload()?)?.sealed(Vec::new(), Vec::new()))
    }

    /// Publishes a signature that was sealed over [`Signing::payload`].
    ///
    /// # Errors
    /// [`MakeError`], by what is wrong.
    pub fn of(signing: &Signing, sealed: &Sealed) -> Result<Self, MakeError> {
        let image = &signing.image;
        let tag = signature_tag(&image.digest).ok_or(MakeError::DigestTooLong { digest: image.digest })?;
        let payload = signing.payload()?;
        if sealed.envelope().is_some() || !has_signed(sealed.key(), &payload, sealed.signature()) {
            return Err(MakeError::OtherContent { digest: image.digest });
        }
        let notes = sealed.notes().map_err(MakeError::Storage)?;
        Ok(Self { repository: signing.place().clone(), tag, key: sealed.key().clone(), payload, notes })
    }

    /// Whether a signature by this key over the same payload is there, logged if this one is: with the same payload it makes the same
    /// claims.
    fn is_in(&self, manifest: &SignatureManifest<'_>) -> bool {
        let payload = Digest::sha256_of(&self.payload);
        manifest.layers().filter_map(|layer| layer.meaning.ok()).any(|layer| {
            layer.payload.media_type == SIMPLE_SIGNING
                && layer.payload.digest == payload
                && layer.log_entry.is_some() >= self.notes.log_entry.is_some()
                && is_own(&self.key, &self.payload, layer.signature.as_deref())
        })
    }

    fn locator(&self) -> Locator {
        Locator::TaggedManifest { repository: self.repository.clone(), tag: self.tag.clone() }
    }
}

impl Edit for AddSignature {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        let locator = self.locator();
        if current.has(&locator) { Vec::new() } else { vec![Want { locator, max_bytes: MAX_MANIFEST }] }
    }

    /// Nothing when this key has signed the same payload already.
    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        let locator = self.locator();
        let written = match read(current, &locator)? {
            None => build(&self.payload, &self.notes),
            Some(bytes) => {
                let at = locator.to_string();
                let manifest = SignatureManifest::parse(bytes).map_err(|error| error.reason(&at))?;
                if self.is_in(&manifest) {
                    return Ok(Vec::new());
                }
                if manifest.count() >= MAX_SIGNATURES {
                    let words = format!("{at} has {} signatures, and verifiers read {MAX_SIGNATURES}", manifest.count());
                    return Err(Reason::new(Code::CosignTooMany, words));
                }
                manifest.with_layer(&self.payload, &self.notes)
            }
        };
        let repository = &self.repository;
        Ok(vec![
            Put::Blob { repository: repository.clone(), bytes: self.payload.clone() },
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
