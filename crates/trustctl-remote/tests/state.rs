//! The memory on disk: several writers, kills at any moment, damage, permissions.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use trustctl_core::claim::SchemeName;
use trustctl_core::memory::{Document, Slot};
use trustctl_core::reason::Code;
use trustctl_remote::state::Store;

const GUN: &str = "registry.example/shop/cart";
/// Tells a child process of this test where to write; without it the child does nothing.
const CHILD_FOLDER: &str = "TRUSTCTL_TEST_STATE_FOLDER";
const CHILD_NAME: &str = "TRUSTCTL_TEST_STATE_NAME";

fn floor(name: &str, value: u64) -> Slot {
    Slot { floors: BTreeMap::from([(name.to_owned(), value)]), ..Slot::default() }
}

fn learn(store: &Store, slot: Slot) {
    store.learn(SchemeName::Dct, &[(GUN.to_owned(), slot)]).unwrap();
}

fn stored(store: &Store) -> Slot {
    store.load([(SchemeName::Dct, GUN)]).unwrap().slot(SchemeName::Dct, GUN).cloned().unwrap_or_default()
}

fn code_of_loading(store: &Store) -> (Code, String) {
    let reason = store.load([(SchemeName::Dct, GUN)]).unwrap_err();
    (reason.code, reason.message)
}

#[test]
fn what_was_learnt_is_there_in_the_next_run_and_only_grows() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    assert!(store.load([(SchemeName::Dct, GUN)]).unwrap().is_empty(), "nothing seen yet is not an error");
    learn(&store, floor("timestamp", 7));
    learn(&store, floor("timestamp", 5));
    learn(&store, floor("snapshot", 2));
    let again = stored(&Store::new(folder.path()));
    assert_eq!(again.floors, BTreeMap::from([("snapshot".to_owned(), 2), ("timestamp".to_owned(), 7)]));
    assert!(store.load([(SchemeName::Cosign, GUN)]).unwrap().is_empty(), "schemes do not share names");
}

#[test]
fn a_run_that_learns_nothing_new_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    learn(&store, floor("timestamp", 7));
    let path = store.path(SchemeName::Dct, GUN);
    let old = std::fs::File::open(&path).unwrap();
    learn(&store, floor("timestamp", 6));
    let inode = |metadata: std::fs::Metadata| std::os::unix::fs::MetadataExt::ino(&metadata);
    assert_eq!(inode(old.metadata().unwrap()), inode(std::fs::metadata(&path).unwrap()), "the file was not replaced");
    learn(&store, floor("timestamp", 8));
    assert_ne!(inode(old.metadata().unwrap()), inode(std::fs::metadata(&path).unwrap()));
}

#[test]
fn several_names_are_learnt_at_once_and_listed_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let learnt = [("b".to_owned(), floor("x", 1)), ("a".to_owned(), floor("x", 2)), ("b".to_owned(), floor("x", 3))];
    store.learn(SchemeName::Cosign, &learnt).unwrap();
    let all: Vec<(String, u64)> =
        store.all().unwrap().into_iter().map(|one| (one.name, one.slot.floors.get("x").copied().unwrap_or_default())).collect();
    assert_eq!(all, [("a".to_owned(), 2), ("b".to_owned(), 3)]);
    assert!(store.forget(SchemeName::Cosign, "a").unwrap());
    assert!(!store.forget(SchemeName::Cosign, "a").unwrap());
    assert_eq!(store.all().unwrap().len(), 1);
}

#[test]
fn a_damaged_file_is_an_error_that_names_it_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    learn(&store, floor("timestamp", 7));
    let path = store.path(SchemeName::Dct, GUN);
    let good = std::fs::read_to_string(&path).unwrap();
    let half: String = good.chars().take(good.len() / 2).collect();
    let damages = [
        String::new(),
        half,
        "\0".repeat(good.len()),
        good.replace("memory/v1", "memory/v9"),
        good.replace(GUN, "registry.example/shop/other"),
        good.replace("\"slot\"", "\"slots\""),
        format!("{good}{good}"),
    ];
    for damaged in damages {
        std::fs::write(&path, &damaged).unwrap();
        let (code, message) = code_of_loading(&store);
        assert_eq!(code, Code::ConfigUnusable, "{damaged}");
        assert!(message.contains(&path.display().to_string()), "{message}");
        let learnt = store.learn(SchemeName::Dct, &[(GUN.to_owned(), floor("timestamp", 9))]);
        assert_eq!(learnt.unwrap_err().code, Code::ConfigUnusable);
        assert_eq!(store.all().unwrap_err().code, Code::ConfigUnusable);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "nothing overwrites what may be restored");
    }
    assert!(store.forget(SchemeName::Dct, GUN).unwrap(), "a user may start afresh even then");
}

