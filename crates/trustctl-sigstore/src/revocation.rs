//! Revocations: a signer withdraws an image in a signed statement.
//!
//! The statement is in-toto v1 in a DSSE envelope in a bundle v0.3, signed like any other. Deleting a signature is no revocation:
//! copies live on. A statement can be seen, remembered and enforced.
//!
//! It is stored as a referrer whose artifact and layer type is [`MEDIA_TYPE`], not that of a bundle: cosign 3 takes every bundle
//! by the key it is given for a signature, whatever its predicate says, and would accept the very image that is revoked.

use serde::{Deserialize, Serialize};
use trustctl_core::claim::{Claimed, Statement};
use trustctl_core::reason::clean;
use trustctl_core::time::Timestamp;

use crate::format::{Text, json};
use crate::statement;

/// The predicate type that this program writes.
pub const PREDICATE_TYPE: &str = "https://trustctl.dev/attestations/revocation/v1";
/// Every version: a later one withdraws the image too, and an old reader must not take it for something harmless.
const ANY_VERSION: &str = "https://trustctl.dev/attestations/revocation/";
/// The artifact type of the manifest and the media type of its layer, which is a bundle.
pub const MEDIA_TYPE: &str = "application/vnd.dev.trustctl.revocation.v1+json";
const ANY_MEDIA_TYPE: &str = "application/vnd.dev.trustctl.revocation.";

/// Why an image is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The image or what built it is in wrong hands.
    Compromised,
    /// It was signed by mistake.
    Mistake,
    /// A newer image takes its place.
    Superseded,
}

impl Cause {
    /// The word in the statement and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Compromised => "compromised",
            Self::Mistake => "mistake",
            Self::Superseded => "superseded",
        }
    }

    /// The cause for a word.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        [Self::Compromised, Self::Mistake, Self::Superseded].into_iter().find(|cause| cause.word() == word)
    }
}

/// Whether a predicate type is that of a revocation, of whatever version.
#[must_use]
pub fn is_revocation(predicate_type: &str) -> bool {
    predicate_type.starts_with(ANY_VERSION)
}

/// Whether a media or artifact type is that of a revocation, of whatever version.
#[must_use]
pub fn is_revocation_type(media_type: &str) -> bool {
    media_type.starts_with(ANY_MEDIA_TYPE)
}

/// Whether text that cannot be read otherwise names the type of a revocation.
#[must_use]
pub fn mentions_revocation(text: &str) -> bool {
    text.contains(ANY_VERSION) || text.contains(ANY_MEDIA_TYPE)
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(default)]
    issued: Option<Timestamp>,
}

/// What a revocation states. Signed words that cannot be read withdraw the image all the same, as `unspecified`.
#[must_use]
pub fn read(statement: &statement::Statement<'_>) -> Statement {
    match statement.predicate::<Form<'_>>() {
        Ok(Some(form)) => Statement::Revocation {
            reason: clean(form.reason.as_str()),
            message: clean(form.message.as_ref().map_or("", Text::as_str)),
            issued: form.issued.map(Claimed::new),
        },
        _ => Statement::Revocation { reason: "unspecified".to_owned(), message: String::new(), issued: None },
    }
}

/// The predicate of a revocation as JSON.
#[must_use]
pub fn predicate(cause: Cause, message: &str, issued: Timestamp) -> String {
    json(&Written { reason: cause.word(), message, issued })
}

#[derive(Serialize)]
struct Written<'a> {
    reason: &'static str,
    message: &'a str,
    issued: Timestamp,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use std::collections::BTreeMap;

    fn stated(predicate: &str) -> Statement {
        let digest = "sha256:07eb76d96eebb9dd5fa95e719512e2fd2fc690b46990aceea65a556f351647fe".parse().unwrap();
        let bytes = statement::build(&[digest], &BTreeMap::new(), PREDICATE_TYPE, predicate);
        read(&statement::Statement::parse(&bytes).unwrap())
    }

    #[test]
    fn a_revocation_is_read_back() {
        let issued: Timestamp = "2026-11-22T15:02:19Z".parse().unwrap();
        let text = predicate(Cause::Compromised, "the \"builder\" leaked", issued);
        assert_eq!(text, r#"{"reason":"compromised","message":"the \"builder\" leaked","issued":"2026-11-22T15:02:19Z"}"#);
        let expected = Statement::Revocation {
            reason: "compromised".to_owned(),
            message: "the \"builder\" leaked".to_owned(),
            issued: Some(Claimed::new(issued)),
        };
        assert_eq!(stated(&text), expected);
    }

    #[test]
    fn words_that_cannot_be_read_still_withdraw() {
        for predicate in ["{}", "null", "[]", r#"{"reason":7}"#, r#"{"reason":"mistake","issued":"yesterday"}"#] {
            assert!(matches!(stated(predicate), Statement::Revocation { reason, .. } if reason == "unspecified"), "{predicate}");
        }
        assert!(is_revocation("https://trustctl.dev/attestations/revocation/v2"));
        assert!(!is_revocation(statement::SIGN));
    }
}
