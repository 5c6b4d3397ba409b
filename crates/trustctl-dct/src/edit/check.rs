//! Reading an upload as its readers and the server will, before it is sent.

use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use super::current::{Current, read};
use super::keep;
use super::upload::Upload;
use crate::metadata::Document;
use crate::metadata::envelope::Envelope;
use crate::metadata::root::Root;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::targets::Targets;
use crate::role::RoleName;
use crate::root_chain::RootFile;

/// Checks that `upload` follows on `current` and verifies at `now`; [`apply`](super::apply) has done so for what it returns.
///
/// Rules: every file is signed by its role's keys and, a root, by the keys of the root before; root keys have certificates for
/// this GUN that are valid now; each version is one higher than the one before; nothing has expired; a snapshot names the exact
/// bytes; and the bytes are those that Notary itself would write, for its server hashes what it has written out again.
///
/// # Errors
/// [`Code::DctSelfCheck`] with what is wrong first. An empty upload has no fault.
pub fn verify_upload(upload: &Upload, current: &Current, now: Timestamp) -> Result<(), Reason> {
    if upload.is_empty() {
        return Ok(());
    }
    let failed = |reason: Reason| Reason {
        code: Code::DctSelfCheck,
        message: format!("the new files do not verify: {}", reason.message),
        ..reason
    };
    let after = current.after(upload).map_err(failed)?;
    let check = Check { upload, current, after: &after, now };
    upload.files().iter().try_for_each(|(role, bytes)| check.file(role, bytes)).map_err(failed)
}

struct Check<'a> {
    upload: &'a Upload,
    current: &'a Current,
    after: &'a Current,
    now: Timestamp,
}

impl Check<'_> {
    fn file(&self, role: &RoleName, bytes: &[u8]) -> Result<(), Reason> {
        match role.as_str() {
            "root" => {
                self.document::<Root>(role, bytes)?;
                self.root(bytes)
            }
            "snapshot" => {
                self.document::<Snapshot>(role, bytes)?;
                self.snapshot(bytes)
            }
            _ => {
                self.document::<Targets>(role, bytes)?;
                let signed = self.after.role(role).is_some();
                if signed { Ok(()) } else { wrong(role, "is not signed by the keys of its role") }
            }
        }
    }

    fn document<T: Document>(&self, role: &RoleName, bytes: &[u8]) -> Result<(), Reason> {
        let (document, envelope) = read::<T>(bytes).map_err(|error| error.reason(role.as_str()))?;
        if document.version() != self.current.version(role).saturating_add(1) {
            return wrong(role, "is not one version higher than before");
        }
        if document.expires().time() <= self.now {
            return wrong(role, "has expired already");
        }
        if Envelope::seal(envelope.signed(), envelope.signatures()) != bytes {
            return wrong(role, "is not written the way Notary writes it");
        }
        keep::check::<T>(role, bytes)
    }

    fn root(&self, bytes: &[u8]) -> Result<(), Reason> {
        let refused = |error: crate::error::DctError| error.reason("root");
        let file = RootFile::parse(bytes).map_err(refused)?;
        file.check(self.current.gun(), Some(self.now)).map_err(refused)?;
        let Some(before) = self.current.root() else { return Ok(()) };
        let (_, envelope) = read::<Root>(bytes).map_err(refused)?;
        envelope.verify(&before.root, &before.keys).map(drop).map_err(refused)
    }

    fn snapshot(&self, bytes: &[u8]) -> Result<(), Reason> {
        let refused = |error: crate::error::DctError| error.reason("snapshot");
        let (snapshot, envelope) = read::<Snapshot>(bytes).map_err(refused)?;
        let root = self.after.root().ok_or_else(|| super::current::no_data(self.current.gun()))?;
        envelope.verify(&root.snapshot, &root.keys).map_err(refused)?;
        let files = self.after.files().ok_or_else(|| super::current::no_data(self.current.gun()))?;
        snapshot.root.check(&files.root).map_err(refused)?;
        snapshot.targets.check(&files.targets).map_err(refused)?;
        for (role, _) in self.after.roles().filter(|(role, _)| role.is_delegation()) {
            match (snapshot.delegations.get(role), files.delegations.get(role)) {
                (Some(named), Some(bytes)) => named.check(bytes).map_err(refused)?,
                _ => return wrong(role, "is not in the snapshot"),
            }
        }
        for (role, bytes) in self.upload.files().iter().filter(|(role, _)| role.is_delegation()) {
            let named = snapshot.delegations.get(role).ok_or_else(|| error(role, "is not in the snapshot"))?;
            named.check(bytes).map_err(refused)?;
        }
        Ok(())
    }
}

fn wrong<T>(role: &RoleName, what: &str) -> Result<T, Reason> {
    Err(error(role, what))
}

fn error(role: &RoleName, what: &str) -> Reason {
    Reason::new(Code::DctSelfCheck, format!("{role} {what}"))
}
