//! What `integrations/proxy/` brings: units that systemd takes, a composition in which nothing but the proxy is reached, and a
//! configuration that the program takes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

mod composition;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use saphyr::{LoadableYamlNode as _, Yaml};
use trustctl_tests::peers::{Peer, skip};
use trustctl_tests::process::run;
use trustctl_tests::program::{User, program};

const LIMIT: Duration = Duration::from_secs(60);
/// Tenths of a point of exposure that systemd may find in the service. Most of what is left is that it speaks with the network.
const EXPOSURE: &str = "15";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../integrations/proxy").canonicalize().unwrap()
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

#[test]
fn systemd_takes_the_units_and_finds_little_exposed() {
    let analyze = Path::new("/usr/bin/systemd-analyze");
    if !analyze.exists() {
        return skip("systemd-analyze", "it is not on this machine");
    }
    let units = tempfile::tempdir().unwrap();
    for name in ["trustctl-proxy.service", "trustctl-proxy-doctor.service", "trustctl-proxy-doctor.timer"] {
        let text = read(name).replace("/usr/local/bin/trustctl", program().to_str().unwrap());
        fs::write(units.path().join(name), text).unwrap();
    }
    for name in ["trustctl-proxy.service", "trustctl-proxy-doctor.timer"] {
        let ran = run(Command::new(analyze).arg("verify").arg(units.path().join(name)), LIMIT).unwrap();
        assert!(ran.success() && !ran.output().contains(name), "{}", ran.output());
    }
    let unit = units.path().join("trustctl-proxy.service");
    let mut security = Command::new(analyze);
    security.args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE]).arg(unit);
    let ran = run(&mut security, LIMIT).unwrap();
    assert!(ran.success(), "{}", ran.output());
}

#[test]
fn the_service_gives_answers_the_time_to_end() {
    let seconds = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
        line.trim_start_matches([':', '=', ' ']).trim_end_matches('s').parse().unwrap()
    };
    let shutdown = trustctl_proxy::config::Limits::default().shutdown.as_secs();
    assert!(seconds(&read("trustctl-proxy.service"), "TimeoutStopSec") > shutdown);
    assert!(seconds(&read("compose.yaml"), "stop_grace_period") > shutdown);
}

#[test]
fn in_the_composition_the_registry_is_behind_the_proxy() {
    let text = read("compose.yaml");
    let all = Yaml::load_from_str(&text).unwrap();
    let services = &all[0]["services"];
    let list = |node: &Yaml<'_>| -> Vec<String> {
        node.as_sequence().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let (registry, proxy) = (&services["registry"], &services["proxy"]);
    for service in [registry, proxy] {
        for port in list(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{port} is published to other machines");
        }
    }
    let shared: Vec<String> =
        list(&proxy["networks"]).into_iter().filter(|name| list(&registry["networks"]).contains(name)).collect();
    assert_eq!(shared, ["registry"]);
    assert_eq!(all[0]["networks"]["registry"]["internal"].as_bool(), Some(true));
    assert_eq!(proxy["read_only"].as_bool(), Some(true));
    assert_eq!(list(&proxy["cap_drop"]), ["ALL"]);
    assert!(registry["image"].as_str().unwrap().starts_with("${REGISTRY_IMAGE:?"), "no image is named by a tag that moves");
    // What is mounted is here, but for the key, which is the operator's.
    let mut mounted = 0;
    for volume in proxy["volumes"].as_sequence().unwrap() {
        if let Some(file) = volume.as_mapping_get("source").and_then(Yaml::as_str).and_then(|source| source.strip_prefix("./")) {
            assert!(file == "release.pub" || folder().join(file).exists(), "{file}");
            mounted += 1;
        }
    }
    assert_eq!(mounted, 3);
    // What it runs is what the image runs.
    let command = format!("{:?}", list(&proxy["command"]));
    assert!(read("Containerfile").contains(&format!("CMD {command}")), "{command}");
}

