//! Whether a digest may be served: by itself, or because something trusted of the same repository names it.

use std::sync::Arc;

use bytes::Bytes;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::verdict::VerdictKind;
use trustctl_remote::registry::ManifestName;

use super::{Decider, POLICIES, Ruling, SubjectKey, Trouble, artifact};
use crate::break_glass::Grant;
use crate::store::{Parent, Records};
use crate::world::World;

/// Most things naming a digest that are tried.
const MAX_PARENTS: usize = 8;
/// Most steps from a digest to what is trusted: a layer, its image, the index, and one to spare.
const MAX_STEPS: usize = 3;

/// Leave to serve something.
#[derive(Clone, Debug)]
pub struct Permit {
    /// The digest of what may be served.
    pub digest: Digest,
    /// Why.
    pub why: Why,
}

/// Why something may be served.
#[derive(Clone, Debug)]
pub enum Why {
    /// An operator's word, against this ruling.
    BreakGlass(Arc<Grant>, Arc<Ruling>),
    /// It is no image but a signature or an attestation: evidence that verifiers must be able to read whoever signed it.
    Evidence,
    /// This ruling, about it or about what names it.
    Ruling(Arc<Ruling>),
}

/// Whether something may be served.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It may.
    Pass(Permit),
    /// It may not, by this ruling.
    Refuse(Arc<Ruling>),
    /// Nothing that is trusted names it.
    Unreached(Reason),
}

impl Decision {
    /// Of two refusals the one that says less: while one of several ways to trust is undecided, the answer is not no.
    fn weaker(first: Option<Self>, second: Self) -> Self {
        let is_undecided = |one: &Self| matches!(one, Self::Refuse(ruling) if ruling.verdict == VerdictKind::Undecided);
        match first {
            Some(first) if is_undecided(&first) || !is_undecided(&second) => first,
            _ => second,
        }
    }
}

/// No decision may rest on a policy that was replaced before it was made.
fn changing() -> Trouble {
    Trouble::Unknown(Reason::new(Code::OutOfBudget, "the policy was replaced each time this was decided"))
}

