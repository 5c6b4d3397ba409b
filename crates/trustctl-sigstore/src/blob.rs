//! Files: what a bundle proves of one, and the bundles that `cosign sign-blob` writes.
//!
//! A bundle about a file holds a message signature over its bytes, or an envelope around a statement that names its digest. The second is
//! an attestation: it counts only where its predicate type is asked for, and never as a signature. Large files are hashed in pieces
//! ([`Hasher`](trustctl_core::hashes::Hasher)); only Ed25519, which signs whole messages, needs the bytes. Cosign's older JSON form is read
//! as a bundle too ([`as_bundle`]).

mod old;

use trustctl_core::claim::Principal;
use trustctl_core::digest::Digest;
use trustctl_core::hashes::Hashes;
use trustctl_core::policy::NamePattern;
use trustctl_core::public_key::{Hash, KeyKind, PublicKey, SignatureScheme};
use trustctl_core::reason::Code;
use trustctl_core::signer::Signer;
use trustctl_core::time::Timestamp;

use crate::bundle::{Bundle, Content, Material, MessageSignature};
use crate::dsse::IN_TOTO;
use crate::keyless::authority::Authority;
use crate::keyless::{About, By, Fault, Instance, Proof, Question};
use crate::keys::{has_signed, has_signed_hashed, schemes};
use crate::make::MakeError;
use crate::statement::Statement;

pub use old::as_bundle;

/// Every hash by which the content of some bundle can be bound to a file.
pub const HASHES: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

/// What is demanded of a bundle about a file.
#[derive(Clone, Copy)]
pub struct Demand<'a> {
    /// Who must have signed.
    pub by: Who<'a>,
    /// Whether a proven log entry is demanded.
    pub log: bool,
    /// The predicate type of the attestation that is asked for; `None` for a signature.
    pub predicate_type: Option<&'a str>,
}

/// Who must have signed.
#[derive(Clone, Copy)]
pub enum Who<'a> {
    /// Whoever has a certificate of this authority, for a name that it lets count, and by such an issuer.
    Authority(&'a Authority, &'a NamePattern),
    /// Somebody whom a Sigstore instance vouches for.
    Identity {
        /// The subject alternative name.
        identity: &'a NamePattern,
        /// The OIDC issuer.
        issuer: &'a NamePattern,
        /// The instance.
        instance: &'a Instance,
    },
    /// The holder of a key, and the instance that judges log entries and timestamps.
    Key(&'a PublicKey, Option<&'a Instance>),
}

/// What a bundle proves of a file.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Who signed.
    pub principal: Principal,
    /// Log entries, times and the certificate.
    pub proof: Proof,
    /// Why log entries or timestamps that came along prove nothing, for a signature by key which does without.
    pub unproven: Option<Fault>,
}

/// Judges a bundle about a file.
///
/// # Errors
/// [`Fault`], by the first thing that is wrong.
pub fn verify(bundle: &[u8], about: About<'_>, demand: Demand<'_>, now: Timestamp) -> Result<Signed, Fault> {
    let parsed = Bundle::parse(bundle).map_err(|error| Fault::malformed(error.to_string()))?;
    check_kind(&parsed.content, demand.predicate_type)?;
    if matches!((&parsed.material, demand.by), (Material::Key { .. }, Who::Authority(..) | Who::Identity { .. })) {
        return Err(Fault::new(Code::CosignWrongIdentity, "it is signed with a key, and not with a certificate"));
    }
    let signed = match demand.by {
        Who::Key(key, instance) => by_key(bundle, &parsed, about, (key, instance), now)?,
        Who::Identity { identity, issuer, instance } => {
            let proof = instance.verify(Question { bundle, about, by: By::Certificate }, now)?;
            named(proof, (identity, issuer), instance.name())?
        }
        Who::Authority(authority, issuer) => {
            let proof = authority.verify(bundle, about, now)?;
            named(proof, (&NamePattern::any(), issuer), Some(authority.name()))?
        }
    };
    match (demand.log && signed.proof.entries.is_empty(), &signed.unproven) {
        (false, _) => Ok(signed),
        (true, Some(fault)) => Err(fault.clone()),
        (true, None) => Err(Fault::new(Code::CosignLogMissing, "there is no log entry, and one is demanded")),
    }
}

