//! Registries: docker-registry in all its modes, and one with the referrers API.

use std::fs;

use trustctl_tests::image::{Image, Index, Repository};
use trustctl_tests::peers::Peer;
use trustctl_tests::registry::{Access, DebianRegistry, FerroRegistry, Options};
use trustctl_tests::tokens::{PASSWORD, USER, basic};

use crate::{accepts, home, open_registry, ran_in, refuses};

fn refuses_a_wrong_digest(repository: &Repository) {
    // Its blobs are there: nothing but the digest can be wrong.
    let known = Image::tiny("known");
    known.push(repository, "known").unwrap();
    let refusal = repository.push_manifest(&known.manifest, &Image::tiny("other").digest());
    let refusal = refusal.unwrap_err().to_string();
    assert!(refusal.contains("status 400") && refusal.contains("DIGEST_INVALID"), "{refusal}");
}

#[test]
fn docker_registry_serves_what_was_pushed_and_has_no_referrers() {
    let registry = open_registry(&need!(DockerRegistry));
    let repository = Repository::new(registry.address(), "demo/app");
    let index = Index::two_architectures("hello");
    let digest = index.push(&repository, "1.0").unwrap();
    assert_eq!(repository.ask("GET", "manifests/1.0").unwrap().body, index.manifest.bytes);
    assert_eq!(repository.ask("GET", &format!("referrers/{digest}")).unwrap().status, 404);
    assert_eq!(repository.ask("DELETE", &format!("manifests/{digest}")).unwrap().status, 202);
    assert_eq!(repository.ask("GET", "manifests/1.0").unwrap().status, 404);
    refuses_a_wrong_digest(&repository);
}

#[test]
fn docker_registry_with_basic_access_refuses_strangers() {
    let options = Options { access: Access::Basic, tls: false };
    let registry = DebianRegistry::start(&need!(DockerRegistry), &options).unwrap();
    let stranger = Repository::new(registry.address(), "demo/app");
    let refusal = Image::tiny("x").push(&stranger, "1").unwrap_err().to_string();
    assert!(refusal.contains("401"), "{refusal}");
    assert_eq!(stranger.ask("GET", "manifests/1").unwrap().status, 401);
    let known = stranger.authorized(basic());
    Image::tiny("x").push(&known, "1").unwrap();
    assert_eq!(known.ask("GET", "manifests/1").unwrap().status, 200);
}

#[test]
fn docker_registry_with_tokens_lets_strangers_pull_only() {
    let options = Options { access: Access::Token, tls: false };
    let registry = DebianRegistry::start(&need!(DockerRegistry), &options).unwrap();
    let skopeo = need!(Skopeo);
    let home = home();
    let layout = format!("oci:{}:1", home.path().join("layout").display());
    let remote = format!("docker://{}/demo/app:1", registry.address());
    let source = open_registry(&need!(DockerRegistry));
    let image = Repository::new(source.address(), "a");
    Image::tiny("x").push(&image, "1").unwrap();
    let from = format!("docker://{}", image.tagged("1"));
    let copy = ["copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    accepts(ran_in(home.path(), &skopeo, &[&copy[..], &[&from, &layout]].concat()));
    refuses(&ran_in(home.path(), &skopeo, &[&copy[..], &[&layout, &remote]].concat()), "denied");
    let user = format!("{USER}:{PASSWORD}");
    accepts(ran_in(home.path(), &skopeo, &[&copy[..], &["--dest-creds", &user, &layout, &remote]].concat()));
    let back = format!("oci:{}:1", home.path().join("back").display());
    accepts(ran_in(home.path(), &skopeo, &[&copy[..], &[&remote, &back]].concat()));
}

#[test]
fn docker_registry_with_tls_is_trusted_only_with_its_authority() {
    let options = Options { access: Access::Open, tls: true };
    let registry = DebianRegistry::start(&need!(DockerRegistry), &options).unwrap();
    let skopeo = need!(Skopeo);
    let home = home();
    let certificates = home.path().join("certs");
    fs::create_dir(&certificates).unwrap();
    fs::copy(registry.authority().unwrap(), certificates.join("ca.crt")).unwrap();
    let tags = format!("docker://{}/demo/app", registry.address());
    refuses(&ran_in(home.path(), &skopeo, &["list-tags", &tags]), "unknown authority");
    let folder = certificates.display().to_string();
    // Trusted now: the registry itself answers that there is no such repository.
    let ran = ran_in(home.path(), &skopeo, &["list-tags", "--cert-dir", &folder, &tags]);
    refuses(&ran, "404");
}

#[test]
fn ferro_registry_lists_referrers_and_refuses_a_wrong_digest() {
    let registry = FerroRegistry::start(&need!(FerroOciServer)).unwrap();
    let repository = Repository::new(registry.address(), "demo/app");
    let image = Image::tiny("hello");
    let digest = image.push(&repository, "1.0").unwrap();
    let mut signature = Image::tiny("signature");
    let mut manifest: serde_json::Value = serde_json::from_slice(&signature.manifest.bytes).unwrap();
    manifest["subject"] = image.manifest.descriptor();
    signature.manifest.bytes = manifest.to_string().into_bytes();
    signature.push(&repository, &signature.digest()).unwrap();
    let referrers = repository.ask("GET", &format!("referrers/{digest}")).unwrap();
    assert_eq!(referrers.status, 200);
    assert!(String::from_utf8(referrers.body).unwrap().contains(&signature.digest()));
    refuses_a_wrong_digest(&repository);
}
