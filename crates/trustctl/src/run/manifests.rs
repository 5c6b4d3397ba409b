//! Which manifests a publishing command is about: the image, and of an index every image that it names. The bytes of each are looked at
//! first: what an index says of them was written by whoever pushed it.

use trustctl_core::assess::children::{Children, Labels};
use trustctl_core::evidence::Evidence;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::subject::Subject;
use trustctl_remote::gather::{Limits, Supply, collect};

use super::sign::Work;
use crate::failure::Failure;

/// The manifests to sign: the image, and with `recursive` every image that an index names.
///
/// # Errors
/// [`Code::PolicyNestedIndex`] for an index in an index, which no verifier of this program lets through; what is wrong with a child, or
/// why it cannot be read.
pub(super) async fn to_sign(work: &Work<'_>, recursive: bool) -> Result<Vec<Subject>, Failure> {
    let (known, looked) = look(work).await?;
    let unread = looked.unread.into_iter().filter(|_| recursive);
    match looked.refused.into_iter().chain(unread).next() {
        Some(reason) => Err(Failure::new(reason)),
        None => Ok(all(&known, recursive)),
    }
}

/// The manifests to withdraw: the image, and with `recursive` all that an index names; and what stays as it is though it is in there.
///
/// # Errors
/// A [`Failure`] when the time is used up.
pub(super) async fn to_revoke(work: &Work<'_>, recursive: bool) -> Result<(Vec<Subject>, Vec<Reason>), Failure> {
    let (known, looked) = look(work).await?;
    let nested = |reason: &Reason| reason.code == Code::PolicyNestedIndex;
    let inner = looked.refused.into_iter().filter(|reason| recursive && nested(reason)).map(|reason| {
        let step = Step::words("revoke the inner index by its digest too: the images that it names are not revoked by this");
        Reason { next: vec![step], ..reason }
    });
    let nameless = known.children.iter().filter(|child| recursive && !child.is_by_sha256()).map(|child| {
        let words = format!("{} could not be read, and without its SHA-256 it cannot be revoked", child.digest);
        Reason::new(Code::ImageNotFound, words)
    });
    let left = inner.chain(nameless).collect();
    Ok((all(&known, recursive), left))
}

fn all(known: &Subject, recursive: bool) -> Vec<Subject> {
    let children = known.children.iter().filter(|child| recursive && child.is_by_sha256()).map(|child| known.child(child));
    std::iter::once(known.clone()).chain(children).collect()
}

/// The image with its children under the SHA-256 of their bytes, and what these bytes are.
async fn look(work: &Work<'_>) -> Result<(Subject, Children), Failure> {
    let deadline = work.session.deadline()?;
    let source = work.world.until(deadline);
    let supply = Supply { source: &source, limits: Limits::default(), deadline };
    let wants = |have: &Evidence| Children::look(work.subject, have, Labels::Doubted).wants;
    let evidence = collect(&wants, Evidence::new(), supply).await;
    Ok((work.subject.by_sha256(&evidence), Children::look(work.subject, &evidence, Labels::Doubted)))
}
