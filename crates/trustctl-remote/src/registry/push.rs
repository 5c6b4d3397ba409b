//! Sending blobs and manifests, and deleting.

use std::time::Duration;

use bytes::Bytes;
use trustctl_core::digest::Digest;
use trustctl_core::reference::Repository;

use super::{ManifestName, Registry, answer, link};
use crate::error::RemoteError;
use crate::http::{Method, Request, Response, server_words};
use crate::limits::{Deadline, MAX_RETRY_AFTER, TRIES};
use crate::token::Access;

/// Blobs up to this size go along with the request that opens the upload: a registry that takes them there saves a round trip.
const SMALL: usize = 256 * 1024;
/// Blobs up to this size are sent without asking whether they are there: the answer would take as long as they do.
const UNASKED: usize = 64 * 1024;
/// How often the upload of a blob is begun.
const UPLOADS: u32 = 5;
const BLOB: &str = "application/octet-stream";

/// A manifest to send.
#[derive(Clone, Copy, Debug)]
pub struct ManifestPut<'a> {
    /// Under which name.
    pub name: &'a ManifestName,
    /// Its media type.
    pub media_type: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What the registry said to a manifest that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pushed {
    /// The subject by whose list of referrers the registry keeps the manifest (`OCI-Subject`); none where it keeps no such list.
    pub subject: Option<Digest>,
}

