//! Who is told of every decision: metrics, the audit log, and the page of the last decisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use tokio::task::JoinHandle;
use trustctl_core::digest::Digest;
use trustctl_core::time::Timestamp;
use trustctl_proxy::admin::{Admin, Check, PolicyInForce, Report, Reporter};
use trustctl_proxy::audit::{AuditLog, AuditOptions, Record};
use trustctl_proxy::cache::DiskCache;
use trustctl_proxy::config::Config;
use trustctl_proxy::metrics::{Decided, Metrics};
use trustctl_proxy::observe::{Event, Observer, Outcome};
use trustctl_proxy::recent::{Decision, Recent};
use trustctl_proxy::server::{Notices, Server};
use trustctl_proxy::trust::InForce;

use super::super::{Session, clock};
use super::Engine;
use crate::failure::Failure;

/// How long the last decisions may take to be written down when the proxy stops.
const LAST: Duration = Duration::from_secs(10);
/// How often the size of the cache is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Everybody who is told.
pub(super) struct Observers {
    told: Arc<Told>,
    metrics: Arc<Metrics>,
    recent: Arc<Recent>,
    log: Arc<AuditLog>,
    trust: Arc<InForce>,
    policy: String,
    looker: JoinHandle<()>,
    #[cfg(feature = "otel")]
    traces: Option<super::traces::Sending>,
}

struct Told {
    metrics: Arc<Metrics>,
    recent: Arc<Recent>,
    log: Arc<AuditLog>,
    /// Whether the log could not take the last decision: that is told once, not for each one.
    failing: AtomicBool,
    notices: Notices,
    /// Who else is told.
    others: Vec<Arc<dyn Observer>>,
}

impl Observer for Told {
    fn decided(&self, event: &Event<'_>) {
        self.others.iter().for_each(|other| other.decided(event));
        let decided = Decided { outcome: event.outcome, rule: event.rule, scheme: event.scheme, reason: event.code() };
        self.metrics.decision(&decided).inc();
        match event.outcome {
            Outcome::Stale => self.metrics.served_stale(),
            Outcome::BreakGlass => self.metrics.broke_glass(),
            // There was nothing to decide, and whoever misspells a name must not fill the log.
            Outcome::NotFound => return,
            _ => {}
        }
        let (request, client) = (event.id.to_string(), who(event));
        // What is served as a matter of course would push everything else off the page.
        if event.call == "manifest" && !self.recent.repeats(event, &request, &client) {
            self.recent.keep(Decision::new(event, &request, &client));
        }
        let policy = event.fingerprint.map(Digest::hex);
        let written = self.log.post(&Record {
            request_id: &request,
            client: &client,
            host: event.host,
            call: event.call,
            repository: event.repository,
            tag: event.tag,
            digest: event.digest,
            outcome: event.outcome,
            code: event.code(),
            message: event.reason.map(|reason| reason.message.as_str()),
            rule: event.rule,
            signers: event.signers.map(AsRef::as_ref).unwrap_or_default(),
            policy: policy.as_deref(),
            evidence_age: event.evidence_age.map(|age| age.as_secs()),
            took_us: u64::try_from(event.took.as_micros()).ok(),
        });
        let was_failing = self.failing.swap(written.is_err(), Ordering::Relaxed);
        if let Err(reason) = written
            && !was_failing
        {
            (self.notices)(&reason);
        }
    }
}

fn who(event: &Event<'_>) -> String {
    match &event.client.subject {
        Some(subject) => format!("{} ({subject})", event.client.address),
        None => event.client.address.to_string(),
    }
}

impl Observers {
    /// Opens the audit log, and begins to send traces where that is built in and wanted.
    ///
    /// # Errors
    /// As the log's, and as for the collector's address.
    #[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "the session is for the collector alone"))]
    pub(super) fn new(session: &Session, config: &Config, engine: &Engine, notices: Notices) -> Result<Self, Failure> {
        let log = Arc::new(AuditLog::open(&config.audit, AuditOptions::default())?);
        let (metrics, recent) = (engine.metrics.clone(), Arc::new(Recent::default()));
        let looker = tokio::spawn(look(engine.cache.clone(), metrics.clone()));
        #[cfg(feature = "otel")]
        let traces = super::traces::Traces::start(session, notices.clone())?;
        #[cfg(feature = "otel")]
        let others = traces.iter().map(|sending| -> Arc<dyn Observer> { sending.traces.clone() }).collect();
        #[cfg(not(feature = "otel"))]
        let others = Vec::new();
        let failing = AtomicBool::new(false);
        let told = Told { metrics: metrics.clone(), recent: recent.clone(), log: log.clone(), failing, notices, others };
        let policy = config.policy.display().to_string();
        Ok(Self {
            told: Arc::new(told),
            metrics,
            recent,
            log,
            trust: engine.trust.clone(),
            policy,
            looker,
            #[cfg(feature = "otel")]
            traces,
        })
    }

    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        self.told.clone()
    }

    /// Serves the admin address, where there is one, until the task is ended.
    ///
    /// # Errors
    /// As for binding it.
    pub(super) async fn admin(&self, config: &Config, notices: Notices) -> Result<Option<JoinHandle<bool>>, Failure> {
        let Some(listen) = &config.admin else { return Ok(None) };
        let server = Server::bind(std::slice::from_ref(listen), config.limits).await?;
        let reporter = State { trust: self.trust.clone(), log: self.log.clone(), policy: self.policy.clone() };
        let (metrics, recent, upstreams) = (self.metrics.clone(), self.recent.clone(), config.upstreams.clone());
        let admin = Arc::new(Admin { reporter, metrics, recent, upstreams, started: clock() });
        Ok(Some(tokio::spawn(server.run(admin, notices, std::future::pending()))))
    }

    /// Writes down what waits.
    pub(super) async fn close(self) {
        self.looker.abort();
        drop(self.told);
        // What cannot be written was told when it was decided.
        let _ = tokio::time::timeout(LAST, self.log.flush()).await;
        #[cfg(feature = "otel")]
        if let Some(super::traces::Sending { traces, task }) = self.traces {
            drop(traces);
            let _ = tokio::time::timeout(LAST, task).await;
        }
    }
}

async fn look(cache: DiskCache, metrics: Arc<Metrics>) {
    loop {
        metrics.cache_holds(cache.usage().bytes);
        tokio::time::sleep(LOOK).await;
    }
}

/// What the admin address tells of the state of things.
struct State {
    trust: Arc<InForce>,
    log: Arc<AuditLog>,
    policy: String,
}

impl Reporter for State {
    fn report(&self) -> Report {
        let trust = self.trust.trust();
        let trouble = self.trust.trouble();
        let since = self.trust.since().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(since.as_secs()));
        let audit = self.log.is_failing().then(|| "records cannot be written at the moment".to_owned());
        Report {
            checks: vec![Check { name: "policy", problem: None }, Check { name: "audit", problem: audit }],
            policy: PolicyInForce { file: self.policy.clone(), fingerprint: trust.fingerprint.hex(), since },
            trust: self.trust.ends(),
            notices: trouble.into_iter().collect(),
        }
    }
}
