//! Cosign's signatures between trustctl and the real programs: cosign 2 and 3, skopeo, docker-registry and ferro-oci-server.
//!
//! Every peer first has to refuse something in the same test: its "accepted" proves nothing otherwise.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

/// The program, or the end of the test after a loud note.
macro_rules! need {
    ($peer:ident) => {
        match trustctl_tests::peers::Peer::$peer.or_skip() {
            Some(program) => program,
            None => return,
        }
    };
}

mod access;
mod attest;
mod matrix;
mod revoke;
mod skopeo;
mod stage;
mod together;
mod weaknesses;
