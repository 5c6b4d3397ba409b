//! Attestations between trustctl and cosign, in every form, on both kinds of registry.

use serde_json::{Value, json};
use trustctl_tests::image::{Image, Index};

use crate::stage::{Cosign, Form, Host, Stage, accepts, denies, hosts, repository};

const WRONG_KEY: (i32, &str) = (1, "TC0302");
const NONE_THERE: (i32, &str) = (3, "TC0707");

fn storage(form: Form) -> &'static str {
    match form {
        Form::Bundle => "bundle",
        Form::Legacy => "legacy",
    }
}

/// One document of each type, as its tool writes it.
fn documents() -> Vec<(&'static str, Value)> {
    vec![
        (
            "slsaprovenance1",
            json!({"buildDefinition": {"buildType": "https://actions.github.io/buildtypes/workflow/v1", "externalParameters": {"ref": "refs/tags/v1"}},
                   "runDetails": {"builder": {"id": "https://github.com/actions/runner/github-hosted"}}}),
        ),
        (
            "slsaprovenance",
            json!({"builder": {"id": "https://mobyproject.org/buildkit@v1"}, "buildType": "https://mobyproject.org/buildkit@v1"}),
        ),
        (
            "link",
            json!({"_type": "link", "name": "build", "command": [], "materials": {}, "products": {}, "byproducts": {}, "environment": {}}),
        ),
        (
            "spdxjson",
            json!({"spdxVersion": "SPDX-2.3", "name": "cart", "packages": [{"name": "musl", "licenseConcluded": "MIT"}]}),
        ),
        ("cyclonedx", json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []})),
        ("vuln", scan("LOW")),
        (
            "openvex",
            json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://openvex.dev/docs/x", "author": "a", "version": 1, "statements": []}),
        ),
        ("custom", json!({"hello": [1, 2]})),
        ("https://shop.example/tests/v1", json!({"passed": 12, "failed": 0})),
    ]
}

/// How many of the documents are tried on each kind of registry: what a document says is of no concern to the second one.
fn documents_for_each_host() -> impl Iterator<Item = (usize, (Host, String))> {
    [usize::MAX, 2].into_iter().zip(hosts())
}

/// A scan by Trivy in the form that it writes for cosign, with one finding.
fn scan(severity: &str) -> Value {
    json!({
        "invocation": {"parameters": null, "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy@0.58.0", "version": "0.58.0", "db": {"uri": "", "version": ""},
            "result": {"SchemaVersion": 2, "Results": [{"Target": "cart", "Vulnerabilities": [
                {"VulnerabilityID": "CVE-2026-1", "PkgName": "musl", "Severity": severity},
            ]}]},
        },
        "metadata": {"scanStartedOn": "2026-11-28T10:00:00Z", "scanFinishedOn": "2026-11-28T10:00:01Z"},
    })
}

/// Whether everything in `expected` is in `found`: cosign writes some documents anew, with members that are empty.
fn contains(found: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(members) => members.iter().all(|(name, value)| found.get(name).is_some_and(|found| contains(found, value))),
        other => found == other,
    }
}

/// Another type than `kind`.
fn other(kind: &str) -> &'static str {
    if kind == "cyclonedx" { "spdxjson" } else { "cyclonedx" }
}

#[test]
fn what_trustctl_attests_is_accepted_by_cosign_with_its_key_and_type_alone() {
    for (count, (_host, address)) in documents_for_each_host() {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            stage.key("own");
            cosign.key(&stage, "other");
            for form in cosign.forms() {
                for (number, (kind, document)) in documents().into_iter().take(count).enumerate() {
                    let repository = repository(&address, &format!("att/for-{}-{form:?}-{number}", cosign.name()).to_lowercase());
                    let digest = Image::tiny("hello").push(&repository, "1").unwrap();
                    let image = repository.at(&digest);
                    stage.write("predicate.json", &document.to_string());
                    let attest = [
                        "attest",
                        &image,
                        "--type",
                        kind,
                        "--predicate",
                        "predicate.json",
                        "--key",
                        "own.key",
                        "--storage",
                        storage(*form),
                    ];
                    assert_eq!(stage.done(&attest)["results"][0]["done"], "attested");
                    assert_eq!(stage.done(&attest)["results"][0]["done"], "already attested");
                    let verify = |key: &str, kind: &str| cosign.verify_attestation(&stage, *form, key, &["--type", kind, &image]);
                    denies(&verify("other", kind), "signature");
                    denies(&verify("own", other(kind)), "none of the attestations matched the predicate type");
                    accepts(verify("own", kind));
                }
            }
        }
    }
}

