//! The identity token of a run: the one that was named, else the surroundings', else by signing in on a terminal.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use trustctl_core::reason::{Code, Reason, Step};
use trustctl_remote::http::Http;
use trustctl_remote::limits::Deadline;
use trustctl_remote::oidc::ambient::{Ambient, Surroundings, read_token};
use trustctl_remote::oidc::discovery::Issuer;
use trustctl_remote::oidc::token::{Demands, IdentityToken};
use trustctl_remote::oidc::{browser, device};
use trustctl_sigstore::signing_config::SigningConfig;
use zeroize::Zeroizing;

use super::super::{Session, clock};
use crate::cli::VouchingArgs;
use crate::config::Environment;
use crate::failure::Failure;

/// How long somebody may take to sign in.
const SIGN_IN: Duration = Duration::from_secs(300);

/// Whether the flags or the surroundings ask for signing by identity.
///
/// # Errors
/// [`Code::TokenPermission`] in a CI system that gives this job no token, [`Code::TokenSource`] for surroundings that contradict
/// themselves; both only where no flag says more.
pub(in crate::run) fn is_asked_for(args: &VouchingArgs) -> Result<bool, Failure> {
    let named = [&args.identity_token, &args.sigstore, &args.oidc_issuer];
    if named.into_iter().any(Option::is_some) || args.signing_config.is_some() || args.device {
        return Ok(true);
    }
    Ok(ambient()?.is_some_and(|source| source.is_offered()))
}

/// A token that can be used now. It names whom the certificate will name.
///
/// # Errors
/// [`Code::TokenMissing`] when there is no source and nobody can be asked; what the source, or [`IdentityToken::check`], says.
pub(super) async fn fetch(
    session: &Session,
    args: &VouchingArgs,
    config: &SigningConfig,
    http: &Http,
) -> Result<IdentityToken, Failure> {
    let token = if let Some(source) = &args.identity_token {
        IdentityToken::parse(&named(source)?).map_err(Reason::from)?
    } else if let Some(source) = if args.device { None } else { ambient()? } {
        if session.ui.verbose {
            session.ui.tell(format!("identity token: from {}", source.name()));
        }
        source.fetch(http, &args.oidc_client_id, session.deadline()?).await.map_err(Reason::from)?
    } else if session.ui.may_ask() {
        sign_in(session, args, config, http).await?
    } else {
        let words = "there is no identity token: none was named, no known CI system offers one, and nobody can sign in here";
        return Err(Failure::new(Reason::new(Code::TokenMissing, words)));
    };
    let demands = Demands { audience: &args.oidc_client_id, issuer: args.oidc_issuer.as_deref(), nonce: None };
    token.check(demands, clock()).map_err(Reason::from)?;
    // As the certificate will say it, by Fulcio's rules: of a workflow that is its address, and not the token's subject.
    let names = token.names();
    let identity = names.first().map_or_else(|| token.identity(), |(identity, _)| identity.as_str());
    session.ui.note(format!("signing as {identity} (token by {})", token.claims().issuer));
    Ok(token)
}

fn ambient() -> Result<Option<Ambient>, Failure> {
    let variable = |name: &str| Environment::variable(name);
    Ok(Ambient::detect(&Surroundings::new(&variable)).map_err(Reason::from)?)
}

/// The token in a file, or in a variable.
fn named(source: &str) -> Result<Zeroizing<String>, Failure> {
    if source.starts_with("eyJ") && source.matches('.').count() == 2 {
        let words = "--identity-token takes a file or env:NAME: a token among the arguments is seen by everybody on this machine";
        return Err(Failure::usage(Code::BadValue, words));
    }
    match source.strip_prefix("env:") {
        None => Ok(read_token(Path::new(source)).map_err(Reason::from)?),
        Some(name) => Environment::variable(name).filter(|text| !text.is_empty()).map(Zeroizing::new).ok_or_else(|| {
            Failure::new(Reason::new(Code::TokenMissing, format!("--identity-token env:{name}: the variable is not set")))
        }),
    }
}

async fn sign_in(session: &Session, args: &VouchingArgs, config: &SigningConfig, http: &Http) -> Result<IdentityToken, Failure> {
    let url = match &args.oidc_issuer {
        Some(url) => url.as_str(),
        None => config.issuer(clock()).map_err(|fault| Reason::new(fault.code, fault.detail))?.url.as_str(),
    };
    if args.signing_config.is_none() && args.sigstore.as_deref().is_none_or(|name| name == super::super::anchor::PUBLIC_GOOD) {
        session.ui.note("the public-good Sigstore keeps the name you sign in with in public logs, for good");
    }
    let issuer = Issuer::discover(http, url, session.deadline()?).await.map_err(Reason::from)?;
    let (client, deadline) = (&args.oidc_client_id, Deadline::after(SIGN_IN));
    let token = if args.device {
        let waiting = device::Waiting::begin(http, issuer, client, deadline).await.map_err(Reason::from)?;
        let address = waiting.whole_address.as_ref().unwrap_or(&waiting.address);
        session.ui.tell(format!("open {address}\nand enter the code {}", waiting.user_code));
        waiting.finish(http, clock, deadline).await
    } else {
        let waiting = browser::Waiting::begin(issuer, client).await.map_err(Reason::from)?;
        open(&waiting.address);
        session
            .ui
            .tell(format!("sign in with the browser that opens, or open this in one on this machine:\n{}", waiting.address));
        waiting.finish(http, clock, deadline).await
    };
    token.map_err(|error| {
        let step = Step::words("over a remote shell give --device, which shows a code to enter elsewhere");
        Failure::new(error.reason()).step(step)
    })
}

/// Opens a browser where there is one. Whether it did does not matter: the address is shown too.
fn open(address: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = tokio::process::Command::new(program);
    command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(command.spawn());
}
