//! `trustctl proxy doctor`: whether a client is held to the proxy, by pulls of what the proxy refuses: its canary, or another image.

mod engine;

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT;
use serde::Serialize;
use serde_json::json;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Reference;
use trustctl_core::report::ReasonReport;
use trustctl_proxy::clients::Address;
use trustctl_proxy::doctor::{Endpoint, Engine, Outcome, Standing, endpoint, is_denial, is_proxy, standing};
use trustctl_remote::http::origin::Origin;
use trustctl_remote::http::{Http, Network, Request};
use trustctl_remote::limits::MAX_MANIFEST;

use super::super::{Session, parse_image};
use crate::cli::{DoctorArgs, EngineArg};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use crate::ui::Paint;
use engine::Tries;

/// What engines accept.
const TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

impl From<EngineArg> for Engine {
    fn from(engine: EngineArg) -> Self {
        match engine {
            EngineArg::Buildah => Self::Buildah,
            EngineArg::Crictl => Self::Crictl,
            EngineArg::Ctr => Self::Ctr,
            EngineArg::Docker => Self::Docker,
            EngineArg::Nerdctl => Self::Nerdctl,
            EngineArg::Podman => Self::Podman,
            EngineArg::Skopeo => Self::Skopeo,
        }
    }
}

/// What became of one pull.
#[derive(Debug, Serialize)]
struct Attempt {
    client: Engine,
    image: String,
    outcome: Outcome,
    /// The last that the client said.
    said: String,
    /// Whether the image was asked for by the proxy's name, and not by the registry's.
    #[serde(skip)]
    by_proxy: bool,
}

/// What was found out of one client, or of the proxy alone.
struct Found {
    client: Option<Engine>,
    standing: Standing,
    reason: Option<Reason>,
}

/// Asks the proxy, has the clients pull, and says what that shows.
///
/// # Errors
/// A usage [`Failure`] for values that cannot be. What is found out is not an error: the exit code says it.
pub(super) async fn run(session: &Session, args: &DoctorArgs) -> Result<Exit, Failure> {
    let reference = parse_image(&args.image)?;
    let proxy = Address::parse(&args.proxy).map_err(|error| Failure::usage(Code::BadValue, format!("--proxy: {error}")))?;
    let asked = ask(session, args, &reference, &proxy).await?;
    let mut attempts = Vec::new();
    let mut found = Vec::new();
    // Where an image may come from the proxy, pulls of it show nothing.
    let clients = if asked.endpoint == Endpoint::Passes { &[][..] } else { &args.client };
    for client in clients.iter().map(|client| Engine::from(*client)) {
        let tries = Tries { session, args, reference: &reference, proxy: proxy.authority(), asked: &asked };
        let tried = tries.of(client).await?;
        found.push(conclude(&asked, Some(client), &tried, &args.image));
        attempts.extend(tried);
    }
    if clients.is_empty() {
        found.push(conclude(&asked, None, &[], &args.image));
    }
    let exits: Vec<Exit> =
        found.iter().map(|found| found.reason.as_ref().map_or(Exit::Done, |why| Exit::of_code(why.code))).collect();
    let exit = Exit::of_several(&exits);
    if session.ui.json() {
        let clients = found.iter().map(|found| json!({ "client": found.client, "standing": found.standing }));
        let reasons: Vec<ReasonReport> = found.iter().filter_map(|found| found.reason.as_ref()).map(ReasonReport::new).collect();
        let report = json!({
            "schema": "trustctl/proxy-doctor/v1", "exit": exit.code(), "image": args.image, "proxy": proxy.url(),
            "digest": asked.digest, "clients": clients.collect::<Vec<_>>(), "pulls": attempts, "reasons": reasons,
        });
        session.ui.say(report.to_string());
    } else {
        found.iter().for_each(|found| show(session, found, &attempts));
    }
    Ok(exit)
}

