//! What a name means now, without fetching it.

use reqwest::header::ACCEPT;
use trustctl_core::digest::Digest;
use trustctl_core::reference::Repository;

use super::{ManifestName, Registry, answer, manifest_types};
use crate::error::RemoteError;
use crate::http::{Method, Response};
use crate::limits::{Deadline, MAX_MANIFEST};
use crate::token::Access;

/// What a registry says of a manifest. Its bytes were not seen: good for asking whether something has changed, and for nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The digest.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
    /// The media type.
    pub media_type: String,
}

impl Registry {
    /// What the registry says of a manifest, by HEAD; `None` when it says that there is none.
    ///
    /// Where the answer to a HEAD does not say enough, or is a 404 that could be anybody's, the manifest is fetched: a refusal has a
    /// body only then.
    ///
    /// # Errors
    /// Those of [`Registry::manifest`]; [`RemoteError::WrongDigest`] when another digest is announced than was asked for.
    pub async fn head_manifest(
        &self,
        repository: &Repository,
        name: &ManifestName,
        deadline: Deadline,
    ) -> Result<Option<Head>, RemoteError> {
        let request = self.request(Method::HEAD, repository, &format!("manifests/{name}"))?.header(ACCEPT, manifest_types());
        let response = self.session().send(request, &Access::pull(repository), deadline).await?;
        match (response.status, read(&response)) {
            (200, Some(head)) => match name {
                ManifestName::Digest(asked) if *asked != head.digest => Err(RemoteError::WrongDigest {
                    host: response.origin.to_string(),
                    expected: asked.to_string(),
                    found: head.digest.to_string(),
                }),
                _ => Ok(Some(head)),
            },
            (404, _) if answer::is_introduced(&response) => Ok(None),
            _ => self.head_of_fetched(repository, name, deadline).await,
        }
    }

    /// Whether the registry says that it has a blob, by HEAD. A 404 that could be anybody's is looked at again, by GET.
    ///
    /// # Errors
    /// Those of [`Registry::open_blob`].
    pub async fn knows_blob(&self, repository: &Repository, digest: &Digest, deadline: Deadline) -> Result<bool, RemoteError> {
        let request = self.request(Method::HEAD, repository, &format!("blobs/{digest}"))?;
        let response = self.session().send(request, &Access::pull(repository), deadline).await?;
        match response.status {
            200 => Ok(true),
            404 if answer::is_introduced(&response) => Ok(false),
            _ => Ok(self.open_blob(repository, digest, 0, deadline).await?.is_some()),
        }
    }

    async fn head_of_fetched(
        &self,
        repository: &Repository,
        name: &ManifestName,
        deadline: Deadline,
    ) -> Result<Option<Head>, RemoteError> {
        let Some(manifest) = self.manifest(repository, name, MAX_MANIFEST, deadline).await? else { return Ok(None) };
        let digest = match name {
            ManifestName::Digest(digest) => *digest,
            ManifestName::Tag(_) => Digest::sha256_of(&manifest.bytes),
        };
        let size = u64::try_from(manifest.bytes.len()).unwrap_or(u64::MAX);
        Ok(Some(Head { digest, size, media_type: manifest.media_type.unwrap_or_default() }))
    }
}

fn read(response: &Response) -> Option<Head> {
    Some(Head {
        digest: response.header("docker-content-digest")?.parse().ok()?,
        size: response.header("content-length")?.parse().ok()?,
        media_type: response.media_type()?,
    })
}
