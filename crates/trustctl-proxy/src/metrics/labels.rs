//! The labels of series. Each has a fixed set of values, or one that the configuration bounds.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AnswerLabels {
    pub(super) call: &'static str,
    pub(super) status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ColdLabels {
    pub(super) cold: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CacheLabels {
    pub(super) result: CacheUse,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct NameLabels {
    pub(super) name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UpstreamLabels {
    pub(super) upstream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ErrorLabels {
    pub(super) upstream: String,
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DecisionLabels {
    pub(super) result: Outcome,
    pub(super) rule: String,
    pub(super) scheme: &'static str,
    pub(super) reason: String,
}

/// What became of something that was wanted of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheUse {
    /// It was there.
    Hit,
    /// It had to be fetched.
    Miss,
    /// Somebody else was fetching it already.
    Coalesced,
}

impl CacheUse {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Coalesced];
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Served because of a break-glass token.
    BreakGlass,
    /// Not served: the policy says no.
    Refused,
    /// Served because the policy is met.
    Served,
    /// Served from what was verified before, while the upstream was down.
    Stale,
    /// Not served: it could not be decided.
    Undecided,
    /// Served although the policy says no: its rule warns only.
    Warned,
}

impl Outcome {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::BreakGlass, Self::Refused, Self::Served, Self::Stale, Self::Undecided, Self::Warned];

    /// The word for it, as in the audit log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::BreakGlass => "break-glass",
            Self::Refused => "refused",
            Self::Served => "served",
            Self::Stale => "stale",
            Self::Undecided => "undecided",
            Self::Warned => "warned",
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.word(), encoder)
    }
}

impl EncodeLabelValue for CacheUse {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}
