//! One contest: the same work by this program and by a peer, one line of the table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use trustctl_tests::failure::Failure;
use trustctl_tests::peers::Program;
use trustctl_tests::process::run;

use crate::order::Order;

pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// One line of the table: the same work by this program and by a peer.
pub(crate) struct Contest<'a> {
    pub(crate) what: &'a str,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

struct Measured {
    milliseconds: f64,
    kibibytes: f64,
}

/// What is done with the contests.
#[derive(Clone)]
pub(crate) enum Way {
    /// Both programs are measured, by hyperfine and GNU time.
    Measure(Program),
    /// It is seen which functions of this program run.
    Order(Rc<Order>),
}

/// A home for both, and what is done there.
pub(crate) struct Bench {
    pub(crate) home: PathBuf,
    way: Way,
    environment: Vec<(&'static str, String)>,
}

impl Bench {
    pub(crate) fn new(home: &Path, way: Way) -> Self {
        // Whoever wants to ask somebody outside of this machine finds nobody.
        let nobody = ["HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name, "http://127.0.0.1:1".to_owned()));
        let environment = nobody.into_iter().chain([("NO_PROXY", "127.0.0.1,localhost".to_owned())]).collect();
        Self { home: home.to_owned(), way, environment }
    }

    /// The same with further variables.
    pub(crate) fn with(&self, more: Vec<(&'static str, String)>) -> Self {
        let environment = self.environment.iter().cloned().chain(more).collect();
        Self { home: self.home.clone(), way: self.way.clone(), environment }
    }

    /// Writes a file into the home.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.home.join(name);
        std::fs::write(&path, text).map_err(|source| Failure::Io { what: path.display().to_string(), source })
    }

    /// A command from words without spaces in them.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut parts = words.split(' ');
        let mut command = Command::new(parts.next().unwrap_or_default());
        command.args(parts).current_dir(&self.home).env("HOME", &self.home).env("COSIGN_PASSWORD", "bench");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Measures both, and prints the line; or looks at what runs.
    ///
    /// # Errors
    /// [`Failure`] when one of them fails, or cannot be measured.
    pub(crate) fn compete(&self, contest: &Contest<'_>) -> Result<(), Failure> {
        let hyperfine = match &self.way {
            Way::Measure(hyperfine) => hyperfine,
            Way::Order(order) => return order.trace(&self.home, &contest.ours, |words| self.command(words)),
        };
        let (ours, theirs) = (self.measure(hyperfine, &contest.ours)?, self.measure(hyperfine, &contest.theirs)?);
        let mut line = String::new();
        let _ = write!(
            line,
            "| {} | {:.1} | {:.1} | {:.1}x | {:.1} | {:.1} | 1/{:.1} |",
            contest.what,
            ours.milliseconds,
            theirs.milliseconds,
            theirs.milliseconds / ours.milliseconds,
            ours.kibibytes / 1024.0,
            theirs.kibibytes / 1024.0,
            theirs.kibibytes / ours.kibibytes
        );
        println!("{line}");
        Ok(())
    }

    /// Median wall time over hyperfine's runs, and the peak resident set of one run.
    fn measure(&self, hyperfine: &Program, words: &str) -> Result<Measured, Failure> {
        let json = self.home.join("hyperfine.json");
        let mut hyperfine = self.command(&hyperfine.path().display().to_string());
        hyperfine.args(["-N", "--warmup", "3", "--min-runs", "20", "--export-json"]).arg(&json).arg(words);
        run(&mut hyperfine, LIMIT)?.ok()?;
        let text = std::fs::read_to_string(&json).map_err(|source| Failure::Io { what: json.display().to_string(), source })?;
        let report: Value = serde_json::from_str(&text).map_err(|error| Failure::Output(error.to_string()))?;
        let median = report.pointer("/results/0/median").and_then(Value::as_f64).unwrap_or(f64::NAN);
        let timed = run(&mut self.command(&format!("/usr/bin/time -f %M {words}")), LIMIT)?.ok()?;
        let kibibytes = timed.stderr.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or(f64::NAN);
        Ok(Measured { milliseconds: median * 1000.0, kibibytes })
    }
}
