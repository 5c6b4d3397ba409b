//! Signing by identity, and by key with a log, against the lab's Sigstore: real cosign accepts what was signed and refuses another
//! signer; what services answer falsely is refused before anything is published.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

mod attest;
mod services;
mod several;
mod stage;
mod storages;
mod tokens;
