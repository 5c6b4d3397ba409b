//! Entries of Rekor v1: what is proposed, checked as the real log does, and made canonical (Rekor, `pkg/types`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use der::{Decode as _, Encode as _};
use serde_json::{Value, json};
use trustctl_core::public_key::{Hash, PublicKey};
use trustctl_sigstore::dsse::pae;
use x509_cert::certificate::Certificate;

use crate::sigstore::certificate::pem;
use crate::sigstore::keys::{sha256, signs_digest, usual_scheme};
use crate::sigstore::refusal::Refusal;

/// The canonical body of a proposed entry whose signatures are good.
pub(crate) fn canonical(proposed: &Value) -> Result<Bytes, Refusal> {
    let text = |name: &str| proposed.get(name).and_then(Value::as_str).unwrap_or_default();
    let spec = proposed.get("spec").ok_or_else(|| invalid("there is no spec"))?;
    let (kind, version) = (text("kind"), text("apiVersion"));
    let spec = match (kind, version) {
        ("dsse", "0.0.1") => envelope(spec)?,
        ("hashedrekord", "0.0.1") => hashed(spec)?,
        ("intoto", "0.0.2") => in_toto(spec)?,
        _ => return Err(invalid(&format!("entries of kind {kind} {version} are not taken here"))),
    };
    // Members in the order of RFC 8785, here and below.
    Ok(json!({"apiVersion": version, "kind": kind, "spec": spec}).to_string().into())
}

/// A signature over an artifact that the log knows by its hash.
fn hashed(spec: &Value) -> Result<Value, Refusal> {
    let name = text(spec, "/data/hash/algorithm")?;
    let value = text(spec, "/data/hash/value")?;
    let hash = match name {
        "sha256" => Hash::Sha256,
        "sha384" => Hash::Sha384,
        "sha512" => Hash::Sha512,
        other => return Err(invalid(&format!("\"{other}\" is not a hash that is taken"))),
    };
    let digest = hex::decode(value).map_err(|_| invalid("the hash is not hexadecimal"))?;
    let signature = bytes(spec, "/signature/content")?;
    let verifier = Verifier::read(&bytes(spec, "/signature/publicKey/content")?)?;
    if !signs_digest(&verifier.key, hash, &digest, &signature) {
        return Err(invalid("the signature does not verify"));
    }
    Ok(json!({
        "data": {"hash": {"algorithm": name, "value": hex::encode(digest)}},
        "signature": {
            "content": STANDARD.encode(signature),
            "publicKey": {"content": STANDARD.encode(&verifier.pem)},
        },
    }))
}

/// A DSSE envelope, of which only hashes and signatures are kept.
fn envelope(spec: &Value) -> Result<Value, Refusal> {
    let written = text(spec, "/proposedContent/envelope")?;
    let envelope: Value = serde_json::from_str(written).map_err(|_| invalid("the envelope is not JSON"))?;
    let verifiers = list(spec, "/proposedContent/verifiers")?;
    let signatures = list(&envelope, "/signatures")?;
    if signatures.is_empty() || signatures.len() != verifiers.len() {
        return Err(invalid("there must be as many verifiers as signatures, and at least one"));
    }
    let payload = bytes(&envelope, "/payload")?;
    let message = pae(text(&envelope, "/payloadType")?, &payload);
    let mut kept = Vec::new();
    for (signature, verifier) in signatures.iter().zip(verifiers) {
        let verifier = Verifier::read(&bytes(verifier, "")?)?;
        let signature = bytes(signature, "/sig")?;
        verifier.check(&message, &signature)?;
        kept.push(json!({"signature": STANDARD.encode(signature), "verifier": STANDARD.encode(&verifier.pem)}));
    }
    Ok(json!({
        "envelopeHash": hash_of(written.as_bytes()),
        "payloadHash": hash_of(&payload),
        "signatures": kept,
    }))
}

