//! Collections made by real programs, each judged as its README says. The folder is named by `TRUSTCTL_EXTERNAL_TESTDATA`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use trustctl_core::claim::{Principal, SchemeName};
use trustctl_core::memory::Memory;
use trustctl_core::reason::Code;
use trustctl_core::scheme::{Anchors, Context, DctAnchor, Findings, Scheme as _};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_dct::metadata::Document as _;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::targets::Targets;
use trustctl_dct::scheme::Dct;

#[expect(dead_code, reason = "shared with tests that use more of it")]
#[path = "../../crates/trustctl-dct/tests/world/shelf.rs"]
mod shelf;
use shelf::{Shelf, image};

const CLOCK: &str = "2026-11-23T00:00:00Z";

fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
        eprintln!("SKIPPED: collections made by real programs; set TRUSTCTL_EXTERNAL_TESTDATA to their folder");
        return None;
    };
    Some(PathBuf::from(folder).join("dct"))
}

/// One collection on disk.
struct Set {
    gun: String,
    shelf: Shelf,
    roles: Vec<(String, Vec<u8>)>,
}

impl Set {
    fn load(gun: &str, folder: &Path) -> Self {
        let mut set = Self { gun: gun.to_owned(), shelf: Shelf::default(), roles: Vec::new() };
        set.add(folder, "");
        assert!(!set.roles.is_empty(), "{} is empty", folder.display());
        set
    }

    fn add(&mut self, folder: &Path, prefix: &str) {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name == "targets" {
                self.add(&path, "targets/");
            } else if let Some(role) = name.strip_suffix(".json") {
                let bytes = fs::read(&path).unwrap();
                if role.ends_with(".root") {
                    self.shelf.put_as(&name, &bytes);
                } else {
                    self.shelf.put(&format!("{prefix}{role}"), &bytes);
                    self.roles.push((format!("{prefix}{role}"), bytes));
                }
            }
        }
    }

    fn bytes(&self, role: &str) -> &[u8] {
        &self.roles.iter().find(|(name, _)| name == role).unwrap().1
    }

    fn root_id(&self) -> String {
        let root = Root::from_signed(Envelope::parse(self.bytes("root")).unwrap().signed()).unwrap();
        root.root.key_ids.first().unwrap().to_string()
    }

    /// Every image that `role` signs.
    fn images(&self, role: &str) -> Vec<Subject> {
        let envelope = Envelope::parse(self.bytes(role)).unwrap();
        let targets = Targets::from_signed(envelope.signed()).unwrap().targets;
        // Docker's tags only: `notary add` also takes names that no tag can have.
        let tags = targets.iter().filter(|(tag, _)| tag.parse::<trustctl_core::reference::Tag>().is_ok());
        tags.map(|(tag, target)| image(&self.gun, Some(tag), target.digest().unwrap(), target.length)).collect()
    }

    /// Some image; for collections that must be refused whatever is asked.
    fn any_image(&self) -> Subject {
        image(&self.gun, Some("1.0"), trustctl_core::digest::Digest::sha256_of(b"own"), 523)
    }

    fn examine(&self, subject: &Subject, pin: Option<&str>, memory: &Memory, now: &str) -> Findings {
        let anchor = DctAnchor {
            signer: "test".to_owned(),
            roots: pin.into_iter().map(str::to_owned).collect(),
            authorities: Vec::new(),
            tofu: pin.is_none(),
        };
        let anchors = Anchors { dct: vec![anchor], ..Anchors::default() };
        let context = Context { anchors: &anchors, memory, now: now.parse::<Timestamp>().unwrap() };
        let gathered = self.shelf.gather(subject, &context);
        Dct.examine(subject, &gathered.evidence, &context)
    }

    /// Every image of every role is signed, by the role it is in, under the pinned root.
    fn assert_trusted(&self, now: &str) -> usize {
        let mut count = 0;
        for (role, _) in self.roles.iter().filter(|(role, _)| role.starts_with("targets")) {
            for subject in self.images(role) {
                let findings = self.examine(&subject, Some(&self.root_id()), &Memory::new(), now);
                assert_claims(&findings, role, &self.root_id());
                let by_digest = Subject { tag: None, ..subject.clone() };
                let findings = self.examine(&by_digest, None, &Memory::new(), now);
                assert!(!findings.claims.is_empty(), "{} {subject:?}: {:?}", self.gun, findings.problems);
                count += 1;
            }
        }
        count
    }
}

#[track_caller]
fn assert_claims(findings: &Findings, wanted: &str, pin: &str) {
    let found = findings.claims.iter().any(|claim| {
        matches!(&claim.principal, Principal::Role { role, anchored_by, .. } if role == wanted && *anchored_by == [pin.to_owned()])
    });
    assert!(found, "no claim by {wanted}: {:#?} {:#?}", findings.problems, findings.missing);
    assert!(findings.missing.is_empty(), "{:#?}", findings.missing);
}

