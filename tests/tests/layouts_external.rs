//! `verify --oci-layout` on layouts that real programs wrote, judged as their README says. The folder comes from
//! `TRUSTCTL_EXTERNAL_TESTDATA`.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::PathBuf;

use serde_json::Value;
use trustctl_tests::program::User;

fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
        trustctl_tests::peers::skip("layouts of real programs", "TRUSTCTL_EXTERNAL_TESTDATA is not set");
        return None;
    };
    Some(PathBuf::from(folder).join("sigstore"))
}

/// A layout, the key to judge it with, the expected exit code, and a reason that must be among those given.
const CASES: [(&str, &str, i32, &str); 18] = [
    ("local-real-cosign/legacy-key-3sigs", "local-real-cosign/key1.pub", 0, ""),
    ("local-real-cosign/legacy-key-3sigs", "local-real-cosign/key2.pub", 0, ""),
    ("local-real-cosign/legacy-key-3sigs", "local-real-cosign/key3-unrelated.pub", 1, "TC0302"),
    ("local-real-cosign/bundle-key-10", "local-real-cosign/key1.pub", 0, ""),
    ("local-real-cosign/bundle-key-10", "local-real-cosign/key3-unrelated.pub", 1, "TC0302"),
    ("local-real-cosign/bundle-key-index-recursive", "local-real-cosign/key1.pub", 0, ""),
    ("local-real-cosign/bundle-key-index-recursive", "local-real-cosign/key3-unrelated.pub", 1, "TC0302"),
    ("local-real-cosign/attestation-only-bundle", "local-real-cosign/key1.pub", 1, "TC0307"),
    ("local-real-cosign/bundle-keyless-rekorv2-tsa", "local-real-cosign/key1.pub", 1, "TC0314"),
    ("local-real-cosign/legacy-keyless-rekorv1-tsa", "local-real-cosign/key1.pub", 1, "TC0314"),
    ("public-good-legacy-layouts/valid", "public-good-legacy-layouts/cosign.pub", 0, ""),
    ("public-good-legacy-layouts/valid-2", "public-good-legacy-layouts/cosign.pub", 0, ""),
    ("public-good-legacy-layouts/valid-with-tag", "public-good-legacy-layouts/cosign.pub", 0, ""),
    ("public-good-legacy-layouts/mixed", "public-good-legacy-layouts/cosign.pub", 0, ""),
    ("public-good-legacy-layouts/key-rekor-valid", "public-good-legacy-layouts/cosign2.pub", 0, ""),
    ("public-good-legacy-layouts/key-rekor-valid", "public-good-legacy-layouts/cosign.pub", 1, "TC0302"),
    ("public-good-legacy-layouts/modified-manifest", "public-good-legacy-layouts/cosign.pub", 1, "TC0303"),
    ("public-good-legacy-layouts/fulcio-rekor-valid", "public-good-legacy-layouts/cosign.pub", 1, "TC0314"),
];

#[test]
fn layouts_are_judged_as_their_readme_says() {
    let Some(folder) = folder() else { return };
    let home = tempfile::tempdir().unwrap();
    let user = User::new(home.path());
    for (layout, key, exit, code) in CASES {
        let (layout, key) = (folder.join(layout).display().to_string(), folder.join(key).display().to_string());
        let (report, ended) = user.json(&["verify", "--oci-layout", &layout, "--key", &key]).unwrap();
        assert_eq!(ended, Some(exit), "{layout} with {key}: {report}");
        assert!(report.to_string().contains(code), "{layout} with {key}: {code} is not in {report}");
    }
}

#[test]
fn layouts_that_are_no_images_or_hold_no_signature_are_never_trusted() {
    let Some(folder) = folder() else { return };
    let home = tempfile::tempdir().unwrap();
    let user = User::new(home.path());
    let key = folder.join("public-good-legacy-layouts/cosign.pub").display().to_string();
    for layout in ["manifest-digest-error", "other-attachment"] {
        let layout = folder.join("public-good-legacy-layouts").join(layout).display().to_string();
        let (report, ended) = user.json(&["verify", "--oci-layout", &layout, "--key", &key]).unwrap();
        assert!(ended.is_some_and(|exit| exit != 0), "{layout}: {report}");
    }
}

/// A layout whose image is named is held to that name.
#[test]
fn a_named_layout_must_have_signatures_for_that_name() {
    let Some(folder) = folder() else { return };
    let home = tempfile::tempdir().unwrap();
    let user = User::new(home.path());
    let layout = folder.join("public-good-legacy-layouts/valid").display().to_string();
    let key = folder.join("public-good-legacy-layouts/cosign.pub").display().to_string();
    let judge = |image: &str| user.json(&["verify", image, "--oci-layout", &layout, "--key", &key]).unwrap();
    let (report, exit) = judge("registry.example/another");
    assert_eq!(exit, Some(1), "{report}");
    let named = report.pointer("/results/0/reasons/0/found").and_then(Value::as_str).unwrap().to_owned();
    let (report, exit) = judge(&named);
    assert_eq!(exit, Some(0), "{report}");
}

