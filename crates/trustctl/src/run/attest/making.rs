//! `trustctl attest`: check what is to be attested, seal it, publish it, and find it again through a fresh client.

use serde_json::{Value, json};
use tokio::sync::Mutex;
use trustctl_core::claim::{Claim, Principal, Statement};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::Evidence;
use trustctl_core::memory::Memory;
use trustctl_core::predicate::short_name;
use trustctl_core::publish::Edit;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::report::ReasonReport;
use trustctl_core::scheme::{Context, Scheme as _};
use trustctl_core::subject::Subject;
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_sigstore::artifact::Form;
use trustctl_sigstore::dsse::IN_TOTO;
use trustctl_sigstore::make::{AttestationStorage, Attesting, MakeError, attest};
use trustctl_sigstore::scheme::Cosign;
use trustctl_sigstore::seal::Sealed;
use trustctl_sigstore::seal::kept::Kept;

use super::super::network::World;
use super::super::sign::{Image, Work, publish, resolve, say};
use super::super::signer::{self, Intent, Keeping, With};
use super::super::{Session, clock, manifests, revoke, trust};
use super::saying::Said;
use crate::cli::{AttestArgs, AttestStorage};
use crate::exit::Exit;
use crate::failure::Failure;

/// Attests the same about every image.
///
/// # Errors
/// A [`Failure`], by what stands in the way; what was published before stays published.
pub(super) async fn run(session: &Session, args: &AttestArgs) -> Result<Exit, Failure> {
    let said = Said::read(&args.saying)?;
    let key = match &args.key {
        Some(key) => Some(session.private_key(key, args.passphrase.as_deref(), None)?),
        None if signer::token::is_asked_for(&args.vouching)? => None,
        None => {
            let words = "nothing says what to sign with: give --key, or --identity-token";
            return Err(Failure::usage(Code::NoSigningKey, words));
        }
    };
    let with = With::new(session, &args.vouching, key)?;
    let world = session.world(None)?;
    let mut named = Vec::new();
    for image in &args.images {
        let image = Image { text: image, resolve_tag: args.resolve_tag, tag: None };
        let subject = resolve(session, &world, &image).await?;
        let work = Work { session, world: &world, subject: &subject, now: session.now(None)? };
        let manifests = manifests::to_sign(&work, args.recursive).await?;
        named.push((subject, manifests));
    }
    let digests: Vec<Digest> = named.iter().flat_map(|(_, manifests)| manifests).map(|manifest| manifest.digest).collect();
    said.check(&digests)?;
    let place = trust::repository("--signature-repository", args.signature_repository.as_deref())?;
    let (sealed, mut reports) = (Mutex::default(), Vec::new());
    for (subject, manifests) in &named {
        let work = Work { session, world: &world, subject, now: session.now(None)? };
        let (place, storages) = (place.clone(), storages(args.storage));
        let saying = Saying { work: &work, with: &with, said: &said, place, storages, sealed: &sealed };
        reports.push(saying.carry_out(manifests, args.dry_run).await?);
    }
    with.settled().await;
    if session.ui.json() {
        let warnings: Vec<ReasonReport> = session.dangers().iter().map(ReasonReport::new).collect();
        let report = json!({ "schema": "trustctl/attest/v1", "exit": 0, "results": reports, "warnings": warnings });
        session.ui.say(report.to_string());
    }
    Ok(Exit::Done)
}

fn form(storage: AttestationStorage) -> Form {
    match storage {
        AttestationStorage::AttestationTag => Form::AttestationTag,
        AttestationStorage::Bundle => Form::Bundle,
    }
}

fn storages(storage: AttestStorage) -> &'static [AttestationStorage] {
    match storage {
        AttestStorage::Bundle => &[AttestationStorage::Bundle],
        AttestStorage::Legacy => &[AttestationStorage::AttestationTag],
        AttestStorage::Both => &[AttestationStorage::Bundle, AttestationStorage::AttestationTag],
    }
}

/// Attesting about one image and its children.
struct Saying<'a> {
    work: &'a Work<'a>,
    with: &'a With<'a>,
    said: &'a Said,
    place: Option<Repository>,
    storages: &'static [AttestationStorage],
    /// A statement that was given as a whole is signed once, whatever number of images it speaks of.
    sealed: &'a Mutex<Vec<(AttestationStorage, Sealed)>>,
}

