//! `trustctl proxy break-glass`: an operator's signed word for one image and a short time.

use trustctl_core::reason::{Code, Step};
use trustctl_core::time::parse_age;
use trustctl_proxy::break_glass::{LONGEST, Token};

use super::super::{Session, clock, parse_image};
use crate::cli::BreakGlassArgs;
use crate::exit::Exit;
use crate::failure::Failure;

/// Writes a token.
///
/// # Errors
/// A [`Failure`]: a usage error for a token that would not count, else as for the key and the file.
pub(super) fn run(session: &Session, args: &BreakGlassArgs) -> Result<Exit, Failure> {
    let reference = parse_image(&args.image)?;
    let Some(digest) = reference.digest else {
        let words = format!("{} names no digest: what may pass is named by its digest alone", args.image);
        let step = Step::words("take the digest from the refusal, or from the audit log");
        return Err(Failure::usage(Code::TagNotAllowed, words).step(step));
    };
    let expected = "not a time: write a whole number and s, m or h, at most 24h";
    let span = parse_age(&args.span).ok().filter(|span| *span <= LONGEST);
    let span = span.ok_or_else(|| Failure::bad_value("--for", &args.span, expected))?;
    let issued = clock();
    let token = Token {
        repository: reference.repository,
        digest,
        reason: args.reason.clone(),
        issued,
        until: issued.saturating_add(span),
    };
    token.check().map_err(|error| Failure::usage(Code::BadCommandLine, error.to_string()))?;
    let key = session.private_key(&args.key, args.passphrase.as_deref(), None)?;
    let bytes = token.sign(&key)?;
    trustctl_remote::file::replace(&args.to, &bytes).map_err(|error| Failure::file(&args.to, &error))?;
    if session.ui.json() {
        let report = serde_json::json!({ "schema": "trustctl/break-glass/v1", "exit": 0, "token": token, "file": args.to });
        session.ui.say(report.to_string());
    } else {
        session.ui.say(format!("{}@{} may pass until {}", token.repository, token.digest, token.until));
    }
    Ok(Exit::Done)
}
