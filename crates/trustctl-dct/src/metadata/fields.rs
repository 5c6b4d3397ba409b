//! Reading the members of an object whose field names are known.

use std::collections::BTreeMap;

use trustctl_core::json::folded;

use crate::canonical_json::Value;
use crate::error::Malformed;

/// An object of metadata. Unknown members are ignored; a known one in another spelling is an error, because Go's own decoder
/// takes it and others do not.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    of: &'static str,
    members: &'a BTreeMap<String, Value>,
}

impl<'a> Fields<'a> {
    /// The members of `value`, an object called `of` in messages, whose fields are `known`.
    pub(crate) fn of(value: &'a Value, of: &'static str, known: &[&'static str]) -> Result<Self, Malformed> {
        let members = value.as_object().ok_or(Malformed::Value { of, field: "", expected: "an object" })?;
        for written in members.keys() {
            let spelt = folded(written);
            if let Some(field) = known.iter().find(|field| **field != written && folded(field) == spelt) {
                return Err(Malformed::CaseVariant { of, field, written: written.clone() });
            }
        }
        Ok(Self { of, members })
    }

    /// The value of `field`; `None` when it is missing or `null`.
    pub(crate) fn optional(&self, field: &str) -> Option<&'a Value> {
        self.members.get(field).filter(|value| **value != Value::Null)
    }

    /// The value of `field`, which must be there.
    pub(crate) fn required(&self, field: &'static str) -> Result<&'a Value, Malformed> {
        self.optional(field).ok_or(Malformed::Missing { of: self.of, field })
    }

    pub(crate) fn text(&self, field: &'static str) -> Result<&'a str, Malformed> {
        self.required(field)?.as_text().ok_or(self.wrong(field, "a string"))
    }

    /// A whole number of at least `least`.
    pub(crate) fn number(&self, field: &'static str, least: u64) -> Result<u64, Malformed> {
        let number = self.required(field)?.as_number().and_then(|number| u64::try_from(number).ok());
        number.filter(|number| *number >= least).ok_or(self.wrong(field, "a whole number in its range"))
    }

    /// The members of an object with free names; empty when it is missing or `null`.
    pub(crate) fn map(&self, field: &'static str) -> Result<Option<&'a BTreeMap<String, Value>>, Malformed> {
        let object = |value: &'a Value| value.as_object().ok_or(self.wrong(field, "an object"));
        self.optional(field).map(object).transpose()
    }

    /// The elements of a list; empty when it is missing or `null`.
    pub(crate) fn list(&self, field: &'static str) -> Result<&'a [Value], Malformed> {
        match self.optional(field) {
            None => Ok(&[]),
            Some(value) => value.as_list().ok_or(self.wrong(field, "a list")),
        }
    }

    pub(crate) fn wrong(&self, field: &'static str, expected: &'static str) -> Malformed {
        Malformed::Value { of: self.of, field, expected }
    }
}
