//! The kinds of work on the disk: what one kind has to do is not waited for by another.

use crate::jobs::Jobs;

/// Files that are at work at once, of each kind: more keep a disk no busier.
const AT_ONCE: usize = 4;

/// The turns of one cache's work.
pub(super) struct Turns {
    /// Clients' files: opened, and read where they are small.
    pub(super) looks: Jobs,
    /// Whole files for those who decide.
    pub(super) reads: Jobs,
    /// Large files that are hashed before their first use: as many as there are processors.
    pub(super) checks: Jobs,
    /// What transfers create, hash, write and publish.
    pub(super) writes: Jobs,
    /// What those who decide keep.
    pub(super) puts: Jobs,
    /// What is removed to make room.
    pub(super) evictions: Jobs,
}

impl Default for Turns {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            looks: Jobs::at_once(AT_ONCE),
            reads: Jobs::at_once(AT_ONCE),
            checks: Jobs::at_once(processors),
            writes: Jobs::at_once(AT_ONCE),
            puts: Jobs::at_once(AT_ONCE),
            evictions: Jobs::at_once(1),
        }
    }
}
