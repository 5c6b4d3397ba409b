//! `trustctl revoke`: withdraw an image with one scheme or both, prove that it is withdrawn, and say what cannot be undone.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trustctl_core::claim::{Principal, SchemeName, Statement};
use trustctl_core::evidence::Evidence;
use trustctl_core::memory::Memory;
use trustctl_core::policy::SignerRule;
use trustctl_core::publish::Edit;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Repository;
use trustctl_core::report::ReasonReport;
use trustctl_core::scheme::{Anchors, Context, KeyAnchor, Scheme as _};
use trustctl_core::signer::Signer as _;
use trustctl_core::subject::Subject;
use trustctl_dct::collection::Collection;
use trustctl_dct::edit::{Change, MissingKey};
use trustctl_dct::role::RoleName;
use trustctl_keys::private_key::PrivateKey;
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_remote::state::Store;
use trustctl_sigstore::make::{AddRevocation, RemoveSignatures, Revoking};
use trustctl_sigstore::revocation::Cause;
use trustctl_sigstore::scheme::Cosign;

use super::dct::{Intention, Known, Publication};
use super::network::World;
use super::sign::{Image, Work, cosign_key, publish, resolve, role_names, say, schemes_of};
use super::{Session, manifests, policy, trust};
use crate::cli::{RevokeArgs, RevokeReason, SchemeArg};
use crate::exit::Exit;
use crate::failure::Failure;

/// Withdraws the image.
///
/// # Errors
/// A [`Failure`]; [`Code::DctStillSigned`] and [`Code::DctKeyNeeded`] when the tag could not be withdrawn everywhere.
pub(super) async fn run(session: &Session, args: &RevokeArgs) -> Result<Exit, Failure> {
    let asked = schemes_of(&args.signing)?;
    if !args.yes && !args.dry_run {
        let question = format!("Withdraw {} ({})? Verifiers will refuse it from now on.", args.image, args.reason.word());
        if !session.ui.confirm(&question, "--yes")? {
            session.ui.note("nothing was changed");
            return Ok(Exit::Interrupted);
        }
    }
    let key = cosign_key(session, &args.signing, &asked)?;
    let world = session.world(args.signing.dct.dct_server.as_deref())?;
    let (mut reports, mut remarks) = (Vec::new(), session.dangers());
    if let Some(key) = &key {
        let image = Image { text: &args.image, resolve_tag: args.resolve_tag, tag: None };
        let subject = resolve(session, &world, &image).await?;
        let work = Work { session, world: &world, subject: &subject, now: session.now(None)? };
        if let Some(remark) = unheeded(session, &subject.repository, key) {
            crate::render::warning(&session.ui, &remark);
            remark.next.iter().for_each(|step| session.ui.note(format!("  next: {}", step.text)));
            remarks.push(remark);
        }
        reports.push(cosign(&work, args, key).await?);
    }
    if asked.contains(&SchemeArg::Dct) {
        reports.push(dct(session, &world, args).await?);
    }
    if session.ui.json() {
        let warnings: Vec<ReasonReport> = remarks.iter().map(ReasonReport::new).collect();
        let report = json!({ "schema": "trustctl/revoke/v1", "exit": 0, "results": reports, "warnings": warnings });
        session.ui.say(report.to_string());
    }
    Ok(Exit::Done)
}

/// That by the policy in force, if there is one that can be read, revocations with this key count for nothing. It is no reason not to revoke:
/// others may believe the key.
fn unheeded(session: &Session, repository: &Repository, key: &PrivateKey) -> Option<Reason> {
    let policy = session.environment.default_policy().and_then(|path| policy::load(session, Some(&path)).ok())?;
    let rule = policy.rule_for(repository).ok().flatten()?;
    let fingerprint = key.public_key().fingerprint();
    let is_key = |signer: &SignerRule| matches!(signer, SignerRule::CosignKey { key, .. } if key.fingerprint() == fingerprint);
    if policy.revokers(rule).any(is_key) {
        return None;
    }
    let (name, file) = (&rule.name, &policy.name);
    let words = format!(
        "key {fingerprint} is no signer and no revoker of rule \"{name}\" in {file}: no verifier under this policy will heed it"
    );
    let step =
        format!("name the key among [signers] and under revokers of rule \"{name}\", or revoke with a key that is named there");
    Some(Reason::new(Code::PolicyRevocationByOther, words).step(Step::words(step)))
}

