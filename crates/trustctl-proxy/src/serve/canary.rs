//! The canary: a repository that is refused to everybody, so that whoever gets it has gone round the proxy.

use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_remote::registry;

use super::words::Asked;
use super::{Proxy, Request};
use crate::answer::Answer;
use crate::decide::{Trouble, late};
use crate::request::{Call, ManifestName};

impl Proxy {
    /// The refusal. No policy and no token is looked at.
    ///
    /// A pull that fails only shows that a client is held to the proxy where the registry would have given the image. So what the
    /// registry has under a tag or a digest is found out, and said as the digest that was found.
    pub(super) async fn canary(&self, request: &Request<'_>) -> Answer {
        let repository = &request.place.repository;
        let refused = || Reason::new(Code::ProxyCanary, format!("{repository} is the canary of this proxy: nobody gets it here"));
        let (call, tag, digest, reason) = match &request.ask.call {
            Call::Manifest { reference: ManifestName::Tag(tag), .. } => {
                let reason = match self.parts.decider.pin(&request.world, repository, tag).await {
                    Ok(pinned) => refused().expected_found("to be refused", pinned.digest),
                    Err(trouble) => lost(repository, &trouble),
                };
                ("manifest", Some(tag), None, reason)
            }
            Call::Manifest { reference: ManifestName::Digest(digest), .. } => {
                let reason = match self.canary_has(request, digest).await {
                    Ok(()) => refused().expected_found("to be refused", digest),
                    Err(trouble) => lost(repository, &trouble),
                };
                ("manifest", None, Some(digest), reason)
            }
            Call::Blob { digest, .. } => ("blob", None, Some(digest), refused()),
            Call::Ping | Call::Referrers { .. } | Call::Tags { .. } => ("other", None, None, refused()),
        };
        self.refuse_for(request, Asked { call, tag, digest }, &reason)
    }

    /// Whether the registry has a manifest of this digest.
    async fn canary_has(&self, request: &Request<'_>, digest: &Digest) -> Result<(), Trouble> {
        let (repository, name) = (&request.place.repository, registry::ManifestName::Digest(*digest));
        let deadline = request.world.deadline(self.parts.decider.patience());
        let head = request.world.registry.head_manifest(repository, &name, deadline).await;
        head.map_err(|error| late(error, repository, &format!("whether {digest} is there")))?.ok_or(Trouble::NotFound).map(drop)
    }
}

fn lost(repository: &trustctl_core::reference::Repository, trouble: &Trouble) -> Reason {
    let why = match trouble {
        Trouble::NotFound => "the registry has none of that name".to_owned(),
        Trouble::Unknown(reason) => reason.message.clone(),
    };
    Reason::new(Code::ProxyCanaryLost, format!("{repository} is the canary of this proxy, and cannot be had anywhere: {why}"))
}
