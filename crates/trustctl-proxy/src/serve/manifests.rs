//! Manifests, by tag and by digest.

use trustctl_remote::registry::ManifestName as Remote;

use super::words::{Asked, add_remarks};
use super::{Proxy, Request};
use crate::answer::{Answer, ManifestAnswer};
use crate::decide::{Decision, Trouble, Why, media_type};
use crate::request::ManifestName;

impl Proxy {
    /// The manifest, when it may be served.
    pub(super) async fn manifest(&self, request: &Request<'_>, reference: &ManifestName) -> Answer {
        let (tag, digest) = match reference {
            ManifestName::Digest(digest) => (None, Some(digest)),
            ManifestName::Tag(tag) => (Some(tag), None),
        };
        let asked = Asked { call: "manifest", tag, digest };
        let decided = self.decide(request, reference).await;
        let (permit, is_stale) = match self.announce(request, asked, decided) {
            Ok(permitted) => permitted,
            Err(answer) => return *answer,
        };
        let opened = self.parts.decider.open(&request.world, &request.place.repository, &permit).await;
        let bytes = match opened {
            Ok(bytes) => bytes,
            Err(trouble) => return self.trouble(request, &trouble),
        };
        let make = || ManifestAnswer::new(&permit.digest, &media_type(&bytes), bytes.clone());
        let mut answer = match &permit.why {
            Why::Ruling(ruling) if ruling.subject.digest == permit.digest => ruling.answer.get_or_init(make).answer(),
            _ => make().answer(),
        };
        add_remarks(&mut answer, &permit, (is_stale, &self.parts.places));
        answer
    }

    async fn decide(&self, request: &Request<'_>, reference: &ManifestName) -> Result<(Decision, bool), Trouble> {
        let (decider, repository) = (&self.parts.decider, &request.place.repository);
        match reference {
            ManifestName::Tag(tag) => {
                self.admit(request, &Remote::Tag(tag.clone())).await?;
                decider.by_tag(&request.world, repository, tag).await
            }
            ManifestName::Digest(digest) => {
                self.admit(request, &Remote::Digest(*digest)).await?;
                decider.by_digest(&request.world, repository, *digest).await.map(|decision| (decision, false))
            }
        }
    }
}
