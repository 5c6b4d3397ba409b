//! `trustctl sign`: sign a digest with one scheme or both, publish, and verify what was published through a fresh client.

mod cosigning;
mod settle;

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use trustctl_core::digest::DigestAlgorithm;
use trustctl_core::publish::Edit;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::{Reference, Tag};
use trustctl_core::report::ReasonReport;
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;
use trustctl_dct::collection::Collection;
use trustctl_dct::edit::{Change, SignIn, SignTag};
use trustctl_dct::role::RoleName;
use trustctl_keys::private_key::PrivateKey;
use trustctl_remote::publish::{Published, Publisher};
use trustctl_sigstore::make::{Signing, Storage};

use super::dct::{Intention, Publication};
use super::network::World;
use super::queue::Queue;
use super::signer::{self, With};
use super::{Session, manifests, trust};
use crate::cli::{IfLogDown, SchemeArg, SignArgs, SigningArgs, StorageArg};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Paint;
pub(super) use cosigning::Cosigning;
pub(super) use settle::waits;

/// Manifests that are looked at at once; registries answer 429 to those who ask for much more.
const AT_ONCE: usize = 4;
/// Edits that share the time that one image may take.
const EDITS_AT_A_TIME: usize = 16;

/// What one command works on.
pub(super) struct Work<'a> {
    pub(super) session: &'a Session,
    pub(super) world: &'a World,
    pub(super) subject: &'a Subject,
    pub(super) now: Timestamp,
}

/// Signs every image.
///
/// # Errors
/// A [`Failure`], by what stands in the way; what was published before stays published.
pub(super) async fn run(session: &Session, args: &SignArgs) -> Result<Exit, Failure> {
    let asked = schemes_to_sign(args)?;
    if asked.contains(&SchemeArg::Dct) {
        args.images.iter().try_for_each(|image| check_algorithm(image))?;
    }
    let with = match asked.contains(&SchemeArg::Cosign) {
        true => Some(With::new(session, &args.vouching, key_of(session, &args.signing)?)?),
        false => None,
    };
    let world = session.world(args.signing.dct.dct_server.as_deref())?;
    let mut subjects = Vec::new();
    for image in &args.images {
        let image = Image { text: image, resolve_tag: args.resolve_tag, tag: args.tag.as_deref() };
        let subject = resolve(session, &world, &image).await?;
        if asked.contains(&SchemeArg::Dct) && subject.tag.is_none() {
            let words = "Docker Content Trust signs a tag: give --tag";
            return Err(Failure::usage(Code::TagNotAllowed, words));
        }
        subjects.push(subject);
    }
    let now = session.now(None)?;
    let works: Vec<Work<'_>> = subjects.iter().map(|subject| Work { session, world: &world, subject, now }).collect();
    let mut named = Vec::new();
    for work in &works {
        named.push(manifests::to_sign(work, args.recursive).await?);
    }
    let (mut reports, waiting) = match &with {
        Some(with) => cosign((&works, named), args, with).await?,
        None => (Vec::new(), None),
    };
    for (work, image) in works.iter().zip(&args.images) {
        if asked.contains(&SchemeArg::Dct) {
            reports.push(dct(work, args).await?);
        }
        if args.resolve_tag {
            still_there(work, image).await?;
        }
    }
    let exit = waiting.as_ref().map_or(Exit::Done, |failure| failure.exit);
    if session.ui.json() {
        let warnings: Vec<ReasonReport> = session.dangers().iter().map(ReasonReport::new).collect();
        let error = waiting.as_ref().map(|failure| ReasonReport::new(&failure.reason));
        let mut report = json!({ "schema": "trustctl/sign/v1", "exit": exit.code(), "results": reports, "warnings": warnings });
        if let (Some(error), Value::Object(members)) = (error, &mut report) {
            members.insert("error".to_owned(), json!(error));
        }
        session.ui.say(report.to_string());
    }
    if let Some(failure) = &waiting {
        crate::render::failure(&session.ui, failure);
    }
    Ok(exit)
}

/// Refuses, before anything is asked or sent, what Docker Content Trust cannot sign.
fn check_algorithm(image: &str) -> Result<(), Failure> {
    let reference: Reference = super::parse_image(image)?;
    match reference.digest {
        Some(digest) if digest.algorithm() != DigestAlgorithm::Sha256 => {
            let words = format!("Docker Content Trust signs SHA-256 digests only, not {digest}");
            Err(Failure::usage(Code::DctBadChange, words))
        }
        _ => Ok(()),
    }
}

