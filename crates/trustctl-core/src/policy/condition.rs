//! Conditions over the predicate of an attestation: a small language without scripting that always comes to an answer.
//!
//! A condition names values by a [`Path`], says how many of them count (exactly one, `all`, `any`, `none`, or their `count`) and
//! what must hold of each. Its answer is yes, no, or that it cannot be said because a field is missing or has another type; only
//! yes satisfies. The work is bounded by a number of steps, so that no document, however it is made, holds the judge up.

mod evaluate;
mod path;
mod show;
#[cfg(test)]
mod tests;
mod truth;

use std::time::Duration;

use serde_json::Number;

use super::scope::Glob;
use crate::time::Timestamp;

pub use evaluate::Unmet;
pub use path::{Path, PathError};
pub(super) use show::in_units;

/// Most conditions that one demand for an attestation has, nested ones included: more than anybody reads.
pub const MAX_CONDITIONS: usize = 64;
/// How deep conditions nest: a list in a list in a list is the deepest that known predicates have.
pub const MAX_NESTING: usize = 4;
/// Most values of `in`, `not-in`, `like` and `not-like`: a list of licences has a hundred.
pub const MAX_VALUES: usize = 512;
/// Most fields that `show` names.
pub const MAX_SHOWN: usize = 4;

/// A condition over a predicate, or over an element of a list in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How many of the named values count.
    pub(super) quantifier: Quantifier,
    /// Which values are meant.
    pub(super) path: Path,
    /// What must hold of each.
    pub(super) test: Test,
    /// What else is shown of a value that stands in the way.
    pub(super) show: Vec<Path>,
}

/// How many of the values that a path names must pass the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Any,
    /// As many as these bounds allow.
    Count {
        at_least: Option<u64>,
        at_most: Option<u64>,
    },
    None,
    /// The path names exactly one value.
    One,
}

/// What must hold of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Whether it is there.
    Exists(bool),
    In(Vec<Scalar>),
    /// Text matches one of these, always in whole.
    Like(Vec<Glob>),
    /// A time, at most this long ago.
    MaxAge(Duration),
    NotIn(Vec<Scalar>),
    NotLike(Vec<Glob>),
    Range {
        at_least: Option<Scalar>,
        at_most: Option<Scalar>,
    },
    /// Nothing: it is counted.
    There,
    /// All of these, of the value itself.
    Where(Vec<Condition>),
}

/// A value that a policy compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool(bool),
    Number(Number),
    Text(String),
    Time(Timestamp),
}

impl Scalar {
    /// What a value of this kind is called.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Time(_) => "a time",
        }
    }
}
