//! Callers with credentials of their own get what their credentials may read, and nothing that somebody else's brought into the cache.

use tokio::time::Instant;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_remote::registry::ManifestName;

use super::{Proxy, Request};
use crate::decide::{Trouble, late};

impl Proxy {
    /// Makes sure that the caller may read the repository, by asking its registry for `name` as the caller. That is remembered for a
    /// bounded time; that it may not is never remembered.
    ///
    /// # Errors
    /// [`Trouble::NotFound`] and [`Trouble::Unknown`] as the registry answers the caller.
    pub(super) async fn admit(&self, request: &Request<'_>, name: &ManifestName) -> Result<(), Trouble> {
        let Some(caller) = request.world.caller else { return Ok(()) };
        let key = (caller, request.place.repository.clone());
        if self.is_admitted(&key) {
            return Ok(());
        }
        let head =
            request.world.registry.head_manifest(&key.1, name, request.world.deadline(self.parts.decider.patience())).await;
        let reason = |error| late(error, &key.1, &format!("whether {name} may be read"));
        head.map_err(reason)?.ok_or(Trouble::NotFound)?;
        self.admitted.insert(key, Instant::now());
        Ok(())
    }

    /// As [`Proxy::admit`] for a request that names no manifest: the caller must have read the repository a short time ago, or may
    /// read one of the manifests that name the blob now.
    ///
    /// # Errors
    /// As for [`Proxy::admit`].
    pub(super) async fn admit_to_blob(&self, request: &Request<'_>, digest: &Digest) -> Result<(), Trouble> {
        let Some(caller) = request.world.caller else { return Ok(()) };
        if self.is_admitted(&(caller, request.place.repository.clone())) {
            return Ok(());
        }
        match self.parts.decider.named_by(&request.place.repository, digest).await? {
            Some(manifest) => self.admit(request, &ManifestName::Digest(manifest)).await,
            None => {
                Err(Trouble::Unknown(Reason::new(Code::AccessDenied, "nothing that names this blob was read by this caller")))
            }
        }
    }

    fn is_admitted(&self, key: &(Digest, trustctl_core::reference::Repository)) -> bool {
        self.admitted.get(key).is_some_and(|since| since.elapsed() < self.parts.admission)
    }
}
