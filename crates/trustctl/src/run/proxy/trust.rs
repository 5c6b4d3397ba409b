//! The policy that the proxy judges by, looked at again whenever one of its files changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use trustctl_core::digest::Digest;
use trustctl_core::policy::Policy;
use trustctl_core::reason::Reason;
use trustctl_proxy::trust::{Trust, TrustEnd, TrustSource};

use super::super::{Session, clock, policy, schemes, sigstore};
use crate::failure::Failure;

/// How often what is not beside the policy is looked at: the trusted roots that `anchor update` fetches.
const ANCHORS: Duration = Duration::from_secs(5);

/// A policy file with everything it names.
pub(super) struct PolicyFile {
    session: Session,
    path: PathBuf,
    seen: Mutex<Option<Seen>>,
}

/// What was read last.
struct Seen {
    /// The digest of each file that was read, `None` where it could not be.
    files: BTreeMap<PathBuf, Option<Digest>>,
    at: Instant,
    /// Why that cannot be used, when it cannot.
    trouble: Option<Reason>,
    /// What ends, of the last policy that could be used.
    ends: Vec<TrustEnd>,
}

impl PolicyFile {
    pub(super) fn new(session: Session, path: PathBuf) -> Self {
        Self { session, path, seen: Mutex::new(None) }
    }

    /// The policy as it is now, and the files that it was read from.
    fn load(&self) -> (Result<Policy, Failure>, BTreeMap<PathBuf, Option<Digest>>) {
        let files = Mutex::new(BTreeMap::new());
        let read = |path: &Path| {
            let bytes = policy::read_limited(path);
            let digest = bytes.as_ref().ok().map(|bytes| Digest::sha256_of(bytes));
            files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), digest);
            bytes
        };
        let policy = policy::load_with(&self.session, &self.path, &read);
        let policy = policy.and_then(|policy| sigstore::with_fetched(&self.session, policy, clock()));
        (policy, files.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// What came of reading last, when nothing of that has changed since: what could not be used then cannot be now.
    fn as_before(&self) -> Option<Result<(), Reason>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.as_ref().filter(|seen| seen.at.elapsed() < ANCHORS)?;
        let same = |(path, known): (&PathBuf, &Option<Digest>)| {
            policy::read_limited(path).ok().map(|bytes| Digest::sha256_of(&bytes)) == *known
        };
        seen.files.iter().all(same).then(|| seen.trouble.clone().map_or(Ok(()), Err))
    }
}

impl TrustSource for PolicyFile {
    fn changed(&self, known: Option<&Digest>) -> Result<Option<Trust>, Reason> {
        if known.is_some()
            && let Some(before) = self.as_before()
        {
            return before.map(|()| None);
        }
        let (policy, files) = self.load();
        let fingerprint = policy.as_ref().map(|policy| fingerprint(policy, &files)).ok();
        let trouble = policy.as_ref().err().map(|failure| failure.reason.clone());
        let ends = policy.as_ref().ok().map(|policy| sigstore::ends(&self.session, policy));
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let ends = ends.or_else(|| seen.take().map(|seen| seen.ends)).unwrap_or_default();
            *seen = Some(Seen { files, at: Instant::now(), trouble, ends });
        }
        let policy = policy.map_err(|failure| failure.reason)?;
        let Some(fingerprint) = fingerprint.filter(|fingerprint| known != Some(fingerprint)) else { return Ok(None) };
        let schemes = schemes(&policy, None).boxed();
        Ok(Some(Trust { policy, schemes, signature_repository: None, fingerprint }))
    }

    fn ends(&self) -> Vec<TrustEnd> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|seen| seen.ends.clone()).unwrap_or_default()
    }
}

/// Names everything that a verdict depends on beside the evidence: this program, the policy, its keys and its trusted roots.
fn fingerprint(policy: &Policy, files: &BTreeMap<PathBuf, Option<Digest>>) -> Digest {
    let mut text = concat!("trustctl ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    for (path, digest) in files {
        text.push_str(&format!("{} {}\n", path.display(), digest.map(|digest| digest.to_string()).unwrap_or_default()));
    }
    for anchor in &policy.sigstores {
        text.push_str(&format!("{} {}\n", anchor.name.as_deref().unwrap_or("-"), Digest::sha256_of(&anchor.trusted_root)));
    }
    for repository in &policy.repositories {
        text.push_str(&format!("{} {}\n", repository.name, repository.lacking.message));
    }
    Digest::sha256_of(text.as_bytes())
}
