//! Sizes, durations and addresses as they are written, with the bounds within which they make sense.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use http::Uri;
use trustctl_core::time::parse_age;

use super::{Limits, Times};

const MIB: u64 = 1024 * 1024;
/// Enough for the layers of some dozens of images.
pub(super) const DEFAULT_CACHE: u64 = 20 * 1024 * MIB;
/// A cache that holds less would do nothing but evict.
const SMALLEST_CACHE: u64 = 64 * MIB;
/// More file handles than this are not given to a process by usual systems.
pub(super) const CONNECTIONS: RangeInclusive<usize> = 1..=65_536;
const MAX_LINK: usize = 512;
const DAY: u64 = 86_400;

/// The durations that a field can have, in seconds, and the one that holds when it is left out.
pub(super) struct Bounds {
    pub(super) default: Duration,
    least: u64,
    most: u64,
}

impl Bounds {
    pub(super) fn read(&self, text: &str) -> Result<Duration, String> {
        let duration = parse_age(text).map_err(|_| "not a duration: write a whole number and s, m, h or d, like 30s")?;
        if (self.least..=self.most).contains(&duration.as_secs()) {
            return Ok(duration);
        }
        Err(format!("this has to be from {}s to {}s", self.least, self.most))
    }
}

const fn bounds(default: Duration, least: u64, most: u64) -> Bounds {
    Bounds { default, least, most }
}

/// A tag that is never looked at again for more than a day is a digest in disguise.
pub(super) fn tag_ttl() -> Bounds {
    bounds(Times::default().tag_ttl, 0, DAY)
}

pub(super) fn revocation() -> Bounds {
    bounds(Times::default().revocation, 1, DAY)
}

pub(super) fn refusal() -> Bounds {
    bounds(Times::default().refusal, 0, 3600)
}

pub(super) fn max_stale() -> Bounds {
    bounds(Times::default().max_stale, 0, 365 * DAY)
}

/// Clients and webhooks do not wait longer than a minute.
pub(super) fn verify() -> Bounds {
    bounds(Times::default().verify, 1, 60)
}

pub(super) fn header() -> Bounds {
    bounds(Limits::default().header, 1, 300)
}

pub(super) fn idle() -> Bounds {
    bounds(Limits::default().idle, 1, 3600)
}

pub(super) fn shutdown() -> Bounds {
    bounds(Limits::default().shutdown, 0, 3600)
}

/// A number of bytes, such as `20GiB`.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    let number = text.find(|c: char| !c.is_ascii_digit()).and_then(|end| text.split_at_checked(end));
    let (digits, unit) = number.ok_or("not a size: write a whole number and MiB, GiB or TiB, like 20GiB")?;
    let unit = match unit {
        "MiB" => MIB,
        "GiB" => 1024 * MIB,
        "TiB" => 1024 * 1024 * MIB,
        _ => return Err("the unit of a size is MiB, GiB or TiB, like 20GiB"),
    };
    let size = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).ok_or("this size does not fit")?;
    if size < SMALLEST_CACHE { Err("the cache needs 64MiB at least") } else { Ok(size) }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "not an address: write it with its port, like 127.0.0.1:5000, 0.0.0.0:5000 or [::]:5000")
}

/// The address of a web page that goes into refusals.
pub(super) fn link(text: &str) -> Result<String, &'static str> {
    let scheme = text.starts_with("https://") || text.starts_with("http://");
    if scheme && text.len() <= MAX_LINK && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
        return Ok(text.to_owned());
    }
    Err("not the address of a page: write it like https://wiki.example/images, without spaces")
}

/// Where a registry is served: `https://host[:port]`, and whether that is plain HTTP to another machine.
pub(super) fn endpoint(text: &str) -> Result<(String, bool), &'static str> {
    let bad = "an endpoint is http:// or https://, a host and a port, and nothing behind them";
    let uri: Uri = text.parse().map_err(|_| bad)?;
    let authority = uri.authority().ok_or(bad)?;
    let plain = match uri.scheme_str() {
        Some("http") => true,
        Some("https") => false,
        _ => return Err(bad),
    };
    if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(bad);
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    Ok((text.trim_end_matches('/').to_owned(), plain && !local))
}
