//! The command line: what it prints, where, and how it ends, for people and as JSON.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed unwrap fails the test")]

use std::path::Path;

use serde_json::Value;
use trustctl_lab::image::Artifact;
use trustctl_tests::peers::Peer;
use trustctl_tests::program::User;
use trustctl_tests::stage::Stage;

#[test]
fn everything_that_can_be_wrong_has_a_code_a_reason_and_a_next_step() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let nothing = stage.write("nothing.key", "");
    let garbage = stage.write("garbage.toml", "version = ");
    let unknown = stage.write("unknown.toml", "version = 1\n[signers.a]\nscheme = \"cosign\"\nidentitty = \"x\"\n");
    let duplicate = stage.write("duplicate.toml", "version = 1\nversion = 1\n");
    let typed = stage.write("typed.toml", "version = \"one\"\n");
    let huge = stage.write("huge.toml", &"#".repeat(5 * 1024 * 1024));
    let evidence = stage.write("evidence.json", "{\"schema\":");
    let gone = stage.image(":gone");
    let down = "127.0.0.1:1/shop/cart:1.4";
    let cases: [(&[&str], i32, &str); 19] = [
        (&["verify", &image], 2, "TC0716"),
        (&["verify", "Shop/Cart", "--key", "release"], 2, "TC0101"),
        (&["verify", &gone, "--key", "release"], 6, "TC0102"),
        (&["verify", down, "--key", "release", "--timeout", "20s"], 4, "TC0401"),
        (&["verify", "registry.invalid/shop/cart", "--key", "release", "--offline"], 4, "TC0409"),
        (&["verify", &image, "--key", "nobody"], 6, "TC0501"),
        (&["verify", &image, "--key", &nothing], 7, "TC0712"),
        (&["verify", &image, "--policy", &garbage], 7, "TC0701"),
        (&["verify", &image, "--policy", &unknown], 7, "TC0701"),
        (&["verify", &image, "--policy", &duplicate], 7, "TC0701"),
        (&["verify", &image, "--policy", &typed], 7, "TC0701"),
        (&["verify", &image, "--policy", &huge], 7, "TC0717"),
        (&["verify", &image, "--policy", "/nowhere/policy.toml"], 7, "TC0717"),
        (&["verify", "--evidence", &evidence, "--key", "release"], 7, "TC0713"),
        (&["sign", &image, "--key", "release"], 2, "TC0105"),
        (&["sign", &image, "--resolve-tag", "--key", "nobody"], 6, "TC0501"),
        (&["key", "show", &nothing], 7, "TC0502"),
        (&["key", "generate", "release"], 7, "TC0505"),
        (&["policy", "check", "/nowhere/policy.toml"], 7, "TC0717"),
    ];
    for (words, exit, code) in cases {
        stage.ends(words, exit, code);
    }
}

#[test]
fn passphrases_that_are_wrong_or_missing_are_told_apart() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let sign = ["sign", &image, "--resolve-tag", "--key", "release"];
    let wrong = User::new(stage.user.home()).with("COSIGN_PASSWORD", "another");
    let missing = User::new(stage.user.home());
    let data = stage.user.home().join(".local/share").display().to_string();
    for (user, code) in [(wrong, "TC0503"), (missing, "TC0504")] {
        let (report, exit) = user.with("XDG_DATA_HOME", data.clone()).json(&sign).unwrap();
        assert_eq!((exit, report["error"]["code"].as_str()), (Some(5), Some(code)), "{report}");
        assert!(!report.to_string().contains("another"), "a passphrase is never repeated");
    }
}

