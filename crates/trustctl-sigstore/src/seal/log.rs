//! Asking a transparency log for an entry, and reading its answer.
//!
//! Source: rekor `openapi.yaml` with the types `hashedrekord` 0.0.1 and `dsse` 0.0.1; rekor-tiles `rekor_service.proto`, message
//! `HashedRekordRequestV002`, whose answer is a `TransparencyLogEntry`. Rekor v2 takes an envelope as the hash of what is signed of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trustctl_core::digest::Digest;
use trustctl_core::public_key::KeyKind;
use trustctl_core::reason::Code;

use super::{Content, Signed};
use crate::format::{Bounded, FormatError, Integer, RawObject, Text, decode, encode, go_json, json, part, read};
use crate::keyless::Fault;
use crate::limits::MAX_SIGNATURES;
use crate::signing_config::LogApi;

/// Largest answer that is read, in bytes. An entry of a signature has about 10,000.
const MAX_ANSWER: usize = 1024 * 1024;
/// Most hashes of an inclusion proof: a tree of 2^64 leaves has no longer path.
const MAX_HASHES: usize = 64;
const WHAT: &str = "the log's answer";

/// An entry as a log answered it. What it says is proven only when the bundle was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its index over all of the log.
    pub index: i64,
    pub(super) log_id: Vec<u8>,
    pub(super) kind: String,
    pub(super) version: String,
    /// When it was integrated, by the log's word, in seconds since 1970; zero where the log says no time.
    pub integrated: i64,
    pub(super) promise: Option<Vec<u8>>,
    pub(super) proof: Option<Proof>,
    pub(super) body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) index: i64,
    pub(super) root: Vec<u8>,
    pub(super) size: i64,
    pub(super) hashes: Vec<Vec<u8>>,
    pub(super) checkpoint: String,
}

impl Signed {
    /// The body of the request that has a log with this API enter the signature.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::KeyUnsupported`] when that API has no entry for signatures of this kind of key.
    pub fn log_request(&self, api: LogApi) -> Result<Vec<u8>, Fault> {
        let unsupported = |why: &str| {
            let words = format!("a signature by a {} key cannot be logged there: {why}", self.key.kind().name());
            Fault::new(Code::KeyUnsupported, words)
        };
        match (api, &self.content) {
            // cosign wants SHA-256 with these, and Sigstore's algorithms for them have longer hashes.
            (LogApi::V1, _) if matches!(self.key.kind(), KeyKind::EcdsaP384 | KeyKind::EcdsaP521) => {
                Err(unsupported("it is made with SHA-256, and logged ones are judged with the hash of the curve's length"))
            }
            (LogApi::V1, Content::Envelope(envelope)) => Ok(self.dsse(&envelope.to_json())),
            // The log would have to verify over a hash, which plain Ed25519 cannot.
            (LogApi::V1, Content::Message { .. }) if self.key.kind() == KeyKind::Ed25519 => {
                Err(unsupported("Rekor v1 logs the hash of what is signed"))
            }
            (LogApi::V1, Content::Message { digest, signature }) => Ok(self.hashed_rekord(digest, signature)),
            (LogApi::V2, _) if self.key.kind() != KeyKind::EcdsaP256 => {
                Err(unsupported("with Rekor v2 this program signs by ECDSA P-256 alone"))
            }
            (LogApi::V2, Content::Envelope(envelope)) => {
                Ok(self.hashed_rekord_2(&Digest::sha256_of(&envelope.signed_bytes()), &envelope.signature))
            }
            (LogApi::V2, Content::Message { digest, signature }) => Ok(self.hashed_rekord_2(digest, signature)),
        }
    }

    fn dsse(&self, envelope: &str) -> Vec<u8> {
        let verifiers = [encode(self.verifier().as_bytes())];
        let spec = DsseSpec { proposed_content: Proposed { envelope, verifiers } };
        json(&Proposal { api_version: "0.0.1", kind: "dsse", spec }).into_bytes()
    }

    fn hashed_rekord(&self, digest: &Digest, signature: &[u8]) -> Vec<u8> {
        let spec = HashedSpec {
            data: Data { hash: Hash { algorithm: "sha256", value: digest.hex() } },
            signature: SignatureSpec {
                content: encode(signature),
                public_key: Verifier { content: encode(self.verifier().as_bytes()) },
            },
        };
        json(&Proposal { api_version: "0.0.1", kind: "hashedrekord", spec }).into_bytes()
    }

