//! `trustctl proxy audit`: whether the log is whole, and what it says last.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason, Step, clean};
use trustctl_proxy::audit::line::BEGINNING;
use trustctl_proxy::audit::{Follow, Summary, last_lines, verify_after};
use trustctl_proxy::config::Config;
use trustctl_proxy::observe::Outcome;

use super::super::Session;
use crate::cli::{AuditCommand, AuditFileArgs, AuditTailArgs, AuditVerifyArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{Paint, Ui};

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Digits of a digest that are shown where an image has no tag: enough to find it, and the line stays a line. JSON has all.
const DIGITS: usize = 12;

/// Carries out an `audit` command.
///
/// # Errors
/// [`Code::AuditBroken`] for a log that was altered, [`Code::AuditFailed`] for one that ends with half a line, [`Code::AuditUnusable`] for
/// one without lines; a [`Failure`] for a file that cannot be read.
pub(super) async fn run(session: &Session, command: &AuditCommand) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Verify(args) => check(session, args).await,
        AuditCommand::Tail(args) => tail(session, args).await,
    }
}

/// The log that is meant: the file, or the one that the configuration names.
fn log(args: &AuditFileArgs) -> Result<PathBuf, Failure> {
    match (&args.file, &args.config) {
        (Some(file), _) => Ok(file.clone()),
        (None, Some(config)) => Ok(Config::load(config)?.audit),
        (None, None) => Ok(PathBuf::new()),
    }
}

