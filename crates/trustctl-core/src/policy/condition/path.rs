//! Paths: which values of a JSON document are meant.
//!
//! `a.b` is the member `b` of the member `a`; a name with other characters than letters, digits, `_`, `-`, `$`, `@`, `:` and `/`
//! stands between quotes (`'builder.id'`). `[*]` is every element of a list, `[0]` the first one. A name must be there; one that
//! is followed by `?` may be missing, and then names nothing. `null` counts as missing.

use std::fmt;

use serde_json::Value;

use super::truth::{Fault, Run, Spent};

/// Longest path, in characters.
const MAX_LENGTH: usize = 512;
/// Most steps of a path; documents nest at most twice as deep.
const MAX_STEPS: usize = 32;

/// Which values of a JSON document are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Element(usize),
    Every,
    Member { name: String, optional: bool },
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Brackets hold something else than `*` or a number.
    #[error("between brackets stands * for every element, or the number of one from 0")]
    BadBrackets,
    /// A name is missing or has characters that need quotes.
    #[error(
        "a path is names with dots between them, as in runDetails.builder.id; quote a name with other characters: 'builder.id'"
    )]
    BadName,
    /// A `?` stands elsewhere than after a name.
    #[error("? stands after the name of a field that may be missing")]
    BadOptional,
    /// It is longer than is read.
    #[error("a path has at most 512 characters and 32 steps")]
    TooLong,
}

/// Where a value lies: a path whose stars are numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    path: &'a Path,
    /// How many steps of the path lead there.
    depth: usize,
    /// The numbers that stand for the stars passed.
    elements: &'a [usize],
}

/// What is done with each value that a path names, and with each way that leads to none.
pub(super) type Visit<'v> = dyn FnMut(Place<'_>, Result<&Value, Fault>, &mut Run) -> Result<(), Spent> + 'v;

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// [`PathError`], by what is wrong.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.chars().count() > MAX_LENGTH {
            return Err(PathError::TooLong);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() || steps.is_empty() {
            let (step, after) = if let Some(after) = rest.strip_prefix('[') {
                brackets(after)?
            } else if steps.is_empty() {
                member(rest)?
            } else {
                member(rest.strip_prefix('.').ok_or(if rest.starts_with('?') {
                    PathError::BadOptional
                } else {
                    PathError::BadName
                })?)?
            };
            steps.push(step);
            rest = after;
            if steps.len() > MAX_STEPS {
                return Err(PathError::TooLong);
            }
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// Whether it names exactly one value, which must be there.
    #[must_use]
    pub fn names_one(&self) -> bool {
        self.steps.iter().all(|step| !matches!(step, Step::Every | Step::Member { optional: true, .. }))
    }

    /// Calls `visit` for every value that the path names below `root`, in order, and for every way that ends too early.
    pub(super) fn visit(&self, root: &Value, run: &mut Run, visit: &mut Visit<'_>) -> Result<(), Spent> {
        Walk { path: self, elements: Vec::new() }.go(root, 0, run, visit)
    }

    /// The one value that the path names.
    pub(super) fn one<'v>(&self, root: &'v Value, run: &mut Run) -> Result<Result<&'v Value, Fault>, Spent> {
        let mut here = root;
        for (depth, step) in self.steps.iter().enumerate() {
            run.spend(1)?;
            let place = Place { path: self, depth, elements: &[] };
            here = match step.take(here, place) {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(Err(Fault::missing(Place { depth: depth + 1, ..place }))),
                Err(fault) => return Ok(Err(fault)),
            };
        }
        Ok(Ok(here))
    }
}

