//! `trustctl anchor`: what trust begins with.

mod export;
mod listing;
mod pin;
mod update;

use std::path::Path;

use trustctl_core::memory::Slot;
use trustctl_core::policy::Policy;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::time::Timestamp;
use trustctl_remote::anchors::{Anchors, Pin};
use trustctl_sigstore::tuf::{Beginning, Kept, PUBLIC_GOOD_ROOT, PUBLIC_GOOD_URL, Refresh, Target, kept};
use trustctl_sigstore::{keyless, signing_config};

use super::{Session, clock, policy, sigstore};
use crate::cli::AnchorCommand;
use crate::exit::Exit;
use crate::failure::Failure;

/// The name of the public-good instance.
pub(super) const PUBLIC_GOOD: &str = "public-good";

/// Carries out an `anchor` command.
///
/// # Errors
/// A [`Failure`], by what is wrong.
pub(super) async fn run(session: &Session, command: &AnchorCommand) -> Result<Exit, Failure> {
    match command {
        AnchorCommand::List(args) => listing::run(session, args),
        AnchorCommand::Update(args) => update::run(session, args).await,
        AnchorCommand::Pin(args) => pin::run(session, args),
        AnchorCommand::Export(args) => export::run(session, args),
        AnchorCommand::Forget(args) => pin::forget(session, args),
    }
}

/// A repository that a trusted root is fetched from, and the root that trust in it begins with.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) url: String,
    root: Vec<u8>,
    carried: bool,
}

impl Origin {
    /// The public-good instance's.
    pub(super) fn public_good() -> Self {
        Self { url: PUBLIC_GOOD_URL.to_owned(), root: PUBLIC_GOOD_ROOT.to_vec(), carried: true }
    }

    /// One that was pinned, or that a policy names.
    pub(super) fn pinned(url: &str, root: &[u8]) -> Self {
        Self { url: url.to_owned(), root: root.to_vec(), carried: false }
    }

    fn beginning(&self) -> Beginning<'_> {
        Beginning { root: &self.root, must_lead_here: !self.carried }
    }

    /// What was fetched from here and may be used at `now` without asking again. The public-good instance's has no end: what would be used
    /// in its place is older still.
    ///
    /// # Errors
    /// [`Code::AnchorNotFetched`], [`Code::AnchorOutdated`] and [`Code::AnchorForeign`] when there is none, and why.
    pub(super) fn usable<'a>(&self, name: &str, remembered: &'a Slot, now: Timestamp) -> Result<Kept<'a>, Reason> {
        let update = |words: &str| Step::command(words, ["trustctl", "anchor", "update", name]);
        if !self.carried {
            // Whoever pins another root does not mean what was fetched under this one.
            Refresh::begin(self.beginning(), remembered, now)?;
        }
        let Some(kept) = kept(remembered) else {
            let words = format!("the trusted root of {name} was never fetched from {}", self.url);
            return Err(Reason::new(Code::AnchorNotFetched, words).step(update("fetch it")));
        };
        if kept.until < now && !self.carried {
            let words =
                format!("the trusted root of {name} was fetched on {} and counted until {}", kept.fetched.date(), kept.until);
            return Err(Reason::new(Code::AnchorOutdated, words).step(update("fetch it again")));
        }
        Ok(kept)
    }
}

/// A Sigstore instance that has a name.
#[derive(Clone, Debug)]
enum Instance {
    /// Its trusted root is a file, or was pinned as it is.
    Fixed(Vec<u8>),
    /// Its trusted root is fetched.
    Fetched(Origin),
}

impl Session {
    /// What is kept of anchors.
    ///
    /// # Errors
    /// As [`Session::store`].
    pub(super) fn anchors(&self) -> Result<Anchors, Failure> {
        Ok(Anchors::new(self.store()?))
    }

    /// The policy at `file`, else the one in force, if there is one.
    fn policy_in_force(&self, file: Option<&Path>) -> Result<Option<Policy>, Failure> {
        if file.is_none() && self.environment.default_policy().is_none() {
            return Ok(None);
        }
        policy::load(self, file).map(Some)
    }

    /// The trusted root and the signing configs of the instance called `name`, as they may be used now; the policy at `file` may name it.
    ///
    /// # Errors
    /// [`Code::AnchorUnknown`] for a name that nobody knows; [`Code::AnchorNotFetched`] and [`Code::AnchorOutdated`] where they are
    /// not here.
    pub(super) fn anchor_files(&self, name: &str, file: Option<&Path>) -> Result<Vec<(Target, Vec<u8>)>, Failure> {
        let origin = match self.instance(name, file)? {
            Instance::Fixed(trusted_root) => return Ok(vec![(Target::TrustedRoot, trusted_root)]),
            Instance::Fetched(origin) => origin,
        };
        let remembered = self.anchors()?.repository(&origin.url)?;
        let of = |kept: &Kept<'_>| Target::ALL.into_iter().filter_map(|one| Some((one, kept.target(one)?.to_vec()))).collect();
        match origin.usable(name, &remembered, clock()) {
            Ok(kept) if !origin.carried || sigstore::is_newer(&kept) => Ok(of(&kept)),
            Err(reason) if !origin.carried => Err(reason.into()),
            _ => Ok(vec![
                (Target::SigningConfig, signing_config::PUBLIC_GOOD.as_bytes().to_vec()),
                (Target::TrustedRoot, keyless::PUBLIC_GOOD.as_bytes().to_vec()),
            ]),
        }
    }

    /// The instance called `name`: the public-good one, else the policy's, else the pinned one.
    fn instance(&self, name: &str, file: Option<&Path>) -> Result<Instance, Failure> {
        if name == PUBLIC_GOOD {
            return Ok(Instance::Fetched(Origin::public_good()));
        }
        if let Some(policy) = self.policy_in_force(file)? {
            if let Some(anchor) = policy.repositories.iter().find(|anchor| anchor.name == name) {
                return Ok(Instance::Fetched(Origin::pinned(&anchor.url, &anchor.root)));
            }
            if let Some(anchor) = policy.sigstores.iter().find(|anchor| anchor.name.as_deref() == Some(name)) {
                return Ok(Instance::Fixed(anchor.trusted_root.to_vec()));
            }
        }
        match self.anchors()?.pinned(name)? {
            Some(Pin::Repository { url, root }) => Ok(Instance::Fetched(Origin::pinned(&url, &root))),
            Some(Pin::TrustedRoot(bytes)) => Ok(Instance::Fixed(bytes)),
            None => Err(Failure::new(Reason::new(Code::AnchorUnknown, format!("no Sigstore instance is called \"{name}\"")))),
        }
    }
}
