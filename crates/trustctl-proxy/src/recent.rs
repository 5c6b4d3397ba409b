//! The last decisions, for the status page.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::Mutex;

use serde::Serialize;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Reason;
use trustctl_core::time::Timestamp;

use crate::observe::{Event, Outcome};

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

    /// Counts a decision that only repeats the newest, which almost all do. False where it does not: then it is to be kept.
    pub fn repeats(&self, event: &Event<'_>, request: &str, client: &str) -> bool {
        let Ok(mut kept) = self.0.lock() else { return false };
        let Some(newest) = kept.front_mut().filter(|newest| is_of(newest, event)) else { return false };
        newest.at = event.at;
        // Usually nothing is allocated: what this thread frees, another may have allocated, and both would wait for the same heap.
        request.clone_into(&mut newest.request);
        client.clone_into(&mut newest.client);
        newest.took_ms = took_ms(event);
        newest.times = newest.times.saturating_add(1);
        let signers = event.signers.map(AsRef::as_ref).unwrap_or_default();
        if newest.signers != signers {
            newest.signers = signers.to_vec();
        }
        if newest.reason.as_ref() != event.reason {
            newest.reason = event.reason.cloned();
        }
        true
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

/// As [`same`], for what was not made a [`Decision`] yet.
fn is_of(one: &Decision, event: &Event<'_>) -> bool {
    let image = |rest: &mut Rest<'_>| match event.tag {
        Some(tag) => write!(rest, "{}:{tag}", event.repository),
        None => write!(rest, "{}", event.repository),
    };
    let mut rest = Rest(&one.image);
    one.digest.as_ref() == event.digest
        && one.outcome == event.outcome
        && one.rule.as_deref() == event.rule
        && one.reason.as_ref().map(|reason| reason.code) == event.code()
        && image(&mut rest).is_ok()
        && rest.0.is_empty()
}

/// What of a text has not been written again.
struct Rest<'a>(&'a str);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

fn took_ms(event: &Event<'_>) -> u64 {
    u64::try_from(event.took.as_millis()).unwrap_or(u64::MAX)
}

impl Decision {
    /// What was decided, by the number of the request and who asked.
    #[must_use]
    pub fn new(event: &Event<'_>, request: &str, client: &str) -> Self {
        let tag = event.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        Self {
            at: event.at,
            request: request.to_owned(),
            client: client.to_owned(),
            image: format!("{}{tag}", event.repository),
            digest: event.digest.copied(),
            outcome: event.outcome,
            rule: event.rule.map(str::to_owned),
            signers: event.signers.map(|signers| signers.to_vec()).unwrap_or_default(),
            reason: event.reason.cloned(),
            took_ms: took_ms(event),
            times: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::sync::Arc;
    use std::time::Duration;

    use trustctl_core::reason::Code;
    use trustctl_core::reference::{Repository, Tag};

    use super::*;
    use crate::server::{Client, RequestId};

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

    #[test]
    fn what_repeats_is_counted_without_being_made_anew() {
        let (client, id) = (Client::new("127.0.0.1:1".parse().unwrap(), None), RequestId::new(1, 2));
        let (repository, tag): (Repository, Tag) = ("r.example/a/b".parse().unwrap(), "1.0".parse().unwrap());
        let signers: Arc<[String]> = Arc::new(["release".to_owned()]);
        let (digest, other) = (Digest::sha256_of(b"a"), Digest::sha256_of(b"b"));
        let reason = |words: &str| Reason::new(Code::DctTagMoved, words);
        let (why, why_else) = (reason("a"), reason("b"));
        let event = Event {
            at: Timestamp::UNIX_EPOCH,
            client: &client,
            host: None,
            trace: None,
            id,
            call: "manifest",
            repository: &repository,
            tag: Some(&tag),
            digest: Some(&digest),
            outcome: Outcome::Served,
            reason: Some(&why),
            rule: Some("rule"),
            scheme: None,
            signers: Some(&signers),
            evidence_age: None,
            took: Duration::from_millis(3),
            fingerprint: None,
            ruling: None,
        };
        let recent = Recent::default();
        assert!(!recent.repeats(&event, "1", "a"), "nothing is kept yet");
        recent.keep(Decision::new(&event, "1", "a"));
        let at = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(9));
        let later = Event { at, took: Duration::from_millis(5), reason: Some(&why_else), signers: None, ..event.clone() };
        assert!(recent.repeats(&later, "2", "b"));
        // It is what keeping it would have made of it.
        let expected = Decision { times: 2, ..Decision::new(&later, "2", "b") };
        assert_eq!(recent.all(), [expected]);
        let (longer, shorter): (Tag, Tag) = ("1.0.1".parse().unwrap(), "1".parse().unwrap());
        let (elsewhere, another_why): (Repository, _) = ("r.example/a/c".parse().unwrap(), Reason::new(Code::Unavailable, "a"));
        let kept = recent.all();
        let others = [
            Event { repository: &elsewhere, ..event.clone() },
            Event { rule: Some("other"), ..event.clone() },
            Event { reason: Some(&another_why), ..event.clone() },
            Event { tag: None, ..event.clone() },
            Event { tag: Some(&longer), ..event.clone() },
            Event { tag: Some(&shorter), ..event.clone() },
            Event { digest: Some(&other), ..event.clone() },
            Event { outcome: Outcome::Refused, ..event.clone() },
            Event { rule: None, ..event.clone() },
            Event { reason: None, ..event.clone() },
        ];
        for other in &others {
            assert!(!recent.repeats(other, "3", "c"), "{other:?}");
            assert!(!same(&Decision::new(other, "", ""), &Decision::new(&event, "", "")), "{other:?}");
        }
        assert_eq!(recent.all(), kept);
        let without_tag = Recent::default();
        without_tag.keep(Decision::new(&Event { tag: None, ..event.clone() }, "1", "a"));
        assert!(!without_tag.repeats(&event, "2", "b"));
    }
}
