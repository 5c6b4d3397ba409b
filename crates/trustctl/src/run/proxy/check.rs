//! `trustctl proxy check`: whether configuration and policy can be used, and what the proxy answers for an image.
//!
//! The image goes the whole way of a request through the proxy, but for the socket and what a running proxy keeps on disk. Of that, what is
//! remembered against rollback and the break-glass tokens are read. Nothing is written there: whoever checks may be another user.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Reference;
use trustctl_core::report::ReasonReport;
use trustctl_core::verdict::VerdictKind;
use trustctl_proxy::config::Config;
use trustctl_proxy::observe::{Event, Observer, Outcome};
use trustctl_proxy::request::{Fault, parse};
use trustctl_proxy::server::{Client, Received, RequestId, Server, Site as _};
use trustctl_proxy::upstreams::{Place, Upstream};
use trustctl_proxy::world::Caller;
use trustctl_remote::state::Store;

use super::super::{Session, clock, parse_image};
use super::{Engine, assemble};
use crate::cli::CheckProxyArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use crate::ui::Paint;

/// Most reasons of a refusal that are shown; JSON has all.
const MAX_SHOWN: usize = 4;

/// Reads the configuration and what it names, and asks for the image where one was given.
///
/// # Errors
/// A [`Failure`] for a configuration or policy that cannot be used, and for an image that the proxy cannot be asked for.
pub(super) async fn run(session: &Session, args: &CheckProxyArgs) -> Result<Exit, Failure> {
    let config = Config::load(&args.config)?;
    Server::check(&config.listen).await?;
    let scratch = tempfile::tempdir().map_err(|error| Failure::new(Reason::new(Code::LocalFile, error.to_string())))?;
    let engine = Engine::new(session, &config, (scratch.path(), Store::read_only(&config.state)))?;
    let ends = engine.trust.ends();
    let ends = ends.iter().filter_map(|end| end.remark(clock()));
    let warnings: Vec<Reason> = config.warnings.iter().cloned().chain(ends).collect();
    let dry = match &args.image {
        Some(image) => Some(dry_run(&config, engine, image).await?),
        None => None,
    };
    let exit = dry.as_ref().map_or(Exit::Done, Dry::exit);
    let upstreams: Vec<&str> = config.upstreams.all().iter().map(|upstream| upstream.registry.as_str()).collect();
    let glass: Vec<String> = config.break_glass.iter().map(PublicKey::fingerprint).collect();
    if session.ui.json() {
        let warnings: Vec<ReasonReport> = warnings.iter().map(ReasonReport::new).collect();
        let report = json!({
            "schema": "trustctl/proxy-check/v1", "exit": exit.code(), "config": args.config, "policy": config.policy,
            "upstreams": upstreams, "breakGlass": glass, "image": dry.as_ref().map(Dry::report), "warnings": warnings,
        });
        session.ui.say(report.to_string());
        return Ok(exit);
    }
    for warning in &warnings {
        render::warning(&session.ui, warning);
    }
    session.ui.say(format!("usable: {}, in front of {}", args.config.display(), upstreams.join(", ")));
    glass.iter().for_each(|key| session.ui.note(format!("  break-glass: key {key}")));
    if let Some(dry) = &dry {
        dry.show(session);
    }
    Ok(exit)
}

/// What was decided, as the proxy tells its audit log.
struct Noted {
    outcome: Outcome,
    digest: Option<Digest>,
    verdict: Option<VerdictKind>,
    reasons: Vec<Reason>,
    warnings: Vec<Reason>,
    rule: Option<String>,
    signers: Vec<String>,
}

/// Keeps the last decision.
#[derive(Default)]
struct Note(Mutex<Option<Noted>>);

impl Observer for Note {
    fn decided(&self, event: &Event<'_>) {
        let ruling = event.ruling;
        let mut reasons = ruling.map(|ruling| ruling.reasons.clone()).unwrap_or_default();
        let mut warnings = ruling.map(|ruling| ruling.warnings.clone()).unwrap_or_default();
        if let Some(reason) = event.reason.filter(|reason| !reasons.contains(reason) && !warnings.contains(reason)) {
            let is_served = !matches!(event.outcome, Outcome::NotFound | Outcome::Refused | Outcome::Undecided);
            if is_served { &mut warnings } else { &mut reasons }.insert(0, reason.clone());
        }
        if event.outcome == Outcome::NotFound {
            let name = match (event.tag, event.digest) {
                (Some(tag), _) => format!("{}:{tag}", event.repository),
                (None, digest) => {
                    format!("{}{}", event.repository, digest.map(|digest| format!("@{digest}")).unwrap_or_default())
                }
            };
            reasons.push(Reason::new(Code::ImageNotFound, format!("{name} does not exist, as its registry says")));
        }
        // What the canary is at its registry stands in the reason.
        let found = event.reason.and_then(|reason| reason.found.as_ref()).and_then(|found| found.parse().ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Noted {
            outcome: event.outcome,
            digest: event.digest.copied().or(ruling.map(|ruling| ruling.subject.digest)).or(found),
            verdict: ruling.map(|ruling| ruling.verdict),
            reasons,
            warnings,
            rule: event.rule.map(str::to_owned),
            signers: event.signers.map(|signers| signers.to_vec()).unwrap_or_default(),
        });
    }
}