/// What no revocation of a Cosign signature can undo.
const CANNOT_UNDO: [&str; 3] = [
    "copies of the image and its signatures in other registries and mirrors: revoke there too, or deny the digest in the policy",
    "a registry that withholds the statement from a verifier that has never seen it",
    "verifiers that do not know revocation statements, such as cosign: for them only the removed signatures count",
];

async fn cosign(work: &Work<'_>, args: &RevokeArgs, key: &PrivateKey) -> Result<Value, Failure> {
    let place = trust::repository("--signature-repository", args.signing.signature_repository.as_deref())?;
    let cause = match args.reason {
        RevokeReason::Compromised => Cause::Compromised,
        RevokeReason::Mistake => Cause::Mistake,
        RevokeReason::Superseded => Cause::Superseded,
    };
    let (manifests, not_in_it) = manifests::to_revoke(work, args.recursive).await?;
    let mut statements: Vec<Box<dyn Edit>> = Vec::new();
    let mut removals: Vec<Box<dyn Edit>> = Vec::new();
    for manifest in &manifests {
        let revoking = Revoking {
            image: manifest.clone(),
            repository: Some(work.subject.repository.clone()),
            cause,
            message: args.message.clone(),
            signature_repository: place.clone(),
            issued: work.now,
        };
        statements.push(Box::new(AddRevocation::make(&revoking, key).map_err(|error| Failure::new(error.reason()))?));
        let public = key.public_key().clone();
        removals.push(Box::new(RemoveSignatures::new(&manifest.repository, manifest.digest, place.as_ref(), public)));
    }
    let mut left = Vec::new();
    for reason in not_in_it {
        crate::render::warning(&work.session.ui, &reason);
        left.push(reason.message);
    }
    if !args.dry_run {
        // The statement first: it counts whether or not anything can be removed.
        publish(work, &statements).await?;
        for manifest in &manifests {
            prove(work, manifest, key, place.clone()).await?;
        }
        if !args.keep_signatures
            && let Err(failure) = publish(work, &removals).await
        {
            // Tidying up may fail; the image is revoked all the same.
            crate::render::warning(&work.session.ui, &failure.reason);
            left.push(failure.reason.message);
        }
    }
    let done = if args.dry_run { "would revoke" } else { "revoked" };
    say(work, done, &format!("cosign key {}, {} manifest(s)", key.public_key().fingerprint(), manifests.len()));
    if !work.session.ui.json() {
        work.session.ui.note("  this does not undo:");
        for limit in CANNOT_UNDO {
            work.session.ui.note(format!("  - {limit}"));
        }
    }
    let digests: Vec<String> = manifests.iter().map(|manifest| manifest.digest.to_string()).collect();
    Ok(json!({
        "image": work.subject.repository.to_string(), "digest": work.subject.digest, "scheme": "cosign", "done": done,
        "key": key.public_key().fingerprint(), "digests": digests, "notRemoved": left, "cannotUndo": CANNOT_UNDO,
    }))
}