#[test]
fn docker_compose_takes_the_composition_with_an_image_of_a_registry_and_not_without() {
    let Some(compose) = Peer::DockerCompose.or_skip() else { return };
    let home = tempfile::tempdir().unwrap();
    let config = |image: &str| {
        let mut command = compose.command(home.path());
        command
            .env("REGISTRY_IMAGE", image)
            .arg("--file")
            .arg(folder().join("compose.yaml"))
            .args(["config", "--format", "json"]);
        run(&mut command, LIMIT).unwrap()
    };
    let refused = config("");
    assert!(!refused.success() && refused.output().contains("name an image of a registry by its digest"), "{}", refused.output());
    let image = format!("registry.example/registry@sha256:{}", "1".repeat(64));
    let ran = config(&image).ok().unwrap();
    // Whatever it does not know, it warns of.
    assert!(ran.stderr.trim().is_empty(), "{}", ran.stderr);
    let taken: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(taken["services"]["registry"]["image"], *image);
    let proxy = &taken["services"]["proxy"];
    assert_eq!((&proxy["read_only"], &proxy["stop_grace_period"]), (&true.into(), &"40s".into()), "{proxy:#}");
    for file in ["proxy.toml", "policy.toml", "release.pub"] {
        let source = folder().join(file).display().to_string();
        let mounts = proxy["volumes"].as_array().unwrap();
        assert!(mounts.iter().any(|mount| mount["source"] == *source && mount["read_only"] == true), "{file}: {proxy:#}");
    }
}

#[test]
fn the_image_runs_as_nobody_and_owns_its_state() {
    let text = read("Containerfile");
    let user = text.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(!user.starts_with('0') && user != "root", "{user}");
    let state = format!("COPY --chown={user} dist/state/ /var/lib/trustctl-proxy/");
    assert!(text.contains(&state), "a volume takes the owner of the folder in the image: {text}");
    let build = fs::read_to_string(folder().join("../static-build.sh")).unwrap();
    assert!(build.contains("mkdir -p dist/state"), "{build}");
}

#[test]
fn alerts_are_about_metrics_that_there_are() {
    let reference = fs::read_to_string(folder().join("../../docs/reference/metrics.md")).unwrap();
    let text = read("alerts.yaml");
    let rules = Yaml::load_from_str(&text).unwrap();
    let rules = rules[0]["groups"][0]["rules"].as_sequence().unwrap();
    assert!(rules.len() > 5);
    for rule in rules {
        let expression = rule["expr"].as_str().unwrap();
        let names =
            expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|name| name.starts_with("trustctl_"));
        let names: Vec<&str> = names.map(|name| name.strip_suffix("_bucket").unwrap_or(name)).collect();
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            assert!(reference.contains(&format!("| `{name}` |")), "{name} is not in the reference");
        }
    }
}

#[test]
fn the_program_takes_the_configuration_of_the_composition() {
    let home = tempfile::tempdir().unwrap();
    let user = User::new(home.path()).with("COSIGN_PASSWORD", "for the tests");
    for name in ["proxy.toml", "policy.toml"] {
        let text = read(name).replace("/var/lib/trustctl-proxy", home.path().join("state").to_str().unwrap());
        fs::write(home.path().join(name), text).unwrap();
    }
    for words in [&["key", "generate", "release"][..], &["key", "export", "release", "--public", "--to", "release.pub"]] {
        assert_eq!(user.json(words).unwrap().1, Some(0), "{words:?}");
    }
    let (report, exit) = user.json(&["proxy", "check", "--config", "proxy.toml"]).unwrap();
    assert_eq!(exit, Some(0), "{report:#}");
    let warned: Vec<&str> =
        report["warnings"].as_array().unwrap().iter().filter_map(|warning| warning["code"].as_str()).collect();
    assert_eq!(warned, ["TC0603"; 3], "plain HTTP within the composition, and nothing else: {report:#}");
}
