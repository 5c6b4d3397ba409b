//! `trustctl attest verify`: whether what is attested does.

use trustctl_core::judge::Judgement;
use trustctl_core::predicate::type_of;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::report::{ImageReport, Judged, ReasonReport, VerifyReport};

use super::super::Session;
use super::gathered::{Asked, Gathered, Jury, gather};
use crate::cli::AttestVerifyArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;

const SCHEMA: &str = "trustctl/attest-verify/v1";

/// Judges the attestations of one type about each image. The exit code follows from the verdicts alone.
///
/// # Errors
/// A [`Failure`] for what concerns the whole run.
pub(super) async fn run(session: &Session, args: &AttestVerifyArgs) -> Result<Exit, Failure> {
    let now = session.now(args.at.as_deref())?;
    let jury = Jury::new(session, &args.trust, (kind(&args.kind)?, now))?;
    let world = session.world(None)?;
    let mut answers = Vec::new();
    for image in &args.images {
        let anchors = jury.anchors(&super::super::parse_image(image)?.repository)?;
        let asked = Asked { image, predicate_type: Some(&jury.predicate_type), anchors: &anchors, now };
        match gather(session, (&world, &args.trust), &asked).await {
            Ok(gathered) => {
                let judgement = jury.judge(&gathered.subject, &gathered.findings);
                answers.push((image, Exit::of_verdict(judgement.verdict.kind()), judgement, Some(gathered)));
            }
            Err(failure) => answers.push((image, failure.exit, Judgement::undecided(failure.reason), None)),
        }
    }
    let exits: Vec<Exit> = answers.iter().map(|(_, exit, _, _)| *exit).collect();
    let exit = Exit::of_several(&exits);
    let judged: Vec<Judged<'_>> =
        answers.iter().map(|(image, _, judgement, gathered)| in_view(image, judgement, gathered.as_ref())).collect();
    let mut warnings: Vec<Reason> = session.policy_not_used(&(&args.trust).into()).into_iter().collect();
    warnings.extend(args.at.is_some().then(|| Reason::new(Code::OtherTime, format!("judged as of {now}, which is not now"))));
    if session.ui.json() {
        let results = judged.iter().map(|judged| ImageReport::new(&jury.policy, judged)).collect();
        let at = args.at.is_some().then_some(now);
        let warnings = warnings.iter().map(ReasonReport::new).collect();
        let report = VerifyReport { schema: SCHEMA, exit: exit.code(), at, gathered: None, results, warnings, error: None };
        session.ui.say(serde_json::to_string(&report).unwrap_or_default());
        return Ok(exit);
    }
    warnings.iter().for_each(|warning| render::warning(&session.ui, warning));
    for judged in &judged {
        render::attested(&session.ui, judged, &jury.predicate_type);
    }
    Ok(exit)
}

/// The predicate type that `--type` names.
///
/// # Errors
/// A usage [`Failure`].
pub(super) fn kind(text: &str) -> Result<String, Failure> {
    type_of(text).ok_or_else(|| {
        let names: Vec<&str> = trustctl_core::predicate::SHORT_NAMES.iter().map(|(name, _)| *name).collect();
        Failure::bad_value("--type", text, format!("give {}, or a URI", names.join(", ")))
    })
}

pub(super) fn in_view<'a>(image: &'a str, judgement: &'a Judgement, gathered: Option<&'a Gathered>) -> Judged<'a> {
    Judged {
        image,
        digest: gathered.map(|gathered| gathered.subject.digest),
        findings: gathered.map_or(&[], |gathered| std::slice::from_ref(&gathered.findings)),
        judgement,
    }
}