#[test]
fn the_story_of_an_image_has_the_right_verdicts_and_exit_codes() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let verify = ["verify", &image, "--key", "release"];
    stage.ends(&verify, 3, "TC0301");
    let signed = stage.user.run(&["sign", &image, "--resolve-tag", "--key", "release"]).unwrap();
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    let again = stage.user.json(&["sign", &image, "--resolve-tag", "--key", "release"]).unwrap().0;
    assert_eq!(again["results"][0]["done"], "already signed", "signing again changes nothing: {again}");
    let trusted = stage.user.run(&verify).unwrap();
    assert_eq!(trusted.code, Some(0), "{}", trusted.stderr);
    assert!(trusted.stdout.starts_with(&format!("trusted: {image}@sha256:")), "the answer is on stdout: {}", trusted.stdout);
    assert_eq!(trusted.stdout.lines().count(), 1);
    let quiet = stage.user.run(&["verify", &image, "--key", "release", "--quiet"]).unwrap();
    assert_eq!((quiet.stdout.lines().count(), quiet.stderr.as_str()), (1, ""));

    stage.user.run(&["key", "generate", "other"]).unwrap();
    stage.ends(&["verify", &image, "--key", "other"], 1, "TC0302");
    let both = stage.user.json(&["verify", &image, &stage.image(":gone"), "--key", "release"]).unwrap();
    assert_eq!(both.1, Some(6), "one of two images is not there: {}", both.0);
    assert_eq!(both.0["results"].as_array().unwrap().len(), 2);

    let revoke = ["revoke", &image, "--resolve-tag", "--key", "release", "--reason", "mistake", "--message", "oops", "--yes"];
    let revoked = stage.user.run(&revoke).unwrap();
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    assert!(revoked.stderr.contains("this does not undo"), "{}", revoked.stderr);
    let (text, _) = stage.ends(&verify, 1, "TC0309");
    assert!(text.contains("oops"), "the revoker's words are shown: {text}");
}

#[test]
fn docker_content_trust_does_not_sign_sha512() {
    let stage = Stage::new();
    let digest = format!("@sha512:{}", "0f".repeat(64));
    let words = [&stage.image(&digest), "--tag", "1.4", "--key", "release", "--scheme", "cosign", "--scheme", "dct"];
    stage.world.registry().requests().clear();
    stage.ends(&[&["sign"], words.as_slice()].concat(), 2, "TC0228");
    let asked = (stage.world.registry().requests().count(), stage.world.notary().requests().count());
    assert_eq!(asked, (0, 0), "nothing was asked or sent");
    let known = stage.image(&format!("@{}", stage.world.registry().tag("shop/cart", "1.4").unwrap()));
    let signed = stage.user.run(&["sign", &known, "--tag", "1.4", "--scheme", "dct"]).unwrap();
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
}

#[test]
fn nothing_is_destroyed_without_being_asked_for() {
    let stage = Stage::new();
    let deleted = stage.user.run(&["key", "delete", "release"]).unwrap();
    assert_eq!(deleted.code, Some(2), "{}", deleted.stderr);
    assert!(deleted.stderr.contains("--yes"), "the missing flag is named: {}", deleted.stderr);
    assert_eq!(stage.user.run(&["key", "show", "release"]).unwrap().code, Some(0));
    assert_eq!(stage.user.run(&["key", "delete", "release", "--yes"]).unwrap().code, Some(0));
    assert_eq!(stage.user.run(&["key", "show", "release"]).unwrap().code, Some(6));
}

#[test]
fn saved_evidence_gives_the_same_verdict_without_a_network() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    stage.user.run(&["sign", &image, "--resolve-tag", "--key", "release", "--storage", "both"]).unwrap();
    let file = stage.user.home().join("evidence.json").display().to_string();
    let online = stage.user.json(&["verify", &image, "--key", "release", "--save-evidence", &file]).unwrap();
    let (user, _home) = stage.leave();
    let offline = user.json(&["verify", "--evidence", &file, "--key", "release"]).unwrap();
    assert_eq!((online.1, offline.1), (Some(0), Some(0)), "{}", offline.0);
    assert_eq!(online.0["results"][0]["schemes"], offline.0["results"][0]["schemes"]);
}

/// Whoever pulls the index runs one of its platform images; who has no memory must see the revocation of one as well.
#[test]
fn a_revoked_platform_image_rejects_the_signed_index_on_a_fresh_host() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let signed = stage.user.run(&["sign", &image, "--resolve-tag", "--key", "release"]).unwrap();
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    let verify = ["verify", &image, "--key", "release", "--danger-no-memory"];
    assert_eq!(stage.user.run(&verify).unwrap().code, Some(0));

    let child = stage.image(&format!("@{}", Artifact::multi_platform("one").children[0].digest()));
    let revoke = ["revoke", &child, "--key", "release", "--reason", "compromised", "--message", "leaked", "--yes"];
    let revoked = stage.user.run(&revoke).unwrap();
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    stage.ends(&verify, 1, "TC0309");
}

