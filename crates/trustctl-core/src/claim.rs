//! Claims: what a checked piece of evidence says.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::digest::Digest;
use crate::predicate::Predicate;
use crate::reason::Reason;
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
    /// What of the log entries is proven.
    #[serde(rename = "proven_log_entries", skip_serializing_if = "LogFindings::proves_nothing")]
    pub log: LogFindings,
    /// What the certificate says beside identity and issuer, by the names of [`CERTIFICATE_CLAIMS`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub certificate: BTreeMap<String, String>,
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
        /// What it says. Reports leave it out: it may have megabytes.
        #[serde(skip)]
        predicate: Predicate,
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
        /// The Sigstore instance that vouches for both, by its name in the policy; the default one where it has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        sigstore: Option<String>,
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
            Self::Identity { identity, issuer, sigstore: None } => write!(f, "{identity} (issuer {issuer})"),
            Self::Identity { identity, issuer, sigstore: Some(sigstore) } if issuer.is_empty() => {
                write!(f, "{identity} (by {sigstore})")
            }
            Self::Identity { identity, issuer, sigstore: Some(sigstore) } => {
                write!(f, "{identity} (issuer {issuer}, by {sigstore})")
            }
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

/// A transparency log entry that was checked: the log vouches for it, and it is about the signature it came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProvenEntry {
    /// The Sigstore instance whose trusted root names the log; the default one where it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigstore: Option<String>,
    /// The log's key id, hexadecimal.
    pub log_id: String,
    /// Who runs the log, as the trusted root says; the log's key id where it does not say.
    pub operator: String,
    /// The index in the log.
    pub index: u64,
    /// When the log promised to have integrated it; absent where no promise says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrated: Option<Timestamp>,
    /// Whether an inclusion proof was checked, and not only the log's promise.
    pub included: bool,
}

/// What is known of a signature's log entries, for each Sigstore instance that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFindings {
    /// Entries that hold.
    pub proven: Vec<ProvenEntry>,
    /// Why an instance, by its name, proves none.
    pub problems: Vec<(Option<String>, Reason)>,
}

impl LogFindings {
    /// Whether no entry is proven.
    #[must_use]
    pub fn proves_nothing(&self) -> bool {
        self.proven.is_empty()
    }
}

impl Serialize for LogFindings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.proven.serialize(serializer)
    }
}

/// The extensions of a certificate by Fulcio that say something of who signed, `1.3.6.1.4.1.57264.1.N`, and the names under which a
/// policy can demand them. Number 7 is no extension but a kind of subject alternative name. Source: Fulcio, `docs/oid-info.md`.
pub const CERTIFICATE_CLAIMS: [(u32, &str); 23] = [
    (1, "issuer-v1"),
    (2, "github-workflow-trigger"),
    (3, "github-workflow-sha"),
    (4, "github-workflow-name"),
    (5, "github-workflow-repository"),
    (6, "github-workflow-ref"),
    (8, "issuer"),
    (9, "build-signer-uri"),
    (10, "build-signer-digest"),
    (11, "runner-environment"),
    (12, "source-repository-uri"),
    (13, "source-repository-digest"),
    (14, "source-repository-ref"),
    (15, "source-repository-identifier"),
    (16, "source-repository-owner-uri"),
    (17, "source-repository-owner-identifier"),
    (18, "build-config-uri"),
    (19, "build-config-digest"),
    (20, "build-trigger"),
    (21, "run-invocation-uri"),
    (22, "source-repository-visibility-at-signing"),
    (23, "deployment-environment"),
    (24, "token-subject"),
];

/// Where a claim or a problem was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Source {
    /// The form it was stored in: `.sig tag`, `bundle`, `notary`, …
    pub form: String,
    /// The manifest, blob or file.
    pub at: String,
}
