//! Checking conditions against a document.

use std::cmp::Ordering;
use std::fmt::Display;
use std::time::Duration;

use serde_json::{Number, Value};

use super::path::Place;
use super::truth::{Fault, MAX_STEPS, Run, Spent, Truth, kind_of};
use super::{Condition, Quantifier, Scalar, Test};
use crate::reason::{Code, Reason};
use crate::time::Timestamp;

/// How far a time in a document may lie in the future and still count as young: clocks differ.
const SKEW: Duration = Duration::from_secs(300);
/// Characters of text that are compared in one step.
const TEXT_A_STEP: usize = 64;

/// A condition that is not satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unmet {
    /// [`Code::PredicateCondition`], [`Code::PredicateFieldMissing`], [`Code::PredicateWrongType`] or
    /// [`Code::PredicateTooComplex`].
    pub code: Code,
    /// What the policy demands, in words.
    pub expected: String,
    /// What the document says instead.
    pub found: String,
}

impl Unmet {
    /// The reason to report about the attestation that `words` name.
    #[must_use]
    pub fn reason(&self, words: &str) -> Reason {
        Reason::new(self.code, words).expected_found(&self.expected, &self.found)
    }
}

impl Condition {
    /// Whether all of `conditions` are satisfied by `predicate`, as of `now`.
    ///
    /// # Errors
    /// The first one that is not: it does not hold, or cannot be said because a field is missing or of another type, or because
    /// the document is too large to be looked through.
    pub fn check_all(conditions: &[Self], predicate: &Value, now: Timestamp) -> Result<(), Unmet> {
        let mut run = Run::new(now, MAX_STEPS);
        conditions.iter().try_for_each(|condition| condition.check(predicate, &mut run))
    }

    pub(super) fn check(&self, predicate: &Value, run: &mut Run) -> Result<(), Unmet> {
        let unmet = |code: Code, found: String| Unmet { code, expected: self.to_string(), found };
        let too_complex = |Spent| unmet(Code::PredicateTooComplex, "a document that takes too many steps".to_owned());
        match self.truth(predicate, run).map_err(too_complex)? {
            Truth::Yes => Ok(()),
            Truth::No => Err(unmet(Code::PredicateCondition, self.found(predicate, run).map_err(too_complex)?)),
            Truth::Unknown(Fault::Missing { at }) => Err(unmet(Code::PredicateFieldMissing, format!("there is no {at}"))),
            Truth::Unknown(Fault::WrongType { at, expected, found }) => {
                Err(unmet(Code::PredicateWrongType, format!("{at} is {found}, not {expected}")))
            }
        }
    }

    /// The condition's answer about `value`.
    fn truth(&self, value: &Value, run: &mut Run) -> Result<Truth, Spent> {
        if self.quantifier == Quantifier::One {
            return match (self.path.one(value, run)?, &self.test) {
                (Ok(found), test) => test.truth(found, &self.path, run),
                (Err(Fault::Missing { .. }), Test::Exists(wanted)) => Ok(Truth::of(!wanted)),
                (Err(fault), _) => Ok(Truth::Unknown(fault)),
            };
        }
        let mut tally = Tally::default();
        self.path.visit(value, run, &mut |place, found, run| {
            match found {
                Ok(value) => tally.count(self.answer(place, value, run)?),
                Err(fault) => tally.lose(fault),
            }
            Ok(())
        })?;
        Ok(tally.sum_up(self.quantifier))
    }

    /// The answer about one of several values.
    pub(super) fn answer(&self, place: Place<'_>, value: &Value, run: &mut Run) -> Result<Truth, Spent> {
        self.test.truth(value, &place, run)
    }
}

/// How often each answer was given.
#[derive(Default)]
struct Tally {
    no: u64,
    yes: u64,
    unknown: u64,
    /// Whether a way ended too early, so that nobody knows how many values there are.
    is_open: bool,
    fault: Option<Fault>,
}

impl Tally {
    fn count(&mut self, truth: Truth) {
        match truth {
            Truth::No => self.no += 1,
            Truth::Yes => self.yes += 1,
            Truth::Unknown(fault) => {
                self.unknown += 1;
                self.fault.get_or_insert(fault);
            }
        }
    }

    fn lose(&mut self, fault: Fault) {
        self.is_open = true;
        self.fault.get_or_insert(fault);
    }

    /// What holds whatever the unknown answers are is known; everything else is not.
    fn sum_up(self, quantifier: Quantifier) -> Truth {
        let possible = if self.is_open { u64::MAX } else { self.yes.saturating_add(self.unknown) };
        let (holds, fails) = match quantifier {
            Quantifier::All => (self.no == 0 && self.unknown == 0 && !self.is_open, self.no > 0),
            Quantifier::Any | Quantifier::One => (self.yes > 0, possible == 0),
            Quantifier::None => (possible == 0, self.yes > 0),
            Quantifier::Count { at_least, at_most } => {
                let enough = |count: u64| at_least.is_none_or(|least| count >= least);
                let few = |count: u64| at_most.is_none_or(|most| count <= most);
                (enough(self.yes) && few(possible), !enough(possible) || !few(self.yes))
            }
        };
        match (holds, fails, self.fault) {
            (true, _, _) => Truth::Yes,
            (false, false, Some(fault)) => Truth::Unknown(fault),
            (false, _, _) => Truth::No,
        }
    }
}

