//! The three answers of a condition, and the work that may be spent on finding one.

use serde_json::Value;

use super::path::Place;
use crate::time::Timestamp;

/// Most steps in checking the conditions on one predicate. A document of 8 MiB has at most four million values; real ones have far
/// fewer, and a handful of conditions looks at each once. It takes less than a second.
pub(super) const MAX_STEPS: u64 = 20_000_000;

/// The work and the time that checking has.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) now: Timestamp,
    left: u64,
}

/// The work is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl Run {
    pub(super) fn new(now: Timestamp, steps: u64) -> Self {
        Self { now, left: steps }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Spent> {
        let left = u64::try_from(steps).ok().and_then(|steps| self.left.checked_sub(steps));
        self.left = left.ok_or(Spent)?;
        Ok(())
    }
}

/// Whether a condition is satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    No,
    /// It cannot be said.
    Unknown(Fault),
    Yes,
}

impl Truth {
    pub(super) fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Why it cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A field is not there.
    Missing {
        /// Which.
        at: String,
    },
    /// A value is of another type than the condition is about.
    WrongType {
        /// Which.
        at: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
}

impl Fault {
    pub(super) fn missing(at: Place<'_>) -> Self {
        Self::Missing { at: at.to_string() }
    }

    pub(super) fn wrong_type(at: Place<'_>, expected: &'static str, found: &Value) -> Self {
        Self::WrongType { at: at.to_string(), expected, found: kind_of(found) }
    }

    /// The same fault of what lies below `place`.
    pub(super) fn below(mut self, place: &str) -> Self {
        let (Self::Missing { at } | Self::WrongType { at, .. }) = &mut self;
        let dot = if at.starts_with('[') { "" } else { "." };
        *at = format!("{place}{dot}{at}");
        self
    }
}

/// What a JSON value is called.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::Bool(_) => "true or false",
        Value::Null => "null",
        Value::Number(_) => "a number",
        Value::Object(_) => "an object",
        Value::String(_) => "text",
    }
}
