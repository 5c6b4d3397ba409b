//! Those who sign and verify with keys.

use std::fs;
use std::path::Path;

use trustctl_tests::image::{Image, Repository};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::Ran;
use trustctl_tests::registry::FerroRegistry;

use crate::{accepts, home, open_registry, ran, ran_in, refuses};

/// Makes the key pair `NAME.key`, `NAME.pub` in `home`.
fn cosign_key(cosign: &Program, home: &Path, name: &str) {
    accepts(cosign_ran(cosign, home, &["generate-key-pair", "--output-key-prefix", name]));
}

fn cosign_ran(cosign: &Program, home: &Path, arguments: &[&str]) -> Ran {
    let mut command = cosign.command(home);
    command.env("COSIGN_PASSWORD", "throw-away").args(arguments);
    ran(command)
}

#[test]
fn cosign2_verifies_its_signature_and_refuses_a_wrong_key() {
    let registry = open_registry(&need!(DockerRegistry));
    let cosign = need!(Cosign2);
    let home = home();
    let (good, bad) = (Repository::new(registry.address(), "demo/app"), Repository::new(registry.address(), "demo/other"));
    let digest = Image::tiny("hello").push(&good, "1").unwrap();
    Image::tiny("unsigned").push(&bad, "1").unwrap();
    cosign_key(&cosign, home.path(), "a");
    cosign_key(&cosign, home.path(), "b");
    let sign = ["sign", "--key", "a.key", "--tlog-upload=false", "--allow-http-registry", "-y"];
    accepts(cosign_ran(&cosign, home.path(), &[&sign[..], &[&good.at(&digest)]].concat()));
    let verify = |key: &str, image: &str| {
        let arguments = ["verify", "--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry", image];
        cosign_ran(&cosign, home.path(), &arguments)
    };
    accepts(verify("a.pub", &good.tagged("1")));
    refuses(&verify("b.pub", &good.tagged("1")), "invalid signature");
    refuses(&verify("a.pub", &bad.tagged("1")), "no signatures found");
}

#[test]
fn cosign3_verifies_its_bundle_and_refuses_a_wrong_key() {
    let registry = FerroRegistry::start(&need!(FerroOciServer)).unwrap();
    let cosign = need!(Cosign3);
    let home = home();
    let (good, bad) = (Repository::new(registry.address(), "demo/app"), Repository::new(registry.address(), "demo/other"));
    let digest = Image::tiny("hello").push(&good, "1").unwrap();
    Image::tiny("unsigned").push(&bad, "1").unwrap();
    cosign_key(&cosign, home.path(), "a");
    cosign_key(&cosign, home.path(), "b");
    // A signing configuration without services: nothing is asked of anyone outside.
    accepts(cosign_ran(&cosign, home.path(), &["signing-config", "create", "--out", "empty.json"]));
    let sign = ["sign", "--key", "a.key", "--signing-config", "empty.json", "--allow-http-registry", "-y"];
    accepts(cosign_ran(&cosign, home.path(), &[&sign[..], &[&good.at(&digest)]].concat()));
    let verify = |key: &str, image: &str| {
        let arguments = ["verify", "--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry", image];
        cosign_ran(&cosign, home.path(), &arguments)
    };
    accepts(verify("a.pub", &good.tagged("1")));
    refuses(&verify("b.pub", &good.tagged("1")), "signature");
    refuses(&verify("a.pub", &bad.tagged("1")), "no signatures found");
}

#[test]
fn skopeo_sid_verifies_a_signature_and_refuses_a_wrong_key() {
    let registry = open_registry(&need!(DockerRegistry));
    let (skopeo, cosign) = (need!(SkopeoSid), need!(Cosign3));
    let home = home();
    let repository = Repository::new(registry.address(), "demo/app");
    Image::tiny("hello").push(&repository, "1").unwrap();
    cosign_key(&cosign, home.path(), "a");
    cosign_key(&cosign, home.path(), "b");
    fs::create_dir(home.path().join("d")).unwrap();
    let attachments = format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", registry.address());
    fs::write(home.path().join("d/x.yaml"), attachments).unwrap();
    fs::write(home.path().join("passphrase"), "throw-away").unwrap();
    let policy = |name: &str| {
        let key = home.path().join(format!("{name}.pub"));
        let requirement =
            serde_json::json!({"type": "sigstoreSigned", "keyPath": key, "signedIdentity": {"type": "matchRepository"}});
        fs::write(home.path().join(format!("{name}.json")), serde_json::json!({"default": [requirement]}).to_string()).unwrap();
        format!("{name}.json")
    };
    let (from, to) = (format!("docker://{}", repository.tagged("1")), format!("docker://{}", repository.tagged("signed")));
    let plain = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let sign = ["--insecure-policy", "--registries.d", "d"];
    let keys = ["--sign-by-sigstore-private-key", "a.key", "--sign-passphrase-file", "passphrase"];
    let verify = |key: &str, image: &str, out: &str| {
        let arguments = ["--registries.d", "d", "--policy", &policy(key), "copy", "--src-tls-verify=false", image, out];
        ran_in(home.path(), &skopeo, &arguments)
    };
    refuses(&verify("a", &from, "dir:out0"), "signature was required");
    accepts(ran_in(home.path(), &skopeo, &[&sign[..], &plain[..], &keys[..], &[&from, &to]].concat()));
    accepts(verify("a", &to, "dir:out1"));
    refuses(&verify("b", &to, "dir:out2"), "signature verification failed");
}
