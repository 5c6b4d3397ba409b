//! `trustctl proxy break-glass`: an operator's signed word for one image and a short time.

use std::path::{Path, PathBuf};

use trustctl_core::digest::Digest;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Step};
use trustctl_core::reference::Repository;
use trustctl_core::signer::Signer as _;
use trustctl_core::time::parse_age;
use trustctl_proxy::break_glass::{LONGEST, Token};
use trustctl_proxy::config::Config;

use super::super::{Session, clock, parse_image, policy};
use crate::cli::BreakGlassArgs;
use crate::exit::Exit;
use crate::failure::Failure;

/// Writes a token.
///
/// # Errors
/// A [`Failure`]: a usage error for a token that would not count, else as for the configuration, the key and the file.
pub(super) fn run(session: &Session, args: &BreakGlassArgs) -> Result<Exit, Failure> {
    let token = token(args)?;
    let proxy = match &args.config {
        Some(path) => Some(Proxy { path, config: Config::load(path)? }),
        None => None,
    };
    if let Some(proxy) = &proxy {
        proxy.serves(&token.repository)?;
        proxy.denies_not(session, &token.digest)?;
    }
    let key = session.private_key(&args.key, args.passphrase.as_deref(), None)?;
    if let Some(proxy) = &proxy {
        proxy.takes(key.public_key(), &args.key)?;
    }
    let bytes = token.sign(&key)?;
    trustctl_remote::file::replace(&args.to, &bytes).map_err(|error| Failure::file(&args.to, &error))?;
    let fingerprint = key.fingerprint();
    let copy_to = proxy.as_ref().and_then(|proxy| proxy.copy_to(&args.to));
    if session.ui.json() {
        let report = serde_json::json!({
            "schema": "trustctl/break-glass/v1", "exit": 0, "token": token, "file": args.to, "key": fingerprint, "config": args.config,
            "copyTo": copy_to,
        });
        session.ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    session.ui.say(format!("{}@{} may pass until {}", token.repository, token.digest, token.until));
    if proxy.is_none() {
        session.ui.note(format!("whether a proxy takes the key {fingerprint} is not known without --config"));
    }
    if let Some(folder) = copy_to {
        let (file, folder) = (args.to.display(), folder.display());
        session.ui.note(format!("the proxy does not read {file}: copy it to {folder}, by a name that ends in .json"));
    }
    Ok(Exit::Done)
}

/// What is to be signed.
fn token(args: &BreakGlassArgs) -> Result<Token, Failure> {
    let reference = parse_image(&args.image)?;
    let Some(digest) = reference.digest else {
        let words = format!("{} names no digest: what may pass is named by its digest alone", args.image);
        let step = Step::words("take the digest from the refusal, or from the audit log");
        return Err(Failure::usage(Code::TagNotAllowed, words).step(step));
    };
    let expected = "not a time: write a whole number and s, m or h, at most 24h";
    let span = parse_age(&args.span).ok().filter(|span| *span <= LONGEST);
    let span = span.ok_or_else(|| Failure::bad_value("--for", &args.span, expected))?;
    let issued = clock();
    let token = Token {
        repository: reference.repository,
        digest,
        reason: args.reason.clone(),
        issued,
        until: issued.saturating_add(span),
    };
    token.check().map_err(|error| Failure::usage(Code::BadCommandLine, error.to_string()))?;
    Ok(token)
}

/// The proxy that is meant.
struct Proxy<'a> {
    path: &'a Path,
    config: Config,
}

impl Proxy<'_> {
    /// Whether it could let an image of the repository pass.
    fn serves(&self, repository: &Repository) -> Result<(), Failure> {
        let (upstreams, config) = (self.config.upstreams.all(), self.path.display());
        if upstreams.iter().any(|upstream| upstream.has_canary(repository)) {
            let words = format!("{repository} is the canary that {config} names: no token lets it pass");
            return Err(Failure::usage(Code::ProxyCanary, words));
        }
        if upstreams.iter().any(|upstream| upstream.registry == repository.registry()) {
            return Ok(());
        }
        let registries: Vec<&str> = upstreams.iter().map(|upstream| upstream.registry.as_str()).collect();
        let words = format!("{config} names no upstream {}: no image is called {repository} there", repository.registry());
        let step = format!("name the image as the policy does, by its registry: {}", registries.join(", "));
        Err(Failure::usage(Code::ProxyNoUpstream, words).step(Step::words(step)))
    }

    /// Whether the policy lets a token count for the digest.
    fn denies_not(&self, session: &Session, digest: &Digest) -> Result<(), Failure> {
        let policy = policy::load_with(session, &self.config.policy, &policy::read_limited)?;
        let Some(deny) = policy.deny.iter().find(|deny| deny.digest == *digest) else { return Ok(()) };
        let words = format!("the policy of {} denies {digest}: {}; no token lets it pass", self.path.display(), deny.reason);
        Err(Failure::usage(Code::PolicyDenied, words))
    }

    /// The folder of the proxy's tokens, where the file is none that is looked at there: it may be copied later, and from another host.
    fn copy_to(&self, file: &Path) -> Option<PathBuf> {
        let folder = self.config.state.join("break-glass");
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_there = matches!((parent.canonicalize(), folder.canonicalize()), (Ok(own), Ok(known)) if own == known);
        let is_token = is_there && file.extension().is_some_and(|extension| extension == "json");
        (!is_token).then_some(folder)
    }

    /// Whether the key may sign tokens.
    fn takes(&self, key: &PublicKey, named: &str) -> Result<(), Failure> {
        let own = key.fingerprint();
        let known: Vec<String> = self.config.break_glass.iter().map(PublicKey::fingerprint).collect();
        if known.contains(&own) {
            return Ok(());
        }
        let whose = if known.is_empty() { "it names none".to_owned() } else { format!("it names {}", known.join(", ")) };
        let expected = format!("the key {own} is none of those in [break-glass] of {}: {whose}", self.path.display());
        let step = "sign with one of these; or name the public key there, and restart the proxy";
        Err(Failure::bad_value("--key", named, expected).step(Step::words(step)))
    }
}
