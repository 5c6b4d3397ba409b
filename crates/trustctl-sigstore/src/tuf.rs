//! Sigstore's TUF repositories: how a newer trusted root is told from an older or a false one. The one module that knows the TUF
//! library.
//!
//! [`Refresh`] is a client of The Update Framework (specification 1.0.33, section 5) without a network: it says which files it needs
//! next, is given their bytes, and says what has to be remembered. The library (`sigstore-tuf`) checks signatures, thresholds, expiry,
//! versions and hashes of one run. What has to hold beyond a run is held here, in a [`Slot`] that only grows:
//!
//! - the newest verified root is where the next run begins, and the digests of all roots that led to it say whether a pinned root
//!   belongs to it;
//! - a timestamp, a snapshot or a role that is older than one seen before is refused, and so is a snapshot that leaves out a role.
//!   Floors belong to the keys of timestamp and snapshot: where a root replaces these, versions may begin anew (section 5.3.11), and
//!   with no other event;
//! - a refresh that is interrupted has learnt what it had verified by then, and the trusted root in use is replaced last.
//!
//! Targets are asked for by names of this program ([`Target`]) and lie in no folder, so that no name from a repository becomes a path.
//! Delegated roles are not read: Sigstore's own targets are in the top-level role.

mod fault;
mod floors;
mod kept;

use std::collections::BTreeMap;

use sigstore_tuf::{TargetFile, TrustedMetadataSet};
use trustctl_core::digest::Digest;
use trustctl_core::memory::{Document, Slot};
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::time::Timestamp;

use crate::keyless::Instance;
use fault::{MetadataFile, malformed};
use floors::Floors;

pub use kept::{Kept, kept};

/// The address of the public-good instance's repository.
pub const PUBLIC_GOOD_URL: &str = "https://tuf-repo-cdn.sigstore.dev";
/// A root of the public-good instance's repository: version 16. Source: the repository itself, by way of the library's release.
pub const PUBLIC_GOOD_ROOT: &[u8] = include_bytes!("tuf/public-good-root.json");

/// Most bytes of a root. The public one has 6,000.
pub const MAX_ROOT: u64 = 512 * 1024;
/// Most bytes of a timestamp, which names one file.
pub const MAX_TIMESTAMP: u64 = 16 * 1024;
/// Most bytes of a snapshot, or of the targets: the public ones have some thousand.
pub const MAX_LISTING: u64 = 1024 * 1024;
/// Most bytes of a target: what is read of a trusted root.
pub const MAX_TARGET: u64 = 1024 * 1024;
/// Most roots that one refresh follows: decades of rotations.
pub const MAX_ROOTS: usize = 256;
/// Most roles that a snapshot may list. The public one lists two.
pub const MAX_ROLES: usize = 1024;

/// A target that is kept of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The signing config.
    SigningConfig,
    /// The signing config with the second version of the transparency log.
    SigningConfigRekorV2,
    /// The trusted root; every repository has it.
    TrustedRoot,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SigningConfig, Self::SigningConfigRekorV2, Self::TrustedRoot];

    /// Its name in a repository.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SigningConfig => "signing_config.v0.2.json",
            Self::SigningConfigRekorV2 => "signing_config_rekor_v2.v0.2.json",
            Self::TrustedRoot => "trusted_root.json",
        }
    }
}

/// A file of a repository that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it lies below the repository's address: letters, digits, dots, underscores and slashes.
    pub path: String,
    /// Most bytes that are to be read of it.
    pub max_bytes: u64,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Metadata(MetadataFile),
    Target(Target),
}

/// Where trust in a repository begins.
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'a> {
    /// A root that is trusted without being asked for: carried by this program, or pinned.
    pub root: &'a [u8],
    /// Whether it must be one of those that led to the newest remembered root. A root that this program carries may be older than all
    /// that was ever seen here.
    pub must_lead_here: bool,
}

/// A refresh of what is known of one repository.
pub struct Refresh {
    set: TrustedMetadataSet,
    remembered: Slot,
    learnt: Slot,
    floors: Floors,
    stage: Stage,
    roots: usize,
    targets: BTreeMap<Target, Vec<u8>>,
    now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Root,
    Timestamp,
    Snapshot,
    Targets,
    Files(Vec<File>),
    Done,
}

