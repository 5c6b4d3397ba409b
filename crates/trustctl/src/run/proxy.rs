//! `trustctl proxy`: serve what the policy trusts, and everything around it.

mod audit;
mod break_glass;
mod client_config;
mod doctor;
mod observers;
mod records;

#[cfg(feature = "otel")]
mod traces;
mod trust;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use trustctl_core::reason::{Code, Reason};
use trustctl_core::report::ReasonReport;
use trustctl_core::verdict::VerdictKind;
use trustctl_proxy::break_glass::BreakGlass;
use trustctl_proxy::cache::{Blobs, CacheOptions, DiskCache};
use trustctl_proxy::config::Config;
use trustctl_proxy::decide::{Clock, Decider, Ground, SubjectKey, Times, Trouble};
use trustctl_proxy::metrics::Metrics;
use trustctl_proxy::serve::{Assembly, Proxy};
use trustctl_proxy::server::{Notices, Server};
use trustctl_proxy::trust::{InForce, Reloaded};
use trustctl_proxy::world::{Caller, World, Worlds};
use trustctl_remote::state::Store;

use super::{Session, clock, parse_image};
use crate::cli::{CheckProxyArgs, ProxyCommand, RunProxyArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use observers::Observers;
use trust::PolicyFile;

/// How often policy, anchors and tokens are looked at.
const RELOAD: Duration = Duration::from_millis(500);
/// How long a caller with credentials of its own is not asked about again.
const ADMISSION: Duration = Duration::from_secs(60);

/// Carries out a `proxy` command.
///
/// # Errors
/// A [`Failure`], by what is wrong.
pub(super) async fn run(session: &Session, command: &ProxyCommand) -> Result<Exit, Failure> {
    match command {
        ProxyCommand::Run(args) => serve(session, args).await,
        ProxyCommand::Check(args) => check(session, args).await,
        ProxyCommand::Audit(command) => audit::run(session, command).await,
        ProxyCommand::BreakGlass(args) => break_glass::run(session, args),
        ProxyCommand::ClientConfig(args) => client_config::run(session, args),
        ProxyCommand::TryStore(args) => records::attempt(&args.file),

        ProxyCommand::Doctor(args) => doctor::run(session, args).await,
    }
}

/// Everything that decides, by a configuration.
struct Engine {
    worlds: Worlds,
    decider: Arc<Decider>,
    blobs: Arc<dyn Blobs>,
    cache: DiskCache,
    trust: Arc<InForce>,
    break_glass: Arc<BreakGlass>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Engine {
    /// With what is kept in `state`.
    fn new(session: &Session, config: &Config, state: &Path) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var_os(name);
        let upstreams = config.upstreams.all().iter().map(Arc::as_ref);
        let metrics = Metrics::new(&config.upstreams);
        let worlds = Worlds::new(upstreams, (&session.global.plain_http, &metrics), variable)?;
        let source = PolicyFile::new(session.clone(), config.policy.clone());
        let trust = Arc::new(InForce::load(Box::new(source))?);
        let mut options = CacheOptions::default();
        options.limit = config.cache_size;
        let cache = DiskCache::open(state.join("cache"), options)?;
        let blobs: Arc<dyn Blobs> = Arc::new(cache.clone());
        let break_glass = Arc::new(BreakGlass::new(config.state.join("break-glass"), config.break_glass.clone()));
        let records = records::open(session, &state.join("records"))?;
        let wall: Clock = Arc::new(clock);
        let times = &config.times;
        let decider = Decider::new(Ground {
            trust: trust.clone(),
            records: Arc::new(records),
            blobs: blobs.clone(),
            memory: Store::new(&config.state),
            break_glass: break_glass.clone(),
            times: Times {
                tag: times.tag_ttl,
                revocation: times.revocation,
                refusal: times.refusal,
                max_stale: times.max_stale,
                verify: times.verify,
            },
            clock: wall.clone(),
            metrics: metrics.clone(),
        });
        Ok(Self { worlds, decider: Arc::new(decider), blobs, cache, trust, break_glass, metrics, clock: wall })
    }
}

async fn serve(session: &Session, args: &RunProxyArgs) -> Result<Exit, Failure> {
    let config = Config::load(&args.config)?;
    for warning in &config.warnings {
        render::warning(&session.ui, warning);
    }
    create_folder(&config.state)?;
    let stop = stop()?;
    let engine = Engine::new(session, &config, &config.state)?;
    let notices = notices(session);
    let server = Server::bind(&config.listen, config.limits).await?;
    let observers = Observers::new(session, &config, &engine, notices.clone())?;
    let admin = observers.admin(&config, notices.clone()).await?;
    let reloading =
        tokio::spawn(keep_up(engine.trust.clone(), engine.break_glass.clone(), (notices.clone(), engine.metrics.clone())));
    for address in server.addresses() {
        session.ui.say(format!("serving on {address}"));
    }
    let proxy = Arc::new(Proxy::new(Assembly {
        upstreams: config.upstreams.clone(),
        worlds: engine.worlds,
        decider: engine.decider,
        blobs: engine.blobs,
        observer: observers.observer(),
        clock: engine.clock,
        help: config.help.clone(),
        metrics: engine.metrics,
        admission: ADMISSION,
    }));
    let finished = server.run(proxy, notices, stop).await;
    reloading.abort();
    if let Some(admin) = admin {
        admin.abort();
    }
    observers.close().await;
    session.ui.note(if finished { "stopped" } else { "stopped; answers that had not ended were cut" });
    Ok(Exit::Done)
}

/// Ready when somebody asks the program to stop: SIGTERM or Ctrl-C.
fn stop() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(Reason::new(Code::ConfigUnusable, error.to_string())));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Puts newer policies and tokens in force as long as the proxy runs.
async fn keep_up(trust: Arc<InForce>, break_glass: Arc<BreakGlass>, (notices, metrics): (Notices, Arc<Metrics>)) {
    let mut known_wrong = Vec::new();
    metrics.policy_read(true);
    loop {
        metrics.trust_ends(&trust.ends());
        let (trust, glass) = (trust.clone(), break_glass.clone());
        let looked = tokio::task::spawn_blocking(move || (trust.reload(), glass.reload(clock())));
        let Ok((reloaded, wrong)) = looked.await else { return };
        match reloaded {
            Reloaded::Broken(reason) => {
                metrics.policy_read(false);
                notices(&reason);
            }
            Reloaded::New => {
                metrics.policy_read(true);
                notices(&Reason::new(Code::ProxyPolicy, "another policy is in force"));
            }
            Reloaded::Mended => notices(&Reason::new(Code::ProxyPolicy, "the policy file is again as it is in force")),
            Reloaded::Same => {}
        }
        if wrong != known_wrong {
            for (path, why) in &wrong {
                notices(&Reason::new(Code::ProxyToken, format!("{}: {why}", path.display())));
            }
            known_wrong = wrong;
        }
        tokio::time::sleep(RELOAD).await;
    }
}

