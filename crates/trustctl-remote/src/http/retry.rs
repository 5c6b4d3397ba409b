//! When a request is tried again, and how long to wait before.

use std::error::Error;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use trustctl_core::reason::clean;

use super::transport::TransportError;
use crate::error::RemoteError;
use crate::limits::MAX_RETRY_AFTER;

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The request was surely not carried out.
    Always,
    /// It may have been carried out.
    IfRepeatable,
    /// The next answer would be the same.
    Never,
}

/// Why one try failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: RemoteError,
    pub(super) again: Again,
    /// A connection was made, and then broke or carried something that is not HTTP.
    pub(super) is_broken_connection: bool,
    /// TLS was spoken, and a certificate was refused by either side.
    pub(super) is_certificate: bool,
    /// No connection was made.
    pub(super) is_refused: bool,
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self { error, again: Again::Never, is_broken_connection: false, is_certificate: false, is_refused: false }
    }
}

impl Failure {
    /// The failure that an answer stands for: only for statuses that call for another try.
    pub(super) fn of_status(host: &str, status: u16, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let again = match status {
            408 | 429 => Again::Always,
            500 | 502 | 503 | 504 => Again::IfRepeatable,
            400 if is_torn(body) => Again::IfRepeatable,
            _ => return None,
        };
        let detail = format!("it answered {status}{}", server_words(body));
        let retry_after = retry_after(headers, SystemTime::now());
        let error = RemoteError::Unavailable { host: host.to_owned(), detail, tries: 1, retry_after };
        Some(Self { again, ..error.into() })
    }

    /// The failure that trouble on the way stands for.
    pub(super) fn of_transport(host: &str, error: &TransportError) -> Self {
        let causes = error.causes();
        let tls = causes.iter().find_map(|cause| tls_error(*cause));
        // The address is left out: its query may be signed.
        let last = causes.last().map(ToString::to_string).unwrap_or_default();
        let detail = match tls {
            Some(tls) => format!("TLS failed ({})", tls_words(tls)),
            None if error.is_timeout() => "no answer in time".to_owned(),
            None if error.is_connect() => format!("no connection ({last})"),
            None if error.is_body() => format!("the answer broke off ({last})"),
            None => format!("the connection broke ({last})"),
        };
        let is_certificate = tls.is_some_and(|tls| {
            matches!(
                tls,
                rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented | rustls::Error::AlertReceived(_)
            )
        });
        let again = match () {
            () if is_certificate || causes.iter().any(|cause| cause.is::<super::clients::PrivateAddress>()) => Again::Never,
            () if error.is_connect() => Again::Always,
            () => Again::IfRepeatable,
        };
        let is_refused = error.is_connect() && tls.is_none();
        let (host, detail) = (host.to_owned(), clean(&detail));
        let trouble = match is_certificate {
            true => RemoteError::CertificateRefused { host, detail },
            false => RemoteError::Unavailable { host, detail, tries: 1, retry_after: None },
        };
        Self {
            again,
            is_broken_connection: !is_refused && !error.is_timeout() && !error.is_body(),
            is_certificate,
            is_refused,
            ..trouble.into()
        }
    }
}

/// Whether a registry stumbled over its own files: docker-registry writes the file behind a tag in two steps, and answers this to
/// whoever reads the tag in between.
fn is_torn(body: &[u8]) -> bool {
    crate::registry::answer::error_codes(body).iter().any(|code| code == "DIGEST_INVALID")
}

/// The error of a request that is not tried again, saying how often it was.
pub(super) fn gave_up(failure: Failure, tries: u32) -> RemoteError {
    match failure.error {
        RemoteError::Unavailable { host, detail, retry_after, .. } => {
            let wished = retry_after.map(|wished| format!(", asking to wait {} s", wished.as_secs()));
            RemoteError::Unavailable { host, detail: detail + &wished.unwrap_or_default(), tries, retry_after }
        }
        other => other,
    }
}

