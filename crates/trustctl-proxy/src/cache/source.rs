//! Blobs from a registry.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use trustctl_core::digest::Digest;
use trustctl_core::reason::Reason;
use trustctl_core::reference::Repository;
use trustctl_remote::limits::Deadline;
use trustctl_remote::registry::Registry;

use super::{BlobSource, Incoming};

/// A blob of a registry's repository, fetched with the registry's session and so with its credentials.
#[derive(Clone, Debug)]
pub struct RegistryBlob {
    /// The registry.
    pub registry: Registry,
    /// The repository.
    pub repository: Repository,
    /// The blob.
    pub digest: Digest,
    /// The time for the head of an answer, tries and pauses included.
    pub patience: Duration,
}

impl BlobSource for RegistryBlob {
    fn open<'a>(&'a self, offset: u64) -> BoxFuture<'a, Result<Option<Incoming>, Reason>> {
        async move {
            let deadline = Deadline::after(self.patience);
            let opened = self.registry.open_blob(&self.repository, &self.digest, offset, deadline).await?;
            Ok(opened.map(|blob| Incoming {
                total: blob.total(),
                chunks: stream::unfold(Some(blob), |blob| async {
                    let mut blob = blob?;
                    match blob.chunk().await {
                        Ok(Some(chunk)) => Some((Ok(chunk), Some(blob))),
                        Ok(None) => None,
                        Err(error) => Some((Err(error.into()), None)),
                    }
                })
                .boxed(),
            }))
        }
        .boxed()
    }
}
