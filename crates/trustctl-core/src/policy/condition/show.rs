//! Conditions in words, and what a document says where it does not satisfy one.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::path::Path;
use super::truth::{Run, Spent, Truth, kind_of};
use super::{Condition, Quantifier, Scalar, Test};

/// Most characters that are shown of one value.
const MAX_VALUE: usize = 80;
/// Most values of a list that are shown.
const MAX_LISTED: usize = 6;

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quantifier {
            Quantifier::All => f.write_str("every ")?,
            Quantifier::Any => f.write_str("some ")?,
            Quantifier::None => f.write_str("no ")?,
            Quantifier::One => {}
            Quantifier::Count { at_least, at_most } => {
                let bounds = [("at least", at_least), ("at most", at_most)];
                let bounds = bounds.iter().filter_map(|(word, bound)| bound.map(|bound| format!("{word} {bound} ")));
                f.write_str(&bounds.collect::<Vec<_>>().join("and "))?;
            }
        }
        write!(f, "{}{}", self.path, self.test)
    }
}

/// With a space in front, to follow a path.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(true) => f.write_str(" is there"),
            Self::Exists(false) => f.write_str(" is not there"),
            Self::In(values) => write!(f, " is {}", listed(values, "one of ")),
            Self::NotIn(values) => write!(f, " is not {}", listed(values, "one of ")),
            Self::Like(globs) => write!(f, " is like {}", listed(&quoted(globs), "one of ")),
            Self::NotLike(globs) => write!(f, " is not like {}", listed(&quoted(globs), "any of ")),
            Self::MaxAge(age) => write!(f, " is at most {} ago", in_units(*age)),
            Self::Range { at_least, at_most } => {
                let bounds = [("at least", at_least), ("at most", at_most)];
                let bounds = bounds.iter().filter_map(|(word, bound)| bound.as_ref().map(|bound| format!("{word} {bound}")));
                write!(f, " is {}", bounds.collect::<Vec<_>>().join(" and "))
            }
            Self::There => Ok(()),
            Self::Where(conditions) => {
                let all: Vec<String> = conditions.iter().map(ToString::to_string).collect();
                write!(f, " where {}", all.join(" and "))
            }
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Time(time) => write!(f, "{time}"),
        }
    }
}

impl Condition {
    /// What the document says, where the condition does not hold.
    pub(super) fn found(&self, document: &Value, run: &mut Run) -> Result<String, Spent> {
        if self.quantifier == Quantifier::One {
            let found = self.path.one(document, run)?;
            return found.map_or(Ok("nothing".to_owned()), |value| self.value(value, run));
        }
        let telling = match self.quantifier {
            Quantifier::None | Quantifier::Count { .. } => Truth::Yes,
            _ => Truth::No,
        };
        let (mut count, mut first) = (0_u64, None);
        self.path.visit(document, run, &mut |place, found, run| {
            if let Ok(value) = found
                && self.answer(place, value, run)? == telling
            {
                count += 1;
                if first.is_none() {
                    first = Some(format!("{place}: {}", self.value(value, run)?));
                }
            }
            Ok(())
        })?;
        Ok(match (self.quantifier, first) {
            (Quantifier::Count { .. }, Some(first)) if count > 0 => format!("{count}; the first is {first}"),
            (Quantifier::Count { .. }, _) => "none".to_owned(),
            (Quantifier::Any, Some(first)) => format!("none of {count}; the first is {first}"),
            (_, Some(first)) if count > 1 => format!("{first}, and {} more", count - 1),
            (_, Some(first)) => first,
            (_, None) => "nothing there".to_owned(),
        })
    }

    /// One value in few words: of an object the fields that were asked for, and those that are compared.
    fn value(&self, value: &Value, run: &mut Run) -> Result<String, Spent> {
        let mut paths: Vec<&Path> = self.show.iter().collect();
        if let Test::Where(conditions) = &self.test {
            let compared = conditions.iter().filter(|inner| inner.quantifier == Quantifier::One).map(|inner| &inner.path);
            for path in compared {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        let mut parts = Vec::new();
        for path in paths {
            if let Ok(part) = path.one(value, run)? {
                parts.push(format!("{path} {}", brief(part)));
            }
        }
        Ok(if parts.is_empty() { brief(value) } else { parts.join(", ") })
    }
}

/// A value, shortened; lists and objects by their size.
fn brief(value: &Value) -> String {
    match value {
        Value::Array(elements) => format!("a list of {}", elements.len()),
        Value::Object(_) | Value::Null => kind_of(value).to_owned(),
        other => {
            let text = other.to_string();
            match text.char_indices().nth(MAX_VALUE) {
                Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
                None => text,
            }
        }
    }
}

fn quoted(globs: &[super::Glob]) -> Vec<String> {
    globs.iter().map(|glob| format!("\"{glob}\"")).collect()
}

fn listed<T: fmt::Display>(values: &[T], several: &str) -> String {
    let shown: Vec<String> = values.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    let more = if values.len() > MAX_LISTED { format!(" … ({} in all)", values.len()) } else { String::new() };
    let several = if values.len() == 1 { "" } else { several };
    format!("{several}{}{more}", shown.join(", "))
}

/// An age in the largest unit that it is a whole number of.
pub(in crate::policy) fn in_units(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let fits = units.iter().find(|(length, _)| seconds != 0 && seconds.is_multiple_of(*length));
    fits.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
}