#[track_caller]
fn assert_refused(findings: &Findings, code: Code) {
    assert!(findings.claims.is_empty(), "{:#?}", findings.claims);
    assert!(findings.missing.is_empty(), "{:#?}", findings.missing);
    let codes: Vec<Code> = findings.problems.iter().map(|problem| problem.reason.code).collect();
    assert!(codes.contains(&code), "{code} expected, found {:#?}", findings.problems);
}

fn remember(memory: &mut Memory, findings: &Findings) {
    for (name, slot) in &findings.learnt {
        memory.learn(SchemeName::Dct, name, slot.clone());
    }
}

#[test]
fn collections_of_the_notary_client_are_trusted() {
    let Some(folder) = folder() else { return };
    for phase in ["1-two-tags", "2-delegations", "3-custom", "4-removed", "5-snapshot-server-managed", "6-root-rotated"] {
        let set = Set::load("localhost:14005/demo/app", &folder.join("repo-cli").join(phase).join("server"));
        assert!(set.assert_trusted(CLOCK) > 0, "{phase}");
    }
}

#[test]
fn collections_with_other_key_types_are_trusted() {
    let Some(folder) = folder() else { return };
    for (name, gun) in [("repo-signer-ecdsa", "localhost:14005/demo/signer"), ("repo-rsa-root", "localhost:14005/demo/rsaroot")] {
        assert!(Set::load(gun, &folder.join(name)).assert_trusted(CLOCK) > 0, "{name}");
    }
}

#[test]
fn collections_of_the_docker_client_are_trusted() {
    let Some(folder) = folder() else { return };
    let all = folder.join("client-dirs/docker-28.2.2/trust/tuf/localhost:14005/demo");
    let mut count = 0;
    for repository in ["mix", "multi", "resign", "virgin", "web"] {
        let set = Set::load(&format!("localhost:14005/demo/{repository}"), &all.join(repository).join("metadata"));
        count += set.assert_trusted(CLOCK);
    }
    assert!(count > 5, "{count}");
}

#[test]
fn documents_of_real_programs_are_written_back_byte_for_byte() {
    let Some(folder) = folder() else { return };
    let set = Set::load("localhost:14005/demo/app", &folder.join("repo-cli/3-custom/server"));
    for (role, bytes) in &set.roles {
        let envelope = Envelope::parse(bytes).unwrap();
        let signed = match role.as_str() {
            "root" => Root::from_signed(envelope.signed()).unwrap().to_signed(),
            "snapshot" => trustctl_dct::metadata::snapshot::Snapshot::from_signed(envelope.signed()).unwrap().to_signed(),
            "timestamp" => trustctl_dct::metadata::timestamp::Timestamp::from_signed(envelope.signed()).unwrap().to_signed(),
            _ => Targets::from_signed(envelope.signed()).unwrap().to_signed(),
        };
        let written = Envelope::seal(&signed, envelope.signatures());
        assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(bytes), "{role}");
    }
}

#[test]
fn a_pin_on_the_first_root_leads_through_five_versions() {
    let Some(folder) = folder() else { return };
    let first = Set::load("localhost:14005/demo/app", &folder.join("repo-cli/1-two-tags/server")).root_id();
    let set = Set::load("localhost:14005/demo/app", &folder.join("repo-cli/6-root-rotated/server"));
    assert_ne!(first, set.root_id());
    let subject = set.images("targets").remove(0);
    let findings = set.examine(&subject, Some(&first), &Memory::new(), CLOCK);
    assert_claims(&findings, "targets", &first);
}

#[test]
fn updates_and_rotations_are_followed_and_rollbacks_refused() {
    let Some(folder) = folder() else { return };
    let state = |name: &str| {
        let mut set = Set::load("localhost:14005/att/app", &folder.join("attack").join(name));
        set.add(&folder.join("attack/roots"), "");
        set
    };
    let pin = state("s1").root_id();
    let mut memory = Memory::new();
    for name in ["s1", "s2", "s3", "s4", "s5", "s6"] {
        let set = state(name);
        let subject = set.images("targets").remove(0);
        let findings = set.examine(&subject, Some(&pin), &memory, CLOCK);
        assert_claims(&findings, "targets", &pin);
        remember(&mut memory, &findings);
        if name == "s2" {
            let other = state("other");
            assert_refused(&other.examine(&other.any_image(), None, &memory, CLOCK), Code::DctBadRotation);
        }
    }
    for name in ["s1", "s2", "s3", "s4", "s5"] {
        let set = state(name);
        let subject = set.images("targets").remove(0);
        assert_refused(&set.examine(&subject, Some(&pin), &memory, CLOCK), Code::DctRollback);
    }
    let other = state("other");
    assert_refused(&other.examine(&other.any_image(), Some(&pin), &Memory::new(), CLOCK), Code::DctRootNotPinned);
}