impl Decider {
    /// Whether the manifest that `tag` names may be served, under the policy that is in force at the end.
    ///
    /// # Errors
    /// As for [`Decider::pin`] and [`Decider::decide`].
    pub async fn by_tag(
        self: &Arc<Self>,
        world: &World,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<(Decision, bool), Trouble> {
        let world = &world.within(self.patience());
        let pinned = self.pin(world, repository, tag).await?;
        let key = SubjectKey { repository: repository.clone(), tag: Some(tag.clone()), digest: pinned.digest };
        for _ in 0..POLICIES {
            let policy = self.fingerprint();
            let ruling = self.decide(world, &key).await?;
            let decision = self.decision(pinned.digest, ruling);
            if self.fingerprint() == policy {
                return Ok((decision, pinned.is_stale));
            }
        }
        Err(changing())
    }

    /// Whether the manifest with `digest` may be served in `repository`.
    ///
    /// # Errors
    /// As for [`Decider::decide`].
    pub async fn by_digest(
        self: &Arc<Self>,
        world: &World,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Decision, Trouble> {
        let world = &world.within(self.patience());
        for _ in 0..POLICIES {
            let policy = self.fingerprint();
            let decision = self.manifest_within(world, repository, digest, MAX_STEPS).await?;
            if self.fingerprint() == policy {
                return Ok(decision);
            }
        }
        Err(changing())
    }

    /// Whether the blob with `digest` may be served in `repository`: only what a manifest that may be served names.
    ///
    /// # Errors
    /// As for [`Decider::decide`].
    pub async fn blob(self: &Arc<Self>, world: &World, repository: &Repository, digest: Digest) -> Result<Decision, Trouble> {
        let world = &world.within(self.patience());
        let parents = self.parents(repository, &digest).await?;
        // What an image names is a part of it, whatever else somebody may have attached that names it too.
        let images = parents.iter().filter_map(|parent| if let Parent::Manifest(above) = parent { Some(*above) } else { None });
        let artifacts =
            parents.iter().filter_map(|parent| if let Parent::Artifact(above) = parent { Some(*above) } else { None });
        let (mut refused, mut unknown) = (None, None);
        for above in images.take(MAX_PARENTS).chain(artifacts.take(MAX_PARENTS)) {
            match self.by_digest(world, repository, above).await {
                Ok(Decision::Pass(Permit { why, .. })) => return Ok(Decision::Pass(Permit { digest, why })),
                Ok(other) => refused = Some(Decision::weaker(refused, other)),
                // What names it can no longer be had, or not now; something else may.
                Err(Trouble::NotFound) => {}
                Err(trouble) => unknown = unknown.or(Some(trouble)),
            }
        }
        if let Some(trouble) = unknown {
            return Err(trouble);
        }
        Ok(refused.unwrap_or_else(|| {
            let words = format!("{repository}@{digest} belongs to no image that was found to be trusted here");
            Decision::Unreached(Reason::new(Code::ProxyUnreached, words))
        }))
    }

    async fn manifest_within(
        self: &Arc<Self>,
        world: &World,
        repository: &Repository,
        digest: Digest,
        steps: usize,
    ) -> Result<Decision, Trouble> {
        let (mut refused, mut unknown) = (None, None);
        if !self.is_denied(repository, &digest) {
            let parents = self.parents(repository, &digest).await?;
            let leading = parents.iter().filter(|parent| !matches!(parent, Parent::Artifact(_)));
            for parent in leading.take(MAX_PARENTS) {
                match self.through(world, repository, (digest, parent), steps).await {
                    Ok(Some(Decision::Pass(Permit { why, .. }))) => return Ok(Decision::Pass(Permit { digest, why })),
                    Ok(Some(other)) => refused = Some(Decision::weaker(refused, other)),
                    // What names it can no longer be had, or not now; it may still be trusted by itself.
                    Ok(None) | Err(Trouble::NotFound) => {}
                    Err(trouble) => unknown = unknown.or(Some(trouble)),
                }
            }
        }
        let own = self.decide(world, &SubjectKey { repository: repository.clone(), tag: None, digest }).await?;
        let says_nothing = own.verdict == VerdictKind::Unsigned;
        match (self.decision(digest, own), refused, unknown) {
            (Decision::Refuse(_), _, Some(trouble)) if says_nothing => Err(trouble),
            (Decision::Refuse(_), Some(refused), None) if says_nothing => Ok(refused),
            (decision, ..) => Ok(decision),
        }
    }

    /// The decision about what names the digest.
    async fn through(
        self: &Arc<Self>,
        world: &World,
        repository: &Repository,
        (digest, parent): (Digest, &Parent),
        steps: usize,
    ) -> Result<Option<Decision>, Trouble> {
        match parent {
            Parent::Tag(tag) => {
                let key = SubjectKey { repository: repository.clone(), tag: Some(tag.clone()), digest };
                let ruling = self.decide(world, &key).await?;
                Ok(Some(self.decision(digest, ruling)))
            }
            Parent::Manifest(above) if steps > 0 && *above != digest => {
                let above = Box::pin(self.manifest_within(world, repository, *above, steps - 1)).await?;
                // Evidence leads to blobs, never to images.
                Ok(Some(above).filter(|above| !matches!(above, Decision::Pass(Permit { why: Why::Evidence, .. }))))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn decision(&self, digest: Digest, ruling: Arc<Ruling>) -> Decision {
        let repository = &ruling.subject.repository;
        if ruling.passes() {
            return Decision::Pass(Permit { digest, why: Why::Ruling(ruling) });
        }
        if self.is_denied(repository, &digest) {
            return Decision::Refuse(ruling);
        }
        if ruling.is_evidence {
            return Decision::Pass(Permit { digest, why: Why::Evidence });
        }
        match self.ground.break_glass.grant(repository, &digest, (self.ground.clock)()) {
            Some(grant) => Decision::Pass(Permit { digest, why: Why::BreakGlass(grant, ruling) }),
            None => Decision::Refuse(ruling),
        }
    }

    /// The newest manifest of `repository` that is known to name `digest`.
    ///
    /// # Errors
    /// As the store's.
    pub async fn named_by(&self, repository: &Repository, digest: &Digest) -> Result<Option<Digest>, Trouble> {
        let above = |parent: &Parent| match parent {
            Parent::Manifest(above) | Parent::Artifact(above) => Some(*above),
            Parent::Tag(_) => None,
        };
        Ok(self.parents(repository, digest).await?.iter().find_map(above))
    }

    /// What is known to name a digest in a repository, the newest first.
    pub(super) async fn parents(&self, repository: &Repository, digest: &Digest) -> Result<Arc<Vec<Parent>>, Trouble> {
        let key = (repository.clone(), *digest);
        if let Some(parents) = self.edges.get(&key) {
            return Ok(parents);
        }
        let name = key.clone();
        let found = self.records.look(move |records| records.parents(&name.0, &name.1).map(Some)).await?;
        let parents = Arc::new(found.unwrap_or_default());
        if !parents.is_empty() {
            self.edges.insert(key, parents.clone());
        }
        Ok(parents)
    }

    /// Stores that `parent` names `children`.
    pub(super) async fn connect(&self, repository: &Repository, parent: Parent, children: Vec<Digest>) -> Result<(), Trouble> {
        let name = repository.clone();
        for child in &children {
            self.edges.invalidate(&(repository.clone(), *child));
        }
        let touched = children.clone();
        let edges = Arc::new((name, parent, children));
        let known = edges.clone();
        let is_new = move |records: &dyn Records| records.knows_edges(&known.0, &known.1, &known.2).map(|knows| !knows);
        self.records.change_if(is_new, move |records| records.keep_edges(&edges.0, &edges.1, &edges.2)).await?;
        for child in &touched {
            // Somebody may have read the old list meanwhile.
            self.edges.invalidate(&(repository.clone(), *child));
        }
        Ok(())
    }

    /// The bytes of a manifest that may be served. What they lead to may be asked for afterwards.
    ///
    /// # Errors
    /// As for [`Decider::decide`].
    pub async fn open(&self, world: &World, repository: &Repository, permit: &Permit) -> Result<Bytes, Trouble> {
        let at_hand = match &permit.why {
            Why::Ruling(ruling) | Why::BreakGlass(_, ruling) if ruling.subject.digest == permit.digest => {
                Some(ruling.manifest.clone())
            }
            _ => self.cached(&permit.digest).await?,
        };
        let bytes = match at_hand {
            Some(bytes) => bytes,
            None => self.fetch(world, repository, &ManifestName::Digest(permit.digest)).await?.1,
        };
        let key = (repository.clone(), permit.digest);
        if !self.opened.contains_key(&key) {
            self.connect_content(repository, &permit.digest, &bytes).await?;
            // Whoever has the manifest asks for its content, also when the proxy was killed in between and started again.
            self.records.settle().await?;
            self.opened.insert(key, ());
        }
        Ok(bytes)
    }

    /// Stores what a manifest that may be served leads to: the children of an index, the config and the layers of an image, the
    /// blobs of a signature.
    ///
    /// # Errors
    /// As the store's.
    pub async fn connect_content(&self, repository: &Repository, digest: &Digest, manifest: &Bytes) -> Result<(), Trouble> {
        let content = artifact::content(manifest);
        if content.is_empty() {
            return Ok(());
        }
        if !artifact::is_evidence(manifest) {
            return self.connect(repository, Parent::Manifest(*digest), content).await;
        }
        // Anybody who can push can attach artifacts that name what is an image's already: they must not crowd out the image.
        let mut free = Vec::new();
        for child in content {
            let parents = self.parents(repository, &child).await?;
            let artifacts = parents.iter().filter(|parent| matches!(parent, Parent::Artifact(_))).count();
            if artifacts == parents.len() && artifacts < MAX_PARENTS {
                free.push(child);
            }
        }
        self.connect(repository, Parent::Artifact(*digest), free).await
    }
}