/// The hashes by which a key of this kind may have signed a file.
#[must_use]
pub fn hashes(kind: KeyKind) -> Vec<Hash> {
    schemes(kind).iter().filter_map(|scheme| hash_of(*scheme)).collect()
}

/// The bundle over a file, signed by a key in the form that every cosign verifies for such a key: see [`crate::keys`].
///
/// # Errors
/// [`MakeError`]: the key cannot sign a file of which only hashes are known, or its holder failed.
pub fn sign(file: &Hashes, signer: &dyn Signer) -> Result<Vec<u8>, MakeError> {
    let (hash, digest, signature) = signature(file, signer)?;
    Ok(Bundle::build_message(hash, digest, &signature, &signer.public_key().hint()))
}

/// The signature over a file of which only hashes are known, in the form of [`sign`]: the hash that was signed, by its algorithm, and the
/// signature.
///
/// # Errors
/// As [`sign`].
pub fn signature<'h>(file: &'h Hashes, signer: &dyn Signer) -> Result<(Hash, &'h [u8], Vec<u8>), MakeError> {
    let key = signer.public_key();
    let unsupported = || MakeError::KeyUnsupported { kind: key.kind().name() };
    let scheme = *schemes(key.kind()).first().ok_or_else(unsupported)?;
    let hash = hash_of(scheme).ok_or_else(unsupported)?;
    let digest = file.get(hash).ok_or_else(unsupported)?;
    let signature = signer.sign_hash(scheme, digest)?;
    if key.verify_hashed(scheme, file, &signature).is_err() {
        return Err(MakeError::SelfCheck { fingerprint: key.fingerprint() });
    }
    Ok((hash, digest, signature))
}

/// That a bundle is the signature or the attestation that is asked for, by what it says; whether that is true is judged afterwards.
fn check_kind(content: &Content, wanted: Option<&str>) -> Result<(), Fault> {
    match (content, wanted) {
        (Content::Message(_), None) => Ok(()),
        (Content::Message(_), Some(wanted)) => {
            Err(Fault::new(Code::CosignPredicateType, format!("it is a signature, and an attestation {wanted} is asked for")))
        }
        (Content::Envelope(envelope), wanted) => {
            let statement = Statement::parse(&envelope.payload).map_err(|error| Fault::malformed(error.to_string()))?;
            match wanted {
                Some(wanted) if wanted == statement.predicate_type => Ok(()),
                Some(wanted) => {
                    let words = format!("it attests {}, and {wanted} is asked for", statement.predicate_type);
                    Err(Fault::new(Code::CosignPredicateType, words))
                }
                None => {
                    let words = format!("it is an attestation {}, which is no signature", statement.predicate_type);
                    Err(Fault::new(Code::CosignAttestationOnly, words))
                }
            }
        }
    }
}

fn by_key(
    bundle: &[u8],
    parsed: &Bundle,
    about: About<'_>,
    (key, instance): (&PublicKey, Option<&Instance>),
    now: Timestamp,
) -> Result<Signed, Fault> {
    let hint = match &parsed.material {
        Material::Certificate(_) => {
            return Err(Fault::new(Code::CosignWrongKey, "it is signed with a certificate, and not with the key"));
        }
        Material::Key { hint } => hint,
    };
    signed_by(&parsed.content, key, about).map_err(|fault| match fault.code {
        Code::CosignBadSignature if !hint.is_empty() && *hint != key.hint() => Fault::new(
            Code::CosignWrongKey,
            format!("it says that another key signed it (hint {hint}), and the trusted one did not"),
        ),
        _ => fault,
    })?;
    let mut signed = Signed {
        principal: Principal::Key { fingerprint: key.fingerprint() },
        proof: Proof { certificate: None, entries: Vec::new(), times: Vec::new() },
        unproven: None,
    };
    if parsed.log_entries.is_empty() && parsed.timestamps == 0 {
        return Ok(signed);
    }
    let unjudged =
        || Fault::new(Code::CosignLogUnjudged, "there are log entries or timestamps, and no trusted root to judge them");
    let question = Question { bundle, about, by: By::Key(key) };
    match instance.ok_or_else(unjudged).and_then(|instance| instance.verify(question, now)) {
        Ok(proof) => signed.proof = proof,
        Err(fault) => signed.unproven = Some(fault),
    }
    Ok(signed)
}

