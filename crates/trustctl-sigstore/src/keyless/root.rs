//! Trusted roots: whom an instance trusts, and when.
//!
//! Source: sigstore protobuf-specs `sigstore_trustroot.proto` (JSON form), version 0.1 and 0.2. Unknown fields are ignored.

use std::collections::BTreeMap;

use der::Decode as _;
use jiff::Timestamp;
use serde::Deserialize;
use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_types::TimeRange;
use x509_cert::Certificate;

use super::fault::Fault;
use crate::format::{Bounded, Text, decode, read};

/// The trusted root of the public-good instance as this program carries it, JSON.
pub const PUBLIC_GOOD: &str = SIGSTORE_PRODUCTION_TRUSTED_ROOT;
/// The day on which [`PUBLIC_GOOD`] was released with the library.
pub const PUBLIC_GOOD_DATE: &str = "2026-10-23";

/// Largest trusted root that is read, in bytes. The public one has about 7,000.
const MAX_ROOT: usize = 1024 * 1024;
/// Most authorities and logs of one kind. The public root has two.
const MAX_AUTHORITIES: usize = 64;
const MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot+json;version=0.2",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];
const WHAT: &str = "the trusted root";

/// A trusted root that was checked, with what the library does not read.
pub(super) struct Root {
    pub(super) library: TrustedRoot,
    /// Of each transparency log, in the order of the file.
    pub(super) logs: Vec<LogTraits>,
    /// Who runs a certificate transparency log, by its key id.
    pub(super) certificate_logs: BTreeMap<Vec<u8>, String>,
    /// Who runs each timestamp authority, in the order of the library's.
    pub(super) timestamp_operators: Vec<String>,
}

/// What version 0.2 says of a log.
pub(super) struct LogTraits {
    /// Who runs it, where the file says so.
    pub(super) operator: Option<String>,
    /// The key id of its checkpoints, where that is not the log's own.
    pub(super) checkpoint_key: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    #[serde(borrow)]
    media_type: Text<'a>,
    #[serde(borrow, default)]
    tlogs: Bounded<LogForm<'a>, MAX_AUTHORITIES>,
    #[serde(borrow, default)]
    ctlogs: Bounded<LogForm<'a>, MAX_AUTHORITIES>,
    /// Only counted here.
    #[serde(default, rename = "certificateAuthorities")]
    _certificate_authorities: Bounded<serde::de::IgnoredAny, MAX_AUTHORITIES>,
    #[serde(borrow, default)]
    timestamp_authorities: Bounded<AuthorityForm<'a>, MAX_AUTHORITIES>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogForm<'a> {
    #[serde(borrow)]
    log_id: KeyForm<'a>,
    #[serde(borrow, default)]
    checkpoint_key_id: Option<KeyForm<'a>>,
    #[serde(borrow, default)]
    operator: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyForm<'a> {
    #[serde(borrow)]
    key_id: Text<'a>,
}

#[derive(Deserialize)]
struct AuthorityForm<'a> {
    #[serde(borrow, default)]
    uri: Option<Text<'a>>,
    #[serde(borrow, default)]
    operator: Option<Text<'a>>,
}

impl Root {
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_ROOT {
            return Err(Fault::root(&"it is larger than 1 MiB"));
        }
        let form: Form<'_> = read(bytes, WHAT).map_err(|error| Fault::root(&error))?;
        if !MEDIA_TYPES.contains(&form.media_type.as_str()) {
            return Err(Fault::root(&format_args!("unknown version \"{}\"", form.media_type.as_str())));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| Fault::root(&error))?;
        let mut library = TrustedRoot::from_json(text).map_err(|error| Fault::root(&error))?;
        let mut operators = form.timestamp_authorities.0.iter().map(AuthorityForm::operator);
        let mut timestamp_operators = Vec::new();
        library.certificate_authorities.retain_mut(|authority| narrow(&mut authority.valid_for, &authority.cert_chain));
        library.timestamp_authorities.retain_mut(|authority| {
            let operator = operators.next().unwrap_or_default();
            let counts = narrow(&mut authority.valid_for, &authority.cert_chain);
            if counts {
                timestamp_operators.push(operator);
            }
            counts
        });
        let logs = form.tlogs.0.iter().map(LogForm::traits).collect::<Result<_, _>>()?;
        let certificate_logs = form.ctlogs.0.iter().map(LogForm::operated).collect::<Result<_, _>>()?;
        Ok(Self { library, logs, certificate_logs, timestamp_operators })
    }
}

