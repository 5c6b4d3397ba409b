//! Answers as text: what, why, next.

use trustctl_core::claim::{Claim, Claimed, Principal, Statement};
use trustctl_core::judge::Judgement;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::report::Judged;
use trustctl_core::verdict::Verdict;

use crate::failure::Failure;
use crate::ui::{Paint, Ui};

/// Prints the judgement about one image: the verdict line on stdout, everything about it on stderr.
pub fn judgement(ui: &Ui, judged: &Judged<'_>) {
    for warning in &judged.judgement.warnings {
        self::warning(ui, warning);
    }
    let name = match judged.digest {
        Some(digest) if !judged.image.ends_with(&digest.to_string()) => format!("{}@{digest}", judged.image),
        _ => judged.image.to_owned(),
    };
    let verdict = &judged.judgement.verdict;
    // The registry has answered, so that nothing is open; the JSON has no verdict of its own for it.
    let not_found = judged.digest.is_none() && verdict.reasons().first().is_some_and(|why| why.code == Code::ImageNotFound);
    let word = if not_found { "not found" } else { verdict.kind().word() };
    let paint = if verdict.is_trusted() { Paint::Green } else { Paint::Red };
    ui.say(format!("{}: {name}", ui.paint(paint, word)));
    match verdict {
        Verdict::Trusted { claims } => {
            for claim in claims {
                ui.note(format!("  by:   {}", describe(claim)));
            }
            if let Some(rule) = &judged.judgement.rule {
                ui.note(format!("  rule: {rule}"));
            }
        }
        Verdict::Rejected { reasons } => {
            refusal(ui, &format!("{} is not trusted: {}", judged.image, reasons.first().code.summary()), verdict)
        }
        Verdict::Unsigned { .. } => refusal(ui, &format!("{} has no signature this policy accepts", judged.image), verdict),
        Verdict::Undecided { .. } if not_found => {
            refusal(ui, &format!("{} is not there: {}", judged.image, Code::ImageNotFound.summary()), verdict)
        }
        Verdict::Undecided { .. } => refusal(ui, &format!("cannot decide about {}", judged.image), verdict),
    }
}

/// Prints the judgement about what is attested of one image, for one predicate type.
pub fn attested(ui: &Ui, judged: &Judged<'_>, predicate_type: &str) {
    let name = match judged.digest {
        Some(digest) if !judged.image.ends_with(&digest.to_string()) => format!("{}@{digest}", judged.image),
        _ => judged.image.to_owned(),
    };
    let kind = trustctl_core::predicate::short_name(predicate_type);
    let verdict = &judged.judgement.verdict;
    let (paint, word) = match verdict {
        Verdict::Trusted { .. } => (Paint::Green, "attested"),
        Verdict::Rejected { .. } => (Paint::Red, "rejected"),
        Verdict::Undecided { .. } => (Paint::Red, "undecided"),
        Verdict::Unsigned { .. } => (Paint::Red, "not attested"),
    };
    ui.say(format!("{}: {name}", ui.paint(paint, word)));
    match verdict {
        Verdict::Trusted { claims } => claims.iter().for_each(|claim| ui.note(format!("  by:   {}", describe(claim)))),
        Verdict::Rejected { reasons } => {
            refusal(ui, &format!("no attestation {kind} of {} does: {}", judged.image, reasons.first().code.summary()), verdict)
        }
        Verdict::Undecided { .. } => {
            refusal(ui, &format!("cannot decide about attestations {kind} of {}", judged.image), verdict)
        }
        Verdict::Unsigned { .. } => refusal(ui, &format!("{} has no attestation {kind}", judged.image), verdict),
    }
}

/// What the judgement says in one line, for lists.
#[must_use]
pub fn one_line(judgement: &Judgement) -> String {
    let kind = judgement.verdict.kind().word();
    match judgement.verdict.reasons().first() {
        Some(reason) => format!("{kind}: {} ({})", reason.code.summary(), reason.code),
        None => kind.to_owned(),
    }
}

/// Prints why a run failed.
pub fn failure(ui: &Ui, failure: &Failure) {
    let reason = &failure.reason;
    match &failure.file {
        Some(file) => error_head(ui, reason, &format!("{file} cannot be used")),
        None => error_head(ui, reason, reason.code.summary()),
    }
    why(ui, reason);
    next(ui, &reason.next, &[reason]);
}

