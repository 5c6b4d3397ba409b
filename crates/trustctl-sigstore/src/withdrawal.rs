//! Revocations that cannot be proven: whom they name. Nothing in here proves anything.
//!
//! For a signature it is safe to leave aside what cannot be proven; for a revocation it is not: the image would run again as soon as a
//! log entry, a time or an authority is missing. So it is said that there is one, and whom it names; the judge decides by that.

use der::{Decode as _, Encode as _};
use trustctl_core::claim::{Claimed, Principal};
use trustctl_core::digest::Digest;
use trustctl_core::public_key::PublicKey;
use x509_cert::Certificate as X509;

use crate::bundle::{Bundle, Material};
use crate::dsse::Envelope;
use crate::keyless::certificate::Certificate;
use crate::keys::has_signed;
use crate::revocation::is_revocation;
use crate::statement::Statement;

/// Whether an envelope says that `digest` is withdrawn; `None` when what it says cannot be read.
pub(crate) fn withdraws(statement: Option<&Statement<'_>>, digest: &Digest) -> Option<bool> {
    let said = statement?;
    if !is_revocation(&said.predicate_type) {
        return Some(false);
    }
    // A digest that is named twice is named.
    Some(said.about(digest).map_or(true, |subject| subject.is_some()))
}

/// Whom the certificate in a bundle names, when the envelope is at least signed with the key of that certificate: bytes that were
/// altered since are nobody's.
pub(crate) fn named(bundle: &[u8], envelope: &Envelope) -> Option<Claimed<Principal>> {
    let Material::Certificate(chain) = Bundle::parse(bundle).ok()?.material else { return None };
    let leaf = chain.first()?;
    let spki = X509::from_der(leaf).ok()?.tbs_certificate.subject_public_key_info.to_der().ok()?;
    let key = PublicKey::from_spki_der(&spki).ok()?;
    if !has_signed(&key, &envelope.signed_bytes(), &envelope.signature) {
        return None;
    }
    let Certificate { identity, issuer, .. } = Certificate::from_der(leaf).ok()?;
    Some(Claimed::new(Principal::Identity { identity, issuer, sigstore: None }))
}
