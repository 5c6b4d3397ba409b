//! Sigstore's other clients beside trustctl, against the lab: sigstore-python, sigstore-js, skopeo and both cosigns sign what trustctl judges
//! and judge what trustctl signs.
//!
//! Every peer first has to refuse something in the same test: its "accepted" proves nothing otherwise.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

/// The program, or the end of the test after a loud note.
macro_rules! need {
    ($peer:ident) => {
        match trustctl_tests::peers::Peer::$peer.or_skip() {
            Some(program) => program,
            None => return,
        }
    };
}

mod client;
mod cosign;
mod ours;
mod servers;
mod skopeo;
mod stage;
mod theirs;
