//! skopeo, which verifies `.sig` tags by certificate under a policy of its own.

use serde_json::json;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_tests::peers::Program;
use trustctl_tests::process::Ran;

use super::stage::{Stage, accepts, denies};

const DEVELOPER: &str = "dev@example.test";

/// Copies the image into a folder, as a policy demands that trusts this address by the lab's Fulcio and Rekor.
fn pull(program: &Program, stage: &Stage, address: &str) -> Ran {
    let requirement = json!({
        "type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"}, "rekorPublicKeyPath": stage.shared("rekor.pub"),
        "fulcio": {"caPath": stage.shared("fulcio-chain.pem"), "oidcIssuer": stage.issuer(), "subjectEmail": address},
    });
    stage.write("policy.json", &json!({"default": [requirement]}).to_string());
    let from = format!("docker://{}", stage.image());
    let words = ["--registries.d", "d", "--policy", "policy.json", "copy", "--all", "--src-tls-verify=false", &from, "dir:out"];
    stage.run(program, &words, &[])
}

#[test]
fn skopeo_takes_signature_tags_by_identity() {
    let program = need!(SkopeoSid);
    let stage = Stage::new();
    std::fs::create_dir(stage.path("d")).unwrap();
    stage.write("d/lab.yaml", "default-docker:\n  use-sigstore-attachments: true\n");
    denies(&pull(&program, &stage, DEVELOPER), "A signature was required, but no signature exists");
    stage.sign_image(&stage.config(LogVersion::V1), &Claims::email(DEVELOPER), &["--storage", "legacy"]);
    denies(&pull(&program, &stage, "other@example.test"), "Required email");
    accepts(pull(&program, &stage, DEVELOPER));
}
