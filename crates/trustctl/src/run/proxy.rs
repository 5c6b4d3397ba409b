//! `trustctl proxy`: serve what the policy trusts, and everything around it.

mod audit;
mod break_glass;
mod check;
mod client_config;
mod doctor;
mod observers;
mod records;

#[cfg(feature = "otel")]
mod traces;
mod trust;

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_proxy::answer::Places;
use trustctl_proxy::break_glass::BreakGlass;
use trustctl_proxy::cache::{Blobs, CacheOptions, DiskCache};
use trustctl_proxy::config::Config;
use trustctl_proxy::decide::{Clock, Decider, Ground, Times};
use trustctl_proxy::metrics::Metrics;
use trustctl_proxy::observe::Observer;
use trustctl_proxy::serve::{Assembly, Proxy};
use trustctl_proxy::server::{Notices, Server};
use trustctl_proxy::trust::{InForce, Reloaded};
use trustctl_proxy::world::Worlds;
use trustctl_remote::state::Store;

use super::{Session, clock};
use crate::cli::{ProxyCommand, RunProxyArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use observers::Observers;
use trust::PolicyFile;

/// How often policy, anchors and tokens are looked at.
const RELOAD: Duration = Duration::from_millis(500);
/// How long blocking work waits where the system makes no more threads.
const STANDBY: Duration = Duration::from_millis(200);
/// How long a caller with credentials of its own is not asked about again.
const ADMISSION: Duration = Duration::from_secs(60);

/// Carries out a `proxy` command.
///
/// # Errors
/// A [`Failure`], by what is wrong.
pub(super) async fn run(session: &Session, command: &ProxyCommand) -> Result<Exit, Failure> {
    match command {
        ProxyCommand::Run(args) => serve(session, args).await,
        ProxyCommand::Check(args) => check::run(session, args).await,
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
    /// With what is kept in `state`, and what is remembered in `memory`.
    fn new(session: &Session, config: &Config, (state, memory): (&Path, Store)) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var_os(name);
        let upstreams = config.upstreams.all().iter().map(Arc::as_ref);
        let metrics = Metrics::new(&config.upstreams);
        let worlds = Worlds::new(upstreams, (&session.global.plain_http, &metrics), variable)?;
        let source = PolicyFile::new(session.clone(), config.policy.clone());
        let trust = InForce::load(Box::new(source)).map_err(|reason| unreadable_policy(config, reason))?;
        let trust = Arc::new(trust);
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
            memory,
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

/// That there is no policy to begin with, with the place that names it.
fn unreadable_policy(config: &Config, reason: Reason) -> Reason {
    if config.policy.is_file() {
        return reason;
    }
    let words = format!("{}: the policy cannot be read: {}", config.policy_named, reason.message);
    let step = "put the policy there, or correct the line; a path is relative to the configuration";
    Reason::new(Code::ProxyConfig, words).step(Step::words(step))
}

async fn serve(session: &Session, args: &RunProxyArgs) -> Result<Exit, Failure> {
    // Paths from its folder are absolute then, and recognised in what clients are told.
    let path = std::path::absolute(&args.config).unwrap_or_else(|_| args.config.clone());
    let config = Config::load(&path)?;
    for warning in &config.warnings {
        render::warning(&session.ui, warning);
    }
    create_folder(&config.state)?;
    if !config.break_glass.is_empty() {
        // Nobody has to make it in an emergency.
        create_folder(&config.state.join("break-glass"))?;
    }
    let stop = stop()?;
    let _standby = standby();
    let engine = Engine::new(session, &config, (&config.state, Store::new(&config.state)))?;
    let notices = notices(session);
    let server = Server::bind(&config.listen, config.limits).await?;
    let observers = Observers::new(session, &config, &engine, notices.clone())?;
    let admin = observers.admin(&config, notices.clone()).await?;
    let reloading =
        tokio::spawn(keep_up(engine.trust.clone(), engine.break_glass.clone(), (notices.clone(), engine.metrics.clone())));
    for address in server.addresses() {
        session.ui.say(format!("serving on {address}"));
    }
    let proxy = assemble(&config, engine, observers.observer());
    let finished = server.run(Arc::new(proxy), notices, stop).await;
    reloading.abort();
    if let Some(admin) = admin {
        admin.abort();
    }
    observers.close().await;
    session.ui.note(if finished { "stopped" } else { "stopped; answers that had not ended were cut" });
    Ok(Exit::Done)
}

/// The proxy, without its listeners.
fn assemble(config: &Config, engine: Engine, observer: Arc<dyn Observer>) -> Proxy {
    Proxy::new(Assembly {
        upstreams: config.upstreams.clone(),
        worlds: engine.worlds,
        decider: engine.decider,
        blobs: engine.blobs,
        observer,
        clock: engine.clock,
        help: config.help.clone(),
        metrics: engine.metrics,
        places: Places::new(&config.policy, [config.state.as_path()].into_iter().chain(config.audit.parent())),
        admission: ADMISSION,
    })
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

/// Sees to it that there is always a thread for blocking work, as long as what is returned is held: where the system makes no more
/// threads, such work waits for one that there is, and without any the runtime would end the process.
fn standby() -> mpsc::Sender<()> {
    let (held, end) = mpsc::channel();
    tokio::task::spawn_blocking(move || stand_by(end));
    held
}

/// Takes its place behind what waits, again and again: its thread does that first.
fn stand_by(end: mpsc::Receiver<()>) {
    if end.recv_timeout(STANDBY) == Err(mpsc::RecvTimeoutError::Timeout) {
        tokio::task::spawn_blocking(move || stand_by(end));
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