#[test]
fn only_the_user_can_read_and_write_the_memory() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("not").join("yet");
    let store = Store::new(&state);
    learn(&store, floor("timestamp", 7));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.join("memory")), 0o700);
    assert_eq!(mode(&store.path(SchemeName::Dct, GUN)), 0o600);
    std::fs::set_permissions(state.join("memory"), std::fs::Permissions::from_mode(0o770)).unwrap();
    let (code, message) = code_of_loading(&store);
    assert_eq!(code, Code::ConfigUnusable);
    assert!(message.contains("other users"), "{message}");
}

#[test]
fn a_link_left_where_the_new_file_is_written_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    learn(&store, floor("timestamp", 7));
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, store.path(SchemeName::Dct, GUN).with_extension("new")).unwrap();
    learn(&store, floor("timestamp", 8));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(stored(&store).floors.get("timestamp"), Some(&8));
}

#[test]
fn a_writer_gives_up_when_another_process_never_releases_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    learn(&store, floor("timestamp", 7));
    let held = std::fs::File::open(folder.path().join("memory").join("lock")).unwrap();
    held.lock().unwrap();
    assert_eq!(stored(&store).floors.get("timestamp"), Some(&7), "readers need no lock");
    let refused = store.learn(SchemeName::Dct, &[(GUN.to_owned(), floor("timestamp", 8))]).unwrap_err();
    assert_eq!(refused.code, Code::LocalFile);
    held.unlock().unwrap();
    learn(&store, floor("timestamp", 8));
}

#[test]
fn eight_writers_lose_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8_u64 {
            let store = Store::new(folder.path());
            scope.spawn(move || (1..=5).for_each(|value| learn(&store, floor(&format!("writer-{writer}"), value))));
        }
    });
    let floors = stored(&Store::new(folder.path())).floors;
    assert_eq!(floors.len(), 8);
    assert!(floors.values().all(|value| *value == 5), "{floors:?}");
}

/// Not a test by itself: what the killed processes of the next test run.
#[test]
#[ignore = "run as a child process by killed_writers_leave_a_whole_file_and_lose_nothing_they_reported"]
fn writing_child() {
    let (Ok(folder), Ok(name)) = (std::env::var(CHILD_FOLDER), std::env::var(CHILD_NAME)) else { return };
    let store = Store::new(folder);
    let start = stored(&store).floors.get(&name).copied().unwrap_or_default();
    for value in start + 1.. {
        let mut slot = floor(&name, value);
        // Large enough that a write takes a while, of a size that changes.
        let bytes = vec![b'x'; usize::try_from(50_000 + value * 977 % 100_000).unwrap()];
        slot.documents.insert(name.clone(), Document { version: value, bytes });
        learn(&store, slot);
        writeln!(std::io::stderr(), "{value}").unwrap();
    }
}

/// A child that has reported at least one value.
fn start_child(folder: &Path, name: &str) -> (Child, BufReader<std::process::ChildStderr>, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "writing_child"])
        .env(CHILD_FOLDER, folder)
        .env(CHILD_NAME, name)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    (child, output, first.trim().parse().unwrap())
}

#[test]
fn killed_writers_leave_a_whole_file_and_lose_nothing_they_reported() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let mut reported = BTreeMap::new();
    for round in 0..25_u64 {
        let mut children: Vec<_> = ["a", "b"].map(|name| (name, start_child(folder.path(), name))).into();
        std::thread::sleep(Duration::from_micros(round * 7919 % 30_011));
        for (name, (child, output, first)) in &mut children {
            reported.insert(*name, *first);
            child.kill().unwrap();
            child.wait().unwrap();
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            // The last line may be cut; every whole one before it was reported after it was on disk.
            if let Some(last) = rest.rsplit_once('\n').and_then(|(whole, _)| whole.lines().last()) {
                reported.insert(*name, last.parse::<u64>().unwrap());
            }
        }
        let slot = stored(&store);
        for (name, value) in &reported {
            assert!(slot.floors.get(*name).is_some_and(|stored| stored >= value), "round {round}: {name} lost {value}");
            assert!(slot.documents.get(*name).is_some_and(|document| document.version >= *value));
        }
    }
    assert!(reported.values().all(|value| *value >= 25), "every child of every round wrote: {reported:?}");
}

#[test]
fn a_store_that_is_only_read_gives_what_is_stored_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let reader = Store::read_only(&state);
    learn(&reader, floor("timestamp", 9));
    assert!(!state.exists(), "nothing is created");
    learn(&Store::new(&state), floor("timestamp", 7));
    learn(&reader, floor("timestamp", 9));
    assert_eq!(stored(&reader).floors, BTreeMap::from([("timestamp".to_owned(), 7)]));
    assert_eq!(reader.forget(SchemeName::Dct, GUN).unwrap_err().code, Code::LocalFile);
    assert_eq!(stored(&reader).floors, BTreeMap::from([("timestamp".to_owned(), 7)]));
}