/// What the proxy answers for an image.
struct Dry {
    /// The image as it was named.
    asked: String,
    /// The image by the name that the policy speaks of, with the tag if it was asked for by one.
    image: Reference,
    status: u16,
    noted: Noted,
}

impl Dry {
    fn exit(&self) -> Exit {
        match (self.noted.outcome, self.noted.verdict) {
            (Outcome::Refused | Outcome::Undecided, Some(verdict)) => Exit::of_verdict(verdict),
            (Outcome::Refused | Outcome::Undecided, None) => {
                self.noted.reasons.first().map_or(Exit::Undecided, |reason| Exit::of_code(reason.code))
            }
            (Outcome::NotFound, _) => Exit::NotFound,
            _ if self.is_broken() => Exit::Undecided,
            _ => Exit::Done,
        }
    }

    /// Whether it may be served, and could not be.
    fn is_broken(&self) -> bool {
        self.status >= 400
    }

    /// The name with everything that is known of it.
    fn name(&self) -> String {
        let tag = self.image.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.noted.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{}{tag}{digest}", self.image.repository)
    }

    fn report(&self) -> Value {
        let reports =
            |reasons: &[Reason]| -> Vec<Value> { reasons.iter().map(|reason| json!(ReasonReport::new(reason))).collect() };
        let noted = &self.noted;
        json!({
            "asked": self.asked, "image": self.name(), "repository": self.image.repository, "tag": self.image.tag, "digest": noted.digest,
            "outcome": noted.outcome, "status": self.status, "verdict": noted.verdict, "rule": noted.rule, "signers": noted.signers,
            "reasons": reports(&noted.reasons), "warnings": reports(&noted.warnings),
        })
    }

    fn show(&self, session: &Session) {
        let (ui, noted) = (&session.ui, &self.noted);
        noted.warnings.iter().for_each(|warning| render::warning(ui, warning));
        let (paint, word) = match noted.outcome {
            Outcome::NotFound => (Paint::Red, "not found"),
            Outcome::Refused => (Paint::Red, "refused"),
            Outcome::Undecided => (Paint::Red, "undecided"),
            _ if self.is_broken() => (Paint::Red, "allowed, and cannot be served now"),
            _ => (Paint::Green, "served"),
        };
        ui.say(format!("{}: {}", ui.paint(paint, word), self.name()));
        match self.image.repository.to_string() {
            name if self.asked.starts_with(&name) => {}
            name => ui.note(format!("  name: {} is {name} to the policy", self.asked)),
        }
        ui.note(format!("  http: {}", self.status));
        noted.signers.iter().for_each(|signer| ui.note(format!("  by:   {signer}")));
        if let Some(rule) = &noted.rule {
            ui.note(format!("  rule: {rule}"));
        }
        noted.reasons.iter().take(MAX_SHOWN).for_each(|reason| render::problem(ui, reason));
        if self.image.digest.is_some() && noted.outcome == Outcome::Refused {
            ui.note("  a digest is judged by itself here: a proxy serves it as well where it has served what names it, such as an index");
        }
    }
}

async fn dry_run(config: &Config, engine: Engine, text: &str) -> Result<Dry, Failure> {
    let reference = parse_image(text)?;
    let tag = if reference.digest.is_some() { None } else { reference.tag_or_latest() };
    let Route { head, place } = Route::to(config, &Reference { tag: tag.clone(), ..reference.clone() })?;
    if matches!(engine.worlds.caller(&place.upstream, &HeaderMap::new()), Caller::Unknown) {
        let words = format!("{} is read with each caller's own credentials: there are none here", place.upstream.registry);
        return Err(Failure::new(Reason::new(Code::NoCredentials, words)));
    }
    engine.break_glass.reload(clock());
    let note = Arc::new(Note::default());
    let proxy = assemble(config, engine, note.clone());
    let client = Arc::new(Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None));
    let status = proxy.answer(Received { head, client, id: RequestId::new(0, 0) }).await.status();
    let noted = note.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let nothing = || Failure::new(Reason::new(Code::ConfigUnusable, format!("the proxy answers {status} to {text}")));
    let image = Reference { repository: place.repository, tag, digest: reference.digest };
    Ok(Dry { asked: text.to_owned(), image, status: status.as_u16(), noted: noted.ok_or_else(nothing)? })
}

