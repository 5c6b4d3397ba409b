//! The program as containerd runs it before a pull: a file of a folder, with containerd's flags and nothing else, and a document on
//! standard input. Exit code 0 lets the image in; whatever goes wrong blocks it, with one line of reason on standard output.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_tests::process::{Ran, run_with_input};
use trustctl_tests::program::program;
use trustctl_tests::stage::Stage;

/// What containerd waits before it kills a verifier.
const PATIENCE: Duration = Duration::from_secs(10);
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";

/// A lab with a signed and an unsigned image, and a host with a policy and a folder of verifiers.
struct Host {
    stage: Stage,
    verifier: PathBuf,
}

impl Host {
    fn new() -> Self {
        let stage = Stage::new();
        stage.world.push("shop/new:1.4", &Artifact::multi_platform("unsigned")).unwrap();
        for words in [
            &["sign", &stage.image(":1.4"), "--resolve-tag", "--key", "release"][..],
            &["key", "export", "release", "--public", "--to", "release.pub"],
        ] {
            assert_eq!(stage.user.run(words).unwrap().code, Some(0), "{words:?}");
        }
        let verifier = stage.user.home().join("trustctl-containerd-verifier");
        std::os::unix::fs::symlink(program(), &verifier).unwrap();
        let host = Self { stage, verifier };
        host.policy("");
        host
    }

    /// The policy of the machine, with more at its end.
    fn policy(&self, more: &str) {
        let registry = self.stage.world.registry().host();
        let rule =
            format!("[[rules]]\nname = \"shop\"\nimages = [\"{registry}/shop/**\"]\nrequire = {{ any = [\"release\"] }}\n");
        let signer = "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\n";
        let _ = self.stage.write("policy.toml", &format!("{signer}{rule}{more}"));
    }

    fn digest(&self, repository: &str) -> String {
        self.stage.world.registry().tag(repository, "1.4").unwrap().to_string()
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(&self.verifier);
        let home = self.stage.user.home();
        command.env_clear().current_dir("/").env("HOME", home).env("TRUSTCTL_POLICY", home.join("policy.toml")).args(flags);
        command.envs(self.stage.world.environment());
        command
    }

    /// What containerd sees of one judgement.
    fn asks(&self, repository: &str, digest: &str, input: &str) -> Ran {
        let name = self.stage.world.name(&format!("{repository}:1.4"));
        let flags = ["-name", &name, "-digest", digest, "-stdin-media-type", DESCRIPTOR];
        run_with_input(&mut self.command(&flags), PATIENCE, input.as_bytes()).unwrap()
    }

    fn asks_for(&self, repository: &str) -> Ran {
        let digest = self.digest(repository);
        self.asks(repository, &digest, &descriptor(&digest))
    }
}

