//! The real cosign 3 (go-tuf) as a second opinion: it takes the lab's repositories, and refuses what is refused here.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;
use trustctl_lab::tuf::{Key, KeyKind, LabTuf, Repository, Role};
use trustctl_sigstore::tuf::Target;
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::run;

use crate::client::{Client, new_key, rotate, trusted_root};
use crate::commands::now;

const LIMIT: Duration = Duration::from_secs(60);

/// A user of cosign who begins with the first root of a repository.
struct Cosign {
    program: Program,
    home: TempDir,
}

impl Cosign {
    fn new(program: &Program, repository: &Repository) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("root.json"), repository.root(1).unwrap()).unwrap();
        Self { program: program.clone(), home }
    }

    /// Whether cosign takes what the server serves; and what it said.
    fn takes(&self, server: &LabTuf) -> (bool, String) {
        let root = self.home.path().join("root.json").display().to_string();
        let mut command = self.program.command(self.home.path());
        // Whoever else it might want to ask is behind a closed port.
        command.env("HTTPS_PROXY", "http://127.0.0.1:1").args(["initialize", "--mirror", &server.url(), "--root", &root]);
        let ran = run(&mut command, LIMIT).unwrap();
        (ran.success(), ran.output())
    }
}

fn repository() -> Repository {
    let targets = Target::ALL.map(|target| match target {
        Target::TrustedRoot => (target.name().to_owned(), trusted_root(1).into()),
        _ => (
            target.name().to_owned(),
            json!({"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}).to_string().into(),
        ),
    });
    Repository::create(targets.into(), now()).unwrap()
}

#[test]
fn cosign_takes_and_refuses_the_same_repositories() {
    let Some(program) = Peer::Cosign3.or_skip() else { return };
    let base = repository();
    let changed = |change: &dyn Fn(&mut Repository)| {
        let mut repository = base.clone();
        change(&mut repository);
        repository.publish().unwrap();
        repository
    };
    let past: Timestamp = "2026-01-01".parse().unwrap();
    let stranger = Key::generate(KeyKind::Ed25519).unwrap();
    for (what, repository) in [
        ("as it is", base.clone()),
        ("a rotated root", changed(&|repository| rotate(repository, Role::Root, new_key(KeyKind::Ecdsa)))),
        ("rotated online keys", changed(&|repository| rotate(repository, Role::Timestamp, new_key(KeyKind::Ed25519)))),
        ("an ended timestamp", changed(&|repository| repository.role(Role::Timestamp).unwrap().expires = past)),
        ("ended targets", changed(&|repository| repository.role(Role::Targets).unwrap().expires = past)),
        (
            "a stranger's snapshot",
            changed(&|repository| repository.role(Role::Snapshot).unwrap().signed_by = vec![stranger.clone()]),
        ),
    ] {
        let server = LabTuf::start(0, repository.files()).unwrap();
        let (taken, said) = Cosign::new(&program, &base).takes(&server);
        let ours = Client { now: now(), ..Client::of(&base) }.refresh(&repository.files());
        assert_eq!(taken, ours.is_ok(), "{what}: {ours:?}; cosign: {said}");
    }
}

/// `cosign initialize` forgets what it saw, and takes an older state that has not ended. Here `anchor update` begins anew only after
/// `anchor forget`.
#[test]
fn an_older_state_is_refused_here_that_cosign_initialize_takes() {
    let Some(program) = Peer::Cosign3.or_skip() else { return };
    let mut repository = repository();
    let (old, cosign) = (repository.files(), Cosign::new(&program, &repository));
    repository.release().unwrap();
    let server = LabTuf::start(0, repository.files()).unwrap();
    let mut ours = Client { now: now(), ..Client::of(&repository) };
    assert!(cosign.takes(&server).0 && ours.refresh(&repository.files()).is_ok());
    server.serve(old.clone());
    let (taken, said) = cosign.takes(&server);
    assert!(taken, "{said}");
    assert_eq!(ours.code(&old), Some(Code::AnchorRolledBack));
}
