//! What publishing commands refuse, say and leave behind, against the lab.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::program::{User, program};

const PASSPHRASE: &str = "for the tests";
/// The tags of signatures.
const SIGNATURES: &str = "/v2/shop/cart/manifests/sha256-*";

/// A lab with one image, and a user of it with a key called `release`.
struct Stage {
    world: World,
    home: TempDir,
}

impl Stage {
    fn new() -> Self {
        let world = World::start(WorldOptions::default()).unwrap();
        world.push("shop/cart:1.4", &Artifact::multi_platform("one")).unwrap();
        let stage = Self { world, home: tempfile::tempdir().unwrap() };
        stage.done(&["key", "generate", "release"]);
        stage
    }

    fn user(&self) -> User {
        let user =
            self.world.environment().into_iter().fold(User::new(self.home.path()), |user, (name, value)| user.with(name, value));
        let passphrases =
            ["COSIGN_PASSWORD", "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"];
        passphrases.into_iter().fold(user, |user, name| user.with(name, PASSPHRASE))
    }

    fn image(&self) -> String {
        self.world.name("shop/cart:1.4")
    }

    #[track_caller]
    fn ends(&self, words: &[&str], exit: i32) -> Value {
        let (report, ended) = self.user().json(words).unwrap();
        assert_eq!(ended, Some(exit), "{words:?}: {report:#}");
        report
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> Value {
        self.ends(words, 0)
    }

    /// From now on, only this goes wrong, and only with what is sent.
    fn only_fault(&self, rule: FaultRule) {
        self.world.registry().faults().clear();
        self.world.registry().faults().add(rule.on("PUT"));
    }

    /// How often a tag of a signature was to be replaced.
    fn sent_to_tags(&self) -> usize {
        let requests = self.world.registry().requests().all();
        requests.iter().filter(|request| request.method == "PUT" && request.path.contains("/manifests/sha256-")).count()
    }
}

/// Too many requests, and a wish to be left alone.
fn busy(seconds: u32) -> Fault {
    Fault::Status { status: 429, retry_after: Some(seconds) }
}

/// Cosign knows no revocations: a signature beside one would make the withdrawn image good again for whoever uses it.
#[test]
fn what_a_key_has_revoked_it_does_not_sign_again() {
    let stage = Stage::new();
    let image = stage.image();
    let sign = ["sign", &image, "--resolve-tag", "--key", "release", "--storage", "both"];
    stage.done(&sign);
    stage.done(&["revoke", &image, "--resolve-tag", "--key", "release", "--reason", "mistake", "--message", "oops", "--yes"]);
    let sent = || stage.world.registry().requests().all().iter().filter(|request| request.method == "PUT").count();
    let before = sent();
    let refused = stage.ends(&sign, 1);
    assert_eq!(refused["error"]["code"], "TC0309", "{refused:#}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("nothing was signed"), "{refused:#}");
    assert_eq!(sent(), before);
    let report = stage.done(&["inspect", &image, "--key", "release"]);
    assert!(!report["cosign"].to_string().contains("\"signature\""), "no signature is there: {report:#}");
    // Another key has revoked nothing.
    stage.done(&["key", "generate", "other"]);
    stage.done(&["sign", &image, "--resolve-tag", "--key", "other"]);
}

#[test]
fn a_signer_is_not_added_by_a_slip_of_the_pen() {
    let stage = Stage::new();
    let image = stage.image();
    let sign = ["sign", &image, "--resolve-tag", "--scheme", "dct", "--signer"];
    let sign = |more: &[&'static str]| [&sign[..], more].concat();
    let first = stage.done(&sign(&["alice"]));
    assert_eq!(first["results"][0]["roles"], json!(["targets/alice", "targets/releases"]), "{first:#}");
    let refused = stage.ends(&sign(&["alise"]), 6);
    assert_eq!(refused["error"]["code"], "TC0217", "{refused:#}");
    assert_eq!((&refused["error"]["expected"], &refused["error"]["found"]), (&json!("alice"), &json!("alise")), "{refused:#}");
    stage.done(&sign(&["alice"]));
    let added = stage.done(&sign(&["bob", "--add-signer"]));
    assert_eq!(added["results"][0]["roles"], json!(["targets/alice", "targets/releases", "targets/bob"]), "{added:#}");
}

#[test]
fn what_withdrawing_a_tag_does_not_undo_is_said() {
    let stage = Stage::new();
    let image = stage.image();
    stage.done(&["sign", &image, "--resolve-tag", "--scheme", "dct"]);
    let revoke = ["revoke", &image, "--scheme", "dct", "--reason", "superseded", "--message", "use 1.5", "--yes"];
    let planned = stage.done(&[&revoke[..], &["--dry-run"]].concat());
    assert_eq!(planned["results"][0]["done"], "would revoke", "{planned:#}");
    let ran = stage.user().run(&revoke).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("this does not undo") && ran.stderr.contains("are not published"), "{}", ran.stderr);
    assert_eq!(planned["results"][0]["cannotUndo"].as_array().map(Vec::len), Some(2), "{planned:#}");
}

#[test]
fn a_remembered_revocation_is_shown_beside_what_the_registry_has() {
    let stage = Stage::new();
    let image = stage.image();
    stage.done(&["sign", &image, "--resolve-tag", "--key", "release"]);
    let signed = stage.world.registry().snapshot();
    let inspect = ["inspect", &image, "--key", "release"];
    assert_eq!(stage.done(&inspect)["cosign"]["remembered"], json!([]));
    stage.done(&["revoke", &image, "--resolve-tag", "--key", "release", "--reason", "mistake", "--message", "oops", "--yes"]);
    stage.ends(&["verify", &image, "--key", "release"], 1);
    stage.world.registry().restore(&signed);
    let report = stage.done(&inspect);
    assert_eq!(report["cosign"]["remembered"][0]["statement"]["type"], "revocation", "{report:#}");
    let text = stage.user().run(&inspect).unwrap().stdout;
    assert!(text.contains("seen before") && text.contains("oops"), "{text}");
}

#[test]
fn inspecting_says_what_is_missing_once_and_helps_those_who_come_from_docker() {
    let stage = Stage::new();
    let image = stage.image();
    stage.done(&["sign", &image, "--resolve-tag", "--key", "release"]);
    let text = stage.user().run(&["inspect", &image]).unwrap().stdout;
    assert!(text.contains("no key was given"), "{text}");
    let repository = stage.world.name("shop/cart");
    let missing = stage.ends(&["inspect", &repository], 6);
    assert!(missing.to_string().contains("--docker-json"), "{missing:#}");
    let ran = stage.user().run(&["inspect", "--docker-json", &repository]).unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), "[]\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("TC0201"), "{}", ran.stderr);
    // No Notary server answers there.
    let ran = stage.user().with("DOCKER_CONTENT_TRUST_SERVER", "https://127.0.0.1:1").run(&["inspect", &image]).unwrap();
    assert_eq!(ran.stdout.matches("could not be read").count(), 1, "{}", ran.stdout);
}

/// A tag is replaced by what follows from its meaning, so every try begins with another look; between them a registry that is too busy is
/// left alone for as long as it asks.
#[test]
fn a_registry_that_asks_to_wait_before_a_tag_is_replaced_is_left_alone_for_that_long() {
    let stage = Stage::new();
    let image = stage.image();
    let sign = ["sign", &image, "--resolve-tag", "--key", "release", "--storage", "legacy"];
    stage.only_fault(FaultRule::times(1, SIGNATURES, busy(2)));
    let began = Instant::now();
    stage.done(&sign);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(stage.sent_to_tags(), 4, "an index and two images, one of them once more");
}

#[test]
fn a_registry_that_asks_to_wait_for_too_long_is_not_waited_for() {
    let stage = Stage::new();
    let image = stage.image();
    // Longer than anybody waits, and longer than there is time.
    for (seconds, timeout) in [(3600, "60s"), (25, "10s")] {
        let before = stage.sent_to_tags();
        stage.only_fault(FaultRule::always(SIGNATURES, busy(seconds)));
        let began = Instant::now();
        let words = ["sign", &image, "--resolve-tag", "--key", "release", "--storage", "legacy", "--timeout", timeout];
        let refused = stage.ends(&words, 4);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(refused["error"]["code"], "TC0401", "{refused:#}");
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("asking to wait {seconds} s, 1 try")), "{message}");
        assert_eq!(stage.sent_to_tags(), before + 3, "of an index and two images, none was tried again");
    }
}

