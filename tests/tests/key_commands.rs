//! The key commands, as somebody new to them uses them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use trustctl_lab::image::Artifact;
use trustctl_lab::world::{World, WorldOptions};
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
    // The shell outlives what the keyboard stops, and says how the terminal was left.
    let line = format!("trap : INT; {} {words}; code=$?; stty -a; exit $code", program().display());
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
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(printed.contains(" icanon ") && printed.contains(" echo "), "the terminal is as before: {printed}");
    (printed, child.wait().unwrap().code())
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
    assert!(said.contains("stopped\r\n") && !said.contains("error["), "{said}");
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
        let kill = format!("kill -INT $(ps -o pid= --ppid $(ps -o pid= --ppid {}))", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    let (said, code) = on_a_terminal(&user, "key generate other", "New passphrase", then);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("stopped"), "{said}");
}

#[test]
fn a_missing_file_and_a_misspelt_name_are_said_to_be_that() {
    let (_home, user) = user();
    let said = words(&user, &["key", "show", "relaese"], 6);
    assert!(said.contains("did you mean release?"), "{said}");
    for missing in ["release.pub", "keys/release.key", "release.pkcs8"] {
        let said = words(&user, &["key", "show", missing], 6);
        assert!(said.contains(&format!("there is no file {missing}")), "{said}");
    }
    let said = words(&user, &["key", "import", "other", "copy"], 6);
    assert!(said.contains("there is no file copy"), "{said}");
}

#[test]
fn an_export_goes_to_standard_output_only_when_that_is_said() {
    let (_home, user) = user();
    let public = user.run(&["key", "export", "release", "--public"]).unwrap();
    assert!(public.success() && public.stdout.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{}", public.stderr);
    let dashed = user.run(&["key", "export", "release", "--public", "--to", "-"]).unwrap();
    assert_eq!(dashed.stdout, public.stdout);
    let unsaid = user.run(&["key", "export", "release"]).unwrap();
    assert_eq!((unsaid.code, unsaid.stdout.as_str()), (Some(2), ""), "{}", unsaid.stderr);
    let private = user.run(&["key", "export", "release", "--to", "-"]).unwrap();
    assert!(
        private.success() && private.stdout.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"),
        "{}",
        private.stderr
    );
    assert!(!user.home().join("-").exists());
    let (report, code) = user.json(&["key", "export", "release", "--to", "-"]).unwrap();
    assert_eq!((code, report["file"].is_null()), (Some(0), true));
    assert!(report["text"].as_str().unwrap().contains("PRIVATE KEY"));
    let (report, code) = user.json(&["key", "export", "release", "--to", "copy.key"]).unwrap();
    assert_eq!((code, &report["text"], report["file"].as_str()), (Some(0), &Value::Null, Some("copy.key")));
    std::fs::write(user.home().join("back.key"), private.stdout).unwrap();
    assert!(user.run(&["key", "import", "back", "back.key"]).unwrap().success(), "what was printed is the key");
}

#[test]
fn an_empty_passphrase_is_allowed_and_told() {
    let (_home, user) = user();
    let user = user.with("NOTHING", "");
    let made = user.run(&["key", "generate", "open", "--passphrase", "env:NOTHING"]).unwrap();
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(
        made.stderr.contains("warning[TC0514]: the key is stored under an empty passphrase: whoever reads the file can sign")
    );
    let words = ["key", "export", "release", "--to", "open.key", "--new-passphrase", "env:NOTHING"];
    let (report, code) = user.json(&words).unwrap();
    assert_eq!((code, report["warnings"][0]["code"].as_str()), (Some(0), Some("TC0514")), "{report}");
    let (report, _) = user.json(&["key", "generate", "closed"]).unwrap();
    assert_eq!(report["warnings"], serde_json::json!([]));
    if has_script() {
        let (said, code) = on_a_terminal(&user, "key generate asked", "New passphrase", types("\n\n"));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("warning[TC0514]"), "{said}");
    }
}

#[test]
fn a_key_for_which_no_variable_is_read_names_the_flag() {
    let (_home, user) = user();
    let said = words(&user, &["key", "generate", "other", "--format", "pkcs8"], 5);
    assert!(said.contains("give --passphrase env:NAME, keyring:NAME or a file"), "{said}");
    let bare = User::new(user.home());
    let said = words(&bare, &["key", "generate", "other"], 5);
    assert!(said.contains("set COSIGN_PASSWORD"), "{said}");
}

