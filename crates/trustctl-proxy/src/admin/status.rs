//! The state of the proxy as one value: `/status.json` is its JSON, the page shows the same.

use serde::Serialize;
use trustctl_core::reason::Reason;
use trustctl_core::time::Timestamp;

use crate::metrics::Totals;
use crate::recent::Decision;
use crate::trust::TrustEnd;

/// What is in force now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What has to be usable for images to be served.
    pub checks: Vec<Check>,
    /// The policy.
    pub policy: PolicyInForce,
    /// When trust material ends.
    pub trust: Vec<TrustEnd>,
    /// What should be looked at.
    pub notices: Vec<Reason>,
}

/// One thing that has to be usable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `policy`, `store`, `cache`, ...
    pub name: &'static str,
    /// Why it is not usable; nothing when it is.
    pub problem: Option<String>,
}

/// The policy that decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyInForce {
    /// The file it was read from.
    pub file: String,
    /// What tells it from other policies.
    pub fingerprint: String,
    /// When it was put in force.
    pub since: Timestamp,
}

/// What was asked of an upstream since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamStatus {
    /// The registry's name.
    pub registry: String,
    /// Requests.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
}

/// Everything that `/status.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `trustctl/proxy-status/v1`.
    pub schema: &'static str,
    /// The version that runs.
    pub version: &'static str,
    /// When it was started.
    pub started: Timestamp,
    /// When this was written.
    pub now: Timestamp,
    /// Whether images can be served.
    pub ready: bool,
    /// What that depends on.
    pub checks: Vec<Check>,
    /// The policy in force.
    pub policy: PolicyInForce,
    /// When trust material ends, the first end first.
    pub trust: Vec<TrustEnd>,
    /// What should be looked at.
    pub notices: Vec<Reason>,
    /// Numbers since the start.
    pub totals: Totals,
    /// The registries behind the proxy.
    pub upstreams: Vec<UpstreamStatus>,
    /// The last decisions, the newest first.
    pub decisions: Vec<Decision>,
}

impl Report {
    /// Whether everything that has to be usable is.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }

    /// What should be looked at at `now`: the notices, and what ends.
    #[must_use]
    pub fn all_notices(&self, now: Timestamp) -> Vec<Reason> {
        self.notices.iter().cloned().chain(self.trust.iter().filter_map(|end| end.remark(now))).collect()
    }
}

impl Status {
    pub(super) fn new(
        report: Report,
        totals: Totals,
        upstreams: Vec<UpstreamStatus>,
        decisions: Vec<Decision>,
        (started, now): (Timestamp, Timestamp),
    ) -> Self {
        let (ready, notices) = (report.is_ready(), report.all_notices(now));
        let Report { checks, policy, mut trust, .. } = report;
        trust.sort_by_key(|end| end.at);
        let (schema, version) = ("trustctl/proxy-status/v1", env!("CARGO_PKG_VERSION"));
        Self { schema, version, started, now, ready, checks, policy, trust, notices, totals, upstreams, decisions }
    }
}
