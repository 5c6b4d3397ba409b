//! Docker Content Trust between trustctl and the real programs: docker with its engine, notary, notary-server, notary-signer, docker-registry.
//!
//! What trustctl signs they accept, what they sign trustctl trusts, what trustctl revokes they refuse. Every peer is first seen to refuse.
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

/// The stage, or the end of the test: what is missing has been said loudly by then.
macro_rules! set {
    ($stage:expr) => {
        match $stage {
            Some(stage) => stage,
            None => return,
        }
    };
}

mod access;
mod notary;
mod ours;
mod parallel;
mod revoke;
mod stage;
mod theirs;
