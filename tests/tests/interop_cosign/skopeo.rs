//! skopeo, which knows `.sig` tags and policies of its own.

use std::time::Duration;

use serde_json::json;
use trustctl_tests::image::Image;
use trustctl_tests::peers::Program;
use trustctl_tests::process::{Ran, run};
use trustctl_tests::registry::{DebianRegistry, Options};

use crate::stage::{PASSPHRASE, Stage, accepts, denies, repository};

fn skopeo(program: &Program, stage: &Stage, words: &[&str]) -> Ran {
    let mut command = program.command(stage.home());
    command.args(["--registries.d", "d"]).args(words);
    run(&mut command, Duration::from_secs(60)).unwrap()
}

/// Copies the image into a folder, as a policy demands that trusts `KEY.pub`.
fn pull(program: &Program, stage: &Stage, key: &str, image: &str) -> Ran {
    let requirement = json!({
        "type": "sigstoreSigned", "keyPath": stage.home().join(format!("{key}.pub")), "signedIdentity": {"type": "matchRepository"},
    });
    stage.write("policy.json", &json!({"default": [requirement]}).to_string());
    let words = ["--policy", "policy.json", "copy", "--src-tls-verify=false", &format!("docker://{image}"), "dir:out"];
    skopeo(program, stage, &words)
}

#[test]
fn skopeo_and_trustctl_accept_each_others_signatures() {
    let program = need!(SkopeoSid);
    let registry = DebianRegistry::start(&need!(DockerRegistry), &Options::default()).unwrap();
    let stage = Stage::new();
    stage.key("own");
    stage.key("other");
    std::fs::create_dir(stage.home().join("d")).unwrap();
    let attachments = format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", registry.address());
    stage.write("d/x.yaml", &attachments);
    stage.write("passphrase", PASSPHRASE);

    let ours = repository(&registry.address(), "ours");
    let digest = Image::tiny("hello").push(&ours, "1").unwrap();
    let image = ours.tagged("1");
    denies(&pull(&program, &stage, "own", &image), "signature was required");
    for storage in ["legacy", "both"] {
        stage.done(&["sign", &ours.at(&digest), "--key", "own.key", "--storage", storage, "-a", "env=prod"]);
        accepts(pull(&program, &stage, "own", &image));
    }
    denies(&pull(&program, &stage, "other", &image), "signature verification failed");

    let theirs = repository(&registry.address(), "theirs");
    let to = format!("docker://{}", theirs.tagged("1"));
    let from = format!("docker://{image}");
    let plain = ["--insecure-policy", "copy", "--remove-signatures", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let keys = ["--sign-by-sigstore-private-key", "own.key", "--sign-passphrase-file", "passphrase", &from, &to];
    accepts(skopeo(&program, &stage, &[&plain[..], &keys[..]].concat()));
    stage.trusts(&theirs.tagged("1"), "own.pub");
    stage.refuses(&theirs.tagged("1"), "other.pub", (1, "TC0302"));
}
