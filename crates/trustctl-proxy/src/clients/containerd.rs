//! containerd's `hosts.toml`, by its document `docs/hosts.md` and what 1.6 makes of it.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::{MARK, Setup, Wanted, quoted, shown};

/// The folder for registries that have none of their own.
const EVERY_OTHER: &str = "_default";

/// One file for each registry, or one for all.
///
/// The proxy is `server` and a `host`: with `server` alone 1.6 and 1.7 refuse the file and ask the registry, and a host alone is a mirror
/// that the registry comes after.
pub(super) fn setup(wanted: &Wanted) -> Setup {
    let all = [EVERY_OTHER.to_owned()];
    let named: Vec<String> = wanted.registries.iter().map(|served| served.registry.clone()).collect();
    let folders = if named.is_empty() { &all[..] } else { &named[..] };
    let files = folders.iter().map(|folder| (PathBuf::from(folder).join("hosts.toml"), hosts(wanted))).collect();
    let mut notes = vec![
        "Kubernetes reads the folder when containerd's configuration says config_path = \"/etc/containerd/certs.d\" in the registry \
         table of its CRI plugin; ctr when it is given --hosts-dir; nerdctl always"
            .to_owned(),
        "the proxy learns the registry by ?ns=, so each upstream needs namespace = true".to_owned(),
        "a program that writes this folder itself, such as Spegel without prependExisting, takes these files away".to_owned(),
    ];
    if !named.is_empty() {
        notes.push(wanted.others());
    }
    Setup { enforced: true, folder: "/etc/containerd/certs.d", files, notes }
}

/// The text of one `hosts.toml`.
pub(super) fn hosts(wanted: &Wanted) -> String {
    let proxy = quoted(&wanted.proxy.url());
    let authority = wanted.authority.as_ref().map(|path| format!("ca = {}\n", quoted(&shown(path)))).unwrap_or_default();
    let mut text = format!("# {MARK}\n# Both entries are needed: without server the registry is asked when the proxy refuses.\n");
    let _ = write!(text, "server = {proxy}\n{authority}\n[host.{proxy}]\ncapabilities = [\"pull\", \"resolve\"]\n{authority}");
    text
}
