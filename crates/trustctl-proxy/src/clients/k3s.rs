//! The `registries.yaml` of k3s and RKE2, which make containerd's files of it, by <https://docs.k3s.io/installation/private-registry>.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::{MARK, Setup, Wanted, shown};

/// All registries.
const EVERY: &str = "*";

/// The mirrors, and the setting that takes away what k3s puts behind them.
pub(super) fn setup(wanted: &Wanted) -> Setup {
    let mut names: Vec<&str> = wanted.registries.iter().map(|served| served.registry.as_str()).collect();
    let all = names.is_empty();
    if all {
        names.push(EVERY);
    }
    let url = wanted.proxy.url();
    let mut text = format!("# {MARK}\n# It enforces nothing without disable-default-registry-endpoint.\nmirrors:\n");
    for name in names {
        let _ = write!(text, "  \"{name}\":\n    endpoint:\n      - \"{url}\"\n");
    }
    if let Some(path) = &wanted.authority {
        // A string of JSON is one of YAML.
        let path = serde_json::Value::from(shown(path));
        let _ = write!(text, "configs:\n  \"{}\":\n    tls:\n      ca_file: {path}\n", wanted.proxy.authority);
    }
    let only = format!(
        "# {MARK}\n# Without this the registry itself is asked when the proxy refuses.\ndisable-default-registry-endpoint: true\n"
    );
    let files = vec![(PathBuf::from("registries.yaml"), text), (PathBuf::from("config.yaml.d/50-trustctl-proxy.yaml"), only)];
    let mut notes = vec![
        "this follows the documentation of k3s and was not measured: disable-default-registry-endpoint is experimental and needs k3s \
         1.26.13, 1.27.10, 1.28.6, 1.29.1 or later; older ones fall back to the registry"
            .to_owned(),
        "put both files on every node and restart k3s there; RKE2 reads them from /etc/rancher/rke2".to_owned(),
        "the proxy learns the registry by ?ns=, so each upstream needs namespace = true".to_owned(),
        "k3s pulls images of its own from docker.io/rancher: the policy must trust them, or the nodes must have them".to_owned(),
    ];
    if !all {
        notes.push(wanted.others());
    }
    Setup { enforced: true, folder: "/etc/rancher/k3s", files, notes }
}
