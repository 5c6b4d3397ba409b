//! Claims: what a checked piece of evidence says.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::time::Timestamp;

/// The trust schemes this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SchemeName {
    /// Cosign: key pairs and, with Sigstore, identities.
    Cosign,
    /// Docker Content Trust (Notary v1).
    Dct,
}

impl fmt::Display for SchemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosign => "cosign",
            Self::Dct => "dct",
        })
    }
}

/// A value that somebody states and nobody has checked. There is no way from here to a [`Claim`] but a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claimed<T>(T);

impl<T> Claimed<T> {
    /// Marks `value` as merely claimed.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for showing it. It decides nothing.
    pub fn peek(&self) -> &T {
        &self.0
    }
}

/// What a piece of evidence proves: that a principal made a statement about a digest.
///
/// Only a scheme makes claims, after the signature and everything that binds it were checked with the anchors given. Whether the
/// principal is one the policy accepts is for [`crate::judge::judge`] to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// The scheme whose rules were checked.
    pub scheme: SchemeName,
    /// What is stated.
    pub statement: Statement,
    /// Who states it.
    pub principal: Principal,
    /// The manifest digest it is stated about.
    pub digest: Digest,
    /// The repository named in the signed bytes (full name, no tag), if one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tag named in the signed bytes, if one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Signed key-value pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// When it was signed, where that is proven by a third party; never the signer's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
    /// Until when the statement is fresh, where the scheme knows freshness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh_until: Option<Timestamp>,
    /// Log entries that come with it, as claimed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_entries: Vec<Claimed<LogEntry>>,
    /// Where it was found.
    pub source: Source,
}

/// What a claim states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
#[non_exhaustive]
pub enum Statement {
    /// Something about the image, of the given predicate type. Never counts as a signature.
    Attestation {
        /// The in-toto predicate type, a URI.
        predicate_type: String,
    },
    /// The signer withdraws the image.
    Revocation {
        /// Why: `compromised`, `superseded` or `mistake`.
        reason: String,
        /// The signer's words.
        message: String,
        /// When, by the signer's own clock.
        #[serde(skip_serializing_if = "Option::is_none")]
        issued: Option<Claimed<Timestamp>>,
    },
    /// The signer signs the image.
    Signature,
}

/// Who makes a claim, as far as the evidence proves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
#[non_exhaustive]
pub enum Principal {
    /// An identity that an issuer vouched for in a certificate.
    Identity {
        /// The subject alternative name.
        identity: String,
        /// The OIDC issuer.
        issuer: String,
    },
    /// The holder of a key.
    Key {
        /// Lower-case hexadecimal SHA-256 of the key's SPKI DER.
        fingerprint: String,
    },
    /// A role of a Notary collection.
    Role {
        /// The role, such as `targets/releases`.
        role: String,
        /// Whether this role is the one Docker's rule picks for the tag (`targets/releases`, then `targets`).
        effective: bool,
        /// Signer roles (`targets/<name>`) that state the same; shown, never deciding.
        signers: Vec<String>,
        /// The keys that signed the role's file, each as in [`Principal::Key`], sorted.
        keys: Vec<String>,
        /// The pinned root key ids that the chain to this role starts from, a pinned CA as [`crate::scheme::authority_id`]; empty
        /// with trust on first use.
        anchored_by: Vec<String>,
    },
}

impl Principal {
    /// Whether both may be one signer: they are the same, or they signed with a key in common.
    ///
    /// A key is often in several roles: `docker trust signer add` puts it into `targets/<name>` and `targets/releases`.
    #[must_use]
    pub fn shares_key_with(&self, other: &Self) -> bool {
        self == other || self.keys().iter().any(|key| other.keys().contains(key))
    }

    /// The fingerprints of the keys that are known to have signed; none for an identity, whose keys are made anew each time.
    fn keys(&self) -> &[String] {
        match self {
            Self::Identity { .. } => &[],
            Self::Key { fingerprint } => std::slice::from_ref(fingerprint),
            Self::Role { keys, .. } => keys,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity { identity, issuer } => write!(f, "{identity} (issuer {issuer})"),
            Self::Key { fingerprint } => write!(f, "key {}", fingerprint.get(..16).unwrap_or(fingerprint)),
            Self::Role { role, .. } => f.write_str(role),
        }
    }
}

/// A transparency log entry, as the evidence tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The log's key id, hexadecimal.
    pub log_id: String,
    /// The index in the log.
    pub index: u64,
    /// Seconds since 1970, when the log says it integrated the entry; 0 when it does not say.
    pub integrated_time: i64,
}

/// Where a claim or a problem was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Source {
    /// The form it was stored in: `.sig tag`, `bundle`, `notary`, …
    pub form: String,
    /// The manifest, blob or file.
    pub at: String,
}
