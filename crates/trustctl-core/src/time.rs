//! Points in time and ages. The core never reads a clock: `now` is always an argument.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time, in UTC, of nanosecond precision.
///
/// Parsed from and printed as RFC 3339; printing drops fractions of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

/// A text that is not an RFC 3339 time with its zone or a date, or a time outside the years -9999 to 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a time: write it like 2026-12-08T00:00:00Z or 2026-12-08, a time of day always with its zone, between the years -9999 and 9999 and before 9999-12-31"
)]
pub struct TimeError;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(jiff::Timestamp::UNIX_EPOCH);

    /// The time `seconds` after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`TimeError`] when that is outside the supported years.
    pub fn from_unix_seconds(seconds: i64) -> Result<Self, TimeError> {
        jiff::Timestamp::from_second(seconds).map(Self).map_err(|_| TimeError)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded towards zero.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// This time plus `span`, or the latest time there is.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.checked_add(span).unwrap_or(jiff::Timestamp::MAX))
    }

    /// This time minus `span`, or the earliest time there is.
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.checked_sub(span).unwrap_or(jiff::Timestamp::MIN))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or_default()
    }

    /// The calendar date in UTC, as `YYYY-MM-DD`.
    #[must_use]
    pub fn date(self) -> String {
        self.0.strftime("%Y-%m-%d").to_string()
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(time));
        }
        // A time of day without a zone is no point in time, and the library would drop it.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return Err(TimeError);
        }
        let date: jiff::civil::Date = text.parse().map_err(|_| TimeError)?;
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| TimeError)?;
        Ok(Self(zoned.timestamp()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An age as users write it: a whole number and one of `s`, `m`, `h`, `d`, `w`, as in `90d`.
///
/// # Errors
/// [`AgeError`] when the text has another form or does not fit.
pub fn parse_age(text: &str) -> Result<Duration, AgeError> {
    let unit = text.chars().next_back().ok_or(AgeError)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(AgeError),
    };
    let digits = text.get(..text.len() - unit.len_utf8()).ok_or(AgeError)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AgeError);
    }
    let count: u64 = digits.parse().map_err(|_| AgeError)?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or(AgeError)
}

/// A text that is not an age.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an age: write a whole number and s, m, h, d or w, like 90d")]
pub struct AgeError;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn go_style_times_are_read() {
        let nanos: Timestamp = "2026-12-06T15:00:01.123456789Z".parse().unwrap();
        let offset: Timestamp = "2026-12-06T17:00:01.1+02:00".parse().unwrap();
        assert_eq!(nanos.to_string(), "2026-12-06T15:00:01Z");
        assert_eq!(offset.unix_seconds(), nanos.unix_seconds());
        assert_eq!("2026-12-06".parse::<Timestamp>().unwrap().to_string(), "2026-12-06T00:00:00Z");
        for zoneless in ["2026-12-06T23:00:00", "2026-12-06 23:00", "2026-12-06T23", "2026-12-06[UTC]", "2026-12-06T23:00:00[x]"]
        {
            assert!(zoneless.parse::<Timestamp>().is_err(), "{zoneless}");
        }
        assert!("tomorrow".parse::<Timestamp>().is_err());
        assert!("9999-12-30T00:00:00Z".parse::<Timestamp>().is_ok());
        assert!("9999-12-31T23:59:59Z".parse::<Timestamp>().unwrap_err().to_string().contains("before 9999-12-31"));
    }

    #[test]
    fn ages_have_one_unit() {
        assert_eq!(parse_age("90d").unwrap(), Duration::from_secs(90 * 86_400));
        for bad in ["", "d", "90", "-1d", "1.5d", "90 d", "99999999999999999999d", "1é"] {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
    }
}