#[test]
fn what_cosign_attests_is_proven_by_its_key_and_type_alone() {
    for (count, (_host, address)) in documents_for_each_host() {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            cosign.key(&stage, "own");
            stage.key("other");
            for form in cosign.forms() {
                for (number, (kind, document)) in documents().into_iter().take(count).enumerate() {
                    let repository = repository(&address, &format!("att/by-{}-{form:?}-{number}", cosign.name()).to_lowercase());
                    let digest = Image::tiny("hello").push(&repository, "1").unwrap();
                    let image = repository.at(&digest);
                    let ends = |key: &str, kind: &str, (exit, code): (i32, &str)| {
                        stage.ends(&["attest", "verify", &image, "--type", kind, "--key", key], exit, code)
                    };
                    stage.write("predicate.json", &document.to_string());
                    ends("own.pub", kind, NONE_THERE);
                    cosign.attest(&stage, *form, "own", &["--type", kind, "--predicate", "predicate.json", &image]);
                    ends("other.pub", kind, WRONG_KEY);
                    ends("own.pub", other(kind), NONE_THERE);
                    let report = stage.done(&["attest", "verify", &image, "--type", kind, "--key", "own.pub"]);
                    assert_eq!(report["results"][0]["verdict"], "trusted", "{report}");
                    // An attestation is no signature; those under an .att tag are not even looked at.
                    stage.refuses(&image, "own.pub", if *form == Form::Bundle { (1, "TC0307") } else { (3, "TC0301") });
                    let list = stage.done(&["attest", "list", &image, "--key", "own.pub"]);
                    assert_eq!(
                        (&list["attestations"][0]["state"], list["attestations"].as_array().map(Vec::len)),
                        (&json!("proven"), Some(1))
                    );
                    let said = stage.done(&["attest", "download", &image, "--type", kind, "--key", "own.pub"]);
                    match kind {
                        "custom" => assert_eq!(said["content"]["Data"], document.to_string(), "{said}"),
                        _ => assert!(contains(&said["content"], &document), "{said}"),
                    }
                }
            }
        }
    }
}

#[test]
fn an_index_and_its_children_are_attested_for_each_other() {
    for (_host, address) in hosts() {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            stage.key("own");
            stage.key("other");
            stage.write("predicate.json", "{\"a\":1}");
            let kind = "https://shop.example/tests/v1";
            for form in cosign.forms() {
                let name = format!("att/index-{}-{form:?}", cosign.name()).to_lowercase();
                let (ours, theirs) = (repository(&address, &format!("{name}-ours")), repository(&address, &name));
                let index = Index::two_architectures("hello");
                let child = index.images[1].digest();
                let digest = index.push(&ours, "1").unwrap();
                index.push(&theirs, "1").unwrap();
                let attest = [
                    "attest",
                    &ours.at(&digest),
                    "--type",
                    kind,
                    "--predicate",
                    "predicate.json",
                    "--key",
                    "own.key",
                    "--storage",
                    storage(*form),
                ];
                stage.done(&attest);
                let verify = |key: &str, image: &str| cosign.verify_attestation(&stage, *form, key, &["--type", kind, image]);
                accepts(verify("own", &ours.at(&digest)));
                assert!(!verify("own", &ours.at(&child)).success(), "nothing is said about the child yet");
                let report = stage.done(&[&attest[..], &["--recursive"]].concat());
                assert_eq!(report["results"][0]["digests"].as_array().map(Vec::len), Some(3), "{report}");
                denies(&verify("other", &ours.at(&child)), "signature");
                accepts(verify("own", &ours.at(&child)));

                // Cosign 2 attests the index alone, whatever its flag says, and cosign 3 has no such flag.
                for image in [theirs.at(&digest), theirs.at(&child)] {
                    cosign.attest(&stage, *form, "own", &["--type", kind, "--predicate", "predicate.json", &image]);
                }
                for image in [theirs.at(&digest), theirs.at(&child)] {
                    stage.ends(&["attest", "verify", &image, "--type", kind, "--key", "other.pub"], WRONG_KEY.0, WRONG_KEY.1);
                    stage.done(&["attest", "verify", &image, "--type", kind, "--key", "own.pub"]);
                }
            }
        }
    }
}

