//! How a run ends that was asked for the wrong thing: each failure has the code, the exit code and the next step that fit it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};

use serde_json::Value;
use trustctl_lab::image::Artifact;
use trustctl_tests::stage::Stage;

#[test]
fn a_value_that_cannot_be_is_named_with_its_flag() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let digest = stage.world.registry().tag("shop/cart", "1.4").unwrap();
    let exact = stage.image(&format!("@{digest}"));
    let cases: [(&[&str], &str); 11] = [
        (&["verify", &image, "--key", "release", "--at", "yesterday"], "--at yesterday: "),
        (&["verify", &image, "--key", "release", "--timeout", "5"], "--timeout 5: "),
        (&["verify", &image, "--key", "release", "-a", "env"], "--annotation env: write NAME=VALUE"),
        (&["verify", &image, "--dct-root", "00"], "--dct-root 00: "),
        (&["verify", &image, "--key", "release", "--signature-repository", "A B"], "--signature-repository A B: "),
        (&["sign", &exact, "--key", "release", "--tag", "no tag"], "--tag no tag: "),
        (&["sign", &exact, "--key", "release", "-a", "a=1", "-a", "a=2"], "--annotation a: "),
        (&["sign", &exact, "--scheme", "dct", "--tag", "1.4", "--role", "Nobody!"], "--role Nobody!: "),
        (&["sign", &exact, "--scheme", "x509"], "--scheme"),
        (&["explain", "TC9999"], "CODE TC9999: "),
        (&["demo", "--color", "pink"], "--color"),
    ];
    for (words, named) in cases {
        let (text, _) = stage.ends(words, 2, "TC0802");
        assert!(text.contains(named), "{words:?}: {text}");
    }
}

#[test]
fn what_is_missing_has_a_code_of_its_own() {
    let stage = Stage::new();
    let exact = stage.image(&format!("@{}", stage.world.registry().tag("shop/cart", "1.4").unwrap()));
    let revoke = ["revoke", &exact, "--key", "release", "--reason", "mistake", "--message", "oops"];
    let cases: [(&[&str], &str, &str); 4] = [
        (&["key", "delete", "release"], "TC0803", "--yes"),
        (&revoke, "TC0803", "--yes"),
        (&["sign", &exact], "TC0804", "--key"),
        (&["revoke", &exact, "--reason", "mistake", "--message", "oops", "--yes"], "TC0804", "--key"),
    ];
    for (words, code, flag) in cases {
        let (text, _) = stage.ends(words, 2, code);
        let next = text.split("  next: ").nth(1).unwrap();
        assert!(next.contains(flag), "{words:?}: the next step names {flag}: {text}");
    }
}

/// "Rejected" is a verdict; what went wrong otherwise says so.
#[test]
fn only_verdicts_end_with_rejected() {
    let stage = Stage::new();
    let exact = stage.image(&format!("@{}", stage.world.registry().tag("shop/cart", "1.4").unwrap()));
    stage.ends(&["key", "generate", "a b"], 2, "TC0512");
    let file = stage.write("a-file", "");
    stage.ends(&["key", "generate", "other", "--to", &file], 7, "TC0511");
    let sealed = stage.user.home().join("sealed");
    std::fs::create_dir(&sealed).unwrap();
    std::fs::set_permissions(&sealed, std::fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write anywhere.
    if std::fs::write(sealed.join("probe"), "").is_err() {
        stage.ends(&["key", "generate", "other", "--to", &sealed.display().to_string()], 7, "TC0511");
    }
    let first = stage.user.run(&["sign", &exact, "--scheme", "dct", "--tag", "1.4"]).unwrap();
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    stage.ends(&["sign", &exact, "--scheme", "dct", "--tag", "1.4", "--role", "targets/nobody"], 6, "TC0217");
}

#[test]
fn a_demo_that_is_interrupted_says_so() {
    let stage = Stage::new();
    let mut command = stage.user.command(&["demo"]);
    let mut demo = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Once its first step is told, it is at the second.
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("[1] ")));
    // As a terminal does: to the demo and to the step that it runs.
    let group = format!("-{}", demo.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let ended = demo.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!((ended.status.code(), ended.status.signal()), (Some(130), None), "{told}");
    assert!(!told.contains("TC0715"), "no step has failed: {told}");
}

#[test]
fn a_command_line_that_is_wrong_is_reported_like_every_failure() {
    let stage = Stage::new();
    let (text, report) = stage.ends(&["sign", "--nonsense"], 2, "TC0801");
    assert_eq!(report["schema"], "trustctl/error/v1");
    assert!(text.contains("trustctl sign --help"), "{text}");
    let (_, report) = stage.ends(&["verify"], 2, "TC0801");
    assert_eq!(report["schema"], "trustctl/verify/v1", "verify has a report of its own: {report}");
    let (_, report) = stage.ends(&["verify", "x", "--key", "a", "--polcy", "b"], 2, "TC0801");
    let message = report["error"]["message"].as_str().unwrap();
    assert!(!message.contains("error:") && !message.contains("tip:"), "{message}");
    let next: Vec<&str> = report["error"]["next"].as_array().unwrap().iter().filter_map(|step| step["text"].as_str()).collect();
    assert!(next.iter().any(|step| step.contains("--policy")), "the near miss is a step: {next:?}");
    let (report, exit) = stage.user.json(&[]).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(2), Some("TC0801")), "{report}");
    assert_eq!(report["error"]["message"], "a command is missing", "{report}");
}