/// The pause after try number `attempt`: doubling, with up to a quarter added at random so that clients do not march in step, and
/// not shorter than the server asks for; `None` when it asks for more than [`MAX_RETRY_AFTER`].
///
/// The server's number is compared before anything is computed with it: adding to it could overflow.
pub(crate) fn pause(base: Duration, attempt: u32, retry_after: Option<Duration>) -> Option<Duration> {
    let wished = retry_after.unwrap_or_default();
    if wished > MAX_RETRY_AFTER {
        return None;
    }
    let doubled = base.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let pause = doubled.min(MAX_RETRY_AFTER).max(wished);
    Some(pause.saturating_add(pause.mul_f64(fastrand::f64() / 4.0)))
}

/// The value of `Retry-After` as a span: seconds, or an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// What the server says for people: the first message of an OCI error body (distribution specification, "Error Codes").
pub(crate) fn server_words(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let first = value.get("errors").and_then(|errors| errors.get(0));
    let text = |name: &str| first.and_then(|first| first.get(name)).and_then(serde_json::Value::as_str).unwrap_or_default();
    let words = match (text("code"), text("message")) {
        ("", "") => return String::new(),
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{code}, {message}"),
    };
    format!(": {}", clean(&words))
}

/// What went wrong with TLS, in words that help.
fn tls_words(error: &rustls::Error) -> String {
    use rustls::CertificateError as Why;
    let why = match error {
        rustls::Error::InvalidCertificate(why) => why,
        other => return other.to_string(),
    };
    match why {
        Why::UnknownIssuer => "the certificate's issuer is not trusted".to_owned(),
        Why::BadSignature => "the certificate is not signed by an issuer that is trusted".to_owned(),
        Why::Expired | Why::ExpiredContext { .. } => "the certificate has expired".to_owned(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => "the certificate is not valid yet".to_owned(),
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "the certificate is for another name".to_owned(),
        Why::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "a root certificate stands where the server's own should".to_owned()
        }
        other => format!("the certificate is refused: {other}"),
    }
}

/// The TLS library's error, which hides inside I/O errors inside I/O errors.
fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = cause;
    loop {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        cause = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use crate::limits::RETRY_PAUSE;
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn pauses_grow_and_respect_the_server() {
        let base = Duration::from_millis(100);
        let wait = |attempt, retry_after| pause(base, attempt, retry_after).unwrap();
        assert!((100..=125).contains(&wait(1, None).as_millis()));
        assert!((200..=250).contains(&wait(2, None).as_millis()));
        assert!(wait(1, Some(Duration::from_secs(3))) >= Duration::from_secs(3));
        assert!(wait(1, Some(MAX_RETRY_AFTER)) >= MAX_RETRY_AFTER);
    }

    #[test]
    fn a_server_that_asks_for_too_long_a_pause_gets_none() {
        assert_eq!(pause(Duration::ZERO, 1, Some(MAX_RETRY_AFTER + Duration::from_nanos(1))), None);
        assert_eq!(pause(Duration::ZERO, 1, Some(Duration::MAX)), None);
        assert!(pause(Duration::MAX, u32::MAX, None).is_some());
    }

    proptest! {
        #[test]
        fn no_retry_after_panics(value in proptest::collection::vec(any::<u8>(), 0..40), attempt in any::<u32>()) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(RETRY_AFTER, value);
            }
            let wished = retry_after(&headers, SystemTime::now());
            let waited = pause(RETRY_PAUSE, attempt, wished);
            prop_assert!(waited.is_none_or(|waited| waited <= MAX_RETRY_AFTER.mul_f64(1.25)));
        }

        #[test]
        fn no_number_or_date_panics(seconds in any::<u64>(), year in 0..10_000_u32, day in 0..40_u32, attempt in any::<u32>()) {
            for text in [seconds.to_string(), format!("Sun, {day:02} Nov {year:04} 08:49:37 GMT")] {
                let mut headers = HeaderMap::new();
                headers.insert(RETRY_AFTER, text.parse().unwrap());
                let wished = retry_after(&headers, SystemTime::UNIX_EPOCH);
                let waited = pause(RETRY_PAUSE, attempt, wished);
                prop_assert_eq!(waited.is_none(), wished.is_some_and(|wished| wished > MAX_RETRY_AFTER));
            }
        }
    }

    #[test]
    fn the_servers_words_are_quoted_clean() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no \u001b[31m access"}]}"#;
        assert_eq!(server_words(body), ": DENIED, no \u{fffd}[31m access");
        assert_eq!(server_words(b"<html>"), "");
    }
}
