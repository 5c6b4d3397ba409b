//! A registry, by the OCI distribution specification 1.1: what is read from it and what is sent to it.
//!
//! - Every digest is computed from the bytes; headers are only compared with it.
//! - "Does not exist" is believed only in the registry's own form (`answer`): a captive portal's 404 is no answer.
//! - 401 and 403 are denials, 429 and 5xx outages; neither is ever "does not exist".

pub(crate) mod answer;
mod endpoints;
mod head;
mod link;
mod push;
mod source;
mod stream;
mod tags;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::ACCEPT;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Reason;
use trustctl_core::reference::{Reference, Repository, Tag};
use trustctl_core::subject::{INDEX_TYPES, MANIFEST_TYPES, ManifestBytes, Subject};

use crate::error::RemoteError;
use crate::http::origin::Origin;
use crate::http::{Method, Request, Response};
use crate::limits::{Deadline, MAX_MANIFEST};
use crate::token::{Access, Session};
pub use endpoints::Endpoints;
pub use head::Head;
pub(crate) use link::next_page;
pub use push::{ManifestPut, Pushed};
pub use source::Online;
pub use stream::BlobStream;

/// Most repositories of which it is remembered whether the referrers API is there, and most blobs that are remembered to be there; a server
/// that runs for long sees any number.
const MAX_LEARNT: usize = 4096;

/// Registries, spoken to with one session. Cloning is cheap and shares connections, tokens and what was learnt.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    session: Session,
    endpoints: Endpoints,
    learnt: Mutex<Learnt>,
}

/// What answers have shown of the servers, whatever way their names are written.
#[derive(Default)]
struct Learnt {
    /// The blobs that are there, by registry and path.
    blobs: HashSet<(Origin, String, Digest)>,
    /// Whether the referrers API is there, by registry and path.
    referrers_api: HashMap<(Origin, String), bool>,
    /// Whether the newest answer that is surely the registry's had the header by which registries introduce themselves.
    introduced: HashMap<Origin, bool>,
}

/// How a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestName {
    /// By its digest.
    Digest(Digest),
    /// By a tag.
    Tag(Tag),
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

/// A manifest's bytes, which have the digest they were asked or announced by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The media type the registry announced.
    pub media_type: Option<String>,
}

/// An image that was resolved: the subject, and the manifest's bytes for the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The image.
    pub subject: Subject,
    /// The bytes of its manifest or index.
    pub manifest: Vec<u8>,
}

