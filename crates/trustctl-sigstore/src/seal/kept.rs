//! A signature that is kept until a log can be asked: as text, and read back.
//!
//! The text holds nothing secret: what was signed, the signature, the certificate or the public key, timestamps, and what logs have
//! answered so far. Nor does it bring trust: the signature is checked when the text is read, and the finished bundle is judged like any
//! other before it is published.

use serde::{Deserialize, Serialize};
use trustctl_core::digest::Digest;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;

use super::authority::{Chain, MAX_CHAIN};
use super::log::Entry;
use super::{Content, Sealed, Signed};
use crate::dsse::Envelope;
use crate::format::{Bounded, FormatError, Text, decode, encode, json, read};
use crate::keyless::Fault;
use crate::keys::has_signed;
use crate::limits::{MAX_LOG_ENTRIES, MAX_TIMESTAMPS};
use crate::signing_config::LogApi;

const WHAT: &str = "the kept signature";

/// A signature with its timestamps, and with what logs have answered so far.
#[derive(Clone, Debug)]
pub struct Kept {
    signed: Signed,
    timestamps: Vec<Vec<u8>>,
    /// The answers as they came: an [`Entry`] is made of each when it is needed.
    answers: Vec<(LogApi, Vec<u8>)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<E: Serialize> {
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope: Option<E>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<WrittenMessage>,
    key: String,
    certificates: Vec<String>,
    timestamps: Vec<String>,
    log_answers: Vec<WrittenAnswer>,
}

#[derive(Serialize)]
struct WrittenMessage {
    digest: String,
    signature: String,
}

#[derive(Serialize)]
struct WrittenAnswer {
    version: u32,
    answer: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    #[serde(borrow, default)]
    envelope: Option<crate::dsse::EnvelopeForm<'a>>,
    #[serde(borrow, default)]
    message: Option<MessageForm<'a>>,
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    certificates: Bounded<Text<'a>, MAX_CHAIN>,
    #[serde(borrow)]
    timestamps: Bounded<Text<'a>, MAX_TIMESTAMPS>,
    #[serde(borrow)]
    log_answers: Bounded<AnswerForm<'a>, MAX_LOG_ENTRIES>,
}

#[derive(Deserialize)]
struct MessageForm<'a> {
    #[serde(borrow)]
    digest: Text<'a>,
    #[serde(borrow)]
    signature: Text<'a>,
}

#[derive(Deserialize)]
struct AnswerForm<'a> {
    version: u32,
    #[serde(borrow)]
    answer: Text<'a>,
}

impl Kept {
    /// A signature with its timestamps, of which no log knows yet.
    #[must_use]
    pub fn new(signed: Signed, timestamps: Vec<Vec<u8>>) -> Self {
        Self { signed, timestamps, answers: Vec::new() }
    }

    /// The signature.
    #[must_use]
    pub fn signed(&self) -> &Signed {
        &self.signed
    }

    /// The certificate, where an identity signed.
    #[must_use]
    pub fn chain(&self) -> Option<&Chain> {
        self.signed.chain.as_ref()
    }

    /// How many timestamps there are.
    #[must_use]
    pub fn timestamps(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether a log has entered it.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The payload of the envelope, where one is signed.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        match &self.signed.content {
            Content::Envelope(envelope) => Some(&envelope.payload),
            Content::Message { .. } => None,
        }
    }

    /// The SHA-256 of the message that is signed, where none is in an envelope.
    #[must_use]
    pub fn message_digest(&self) -> Option<&Digest> {
        match &self.signed.content {
            Content::Envelope(_) => None,
            Content::Message { digest, .. } => Some(digest),
        }
    }

    /// Whether it signs `message` as it is.
    #[must_use]
    pub fn is_over(&self, message: &[u8]) -> bool {
        match &self.signed.content {
            Content::Envelope(_) => false,
            Content::Message { signature, .. } => has_signed(&self.signed.key, message, signature),
        }
    }

    /// With what a log answered.
    ///
    /// # Errors
    /// As [`Entry::parse`]: then nothing is added.
    pub fn add(&mut self, api: LogApi, answer: &[u8]) -> Result<(), Fault> {
        Entry::parse(answer, api)?;
        self.answers.push((api, answer.to_vec()));
        Ok(())
    }

    /// Whether it can still become valid at `now` with an entry of `api`: a log that says the time must say one within the certificate's
    /// life, and where a log says none, a timestamp must.
    #[must_use]
    pub fn is_in_time(&self, api: LogApi, now: Timestamp) -> bool {
        let Some(chain) = &self.signed.chain else { return true };
        match api {
            LogApi::V1 => now < chain.until(),
            LogApi::V2 => !self.timestamps.is_empty(),
        }
    }

