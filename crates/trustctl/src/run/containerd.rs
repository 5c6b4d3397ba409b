//! `trustctl containerd-verifier`: what containerd's plugin `io.containerd.image-verifier.v1.bindir` calls before it pulls an image.
//!
//! The contract is containerd's `docs/image-verification.md`: flags with one dash, a document on standard input, a line of reason on
//! standard output, and exit code 0 for "let it in". Whatever goes wrong here blocks.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::json;
use trustctl_core::reason::{Code, Reason, clean};
use trustctl_core::reference::Reference;
use trustctl_core::time::parse_age;

use super::{Session, parse_image, verify};
use crate::cli::ContainerdVerifierArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;

/// The command.
pub(super) const COMMAND: &str = "containerd-verifier";
/// The name under which the program is this command: containerd runs the files of a folder and passes flags of its own alone.
const PROGRAM: &str = "trustctl-containerd-verifier";
/// The flags that containerd passes, with one dash.
const FLAGS: [&str; 4] = ["name", "digest", "stdin-media-type", "operation"];
/// The time after which the answer is "cannot be decided". containerd kills a verifier after ten seconds, and then there is no reason.
const BUDGET: Duration = Duration::from_secs(8);
/// What of it the network may take, so that what was not reached can be named.
const ASKING: Duration = Duration::from_secs(7);
/// Longest document on standard input. A descriptor has some hundred bytes; annotations and the run's own ones add to it.
const MAX_INPUT: u64 = 1024 * 1024;
/// The media type of a descriptor.
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";
/// The media type of a descriptor with what is to be done with it.
const INPUT: &str = "application/vnd.containerd.image-verifier.input.v1+json";
/// What was seen before, where neither `XDG_STATE_HOME` nor `HOME` is set, as for a service of the system.
const SYSTEM_STATE: &str = "/var/lib/trustctl";

/// The words of a command line in the form that all commands have: the command by its name, flags with two dashes.
pub(super) fn words(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    if words.first().is_some_and(|program| Path::new(program).file_name().is_some_and(|name| name == PROGRAM)) {
        words.insert(1, COMMAND.into());
    }
    if words.get(1).is_none_or(|word| word != COMMAND) {
        return words;
    }
    words.into_iter().map(with_two_dashes).collect()
}

fn with_two_dashes(word: OsString) -> OsString {
    let text = word.to_string_lossy();
    let flag = text.strip_prefix('-').map(|rest| rest.split('=').next().unwrap_or(rest));
    if flag.is_some_and(|flag| FLAGS.contains(&flag)) { format!("-{text}").into() } else { word }
}

/// Says in one line why an image is blocked, where no JSON is asked for.
pub(super) fn say_blocked(ui: &Ui, reason: &Reason) {
    if !ui.json() {
        ui.say(format!("blocked: {}", told(reason)));
    }
}

fn told(reason: &Reason) -> String {
    let text: Vec<&str> = reason.message.split_whitespace().collect();
    format!("{}: {}", reason.code.id(), text.join(" "))
}

/// Judges the image that containerd names, by its digest, and says why in one line.
///
/// # Errors
/// A [`Failure`] where it could not be judged; this is said too.
pub(super) async fn run(session: &Session, args: &ContainerdVerifierArgs) -> Result<Exit, Failure> {
    let judged = tokio::time::timeout(BUDGET, judge(session, args)).await;
    let judged = judged.unwrap_or_else(|_| {
        let words = format!("{} could not be judged within {} seconds", clean(&args.name), BUDGET.as_secs());
        Err(Failure::new(Reason::new(Code::OutOfBudget, words)))
    });
    if let Err(failure) = &judged {
        say_blocked(&session.ui, &failure.reason);
    }
    judged
}

async fn judge(session: &Session, args: &ContainerdVerifierArgs) -> Result<Exit, Failure> {
    let reference = asked(args)?;
    let digest = reference.digest.as_ref();
    check_input(&args.stdin_media_type, &standard_input().await?, digest)?;
    let (exit, judgement) = verify::one(&for_containerd(session)?, &reference).await?;
    let reasons: Vec<String> = judgement.verdict.reasons().iter().map(|reason| told(reason)).collect();
    let warnings: Vec<String> = judgement.warnings.iter().map(told).collect();
    if session.ui.json() {
        let report = json!({
            "schema": "trustctl/containerd-verifier/v1", "exit": exit.code(), "image": reference.to_string(),
            "operation": args.operation, "verdict": judgement.verdict.kind(), "rule": judgement.rule,
            "reasons": reasons, "warnings": warnings,
        });
        session.ui.say(report.to_string());
        return Ok(exit);
    }
    let word = if exit == Exit::Done { "allowed" } else { "blocked" };
    let rule = judgement.rule.as_deref().map(|rule| format!(" by rule {}", clean(rule))).unwrap_or_default();
    let why: Vec<String> = reasons.into_iter().take(1).chain(warnings).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
    session.ui.say(format!("{word}: {reference} is {}{rule}{why}", judgement.verdict.kind().word()));
    Ok(exit)
}

/// The image that containerd will pull: the digest it names, under the tag it was asked for.
fn asked(args: &ContainerdVerifierArgs) -> Result<Reference, Failure> {
    let unreadable = |error| Failure::bad_value("-digest", &args.digest, error);
    let digest: Digest = args.digest.parse().map_err(unreadable)?;
    let mut reference = parse_image(&args.name)?;
    match reference.digest.replace(digest) {
        Some(named) if named != digest => Err(other_digest(&digest, &named, "the name")),
        _ => Ok(reference),
    }
}

