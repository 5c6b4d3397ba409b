//! What a client asks for: the request line and headers of the pull surface, read strictly. Pure; no input panics.
//!
//! Source: OCI distribution specification 1.1, "Endpoints". What cannot be meant is refused rather than repaired: an encoded byte in a
//! path, a query parameter that is given twice, two `Host` headers. Each could be read in another way by a program before or behind.

mod query;

use http::header::HOST;
use http::{HeaderMap, Method, StatusCode, Uri};
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, clean};
use trustctl_core::reference::{Tag, is_path};

use query::Query;

/// Longest name of a repository, in bytes: what Docker's grammar allows for host and path together.
const MAX_NAME: usize = 255;
/// Longest `Host` that is read, in bytes: the longest name of the domain name system, a colon and a port.
const MAX_HOST: usize = 253 + 1 + 5;
/// Most tags of a page that are asked for upstream; a larger number means this one, as the specification allows.
pub const MAX_PAGE: usize = 10_000;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The server that the client meant: of an absolute request target, else the `Host` header; with its port, as written.
    pub host: Option<String>,
    /// The registry that the client meant (`?ns=`), as a mirror is told it.
    pub namespace: Option<String>,
    /// Whether only the headers of the answer are wanted.
    pub head: bool,
    /// The call.
    pub call: Call,
}

/// A call of the pull surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `/v2/<name>/blobs/<digest>`
    Blob {
        /// The repository's name, as the client wrote it.
        name: String,
        /// The blob.
        digest: Digest,
    },
    /// `/v2/<name>/manifests/<reference>`
    Manifest {
        /// The repository's name, as the client wrote it.
        name: String,
        /// The manifest.
        reference: ManifestName,
    },
    /// `/v2/`
    Ping,
    /// `/v2/<name>/referrers/<digest>`
    Referrers {
        /// The repository's name, as the client wrote it.
        name: String,
        /// The subject of the referrers.
        digest: Digest,
        /// Only referrers of this type are wanted.
        artifact_type: Option<String>,
    },
    /// `/v2/<name>/tags/list`
    Tags {
        /// The repository's name, as the client wrote it.
        name: String,
        /// At most so many tags; at most [`MAX_PAGE`].
        limit: Option<usize>,
        /// Only tags after this one.
        last: Option<Tag>,
    },
}

/// How a manifest is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestName {
    /// By its digest.
    Digest(Digest),
    /// By a tag.
    Tag(Tag),
}

impl Call {
    /// The repository's name as the client wrote it; none for a ping.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Blob { name, .. } | Self::Manifest { name, .. } | Self::Referrers { name, .. } | Self::Tags { name, .. } => {
                Some(name)
            }
            Self::Ping => None,
        }
    }

    /// A word for logs and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Blob { .. } => "blob",
            Self::Manifest { .. } => "manifest",
            Self::Ping => "ping",
            Self::Referrers { .. } => "referrers",
            Self::Tags { .. } => "tags",
        }
    }
}

/// Why a request is not served, as the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// The status of the answer.
    pub status: StatusCode,
    /// The error code of the specification.
    pub code: &'static str,
    /// What is wrong, in words; cleaned.
    pub message: String,
    /// The reason code, where the fault is one that an operator can change.
    pub reason: Option<Code>,
}

impl Fault {
    /// A fault without a reason code.
    pub fn new(status: StatusCode, code: &'static str, message: impl AsRef<str>) -> Self {
        Self { status, code, message: clean(message.as_ref()), reason: None }
    }

    fn bad(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "this is no path of the pull part of the distribution specification")
    }
}

/// Reads what is asked for.
///
/// # Errors
/// A [`Fault`]: 405 for methods other than GET and HEAD, 404 for paths outside of the pull surface, 400 for what breaks the grammar.
pub fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Ask, Fault> {
    let head = match *method {
        Method::GET => false,
        Method::HEAD => true,
        _ => {
            let message = "this proxy is read-only: push to the registry itself";
            return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message));
        }
    };
    let query = Query::new(uri.query().unwrap_or_default())?;
    Ok(Ask { host: host(uri, headers)?, namespace: query.value("ns")?, head, call: call(uri.path(), &query)? })
}

