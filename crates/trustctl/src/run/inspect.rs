//! `trustctl inspect`: every piece of evidence about an image, marked proven, claimed or broken. It never says "trusted".

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trustctl_core::claim::{Claim, Claimed, SchemeName};
use trustctl_core::evidence::Evidence;
use trustctl_core::memory::Memory;
use trustctl_core::policy::Policy;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::{Reference, Repository};
use trustctl_core::report::ReasonReport;
use trustctl_core::scheme::{Anchors, Context, DctAnchor, Scheme as _};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_dct::collection::{Collection, RoleFile, SigningRole};
use trustctl_dct::reading::{Reading, read};
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_remote::layout::Layout;
use trustctl_sigstore::artifact::{Artifact, Form, State};
use trustctl_sigstore::scheme::Cosign;

use super::{Session, sigstore, trust};
use crate::cli::{InspectArgs, TrustArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use crate::ui::Paint;

/// Shows what there is.
///
/// # Errors
/// A [`Failure`] when the image or the trust data cannot be read at all.
pub(super) async fn run(session: &Session, args: &InspectArgs) -> Result<Exit, Failure> {
    let view = View { session, trust: &args.trust, anchors: anchors(session, &args.trust)?, now: session.now(None)? };
    if args.docker_json {
        return view.docker_json(&super::parse_image(&args.image)?).await;
    }
    let reference = super::parse_image(&args.image)?;
    if let Some(folder) = &args.oci_layout {
        let layout = Layout::open(folder)?;
        let subject = layout.resolve(&reference)?.subject;
        let supply = Supply { source: &layout, limits: Limits::default(), deadline: session.deadline()? };
        return view.show(&subject, (Evidence::new(), supply)).await;
    }
    let world = session.world(args.trust.dct_server.as_deref())?;
    let deadline = session.deadline()?;
    let resolving = world.resolve(&reference, deadline);
    let found = session.ui.progress(&format!("resolving {reference}"), resolving).await;
    let (subject, evidence) = found.map_err(|reason| no_such_image(&reference, reason))?;
    let source = world.until(deadline);
    view.show(&subject, (evidence, Supply { source: &source, limits: Limits::default(), deadline })).await
}

/// Who comes from `docker trust inspect` names a repository; that is a question of its own here.
fn no_such_image(reference: &Reference, reason: Reason) -> Failure {
    let latest = reference.digest.is_none() && reference.tag.is_none();
    if reason.code != Code::ImageNotFound || !latest {
        return Failure::new(reason);
    }
    let repository = reference.repository.to_string();
    let step = Step::command(
        "without a tag, latest is meant; what a collection signs",
        ["trustctl", "inspect", "--docker-json", &repository],
    );
    Failure::new(reason.step(step))
}

/// The anchors that the flags or the policy in force give; none is fine here: then only certificates and log entries of the
/// public-good Sigstore instance are proven, and a collection's root is shown as not pinned.
pub(super) fn anchors(session: &Session, trust: &TrustArgs) -> Result<Anchors, Failure> {
    let named = trust.signers.policy.is_some()
        || !trust.signers.key.is_empty()
        || !trust.dct_root.is_empty()
        || trust.signers.identity.is_some()
        || trust.signers.identity_regex.is_some();
    let policy: Option<Policy> = match (named, session.environment.default_policy()) {
        (false, None) => None,
        _ => Some(session.policy_of(trust)?),
    };
    let mut anchors = Anchors::default();
    for rule in policy.iter().flat_map(|policy| &policy.rules) {
        let of_rule = policy.as_ref().map(|policy| policy.anchors(rule)).unwrap_or_default();
        anchors.keys.extend(of_rule.keys);
        anchors.dct.extend(of_rule.dct);
        anchors.authorities.extend(of_rule.authorities);
    }
    // Whoever vouches is shown; whether that is enough is not said here.
    let policy = match policy {
        Some(policy) => policy,
        None => sigstore::with_trusted_root(session, Policy::of_command_line(BTreeMap::new()), Some(&trust.signers.instance))?,
    };
    let policy = sigstore::with_fetched(session, policy, session.now(None)?)?;
    sigstore::lacking(&policy).for_each(|reason| render::warning(&session.ui, reason));
    anchors.sigstores = policy.sigstores;
    Ok(anchors)
}

struct View<'a> {
    session: &'a Session,
    trust: &'a TrustArgs,
    anchors: Anchors,
    now: Timestamp,
}

