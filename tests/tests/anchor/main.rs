//! What trust begins with: the TUF repositories of Sigstore instances, and the `anchor` commands.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

mod attacks;
mod client;
mod commands;
mod cosign;
mod instance;
mod interrupted;
mod public_good;
mod rotation;
mod verify;
