//! Real cosign signs keyless against the lab's Sigstore and verifies what it signed, and trustctl agrees with it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::http::Request;
use trustctl_tests::image::{Image, Repository};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::{User, program};

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
fn cosign3_attests_with_both_logs() {
    let Some(stage) = Stage::new(Peer::Cosign3) else { return };
    std::fs::write(stage.home.path().join("predicate.json"), "{}").unwrap();
    let (root, token, issuer) = (stage.file("trusted_root.json"), stage.token(&Claims::email(DEVELOPER)), stage.issuer());
    let logs = [("signing_config.json", LogVersion::V1), ("signing_config_rekor_v2.json", LogVersion::V2)];
    for (config, log) in logs {
        let config = stage.file(config);
        let attest = ["attest", "--signing-config", &config, "--trusted-root", &root, "--identity-token", &token];
        let about = ["--type", "custom", "--predicate", "predicate.json", "--allow-http-registry", "-y", &stage.image];
        stage.run(&[&attest[..], &about].concat(), &[]).ok().unwrap();
        let verify = |identity: &str| {
            let words = ["verify-attestation", "--type", "custom", "--trusted-root", &root, "--use-signed-timestamps"];
            let whom = ["--certificate-identity", identity, "--certificate-oidc-issuer", &issuer];
            stage.run(&[&words[..], &whom, &["--allow-http-registry", &stage.image]].concat(), &[])
        };
        refused(&verify("other@example.test"), "certificate identity");
        verify(DEVELOPER).ok().unwrap();
        assert_eq!(stage.world.sigstore().entries(log).len(), 1);
    }
    for (log, kind) in [(LogVersion::V1, "dsse"), (LogVersion::V2, "hashedrekord")] {
        let entries = stage.world.sigstore().entries(log);
        assert!(entries.iter().all(|entry| entry.get("kind") == Some(&kind.into())), "{entries:?}");
    }
}

#[test]
fn cosign3_logs_in_by_device_after_waiting() {
    let Some(stage) = Stage::new(Peer::Cosign3) else { return };
    let lab = stage.world.sigstore();
    lab.set_login(Claims::email(DEVELOPER));
    lab.set_device_polls(1);
    let (config, root) = (stage.file("signing_config.json"), stage.file("trusted_root.json"));
    let words = ["sign", "--fulcio-auth-flow", "device", "--signing-config", &config, "--trusted-root", &root];
    stage.run(&[&words[..], &["--allow-http-registry", "-y", &stage.image]].concat(), &[]).ok().unwrap();
    stage.verify(DEVELOPER, &[]).ok().unwrap();
    let polls = lab.issuer().requests().all().into_iter().filter(|request| request.path == "/token").count();
    assert_eq!(polls, 2, "once told to wait, once served");
}

