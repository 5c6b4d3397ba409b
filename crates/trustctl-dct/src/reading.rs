//! Reading a collection: root, timestamp, snapshot, targets and delegations, each checked under the one above it (TUF
//! specification 1.0, section 5, as Notary's `tuf/builder.go` and `client/tufclient.go` do it).
//!
//! The timestamp names the snapshot by hash and the snapshot names the root by hash: that root is the current one, wherever its
//! bytes came from. Nothing counts before the root is anchored and the rest is signed under it.
//!
//! Rules: signatures to each role's threshold; no version below one verified before; nothing expired at `now`; declared hashes and
//! exact lengths. Wrong top-level files end the reading; a wrong delegation only takes itself out. A delegation that was verified
//! before does not become unpublished while the role above still delegates to it: whoever holds the snapshot key could else drop
//! `targets/releases` from the snapshot, and what `targets` said long ago would count again.

use std::collections::BTreeSet;

use trustctl_core::claim::{Principal, SchemeName};
use trustctl_core::evidence::{Evidence, Want};
use trustctl_core::memory::{Document as Kept, Slot};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::scheme::{Context, Missing, Problem};
use trustctl_core::time::Timestamp as Time;

use crate::collection::{Collection, RoleFile, Signed, SigningRole};
use crate::error::DctError;
use crate::files::{File, Files, Trouble, by_hash};
use crate::key::Key;
use crate::metadata::envelope::Envelope;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::Targets;
use crate::metadata::timestamp::Timestamp;
use crate::metadata::{Document, FileMeta, RoleKeys};
use crate::role::RoleName;
use crate::root_chain::{self, Anchored, Place, RootFile};

/// Most delegations that are followed: what a snapshot may name.
const MAX_ROLES: usize = crate::metadata::snapshot::MAX_FILES;

/// What came of reading a collection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Reading {
    /// The collection, as soon as every top-level file is there and signed under the root, be that one to believe or not.
    pub collection: Option<Collection>,
    /// Whether the collection counts: its root is anchored, and no top-level file is wrong or has expired.
    pub sound: bool,
    /// Whether it is proven not to count, so that nothing else that could be fetched would mend it. What could be fetched is told
    /// all the same, for those who want to see a collection that has expired.
    pub refuted: bool,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What could not be read.
    pub missing: Vec<Missing>,
    /// What can be asked for now.
    pub wants: Vec<Want>,
    /// What is to be remembered; only what counts.
    pub learnt: Slot,
    /// Remarks.
    pub warnings: Vec<Reason>,
}

/// Reads the collection `gun` as of `context.now`.
#[must_use]
pub fn read(gun: &Repository, evidence: &Evidence, context: &Context<'_>) -> Reading {
    let name = gun.to_string();
    let slot = context.memory.slot(SchemeName::Dct, &name);
    let reader = |files| {
        let place = Place { gun: &name, now: context.now, anchors: context.anchors, slot };
        Reader { gun, place, files, out: Reading::default(), wrong: false, unproven: false }
    };
    let (reading, from_kept) = reader(Files::new(gun, evidence, slot)).read();
    if from_kept && !(reading.sound && reading.problems.is_empty()) {
        // A copy that does not count is no substitute: what is told then is that the server could not be reached.
        return reader(Files::without_kept_timestamp(gun, evidence, slot)).read().0;
    }
    reading
}

/// The reading came to an end; what ended it is recorded.
#[derive(Debug)]
struct End;

struct Reader<'a> {
    gun: &'a Repository,
    place: Place<'a>,
    files: Files<'a>,
    out: Reading,
    /// Something is wrong that no further evidence can mend.
    wrong: bool,
    /// The root is not anchored by what was read so far.
    unproven: bool,
}

/// A parsed top-level file whose signatures are not checked yet.
struct Unverified<'a, T> {
    file: File<'a>,
    envelope: Envelope,
    document: T,
}

impl<'a> Reader<'a> {
    /// Reads; true when the timestamp kept here stood in for a server that could not be reached.
    fn read(mut self) -> (Reading, bool) {
        let done = self.run();
        let mut out = self.out;
        out.sound = done.is_ok() && !self.wrong && !self.unproven;
        out.missing = self.files.missing;
        out.wants = self.files.wants;
        out.refuted = self.wrong;
        (out, self.files.used_kept_timestamp)
    }