impl Registry {
    /// Makes sure that a blob is there. What this client has found or sent before is neither asked for nor sent again.
    ///
    /// # Errors
    /// See [`crate::token::Session::send`]; [`RemoteError::BadAnswer`] for a refusal, or an upload that leads elsewhere.
    pub async fn push_blob(&self, repository: &Repository, bytes: &[u8], deadline: Deadline) -> Result<Digest, RemoteError> {
        let digest = Digest::sha256_of(bytes);
        if self.is_known_blob(repository, &digest)? {
            return Ok(digest);
        }
        let blob = (digest, Bytes::copy_from_slice(bytes));
        let mut tries = 1;
        loop {
            if (tries > 1 || bytes.len() > UNASKED) && self.has_blob(repository, &digest, deadline).await? {
                break;
            }
            match self.upload(repository, &blob, deadline).await {
                // An upload that broke off half-way cannot be continued, but can be begun again. Registries also fail where several
                // send the same blob at once; then it may be there already.
                Err(error @ (RemoteError::BadAnswer { .. } | RemoteError::Unavailable { .. })) if tries < UPLOADS => {
                    let wished = error.retry_after().unwrap_or_default();
                    let pause = wished.max(Duration::from_millis(fastrand::u64(20..60)) * tries);
                    if wished > MAX_RETRY_AFTER || pause >= deadline.remaining() {
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                    tries += 1;
                }
                Ok(()) => break,
                Err(error) => return Err(error),
            }
        }
        self.learn_blob(repository, digest)?;
        Ok(digest)
    }

    async fn has_blob(&self, repository: &Repository, digest: &Digest, deadline: Deadline) -> Result<bool, RemoteError> {
        let head = self.request(Method::HEAD, repository, &format!("blobs/{digest}"))?;
        Ok(self.write(head, repository, deadline).await?.status == 200)
    }

    async fn upload(&self, repository: &Repository, blob: &(Digest, Bytes), deadline: Deadline) -> Result<(), RemoteError> {
        let (digest, bytes) = blob;
        if bytes.len() <= SMALL {
            let open = self.opening(repository, &format!("blobs/uploads/?digest={digest}"), bytes.clone())?;
            let response = self.write(open, repository, deadline).await?;
            match response.status {
                201 => return Ok(()),
                202 => return self.finish_upload(&response, repository, blob, deadline).await,
                // Registries that do not know this form refuse it in several ways.
                _ => {}
            }
        }
        let open = self.opening(repository, "blobs/uploads/", Bytes::new())?;
        let response = self.write(open, repository, deadline).await?;
        if response.status != 202 {
            return Err(answer::unexpected(&response));
        }
        self.finish_upload(&response, repository, blob, deadline).await
    }

    /// Opening an upload twice does no harm: the registry forgets the unused one.
    fn opening(&self, repository: &Repository, path: &str, body: Bytes) -> Result<Request, RemoteError> {
        Ok(Request { repeatable: true, ..self.request(Method::POST, repository, path)?.body(BLOB, body) })
    }

    /// Sends the bytes to where an upload was opened.
    async fn finish_upload(
        &self,
        opened: &Response,
        repository: &Repository,
        (digest, bytes): &(Digest, Bytes),
        deadline: Deadline,
    ) -> Result<(), RemoteError> {
        let location = link::location(opened)?;
        let join = if location.contains('?') { '&' } else { '?' };
        let mut put = self.request(Method::PUT, repository, "")?;
        put.path = format!("{location}{join}digest={}", crate::token::encode(&digest.to_string()));
        // Sent twice to one upload, the bytes would be there twice.
        let put = Request { repeatable: false, ..put.body(BLOB, bytes.clone()) };
        let response = self.write(put, repository, deadline).await?;
        if response.is_success() { Ok(()) } else { Err(answer::unexpected(&response)) }
    }

    /// Sends a manifest; under a tag it replaces what the tag meant.
    ///
    /// # Errors
    /// [`RemoteError::ImmutableTag`] when the tag may not change; [`RemoteError::WrongDigest`] when the registry stored something
    /// else; [`RemoteError::BadAnswer`] for another refusal; see [`crate::token::Session::send`].
    pub async fn push_manifest(
        &self,
        repository: &Repository,
        manifest: ManifestPut<'_>,
        deadline: Deadline,
    ) -> Result<Pushed, RemoteError> {
        self.put_manifest(repository, manifest, TRIES, deadline).await
    }

    /// Sends a manifest like [`Registry::push_manifest`], and tries once: whoever replaces a tag by what follows from its meaning has
    /// to look again before another try.
    ///
    /// # Errors
    /// Those of [`Registry::push_manifest`].
    pub(crate) async fn push_manifest_once(
        &self,
        repository: &Repository,
        manifest: ManifestPut<'_>,
        deadline: Deadline,
    ) -> Result<Pushed, RemoteError> {
        self.put_manifest(repository, manifest, 1, deadline).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: ManifestPut<'_>,
        tries: u32,
        deadline: Deadline,
    ) -> Result<Pushed, RemoteError> {
        let put = self.request(Method::PUT, repository, &format!("manifests/{}", manifest.name))?;
        let put = Request { tries, ..put.body(manifest.media_type, Bytes::copy_from_slice(manifest.bytes)) };
        let response = self.write(put, repository, deadline).await?;
        let host = response.origin.to_string();
        if !response.is_success() {
            let words = server_words(&response.body);
            return Err(match manifest.name {
                ManifestName::Tag(tag) if answer::says_immutable(&response) => RemoteError::ImmutableTag {
                    host,
                    tag: tag.to_string(),
                    detail: format!("it answered {}{words}", response.status),
                },
                _ if response.status == 409 => RemoteError::Conflict { host, detail: words },
                _ => answer::unexpected(&response),
            });
        }
        let stored = response.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        if let Some(stored) = stored.filter(|stored| !stored.matches(manifest.bytes)) {
            let expected = Digest::of(stored.algorithm(), manifest.bytes).to_string();
            return Err(RemoteError::WrongDigest { host, expected, found: stored.to_string() });
        }
        Ok(Pushed { subject: response.header("oci-subject").and_then(|text| text.parse().ok()) })
    }

    /// Deletes a manifest; false when there was none.
    ///
    /// # Errors
    /// [`RemoteError::DeleteRefused`] when the registry does not delete, or not for this user; see [`crate::token::Session::send`].
    pub async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        deadline: Deadline,
    ) -> Result<bool, RemoteError> {
        let request = self.request(Method::DELETE, repository, &format!("manifests/{digest}"))?;
        let sent = self.session().send(request, &Access::delete(repository), deadline).await;
        let response = match sent {
            Err(RemoteError::Denied { host, status, detail }) => {
                return Err(RemoteError::DeleteRefused { host, status, detail });
            }
            answered => answered?,
        };
        match response.status {
            200 | 202 | 204 => Ok(true),
            404 => answer::absent(&response).map(|()| false),
            status => {
                let (host, detail) = (response.origin.to_string(), server_words(&response.body));
                Err(RemoteError::DeleteRefused { host, status, detail })
            }
        }
    }

    async fn write(&self, request: Request, repository: &Repository, deadline: Deadline) -> Result<Response, RemoteError> {
        self.session().send(request, &Access::push(repository), deadline).await
    }
}
