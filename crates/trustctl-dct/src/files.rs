//! Looking files up: in the evidence, and in what was verified before and still has the right hash.

use trustctl_core::claim::Source;
use trustctl_core::evidence::{Entry, Evidence, Locator, RefusalKind, Want};
use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::scheme::Missing;

use crate::error::{DctError, Malformed};
use crate::metadata::{FileMeta, MAX_FILE, MAX_TIMESTAMP};

/// Longest root that no parent declares a length for, in bytes: [`crate::metadata::MAX_ROOT_KEYS`] keys with room for certificates.
const MAX_ROOT: u64 = 4 * 1024 * 1024;

/// The bytes of a file and where they came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    pub(crate) bytes: &'a [u8],
    /// Whether they were kept from an earlier verification.
    pub(crate) cached: bool,
}

/// Why there is no file.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// It could not be read; recorded as missing.
    Unread,
    /// It was read, and is wrong; or the server says that it does not exist.
    Wrong(DctError),
}

/// The files of one collection, and a record of what was looked for in vain.
pub(crate) struct Files<'a> {
    gun: &'a Repository,
    evidence: &'a Evidence,
    slot: Option<&'a Slot>,
    /// Whether the timestamp kept here may stand in for a server that cannot be reached.
    kept_timestamp: bool,
    /// Whether it did.
    pub(crate) used_kept_timestamp: bool,
    pub(crate) wants: Vec<Want>,
    pub(crate) missing: Vec<Missing>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(gun: &'a Repository, evidence: &'a Evidence, slot: Option<&'a Slot>) -> Self {
        Self { gun, evidence, slot, kept_timestamp: true, used_kept_timestamp: false, wants: Vec::new(), missing: Vec::new() }
    }

    /// Like [`Files::new`], but a server that cannot be reached leaves the timestamp missing.
    pub(crate) fn without_kept_timestamp(gun: &'a Repository, evidence: &'a Evidence, slot: Option<&'a Slot>) -> Self {
        Self { kept_timestamp: false, ..Self::new(gun, evidence, slot) }
    }

    /// `timestamp.json`: from the evidence, or the copy kept here when the server could not be reached. Credentials that are
    /// refused are no such case: whoever may not look any more must not believe an old answer.
    pub(crate) fn timestamp(&mut self) -> Result<File<'a>, Trouble> {
        if let Some(Entry::Refused(refusal)) = self.entry("timestamp.json")
            && refusal.kind == RefusalKind::Unavailable
            && self.kept_timestamp
            && let (Some(bytes), Some(_)) = (self.kept("timestamp"), self.kept("root"))
        {
            self.used_kept_timestamp = true;
            return Ok(File { bytes, cached: true });
        }
        self.undeclared("timestamp.json", MAX_TIMESTAMP)
    }

    /// `root.json`, or `N.root.json`.
    pub(crate) fn root(&mut self, version: Option<u64>) -> Result<File<'a>, Trouble> {
        let name = version.map_or_else(|| "root.json".to_owned(), |version| format!("{version}.root.json"));
        self.undeclared(&name, MAX_ROOT)
    }

    /// `root.json`, if it was asked for and is there.
    pub(crate) fn root_if_present(&self) -> Option<File<'a>> {
        self.evidence.bytes(&self.locator("root.json")).map(|bytes| File { bytes, cached: false })
    }

    /// Whether the server says that `root.json` does not exist.
    pub(crate) fn root_is_absent(&self) -> bool {
        matches!(self.entry("root.json"), Some(Entry::Absent))
    }

    /// The file of `role` that has the declared hashes and length.
    pub(crate) fn declared(&mut self, role: &str, meta: &FileMeta) -> Result<File<'a>, Trouble> {
        if meta.length > MAX_FILE {
            return Err(Trouble::Wrong(Malformed::TooMany { what: "MiB declared for one file", limit: 100 }.into()));
        }
        if let Some(bytes) = self.kept(role).filter(|bytes| meta.check(bytes).is_ok()) {
            return Ok(File { bytes, cached: true });
        }
        let name = by_hash(role, meta);
        if let Some(Entry::Refused(refusal)) = self.entry(&name)
            && refusal.kind == RefusalKind::TooLarge
        {
            return Err(Trouble::Wrong(DctError::WrongLength { declared: meta.length, actual: None }));
        }
        let file = self.undeclared(&name, meta.length)?;
        meta.check(file.bytes).map_err(Trouble::Wrong)?;
        Ok(file)
    }

    /// Asks for a declared file ahead of need, unless it is here.
    pub(crate) fn ask_ahead(&mut self, role: &str, meta: &FileMeta) {
        let name = by_hash(role, meta);
        let kept = self.kept(role).is_some_and(|bytes| meta.check(bytes).is_ok());
        if !kept && meta.length <= MAX_FILE && self.entry(&name).is_none() {
            self.want(&name, meta.length);
        }
    }

    /// The bytes remembered for `role`, verified when they were stored.
    pub(crate) fn kept(&self, role: &str) -> Option<&'a [u8]> {
        self.slot?.documents.get(role).map(|document| document.bytes.as_slice())
    }

    /// The lowest version of `role` that may still be offered.
    pub(crate) fn floor(&self, role: &str) -> u64 {
        self.slot.and_then(|slot| slot.floors.get(role)).copied().unwrap_or(0)
    }

    /// Where `file` is, for reports.
    pub(crate) fn source(&self, file: &str) -> Source {
        Source { form: "notary".to_owned(), at: self.locator(file).to_string() }
    }

    fn undeclared(&mut self, name: &str, max_bytes: u64) -> Result<File<'a>, Trouble> {
        match self.entry(name) {
            Some(Entry::Present { bytes, .. }) => Ok(File { bytes, cached: false }),
            Some(Entry::Absent) => Err(Trouble::Wrong(DctError::MissingFile)),
            Some(Entry::Refused(refusal)) => {
                let reason = refusal.reason(&self.locator(name));
                self.missing.push(Missing { reason, may_hide_revocation: false });
                Err(Trouble::Unread)
            }
            None => {
                self.want(name, max_bytes);
                let reason = Reason::new(Code::NotGathered, format!("{} was not asked for", self.locator(name)));
                self.missing.push(Missing { reason, may_hide_revocation: false });
                Err(Trouble::Unread)
            }
        }
    }

    fn want(&mut self, name: &str, max_bytes: u64) {
        let want = Want { locator: self.locator(name), max_bytes };
        if !self.wants.contains(&want) {
            self.wants.push(want);
        }
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.evidence.entry(&self.locator(name))
    }

    fn locator(&self, name: &str) -> Locator {
        Locator::Notary { gun: self.gun.clone(), file: name.to_owned() }
    }
}

/// The name under which the server keeps every version of a file: `targets/releases.<sha256>.json`.
pub(crate) fn by_hash(role: &str, meta: &FileMeta) -> String {
    format!("{role}.{}.json", meta.sha256.hex())
}