impl Step {
    /// The value one step on; `None` where there is none. A star has no one value, and is no step of a path that names one.
    fn take<'v>(&self, value: &'v Value, place: Place<'_>) -> Result<Option<&'v Value>, Fault> {
        match (self, value) {
            (Self::Member { name, .. }, Value::Object(members)) => Ok(members.get(name).filter(|member| !member.is_null())),
            (Self::Member { .. }, other) => Err(Fault::wrong_type(place, "an object", other)),
            (Self::Element(index), Value::Array(elements)) => Ok(elements.get(*index)),
            (Self::Element(_) | Self::Every, other) => Err(Fault::wrong_type(place, "a list", other)),
        }
    }
}

struct Walk<'a> {
    path: &'a Path,
    elements: Vec<usize>,
}

impl Walk<'_> {
    /// Recursion goes as deep as the path has steps.
    fn go(&mut self, value: &Value, depth: usize, run: &mut Run, visit: &mut Visit<'_>) -> Result<(), Spent> {
        run.spend(1)?;
        let path = self.path;
        let Some(step) = path.steps.get(depth) else { return visit(self.place(depth), Ok(value), run) };
        if let (Step::Every, Value::Array(elements)) = (step, value) {
            for (index, element) in elements.iter().enumerate() {
                self.elements.push(index);
                self.go(element, depth + 1, run, visit)?;
                self.elements.pop();
            }
            return Ok(());
        }
        match step.take(value, self.place(depth)) {
            Ok(Some(next)) => self.go(next, depth + 1, run, visit),
            Ok(None) if matches!(step, Step::Member { optional: true, .. }) => Ok(()),
            Ok(None) => visit(self.place(depth), Err(Fault::missing(self.place(depth + 1))), run),
            Err(fault) => visit(self.place(depth), Err(fault), run),
        }
    }

    fn place(&self, depth: usize) -> Place<'_> {
        Place { path: self.path, depth, elements: &self.elements }
    }
}

/// A name, with or without quotes, and the `?` behind it.
fn member(text: &str) -> Result<(Step, &str), PathError> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let (name, rest) = match quote {
        Some(quote) => text.get(1..).and_then(|inner| inner.split_once(quote)).ok_or(PathError::BadName)?,
        None => {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':' | '/');
            text.split_at(text.find(|c| !plain(c)).unwrap_or(text.len()))
        }
    };
    if name.is_empty() {
        return Err(PathError::BadName);
    }
    let optional = rest.starts_with('?');
    let rest = rest.strip_prefix('?').unwrap_or(rest);
    match rest.chars().next() {
        None | Some('.' | '[') => Ok((Step::Member { name: name.to_owned(), optional }, rest)),
        Some('?') => Err(PathError::BadOptional),
        Some(_) => Err(PathError::BadName),
    }
}

/// What follows an opening bracket.
fn brackets(text: &str) -> Result<(Step, &str), PathError> {
    let (inside, rest) = text.split_once(']').ok_or(PathError::BadBrackets)?;
    let step = match inside {
        "*" => Step::Every,
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Step::Element(digits.parse().map_err(|_| PathError::BadBrackets)?)
        }
        _ => return Err(PathError::BadBrackets),
    };
    match rest.chars().next() {
        None | Some('.' | '[') => Ok((step, rest)),
        Some('?') => Err(PathError::BadOptional),
        Some(_) => Err(PathError::BadName),
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut elements = self.elements.iter();
        for (index, step) in self.path.steps.iter().take(self.depth).enumerate() {
            match step {
                Step::Element(element) => write!(f, "[{element}]")?,
                Step::Every => match elements.next() {
                    Some(element) => write!(f, "[{element}]")?,
                    None => f.write_str("[*]")?,
                },
                Step::Member { name, .. } => {
                    let dot = if index == 0 { "" } else { "." };
                    let plain = member(name).is_ok_and(|(_, rest)| rest.is_empty()) && !name.starts_with(['\'', '"']);
                    if plain { write!(f, "{dot}{name}")? } else { write!(f, "{dot}'{name}'")? }
                }
            }
        }
        if self.depth == 0 { f.write_str("the whole") } else { Ok(()) }
    }
}
