//! Docker and BuildKit: no file of theirs makes the proxy the only source, so what is made here lets them use it, and what enforces is said.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::{ClientError, MARK, Setup, Wanted, quoted, shown};

const BLOCK: &str = "block the way from the host to every registry, and leave the one to the proxy: this is what enforces";

/// The engine with its classic store, up to Docker 28 and later where it is kept.
pub(super) fn engine(wanted: &Wanted) -> Result<Setup, ClientError> {
    let mut notes = vec![pulls(wanted, "docker pull")?, BLOCK.to_owned()];
    notes.push(
        "do not take registry-mirrors for protection: they are asked for Docker Hub alone, and Docker Hub itself when they refuse; \
         deny-mode = \"sticky\" stops pulls by tag through a mirror, not those by digest"
            .to_owned(),
    );
    notes.push(
        "an engine with the containerd image store reads files like containerd's from /etc/docker/certs.d/REGISTRY/hosts.toml; this was \
         not measured, so block the way out there too"
            .to_owned(),
    );
    let mut files = Vec::new();
    if wanted.proxy.is_plain() {
        let settings = json!({ "insecure-registries": [wanted.proxy.authority] });
        files.push((PathBuf::from("daemon.json"), format!("{settings:#}\n")));
    }
    if let Some(path) = &wanted.authority {
        notes.push(format!("put a copy of {} at /etc/docker/certs.d/{}/ca.crt", shown(path), wanted.proxy.authority));
    }
    Ok(Setup { enforced: false, folder: "/etc/docker", files, notes })
}

/// BuildKit.
pub(super) fn buildkit(wanted: &Wanted) -> Result<Setup, ClientError> {
    let mut text = format!("# {MARK}\n# How the proxy is spoken to. A mirror here would be passed over when it refuses.\n");
    let _ = writeln!(text, "[registry.{}]", quoted(&wanted.proxy.authority));
    let _ = writeln!(text, "http = {}", wanted.proxy.is_plain());
    if let Some(path) = &wanted.authority {
        let _ = writeln!(text, "ca = [{}]", quoted(&shown(path)));
    }
    let notes = vec![
        pulls(wanted, "FROM")?,
        BLOCK.to_owned(),
        "mirrors in buildkitd.toml enforce nothing: BuildKit puts the registry itself behind them".to_owned(),
        "a source policy (EXPERIMENTAL_BUILDKIT_SOURCE_POLICY) can rename or deny sources, but whoever starts the build chooses it".to_owned(),
    ];
    Ok(Setup { enforced: false, folder: "/etc/buildkit", files: vec![(PathBuf::from("buildkitd.toml"), text)], notes })
}

/// How the proxy's names are used.
fn pulls(wanted: &Wanted, verb: &str) -> Result<String, ClientError> {
    let mut examples = Vec::new();
    for served in wanted.named() {
        let image = if served.registry == super::DOCKER_HUB { "library/alpine:3" } else { "REPOSITORY:TAG" };
        examples.push(format!("{verb} {}/{image}", served.location(&wanted.proxy)?));
    }
    Ok(format!("name the proxy in every image: {}", examples.join(", ")))
}