/// Looks once more at a tag that was resolved: the signature counts, and yet the user should know that the tag means another image now.
async fn still_there(work: &Work<'_>, image: &str) -> Result<(), Failure> {
    let reference: Reference = super::parse_image(image)?;
    if reference.digest.is_some() {
        return Ok(());
    }
    let (now, _) = work.world.fresh().resolve(&reference, work.session.deadline()?).await?;
    if now.digest == work.subject.digest {
        return Ok(());
    }
    let words = format!("{image} meant {} when it was signed, and now means {}", work.subject.digest, now.digest);
    Err(Failure::new(Reason::new(Code::TagMovedMeanwhile, words).expected_found(work.subject.digest, now.digest)))
}

/// The schemes that the flags call for.
pub(super) fn schemes_of(signing: &SigningArgs) -> Result<Vec<SchemeArg>, Failure> {
    match (signing.scheme.is_empty(), &signing.key) {
        (false, _) => Ok(signing.scheme.clone()),
        (true, Some(_)) => Ok(vec![SchemeArg::Cosign]),
        (true, None) => Err(Failure::usage(Code::NoSigningKey, "nothing says what to sign with: give --key, or --scheme dct")),
    }
}

/// The schemes to sign with: as [`schemes_of`], and Cosign where an identity is asked for or offers itself.
fn schemes_to_sign(args: &SignArgs) -> Result<Vec<SchemeArg>, Failure> {
    let undecided = args.signing.scheme.is_empty() && args.signing.key.is_none();
    if undecided && signer::token::is_asked_for(&args.vouching)? {
        return Ok(vec![SchemeArg::Cosign]);
    }
    schemes_of(&args.signing)
}

/// The Cosign key, opened, where one is named.
fn key_of(session: &Session, signing: &SigningArgs) -> Result<Option<PrivateKey>, Failure> {
    let open = |key: &String| session.private_key(key, signing.passphrase.as_deref(), signing.dct.trust_dir.as_deref());
    signing.key.as_ref().map(open).transpose()
}

/// The Cosign key, opened, when Cosign is one of the schemes.
pub(super) fn cosign_key(session: &Session, signing: &SigningArgs, asked: &[SchemeArg]) -> Result<Option<PrivateKey>, Failure> {
    match (asked.contains(&SchemeArg::Cosign), &signing.key) {
        (false, _) => Ok(None),
        (true, Some(key)) => session.private_key(key, signing.passphrase.as_deref(), signing.dct.trust_dir.as_deref()).map(Some),
        (true, None) => Err(Failure::usage(Code::NoSigningKey, "signing with Cosign needs a key: give --key")),
    }
}

/// An image as a publishing command gets it.
pub(super) struct Image<'a> {
    pub(super) text: &'a str,
    pub(super) resolve_tag: bool,
    pub(super) tag: Option<&'a str>,
}

/// The image by digest; a tag is resolved once, when that is allowed, and printed.
pub(super) async fn resolve(session: &Session, world: &World, image: &Image<'_>) -> Result<Subject, Failure> {
    let mut reference: Reference = super::parse_image(image.text)?;
    if reference.digest.is_none() && !image.resolve_tag {
        let words = format!("{} has no digest, and a tag can move between looking and signing", image.text);
        return Err(Failure::new(Reason::new(Code::TagNotAllowed, words)));
    }
    if let Some(tag) = image.tag {
        let tag: Tag = tag.parse().map_err(|error| Failure::bad_value("--tag", tag, error))?;
        if reference.tag.as_ref().is_some_and(|named| *named != tag) && reference.digest.is_some() {
            return Err(Failure::bad_value("--tag", tag.as_str(), format!("{} names another tag", image.text)));
        }
        if reference.digest.is_some() {
            reference.tag = Some(tag);
        } else {
            let (mut subject, _) = world.resolve(&reference, session.deadline()?).await?;
            session.ui.note(format!("{} is {}", image.text, subject.digest));
            subject.tag = Some(tag);
            return Ok(subject);
        }
    }
    let (subject, _) =
        session.ui.progress(&format!("resolving {reference}"), world.resolve(&reference, session.deadline()?)).await?;
    if reference.digest.is_none() {
        session.ui.note(format!("{} is {}", image.text, subject.digest));
    }
    Ok(subject)
}

