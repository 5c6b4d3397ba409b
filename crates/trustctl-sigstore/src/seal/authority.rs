//! Asking a certificate authority (Fulcio v2) for a certificate, and reading its answer.
//!
//! Source: fulcio `fulcio.proto`, `CreateSigningCertificate` (JSON form): `publicKeyRequest` with a proof of possession, which is a
//! signature over the identity that the token names.

use std::fmt;

use der::{Decode as _, Encode as _};
use serde::{Deserialize, Serialize};
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::Code;
use trustctl_core::signer::Signer;
use trustctl_core::time::Timestamp;
use x509_cert::Certificate as X509;

use crate::format::{Bounded, Text, encode, json, read};
use crate::keyless::Fault;
use crate::keyless::certificate::Certificate;
use crate::make::{MakeError, checked_signature};

/// Most certificates of a chain; the public one has three.
pub(super) const MAX_CHAIN: usize = 8;
/// Largest answer that is read, in bytes; real ones have about 5,000.
const MAX_ANSWER: usize = 128 * 1024;
const WHAT: &str = "the certificate authority's answer";

/// A certificate and those above it, as an authority issued them.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    /// DER, leaf first; never empty.
    leaf: Vec<u8>,
    above: Vec<Vec<u8>>,
    until: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    public_key_request: KeyRequest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyRequest {
    public_key: Key,
    proof_of_possession: String,
}

#[derive(Serialize)]
struct Key {
    algorithm: &'static str,
    content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    signed_certificate_embedded_sct: Option<Issued<'a>>,
}

#[derive(Deserialize)]
struct Issued<'a> {
    #[serde(borrow)]
    chain: ChainForm<'a>,
}

#[derive(Deserialize)]
struct ChainForm<'a> {
    #[serde(borrow)]
    certificates: Bounded<Text<'a>, MAX_CHAIN>,
}

/// The body of a request for a certificate for an ECDSA key, whose holder shows that it holds it by signing `identity`: the address in the
/// token, or its subject where it has none.
///
/// # Errors
/// [`MakeError`] when the signer fails.
pub fn request(signer: &dyn Signer, identity: &str) -> Result<Vec<u8>, MakeError> {
    let proof = checked_signature(signer, identity.as_bytes())?;
    let public_key = Key { algorithm: "ECDSA", content: signer.public_key().to_pem() };
    let request = Request { public_key_request: KeyRequest { public_key, proof_of_possession: encode(&proof) } };
    Ok(json(&request).into_bytes())
}

impl Chain {
    /// Reads the answer to [`request`]: a certificate with embedded timestamps, for `key`.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::CosignMalformed`] for what is no such answer, [`Code::CosignCertificateUnlogged`] for a certificate without
    /// embedded timestamps, [`Code::NotOurs`] for one of another key.
    pub fn parse(answer: &[u8], key: &PublicKey) -> Result<Self, Fault> {
        if answer.len() > MAX_ANSWER {
            return Err(Fault::malformed("the certificate authority's answer is larger than 128 KiB"));
        }
        let form: Answer<'_> = read(answer, WHAT).map_err(|error| Fault::malformed(error.to_string()))?;
        let Some(issued) = form.signed_certificate_embedded_sct else {
            let words = "the authority issued no certificate with an embedded signed certificate timestamp";
            return Err(Fault::new(Code::CosignCertificateUnlogged, words));
        };
        let mut ders =
            issued.chain.certificates.0.iter().map(|text| block(text.as_str())).collect::<Result<Vec<_>, _>>()?.into_iter();
        let leaf = ders.next().ok_or_else(|| Fault::malformed("the authority issued an empty chain"))?;
        Self::of_der(leaf, ders.collect(), key)
    }

    pub(super) fn of_der(leaf: Vec<u8>, above: Vec<Vec<u8>>, key: &PublicKey) -> Result<Self, Fault> {
        let malformed = |error: der::Error| Fault::malformed(format!("the certificate: {error}"));
        let certificate = X509::from_der(&leaf).map_err(malformed)?.tbs_certificate;
        if certificate.subject_public_key_info.to_der().map_err(malformed)? != key.spki_der() {
            return Err(Fault::new(Code::NotOurs, "the authority issued a certificate for another key than was asked for"));
        }
        let seconds = i64::try_from(certificate.validity.not_after.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let until = Timestamp::from_unix_seconds(seconds).map_err(|error| Fault::malformed(error.to_string()))?;
        Ok(Self { leaf, above, until })
    }

    /// The certificate itself, DER.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    /// The end of its validity.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// Whom it names. Nothing about it is proven until the finished bundle was judged.
    ///
    /// # Errors
    /// As [`Certificate::from_der`].
    pub fn names(&self) -> Result<Certificate, Fault> {
        Certificate::from_der(&self.leaf)
    }

    /// The certificates, DER, leaf first.
    pub(super) fn ders(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.leaf.as_slice()).chain(self.above.iter().map(Vec::as_slice))
    }

    /// The certificate, PEM.
    pub(super) fn leaf_pem(&self) -> String {
        pem_of(&self.leaf)
    }

    /// The certificates above it, PEM.
    pub(super) fn above_pem(&self) -> String {
        self.above.iter().map(|der| pem_of(der)).collect()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("until", &self.until).finish_non_exhaustive()
    }
}

/// The one certificate in a PEM text.
fn block(text: &str) -> Result<Vec<u8>, Fault> {
    let blocks = pem::parse_many(text).map_err(|error| Fault::malformed(format!("the certificate: {error}")))?;
    match <[pem::Pem; 1]>::try_from(blocks) {
        Ok([block]) if block.tag() == "CERTIFICATE" => Ok(block.into_contents()),
        _ => Err(Fault::malformed("there must be exactly one certificate in each element of the chain")),
    }
}

fn pem_of(der: &[u8]) -> String {
    let block = pem::Pem::new("CERTIFICATE", der);
    pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}