/// A layout, flags that name whom to trust, the expected exit code, and a reason that must be among those given. Paths in the flags are
/// relative to the folder.
const IDENTITIES: [(&str, &[&str], i32, &str); 9] = [
    ("public-good-legacy-layouts/fulcio-rekor-valid", &["--identity", "mitr@redhat.com", "--issuer", GITHUB], 0, ""),
    ("public-good-legacy-layouts/fulcio-rekor-valid", &["--identity", "*@redhat.com", "--issuer", GITHUB], 0, ""),
    ("public-good-legacy-layouts/fulcio-rekor-valid", &["--identity", "mitr@redhat.co", "--issuer", GITHUB], 1, "TC0312"),
    (
        "public-good-legacy-layouts/fulcio-rekor-valid",
        &["--identity", "mitr@redhat.com", "--issuer", "https://accounts.example"],
        1,
        "TC0312",
    ),
    (
        "local-real-cosign/bundle-keyless-rekorv2-tsa",
        &["--identity", "dev@example.com", "--issuer", LOCAL, "--trusted-root", "local-real-cosign/trusted_root.rekorv2.json"],
        0,
        "",
    ),
    (
        "local-real-cosign/legacy-keyless-rekorv1-tsa",
        &["--identity", "dev@example.com", "--issuer", LOCAL, "--trusted-root", "local-real-cosign/trusted_root.rekorv1.json"],
        0,
        "",
    ),
    (
        "local-real-cosign/bundle-keyless-rekorv2-tsa",
        &["--identity", "dev@example.com", "--issuer", LOCAL, "--trusted-root", "local-real-cosign/trusted_root.rekorv1.json"],
        1,
        "TC0323",
    ),
    ("local-real-cosign/bundle-keyless-rekorv2-tsa", &["--identity", "dev@example.com", "--issuer", LOCAL], 1, "TC0323"),
    (
        "public-good-legacy-layouts/fulcio-rekor-valid",
        &["--identity", "mitr@redhat.com", "--issuer", GITHUB, "--trusted-root", "local-real-cosign/fulcio.pem"],
        7,
        "TC0712",
    ),
];
const GITHUB: &str = "https://github.com/login/oauth";
const LOCAL: &str = "https://issuer.test";

#[test]
fn layouts_signed_by_identities_are_judged_as_their_readme_says() {
    let Some(folder) = folder() else { return };
    let home = tempfile::tempdir().unwrap();
    let user = User::new(home.path());
    for (layout, flags, exit, code) in IDENTITIES {
        let layout = folder.join(layout).display().to_string();
        let flags = flags.iter().map(|flag| match flag.starts_with("local-real-cosign/") {
            true => folder.join(flag).display().to_string(),
            false => (*flag).to_owned(),
        });
        let arguments: Vec<String> = ["verify", "--oci-layout", &layout].map(str::to_owned).into_iter().chain(flags).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (report, ended) = user.json(&arguments).unwrap();
        assert_eq!(ended, Some(exit), "{arguments:?}: {report}");
        assert!(report.to_string().contains(code), "{arguments:?}: {code} is not in {report}");
    }
}

/// A key whose policy demands a log entry: the entry of a real signature is judged, and a signature without one is refused.
#[test]
fn a_demanded_log_entry_of_a_key_is_judged() {
    let Some(folder) = folder() else { return };
    let home = tempfile::tempdir().unwrap();
    let user = User::new(home.path());
    for (layout, key, exit, code) in [
        ("public-good-legacy-layouts/key-rekor-valid", "public-good-legacy-layouts/cosign2.pub", 0, ""),
        ("public-good-legacy-layouts/valid", "public-good-legacy-layouts/cosign.pub", 1, "TC0320"),
        ("local-real-cosign/bundle-key-10", "local-real-cosign/key1.pub", 1, "TC0320"),
    ] {
        let policy = home.path().join("policy.toml");
        let key = folder.join(key).display().to_string();
        let text = format!(
            "version = 1\n[signers.logged]\nscheme = \"cosign\"\nkey = '{key}'\nlog = \"required\"\n[[rules]]\nname = \"r\"\nimages = [\"**\"]\nrequire = {{ any = [\"logged\"] }}\n"
        );
        std::fs::write(&policy, text).unwrap();
        let layout = folder.join(layout).display().to_string();
        let arguments = ["verify", "--oci-layout", &layout, "--policy", &policy.display().to_string()];
        let (report, ended) = user.json(&arguments).unwrap();
        assert_eq!(ended, Some(exit), "{layout}: {report}");
        assert!(report.to_string().contains(code), "{layout}: {code} is not in {report}");
    }
}

#[test]
fn the_age_of_the_root_that_the_program_carries_is_told_on_demand() {
    let Some(folder) = folder() else { return };
    let home = tempfile::tempdir().unwrap();
    let user = User::new(home.path());
    let layout = folder.join("public-good-legacy-layouts/fulcio-rekor-valid").display().to_string();
    let base = ["verify", "--oci-layout", &layout, "--identity", "mitr@redhat.com", "--issuer", GITHUB];
    let told = |more: &[&str]| user.run(&[&base, more].concat()).unwrap().stderr;
    assert!(told(&["-v"]).contains("days old"), "{}", told(&["-v"]));
    assert!(!told(&[]).contains("days old"));
    let own = folder.join("local-real-cosign/trusted_root.rekorv1.json").display().to_string();
    assert!(!told(&["-v", "--trusted-root", &own]).contains("days old"));
}