/// A flag that lowers safety never replaces a policy, and is never given unseen; nor is another time.
#[test]
fn what_lowers_safety_is_said_and_replaces_no_policy() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let policy = stage.write("policy.toml", "version = 1\ndefault = \"allow\"\n");
    let (report, exit) = stage.user.json(&["verify", &image, "--policy", &policy]).unwrap();
    assert_eq!((exit, &report["warnings"]), (Some(0), &serde_json::json!([])), "{report}");
    let named: [&[&str]; 3] = [&["--danger-no-memory"], &["--danger-example-keys"], &["--at", "2020-01-01T00:00:00Z"]];
    for flag in named {
        let words = [&["verify", &image, "--policy", &policy], flag].concat();
        let (report, exit) = stage.user.json(&words).unwrap();
        let code = if flag[0] == "--at" { "TC0719" } else { "TC0718" };
        assert_eq!((exit, report["warnings"][0]["code"].as_str()), (Some(0), Some(code)), "{report}");
        assert_eq!(report["at"].as_str(), flag.get(1).copied(), "{report}");
        assert!(stage.user.run(&words).unwrap().stderr.contains(&format!("warning[{code}]")));
    }
    let tofu = ["verify", &image, "--danger-trust-on-first-use"];
    let (report, exit) = stage.user.json(&tofu).unwrap();
    assert_eq!((exit, report["warnings"][0]["code"].as_str()), (Some(3), Some("TC0718")), "unsigned: {report}");
    let (report, exit) = stage.user.json(&[&tofu[..], &["--policy", &policy]].concat()).unwrap();
    assert_eq!(exit, Some(2), "{report}");
    let (report, exit) = stage.user.clone().with("TRUSTCTL_POLICY", policy).json(&tofu).unwrap();
    assert_eq!(exit, Some(2), "{report}");
}

/// The program runs where its user's folders are unknown, or named relative to a checkout that somebody else filled.
#[test]
fn without_a_place_for_memory_nothing_is_trusted_and_no_policy_comes_from_the_working_directory() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    stage.user.run(&["sign", &image, "--resolve-tag", "--key", "release"]).unwrap();
    let key = stage.user.home().join(".local/share/trustctl/keys/release.pub").display().to_string();
    let homeless = |more: &[&str]| {
        let mut command = stage.user.command(&[&["verify", &image, "--key", &key, "--output", "json"], more].concat());
        let output = command.env_remove("HOME").env_remove("XDG_STATE_HOME").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (exit, report) = homeless(&[]);
    assert_eq!(exit, Some(7), "{report}");
    assert!(report.contains("TC0713") && report.contains("--danger-no-memory"), "{report}");
    assert_eq!(homeless(&["--danger-no-memory"]).0, Some(0));

    let here = stage.user.home().join("trustctl");
    std::fs::create_dir(&here).unwrap();
    std::fs::write(here.join("policy.toml"), "version = 1\ndefault = \"allow\"\n").unwrap();
    let (report, exit) = stage.user.clone().with("XDG_CONFIG_HOME", ".").json(&["verify", &image]).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(2), Some("TC0716")), "{report}");
    let whole = stage.user.home().display().to_string();
    let (report, exit) = stage.user.clone().with("XDG_CONFIG_HOME", whole).json(&["verify", &image]).unwrap();
    assert_eq!(exit, Some(0), "{report}");
}

#[test]
fn colours_repeat_what_words_say() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let plain = stage.user.run(&["verify", &image, "--key", "release"]).unwrap();
    let coloured = stage.user.run(&["verify", &image, "--key", "release", "--color", "always"]).unwrap();
    assert!(!plain.stdout.contains('\u{1b}') && coloured.stdout.contains("\u{1b}[31munsigned\u{1b}[0m"));
    let strip =
        |text: &str| text.replace("\u{1b}[31m", "").replace("\u{1b}[36m", "").replace("\u{1b}[33m", "").replace("\u{1b}[0m", "");
    assert_eq!(strip(&coloured.stderr), plain.stderr);
}

