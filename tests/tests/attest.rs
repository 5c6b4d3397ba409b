//! `attest` and its commands against the lab: what is refused, what is listed, and what is handed out.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use serde_json::Value;
use trustctl_tests::stage::Stage;

const KIND: &str = "https://shop.example/tests/v1";
const SLSA: &str = r#"{"buildDefinition": {"buildType": "t", "externalParameters": {}}, "runDetails": {"builder": {"id": "https://builder.example"}}}"#;

/// The image by digest.
fn pinned(stage: &Stage) -> String {
    let (report, _) = stage.user.json(&["inspect", &stage.image(":1.4")]).unwrap();
    stage.image(&format!("@{}", report["digest"].as_str().unwrap()))
}

#[track_caller]
fn done(stage: &Stage, words: &[&str]) -> Value {
    let (report, exit) = stage.user.json(words).unwrap();
    assert_eq!(exit, Some(0), "{words:?}: {report}");
    report
}

/// Attests `text` about the image.
#[track_caller]
fn attest(stage: &Stage, image: &str, (kind, text): (&str, &str), key: &str) {
    let file = stage.write("predicate.json", text);
    done(stage, &["attest", image, "--type", kind, "--predicate", &file, "--key", key]);
}

fn listed(stage: &Stage, image: &str) -> Vec<Value> {
    done(stage, &["attest", "list", image, "--key", "release"])["attestations"].as_array().cloned().unwrap()
}

