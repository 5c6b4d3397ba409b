//! `trustctl blob sign` and `blob attest`: a bundle is judged as a verifier would before it is written.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::report::ReasonReport;
use trustctl_keys::private_key::PrivateKey;
use trustctl_sigstore::blob::{self, Demand, Who};
use trustctl_sigstore::dsse::IN_TOTO;
use trustctl_sigstore::seal::Sealed;
use trustctl_sigstore::seal::kept::Kept;
use trustctl_sigstore::statement;

use super::super::Session;
use super::super::attest::Said;
use super::super::signer::{self, Intent, Keeping, With};
use super::{ATTESTATION, Content, SIGNATURE, beside};
use crate::cli::{BlobAttestArgs, BlobSignArgs, VouchingArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Paint;

/// Signs a file.
///
/// # Errors
/// A [`Failure`], by what stands in the way; then nothing is written.
pub(super) async fn sign(session: &Session, args: &BlobSignArgs) -> Result<Exit, Failure> {
    let key = key(session, (args.key.as_deref(), args.passphrase.as_deref()), &args.vouching)?;
    let content = Content::read(&args.file, &key.as_ref().map(|key| blob::hashes(key.kind())).unwrap_or_default())?;
    let with = With::new(session, &args.vouching, key)?;
    let digest = content.hashes.sha256();
    let name = Intent::name(&json!(["blob", digest]));
    let intent = Intent { name, is_in: &|kept: &Kept| kept.message_digest() == digest.as_ref() };
    let sealed = with.file(&content.hashes, intent).await?;
    let path = args.bundle.clone().unwrap_or_else(|| beside(&args.file, SIGNATURE));
    let making = Making { session, with: &with, file: &args.file, content: &content, path, predicate_type: None };
    making.finish(&sealed).await
}

/// Attests something about a file.
///
/// # Errors
/// As [`sign`].
pub(super) async fn attest(session: &Session, args: &BlobAttestArgs) -> Result<Exit, Failure> {
    let Some(file) = &args.file else { return Err(Failure::usage(Code::BadCommandLine, "give the file")) };
    let said = Said::read(&args.saying)?;
    let key = key(session, (args.key.as_deref(), args.passphrase.as_deref()), &args.vouching)?;
    let content = Content::read(file, &[])?;
    let digest =
        content.hashes.sha256().ok_or_else(|| Failure::new(Reason::new(Code::CosignSelfCheck, "the file has no digest")))?;
    said.check(&[digest])?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let statement = match &said.given {
        Some(given) => given.statement.clone(),
        None => statement::build_attestation(&digest, &name, &said.predicate.predicate_type, &said.predicate.json),
    };
    let with = With::new(session, &args.vouching, key)?;
    let name = Intent::name(&json!(["blob attest", digest, said.identity()]));
    let is_in = |kept: &Kept| kept.payload().is_some_and(|payload| said.is_in(payload, &digest));
    let intent = Intent { name, is_in: &is_in };
    let sealed = with.envelope((IN_TOTO, &statement), &digest, Keeping::Bundle, intent).await?;
    let path = args.bundle.clone().unwrap_or_else(|| beside(file, ATTESTATION));
    let predicate_type = Some(said.predicate.predicate_type.as_str());
    Making { session, with: &with, file, content: &content, path, predicate_type }.finish(&sealed).await
}

/// The key, opened; none where an identity signs.
fn key(
    session: &Session,
    (key, passphrase): (Option<&str>, Option<&str>),
    vouching: &VouchingArgs,
) -> Result<Option<PrivateKey>, Failure> {
    match key {
        Some(name) => session.private_key(name, passphrase, None).map(Some),
        None if signer::token::is_asked_for(vouching)? => Ok(None),
        None => {
            let words = "nothing says what to sign with: give --key, or sign with an identity, as with --identity-token";
            Err(Failure::usage(Code::NoSigningKey, words))
        }
    }
}

/// A bundle about a file, on its way to where it is kept.
struct Making<'a> {
    session: &'a Session,
    with: &'a With<'a>,
    file: &'a Path,
    content: &'a Content,
    path: PathBuf,
    /// What is attested; none for a signature.
    predicate_type: Option<&'a str>,
}

impl Making<'_> {
    /// Judges it, writes it, and says so.
    async fn finish(&self, sealed: &Sealed) -> Result<Exit, Failure> {
        let bundle = sealed.bundle();
        // What somebody vouched for was judged already; a key's signature is once more here.
        if let (Some(key), false) = (self.with.key(), self.with.is_vouched_for()) {
            let demand = Demand { by: Who::Key(key, None), log: false, predicate_type: self.predicate_type };
            let checked = blob::verify(&bundle, self.content.about(), demand, self.session.now(None)?);
            checked.map_err(|fault| Failure::new(Reason::new(Code::CosignSelfCheck, fault.to_string())))?;
        }
        trustctl_remote::file::replace(&self.path, &bundle).map_err(|error| Failure::file(&self.path, &error))?;
        self.with.settled().await;
        let principal = self.with.principal().await?;
        let (file, ui) = (self.file.display().to_string(), &self.session.ui);
        if ui.json() {
            let warnings: Vec<ReasonReport> = self.session.dangers().iter().map(ReasonReport::new).collect();
            let schema = if self.predicate_type.is_some() { "trustctl/blob-attest/v1" } else { "trustctl/blob-sign/v1" };
            let mut report = json!({
                "schema": schema, "exit": 0, "file": file, "digest": self.content.hashes.sha256(),
                "bundle": self.path.display().to_string(), "key": self.with.key().map(PublicKey::fingerprint),
                "principal": principal, "logEntries": sealed.entries().len(), "warnings": warnings,
            });
            if let (Some(kind), Value::Object(members)) = (self.predicate_type, &mut report) {
                members.insert("predicateType".to_owned(), json!(kind));
            }
            ui.say(report.to_string());
        } else {
            let done = if self.predicate_type.is_some() { "attested" } else { "signed" };
            ui.say(format!("{}: {file}", ui.paint(Paint::Green, done)));
            ui.note(format!("  by:     {principal}\n  bundle: {}", self.path.display()));
        }
        Ok(Exit::Done)
    }
}
