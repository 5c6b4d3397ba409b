//! Who is told of every decision: metrics, the audit log, and the page of the last decisions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
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
use trustctl_proxy::{audit, metrics};

use super::super::clock;
use super::Engine;
use crate::failure::Failure;

/// Decisions that may wait to be written down. When there are more, requests go on and the loss is told.
const WAITING: usize = 65_536;
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
    writer: JoinHandle<()>,
    looker: JoinHandle<()>,
}

struct Told {
    metrics: Arc<Metrics>,
    recent: Arc<Recent>,
    lines: Sender<Line>,
    notices: Notices,
}

/// A decision on its way to the audit log.
struct Line {
    request_id: String,
    client: String,
    call: &'static str,
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
    outcome: audit::Outcome,
    reason: Option<Reason>,
    rule: Option<String>,
    policy: Option<String>,
}

impl Observer for Told {
    fn decided(&self, event: &Event<'_>) {
        let Some((counted, logged)) = names(event.outcome) else { return };
        let decided = Decided { outcome: counted, rule: event.rule, scheme: None, reason: event.code() };
        self.metrics.decision(&decided).inc();
        match event.outcome {
            Outcome::Stale => self.metrics.served_stale(),
            Outcome::BreakGlass => self.metrics.broke_glass(),
            _ => {}
        }
        // What is served as a matter of course would push everything else off the page.
        if event.call == "manifest" {
            self.recent.keep(decision(event, counted));
        }
        let line = Line {
            request_id: event.id.to_string(),
            client: who(event),
            call: event.call,
            repository: event.repository.clone(),
            tag: event.tag.cloned(),
            digest: event.digest.copied(),
            outcome: logged,
            reason: event.reason.cloned(),
            rule: event.rule.map(str::to_owned),
            policy: event.fingerprint.map(Digest::hex),
        };
        if self.lines.try_send(line).is_err() {
            (self.notices)(&Reason::new(Code::AuditFailed, "the audit log falls behind; a decision is not in it"));
        }
    }
}

/// How metrics and the audit log call an outcome; nothing where there was nothing to decide.
fn names(outcome: Outcome) -> Option<(metrics::Outcome, audit::Outcome)> {
    use {audit, metrics};
    Some(match outcome {
        Outcome::BreakGlass => (metrics::Outcome::BreakGlass, audit::Outcome::BreakGlass),
        Outcome::Evidence | Outcome::Served => (metrics::Outcome::Served, audit::Outcome::Served),
        Outcome::NotFound => return None,
        Outcome::Refused => (metrics::Outcome::Refused, audit::Outcome::Refused),
        Outcome::Stale => (metrics::Outcome::Stale, audit::Outcome::Stale),
        Outcome::Undecided => (metrics::Outcome::Undecided, audit::Outcome::Undecided),
        Outcome::Warned => (metrics::Outcome::Warned, audit::Outcome::Warned),
    })
}

fn who(event: &Event<'_>) -> String {
    match &event.client.subject {
        Some(subject) => format!("{} ({subject})", event.client.address),
        None => event.client.address.to_string(),
    }
}

fn decision(event: &Event<'_>, outcome: metrics::Outcome) -> Decision {
    let tag = event.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    Decision {
        at: event.at,
        request: event.id.to_string(),
        client: who(event),
        image: format!("{}{tag}", event.repository),
        digest: event.digest.copied(),
        outcome,
        rule: event.rule.map(str::to_owned),
        signers: Vec::new(),
        reason: event.reason.cloned(),
        took_ms: 0,
        times: 1,
    }
}

impl Observers {
    /// Opens the audit log.
    ///
    /// # Errors
    /// As the log's.
    pub(super) fn new(config: &Config, engine: &Engine, notices: Notices) -> Result<Self, Failure> {
        let log = Arc::new(AuditLog::open(&config.audit, AuditOptions::default())?);
        let (metrics, recent) = (Metrics::new(&config.upstreams), Arc::new(Recent::default()));
        let (lines, waiting) = channel(WAITING);
        let writer = tokio::spawn(write(log.clone(), waiting, notices.clone()));
        let looker = tokio::spawn(look(engine.cache.clone(), metrics.clone()));
        let told = Told { metrics: metrics.clone(), recent: recent.clone(), lines, notices };
        let policy = config.policy.display().to_string();
        Ok(Self { told: Arc::new(told), metrics, recent, log, trust: engine.trust.clone(), policy, writer, looker })
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
        let reporter = State { trust: self.trust.clone(), log: self.log.clone(), policy: self.policy.clone(), since: clock() };
        let (metrics, recent, upstreams) = (self.metrics.clone(), self.recent.clone(), config.upstreams.clone());
        let admin = Arc::new(Admin { reporter, metrics, recent, upstreams, started: clock() });
        Ok(Some(tokio::spawn(server.run(admin, notices, std::future::pending()))))
    }

    /// Writes down what waits.
    pub(super) async fn close(self) {
        self.looker.abort();
        drop(self.told);
        // When nobody answers requests any more its channel is closed, and it ends when it has written what was in it.
        let _ = tokio::time::timeout(LAST, self.writer).await;
    }
}

async fn write(log: Arc<AuditLog>, mut waiting: Receiver<Line>, notices: Notices) {
    while let Some(line) = waiting.recv().await {
        let record = Record {
            request_id: &line.request_id,
            client: &line.client,
            host: None,
            call: line.call,
            repository: &line.repository,
            tag: line.tag.as_ref(),
            digest: line.digest.as_ref(),
            outcome: line.outcome,
            code: line.reason.as_ref().map(|reason| reason.code),
            message: line.reason.as_ref().map(|reason| reason.message.as_str()),
            rule: line.rule.as_deref(),
            signers: &[],
            policy: line.policy.as_deref(),
            trust: None,
            evidence_age: None,
            took_us: None,
        };
        let written = match line.outcome {
            audit::Outcome::BreakGlass => log.append_durable(&record).await,
            _ => log.append(&record).await,
        };
        if let Err(reason) = written {
            notices(&reason);
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
    since: Timestamp,
}

impl Reporter for State {
    fn report(&self) -> Report {
        let trust = self.trust.trust();
        let trouble = self.trust.trouble();
        let audit = self.log.is_failing().then(|| "records cannot be written at the moment".to_owned());
        Report {
            checks: vec![Check { name: "policy", problem: None }, Check { name: "audit", problem: audit }],
            policy: PolicyInForce { file: self.policy.clone(), fingerprint: trust.fingerprint.hex(), since: self.since },
            trust: Vec::new(),
            notices: trouble.into_iter().collect(),
        }
    }
}