/// Signs the images, and with `--recursive` every manifest an index names, with a Cosign key or an identity. What waits in the queue, if
/// anything does.
async fn cosign(
    (works, manifests): (&[Work<'_>], Vec<Vec<Subject>>),
    args: &SignArgs,
    with: &With<'_>,
) -> Result<(Vec<Value>, Option<Failure>), Failure> {
    let Some(Work { session, world, .. }) = works.first() else { return Ok((Vec::new(), None)) };
    let place = trust::repository("--signature-repository", args.signing.signature_repository.as_deref())?;
    let annotations = trust::annotations(&args.annotation)?;
    let signings = |(work, manifests): (&Work<'_>, Vec<Subject>)| {
        cosigning::signings((manifests, work.subject.tag.as_ref()), &annotations, (place.as_ref(), work.now))
    };
    let all: Vec<Vec<Signing>> = works.iter().zip(manifests).map(signings).collect();
    if args.dry_run {
        let reports = works.iter().zip(&all).map(|(work, signings)| cosigning::would_sign(work, with, signings));
        return Ok((reports.collect(), None));
    }
    let queue = match args.if_log_down {
        IfLogDown::Fail => None,
        IfLogDown::Queue => Some(Queue::new(session, args.queue.as_deref())?),
    };
    let cosigning = Cosigning {
        session,
        world,
        with,
        place: place.clone(),
        annotations: annotations.clone(),
        storages: match args.storage {
            StorageArg::Bundle => &[Storage::Bundle],
            StorageArg::Legacy => &[Storage::SignatureTag],
            StorageArg::Both => &[Storage::Bundle, Storage::SignatureTag],
        },
        queue: queue.as_ref(),
    };
    let outcome = cosigning.sign(&all.concat()).await?;
    let reports = works.iter().zip(&all).map(|(work, signings)| cosigning::report(work, signings, &outcome));
    Ok((reports.collect(), waits(&outcome)))
}

/// Does the same with each of them, [`AT_ONCE`] at a time; the results are in their order.
pub(super) async fn each<'m, I, T, W: Future<Output = Result<T, Failure>>>(
    all: &'m [I],
    work: impl Fn(&'m I) -> W,
) -> Result<Vec<T>, Failure> {
    let mut results = Vec::new();
    for some in all.chunks(AT_ONCE) {
        results.extend(try_join_all(some.iter().map(&work)).await?);
    }
    Ok(results)
}

/// Carries out edits; whether anything was changed.
pub(super) async fn publish(work: &Work<'_>, edits: &[Box<dyn Edit>]) -> Result<bool, Failure> {
    Ok(publish_each((work.session, work.world), edits).await?.iter().any(|published| published.changed))
}

/// Carries out edits; what came of each. The time that one image may take holds for some edits at a time.
pub(super) async fn publish_each(
    (session, world): (&Session, &World),
    edits: &[Box<dyn Edit>],
) -> Result<Vec<Published>, Failure> {
    let publisher = Publisher::new(world.registry.clone());
    let publisher = match &session.environment.state {
        Some(state) => publisher.with_locks(state),
        None => publisher,
    };
    let mut all = Vec::new();
    for some in edits.chunks(EDITS_AT_A_TIME) {
        let some: Vec<&dyn Edit> = some.iter().map(AsRef::as_ref).collect();
        let publishing = publisher.publish_all(&some, session.deadline()?);
        for result in session.ui.progress("publishing", publishing).await {
            let published = result?;
            for warning in &published.warnings {
                crate::render::warning(&session.ui, warning);
            }
            all.push(published);
        }
    }
    Ok(all)
}

pub(super) fn say(work: &Work<'_>, done: &str, how: &str) {
    if !work.session.ui.json() {
        let tag = work.subject.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let image = format!("{}{tag}@{}", work.subject.repository, work.subject.digest);
        work.session.ui.say(format!("{}: {image}", work.session.ui.paint(Paint::Green, done)));
        work.session.ui.note(format!("  with: {how}"));
    }
}

/// Signing a tag with Docker Content Trust.
struct SigningTag<'a> {
    subject: &'a Subject,
    tag: String,
    roles: Vec<RoleName>,
    new_signer: Option<Change>,
    signer: Option<RoleName>,
}

impl Intention for SigningTag<'_> {
    fn changes(&self, collection: Option<&Collection>) -> Result<Vec<Change>, Failure> {
        let mut sign = SignTag::new(&self.tag, self.subject.digest, self.subject.size);
        sign.roles = match (self.roles.is_empty(), &self.signer) {
            (false, _) => SignIn::Named(self.roles.clone()),
            (true, Some(signer)) => SignIn::Named(vec![signer.clone(), RoleName::releases()]),
            (true, None) => SignIn::DockersRule,
        };
        let missing = |signer: &RoleName| collection.is_some_and(|collection| collection.role(signer).is_none());
        let add = self.new_signer.clone().filter(|_| self.signer.as_ref().is_some_and(missing));
        Ok(add.into_iter().chain([Change::SignTag(sign)]).collect())
    }

    fn roles(&self, collection: &Collection) -> BTreeSet<RoleName> {
        if !self.roles.is_empty() {
            return self.roles.iter().cloned().collect();
        }
        if let Some(signer) = &self.signer {
            let mut roles = BTreeSet::from([signer.clone(), RoleName::releases()]);
            if collection.role(signer).is_none() {
                roles.insert(RoleName::targets());
            }
            return roles;
        }
        let delegations: BTreeSet<RoleName> = collection
            .roles
            .iter()
            .map(|role| role.name.clone())
            .filter(|name| name.is_direct_child_of(&RoleName::targets()))
            .collect();
        if delegations.is_empty() { BTreeSet::from([RoleName::targets()]) } else { delegations }
    }
}