    fn run(&mut self) -> Result<(), End> {
        let remembered = self.remembered_root()?;
        // Without a remembered root one is needed anyway: ask in the same round.
        let served = if remembered.is_some() { self.files.root_if_present() } else { self.first_root()? };
        let timestamp = self.timestamp(remembered.is_some())?;
        let snapshot = match self.files.declared("snapshot", &timestamp.document.snapshot) {
            Ok(file) => self.unverified::<Snapshot>("snapshot.json", file)?,
            Err(trouble) => {
                self.look_ahead(&timestamp, remembered.as_ref(), served);
                return Err(self.trouble("snapshot.json", trouble));
            }
        };
        let file = match self.current_root(&snapshot.document.root, remembered.as_ref(), served) {
            Ok(file) => file,
            Err(End) => {
                let under = |known: &RootFile<'_>| snapshot.envelope.verify(&known.root.snapshot, &known.root.keys).is_ok();
                if remembered.as_ref().is_some_and(under) {
                    // Only the root changed: what else is new can come in the same round.
                    self.ask_ahead(&snapshot.document);
                }
                return Err(End);
            }
        };
        let current = RootFile::parse(file.bytes).map_err(|error| self.fault("root.json", &error))?;
        let root_signers =
            current.check(self.place.gun, Some(self.place.now)).map_err(|error| self.fault("root.json", &error))?;
        self.in_date("root", &current.root);
        let anchored = match root_chain::anchor(&current, remembered.as_ref(), &self.place, &mut self.files) {
            Ok(anchored) => anchored,
            Err((file, trouble)) => {
                // Shown all the same by those who only want to look; it does not count.
                let End = self.trouble(&file, trouble);
                self.unproven = true;
                Anchored::default()
            }
        };
        self.learn_root(&current, &anchored);
        let timestamp = self.verified("timestamp", timestamp, &current.root.timestamp, &current.root)?;
        let snapshot = self.verified("snapshot", snapshot, &current.root.snapshot, &current.root)?;
        let root = Signed { bytes: file.bytes.to_vec(), signers: root_signers, cached: file.cached, document: current.root };
        self.collect(root, timestamp, snapshot, anchored)
    }

    fn collect(
        &mut self,
        root: Signed<Root>,
        timestamp: Signed<Timestamp>,
        snapshot: Signed<Snapshot>,
        anchored: Anchored,
    ) -> Result<(), End> {
        let bundles = root.document.root.key_ids.iter().filter_map(|id| root.document.keys.get(id)?.bundle().ok());
        let root_certificate_ends = bundles.filter_map(|bundle| bundle.end().ok()).filter(|end| *end >= self.place.now).min();
        let mut collection = Collection {
            gun: self.gun.clone(),
            root,
            root_certificate_ends,
            timestamp,
            snapshot,
            roles: Vec::new(),
            anchored_by: anchored.by.into_iter().collect(),
        };
        if anchored.first_use && self.counts() {
            let keys = collection.root_keys().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            self.out
                .warnings
                .push(Reason::new(Code::DctFirstUse, format!("{} was believed on first use, root key {keys}", self.gun)));
        }
        if let Some(end) = collection.root_certificate_ends {
            self.soon("the root key's certificate", end);
        }
        if collection.timestamp.cached {
            let until = collection.timestamp.document.expires.time();
            let words = format!("the Notary server for {} was not reachable; the copy kept here is good until {until}", self.gun);
            self.out.warnings.push(Reason::new(Code::DctCached, words));
        }
        self.ask_ahead(&collection.snapshot.document);
        let targets = self.targets(&collection)?;
        collection.roles.push(targets);
        self.delegations(&mut collection);
        self.out.collection = Some(collection);
        Ok(())
    }