fn notices(session: &Session) -> Notices {
    let ui = session.ui.clone();
    Arc::new(move |reason: &Reason| render::warning(&ui, reason))
}

fn create_folder(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::new(Reason::new(Code::LocalFile, format!("{}: {error}", path.display()))))
}

async fn check(session: &Session, args: &CheckProxyArgs) -> Result<Exit, Failure> {
    let config = Config::load(&args.config)?;
    let scratch = tempfile::tempdir().map_err(|error| Failure::new(Reason::new(Code::LocalFile, error.to_string())))?;
    let engine = Engine::new(session, &config, scratch.path())?;
    let judged = match &args.image {
        Some(image) => Some(judge(&config, &engine, image).await?),
        None => None,
    };
    let exit = judged.as_ref().map_or(Exit::Done, |judged| judged.exit);
    if session.ui.json() {
        let warnings: Vec<ReasonReport> = config.warnings.iter().map(ReasonReport::new).collect();
        let image = judged.as_ref().map(Dry::report);
        let upstreams: Vec<&str> = config.upstreams.all().iter().map(|upstream| upstream.registry.as_str()).collect();
        let report = json!({
            "schema": "trustctl/proxy-check/v1", "exit": exit.code(), "config": args.config, "policy": config.policy,
            "upstreams": upstreams, "image": image, "warnings": warnings,
        });
        session.ui.say(report.to_string());
        return Ok(exit);
    }
    for warning in &config.warnings {
        render::warning(&session.ui, warning);
    }
    session.ui.say(format!("usable: {} with {} upstreams", args.config.display(), config.upstreams.all().len()));
    if let Some(judged) = &judged {
        session.ui.say(format!("{}: {}", judged.verdict.word(), judged.image));
        for reason in &judged.reasons {
            session.ui.tell(format!("  {}: {}", reason.code.id(), reason.message));
        }
    }
    Ok(exit)
}