impl View<'_> {
    fn cosign(&self) -> Result<Cosign, Failure> {
        let signature_repository =
            trust::repository("--signature-repository", self.trust.signers.signature_repository.as_deref())?;
        Ok(Cosign { signature_repository, read_attestations: true, ..Cosign::default() })
    }

    /// The anchors as given, with first use allowed where no collection is pinned: this shows, and decides nothing.
    fn open_anchors(&self) -> Anchors {
        let mut anchors = self.anchors.clone();
        if anchors.dct.is_empty() {
            let (roots, authorities) = (Vec::new(), Vec::new());
            anchors.dct.push(DctAnchor { signer: "inspect".to_owned(), roots, authorities, tofu: true });
        }
        anchors
    }

    async fn show(&self, subject: &Subject, (evidence, supply): (Evidence, Supply<'_>)) -> Result<Exit, Failure> {
        let (cosign, anchors, memory) =
            (self.cosign()?, self.open_anchors(), self.memory((SchemeName::Cosign, &subject.digest.to_string()))?);
        let context = Context { anchors: &anchors, memory: &memory, now: self.now };
        let wants = |have: &Evidence| {
            let mut all = cosign.wants(subject, have, &context);
            all.extend(read(&subject.repository, have, &context).wants);
            all
        };
        let gathering = collect(&wants, evidence, supply);
        let evidence = self.session.ui.progress("gathering evidence", gathering).await;
        let artifacts = cosign.artifacts(subject, &evidence, &context);
        let findings = cosign.examine(subject, &evidence, &context);
        let reading = read(&subject.repository, &evidence, &context);
        let missing: Vec<Reason> =
            findings.missing.iter().chain(&reading.missing).map(|missing| missing.reason.clone()).collect();
        let remembered = findings.claims.into_iter().filter(|claim| claim.source.form == Form::Memory.words()).collect();
        let shown = Shown { subject, artifacts, remembered, reading, missing, pinned: !self.anchors.dct.is_empty() };
        if self.session.ui.json() {
            self.json(&shown)
        } else {
            self.text(&shown)
        }
        Ok(Exit::Done)
    }

    fn text(&self, shown: &Shown<'_>) {
        let ui = &self.session.ui;
        let subject = shown.subject;
        ui.say(format!("{}@{}", subject.repository, subject.digest));
        ui.say(format!("  {}, {} bytes", subject.media_type, subject.size));
        for child in &subject.children {
            ui.say(format!("  {}: {}", child.platform.as_deref().unwrap_or("unnamed platform"), child.digest));
        }
        ui.say(format!("cosign: {} artifact(s)", shown.artifacts.len()));
        for artifact in &shown.artifacts {
            let (paint, state, words) = match &artifact.state {
                State::Proven(claim) => (Paint::Green, "proven ", render::describe(claim)),
                State::Broken(reason) => (Paint::Red, "broken ", reason.to_string()),
                State::Claimed(reason) if reason.code == Code::CosignWrongKey && self.anchors.keys.is_empty() => {
                    (Paint::Yellow, "claimed", "no key was given to judge it by: --key, --policy".to_owned())
                }
                State::Claimed(reason) => (Paint::Yellow, "claimed", reason.to_string()),
                _ => (Paint::Yellow, "claimed", "an attestation by its own word; not read".to_owned()),
            };
            let what = artifact.predicate_type.as_ref().map_or("signature", |kind| kind.peek().as_str());
            let what = trustctl_core::reason::clean(what);
            ui.say(format!("  {}  {}, {what}: {words}", ui.paint(paint, state), artifact.form.words()));
            ui.say(format!("           at {}", artifact.source.at));
            let proven = matches!(&artifact.state, State::Proven(claim) if !claim.log.proves_nothing());
            for entry in artifact.log_entries.iter().map(Claimed::peek).filter(|_| !proven) {
                ui.say(format!("           claims log entry {} of log {} (not judged)", entry.index, entry.log_id));
            }
        }
        for claim in &shown.remembered {
            ui.say(format!("  {}  seen before: {}", ui.paint(Paint::Red, "proven "), render::describe(claim)));
        }
        self.text_of_collection(shown);
        let of_cosign = shown.missing.len().saturating_sub(shown.reading.missing.len());
        let told = if self.needs_no_server(shown) { of_cosign } else { shown.missing.len() };
        self.text_of_missing(shown.missing.get(..told).unwrap_or_default());
    }

    /// Whether the only thing that is missing is the server that Docker's rule gives: nobody named one, and there are Cosign's signatures.
    fn needs_no_server(&self, shown: &Shown<'_>) -> bool {
        let missing = &shown.reading.missing;
        let is_nobody_there = missing.iter().all(|missing| missing.reason.code == Code::Unavailable);
        self.trust.dct_server.as_deref().is_none_or(str::is_empty)
            && !shown.artifacts.is_empty()
            && !missing.is_empty()
            && is_nobody_there
    }

    fn text_of_collection(&self, shown: &Shown<'_>) {
        let ui = &self.session.ui;
        let Some(collection) = &shown.reading.collection else {
            ui.say(match (self.needs_no_server(shown), shown.reading.missing.is_empty()) {
                (true, _) => "dct: no Notary server answers for this registry, and Cosign's signatures need none",
                (false, true) => "dct: no trust data",
                (false, false) => "dct: not known",
            });
            return self.text_of_problems(&shown.reading);
        };
        let state = shown.state();
        ui.say(format!("dct: {}", ui.paint(if state == "proven" { Paint::Green } else { Paint::Yellow }, state)));
        for id in collection.root_keys() {
            let pinned = if shown.pinned && !collection.anchored_by.is_empty() {
                "pinned, or reached from a pinned one"
            } else {
                "not pinned"
            };
            ui.say(format!("  root key {} ({pinned}), version {}", id.as_str(), collection.root.document.version));
        }
        ui.say(format!("  fresh until {}", collection.timestamp.document.expires.time().date()));
        for role in &collection.roles {
            let files = match &role.file {
                RoleFile::Broken(reason) => ui.paint(Paint::Red, &format!("broken: {reason}")),
                RoleFile::Good(signed) => format!("version {}, {} tag(s)", signed.document.version, role.images().count()),
                RoleFile::Unpublished => "nothing published".to_owned(),
                _ => "not read".to_owned(),
            };
            ui.say(format!("  {}: {files}", role.name));
            for (tag, digest) in role.images() {
                let here = if digest == shown.subject.digest { "  <- this image" } else { "" };
                ui.say(format!("    {} {digest}{here}", trustctl_core::reason::clean(tag)));
            }
        }
        self.text_of_problems(&shown.reading);
    }

    /// One line for each kind of trouble: what stands in the way of one file usually does of all.
    fn text_of_missing(&self, missing: &[Reason]) {
        let mut told: Vec<(Code, usize)> = Vec::new();
        for reason in missing {
            match told.iter_mut().find(|(code, _)| *code == reason.code) {
                Some((_, more)) => *more += 1,
                None => told.push((reason.code, 0)),
            }
        }
        for (code, more) in told {
            let Some(reason) = missing.iter().find(|reason| reason.code == code) else { continue };
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            self.session.ui.say(format!("{}: {reason}{more}", self.session.ui.paint(Paint::Yellow, "could not be read")));
        }
    }

    /// What is remembered under one name, where there is a place for memory: this shows, and decides nothing.
    fn memory(&self, name: (SchemeName, &str)) -> Result<Memory, Failure> {
        match &self.session.environment.state {
            Some(state) => Ok(trustctl_remote::state::Store::new(state).load([name])?),
            None => Ok(Memory::new()),
        }
    }

    fn text_of_problems(&self, reading: &Reading) {
        for problem in reading.problems.iter().filter(|problem| problem.reason.code != Code::DctNoData) {
            self.session.ui.say(format!("  {}: {}", self.session.ui.paint(Paint::Red, "broken"), problem.reason));
        }
    }

    fn json(&self, shown: &Shown<'_>) {
        let artifacts: Vec<Value> = shown.artifacts.iter().map(artifact_json).collect();
        let problems: Vec<ReasonReport> =
            shown.reading.problems.iter().map(|problem| ReasonReport::new(&problem.reason)).collect();
        let missing: Vec<ReasonReport> = shown.missing.iter().map(ReasonReport::new).collect();
        let report = json!({
            "schema": "trustctl/inspect/v1",
            "exit": 0,
            "image": shown.subject.repository.to_string(),
            "digest": shown.subject.digest,
            "mediaType": shown.subject.media_type,
            "size": shown.subject.size,
            "children": shown.subject.children,
            "cosign": { "artifacts": artifacts, "remembered": shown.remembered },
            "dct": {
                "state": shown.reading.collection.as_ref().map(|_| shown.state()),
                "collection": shown.reading.collection.as_ref().map(collection_json),
                "problems": problems,
            },
            "missing": missing,
        });
        self.session.ui.say(report.to_string());
    }

    /// The shape that `docker trust inspect` prints, for one repository or one tag of it.
    async fn docker_json(&self, reference: &Reference) -> Result<Exit, Failure> {
        let collection = match self.collection(&reference.repository).await {
            // As docker does: an empty list, and the reason beside it.
            Err(failure) if failure.reason.code == Code::DctNoData => {
                self.session.ui.say("[]");
                render::failure(&self.session.ui, &failure);
                return Ok(Exit::Unsigned);
            }
            found => found?,
        };
        if self.anchors.dct.is_empty() {
            let words = format!("the root of {} is not pinned", reference.repository);
            render::warning(&self.session.ui, &Reason::new(Code::DctFirstUse, words));
        }
        let wanted = reference.tag.as_ref().map(ToString::to_string);
        let tags: Vec<Value> = collection
            .signed_tags()
            .into_iter()
            .filter(|signed| wanted.as_ref().is_none_or(|tag| *tag == signed.tag))
            .map(|signed| {
                let signers = if signed.signers.is_empty() { vec!["Repo Admin".to_owned()] } else { signed.signers };
                json!({ "SignedTag": signed.tag, "Digest": signed.digest.hex(), "Signers": signers })
            })
            .collect();
        let ids = |keys: &[trustctl_dct::key::KeyId]| keys.iter().map(|id| json!({ "ID": id.as_str() })).collect::<Vec<_>>();
        let signers: Vec<Value> =
            collection.signers().into_iter().map(|(name, keys)| json!({ "Name": name, "Keys": ids(keys) })).collect();
        let administrative = json!([
            { "Name": "Root", "Keys": ids(collection.root_keys()) },
            { "Name": "Repository", "Keys": ids(collection.repository_keys()) },
        ]);
        let name = reference.to_string();
        let report = json!([{ "Name": name, "SignedTags": tags, "Signers": signers, "AdministrativeKeys": administrative }]);
        self.session.ui.say(serde_json::to_string_pretty(&report).unwrap_or_default());
        Ok(Exit::Done)
    }

    async fn collection(&self, gun: &Repository) -> Result<Collection, Failure> {
        let world = self.session.world(self.trust.dct_server.as_deref())?;
        let (anchors, name) = (self.open_anchors(), gun.to_string());
        let memory = if self.anchors.dct.is_empty() { Memory::new() } else { self.memory((SchemeName::Dct, &name))? };
        let context = Context { anchors: &anchors, memory: &memory, now: self.now };
        let deadline = self.session.deadline()?;
        let source = world.until(deadline);
        let wants = |have: &Evidence| read(gun, have, &context).wants;
        let evidence = collect(&wants, Evidence::new(), Supply { source: &source, limits: Limits::default(), deadline }).await;
        let reading = read(gun, &evidence, &context);
        match (reading.collection, reading.sound) {
            (Some(collection), true) => Ok(collection),
            _ => {
                let problem = reading.problems.into_iter().map(|problem| problem.reason);
                let mut reasons = problem.chain(reading.missing.into_iter().map(|missing| missing.reason));
                let reason = reasons.next().unwrap_or_else(|| Reason::new(Code::DctNoData, format!("{gun} has no trust data")));
                Err(Failure::new(reason))
            }
        }
    }
}

