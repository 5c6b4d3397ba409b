//! Attesting by identity: real cosign accepts it and refuses another signer and another type, and the trusted time gives an age.

use std::time::Duration;

use serde_json::Value;
use trustctl_core::time::Timestamp;
use trustctl_lab::faults::{Fault, FaultRule, Part};
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_tests::peers::Peer;
use trustctl_tests::process::Ran;

use super::stage::{DEVELOPER, STRANGER, Stage, denies};

const KIND: &str = "https://shop.example/tests/v1";

/// The words that attest about the image with this log as the developer; `more` are further flags.
fn words(stage: &Stage, log: LogVersion, more: &[&str]) -> Vec<String> {
    let predicate = stage.user.home().join("predicate.json").display().to_string();
    if !stage.user.home().join("predicate.json").exists() {
        std::fs::write(&predicate, "{\"passed\": 12}").unwrap();
    }
    let token = stage.token(&Claims::email(DEVELOPER));
    let mut words = stage.words(log, &["--identity-token", &token, "--type", KIND, "--predicate", &predicate]);
    let tag = words.iter().position(|word| word == "--tag").unwrap();
    words.drain(tag..tag + 2);
    words[0] = "attest".to_owned();
    words.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
}

/// Has trustctl judge what this identity attests: exit code and report.
fn judged(stage: &Stage, identity: &str, kind: &str) -> (Value, Option<i32>) {
    let (root, issuer, image) = (stage.file("trusted_root.json"), stage.issuer(), stage.image());
    let words =
        ["attest", "verify", &image, "--type", kind, "--identity", identity, "--issuer", &issuer, "--trusted-root", &root];
    stage.user.json(&words).unwrap()
}

/// trustctl refuses another identity and another type, then accepts this one.
#[track_caller]
fn is_attested(stage: &Stage) {
    let other = judged(stage, STRANGER, KIND);
    assert_eq!((other.1, &other.0["results"][0]["reasons"][0]["code"]), (Some(1), &"TC0707".into()), "{}", other.0);
    assert_eq!(judged(stage, DEVELOPER, "vuln").1, Some(3));
    let (report, exit) = judged(stage, DEVELOPER, KIND);
    assert_eq!(exit, Some(0), "{report}");
}

fn cosign3(stage: &Stage, (identity, kind): (&str, &str), more: &[&str]) -> Option<Ran> {
    let cosign = Peer::Cosign3.or_skip()?;
    let (root, issuer, image) = (stage.file("trusted_root.json"), stage.issuer(), stage.image());
    let words = ["verify-attestation", "--trusted-root", &root, "--certificate-identity", identity, "--type", kind];
    let more = [more, &["--certificate-oidc-issuer", &issuer, "--allow-http-registry", &image]].concat();
    Some(stage.run(&cosign, &[&words[..], &more].concat(), &[]))
}

#[track_caller]
fn cosign3_accepts(stage: &Stage, more: &[&str]) {
    let Some(stranger) = cosign3(stage, (STRANGER, KIND), more) else { return };
    denies(&stranger, "identit");
    denies(&cosign3(stage, (DEVELOPER, "vuln"), more).unwrap(), "none of the attestations matched the predicate type");
    cosign3(stage, (DEVELOPER, KIND), more).unwrap().ok().unwrap();
}

#[test]
fn an_identity_attests_in_a_bundle_with_either_log() {
    for log in [LogVersion::V1, LogVersion::V2] {
        let stage = Stage::new();
        assert_eq!(judged(&stage, DEVELOPER, KIND).1, Some(3), "nobody has attested yet");
        let report = stage.done(&words(&stage, log, &[]));
        assert_eq!(report["results"][0]["signer"]["identity"], DEVELOPER, "{report}");
        is_attested(&stage);
        assert_eq!((stage.certificates(), stage.entries(log)), (1, 1));
        cosign3_accepts(&stage, &["--use-signed-timestamps"]);

        let again = stage.done(&words(&stage, log, &[]));
        assert_eq!((&again["results"][0]["done"], stage.entries(log)), (&"already attested".into(), 1), "{again}");
        std::fs::write(stage.user.home().join("predicate.json"), "{\"passed\": 13}").unwrap();
        let other = stage.done(&words(&stage, log, &[]));
        assert_eq!((&other["results"][0]["done"], stage.entries(log)), (&"attested".into(), 2), "{other}");
    }
}