impl Registry {
    /// Registries, spoken to with `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self::at(session, Endpoints::none())
    }

    /// Registries, spoken to with `session`, some of them at `endpoints` of their own.
    #[must_use]
    pub fn at(session: Session, endpoints: Endpoints) -> Self {
        Self(Arc::new(Inner { session, endpoints, learnt: Mutex::default() }))
    }

    /// The same settings and nothing else in common: no connection, no token, nothing learnt.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::at(self.0.session.fresh(), self.0.endpoints.clone())
    }

    /// The session below.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// The image that `reference` names now, in one request. With a digest the tag is kept and not asked for.
    ///
    /// # Errors
    /// The reason: [`trustctl_core::reason::Code::ImageNotFound`], one of [`RemoteError`], or that of a manifest that is none.
    pub async fn resolve(&self, reference: &Reference, deadline: Deadline) -> Result<Resolved, Reason> {
        let name = match (&reference.digest, reference.tag_or_latest()) {
            (None, Some(tag)) => ManifestName::Tag(tag),
            (Some(digest), _) => ManifestName::Digest(*digest),
            (None, None) => return Err(RemoteError::NotFound { what: reference.to_string() }.into()),
        };
        let repository = &reference.repository;
        let found = self.manifest(repository, &name, MAX_MANIFEST, deadline).await?;
        let tag = reference.tag_or_latest();
        let what = || match (&reference.tag, &tag) {
            (None, Some(meant)) => format!("{reference}:{meant}, which is meant where no tag is named,"),
            _ => reference.to_string(),
        };
        let manifest = found.ok_or_else(|| RemoteError::NotFound { what: what() })?;
        let bytes = ManifestBytes { bytes: &manifest.bytes, announced: manifest.media_type.as_deref() };
        let subject = Subject::from_manifest(repository.clone(), tag, bytes)?;
        Ok(Resolved { subject, manifest: manifest.bytes })
    }

    /// A manifest; `None` when the registry says that there is none.
    ///
    /// # Errors
    /// [`RemoteError::WrongDigest`] when the bytes have another digest than asked for or announced; see [`Session::send`].
    pub async fn manifest(
        &self,
        repository: &Repository,
        name: &ManifestName,
        max_bytes: u64,
        deadline: Deadline,
    ) -> Result<Option<Manifest>, RemoteError> {
        let request = self.get(repository, &format!("manifests/{name}"), max_bytes)?.header(ACCEPT, manifest_types());
        let Some(response) = self.read(request, repository, deadline).await? else { return Ok(None) };
        if let ManifestName::Digest(digest) = name {
            check_digest(&response, digest)?;
        }
        check_announced_digest(&response)?;
        Ok(Some(Manifest { media_type: response.media_type(), bytes: response.body.into() }))
    }

    /// A blob; `None` when the registry says that there is none.
    ///
    /// # Errors
    /// [`RemoteError::WrongDigest`] when the bytes have another digest; see [`Session::send`].
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        max_bytes: u64,
        deadline: Deadline,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        let request = self.get(repository, &format!("blobs/{digest}"), max_bytes)?;
        let Some(response) = self.read(request, repository, deadline).await? else { return Ok(None) };
        check_digest(&response, digest)?;
        Ok(Some(response.body.into()))
    }

    /// A request below the repository's path.
    pub(crate) fn request(&self, method: Method, repository: &Repository, path: &str) -> Result<Request, RemoteError> {
        let origin = self.origin(repository)?;
        Ok(Request::new(method, origin, format!("/v2/{}/{path}", repository.path())))
    }

    pub(crate) fn get(&self, repository: &Repository, path: &str, max_bytes: u64) -> Result<Request, RemoteError> {
        Ok(Request { max_bytes, ..self.request(Method::GET, repository, path)? })
    }

    /// The 200 to a reading request; `None` for a 404 in the registry's form.
    async fn read(&self, request: Request, repository: &Repository, deadline: Deadline) -> Result<Option<Response>, RemoteError> {
        let response = self.0.session.send(request, &Access::pull(repository), deadline).await?;
        let is_registrys = response.status == 200 || (response.status == 404 && answer::has_codes(&response.body));
        if is_registrys && !response.redirected {
            let origin = self.origin(repository)?;
            self.learnt().introduced.insert(origin, answer::is_introduced(&response));
        }
        match response.status {
            200 => Ok(Some(response)),
            404 => answer::absent(&response).map(|()| None),
            _ => Err(answer::unexpected(&response)),
        }
    }

    /// The server that is asked for a repository.
    fn origin(&self, repository: &Repository) -> Result<Origin, RemoteError> {
        self.0.endpoints.origin(repository.registry())
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.0.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the registry has the referrers API for a repository, as far as it was asked.
    pub(crate) fn known_referrers_api(&self, repository: &Repository) -> Result<Option<bool>, RemoteError> {
        let place = (self.origin(repository)?, repository.path().to_owned());
        Ok(self.learnt().referrers_api.get(&place).copied())
    }

    pub(crate) fn learn_referrers_api(&self, repository: &Repository, is_there: bool) -> Result<(), RemoteError> {
        let place = (self.origin(repository)?, repository.path().to_owned());
        let mut learnt = self.learnt();
        if learnt.referrers_api.len() >= MAX_LEARNT {
            // That an API is there must not be forgotten: it is why its absence is not believed later.
            learnt.referrers_api.retain(|_, is_there| *is_there);
        }
        if learnt.referrers_api.len() < MAX_LEARNT {
            learnt.referrers_api.insert(place, is_there);
        }
        Ok(())
    }

    /// Whether a blob was found or sent before.
    fn is_known_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, RemoteError> {
        let place = (Origin::of_registry(repository.registry())?, repository.path().to_owned(), *digest);
        Ok(self.learnt().blobs.contains(&place))
    }

    fn learn_blob(&self, repository: &Repository, digest: Digest) -> Result<(), RemoteError> {
        let place = (Origin::of_registry(repository.registry())?, repository.path().to_owned(), digest);
        let mut learnt = self.learnt();
        if learnt.blobs.len() < MAX_LEARNT {
            learnt.blobs.insert(place);
        }
        Ok(())
    }

    /// Whether the registry introduces itself in its answers; `None` before the first.
    pub(crate) fn introduces_itself(&self, repository: &Repository) -> Result<Option<bool>, RemoteError> {
        let origin = self.origin(repository)?;
        Ok(self.learnt().introduced.get(&origin).copied())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("session", &self.0.session).finish_non_exhaustive()
    }
}

/// The media types of all manifests that are read, for `Accept`.
fn manifest_types() -> String {
    [INDEX_TYPES, MANIFEST_TYPES].concat().join(", ")
}

fn check_digest(response: &Response, digest: &Digest) -> Result<(), RemoteError> {
    if digest.matches(&response.body) {
        return Ok(());
    }
    let found = Digest::of(digest.algorithm(), &response.body).to_string();
    Err(RemoteError::WrongDigest { host: response.origin.to_string(), expected: digest.to_string(), found })
}

/// `Docker-Content-Digest` must be the body's. A header that is no digest at all is not looked at: it promises nothing.
fn check_announced_digest(response: &Response) -> Result<(), RemoteError> {
    match response.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok()) {
        Some(announced) => check_digest(response, &announced),
        None => Ok(()),
    }
}
