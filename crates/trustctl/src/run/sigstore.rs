//! Which Sigstore instances vouch for identities and log entries: the one of the run, and those that a policy names.
//!
//! No verification asks anybody for a trusted root. The public-good one is the newer of two: what `anchor update` fetched last, and what
//! this program carries.

use std::path::Path;

use trustctl_core::policy::{Policy, SignerRule};
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::time::Timestamp;
use trustctl_proxy::trust::TrustEnd;
use trustctl_remote::anchors::Pin;
use trustctl_sigstore::keyless::authority::Authority;
use trustctl_sigstore::keyless::{self, Instance, PUBLIC_GOOD_DATE};
use trustctl_sigstore::tuf::{Kept, Target, kept};

use super::anchor::Origin;
use super::{Session, clock, policy};
use crate::cli::{InstanceArgs, VouchingArgs};
use crate::failure::Failure;

/// How old the public-good trusted root may be before every report says so, in days. Its keys and logs change about twice a year.
const OLD: u64 = 90;

/// Where a trusted root comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This program.
    Carried,
    /// The instance's repository.
    Fetched,
}

/// The trusted root of the public-good instance that is used when nothing else is named.
pub(super) struct PublicGood {
    pub(super) trusted_root: Vec<u8>,
    pub(super) source: Source,
    /// When it was released, or verified.
    pub(super) of: Timestamp,
    pub(super) until: Option<Timestamp>,
    /// The version of the repository's newest verified root metadata.
    pub(super) root: Option<u64>,
}

/// What is used of the public-good instance.
///
/// # Errors
/// As the store's, when what was fetched cannot be read.
pub(super) fn public_good(session: &Session) -> Result<PublicGood, Failure> {
    if session.environment.state.is_some() {
        let remembered = session.anchors()?.repository(&Origin::public_good().url)?;
        if let Some(kept) = kept(&remembered).filter(is_newer) {
            return Ok(PublicGood {
                trusted_root: kept.trusted_root.to_vec(),
                source: Source::Fetched,
                of: kept.fetched,
                until: Some(kept.until),
                root: Some(kept.root_version),
            });
        }
    }
    Ok(PublicGood {
        trusted_root: keyless::PUBLIC_GOOD.as_bytes().to_vec(),
        source: Source::Carried,
        of: carried_date(),
        until: None,
        root: None,
    })
}

/// Whether what was fetched of the public-good instance is not older than what this program carries.
pub(super) fn is_newer(kept: &Kept<'_>) -> bool {
    kept.fetched >= carried_date()
}

