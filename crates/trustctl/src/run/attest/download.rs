//! `trustctl attest download`: what is attested, handed out once it is verified.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::judge::Judgement;
use trustctl_core::predicate::short_name;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::report::{ImageReport, ReasonReport};
use trustctl_core::scheme::Anchors;
use trustctl_core::time::Timestamp;
use trustctl_sigstore::attestation::{Attestation, Part};

use super::super::Session;
use super::gathered::{Asked, Gathered, Jury, gather};
use super::verify::{in_view, kind};
use crate::cli::{AttestDownloadArgs, AttestPart};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;

/// Hands out one attestation; where none does, ends as `attest verify` would and hands out nothing.
///
/// # Errors
/// [`Code::AttestationAmbiguous`] where several are there that say different things; a [`Failure`] for what cannot be read or written.
pub(super) async fn run(session: &Session, args: &AttestDownloadArgs) -> Result<Exit, Failure> {
    let predicate_type = kind(&args.kind)?;
    let wanted = args.digest.as_deref().map(digest).transpose()?;
    let now = session.now(None)?;
    let jury = match args.danger_unverified {
        true => None,
        false => Some(Jury::new(session, &args.trust, (predicate_type.clone(), now))?),
    };
    let anchors = match &jury {
        Some(jury) => jury.anchors(&super::super::parse_image(&args.image)?.repository)?,
        None => Anchors::default(),
    };
    let world = session.world(None)?;
    let asked = Asked { image: &args.image, predicate_type: Some(&predicate_type), anchors: &anchors, now };
    let gathered = gather(session, (&world, &args.trust), &asked).await?;
    let mut dangers = Vec::new();
    let candidates: Vec<&Attestation> = match &jury {
        Some(jury) => {
            let judgement = jury.judge(&gathered.subject, &gathered.findings);
            if !judgement.verdict.is_trusted() {
                return Ok(refused(session, args, (jury, &judgement, &gathered)));
            }
            jury.sound(&gathered)
        }
        None => {
            let words = "--danger-unverified: nobody vouches for what is handed out; anybody who can push may have written it";
            dangers.push(Reason::new(Code::Danger, words));
            gathered.attestations.iter().filter(|attestation| attestation.digest().is_some()).collect()
        }
    };
    let fits = |attestation: &&Attestation| wanted.is_none_or(|wanted| attestation.digest() == Some(wanted));
    let chosen = choose(candidates.into_iter().filter(fits).collect(), (&args.image, &predicate_type))?;
    hand_out(session, args, (chosen, &gathered), &dangers)
}

fn digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|error| Failure::bad_value("--digest", text, error))
}

/// The newest by trusted time; without an order the only one, or the first of those that say the same.
fn choose<'g>(candidates: Vec<&'g Attestation>, (image, predicate_type): (&str, &str)) -> Result<&'g Attestation, Failure> {
    let signed_at = |attestation: &Attestation| attestation.claim().and_then(|claim| claim.signed_at);
    let times: Vec<Option<Timestamp>> = candidates.iter().map(|attestation| signed_at(attestation)).collect();
    let newest = times.iter().flatten().max().copied();
    let in_question: Vec<&Attestation> = match times.iter().all(Option::is_some) {
        true => candidates.iter().copied().filter(|attestation| signed_at(attestation) == newest).collect(),
        false => candidates,
    };
    let said: BTreeSet<Option<String>> = in_question.iter().map(|attestation| attestation.part(Part::Predicate)).collect();
    match (in_question.first(), said.len()) {
        (Some(first), 1) => Ok(first),
        (None, _) => {
            let words = format!("{image} has no attestation of the type {predicate_type} with that digest");
            Err(Failure { exit: Exit::NotFound, ..Failure::new(Reason::new(Code::PolicyAttestationMissing, words)) })
        }
        (Some(first), _) => {
            let words =
                format!("{image} has {} attestations of the type {predicate_type}, which say different things", said.len());
            let digest = first.digest().map(|digest| digest.to_string()).unwrap_or_default();
            let list = ["trustctl", "attest", "list", image, "--type", short_name(predicate_type)];
            let step = Step::command("see which there are", list);
            let pick = Step::words(format!("name one by its statement, as in --digest {digest}"));
            Err(Failure::new(Reason::new(Code::AttestationAmbiguous, words).step(step).step(pick)))
        }
    }
}

fn hand_out(
    session: &Session,
    args: &AttestDownloadArgs,
    (chosen, gathered): (&Attestation, &Gathered),
    dangers: &[Reason],
) -> Result<Exit, Failure> {
    let (part, name) = match args.part {
        AttestPart::Envelope => (Part::Envelope, "envelope"),
        AttestPart::Predicate => (Part::Predicate, "predicate"),
        AttestPart::Statement => (Part::Statement, "statement"),
    };
    let text = chosen.part(part).unwrap_or_default();
    if let Some(path) = &args.to {
        trustctl_remote::file::replace(path, text.as_bytes()).map_err(|error| Failure::file(path, &error))?;
    }
    let ui = &session.ui;
    if ui.json() {
        let content: Option<Value> = if args.to.is_none() { serde_json::from_str(&text).ok() } else { None };
        let warnings: Vec<ReasonReport> = dangers.iter().map(ReasonReport::new).collect();
        let report = json!({
            "schema": "trustctl/attest-download/v1", "exit": 0, "image": gathered.subject.repository.to_string(),
            "digest": gathered.subject.digest, "predicateType": chosen.predicate_type(), "statement": chosen.digest(),
            "signer": chosen.claim().map(|claim| &claim.principal), "signedAt": chosen.claim().and_then(|claim| claim.signed_at),
            "file": args.to.as_ref().map(|path| path.display().to_string()), "part": name, "content": content, "warnings": warnings,
        });
        ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    dangers.iter().for_each(|danger| render::warning(ui, danger));
    match &args.to {
        Some(path) => ui.note(format!("wrote the {name} to {}", path.display())),
        None => ui.say(text),
    }
    if let Some(claim) = chosen.claim() {
        ui.note(format!("  by:   {}", render::describe(claim)));
    }
    Ok(Exit::Done)
}

fn refused(session: &Session, args: &AttestDownloadArgs, (jury, judgement, gathered): (&Jury, &Judgement, &Gathered)) -> Exit {
    let judged = in_view(&args.image, judgement, Some(gathered));
    let exit = Exit::of_verdict(judgement.verdict.kind());
    if session.ui.json() {
        let result = ImageReport::new(&jury.policy, &judged);
        let report = json!({ "schema": "trustctl/attest-download/v1", "exit": exit.code(), "results": [result] });
        session.ui.say(report.to_string());
    } else {
        render::attested(&session.ui, &judged, &jury.predicate_type);
    }
    exit
}
