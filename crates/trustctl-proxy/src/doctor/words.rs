//! What programs write, and what that shows: for people who read it, only words.

use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, clean};

use super::Outcome;
use crate::answer::NOBODY_S;

/// Most characters of what an engine says that are repeated.
const SAID: usize = 280;
/// What containers/image says, in small letters, of bytes that have another digest than the one asked for: Podman, Buildah and Skopeo.
const OTHER_BYTES: &str = "does not match provided manifest digest";
/// Around what containers/image says of mirrors, in small letters. The registry's own location was asked after them, and what came of that
/// stands behind.
const MIRRORS: (&str, &str) = ("(mirrors also failed: [", "]): ");
/// Why no connection came about, in small letters, as Go says it: by a firewall that rejects or drops, a route that is not there, a filter
/// of the system. What may pass by itself, such as a name server or an HTTP proxy that is down, is not among them, nor is anything that
/// needs a connection.
const CLOSED: [&str; 8] = [
    "connection refused",
    "connection timed out",
    "host is down",
    "i/o timeout",
    "network is unreachable",
    "no route to host",
    "operation not permitted",
    "permission denied",
];
/// A name that does not exist.
const NO_NAME: &str = "no such host";
/// What Docker says, in small letters, where packets are dropped.
const DROPPED: &str = "net/http: request canceled while waiting for connection";

/// By what it shows that a client met the refusal of the proxy, or came to nobody.
#[derive(Clone, Copy, Debug)]
pub struct Signs<'a> {
    /// The proxy's host and port.
    pub proxy: &'a str,
    /// The host and port that serves the registry.
    pub registry: &'a str,
    /// The repository's path.
    pub path: &'a str,
    /// Its reason to refuse.
    pub code: Code,
    /// What is asked for, where the proxy answers with a denial manifest: the bytes that the client gets are others then.
    pub denied: Option<Denied>,
}

/// A digest for which the proxy gives a denial manifest.
#[derive(Clone, Copy, Debug)]
pub struct Denied {
    /// What is asked for.
    pub asked: Digest,
    /// The digest of the denial manifest, where it is known.
    pub given: Option<Digest>,
}

/// What a pull came to, by how the program ended and what it wrote.
///
/// Some clients repeat the proxy's message or, of a denial manifest, its media type; both name the code. Others stop at the configuration
/// that a denial manifest names, and which nobody has, or, by digest, because the manifest has another one: anybody can give other bytes, so
/// that it has to be seen that they are the proxy's. Those that make a HEAD request first have no message: containerd names the host and
/// the status.
#[must_use]
pub fn outcome(success: bool, output: &str, signs: &Signs<'_>) -> Outcome {
    if success {
        return Outcome::Arrived;
    }
    let text = without_mirrors(&output.to_ascii_lowercase());
    let is_code = text.contains(&signs.code.id().to_ascii_lowercase()) || text.contains(NOBODY_S);
    let proxy = signs.proxy.to_ascii_lowercase();
    let is_status = text.lines().any(|line| names(line, &proxy) && line.contains("403 forbidden"));
    let is_other = signs.denied.is_some_and(|denied| is_denial(&text, &proxy, &denied));
    match () {
        () if is_code || is_status || is_other => Outcome::Refused,
        () if is_closed(&text, signs) => Outcome::Closed,
        () => Outcome::Failed,
    }
}

/// What is said, but for what is said of mirrors.
fn without_mirrors(text: &str) -> String {
    let whole = || {
        let (before, rest) = text.split_once(MIRRORS.0)?;
        let (_, own) = rest.rsplit_once(MIRRORS.1)?;
        Some(format!("{before}{own}"))
    };
    whole().unwrap_or_else(|| text.to_owned())
}

/// Whether the client got the proxy's denial manifest in place of what it asked for: its digest is named, or the proxy in the same line, or
/// the last request for the manifest that the client tells went there.
fn is_denial(text: &str, proxy: &str, denied: &Denied) -> bool {
    let asked = denied.asked.to_string();
    let given = denied.given.map(|given| format!("unexpected commit digest {given}, expected {asked}"));
    let manifest = format!("/manifests/{asked}");
    let request = text.lines().rfind(|line| line.contains("get http") && line.contains(&manifest));
    let is_asked = request.is_some_and(|line| line.contains(&format!("://{proxy}/")));
    text.lines().any(|line| {
        let is_other = line.contains(&asked) && line.contains(OTHER_BYTES) && (is_asked || names(line, proxy));
        is_other || given.as_ref().is_some_and(|given| line.contains(given))
    })
}

/// Whether the last that is said of the registry or the image is that no connection to the registry came about. What came to another host,
/// such as one that gives tokens or layers, shows that the registry answered.
fn is_closed(text: &str, signs: &Signs<'_>) -> bool {
    let (registry, path) = (signs.registry.to_ascii_lowercase(), signs.path.to_ascii_lowercase());
    let name = path.rsplit('/').next().unwrap_or_default();
    let last = text.lines().rfind(|line| names(line, &registry) || names(line, name));
    let cause = last.and_then(|line| line.rsplit_once("://")).and_then(|(_, rest)| {
        let end = rest.find(['"', '\\', ' '])?;
        let (address, behind) = rest.split_at_checked(end)?;
        let host = address.split('/').next()?;
        (host == registry).then(|| behind.trim_start_matches(['"', '\\', ' ', ':']))
    });
    cause.is_some_and(|cause| cause.starts_with(DROPPED) || cause.strip_prefix("dial tcp").is_some_and(is_no_way))
}

/// Whether what follows `dial tcp`, an address or what became of its name, says that there is no way.
fn is_no_way(rest: &str) -> bool {
    if let Some(lookup) = rest.strip_prefix(": lookup ") {
        return lookup.split_once(": ").is_some_and(|(_, cause)| cause.starts_with(NO_NAME));
    }
    let cause = rest.split_once(": ").map(|(_, cause)| cause.strip_prefix("connect: ").unwrap_or(cause));
    cause.is_some_and(|cause| CLOSED.iter().any(|words| cause.starts_with(words)))
}

/// Whether a host or a name stands in the line, and not as a part of a longer one.
fn names(line: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    line.match_indices(name).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + name.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(|c| is_part(c) || c == '.') && !after.is_some_and(is_part)
    })
}

/// The last line that a program wrote, in which the cause stands, for people.
#[must_use]
pub fn said(output: &str) -> String {
    let last = output.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing");
    clean(&last.chars().take(SAID).collect::<String>())
}