/// How an image would be answered.
struct Dry {
    image: String,
    verdict: VerdictKind,
    reasons: Vec<Reason>,
    rule: Option<String>,
    exit: Exit,
}

impl Dry {
    fn report(&self) -> serde_json::Value {
        let reasons: Vec<ReasonReport> = self.reasons.iter().map(ReasonReport::new).collect();
        json!({ "image": self.image, "verdict": self.verdict, "rule": self.rule, "reasons": reasons })
    }
}

async fn judge(config: &Config, engine: &Engine, image: &str) -> Result<Dry, Failure> {
    let reference = parse_image(image)?;
    let repository = &reference.repository;
    let mut upstreams = config.upstreams.all().iter();
    let Some(upstream) = upstreams.find(|upstream| upstream.registry == repository.registry()) else {
        let words = format!("no upstream serves {}", repository.registry());
        return Err(Failure::new(Reason::new(Code::ProxyNoUpstream, words)));
    };
    let Caller::Anybody(world) = engine.worlds.caller(upstream, &http::HeaderMap::new()) else {
        let words = format!("{} is read with each caller's own credentials: there are none here", upstream.registry);
        return Err(Failure::new(Reason::new(Code::NoCredentials, words)));
    };
    let decided = decide(engine, &world, &reference).await;
    let ruling = decided.map_err(|trouble| {
        Failure::new(match trouble {
            Trouble::NotFound => Reason::new(Code::ImageNotFound, format!("{reference} is not known to its registry")),
            Trouble::Unknown(reason) => reason,
        })
    })?;
    let exit = match ruling.verdict {
        VerdictKind::Trusted => Exit::Done,
        VerdictKind::Rejected => Exit::Rejected,
        VerdictKind::Unsigned => Exit::Unsigned,
        VerdictKind::Undecided => Exit::Undecided,
    };
    let image = format!("{repository}@{}", ruling.subject.digest);
    let reasons = ruling.reasons.iter().chain(&ruling.warnings).cloned().collect();
    Ok(Dry { image, verdict: ruling.verdict, reasons, rule: ruling.rule.clone(), exit })
}

async fn decide(
    engine: &Engine,
    world: &World,
    reference: &trustctl_core::reference::Reference,
) -> Result<Arc<trustctl_proxy::decide::Ruling>, Trouble> {
    let repository = reference.repository.clone();
    let key = match (&reference.digest, reference.tag_or_latest()) {
        (Some(digest), tag) => SubjectKey { repository, tag: tag.filter(|_| reference.tag.is_some()), digest: *digest },
        (None, Some(tag)) => {
            let digest = engine.decider.pin(world, &repository, &tag).await?.digest;
            SubjectKey { repository, tag: Some(tag), digest }
        }
        (None, None) => return Err(Trouble::NotFound),
    };
    engine.decider.decide(world, &key).await
}