    fn hashed_rekord_2(&self, digest: &Digest, signature: &[u8]) -> Vec<u8> {
        const P256: &str = "PKIX_ECDSA_P256_SHA_256";
        let raw = |bytes: &[u8]| Raw { raw_bytes: encode(bytes) };
        let verifier = match &self.chain {
            Some(chain) => Verifier2 { public_key: None, x509_certificate: Some(raw(chain.leaf())), key_details: P256 },
            None => Verifier2 { public_key: Some(raw(self.key.spki_der())), x509_certificate: None, key_details: P256 },
        };
        let request =
            HashedRequest2 { digest: encode(digest.as_bytes()), signature: Signature2 { content: encode(signature), verifier } };
        json(&Request2 { hashed_rekord_request_v002: request }).into_bytes()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proposal<S: Serialize> {
    api_version: &'static str,
    kind: &'static str,
    spec: S,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DsseSpec<'a> {
    proposed_content: Proposed<'a>,
}

#[derive(Serialize)]
struct Proposed<'a> {
    envelope: &'a str,
    verifiers: [String; 1],
}

#[derive(Serialize)]
struct HashedSpec {
    data: Data,
    signature: SignatureSpec,
}

#[derive(Serialize)]
struct Data {
    hash: Hash,
}

#[derive(Serialize)]
struct Hash {
    algorithm: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignatureSpec {
    content: String,
    public_key: Verifier,
}

#[derive(Serialize)]
struct Verifier {
    content: String,
}

#[derive(Serialize)]
struct Request2 {
    #[serde(rename = "hashedRekordRequestV002")]
    hashed_rekord_request_v002: HashedRequest2,
}

#[derive(Serialize)]
struct HashedRequest2 {
    digest: String,
    signature: Signature2,
}

#[derive(Serialize)]
struct Signature2 {
    content: String,
    verifier: Verifier2,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verifier2 {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate: Option<Raw>,
    key_details: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryForm<'a> {
    #[serde(borrow)]
    body: Text<'a>,
    integrated_time: Integer,
    #[serde(borrow, rename = "logID")]
    log_id: Text<'a>,
    log_index: Integer,
    #[serde(borrow)]
    verification: VerificationForm<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationForm<'a> {
    #[serde(borrow)]
    inclusion_proof: ProofForm<'a>,
    #[serde(borrow)]
    signed_entry_timestamp: Text<'a>,
}

/// Hashes are hexadecimal.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofForm<'a> {
    log_index: Integer,
    #[serde(borrow)]
    root_hash: Text<'a>,
    tree_size: Integer,
    #[serde(borrow)]
    hashes: Bounded<Text<'a>, MAX_HASHES>,
    #[serde(borrow)]
    checkpoint: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BodyForm<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    api_version: Text<'a>,
}

/// The signature in a body: `hashedrekord` has one, `dsse` a list.
#[derive(Deserialize)]
struct SignedBody<'a> {
    #[serde(borrow)]
    spec: SignedSpec<'a>,
}

#[derive(Deserialize)]
struct SignedSpec<'a> {
    #[serde(borrow, default)]
    signature: Option<ContentForm<'a>>,
    #[serde(borrow, default)]
    signatures: Bounded<SignatureForm<'a>, MAX_SIGNATURES>,
}

#[derive(Deserialize)]
struct ContentForm<'a> {
    #[serde(borrow)]
    content: Text<'a>,
}

#[derive(Deserialize)]
struct SignatureForm<'a> {
    #[serde(borrow)]
    signature: Text<'a>,
}

/// Hashes are base64; zeros may be left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryForm2<'a> {
    #[serde(default)]
    log_index: Integer,
    #[serde(borrow)]
    log_id: KeyIdForm<'a>,
    #[serde(borrow)]
    kind_version: KindForm<'a>,
    #[serde(borrow)]
    inclusion_proof: ProofForm2<'a>,
    #[serde(borrow)]
    canonicalized_body: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyIdForm<'a> {
    #[serde(borrow)]
    key_id: Text<'a>,
}

#[derive(Deserialize)]
struct KindForm<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    version: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofForm2<'a> {
    #[serde(default)]
    log_index: Integer,
    #[serde(borrow)]
    root_hash: Text<'a>,
    tree_size: Integer,
    #[serde(borrow, default)]
    hashes: Bounded<Text<'a>, MAX_HASHES>,
    #[serde(borrow)]
    checkpoint: CheckpointForm<'a>,
}

#[derive(Deserialize)]
struct CheckpointForm<'a> {
    #[serde(borrow)]
    envelope: Text<'a>,
}

