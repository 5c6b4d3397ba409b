//! The audit log on a disk that is full, and in a process that is killed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use trustctl_core::reason::Code;
use trustctl_core::reference::Repository;
use trustctl_proxy::audit::{AuditLog, AuditOptions, Record, verify};
use trustctl_proxy::observe::Outcome;

/// Where a child finds its folder.
const FOLDER: &str = "TRUSTCTL_TEST_AUDIT";

fn record<'a>(request_id: &'a str, repository: &'a Repository) -> Record<'a> {
    Record {
        request_id,
        client: "127.0.0.1",
        host: None,
        call: "blob",
        repository,
        tag: None,
        digest: None,
        outcome: Outcome::Served,
        code: None,
        message: None,
        rule: None,
        signers: &[],
        policy: None,
        evidence_age: Some(1),
        took_us: Some(20),
    }
}

fn folder_of_child() -> PathBuf {
    std::env::var_os(FOLDER).expect("run by another test").into()
}

#[test]
fn a_killed_process_loses_nothing_durable_and_the_chain_goes_on() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.jsonl");
    let mut before = 0;
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "--nocapture", "writing_child"]).env(FOLDER, folder.path()).stdout(Stdio::piped());
        let mut running = child.spawn().unwrap();
        let lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
        let durable = lines.filter(|line| line.starts_with("durable ")).take(3).count();
        running.kill().unwrap();
        running.wait().unwrap();
        let summary = verify(&file).unwrap();
        assert!(summary.lines >= before + u64::try_from(durable * 100).unwrap(), "{summary:?}");
        before = summary.lines;
    }
}

#[tokio::test]
#[ignore = "run as a child process by a_killed_process_loses_nothing_durable_and_the_chain_goes_on"]
async fn writing_child() {
    let log = AuditLog::open(folder_of_child().join("audit.jsonl"), AuditOptions::default()).unwrap();
    let repository: Repository = "r.example/app".parse().unwrap();
    for n in 1.. {
        let id = format!("{n}");
        if n % 100 == 0 {
            log.append_durable(&record(&id, &repository)).await.unwrap();
            writeln!(std::io::stdout(), "\ndurable {n}").unwrap();
        } else {
            log.append(&record(&id, &repository)).await.unwrap();
        }
    }
}

#[test]
fn what_a_full_disk_takes_is_counted_when_there_is_room_again() {
    let folder = TempDir::new().unwrap();
    let script = "mount -t tmpfs -o size=64k none \"$1\" && exec \"$0\" --ignored --exact full_child";
    let possible = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("SKIPPED: no small disk can be mounted here (unshare --map-root-user --mount)");
        return;
    }
    let mut unshared = Command::new("unshare");
    unshared.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(folder.path());
    let done = unshared.env(FOLDER, folder.path()).output().unwrap();
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
#[ignore = "run as a child process by what_a_full_disk_takes_is_counted_when_there_is_room_again"]
async fn full_child() {
    let folder = folder_of_child();
    let (file, ballast) = (folder.join("audit.jsonl"), folder.join("ballast"));
    std::fs::write(&ballast, vec![0; 40_000]).unwrap();
    let log = AuditLog::open(&file, AuditOptions::default()).unwrap();
    let repository: Repository = "r.example/app".parse().unwrap();
    let mut written = 0;
    let error = loop {
        match log.append_durable(&record("x", &repository)).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk is never full");
    };
    assert_eq!(error.code, Code::AuditFailed);
    assert!(log.is_failing());
    assert!(log.append(&record("x", &repository)).await.is_err());
    assert_eq!(verify(&file).unwrap().lines, written, "no half line");
    std::fs::remove_file(&ballast).unwrap();
    log.append_durable(&record("x", &repository)).await.unwrap();
    assert!(!log.is_failing());
    drop(log);
    let summary = verify(&file).unwrap();
    assert_eq!((summary.lost, summary.lines), (2, written + 2));
}