impl Refresh {
    /// A refresh as of `now` that begins with the newer of `beginning` and the newest remembered root.
    ///
    /// # Errors
    /// [`Code::AnchorMalformed`] and [`Code::AnchorNotSigned`] for a root that is none; [`Code::AnchorForeign`] when the pinned root did
    /// not lead to the remembered one.
    pub fn begin(beginning: Beginning<'_>, remembered: &Slot, now: Timestamp) -> Result<Self, Reason> {
        let pinned = open(beginning.root)?;
        let (set, bytes) = match kept::newest_root(remembered) {
            Some(newest) if newest.version >= pinned.root().version => {
                let digest = Digest::sha256_of(beginning.root).hex();
                match remembered.facts.get(&kept::root_fact(pinned.root().version)) {
                    Some(known) if *known == digest => {}
                    None if !beginning.must_lead_here => {}
                    _ => return Err(foreign(pinned.root().version, newest.version)),
                }
                (open(&newest.bytes)?, newest.bytes.as_slice())
            }
            _ => (pinned, beginning.root),
        };
        let mut refresh = Self {
            floors: Floors::of(remembered, set.root()),
            remembered: remembered.clone(),
            learnt: Slot::default(),
            stage: Stage::Root,
            roots: 0,
            targets: BTreeMap::new(),
            set,
            now,
        };
        refresh.learn_root(bytes);
        Ok(refresh)
    }

    /// The files that are needed now; they can be fetched at once. None when the refresh is done.
    #[must_use]
    pub fn wants(&self) -> Vec<File> {
        let metadata = |path: String, max_bytes, file| vec![File { path, max_bytes, what: What::Metadata(file) }];
        match &self.stage {
            Stage::Root => {
                metadata(format!("{}.root.json", self.set.root().version.saturating_add(1)), MAX_ROOT, MetadataFile::Root)
            }
            Stage::Timestamp => metadata("timestamp.json".to_owned(), MAX_TIMESTAMP, MetadataFile::Timestamp),
            Stage::Snapshot => metadata(self.versioned("snapshot", self.snapshot_version()), MAX_LISTING, MetadataFile::Snapshot),
            Stage::Targets => metadata(self.versioned("targets", self.targets_version()), MAX_LISTING, MetadataFile::Targets),
            Stage::Files(files) => files.clone(),
            Stage::Done => Vec::new(),
        }
    }

    /// Takes the answer for a file: its bytes, or that the repository says it has none.
    ///
    /// # Errors
    /// A 098x reason when the file is not what it has to be, [`Code::OutOfBudget`] for too many roots. The refresh has failed then;
    /// what was learnt before still counts.
    pub fn receive(&mut self, file: &File, answer: Option<&[u8]>) -> Result<(), Reason> {
        match (file.what, answer) {
            (What::Metadata(MetadataFile::Root), None) => self.last_root(),
            (_, None) => Err(Reason::new(Code::AnchorFileMissing, format!("the repository has no {}", file.path))),
            (What::Metadata(MetadataFile::Root), Some(bytes)) => self.next_root(bytes),
            (What::Metadata(MetadataFile::Timestamp), Some(bytes)) => self.timestamp(bytes),
            (What::Metadata(MetadataFile::Snapshot), Some(bytes)) => self.snapshot(bytes),
            (What::Metadata(MetadataFile::Targets), Some(bytes)) => self.targets(bytes),
            (What::Target(target), Some(bytes)) => self.target(target, bytes),
        }
    }

    /// What is to be remembered, as of now. It grows while the refresh goes on.
    #[must_use]
    pub fn learnt(&self) -> &Slot {
        &self.learnt
    }

    fn next_root(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        if self.roots >= MAX_ROOTS {
            return Err(Reason::new(Code::OutOfBudget, format!("the repository has more than {MAX_ROOTS} further roots")));
        }
        self.roots += 1;
        self.set.update_root(bytes).map_err(|error| MetadataFile::Root.fault(&error))?;
        floors::check_keys(self.set.root())?;
        self.learn_root(bytes);
        Ok(())
    }

    fn last_root(&mut self) -> Result<(), Reason> {
        self.set.check_root_expired(library_time(self.now)?).map_err(|error| MetadataFile::Root.fault(&error))?;
        self.floors = Floors::of(&self.remembered, self.set.root());
        self.stage = Stage::Timestamp;
        Ok(())
    }