/// Role names as flags give them.
pub(super) fn role_names(names: &[String]) -> Result<Vec<RoleName>, Failure> {
    let parse = |name: &String| name.parse().map_err(|error| Failure::bad_value("--role", name, error));
    names.iter().map(parse).collect()
}

async fn dct(work: &Work<'_>, args: &SignArgs) -> Result<Value, Failure> {
    let dct_args = &args.signing.dct;
    let tag = work.subject.tag.as_ref().map(ToString::to_string).unwrap_or_default();
    let publication = Publication {
        session: work.session,
        world: work.world,
        args: dct_args,
        gun: work.subject.repository.clone(),
        now: work.now,
    };
    let signer = match &dct_args.signer {
        Some(name) => role_names(&[format!("targets/{name}")])?.pop(),
        None => None,
    };
    let new_signer = match (&dct_args.signer, &signer) {
        (Some(name), Some(role)) => {
            let keys = publication.signer_keys(name, role).await?;
            (!keys.is_empty()).then(|| Change::AddSigner { name: name.clone(), keys })
        }
        _ => None,
    };
    let intention =
        SigningTag { subject: work.subject, tag: tag.clone(), roles: role_names(&dct_args.role)?, new_signer, signer };
    if args.dry_run {
        say(work, "would sign", &format!("Docker Content Trust, tag {tag}"));
        return Ok(
            json!({ "image": work.subject.repository.to_string(), "digest": work.subject.digest, "scheme": "dct", "done": "would sign", "tag": tag }),
        );
    }
    let upload = publication.publish(&intention).await?;
    for remark in upload.remarks() {
        crate::render::warning(&work.session.ui, remark);
    }
    let collection = publication.read_back().await?;
    let holding: Vec<String> = collection
        .roles
        .iter()
        .filter(|role| role.target(&tag).is_some_and(|target| target.names(&work.subject.digest)))
        .map(|role| role.name.to_string())
        .collect();
    if holding.is_empty() {
        let words = format!("{tag} was signed and is not in the collection when it is read again");
        return Err(Failure::new(Reason::new(Code::PublishNotVisible, words)));
    }
    warn_conflicts(work, &collection, &tag);
    let done = if upload.is_empty() { "already signed" } else { "signed" };
    let roots: Vec<&str> = collection.root_keys().iter().map(trustctl_dct::key::KeyId::as_str).collect();
    say(work, done, &format!("Docker Content Trust, roles {}; root key id {}", holding.join(", "), roots.join(" ")));
    Ok(json!({
        "image": work.subject.repository.to_string(), "digest": work.subject.digest, "scheme": "dct", "done": done,
        "tag": tag, "roles": holding, "rootKeyIds": roots,
    }))
}

/// Roles that still sign the tag as something else.
fn warn_conflicts(work: &Work<'_>, collection: &Collection, tag: &str) {
    for role in &collection.roles {
        let Some(digest) = role.target(tag).and_then(trustctl_dct::metadata::targets::Target::digest) else { continue };
        if digest != work.subject.digest {
            let words = format!("{} still signs {tag} as {digest}", role.name);
            let image = format!("{}:{tag}", work.subject.repository);
            let step =
                Step::command("revoke it there", ["trustctl", "revoke", &image, "--scheme", "dct", "--role", role.name.as_str()]);
            crate::render::warning(&work.session.ui, &Reason::new(Code::DctRoleConflict, words).step(step));
        }
    }
}
