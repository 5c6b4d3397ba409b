//! Signing configs: which services an instance offers to those who sign, and which of them are used.
//!
//! Source: sigstore protobuf-specs `sigstore_trustroot.proto`, message `SigningConfig` (JSON form), version 0.2. Unknown fields are
//! ignored. Of each operator at most one service is used: the one of the newest API version that is spoken here and, among those, of the
//! newest start, that is valid now.

use std::collections::BTreeSet;

use serde::Deserialize;
use sigstore_trust_root::SIGSTORE_PRODUCTION_SIGNING_CONFIG;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;

use crate::format::{Bounded, Text, read};
use crate::keyless::Fault;

/// The signing config of the public-good instance as this program carries it, JSON.
pub const PUBLIC_GOOD: &str = SIGSTORE_PRODUCTION_SIGNING_CONFIG;
/// The day on which [`PUBLIC_GOOD`] was released with the library.
pub const PUBLIC_GOOD_DATE: &str = "2026-10-23";
/// The media type of the version that is read.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";

/// The API versions of certificate authorities that are spoken. It is the number of the config; the path says `v2`.
const AUTHORITY_VERSIONS: &[u32] = &[1];
/// The API versions of OpenID Connect issuers that are spoken.
const ISSUER_VERSIONS: &[u32] = &[1];
/// The API versions of timestamp authorities that are spoken.
const TIMESTAMP_VERSIONS: &[u32] = &[1];

/// Largest signing config that is read, in bytes. The public one has about 1,300.
const MAX_CONFIG: usize = 256 * 1024;
/// Most services of one kind. The public config has one or two.
const MAX_SERVICES: usize = 64;
/// Longest address of a service, in bytes: as long as servers accept one.
const MAX_URL: usize = 2048;
const WHAT: &str = "the signing config";

/// Which services an instance offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningConfig {
    authorities: Vec<Service>,
    issuers: Vec<Service>,
    logs: (Vec<Service>, Selector),
    timestamp_authorities: (Vec<Service>, Selector),
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its address: of a timestamp authority the whole one, of any other the base, without a final slash.
    pub url: String,
    /// The API that it speaks.
    pub version: u32,
    /// Who runs it; empty where the config does not say.
    pub operator: String,
    start: Timestamp,
    end: Option<Timestamp>,
}

/// How many services are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selector {
    All,
    Any,
    Exact(usize),
}

/// The transparency logs' APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogApi {
    /// Rekor v1: promises the time, remembers duplicates.
    V1,
    /// Rekor v2: says no time.
    V2,
}

impl LogApi {
    /// The API with this number.
    #[must_use]
    pub fn of_version(version: u32) -> Option<Self> {
        match version {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }

    /// Its number.
    pub(crate) fn version(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    #[serde(borrow)]
    media_type: Text<'a>,
    #[serde(borrow, default)]
    ca_urls: Bounded<ServiceForm<'a>, MAX_SERVICES>,
    #[serde(borrow, default)]
    oidc_urls: Bounded<ServiceForm<'a>, MAX_SERVICES>,
    #[serde(borrow, default)]
    rekor_tlog_urls: Bounded<ServiceForm<'a>, MAX_SERVICES>,
    #[serde(borrow, default)]
    rekor_tlog_config: Option<SelectorForm<'a>>,
    #[serde(borrow, default)]
    tsa_urls: Bounded<ServiceForm<'a>, MAX_SERVICES>,
    #[serde(borrow, default)]
    tsa_config: Option<SelectorForm<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceForm<'a> {
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(default)]
    major_api_version: u32,
    #[serde(borrow)]
    valid_for: WindowForm<'a>,
    #[serde(borrow, default)]
    operator: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct WindowForm<'a> {
    #[serde(borrow)]
    start: Text<'a>,
    #[serde(borrow, default)]
    end: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct SelectorForm<'a> {
    #[serde(borrow, default)]
    selector: Option<Text<'a>>,
    #[serde(default)]
    count: Option<u32>,
}

impl SigningConfig {
    /// Reads a signing config. One without services is a config too: then nobody is asked.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::SigningConfigUnusable`] when the bytes are not a signing config of version 0.2, are beyond the limits, or
    /// contradict themselves.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_CONFIG {
            return Err(unusable("it is larger than 256 KiB"));
        }
        let form: Form<'_> = read(bytes, WHAT).map_err(|error| unusable(&error.to_string()))?;
        if form.media_type.as_str() != MEDIA_TYPE {
            return Err(unusable(&format!("unknown version \"{}\"", form.media_type.as_str())));
        }
        let services = |forms: &Bounded<ServiceForm<'_>, MAX_SERVICES>| -> Result<Vec<Service>, Fault> {
            forms.0.iter().map(ServiceForm::service).collect()
        };
        Ok(Self {
            authorities: services(&form.ca_urls)?,
            issuers: services(&form.oidc_urls)?,
            logs: (services(&form.rekor_tlog_urls)?, SelectorForm::selector(form.rekor_tlog_config.as_ref())?),
            timestamp_authorities: (services(&form.tsa_urls)?, SelectorForm::selector(form.tsa_config.as_ref())?),
        })
    }

    /// The certificate authority to ask at `now`.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::ServiceMissing`] when the config names none that counts.
    pub fn authority(&self, now: Timestamp) -> Result<&Service, Fault> {
        one(&self.authorities, AUTHORITY_VERSIONS, now, "certificate authority (Fulcio)")
    }

    /// The OpenID Connect issuer to sign in at.
    ///
    /// # Errors
    /// As [`SigningConfig::authority`].
    pub fn issuer(&self, now: Timestamp) -> Result<&Service, Fault> {
        one(&self.issuers, ISSUER_VERSIONS, now, "OpenID Connect issuer")
    }

    /// The logs to send an entry to, of the APIs in `spoken`; none when the config names no log at all.
    ///
    /// # Errors
    /// [`Fault`] with [`Code::ServiceMissing`] when it names logs, and fewer than it demands count.
    pub fn logs(&self, spoken: &[LogApi], now: Timestamp) -> Result<Vec<&Service>, Fault> {
        let versions: Vec<u32> = spoken.iter().map(|api| api.version()).collect();
        several(&self.logs, &versions, now, "transparency log (Rekor)")
    }

    /// The timestamp authorities to ask; none when the config names none at all.
    ///
    /// # Errors
    /// As [`SigningConfig::logs`].
    pub fn timestamp_authorities(&self, now: Timestamp) -> Result<Vec<&Service>, Fault> {
        several(&self.timestamp_authorities, TIMESTAMP_VERSIONS, now, "timestamp authority")
    }
}