/// Finds the statement again through a client that knows nothing of this run.
async fn prove(work: &Work<'_>, manifest: &Subject, key: &PrivateKey, place: Option<Repository>) -> Result<(), Failure> {
    let anchor = KeyAnchor { signer: "the revoker".to_owned(), key: key.public_key().clone() };
    let anchors = Anchors { keys: vec![anchor], ..Anchors::default() };
    let revoker = Principal::Key { fingerprint: key.fingerprint() };
    let fresh = work.world.fresh();
    let asked = Asked {
        manifest,
        world: &fresh,
        anchors: &anchors,
        revoker: &revoker,
        place,
        memory: &Memory::new(),
        have: Evidence::new(),
    };
    let (found, _) = revocations(work, asked).await?;
    if !found.is_empty() {
        return Ok(());
    }
    let words = format!("the revocation of {} was published and is not found when looked for again", manifest.digest);
    Err(Failure::new(Reason::new(Code::PublishNotVisible, words)))
}

/// Refuses to sign what the same signer has revoked, as far as that can be read now or was seen before: no verifier that knows revocations
/// would trust the signature, and those that do not would trust a withdrawn image again. What was read so far is returned, for whoever
/// looks further.
///
/// # Errors
/// A [`Failure`] with [`Code::CosignRevoked`].
pub(super) async fn refuse_revoked(
    work: &Work<'_>,
    manifest: &Subject,
    (anchors, signer): (&Anchors, &Principal),
    (place, have): (Option<Repository>, Evidence),
) -> Result<Evidence, Failure> {
    let memory = remembered(work, manifest, place.as_ref())?;
    let asked = Asked { manifest, world: work.world, anchors, revoker: signer, place, memory: &memory, have };
    let (found, evidence) = revocations(work, asked).await?;
    let Some(Statement::Revocation { reason, message, .. }) = found.into_iter().next() else { return Ok(evidence) };
    let by = if matches!(signer, Principal::Key { .. }) { "key" } else { "identity" };
    let words = format!("{} is revoked by this {by} ({reason}): {message}; nothing was signed", manifest.digest);
    let step = Step::words("build the image anew and sign that: a revocation is for good");
    Err(Failure::new(Reason::new(Code::CosignRevoked, words).step(step)))
}

/// What was seen before of a manifest and of where its revocations lie; nothing where there is no folder for it.
fn remembered(work: &Work<'_>, manifest: &Subject, place: Option<&Repository>) -> Result<Memory, Failure> {
    let Some(state) = &work.session.environment.state else { return Ok(Memory::new()) };
    let names: Vec<String> = [manifest.digest.to_string(), manifest.repository.to_string()]
        .into_iter()
        .chain(place.map(ToString::to_string))
        .collect();
    Ok(Store::new(state).load(names.iter().map(|name| (SchemeName::Cosign, name.as_str())))?)
}

/// Whose revocations of what are looked for, and where.
struct Asked<'a> {
    manifest: &'a Subject,
    world: &'a World,
    anchors: &'a Anchors,
    revoker: &'a Principal,
    place: Option<Repository>,
    memory: &'a Memory,
    /// What was read before.
    have: Evidence,
}

/// The revocations that the registries serve or the memory holds, and what was read. They are remembered.
async fn revocations(work: &Work<'_>, asked: Asked<'_>) -> Result<(Vec<Statement>, Evidence), Failure> {
    let scheme = Cosign { signature_repository: asked.place, ..Cosign::default() };
    let context = Context { anchors: asked.anchors, memory: asked.memory, now: work.now };
    let deadline = work.session.deadline()?;
    let source = asked.world.until(deadline);
    let supply = Supply { source: &source, limits: Limits::default(), deadline };
    let wants = |have: &Evidence| scheme.wants_revocations(asked.manifest, have, &context);
    let evidence = collect(&wants, asked.have, supply).await;
    let findings = scheme.examine_revocations(asked.manifest, &evidence, &context);
    if let (Some(state), false) = (&work.session.environment.state, findings.learnt.is_empty()) {
        Store::new(state).learn(SchemeName::Cosign, &findings.learnt)?;
    }
    let by_signer = findings.claims.into_iter().filter(|claim| claim.principal == *asked.revoker);
    Ok((by_signer.map(|claim| claim.statement).collect(), evidence))
}

