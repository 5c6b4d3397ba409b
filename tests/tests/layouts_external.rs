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
