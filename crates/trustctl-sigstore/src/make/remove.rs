//! Removing the signatures of one key.

use std::collections::{BTreeMap, BTreeSet};

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin, Want};
use trustctl_core::public_key::PublicKey;
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;

use super::{is_own, read};
use crate::bundle::{Bundle, Content as BundleContent};
use crate::keys::has_signed;
use crate::layout::referrers::Referrers;
use crate::layout::signatures::{Layer, SIMPLE_SIGNING, SignatureManifest};
use crate::layout::{OCI_INDEX, fallback_tag, signature_tag};
use crate::statement::{SIGN, Statement};
use crate::survey::{Content, Places, Survey};

/// Removes the signatures that one key made on one image: its layers under the `.sig` tag, and its bundles. Attestations,
/// revocations and whatever other keys made stay as they are.
///
/// A `.sig` manifest that loses its last layer is first replaced by an empty one and then deleted, so that the signatures are
/// gone even where the registry does not delete. A bundle behind the referrers API stays listed there if the registry refuses to
/// delete it; the plan then keeps naming it.
#[derive(Clone, Debug)]
pub struct RemoveSignatures {
    digest: Digest,
    place: Repository,
    referrers: BTreeSet<Repository>,
    key: PublicKey,
}

impl RemoveSignatures {
    /// Removes what `key` signed on the image with `digest` in `image`; signatures may be kept elsewhere (`COSIGN_REPOSITORY`).
    #[must_use]
    pub fn new(image: &Repository, digest: Digest, signature_repository: Option<&Repository>, key: PublicKey) -> Self {
        let place = signature_repository.unwrap_or(image).clone();
        let referrers = BTreeSet::from([image.clone(), place.clone()]);
        Self { digest, place, referrers, key }
    }

    fn survey<'e>(&self, current: &'e Evidence) -> Survey<'e> {
        let places = Places {
            signatures: Some(self.place.clone()),
            referrers: self.referrers.iter().cloned().collect(),
            ..Places::default()
        };
        Survey::new(&self.digest, &places, current)
    }

    /// The `.sig` tag without the layers of this key.
    fn layers(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        let Some(tag) = signature_tag(&self.digest) else { return Ok(Vec::new()) };
        let locator = Locator::TaggedManifest { repository: self.place.clone(), tag: tag.clone() };
        let Some(bytes) = read(current, &locator)? else { return Ok(Vec::new()) };
        let manifest = SignatureManifest::parse(bytes).map_err(|error| error.reason(&locator.to_string()))?;
        let is_removed = |layer: &Layer<'_>| self.is_own_layer(layer, current);
        if !manifest.layers().any(|layer| is_removed(&layer)) {
            return Ok(Vec::new());
        }
        let written = manifest.without(is_removed);
        let is_empty = manifest.layers().all(|layer| is_removed(&layer));
        let repository = &self.place;
        let deletion = Put::Delete { repository: repository.clone(), digest: Digest::sha256_of(&written.manifest) };
        let mut puts = vec![
            Put::Blob { repository: repository.clone(), bytes: written.config },
            Put::TaggedManifest { repository: repository.clone(), tag, media_type: written.media_type, bytes: written.manifest },
        ];
        puts.extend(Some(deletion).filter(|_| is_empty));
        Ok(puts)
    }

    /// What cannot be read cannot be shown to be ours, and stays.
    fn is_own_layer(&self, layer: &Layer<'_>, current: &Evidence) -> bool {
        let Ok(layer) = &layer.meaning else { return false };
        if layer.payload.media_type != SIMPLE_SIGNING {
            return false;
        }
        let locator = Locator::Blob { repository: self.place.clone(), digest: layer.payload.digest };
        current.bytes(&locator).is_some_and(|payload| is_own(&self.key, payload, layer.signature.as_deref()))
    }

    /// The manifests of this key's bundles that are signatures.
    fn own_bundles(&self, survey: &Survey<'_>) -> BTreeMap<Repository, BTreeSet<Digest>> {
        let mut own: BTreeMap<Repository, BTreeSet<Digest>> = BTreeMap::new();
        for found in &survey.found {
            let (Content::Bundle(bytes), Some((repository, manifest))) = (&found.content, &found.manifest) else { continue };
            if self.is_own_bundle(bytes) {
                own.entry(repository.clone()).or_default().insert(*manifest);
            }
        }
        own
    }

    fn is_own_bundle(&self, bytes: &[u8]) -> bool {
        let Ok(Bundle { content: BundleContent::Envelope(envelope), .. }) = Bundle::parse(bytes) else { return false };
        let is_signature = Statement::parse(&envelope.payload).is_ok_and(|said| said.predicate_type == SIGN);
        is_signature && has_signed(&self.key, &envelope.signed_bytes(), &envelope.signature)
    }

    /// Takes manifests out of a fallback index, where clients keep one, and deletes them.
    fn deletions(&self, repository: &Repository, manifests: &BTreeSet<Digest>, current: &Evidence) -> Vec<Put> {
        let locator = Locator::Referrers { repository: repository.clone(), digest: self.digest };
        let index = match current.entry(&locator) {
            Some(Entry::Present { bytes, origin: Origin::FallbackTag }) => Referrers::parse(bytes).ok(),
            _ => None,
        };
        let unlisted = index.zip(fallback_tag(&self.digest)).map(|(index, tag)| Put::TaggedManifest {
            repository: repository.clone(),
            tag,
            media_type: OCI_INDEX.to_owned(),
            bytes: index.without(|referrer| manifests.contains(&referrer.manifest.digest)),
        });
        let deleted = manifests.iter().map(|digest| Put::Delete { repository: repository.clone(), digest: *digest });
        unlisted.into_iter().chain(deleted).collect()
    }
}

impl Edit for RemoveSignatures {
    fn wants(&self, current: &Evidence) -> Vec<Want> {
        self.survey(current).pending.into_iter().map(|pending| pending.want).collect()
    }

    fn plan(&self, current: &Evidence) -> Result<Vec<Put>, Reason> {
        let survey = self.survey(current);
        // What is beyond a limit is not what this program wrote; what could not be fetched may be.
        let beyond = [Code::TooLarge, Code::OutOfBudget, Code::CosignTooMany];
        if let Some(missing) = survey.missing().into_iter().find(|missing| !beyond.contains(&missing.reason.code)) {
            return Err(missing.reason);
        }
        let mut puts = self.layers(current)?;
        for (repository, manifests) in self.own_bundles(&survey) {
            puts.extend(self.deletions(&repository, &manifests, current));
        }
        Ok(puts)
    }
}