/// A key's id in a trust directory is not the one to pin: that is over a certificate, and another one in every collection.
#[test]
fn root_keys_name_their_collections_and_the_id_to_pin() {
    let world = World::start(WorldOptions::default()).unwrap();
    world.push("shop/cart:1.4", &Artifact::multi_platform("one")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let bare = world.environment().into_iter().fold(User::new(home.path()), |user, (name, value)| user.with(name, value));
    let user = bare
        .clone()
        .with("COSIGN_PASSWORD", PASSPHRASE)
        .with("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", PASSPHRASE)
        .with("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", PASSPHRASE);
    let image = world.name("shop/cart:1.4");
    let gun = world.name("shop/cart");
    user.run(&["sign", &image, "--resolve-tag", "--scheme", "dct"]).unwrap().ok().unwrap();
    // What docker caches when it signs or pulls.
    let files = world.notary().files(&gun);
    let (_, root) = files.iter().find(|(role, _)| role.as_str() == "root").unwrap();
    let docker = world.environment().into_iter().find(|(name, _)| *name == "DOCKER_CONFIG").unwrap().1;
    let metadata = Path::new(&docker).join("trust/tuf").join(&gun).join("metadata");
    std::fs::create_dir_all(&metadata).unwrap();
    std::fs::write(metadata.join("root.json"), root).unwrap();

    let (report, _) = user.json(&["key", "list"]).unwrap();
    let keys = report["keys"].as_array().unwrap();
    let root = keys.iter().find(|key| key["role"] == "root").unwrap();
    assert_eq!((root["rootOf"][0]["gun"].as_str(), root["kind"].as_str()), (Some(gun.as_str()), Some("ecdsa-p256")), "{report}");
    let pin = root["rootOf"][0]["keyId"].as_str().unwrap();
    assert_ne!(root["notaryId"], pin);
    let trusted = user.run(&["verify", &image, "--dct-root", pin]).unwrap();
    assert_eq!(trusted.code, Some(0), "the id that is shown is the one to pin: {}", trusted.stderr);
    let line = format!("root of {gun}: --dct-root {pin}\n");
    let listed = user.run(&["key", "list"]).unwrap().stdout;
    assert!(listed.starts_with("NAME ") && listed.contains(&line), "{listed}");
    let at = |line: &str, word: &str| line.find(word).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    let row = lines.iter().find(|line| line.contains(" root ")).unwrap();
    assert_eq!((at(lines[0], "PLACE"), at(lines[0], "ROLE")), (at(row, "docker"), at(row, "root")), "{listed}");
    assert!(lines.iter().any(|line| line.contains("encrypted") && line.contains("targets")), "{listed}");
    // Its public half is in the metadata: nothing is opened, and no passphrase is asked for.
    let shown = bare.run(&["key", "show", root["notaryId"].as_str().unwrap()]).unwrap();
    assert!(shown.success() && shown.stdout.contains(&line), "{}{}", shown.stdout, shown.stderr);
}

#[test]
fn a_role_names_a_key_while_just_one_has_it() {
    let (_home, user) = user();
    let user = user.with("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", PASSPHRASE);
    let private = trust_directory(&user).join("private");
    std::fs::create_dir_all(&private).unwrap();
    let add = |name: &str| {
        let (report, _) = user.json(&["key", "generate", name]).unwrap();
        let id = report["keys"][0]["notaryId"].as_str().unwrap().to_owned();
        let file = private.join(format!("{id}.key")).display().to_string();
        user.run(&["key", "export", name, "--format", "notary", "--role", "alice", "--to", &file]).unwrap().ok().unwrap();
        id
    };
    let first = add("one");
    let (report, code) = user.json(&["key", "show", "alice"]).unwrap();
    assert_eq!((code, report["keys"][0]["notaryId"].as_str()), (Some(0), Some(first.as_str())), "{report}");
    user.run(&["key", "export", "alice", "--to", "alice.key"]).unwrap().ok().unwrap();
    let second = add("two");
    for command in ["show", "delete"] {
        let said = words(&user, &["key", command, "alice"], 6);
        assert!(said.contains(&first) && said.contains(&second), "{said}");
    }
    user.run(&["key", "delete", &format!("{}/{second}.key", private.display()), "--yes"]).unwrap().ok().unwrap();
    user.run(&["key", "delete", "alice", "--yes"]).unwrap().ok().unwrap();
    words(&user, &["key", "show", "alice"], 6);
}

fn trust_directory(user: &User) -> PathBuf {
    user.home().join(".docker/trust")
}
