//! The pull part of the distribution specification: our proxy holds to it, and registries that others wrote prove that the checks are right.
//!
//! The checks themselves are a table: see `trustctl_tests::distribution`.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::io::Write as _;

use tempfile::TempDir;
use trustctl_lab::access::Access;
use trustctl_lab::registry::{LabRegistry, RegistryOptions};
use trustctl_tests::distribution::material::Material;
use trustctl_tests::distribution::run::Target;
use trustctl_tests::distribution::{Check, Peer, checks};
use trustctl_tests::http::Request;
use trustctl_tests::peers;
use trustctl_tests::process::{Ready, Server};
use trustctl_tests::program::User;
use trustctl_tests::registry::{DebianRegistry, FerroRegistry, Options};

/// What clients pull before they ask for what is in it.
const NAMES: [&str; 4] = ["app/manifests/oci", "app/manifests/docker", "app/manifests/multi", "many/manifests/a"];
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json";

/// A proxy that allows everything, in front of the registry at `HOST:PORT`.
struct Proxy {
    server: Server,
    _home: TempDir,
}

impl Proxy {
    fn start(registry: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
        write("policy.toml", "version = 1\ndefault = \"allow\"\n");
        let user = User::new(home.path());
        let server = Server::start("proxy", home.path(), &Ready::Http("/v2/".to_owned()), |port| {
            let config = format!(
                "version = 1\npolicy = \"policy.toml\"\nstate = \"state\"\n[[listen]]\naddress = \"127.0.0.1:{port}\"\n\
                 [[upstreams]]\nregistry = \"{registry}\"\ndefault = true\n"
            );
            write("proxy.toml", &config);
            Ok(user.command(&["proxy", "run", "--config", "proxy.toml"]))
        });
        let proxy = Self { server: server.unwrap(), _home: home };
        for name in NAMES {
            let request = Request::new("GET", &format!("/v2/conform/{name}")).header("Accept", ACCEPT);
            assert_eq!(request.send(&proxy.server.address()).unwrap().status, 200, "{name}");
        }
        proxy
    }
}

fn say(line: &str) {
    // To the stream itself: the test runner keeps what the print macros write to itself.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Holds a server to all of these checks, without exception.
fn passes_all(name: &str, target: Target<'_>) {
    let failed: Vec<String> = checks()
        .filter_map(|check| target.passes(check).err().map(|why| format!("{} ({}): {why}", check.id, check.fact)))
        .collect();
    assert!(failed.is_empty(), "{name} fails {} of {}:\n{}", failed.len(), checks().count(), failed.join("\n"));
    say(&format!("conformance: {name} passes {} of {} checks", checks().count(), checks().count()));
}

/// Holds a registry that others wrote to these checks; where it is known to do otherwise, it must do so.
fn proves(name: &str, peer: Peer, target: Target<'_>, wanted: impl Fn(&Check) -> bool) {
    let (mut passed, mut otherwise, mut wrong) = (0, 0, Vec::new());
    for check in checks().filter(|check| wanted(check)) {
        match (target.passes(check), check.deviation(peer)) {
            (Ok(()), None) => passed += 1,
            (Err(_), Some(_)) => otherwise += 1,
            (Ok(()), Some(why)) => wrong.push(format!("{} passes, although: {why}", check.id)),
            (Err(why), None) => wrong.push(format!("{} ({}): {why}", check.id, check.fact)),
        }
    }
    assert!(wrong.is_empty(), "{name} is not as the checks say:\n{}", wrong.join("\n"));
    say(&format!("conformance: {name} passes {passed} checks, and does otherwise in {otherwise} that name it"));
}

#[test]
fn the_proxy_holds_to_it_in_front_of_a_registry_with_referrers() {
    let lab = LabRegistry::start(RegistryOptions { access: Access::Open, ..RegistryOptions::default() }).unwrap();
    let material = Material::new();
    material.push(&lab.host(), false).unwrap();
    let proxy = Proxy::start(&lab.host());
    passes_all("the proxy before the lab", Target { address: &proxy.server.address(), material: &material });
}

#[test]
fn the_proxy_holds_to_it_in_front_of_docker_registry() {
    let Some(program) = peers::Peer::DockerRegistry.or_skip() else { return };
    let registry = DebianRegistry::start(&program, &Options::default()).unwrap();
    let material = Material::new();
    material.push(&registry.address(), true).unwrap();
    let proxy = Proxy::start(&registry.address());
    passes_all("the proxy before docker-registry", Target { address: &proxy.server.address(), material: &material });
}

#[test]
fn docker_registry_proves_the_checks() {
    let Some(program) = peers::Peer::DockerRegistry.or_skip() else { return };
    let registry = DebianRegistry::start(&program, &Options::default()).unwrap();
    let material = Material::new();
    material.push(&registry.address(), false).unwrap();
    let target = Target { address: &registry.address(), material: &material };
    proves("docker-registry", Peer::DockerRegistry, target, |_| true);
}

#[test]
fn ferro_oci_server_proves_the_checks_of_lists() {
    let Some(program) = peers::Peer::FerroOciServer.or_skip() else { return };
    let registry = FerroRegistry::start(&program).unwrap();
    let material = Material::new();
    material.push(&registry.address(), false).unwrap();
    let target = Target { address: &registry.address(), material: &material };
    proves("ferro-oci-server", Peer::Ferro, target, Check::is_about_lists);
}