#[test]
fn openssl_asks_for_timestamps_and_verifies_them() {
    let Some(openssl) = Peer::Openssl.or_skip() else { return };
    let (world, home) = (World::start(WorldOptions::default()).unwrap(), tempfile::tempdir().unwrap());
    let openssl = |words: &str| run(openssl.command(home.path()).args(words.split(' ')), LIMIT).unwrap();
    let path = |name: &str| home.path().join(name);
    std::fs::write(path("data"), "what is stamped").unwrap();
    std::fs::write(path("other"), "something else").unwrap();
    let chain = world.sigstore().timestamp_chain_pem().unwrap();
    let (leaf, root) = chain.split_at(chain.rfind("-----BEGIN").unwrap());
    std::fs::write(path("leaf.pem"), leaf).unwrap();
    std::fs::write(path("root.pem"), root).unwrap();
    for (hash, certificates) in [("sha256", " -cert"), ("sha384", " -cert"), ("sha512", "")] {
        openssl(&format!("ts -query -data data -{hash}{certificates} -out query")).ok().unwrap();
        let query = std::fs::read(path("query")).unwrap();
        let address = world.sigstore().timestamps().url().replace("http://", "");
        let request = Request::new("POST", "/api/v1/timestamp").body("application/timestamp-query", &query);
        let answer = request.send(&address).unwrap();
        assert_eq!(answer.status, 201);
        std::fs::write(path("answer"), &answer.body).unwrap();
        let verify = "ts -verify -in answer -CAfile root.pem -untrusted leaf.pem";
        assert!(!openssl(&format!("{verify} -data other")).success(), "{hash}: it can refuse");
        openssl(&format!("{verify} -queryfile query")).ok().unwrap();
        openssl(&format!("{verify} -data data")).ok().unwrap();
    }
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

/// `trustctl lab up`, running; it is stopped when this value is dropped.
struct Up(Child);

impl Up {
    /// Starts it, and reads what it prints until it is ready.
    fn start(home: &Path) -> (Self, String) {
        let mut command = User::new(home).command(&["lab", "up", "--dir", "lab"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            printed.push_str(&line.unwrap());
            printed.push('\n');
            if printed.contains("export TRUSTCTL_LAB=") {
                break;
            }
        }
        (Self(child), printed)
    }

    fn stop(&mut self, signal: &str) -> Option<i32> {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_lab_that_is_up_gives_a_shell_all_that_cosign_and_trustctl_need() {
    let home = tempfile::tempdir().unwrap();
    let (mut up, printed) = Up::start(home.path());
    assert!(printed.starts_with("# NOT FOR PRODUCTION"), "{printed}");
    assert_eq!(std::fs::read_to_string(home.path().join("lab/environment")).unwrap(), printed);
    let registry = printed.lines().find_map(|line| line.strip_prefix("# registry   http://")).unwrap();
    assert!(printed.contains(&format!("export TRUSTCTL_LAB_REGISTRY='{registry}'\n")), "{printed}");
    let image = Repository::new(registry, "shop/hello");
    let image = image.at(&Image::tiny("hello").push(&image, "1.4").unwrap());
    let identity = Claims::github("acme/shop", "refs/tags/v1.0.0").identity();
    if let Some(cosign) = Peer::Cosign3.or_skip() {
        let script = format!(
            ". lab/environment && root=$TRUSTCTL_LAB/sigstore/trusted_root.json && \
             {cosign} sign --signing-config $TRUSTCTL_LAB/sigstore/signing_config.json --trusted-root $root --allow-http-registry -y {image} && \
             {trustctl} verify {image} --trusted-root $root --identity '{identity}' --issuer ${{ACTIONS_ID_TOKEN_REQUEST_URL%/actions/*}}",
            cosign = cosign.path().display(),
            trustctl = program().display(),
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(home.path()).env_clear().env("HOME", home.path());
        run(&mut shell, LIMIT).unwrap().ok().unwrap();
    }
    assert_eq!(up.stop("-INT"), Some(130));
    assert!(home.path().join("lab/sigstore/trusted_root.json").is_file(), "a named folder stays");
    let (mut up, _) = Up::start(home.path());
    assert_eq!(up.stop("-TERM"), Some(0));
}

#[test]
fn a_lab_has_images_and_its_folder_for_itself_as_long_as_it_runs() {
    let home = tempfile::tempdir().unwrap();
    let (mut up, printed) = Up::start(home.path());
    let user = User::new(home.path());
    let (report, exit) = user.json(&["lab", "up", "--dir", "lab"]).unwrap();
    assert_eq!((exit, report.pointer("/error/code").unwrap()), (Some(7), &"TC0717".into()), "{report}");
    assert!(report.pointer("/error/message").unwrap().as_str().unwrap().contains("another lab runs"), "{report}");
    assert_eq!(std::fs::read_to_string(home.path().join("lab/environment")).unwrap(), printed, "the first is left alone");
    let registry = printed.lines().find_map(|line| line.strip_prefix("# registry   http://")).unwrap();
    for image in ["shop/cart:1.4", "shop/web:2", "other/app:1.0"] {
        let (report, exit) = user.json(&["inspect", &format!("{registry}/{image}")]).unwrap();
        assert_eq!(exit, Some(0), "{report}");
    }
    assert_eq!(up.stop("-KILL"), None, "by the signal");
    let (mut up, _) = Up::start(home.path());
    assert_eq!(up.stop("-TERM"), Some(0), "a lab that was killed does not keep its folder");
}

#[test]
fn a_lab_does_not_write_among_other_files() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("precious"), "").unwrap();
    let (report, exit) = User::new(home.path()).json(&["lab", "up", "--dir", "."]).unwrap();
    assert_eq!((exit, report.pointer("/error/code").unwrap()), (Some(7), &"TC0717".into()), "{report}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}
