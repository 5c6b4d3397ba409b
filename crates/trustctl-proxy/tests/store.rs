//! The store in a process that is killed, in a file that is damaged then, and on a disk that fills up.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::time::Timestamp;
use trustctl_proxy::store::{FileRecords, Parent, Records as _, StoreOptions, TagRecord};

/// Where the child finds its file.
const FILE: &str = "TRUSTCTL_TEST_STORE";
/// How many damaged files are tried.
const ROUNDS: usize = 64;

fn repository() -> Repository {
    "r.example/app".parse().unwrap()
}

fn tag(n: u64) -> Tag {
    format!("v{n}").parse().unwrap()
}

fn digest(n: u64) -> Digest {
    Digest::sha256_of(&n.to_be_bytes())
}

#[test]
fn a_killed_process_loses_nothing_durable_and_leaves_nothing_half() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store.redb");
    let mut durable = 0;
    for round in 1..4_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "--nocapture", "writing_child"]).env(FILE, &file).stdout(Stdio::piped());
        let mut running = child.spawn().unwrap();
        let lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
        let told = lines.filter_map(|line| line.strip_prefix("durable ").map(str::to_owned));
        durable = told.take(3).last().unwrap().parse().unwrap();
        running.kill().unwrap();
        running.wait().unwrap();

        let store = FileRecords::open(&file, StoreOptions::default()).unwrap();
        let mut n = 0;
        while let Some(record) = store.tag(&repository(), &tag(n)).unwrap() {
            assert_eq!(record.digest, digest(n));
            n += 1;
        }
        assert!(n > durable, "round {round}: {n} of {durable}");
        for n in 0..=durable {
            // All children of one parent, or none.
            for child in [n, n + 1_000_000] {
                assert_eq!(store.parents(&repository(), &digest(child)).unwrap(), [Parent::Tag(tag(n))]);
            }
        }
    }
    assert!(durable > 0);
}

fn child(test: &str, file: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]).env(FILE, file);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn file_of_child() -> std::path::PathBuf {
    std::env::var_os(FILE).expect("run by another test").into()
}

/// The database ends some programs that open a damaged file without a seal; none of them is the one that starts.
#[test]
fn a_file_that_is_damaged_after_a_kill_ends_no_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store.redb");
    let mut writing = child("writing_child", &file).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(writing.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.filter(|line| line.starts_with("durable ")).take(4).count(), 4);
    writing.kill().unwrap();
    writing.wait().unwrap();
    let killed = std::fs::read(&file).unwrap();
    assert!(!folder.path().join("store.redb.seal").exists());
    let mut random = fastrand::Rng::with_seed(7);
    let (mut ended, mut aside, mut opened) = (0, 0, 0);
    for round in 0..ROUNDS {
        let mut damaged = killed.clone();
        // The first bytes are what everything else hangs on, and what was never written is never read.
        let most = if round % 2 == 0 { 512 } else { damaged.len() };
        let places: Vec<usize> = (0..most).filter(|place| damaged.get(*place) != Some(&0)).collect();
        let place = random.choice(&places).copied().unwrap();
        *damaged.get_mut(place).unwrap() ^= 1 << random.u8(..8);
        std::fs::write(&file, &damaged).unwrap();
        let _ = std::fs::remove_file(folder.path().join("store.redb.seal"));
        let survives = |file: &Path| {
            let status = child("opening_child", file).status().unwrap();
            ended += usize::from(!status.success());
            status.success()
        };
        let (store, moved) = FileRecords::open_or_begin_anew(&file, &StoreOptions::default(), survives).unwrap();
        if moved.is_some() {
            aside += 1
        } else {
            opened += 1
        }
        if let Some(record) = store.tag(&repository(), &tag(3)).unwrap() {
            assert_eq!(record.digest, digest(3));
        }
        drop(store);
    }
    println!("of {ROUNDS} damaged files {ended} end the program that opens them; {aside} were set aside, {opened} opened");
    assert_eq!(aside + opened, ROUNDS);
}

#[test]
#[ignore = "run as a child process by a_file_that_is_damaged_after_a_kill_ends_no_start"]
fn opening_child() {
    // An error that is told is no end.
    drop(FileRecords::open(file_of_child(), StoreOptions::default()));
}

#[test]
fn a_disk_that_was_full_is_forgotten() {
    let folder = TempDir::new().unwrap();
    let script = "mount -t tmpfs -o size=4m none \"$1\" && exec \"$0\" --ignored --exact full_child";
    let mut unshared = Command::new("unshare");
    unshared.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(folder.path());
    let possible = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("SKIPPED: no small disk can be mounted here (unshare --map-root-user --mount)");
        return;
    }
    let done = unshared.env(FILE, folder.path().join("store.redb")).output().unwrap();
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[test]
#[ignore = "run as a child process by a_disk_that_was_full_is_forgotten"]
fn full_child() {
    let file = file_of_child();
    let store = FileRecords::open(&file, StoreOptions::default()).unwrap();
    let at = Timestamp::from_unix_seconds(4_000_000_000).unwrap();
    let keep = |n: u64| {
        let record = TagRecord { digest: digest(n), size: 1, media_type: "x/y".repeat(200), at };
        store.keep_tag(&repository(), &tag(n), &record)
    };
    keep(0).unwrap();
    store.flush().unwrap();
    let filler = file.with_extension("filler");
    let full = std::fs::write(&filler, vec![7; 8 << 20]);
    assert!(full.is_err(), "the disk has 4 MiB");
    let error = (1..20_000).find_map(|n| keep(n).and_then(|()| store.flush()).err()).expect("the disk is full");
    assert_eq!(error.reason().code, trustctl_core::reason::Code::StoreFailed, "{error}");

    std::fs::remove_file(filler).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while let Err(error) = keep(1_000_000).and_then(|()| store.flush()) {
        assert!(Instant::now() < end, "{error}");
        std::thread::yield_now();
    }
    drop(store);
    let store = FileRecords::open(&file, StoreOptions::default()).unwrap();
    for n in [0, 1_000_000] {
        assert_eq!(store.tag(&repository(), &tag(n)).unwrap().unwrap().digest, digest(n), "what was durable is there");
    }
}

#[test]
#[ignore = "run as a child process by a_killed_process_loses_nothing_durable_and_leaves_nothing_half"]
fn writing_child() {
    let file = std::env::var_os(FILE).expect("run by another test");
    let store = FileRecords::open(file, StoreOptions::default()).unwrap();
    let at = Timestamp::from_unix_seconds(4_000_000_000).unwrap();
    let first = (0..).find(|n| store.tag(&repository(), &tag(*n)).unwrap().is_none()).unwrap();
    for n in first.. {
        let parent = Parent::Tag(tag(n));
        store.keep_edges(&repository(), &parent, &[digest(n), digest(n + 1_000_000)]).unwrap();
        let record = TagRecord { digest: digest(n), size: 1, media_type: "x/y".to_owned(), at };
        store.keep_tag(&repository(), &tag(n), &record).unwrap();
        if n % 50 == 49 {
            store.flush().unwrap();
            writeln!(std::io::stdout(), "\ndurable {n}").unwrap();
        }
    }
}
