//! Decisions by what was decided, by which rule and scheme, and why.

use std::collections::BTreeSet;
use std::sync::Mutex;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use trustctl_core::claim::SchemeName;
use trustctl_core::reason::Code;

use super::labels::DecisionLabels;
use crate::observe::Outcome;

/// Most rules that have series of their own; policies that are loaded later could bring new names for ever.
const MAX_RULES: usize = 256;
/// The rule of decisions that no rule made, and of those beyond the limit.
const NO_RULE: &str = "";
const OTHER_RULES: &str = "(others)";

/// A kind of decision.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// What was decided.
    pub outcome: Outcome,
    /// The rule of the policy that decided, where one did.
    pub rule: Option<&'a str>,
    /// The scheme whose claim counted, where one did.
    pub scheme: Option<SchemeName>,
    /// Why not, or why only with a warning.
    pub reason: Option<Code>,
}

pub(super) struct Decisions {
    series: Family<DecisionLabels, Counter>,
    rules: Mutex<BTreeSet<String>>,
}

impl Decisions {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let series = Family::default();
        registry.register(
            "decisions",
            "Decisions, by result, rule of the policy, scheme of the claim that counted, and reason code",
            series.clone(),
        );
        Self { series, rules: Mutex::default() }
    }

    pub(super) fn counter(&self, decided: &Decided<'_>) -> Counter {
        self.series.get_or_create_owned(&DecisionLabels {
            result: decided.outcome,
            rule: self.rule(decided.rule.unwrap_or(NO_RULE)),
            scheme: match decided.scheme {
                Some(SchemeName::Cosign) => "cosign",
                Some(SchemeName::Dct) => "dct",
                Some(_) => "other",
                None => "",
            },
            reason: decided.reason.map(Code::id).unwrap_or_default(),
        })
    }

    fn rule(&self, name: &str) -> String {
        let Ok(mut rules) = self.rules.lock() else { return OTHER_RULES.to_owned() };
        if rules.contains(name) || name == NO_RULE {
            return name.to_owned();
        }
        if rules.len() >= MAX_RULES {
            return OTHER_RULES.to_owned();
        }
        rules.insert(name.to_owned());
        name.to_owned()
    }
}
