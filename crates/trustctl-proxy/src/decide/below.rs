//! A client asks only for what it has not. Where it has the manifest of an image already, from elsewhere, it asks for the layers at once, and
//! nothing here names them yet: then what the trusted indexes of the repository name is looked at.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trustctl_core::digest::Digest;
use trustctl_core::reference::Repository;

use super::flights::Joined;
use super::outage::out_of_time;
use super::{Decider, Decision, JOINS, Permit, Ruling, Trouble, UNDECIDED, Why};
use crate::world::World;

/// Most indexes of a repository that are looked below, the newest first.
const MAX_INDEXES: usize = 16;
/// Most manifests that are opened for one question; what is left is for the next.
const MAX_OPENED: usize = 64;
/// How long a manifest that its registry does not have is not asked for again.
const ABSENT: Duration = Duration::from_secs(60);

/// Who asks, by the digest of the credentials, and where.
pub(super) type Asker = (Option<Digest>, Repository);

impl Decider {
    /// Opens what the trusted indexes of `repository` name, until more than `known` things name `digest`. Whether they do at the end.
    ///
    /// Of what is opened each manifest may be served; nothing is trusted for being looked at.
    ///
    /// # Errors
    /// [`Trouble::Unknown`] when no more name it and not all was to be had.
    pub(super) async fn look_below(
        self: &Arc<Self>,
        world: &World,
        repository: &Repository,
        (digest, known): (Digest, usize),
    ) -> Result<bool, Trouble> {
        for _ in 0..JOINS {
            let begin = || self.clone().open_below(world.clone(), repository.clone(), (digest, known));
            let (opened, joined) = self.below.join((world.caller, repository.clone()), begin).await;
            if self.parents(repository, &digest).await?.len() > known {
                return Ok(true);
            }
            if joined == Joined::Began {
                return opened.map(|()| false);
            }
            // Others looked for something else, and stopped where they found it.
        }
        Err(out_of_time(repository, &format!("what names {digest}")).into())
    }

    async fn open_below(
        self: Arc<Self>,
        world: World,
        repository: Repository,
        (digest, known): (Digest, usize),
    ) -> Result<(), Trouble> {
        let asker = (world.caller, repository);
        let children = self.unopened(&asker.1);
        let mut unknown = None;
        for child in children.iter().take(MAX_OPENED) {
            if world.is_late() {
                return Err(out_of_time(&asker.1, &format!("what names {digest}")).into());
            }
            match self.open_child(&world, &asker, *child).await {
                Ok(()) if self.parents(&asker.1, &digest).await?.len() > known => return Ok(()),
                Ok(()) | Err(Trouble::NotFound) => {}
                Err(trouble) => unknown = unknown.or(Some(trouble)),
            }
        }
        if children.len() > MAX_OPENED {
            unknown = unknown.or_else(|| Some(out_of_time(&asker.1, &format!("what names {digest}")).into()));
        }
        unknown.map_or(Ok(()), Err)
    }

    /// Opens a manifest that an index names. What came of it in vain is not tried again at once.
    async fn open_child(self: &Arc<Self>, world: &World, asker: &Asker, child: Digest) -> Result<(), Trouble> {
        let key = (asker.clone(), child);
        if let Some((trouble, _)) = self.closed.get(&key).filter(|(_, until)| Instant::now() < *until) {
            return Err(trouble);
        }
        let opened = async {
            if let Decision::Pass(permit) = self.by_digest(world, &asker.1, child).await? {
                self.open(world, &asker.1, &permit).await?;
            }
            Ok(())
        };
        opened.await.inspect_err(|trouble: &Trouble| {
            let time = if *trouble == Trouble::NotFound { ABSENT } else { UNDECIDED };
            self.closed.insert(key, (trouble.clone(), Instant::now() + time));
        })
    }

    /// What the newest trusted indexes name and nobody asked for yet.
    fn unopened(&self, repository: &Repository) -> Vec<Digest> {
        let passes = |ruling: &Arc<Ruling>| match self.decision(ruling.subject.digest, ruling.clone()) {
            Decision::Pass(Permit { why, .. }) => !matches!(why, Why::Evidence),
            Decision::Refuse(_) | Decision::Unreached(_) => false,
        };
        let of_index = |ruling: &Arc<Ruling>| ruling.subject.repository == *repository && !ruling.subject.children.is_empty();
        let mut indexes: Vec<_> = self.rulings.iter().map(|(_, ruling)| ruling).filter(of_index).filter(passes).collect();
        indexes.sort_by_key(|ruling| Reverse(ruling.gathered));
        let mut seen = HashSet::new();
        let children = indexes.iter().take(MAX_INDEXES).flat_map(|ruling| &ruling.subject.children).map(|child| child.digest);
        children.filter(|child| seen.insert(*child) && !self.opened.contains_key(&(repository.clone(), *child))).collect()
    }
}
