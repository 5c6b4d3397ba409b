//! The key that a certificate is asked for, and the proof that the asker has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::{Decode as _, Encode as _};
use serde_json::Value;
use trustctl_core::public_key::{Hash, KeyKind, PublicKey, SignatureScheme};
use x509_cert::request::CertReq;

use crate::sigstore::keys::{scheme_of, usual_scheme};

/// A key whose holder has shown to hold it.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) key: PublicKey,
}

/// Why a key is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotProven {
    #[error("the request holds neither a public key nor a certificate signing request that can be read")]
    NoKey,
    #[error("the signature does not prove possession of the key")]
    BadProof,
}

impl Proven {
    /// Reads the request's key in any of the forms of both API versions, and checks the proof: a signature over `challenge`, or the one
    /// of the certificate signing request.
    pub(crate) fn of(body: &Value, challenge: &str) -> Result<Self, NotProven> {
        if let Some(request) = bytes(body, "/certificateSigningRequest") {
            return Self::of_request(&request);
        }
        let (key, proof) = match body.get("publicKeyRequest") {
            Some(request) => {
                let pem = request.pointer("/publicKey/content").and_then(Value::as_str);
                (pem.map(|pem| pem.as_bytes().to_vec()), bytes(request, "/proofOfPossession"))
            }
            // API v1.
            None => (bytes(body, "/publicKey/content"), bytes(body, "/signedEmailAddress")),
        };
        let key = read_key(&key.ok_or(NotProven::NoKey)?).ok_or(NotProven::NoKey)?;
        let proof = proof.ok_or(NotProven::BadProof)?;
        let schemes = [usual_scheme(key.kind()), fallback_scheme(key.kind())];
        if schemes.iter().any(|scheme| key.verify(*scheme, challenge.as_bytes(), &proof).is_ok()) {
            return Ok(Self { key });
        }
        Err(NotProven::BadProof)
    }

    fn of_request(pem: &[u8]) -> Result<Self, NotProven> {
        let block = der::pem::decode_vec(pem).map_err(|_| NotProven::NoKey)?;
        let request = CertReq::from_der(&block.1).map_err(|_| NotProven::NoKey)?;
        let spki = request.info.public_key.to_der().map_err(|_| NotProven::NoKey)?;
        let key = PublicKey::from_spki_der(&spki).map_err(|_| NotProven::NoKey)?;
        let signed = request.info.to_der().map_err(|_| NotProven::NoKey)?;
        let scheme = scheme_of(request.algorithm.oid).ok_or(NotProven::BadProof)?;
        let signature = request.signature.as_bytes().ok_or(NotProven::BadProof)?;
        key.verify(scheme, &signed, signature).map_err(|_| NotProven::BadProof)?;
        Ok(Self { key })
    }
}

/// PEM from cosign, DER from skopeo.
fn read_key(bytes: &[u8]) -> Option<PublicKey> {
    PublicKey::from_pem(bytes).or_else(|_| PublicKey::from_spki_der(bytes)).ok()
}

/// Older clients hash with SHA-256 whatever the curve.
fn fallback_scheme(kind: KeyKind) -> SignatureScheme {
    match kind {
        KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => SignatureScheme::EcdsaDer(Hash::Sha256),
        other => usual_scheme(other),
    }
}

fn bytes(value: &Value, pointer: &str) -> Option<Vec<u8>> {
    STANDARD.decode(value.pointer(pointer)?.as_str()?).ok()
}
