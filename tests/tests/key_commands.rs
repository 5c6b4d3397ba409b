//! The key commands, as somebody new to them uses them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use tempfile::TempDir;
use trustctl_tests::program::User;

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