    fn timestamp(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        let now = library_time(self.now)?;
        self.set.update_timestamp(bytes, now).map_err(|error| MetadataFile::Timestamp.fault(&error))?;
        let version = self.set.timestamp().map(|timestamp| timestamp.version).unwrap_or_default();
        let snapshot = self.snapshot_version();
        self.floors.check("timestamp.json", version)?;
        self.floors.check("snapshot.json", snapshot)?;
        self.floors.learn("timestamp.json", version, &mut self.learnt);
        self.floors.learn("snapshot.json", snapshot, &mut self.learnt);
        self.stage = Stage::Snapshot;
        let name = self.floors.named("snapshot");
        match self.remembered.documents.get(&name).filter(|document| document.version == snapshot).cloned() {
            // What is here already need not be fetched; where it does not fit, it is.
            Some(document) => self.snapshot(&document.bytes).or(Ok(())),
            None => Ok(()),
        }
    }

    fn snapshot(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        let now = library_time(self.now)?;
        self.set.update_snapshot(bytes, now).map_err(|error| MetadataFile::Snapshot.fault(&error))?;
        let listed: BTreeMap<String, u64> = match self.set.snapshot() {
            Some(snapshot) if snapshot.meta.len() <= MAX_ROLES => {
                snapshot.meta.iter().map(|(name, file)| (name.clone(), file.version)).collect()
            }
            _ => return Err(malformed(MetadataFile::Snapshot, "it lists more than 1,024 files")),
        };
        self.floors.check_roles(&listed)?;
        listed.iter().for_each(|(name, version)| self.floors.learn_role(name, *version, &mut self.learnt));
        self.keep("snapshot", self.snapshot_version(), bytes);
        self.stage = Stage::Targets;
        let (name, version) = (self.floors.named("targets"), self.targets_version());
        match self.remembered.documents.get(&name).filter(|document| document.version == version).cloned() {
            Some(document) => self.targets(&document.bytes).or(Ok(())),
            None => Ok(()),
        }
    }

    fn targets(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        let now = library_time(self.now)?;
        self.set.update_targets(bytes, now).map_err(|error| MetadataFile::Targets.fault(&error))?;
        self.keep("targets", self.targets_version(), bytes);
        let mut files = Vec::new();
        for target in Target::ALL {
            let Some(signed) = self.signed(target) else { continue };
            let path = self.path_of(target, &signed)?;
            let known = self.remembered.documents.get(&self.floors.named(target.name()));
            match known.filter(|document| fits(&document.bytes, &signed)).cloned() {
                Some(document) => drop(self.targets.insert(target, document.bytes)),
                None => files.push(File { path, max_bytes: signed.length, what: What::Target(target) }),
            }
        }
        if self.signed(Target::TrustedRoot).is_none() {
            return Err(self.without_root());
        }
        self.stage = Stage::Files(files);
        self.finish_when_complete()
    }

    /// Why there is no trusted root. Only the top-level targets are read: delegated ones, which others than the instance's root keys sign, say
    /// nothing about what trust begins with.
    fn without_root(&self) -> Reason {
        let delegations = self.set.targets_role("targets").and_then(|targets| targets.delegations.as_ref());
        let words = match delegations.and_then(|delegations| delegations.roles.first()) {
            None => "the repository signs no trusted_root.json".to_owned(),
            Some(role) => format!(
                "the repository's own targets sign no trusted_root.json; it delegates to others, such as \"{}\", whose word does not count for it",
                role.name
            ),
        };
        Reason::new(Code::AnchorFileMissing, words)
    }

    fn target(&mut self, target: Target, bytes: &[u8]) -> Result<(), Reason> {
        let fit = self.signed(target).is_some_and(|signed| fits(bytes, &signed));
        if !fit {
            let words = format!("{} has not the length and digest that were signed", target.name());
            return Err(Reason::new(Code::AnchorHashMismatch, words));
        }
        if target == Target::TrustedRoot {
            let anchor = SigstoreAnchor { name: None, trusted_root: bytes.into(), thresholds: Thresholds::default() };
            Instance::new(&anchor).map_err(|fault| Reason::new(Code::AnchorUnusable, fault.detail))?;
        }
        self.targets.insert(target, bytes.to_vec());
        if let Stage::Files(files) = &mut self.stage {
            files.retain(|file| file.what != What::Target(target));
        }
        self.finish_when_complete()
    }

