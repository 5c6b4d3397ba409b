//! Signing and judging by the name of a pinned instance, and by the public-good one as it was fetched.

use trustctl_core::digest::Digest;
use trustctl_core::time::Timestamp;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::tuf::Repository;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_sigstore::tuf::{PUBLIC_GOOD_URL, Target};

use crate::client::{Client, at};
use crate::commands::Corp;

const DEVELOPER: &str = "dev@example.test";

/// A lab with one image, and a user who has pinned its Sigstore as `corp`.
struct Stage {
    corp: Corp,
    world: World,
    digest: Digest,
}

impl Stage {
    fn new() -> Self {
        let world = World::start(WorldOptions::default()).unwrap();
        let digest = world.push("shop/cart:1.4", &Artifact::image("hello")).unwrap();
        let mut corp = Corp::with(world.sigstore().trusted_root().to_owned());
        corp.repository.set_target(Target::SigningConfig.name(), world.sigstore().signing_config(LogVersion::V1));
        corp.repository.release().unwrap();
        corp.server.serve(corp.repository.files());
        // The pin is in the home's own state folder.
        let variables = world.environment().into_iter().filter(|(name, _)| !name.starts_with("XDG_"));
        corp.user = variables.fold(corp.user, |user, (name, value)| user.with(name, value));
        corp.user = corp.user.with("COSIGN_PASSWORD", "for the tests");
        std::fs::write(corp.path("release"), "a release").unwrap();
        std::fs::write(corp.path("said.json"), "{\"said\":1}").unwrap();
        Self { corp, world, digest }
    }

    fn image(&self) -> String {
        format!("{}@{}", self.world.name("shop/cart"), self.digest)
    }

    fn token(&self) -> String {
        self.world.write_token(&Claims::email(DEVELOPER)).unwrap().display().to_string()
    }

    /// Runs with the flags that name whoever signs, or whoever is trusted; the code of the first reason.
    fn ends(&self, words: &[&str], more: &[&str], exit: i32) -> String {
        let report = self.corp.ends(&[words, more].concat(), exit);
        let reasons = ["/error/code", "/reasons/0/code", "/results/0/reasons/0/code"];
        let code = reasons.into_iter().find_map(|path| report.pointer(path)?.as_str());
        code.unwrap_or_default().to_owned()
    }

    fn by(&self) -> [String; 4] {
        ["--identity".to_owned(), DEVELOPER.to_owned(), "--issuer".to_owned(), self.world.sigstore().issuer().url()]
    }
}

#[test]
fn who_pins_an_instance_signs_and_judges_by_its_name_alone() {
    let stage = Stage::new();
    let (image, token, by) = (stage.image(), stage.token(), stage.by());
    let by: Vec<&str> = by.iter().map(String::as_str).collect();
    let signing: [&[&str]; 3] = [
        &["sign", &image],
        &["attest", &image, "--type", "https://example.test/said", "--predicate", "said.json"],
        &["blob", "sign", "release"],
    ];
    let judging: [&[&str]; 3] = [
        &["verify", &image],
        &["attest", "verify", &image, "--type", "https://example.test/said"],
        &["blob", "verify", "release"],
    ];
    for words in signing {
        let with = |name| ["--sigstore", name, "--identity-token", &token];
        assert_eq!(stage.ends(words, &with("corp"), 4), "TC0990", "{words:?}: nothing was fetched yet");
        assert_eq!(stage.ends(words, &with("nobody"), 6), "TC0988", "{words:?}");
    }
    assert_eq!(stage.world.sigstore().fulcio().requests().count(), 0);
    stage.corp.ends(&["anchor", "update", "corp"], 0);
    for (signing, judging) in signing.into_iter().zip(judging) {
        stage.ends(signing, &["--sigstore", "corp", "--identity-token", &token], 0);
        assert_eq!(stage.ends(judging, &by, 1), "TC0323", "{judging:?}: the public-good instance has another log");
        stage.ends(judging, &[&by[..], &["--sigstore", "corp"]].concat(), 0);
    }
    assert_eq!(stage.world.sigstore().entries(LogVersion::V1).len(), 3);
}

/// Whoever has pinned no more than a trusted root has to say whom to ask. A key is vouched for too.
#[test]
fn an_instance_without_a_signing_config_judges_and_does_not_say_whom_to_ask() {
    let stage = Stage::new();
    let (image, token) = (stage.image(), stage.token());
    let file = |name: &str| stage.world.sigstore_folder().join(name).display().to_string();
    let (root, config) = (file("trusted_root.json"), file("signing_config.json"));
    stage.corp.ends(&["anchor", "pin", "--name", "bare", "--trusted-root", &root], 0);
    stage.corp.ends(&["key", "generate", "release", "--to", "."], 0);
    for who in [["--identity-token", &token], ["--key", "release.key"]] {
        let words = ["sign", &image, "--sigstore", "bare"];
        assert_eq!(stage.ends(&words, &who, 7), "TC0951");
        stage.ends(&words, &[&who[..], &["--signing-config", &config]].concat(), 0);
    }
    assert_eq!(stage.world.sigstore().entries(LogVersion::V1).len(), 2);
    let policy = format!(
        "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\nlog = \"required\"\nsigstore = \"lab\"\n\
         [sigstores.lab]\ntrusted-root = \"{root}\"\n[[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = {{ any = [\"release\"] }}\n"
    );
    std::fs::write(stage.corp.path("policy.toml"), policy).unwrap();
    stage.ends(&["verify", &image, "--policy", "policy.toml"], &[], 0);
}

/// A log that joined the public-good instance after this program was released counts from the update on, for files as for images.
#[test]
fn a_file_is_judged_by_the_newer_of_what_was_fetched_and_what_is_carried() {
    let stage = Stage::new();
    let (token, by) = (stage.token(), stage.by());
    let by: Vec<&str> = by.iter().map(String::as_str).collect();
    stage.corp.ends(&["anchor", "update", "corp"], 0);
    stage.ends(&["blob", "sign", "release", "--sigstore", "corp", "--identity-token", &token], &[], 0);
    let targets = [(Target::TrustedRoot.name().to_owned(), stage.world.sigstore().trusted_root().to_owned().into())];
    let repository = Repository::create(targets.into(), at("2026-10-22T00:00:00Z")).unwrap();
    let state = std::path::PathBuf::from(stage.corp.path(".local/state/trustctl"));
    let anchors = trustctl_remote::anchors::Anchors::new(trustctl_remote::state::Store::new(&state));
    let fetched = |time: Timestamp| {
        let mut client = Client { now: time, ..Client::of(&repository) };
        client.refresh(&repository.files()).unwrap();
        anchors.learn(PUBLIC_GOOD_URL, &client.slot).unwrap();
    };
    assert_eq!(stage.ends(&["blob", "verify", "release"], &by, 1), "TC0323");
    fetched(at("2026-10-22T23:59:59Z"));
    assert_eq!(stage.ends(&["blob", "verify", "release"], &by, 1), "TC0323", "older than what is carried");
    fetched(at("2026-10-23T00:00:00Z"));
    stage.ends(&["blob", "verify", "release"], &by, 0);
    stage.ends(&["blob", "verify", "release", "--sigstore", "public-good"], &by, 0);
    stage.corp.ends(&["anchor", "forget", "public-good", "--yes"], 0);
    assert_eq!(stage.ends(&["blob", "verify", "release"], &by, 1), "TC0323");
}
