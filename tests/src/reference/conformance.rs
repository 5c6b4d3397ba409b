//! The page of the checks of the distribution specification.

use std::fmt::Write as _;

use crate::distribution::{Check, Peer, checks};

/// The page.
pub(super) fn page(note: &str) -> String {
    let all: Vec<&Check> = checks().collect();
    let proven = all.iter().filter(|check| check.unlike.is_empty()).count();
    let mut text = format!(
        "{note}# Conformance of the proxy\n\nThe pull part of the OCI distribution specification 1.1.1 as {} checks, each of which names the section that it is from. All of\n\
         them run against the proxy, in front of a registry with the referrers API and in front of one without, with a policy that allows\n\
         the images. To prove that the checks are right they run against docker-registry 2.8.2 as well, and those about lists against\n\
         ferro-oci-server 1.0.0: {proven} hold for these too. Where one of them does otherwise, it is named below, and the check fails when it no longer does.\n\n\
         Two things are as every client does them, and not demanded by the specification: a blob is asked for after a manifest that names it, and\n\
         what the policy refuses is 403 with `DENIED` (see [reason codes](reasons.md)).\n\n\
         | check | section | request | what holds |\n|---|---|---|---|\n",
        all.len()
    );
    for check in &all {
        let headers: String = check.ask.headers.iter().filter(|(name, _)| *name != "Accept").map(|line| header(*line)).collect();
        let path = check.ask.path.replace("/v2/conform/", "/v2/…/");
        let _ = writeln!(
            text,
            "| {} | {} | `{} {path}`{headers} | {} |",
            check.id,
            check.section.replace('<', "&lt;"),
            check.ask.method,
            check.fact
        );
    }
    text.push_str("\n## Where the others do otherwise\n\n| check | registry | why |\n|---|---|---|\n");
    for check in &all {
        for (peer, why) in check.unlike {
            let name = match peer {
                Peer::DockerRegistry => "docker-registry",
                Peer::Ferro => "ferro-oci-server",
            };
            let _ = writeln!(text, "| {} | {name} | {why} |", check.id);
        }
    }
    text
}

fn header((name, value): (&str, &str)) -> String {
    format!(" `{name}: {value}`")
}
