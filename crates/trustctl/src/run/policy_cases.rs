//! `trustctl policy test`: judge saved evidence, and compare with what each case expects.
//!
//! A case is a folder with `expect.toml` (`why`, `verdict`, `reasons`, `now`) and `evidence.json` (from `verify --save-evidence`);
//! it may bring its own `policy.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;
use trustctl_core::assess::Assessor;
use trustctl_core::evidence::EvidenceFile;
use trustctl_core::memory::Memory;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use super::{Session, policy, schemes, sigstore};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Paint;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    why: String,
    verdict: String,
    #[serde(default)]
    reasons: Vec<String>,
    now: Option<Timestamp>,
}

struct Outcome {
    name: String,
    why: String,
    /// `None` when the case gave what it expects.
    difference: Option<String>,
}

/// Runs every case below `dir`.
///
/// # Errors
/// [`Code::LocalFile`] or [`Code::ConfigUnusable`] for a case that cannot be read; [`Code::PolicyCaseFailed`] is not an error but
/// exit code 1.
pub(super) fn run(session: &Session, dir: &Path, shared: Option<&Path>) -> Result<Exit, Failure> {
    let mut outcomes = Vec::new();
    for case in cases(dir)? {
        outcomes.push(one(session, &case, shared)?);
    }
    if outcomes.is_empty() {
        let words = format!("{} has no folder with expect.toml", dir.display());
        return Err(Failure::new(Reason::new(Code::ConfigUnusable, words)));
    }
    let failed = outcomes.iter().filter(|outcome| outcome.difference.is_some()).count();
    let exit = if failed == 0 { Exit::Done } else { Exit::Rejected };
    if session.ui.json() {
        let cases: Vec<_> = outcomes
            .iter()
            .map(|outcome| json!({ "case": outcome.name, "why": outcome.why, "difference": outcome.difference }))
            .collect();
        session.ui.say(json!({ "schema": "trustctl/policy-test/v1", "exit": exit.code(), "cases": cases }).to_string());
        return Ok(exit);
    }
    for outcome in &outcomes {
        match &outcome.difference {
            None => session.ui.say(format!("{}  {}", session.ui.paint(Paint::Green, "ok  "), outcome.name)),
            Some(difference) => {
                session.ui.say(format!("{}  {}: {difference}", session.ui.paint(Paint::Red, "FAIL"), outcome.name));
                session.ui.note(format!("      because: {}", outcome.why));
            }
        }
    }
    session.ui.say(format!("{} passed, {failed} failed", outcomes.len() - failed));
    Ok(exit)
}

fn cases(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| Failure::file(dir, &error);
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.join("expect.toml").is_file() {
            cases.push(path);
        }
    }
    cases.sort();
    Ok(cases)
}

fn one(session: &Session, case: &Path, shared: Option<&Path>) -> Result<Outcome, Failure> {
    let read = |name: &str| {
        let path = case.join(name);
        policy::read_limited(&path).map_err(|error| Failure::file(&path, &error))
    };
    let broken = |name: &str, error: &dyn std::fmt::Display| {
        Failure::new(Reason::new(Code::ConfigUnusable, format!("{}: {error}", case.join(name).display())))
    };
    let text = String::from_utf8(read("expect.toml")?).map_err(|error| broken("expect.toml", &error))?;
    let expect: Expect = toml::from_str(&text).map_err(|error| broken("expect.toml", &error.message()))?;
    let file = EvidenceFile::from_json(&read("evidence.json")?).map_err(|error| broken("evidence.json", &error))?;
    let own = case.join("policy.toml");
    let now = expect.now.unwrap_or(file.gathered);
    let policy = policy::load(session, if own.is_file() { Some(&own) } else { shared })?;
    let policy = sigstore::with_fetched(session, policy, now)?;

    let schemes = schemes(&policy, None);
    let memory = Memory::new();
    let assessor = Assessor { policy: &policy, schemes: &schemes.all(), memory: &memory, now };
    let judged = assessor.assess(&file.subject, &file.evidence).judgement;
    let found = judged.verdict.kind().word();
    let codes: Vec<String> = judged.verdict.reasons().iter().map(|reason| reason.code.id()).collect();
    let missing: Vec<&String> = expect.reasons.iter().filter(|code| !codes.contains(code)).collect();
    let difference = if found != expect.verdict {
        Some(format!("expected {}, found {found} ({})", expect.verdict, codes.join(" ")))
    } else if !missing.is_empty() {
        Some(format!("{found} as expected, but without {missing:?}; found {}", codes.join(" ")))
    } else {
        None
    };
    let name = case.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Outcome { name, why: expect.why, difference })
}
