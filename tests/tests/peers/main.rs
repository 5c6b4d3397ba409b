//! Every real peer starts, works and can refuse: without that, its "accepted" in another test would prove nothing.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use trustctl_tests::peers::Program;
use trustctl_tests::process::{Ran, run};
use trustctl_tests::registry::{DebianRegistry, Options};

/// The program, or the end of the test after a loud note.
macro_rules! need {
    ($peer:ident) => {
        match Peer::$peer.or_skip() {
            Some(program) => program,
            None => return,
        }
    };
}

mod clients;
mod cosign;
mod local;
mod registries;
mod trust;

fn ran(mut command: Command) -> Ran {
    run(&mut command, Duration::from_secs(60)).unwrap()
}

fn ran_in(home: &Path, program: &Program, arguments: &[&str]) -> Ran {
    let mut command = program.command(home);
    command.args(arguments);
    ran(command)
}

#[track_caller]
fn accepts(ran: Ran) -> Ran {
    match ran.ok() {
        Ok(ran) => ran,
        Err(failure) => panic!("{failure}"),
    }
}

#[track_caller]
fn refuses(ran: &Ran, because: &str) {
    assert!(!ran.success(), "it should have been refused: {} {}", ran.command, ran.output());
    assert!(ran.output().contains(because), "refused for another reason than {because:?}: {}", ran.output());
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open_registry(program: &Program) -> DebianRegistry {
    DebianRegistry::start(program, &Options::default()).unwrap()
}
