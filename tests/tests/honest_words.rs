//! What the program says about its own limits: how old evidence is, how much time there was, what was looked for, what is trusted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_tests::stage::Stage;

/// A stage whose image is signed, and a file with the evidence for that.
fn with_evidence() -> (Stage, String) {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let signed = stage.user.run(&["sign", &image, "--resolve-tag", "--key", "release"]).unwrap();
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    let file = stage.user.home().join("saved.json").display().to_string();
    let saved = stage.user.run(&["verify", &image, "--key", "release", "--save-evidence", &file]).unwrap();
    assert_eq!(saved.code, Some(0), "{}", saved.stderr);
    (stage, file)
}

fn codes(warnings: &Value) -> Vec<&str> {
    warnings.as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[test]
fn saved_evidence_tells_its_age_and_warns_when_it_is_old() {
    let (stage, file) = with_evidence();
    let verify = ["verify", "--evidence", &file, "--key", "release"];
    let (fresh, exit) = stage.user.json(&verify).unwrap();
    assert_eq!((exit, codes(&fresh["warnings"])), (Some(0), vec![]), "{fresh}");
    let mut saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(fresh["gathered"], saved["gathered"]);
    let text = stage.user.run(&verify).unwrap().stderr;
    assert!(text.contains(&format!("evidence gathered {}", saved["gathered"].as_str().unwrap())), "{text}");

    for (gathered, words) in [("2020-01-01T00:00:00Z", "days before"), ("2999-01-01T00:00:00Z", "days after")] {
        saved["gathered"] = gathered.into();
        let old = stage.write("old.json", &saved.to_string());
        let verify = ["verify", "--evidence", &old, "--key", "release"];
        let (report, exit) = stage.user.json(&verify).unwrap();
        assert_eq!((exit, codes(&report["warnings"])), (Some(0), vec!["TC0731"]), "{report}");
        let text = stage.user.run(&verify).unwrap().stderr;
        assert!(text.contains("warning[TC0731]") && text.contains(words) && text.contains(gathered), "{text}");
    }
    let online = stage.user.json(&["verify", &stage.image(":1.4"), "--key", "release"]).unwrap().0;
    assert!(online.get("gathered").is_none(), "{online}");
}

#[test]
fn evidence_with_two_answers_to_one_question_or_in_no_file_is_refused() {
    let (stage, file) = with_evidence();
    let mut saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let first = saved["entries"][0].clone();
    saved["entries"].as_array_mut().unwrap().push(first);
    let twice = stage.write("twice.json", &saved.to_string());
    let (text, _) = stage.ends(&["verify", "--evidence", &twice, "--key", "release"], 7, "TC0713");
    assert!(text.contains("twice"), "{text}");

    let pipe = stage.user.home().join("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (text, _) = stage.ends(&["verify", "--evidence", &pipe, "--key", "release"], 7, "TC0717");
    assert!(text.contains("not a regular file"), "{text}");
    let huge = stage.user.home().join("huge.json");
    std::fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    stage.ends(&["verify", "--evidence", &huge.display().to_string(), "--key", "release"], 7, "TC0717");
}

#[test]
fn evidence_of_several_images_is_not_saved_over_one_another() {
    let (stage, file) = with_evidence();
    let (image, before) = (stage.image(":1.4"), std::fs::read(&file).unwrap());
    let words = ["verify", &image, &image, "--key", "release", "--save-evidence", &file];
    let (text, _) = stage.ends(&words, 2, "TC0801");
    assert!(text.contains("--save-evidence takes one image"), "{text}");
    assert_eq!(std::fs::read(&file).unwrap(), before, "nothing was written");
}

/// Resolving takes a part of the time, gathering the rest: each would be in time if it had all of it.
#[test]
fn one_time_is_for_the_whole_verification() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let span = Duration::from_secs(2);
    for path in ["/v2/shop/cart/manifests/1.4", "/v2/shop/cart/referrers/*"] {
        stage.world.registry().faults().add(FaultRule::always(path, Fault::Slow(span)));
    }
    stage.ends(&["verify", &image, "--key", "release", "--timeout", "3s"], 4, "TC0405");
    stage.ends(&["verify", &image, "--key", "release", "--timeout", "60s"], 3, "TC0301");
}

#[test]
fn what_was_looked_for_and_what_is_expected_is_named() {
    let stage = Stage::new();
    let (image, none) = (stage.image(":1.4"), stage.image(""));
    let (text, _) = stage.ends(&["verify", &none, "--key", "release"], 6, "TC0102");
    assert!(text.contains(&format!("{none}:latest, which is meant where no tag is named")), "{text}");
    let (text, _) = stage.ends(&["verify", &image, "--key", "release", "--timeout", "1"], 2, "TC0802");
    assert!(text.contains("not a duration") && !text.contains("age"), "{text}");
    let (text, _) = stage.ends(&["verify", &image, "--key", "release", "--at", "9999-12-31T23:59:59Z"], 2, "TC0802");
    assert!(text.contains("before 9999-12-31"), "{text}");
    let (text, _) = stage.ends(&["verify", &image], 2, "TC0716");
    assert!(text.contains("--identity"), "{text}");
    let (text, _) = stage.ends(&["verify", &image, "--key", "release"], 3, "TC0301");
    assert!(text.contains("--key release"), "the key's name is known: {text}");
    let (text, _) = stage.ends(&["sign", "127.0.0.1:1/shop/cart:1.4", "--resolve-tag", "--key", "release"], 4, "TC0401");
    assert!(!text.contains("--evidence"), "{text}");
    let (text, _) = stage.ends(&["verify", "127.1:5000/shop/cart", "--key", "release"], 2, "TC0101");
    assert!(text.contains("as in 127.0.0.1"), "{text}");
    let odd = "version = 1\n[signers.a]\nscheme = \"dct\"\ntofu = true\n[[rules]]\nname = \"r\"\nimages = [\"127.1:5000/**\"]\nrequire = { any = [\"a\"] }\n";
    let (text, _) = stage.ends(&["policy", "check", &stage.write("odd.toml", odd)], 7, "TC0701");
    assert!(text.contains("as in 127.0.0.1"), "{text}");
}

/// The reader of TOML speaks of sequences and maps.
#[test]
fn a_table_or_text_in_place_of_a_list_is_told_with_what_to_write() {
    let stage = Stage::new();
    let rule = "name = \"r\"\nimages = [\"**\"]\nrequire = { any = [\"a\"] }\n";
    let head = format!("version = 1\n[signers.a]\nscheme = \"dct\"\nroots = [\"{}\"]\n", "0".repeat(64));
    for (text, line, words) in [
        (format!("{head}[rules]\n{rule}"), 5, "write [[rules]] in place of [rules]"),
        (format!("{head}[[rules]]\n{}", rule.replace("[\"**\"]", "\"**\"")), 7, "images is a list: write images = [\"**\"]"),
        (format!("{head}[[rules]]\n{}", rule.replace("[\"a\"]", "\"a\"")), 8, "any is a list: write any = [\"a\"]"),
        (format!("{head}[[rules]]\n{}", rule.replace("\"r\"", "1")), 6, "name is a text: write it in quotes"),
        (format!("{head}tofu = \"yes\"\n[[rules]]\n{rule}"), 5, "tofu is true or false, without quotes"),
    ] {
        let file = stage.write("p.toml", &text);
        let (text, report) = stage.ends(&["policy", "check", &file], 7, "TC0701");
        assert!(text.contains(words), "{text}");
        assert!(report["error"]["message"].as_str().unwrap().starts_with(&format!("{file}, line {line}: ")), "{report}");
    }
    let config = "version = 1\npolicy = \"nowhere.toml\"\nstate = \"state\"\n[[listen]]\naddress = \"127.0.0.1:5000\"\n";
    let upstreams = "[[upstreams]]\nregistry = \"docker.io\"\ndefault = true\n";
    let file = stage.write("proxy.toml", &format!("{config}{}", upstreams.replace("[[upstreams]]", "[upstreams]")));
    let (text, _) = stage.ends(&["proxy", "check", "--config", &file], 7, "TC0600");
    assert!(text.contains("line 6: there can be several upstreams: write [[upstreams]]"), "{text}");
    let file = stage.write("proxy.toml", &format!("{config}{upstreams}"));
    let (text, _) = stage.ends(&["proxy", "check", "--config", &file], 7, "TC0600");
    assert!(text.contains(&format!("{file}, line 2: the policy cannot be read: ")) && text.contains("nowhere.toml"), "{text}");
}

#[test]
fn a_file_of_the_wrong_kind_is_called_what_it_is() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let policy = stage.user.home().join("policy.toml").display().to_string();
    assert_eq!(stage.user.run(&["policy", "init", &policy, "--key", "release"]).unwrap().code, Some(0));
    let (text, _) = stage.ends(&["policy", "explain", &policy], 2, "TC0101");
    assert!(text.contains("is a file") && text.contains(&format!("trustctl policy explain IMAGE --policy {policy}")), "{text}");
    let public = stage.user.home().join("release.pub").display().to_string();
    let exported = stage.user.run(&["key", "export", "release", "--public", "--to", &public]).unwrap();
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let (text, _) = stage.ends(&["sign", &image, "--resolve-tag", "--key", &public], 7, "TC0502");
    assert!(text.contains("it is a public key, which verifies and cannot sign") && text.contains("trustctl key list"), "{text}");
    let (text, _) = stage.ends(&["verify", &image, "--key", &stage.write("bad.pub", "no key")], 7, "TC0712");
    assert!(text.contains("give a public key in PEM") && !text.contains("policy"), "{text}");
}