    /// The finished signature; nothing of it is judged yet.
    ///
    /// # Errors
    /// As [`Entry::parse`].
    pub fn sealed(&self) -> Result<Sealed, Fault> {
        let entries = self.answers.iter().map(|(api, answer)| Entry::parse(answer, *api)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.signed.clone().sealed(entries, self.timestamps.clone()))
    }

    /// The text to keep: JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (envelope, message) = match &self.signed.content {
            Content::Envelope(envelope) => (Some(envelope.written()), None),
            Content::Message { digest, signature } => {
                (None, Some(WrittenMessage { digest: digest.to_string(), signature: encode(signature) }))
            }
        };
        json(&Written {
            envelope,
            message,
            key: encode(self.signed.key.spki_der()),
            certificates: self.signed.chain.iter().flat_map(Chain::ders).map(encode).collect(),
            timestamps: self.timestamps.iter().map(|token| encode(token)).collect(),
            log_answers: self
                .answers
                .iter()
                .map(|(api, answer)| WrittenAnswer { version: api.version(), answer: encode(answer) })
                .collect(),
        })
    }

    /// Reads [`Kept::to_json`] back.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::CosignMalformed`] for anything else, [`Code::NotOurs`] for a certificate of another key,
    /// [`Code::CosignBadSignature`] for an envelope that the key has not signed.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let malformed = |error: FormatError| Fault::malformed(error.to_string());
        let form: Form<'_> = read(text, WHAT).map_err(malformed)?;
        let bytes = |text: &Text<'_>| decode(text.as_str(), WHAT).map_err(malformed);
        let key = PublicKey::from_spki_der(&bytes(&form.key)?).map_err(|error| Fault::malformed(error.to_string()))?;
        let content = match (form.envelope, form.message) {
            (Some(envelope), None) => {
                let envelope = Envelope::try_from(envelope).map_err(malformed)?;
                if !has_signed(&key, &envelope.signed_bytes(), &envelope.signature) {
                    return Err(Fault::new(Code::CosignBadSignature, "the kept signature was not made with the key it names"));
                }
                Content::Envelope(envelope)
            }
            (None, Some(message)) => {
                let digest: Digest =
                    message.digest.as_str().parse().map_err(|_| Fault::malformed("the kept signature names no digest"))?;
                Content::Message { digest, signature: bytes(&message.signature)? }
            }
            _ => return Err(Fault::malformed("the kept signature is of neither an envelope nor a message")),
        };
        let mut ders = form.certificates.0.iter().map(bytes).collect::<Result<Vec<_>, _>>()?.into_iter();
        let chain = ders.next().map(|leaf| Chain::of_der(leaf, ders.collect(), &key)).transpose()?;
        let timestamps = form.timestamps.0.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
        let mut kept = Self::new(Signed { content, key, chain }, timestamps);
        for AnswerForm { version, answer } in &form.log_answers.0 {
            let api = LogApi::of_version(*version).ok_or_else(|| Fault::malformed("an answer is of an unknown log API"))?;
            kept.add(api, &bytes(answer)?)?;
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::dsse::IN_TOTO;
    use crate::testing::TestKey;
    use proptest::prelude::*;

    fn kept() -> Kept {
        let signed = Signed::envelope(&TestKey::new(), None, IN_TOTO, b"{}".to_vec()).unwrap();
        Kept::new(signed, vec![b"stamp".to_vec()])
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let text = kept().to_json();
        let read = Kept::parse(text.as_bytes()).unwrap();
        assert_eq!((read.to_json(), read.timestamps(), read.is_logged()), (text, 1, false));
        assert!(read.is_in_time(LogApi::V1, Timestamp::UNIX_EPOCH), "a key does not end");
    }

    #[test]
    fn what_another_key_signed_or_nobody_is_refused() {
        let (kept, other) = (kept(), kept());
        let one = kept.to_json();
        let own = encode(kept.signed().key().spki_der());
        let swapped = one.replace(&own, &encode(other.signed().key().spki_der()));
        assert_eq!(Kept::parse(swapped.as_bytes()).unwrap_err().code, Code::CosignBadSignature);
        let altered = one.replace(&encode(b"{}"), &encode(b"[]"));
        assert_eq!(Kept::parse(altered.as_bytes()).unwrap_err().code, Code::CosignBadSignature);
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Kept::parse(&bytes).is_err());
        }
    }
}
