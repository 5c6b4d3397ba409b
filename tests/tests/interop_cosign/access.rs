//! Registries that ask who is there: TLS, basic and token access, and where credentials come from.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;
use trustctl_tests::image::{Image, Repository};
use trustctl_tests::registry::{Access, DebianRegistry, Options};
use trustctl_tests::tokens::{PASSWORD, USER, basic};

use crate::stage::Stage;

/// Logs the user in as `docker login` would.
fn login(stage: &Stage, address: &str, password: &str) {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
    std::fs::create_dir_all(stage.home().join(".docker")).unwrap();
    stage.write(".docker/config.json", &json!({"auths": {address: {"auth": auth}}}).to_string());
}

/// Names a helper program for the registry, which is this shell script.
fn helper(stage: &Stage, address: &str, script: &str) -> String {
    std::fs::create_dir_all(stage.home().join(".docker")).unwrap();
    std::fs::create_dir_all(stage.home().join("bin")).unwrap();
    stage.write(".docker/config.json", &json!({"credHelpers": {address: "test"}}).to_string());
    stage.write("bin/docker-credential-test", &format!("#!/bin/sh\n{script}\n"));
    let program = stage.home().join("bin/docker-credential-test");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", stage.home().join("bin").display(), std::env::var("PATH").unwrap_or_default())
}

/// Signs, verifies and revokes as a user who is let in.
fn whole_story(stage: &Stage, image: &str) {
    stage.refuses(image, "own.pub", (3, "TC0301"));
    stage.done(&["sign", image, "--key", "own.key", "--storage", "both"]);
    stage.trusts(image, "own.pub");
    let why = ["--reason", "mistake", "--message", "wrong branch", "--yes"];
    stage.done(&[&["revoke", image, "--key", "own.key"], &why[..]].concat());
    stage.refuses(image, "own.pub", (1, "TC0309"));
}

/// Pushes an image to a registry of the test user's, which speaks plain HTTP.
fn pushed(address: &str, authorization: &str) -> String {
    let repository = Repository::new(address, "demo/app").authorized(authorization);
    let digest = Image::tiny("hello").push(&repository, "1").unwrap();
    repository.at(&digest)
}

#[test]
fn basic_access_works_with_dockers_login_and_tells_missing_from_wrong() {
    let registry = DebianRegistry::start(&need!(DockerRegistry), &Options { access: Access::Basic, tls: false }).unwrap();
    let stage = Stage::new();
    stage.key("own");
    let image = pushed(&registry.address(), &basic());
    let sign = ["sign", &image, "--key", "own.key"];
    let verify = ["verify", &image, "--key", "own.pub"];
    for words in [&sign[..], &verify[..]] {
        stage.ends(words, 5, "TC0509");
    }
    login(&stage, &registry.address(), "wrong");
    for words in [&sign[..], &verify[..]] {
        let report = stage.ends(words, 5, "TC0402");
        assert!(
            !report.to_string().contains("d3Jvbmc") && !report.to_string().contains("wrong\""),
            "no secret is told: {report}"
        );
    }
    login(&stage, &registry.address(), PASSWORD);
    whole_story(&stage, &image);
}

#[test]
fn a_credential_helper_is_asked_and_its_failure_is_its_own() {
    let registry = DebianRegistry::start(&need!(DockerRegistry), &Options { access: Access::Basic, tls: false }).unwrap();
    let mut stage = Stage::new();
    stage.key("own");
    let image = pushed(&registry.address(), &basic());
    let path = helper(&stage, &registry.address(), "echo the vault is locked; exit 1");
    stage.user = stage.user.clone().with("PATH", path);
    let report = stage.refuses(&image, "own.pub", (5, "TC0510"));
    assert!(report.to_string().contains("docker-credential-test"), "{report}");
    let answer = json!({"ServerURL": registry.address(), "Username": USER, "Secret": PASSWORD});
    helper(&stage, &registry.address(), &format!("read server; test \"$1\" = get && echo '{answer}'"));
    whole_story(&stage, &image);
}

#[test]
fn token_access_lets_everybody_verify_and_the_user_sign() {
    let registry = DebianRegistry::start(&need!(DockerRegistry), &Options { access: Access::Token, tls: false }).unwrap();
    let stage = Stage::new();
    stage.key("own");
    let token = token(&registry);
    let image = pushed(&registry.address(), &format!("Bearer {token}"));
    stage.refuses(&image, "own.pub", (3, "TC0301"));
    let (report, exit) = stage.user.json(&["sign", &image, "--key", "own.key"]).unwrap();
    assert_eq!(exit, Some(5), "anonymous callers are given no token to push with: {report}");
    login(&stage, &registry.address(), "wrong");
    stage.ends(&["sign", &image, "--key", "own.key"], 5, "TC0402");
    login(&stage, &registry.address(), PASSWORD);
    whole_story(&stage, &image);
}

/// A token of the test user's for the test repository.
fn token(registry: &DebianRegistry) -> String {
    use trustctl_tests::http::Request;
    let realm = registry.tokens().unwrap().realm();
    let address = realm.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let target = format!("/token?service={}&scope=repository:demo/app:pull,push", trustctl_tests::tokens::SERVICE);
    let answer = Request::new("GET", &target).header("Authorization", basic()).send(&address).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    answer["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_registry_with_tls_is_believed_by_its_authority_alone() {
    let program = need!(DockerRegistry);
    let skopeo = need!(SkopeoSid);
    let plain = DebianRegistry::start(&program, &Options::default()).unwrap();
    let registry = DebianRegistry::start(&program, &Options { access: Access::Open, tls: true }).unwrap();
    let authority = registry.authority().unwrap();
    let source = Repository::new(plain.address(), "demo/app");
    let digest = Image::tiny("hello").push(&source, "1").unwrap();
    let stage = Stage::new();
    stage.key("own");
    let mut copy = skopeo.command(stage.home());
    copy.args(["--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    copy.args([format!("docker://{}", source.tagged("1")), format!("docker://{}/demo/app:1", registry.address())]);
    crate::stage::accepts(trustctl_tests::process::run(&mut copy, std::time::Duration::from_secs(60)).unwrap());
    let image = format!("{}/demo/app@{digest}", registry.address());

    stage.refuses(&image, "own.pub", (4, "TC0401"));
    let mut trusting = Stage::new();
    trusting.key("own");
    trusting.user = trusting.user.clone().with("SSL_CERT_FILE", authority.display().to_string());
    whole_story(&trusting, &image);
    install(&stage, &registry.address(), authority);
    // What the other user left there, a revocation by a key that does not count here, is no reason to trust.
    stage.refuses(&image, "own.pub", (1, "TC0302"));
    stage.done(&["sign", &image, "--key", "own.key"]);
    stage.trusts(&image, "own.pub");
}

/// Puts the authority where Docker's clients look for it.
fn install(stage: &Stage, address: &str, authority: &Path) {
    let folder = stage.home().join(".docker/certs.d").join(address);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(authority, folder.join("ca.crt")).unwrap();
}
