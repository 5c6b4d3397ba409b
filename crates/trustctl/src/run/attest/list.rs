//! `trustctl attest list`: what is attested about an image, and how far it is to be believed. It never says "trusted".

use serde_json::{Value, json};
use trustctl_core::predicate::short_name;
use trustctl_core::reason::{Code, Reason, clean};
use trustctl_core::report::ReasonReport;
use trustctl_sigstore::artifact::State;
use trustctl_sigstore::attestation::Attestation;

use super::super::{Session, inspect};
use super::gathered::{Asked, Gathered, gather};
use super::verify::kind;
use crate::cli::AttestListArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Paint;

/// Lists what is there; ends as undecided where something could not be read.
///
/// # Errors
/// A [`Failure`] when the image cannot be read at all.
pub(super) async fn run(session: &Session, args: &AttestListArgs) -> Result<Exit, Failure> {
    let anchors = inspect::anchors(session, &(&args.trust).into())?;
    let predicate_type = args.kind.as_deref().map(kind).transpose()?;
    let asked =
        Asked { image: &args.image, predicate_type: predicate_type.as_deref(), anchors: &anchors, now: session.now(None)? };
    let world = session.world(None)?;
    let gathered = gather(session, (&world, &args.trust), &asked).await?;
    let missing: Vec<Reason> = gathered.findings.missing.iter().map(|missing| missing.reason.clone()).collect();
    let exit = if missing.is_empty() { Exit::Done } else { Exit::Undecided };
    if session.ui.json() {
        session.ui.say(report(&gathered, &missing, exit).to_string());
    } else {
        let keyless = anchors.keys.is_empty();
        text(session, &gathered, &missing, keyless);
    }
    Ok(exit)
}

fn report(gathered: &Gathered, missing: &[Reason], exit: Exit) -> Value {
    let attestations: Vec<Value> = gathered.attestations.iter().map(entry).collect();
    let missing: Vec<ReasonReport> = missing.iter().map(ReasonReport::new).collect();
    json!({
        "schema": "trustctl/attest-list/v1", "exit": exit.code(), "image": gathered.subject.repository.to_string(),
        "digest": gathered.subject.digest, "attestations": attestations, "missing": missing,
    })
}

/// One attestation, for programs.
fn entry(attestation: &Attestation) -> Value {
    let (state, reason) = state(attestation);
    let claim = attestation.claim();
    json!({
        "state": state,
        "predicateType": attestation.predicate_type(),
        "signer": claim.map(|claim| &claim.principal),
        "signedAt": claim.and_then(|claim| claim.signed_at),
        "logEntries": claim.map(|claim| &claim.log),
        "size": attestation.size(),
        "statement": attestation.digest(),
        "form": attestation.artifact.form.words(),
        "source": attestation.artifact.source,
        "reason": reason.map(ReasonReport::new),
    })
}

fn state(attestation: &Attestation) -> (&'static str, Option<&Reason>) {
    match &attestation.artifact.state {
        State::Proven(_) => ("proven", None),
        State::Broken(reason) => ("broken", Some(reason)),
        State::Claimed(reason) => ("claimed", Some(reason)),
        _ => ("claimed", None),
    }
}

fn text(session: &Session, gathered: &Gathered, missing: &[Reason], no_key: bool) {
    let ui = &session.ui;
    let (subject, count) = (&gathered.subject, gathered.attestations.len());
    ui.say(format!("{}@{}: {count} attestation(s)", subject.repository, subject.digest));
    for attestation in &gathered.attestations {
        let (state, reason) = state(attestation);
        let paint = match state {
            "proven" => Paint::Green,
            "broken" => Paint::Red,
            _ => Paint::Yellow,
        };
        let kind = clean(attestation.predicate_type().map_or("of no type that can be read", short_name));
        let by = match (attestation.claim(), reason) {
            (Some(claim), _) => format!("by {}", claim.principal),
            (None, Some(reason)) if reason.code == Code::CosignWrongKey && no_key => {
                "by a key that was not given: --key, --policy".to_owned()
            }
            (None, Some(reason)) => reason.to_string(),
            (None, None) => "not read".to_owned(),
        };
        ui.say(format!("  {}  {kind}, {}", ui.paint(paint, state), clean(&by)));
        let size = attestation.size().map_or("of unknown size".to_owned(), |size| format!("{size} bytes"));
        let time = attestation.claim().and_then(|claim| claim.signed_at);
        let time = time.map_or("no trusted time".to_owned(), |time| format!("signed by {time}"));
        let digest = attestation.digest().map(|digest| format!(", statement {digest}")).unwrap_or_default();
        ui.say(format!("           {size}, {time}, {}{digest}", attestation.artifact.form.words()));
    }
    for reason in missing {
        ui.say(format!("{}: {reason}", ui.paint(Paint::Yellow, "could not be read")));
    }
}
