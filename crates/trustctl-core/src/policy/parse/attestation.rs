//! Demands for attestations, and their conditions.

use std::collections::BTreeSet;

use serde_json::Number;
use toml::{Spanned, Value};

use super::super::condition::{Condition, MAX_CONDITIONS, MAX_NESTING, MAX_SHOWN, MAX_VALUES, Path, Quantifier, Scalar, Test};
use super::super::form::{AttestationForm, ConditionForm};
use super::super::{AttestationRule, Glob, Which};
use super::{PolicyError, Reader};
use crate::predicate;
use crate::time::Timestamp;

const ONE_PATH: &str = "a condition names what it is about by one of path, all, any, none and count";
const ONE_TEST: &str =
    "a condition has one of equals, not-equals, in, not-in, like, not-like, at-least and at-most, max-age, exists and where";

impl Reader<'_> {
    pub(super) fn attestation(&self, form: &AttestationForm, names: &BTreeSet<&str>) -> Result<AttestationRule, PolicyError> {
        let span = form.predicate.span();
        let Some(predicate_type) = predicate::type_of(form.predicate.get_ref()) else {
            return Err(self.error(span, "type is a URI or one of the short names in the policy reference"));
        };
        let signers = self.signer_names(&form.signers, names)?;
        if signers.is_empty() {
            return Err(self.error(span, "an attestation needs at least one signer"));
        }
        let mut count = 0;
        let conditions = self.conditions(form.conditions.as_deref(), 1, &mut count)?;
        let which = match form.which.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
            None => Which::Newest,
            Some((_, span)) if conditions.is_empty() => return Err(self.error(span, "which goes with where")),
            Some(("newest", _)) => Which::Newest,
            Some(("any", _)) => Which::Any,
            Some((_, span)) => return Err(self.error(span, "which is \"newest\" or \"any\"")),
        };
        let line = self.error(span, "").line;
        Ok(AttestationRule { predicate_type, signers, max_age: self.age(form.max_age.as_ref())?, conditions, which, line })
    }

    fn conditions(
        &self,
        forms: Option<&[Spanned<ConditionForm>]>,
        depth: usize,
        count: &mut usize,
    ) -> Result<Vec<Condition>, PolicyError> {
        let mut conditions = Vec::new();
        for form in forms.unwrap_or_default() {
            *count += 1;
            if *count > MAX_CONDITIONS {
                return Err(self.error(form.span(), format!("there are more than {MAX_CONDITIONS} conditions")));
            }
            if depth > MAX_NESTING {
                return Err(self.error(form.span(), format!("conditions nest at most {MAX_NESTING} deep")));
            }
            conditions.push(self.condition(form, depth, count)?);
        }
        Ok(conditions)
    }

    fn condition(&self, spanned: &Spanned<ConditionForm>, depth: usize, count: &mut usize) -> Result<Condition, PolicyError> {
        let form = spanned.get_ref();
        let ways = [
            (&form.path, Quantifier::One),
            (&form.all, Quantifier::All),
            (&form.any, Quantifier::Any),
            (&form.none, Quantifier::None),
            (&form.count, Quantifier::Count { at_least: None, at_most: None }),
        ];
        let mut named = ways.into_iter().filter_map(|(path, quantifier)| Some((path.as_ref()?, quantifier)));
        let (Some((text, quantifier)), None) = (named.next(), named.next()) else {
            return Err(self.error(spanned.span(), ONE_PATH));
        };
        let path = self.path(text)?;
        match (quantifier == Quantifier::One, path.names_one()) {
            (true, false) => {
                return Err(
                    self.error(text.span(), "path names one field that must be there; with [*] or ? use all, any, none or count")
                );
            }
            (false, true) => {
                return Err(self.error(text.span(), "this names one field only: use path, or [*] for every element of a list"));
            }
            _ => {}
        }
        let inner = self.conditions(form.conditions.as_deref(), depth + 1, count)?;
        let (quantifier, test) = match quantifier {
            Quantifier::Count { .. } => self.counted(spanned, inner)?,
            other => (other, self.test(spanned, inner)?),
        };
        let show = self.shown(form, &test)?;
        Ok(Condition { quantifier, path, test, show })
    }

    fn path(&self, text: &Spanned<String>) -> Result<Path, PolicyError> {
        Path::parse(text.get_ref()).map_err(|error| self.error(text.span(), format!("\"{}\": {error}", text.get_ref())))
    }

    fn shown(&self, form: &ConditionForm, test: &Test) -> Result<Vec<Path>, PolicyError> {
        let Some(show) = &form.show else { return Ok(Vec::new()) };
        if !matches!(test, Test::Where(_)) {
            return Err(self.error(show.span(), "show goes with where: it names fields of the element"));
        }
        let paths = show.get_ref().iter().map(|text| self.path(text)).collect::<Result<Vec<_>, _>>()?;
        if paths.is_empty() || paths.len() > MAX_SHOWN || !paths.iter().all(Path::names_one) {
            return Err(self.error(show.span(), format!("show names one to {MAX_SHOWN} fields, each without [*] and ?")));
        }
        Ok(paths)
    }

    /// The bounds of a count, and what is counted.
    fn counted(&self, spanned: &Spanned<ConditionForm>, inner: Vec<Condition>) -> Result<(Quantifier, Test), PolicyError> {
        let form = spanned.get_ref();
        let bound = |value: &Option<Spanned<Value>>| match value {
            None => Ok(None),
            Some(value) => match value.get_ref().as_integer().and_then(|number| u64::try_from(number).ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(self.error(value.span(), "a count is a whole number from 0")),
            },
        };
        let (at_least, at_most) = (bound(&form.at_least)?, bound(&form.at_most)?);
        let bounds = usize::from(at_least.is_some()) + usize::from(at_most.is_some());
        if bounds == 0 || form.tests() != bounds + usize::from(form.conditions.is_some()) {
            return Err(self.error(spanned.span(), "count goes with at-least or at-most, and with where"));
        }
        if at_least.zip(at_most).is_some_and(|(least, most)| least > most) {
            return Err(self.error(spanned.span(), "at-least is more than at-most"));
        }
        let test = if form.conditions.is_some() { self.wheres(spanned, inner)? } else { Test::There };
        Ok((Quantifier::Count { at_least, at_most }, test))
    }

    fn wheres(&self, spanned: &Spanned<ConditionForm>, inner: Vec<Condition>) -> Result<Test, PolicyError> {
        if spanned.get_ref().path.is_some() {
            return Err(self.error(spanned.span(), "where goes with all, any, none and count; write the longer path instead"));
        }
        if inner.is_empty() {
            return Err(self.error(spanned.span(), "where needs at least one condition"));
        }
        Ok(Test::Where(inner))
    }

    /// What must hold of each value.
    fn test(&self, spanned: &Spanned<ConditionForm>, inner: Vec<Condition>) -> Result<Test, PolicyError> {
        let form = spanned.get_ref();
        let is_range = form.at_least.is_some() && form.at_most.is_some();
        if form.tests() != 1 + usize::from(is_range) {
            return Err(self.error(spanned.span(), ONE_TEST));
        }
        if let Some(value) = &form.equals {
            return Ok(Test::In(vec![self.scalar(value.get_ref(), value)?]));
        }
        if let Some(value) = &form.not_equals {
            return Ok(Test::NotIn(vec![self.scalar(value.get_ref(), value)?]));
        }
        if let Some(values) = &form.within {
            return Ok(Test::In(self.scalars(values)?));
        }
        if let Some(values) = &form.not_in {
            return Ok(Test::NotIn(self.scalars(values)?));
        }
        if let Some(globs) = &form.like {
            return Ok(Test::Like(self.globs(globs)?));
        }
        if let Some(globs) = &form.not_like {
            return Ok(Test::NotLike(self.globs(globs)?));
        }
        if let Some(exists) = &form.exists {
            if form.path.is_none() {
                return Err(self.error(exists.span(), "exists goes with path; to demand that a list has elements use count"));
            }
            return Ok(Test::Exists(*exists.get_ref()));
        }
        if let Some(age) = self.age(form.max_age.as_ref())? {
            return Ok(Test::MaxAge(age));
        }
        if form.at_least.is_some() || form.at_most.is_some() {
            return self.range(form);
        }
        self.wheres(spanned, inner)
    }

    fn range(&self, form: &ConditionForm) -> Result<Test, PolicyError> {
        let bound = |value: &Option<Spanned<Value>>| {
            let Some(value) = value else { return Ok(None) };
            match self.scalar(value.get_ref(), value)? {
                scalar @ (Scalar::Number(_) | Scalar::Time(_)) => Ok(Some(scalar)),
                _ => Err(self.error(value.span(), "at-least and at-most take a number or a time")),
            }
        };
        let (at_least, at_most) = (bound(&form.at_least)?, bound(&form.at_most)?);
        if let (Some(least), Some(most), Some(value)) = (&at_least, &at_most, &form.at_most)
            && !is_ordered(least, most)
        {
            return Err(
                self.error(value.span(), "at-least and at-most are both numbers or both times, the first not the greater")
            );
        }
        Ok(Test::Range { at_least, at_most })
    }

    fn scalar<T>(&self, value: &Value, place: &Spanned<T>) -> Result<Scalar, PolicyError> {
        let refuse = |message: &str| self.error(place.span(), message);
        match value {
            Value::Boolean(value) => Ok(Scalar::Bool(*value)),
            Value::Integer(number) => Ok(Scalar::Number((*number).into())),
            Value::Float(number) => {
                Number::from_f64(*number).map(Scalar::Number).ok_or_else(|| refuse("a number to compare with is finite"))
            }
            Value::String(text) => Ok(Scalar::Text(text.clone())),
            Value::Datetime(time) if time.date.is_some() && time.time.is_some() == time.offset.is_some() => {
                let time: Timestamp = time.to_string().parse().map_err(|error| self.error(place.span(), error))?;
                Ok(Scalar::Time(time))
            }
            Value::Datetime(_) => Err(refuse("a time has a date, and a zone where it has an hour: 2026-12-08T00:00:00Z")),
            Value::Array(_) | Value::Table(_) => Err(refuse("one text, number, time, true or false is expected here")),
        }
    }

    /// Values of one kind.
    fn scalars(&self, values: &Spanned<Value>) -> Result<Vec<Scalar>, PolicyError> {
        let list = values.get_ref().as_array().map(Vec::as_slice).unwrap_or_default();
        if list.is_empty() || list.len() > MAX_VALUES {
            return Err(self.error(values.span(), format!("a list of one to {MAX_VALUES} values is expected here")));
        }
        let scalars = list.iter().map(|value| self.scalar(value, values)).collect::<Result<Vec<_>, _>>()?;
        let kind = scalars.first().map(Scalar::kind);
        if scalars.iter().any(|scalar| Some(scalar.kind()) != kind) {
            return Err(self.error(values.span(), "the values are of different kinds"));
        }
        Ok(scalars)
    }

    /// One pattern, or a list of them.
    fn globs(&self, value: &Spanned<Value>) -> Result<Vec<Glob>, PolicyError> {
        let texts: Vec<Option<&str>> = match value.get_ref() {
            Value::String(text) => vec![Some(text)],
            Value::Array(list) => list.iter().map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let says_nothing = |text: &str| text.trim_matches('*').is_empty();
        let globs: Option<Vec<Glob>> =
            texts.into_iter().map(|text| text.filter(|text| !says_nothing(text)).map(Glob::new)).collect();
        let globs = globs.filter(|globs| !globs.is_empty() && globs.len() <= MAX_VALUES);
        globs.ok_or_else(|| {
            self.error(value.span(), "like takes a text with * for any characters, or a list of them; * alone says nothing")
        })
    }
}

fn is_ordered(least: &Scalar, most: &Scalar) -> bool {
    match (least, most) {
        (Scalar::Number(least), Scalar::Number(most)) => match (least.as_i128(), most.as_i128()) {
            (Some(least), Some(most)) => least <= most,
            _ => least.as_f64() <= most.as_f64(),
        },
        (Scalar::Time(least), Scalar::Time(most)) => least <= most,
        _ => false,
    }
}

impl ConditionForm {
    /// How many tests are written down.
    fn tests(&self) -> usize {
        let values = [
            &self.equals,
            &self.not_equals,
            &self.within,
            &self.not_in,
            &self.like,
            &self.not_like,
            &self.at_least,
            &self.at_most,
        ];
        let values = values.into_iter().filter(|value| value.is_some()).count();
        let others = [self.exists.is_some(), self.max_age.is_some(), self.conditions.is_some()];
        values + others.into_iter().filter(|there| *there).count()
    }
}
