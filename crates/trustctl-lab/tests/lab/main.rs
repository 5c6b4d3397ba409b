//! The lab over real HTTP: protocols, faults, and the powers of an attacker.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod access;
mod faults;
mod registry;
mod support;