#[test]
fn an_identity_attests_under_the_tag_that_both_cosigns_read() {
    let stage = Stage::new();
    stage.refused(&stage.user, &words(&stage, LogVersion::V2, &["--storage", "legacy"]), (7, "TC0954"));
    stage.done(&words(&stage, LogVersion::V1, &["--storage", "legacy"]));
    is_attested(&stage);
    assert_eq!(stage.done(&words(&stage, LogVersion::V1, &["--storage", "legacy"]))["results"][0]["done"], "already attested");
    cosign3_accepts(&stage, &["--new-bundle-format=false"]);
    let Some(cosign) = Peer::Cosign2.or_skip() else { return };
    let (environment, image) = (stage.world.sigstore_environment(), stage.image());
    let (rekor, issuer) = (stage.world.sigstore().rekor().url(), stage.issuer());
    let verify = |identity: &str, kind: &str| {
        let who = ["--certificate-identity", identity, "--certificate-oidc-issuer", &issuer, "--type", kind];
        let words = ["verify-attestation", "--rekor-url", &rekor, "--allow-http-registry", &image];
        stage.run(&cosign, &[&words[..], &who].concat(), &environment)
    };
    denies(&verify(STRANGER, KIND), "none of the expected identities matched");
    denies(&verify(DEVELOPER, "vuln"), "none of the attestations matched the predicate type");
    verify(DEVELOPER, KIND).ok().unwrap();
}

#[test]
fn the_trusted_time_gives_an_age_and_tells_which_is_the_newest() {
    let stage = Stage::new();
    let policy = format!(
        "version = 1\n[signers.dev]\nscheme = \"cosign\"\nidentity = \"{DEVELOPER}\"\nissuer = \"{}\"\nsigstore = \"lab\"\n\
         [sigstores.lab]\ntrusted-root = \"{}\"\n[[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = {{ any = [\"dev\"] }}\n\
         attestations = [{{ type = \"{KIND}\", signers = [\"dev\"], max-age = \"7d\", where = [{{ path = \"passed\", at-least = 13 }}] }}]\n",
        stage.issuer(),
        stage.file("trusted_root.json")
    );
    std::fs::write(stage.user.home().join("policy.toml"), policy).unwrap();
    stage.sign(LogVersion::V1, &[]);
    let image = stage.image();
    let verify = |more: &[&str]| {
        let words = [&["verify", &image, "--policy", "policy.toml"][..], more].concat();
        let (report, exit) = stage.user.json(&words).unwrap();
        (exit, report["results"][0]["reasons"][0]["code"].as_str().map(str::to_owned))
    };
    let rejected = |code: &str| (Some(1), Some(code.to_owned()));
    assert_eq!(verify(&[]), rejected("TC0707"));
    stage.done(&words(&stage, LogVersion::V1, &[]));
    assert_eq!(verify(&[]), rejected("TC0340"));
    // Times have whole seconds, and of two in the same neither is the newest: the second one is made by clocks that are ahead.
    stage.world.sigstore().rekor().set_skew(2);
    stage.world.sigstore().timestamps().set_skew(2);
    std::fs::write(stage.user.home().join("predicate.json"), "{\"passed\": 13}").unwrap();
    stage.done(&words(&stage, LogVersion::V1, &[]));
    assert_eq!(verify(&[]), (Some(0), None), "the newest one decides");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let later = Timestamp::UNIX_EPOCH.saturating_add(now + Duration::from_secs(8 * 86_400));
    assert_eq!(verify(&["--at", &later.to_string()]), rejected("TC0705"));
}

#[test]
fn what_a_service_answers_falsely_is_not_published() {
    let stage = Stage::new();
    let words = words(&stage, LogVersion::V1, &[]);
    let before = stage.stored();
    stage.world.sigstore().rekor().faults().add(FaultRule::always("/api/v1/log/entries", Fault::Wrong(Part::Promise)));
    let (report, exit) = stage.user.json(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_ne!(exit, Some(0), "{report}");
    assert_eq!(stage.stored(), before);
    stage.world.sigstore().rekor().faults().clear();
    stage.done(&self::words(&stage, LogVersion::V1, &[]));
    is_attested(&stage);
}