fn named(proof: Proof, (identity, issuer): (&NamePattern, &NamePattern), instance: Option<&str>) -> Result<Signed, Fault> {
    let Some(certificate) = &proof.certificate else {
        return Err(Fault::new(Code::CosignWrongIdentity, "it is signed with a key, and not with a certificate"));
    };
    if !identity.matches(&certificate.identity) || !issuer.matches(&certificate.issuer) {
        let found = format!("{} (issuer {})", certificate.identity, certificate.issuer);
        let expected = format!("{identity} (issuer {issuer})");
        let words = "it is signed by somebody else than is asked for";
        return Err(Fault::new(Code::CosignWrongIdentity, words).expected_found(expected, found));
    }
    let principal = Principal::Identity {
        identity: certificate.identity.clone(),
        issuer: certificate.issuer.clone(),
        sigstore: instance.map(str::to_owned),
    };
    Ok(Signed { principal, proof, unproven: None })
}

/// That the content of a bundle is signed by `key` and is about a file.
///
/// # Errors
/// [`Fault`] with [`Code::CosignBadSignature`], [`Code::CosignDigestMismatch`] or [`Code::CosignMalformed`].
pub fn signed_by(content: &Content, key: &PublicKey, about: About<'_>) -> Result<(), Fault> {
    let envelope = match content {
        Content::Message(message) => return check_message(message, key, about),
        Content::Envelope(envelope) => envelope,
    };
    if !has_signed(key, &envelope.signed_bytes(), &envelope.signature) {
        return Err(bad_signature());
    }
    if envelope.payload_type != IN_TOTO {
        return Err(Fault::malformed(format!("unsupported payload type \"{}\"", envelope.payload_type)));
    }
    let statement = Statement::parse(&envelope.payload).map_err(|error| Fault::malformed(error.to_string()))?;
    let digest = digest_of(about).ok_or_else(of_another)?;
    match statement.about(&digest) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(of_another()),
        Err(error) => Err(Fault::malformed(error.to_string())),
    }
}

fn check_message(message: &MessageSignature, key: &PublicKey, about: About<'_>) -> Result<(), Fault> {
    let hashes = match about {
        About::Bytes(bytes) => Hashes::of(bytes, &HASHES),
        About::Digest(digest) => Hashes::of_digest(digest),
        About::File { hashes, .. } => hashes.clone(),
    };
    let named = message.digest.as_ref().and_then(|named| Some((named, hashes.get(named.algorithm?)?)));
    if named.is_some_and(|(named, found)| found != named.bytes) {
        return Err(of_another());
    }
    let made = match about {
        About::Bytes(bytes) | About::File { bytes: Some(bytes), .. } => has_signed(key, bytes, &message.signature),
        About::Digest(_) | About::File { .. } => has_signed_hashed(key, &hashes, &message.signature),
    };
    if made { Ok(()) } else { Err(bad_signature()) }
}

/// The SHA-256 digest of what is asked about.
pub(crate) fn digest_of(about: About<'_>) -> Option<Digest> {
    match about {
        About::Bytes(bytes) => Some(Digest::sha256_of(bytes)),
        About::Digest(digest) => Some(*digest),
        About::File { hashes, .. } => hashes.sha256(),
    }
}

fn bad_signature() -> Fault {
    Fault::new(Code::CosignBadSignature, "the signature does not verify with the key")
}

fn of_another() -> Fault {
    Fault::new(Code::CosignDigestMismatch, "it is about another file")
}

fn hash_of(scheme: SignatureScheme) -> Option<Hash> {
    match scheme {
        SignatureScheme::EcdsaDer(hash)
        | SignatureScheme::EcdsaFixed(hash)
        | SignatureScheme::RsaPkcs1(hash)
        | SignatureScheme::RsaPss(hash) => Some(hash),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
