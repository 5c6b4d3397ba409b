//! The settings that hold a client to the proxy, and those that look like it.

use std::fs;
use std::path::Path;

use trustctl_tests::clients::{Deny, Dockerd, Kind, Setup, Site};

use crate::outcome;

/// A setting, as rows of the table say it, and its files.
struct Setting {
    words: &'static str,
    files: Vec<(String, String)>,
}

/// What became of an unsigned and of a trusted image, by setting.
pub(crate) fn measure(kind: Kind) -> Vec<[String; 3]> {
    let site = Site::new(Deny::Status);
    let (registry, proxy) = (site.world.registry().host(), site.proxy());
    let written = site.configured(kind);
    let mut rows = vec![row(kind, &site, "what `client-config` writes", Setup::Written(&written))];
    for setting in settings(kind, &registry, &proxy) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in &setting.files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
            fs::write(path, text).unwrap();
        }
        rows.push(row(kind, &site, setting.words, Setup::Files(folder.path())));
    }
    rows
}

fn row(kind: Kind, site: &Site, words: &str, setup: Setup<'_>) -> [String; 3] {
    let (registry, proxy) = (site.world.registry().host(), site.proxy());
    let unsigned = site.push("shop/new:1", "nobody signed this");
    let started = kind.start(&site.route(&registry, &proxy, setup));
    let client = match &started {
        Ok(Some(client)) => client.as_ref(),
        Ok(None) | Err(_) => return [words.to_owned(), "does not start".to_owned(), "does not start".to_owned()],
    };
    let refused = outcome(client, &unsigned, &unsigned.name);
    let trusted = match outcome(client, &site.good, &site.good.name).as_str() {
        "**bypass**" => "arrives".to_owned(),
        other => other.to_owned(),
    };
    [words.to_owned(), refused, trusted]
}

fn settings(kind: Kind, registry: &str, proxy: &str) -> Vec<Setting> {
    match kind {
        Kind::Buildah | Kind::Podman | Kind::Skopeo | Kind::SkopeoSid => containers(registry, proxy),
        Kind::Containerd(_) | Kind::Cri(_) => hosts(&format!("{registry}/hosts.toml"), &format!("http://{registry}"), proxy),
        Kind::BuildKit(Dockerd::NewerContainerd | Dockerd::Newest) | Kind::Docker(Dockerd::NewerContainerd | Dockerd::Newest) => {
            hosts("certs.d/docker.io/hosts.toml", "https://registry-1.docker.io", proxy)
        }
        Kind::BuildKit(_) | Kind::Buildkitd | Kind::Docker(_) => Vec::new(),
    }
}

fn containers(registry: &str, proxy: &str) -> Vec<Setting> {
    let mirror = format!("[[registry.mirror]]\nlocation = \"{proxy}/lab\"\ninsecure = true\n");
    let table = format!("[[registry]]\nprefix = \"{registry}\"\nlocation = \"{registry}\"\ninsecure = true\n");
    let one = |words, text| Setting { words, files: vec![("50-trustctl-proxy.conf".to_owned(), text)] };
    vec![
        one("a mirror, and `blocked = true`", format!("{table}blocked = true\n{mirror}")),
        one("a mirror, and `mirror-by-digest-only = true`", format!("{table}mirror-by-digest-only = true\n{mirror}")),
    ]
}

fn hosts(name: &str, upstream: &str, proxy: &str) -> Vec<Setting> {
    let one = |words, text| Setting { words, files: vec![(name.to_owned(), text)] };
    let server = format!("server = \"http://{proxy}\"\n");
    let host = |capabilities: &str| format!("[host.\"http://{proxy}\"]\ncapabilities = [{capabilities}]\n");
    let both = host("\"pull\", \"resolve\"");
    vec![
        one("`server` and `[host]` = the proxy", format!("{server}{both}")),
        one("`server` alone", server),
        one("`[host]` alone", both.clone()),
        one(
            "`server` = the registry with `capabilities = [\"push\"]`",
            format!("server = \"{upstream}\"\ncapabilities = [\"push\"]\n{both}"),
        ),
        one("`[host]` without `resolve`", format!("server = \"{upstream}\"\n{}", host("\"pull\""))),
        one("a file that is not TOML", format!("server = {proxy}\n{both}")),
    ]
}
