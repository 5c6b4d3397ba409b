//! Real cosign signs keyless against the lab's Sigstore and verifies what it signed, and trustctl agrees with it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::User;

const LIMIT: Duration = Duration::from_secs(60);
const DEVELOPER: &str = "dev@example.test";

/// A world with one image, and somebody with cosign.
struct Stage {
    cosign: Program,
    world: World,
    image: String,
    home: TempDir,
}

impl Stage {
    fn new(peer: Peer) -> Option<Self> {
        let cosign = peer.or_skip()?;
        let world = World::start(WorldOptions::default()).unwrap();
        let digest = world.push("shop/cart:1.4", &Artifact::image("hello")).unwrap();
        let image = format!("{}@{digest}", world.name("shop/cart"));
        Some(Self { cosign, world, image, home: tempfile::tempdir().unwrap() })
    }

    fn file(&self, name: &str) -> String {
        self.world.sigstore_folder().join(name).display().to_string()
    }

    fn token(&self, claims: &Claims) -> String {
        self.world.write_token(claims).unwrap().display().to_string()
    }

    fn issuer(&self) -> String {
        self.world.sigstore().issuer().url()
    }

    fn run(&self, words: &[&str], environment: &[(&str, String)]) -> Ran {
        let mut command = self.cosign.command(self.home.path());
        command.args(words).envs(environment.iter().map(|(name, value)| (name, value)));
        run(&mut command, LIMIT).unwrap()
    }

    /// Signs with cosign 3.
    #[track_caller]
    fn sign(&self, config: &str, claims: &Claims) {
        let (config, root, token) = (self.file(config), self.file("trusted_root.json"), self.token(claims));
        let words = ["sign", "--signing-config", &config, "--trusted-root", &root, "--identity-token", &token];
        self.run(&[&words[..], &["--allow-http-registry", "-y", &self.image]].concat(), &[]).ok().unwrap();
    }

    /// Verifies with cosign 3.
    fn verify(&self, identity: &str, more: &[&str]) -> Ran {
        let (root, issuer) = (self.file("trusted_root.json"), self.issuer());
        let words = ["verify", "--trusted-root", &root, "--certificate-identity", identity, "--certificate-oidc-issuer", &issuer];
        self.run(&[&words[..], more, &["--allow-http-registry", &self.image]].concat(), &[])
    }

    /// Has trustctl judge the image for this identity; the exit code and the report.
    fn judged(&self, identity: &str) -> (Option<i32>, serde_json::Value) {
        let user =
            self.world.environment().into_iter().fold(User::new(self.home.path()), |user, (name, value)| user.with(name, value));
        let (root, issuer) = (self.file("trusted_root.json"), self.issuer());
        let words = ["verify", &self.image, "--identity", identity, "--issuer", &issuer, "--trusted-root", &root];
        let (report, exit) = user.json(&words).unwrap();
        (exit, report)
    }

    #[track_caller]
    fn trustctl_agrees(&self, identity: &str) {
        let (exit, report) = self.judged("other@example.test");
        assert_eq!(exit, Some(1), "another identity is refused: {report}");
        let (exit, report) = self.judged(identity);
        assert_eq!(exit, Some(0), "{report}");
    }
}

#[track_caller]
fn refused(ran: &Ran, because: &str) {
    assert!(!ran.success(), "it should have been refused: {} {}", ran.command, ran.output());
    assert!(ran.output().contains(because), "refused for another reason than {because:?}: {}", ran.output());
}

#[test]
fn cosign3_signs_with_rekor_v1_and_trustctl_agrees() {
    let Some(stage) = Stage::new(Peer::Cosign3) else { return };
    refused(&stage.verify(DEVELOPER, &[]), "no signatures found");
    stage.sign("signing_config.json", &Claims::email(DEVELOPER));
    refused(&stage.verify("other@example.test", &[]), "certificate identity");
    stage.verify(DEVELOPER, &[]).ok().unwrap();
    stage.trustctl_agrees(DEVELOPER);
    assert_eq!(stage.world.sigstore().entries(LogVersion::V1).len(), 1);
}

#[test]
fn cosign3_signs_with_rekor_v2_and_a_timestamp_and_trustctl_agrees() {
    let Some(stage) = Stage::new(Peer::Cosign3) else { return };
    let claims = Claims::github("acme/shop", "refs/tags/v1.4");
    stage.sign("signing_config_rekor_v2.json", &claims);
    refused(
        &stage.verify("https://github.com/acme/other/.github/workflows/release.yml@refs/tags/v1.4", &[]),
        "certificate identity",
    );
    stage.verify(&claims.identity(), &["--use-signed-timestamps"]).ok().unwrap();
    stage.trustctl_agrees(&claims.identity());
    assert_eq!(stage.world.sigstore().entries(LogVersion::V2).len(), 1);
    assert!(stage.world.sigstore().entries(LogVersion::V1).is_empty());
}

#[test]
fn cosign3_gets_its_token_from_the_workflow_endpoint() {
    let Some(stage) = Stage::new(Peer::Cosign3) else { return };
    let claims = Claims::github("acme/shop", "refs/heads/main");
    stage.world.sigstore().set_workload(claims.clone());
    let (config, root) = (stage.file("signing_config.json"), stage.file("trusted_root.json"));
    let words = ["sign", "--signing-config", &config, "--trusted-root", &root, "--allow-http-registry", "-y", &stage.image];
    stage.run(&words, &stage.world.sigstore().workload_environment()).ok().unwrap();
    stage.verify(&claims.identity(), &[]).ok().unwrap();
}

#[test]
fn cosign2_signs_under_a_tag_and_both_cosigns_and_trustctl_agree() {
    let Some(stage) = Stage::new(Peer::Cosign2) else { return };
    let lab = stage.world.sigstore();
    let environment = stage.world.sigstore_environment();
    let (fulcio, rekor, issuer) = (lab.fulcio().url(), lab.rekor().url(), stage.issuer());
    let token = stage.token(&Claims::email(DEVELOPER));
    let sign = ["sign", "--fulcio-url", &fulcio, "--rekor-url", &rekor, "--oidc-issuer", &issuer, "--identity-token", &token];
    stage.run(&[&sign[..], &["--allow-http-registry", "-y", &stage.image]].concat(), &environment).ok().unwrap();
    let verify = |identity: &str| {
        let words = ["verify", "--rekor-url", &rekor, "--certificate-identity", identity, "--certificate-oidc-issuer", &issuer];
        stage.run(&[&words[..], &["--allow-http-registry", &stage.image]].concat(), &environment)
    };
    refused(&verify("other@example.test"), "none of the expected identities matched");
    verify(DEVELOPER).ok().unwrap();
    stage.trustctl_agrees(DEVELOPER);
    if let Some(cosign) = Peer::Cosign3.or_skip() {
        let three = Stage { cosign, ..stage };
        three.verify(DEVELOPER, &[]).ok().unwrap();
    }
}

/// A folder of the lab is nobody else's business: what is in it can be read by path.
#[test]
fn the_files_are_where_the_environment_says() {
    let world = World::start(WorldOptions::default()).unwrap();
    for (name, path) in world.sigstore_environment() {
        assert!(Path::new(&path).is_file(), "{name}={path}");
    }
}
