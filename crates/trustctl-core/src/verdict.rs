//! Verdicts. The word *trusted* is only ever said by one of these.

use serde::Serialize;

use crate::claim::{Claim, SchemeName};
use crate::reason::{Code, Reason};

/// The answer to "may this image run?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Evidence was read and the policy refuses it.
    Rejected {
        /// Why, the most telling first.
        reasons: Reasons,
    },
    /// The policy is met.
    Trusted {
        /// By these claims; empty only where the policy asks for none, which its warnings say.
        claims: Vec<Claim>,
    },
    /// It cannot be said: evidence could not be read.
    Undecided {
        /// What could not be read, or judged, and why.
        missing: Reasons,
    },
    /// Everywhere the policy names was looked, and there is nothing.
    Unsigned {
        /// The places.
        looked_at: Vec<String>,
        /// What each scheme says about finding nothing, the most telling first.
        reasons: Reasons,
    },
}

/// The kind of a verdict, without what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictKind {
    /// See [`Verdict::Rejected`].
    Rejected,
    /// See [`Verdict::Trusted`].
    Trusted,
    /// See [`Verdict::Undecided`].
    Undecided,
    /// See [`Verdict::Unsigned`].
    Unsigned,
}

impl Verdict {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> VerdictKind {
        match self {
            Self::Rejected { .. } => VerdictKind::Rejected,
            Self::Trusted { .. } => VerdictKind::Trusted,
            Self::Undecided { .. } => VerdictKind::Undecided,
            Self::Unsigned { .. } => VerdictKind::Unsigned,
        }
    }

    /// Whether it is [`Verdict::Trusted`].
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.kind() == VerdictKind::Trusted
    }

    /// Why not; empty when trusted.
    #[must_use]
    pub fn reasons(&self) -> Vec<&Reason> {
        match self {
            Self::Trusted { .. } => Vec::new(),
            Self::Rejected { reasons } | Self::Unsigned { reasons, .. } => reasons.iter().collect(),
            Self::Undecided { missing } => missing.iter().collect(),
        }
    }
}

impl VerdictKind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Trusted => "trusted",
            Self::Undecided => "undecided",
            Self::Unsigned => "unsigned",
        }
    }
}

/// One reason or more, the most telling first, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reasons {
    first: Reason,
    rest: Vec<Reason>,
}

impl Reasons {
    /// Just this one.
    #[must_use]
    pub fn one(reason: Reason) -> Self {
        Self { first: reason, rest: Vec::new() }
    }

    /// All of `reasons`, ordered by rank; `None` when there are none.
    #[must_use]
    pub fn ranked(mut reasons: Vec<Reason>) -> Option<Self> {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.code.rank()));
        let mut unique: Vec<Reason> = Vec::with_capacity(reasons.len());
        for reason in reasons {
            if !unique.contains(&reason) {
                unique.push(reason);
            }
        }
        let mut reasons = unique.into_iter();
        reasons.next().map(|first| Self { first, rest: reasons.collect() })
    }

    /// The most telling one.
    #[must_use]
    pub fn first(&self) -> &Reason {
        &self.first
    }

    /// All of them, the most telling first.
    pub fn iter(&self) -> impl Iterator<Item = &Reason> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Whether one of them has this code.
    #[must_use]
    pub fn has(&self, code: Code) -> bool {
        self.iter().any(|reason| reason.code == code)
    }
}

/// The code that says "nothing there" for a scheme.
pub(crate) fn nothing_code(scheme: SchemeName) -> Code {
    match scheme {
        SchemeName::Cosign => Code::CosignUnsigned,
        SchemeName::Dct => Code::DctNoData,
    }
}