#[test]
fn a_jump_over_rotations_needs_every_root_between() {
    let Some(folder) = folder() else { return };
    let first = Set::load("localhost:14005/att/app", &folder.join("attack/s1"));
    let subject = first.images("targets").remove(0);
    let mut memory = Memory::new();
    let findings = first.examine(&subject, None, &memory, CLOCK);
    remember(&mut memory, &findings);
    let mut last = Set::load("localhost:14005/att/app", &folder.join("attack/s6"));
    last.add(&folder.join("attack/roots"), "");
    let findings = last.examine(&subject, None, &memory, CLOCK);
    assert!(!findings.claims.is_empty(), "{:#?}", findings.problems);
    last.shelf.remove_name("3.root.json");
    assert_refused(&last.examine(&subject, None, &memory, CLOCK), Code::DctMissingFile);
}

#[test]
fn mixed_and_tampered_collections_are_refused() {
    let Some(folder) = folder() else { return };
    for (name, role) in [("mix", "snapshot"), ("mixt", "targets")] {
        let mut set = Set::load("localhost:14005/att/app", &folder.join("attack").join(name));
        set.shelf.force(role, &fs::read(folder.join(format!("attack/{name}/override/{role}.json"))).unwrap());
        // A file that is longer than declared is not even read to its end.
        let findings = set.examine(&set.any_image(), Some(&set.root_id()), &Memory::new(), CLOCK);
        let codes: Vec<Code> = findings.problems.iter().map(|problem| problem.reason.code).collect();
        assert!(matches!(codes.as_slice(), [Code::DctHashMismatch | Code::DctWrongLength]), "{codes:?}");
    }
    let set = Set::load("localhost:14005/att/app", &folder.join("attack/tamper"));
    assert_refused(&set.examine(&set.any_image(), Some(&set.root_id()), &Memory::new(), CLOCK), Code::DctBadSignature);
}

#[test]
fn every_one_fault_collection_is_judged_as_notary_does_or_stricter() {
    let Some(folder) = folder() else { return };
    let expected = [
        ("both-Targets-and-targets", Some(Code::DctMalformed)),
        ("ecdsa-der-signature", Some(Code::DctBadSignature)),
        ("field-names-case-folded", Some(Code::DctMalformed)),
        ("keyid-does-not-match-key", Some(Code::DctKeyIdMismatch)),
        ("length-too-big", Some(Code::DctWrongLength)),
        ("length-too-small", Some(Code::DctWrongLength)),
        ("method-uppercase-and-whitespace", None),
        ("ok", None),
        ("root-cert-expired", Some(Code::DctRootCertificate)),
        ("root-cert-wildcard-cn", None),
        ("root-cert-wrong-cn", Some(Code::DctRootCertificate)),
        ("root-expired", Some(Code::DctExpired)),
        ("root-key-not-cert", Some(Code::DctRootCertificate)),
        ("sha256-only", None),
        ("sha512-only", Some(Code::DctMalformed)),
        ("snapshot-expired", Some(Code::DctExpired)),
        ("targets-expired", Some(Code::DctExpired)),
        ("threshold2-dup-signature", Some(Code::DctBadSignature)),
        ("ts-expired", Some(Code::DctExpired)),
        ("type-lowercase", Some(Code::DctMalformed)),
        ("unknown-fields", None),
    ];
    let mut judged = 0;
    for entry in fs::read_dir(folder.join("attack2")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((_, code)) = expected.iter().find(|(known, _)| *known == name) else { panic!("no verdict is known for {name}") };
        let set = Set::load("localhost:14005/att2/app", &path);
        match code {
            None => assert_eq!(set.assert_trusted(CLOCK), 1, "{name}"),
            Some(code) => assert_refused(&set.examine(&set.any_image(), None, &Memory::new(), CLOCK), *code),
        }
        judged += 1;
    }
    assert!(judged >= 13, "{judged}");
}

#[test]
fn legacy_collections_are_judged_by_the_dates_they_carry() {
    let Some(folder) = folder() else { return };
    let legacy = |version: &str, gun: &str| Set::load(gun, &folder.join(format!("legacy/{version}/tuf/{gun}/metadata")));
    let oldest = legacy("notary0.1", "docker.com/notary0.1/samplerepo");
    assert_eq!(oldest.assert_trusted(CLOCK), 1);
    let old = legacy("notary0.3", "docker.com/notary0.3/tst");
    assert!(old.assert_trusted("2026-07-01T00:00:00Z") > 0);
    assert_refused(&old.examine(&old.any_image(), None, &Memory::new(), CLOCK), Code::DctRootCertificate);
}