/// The older form for attestations: the envelope's payload and signatures are base64 twice over.
fn in_toto(spec: &Value) -> Result<Value, Refusal> {
    let payload_type = text(spec, "/content/envelope/payloadType")?;
    let payload = twice(spec, "/content/envelope/payload")?;
    let message = pae(payload_type, &payload);
    let signatures = list(spec, "/content/envelope/signatures")?;
    if signatures.is_empty() {
        return Err(invalid("there is no signature"));
    }
    let (mut kept, mut hashed) = (Vec::new(), Vec::new());
    for entry in signatures {
        let verifier = Verifier::read(&bytes(entry, "/publicKey")?)?;
        let signature = twice(entry, "/sig")?;
        verifier.check(&message, &signature)?;
        let signature = STANDARD.encode(signature);
        hashed.push(json!({"publicKey": String::from_utf8_lossy(&verifier.pem), "sig": &signature}));
        kept.push(json!({"publicKey": STANDARD.encode(&verifier.pem), "sig": STANDARD.encode(&signature)}));
    }
    let whole = json!({"payload": STANDARD.encode(&payload), "payloadType": payload_type, "signatures": hashed});
    Ok(json!({"content": {
        "envelope": {"payloadType": payload_type, "signatures": kept},
        "hash": hash_of(whole.to_string().as_bytes()),
        "payloadHash": hash_of(&payload),
    }}))
}

/// With what a signature is checked: a key, or a certificate and its key.
pub(crate) struct Verifier {
    pub(crate) key: PublicKey,
    /// As the log writes it.
    pem: Vec<u8>,
}

impl Verifier {
    /// Reads PEM of a public key or certificate.
    fn read(pem_text: &[u8]) -> Result<Self, Refusal> {
        if let Ok(key) = PublicKey::from_pem(pem_text) {
            return Ok(Self { pem: key.to_pem().into_bytes(), key });
        }
        let block = der::pem::decode_vec(pem_text).ok().filter(|(label, _)| *label == "CERTIFICATE");
        let (_, der) = block.ok_or_else(|| invalid("the verifier is neither a public key nor a certificate in PEM"))?;
        let (key, certificate) = key_of(&der)?;
        Ok(Self { key, pem: pem([&certificate])?.into_bytes() })
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let sha256 = |key: &PublicKey| signs_digest(key, Hash::Sha256, &sha256(message), signature);
        let good = self.key.verify(usual_scheme(self.key.kind()), message, signature).is_ok() || sha256(&self.key);
        if good { Ok(()) } else { Err(invalid("the signature does not verify")) }
    }
}

/// The key in a DER certificate.
pub(crate) fn key_of(certificate: &[u8]) -> Result<(PublicKey, Certificate), Refusal> {
    let unreadable = || invalid("the certificate cannot be read");
    let certificate = Certificate::from_der(certificate).map_err(|_| unreadable())?;
    let spki = certificate.tbs_certificate.subject_public_key_info.to_der().map_err(|_| unreadable())?;
    let key = PublicKey::from_spki_der(&spki).map_err(|_| unreadable())?;
    Ok((key, certificate))
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, Refusal> {
    value.pointer(pointer).and_then(Value::as_str).ok_or_else(|| invalid(&format!("{pointer} is missing")))
}

pub(crate) fn bytes(value: &Value, pointer: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text(value, pointer)?).map_err(|_| invalid(&format!("{pointer} is not base64")))
}

pub(crate) fn invalid(why: &str) -> Refusal {
    Refusal::bad(format!("error processing entry: {why}"))
}

fn twice(value: &Value, pointer: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(bytes(value, pointer)?).map_err(|_| invalid(&format!("{pointer} is not base64 twice over")))
}

fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a Vec<Value>, Refusal> {
    value.pointer(pointer).and_then(Value::as_array).ok_or_else(|| invalid(&format!("{pointer} is missing")))
}

fn hash_of(bytes: &[u8]) -> Value {
    json!({"algorithm": "sha256", "value": hex::encode(sha256(bytes))})
}
