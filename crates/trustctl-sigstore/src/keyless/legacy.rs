//! Signatures under a `.sig` tag and attestations under an `.att` tag, written again as bundles, so that one path judges both.
//!
//! With a log entry it is a bundle 0.1, whose entry needs no inclusion proof; without one a bundle 0.2, which then needs a timestamp.
//! Source: cosign `specs/SIGNATURE_SPEC.md` and `pkg/cosign/bundle`; sigstore protobuf-specs `sigstore_bundle.proto`.

use der::Decode as _;
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;

use super::fault::Fault;
use crate::dsse::Envelope;
use crate::format::{Integer, Text, decode, encode, json, read};
use crate::layout::signatures::SignatureLayer;

/// Most certificates of a chain that are read.
const MAX_CHAIN: usize = 8;

/// The bundle that says the same as the annotations of `layer`, whose signature is `signature`. With a certificate it names that, else
/// a key without a hint.
///
/// # Errors
/// [`Fault`] with [`trustctl_core::reason::Code::CosignMalformed`] when an annotation is not of its form.
pub fn bundle(layer: &SignatureLayer, signature: &[u8]) -> Result<Vec<u8>, Fault> {
    let timestamps = layer.timestamp.as_deref().map(stamps).transpose()?;
    written(
        Parts::of(layer),
        timestamps,
        Content::<()> { message_signature: Some(Message { signature: encode(signature) }), dsse_envelope: None },
    )
}

/// The bundle that says the same as a signature with its certificate and log entry, as cosign 2 keeps them for files.
///
/// # Errors
/// [`Fault`] as for [`bundle`].
pub(crate) fn bundle_of_parts(certificate: Option<&str>, entry: Option<&str>, signature: &[u8]) -> Result<Vec<u8>, Fault> {
    let parts = Parts { certificate, chain: None, log_entry: entry };
    written(parts, None, Content::<()> { message_signature: Some(Message { signature: encode(signature) }), dsse_envelope: None })
}

/// The bundle that says the same as the annotations of `layer`, a layer under an `.att` tag, around its envelope; without the timestamp,
/// which is over other bytes there.
///
/// # Errors
/// [`Fault`] as for [`bundle`].
pub fn bundle_of_envelope(layer: &SignatureLayer, envelope: &Envelope) -> Result<Vec<u8>, Fault> {
    written(Parts::of(layer), None, Content { message_signature: None, dsse_envelope: Some(envelope.written()) })
}

/// What comes along with a signature.
#[derive(Clone, Copy)]
struct Parts<'a> {
    certificate: Option<&'a str>,
    chain: Option<&'a str>,
    log_entry: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(layer: &'a SignatureLayer) -> Self {
        let SignatureLayer { certificate, chain, log_entry, .. } = layer;
        Self { certificate: certificate.as_deref(), chain: chain.as_deref(), log_entry: log_entry.as_deref() }
    }
}

fn written(parts: Parts<'_>, timestamps: Option<Stamps>, content: Content<impl Serialize>) -> Result<Vec<u8>, Fault> {
    let chain = parts.certificate.map(|leaf| certificates(leaf, parts.chain)).transpose()?;
    let entry = parts.log_entry.map(entry).transpose()?;
    let version = if entry.is_some() { "0.1" } else { "0.2" };
    let material = Material {
        public_key: chain.is_none().then_some(Key { hint: "" }),
        x509_certificate_chain: chain.map(|certificates| Chain { certificates }),
        tlog_entries: entry.into_iter().collect(),
        timestamp_verification_data: timestamps,
    };
    let bundle = Written {
        media_type: format!("application/vnd.dev.sigstore.bundle+json;version={version}"),
        verification_material: material,
        content,
    };
    Ok(json(&bundle).into_bytes())
}

/// The leaf, and what lies between it and a root. A root that comes along proves nothing and is left out.
fn certificates(leaf: &str, chain: Option<&str>) -> Result<Vec<Raw>, Fault> {
    let [leaf] =
        blocks(leaf)?.try_into().map_err(|_| Fault::malformed("there must be exactly one certificate in the annotation"))?;
    let mut all = vec![Raw { raw_bytes: encode(&leaf) }];
    for der in chain.map(blocks).transpose()?.unwrap_or_default() {
        let certificate = Certificate::from_der(&der).map_err(|error| Fault::malformed(format!("the chain: {error}")))?;
        let inner = &certificate.tbs_certificate;
        if inner.subject != inner.issuer && der != leaf {
            all.push(Raw { raw_bytes: encode(&der) });
        }
    }
    Ok(all)
}

