//! The store in a process that is killed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::time::Timestamp;
use trustctl_proxy::store::{FileRecords, Parent, Records as _, StoreOptions, TagRecord};

/// Where the child finds its file.
const FILE: &str = "TRUSTCTL_TEST_STORE";

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
