//! Blobs: streamed from the cache, or from the upstream through the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::StatusCode;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_remote::limits::Deadline;

use super::words::{Asked, add_remarks};
use super::{Proxy, Request};
use crate::answer::{self, Answer, Refusal};
use crate::body::ProxyBody;
use crate::cache::{Blob, BlobSource, CacheError, Incoming, RegistryBlob};
use crate::decide::{Decision, MAX_EVIDENCE_BLOB, Trouble, Why, is_json, late};
use crate::metrics::CacheUse;

/// The time for an upstream to begin sending a blob.
const PATIENCE: Duration = Duration::from_secs(30);

impl Proxy {
    /// The blob, when something that may be served names it.
    pub(super) async fn blob(&self, request: &Request<'_>, digest: &Digest) -> Answer {
        let asked = Asked { call: "blob", tag: None, digest: Some(digest) };
        let decided = self.decide_blob(request, digest).await.map(|decision| (decision, false));
        let (mut permit, is_stale) = match self.announce(request, asked, decided) {
            Ok(permitted) => permitted,
            Err(answer) => return *answer,
        };
        if let Why::Evidence = permit.why {
            let refused = match self.evidence(request, digest).await {
                Ok(answer) => return answer,
                Err(answer) => *answer,
            };
            // Whoever can push can attach an artifact that names the layer of an image as its own.
            match self.decide_below(request, digest).await {
                Ok(Some(Decision::Pass(image))) if !matches!(image.why, Why::Evidence) => permit = image,
                _ => return refused,
            }
        }
        match self.find(request, digest).await {
            Ok(blob) => {
                let body = |range| ProxyBody::streamed(blob.body(range));
                let mut answer = answer::blob(request.headers, request.ask.head, (digest, blob.length()), body);
                add_remarks(&mut answer, &permit, (is_stale, &self.parts.places));
                answer
            }
            Err(error) => self.not_had(request, digest, error),
        }
    }

    async fn decide_blob(&self, request: &Request<'_>, digest: &Digest) -> Result<Decision, Trouble> {
        self.admit_to_blob(request, digest).await?;
        let (world, repository) = (&request.world, &request.place.repository);
        let decision = self.parts.decider.blob(world, repository, *digest).await?;
        if let Decision::Pass(_) = decision {
            return Ok(decision);
        }
        let is_unreached = matches!(decision, Decision::Unreached(_));
        match self.decide_below(request, digest).await {
            Ok(Some(decision)) => return Ok(decision),
            Err(trouble) if is_unreached => return Err(trouble),
            Ok(None) | Err(_) => {}
        }
        if is_unreached && let Ok(_leave) = self.asking.try_acquire() {
            // Only to say it: what cannot be found out changes nothing about the refusal.
            let is_there = world.registry.knows_blob(repository, digest, world.deadline(PATIENCE)).await;
            return if is_there.unwrap_or(true) { Ok(decision) } else { Err(Trouble::NotFound) };
        }
        Ok(decision)
    }

    /// The decision about a blob by what trusted indexes lead to and nobody asked for yet; `None` where there is nothing of that kind.
    /// Only for what its registry has: whoever makes up digests causes one question for each.
    async fn decide_below(&self, request: &Request<'_>, digest: &Digest) -> Result<Option<Decision>, Trouble> {
        let (decider, repository) = (&self.parts.decider, &request.place.repository);
        if !decider.has_unopened(&request.world, repository) {
            return Ok(None);
        }
        let world = request.world.within(decider.patience());
        let deadline = world.deadline(decider.patience());
        let late = |error| Trouble::Unknown(late(error, repository, &format!("whether there is a blob {digest}")));
        let _leave = deadline.limit("the proxy", self.asking.acquire()).await.map_err(late)?;
        if let Ok(false) = world.registry.knows_blob(repository, digest, deadline).await {
            return Err(Trouble::NotFound);
        }
        decider.blob_below(&world, repository, *digest).await.map(Some)
    }

    async fn find(&self, request: &Request<'_>, digest: &Digest) -> Result<Blob, CacheError> {
        let used = |result| self.parts.metrics.cache_used(result);
        if let Some(blob) = self.parts.blobs.find(digest).await? {
            used(CacheUse::Hit);
            return Ok(blob);
        }
        let registry = request.world.registry.clone();
        let source = RegistryBlob { registry, repository: request.place.repository.clone(), digest: *digest, patience: PATIENCE };
        let source = Arc::new(Noted { source, opened: AtomicBool::new(false) });
        let filled = self.parts.blobs.fill(digest, source.clone()).await;
        used(if source.opened.load(Ordering::Relaxed) { CacheUse::Miss } else { CacheUse::Coalesced });
        if let (Err(CacheError::WrongDigest { .. }), Some(upstream)) =
            (&filled, self.parts.metrics.upstream(&request.place.upstream.registry))
        {
            upstream.sent_wrong();
        }
        filled
    }

    /// The blob of a signature or an attestation: read in full before it is served, and served only when it is what it says it is,
    /// so that nothing that can be run passes in its guise.
    async fn evidence(&self, request: &Request<'_>, digest: &Digest) -> Result<Answer, Box<Answer>> {
        if !self.looked_at.contains_key(digest) {
            self.look_at(request, digest).await?;
        }
        Ok(match self.find(request, digest).await {
            Ok(blob) => {
                let body = |range| ProxyBody::streamed(blob.body(range));
                answer::blob(request.headers, request.ask.head, (digest, blob.length()), body)
            }
            Err(error) => self.not_had(request, digest, error),
        })
    }

    /// Fetches such a blob, and puts it in the cache when it is one.
    async fn look_at(&self, request: &Request<'_>, digest: &Digest) -> Result<(), Box<Answer>> {
        let deadline = Deadline::after(PATIENCE);
        let repository = &request.place.repository;
        let leave = deadline.limit("the proxy", self.looking.acquire()).await;
        let late = |error| self.unavailable(request, &late(error, repository, &format!("the blob {digest}")));
        let _leave = leave.map_err(late)?;
        let found = request.world.registry.blob(repository, digest, MAX_EVIDENCE_BLOB, deadline).await;
        let found = found.map_err(late)?;
        let bytes = Bytes::from(found.ok_or_else(|| self.not_had(request, digest, CacheError::NotFound(*digest)))?);
        if !is_json(&bytes) {
            let words = format!("{repository}@{digest} is announced as a signature or an attestation and is none");
            let reason = Reason::new(Code::ProxyUnreached, words);
            return Err(Box::new(answer::denied(&Refusal {
                image: None,
                digest: None,
                reason: &reason,
                rule: None,
                link: &self.link(reason.code),
            })));
        }
        self.parts.blobs.put(digest, bytes).await.map_err(|error| self.not_had(request, digest, error))?;
        self.looked_at.insert(*digest, ());
        Ok(())
    }

    fn not_had(&self, request: &Request<'_>, digest: &Digest, error: CacheError) -> Answer {
        match error {
            CacheError::NotFound(_) => {
                let words = format!("{digest} is not known to its registry");
                answer::error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", &words, None)
            }
            other => self.unavailable(request, &Reason::from(other)),
        }
    }
}

/// A source that notes whether it was opened: it is not where somebody else's transfer is joined.
struct Noted {
    source: RegistryBlob,
    opened: AtomicBool,
}

impl BlobSource for Noted {
    fn open<'a>(&'a self, offset: u64) -> BoxFuture<'a, Result<Option<Incoming>, Reason>> {
        self.opened.store(true, Ordering::Relaxed);
        self.source.open(offset)
    }
}
