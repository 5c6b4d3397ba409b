//! What is signed in each storage and with each log, and who accepts it.

use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_tests::peers::Peer;

use super::stage::{DEVELOPER, STRANGER, Stage, denies};

#[test]
fn a_bundle_with_rekor_v1_is_accepted_by_cosign3() {
    let stage = Stage::new();
    assert_eq!(stage.judged(DEVELOPER), Some(3), "nobody has signed yet");
    let report = stage.sign(LogVersion::V1, &[]);
    assert_eq!(report["results"][0]["identity"]["identity"], DEVELOPER);
    assert_eq!(report["results"][0]["done"], "signed");
    stage.is_signed_by(DEVELOPER);
    assert_eq!((stage.certificates(), stage.entries(LogVersion::V1)), (1, 1));
    let Some(cosign) = Peer::Cosign3.or_skip() else { return };
    denies(&stage.cosign3(&cosign, STRANGER, &[]), "certificate identity");
    stage.cosign3(&cosign, DEVELOPER, &["--use-signed-timestamps"]).ok().unwrap();
}

#[test]
fn a_bundle_with_rekor_v2_and_a_timestamp_is_accepted_by_cosign3() {
    let stage = Stage::new();
    let claims = Claims::github("acme/shop", "refs/tags/v1.4");
    let token = stage.token(&claims);
    stage.done(&stage.words(LogVersion::V2, &["--identity-token", &token]));
    stage.is_signed_by(&claims.identity());
    assert_eq!((stage.entries(LogVersion::V1), stage.entries(LogVersion::V2)), (0, 1));
    let Some(cosign) = Peer::Cosign3.or_skip() else { return };
    denies(&stage.cosign3(&cosign, STRANGER, &["--use-signed-timestamps"]), "certificate identity");
    stage.cosign3(&cosign, &claims.identity(), &["--use-signed-timestamps"]).ok().unwrap();
}

#[test]
fn a_signature_tag_is_accepted_by_both_cosigns() {
    let stage = Stage::new();
    stage.sign(LogVersion::V1, &["--storage", "legacy"]);
    stage.is_signed_by(DEVELOPER);
    if let Some(cosign) = Peer::Cosign3.or_skip() {
        let legacy = ["--new-bundle-format=false"];
        denies(&stage.cosign3(&cosign, STRANGER, &legacy), "none of the expected identities matched");
        stage.cosign3(&cosign, DEVELOPER, &legacy).ok().unwrap();
    }
    let Some(cosign) = Peer::Cosign2.or_skip() else { return };
    let (environment, image) = (stage.world.sigstore_environment(), stage.image());
    let (rekor, issuer) = (stage.world.sigstore().rekor().url(), stage.issuer());
    let verify = |identity: &str| {
        let words = ["verify", "--rekor-url", &rekor, "--certificate-identity", identity, "--certificate-oidc-issuer", &issuer];
        stage.run(&cosign, &[&words[..], &["--allow-http-registry", &image]].concat(), &environment)
    };
    denies(&verify(STRANGER), "none of the expected identities matched");
    verify(DEVELOPER).ok().unwrap();
}

#[test]
fn one_certificate_serves_an_index_its_children_and_both_storages_and_a_second_run_asks_no_log() {
    let stage = Stage::with(&Artifact::multi_platform("hello"));
    let report = stage.sign(LogVersion::V1, &["--storage", "both"]);
    let manifests = report["results"][0]["digests"].as_array().unwrap().len();
    assert_eq!((manifests, stage.certificates()), (3, 1));
    assert_eq!(stage.entries(LogVersion::V1), 1 + manifests, "one for all bundles, one for each .sig tag");
    let stored = stage.stored();

    let again = stage.sign(LogVersion::V1, &["--storage", "both"]);
    assert_eq!(again["results"][0]["done"], "already signed", "{again}");
    assert_eq!(stage.entries(LogVersion::V1), 1 + manifests);
    assert_eq!(stage.stored(), stored);

    // Another claim is another signature.
    let other = stage.sign(LogVersion::V1, &["-a", "env=prod"]);
    assert_eq!(other["results"][0]["done"], "signed");
    assert_eq!(stage.entries(LogVersion::V1), 2 + manifests);
}

#[test]
fn one_certificate_serves_every_image_of_a_call() {
    let stage = Stage::new();
    let digest = stage.world.push("shop/other:1.0", &Artifact::image("another")).unwrap();
    let other = format!("{}@{digest}", stage.world.name("shop/other"));
    let report = stage.sign(LogVersion::V2, &[&other]);
    assert_eq!((report["results"].as_array().unwrap().len(), stage.certificates()), (2, 1), "{report}");
    assert_eq!(stage.entries(LogVersion::V2), 1);
}

