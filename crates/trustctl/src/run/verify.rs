//! `trustctl verify`: from images to verdicts.

use std::cell::OnceCell;
use std::path::Path;
use std::time::Duration;

use trustctl_core::assess::{Assessment, Assessor, remembered_names};
use trustctl_core::claim::SchemeName;
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, EvidenceFile, Locator, Origin};
use trustctl_core::judge::Judgement;
use trustctl_core::memory::Memory;
use trustctl_core::policy::Policy;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Reference;
use trustctl_core::report::{ImageReport, Judged, ReasonReport, VERIFY_SCHEMA, VerifyReport};
use trustctl_core::scheme::Findings;
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_remote::layout::Layout;
use trustctl_remote::limits::MAX_EVIDENCE_FILE;
use trustctl_remote::registry::Resolved;
use trustctl_remote::state::Store;

use super::network::World;
use super::{Schemes, Session, schemes, sigstore, trust};
use crate::cli::VerifyArgs;
use crate::config::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;

/// How old saved evidence may be without a remark.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// What came out for one image.
struct Answer {
    image: String,
    digest: Option<Digest>,
    findings: Vec<Findings>,
    judgement: Judgement,
    exit: Exit,
}

/// What every image of a run is judged by.
struct Bench<'a> {
    session: &'a Session,
    args: &'a VerifyArgs,
    policy: Policy,
    schemes: Schemes,
    store: Option<Store>,
    now: Timestamp,
    /// When the evidence was gathered, where it was saved earlier.
    gathered: OnceCell<Timestamp>,
    /// Remarks on what trust begins with.
    anchor_remarks: Vec<Reason>,
}

/// Judges images and prints what came out. The exit code follows from the verdicts alone.
///
/// # Errors
/// A [`Failure`] for what concerns the whole run: the policy, the arguments, the state.
pub(super) async fn run(session: &Session, args: &VerifyArgs) -> Result<Exit, Failure> {
    if args.save_evidence.is_some() && args.images.len() > 1 {
        let words =
            format!("--save-evidence takes one image, for the file holds what is about one; {} were named", args.images.len());
        return Err(Failure::usage(Code::BadCommandLine, words).step(Step::words("run it once for each image, with a file each")));
    }
    let bench = Bench::new(session, args)?;
    let answers = bench.judge_all().await?;
    let exits: Vec<Exit> = answers.iter().map(|answer| answer.exit).collect();
    let exit = Exit::of_several(&exits);
    print(&bench, &answers, exit);
    Ok(exit)
}

/// One image by the policy in force, or by what is pinned for its repository: how a run ends, and the judgement. What was learnt is
/// stored.
///
/// # Errors
/// A [`Failure`] as for [`run`].
pub(super) async fn one(session: &Session, reference: &Reference) -> Result<(Exit, Judgement), Failure> {
    let mut args = VerifyArgs { images: vec![reference.to_string()], ..VerifyArgs::default() };
    args.trust.signers.signature_repository = Environment::variable("COSIGN_REPOSITORY").filter(|name| !name.is_empty());
    let answers = Bench::new(session, &args)?.judge_all().await?;
    let answer = answers.into_iter().next();
    answer.map(|answer| (answer.exit, answer.judgement)).ok_or_else(|| {
        let words = format!("{reference} was not judged");
        Failure::new(Reason::new(Code::ConfigUnusable, words))
    })
}

/// The report of a run that failed as a whole.
pub(super) fn failed(failure: &Failure) -> VerifyReport {
    let error = Some(ReasonReport::new(&failure.reason));
    VerifyReport {
        schema: VERIFY_SCHEMA,
        exit: failure.exit.code(),
        at: None,
        gathered: None,
        results: Vec::new(),
        warnings: Vec::new(),
        error,
    }
}

fn print(bench: &Bench<'_>, answers: &[Answer], exit: Exit) {
    let (session, warnings) = (bench.session, bench.remarks());
    let judged: Vec<Judged<'_>> = answers
        .iter()
        .map(|answer| Judged {
            image: &answer.image,
            digest: answer.digest,
            findings: &answer.findings,
            judgement: &answer.judgement,
        })
        .collect();
    if session.ui.json() {
        let results = judged.iter().map(|judged| ImageReport::new(&bench.policy, judged)).collect();
        let warnings = warnings.iter().map(ReasonReport::new).collect();
        let at = bench.args.at.is_some().then_some(bench.now);
        let gathered = bench.gathered.get().copied();
        let report = VerifyReport { schema: VERIFY_SCHEMA, exit: exit.code(), at, gathered, results, warnings, error: None };
        session.ui.say(serde_json::to_string(&report).unwrap_or_default());
        return;
    }
    if let Some(gathered) = bench.gathered.get() {
        session.ui.note(format!("evidence gathered {gathered}, {}", age(*gathered, bench.now)));
    }
    for warning in &warnings {
        render::warning(&session.ui, warning);
    }
    for judged in &judged {
        render::judgement(&session.ui, judged);
    }
}