#[test]
fn what_lacks_the_form_of_its_type_is_not_attested() {
    let stage = Stage::new();
    let image = pinned(&stage);
    let tagged = stage.image(":1.4");
    let [good, bad, text] = [("good", SLSA), ("bad", "{}"), ("text", "not json")].map(|(name, text)| stage.write(name, text));
    let with = |image: &str, kind: &str, file: &str, more: &[&str]| {
        let words = ["attest", image, "--type", kind, "--predicate", file].map(str::to_owned);
        words.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>()
    };
    let key = ["--key", "release"];
    let cases = [
        (with(&image, "slsaprovenance1", &bad, &key), 7, "TC0345"),
        (with(&image, "slsaprovenance1", &text, &key), 7, "TC0345"),
        (with(&image, "vuln", &good, &key), 7, "TC0345"),
        (with(&image, "provenance", &good, &key), 2, "TC0802"),
        (with(&image, "slsaprovenance1", "/nowhere/file", &key), 7, "TC0717"),
        (with(&image, "slsaprovenance1", &good, &[]), 2, "TC0804"),
        (with(&image, "slsaprovenance1", &good, &["--key", "nobody"]), 6, "TC0501"),
        (with(&tagged, "slsaprovenance1", &good, &key), 2, "TC0105"),
    ];
    for (words, exit, code) in cases {
        stage.ends(&words.iter().map(String::as_str).collect::<Vec<_>>(), exit, code);
    }
    let dry = with(&image, "slsaprovenance1", &good, &["--key", "release", "--dry-run"]);
    let report = done(&stage, &dry.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(report["results"][0]["done"], "would attest");
    assert!(listed(&stage, &image).is_empty(), "nothing was published");
    let words = with(&tagged, "slsaprovenance1", &good, &["--key", "release", "--resolve-tag"]);
    done(&stage, &words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(listed(&stage, &image).len(), 1);
}

#[test]
fn attestations_are_listed_with_how_far_they_are_to_be_believed() {
    let stage = Stage::new();
    let image = pinned(&stage);
    done(&stage, &["key", "generate", "stranger"]);
    attest(&stage, &image, (KIND, "{\"passed\": 12}"), "release");
    attest(&stage, &image, ("slsaprovenance1", SLSA), "stranger");
    let list = listed(&stage, &image);
    let state = |kind: &str| list.iter().find(|entry| entry["predicateType"] == kind).unwrap();
    let (own, foreign) = (state(KIND), state("https://slsa.dev/provenance/v1"));
    assert_eq!((&own["state"], &own["size"], &own["form"]), (&"proven".into(), &13.into(), &"bundle".into()));
    assert_eq!(own["signer"]["type"], "key");
    assert_eq!((&foreign["state"], &foreign["signer"]), (&"claimed".into(), &Value::Null));
    assert_eq!(foreign["reason"]["code"], "TC0302");
    let one = done(&stage, &["attest", "list", &image, "--type", KIND, "--key", "release"]);
    assert_eq!(one["attestations"].as_array().unwrap().len(), 1);
    let text = stage.user.run(&["attest", "list", &image, "--key", "release"]).unwrap();
    assert!(
        text.stdout.contains(": 2 attestation(s)\n") && text.stdout.contains("proven  https://shop.example/tests/v1, by key "),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("13 bytes, no trusted time, bundle, statement sha256:"), "{}", text.stdout);
}

/// GHSA-vjxv-45g9-9296 and GHSA-739f-hw6h-7wq8: neither a signature nor an attestation of another type does.
#[test]
fn asked_for_one_type_another_does_not_do() {
    let stage = Stage::new();
    let image = pinned(&stage);
    let verify = ["attest", "verify", &image, "--type", KIND, "--key", "release"];
    stage.ends(&verify, 3, "TC0707");
    done(&stage, &["sign", &image, "--key", "release"]);
    attest(&stage, &image, ("slsaprovenance1", SLSA), "release");
    stage.ends(&verify, 3, "TC0707");
    attest(&stage, &image, (KIND, "{\"passed\": 12}"), "release");
    let ran = stage.user.run(&verify).unwrap();
    assert!(ran.code == Some(0) && ran.stdout.starts_with("attested: "), "{}{}", ran.stdout, ran.stderr);
    stage.ends(&["attest", "verify", &image, "--type", KIND], 2, "TC0716");
}

#[test]
fn only_what_is_verified_is_handed_out() {
    let stage = Stage::new();
    let image = pinned(&stage);
    done(&stage, &["key", "generate", "stranger"]);
    attest(&stage, &image, (KIND, "{\"passed\": 1}"), "stranger");
    let download = ["attest", "download", &image, "--type", KIND];
    let trusting = |key: &'static str| [&download[..], &["--key", key]].concat();
    stage.ends(&trusting("release"), 1, "TC0302");
    stage.ends(&[&download[..], &["--key", "release", "--digest", "sha256:12"]].concat(), 2, "TC0802");
    let out = stage.user.home().join("out.json");
    let (to, other) = (out.display().to_string(), format!("sha256:{}", "0".repeat(64)));
    stage.ends(&[&trusting("release")[..], &["-o", &to]].concat(), 1, "TC0302");
    assert!(!out.exists(), "nothing is written that is not verified");

    let unverified = stage.user.run(&[&download[..], &["--danger-unverified"]].concat()).unwrap();
    assert_eq!((unverified.code, unverified.stdout.as_str()), (Some(0), "{\"passed\":1}\n"));
    assert!(unverified.stderr.contains("warning[TC0718]: --danger-unverified"), "{}", unverified.stderr);
    let verified = stage.user.run(&trusting("stranger")).unwrap();
    assert_eq!((verified.code, verified.stdout.as_str()), (Some(0), "{\"passed\":1}\n"), "{}", verified.stderr);
    done(&stage, &[&trusting("stranger")[..], &["-o", &to]].concat());
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "{\"passed\":1}");
    let statement = done(&stage, &[&trusting("stranger")[..], &["--part", "statement"]].concat());
    assert_eq!(statement["content"]["predicateType"], KIND);
    let envelope = done(&stage, &[&trusting("stranger")[..], &["--part", "envelope"]].concat());
    assert_eq!(envelope["content"]["payloadType"], "application/vnd.in-toto+json");
    let missing = [&trusting("stranger")[..], &["--digest", &other]].concat();
    stage.ends(&missing, 6, "TC0707");
}

#[test]
fn of_several_that_say_different_things_one_is_named() {
    let stage = Stage::new();
    let image = pinned(&stage);
    attest(&stage, &image, (KIND, "{\"passed\": 1}"), "release");
    attest(&stage, &image, (KIND, "{\"passed\": 2}"), "release");
    let download = ["attest", "download", &image, "--type", KIND, "--key", "release"];
    stage.ends(&download, 2, "TC0346");
    for entry in listed(&stage, &image) {
        let digest = entry["statement"].as_str().unwrap();
        let report = done(&stage, &[&download[..], &["--digest", digest]].concat());
        assert_eq!(report["statement"], digest);
    }
}

#[test]
fn the_policy_says_whose_attestations_count_and_what_they_must_say() {
    let stage = Stage::new();
    let image = pinned(&stage);
    done(&stage, &["key", "export", "release", "--public", "--to", &stage.user.home().join("release.pub").display().to_string()]);
    let host = stage.world.registry().host();
    let rule = format!(
        "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\n[[rules]]\nname = \"shop\"\nimages = [\"{host}/**\"]\nrequire = {{ any = [\"release\"] }}\n"
    );
    let plain = stage.write("plain.toml", &rule);
    let demand = format!(
        "{rule}attestations = [{{ type = \"{KIND}\", signers = [\"release\"], where = [{{ path = \"failed\", at-most = 0 }}] }}]\n"
    );
    let policy = stage.write("policy.toml", &demand);
    let broken = stage.write("broken.toml", &demand.replace("at-most = 0", "at-mots = 0"));
    attest(&stage, &image, (KIND, "{\"failed\": 1}"), "release");
    done(&stage, &["sign", &image, "--key", "release"]);
    let (told, _) = stage.ends(&["policy", "check", &broken], 7, "TC0701");
    assert!(told.contains("line 9") && told.contains("did you mean \"at-most\"?"), "{told}");
    stage.ends(&["attest", "verify", &image, "--type", KIND, "--policy", &plain], 7, "TC0347");
    done(&stage, &["verify", &image, "--policy", &plain]);
    for words in
        [vec!["verify", &image, "--policy", &policy], vec!["attest", "verify", &image, "--type", KIND, "--policy", &policy]]
    {
        let (told, report) = stage.ends(&words, 1, "TC0340");
        assert!(told.contains("expected  failed is at most 0\n        found     1\n"), "{told}");
        assert_eq!(report["results"][0]["reasons"][0]["found"], "1");
    }
    let says = done(&stage, &["policy", "explain", &image, "--policy", &policy])["says"].to_string();
    assert!(says.contains("failed is at most 0"), "{says}");
    // Without a trusted time nothing says that a later one is the newest.
    attest(&stage, &image, (KIND, "{\"failed\": 0}"), "release");
    stage.ends(&["verify", &image, "--policy", &policy], 1, "TC0340");
    let any = stage.write("any.toml", &demand.replace("where =", "which = \"any\", where ="));
    done(&stage, &["verify", &image, "--policy", &any]);
}

#[test]
fn what_the_signer_has_revoked_is_not_spoken_for() {
    let stage = Stage::new();
    let image = pinned(&stage);
    attest(&stage, &image, (KIND, "{}"), "release");
    let verify = ["attest", "verify", &image, "--type", KIND, "--key", "release"];
    done(&stage, &verify);
    done(&stage, &["revoke", &image, "--key", "release", "--reason", "mistake", "--message", "x", "--yes"]);
    stage.ends(&verify, 1, "TC0309");
    let file = stage.write("predicate.json", "{\"a\": 1}");
    stage.ends(&["attest", &image, "--type", KIND, "--predicate", &file, "--key", "release"], 1, "TC0309");
}

#[test]
fn an_outage_is_no_lack_of_attestations() {
    let stage = Stage::new();
    stage.ends(
        &["attest", "verify", "127.0.0.1:1/shop/cart:1.4", "--type", KIND, "--key", "release", "--timeout", "20s"],
        4,
        "TC0401",
    );
    stage.ends(&["attest", "list", "127.0.0.1:1/shop/cart:1.4", "--timeout", "20s"], 4, "TC0401");
}

/// Of an index a statement speaks of everything that is attested, and is signed once.
#[test]
fn a_whole_statement_is_signed_when_it_speaks_of_the_images_alone() {
    let stage = Stage::new();
    let image = pinned(&stage);
    let write = |digests: &[String]| {
        let subjects: Vec<Value> = digests
            .iter()
            .map(|digest| serde_json::json!({"name": "cart", "digest": {"sha256": digest.trim_start_matches("sha256:")}}))
            .collect();
        let text = serde_json::json!({
            "_type": "https://in-toto.io/Statement/v1", "predicateType": KIND, "subject": subjects, "predicate": {"passed": 12},
        });
        stage.write("statement.json", &text.to_string())
    };
    let index = image.split_once('@').unwrap().1.to_owned();
    let file = write(std::slice::from_ref(&index));
    let attest = ["attest", &image, "--statement", &file, "--key", "release"];
    let all = [&attest[..], &["--recursive"]].concat();
    let refused = |words: &[&str]| {
        let (report, exit) = stage.user.json(words).unwrap();
        assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0348")), "{report}");
    };
    refused(&all);
    let report = done(&stage, &attest);
    assert_eq!((&report["results"][0]["done"], &report["results"][0]["predicateType"]), (&"attested".into(), &KIND.into()));

    let dry =
        done(&stage, &["attest", &image, "--type", KIND, "--predicate", &file, "--key", "release", "--recursive", "--dry-run"]);
    let digests: Vec<String> =
        dry["results"][0]["digests"].as_array().unwrap().iter().map(|digest| digest.as_str().unwrap().to_owned()).collect();
    assert_eq!(digests.len(), 3);
    write(&digests);
    refused(&attest);
    assert_eq!(done(&stage, &all)["results"][0]["done"], "attested");
    for digest in &digests {
        let image = stage.image(&format!("@{digest}"));
        done(&stage, &["attest", "verify", &image, "--type", KIND, "--key", "release"]);
    }
}
