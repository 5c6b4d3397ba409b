//! Both cosigns, where `lab_sigstore.rs`, `keyless_signing/` and `blobs.rs` do not have them yet: indexes with their images, signature tags by
//! cosign 3, and files by cosign 2.

use serde_json::Value;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_tests::peers::Program;
use trustctl_tests::process::Ran;

use super::stage::{LOGS, STRANGER, Stage, accepts, denies};

const DEVELOPER: &str = "dev@example.test";

/// A name by digest of the index and of each image that it names.
fn images(stage: &Stage) -> Vec<String> {
    let (_, index) = stage.world.registry().manifest("shop/cart", &stage.digest.to_string()).unwrap();
    let index: Value = serde_json::from_slice(&index.bytes).unwrap();
    let children = index.pointer("/manifests").and_then(Value::as_array).unwrap().iter();
    let children = children.filter_map(|child| child.get("digest").and_then(Value::as_str));
    let name = stage.world.name("shop/cart");
    let images: Vec<String> = std::iter::once(stage.image()).chain(children.map(|digest| format!("{name}@{digest}"))).collect();
    assert!(images.len() > 2, "an index over several images: {images:?}");
    images
}

fn sign_recursively(cosign: &Program, stage: &Stage, how: &[&str]) {
    let (root, token, image) = (stage.shared("trusted_root.json"), stage.token(&Claims::email(DEVELOPER)), stage.image());
    let words = ["sign", "--recursive", "--trusted-root", &root, "--identity-token", &token, "--allow-http-registry", "-y"];
    accepts(stage.run(cosign, &[&words[..], how, &[&image]].concat(), &[]));
}

#[track_caller]
fn trustctl_trusts_all(stage: &Stage) {
    for image in images(stage) {
        assert_eq!(stage.judged_image(&image, STRANGER).0, Some(1), "{image}: another identity");
        assert_eq!(stage.judged_image(&image, DEVELOPER).0, Some(0), "{image}");
    }
}

#[test]
fn an_index_that_cosign_3_signed_recursively_is_trusted_with_its_images() {
    let cosign = need!(Cosign3);
    for log in LOGS {
        let stage = Stage::new();
        sign_recursively(&cosign, &stage, &["--signing-config", &stage.config(log)]);
        trustctl_trusts_all(&stage);
    }
    let stage = Stage::new();
    let lab = stage.world.sigstore();
    let (fulcio, rekor, issuer) = (lab.fulcio().url(), lab.rekor().url(), stage.issuer());
    let services = ["--fulcio-url", &fulcio, "--rekor-url", &rekor, "--oidc-issuer", &issuer];
    sign_recursively(&cosign, &stage, &[&["--use-signing-config=false", "--new-bundle-format=false"], &services[..]].concat());
    assert!(stage.bundles().is_empty(), "signature tags only");
    trustctl_trusts_all(&stage);
}

fn verify(cosign: &Program, stage: &Stage, image: &str, identity: &str, how: &[&str]) -> Ran {
    let issuer = stage.issuer();
    let words = ["verify", "--certificate-identity", identity, "--certificate-oidc-issuer", &issuer, "--allow-http-registry"];
    stage.run(cosign, &[&words[..], how, &[image]].concat(), &stage.world.sigstore_environment())
}

/// In both storages; bundles with either log.
#[test]
fn an_index_that_trustctl_signed_is_accepted_with_its_images_by_both_cosigns() {
    let three = need!(Cosign3);
    for (log, storage) in [(LogVersion::V1, "both"), (LogVersion::V2, "bundle")] {
        let stage = Stage::new();
        stage.sign_image(&stage.config(log), &Claims::email(DEVELOPER), &["--storage", storage]);
        let root = stage.shared("trusted_root.json");
        for image in images(&stage) {
            let bundle = ["--trusted-root", &root, "--use-signed-timestamps"];
            denies(&verify(&three, &stage, &image, STRANGER, &bundle), "certificate identity");
            accepts(verify(&three, &stage, &image, DEVELOPER, &bundle));
        }
        if storage == "both" {
            signature_tags_are_accepted(&three, &stage, &["--trusted-root", &root, "--new-bundle-format=false"]);
            let rekor = stage.world.sigstore().rekor().url();
            signature_tags_are_accepted(&need!(Cosign2), &stage, &["--rekor-url", &rekor]);
        }
    }
}

#[track_caller]
fn signature_tags_are_accepted(cosign: &Program, stage: &Stage, how: &[&str]) {
    for image in images(stage) {
        denies(&verify(cosign, stage, &image, STRANGER, how), "none of the expected identities matched");
        accepts(verify(cosign, stage, &image, DEVELOPER, how));
    }
}

/// Cosign 2 reads bundles with an entry of Rekor v1, by the log's own time, and takes no entry whose index is zero.
#[test]
fn cosign_2_and_trustctl_accept_each_others_files() {
    let cosign = need!(Cosign2);
    let stage = Stage::new();
    let (root, identity, issuer) = (stage.shared("trusted_root.json"), Stage::claims().identity(), stage.issuer());
    stage.sign_blob(&stage.config(LogVersion::V1), "first.json");
    stage.sign_blob(&stage.config(LogVersion::V1), "ours.json");
    let verify = |file: &str, identity: &str| {
        let words = ["verify-blob", "--new-bundle-format", "--bundle", "ours.json", "--trusted-root", &root];
        let whom = ["--certificate-identity", identity, "--certificate-oidc-issuer", &issuer, file];
        stage.run(&cosign, &[&words[..], &whom].concat(), &stage.world.sigstore_environment())
    };
    denies(&verify("release", STRANGER), "no matching CertificateIdentity found");
    denies(&verify("another", &identity), "failed to verify signature");
    accepts(verify("release", &identity));

    let lab = stage.world.sigstore();
    let (fulcio, rekor, token) =
        (lab.fulcio().url(), lab.rekor().url(), std::fs::read_to_string(stage.token(&Stage::claims())).unwrap());
    for (bundle, form) in [("old.json", "--new-bundle-format=false"), ("new.json", "--new-bundle-format")] {
        let sign =
            ["sign-blob", "--fulcio-url", &fulcio, "--rekor-url", &rekor, "--oidc-issuer", &issuer, "--identity-token", &token];
        let words = [&sign[..], &["--bundle", bundle, form, "-y", "release"]].concat();
        accepts(stage.run(&cosign, &words, &stage.world.sigstore_environment()));
        let judged = |file: &str, identity: &str| stage.judged((file, bundle), identity, &issuer, &[]);
        assert_eq!(judged("release", STRANGER), (Some(1), "TC0312".to_owned()), "{bundle}");
        assert_eq!(judged("another", &identity).0, Some(1), "{bundle}");
        assert_eq!(judged("release", &identity).0, Some(0), "{bundle}");
    }
}