fn other_digest(expected: &Digest, found: &Digest, place: &str) -> Failure {
    let words = format!("{place} has the digest {found}, and the image to judge is {expected}");
    Failure::new(Reason::new(Code::ContainerdDigest, words).expected_found(expected, found))
}

/// Everything on standard input, up to [`MAX_INPUT`]. It is read by a thread of its own that nobody waits for: who never closes it
/// cannot keep the answer back.
async fn standard_input() -> Result<Vec<u8>, Failure> {
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = std::io::stdin().take(MAX_INPUT + 1).read_to_end(&mut bytes);
        // Nobody listens any more when the time is over.
        let _ = send.send(read.map(|_| bytes));
    });
    let bytes = receive.await.map_err(|_| bad_input("it could not be read"))?;
    let bytes = bytes.map_err(|error| bad_input(&error.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_INPUT) {
        return Ok(bytes);
    }
    Err(bad_input(&format!("it is longer than {MAX_INPUT} bytes")))
}

fn bad_input(why: &str) -> Failure {
    Failure::new(Reason::new(Code::ContainerdInput, format!("standard input: {}", clean(why))))
}

/// Whether the document describes the image with this digest.
fn check_input(media_type: &str, bytes: &[u8], digest: Option<&Digest>) -> Result<(), Failure> {
    let document = json::read(bytes).map_err(|error| bad_input(&error.to_string()))?;
    let descriptor = match media_type {
        DESCRIPTOR => Some(&document),
        INPUT => member(&document, "descriptor"),
        _ => return Err(bad_input(&format!("it is announced as {media_type}, which is not known"))),
    };
    let named = descriptor.and_then(|descriptor| member(descriptor, "digest")).and_then(Value::as_str);
    let named = named.ok_or_else(|| bad_input("it names no digest"))?;
    let named: Digest = named.parse().map_err(|_| bad_input(&format!("{named} is not a digest")))?;
    match digest {
        Some(digest) if *digest != named => Err(other_digest(digest, &named, "standard input")),
        _ => Ok(()),
    }
}

/// The one member that Go's encoder may have written under this name: it capitalises names that have no tag.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let mut found = value.as_object()?.iter().filter(|(written, _)| written.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

/// The session with containerd's budget, and a place for what was seen before.
fn for_containerd(session: &Session) -> Result<Session, Failure> {
    let mut session = session.clone();
    let expected = "not a duration: write a whole number and s, m, h, d or w, like 5s";
    let timeout = &session.global.timeout;
    let span = parse_age(timeout).map_err(|_| Failure::bad_value("--timeout", timeout, expected))?;
    session.global.timeout = format!("{}s", span.min(ASKING).as_secs());
    session.environment.state.get_or_insert_with(|| PathBuf::from(SYSTEM_STATE));
    Ok(session)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

    fn checked(media_type: &str, document: &str) -> Result<(), Code> {
        check_input(media_type, document.as_bytes(), Some(&ONE.parse().unwrap())).map_err(|failure| failure.reason.code)
    }

    #[test]
    fn the_name_of_the_program_stands_for_the_command() {
        let made = |line: &str| words(line.split(' ').map(OsString::from)).join(" ".as_ref()).into_string().unwrap();
        assert_eq!(
            made("/opt/bin/trustctl-containerd-verifier -name a -digest=b"),
            "/opt/bin/trustctl-containerd-verifier containerd-verifier --name a --digest=b"
        );
        assert_eq!(
            made("trustctl containerd-verifier --name a -stdin-media-type b"),
            "trustctl containerd-verifier --name a --stdin-media-type b"
        );
        assert_eq!(made("trustctl verify -name"), "trustctl verify -name", "other commands keep their words");
    }

    #[test]
    fn both_documents_are_read() {
        assert_eq!(checked(DESCRIPTOR, &format!(r#"{{"mediaType":"m","digest":"{ONE}","size":1}}"#)), Ok(()));
        assert_eq!(checked(INPUT, &format!(r#"{{"descriptor":{{"digest":"{ONE}"}},"operation":"run"}}"#)), Ok(()));
        assert_eq!(checked(INPUT, &format!(r#"{{"Descriptor":{{"digest":"{ONE}"}}}}"#)), Ok(()));
    }

    #[test]
    fn another_digest_blocks() {
        assert_eq!(checked(DESCRIPTOR, &format!(r#"{{"digest":"{TWO}"}}"#)), Err(Code::ContainerdDigest));
        assert_eq!(checked(INPUT, &format!(r#"{{"descriptor":{{"digest":"{TWO}"}}}}"#)), Err(Code::ContainerdDigest));
        let ambiguous = format!(r#"{{"digest":"{ONE}","Digest":"{TWO}"}}"#);
        assert_eq!(checked(DESCRIPTOR, &ambiguous), Err(Code::ContainerdInput), "Go would read the other one");
    }

    #[test]
    fn what_is_no_description_blocks() {
        for document in ["", "{", "null", "[]", "{}", r#"{"digest":7}"#, r#"{"digest":"sha256:0"}"#] {
            assert_eq!(checked(DESCRIPTOR, document), Err(Code::ContainerdInput), "{document}");
        }
        assert_eq!(checked(INPUT, &format!(r#"{{"digest":"{ONE}"}}"#)), Err(Code::ContainerdInput));
        assert_eq!(checked("application/json", &format!(r#"{{"digest":"{ONE}"}}"#)), Err(Code::ContainerdInput));
    }
}
