//! Editing collections: every result is read back through the reading side, from a server that keeps Notary's rules.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed one fails the test")]

mod accept;
mod conflicts;
mod delegations;
mod keep;
mod keys;
mod revoking;
mod rotation;
mod signing;
mod world;