impl<'a> Bench<'a> {
    fn new(session: &'a Session, args: &'a VerifyArgs) -> Result<Self, Failure> {
        let mut policy = session.policy_or_pins(&args.trust, &args.images)?;
        if args.oci_layout.is_some() && args.images.is_empty() {
            session.ui.note("no image was named: the repository that signatures name is not compared with anything");
            policy = policy.for_nameless_image();
        }
        let named = trust::repository("--signature-repository", args.trust.signers.signature_repository.as_deref())?;
        let store = if args.danger_no_memory { None } else { Some(session.store()?) };
        let now = session.now(args.at.as_deref())?;
        let policy = sigstore::with_fetched(session, policy, now)?;
        let anchor_remarks = session.age_of_root(&policy, now)?.into_iter().collect();
        Ok(Self {
            session,
            args,
            schemes: schemes(&policy, named),
            policy,
            store,
            now,
            gathered: OnceCell::new(),
            anchor_remarks,
        })
    }

    /// Remarks on how this run judges.
    fn remarks(&self) -> Vec<Reason> {
        let mut remarks = self.session.dangers();
        remarks.extend(self.session.policy_not_used(&self.args.trust));
        remarks.extend(self.anchor_remarks.iter().cloned());
        if self.args.danger_no_memory {
            let words =
                "--danger-no-memory: what was seen before is not known, so that old data and past revocations pass unnoticed";
            remarks.push(Reason::new(Code::Danger, words));
        }
        if self.args.trust.danger_trust_on_first_use {
            let words = "--danger-trust-on-first-use: whoever answers first for a collection is believed";
            remarks.push(Reason::new(Code::Danger, words));
        }
        if self.args.at.is_some() {
            remarks.push(Reason::new(Code::OtherTime, format!("judged as of {}, which is not now", self.now)));
        }
        remarks.extend(self.gathered.get().and_then(|gathered| old_evidence(*gathered, self.now)));
        remarks
    }

    async fn judge_all(&self) -> Result<Vec<Answer>, Failure> {
        if let Some(path) = &self.args.evidence {
            return Ok(vec![self.judge_saved(path)?]);
        }
        if let Some(path) = &self.args.oci_layout {
            return self.judge_layout(path).await;
        }
        let mut answers = Vec::new();
        let world = if self.args.offline { None } else { Some(self.session.world(self.args.trust.dct_server.as_deref())?) };
        for image in &self.args.images {
            answers.push(self.judge_image(image, world.as_ref()).await?);
        }
        if let (Some(world), true) = (&world, self.session.ui.verbose) {
            self.session.ui.tell(world.counts());
        }
        Ok(answers)
    }

    async fn judge_image(&self, image: &str, world: Option<&World>) -> Result<Answer, Failure> {
        let reference = super::parse_image(image)?;
        let Some(world) = world else {
            let words = format!("{reference} is not at hand in an offline run");
            return Ok(self.unanswered(image, &Failure::new(Reason::new(Code::Offline, words))));
        };
        let deadline = self.session.deadline()?;
        let resolving = world.resolve(&reference, deadline);
        let (subject, evidence) = match self.session.ui.progress(&format!("resolving {reference}"), resolving).await {
            Ok(resolved) => resolved,
            Err(reason) => return Ok(self.unanswered(image, &Failure::new(reason))),
        };
        let source = world.until(deadline);
        let supply = Supply { source: &source, limits: Limits::default(), deadline };
        self.judge_subject(image, &subject, (evidence, supply)).await
    }

    /// Gathers and judges, stores what was learnt, and saves the evidence where that was asked for.
    async fn judge_subject(
        &self,
        image: &str,
        subject: &Subject,
        (evidence, supply): (Evidence, Supply<'_>),
    ) -> Result<Answer, Failure> {
        let memory = self.recall(subject)?;
        let held = self.schemes.all();
        let assessor = Assessor { policy: &self.policy, schemes: &held, memory: &memory, now: self.now };
        let wants = |have: &Evidence| assessor.wants(subject, have);
        let gathering = collect(&wants, evidence, supply);
        let evidence = self.session.ui.progress(&format!("gathering evidence about {image}"), gathering).await;
        let assessment = self.assess(subject, &evidence)?;
        self.learn(&assessment)?;
        if let Some(path) = &self.args.save_evidence {
            save(path, EvidenceFile { subject: subject.clone(), gathered: super::clock(), evidence })?;
        }
        Ok(answer(image, subject, assessment))
    }

    /// Judges what was gathered. What is remembered is looked up under the digests that the evidence has shown.
    fn assess(&self, subject: &Subject, evidence: &Evidence) -> Result<Assessment, Failure> {
        let memory = self.recall(&subject.by_sha256(evidence))?;
        let held = self.schemes.all();
        Ok(Assessor { policy: &self.policy, schemes: &held, memory: &memory, now: self.now }.assess(subject, evidence))
    }

    fn judge_saved(&self, path: &Path) -> Result<Answer, Failure> {
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::new(Reason::new(Code::ConfigUnusable, format!("{}: {error}", path.display())))
        };
        let bytes = trustctl_remote::file::read(path, MAX_EVIDENCE_FILE).map_err(|error| Failure::file(path, &error))?;
        let file = EvidenceFile::from_json(&bytes).map_err(|error| unusable(&error))?;
        self.gathered.get_or_init(|| file.gathered);
        let assessment = self.assess(&file.subject, &file.evidence)?;
        self.learn(&assessment)?;
        let image = Reference {
            repository: file.subject.repository.clone(),
            tag: file.subject.tag.clone(),
            digest: Some(file.subject.digest),
        };
        Ok(answer(&image.to_string(), &file.subject, assessment))
    }

