//! What is to be stamped (RFC 3161, section 2.4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use const_oid::db::rfc5912::{ID_SHA_256, ID_SHA_384, ID_SHA_512};
use der::asn1::{Int, ObjectIdentifier, OctetString};
use der::{Decode as _, Sequence};
use serde_json::Value;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extensions;

/// A query that can be answered.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) imprint: Imprint,
    /// Echoed, so that an old answer is not taken for a new one.
    pub(crate) nonce: Option<Int>,
    /// Whether the answer is to bring the certificates.
    pub(crate) certificates: bool,
}

/// The hash of what is stamped.
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub(crate) struct Imprint {
    pub(crate) algorithm: AlgorithmIdentifierOwned,
    pub(crate) hash: OctetString,
}

/// Why a query is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadQuery {
    #[error("the query cannot be read")]
    Form,
    #[error("the imprint is not a SHA-256, SHA-384 or SHA-512 hash")]
    Hash,
    #[error("the policy that is asked for is not the authority's")]
    Policy,
}

#[derive(Debug, Sequence)]
struct Form {
    version: u8,
    imprint: Imprint,
    #[asn1(optional = "true")]
    policy: Option<ObjectIdentifier>,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    #[asn1(default = "no")]
    certificates: bool,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

fn no() -> bool {
    false
}

impl Query {
    pub(crate) fn from_der(bytes: &[u8]) -> Result<Self, BadQuery> {
        let form = Form::from_der(bytes).map_err(|_| BadQuery::Form)?;
        if form.version != 1 || form.extensions.is_some() {
            return Err(BadQuery::Form);
        }
        if form.policy.is_some_and(|policy| policy != POLICY) {
            return Err(BadQuery::Policy);
        }
        Self { imprint: form.imprint, nonce: form.nonce, certificates: form.certificates }.checked()
    }

    /// `{"artifactHash","hashAlgorithm","certificates","nonce"}`, the other form that Sigstore's authority takes.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, BadQuery> {
        let form: Value = serde_json::from_slice(bytes).map_err(|_| BadQuery::Form)?;
        let text = |name: &str| form.get(name).and_then(Value::as_str);
        let oid = match text("hashAlgorithm").unwrap_or("sha256") {
            "sha256" => ID_SHA_256,
            "sha384" => ID_SHA_384,
            "sha512" => ID_SHA_512,
            _ => return Err(BadQuery::Hash),
        };
        let hash = text("artifactHash").and_then(|hash| STANDARD.decode(hash).ok()).ok_or(BadQuery::Form)?;
        let hash = OctetString::new(hash).map_err(|_| BadQuery::Form)?;
        let nonce = form.get("nonce").and_then(Value::as_u64).map(|nonce| [&[0], nonce.to_be_bytes().as_slice()].concat());
        Self {
            imprint: Imprint { algorithm: AlgorithmIdentifierOwned { oid, parameters: None }, hash },
            nonce: nonce.map(|nonce| Int::new(&nonce)).transpose().map_err(|_| BadQuery::Form)?,
            certificates: form.get("certificates").and_then(Value::as_bool).unwrap_or_default(),
        }
        .checked()
    }

    fn checked(self) -> Result<Self, BadQuery> {
        let length = match self.imprint.algorithm.oid {
            ID_SHA_256 => 32,
            ID_SHA_384 => 48,
            ID_SHA_512 => 64,
            _ => return Err(BadQuery::Hash),
        };
        if self.imprint.hash.as_bytes().len() == length { Ok(self) } else { Err(BadQuery::Hash) }
    }
}

/// Sigstore's policy for timestamps.
pub(crate) const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2");
