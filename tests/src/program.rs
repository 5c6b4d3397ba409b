//! The program under test, and what it printed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::failure::Failure;
use crate::process::{Ran, run};

/// Longest that one run of the program may take in a test.
const LIMIT: Duration = Duration::from_secs(120);

/// The built `trustctl`, of the same profile as the running test. Built on first use, which does nothing when it is up to date;
/// `TRUSTCTL_PROGRAM` names another one.
///
/// # Panics
/// When it cannot be built: then no test of it can say anything.
#[expect(clippy::panic, clippy::expect_used, reason = "without the program there is nothing to test")]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(named) = std::env::var_os("TRUSTCTL_PROGRAM") {
            return PathBuf::from(named);
        }
        let test = std::env::current_exe().expect("the running test has a path");
        // target/<profile>/deps/<test>, or target/<profile>/<program of this package>
        let in_deps = test.parent().is_some_and(|folder| folder.ends_with("deps"));
        let folder = test.ancestors().nth(if in_deps { 2 } else { 1 }).expect("tests lie in target/<profile>/deps");
        let release = folder.file_name().is_some_and(|name| name == "release");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).args(["build", "--quiet", "--package", "trustctl"]);
        if release {
            build.arg("--release");
        }
        if let Some(target) = folder.parent() {
            build.env("CARGO_TARGET_DIR", target);
        }
        let built = build.status().expect("cargo runs");
        if !built.success() {
            panic!("trustctl cannot be built");
        }
        folder.join("trustctl")
    })
}

/// A user of the program: a home of its own, and nothing of this process's environment but the search path.
#[derive(Clone, Debug)]
pub struct User {
    home: PathBuf,
    variables: Vec<(String, String)>,
}

impl User {
    /// A user whose home is `home`.
    #[must_use]
    pub fn new(home: &Path) -> Self {
        Self { home: home.to_owned(), variables: Vec::new() }
    }

    /// The same user with a variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A command of the program, ready to run, that never asks.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.env_clear().current_dir(&self.home).env("HOME", &self.home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.args(words).arg("--no-input");
        command
    }

    /// What running the program with these words brought.
    ///
    /// # Errors
    /// When it does not end in time, or cannot be started.
    pub fn run(&self, words: &[&str]) -> Result<Ran, Failure> {
        run(&mut self.command(words), LIMIT)
    }

    /// The JSON object that the program prints for these words, and its exit code.
    ///
    /// # Errors
    /// When it does not end in time, or prints anything but one JSON object.
    pub fn json(&self, words: &[&str]) -> Result<(serde_json::Value, Option<i32>), Failure> {
        let ran = run(self.command(words).args(["--output", "json"]), LIMIT)?;
        let value = serde_json::from_str(&ran.stdout).map_err(|error| {
            Failure::Output(format!("{words:?} printed no JSON object ({error}): {}{}", ran.stdout, ran.stderr))
        })?;
        Ok((value, ran.code))
    }
}
