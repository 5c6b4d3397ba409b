//! What the proxy did for each request: the one event that metrics, the audit log and the status page are made of.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use trustctl_core::claim::SchemeName;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::time::Timestamp;

use crate::decide::Ruling;
use crate::server::{Client, RequestId};

/// How a request for an image or a part of one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was served, and the rule only records that the policy does not trust it.
    Audited,
    /// It was served although the policy does not trust it: a token of an operator said so.
    BreakGlass,
    /// It is a signature or an attestation and was served.
    Evidence,
    /// The upstream has no such thing.
    NotFound,
    /// The policy refuses it.
    Refused,
    /// It was served.
    Served,
    /// It was served by what was known before the upstream could no longer be asked.
    Stale,
    /// It could not be decided, so it was not served.
    Undecided,
    /// It was served, and the rule only warns.
    Warned,
}

impl Outcome {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Audited,
        Self::BreakGlass,
        Self::Evidence,
        Self::NotFound,
        Self::Refused,
        Self::Served,
        Self::Stale,
        Self::Undecided,
        Self::Warned,
    ];

    /// The word for it in logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Audited => "audited",
            Self::BreakGlass => "break-glass",
            Self::Evidence => "evidence",
            Self::NotFound => "not-found",
            Self::Refused => "refused",
            Self::Served => "served",
            Self::Stale => "stale",
            Self::Undecided => "undecided",
            Self::Warned => "warned",
        }
    }
}

/// One decision.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub client: &'a Client,
    /// The name that the client asked the proxy by, as it wrote it.
    pub host: Option<&'a str>,
    /// The trace that the client is in, by its `traceparent` header, as it was written.
    pub trace: Option<&'a str>,
    /// The number of the request.
    pub id: RequestId,
    /// What was asked for: `manifest` or `blob`.
    pub call: &'static str,
    /// The repository, by the name that policies speak of.
    pub repository: &'a Repository,
    /// The tag it was asked for by.
    pub tag: Option<&'a Tag>,
    /// The digest, as far as it is known.
    pub digest: Option<&'a Digest>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why not, or what was said although it was served.
    pub reason: Option<&'a Reason>,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    /// The scheme whose claim counted first, where one did.
    pub scheme: Option<SchemeName>,
    /// Whose signatures counted.
    pub signers: Option<&'a Arc<[String]>>,
    /// How old the evidence was that it was decided by.
    pub evidence_age: Option<Duration>,
    /// From the request to the decision.
    pub took: Duration,
    /// The policy and the anchors it was decided under.
    pub fingerprint: Option<&'a Digest>,
    /// The decision about an image that it was decided by.
    pub ruling: Option<&'a Ruling>,
}

impl Event<'_> {
    /// The code of the reason.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.reason.map(|reason| reason.code)
    }
}

/// Somebody who is told of every decision. Must not block.
pub trait Observer: Send + Sync {
    /// A decision was made and its answer begins.
    fn decided(&self, event: &Event<'_>);
}