/// The logs take what the library that judges their entries can verify: for the rest nothing is published.
#[test]
fn keys_of_other_kinds_are_logged_where_that_can_be_verified() {
    for (kind, storage, ends) in
        [("ecdsa-p256", "both", 0), ("ecdsa-p384", "bundle", 7), ("ed25519", "bundle", 0), ("ed25519", "legacy", 7)]
    {
        let stage = Stage::new();
        assert_eq!(stage.user.run(&["key", "generate", "k", "--kind", kind, "--to", "."]).unwrap().code, Some(0));
        let words = stage.words(LogVersion::V1, &["--key", "k.key", "--storage", storage]);
        let before = stage.stored();
        let ran = stage.user.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(ran.code, Some(ends), "{kind} {storage}: {}", ran.output());
        assert_eq!(ran.stderr.contains("TC0506"), ends != 0, "{}", ran.stderr);
        assert_eq!(stage.world.sigstore().timestamps().requests().count() > 0, ends == 0, "nobody is asked in vain");
        assert_eq!(stage.stored() == before, ends != 0);
    }
}

#[test]
fn a_key_is_logged_where_a_signing_config_is_given_and_only_there() {
    let stage = Stage::new();
    assert_eq!(stage.user.run(&["key", "generate", "release", "--to", "."]).unwrap().code, Some(0));
    let (image, root) = (stage.image(), stage.file("trusted_root.json"));
    let policy = "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\nlog = \"required\"\n\
                  [[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = { any = [\"release\"] }\n";
    std::fs::write(stage.user.home().join("policy.toml"), policy).unwrap();
    let verify =
        || stage.user.run(&["verify", &image, "--policy", "policy.toml", "--trusted-root", &root, "--danger-no-memory"]).unwrap();
    stage.done(&["sign", &image, "--tag", "1.4", "--key", "release.key"].map(str::to_owned));
    assert_eq!(verify().code, Some(1), "{}", verify().output());
    assert_eq!(stage.world.sigstore().rekor().requests().count(), 0);

    for (log, entries) in [(LogVersion::V1, 1), (LogVersion::V2, 1)] {
        let report = stage.done(&stage.words(log, &["--key", "release.key"]));
        assert!(report["results"][0]["key"].is_string(), "{report}");
        assert_eq!(stage.entries(LogVersion::V1), entries, "with a logged one there, no other is made");
    }
    assert_eq!(verify().code, Some(0), "{}", verify().output());
    let report = stage.done(&stage.words(LogVersion::V1, &["--key", "release.key"]));
    assert_eq!((&report["results"][0]["done"], stage.entries(LogVersion::V1)), (&"already signed".into(), 1));
    assert_eq!(stage.certificates(), 0);
    let Some(cosign) = Peer::Cosign3.or_skip() else { return };
    let words = ["verify", "--key", "release.pub", "--trusted-root", &root, "--allow-http-registry", &image];
    stage.run(&cosign, &words, &[]).ok().unwrap();
}

#[test]
fn a_signature_tag_cannot_hold_an_entry_of_rekor_v2() {
    let stage = Stage::new();
    let token = stage.token(&Claims::email(DEVELOPER));
    let words = stage.words(LogVersion::V2, &["--identity-token", &token, "--storage", "legacy"]);
    stage.refused(&stage.user, &words, (7, "TC0954"));
    assert_eq!(stage.entries(LogVersion::V2), 0);
    stage.sign(LogVersion::V1, &["--storage", "legacy"]);
}

#[test]
fn a_config_without_services_serves_a_key_and_no_identity() {
    let stage = Stage::new();
    assert_eq!(stage.user.run(&["key", "generate", "release", "--to", "."]).unwrap().code, Some(0));
    let empty = stage.user.home().join("empty.json").display().to_string();
    std::fs::write(&empty, r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}"#).unwrap();
    let token = stage.token(&Claims::email(DEVELOPER));
    stage.refused(&stage.user, &stage.words_with(&empty, &["--identity-token", &token]), (7, "TC0951"));
    stage.done(&stage.words_with(&empty, &["--key", "release.key"]));
    std::fs::write(&empty, r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.9+json"}"#).unwrap();
    stage.refused(&stage.user, &stage.words_with(&empty, &["--key", "release.key"]), (7, "TC0950"));
}

#[test]
fn a_dry_run_asks_nobody() {
    let stage = Stage::new();
    let token = stage.token(&Claims::email(DEVELOPER));
    let before = stage.stored();
    let report = stage.done(&stage.words(LogVersion::V1, &["--identity-token", &token, "--dry-run"]));
    assert_eq!(report["results"][0]["done"], "would sign");
    assert_eq!((stage.certificates(), stage.entries(LogVersion::V1), stage.stored()), (0, 0, before));
}
