//! The last decisions, for the status page.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::Serialize;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Reason;
use trustctl_core::time::Timestamp;

use crate::observe::Outcome;

/// How many decisions are kept.
const KEPT: usize = 200;

/// A decision as people look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// When it was taken; the last time, where it was repeated.
    pub at: Timestamp,
    /// The number of the request.
    pub request: String,
    /// Who asked: address, or the subject of a certificate.
    pub client: String,
    /// The image as the policy knows it, with its tag where it was asked for by one.
    pub image: String,
    /// The digest, where it was known.
    pub digest: Option<Digest>,
    /// What was decided.
    pub outcome: Outcome,
    /// The rule of the policy that decided, where one did.
    pub rule: Option<String>,
    /// Who signed, as far as that counted.
    pub signers: Vec<String>,
    /// Why not, or why only with a warning.
    pub reason: Option<Reason>,
    /// How long judging took, in milliseconds.
    pub took_ms: u64,
    /// How often the same was decided in a row.
    pub times: u64,
}

/// The last decisions, the newest first.
///
/// It is meant for what is new: decisions that only repeat what is kept in memory are counted by the metrics, and would push everything
/// else out of here.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<Decision>>);

impl Recent {
    /// Keeps a decision. One that only repeats the newest takes its place.
    pub fn keep(&self, mut decision: Decision) {
        let Ok(mut kept) = self.0.lock() else { return };
        if let Some(newest) = kept.front_mut().filter(|newest| same(newest, &decision)) {
            decision.times = newest.times.saturating_add(1);
            *newest = decision;
            return;
        }
        decision.times = 1;
        kept.truncate(KEPT - 1);
        kept.push_front(decision);
    }

    /// The decisions, the newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Decision> {
        self.0.lock().map(|kept| kept.iter().cloned().collect()).unwrap_or_default()
    }
}

fn same(one: &Decision, two: &Decision) -> bool {
    let code = |decision: &Decision| decision.reason.as_ref().map(|reason| reason.code);
    one.image == two.image
        && one.digest == two.digest
        && one.outcome == two.outcome
        && one.rule == two.rule
        && code(one) == code(two)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn decision(image: &str) -> Decision {
        Decision {
            at: Timestamp::UNIX_EPOCH,
            request: "0".to_owned(),
            client: "127.0.0.1".to_owned(),
            image: image.to_owned(),
            digest: None,
            outcome: Outcome::Refused,
            rule: None,
            signers: Vec::new(),
            reason: None,
            took_ms: 1,
            times: 0,
        }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_go() {
        let recent = Recent::default();
        for number in 0..300 {
            recent.keep(decision(&number.to_string()));
        }
        let all = recent.all();
        assert_eq!((all.len(), all.first().unwrap().image.as_str(), all.last().unwrap().image.as_str()), (200, "299", "100"));
    }

    #[test]
    fn what_repeats_is_counted() {
        let recent = Recent::default();
        recent.keep(decision("a"));
        recent.keep(Decision { client: "::1".to_owned(), ..decision("a") });
        recent.keep(decision("b"));
        recent.keep(decision("a"));
        let shown: Vec<(String, u64)> = recent.all().into_iter().map(|decision| (decision.image, decision.times)).collect();
        assert_eq!(shown, [("a".to_owned(), 1), ("b".to_owned(), 1), ("a".to_owned(), 2)]);
    }
}