/// The policy's conditions on what cosign attested.
#[test]
fn what_a_scan_says_decides_over_a_signed_image() {
    for (_host, address) in hosts() {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            stage.key("own");
            let form = cosign.forms()[0];
            let policy = format!(
                "version = 1\n[signers.own]\nscheme = \"cosign\"\nkey = \"own.pub\"\n[[rules]]\nname = \"r\"\nimages = [\"{address}/**\"]\n\
                 require = {{ any = [\"own\"] }}\n[[rules.attestations]]\ntype = \"vuln\"\nsigners = [\"own\"]\nwhere = [\n\
                 {{ none = \"scanner.result.Results[*].Vulnerabilities?[*]\", where = [{{ path = \"Severity\", equals = \"CRITICAL\" }}], show = [\"VulnerabilityID\"] }},\n]\n"
            );
            stage.write("policy.toml", &policy);
            let verdict = |severity: Option<&str>, expected: (i32, &str)| {
                let name = format!("att/scan-{}-{}", cosign.name(), severity.unwrap_or("none")).to_lowercase();
                let repository = repository(&address, &name);
                let image = repository.at(&Image::tiny("hello").push(&repository, "1").unwrap());
                stage.done(&["sign", &image, "--key", "own.key"]);
                if let Some(severity) = severity {
                    stage.write("predicate.json", &scan(severity).to_string());
                    cosign.attest(&stage, form, "own", &["--type", "vuln", "--predicate", "predicate.json", &image]);
                }
                let verify = ["verify", &image, "--policy", "policy.toml"];
                match expected {
                    (0, _) => stage.done(&verify),
                    (exit, code) => stage.ends(&verify, exit, code),
                }
            };
            verdict(None, (1, "TC0707"));
            let report = verdict(Some("CRITICAL"), (1, "TC0340"));
            let reason = &report["results"][0]["reasons"][0];
            assert!(reason["found"].as_str().unwrap().contains("VulnerabilityID \"CVE-2026-1\""), "{report}");
            verdict(Some("LOW"), (0, ""));
        }
    }
}

#[test]
fn six_who_attest_at_once_lose_nothing() {
    for (_host, address) in hosts() {
        for storage in ["bundle", "legacy"] {
            let repository = repository(&address, &format!("att/crowd-{storage}"));
            let image = repository.at(&Image::tiny("hello").push(&repository, "1").unwrap());
            let stages: Vec<Stage> = (0..6).map(|_| Stage::new()).collect();
            for stage in &stages {
                stage.key("own");
                stage.write("predicate.json", "{\"a\":1}");
            }
            let kind = "https://shop.example/tests/v1";
            std::thread::scope(|scope| {
                for stage in &stages {
                    let image = &image;
                    scope.spawn(move || {
                        let what = ["attest", image, "--type", kind, "--predicate", "predicate.json"];
                        stage.done(&[&what[..], &["--key", "own.key", "--storage", storage, "--timeout", "100s"]].concat())
                    });
                }
            });
            for stage in &stages {
                stage.done(&["attest", "verify", &image, "--type", kind, "--key", "own.pub"]);
            }
        }
    }
}