/// The commands that the demo prints do what it says, in the lab that it leaves running; stopping it leaves nothing.
#[test]
fn the_lab_that_the_demo_leaves_running_is_one_to_play_with() {
    let home = tempfile::tempdir().unwrap();
    let mut demo = Command::new(program());
    demo.args(["demo", "--keep"]).env_clear().env("HOME", home.path()).env("PATH", std::env::var_os("PATH").unwrap());
    let mut demo = demo.env("TMPDIR", home.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut script = String::from("set -u\n");
    for line in BufReader::new(demo.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((command, exit)) = line.split_once(": exit ") {
            script.push_str(&format!("{command}\n[ $? -eq {exit} ] || exit 99\n"));
        } else if line.starts_with("export ") || line.starts_with("trustctl ") {
            script.push_str(&format!("{line} || exit 98\n"));
        }
        if line.contains("Ctrl-C") {
            break;
        }
    }
    assert!(script.matches("trustctl ").count() >= 6, "{script}");
    let folder = program().parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let played =
        Command::new("bash").args(["-c", &script]).env_clear().env("PATH", path).env("HOME", home.path()).output().unwrap();
    let stop = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
    assert!(stop.success());
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert_eq!(played.status.code(), Some(0), "{script}\n{}", String::from_utf8_lossy(&played.stderr));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("trustctl-lab-")), "{left:?}");
}
