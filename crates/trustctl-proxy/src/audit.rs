//! The log of decisions: one JSON object a line, each with the hash of the line before it.
//!
//! - [`AuditLog`] writes: one thread, in order, in batches; who appends waits when it falls behind, so that nothing is lost silently.
//!   What could not be written (a full disk) is counted, and the count is recorded when writing works again.
//! - A line that a killed process left half is set aside in a file of its own, with a record that says so; the chain goes on.
//! - Files that have grown to their size are renamed, and the chain goes on in the next one.
//! - [`verify`] reads all of it, line by line, and names the first line that does not follow from the one before it. Where older files
//!   were put away, [`verify_after`] is told the hash from which the first line that is left has to follow.
//!
//! The chain shows that lines were changed, added, moved or removed in between. Whoever can write to the file can still remove lines at
//! its end or write all of it anew: copy the last hash ([`Summary::head`]) elsewhere to notice that.
//!
//! In reading order: [`line`](mod@line) (what a line is), [`record`] (what is recorded), `log`, `spare` and `writer` (writing), `check` (verifying), `tail` (reading).

mod check;
pub mod line;
mod log;
pub mod record;
mod spare;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub use check::{Summary, verify, verify_after, verify_lines};
pub use log::{AuditLog, AuditOptions};
pub use record::Record;
pub use tail::{Follow, last_lines};