    async fn judge_layout(&self, path: &Path) -> Result<Vec<Answer>, Failure> {
        let layout = Layout::open(path)?;
        let mut images: Vec<String> = self.args.images.clone();
        if images.is_empty() {
            images.push("layout.invalid/image".to_owned());
        }
        let mut answers = Vec::new();
        for image in &images {
            let reference = super::parse_image(image)?;
            let deadline = self.session.deadline()?;
            match layout.resolve(&reference) {
                Ok(Resolved { subject, manifest: bytes, .. }) => {
                    // A layout has no Notary server; its own pieces are all there is.
                    let locator = Locator::Manifest { repository: subject.repository.clone(), digest: subject.digest };
                    let mut evidence = Evidence::new();
                    evidence.insert(locator, Entry::Present { bytes, origin: Origin::Layout });
                    let supply = Supply { source: &layout, limits: Limits::default(), deadline };
                    answers.push(self.judge_subject(image, &subject, (evidence, supply)).await?);
                }
                Err(reason) => answers.push(self.unanswered(image, &Failure::new(reason))),
            }
        }
        Ok(answers)
    }

    /// What is remembered of the repositories, the image and its platform images.
    fn recall(&self, subject: &Subject) -> Result<Memory, Failure> {
        let Some(store) = &self.store else { return Ok(Memory::new()) };
        let names = remembered_names(subject, self.schemes.cosign().signature_repository.as_ref());
        let names = names.iter().map(|(scheme, name)| (*scheme, name.as_str()));
        Ok(store.load(names)?)
    }

    /// Stores what was learnt. Of another time than now, and of evidence saved earlier, only what holds at any time: revocations.
    /// Failing to is a failure of the run: without memory there is no protection against rollback.
    fn learn(&self, assessment: &Assessment) -> Result<(), Failure> {
        let Some(store) = &self.store else { return Ok(()) };
        let of_now = self.args.at.is_none() && self.args.evidence.is_none();
        for findings in &assessment.findings {
            if !findings.learnt.is_empty() && (of_now || findings.scheme == SchemeName::Cosign) {
                store.learn(findings.scheme, &findings.learnt)?;
            }
            if !findings.noticed.is_empty() && of_now {
                store.learn(findings.scheme, &findings.noticed)?;
            }
        }
        Ok(())
    }

    fn unanswered(&self, image: &str, failure: &Failure) -> Answer {
        Answer {
            image: image.to_owned(),
            digest: None,
            findings: Vec::new(),
            judgement: Judgement::undecided(failure.reason.clone()),
            exit: failure.exit,
        }
    }
}

fn answer(image: &str, subject: &Subject, assessment: Assessment) -> Answer {
    Answer {
        image: image.to_owned(),
        digest: Some(subject.digest),
        exit: Exit::of_verdict(assessment.judgement.verdict.kind()),
        findings: assessment.findings,
        judgement: assessment.judgement,
    }
}

/// A remark where evidence is older than [`FRESH`], or says that it was gathered later than is judged.
fn old_evidence(gathered: Timestamp, now: Timestamp) -> Option<Reason> {
    let (age, ahead) = (now.since(gathered), gathered.since(now));
    let what = match (age > FRESH, ahead > FRESH) {
        (false, false) => return None,
        (true, _) => "what was revoked since then is not in it",
        (_, true) => "its time says nothing about its age",
    };
    Some(Reason::new(Code::OldEvidence, format!("the evidence was gathered {gathered}, {}: {what}", self::age(gathered, now))))
}

/// How long before `now` a time is, in words.
fn age(time: Timestamp, now: Timestamp) -> String {
    let (span, side) =
        if time > now { (time.since(now), "after the time judged at") } else { (now.since(time), "before the time judged at") };
    let (count, unit) = match span.as_secs() {
        seconds @ 0..60 => (seconds, "second"),
        seconds @ 60..3600 => (seconds / 60, "minute"),
        seconds @ 3600..172_800 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} {side}", if count == 1 { "" } else { "s" })
}

fn save(path: &Path, file: EvidenceFile) -> Result<(), Failure> {
    let text = file.to_json().map_err(|error| Failure::new(Reason::new(Code::ConfigUnusable, error.to_string())))?;
    trustctl_remote::file::replace(path, text.as_bytes()).map_err(|error| Failure::file(path, &error))
}