#[test]
fn explaining_a_code_is_a_report_like_every_other() {
    let stage = Stage::new();
    let (report, exit) = stage.user.json(&["explain", "TC0512"]).unwrap();
    assert_eq!((exit, &report["schema"], &report["exit"]), (Some(0), &Value::from("trustctl/reason/v1"), &Value::from(0)));
    assert_eq!((&report["code"], &report["failureExit"]), (&Value::from("TC0512"), &Value::from(2)), "{report}");
}

#[test]
fn what_is_typed_counts_more_than_the_policy_of_the_environment() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let policy = stage.write("policy.toml", "version = 1\n");
    let exported = stage.user.clone().with("TRUSTCTL_POLICY", policy.clone());
    let root = "0".repeat(64);
    for (flag, value) in [("--key", "release"), ("--dct-root", root.as_str())] {
        let (report, exit) = exported.json(&["verify", &image, flag, value]).unwrap();
        assert_eq!((exit, &report["results"][0]["policy"]["file"]), (Some(3), &Value::from("command line")), "{report}");
        assert_eq!(report["warnings"][0]["code"], "TC0805", "{report}");
        let message = report["warnings"][0]["message"].as_str().unwrap();
        assert!(message.contains("TRUSTCTL_POLICY is set") && message.contains(&format!("{flag} was given")), "{message}");
        let text = exported.run(&["verify", &image, flag, value]).unwrap().stderr;
        assert!(text.contains("warning[TC0805]: TRUSTCTL_POLICY is set"), "{text}");
    }
    let (report, _) = exported.json(&["verify", &image]).unwrap();
    assert_eq!(
        (&report["results"][0]["policy"]["file"], &report["warnings"]),
        (&Value::from(policy.clone()), &serde_json::json!([]))
    );
    let (report, exit) = exported.json(&["verify", &image, "--danger-trust-on-first-use"]).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(2), Some("TC0801")), "{report}");
    let typed = stage.user.json(&["verify", &image, "--policy", &policy, "--key", "release"]).unwrap();
    assert_eq!((typed.1, typed.0["error"]["code"].as_str()), (Some(2), Some("TC0801")), "{}", typed.0);
    let empty = stage.user.clone().with("TRUSTCTL_POLICY", "");
    let (report, exit) = empty.json(&["verify", &image]).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(2), Some("TC0716")), "empty is unset: {report}");
    let (report, exit) = empty.json(&["verify", &image, "--key", "release"]).unwrap();
    assert_eq!((exit, &report["warnings"]), (Some(3), &serde_json::json!([])), "{report}");
}

