//! The client that the suite sigstore-conformance drives: `verify-bundle` and `sign-bundle` by the suite's protocol (its
//! `docs/cli_protocol.md`).
//!
//! `conformance sign-bundle --identity-token TOKEN --bundle FILE [--trusted-root FILE] [--signing-config FILE] ARTIFACT` has the program
//! itself sign, which gets the token by a variable: its own flags take no secret. The staging instance is not known here; it is named by
//! its trusted root and signing config.
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
use trustctl_tests::program::program;

const USAGE: &str = "conformance sign-bundle --identity-token TOKEN --bundle FILE [--trusted-root FILE] [--signing-config FILE] ARTIFACT; conformance verify-bundle --bundle FILE (--certificate-identity ID --certificate-oidc-issuer URL | --key FILE) [--trusted-root FILE] ARTIFACT|sha256:HEX";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("verify-bundle", rest)) => Request::read(rest).and_then(|request| request.carry_out()),
        Some(("sign-bundle", rest)) => Signing::read(rest).and_then(|signing| signing.carry_out()),
        _ => Err(USAGE.to_owned()),
    };
    match done {
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
        let (mut request, mut rest) = (Self::default(), words.iter());
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

/// What the suite has signed.
#[derive(Default)]
struct Signing<'a> {
    token: &'a str,
    bundle: &'a str,
    artifact: &'a str,
    /// Flags that the program has too, with their values.
    more: Vec<&'a str>,
}

/// The variable that brings the token to the program.
const TOKEN: &str = "CONFORMANCE_IDENTITY_TOKEN";

impl<'a> Signing<'a> {
    fn read(words: &'a [String]) -> Result<Self, String> {
        let (mut signing, mut rest) = (Self::default(), words.iter());
        while let Some(word) = rest.next() {
            let mut value = || rest.next().map(String::as_str).ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--identity-token" => signing.token = value()?,
                "--bundle" => signing.bundle = value()?,
                "--trusted-root" | "--signing-config" => signing.more.extend([word, value()?]),
                flag if flag.starts_with("--") => return Err(format!("unknown flag {flag}; {USAGE}")),
                artifact => signing.artifact = artifact,
            }
        }
        if [signing.token, signing.bundle, signing.artifact].contains(&"") {
            return Err(USAGE.to_owned());
        }
        Ok(signing)
    }

    fn carry_out(&self) -> Result<(), String> {
        let mut command = std::process::Command::new(program());
        command.args(["blob", "sign", self.artifact, "--bundle", self.bundle, "--no-input"]).args(&self.more);
        command.args(["--identity-token", &format!("env:{TOKEN}")]).env(TOKEN, self.token);
        let status = command.status().map_err(|error| format!("trustctl cannot be started: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("trustctl ended with {status}")) }
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
