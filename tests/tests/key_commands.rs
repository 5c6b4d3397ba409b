//! The key commands, as somebody new to them uses them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use trustctl_tests::program::{User, program};

const PASSPHRASE: &str = "for the tests";

/// A user with a key called `release`, and the home that goes with it.
fn user() -> (TempDir, User) {
    let home = tempfile::tempdir().unwrap();
    let user = User::new(home.path()).with("COSIGN_PASSWORD", PASSPHRASE);
    let made = user.run(&["key", "generate", "release"]).unwrap();
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    (home, user)
}

/// What a failure says, as text and as JSON together; it must end with `exit`.
#[track_caller]
fn words(user: &User, words: &[&str], exit: i32) -> String {
    let (report, ended) = user.json(words).unwrap();
    let ran = user.run(words).unwrap();
    assert_eq!((ended, ran.code), (Some(exit), Some(exit)), "{words:?}: {report} {}", ran.stderr);
    format!("{}{}{report}", ran.stdout, ran.stderr)
}

#[test]
fn a_passphrase_given_for_its_file_is_not_repeated() {
    let (_home, user) = user();
    let secret = "correct horse battery";
    user.run(&["key", "export", "release", "--to", "copy.key"]).unwrap();
    let cases: [&[&str]; 4] = [
        &["key", "generate", "other", "--passphrase", secret],
        &["key", "export", "release", "--to", "other.key", "--passphrase", secret],
        &["key", "import", "other", "copy.key", "--passphrase", secret],
        &["key", "import", "other", "copy.key", "--new-passphrase", secret],
    ];
    for case in cases {
        let said = words(&user, case, 5);
        assert!(!said.contains("horse"), "{said}");
        assert!(said.contains(&format!("the passphrase file given with {} cannot be read", case[case.len() - 2])), "{said}");
        assert!(said.contains("env:NAME"), "the next step says what the flag takes: {said}");
    }
    let folder = words(&user, &["key", "generate", "other", "--passphrase", "."], 5);
    assert!(folder.contains("cannot be read: is a directory"), "{folder}");
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let (_home, user) = user();
    let said = words(&user, &["key", "generate", "other", "--passphrase", "env:NOPE"], 5);
    assert!(said.contains("the variable NOPE is not set"), "{said}");
    let said = words(&user, &["key", "generate", "other", "--passphrase", "env:correct horse"], 5);
    assert!(!said.contains("horse"), "no variable has such a name: {said}");
}

/// What a command prints is its work: where it cannot be written, the work is not done.
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let (_home, user) = user();
    let cases: [&[&str]; 5] = [
        &["key", "show", "release"],
        &["key", "list", "--output", "json"],
        &["policy", "init"],
        &["completions", "bash"],
        &["--version"],
    ];
    for case in cases {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = user.command(case);
        let ended = command.stdin(Stdio::null()).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(7), "{case:?}: {said}");
        assert!(case == ["--version"] || said.contains("TC0717"), "{case:?}: {said}");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = user.command(&["key", "show", "nobody", "--output", "json"]).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(6), "what failed before says more");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let (_home, user) = user();
    let mut child = user.command(&["explain"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()));
}

/// Runs a command on a terminal of its own (`script`, of util-linux), does `then` once it asks `question`, and gives what it
/// printed and its exit code.
fn on_a_terminal(user: &User, words: &str, question: &str, then: impl FnOnce(&mut Child)) -> (String, Option<i32>) {
    let line = format!("exec {} {words}", program().display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).env_clear().current_dir(user.home());
    command.env("HOME", user.home()).env("SHELL", "/bin/sh").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = Vec::new();
    let mut out = child.stdout.take().unwrap();
    while !String::from_utf8_lossy(&printed).contains(question) {
        let mut byte = [0];
        assert_eq!(out.read(&mut byte).unwrap(), 1, "{words}: {}", String::from_utf8_lossy(&printed));
        printed.push(byte[0]);
    }
    // The question is printed before the terminal is told not to show the answer.
    std::thread::sleep(Duration::from_millis(200));
    then(&mut child);
    out.read_to_end(&mut printed).unwrap();
    (String::from_utf8_lossy(&printed).into_owned(), child.wait().unwrap().code())
}

fn has_script() -> bool {
    let found = Command::new("script").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: there is no script(1) here to make a terminal");
    }
    found
}

fn types(text: &'static str) -> impl FnOnce(&mut Child) {
    move |child| child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap()
}

#[test]
fn whoever_stops_at_a_question_gets_the_exit_code_for_it() {
    if !has_script() {
        return;
    }
    let (_home, user) = user();
    let (said, code) = on_a_terminal(&user, "key generate other", "New passphrase", types("abc\u{3}"));
    assert_eq!(code, Some(130), "{said}");
    assert!(said.ends_with("stopped\r\n") && !said.contains("error["), "{said}");
    let (said, code) = on_a_terminal(&user, "key delete release", "[y/N]", types("\u{3}"));
    assert_eq!(code, Some(130), "{said}");
    let (said, code) = on_a_terminal(&user, "key delete release", "[y/N]", types("n\n"));
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("nothing was deleted"), "{said}");
    assert_eq!(user.run(&["key", "show", "release"]).unwrap().code, Some(0));
    let (said, code) = on_a_terminal(&user, "key delete release", "[y/N]", types("y\n"));
    assert_eq!(code, Some(0), "{said}");
}

/// A signal that does not come from the keyboard, which a raw terminal would turn into a character.
#[test]
fn a_signal_ends_a_question() {
    if !has_script() {
        return;
    }
    let (_home, user) = user();
    let then = |child: &mut Child| {
        let kill = format!("kill -INT $(ps -o pid= --ppid {})", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    let (said, code) = on_a_terminal(&user, "key generate other", "New passphrase", then);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("stopped"), "{said}");
}
