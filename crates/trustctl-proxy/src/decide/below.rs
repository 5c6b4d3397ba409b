//! A client asks only for what it has not. Where it has the manifest of an image already, from elsewhere, it asks for the layers at once, and
//! nothing here names them yet: then what the trusted indexes of the repository name is opened.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;
use trustctl_core::digest::Digest;
use trustctl_core::reference::Repository;

use super::flights::Joined;
use super::outage::out_of_time;
use super::{Decider, Decision, Permit, Ruling, Trouble, Why};
use crate::world::World;

/// Most manifests that one search opens; what is left is for the next.
const MAX_OPENED: usize = 64;
/// Manifests that are opened at the same time, so that one that does not come keeps no other waiting.
const AT_ONCE: usize = 4;
/// How long a manifest that its registry does not have is not asked for again.
const ABSENT: Duration = Duration::from_secs(60);
/// How long one that could not be had, or may not be served, is not: longer than clients are told to wait.
const CLOSED: Duration = Duration::from_secs(10);

/// Who asks, by the digest of the credentials, and where.
pub(super) type Asker = (Option<Digest>, Repository);

/// A manifest that an index names and that could not be opened: until when, and what is not known for it.
#[derive(Clone)]
pub(super) struct Closed {
    until: Instant,
    trouble: Option<Trouble>,
}

/// What trusted indexes name and nobody asked for.
struct Below {
    /// To be opened, that of the newest index first.
    children: Vec<Digest>,
    /// Why something that is not opened could not be.
    trouble: Option<Trouble>,
}

impl Decider {
    /// Whether there is something that trusted indexes of `repository` name and that was never opened for who asks.
    #[must_use]
    pub fn has_unopened(&self, world: &World, repository: &Repository) -> bool {
        let below = self.unopened(&(world.caller, repository.clone()));
        !below.children.is_empty() || below.trouble.is_some()
    }

    /// As [`Decider::blob`], after what the trusted indexes of `repository` name was opened.
    ///
    /// Each manifest is decided about as if it had been asked for by its digest; nothing is trusted for being opened.
    ///
    /// # Errors
    /// As for [`Decider::decide`]; [`Trouble::Unknown`] also when nothing names the blob and not all could be opened.
    pub async fn blob_below(
        self: &Arc<Self>,
        world: &World,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Decision, Trouble> {
        let world = &world.within(self.patience());
        let asker = (world.caller, repository.clone());
        // What is full forgets: nothing is opened twice for one question.
        let mut tried = HashSet::new();
        loop {
            let decision = self.blob(world, repository, digest).await?;
            let is_image = matches!(&decision, Decision::Pass(Permit { why, .. }) if !matches!(why, Why::Evidence));
            let mut below = self.unopened(&asker);
            below.children.retain(|child| !tried.contains(child));
            below.children.truncate(MAX_OPENED);
            if is_image || below.children.is_empty() || world.is_late() {
                let late = || Trouble::from(out_of_time(repository, &format!("what names {digest}")));
                let trouble = below.trouble.or_else(|| (!below.children.is_empty()).then(late));
                return match (decision, trouble) {
                    (Decision::Unreached(_), Some(trouble)) => Err(trouble),
                    (decision, _) => Ok(decision),
                };
            }
            let begin = || self.clone().open_all(world.clone(), asker.clone(), below.children.clone());
            let search = self.below.join(asker.clone(), begin);
            // Late, it goes on for others; what was opened in time counts.
            if let Ok(((), Joined::Began)) = world.deadline(self.patience()).limit("the proxy", search).await {
                tried.extend(below.children);
            }
        }
    }

    async fn open_all(self: Arc<Self>, world: World, asker: Asker, children: Vec<Digest>) {
        let opening = children.into_iter().map(|child| self.open_child(&world, &asker, child));
        futures_util::stream::iter(opening).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    /// Opens a manifest that an index names. What comes of it in vain is not tried again for a while.
    async fn open_child(self: &Arc<Self>, world: &World, asker: &Asker, child: Digest) {
        let opened = async {
            let decision = self.by_digest(world, &asker.1, child).await?;
            let Decision::Pass(permit) = decision else { return Ok(false) };
            self.open(world, &asker.1, &permit).await.map(|_| true)
        };
        let (time, trouble) = match opened.await {
            Ok(true) => return,
            Ok(false) => (CLOSED, None),
            Err(Trouble::NotFound) => (ABSENT, None),
            Err(trouble) => (CLOSED, Some(trouble)),
        };
        self.closed.insert((asker.clone(), child), Closed { until: Instant::now() + time, trouble });
    }

    fn unopened(&self, asker: &Asker) -> Below {
        let passes = |ruling: &Arc<Ruling>| match self.decision(ruling.subject.digest, ruling.clone()) {
            Decision::Pass(Permit { why, .. }) => !matches!(why, Why::Evidence),
            Decision::Refuse(_) | Decision::Unreached(_) => false,
        };
        let of_index = |ruling: &Arc<Ruling>| ruling.subject.repository == asker.1 && !ruling.subject.children.is_empty();
        let own = self.outages.iter().filter(|(key, _)| key.0 == asker.0).map(|(_, ruling)| ruling);
        let rulings = self.rulings.iter().map(|(_, ruling)| ruling).chain(own);
        let mut indexes: Vec<_> = rulings.filter(of_index).filter(passes).collect();
        indexes.sort_by_key(|ruling| Reverse(ruling.gathered));
        let (mut seen, now) = (HashSet::new(), Instant::now());
        let mut below = Below { children: Vec::new(), trouble: None };
        for child in indexes.iter().flat_map(|ruling| &ruling.subject.children).map(|child| child.digest) {
            if !seen.insert(child) || self.opened.contains_key(&(asker.1.clone(), child)) {
                continue;
            }
            match self.closed.get(&(asker.clone(), child)).filter(|closed| now < closed.until) {
                Some(closed) => below.trouble = below.trouble.or(closed.trouble),
                None => below.children.push(child),
            }
        }
        below
    }
}