impl Saying<'_> {
    async fn carry_out(&self, manifests: &[Subject], dry_run: bool) -> Result<Value, Failure> {
        if dry_run {
            let how = self.with.key().map_or("an identity".to_owned(), |key| format!("cosign key {}", key.fingerprint()));
            return Ok(self.report(manifests, "would attest", (&how, json!(null))));
        }
        let mut edits: Vec<Box<dyn Edit>> = Vec::new();
        for manifest in manifests {
            self.refuse_revoked(manifest).await?;
            edits.extend(self.edits(manifest).await?);
        }
        let changed = publish(self.work, &edits).await?;
        for manifest in manifests {
            self.prove(manifest).await?;
        }
        let principal = self.with.principal().await?;
        let done = if changed { "attested" } else { "already attested" };
        Ok(self.report(manifests, done, (&principal.to_string(), json!(principal))))
    }

    fn report(&self, manifests: &[Subject], done: &str, (how, signer): (&str, Value)) -> Value {
        let kind = short_name(&self.said.predicate.predicate_type);
        say(self.work, done, &format!("{kind}, {how}, {} manifest(s)", manifests.len()));
        let digests: Vec<String> = manifests.iter().map(|manifest| manifest.digest.to_string()).collect();
        let subject = self.work.subject;
        json!({
            "image": subject.repository.to_string(), "digest": subject.digest, "predicateType": self.said.predicate.predicate_type,
            "done": done, "digests": digests, "signer": signer,
        })
    }

    /// What the same signer has revoked is not spoken for.
    async fn refuse_revoked(&self, manifest: &Subject) -> Result<(), Failure> {
        let who = self.with.who().await?;
        let (anchors, signer) = (self.with.anchors_for(std::slice::from_ref(&who)), who.principal());
        let looked =
            revoke::refuse_revoked(self.work, manifest, (&anchors, &signer), (self.place.clone(), Evidence::new())).await;
        looked.map(drop)
    }

    /// The edits that publish what is not there yet. Services are only asked for what is missing.
    async fn edits(&self, manifest: &Subject) -> Result<Vec<Box<dyn Edit>>, Failure> {
        let there = if self.with.is_vouched_for() { self.there(manifest, self.work.world).await? } else { Vec::new() };
        let attesting = Attesting {
            image: manifest.clone(),
            predicate: self.said.predicate.clone(),
            statement: self.said.given.as_ref().map(|given| given.statement.clone()),
            signature_repository: self.place.clone(),
            created: self.work.now,
        };
        let failed = |error: MakeError| Failure::new(error.reason());
        let statement = attesting.statement();
        let mut edits = Vec::new();
        for storage in self.storages.iter().copied().filter(|storage| !there.contains(storage)) {
            let sealed = self.sealed(storage, &statement, manifest).await?;
            edits.push(attest(&attesting, storage, &sealed).map_err(failed)?);
        }
        Ok(edits)
    }

    async fn sealed(&self, storage: AttestationStorage, statement: &[u8], manifest: &Subject) -> Result<Sealed, Failure> {
        let mut held = self.sealed.lock().await;
        if let Some((_, sealed)) = held.iter().find(|(of, _)| *of == storage && self.said.given.is_some()) {
            return Ok(sealed.clone());
        }
        let keeping = match storage {
            AttestationStorage::AttestationTag => Keeping::Annotations,
            AttestationStorage::Bundle => Keeping::Bundle,
        };
        let name =
            Intent::name(&json!(["attest", manifest.repository, manifest.digest, form(storage).words(), self.said.identity()]));
        let is_in = |kept: &Kept| kept.payload().is_some_and(|payload| self.said.is_in(payload, &manifest.digest));
        let intent = Intent { name, is_in: &is_in };
        let sealed = self.with.envelope((IN_TOTO, statement), &manifest.digest, keeping, intent).await?;
        held.push((storage, sealed.clone()));
        Ok(sealed)
    }

    /// The storages in which this signer says the same already, vouched for as it would be now.
    async fn there(&self, manifest: &Subject, world: &World) -> Result<Vec<AttestationStorage>, Failure> {
        let signer = self.with.principal().await?;
        let claims = self.claims(manifest, world).await?;
        let same: Vec<&Claim> = claims.iter().filter(|claim| self.is_the_same(claim, &signer)).collect();
        let held = |storage: &AttestationStorage| same.iter().any(|claim| claim.source.form == form(*storage).words());
        Ok(self.storages.iter().copied().filter(held).collect())
    }

    fn is_the_same(&self, claim: &Claim, signer: &Principal) -> bool {
        let Statement::Attestation { predicate_type, predicate } = &claim.statement else { return false };
        claim.principal == *signer
            && (!claim.log.proves_nothing() || !self.with.logs())
            && *predicate_type == self.said.predicate.predicate_type
            && self.said.predicate.says_the_same(predicate.as_str())
    }

    /// Finds what was published as anybody would: through a client that knows nothing of this run, trusting just this signer.
    async fn prove(&self, manifest: &Subject) -> Result<(), Failure> {
        let there = self.there(manifest, &self.work.world.fresh()).await?;
        if there.len() == self.storages.len() {
            return Ok(());
        }
        let words =
            format!("what was published about {} is not found, or does not verify, when looked for again", manifest.digest);
        Err(Failure::new(Reason::new(Code::CosignSelfCheck, words)))
    }

    /// What is proven of attestations of the type, trusting just this signer, as of now.
    async fn claims(&self, manifest: &Subject, world: &World) -> Result<Vec<Claim>, Failure> {
        let (anchors, memory) = (self.with.anchors_for(&[self.with.who().await?]), Memory::new());
        let attestation_types = [self.said.predicate.predicate_type.clone()].into();
        let signature_repository = self.place.clone();
        let cosign = Cosign { signature_repository, read_attestations: true, attestation_types, ..Cosign::default() };
        let context = Context { anchors: &anchors, memory: &memory, now: clock() };
        let subject = Subject { children: Vec::new(), ..manifest.clone() };
        let deadline = self.work.session.deadline()?;
        let source = world.until(deadline);
        let wants = |have: &Evidence| cosign.wants(&subject, have, &context);
        let evidence = collect(&wants, Evidence::new(), Supply { source: &source, limits: Limits::default(), deadline }).await;
        // What was just signed has times of just now.
        let context = Context { now: clock(), ..context };
        Ok(cosign.examine(&subject, &evidence, &context).claims)
    }
}
