//! The log as a whole: written, continued, torn, rotated, altered.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use trustctl_core::reason::Code;
use trustctl_core::reference::Repository;

use super::*;
use crate::observe::Outcome;

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("audit.jsonl")
}

fn repository() -> Repository {
    "r.example/app".parse().unwrap()
}

fn record<'a>(request_id: &'a str, repository: &'a Repository) -> Record<'a> {
    Record {
        request_id,
        client: "127.0.0.1",
        host: None,
        call: "manifest",
        repository,
        tag: None,
        digest: None,
        outcome: Outcome::Refused,
        code: Some(Code::WrongDigest),
        message: None,
        rule: Some("shop"),
        signers: &[],
        policy: None,
        evidence_age: None,
        took_us: None,
    }
}

/// Writes `count` records and closes the log.
async fn write(folder: &TempDir, options: AuditOptions, count: usize) {
    let log = AuditLog::open(path(folder), options).unwrap();
    let repository = repository();
    for n in 0..count {
        log.append(&record(&n.to_string(), &repository)).await.unwrap();
    }
}

fn lines(folder: &TempDir) -> Vec<String> {
    fs::read_to_string(path(folder)).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_posted_is_written_in_order_and_too_much_of_it_is_told() {
    let folder = TempDir::new().unwrap();
    let log = AuditLog::open(path(&folder), AuditOptions::default()).unwrap();
    let repository = repository();
    let (mut posted, mut refused) = (Vec::new(), Vec::new());
    for n in 0..200_000_u32 {
        let number = n.to_string();
        match log.post(&record(&number, &repository)) {
            Ok(()) => posted.push(number),
            Err(reason) => refused.push(reason.code),
        }
    }
    log.flush().await.unwrap();
    let written = lines(&folder).into_iter().map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    let numbers = written.filter(|line| line["kind"] == "decision").map(|line| line["request_id"].clone());
    assert_eq!(numbers.collect::<Vec<_>>(), posted);
    assert!(posted.len() >= 65_536 && refused.iter().all(|code| *code == Code::AuditFailed));
    let lost = verify(&path(&folder)).unwrap().lost;
    assert_eq!(usize::try_from(lost).unwrap(), refused.len(), "what found no place is counted in the log");
}

#[tokio::test]
async fn a_chain_goes_on_after_a_restart() {
    let folder = TempDir::new().unwrap();
    write(&folder, AuditOptions::default(), 3).await;
    let one = verify(&path(&folder)).unwrap();
    assert_eq!((one.first, one.lines, one.head.seq, one.files), (1, 3, 3, 1));
    write(&folder, AuditOptions::default(), 2).await;
    let both = verify(&path(&folder)).unwrap();
    assert_eq!((both.lines, both.head.seq, both.lost, both.torn, both.unfinished), (5, 5, 0, 0, false));
    let written: serde_json::Value = serde_json::from_str(&lines(&folder)[4]).unwrap();
    assert_eq!((written["request_id"].as_str(), written["outcome"].as_str()), (Some("1"), Some("refused")));
    assert_eq!((written["code"].as_str(), written["rule"].as_str()), (Some("TC0104"), Some("shop")));
    assert!(written.get("tag").is_none());
}

#[tokio::test]
async fn what_is_durable_is_on_disk_before_it_is_told() {
    let folder = TempDir::new().unwrap();
    let log = AuditLog::open(path(&folder), AuditOptions::default()).unwrap();
    log.append_durable(&record("now", &repository())).await.unwrap();
    assert_eq!(lines(&folder).len(), 1);
    let busy = AuditLog::open(path(&folder), AuditOptions::default()).unwrap_err();
    assert_eq!(busy.code, Code::AuditUnusable, "one writer at a time");
}

#[tokio::test]
async fn a_text_from_outside_stays_in_its_line_and_is_cut() {
    let folder = TempDir::new().unwrap();
    let log = AuditLog::open(path(&folder), AuditOptions::default()).unwrap();
    let (evil, long) = ("a\n{\"seq\":2}\r\u{2028}\"", "é".repeat(100_000));
    log.append_durable(&Record { client: evil, message: Some(&long), ..record("1", &repository()) }).await.unwrap();
    assert_eq!(verify(&path(&folder)).unwrap().lines, 1);
    let written: serde_json::Value = serde_json::from_str(&lines(&folder)[0]).unwrap();
    assert_eq!(written["client"].as_str(), Some(evil));
    assert_eq!(written["message"].as_str().unwrap().chars().count(), 512);
}

#[tokio::test]
async fn every_change_is_found_where_it_is() {
    let folder = TempDir::new().unwrap();
    write(&folder, AuditOptions::default(), 6).await;
    let good = lines(&folder);
    let check = |lines: &[String]| {
        fs::write(path(&folder), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        verify(&path(&folder)).map(|summary| summary.lines)
    };
    assert_eq!(check(&good).unwrap(), 6);
    let change = |change: fn(&mut Vec<String>)| {
        let mut changed = good.clone();
        change(&mut changed);
        check(&changed).unwrap_err()
    };
    for (altered, at) in [
        (change(|lines| lines[2] = lines[2].replace("refused", "served")), "line 4:"),
        (change(|lines| drop(lines.remove(2))), "line 3:"),
        (change(|lines| lines.swap(2, 3)), "line 3:"),
        (change(|lines| lines.insert(2, lines[1].clone())), "line 3:"),
        (change(|lines| lines[2].push(' ')), "line 4:"),
        (change(|lines| lines[2] = "{}".to_owned()), "line 3:"),
        (change(|lines| lines[2].clear()), "line 3:"),
        (change(|lines| lines[2] = "x".repeat(100_000)), "line 3:"),
        (change(|lines| lines[0] = lines[0].replace("\"seq\":1,", "\"seq\":7,")), "line 1:"),
        (change(|lines| drop(lines.drain(..3))), "line 1: it has number 4, and the lines before it are not here"),
    ] {
        assert_eq!(altered.code, Code::AuditBroken);
        assert!(altered.message.contains(at), "{altered} {at}");
    }
    // What a chain cannot show: its end, for which the last hash has to be known.
    assert_eq!(check(&good[..4]).unwrap(), 4);
    assert_ne!(verify(&path(&folder)).unwrap().head.hash, line::hash(good[5].as_bytes()));
}

#[tokio::test]
async fn half_a_line_is_set_aside_and_said() {
    let folder = TempDir::new().unwrap();
    write(&folder, AuditOptions::default(), 2).await;
    let half = br#"{"seq":3,"prev":"ab"#;
    fs::File::options().append(true).open(path(&folder)).unwrap().write_all(half).unwrap();
    let unfinished = verify(&path(&folder)).unwrap();
    assert!(unfinished.unfinished && unfinished.lines == 2);
    write(&folder, AuditOptions::default(), 1).await;
    let summary = verify(&path(&folder)).unwrap();
    assert_eq!((summary.lines, summary.torn, summary.unfinished), (4, 1, false));
    let said: serde_json::Value = serde_json::from_str(&lines(&folder)[2]).unwrap();
    assert_eq!((said["kind"].as_str(), said["bytes"].as_u64()), (Some("torn-line"), Some(19)));
    assert_eq!(said["sha256"].as_str(), Some(line::hash(half).as_str()));
    assert_eq!(fs::read(folder.path().join(said["file"].as_str().unwrap())).unwrap(), half);

    // A log of which even the first line is half, and one that is none.
    fs::write(path(&folder), b"{").unwrap();
    write(&folder, AuditOptions::default(), 1).await;
    assert_eq!(verify(&path(&folder)).unwrap().torn, 1);
    fs::write(path(&folder), b"something else\n").unwrap();
    let error = AuditLog::open(path(&folder), AuditOptions::default()).unwrap_err();
    assert_eq!((error.code, fs::read(path(&folder)).unwrap().as_slice()), (Code::AuditUnusable, &b"something else\n"[..]));
}

#[tokio::test]
async fn a_chain_goes_on_in_the_next_file() {
    let folder = TempDir::new().unwrap();
    let options = AuditOptions { rotate_at: 2000, ..AuditOptions::default() };
    let mut follow = None;
    for _ in 0..4 {
        write(&folder, options.clone(), 10).await;
        follow.get_or_insert_with(|| Follow::from_end(path(&folder)).unwrap());
    }
    let summary = verify(&path(&folder)).unwrap();
    assert!(summary.files > 3, "{summary:?}");
    assert_eq!((summary.first, summary.lines, summary.head.seq), (1, 40, 40));
    // A file that is missing in between is found out, and so is one that is missing in front.
    let files = writer::renamed(&path(&folder)).unwrap();
    let second = fs::read(&files[1]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    assert_eq!(verify(&path(&folder)).unwrap_err().code, Code::AuditBroken);
    fs::write(&files[1], second).unwrap();
    let oldest = fs::read_to_string(&files[0]).unwrap();
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(verify(&path(&folder)).unwrap_err().code, Code::AuditBroken);
    // Put away, it is known by the hash of its last line, and by no other.
    let hash = line::hash(oldest.lines().last().unwrap().as_bytes());
    let rest = verify_after(&path(&folder), &hash).unwrap();
    assert_eq!((rest.lines + rest.first - 1, rest.head.seq, &rest.after), (40, 40, &hash));
    for other in [line::hash(b"other"), rest.head.hash] {
        let error = verify_after(&path(&folder), &other).unwrap_err();
        assert!(error.code == Code::AuditBroken && error.message.contains("the hash that was given"), "{error}");
    }

    let options = AuditOptions { keep: Some(1), ..options };
    write(&folder, options.clone(), 20).await;
    // What is written at once stays together, so the next record surely begins a new file.
    write(&folder, options, 1).await;
    assert_eq!(writer::renamed(&path(&folder)).unwrap().len(), 1);
    let first = fs::read_to_string(&writer::renamed(&path(&folder)).unwrap()[0]).unwrap();
    let after = line::parse(first.lines().next().unwrap().as_bytes()).unwrap().prev;
    assert_eq!(verify_after(&path(&folder), &after).unwrap().head.seq, 61);
    // A new file that is still empty does not begin a new chain.
    let newest = writer::renamed(&path(&folder)).unwrap().pop().unwrap();
    fs::rename(path(&folder), newest.with_file_name(format!("audit.jsonl.{:020}", 61))).unwrap();
    write(&folder, AuditOptions::default(), 1).await;
    assert_eq!(verify_after(&path(&folder), &after).unwrap().head.seq, 62);
}

#[tokio::test]
async fn a_file_begun_while_a_log_is_verified_does_not_look_like_lines_that_are_missing() {
    let folder = TempDir::new().unwrap();
    let options = AuditOptions { rotate_at: 100, ..AuditOptions::default() };
    for count in 1..=3 {
        write(&folder, options.clone(), 1).await;
        assert_eq!(verify(&path(&folder)).unwrap().lines, count);
    }
    let opened = fs::File::open(path(&folder)).unwrap();
    let check = |file: &fs::File| check::verify_opened(&path(&folder), file, line::BEGINNING);
    write(&folder, options.clone(), 1).await;
    write(&folder, options, 1).await;
    let summary = check(&opened).unwrap();
    assert_eq!((summary.lines, summary.files, summary.unfinished), (4, 4, false), "up to the last that was renamed");
    assert_eq!(verify(&path(&folder)).unwrap().lines, 5);
    // A file that is not there is still missed.
    fs::remove_file(&writer::renamed(&path(&folder)).unwrap()[1]).unwrap();
    assert_eq!(check(&opened).unwrap_err().code, Code::AuditBroken);
    assert_eq!(verify(&path(&folder)).unwrap_err().code, Code::AuditBroken);
}

#[tokio::test]
async fn where_there_is_no_line_nothing_is_verified() {
    let folder = TempDir::new().unwrap();
    let code = || verify(&path(&folder)).unwrap_err().code;
    assert_eq!(code(), Code::AuditUnusable, "no file");
    for text in ["", r#"{"seq":1,"#] {
        fs::write(path(&folder), text).unwrap();
        assert_eq!(code(), Code::AuditUnusable, "{text}");
    }
    assert_eq!(verify(folder.path()).unwrap_err().code, Code::AuditUnusable, "a folder");
    fs::write(path(&folder), "").unwrap();
    write(&folder, AuditOptions::default(), 1).await;
    assert_eq!(verify(&path(&folder)).unwrap().lines, 1);
}

#[tokio::test]
async fn the_end_is_read_and_followed() {
    let folder = TempDir::new().unwrap();
    let options = AuditOptions { rotate_at: 5000, ..AuditOptions::default() };
    write(&folder, options.clone(), 5).await;
    let last = last_lines(&path(&folder), 2).unwrap();
    assert_eq!(last, lines(&folder)[3..]);
    assert_eq!(last_lines(&path(&folder), 100).unwrap().len(), 5);
    let mut follow = Follow::from_end(path(&folder)).unwrap();
    assert!(follow.added().unwrap().is_empty());
    let (mut seen, repository) = (0, repository());
    let log = AuditLog::open(path(&folder), options).unwrap();
    for n in 0..60 {
        log.append_durable(&record(&n.to_string(), &repository)).await.unwrap();
        seen += follow.added().unwrap().len();
    }
    assert_eq!(seen, 60);
    assert!(writer::renamed(&path(&folder)).unwrap().len() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_append_at_once_lose_nothing() {
    let folder = TempDir::new().unwrap();
    let log = std::sync::Arc::new(AuditLog::open(path(&folder), AuditOptions::default()).unwrap());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let log = std::sync::Arc::clone(&log);
            tokio::spawn(async move {
                for n in 0..200 {
                    log.append(&record(&n.to_string(), &repository())).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(log);
    assert_eq!(verify(&path(&folder)).unwrap().lines, 10_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever a process is killed, the log can be continued, and what was whole stays.
    #[test]
    fn a_log_that_is_cut_anywhere_can_be_continued(cut in 0..2000_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = TempDir::new().unwrap();
        runtime.block_on(write(&folder, AuditOptions::default(), 6));
        let all = fs::read(path(&folder)).unwrap();
        let cut = cut.min(all.len());
        fs::write(path(&folder), &all[..cut]).unwrap();
        let whole = all[..cut].iter().filter(|byte| **byte == b'\n').count();
        runtime.block_on(write(&folder, AuditOptions::default(), 1));
        let summary = verify(&path(&folder)).unwrap();
        let torn = u64::from(cut > 0 && all[cut - 1] != b'\n');
        prop_assert_eq!((summary.lines, summary.torn), (u64::try_from(whole).unwrap() + 1 + torn, torn));
    }
}
