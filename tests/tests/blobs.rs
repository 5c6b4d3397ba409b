//! Files: ours and cosign's bundles in both directions, with keys and keyless against the lab; the command's exit codes and JSON.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use trustctl_lab::faults::{Fault, FaultRule, Part};
use trustctl_lab::sigstore::Claims;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::{User, program};

const LIMIT: Duration = Duration::from_secs(120);
const PASSPHRASE: &str = "throw-away";
const DEVELOPER: &str = "dev@example.test";
/// No service at all: cosign 3 then signs with the key alone.
const OFFLINE: &str =
    r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;
/// An address at which nobody listens, so that no program can ask Sigstore's own services.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A home with two files and two key pairs.
struct Stage {
    home: TempDir,
    user: User,
}

impl Stage {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let user = User::new(home.path()).with("COSIGN_PASSWORD", PASSPHRASE);
        let stage = Self { home, user };
        for (name, text) in
            [("release", "a release"), ("another", "another"), ("offline.json", OFFLINE), ("predicate.json", "{}")]
        {
            std::fs::write(stage.path(name), text).unwrap();
        }
        for key in ["mine", "other"] {
            let ran = stage.user.run(&["key", "generate", key, "--to", "."]).unwrap();
            assert!(ran.success(), "{}", ran.output());
        }
        stage
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    /// What trustctl says about a file; the exit code and the first reason's code.
    fn verify(&self, words: &[&str]) -> (Option<i32>, String) {
        let (report, exit) = self.user.json(&[&["blob", "verify"], words].concat()).unwrap();
        let code = report.pointer("/reasons/0/code").or_else(|| report.pointer("/error/code"));
        (exit, code.and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// The same about what is attested.
    fn attested(&self, words: &[&str]) -> (Option<i32>, String) {
        let (report, exit) = self.user.json(&[&["blob", "attest", "verify"], words].concat()).unwrap();
        let code = report.pointer("/reasons/0/code").or_else(|| report.pointer("/error/code"));
        (exit, code.and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    fn cosign(&self, cosign: &Program, words: &[&str]) -> Ran {
        let mut command = cosign.command(self.home.path());
        command.args(words).env("COSIGN_PASSWORD", PASSPHRASE).env("TUF_ROOT", self.path("tuf"));
        command.env("HTTPS_PROXY", NOWHERE);
        run(&mut command, LIMIT).unwrap()
    }
}

fn ok(exit: (Option<i32>, String)) {
    assert_eq!(exit, (Some(0), String::new()));
}

#[test]
fn a_file_is_signed_and_judged_and_every_ending_has_its_exit_code() {
    let stage = Stage::new();
    let (report, exit) = stage.user.json(&["blob", "sign", "release", "--key", "mine.key"]).unwrap();
    assert_eq!((exit, report["schema"].as_str()), (Some(0), Some("trustctl/blob-sign/v1")), "{report}");
    assert_eq!(report["bundle"], "release.sigstore.json");
    ok(stage.verify(&["release", "--key", "mine.pub"]));
    let digest = report["digest"].as_str().unwrap();
    ok(stage.verify(&[digest, "--bundle", "release.sigstore.json", "--key", "mine.pub"]));
    let judged =
        |words: &[&str], exit: i32, code: &str| assert_eq!(stage.verify(words), (Some(exit), code.to_owned()), "{words:?}");
    judged(&["another", "--bundle", "release.sigstore.json", "--key", "mine.pub"], 1, "TC0303");
    judged(&["release", "--key", "other.pub"], 1, "TC0302");
    judged(&["release", "--key", "mine.pub", "--type", "vuln"], 1, "TC0360");
    judged(&["release", "--key", "mine.pub", "--log", "required"], 1, "TC0320");
    judged(&["another", "--key", "mine.pub"], 3, "TC0301");
    judged(&["nothing", "--key", "mine.pub"], 7, "TC0717");
    judged(&["release"], 2, "TC0716");
    judged(&["release", "--identity", "a@x"], 2, "TC0716");
    judged(&["release", "--identity-regex", ".*", "--issuer", "https://a"], 2, "TC0712");
    judged(&["release", "--identity", "a@x", "--issuer", "https://a"], 1, "TC0312");
    judged(&["sha256:abc", "--key", "mine.pub", "--bundle", "release.sigstore.json"], 2, "TC0802");
    std::fs::write(stage.path("broken.json"), "{").unwrap();
    judged(&["release", "--key", "mine.pub", "--bundle", "broken.json"], 1, "TC0308");
}

/// A bundle is there as a whole or not at all, and no link leads it elsewhere.
#[test]
fn a_bundle_is_written_as_a_whole_or_not_at_all() {
    let stage = Stage::new();
    std::fs::write(stage.path("precious"), "precious").unwrap();
    std::os::unix::fs::symlink(stage.path("precious"), stage.path("release.sigstore.json")).unwrap();
    let (report, exit) = stage.user.json(&["blob", "sign", "release", "--key", "mine.key"]).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0717")), "{report}");
    assert_eq!(std::fs::read_to_string(stage.path("precious")).unwrap(), "precious");
    let (report, exit) = stage.user.json(&["blob", "sign", "nothing", "--key", "mine.key", "--bundle", "new.json"]).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0717")), "{report}");
    assert!(!stage.path("new.json").exists());
}

/// A file of 1 GiB in a process that may have 320 MiB of memory: opening the key takes 64 of them.
#[test]
fn a_large_file_is_hashed_in_pieces() {
    let stage = Stage::new();
    std::fs::File::create(stage.path("large")).unwrap().set_len(1 << 30).unwrap();
    let limited = |words: &str| {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -v 327680 && exec '{}' {words} --no-input", program().display());
        shell.arg("-c").arg(script).current_dir(stage.home.path()).env_clear();
        shell.env("HOME", stage.home.path()).env("COSIGN_PASSWORD", PASSPHRASE);
        run(&mut shell, LIMIT).unwrap()
    };
    for words in ["blob sign large --key mine.key", "blob verify large --key mine.pub"] {
        let ran = limited(words);
        assert!(ran.success(), "{words}: {}", ran.output());
    }
}

#[test]
fn cosign_3_verifies_our_files_and_we_its() {
    let Some(cosign) = Peer::Cosign3.or_skip() else { return };
    let stage = Stage::new();
    assert!(stage.user.run(&["blob", "sign", "release", "--key", "mine.key", "--bundle", "ours.json"]).unwrap().success());
    // Any trusted root will do where there is no log entry: naming one keeps cosign from asking for Sigstore's own.
    std::fs::write(stage.path("root.json"), trustctl_sigstore::keyless::PUBLIC_GOOD).unwrap();
    let check = |key: &str, bundle: &str, file: &str| {
        let words =
            ["verify-blob", "--key", key, "--bundle", bundle, "--insecure-ignore-tlog", "--trusted-root", "root.json", file];
        stage.cosign(&cosign, &words)
    };
    assert!(!check("other.pub", "ours.json", "release").success(), "another key");
    assert!(!check("mine.pub", "ours.json", "another").success(), "another file");
    check("mine.pub", "ours.json", "release").ok().unwrap();

    let sign = ["sign-blob", "--key", "mine.key", "--signing-config", "offline.json", "--bundle", "theirs.json", "-y", "release"];
    stage.cosign(&cosign, &sign).ok().unwrap();
    assert_eq!(stage.verify(&["release", "--bundle", "theirs.json", "--key", "other.pub"]).1, "TC0302");
    ok(stage.verify(&["release", "--bundle", "theirs.json", "--key", "mine.pub"]));
    let (ours, theirs): (Value, Value) = (json(&stage.path("ours.json")), json(&stage.path("theirs.json")));
    assert_eq!(without_signature(ours), without_signature(theirs), "they differ in the signature alone");

    let attest = ["attest-blob", "--key", "mine.key", "--signing-config", "offline.json", "--predicate", "predicate.json"];
    let attest = [&attest[..], &["--type", "custom", "--bundle", "attested.json", "-y", "release"]].concat();
    stage.cosign(&cosign, &attest).ok().unwrap();
    let judged = |more: &[&str]| stage.verify(&[&["release", "--bundle", "attested.json", "--key", "mine.pub"], more].concat());
    assert_eq!(judged(&[]).1, "TC0307", "an attestation is no signature");
    assert_eq!(judged(&["--type", "vuln"]).1, "TC0360");
    ok(judged(&["--type", "custom"]));
}

/// With a key and by identity, with Rekor v1 and v2: cosign 3 takes what we attest about a file, and we what it attests.
#[test]
fn cosign_3_verifies_what_we_attest_about_files_and_we_what_it_attests() {
    let Some(cosign) = Peer::Cosign3.or_skip() else { return };
    let (stage, world) = (Stage::new(), World::start(WorldOptions::default()).unwrap());
    let file = |name: &str| world.sigstore_folder().join(name).display().to_string();
    let (root, issuer) = (file("trusted_root.json"), world.sigstore().issuer().url());
    let what = ["--type", "https://shop.example/tests/v1", "--predicate", "predicate.json"];
    let with_key = [&["--key", "mine.key"][..], &["--signing-config"]].concat();
    let ours = stage.user.json(&[&["blob", "attest", "release", "--key", "mine.key"][..], &what].concat()).unwrap();
    assert_eq!((ours.1, ours.0["schema"].as_str()), (Some(0), Some("trustctl/blob-attest/v1")), "{}", ours.0);
    let bundle = "release.attestation.sigstore.json";
    let theirs =
        [&["attest-blob"][..], &with_key, &["offline.json"], &what, &["--bundle", "theirs.json", "-y", "release"]].concat();
    stage.cosign(&cosign, &theirs).ok().unwrap();
    assert_eq!(statement(&stage.path(bundle)), statement(&stage.path("theirs.json")), "one statement");
    let takes = |key: &str, bundle: &str, kind: &str, file: &str| {
        let words = ["verify-blob-attestation", "--key", key, "--bundle", bundle, "--type", kind, "--insecure-ignore-tlog"];
        stage.cosign(&cosign, &[&words[..], &["--trusted-root", &root, file]].concat())
    };
    takes("mine.pub", bundle, what[1], "release").ok().unwrap();
    assert!(!takes("other.pub", bundle, what[1], "release").success());
    assert!(!takes("mine.pub", bundle, "cyclonedx", "release").success());
    assert!(!takes("mine.pub", bundle, what[1], "another").success());
    let judged = |words: &[&str]| stage.attested(words);
    ok(judged(&["release", "--type", what[1], "--key", "mine.pub"]));
    ok(judged(&["release", "--type", what[1], "--key", "mine.pub", "--bundle", "theirs.json"]));
    assert_eq!(judged(&["release", "--type", "vuln", "--key", "mine.pub"]).1, "TC0360");
    assert_eq!(judged(&["release", "--type", what[1], "--key", "other.pub"]).1, "TC0302");
    assert_eq!(judged(&["another", "--type", what[1], "--key", "mine.pub", "--bundle", bundle]).1, "TC0303");
    assert_eq!(judged(&["release", "--key", "mine.pub"]), (Some(2), "TC0801".to_owned()), "the type is what is asked for");

    for config in ["signing_config.json", "signing_config_rekor_v2.json"] {
        let (config, token) = (file(config), world.write_token(&Claims::email(DEVELOPER)).unwrap().display().to_string());
        let services = ["--signing-config", &config, "--trusted-root", &root, "--identity-token", &token];
        let ours = [&["blob", "attest", "release"][..], &what, &services, &["--bundle", "ours.json"]].concat();
        assert_eq!(stage.user.json(&ours).unwrap().1, Some(0));
        let theirs = [&["attest-blob"][..], &what, &services, &["--bundle", "theirs.json", "-y", "release"]].concat();
        stage.cosign(&cosign, &theirs).ok().unwrap();
        for bundle in ["ours.json", "theirs.json"] {
            let judged = |identity: &str| {
                let who = ["--identity", identity, "--issuer", &issuer, "--trusted-root", &root, "--bundle", bundle];
                stage.attested(&[&["release", "--type", what[1]][..], &who].concat())
            };
            ok(judged(DEVELOPER));
            assert_eq!(judged("other@example.test").1, "TC0312");
        }
        let takes = |identity: &str| {
            let words = ["verify-blob-attestation", "--bundle", "ours.json", "--type", what[1], "--trusted-root", &root];
            let who = ["--certificate-identity", identity, "--certificate-oidc-issuer", &issuer, "--use-signed-timestamps"];
            stage.cosign(&cosign, &[&words[..], &who, &["release"]].concat())
        };
        takes(DEVELOPER).ok().unwrap();
        assert!(!takes("other@example.test").success());
    }
}

/// What a builder wrote is signed as it is, about the file that is named and about nothing else.
#[test]
fn a_whole_statement_is_signed_when_it_speaks_of_the_file_alone() {
    let stage = Stage::new();
    let digest = |name: &str| hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes()));
    let (release, another) = (digest("a release"), digest("another"));
    let write = |digests: &[&str]| {
        let subjects: Vec<Value> = digests.iter().map(|digest| serde_json::json!({"digest": {"sha256": digest}})).collect();
        let text = serde_json::json!({
            "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://shop.example/tests/v1",
            "subject": subjects, "predicate": {"passed": 12},
        });
        std::fs::write(stage.path("statement.json"), format!("{text:#}")).unwrap();
    };
    let attest = ["blob", "attest", "release", "--statement", "statement.json", "--key", "mine.key"];
    for wrong in [&[another.as_str()][..], &[&release, &another], &[]] {
        write(wrong);
        let (report, exit) = stage.user.json(&attest).unwrap();
        assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0348")), "{report}");
        assert!(!stage.path("release.attestation.sigstore.json").exists());
    }
    write(&[&release]);
    assert_eq!(stage.user.json(&attest).unwrap().1, Some(0));
    let given = std::fs::read_to_string(stage.path("statement.json")).unwrap();
    assert_eq!(statement(&stage.path("release.attestation.sigstore.json")), given, "byte for byte");
    ok(stage.attested(&["release", "--type", "https://shop.example/tests/v1", "--key", "mine.pub"]));
    let both = [&attest[..], &["--type", "custom"]].concat();
    assert_eq!(stage.user.json(&both).unwrap().1, Some(2), "a statement says its type itself");
}

/// A policy's signer is who its table says, with what that demands; what only images have is refused.
#[test]
fn a_file_is_judged_by_the_name_of_a_policys_signer() {
    let (stage, world) = (Stage::new(), World::start(WorldOptions::default()).unwrap());
    let file = |name: &str| world.sigstore_folder().join(name).display().to_string();
    let (root, config, issuer) = (file("trusted_root.json"), file("signing_config.json"), world.sigstore().issuer().url());
    let claims = Claims::github("acme/shop", "refs/tags/v1.4");
    let token = world.write_token(&claims).unwrap().display().to_string();
    let identity = claims.identity();
    let signer = |name: &str, rest: &str| format!("[signers.{name}]\nscheme = \"cosign\"\n{rest}\n");
    let keyless = format!("identity = \"{identity}\"\nissuer = \"{issuer}\"\n");
    let policy = [
        "version = 1\n".to_owned(),
        signer("release", "key = \"mine.pub\""),
        signer("other", "key = \"other.pub\""),
        signer("logged", "key = \"mine.pub\"\nlog = \"required\""),
        signer("lab-key", "key = \"mine.pub\"\nlog = \"required\"\nsigstore = \"lab\""),
        signer("annotated", "key = \"mine.pub\"\nannotations = { env = \"prod\" }"),
        signer("workflow", &format!("{keyless}sigstore = \"lab\"")),
        signer("stranger", &format!("{}sigstore = \"lab\"", keyless.replace("acme/shop", "acme/fork"))),
        signer("tag", &format!("{keyless}sigstore = \"lab\"\nclaims = {{ source-repository-ref = \"refs/tags/*\" }}")),
        signer("branch", &format!("{keyless}sigstore = \"lab\"\nclaims = {{ source-repository-ref = \"refs/heads/*\" }}")),
        signer("public", &keyless),
        signer("twice", &format!("{keyless}sigstore = \"strict\"")),
        format!("[signers.notary]\nscheme = \"dct\"\nroots = [\"{}\"]\n", "0f".repeat(32)),
        format!("[sigstores.lab]\ntrusted-root = \"{root}\"\n[sigstores.strict]\ntrusted-root = \"{root}\"\nlogs = 2\n"),
        "[[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = { any = [\"release\"] }\n".to_owned(),
    ];
    std::fs::write(stage.path("policy.toml"), policy.concat()).unwrap();
    let judged = |bundle: &str, signer: &str| {
        stage.verify(&["release", "--bundle", bundle, "--policy", "policy.toml", "--signer", signer])
    };
    let signed = |bundle: &str, more: &[&str]| {
        let (report, exit) = stage.user.json(&[&["blob", "sign", "release", "--bundle", bundle][..], more].concat()).unwrap();
        assert_eq!(exit, Some(0), "{report}");
    };
    let services = ["--signing-config", &config, "--trusted-root", &root];
    signed("plain.json", &["--key", "mine.key"]);
    signed("logged.json", &[&["--key", "mine.key"][..], &services].concat());
    signed("keyless.json", &[&["--identity-token", &token][..], &services].concat());
    for (bundle, good) in
        [("plain.json", "release"), ("logged.json", "lab-key"), ("keyless.json", "workflow"), ("keyless.json", "tag")]
    {
        ok(judged(bundle, good));
    }
    let bad = [
        ("plain.json", "other", 1, "TC0302"),
        ("plain.json", "logged", 1, "TC0320"),
        ("logged.json", "logged", 1, "TC0323"),
        ("keyless.json", "stranger", 1, "TC0312"),
        ("keyless.json", "branch", 1, "TC0328"),
        ("keyless.json", "public", 1, "TC0323"),
        ("keyless.json", "twice", 1, "TC0327"),
        ("keyless.json", "release", 1, "TC0302"),
        ("plain.json", "annotated", 2, "TC0716"),
        ("plain.json", "notary", 2, "TC0716"),
        ("plain.json", "nobody", 2, "TC0716"),
    ];
    for (bundle, signer, exit, code) in bad {
        assert_eq!(judged(bundle, signer), (Some(exit), code.to_owned()), "{bundle} by {signer}");
    }
    // What is found is shown beside what is expected.
    let words = ["blob", "verify", "release", "--bundle", "keyless.json", "--policy", "policy.toml", "--signer", "stranger"];
    let told = stage.user.run(&words).unwrap().output();
    assert!(
        told.contains("expected  ") && told.contains("acme/fork") && told.contains(&format!("found     {identity}")),
        "{told}"
    );
    let both = ["release", "--bundle", "plain.json", "--policy", "policy.toml", "--signer", "release", "--key", "other.pub"];
    assert_eq!(stage.verify(&both).0, Some(2));
}

/// The statement in a bundle.
fn statement(bundle: &Path) -> String {
    use base64::Engine as _;
    let payload = json(bundle)["dsseEnvelope"]["payload"].as_str().unwrap().to_owned();
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(payload).unwrap()).unwrap();
    match serde_json::from_str::<Value>(&text) {
        Ok(value) if !text.contains('\n') => value.to_string(),
        _ => text,
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn without_signature(mut bundle: Value) -> Value {
    bundle["messageSignature"]["signature"] = Value::Null;
    bundle
}

/// Both forms that cosign 2 writes.
#[test]
fn files_signed_by_cosign_2_are_judged() {
    let Some(cosign) = Peer::Cosign2.or_skip() else { return };
    let stage = Stage::new();
    for (bundle, form) in [("old.json", &[][..]), ("new.json", &["--new-bundle-format"][..])] {
        let words = ["sign-blob", "--key", "mine.key", "--tlog-upload=false", "--bundle", bundle, "-y"];
        stage.cosign(&cosign, &[&words[..], form, &["release"]].concat()).ok().unwrap();
        assert_eq!(stage.verify(&["another", "--bundle", bundle, "--key", "mine.pub"]).0, Some(1), "{bundle}");
        assert_eq!(stage.verify(&["release", "--bundle", bundle, "--key", "other.pub"]).0, Some(1), "{bundle}");
        ok(stage.verify(&["release", "--bundle", bundle, "--key", "mine.pub"]));
    }
}

/// Cosign 3 signs a file keyless, with Rekor v1 and v2; who signed must be who is asked for, by the instance that is named.
#[test]
fn a_file_that_cosign_3_signed_keyless_is_judged_by_identity() {
    let Some(cosign) = Peer::Cosign3.or_skip() else { return };
    let (stage, world) = (Stage::new(), World::start(WorldOptions::default()).unwrap());
    let (lab, file) = (world.sigstore(), |name: &str| world.sigstore_folder().join(name).display().to_string());
    let (root, issuer) = (file("trusted_root.json"), lab.issuer().url());
    for config in ["signing_config.json", "signing_config_rekor_v2.json"] {
        let config = file(config);
        let token = world.write_token(&Claims::email(DEVELOPER)).unwrap().display().to_string();
        let words = ["sign-blob", "--signing-config", &config, "--trusted-root", &root, "--identity-token", &token];
        stage.cosign(&cosign, &[&words[..], &["--bundle", "keyless.json", "-y", "release"]].concat()).ok().unwrap();
        let judged = |file: &str, identity: &str, issuer: &str, more: &[&str]| {
            let words = [file, "--bundle", "keyless.json", "--identity", identity, "--issuer", issuer];
            stage.verify(&[&words, more].concat())
        };
        let ours = ["--trusted-root", root.as_str()];
        assert_eq!(judged("release", "other@example.test", &issuer, &ours).1, "TC0312");
        assert_eq!(judged("release", DEVELOPER, "https://another.example", &ours).1, "TC0312");
        assert_eq!(judged("another", DEVELOPER, &issuer, &ours).0, Some(1));
        assert_eq!(judged("release", DEVELOPER, &issuer, &[]).1, "TC0323", "the public-good instance does not know this log");
        ok(judged("release", DEVELOPER, &issuer, &ours));
    }
}

/// Signed by identity with Rekor v1 and v2: cosign 3 takes what we sign, and what a service makes up is refused before a bundle is written.
#[test]
fn a_file_is_signed_by_identity_and_cosign_3_takes_it() {
    let (stage, world) = (Stage::new(), World::start(WorldOptions::default()).unwrap());
    let file = |name: &str| world.sigstore_folder().join(name).display().to_string();
    let (root, issuer) = (file("trusted_root.json"), world.sigstore().issuer().url());
    let (first, second) = (world.sigstore().rekor(), world.sigstore().tiles());
    for (config, log) in [("signing_config.json", first), ("signing_config_rekor_v2.json", second)] {
        let config = file(config);
        let token = || world.write_token(&Claims::email(DEVELOPER)).unwrap().display().to_string();
        let sign = |token: &str, more: &[&str]| {
            let words =
                ["blob", "sign", "release", "--bundle", "ours.json", "--signing-config", &config, "--trusted-root", &root];
            stage.user.json(&[&words[..], &["--identity-token", token], more].concat()).unwrap()
        };
        let _ = std::fs::remove_file(stage.path("ours.json"));
        log.faults().add(FaultRule::times(1, "/api/v*/log/entries", Fault::Wrong(Part::Checkpoint)));
        let (report, exit) = sign(&token(), &[]);
        assert_eq!((exit, report.pointer("/error/code").and_then(Value::as_str)), (Some(1), Some("TC0321")), "{report}");
        assert!(!stage.path("ours.json").exists(), "nothing is written");

        let (report, exit) = sign(&token(), &[]);
        assert_eq!(exit, Some(0), "{report}");
        assert_eq!(report.pointer("/principal/identity").and_then(Value::as_str), Some(DEVELOPER), "{report}");
        let judged = |identity: &str| {
            stage.verify(&[
                "release",
                "--bundle",
                "ours.json",
                "--identity",
                identity,
                "--issuer",
                &issuer,
                "--trusted-root",
                &root,
            ])
        };
        assert_eq!(judged("other@example.test").1, "TC0312");
        ok(judged(DEVELOPER));
        let Some(cosign) = Peer::Cosign3.or_skip() else { continue };
        let theirs = |identity: &str| {
            let words = ["verify-blob", "--bundle", "ours.json", "--trusted-root", &root, "--certificate-identity", identity];
            stage.cosign(
                &cosign,
                &[&words[..], &["--certificate-oidc-issuer", &issuer, "--use-signed-timestamps", "release"]].concat(),
            )
        };
        assert!(!theirs("other@example.test").success());
        theirs(DEVELOPER).ok().unwrap();
    }
}

/// With a signing config, a key's signature is logged, and a demanded log entry is there.
#[test]
fn a_file_signed_by_key_is_logged_where_a_config_names_a_log() {
    let (stage, world) = (Stage::new(), World::start(WorldOptions::default()).unwrap());
    let file = |name: &str| world.sigstore_folder().join(name).display().to_string();
    let (root, config) = (file("trusted_root.json"), file("signing_config.json"));
    let words = ["blob", "sign", "release", "--key", "mine.key", "--signing-config", &config, "--trusted-root", &root];
    let (report, exit) = stage.user.json(&words).unwrap();
    assert_eq!((exit, report["logEntries"].as_u64()), (Some(0), Some(1)), "{report}");
    let judged = |more: &[&str]| stage.verify(&[&["release", "--key", "mine.pub", "--log", "required"], more].concat());
    ok(judged(&["--trusted-root", &root]));
    assert_eq!(judged(&[]).1, "TC0323", "the public-good instance does not know this log");
}