#[test]
fn a_new_policy_names_its_signer_and_overwrites_nothing() {
    let stage = Stage::new();
    let file = stage.user.home().join("new policy.toml").display().to_string();
    let made = stage.user.run(&["policy", "init", &file, "--key", "release"]).unwrap();
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(made.stderr.contains(&format!("trustctl policy check '{file}'")), "{}", made.stderr);
    assert!(std::fs::read_to_string(&file).unwrap().contains("[signers.release]"));
    let (text, _) = stage.ends(&["policy", "init", &file], 7, "TC0717");
    assert!(text.contains("nothing was overwritten") && text.contains("choose another name"), "{text}");
    let checked = stage.user.run(&["policy", "check", &file]).unwrap();
    assert!(checked.stdout.contains("(1 signer, 1 rule, 0 denied, 0 allowed)"), "{}", checked.stdout);

    let public = stage.user.home().join(".local/share/trustctl/keys/release.pub");
    let copy = stage.user.home().join("our key.v2.pub");
    std::fs::copy(public, &copy).unwrap();
    let (report, exit) = stage.user.json(&["policy", "init", "--key", &copy.display().to_string()]).unwrap();
    assert_eq!((exit, &report["schema"]), (Some(0), &Value::from("trustctl/policy-init/v1")), "{report}");
    assert!(report["text"].as_str().unwrap().contains("[signers.our-key-v2]"), "{report}");
    for (flag, value) in [("--images", "not a pattern\"]"), ("--dct-root", "00")] {
        let (text, _) = stage.ends(&["policy", "init", "--key", "release", flag, value], 2, "TC0802");
        assert!(text.contains(flag) && !text.contains("the new policy"), "{text}");
    }

    let empty = stage.write("empty.toml", "version = 1\n");
    let (report, _) = stage.user.json(&["policy", "check", &empty]).unwrap();
    assert_eq!(report["warnings"][0]["code"], "TC0702", "{report}");
    assert!(stage.user.run(&["policy", "check", &empty]).unwrap().stderr.contains("warning[TC0702]: "));
    let open = stage.write("open.toml", "version = 1\ndefault = \"allow\"\n");
    let (report, _) = stage.user.json(&["policy", "check", &open]).unwrap();
    let codes: Vec<&Value> = report["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert_eq!(codes, ["TC0711"], "{report}");
}

/// Names the rule, where it is written, and what can be done now; nothing of it weakens the policy.
#[test]
fn a_refusal_names_its_rule_and_a_command_that_helps() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let exact = stage.image(&format!("@{}", stage.world.registry().tag("shop/cart", "1.4").unwrap()));
    let pem = stage.user.json(&["key", "show", "release"]).unwrap().0["keys"][0]["publicKey"].as_str().unwrap().to_owned();
    let rule = "[[rules]]\nname = \"shop\"\nimages = [\"**\"]\nrequire = { any = [\"release\"] }\n";
    let text = format!("version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = '''\n{pem}'''\n{rule}");
    let line = text.lines().position(|line| line.starts_with("name = ")).unwrap() + 1;
    let policy = stage.write("policy.toml", &text);
    let (text, report) = stage.ends(&["verify", &image, "--policy", &policy], 3, "TC0301");
    assert!(text.contains(&format!("rule \"shop\" ({policy}:{line}) asks for cosign")), "{text}");
    assert!(text.contains(&format!("trustctl inspect {exact}\n")), "{text}");
    assert!(text.contains(&format!("trustctl sign {exact} --key KEY --tag 1.4\n")), "{text}");
    let next = &report["results"][0]["reasons"][0]["next"];
    assert_eq!(next[0]["command"], serde_json::json!(["trustctl", "inspect", exact]), "{report}");
    let (text, _) = stage.ends(&["verify", &image, "--key", "release"], 3, "TC0301");
    assert!(text.contains("the command line asks for cosign"), "{text}");

    stage.user.run(&["key", "generate", "other"]).unwrap();
    let signed =
        stage.user.run(&["sign", &exact, "--tag", "1.4", "--key", "other", "--scheme", "cosign", "--scheme", "dct"]).unwrap();
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    let (text, _) = stage.ends(&["verify", &image, "--policy", &policy], 1, "TC0302");
    assert!(text.contains(&format!("trustctl inspect {exact}\n")) && text.contains("by another channel"), "{text}");

    let moved = stage.world.push("shop/cart:1.4", &Artifact::multi_platform("two")).unwrap();
    let (text, _) = stage.ends(&["verify", &image, "--danger-trust-on-first-use"], 1, "TC0204");
    let (old, new) = (exact, stage.image(&format!("@{moved}")));
    assert!(text.contains(&format!("next: use the signed image: {old}\n")), "{text}");
    assert!(text.contains(&format!("trustctl sign {new} --tag 1.4 --scheme dct\n")), "{text}");
}

#[test]
fn a_policy_that_cannot_be_used_is_named_in_the_headline() {
    let stage = Stage::new();
    let policy = stage.write("policy.toml", "version = 1\nidentitty = 2\n");
    let (text, report) = stage.ends(&["policy", "check", &policy], 7, "TC0701");
    assert!(text.starts_with(&format!("error[TC0701]: {policy} cannot be used\n")), "{text}");
    assert!(report["error"]["message"].as_str().unwrap().starts_with(&format!("{policy}, line 2: ")), "{report}");
}

#[test]
fn an_image_that_is_not_there_is_not_called_undecided() {
    let stage = Stage::new();
    let gone = stage.image(":gone");
    let ran = stage.user.run(&["verify", &gone, "--key", "release"]).unwrap();
    assert_eq!((ran.code, ran.stdout), (Some(6), format!("not found: {gone}\n")));
    assert!(ran.stderr.starts_with(&format!("error[TC0102]: {gone} is not there: ")), "{}", ran.stderr);
    let (report, _) = stage.user.json(&["verify", &gone, "--key", "release"]).unwrap();
    assert_eq!((&report["exit"], &report["results"][0]["verdict"]), (&Value::from(6), &Value::from("undecided")));
    let down = stage.user.run(&["verify", "127.0.0.1:1/shop/cart:1.4", "--key", "release", "--timeout", "20s"]).unwrap();
    assert!(down.stdout.starts_with("undecided: "), "{}", down.stdout);
}

#[test]
fn help_shows_each_flag_where_it_belongs() {
    let stage = Stage::new();
    let own: [(&str, &[&str]); 3] = [
        ("verify", &["--at", "--offline", "--evidence", "--oci-layout"]),
        ("sign", &["--dry-run"]),
        ("revoke", &["--yes", "--dry-run"]),
    ];
    for (command, flags) in own {
        let help = stage.user.run(&[command, "-h"]).unwrap().stdout;
        let options = help.split("\nOptions:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        for flag in flags {
            assert!(options.contains(&format!("{flag} ")) || options.contains(&format!("{flag}\n")), "{command} {flag}: {help}");
        }
        assert!(help.contains("--timeout <DURATION>") && !help.contains("Sign with this scheme"), "{help}");
    }
    let completions = stage.user.run(&["completions", "bash"]).unwrap().stdout;
    assert!(completions.contains("TC0101") && completions.contains("TC0805"));
    assert!(!stage.user.run(&["explain", "--help"]).unwrap().stdout.contains("TC0805"), "help stays short");
}
