//! The real repository of the public-good instance, with a fixed clock. The folder comes from `TRUSTCTL_EXTERNAL_TESTDATA`. What is called
//! here can reach no network: a test of the layers holds that.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use trustctl_core::memory::Slot;
use trustctl_core::reason::Code;
use trustctl_lab::tuf::Files;
use trustctl_sigstore::keyless::PUBLIC_GOOD;
use trustctl_sigstore::tuf::{Beginning, PUBLIC_GOOD_ROOT, Refresh};

use crate::client::{Client, at};

/// While the timestamp of the material counts.
const THEN: &str = "2026-08-25T00:00:00Z";
/// The first root whose keys are written as the specification asks; the four before have none that the library reads.
const FIRST: u64 = 5;
const LAST: u64 = 15;

fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
        trustctl_tests::peers::skip("the public-good repository", "TRUSTCTL_EXTERNAL_TESTDATA is not set");
        return None;
    };
    Some(PathBuf::from(folder).join("sigstore/tuf-public-good"))
}

/// The files of the repository that are there: the roots and the timestamp.
fn files() -> Option<Files> {
    let metadata = folder()?.join("metadata");
    let mut files = Files::new();
    for version in FIRST..=LAST {
        let name = format!("{version}.root.json");
        files.insert(name.clone(), fs::read(metadata.join("root_history").join(name)).unwrap().into());
    }
    files.insert("timestamp.json".to_owned(), fs::read(metadata.join("timestamp.json")).unwrap().into());
    Some(files)
}

fn client(files: &Files, now: &str) -> Client {
    Client { pinned: files[&format!("{FIRST}.root.json")].clone(), slot: Slot::default(), now: at(now) }
}

#[test]
fn ten_real_rotations_and_a_real_timestamp_are_verified() {
    let Some(files) = files() else { return };
    let mut client = client(&files, THEN);
    let reason = client.refresh(&files).unwrap_err();
    assert_eq!(reason.code, Code::AnchorFileMissing, "{reason}");
    assert!(
        reason.message.contains("165.snapshot.json"),
        "the timestamp names the snapshot, which is not among the material: {reason}"
    );
    assert_eq!(client.root_version(), LAST);
    assert_eq!(client.slot.facts.len(), usize::try_from(LAST - FIRST + 1).unwrap(), "every root that led here is known");
    assert!(client.slot.floors.iter().any(|(name, version)| name.starts_with("timestamp.json@") && *version == 762));
}

/// Their keys are points in hexadecimal. Whoever pins one of them is told so, and pins a later one.
#[test]
fn the_oldest_real_roots_are_refused_and_not_misread() {
    let Some(folder) = folder() else { return };
    for version in 1..=FIRST {
        let root = fs::read(folder.join(format!("metadata/root_history/{version}.root.json"))).unwrap();
        let beginning = Beginning { root: &root, must_lead_here: true };
        let code = Refresh::begin(beginning, &Slot::default(), at(THEN)).err().map(|reason| reason.code);
        assert_eq!(code, (version < FIRST).then_some(Code::AnchorNotSigned), "root {version}");
    }
}

#[test]
fn the_real_timestamp_and_the_real_root_end_when_they_say() {
    let Some(files) = files() else { return };
    for (now, code, file) in [
        ("2026-08-28T19:25:56Z", Code::AnchorFileMissing, "165.snapshot.json"),
        ("2026-08-28T19:25:57Z", Code::AnchorExpired, "timestamp"),
        ("2026-11-20T13:58:18Z", Code::AnchorExpired, "timestamp"),
        ("2026-11-20T13:58:19Z", Code::AnchorExpired, "root"),
    ] {
        let reason = client(&files, now).refresh(&files).unwrap_err();
        assert_eq!(reason.code, code, "{now}: {reason}");
        assert!(reason.message.contains(file), "{now}: {reason}");
    }
}

#[test]
fn one_changed_bit_anywhere_in_a_real_root_is_noticed() {
    let Some(files) = files() else { return };
    let whole = files["6.root.json"].clone();
    let text = String::from_utf8(whole.to_vec()).unwrap();
    for (from, to) in
        [("\"threshold\": 3", "\"threshold\": 2"), ("\"version\": 6", "\"version\": 7"), ("2023-08-28", "2033-08-28")]
    {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let mut altered = files.clone();
        altered.insert("6.root.json".to_owned(), changed.into());
        let code = client(&files, THEN).code(&altered).unwrap();
        assert!(matches!(code, Code::AnchorNotSigned | Code::AnchorRotation), "{from}: {code}");
    }
}

/// The root that this program carries is the one that follows from the history, and so is the trusted root.
#[test]
fn what_this_program_carries_is_what_the_real_repository_leads_to() {
    let Some(mut files) = files() else { return };
    files.insert("16.root.json".to_owned(), Bytes::from_static(PUBLIC_GOOD_ROOT));
    let mut client = client(&files, THEN);
    drop(client.refresh(&files));
    assert_eq!(client.root_version(), 16);
    assert_eq!(client.slot.documents["root"].bytes, PUBLIC_GOOD_ROOT);
    let target = fs::read(folder().unwrap().join("targets/trusted_root.json")).unwrap();
    assert!(
        target == PUBLIC_GOOD.as_bytes(),
        "the trusted root has changed since the material was gathered, or the library's has"
    );
}