async fn check(session: &Session, args: &AuditVerifyArgs) -> Result<Exit, Failure> {
    let file = log(&args.log)?;
    let from = args.from.as_deref().unwrap_or(BEGINNING);
    if format!("sha256:{from}").parse::<Digest>().is_err() {
        return Err(Failure::bad_value("--from", from, "not a hash of 64 hexadecimal digits, as this command prints it"));
    }
    let mut summary = verify_after(&file, from)?;
    if summary.unfinished {
        // A proxy that runs has written the rest by then.
        tokio::time::sleep(LOOK).await;
        summary = verify_after(&file, from)?;
    }
    let Summary { first, lines, lost, head, .. } = &summary;
    if summary.unfinished {
        let words = format!(
            "{}: half a line follows number {} with hash {}, up to which it is whole",
            file.display(),
            head.seq,
            head.hash
        );
        let step = "verify again if a proxy is writing it; one that was killed sets the half aside at its next start, and says so in the log";
        return Err(Failure::new(Reason::new(Code::AuditFailed, words).step(Step::words(step))));
    }
    if session.ui.json() {
        let report = json!({
            "schema": "trustctl/audit-verify/v1", "exit": 0, "file": file, "first": first, "after": summary.after, "lines": lines,
            "files": summary.files, "lost": lost, "torn": summary.torn, "head": { "seq": head.seq, "hash": head.hash },
        });
        session.ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    session.ui.say(format!("whole: {lines} lines, the last is number {} with hash {}", head.seq, head.hash));
    if *first > 1 {
        session
            .ui
            .note(format!("older lines are not here: the first is number {first}, and follows from the hash that --from gives"));
    }
    if *lost > 0 {
        session.ui.note(format!("{lost} decisions could not be written at their time"));
    }
    session.ui.note("compare the hash with a copy kept elsewhere: a log whose end was cut off is whole all the same");
    Ok(Exit::Done)
}

async fn tail(session: &Session, args: &AuditTailArgs) -> Result<Exit, Failure> {
    let file = log(&args.log)?;
    let unreadable = |error: &std::io::Error| Failure::file(&file, error);
    let mut follow = args.follow.then(|| Follow::from_end(&file)).transpose().map_err(|error| unreadable(&error))?;
    let last = last_lines(&file, args.lines).map_err(|error| unreadable(&error))?;
    if session.ui.json() && !args.follow {
        let entries: Vec<Value> = last.iter().map(|line| serde_json::from_str(line).unwrap_or(json!(line))).collect();
        let report = json!({ "schema": "trustctl/audit-tail/v1", "exit": 0, "file": file, "entries": entries });
        session.ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    let say = |line: &str| session.ui.say(if session.ui.json() { line.to_owned() } else { readable(&session.ui, line) });
    last.iter().for_each(|line| say(line));
    while let Some(follow) = &mut follow {
        tokio::time::sleep(LOOK).await;
        follow.added().map_err(|error| unreadable(&error))?.iter().for_each(|line| say(line));
    }
    Ok(Exit::Done)
}

/// An entry in one line for people: what has a fixed width first. A line that is no record stands as it is.
fn readable(ui: &Ui, line: &str) -> String {
    let Ok(entry) = serde_json::from_str::<Value>(line) else { return clean(line) };
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let time = text("time").unwrap_or_default();
    let outcome = match (text("kind"), text("outcome")) {
        (Some("decision"), Some(outcome)) => outcome,
        (Some("lost"), _) => {
            let count = entry.get("count").and_then(Value::as_u64).unwrap_or(1);
            return clean(&format!("{time}  {count} decisions before this could not be written"));
        }
        (kind, _) => return clean(&format!("{time}  {}", kind.unwrap_or(line))),
    };
    let is_no = [Outcome::NotFound, Outcome::Refused, Outcome::Undecided].iter().any(|no| no.word() == outcome);
    let name = match (text("tag"), text("digest")) {
        (Some(tag), _) => format!(":{tag}"),
        (None, Some(digest)) => format!("@{}…", digest.chars().take("sha256:".len() + DIGITS).collect::<String>()),
        (None, None) => String::new(),
    };
    let call = text("call").filter(|call| *call != "manifest").map(|call| format!(" ({call})")).unwrap_or_default();
    let rule = text("rule").map(|rule| format!("  rule {rule}")).unwrap_or_default();
    let (repository, client) = (text("repository").unwrap_or_default(), text("client").unwrap_or_default());
    let verdict = ui.paint(if is_no { Paint::Red } else { Paint::Green }, &clean(&format!("{outcome:<11}")));
    let rest = format!("{:<6}  {repository}{name}{call}{rule}  from {client}", text("code").unwrap_or("-"));
    format!("{}  {verdict}  {}", clean(time), clean(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Global;
    use crate::config::Environment;

    #[test]
    fn an_entry_is_a_line_that_a_person_can_read() {
        let ui = Ui::new(&Global::default(), &Environment::read());
        let decision = r#"{"seq":3,"prev":"00","time":"2026-11-29T02:00:14Z","kind":"decision","request_id":"1","client":"10.0.0.7:4000","call":"manifest","repository":"r.example/shop/new","tag":"1","outcome":"refused","code":"TC0301","rule":"shop"}"#;
        assert_eq!(
            readable(&ui, decision),
            "2026-11-29T02:00:14Z  refused      TC0301  r.example/shop/new:1  rule shop  from 10.0.0.7:4000"
        );
        let blob = decision.replace("\"call\":\"manifest\"", "\"call\":\"blob\"").replace(
            "\"tag\":\"1\",\"outcome\":\"refused\",\"code\":\"TC0301\"",
            "\"digest\":\"sha256:0123456789abcdef\",\"outcome\":\"served\"",
        );
        assert_eq!(
            readable(&ui, &blob),
            "2026-11-29T02:00:14Z  served       -       r.example/shop/new@sha256:0123456789ab… (blob)  rule shop  from 10.0.0.7:4000"
        );
        let lost = r#"{"seq":4,"prev":"00","time":"2026-11-29T02:00:15Z","kind":"lost","count":7}"#;
        assert_eq!(readable(&ui, lost), "2026-11-29T02:00:15Z  7 decisions before this could not be written");
        assert_eq!(readable(&ui, "no record \u{1b}[2J"), "no record \u{fffd}[2J");
    }
}