fn descriptor(digest: &str) -> String {
    format!(r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{digest}","size":2}}"#)
}

/// Asserts that an image is blocked, and that the one line of reason names the code.
#[track_caller]
fn blocked(ran: &Ran, code: &str) {
    assert!(ran.code.is_some_and(|exit| exit != 0), "{}", ran.output());
    let line = ran.stdout.strip_suffix('\n').unwrap();
    assert!(line.starts_with("blocked: ") && line.contains(code) && !line.contains('\n'), "{}", ran.output());
}

#[test]
fn a_signed_image_is_let_in_and_an_unsigned_one_is_not() {
    let host = Host::new();
    let signed = host.asks_for("shop/cart");
    assert_eq!(signed.code, Some(0), "{}", signed.output());
    assert!(signed.stdout.starts_with("allowed: ") && signed.stdout.contains("by rule shop"), "{}", signed.stdout);
    assert_eq!(signed.stdout.lines().count(), 1);
    let unsigned = host.asks_for("shop/new");
    blocked(&unsigned, "TC0301");
    assert_eq!(unsigned.code, Some(3));
}

/// The digest decides, and not what the tag names meanwhile.
#[test]
fn what_is_judged_is_the_digest() {
    let host = Host::new();
    let (good, bad) = (host.digest("shop/cart"), host.stage.world.push("shop/cart:bad", &Artifact::image("evil")).unwrap());
    host.stage.world.registry().point_tag("shop/cart", "1.4", bad);
    blocked(&host.asks_for("shop/cart"), "TC0301");
    let pinned = host.asks("shop/cart", &good, &descriptor(&good));
    assert_eq!(pinned.code, Some(0), "{}", pinned.output());
}

#[test]
fn an_outage_blocks_for_another_reason_than_a_missing_signature() {
    let host = Host::new();
    let down = Fault::Status { status: 503, retry_after: None };
    host.stage.world.registry().faults().add(FaultRule::always("*", down));
    let ran = host.asks_for("shop/cart");
    blocked(&ran, "TC0401");
    assert_eq!(ran.code, Some(4), "{}", ran.output());
}

/// containerd kills who does not answer in ten seconds, and then nobody learns why.
#[test]
fn who_is_not_answered_says_so_in_time() {
    let host = Host::new();
    host.stage.world.registry().faults().set_latency(Duration::from_secs(60));
    let began = std::time::Instant::now();
    let ran = host.asks_for("shop/cart");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    blocked(&ran, "TC040");
    assert_eq!(ran.code, Some(4), "{}", ran.output());
}

#[test]
fn what_does_not_agree_or_cannot_be_read_blocks() {
    let host = Host::new();
    let (signed, other) = (host.digest("shop/cart"), host.digest("shop/new"));
    blocked(&host.asks("shop/cart", &signed, &descriptor(&other)), "TC0681");
    blocked(&host.asks("shop/cart", &other, &descriptor(&signed)), "TC0681");
    for garbage in ["", "{", "[]", "\u{0}\u{1b}[2J"] {
        blocked(&host.asks("shop/cart", &signed, garbage), "TC0680");
    }
    blocked(&host.asks("shop/cart", &signed, &" ".repeat(1024 * 1024 + 1)), "TC0680");
    blocked(&host.asks("shop/cart", "sha256:12", &descriptor(&signed)), "TC0802");
    blocked(&host.asks("shop/CART", &signed, &descriptor(&signed)), "TC0101");
    let name = host.stage.world.name("shop/cart:1.4");
    for flags in [&["-name", &name][..], &[], &["-name", &name, "-digest", &signed, "-stdin-media-type", DESCRIPTOR, "-new", "1"]]
    {
        let ran = run_with_input(&mut host.command(flags), PATIENCE, descriptor(&signed).as_bytes()).unwrap();
        blocked(&ran, "TC0801");
    }
}

#[test]
fn without_a_usable_policy_nothing_is_let_in() {
    let host = Host::new();
    host.policy("nonsense = 1\n");
    blocked(&host.asks_for("shop/cart"), "TC0701");
    std::fs::remove_file(host.stage.user.home().join("policy.toml")).unwrap();
    assert_ne!(host.asks_for("shop/cart").code, Some(0));
    let (name, digest) = (host.stage.world.name("shop/cart:1.4"), host.digest("shop/cart"));
    let mut command = host.command(&["-name", &name, "-digest", &digest, "-stdin-media-type", DESCRIPTOR]);
    command.env_remove("TRUSTCTL_POLICY");
    blocked(&run_with_input(&mut command, PATIENCE, descriptor(&digest).as_bytes()).unwrap(), "TC0716");
}

/// The document of containerd's that judges before a run, and the command by its own name.
#[test]
fn the_document_of_a_run_is_understood() {
    let host = Host::new();
    let (name, digest) = (host.stage.world.name("shop/cart:1.4"), host.digest("shop/cart"));
    let input = format!(r#"{{"descriptor":{},"operation":"run","annotations":{{}}}}"#, descriptor(&digest));
    let type_ = "application/vnd.containerd.image-verifier.input.v1+json";
    let mut command = Command::new(program());
    let home = host.stage.user.home();
    command.env_clear().env("HOME", home).env("TRUSTCTL_POLICY", home.join("policy.toml")).envs(host.stage.world.environment());
    command.args(["containerd-verifier", "-name", &name, "-digest", &digest, "-stdin-media-type", type_, "-operation", "run"]);
    let ran = run_with_input(&mut command, PATIENCE, input.as_bytes()).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.output());
    let ran = run_with_input(command.args(["--output", "json"]), PATIENCE, input.as_bytes()).unwrap();
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((report["verdict"].as_str(), report["operation"].as_str()), (Some("trusted"), Some("run")), "{report}");
}