#[test]
fn reports_follow_the_published_schema() {
    let stage = Stage::new();
    let schema: Value = serde_json::from_str(include_str!("../../docs/reference/verify-v1.schema.json")).unwrap();
    let image = stage.image(":1.4");
    let check = |words: &[&str]| {
        let (report, _) = stage.user.json(words).unwrap();
        let mut faults = Vec::new();
        validate(&schema, &schema, &report, "$", &mut faults);
        assert!(faults.is_empty(), "{words:?}: {faults:#?}\n{report}");
    };
    check(&["verify", &image, "--key", "release"]);
    check(&["verify", &image]);
    stage
        .user
        .run(&["sign", &image, "--resolve-tag", "--key", "release", "-a", "env=prod", "--scheme", "cosign", "--scheme", "dct"])
        .unwrap();
    check(&["verify", &image, "--key", "release"]);
    check(&["verify", &image, "--danger-trust-on-first-use"]);
    check(&["verify", &image, &stage.image(":gone"), "--dct-root", &"0".repeat(64)]);
}

/// Enough of JSON Schema 2020-12 for the published schema; an unknown keyword is a fault of the test.
fn validate(whole: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    for (keyword, wanted) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" => true,
            "$ref" => {
                let name = wanted.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                validate(whole, &whole["$defs"][name], value, at, faults);
                true
            }
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind.as_str().unwrap())),
                kind => is_a(value, kind.as_str().unwrap()),
            },
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64() >= wanted.as_f64(),
            "maximum" => value.as_f64() <= wanted.as_f64(),
            "pattern" => match wanted.as_str().unwrap() {
                "^TC[0-9]{4}$" => value.as_str().is_some_and(|code| code.len() == 6 && code.starts_with("TC")),
                "^sha(256|512):[0-9a-f]+$" => value.as_str().is_some_and(|digest| digest.starts_with("sha")),
                other => panic!("the test does not know the pattern {other}"),
            },
            "required" => wanted.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "items" => {
                for (position, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(whole, wanted, item, &format!("{at}[{position}]"), faults);
                }
                true
            }
            "properties" => {
                for (name, inner) in wanted.as_object().unwrap() {
                    if let Some(found) = value.get(name) {
                        validate(whole, inner, found, &format!("{at}.{name}"), faults);
                    }
                }
                true
            }
            "additionalProperties" => {
                for (name, found) in value.as_object().into_iter().flatten() {
                    validate(whole, wanted, found, &format!("{at}.{name}"), faults);
                }
                true
            }
            other => panic!("the test does not know the keyword {other}"),
        };
        if !holds {
            faults.push(format!("{at}: {keyword} {wanted} does not hold for {value}"));
        }
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        _ => false,
    }
}

#[test]
fn the_demo_tells_its_story_to_the_end() {
    let home = tempfile::tempdir().unwrap();
    let (report, exit) = User::new(home.path()).json(&["demo"]).unwrap();
    assert_eq!(exit, Some(0), "{report}");
    let refusals: Vec<&str> = report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["reasons"].as_array().unwrap())
        .filter_map(Value::as_str)
        .collect();
    for code in ["TC0301", "TC0204", "TC0104", "TC0309", "TC0202", "TC0321", "TC0312", "TC0305"] {
        assert!(refusals.contains(&code), "{code} is not among {refusals:?}");
    }
    assert_eq!(pulls(&report, "skopeo"), if Peer::Skopeo.or_skip().is_some() { 5 } else { 0 }, "{report:#}");
    // Without a client on the machine the program pulls by itself.
    let (alone, exit) = User::new(home.path()).with("PATH", "/nowhere").json(&["demo"]).unwrap();
    assert_eq!((exit, pulls(&alone, "curl")), (Some(0), 5), "{alone:#}");
    assert_eq!(alone["steps"].as_array().unwrap().len(), report["steps"].as_array().unwrap().len());
    assert!(Path::new(home.path()).read_dir().unwrap().next().is_none(), "the demo leaves nothing in the home");
}

/// How many steps of a demo a client did.
fn pulls(report: &Value, client: &str) -> usize {
    report["steps"].as_array().unwrap().iter().filter(|step| step["command"][0] == client).count()
}
