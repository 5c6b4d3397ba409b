//! Sending one plan, looking at a tag once more before it is replaced.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin};
use trustctl_core::publish::Put;
use trustctl_core::reason::Reason;
use trustctl_core::reference::{Repository, Tag};

use crate::error::RemoteError;
use crate::http::pause;
use crate::limits::{Deadline, MAX_CONCURRENT, MAX_MANIFEST, RETRY_PAUSE, TRIES};
use crate::referrers::{Descriptor, OCI_INDEX, fallback_tag, with_entry};
use crate::registry::{ManifestName, ManifestPut, Pushed, Registry};

/// What sending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A place had changed since it was read: read and plan again.
    Outrun,
    /// Everything was taken.
    Sent,
}

/// One plan on its way.
pub(super) struct Sending<'a> {
    pub(super) registry: &'a Registry,
    /// What the plan was made from.
    pub(super) current: &'a Evidence,
    pub(super) deadline: Deadline,
    /// From looking at a tag to having replaced it; the slowest. Zero when no tag can have been replaced.
    pub(super) replaced_in: Duration,
    /// Deletions that were tried.
    pub(super) deleted: Vec<Put>,
    pub(super) warnings: Vec<Reason>,
}

/// Repeating a replacement, each time after another look: what was read before a pause may be outdated after it, and sending it
/// then would undo what others wrote meanwhile.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    /// Whether the replacement was made; false, after a pause of at least what the registry asks for, when it is to be tried again.
    async fn done(&mut self, sent: Result<Pushed, RemoteError>, deadline: Deadline) -> Result<bool, RemoteError> {
        self.0 += 1;
        match sent {
            Ok(_) => Ok(true),
            Err(RemoteError::Unavailable { host, detail, retry_after, .. }) => {
                let pause = pause(RETRY_PAUSE.saturating_mul(2), self.0, retry_after);
                let Some(pause) = pause.filter(|pause| self.0 < TRIES && *pause < deadline.remaining()) else {
                    return Err(RemoteError::Unavailable { host, detail, tries: self.0, retry_after });
                };
                tokio::time::sleep(pause).await;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// What a tag meant when it was read; the outer `None` when nobody read it.
type Base<'a> = Option<Option<&'a [u8]>>;

impl Sending<'_> {
    /// Sends blobs first and at once, then everything else in the plan's order.
    pub(super) async fn all(&mut self, puts: &[Put]) -> Result<Outcome, RemoteError> {
        let mut uploads = Vec::new();
        for put in puts {
            if let Put::Blob { repository, bytes } = put {
                uploads.push(self.registry.push_blob(repository, bytes, self.deadline));
            }
        }
        while !uploads.is_empty() {
            let later = uploads.split_off(uploads.len().min(MAX_CONCURRENT));
            try_join_all(uploads).await?;
            uploads = later;
        }
        for put in puts {
            match self.one(put).await {
                Ok(Outcome::Sent) => {}
                Ok(Outcome::Outrun) | Err(RemoteError::Conflict { .. }) => return Ok(Outcome::Outrun),
                Err(error) => return Err(error),
            }
        }
        Ok(Outcome::Sent)
    }

    async fn one(&mut self, put: &Put) -> Result<Outcome, RemoteError> {
        match put {
            Put::Delete { repository, digest } => {
                self.deleted.push(put.clone());
                match self.registry.delete_manifest(repository, digest, self.deadline).await {
                    Err(refused @ RemoteError::DeleteRefused { .. }) => self.warnings.push(refused.reason()),
                    done => drop(done?),
                }
                Ok(Outcome::Sent)
            }
            Put::Referrer { repository, subject, media_type, artifact_type, annotations, bytes } => {
                let entry = Descriptor {
                    media_type: media_type.clone(),
                    digest: Digest::sha256_of(bytes),
                    size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                    artifact_type: artifact_type.clone(),
                    annotations: annotations.clone(),
                };
                self.referrer(repository, subject, &entry, bytes).await
            }
            Put::TaggedManifest { repository, tag, media_type, bytes } => {
                let name = ManifestName::Tag(tag.clone());
                self.replace(repository, tag, ManifestPut { name: &name, media_type, bytes }).await
            }
            // Blobs went first.
            _ => Ok(Outcome::Sent),
        }
    }

    /// Replaces what a tag means, if it still means what the plan was made from.
    async fn replace(&mut self, repository: &Repository, tag: &Tag, put: ManifestPut<'_>) -> Result<Outcome, RemoteError> {
        let mut tries = Tries::default();
        loop {
            let started = Instant::now();
            if let Some(base) = self.base(repository, tag) {
                let now = self.registry.manifest(repository, put.name, MAX_MANIFEST, self.deadline).await?;
                if now.as_ref().map(|manifest| manifest.bytes.as_slice()) != base {
                    return Ok(Outcome::Outrun);
                }
            }
            let sent = self.registry.push_manifest_once(repository, put, self.deadline).await;
            self.may_have_replaced(&sent, started);
            if tries.done(sent, self.deadline).await? {
                return Ok(Outcome::Sent);
            }
        }
    }

    /// Notes how long a replacement took. One without an answer may have been made all the same: then others can undo it as well.
    fn may_have_replaced(&mut self, sent: &Result<Pushed, RemoteError>, started: Instant) {
        if matches!(sent, Ok(_) | Err(RemoteError::Unavailable { .. })) {
            self.replaced_in = self.replaced_in.max(started.elapsed()).max(Duration::from_nanos(1));
        }
    }

    /// Sends a manifest with a subject, and keeps the list under the fallback tag where the registry keeps none itself.
    async fn referrer(
        &mut self,
        repository: &Repository,
        subject: &Digest,
        entry: &Descriptor,
        bytes: &[u8],
    ) -> Result<Outcome, RemoteError> {
        let name = ManifestName::Digest(entry.digest);
        let put = ManifestPut { name: &name, media_type: &entry.media_type, bytes };
        let pushed = self.registry.push_manifest(repository, put, self.deadline).await?;
        if pushed.subject.as_ref() == Some(subject) || self.registry.has_referrers_api(repository, subject, self.deadline).await?
        {
            return Ok(Outcome::Sent);
        }
        let tag = ManifestName::Tag(fallback_tag(subject)?);
        let mut tries = Tries::default();
        loop {
            let started = Instant::now();
            let now = self.registry.manifest(repository, &tag, MAX_MANIFEST, self.deadline).await?;
            let merged = with_entry(now.as_ref().map(|manifest| manifest.bytes.as_slice()), entry);
            let merged =
                merged.map_err(|why| RemoteError::bad_answer(repository.registry(), format!("{tag} is not an index ({why})")))?;
            let Some(index) = merged else { return Ok(Outcome::Sent) };
            let put = ManifestPut { name: &tag, media_type: OCI_INDEX, bytes: &index };
            let sent = self.registry.push_manifest_once(repository, put, self.deadline).await;
            self.may_have_replaced(&sent, started);
            if tries.done(sent, self.deadline).await? {
                return Ok(Outcome::Sent);
            }
        }
    }

    /// What the tag meant when the plan was made; a fallback tag was read as a list of referrers.
    fn base(&self, repository: &Repository, tag: &Tag) -> Base<'_> {
        let meant = |entry| match entry {
            &Entry::Present { ref bytes, origin: Origin::FallbackTag | Origin::Registry } => Some(Some(bytes.as_slice())),
            Entry::Absent => Some(None),
            _ => None,
        };
        let tagged = Locator::TaggedManifest { repository: repository.clone(), tag: tag.clone() };
        if let Some(entry) = self.current.entry(&tagged) {
            return meant(entry);
        }
        let listed = self.current.iter().find(|(locator, _)| {
            matches!(locator, Locator::Referrers { repository: place, digest }
                if place == repository && fallback_tag(digest).is_ok_and(|fallback| fallback == *tag))
        });
        listed.and_then(|(_, entry)| meant(entry))
    }
}
