//! Docker and BuildKit: only an engine that keeps images in containerd has files that make the proxy the only source; what is made here lets
//! the others use it, and what enforces is said.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::{ClientError, MARK, Setup, Wanted, containerd, quoted, shown};

const BLOCK: &str = "block the way from the host to every registry, and leave the one to the proxy: this is what enforces";

/// The file for what cannot be said in JSON.
const ABOUT: &str = "daemon.json.about";

/// The engine with its classic store, up to Docker 28 and later where it is kept.
pub(super) fn engine(wanted: &Wanted) -> Result<Setup, ClientError> {
    let mut notes = vec![pulls(wanted, "docker pull")?, BLOCK.to_owned()];
    notes.push(
        "do not take registry-mirrors for protection: they are asked for Docker Hub alone, and Docker Hub itself when they refuse; \
         deny-mode = \"sticky\" stops pulls by tag through a mirror, not those by digest"
            .to_owned(),
    );
    notes.push(
        "an engine that keeps images in containerd (docker info says driver-type: io.containerd.snapshotter.v1) obeys the files in \
         certs.d: it gets images of these registries from the proxy and from nowhere else, also in builds; the classic store does not \
         read them. Measured with 28.5.2 and 29; each upstream needs namespace = true"
            .to_owned(),
    );
    let file =
        |served: &super::Served| (PathBuf::from("certs.d").join(&served.registry).join("hosts.toml"), containerd::hosts(wanted));
    let mut files: Vec<_> = wanted.named().iter().map(file).collect();
    if wanted.proxy.is_plain() {
        let settings = json!({ "insecure-registries": [wanted.proxy.authority] });
        files.push((PathBuf::from("daemon.json"), format!("{settings:#}\n")));
        let about = format!("# {MARK}\n# About daemon.json, which can hold no comment.\n");
        files.push((PathBuf::from(ABOUT), about));
        notes.push(format!("daemon.json can hold no comment: these notes are beside it, in {ABOUT}"));
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