fn carried_date() -> Timestamp {
    PUBLIC_GOOD_DATE.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Whole days from one time to a later one.
pub(super) fn days(from: Timestamp, to: Timestamp) -> u64 {
    to.since(from).as_secs() / 86_400
}

/// The policy with the trusted root that counts where a signer names no instance: of the one that is `named`, else the public-good one.
///
/// # Errors
/// [`Code::AnchorUnusable`] for a trusted root that cannot be used, [`Code::LocalFile`] for a file that cannot be read, and a 098x or
/// 099x reason for a pinned instance whose trusted root is not here.
pub(super) fn with_trusted_root(session: &Session, policy: Policy, named: Option<&InstanceArgs>) -> Result<Policy, Failure> {
    let file = named.and_then(|named| named.trusted_root.as_deref());
    let other = named.filter(|named| named.trusted_root.is_some() || named.sigstore.is_some());
    let root = match other {
        Some(named) => trusted_root(session, named)?,
        // Nothing is read where nobody is judged by it; who has no signers shows what there is.
        None if policy.signers.is_empty() || matters(&policy) => public_good(session)?.trusted_root,
        None => keyless::PUBLIC_GOOD.as_bytes().to_vec(),
    };
    let policy = policy.with_sigstore(root.into());
    for anchor in policy.sigstores.iter().filter(|anchor| anchor.name.is_some() || file.is_some()) {
        check(anchor, file)?;
    }
    for own in &policy.authorities {
        let unusable = |fault| Failure::new(Reason::new(Code::AnchorUnusable, format!("{}: {fault}", own.name)));
        Authority::new(own).map_err(unusable)?;
    }
    Ok(policy)
}

/// The trusted root that is `named`: in a file, of a pinned instance, else the public-good one.
fn trusted_root(session: &Session, named: &InstanceArgs) -> Result<Vec<u8>, Failure> {
    match (&named.trusted_root, &named.sigstore) {
        (Some(path), _) => policy::read_limited(path).map_err(|error| Failure::file(path, &error)),
        (None, Some(name)) if name != super::anchor::PUBLIC_GOOD => {
            let files = pinned(session, name)?.into_iter();
            Ok(files.filter(|(target, _)| *target == Target::TrustedRoot).map(|(_, bytes)| bytes).next().unwrap_or_default())
        }
        _ => Ok(public_good(session)?.trusted_root),
    }
}

/// The instance that flags name, checked, as an anchor.
///
/// # Errors
/// As [`with_trusted_root`].
pub(super) fn anchor(session: &Session, named: &InstanceArgs) -> Result<SigstoreAnchor, Failure> {
    let trusted_root = trusted_root(session, named)?.into();
    let anchor = SigstoreAnchor { name: None, trusted_root, thresholds: Thresholds::default() };
    check(&anchor, named.trusted_root.as_deref())?;
    Ok(anchor)
}

/// The signing config of the services to ask: in the file that is named, else of the pinned instance, else the public-good one as it was
/// fetched last or as this program carries it.
///
/// # Errors
/// [`Code::ServiceMissing`] for an instance whose services nobody has named; as the store's.
pub(super) fn signing_config(session: &Session, args: &VouchingArgs) -> Result<Vec<u8>, Failure> {
    if let Some(path) = &args.signing_config {
        return policy::read_limited(path).map_err(|error| Failure::file(path, &error));
    }
    let of = |files: Vec<(Target, Vec<u8>)>| {
        let wanted = [Target::SigningConfig, Target::SigningConfigRekorV2];
        wanted.into_iter().find_map(|wanted| files.iter().find(|(target, _)| *target == wanted).map(|(_, bytes)| bytes.clone()))
    };
    if let Some(name) = args.sigstore.as_deref().filter(|name| *name != super::anchor::PUBLIC_GOOD) {
        return of(pinned(session, name)?).ok_or_else(|| {
            let words = format!("the pinned instance {name} came without a signing config, so that its services are not known");
            Failure::new(Reason::new(Code::ServiceMissing, words).step(Step::words("name them: --signing-config FILE")))
        });
    }
    let fetched = match session.environment.state {
        Some(_) => of(session.anchor_files(super::anchor::PUBLIC_GOOD, None)?),
        None => None,
    };
    Ok(fetched.unwrap_or_else(|| trustctl_sigstore::signing_config::PUBLIC_GOOD.as_bytes().to_vec()))
}

/// The instance that judges what services answer, and its anchor.
///
/// # Errors
/// As [`with_trusted_root`].
pub(super) fn for_signing(session: &Session, args: &VouchingArgs) -> Result<(Instance, SigstoreAnchor), Failure> {
    let named = InstanceArgs { trusted_root: args.trusted_root.clone(), sigstore: args.sigstore.clone() };
    let anchor = anchor(session, &named)?;
    let instance = Instance::new(&anchor).map_err(|fault| Failure::new(fault.reason("the trusted root")))?;
    Ok((instance, anchor))
}

/// Whether a signer is judged by the instance that counts where none is named.
fn matters(policy: &Policy) -> bool {
    let brought = policy.authorities.iter().any(|authority| authority.instance.is_none());
    brought
        || policy.signers.values().any(|signer| match signer {
            SignerRule::CosignIdentity { demands, .. } => demands.sigstore.is_none(),
            SignerRule::CosignKey { demands, .. } => demands.log && demands.sigstore.is_none(),
            _ => false,
        })
}

/// The trusted root of the pinned instance called `name`, and what else was fetched with it.
fn pinned(session: &Session, name: &str) -> Result<Vec<(Target, Vec<u8>)>, Failure> {
    let anchors = session.anchors()?;
    match anchors.pinned(name)? {
        Some(Pin::TrustedRoot(bytes)) => Ok(vec![(Target::TrustedRoot, bytes)]),
        Some(Pin::Repository { url, root }) => {
            let remembered = anchors.repository(&url)?;
            let kept = Origin::pinned(&url, &root).usable(name, &remembered, clock())?;
            Ok(Target::ALL.into_iter().filter_map(|target| Some((target, kept.target(target)?.to_vec()))).collect())
        }
        None => {
            let reason = Reason::new(Code::AnchorUnknown, format!("no Sigstore instance is pinned as \"{name}\""));
            Err(Failure::new(reason.step(Step::command("see what is there", ["trustctl", "anchor", "list"]))))
        }
    }
}

fn check(anchor: &SigstoreAnchor, file: Option<&Path>) -> Result<(), Failure> {
    let Err(fault) = Instance::new(anchor) else { return Ok(()) };
    let whose = match (&anchor.name, file) {
        (Some(name), _) => format!("[sigstores.{name}]"),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => "the public-good instance".to_owned(),
    };
    Err(Failure::new(Reason::new(Code::AnchorUnusable, format!("{whose}: {fault}"))))
}

/// The policy with what was fetched for its instances and may be used at `now`, and with why the others have nothing.
///
/// # Errors
/// As the store's.
pub(super) fn with_fetched(session: &Session, policy: Policy, now: Timestamp) -> Result<Policy, Failure> {
    if policy.repositories.is_empty() {
        return Ok(policy);
    }
    let (mut policy, anchors) = (policy, session.anchors()?);
    for anchor in policy.repositories.clone() {
        let remembered = anchors.repository(&anchor.url)?;
        let usable = Origin::pinned(&anchor.url, &anchor.root).usable(&anchor.name, &remembered, now);
        policy = policy.with_fetched(&anchor.name, usable.map(|kept| kept.trusted_root.into()));
    }
    Ok(policy)
}

/// When parts of what `policy` trusts by end: trusted roots that were fetched, entries that allow an image, and modes of rules that do
/// not refuse. Names are the policy's.
pub(super) fn ends(session: &Session, policy: &Policy) -> Vec<TrustEnd> {
    let mut ends = Vec::new();
    let mut add = |name: String, at: Option<Timestamp>| ends.extend(at.map(|at| TrustEnd { name, at }));
    if matters(policy)
        && let Ok(public) = public_good(session)
    {
        add("trusted root of the public-good Sigstore".to_owned(), public.until);
    }
    for anchor in &policy.repositories {
        let remembered = session.anchors().and_then(|anchors| Ok(anchors.repository(&anchor.url)?));
        let until = remembered.ok().and_then(|remembered| kept(&remembered).map(|kept| kept.until));
        add(format!("trusted root of {}", anchor.name), until);
    }
    ends.extend(written_ends(policy));
    ends
}

/// When what the policy itself limits ends: entries that allow an image, and modes of rules that do not refuse.
pub(super) fn written_ends(policy: &Policy) -> impl Iterator<Item = TrustEnd> {
    let allowed = policy.allow.iter().map(|allow| {
        let images: Vec<String> = allow.images.iter().map(ToString::to_string).collect();
        TrustEnd { name: format!("leave for {}@{}", images.join(", "), allow.digest), at: allow.until }
    });
    let modes = policy.rules.iter().filter_map(|rule| {
        let name = format!("mode of rule {}", rule.name);
        rule.warn_until.map(|at| TrustEnd { name, at })
    });
    allowed.chain(modes)
}

/// Why instances that the policy names cannot be judged by.
pub(super) fn lacking(policy: &Policy) -> impl Iterator<Item = &Reason> {
    let at_hand = |name: &str| policy.sigstores.iter().any(|anchor| anchor.name.as_deref() == Some(name));
    policy.repositories.iter().filter(move |repository| !at_hand(&repository.name)).map(|repository| &repository.lacking)
}

impl Session {
    /// What is to be said about the trusted root of the public-good instance, where it matters: on request how old it is, and always
    /// when that is too old.
    pub(super) fn age_of_root(&self, policy: &Policy, now: Timestamp) -> Result<Option<Reason>, Failure> {
        if !matters(policy) {
            return Ok(None);
        }
        let own = policy.sigstores.iter().find(|anchor| anchor.name.is_none());
        own.map_or(Ok(None), |anchor| self.age_of(anchor, now))
    }

    /// The same, where `anchor` is the one that judges.
    pub(super) fn age_of(&self, anchor: &SigstoreAnchor, now: Timestamp) -> Result<Option<Reason>, Failure> {
        let public = public_good(self)?;
        if *anchor.trusted_root != *public.trusted_root {
            return Ok(None);
        }
        let age = days(public.of, now);
        let source = if public.source == Source::Carried { "carried by this program, of" } else { "fetched on" };
        let words = format!("trusted root: public-good Sigstore, {source} {} ({age} days old)", public.of.date());
        if age > OLD {
            let step = Step::command("fetch the newest one", ["trustctl", "anchor", "update"]);
            return Ok(Some(Reason::new(Code::AnchorOld, words).step(step)));
        }
        if self.ui.verbose {
            self.ui.tell(words);
        }
        Ok(None)
    }
}
