//! Signing an image with Cosign: what is there already, what is sealed, and the proof that it was published.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trustctl_core::assess::{Assessment, Assessor};
use trustctl_core::claim::{Claim, Principal, Statement};
use trustctl_core::evidence::Evidence;
use trustctl_core::memory::Memory;
use trustctl_core::policy::CosignDemands;
use trustctl_core::publish::Edit;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::Repository;
use trustctl_core::subject::Subject;
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_sigstore::artifact::Form;
use trustctl_sigstore::dsse::IN_TOTO;
use trustctl_sigstore::make::{self, Signing, Storage};

use super::super::network::World;
use super::super::signer::{Keeping, With};
use super::super::{clock, revoke, schemes};
use super::{Work, say};
use crate::failure::Failure;

/// Signing one image and its children.
pub(super) struct Cosigning<'a> {
    pub(super) work: &'a Work<'a>,
    pub(super) with: &'a With<'a>,
    pub(super) place: Option<Repository>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) storages: &'static [Storage],
}

impl Cosigning<'_> {
    /// What a run would sign, without asking any service for anything.
    pub(super) fn would_sign(&self, manifests: &[Subject]) -> Value {
        let how = match self.with.key() {
            Some(key) => format!("cosign key {}", key.fingerprint()),
            None => "an identity".to_owned(),
        };
        say(self.work, "would sign", &format!("{how}, {} manifest(s)", manifests.len()));
        let mut report = self.report(manifests, "would sign");
        if let (Some(key), Value::Object(members)) = (self.with.key(), &mut report) {
            members.insert("key".to_owned(), json!(key.fingerprint()));
        }
        report
    }

    /// The report of a run that signed, or found everything signed.
    pub(super) async fn signed(&self, manifests: &[Subject], changed: bool) -> Result<Value, Failure> {
        let done = if changed { "signed" } else { "already signed" };
        let mut report = self.report(manifests, done);
        let principal = self.with.principal().await?;
        let (name, value, how) = match &principal {
            Principal::Identity { identity, issuer, .. } => {
                ("identity", json!({ "identity": identity, "issuer": issuer }), format!("identity {principal}"))
            }
            Principal::Key { fingerprint } => ("key", json!(fingerprint), format!("cosign key {fingerprint}")),
            Principal::Role { .. } => ("role", json!(principal), principal.to_string()),
            _ => ("signer", json!(principal), principal.to_string()),
        };
        if let Value::Object(members) = &mut report {
            members.insert(name.to_owned(), value);
        }
        say(self.work, done, &format!("{how}, {} manifest(s)", manifests.len()));
        Ok(report)
    }

    fn report(&self, manifests: &[Subject], done: &str) -> Value {
        let digests: Vec<String> = manifests.iter().map(|manifest| manifest.digest.to_string()).collect();
        let subject = self.work.subject;
        json!({
            "image": subject.repository.to_string(), "digest": subject.digest, "scheme": "cosign", "done": done,
            "digests": digests, "tag": subject.tag,
        })
    }

    /// Refuses what this signer has revoked.
    pub(super) async fn refuse_revoked(&self, manifest: &Subject, signer: &Principal) -> Result<(), Failure> {
        revoke::refuse_revoked(self.work, manifest, (&self.with.anchors(), signer), self.place.clone()).await
    }

    /// The edits that publish what is not there yet.
    ///
    /// A signature by key alone is the same whenever it is made, and the edit itself sees that it is there. Services are only asked for
    /// what is missing: an entry in a log stays for ever.
    pub(super) async fn edits(&self, manifest: &Subject) -> Result<Vec<Box<dyn Edit>>, Failure> {
        let there = match self.with.is_vouched_for() {
            true => self.there(manifest).await?,
            false => Vec::new(),
        };
        let signing = Signing {
            image: manifest.clone(),
            repository: Some(self.work.subject.repository.clone()),
            tag: self.work.subject.tag.clone(),
            annotations: self.annotations.clone(),
            signature_repository: self.place.clone(),
            created: self.work.now,
        };
        let failed = |error: make::MakeError| Failure::new(error.reason());
        let mut edits = Vec::new();
        for storage in self.storages.iter().copied().filter(|storage| !there.contains(storage)) {
            let sealed = match storage {
                Storage::Bundle => {
                    let statement = signing.statement().map_err(failed)?;
                    self.with.envelope((IN_TOTO, &statement), &manifest.digest, Keeping::Bundle).await?
                }
                Storage::SignatureTag => self.with.message(&signing.payload().map_err(failed)?, Keeping::Annotations).await?,
            };
            edits.push(make::publish(&signing, storage, &sealed).map_err(failed)?);
        }
        Ok(edits)
    }

    /// The storages that hold this signer's signature with the same claims already, vouched for as a new one would be.
    async fn there(&self, manifest: &Subject) -> Result<Vec<Storage>, Failure> {
        let signer = self.with.principal().await?;
        let assessment = self.judge(manifest, self.work.world).await?;
        let logged = |claim: &Claim| !claim.log.proven.is_empty() || !self.with.logs();
        let claims = assessment.findings.iter().flat_map(|findings| &findings.claims);
        let same: Vec<&Claim> =
            claims.filter(|claim| claim.principal == signer && logged(claim) && self.says_the_same(claim)).collect();
        let form = |storage: Storage| match storage {
            Storage::Bundle => Form::Bundle,
            Storage::SignatureTag => Form::SignatureTag,
        };
        let held = |storage: &Storage| same.iter().any(|claim| claim.source.form == form(*storage).words());
        Ok(self.storages.iter().copied().filter(held).collect())
    }

    fn says_the_same(&self, claim: &Claim) -> bool {
        let subject = self.work.subject;
        claim.statement == Statement::Signature
            && claim.annotations == self.annotations
            && claim.repository.as_ref().is_some_and(|named| *named == subject.repository.to_string())
            && claim.tag == subject.tag.as_ref().map(ToString::to_string)
    }

    /// Verifies what was published as anybody would: through a client that knows nothing of this run, trusting just this signer.
    pub(super) async fn prove(&self, manifest: &Subject) -> Result<(), Failure> {
        let verdict = self.judge(manifest, &self.work.world.fresh()).await?.judgement.verdict;
        if verdict.is_trusted() {
            return Ok(());
        }
        let why = verdict.reasons().first().map(|reason| reason.message.clone()).unwrap_or_default();
        let code = match verdict.reasons().first().map(|reason| reason.code) {
            Some(Code::CosignRevoked) => Code::CosignRevoked,
            _ => Code::CosignSelfCheck,
        };
        let words = format!("{} was published and is {}: {why}", manifest.digest, verdict.kind().word());
        Err(Failure::new(Reason::new(code, words)))
    }

    /// What is proven of this manifest alone, trusting just this signer, as of now: what was just signed has times of just now.
    async fn judge(&self, manifest: &Subject, world: &World) -> Result<Assessment, Failure> {
        let demands = CosignDemands { annotations: self.annotations.clone(), ..CosignDemands::default() };
        let policy = self.with.policy(demands).await?;
        let schemes = schemes(&policy, self.place.clone());
        let (held, memory) = (schemes.all(), Memory::new());
        let assessor = Assessor { policy: &policy, schemes: &held, memory: &memory, now: clock() };
        let subject = Subject { children: Vec::new(), ..manifest.clone() };
        let deadline = self.work.session.deadline()?;
        let source = world.until(deadline);
        let wants = |have: &Evidence| assessor.wants(&subject, have);
        let supply = Supply { source: &source, limits: Limits::default(), deadline };
        let evidence = collect(&wants, Evidence::new(), supply).await;
        let assessor = Assessor { now: clock(), ..assessor };
        Ok(assessor.assess(&subject, &evidence))
    }
}
