//! `trustctl proxy break-glass`: an operator's signed word for one image and a short time.

use std::path::Path;

use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Step};
use trustctl_core::reference::Repository;
use trustctl_core::signer::Signer as _;
use trustctl_core::time::parse_age;
use trustctl_proxy::break_glass::{LONGEST, Token};
use trustctl_proxy::config::Config;

use super::super::{Session, clock, parse_image};
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
    }
    let key = session.private_key(&args.key, args.passphrase.as_deref(), None)?;
    if let Some(proxy) = &proxy {
        proxy.takes(key.public_key(), &args.key)?;
    }
    let bytes = token.sign(&key)?;
    trustctl_remote::file::replace(&args.to, &bytes).map_err(|error| Failure::file(&args.to, &error))?;
    let fingerprint = key.fingerprint();
    if session.ui.json() {
        let report = serde_json::json!({
            "schema": "trustctl/break-glass/v1", "exit": 0, "token": token, "file": args.to, "key": fingerprint, "config": args.config,
        });
        session.ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    session.ui.say(format!("{}@{} may pass until {}", token.repository, token.digest, token.until));
    if proxy.is_none() {
        session.ui.note(format!("whether a proxy takes the key {fingerprint} is not known without --config"));
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