    /// The root remembered from earlier. It was verified when it was stored; should it be unreadable now, nothing can be said.
    fn remembered_root(&mut self) -> Result<Option<RootFile<'a>>, End> {
        let Some(bytes) = self.files.kept("root") else { return Ok(None) };
        RootFile::parse(bytes).map(Some).map_err(|error| {
            let reason =
                Reason::new(Code::ConfigUnusable, format!("the remembered root of {} cannot be read: {error}", self.gun));
            self.files.missing.push(Missing { reason, may_hide_revocation: false });
            End
        })
    }

    /// `root.json` of a collection never seen before. Its absence alone says nothing yet.
    fn first_root(&mut self) -> Result<Option<File<'a>>, End> {
        match self.files.root(None) {
            Ok(file) => Ok(Some(file)),
            Err(Trouble::Unread) => {
                // The timestamp is asked for in the same round.
                let _asked = self.files.timestamp().is_ok();
                Err(End)
            }
            Err(Trouble::Wrong(_)) => Ok(None),
        }
    }

    fn timestamp(&mut self, known: bool) -> Result<Unverified<'a, Timestamp>, End> {
        match self.files.timestamp() {
            Ok(file) => self.unverified("timestamp.json", file),
            Err(Trouble::Wrong(DctError::MissingFile)) if !known && self.files.root_is_absent() => {
                let words = format!("the Notary server has no trust data for {}", self.gun);
                self.problem("timestamp.json", Reason::new(Code::DctNoData, words), None);
                self.wrong = true;
                Err(End)
            }
            Err(trouble) => Err(self.trouble("timestamp.json", trouble)),
        }
    }

    /// The root that the snapshot names: the remembered one, the one served, or the one the server keeps under that hash.
    fn current_root(
        &mut self,
        meta: &FileMeta,
        remembered: Option<&RootFile<'a>>,
        served: Option<File<'a>>,
    ) -> Result<File<'a>, End> {
        if let Some(remembered) = remembered.filter(|remembered| meta.check(remembered.bytes).is_ok()) {
            return Ok(File { bytes: remembered.bytes, cached: true });
        }
        let served = served.map(|file| (file, meta.check(file.bytes)));
        if let Some((file, Ok(()))) = served {
            return Ok(file);
        }
        // Either it was published while we were reading, or somebody mixes files.
        match (self.files.declared("root", meta), served) {
            (Ok(named), _) => Ok(named),
            (Err(Trouble::Wrong(DctError::MissingFile)), Some((_, Err(error)))) => Err(self.fault("root.json", &error)),
            (Err(trouble), _) => Err(self.trouble("root.json", trouble)),
        }
    }

    /// Asks for what will be needed beside the snapshot, so that it costs no round of its own: a new root when the timestamp is
    /// not signed under the remembered one, and intermediate roots.
    fn look_ahead(&mut self, timestamp: &Unverified<'a, Timestamp>, remembered: Option<&RootFile<'a>>, served: Option<File<'a>>) {
        let rotated = remembered.is_some_and(|root| timestamp.envelope.verify(&root.root.timestamp, &root.root.keys).is_err());
        if rotated && served.is_none() {
            // Only for asking: an answer is there next time.
            let _asked = self.files.root(None).is_ok();
        }
        let served = served.and_then(|file| RootFile::parse(file.bytes).ok());
        let candidate = served.as_ref().or(remembered);
        if let Some(candidate) = candidate.filter(|root| root.check(self.place.gun, Some(self.place.now)).is_ok()) {
            let _asked = root_chain::anchor(candidate, remembered, &self.place, &mut self.files).is_ok();
        }
    }

    /// Asks for every file of the snapshot at once: following delegations one by one would cost a round each.
    fn ask_ahead(&mut self, snapshot: &Snapshot) {
        self.files.ask_ahead("targets", &snapshot.targets);
        for (role, meta) in &snapshot.delegations {
            self.files.ask_ahead(role.as_str(), meta);
        }
    }

    fn targets(&mut self, collection: &Collection) -> Result<SigningRole, End> {
        let root = &collection.root.document;
        let file = self.files.declared("targets", &collection.snapshot.document.targets);
        let file = file.map_err(|trouble| self.trouble("targets.json", trouble))?;
        let unverified = self.unverified::<Targets>("targets.json", file)?;
        let document = &unverified.document;
        document.check_place(&RoleName::targets()).map_err(|error| self.fault("targets.json", &error))?;
        let signed = self.verified("targets", unverified, &root.targets, root)?;
        let fresh = [
            Some(root.expires.time()),
            collection.root_certificate_ends,
            Some(collection.timestamp.document.expires.time()),
            Some(collection.snapshot.document.expires.time()),
            Some(signed.document.expires.time()),
        ];
        Ok(SigningRole {
            name: RoleName::targets(),
            keys: root.targets.clone(),
            canonical_ids: canonical_ids(root.targets.key_ids.iter().filter_map(|id| root.keys.get(id))),
            paths: vec![String::new()],
            file: RoleFile::Good(Box::new(signed)),
            fresh_until: fresh.into_iter().flatten().min(),
        })
    }

    /// Walks the delegations breadth-first in the order of the files, each name once.
    fn delegations(&mut self, collection: &mut Collection) {
        let mut seen = BTreeSet::from([RoleName::targets()]);
        let mut next = 0;
        while let Some(parent) = collection.roles.get(next) {
            let children = self.children(parent, &collection.snapshot.document, &mut seen);
            collection.roles.extend(children);
            next += 1;
        }
    }

    fn children(&mut self, parent: &SigningRole, snapshot: &Snapshot, seen: &mut BTreeSet<RoleName>) -> Vec<SigningRole> {
        let Some(document) = parent.document() else { return Vec::new() };
        let mut children = Vec::new();
        for delegation in &document.delegations.roles {
            if seen.len() > MAX_ROLES || !seen.insert(delegation.name.clone()) {
                continue;
            }
            let reachable = |path: &&String| parent.paths.iter().any(|prefix| path.starts_with(prefix.as_str()));
            let keys = delegation.keys.key_ids.iter().filter_map(|id| document.delegations.keys.get(id));
            let mut role = SigningRole {
                name: delegation.name.clone(),
                keys: delegation.keys.clone(),
                canonical_ids: canonical_ids(keys),
                paths: delegation.paths.iter().filter(reachable).cloned().collect(),
                file: RoleFile::Unpublished,
                fresh_until: None,
            };
            role.file = match snapshot.delegations.get(&delegation.name) {
                Some(meta) => self.delegation(&role, meta, document),
                None => self.unnamed(&role.name),
            };
            role.fresh_until =
                role.document().and_then(|own| [Some(own.expires.time()), parent.fresh_until].into_iter().flatten().min());
            children.push(role);
        }
        children
    }

    fn delegation(&mut self, role: &SigningRole, meta: &FileMeta, parent: &Targets) -> RoleFile {
        let file = self.files.declared(role.name.as_str(), meta);
        let checked = file.and_then(|file| self.check_delegation(role, file, parent).map_err(Trouble::Wrong));
        match checked {
            Ok(signed) => {
                self.soon(role.name.as_str(), signed.document.expires.time());
                self.learn(role.name.as_str(), signed.document.version, &signed.bytes);
                RoleFile::Good(Box::new(signed))
            }
            Err(Trouble::Unread) => RoleFile::Unread,
            Err(Trouble::Wrong(error)) => self.broken(&role.name, &by_hash(role.name.as_str(), meta), &error),
        }
    }

    /// A role that the snapshot does not name: nothing was published for it, or what was is withheld.
    fn unnamed(&mut self, role: &RoleName) -> RoleFile {
        match self.files.floor(role.as_str()) {
            0 => RoleFile::Unpublished,
            seen => self.broken(role, "snapshot.json", &DctError::Withdrawn { seen }),
        }
    }

    fn broken(&mut self, role: &RoleName, file: &str, error: &DctError) -> RoleFile {
        let reason = error.reason(&format!("{role}.json"));
        let principal = Principal::Role {
            role: role.to_string(),
            // Docker's rule would have asked it first.
            effective: *role == RoleName::releases(),
            signers: Vec::new(),
            keys: Vec::new(),
            anchored_by: Vec::new(),
        };
        self.problem(file, reason.clone(), Some(principal));
        RoleFile::Broken(reason)
    }

    fn check_delegation(&self, role: &SigningRole, file: File<'a>, parent: &Targets) -> Result<Signed<Targets>, DctError> {
        let envelope = Envelope::parse(file.bytes)?;
        let document = Targets::from_signed(envelope.signed())?;
        document.check_place(&role.name)?;
        let signers = envelope.verify(&role.keys, &parent.delegations.keys)?;
        self.check_version(role.name.as_str(), document.version)?;
        if self.place.now > document.expires.time() {
            return Err(DctError::Expired(document.expires.time()));
        }
        Ok(Signed { document, bytes: file.bytes.to_vec(), signers, cached: file.cached })
    }

    fn unverified<T: Document>(&mut self, name: &str, file: File<'a>) -> Result<Unverified<'a, T>, End> {
        let parsed = Envelope::parse(file.bytes).and_then(|envelope| Ok((T::from_signed(envelope.signed())?, envelope)));
        let (document, envelope) = parsed.map_err(|error| self.fault(name, &error))?;
        Ok(Unverified { file, envelope, document })
    }

    /// The file as signed by the keys of `role` under `root`; its version and date are checked, and it is remembered if it counts.
    fn verified<T: Document>(
        &mut self,
        role: &str,
        unverified: Unverified<'a, T>,
        keys: &RoleKeys,
        root: &Root,
    ) -> Result<Signed<T>, End> {
        let Unverified { file, envelope, document } = unverified;
        let signers = envelope.verify(keys, &root.keys).map_err(|error| self.fault(&format!("{role}.json"), &error))?;
        self.in_date(role, &document);
        self.learn(role, document.version(), file.bytes);
        Ok(Signed { document, bytes: file.bytes.to_vec(), signers, cached: file.cached })
    }

    /// Records a version that is too low and a date that is over; the reading goes on, to show the rest.
    fn in_date<T: Document>(&mut self, role: &str, document: &T) {
        let name = format!("{role}.json");
        if let Err(error) = self.check_version(role, document.version()) {
            let End = self.fault(&name, &error);
        }
        let end = document.expires().time();
        if self.place.now > end {
            let End = self.fault(&name, &DctError::Expired(end));
        } else if role != "timestamp" {
            self.soon(role, end);
        }
    }

    fn check_version(&self, role: &str, offered: u64) -> Result<(), DctError> {
        let seen = self.files.floor(role);
        if offered < seen { Err(DctError::Rollback { seen, offered }) } else { Ok(()) }
    }

    /// Warns of a date less than six months away, when Notary's client renews or warns.
    fn soon(&mut self, role: &str, end: Time) {
        const SIX_MONTHS: std::time::Duration = std::time::Duration::from_secs(182 * 24 * 3600);
        if end < self.place.now.saturating_add(SIX_MONTHS) {
            let words = format!("{role} of {} expires at {end}", self.gun);
            self.out.warnings.push(Reason::new(Code::DctExpiresSoon, words));
        }
    }

    fn learn_root(&mut self, current: &RootFile<'a>, anchored: &Anchored) {
        self.learn("root", current.root.version, current.bytes);
        if !self.counts() {
            return;
        }
        for anchor in &anchored.by {
            self.out.learnt.facts.insert(root_chain::fact(&current.id(), anchor), String::new());
        }
    }

    fn learn(&mut self, role: &str, version: u64, bytes: &[u8]) {
        if !self.counts() {
            return;
        }
        self.out.learnt.floors.insert(role.to_owned(), version);
        self.out.learnt.documents.insert(role.to_owned(), Kept { version, bytes: bytes.to_vec() });
    }

    fn counts(&self) -> bool {
        !self.wrong && !self.unproven
    }

    fn trouble(&mut self, file: &str, trouble: Trouble) -> End {
        match trouble {
            Trouble::Unread => End,
            Trouble::Wrong(error) => self.fault(file, &error),
        }
    }

    fn fault(&mut self, file: &str, error: &DctError) -> End {
        self.wrong = true;
        self.problem(file, error.reason(file), None);
        End
    }

    fn problem(&mut self, file: &str, reason: Reason, principal: Option<Principal>) {
        self.out.problems.push(Problem { reason, principal, source: self.files.source(file) });
    }
}

fn canonical_ids<'k>(keys: impl Iterator<Item = &'k Key>) -> Vec<crate::key::KeyId> {
    keys.filter_map(|key| key.canonical_id().ok()).collect()
}