fn show(session: &Session, found: &Found, attempts: &[Attempt]) {
    let ui = &session.ui;
    let who = found.client.map_or("the proxy", Engine::program);
    let (paint, words) = match found.standing {
        Standing::CannotTell => (Paint::Red, "cannot tell"),
        Standing::Enforced => (Paint::Green, "enforced"),
        Standing::NotEnforced => (Paint::Red, "not enforced"),
        Standing::Refusing => (Paint::Green, "refuses"),
    };
    ui.say(format!("{}: {who}", ui.paint(paint, words)));
    for attempt in attempts.iter().filter(|attempt| Some(attempt.client) == found.client) {
        let words = match attempt.outcome {
            Outcome::Arrived => "arrived",
            Outcome::Closed => "did not arrive: there is no way to the registry",
            Outcome::Failed => "did not arrive, by no refusal of the proxy",
            Outcome::Refused => "refused by the proxy",
        };
        ui.note(format!("  {}: {words}", attempt.image));
        if matches!(attempt.outcome, Outcome::Closed | Outcome::Failed) {
            ui.note(format!("    {}", attempt.said));
        }
    }
    if found.standing == Standing::Refusing {
        ui.note("  no client was tried: name one by --client");
    }
    if let Some(reason) = &found.reason {
        render::problem(ui, reason);
    }
}

fn conclude(asked: &Asked, client: Option<Engine>, tried: &[Attempt], image: &str) -> Found {
    let outcomes: Vec<Outcome> = tried.iter().filter(|attempt| !attempt.by_proxy).map(|attempt| attempt.outcome).collect();
    let by_proxy = tried.iter().find(|attempt| attempt.by_proxy).map(|attempt| attempt.outcome);
    let standing = standing(&asked.endpoint, &outcomes, by_proxy);
    let who = client.map_or("", Engine::program);
    let reason = match (standing, &asked.endpoint) {
        (Standing::Enforced | Standing::Refusing, _) => None,
        (Standing::NotEnforced, _) if tried.iter().any(|attempt| attempt.outcome == Outcome::Arrived) => {
            Some(Reason::new(Code::ProxyBypassed, format!("{who} got {image}")))
        }
        (Standing::NotEnforced, _) => {
            Some(Reason::new(Code::ProxyBypassed, format!("what was asked as the proxy is none, and gives {image}")).step(
                Step::words(
                    "name the address of the proxy by --proxy; if this is what clients have as their proxy, put it right",
                ),
            ))
        }
        (Standing::CannotTell, Endpoint::Passes) => {
            let words = format!("the proxy itself gives {image}, which its policy does not refuse: that it arrives says nothing");
            let step = Step::words("name the canary of the proxy's configuration, or an image that its policy refuses");
            Some(Reason::new(Code::ProxyUntold, words).step(step))
        }
        (Standing::CannotTell, Endpoint::Unclear(why)) => Some(Reason::new(Code::ProxyUntold, format!("the proxy: {why}"))),
        (Standing::CannotTell, Endpoint::Forbids(_, None)) => {
            let words = format!("the proxy does not say which digest of {image} it refuses, so that none was pulled by digest");
            Some(Reason::new(Code::ProxyUntold, words).step(Step::words("name the image by its digest")))
        }
        (Standing::CannotTell, Endpoint::Refuses(None)) => {
            let words = format!("the proxy does not say whether the registry has {image}: what is nowhere arrives nowhere");
            Some(Reason::new(Code::ProxyUntold, words).step(Step::words("name the canary by its tag")))
        }
        (Standing::CannotTell, _) => {
            let is_no_refusal = |attempt: &&Attempt| matches!(attempt.outcome, Outcome::Closed | Outcome::Failed);
            let is_failed = |attempt: &&Attempt| attempt.outcome == Outcome::Failed;
            let failed = tried.iter().find(is_failed).or_else(|| tried.iter().find(is_no_refusal));
            let (image, said) = failed.map(|failed| (failed.image.as_str(), failed.said.as_str())).unwrap_or_default();
            let met = if outcomes.contains(&Outcome::Refused) { "the proxy refused one pull, and another" } else { "the pull" };
            let words = format!("{met} of {image} by {who} failed for a reason that is no refusal of the proxy: {said}");
            Some(Reason::new(Code::ProxyUntold, words))
        }
    };
    Found { client, standing, reason }
}