/// Everything that is shown about one image.
struct Shown<'a> {
    subject: &'a Subject,
    artifacts: Vec<Artifact>,
    /// Revocations that were proven in an earlier run.
    remembered: Vec<Claim>,
    reading: Reading,
    missing: Vec<Reason>,
    pinned: bool,
}

impl Shown<'_> {
    /// How far the collection is to be believed.
    fn state(&self) -> &'static str {
        match (self.reading.sound, self.pinned) {
            (true, true) => "proven",
            (true, false) => "claimed",
            (false, _) => "broken",
        }
    }
}

fn artifact_json(artifact: &Artifact) -> Value {
    let (state, claim, reason) = match &artifact.state {
        State::Proven(claim) => ("proven", Some(claim), None),
        State::Broken(reason) => ("broken", None, Some(ReasonReport::new(reason))),
        State::Claimed(reason) => ("claimed", None, Some(ReasonReport::new(reason))),
        _ => ("claimed", None, None),
    };
    json!({
        "form": artifact.form.words(), "source": artifact.source, "state": state, "claim": claim, "reason": reason,
        "claimed": {
            "predicateType": artifact.predicate_type, "keyHint": artifact.hint, "certificate": artifact.has_certificate,
            "logEntries": artifact.log_entries, "timestamps": artifact.timestamps,
        },
    })
}

fn collection_json(collection: &Collection) -> Value {
    let role = |role: &SigningRole| {
        let (version, problem) = match &role.file {
            RoleFile::Good(signed) => (Some(signed.document.version), None),
            RoleFile::Broken(reason) => (None, Some(ReasonReport::new(reason))),
            _ => (None, None),
        };
        let tags: Vec<Value> = role.images().map(|(tag, digest)| json!({ "tag": tag, "digest": digest })).collect();
        json!({
            "role": role.name.as_str(), "version": version, "freshUntil": role.fresh_until, "problem": problem,
            "keyIds": role.canonical_ids.iter().map(trustctl_dct::key::KeyId::as_str).collect::<Vec<_>>(), "tags": tags,
        })
    };
    json!({
        "gun": collection.gun.to_string(),
        "rootVersion": collection.root.document.version,
        "rootKeyIds": collection.root_keys().iter().map(trustctl_dct::key::KeyId::as_str).collect::<Vec<_>>(),
        "anchoredBy": collection.anchored_by,
        "roles": collection.roles.iter().map(role).collect::<Vec<_>>(),
    })
}
