//! Faults that a service of the lab commits on demand, by method, path and count.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use trustctl_core::time::Timestamp;

use crate::clock::Clock;

/// What goes wrong with one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed without an answer.
    Drop,
    /// The answer comes with the right headers but its body never ends.
    Endless,
    /// Nothing is done and nothing is answered; the connection stays open.
    Hang,
    /// The request is carried out, and then the connection is closed without an answer.
    Lost,
    /// The body is replaced, its status, type and digest header stay.
    Replaced(Bytes),
    /// The answer comes after this time.
    Slow(Duration),
    /// Headers and the first half of the body come, then nothing, and the connection stays open.
    Stalled,
    /// An error status with an empty error list; 429 and 503 are the usual ones.
    Status {
        /// The HTTP status.
        status: u16,
        /// The `Retry-After` header, in seconds.
        retry_after: Option<u32>,
    },
    /// The declared length is right, but the connection is closed after half of the body.
    Truncated,
    /// The answer is well-formed, but this part of it is not true. Only a Sigstore's services make such parts.
    Wrong(Part),
    /// One bit of the body is flipped; its length and all headers stay.
    WrongBytes,
}

/// What a bad log or authority can get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Fulcio: the certificate timestamp is by a log that nobody trusts.
    CertificateTimestamp,
    /// Rekor: the checkpoint is signed by another key.
    Checkpoint,
    /// Timestamp authority: the stamp is over another hash.
    Imprint,
    /// Rekor: the hashes do not lead from the entry to the root.
    InclusionProof,
    /// Timestamp authority: the stamp answers another query.
    Nonce,
    /// Rekor v1: the promise (signed entry timestamp) is signed by another key.
    Promise,
}

/// When a fault happens. By default: on every request, for ever.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// The method it is for; `None` for all.
    pub method: Option<String>,
    /// The path it is for, without the query; `*` stands for any characters, also slashes.
    pub path: String,
    /// How many matching requests pass before it starts.
    pub skip: u32,
    /// How often it happens; `None` for always.
    pub times: Option<u32>,
    /// Only while this clock shows an earlier time; `None` for always.
    pub until: Option<(Clock, Timestamp)>,
    /// What happens.
    pub fault: Fault,
}

impl FaultRule {
    /// A rule for every request whose path matches.
    #[must_use]
    pub fn always(path: &str, fault: Fault) -> Self {
        Self { method: None, path: path.to_owned(), skip: 0, times: None, until: None, fault }
    }

    /// A rule for the first `times` requests whose path matches.
    #[must_use]
    pub fn times(times: u32, path: &str, fault: Fault) -> Self {
        Self { times: Some(times), ..Self::always(path, fault) }
    }

    /// The same rule for one method only.
    #[must_use]
    pub fn on(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// The same rule, only while `clock` shows a time before `end`.
    #[must_use]
    pub fn until(self, clock: &Clock, end: Timestamp) -> Self {
        Self { until: Some((clock.clone(), end)), ..self }
    }

    fn applies(&self, method: &str, path: &str) -> bool {
        let over = self.until.as_ref().is_some_and(|(clock, end)| clock.now() >= *end);
        let fits = self.method.as_ref().is_none_or(|wanted| wanted == method) && glob(&self.path, path);
        fits && !over && self.times != Some(0)
    }
}

/// The faults of one service; clones are the same set.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<FaultRule>,
    latency: Duration,
}

impl Faults {
    /// Adds a rule. The first rule that matches a request and is not used up applies, alone.
    pub fn add(&self, rule: FaultRule) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rules.push(rule);
    }

    /// Removes every rule and the latency.
    pub fn clear(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// Delays every answer by `latency`, besides any fault.
    pub fn set_latency(&self, latency: Duration) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).latency = latency;
    }

    /// The latency, and the fault that this request meets; counts it.
    pub(crate) fn take(&self, method: &str, path: &str) -> (Duration, Option<Fault>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = state.latency;
        for rule in &mut state.rules {
            if !rule.applies(method, path) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if let Some(times) = &mut rule.times {
                *times -= 1;
            }
            return (latency, Some(rule.fault.clone()));
        }
        (latency, None)
    }
}

/// Whether `text` is `pattern`, in which each `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        assert!(glob("*", "/v2/"));
        assert!(glob("/v2/*/manifests/*", "/v2/a/b/manifests/1.0"));
        assert!(glob("/v2/", "/v2/"));
        assert!(glob("*.json", "/root.json"));
        assert!(!glob("/v2/", "/v2/a"));
        assert!(!glob("/v2/*/manifests/*", "/v2/a/blobs/x"));
        assert!(!glob("*.json", "/root.json.gz"));
        assert!(!glob("ab*ba", "aba"));
    }

    #[test]
    fn a_rule_skips_then_counts_then_rests() {
        let faults = Faults::default();
        faults.add(FaultRule { skip: 1, ..FaultRule::times(1, "/a*", Fault::Drop) }.on("GET"));
        assert_eq!(faults.take("HEAD", "/a").1, None);
        assert_eq!(faults.take("GET", "/b").1, None);
        assert_eq!(faults.take("GET", "/a").1, None, "the first is skipped");
        assert_eq!(faults.take("GET", "/a").1, Some(Fault::Drop));
        assert_eq!(faults.take("GET", "/a").1, None, "used up");
    }

    #[test]
    fn a_rule_ends_when_its_clock_says_so() {
        let clock = Clock::stopped_at(Timestamp::UNIX_EPOCH);
        let faults = Faults::default();
        let end = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(60));
        faults.add(FaultRule::always("*", Fault::Hang).until(&clock, end));
        clock.advance(Duration::from_secs(59));
        assert_eq!(faults.take("GET", "/").1, Some(Fault::Hang));
        clock.advance(Duration::from_secs(1));
        assert_eq!(faults.take("GET", "/").1, None);
    }
}