/// An absolute target overrules the header (RFC 9112, section 3.2.2).
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let bad = || Fault::bad("UNSUPPORTED", "the Host header is malformed, or there are several");
    let mut written = headers.get_all(HOST).iter();
    let (first, second) = (written.next(), written.next());
    if second.is_some() {
        return Err(bad());
    }
    let host = match (uri.authority(), first) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(header)) => header.to_str().map_err(|_| bad())?,
        (None, None) => return Ok(None),
    };
    if is_host(host) { Ok(Some(host.to_owned())) } else { Err(bad()) }
}

/// Whether a text can be the content of a `Host` header.
pub(crate) fn is_host(text: &str) -> bool {
    text.len() <= MAX_HOST && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

/// Names may hold slashes, so a path is read from its end.
fn call(path: &str, query: &Query<'_>) -> Result<Call, Fault> {
    if matches!(path, "/v2" | "/v2/") {
        return Ok(Call::Ping);
    }
    let path = path.strip_prefix("/v2/").ok_or_else(Fault::unknown_path)?;
    if let Some(front) = path.strip_suffix("/tags/list") {
        return Ok(Call::Tags { name: name(front)?, limit: limit(query)?, last: last(query)? });
    }
    let (front, last) = path.rsplit_once('/').ok_or_else(Fault::unknown_path)?;
    let (front, kind) = front.rsplit_once('/').ok_or_else(Fault::unknown_path)?;
    match kind {
        "blobs" => Ok(Call::Blob { name: name(front)?, digest: digest(last)? }),
        "manifests" => Ok(Call::Manifest { name: name(front)?, reference: manifest(last)? }),
        "referrers" => {
            Ok(Call::Referrers { name: name(front)?, digest: digest(last)?, artifact_type: query.value("artifactType")? })
        }
        _ => Err(Fault::unknown_path()),
    }
}

fn name(text: &str) -> Result<String, Fault> {
    if text.len() > MAX_NAME {
        return Err(Fault::bad("NAME_INVALID", "the name of the repository is longer than 255 bytes"));
    }
    if !is_path(text) {
        let message = "the name of a repository is lower-case letters and digits, with single . _ - / between them";
        return Err(Fault::bad("NAME_INVALID", message));
    }
    Ok(text.to_owned())
}

/// Some clients write the colon of a digest as `%3A`, which is the same by RFC 3986; nothing else of a digest can be encoded.
fn digest(text: &str) -> Result<Digest, Fault> {
    let read = match text.get(6..9) {
        Some("%3A" | "%3a") => format!("{}:{}", text.get(..6).unwrap_or_default(), text.get(9..).unwrap_or_default()).parse(),
        _ => text.parse(),
    };
    read.map_err(|error: trustctl_core::digest::DigestError| Fault::bad("DIGEST_INVALID", error.to_string()))
}

fn manifest(text: &str) -> Result<ManifestName, Fault> {
    if text.contains([':', '%']) {
        return digest(text).map(ManifestName::Digest);
    }
    tag(text).map(ManifestName::Tag)
}

fn tag(text: &str) -> Result<Tag, Fault> {
    text.parse().map_err(|error: trustctl_core::reference::ReferenceError| Fault::bad("MANIFEST_INVALID", error.to_string()))
}

fn limit(query: &Query<'_>) -> Result<Option<usize>, Fault> {
    let Some(text) = query.value("n")? else { return Ok(None) };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::bad("UNSUPPORTED", "n is a number of tags"));
    }
    Ok(Some(text.parse().unwrap_or(MAX_PAGE).min(MAX_PAGE)))
}

fn last(query: &Query<'_>) -> Result<Option<Tag>, Fault> {
    query.value("last")?.filter(|last| !last.is_empty()).map(|last| tag(&last)).transpose()
}

#[cfg(test)]
mod tests;