fn blocks(text: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let blocks = pem::parse_many(text).map_err(|error| Fault::malformed(format!("the certificate: {error}")))?;
    if blocks.len() > MAX_CHAIN || blocks.iter().any(|block| block.tag() != "CERTIFICATE") {
        return Err(Fault::malformed("the annotation holds something else than certificates, or too many"));
    }
    Ok(blocks.into_iter().map(pem::Pem::into_contents).collect())
}

#[derive(Deserialize)]
struct EntryForm<'a> {
    #[serde(borrow, rename = "SignedEntryTimestamp")]
    promise: Text<'a>,
    #[serde(borrow, rename = "Payload")]
    payload: PayloadForm<'a>,
}

#[derive(Deserialize)]
struct PayloadForm<'a> {
    #[serde(borrow)]
    body: Text<'a>,
    #[serde(default, rename = "integratedTime")]
    integrated_time: Integer,
    #[serde(default, rename = "logIndex")]
    log_index: Integer,
    #[serde(borrow, rename = "logID")]
    log_id: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BodyForm<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    api_version: Text<'a>,
}

/// The annotation `dev.sigstore.cosign/bundle`, as an entry of a bundle.
fn entry(annotation: &str) -> Result<Entry, Fault> {
    const WHAT: &str = "the log entry";
    let malformed = |error: crate::format::FormatError| Fault::malformed(error.to_string());
    let EntryForm { promise, payload } = read(annotation.as_bytes(), WHAT).map_err(malformed)?;
    let body = decode(payload.body.as_str(), "the body of the log entry").map_err(malformed)?;
    let kind: BodyForm<'_> = read(&body, "the body of the log entry").map_err(malformed)?;
    let id = hex::decode(payload.log_id.as_str()).map_err(|_| Fault::malformed("the log's key id is not hexadecimal"))?;
    let promise = decode(promise.as_str(), "the log's promise").map_err(malformed)?;
    Ok(Entry {
        log_index: payload.log_index.0.to_string(),
        log_id: LogId { key_id: encode(&id) },
        kind_version: Kind { kind: kind.kind.as_str().to_owned(), version: kind.api_version.as_str().to_owned() },
        integrated_time: payload.integrated_time.0.to_string(),
        inclusion_promise: Promise { signed_entry_timestamp: encode(&promise) },
        canonicalized_body: encode(&body),
    })
}

#[derive(Deserialize)]
struct StampForm<'a> {
    #[serde(borrow, rename = "SignedRFC3161Timestamp")]
    signed: Text<'a>,
}

/// The annotation `dev.sigstore.cosign/rfc3161timestamp`.
fn stamps(annotation: &str) -> Result<Stamps, Fault> {
    let malformed = |error: crate::format::FormatError| Fault::malformed(error.to_string());
    let form: StampForm<'_> = read(annotation.as_bytes(), "the timestamp").map_err(malformed)?;
    let token = decode(form.signed.as_str(), "the timestamp").map_err(malformed)?;
    Ok(Stamps { rfc3161_timestamps: [Stamp { signed_timestamp: encode(&token) }] })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<E: Serialize> {
    media_type: String,
    verification_material: Material,
    #[serde(flatten)]
    content: Content<E>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<E: Serialize> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_signature: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<E>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<Chain>,
    tlog_entries: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<Stamps>,
}

#[derive(Serialize)]
struct Key {
    hint: &'static str,
}

#[derive(Serialize)]
struct Chain {
    certificates: Vec<Raw>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    log_index: String,
    log_id: LogId,
    kind_version: Kind,
    integrated_time: String,
    inclusion_promise: Promise,
    canonicalized_body: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Serialize)]
struct Kind {
    kind: String,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: String,
}

#[derive(Serialize)]
struct Stamps {
    #[serde(rename = "rfc3161Timestamps")]
    rfc3161_timestamps: [Stamp; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stamp {
    signed_timestamp: String,
}

#[derive(Serialize)]
struct Message {
    signature: String,
}
