//! Transparency log entries, read and not judged: what stands in them is merely claimed.

use serde::Deserialize;
use trustctl_core::claim::{Claimed, LogEntry};
use trustctl_core::reason::clean;

use crate::format::{FormatError, Integer, Text, decode, read};

const WHAT: &str = "the log entry";

/// The value of the annotation `dev.sigstore.cosign/bundle`, as far as it is shown.
#[derive(Deserialize)]
struct LegacyForm<'a> {
    #[serde(borrow, rename = "Payload")]
    payload: LegacyPayload<'a>,
}

#[derive(Deserialize)]
struct LegacyPayload<'a> {
    #[serde(default, rename = "integratedTime")]
    integrated_time: Integer,
    #[serde(default, rename = "logIndex")]
    log_index: Integer,
    #[serde(borrow, rename = "logID")]
    log_id: Text<'a>,
}

/// Reads the annotation `dev.sigstore.cosign/bundle` of a legacy signature (Rekor v1).
///
/// # Errors
/// [`FormatError`] when it is not of that form.
pub fn parse_legacy(annotation: &str) -> Result<Claimed<LogEntry>, FormatError> {
    let LegacyForm { payload } = read(annotation.as_bytes(), WHAT)?;
    entry(clean(payload.log_id.as_str()), payload.log_index, payload.integrated_time)
}

/// One of `verificationMaterial.tlogEntries` of a bundle; protojson leaves out zeros.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BundleEntry<'a> {
    #[serde(borrow, default)]
    log_id: Option<LogIdForm<'a>>,
    #[serde(default)]
    log_index: Option<Integer>,
    #[serde(default)]
    integrated_time: Option<Integer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogIdForm<'a> {
    #[serde(borrow)]
    key_id: Text<'a>,
}

impl BundleEntry<'_> {
    pub(crate) fn claimed(&self) -> Result<Claimed<LogEntry>, FormatError> {
        let key_id = self.log_id.as_ref().map_or("", |id| id.key_id.as_str());
        let log_id = hex::encode(decode(key_id, "the log's key id")?);
        entry(log_id, self.log_index.unwrap_or_default(), self.integrated_time.unwrap_or_default())
    }
}

fn entry(log_id: String, Integer(index): Integer, Integer(integrated_time): Integer) -> Result<Claimed<LogEntry>, FormatError> {
    let index = u64::try_from(index).map_err(|_| FormatError::Unsupported { what: "log index", found: index.to_string() })?;
    Ok(Claimed::new(LogEntry { log_id, index, integrated_time }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn the_legacy_annotation_is_read() {
        let text = r#"{"SignedEntryTimestamp":"MEYC","Payload":{"body":"eyJh","integratedTime":1674251859,"logIndex":11608800,"logID":"c0d2"}}"#;
        let entry = parse_legacy(text).unwrap();
        assert_eq!(*entry.peek(), LogEntry { log_id: "c0d2".to_owned(), index: 11_608_800, integrated_time: 1_674_251_859 });
    }

    #[test]
    fn hostile_annotations_are_errors() {
        for text in ["", "null", "{}", r#"{"Payload":{"logID":7}}"#, r#"{"Payload":{"logID":"","logIndex":-1}}"#] {
            assert!(parse_legacy(text).is_err(), "{text}");
        }
    }
}