    /// Once every target is here, they take the place of those in use, all at once.
    fn finish_when_complete(&mut self) -> Result<(), Reason> {
        if !matches!(&self.stage, Stage::Files(files) if files.is_empty()) {
            return Ok(());
        }
        let until = self.until()?;
        let version = self.targets_version();
        for (target, bytes) in std::mem::take(&mut self.targets) {
            self.keep(target.name(), version, &bytes);
        }
        let at = self.set.timestamp().map(|timestamp| timestamp.version).unwrap_or_default();
        kept::learn_use(&mut self.learnt, &self.floors, (at, until), self.now);
        self.stage = Stage::Done;
        Ok(())
    }

    /// Until when everything that was verified counts.
    fn until(&self) -> Result<Timestamp, Reason> {
        let role = self.set.targets_role("targets").map(|targets| targets.expires);
        let snapshot = self.set.snapshot().map(|snapshot| snapshot.expires);
        let timestamp = self.set.timestamp().map(|timestamp| timestamp.expires);
        let first = [Some(self.set.root().expires), timestamp, snapshot, role].into_iter().flatten().min();
        let until = first.and_then(|first| Timestamp::from_unix_seconds(first.as_second()).ok());
        until.ok_or_else(|| malformed(MetadataFile::Timestamp, "it has no end"))
    }

    fn learn_root(&mut self, bytes: &[u8]) {
        let root = self.set.root();
        kept::learn_root(&mut self.learnt, root, bytes);
    }

    fn keep(&mut self, name: &str, version: u64, bytes: &[u8]) {
        let document = Document { version, bytes: bytes.to_vec() };
        self.learnt.documents.insert(self.floors.named(name), document);
    }

    fn versioned(&self, role: &str, version: u64) -> String {
        if self.set.root().consistent_snapshot { format!("{version}.{role}.json") } else { format!("{role}.json") }
    }

    fn snapshot_version(&self) -> u64 {
        self.set.timestamp().and_then(|timestamp| timestamp.snapshot_meta()).map(|file| file.version).unwrap_or_default()
    }

    fn targets_version(&self) -> u64 {
        self.set.snapshot().and_then(|snapshot| snapshot.meta.get("targets.json")).map(|file| file.version).unwrap_or_default()
    }

    fn signed(&self, target: Target) -> Option<TargetFile> {
        self.set.targets_role("targets")?.target(target.name()).cloned()
    }

    /// Where a target lies. The digest is a part of the path, and others chose it.
    fn path_of(&self, target: Target, signed: &TargetFile) -> Result<String, Reason> {
        let refused = |words: &str| Reason::new(Code::AnchorHashMismatch, format!("{}: {words}", target.name()));
        let digest = signed.hashes.get("sha256").map(String::as_str).unwrap_or_default();
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refused("no SHA-256 digest of it is signed"));
        }
        if signed.length > MAX_TARGET {
            let words = format!("{} has {} bytes, and at most {MAX_TARGET} are read", target.name(), signed.length);
            return Err(Reason::new(Code::TooLarge, words));
        }
        let name = target.name();
        Ok(if self.set.root().consistent_snapshot { format!("targets/{digest}.{name}") } else { format!("targets/{name}") })
    }
}

/// Whether bytes have the length and the digest that were signed.
fn fits(bytes: &[u8], signed: &TargetFile) -> bool {
    let length = u64::try_from(bytes.len()).is_ok_and(|length| length == signed.length);
    let digest = Digest::sha256_of(bytes).hex();
    length && signed.hashes.get("sha256").is_some_and(|expected| expected.eq_ignore_ascii_case(&digest))
}

fn open(root: &[u8]) -> Result<TrustedMetadataSet, Reason> {
    let set = TrustedMetadataSet::from_root(root).map_err(|error| MetadataFile::Root.fault(&error))?;
    floors::check_keys(set.root())?;
    Ok(set)
}

fn library_time(now: Timestamp) -> Result<jiff::Timestamp, Reason> {
    jiff::Timestamp::from_second(now.unix_seconds()).map_err(|error| Reason::new(Code::BadValue, error.to_string()))
}

fn foreign(pinned: u64, newest: u64) -> Reason {
    let words =
        format!("the pinned root has version {pinned}, and did not lead to root {newest}, which was fetched from here before");
    Reason::new(Code::AnchorForeign, words).step(Step::command("see what is known", ["trustctl", "anchor", "list"]))
}