impl Entry {
    /// Reads what a log with this API answered: to a request, or when asked for an entry that it has already.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::CosignMalformed`] when it is not exactly one entry of the API's form.
    pub fn parse(answer: &[u8], api: LogApi) -> Result<Self, Fault> {
        if answer.len() > MAX_ANSWER {
            return Err(Fault::malformed("the log's answer is larger than 1 MiB"));
        }
        let entry = match api {
            LogApi::V1 => Self::parse_1(answer),
            LogApi::V2 => Self::parse_2(answer),
        };
        entry.map_err(|error| Fault::malformed(error.to_string()))
    }

    fn parse_1(answer: &[u8]) -> Result<Self, FormatError> {
        let by_uuid: RawObject<'_> = read(answer, WHAT)?;
        let raw: &RawValue =
            by_uuid.only().ok_or(FormatError::NotOne { what: "entry in the log's answer", count: by_uuid.len() })?;
        let form: EntryForm<'_> = part(raw, WHAT)?;
        let body = decode(form.body.as_str(), "the body of the log entry")?;
        let kind: BodyForm<'_> = read(&body, "the body of the log entry")?;
        let proof = &form.verification.inclusion_proof;
        Ok(Self {
            index: form.log_index.0,
            log_id: unhex(&form.log_id)?,
            kind: kind.kind.as_str().to_owned(),
            version: kind.api_version.as_str().to_owned(),
            integrated: form.integrated_time.0,
            promise: Some(decode(form.verification.signed_entry_timestamp.as_str(), "the log's promise")?),
            proof: Some(Proof {
                index: proof.log_index.0,
                root: unhex(&proof.root_hash)?,
                size: proof.tree_size.0,
                hashes: proof.hashes.0.iter().map(unhex).collect::<Result<_, _>>()?,
                checkpoint: proof.checkpoint.as_str().to_owned(),
            }),
            body,
        })
    }

    fn parse_2(answer: &[u8]) -> Result<Self, FormatError> {
        let form: EntryForm2<'_> = read(answer, WHAT)?;
        let proof = &form.inclusion_proof;
        let hash = |text: &Text<'_>| decode(text.as_str(), "a hash of the inclusion proof");
        Ok(Self {
            index: form.log_index.0,
            log_id: decode(form.log_id.key_id.as_str(), "the log's key id")?,
            kind: form.kind_version.kind.as_str().to_owned(),
            version: form.kind_version.version.as_str().to_owned(),
            integrated: 0,
            promise: None,
            proof: Some(Proof {
                index: proof.log_index.0,
                root: hash(&proof.root_hash)?,
                size: proof.tree_size.0,
                hashes: proof.hashes.0.iter().map(hash).collect::<Result<_, _>>()?,
                checkpoint: proof.checkpoint.envelope.as_str().to_owned(),
            }),
            body: decode(form.canonicalized_body.as_str(), "the body of the log entry")?,
        })
    }

    /// Whether its body holds this signature: an entry that a log says it has already may be anybody's. Of Rekor v1.
    #[must_use]
    pub fn is_of(&self, signature: &[u8]) -> bool {
        let Ok(SignedBody { spec }) = read::<SignedBody<'_>>(&self.body, "the body of the log entry") else { return false };
        let listed = spec.signatures.0.iter().map(|form| form.signature.as_str());
        let mut all = spec.signature.iter().map(|form| form.content.as_str()).chain(listed);
        all.any(|text| decode(text, "a signature").is_ok_and(|found| found == signature))
    }

    /// The value of the annotation `dev.sigstore.cosign/bundle`; `None` for an entry without a promise.
    pub(super) fn annotation(&self) -> Option<String> {
        #[derive(Serialize)]
        struct Annotation {
            #[serde(rename = "SignedEntryTimestamp")]
            promise: String,
            #[serde(rename = "Payload")]
            payload: Payload,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload {
            body: String,
            integrated_time: i64,
            log_index: i64,
            #[serde(rename = "logID")]
            log_id: String,
        }
        let payload = Payload {
            body: encode(&self.body),
            integrated_time: self.integrated,
            log_index: self.index,
            log_id: hex::encode(&self.log_id),
        };
        self.promise.as_ref().map(|promise| go_json(&Annotation { promise: encode(promise), payload }))
    }
}

fn unhex(text: &Text<'_>) -> Result<Vec<u8>, FormatError> {
    let detail = || FormatError::Json { what: WHAT, detail: "a hash is not hexadecimal".to_owned() };
    hex::decode(text.as_str()).map_err(|_| detail())
}