#[test]
fn keys_are_told_apart_in_one_form() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    for words in [&["sign", &image, "--resolve-tag", "--key", "release"][..], &["key", "generate", "other"]] {
        assert_eq!(stage.user.run(words).unwrap().code, Some(0), "{words:?}");
    }
    let (report, exit) = stage.user.json(&["verify", &image, "--key", "other"]).unwrap();
    assert_eq!(exit, Some(1), "{report}");
    let reason = &report["results"][0]["reasons"][0];
    let fingerprint = |name: &str| {
        let (report, _) = stage.user.json(&["key", "show", name]).unwrap();
        report["keys"][0]["fingerprint"].as_str().unwrap().get(..16).unwrap().to_owned()
    };
    assert_eq!(reason["expected"], format!("key {}", fingerprint("other")), "{report}");
    assert_eq!(reason["found"], format!("key {}, by the signature's own word", fingerprint("release")), "{report}");
}

/// An image signed with Cosign alone lacks nothing when nobody runs a Notary server for its registry.
#[test]
fn inspect_is_calm_where_no_notary_server_is_named_and_none_is_needed() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let without = || stage.user.clone().with("DOCKER_CONTENT_TRUST_SERVER", "");
    let unsigned = without().run(&["inspect", &image, "--key", "release"]).unwrap();
    assert!(unsigned.stdout.contains("dct: not known\n") && unsigned.stdout.contains("could not be read"), "{}", unsigned.stdout);
    assert_eq!(stage.user.run(&["sign", &image, "--resolve-tag", "--key", "release"]).unwrap().code, Some(0));
    let calm = without().run(&["inspect", &image, "--key", "release"]).unwrap();
    assert!(
        calm.stdout.contains("dct: no Notary server answers for this registry, and Cosign's signatures need none\n"),
        "{}",
        calm.stdout
    );
    assert!(!calm.stdout.contains("could not be read"), "{}", calm.stdout);
    let named = stage.user.run(&["inspect", &image, "--key", "release", "--dct-server", "https://127.0.0.1:1"]).unwrap();
    assert!(named.stdout.contains("dct: not known\n") && named.stdout.contains("could not be read"), "{}", named.stdout);
}

