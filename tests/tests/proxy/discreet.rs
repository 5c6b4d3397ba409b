//! Whoever pulls learns why, and not where the proxy keeps its files; operators find that in the audit log.

use std::collections::BTreeMap;
use std::fs;

use trustctl_lab::clock::Clock;
use trustctl_lab::image::Artifact;
use trustctl_lab::tuf::Repository;
use trustctl_sigstore::keyless::PUBLIC_GOOD;
use trustctl_tests::http::Response;

use crate::stage::{SIGNED, Setup, Stage, refused, undecided};

/// Everything that an answer says.
fn said(answer: &Response) -> String {
    format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body))
}

/// Asserts that an answer names none of the proxy's files.
#[track_caller]
fn names_no_place(stage: &Stage, answer: &Response) {
    let (said, home) = (said(answer), stage.home.path().display().to_string());
    for place in [home.as_str(), "policy.toml", "release.pub", "other.pub", "corp-root.json", "state/", "state\""] {
        assert!(!said.contains(place), "{place}: {said}");
    }
}

#[test]
fn no_refusal_tells_where_the_proxy_keeps_its_files() {
    let mut stage = Stage::new(&Setup::default());
    let unsigned = stage.get("shop/new/manifests/1");
    refused(&unsigned, "TC0301");
    names_no_place(&stage, &unsigned);
    assert!(said(&unsigned).contains("(the policy, line "), "where it is in the policy: {}", said(&unsigned));
    stage.push("shop/withdrawn:1", &Artifact::image("withdrawn"));
    stage.sign("shop/withdrawn:1");
    stage.revoke("shop/withdrawn:1");
    let revoked = stage.get("shop/withdrawn/manifests/1");
    refused(&revoked, "TC0309");
    names_no_place(&stage, &revoked);
    // A policy that cannot be used leaves the old one in force.
    stage.write("policy.toml", "nonsense");
    names_no_place(&stage, &stage.get("shop/new/manifests/1"));
    stage.stop();
    let log = fs::read_to_string(stage.home.path().join("state/audit.log")).unwrap();
    let line = log.lines().find(|line| line.contains("TC0301")).unwrap();
    assert!(line.contains("policy.toml:"), "operators are told: {line}");

    stage.done(&["key", "generate", "other"]);
    stage.done(&["key", "export", "other", "--public", "--to", "other.pub"]);
    let other = SIGNED.replace("release.pub", "other.pub").leak();
    stage.start(&Setup { policy: other, ..Setup::default() });
    let by_others = stage.get("shop/cart/manifests/1");
    refused(&by_others, "TC0302");
    names_no_place(&stage, &by_others);

    let targets = BTreeMap::from([("trusted_root.json".to_owned(), PUBLIC_GOOD.into())]);
    let root = Repository::create(targets, Clock::system().now()).unwrap().root(1).unwrap();
    fs::write(stage.home.path().join("corp-root.json"), root).unwrap();
    let keyless = "version = 1\n[signers.corp]\nscheme = \"cosign\"\nidentity = \"dev@example.com\"\nissuer = \"https://issuer.test\"\n\
                   sigstore = \"corp\"\n[sigstores.corp]\ntuf = \"https://tuf.invalid\"\nroot = \"corp-root.json\"\n\
                   [[rules]]\nname = \"shop\"\nimages = [\"HOST/shop/**\"]\nrequire = { any = [\"corp\"] }\n";
    stage.start(&Setup { policy: keyless, ..Setup::default() });
    let no_anchor = stage.get("shop/cart/manifests/1");
    undecided(&no_anchor, "TC0990");
    names_no_place(&stage, &no_anchor);

    let none = "version = 1\ndefault = \"allow\"\n";
    stage.start(&Setup { policy: none, ..Setup::default() });
    let remarked = stage.get("shop/new/manifests/1");
    assert!(remarked.status == 200 && said(&remarked).contains("no rule of the policy covers"), "{}", said(&remarked));
    names_no_place(&stage, &remarked);

    let upstream = "mirror = true\ndeny-mode = \"sticky\"";
    stage.start(&Setup { upstream, ..Setup::default() });
    let denial = stage.get("shop/new/manifests/1");
    assert!(denial.status == 200 && said(&denial).contains("dev.trustctl.denied.message"), "{}", said(&denial));
    names_no_place(&stage, &denial);
}