/// The request by which a client asks for an image, and what the proxy takes it for.
struct Route {
    head: Parts,
    place: Place,
}

/// How a client names a repository to the proxy.
struct Name<'a> {
    host: &'a str,
    path: String,
    namespace: Option<&'a str>,
}

impl Route {
    /// To an image by the name that policies speak of, or by a name of the proxy.
    fn to(config: &Config, image: &Reference) -> Result<Self, Failure> {
        let (registry, path) = (image.repository.registry(), image.repository.path());
        let own = config.listen.first().map(|listen| listen.address.to_string()).unwrap_or_default();
        if let Some(upstream) = config.upstreams.all().iter().find(|upstream| upstream.registry == registry) {
            let routes = names(upstream, &own, path).into_iter().flat_map(|name| Self::by(config, &name, image));
            let meant = routes.into_iter().find(|route| route.place.repository == image.repository);
            return meant.ok_or_else(|| unserved(config, &format!("no name at this proxy leads to {}", image.repository)));
        }
        if !is_own(config, registry) {
            return Err(unserved(config, &format!("no upstream is {registry}, and the proxy does not listen under that name")));
        }
        let name = Name { host: registry, path: path.to_owned(), namespace: None };
        Self::by(config, &name, image).map_err(|fault| match fault.reason {
            Some(_) => unserved(config, &fault.message),
            None => Failure::usage(Code::BadReference, fault.message),
        })
    }

    fn by(config: &Config, name: &Name<'_>, image: &Reference) -> Result<Self, Fault> {
        let wanted = match (&image.digest, &image.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let query = name.namespace.map(|registry| format!("?ns={registry}")).unwrap_or_default();
        let uri = format!("/v2/{}/manifests/{wanted}{query}", name.path);
        let request = http::Request::get(uri).header(HOST, name.host).body(());
        let bad = |error: http::Error| Fault::new(StatusCode::BAD_REQUEST, "NAME_INVALID", error.to_string());
        let (head, ()) = request.map_err(bad)?.into_parts();
        let ask = parse(&head.method, &head.uri, &head.headers)?;
        let place = config.upstreams.place(&ask, &name.path)?;
        Ok(Self { head, place })
    }
}

/// The ways in which the proxy can be asked for a repository of an upstream. Of some, another upstream may be meant.
fn names<'a>(upstream: &'a Upstream, own: &'a str, path: &str) -> Vec<Name<'a>> {
    let name = |host, path: String, namespace| Name { host, path, namespace };
    let prefix = upstream.prefix.iter().map(|prefix| name(own, format!("{prefix}/{path}"), None));
    let hosts = upstream.hosts.iter().map(|host| name(host, path.to_owned(), None));
    let default = upstream.default.then(|| name(own, path.to_owned(), None));
    let namespace = upstream.namespace.then(|| name(own, path.to_owned(), Some(upstream.registry.as_str())));
    prefix.chain(hosts).chain(default).chain(namespace).collect()
}

/// Whether clients reach the proxy by this host: one of an upstream, or one with the port of a listener, unless it is another address.
fn is_own(config: &Config, host: &str) -> bool {
    let is_listener = |address: SocketAddr| match host.parse::<SocketAddr>() {
        Ok(named) => named.port() == address.port() && (named.ip() == address.ip() || address.ip().is_unspecified()),
        Err(_) => host.rsplit_once(':').is_some_and(|(_, port)| port.parse() == Ok(address.port())),
    };
    let mut hosts = config.upstreams.all().iter().flat_map(|upstream| &upstream.hosts);
    hosts.any(|named| named == host) || config.listen.iter().any(|listen| is_listener(listen.address))
}

fn unserved(config: &Config, why: &str) -> Failure {
    let registries: Vec<&str> = config.upstreams.all().iter().map(|upstream| upstream.registry.as_str()).collect();
    let addresses: Vec<String> = config.listen.iter().map(|listen| listen.address.to_string()).collect();
    let step = format!(
        "name the image as the policy does, by its registry ({}), or as a client does, by the proxy ({})",
        registries.join(", "),
        addresses.join(", ")
    );
    Failure::new(Reason::new(Code::ProxyNoUpstream, why).step(Step::words(step)))
}
