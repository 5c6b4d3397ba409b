//! The client that the suite sigstore-conformance drives: `verify-bundle` by the suite's protocol (its `docs/cli_protocol.md`).
//!
//! `conformance verify-bundle --bundle FILE (--certificate-identity ID --certificate-oidc-issuer URL | --key FILE) [--trusted-root FILE]
//! ARTIFACT|sha256:HEX`. Ends with 0 when the bundle is accepted and with 1 otherwise. Without `--trusted-root` the public-good instance
//! counts. The suite asks whether a bundle is valid for an artifact; of an attestation, of whatever type, that its signed statement names
//! the artifact.

use std::path::Path;
use std::process::ExitCode;

use trustctl_core::digest::Digest;
use trustctl_core::hashes::Hashes;
use trustctl_core::policy::{Glob, NamePattern};
use trustctl_core::public_key::PublicKey;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_sigstore::blob::{self, Demand, HASHES, Who};
use trustctl_sigstore::bundle::{Bundle, Content};
use trustctl_sigstore::keyless::{About, Instance, PUBLIC_GOOD};
use trustctl_sigstore::statement::Statement;

const USAGE: &str = "conformance verify-bundle --bundle FILE (--certificate-identity ID --certificate-oidc-issuer URL | --key FILE) [--trusted-root FILE] ARTIFACT|sha256:HEX";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Request::read(&words).and_then(|request| request.carry_out()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// What the suite asks.
#[derive(Default)]
struct Request<'a> {
    bundle: &'a str,
    identity: &'a str,
    issuer: &'a str,
    key: Option<&'a str>,
    trusted_root: Option<&'a str>,
    artifact: &'a str,
}

impl<'a> Request<'a> {
    fn read(words: &'a [String]) -> Result<Self, String> {
        let Some(("verify-bundle", rest)) = words.split_first().map(|(verb, rest)| (verb.as_str(), rest)) else {
            return Err(USAGE.to_owned());
        };
        let (mut request, mut rest) = (Self::default(), rest.iter());
        while let Some(word) = rest.next() {
            let mut value = || rest.next().map(String::as_str).ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--bundle" => request.bundle = value()?,
                "--certificate-identity" => request.identity = value()?,
                "--certificate-oidc-issuer" => request.issuer = value()?,
                "--key" => request.key = Some(value()?),
                "--trusted-root" => request.trusted_root = Some(value()?),
                flag if flag.starts_with("--") => return Err(format!("unknown flag {flag}; {USAGE}")),
                artifact => request.artifact = artifact,
            }
        }
        if request.bundle.is_empty() || request.artifact.is_empty() {
            return Err(USAGE.to_owned());
        }
        Ok(request)
    }

    fn carry_out(&self) -> Result<(), String> {
        let bundle = file(self.bundle)?;
        let root = self.trusted_root.map_or_else(|| Ok(PUBLIC_GOOD.as_bytes().to_vec()), file)?;
        let anchor = SigstoreAnchor { name: None, trusted_root: root.into(), thresholds: Thresholds::default() };
        let instance = Instance::new(&anchor).map_err(|fault| fault.to_string())?;
        let (identity, issuer) = (exact(self.identity), exact(self.issuer));
        let key =
            self.key.map(|path| PublicKey::from_pem(&file(path)?).map_err(|error| format!("{path}: {error}"))).transpose()?;
        let by = match &key {
            Some(key) => Who::Key(key, Some(&instance)),
            None => Who::Identity { identity: &identity, issuer: &issuer, instance: &instance },
        };
        let kind = predicate_type(&bundle)?;
        let demand = Demand { by, log: true, predicate_type: kind.as_deref() };
        let now = trustctl::run::clock();
        let judged = match self.artifact.strip_prefix("sha256:") {
            Some(_) => {
                let digest: Digest = self.artifact.parse().map_err(|error| format!("{}: {error}", self.artifact))?;
                blob::verify(&bundle, About::Digest(&digest), demand, now)
            }
            None => {
                let bytes = file(self.artifact)?;
                let hashes = Hashes::of(&bytes, &HASHES);
                blob::verify(&bundle, About::File { hashes: &hashes, bytes: Some(&bytes) }, demand, now)
            }
        };
        judged.map(drop).map_err(|fault| format!("{}: {fault}", fault.code))
    }
}

/// The pattern of this name alone. The suite's names have stars in them nowhere.
fn exact(name: &str) -> NamePattern {
    Glob::new(name).into()
}

fn file(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(Path::new(path)).map_err(|error| format!("{path}: {error}"))
}

/// What the bundle says that it attests; none for a signature.
fn predicate_type(bundle: &[u8]) -> Result<Option<String>, String> {
    match Bundle::parse(bundle).map_err(|error| error.to_string())?.content {
        Content::Envelope(envelope) => {
            Statement::parse(&envelope.payload).map(|statement| Some(statement.predicate_type)).map_err(|error| error.to_string())
        }
        _ => Ok(None),
    }
}
