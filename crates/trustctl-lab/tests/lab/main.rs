//! The lab over real HTTP: protocols, faults, and the powers of an attacker.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod access;
mod faults;
mod notary_server;
mod notary_uploads;
mod owner;
mod registry;
mod sigstore;
mod support;
mod world;