/// Revoking a tag with Docker Content Trust.
struct RevokingTag {
    tag: String,
    roles: Vec<RoleName>,
}

impl Intention for RevokingTag {
    fn changes(&self, _: Option<&Collection>) -> Result<Vec<Change>, Failure> {
        Ok(vec![Change::RevokeTag { name: self.tag.clone(), digest: None, missing: MissingKey::LeaveOut }])
    }

    fn roles(&self, collection: &Collection) -> BTreeSet<RoleName> {
        let chosen = |name: &RoleName| self.roles.is_empty() || self.roles.contains(name);
        collection
            .roles
            .iter()
            .filter(|role| role.target(&self.tag).is_some() && chosen(&role.name))
            .map(|role| role.name.clone())
            .collect()
    }
}

/// Takes the tag out of every role that holds it, and reads the server again to prove it.
async fn dct(session: &Session, world: &World, args: &RevokeArgs) -> Result<Value, Failure> {
    let reference = super::parse_image(&args.image)?;
    let Some(tag) = &reference.tag else {
        return Err(Failure::usage(Code::TagNotAllowed, "Docker Content Trust revokes a tag: name it, as in IMAGE:TAG"));
    };
    let publication =
        Publication { session, world, args: &args.signing.dct, gun: reference.repository.clone(), now: session.now(None)? };
    let intention = RevokingTag { tag: tag.to_string(), roles: role_names(&args.signing.dct.role)? };
    let (before, fresh_until) = match publication.read(world).await? {
        Known::Collection(collection) => (intention.roles(&collection), collection.timestamp.document.expires.time()),
        Known::Virgin => {
            let words = format!("{} has no trust data, so there is nothing to revoke", reference.repository);
            return Err(Failure::new(Reason::new(Code::DctNoData, words)));
        }
    };
    let names: Vec<String> = before.iter().map(ToString::to_string).collect();
    if before.is_empty() {
        let words = format!("no role of {} signs {tag}", reference.repository);
        return Err(Failure { exit: Exit::NotFound, ..Failure::new(Reason::new(Code::DctTagNotSigned, words)) });
    }
    let done = if args.dry_run { "would revoke" } else { "revoked" };
    if !args.dry_run {
        let upload = publication.publish(&intention).await?;
        let after = publication.read_back().await?;
        still_signed(&intention, &after, upload.left())?;
    }
    let limits = [
        format!("what a client was shown before: it can be kept on the old list until that ends, {}", fresh_until.date()),
        "copies of the repository's trust data on other servers, and clients that pull by digest or check nothing".to_owned(),
    ];
    if !session.ui.json() {
        session.ui.say(format!("{}: {}:{tag}", session.ui.paint(crate::ui::Paint::Green, done), reference.repository));
        session.ui.note(format!("  from: {}", names.join(", ")));
        session.ui.note("  --reason and --message are not published: Notary's metadata has no place for them");
        session.ui.note("  this does not undo:");
        limits.iter().for_each(|limit| session.ui.note(format!("  - {limit}")));
    }
    Ok(json!({
        "image": reference.repository.to_string(), "tag": tag, "scheme": "dct", "done": done, "roles": names, "cannotUndo": limits,
    }))
}

/// The official client reports success here and leaves the tag signed; this one says where it still is.
fn still_signed(intention: &RevokingTag, after: &Collection, left: &[Reason]) -> Result<(), Failure> {
    let holding: Vec<String> = intention.roles(after).iter().map(ToString::to_string).collect();
    if holding.is_empty() {
        return Ok(());
    }
    if let Some(reason) = left.first() {
        return Err(Failure::new(reason.clone()));
    }
    let words = format!("{} is still signed by {}", intention.tag, holding.join(", "));
    Err(Failure::new(Reason::new(Code::DctStillSigned, words)))
}
