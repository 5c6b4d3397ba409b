//! `trustctl proxy audit`: whether the log is whole, and what it says last.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use trustctl_proxy::audit::{Follow, last_lines, verify};

use super::super::Session;
use crate::cli::{AuditCommand, AuditTailArgs};
use crate::exit::Exit;
use crate::failure::Failure;

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Carries out an `audit` command.
///
/// # Errors
/// [`trustctl_core::reason::Code::AuditBroken`] for a log that was altered; a [`Failure`] for a file that cannot be read.
pub(super) async fn run(session: &Session, command: &AuditCommand) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Verify(args) => check(session, &args.file),
        AuditCommand::Tail(args) => tail(session, args).await,
    }
}

fn check(session: &Session, file: &Path) -> Result<Exit, Failure> {
    let summary = verify(file)?;
    if session.ui.json() {
        let report = json!({
            "schema": "trustctl/audit-verify/v1", "exit": 0, "file": file, "first": summary.first, "lines": summary.lines,
            "files": summary.files, "lost": summary.lost, "torn": summary.torn,
            "head": { "seq": summary.head.seq, "hash": summary.head.hash },
        });
        session.ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    session
        .ui
        .say(format!("whole: {} lines, the last is number {} with hash {}", summary.lines, summary.head.seq, summary.head.hash));
    if summary.first > 1 {
        session.ui.note(format!("older files are not here: the first line is number {}", summary.first));
    }
    if summary.lost > 0 {
        session.ui.note(format!("{} decisions could not be written at their time", summary.lost));
    }
    session.ui.note("compare the hash with a copy kept elsewhere: a log whose end was cut off is whole all the same");
    Ok(Exit::Done)
}

async fn tail(session: &Session, args: &AuditTailArgs) -> Result<Exit, Failure> {
    let unreadable = |error: &std::io::Error| Failure::file(&args.file, error);
    let mut follow = args.follow.then(|| Follow::from_end(&args.file)).transpose().map_err(|error| unreadable(&error))?;
    for line in last_lines(&args.file, args.lines).map_err(|error| unreadable(&error))? {
        session.ui.say(line);
    }
    while let Some(follow) = &mut follow {
        tokio::time::sleep(LOOK).await;
        for line in follow.added().map_err(|error| unreadable(&error))? {
            session.ui.say(line);
        }
    }
    Ok(Exit::Done)
}