impl LogForm<'_> {
    fn traits(&self) -> Result<LogTraits, Fault> {
        let checkpoint_key = self.checkpoint_key_id.as_ref().map(|id| decode(id.key_id.as_str(), "the checkpoint key id"));
        Ok(LogTraits {
            operator: self.operator.as_ref().map(|name| name.as_str().to_owned()).filter(|name| !name.is_empty()),
            checkpoint_key: checkpoint_key.transpose().map_err(|error| Fault::root(&error))?.filter(|id| !id.is_empty()),
        })
    }

    fn operated(&self) -> Result<(Vec<u8>, String), Fault> {
        let id = decode(self.log_id.key_id.as_str(), "the log's key id").map_err(|error| Fault::root(&error))?;
        let operator = self.operator.as_ref().map(|name| name.as_str().to_owned()).filter(|name| !name.is_empty());
        Ok((id.clone(), operator.unwrap_or_else(|| hex::encode(id))))
    }
}

impl AuthorityForm<'_> {
    fn operator(&self) -> String {
        let text = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned()).filter(|text| !text.is_empty());
        text(&self.operator).or_else(|| text(&self.uri)).unwrap_or_default()
    }
}

/// Narrows an authority's window to the time in which all of its certificates are valid (CVE-2026-24122); false when there is none.
///
/// A certificate that cannot be read is left to the library, which refuses the whole root.
fn narrow(window: &mut Option<TimeRange>, chain: &sigstore_trust_root::trusted_root::CertChain) -> bool {
    for certificate in &chain.certificates {
        let Ok(certificate) = Certificate::from_der(certificate.raw_bytes.as_bytes()) else { return true };
        let validity = certificate.tbs_certificate.validity;
        let at = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let (Ok(start), end) = (Timestamp::from_second(at(validity.not_before)), Timestamp::from_second(at(validity.not_after)))
        else {
            return false;
        };
        let end = end.unwrap_or(Timestamp::MAX);
        let (from, until) =
            window.map_or((start, end), |range| (range.start.max(start), range.end.map_or(end, |it| it.min(end))));
        if until < from {
            return false;
        }
        *window = Some(TimeRange::new(from, Some(until)));
    }
    true
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn the_public_root_is_read_and_its_date_is_the_one_of_its_bytes() {
        let root = Root::from_json(PUBLIC_GOOD.as_bytes()).unwrap();
        assert!(root.logs.len() >= 2 && !root.timestamp_operators.is_empty() && root.certificate_logs.len() >= 2);
        let digest = trustctl_core::digest::Digest::sha256_of(PUBLIC_GOOD.as_bytes()).hex();
        // A new version of the library brings another root: then PUBLIC_GOOD_DATE is to be set to the day of its release.
        assert_eq!(digest.get(..16), Some("6494e21ea73fa7ee"), "of {PUBLIC_GOOD_DATE}");
    }

    #[test]
    fn every_version_that_is_written_is_read_and_others_are_refused() {
        let [first, second, third] = MEDIA_TYPES;
        for media_type in [first, second, third] {
            assert!(Root::from_json(PUBLIC_GOOD.replace(first, media_type).as_bytes()).is_ok(), "{media_type}");
        }
        for other in ["", "application/vnd.dev.sigstore.trustedroot.v0.3+json", "application/json"] {
            let fault = Root::from_json(PUBLIC_GOOD.replace(first, other).as_bytes()).err().unwrap();
            assert_eq!(fault.code, trustctl_core::reason::Code::AnchorUnusable);
        }
        assert!(Root::from_json(&vec![b' '; MAX_ROOT + 1]).is_err());
    }

    #[test]
    fn an_authority_counts_only_while_all_its_certificates_are_valid() {
        let root = Root::from_json(PUBLIC_GOOD.as_bytes()).unwrap();
        for authority in &root.library.certificate_authorities {
            let range = authority.valid_for.unwrap();
            assert!(range.end.is_some(), "the certificates of {} end some day", authority.uri);
        }
        let chain = &root.library.certificate_authorities.first().unwrap().cert_chain;
        let never = TimeRange::new("1999-01-01T00:00:00Z".parse().unwrap(), Some("1999-12-31T00:00:00Z".parse().unwrap()));
        assert!(!narrow(&mut Some(never), chain));
    }
}
