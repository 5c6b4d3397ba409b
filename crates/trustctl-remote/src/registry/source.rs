//! The network as a source of evidence.

use trustctl_core::evidence::{Entry, Locator, Origin, Refusal, RefusalKind, Want};

use super::{ManifestName, Registry};
use crate::error::RemoteError;
use crate::gather::{Fetching, Source};
use crate::limits::Deadline;

/// Registries and, where one is given, a Notary server.
#[derive(Clone, Copy)]
pub struct Online<'a> {
    /// The registries.
    pub registry: &'a Registry,
    /// Who answers for Notary collections.
    pub notary: Option<&'a dyn Source>,
    /// Until when.
    pub deadline: Deadline,
}

impl Source for Online<'_> {
    fn fetch<'a>(&'a self, want: &'a Want) -> Fetching<'a> {
        match (&want.locator, self.notary) {
            (Locator::Notary { .. }, Some(notary)) => notary.fetch(want),
            _ => Box::pin(async move { self.ask(want).await.unwrap_or_else(|error| Entry::Refused(error.refusal())) }),
        }
    }
}

impl Online<'_> {
    async fn ask(&self, want: &Want) -> Result<Entry, RemoteError> {
        let (registry, deadline, max) = (self.registry, self.deadline, want.max_bytes);
        let by_name = async |repository, name| -> Result<Option<(Vec<u8>, Origin)>, RemoteError> {
            let found = registry.manifest(repository, &name, max, deadline).await?;
            Ok(found.map(|manifest| (manifest.bytes, Origin::Registry)))
        };
        let found = match &want.locator {
            Locator::Manifest { repository, digest } => by_name(repository, ManifestName::Digest(*digest)).await?,
            Locator::TaggedManifest { repository, tag } => by_name(repository, ManifestName::Tag(tag.clone())).await?,
            Locator::Blob { repository, digest } => {
                registry.blob(repository, digest, max, deadline).await?.map(|bytes| (bytes, Origin::Registry))
            }
            Locator::Referrers { repository, digest } => registry.referrers(repository, digest, max, deadline).await?,
            other => {
                let detail = format!("nobody was told where to ask for {other}");
                return Ok(Entry::Refused(Refusal { kind: RefusalKind::Unavailable, detail }));
            }
        };
        Ok(match found {
            Some((bytes, origin)) => Entry::Present { bytes, origin },
            None => Entry::Absent,
        })
    }
}