/// What the proxy said.
struct Asked {
    endpoint: Endpoint,
    /// Whether it refuses by a denial manifest.
    is_sticky: bool,
    /// The digest of the denial manifest that it gives for the image's digest, where that was asked for.
    denial: Option<Digest>,
    /// The image's digest at the registry, where that was said.
    digest: Option<Digest>,
    /// The path of the repository at the proxy, where clients can ask for it by the proxy's name.
    path: Option<String>,
}

/// Asks the proxy for the image in the ways that there are: as the mirror of its registry, by the registry as a prefix, and as the
/// default. The first that tells something counts.
async fn ask(session: &Session, args: &DoctorArgs, reference: &Reference, proxy: &Address) -> Result<Asked, Failure> {
    let mut network = Network::of_environment(|name| std::env::var_os(name));
    let url = proxy.url();
    network.plain_http.extend(url.strip_prefix("http://").map(str::to_owned));
    network.plain_http.extend(session.global.plain_http.iter().cloned());
    let (http, repository) = (Http::new(network), &reference.repository);
    let (registry, path) = (repository.registry(), repository.path());
    let name = match (&reference.digest, reference.tag_or_latest()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.map(|tag| tag.to_string()).unwrap_or_default(),
    };
    let prefix = args.prefix.as_deref().unwrap_or(registry);
    let routes = [
        (path.to_owned(), format!("?ns={registry}")),
        (format!("{prefix}/{path}"), String::new()),
        (path.to_owned(), String::new()),
    ];
    let endpoint = Endpoint::Unclear("it was not asked".to_owned());
    let mut asked = Asked { endpoint, is_sticky: false, denial: None, digest: reference.digest, path: None };
    let mut is_first = true;
    for (path, query) in routes {
        let place = |name: &str| format!("/v2/{path}/manifests/{name}{query}");
        let (answer, is_sticky) = one(session, &http, &url, &place(&name)).await?;
        if answer.refuses() && query.is_empty() && asked.path.is_none() {
            asked.path = Some(path.clone());
        }
        let unknown = matches!(asked.endpoint, Endpoint::Unclear(_));
        if is_first || (unknown && !matches!(answer, Endpoint::Unclear(_))) {
            if let Endpoint::Refuses(digest @ Some(_)) | Endpoint::Forbids(_, digest @ Some(_)) = answer {
                asked.digest = reference.digest.or(digest);
            }
            asked.is_sticky = is_sticky;
            if let (true, Some(digest)) = (is_sticky, asked.digest) {
                asked.denial = denial(session, &http, &url, &place(&digest.to_string())).await;
            }
            asked.endpoint = match answer {
                Endpoint::Forbids(code, digest) => Endpoint::Forbids(code, reference.digest.or(digest)),
                other => other,
            };
        }
        is_first = false;
    }
    if asked.endpoint == Endpoint::Gives {
        // A registry that nobody has: only the proxy says of it that it is not served.
        let (status, body) = answer(session, &http, &url, "/v2/trustctl/doctor/manifests/latest?ns=registry.invalid").await?;
        if is_proxy(status, &body) {
            asked.endpoint = Endpoint::Passes;
        }
    }
    Ok(asked)
}

/// What an answer means, and whether it is a denial manifest.
async fn one(session: &Session, http: &Http, url: &str, path: &str) -> Result<(Endpoint, bool), Failure> {
    Ok(match answer(session, http, url, path).await {
        Ok((status, body)) => (endpoint(status, &body), is_denial(status, &body)),
        Err(failure) if failure.exit == Exit::Usage => return Err(failure),
        Err(failure) => (Endpoint::Unclear(failure.reason.message), false),
    })
}

/// The digest of the denial manifest that is given.
async fn denial(session: &Session, http: &Http, url: &str, path: &str) -> Option<Digest> {
    let (status, body) = answer(session, http, url, path).await.ok()?;
    is_denial(status, &body).then(|| Digest::sha256_of(&body))
}

async fn answer(session: &Session, http: &Http, url: &str, path: &str) -> Result<(StatusCode, Bytes), Failure> {
    let (origin, _) = Origin::parse_url(url).map_err(|error| Failure::new(error.reason()))?;
    let request = Request::get(origin, path, MAX_MANIFEST).header(ACCEPT, TYPES);
    let answer = http.send(&request, session.deadline()?).await.map_err(|error| Failure::new(error.reason()))?;
    Ok((StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY), answer.body))
}