/// Prints what was found out to be wrong, beside an answer that says so.
pub fn problem(ui: &Ui, reason: &Reason) {
    error_head(ui, reason, reason.code.summary());
    why(ui, reason);
    next(ui, &reason.next, &[reason]);
}

/// Prints a remark that changes nothing.
pub fn warning(ui: &Ui, reason: &Reason) {
    let head = ui.paint_err(Paint::Yellow, &format!("warning[{}]", reason.code));
    ui.note(format!("{head}: {}", reason.message));
}

fn refusal(ui: &Ui, what: &str, verdict: &Verdict) {
    let reasons = verdict.reasons();
    let Some(first) = reasons.first() else { return };
    error_head(ui, first, what);
    for reason in reasons.iter().take(MAX_SHOWN) {
        why(ui, reason);
    }
    if reasons.len() > MAX_SHOWN {
        ui.tell(format!("        … and {} more; --output json has all", reasons.len() - MAX_SHOWN));
    }
    let steps: Vec<Step> = reasons.iter().take(MAX_SHOWN).flat_map(|reason| reason.next.clone()).collect();
    next(ui, &steps, &[first]);
}

/// Most reasons that are shown of one verdict.
const MAX_SHOWN: usize = 4;

fn error_head(ui: &Ui, reason: &Reason, what: &str) {
    let head = ui.paint_err(Paint::Red, &format!("error[{}]", reason.code));
    ui.tell(format!("{head}: {what}"));
}

fn why(ui: &Ui, reason: &Reason) {
    ui.tell(format!("  why:  {}", reason.message));
    if let (Some(expected), Some(found)) = (&reason.expected, &reason.found) {
        ui.tell(format!("        expected  {expected}"));
        ui.tell(format!("        found     {found}"));
    }
}

fn next(ui: &Ui, steps: &[Step], reasons: &[&Reason]) {
    // The advice of the code is for those reasons that bring no step of their own.
    let advice = reasons.iter().filter(|reason| reason.next.is_empty()).map(|reason| Step::words(reason.code.advice()));
    let mut lead = "  next: ";
    let mut shown: Vec<Step> = Vec::new();
    for step in steps.iter().cloned().chain(advice) {
        if shown.contains(&step) {
            continue;
        }
        let command = if step.command.is_empty() {
            String::new()
        } else {
            format!(":  {}", ui.paint_err(Paint::Cyan, &quoted(&step.command)))
        };
        ui.tell(format!("{lead}{}{command}", step.text));
        lead = "        ";
        shown.push(step);
    }
}

/// A command line that a shell reads back as these words.
#[must_use]
pub fn quoted(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+%".contains(c);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// A claim in one line.
#[must_use]
pub fn describe(claim: &Claim) -> String {
    let mut text = match &claim.statement {
        Statement::Attestation { predicate_type, .. } => format!("attestation {predicate_type} by {}", claim.principal),
        Statement::Revocation { reason, message, .. } => format!("revocation ({reason}: {message}) by {}", claim.principal),
        _ => format!("{} {}", claim.scheme, claim.principal),
    };
    if let Principal::Role { signers, .. } = &claim.principal
        && !signers.is_empty()
    {
        text.push_str(&format!(", signed by {}", signers.join(", ")));
    }
    text.push_str(&format!(", {}", claim.source.form));
    if let Some(tag) = &claim.tag {
        text.push_str(&format!(", for tag {tag}"));
    }
    for (name, value) in &claim.annotations {
        text.push_str(&format!(", {name}={value}"));
    }
    if let Some(until) = claim.fresh_until {
        text.push_str(&format!(", fresh until {}", until.date()));
    }
    if let Some(time) = claim.signed_at {
        text.push_str(&format!(", signed by {time}"));
    }
    if let Some(entry) = claim.log.proven.first() {
        text.push_str(&format!(", log entry {}", entry.index));
    } else if let Some(entry) = claim.log_entries.first().map(Claimed::peek) {
        text.push_str(&format!(", claims log entry {} (not judged)", entry.index));
    }
    trustctl_core::reason::clean(&text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn suggested_commands_are_quoted_for_a_shell() {
        let words = ["trustctl", "verify", "a b", "it's", "x@sha256:ab"].map(str::to_owned);
        assert_eq!(super::quoted(&words), "trustctl verify 'a b' 'it'\\''s' x@sha256:ab");
    }
}
