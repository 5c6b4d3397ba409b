//! Other clients of a registry.

use trustctl_tests::image::{Image, Repository};
use trustctl_tests::peers::Peer;
use trustctl_tests::registry::FerroRegistry;

use crate::{accepts, home, open_registry, ran, ran_in, refuses};

#[test]
fn crane_finds_a_digest_and_refuses_an_unknown_tag() {
    let registry = open_registry(&need!(DockerRegistry));
    let crane = need!(Crane);
    let repository = Repository::new(registry.address(), "demo/app");
    let digest = Image::tiny("hello").push(&repository, "1").unwrap();
    let home = home();
    let found = accepts(ran_in(home.path(), &crane, &["digest", "--insecure", &repository.tagged("1")]));
    assert_eq!(found.stdout.trim(), digest);
    refuses(&ran_in(home.path(), &crane, &["digest", "--insecure", &repository.tagged("2")]), "404");
}

#[test]
fn oras_resolves_a_tag_and_refuses_an_unknown_one() {
    let registry = FerroRegistry::start(&need!(FerroOciServer)).unwrap();
    let oras = need!(Oras);
    let repository = Repository::new(registry.address(), "demo/app");
    let digest = Image::tiny("hello").push(&repository, "1").unwrap();
    let home = home();
    let found = accepts(ran_in(home.path(), &oras, &["resolve", "--plain-http", &repository.tagged("1")]));
    assert_eq!(found.stdout.trim(), digest);
    refuses(&ran_in(home.path(), &oras, &["resolve", "--plain-http", &repository.tagged("2")]), "not found");
}

#[test]
fn umoci_makes_an_image_without_a_media_type_and_refuses_an_unknown_tag() {
    let umoci = need!(Umoci);
    let home = home();
    accepts(ran_in(home.path(), &umoci, &["init", "--layout", "layout"]));
    accepts(ran_in(home.path(), &umoci, &["new", "--image", "layout:1"]));
    accepts(ran_in(home.path(), &umoci, &["stat", "--image", "layout:1"]));
    refuses(&ran_in(home.path(), &umoci, &["stat", "--image", "layout:2"]), "2");
}

#[test]
fn buildah_pushes_an_image_and_refuses_an_unknown_one() {
    let registry = open_registry(&need!(DockerRegistry));
    let buildah = need!(Buildah);
    let home = home();
    let at = |arguments: &[&str]| {
        let mut command = buildah.command(home.path());
        command.env("STORAGE_DRIVER", "vfs").env("BUILDAH_ISOLATION", "chroot");
        command.args(["--root", "root", "--runroot", "run"]).args(arguments);
        ran(command)
    };
    let container = accepts(at(&["from", "scratch"])).stdout.trim().to_owned();
    accepts(at(&["commit", &container, "made"]));
    let repository = Repository::new(registry.address(), "demo/built");
    let target = format!("docker://{}", repository.tagged("1"));
    accepts(at(&["push", "--tls-verify=false", "made", &target]));
    assert_eq!(repository.ask("GET", "manifests/1").unwrap().status, 200);
    refuses(&at(&["push", "--tls-verify=false", "nothing", &target]), "nothing");
}