impl ServiceForm<'_> {
    fn service(&self) -> Result<Service, Fault> {
        let url = self.url.as_str();
        if url.len() > MAX_URL || !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(unusable("the address of a service is too long, or neither https nor http"));
        }
        let time = |text: &Text<'_>| {
            let words = || unusable(&format!("\"{}\" is not a time", text.as_str()));
            text.as_str().parse::<Timestamp>().map_err(|_| words())
        };
        let (start, end) = (time(&self.valid_for.start)?, self.valid_for.end.as_ref().map(time).transpose()?);
        if end.is_some_and(|end| end < start) {
            return Err(unusable(&format!("{url} is valid until before it begins")));
        }
        Ok(Service {
            url: url.trim_end_matches('/').to_owned(),
            version: self.major_api_version,
            operator: self.operator.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
            start,
            end,
        })
    }
}

impl SelectorForm<'_> {
    /// A config that says nothing means any one.
    fn selector(form: Option<&Self>) -> Result<Selector, Fault> {
        let Some(form) = form else { return Ok(Selector::Any) };
        match (form.selector.as_ref().map_or("ANY", Text::as_str), form.count) {
            ("ALL", _) => Ok(Selector::All),
            ("ANY", _) => Ok(Selector::Any),
            ("EXACT", Some(count)) if count > 0 => {
                usize::try_from(count).map(Selector::Exact).map_err(|_| unusable("it demands too many services"))
            }
            ("EXACT", _) => Err(unusable("it demands an exact number of services, and names none")),
            (other, _) => Err(unusable(&format!("unknown selector \"{other}\""))),
        }
    }
}

impl Service {
    /// Whether it may be used at `now`; both ends are included.
    fn counts(&self, now: Timestamp) -> bool {
        self.start <= now && self.end.is_none_or(|end| now <= end)
    }
}

/// The best service of each operator, the best operator first.
fn best<'s>(services: &'s [Service], versions: &[u32], now: Timestamp) -> Vec<&'s Service> {
    let mut all: Vec<&Service> =
        services.iter().filter(|service| versions.contains(&service.version) && service.counts(now)).collect();
    // Stable: among equals the order of the file decides.
    all.sort_by_key(|service| std::cmp::Reverse((service.version, service.start)));
    let mut operators = BTreeSet::new();
    all.retain(|service| operators.insert(service.operator.as_str()));
    all
}

fn one<'s>(services: &'s [Service], versions: &[u32], now: Timestamp, what: &str) -> Result<&'s Service, Fault> {
    best(services, versions, now).into_iter().next().ok_or_else(|| missing(services, what, now))
}

fn several<'s>(
    (services, selector): &'s (Vec<Service>, Selector),
    versions: &[u32],
    now: Timestamp,
    what: &str,
) -> Result<Vec<&'s Service>, Fault> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = best(services, versions, now);
    match *selector {
        _ if found.is_empty() => return Err(missing(services, what, now)),
        Selector::All => {}
        Selector::Any => found.truncate(1),
        Selector::Exact(count) if count > found.len() => {
            let words = format!("the signing config demands {count} of: {what}; {} operator(s) count at {now}", found.len());
            return Err(Fault::new(Code::ServiceMissing, words));
        }
        Selector::Exact(count) => found.truncate(count),
    }
    Ok(found)
}

fn missing(services: &[Service], what: &str, now: Timestamp) -> Fault {
    let words = match services.len() {
        0 => format!("the signing config names no {what}"),
        count => format!("of {count} in the signing config, no {what} is valid at {now} and speaks a known version"),
    };
    Fault::new(Code::ServiceMissing, words)
}

fn unusable(words: &str) -> Fault {
    Fault::new(Code::SigningConfigUnusable, format!("the signing config cannot be used: {words}"))
}

#[cfg(test)]
mod tests;
