//! Registry hosts: what may be written, and when two of them are the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ReferenceError;

/// The registry host in the one spelling by which servers are told apart: what leads to the same server must fall under the same rule,
/// however it was written. Lower case, a port without zeros in front and none where it is that of TLS, Docker Hub by its name.
pub(crate) fn one_host(written: &str) -> String {
    let host = written.to_ascii_lowercase();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, port.trim_start_matches('0'))
        }
        _ => (host.as_str(), ""),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    match (name, port) {
        ("index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com", "" | "443") => "docker.io".to_owned(),
        (name, "" | "443") => name.to_owned(),
        (name, port) => format!("{name}:{port}"),
    }
}

pub(super) fn check_host(host: &str) -> Result<(), ReferenceError> {
    let (name, port) = split_port(host)?;
    if !name.starts_with('[') && !name.split('.').all(is_host_label) {
        return Err(ReferenceError::BadHost);
    }
    check_address(name)?;
    match port {
        None => Ok(()),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok() => Ok(()),
        Some(_) => Err(ReferenceError::BadHost),
    }
}

/// The host, an IPv6 address with its brackets, and what stands for its port.
pub(crate) fn split_port(host: &str) -> Result<(&str, Option<&str>), ReferenceError> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(ReferenceError::BadHost)? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    match host.split_at_checked(end) {
        Some((name, "")) => Ok((name, None)),
        Some((name, port)) => Ok((name, Some(port.strip_prefix(':').ok_or(ReferenceError::BadHost)?))),
        None => Err(ReferenceError::BadHost),
    }
}

/// That an IP address is written in its usual form (RFC 5952 for IPv6; four decimal numbers for IPv4).
///
/// URLs know more forms of IPv4 (`127.1`, `0x7f.1`, `2130706433`; WHATWG URL Standard, "IPv4 parser"): whatever ends in a number is an
/// address to them. An IPv4 address in IPv6 leads to the same server as well.
pub(crate) fn check_address(name: &str) -> Result<(), ReferenceError> {
    if let Some(inside) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = inside.parse().map_err(|_| ReferenceError::BadHost)?;
        let usual = match address.to_canonical() {
            IpAddr::V4(mapped) => mapped.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        return if usual == name { Ok(()) } else { Err(ReferenceError::OddAddress(usual)) };
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    let digits = |text: &str, radix| text.chars().all(|c| c.is_digit(radix));
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = !last.is_empty() && (digits(last, 10) || hexadecimal.is_some_and(|rest| digits(rest, 16)));
    if is_number && name.parse::<Ipv4Addr>().is_err() {
        return Err(ReferenceError::OddAddress("four decimal numbers, as in 127.0.0.1".to_owned()));
    }
    Ok(())
}

fn is_host_label(label: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    ends(label.bytes().next())
        && ends(label.bytes().next_back())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;

    /// Each of these reaches 127.0.0.1 or ::1, and no rule for that address would cover it.
    #[test]
    fn an_address_is_only_taken_in_its_usual_form() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:5000",
            "10.0.0.255",
            "[::1]",
            "[::1]:5000",
            "[2001:db8::1]",
            "1.2.3.4.example",
            "0xg.example",
        ] {
            assert!(format!("{host}/app").parse::<Reference>().is_ok(), "{host}");
        }
        for host in [
            "127.1",
            "127.1:5000",
            "0x7f.1",
            "0X7F.0.0.1",
            "127.0.0.0x1",
            "127.0.0.0x",
            "2130706433:5000",
            "0177.0.0.1",
            "127.0.0.01",
            "127.000.0.1:5000",
            "1.2.3.4.5",
            "256.1.1.1",
            "registry.7",
            "[0:0:0:0:0:0:0:1]:5000",
            "[::0001]",
            "[2001:DB8::1]",
            "[::ffff:127.0.0.1]:5000",
            "[::ffff:7f00:1]",
        ] {
            let read = format!("{host}/app").parse::<Reference>();
            assert!(matches!(read, Err(ReferenceError::OddAddress(_))), "{host}: {read:?}");
        }
        assert_eq!("[::ffff:7f00:1]/a".parse::<Reference>(), Err(ReferenceError::OddAddress("127.0.0.1".to_owned())));
    }
}
