//! Whether a collection that was read may be changed: whatever is signed anew counts as new, so nothing old may slip in.

use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::scheme::Problem;

use super::current::{Files, read};
use crate::collection::Collection;
use crate::error::DctError;
use crate::metadata::targets::Targets;
use crate::reading::Reading;
use crate::role::RoleName;

/// The collection of a reading, when nothing speaks against it but what publishing mends: an end date, and a delegation whose
/// present keys did not sign its file (a signer's key was replaced).
///
/// # Errors
/// The reason of the first other problem, such as [`Code::DctRollback`] of any role: who signs old content anew gives it a higher
/// version and a later end date, and brings back what was revoked. [`Code::DctNoData`] when there is no collection.
pub fn editable(reading: &Reading) -> Result<&Collection, Reason> {
    if let Some(problem) = reading.problems.iter().find(|problem| !is_mended(problem)) {
        return Err(problem.reason.clone());
    }
    reading.collection.as_ref().ok_or_else(|| {
        let first = reading.problems.first().map(|problem| problem.reason.clone());
        first.unwrap_or_else(|| Reason::new(Code::DctNoData, "the trust data could not be read"))
    })
}

fn is_mended(problem: &Problem) -> bool {
    let of_a_delegation = problem.principal.is_some();
    problem.reason.code == Code::DctExpired || (of_a_delegation && problem.reason.code == Code::DctBadSignature)
}

impl Files {
    /// Adds the file of a delegation that was read beside the chain of hashes, under the name that [`Collection::file_of`] gives;
    /// `None` when the server has none. That its role signed it is checked by [`Current::open`](super::Current::open).
    ///
    /// # Errors
    /// [`Code::DctRollback`] when it is older than what `remembered` says was seen, or when nothing is there of what was seen;
    /// [`Code::DctMalformed`] when that cannot be told; [`Code::DctHashMismatch`] or [`Code::DctWrongLength`] when it is not the
    /// file that the snapshot names.
    pub fn add(
        &mut self,
        (collection, role): (&Collection, RoleName),
        bytes: Option<Vec<u8>>,
        remembered: Option<&Slot>,
    ) -> Result<(), Reason> {
        let seen = remembered.and_then(|slot| slot.floors.get(role.as_str())).copied().unwrap_or(0);
        let wrong = |error: DctError| error.reason(&format!("{role}.json"));
        let Some(bytes) = bytes else {
            return if seen == 0 { Ok(()) } else { Err(wrong(DctError::Withdrawn { seen })) };
        };
        if let Some(meta) = collection.snapshot.document.delegations.get(&role) {
            meta.check(&bytes).map_err(wrong)?;
        }
        // What was never seen cannot be older, and a file that cannot be read counts for nothing.
        if seen > 0 {
            let offered = read::<Targets>(&bytes).map_err(wrong)?.0.version;
            if offered < seen {
                return Err(wrong(DctError::Rollback { seen, offered }));
            }
        }
        self.delegations.insert(role, bytes);
        Ok(())
    }
}