#[test]
fn a_policy_that_believes_who_comes_first_is_warned_about() {
    let stage = Stage::new();
    let rest = "[[rules]]\nname = \"r\"\nimages = [\"**\"]\nrequire = { any = [\"a\"] }\n";
    for (anchor, expected) in [("tofu = true", vec!["TC0218"]), (&format!("roots = [\"{}\"]", "0".repeat(64)), vec![])] {
        let file = stage.write("p.toml", &format!("version = 1\n[signers.a]\nscheme = \"dct\"\n{anchor}\n{rest}"));
        let (report, exit) = stage.user.json(&["policy", "check", &file]).unwrap();
        assert_eq!((exit, codes(&report["warnings"])), (Some(0), expected), "{report}");
    }
}

#[test]
fn a_dash_is_standard_output_and_help_is_text() {
    let stage = Stage::new();
    let printed = stage.user.run(&["policy", "init", "-", "--key", "release"]).unwrap();
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.stdout.contains("version = 1") && !stage.user.home().join("-").exists());
    for words in [&["help"][..], &["help", "verify"], &["--help"], &["--version"], &["man"], &["completions", "bash"]] {
        let ran = stage.user.run(&[words, &["--output", "json"]].concat()).unwrap();
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
        assert!(!ran.stdout.starts_with('{') && !ran.stdout.is_empty(), "{words:?}");
    }
}