impl Test {
    /// The answer about one value that is there, and lies at `place`.
    fn truth(&self, value: &Value, place: &dyn Display, run: &mut Run) -> Result<Truth, Spent> {
        if let Self::Where(conditions) = self {
            return every(conditions, value, place, run);
        }
        run.spend(1 + self.cost(value))?;
        Ok(match self.holds(value, run.now) {
            Ok(holds) => Truth::of(holds),
            Err(expected) => Truth::Unknown(Fault::WrongType { at: place.to_string(), expected, found: kind_of(value) }),
        })
    }

    fn cost(&self, value: &Value) -> usize {
        let patterns = match self {
            Self::In(values) | Self::NotIn(values) => values.len(),
            Self::Like(globs) | Self::NotLike(globs) => globs.len(),
            _ => 1,
        };
        let text = value.as_str().map_or(0, |text| text.len() / TEXT_A_STEP);
        patterns.saturating_mul(1 + text)
    }

    /// Whether it holds of a value; what the value should be where it is of another type.
    fn holds(&self, value: &Value, now: Timestamp) -> Result<bool, &'static str> {
        match self {
            Self::Exists(wanted) => Ok(*wanted),
            Self::There | Self::Where(_) => Ok(true),
            Self::In(values) => is_in(values, value),
            Self::NotIn(values) => is_in(values, value).map(|is_in| !is_in),
            Self::Like(globs) => text_of(value).map(|text| globs.iter().any(|glob| glob.matches(text))),
            Self::NotLike(globs) => text_of(value).map(|text| !globs.iter().any(|glob| glob.matches(text))),
            Self::MaxAge(age) => {
                let time = time_of(value)?;
                Ok(time <= now.saturating_add(SKEW) && now.since(time) <= *age)
            }
            Self::Range { at_least, at_most } => {
                let least = at_least.as_ref().map(|bound| order(value, bound)).transpose()?;
                let most = at_most.as_ref().map(|bound| order(value, bound)).transpose()?;
                Ok(least.is_none_or(Ordering::is_ge) && most.is_none_or(Ordering::is_le))
            }
        }
    }
}

/// All of `conditions` about one value: one that does not hold decides, whatever is unknown of the others.
fn every(conditions: &[Condition], value: &Value, place: &dyn Display, run: &mut Run) -> Result<Truth, Spent> {
    let mut unknown = None;
    for condition in conditions {
        match condition.truth(value, run)? {
            Truth::No => return Ok(Truth::No),
            Truth::Unknown(fault) if unknown.is_none() => unknown = Some(fault.below(&place.to_string())),
            Truth::Unknown(_) | Truth::Yes => {}
        }
    }
    Ok(unknown.map_or(Truth::Yes, Truth::Unknown))
}

fn is_in(values: &[Scalar], value: &Value) -> Result<bool, &'static str> {
    for scalar in values {
        if is_equal(value, scalar)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_equal(value: &Value, scalar: &Scalar) -> Result<bool, &'static str> {
    match (value, scalar) {
        (Value::String(text), Scalar::Text(expected)) => Ok(text == expected),
        (Value::Bool(value), Scalar::Bool(expected)) => Ok(value == expected),
        _ => order(value, scalar).map(Ordering::is_eq),
    }
}

/// How a number or time compares with a bound.
fn order(value: &Value, bound: &Scalar) -> Result<Ordering, &'static str> {
    match (value, bound) {
        (Value::Number(number), Scalar::Number(bound)) => order_numbers(number, bound).ok_or("a number"),
        (Value::String(_), Scalar::Time(bound)) => time_of(value).map(|time| time.cmp(bound)),
        (_, other) => Err(other.kind()),
    }
}

/// Whole numbers exactly, others as floating point numbers.
fn order_numbers(one: &Number, two: &Number) -> Option<Ordering> {
    match (one.as_i128(), two.as_i128()) {
        (Some(one), Some(two)) => Some(one.cmp(&two)),
        _ => one.as_f64()?.partial_cmp(&two.as_f64()?),
    }
}

fn text_of(value: &Value) -> Result<&str, &'static str> {
    value.as_str().ok_or("text")
}

/// A time in a document is text in the form of RFC 3339, with its zone.
fn time_of(value: &Value) -> Result<Timestamp, &'static str> {
    let zoned = |text: &&str| {
        let byte = |index: Option<usize>| index.and_then(|index| text.as_bytes().get(index));
        matches!(byte(Some(10)), Some(b'T' | b't'))
            && (text.ends_with(['Z', 'z']) || matches!(byte(text.len().checked_sub(6)), Some(b'+' | b'-')))
    };
    value.as_str().filter(zoned).and_then(|text| text.parse().ok()).ok_or("a time")
}
