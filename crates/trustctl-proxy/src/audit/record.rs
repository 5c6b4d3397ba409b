//! What is recorded of a decision.

use serde::Serialize;
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_core::reference::{Repository, Tag};

use crate::observe::Outcome;

/// Most characters of a text from outside that are recorded.
const MAX_TEXT: usize = 512;
/// Bytes that a record usually takes.
pub(super) const USUAL: usize = 640;

/// One decision.
#[derive(Clone, Debug, Serialize)]
pub struct Record<'a> {
    /// The request, as in logs and answers.
    pub request_id: &'a str,
    /// Who asked: an address, and the name in a client certificate if there was one.
    pub client: &'a str,
    /// The name the client asked for the proxy by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    /// What was asked: `manifest`, `blob`, `referrers`, `tags`.
    pub call: &'a str,
    /// The repository, as policies name it.
    pub repository: &'a Repository,
    /// The tag it was asked for by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<&'a Tag>,
    /// The digest that was decided about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<&'a Digest>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, when it was not simply trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    /// The rule of the policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    /// The signers whose signatures counted.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub signers: &'a [String],
    /// What tells the policy with its keys, roots and revocations from others: its fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'a str>,
    /// How old the evidence was, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_age: Option<u64>,
    /// How long it took to decide, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
}

impl Record<'_> {
    /// The members of its JSON object, without the braces, in the room of a text that is not needed any more. Texts from outside are
    /// cut to 512 characters; JSON escapes line ends, so a record is always one line.
    ///
    /// # Errors
    /// The words of whoever writes JSON.
    pub(super) fn fields(&self, room: String) -> Result<String, String> {
        let short = Record {
            request_id: cut(self.request_id),
            client: cut(self.client),
            host: self.host.map(cut),
            call: cut(self.call),
            message: self.message.map(cut),
            rule: self.rule.map(cut),
            policy: self.policy.map(cut),
            ..self.clone()
        };
        let mut json = room.into_bytes();
        json.clear();
        json.reserve_exact(USUAL);
        serde_json::to_writer(&mut json, &short).map_err(|error| error.to_string())?;
        let inner = json.len().saturating_sub(1);
        json.truncate(inner);
        json.drain(..inner.min(1));
        if json.capacity() > USUAL {
            // Many of them wait where the disk is slow.
            json.shrink_to_fit();
        }
        String::from_utf8(json).map_err(|error| error.to_string())
    }
}

fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}
