#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use super::*;
use trustctl_core::reason::Code;

/// What is detected with these variables, in a folder that is empty but for `files`.
fn detected(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Option<&'static str>, Code> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let around = Surroundings {
        variable: &variable,
        token_file: folder.path().join("oidc-token"),
        product_name: folder.path().join("product_name"),
    };
    Ambient::detect(&around).map(|found| found.map(|source| source.name())).map_err(|error| error.reason().code)
}

const GITHUB_VARIABLES: [(&str, &str); 2] = [
    ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://pipelines.example/token?api-version=2.0"),
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
];

#[test]
fn each_system_is_told_by_its_own_signs() {
    assert_eq!(detected(&[], &[]), Ok(None));
    assert_eq!(detected(&[("SIGSTORE_ID_TOKEN", "")], &[]), Ok(None), "empty is unset");
    assert_eq!(detected(&[("SIGSTORE_ID_TOKEN", "t")], &[]), Ok(Some("SIGSTORE_ID_TOKEN")));
    assert_eq!(detected(&[], &[("oidc-token", "t")]), Ok(Some("the token file")));
    assert_eq!(detected(&GITHUB_VARIABLES, &[]), Ok(Some("GitHub Actions")));
    assert_eq!(detected(&[("CIRCLECI", "true")], &[]), Ok(Some("CircleCI")));
    let buildkite = [("BUILDKITE_AGENT_ACCESS_TOKEN", "t"), ("BUILDKITE_JOB_ID", "j")];
    assert_eq!(detected(&buildkite, &[]), Ok(Some("Buildkite")));
    assert_eq!(detected(&[("BUILDKITE_JOB_ID", "j")], &[]), Ok(None), "one of two variables is none");
    assert_eq!(detected(&[("SPIFFE_ENDPOINT_SOCKET", "unix:///run/spire.sock")], &[]), Ok(Some("the SPIFFE Workload API")));
    assert_eq!(detected(&[("SPIFFE_ENDPOINT_SOCKET", "tcp://127.0.0.1:1")], &[]), Err(Code::TokenSource));
    assert_eq!(detected(&[("GCE_METADATA_HOST", "127.0.0.1:1")], &[]), Ok(Some("Google Cloud")));
    assert_eq!(detected(&[], &[("product_name", "Google Compute Engine\n")]), Ok(Some("Google Cloud")));
    assert_eq!(detected(&[], &[("product_name", "Standard PC\n")]), Ok(None));
}

#[test]
fn what_was_set_up_for_the_job_comes_before_what_the_machine_is() {
    let all = [&GITHUB_VARIABLES[..], &[("GCE_METADATA_HOST", "127.0.0.1:1"), ("SIGSTORE_ID_TOKEN", "t")]].concat();
    assert_eq!(detected(&all, &[("product_name", "Google")]), Ok(Some("SIGSTORE_ID_TOKEN")));
    let without = [&GITHUB_VARIABLES[..], &[("GCE_METADATA_HOST", "127.0.0.1:1")]].concat();
    assert_eq!(detected(&without, &[]), Ok(Some("GitHub Actions")));
}

#[test]
fn a_job_without_permission_is_told_what_it_lacks() {
    assert_eq!(detected(&[("GITHUB_ACTIONS", "true")], &[]), Err(Code::TokenPermission));
    assert_eq!(detected(&[("GITLAB_CI", "true")], &[]), Err(Code::TokenPermission));
    assert_eq!(detected(&[&GITHUB_VARIABLES[..], &[("GITHUB_ACTIONS", "true")]].concat(), &[]), Ok(Some("GitHub Actions")));
}

#[test]
fn a_machine_in_a_cloud_is_no_wish_to_sign() {
    let folder = tempfile::tempdir().unwrap();
    let product_name = folder.path().join("product_name");
    std::fs::write(&product_name, "Google").unwrap();
    let offered = |variable: &dyn Fn(&str) -> Option<String>| {
        let around = Surroundings { variable, token_file: folder.path().join("oidc-token"), product_name: product_name.clone() };
        Ambient::detect(&around).unwrap().unwrap().is_offered()
    };
    assert!(!offered(&|_| None));
    assert!(offered(&|name| (name == "GCE_METADATA_HOST").then(|| "127.0.0.1:1".to_owned())));
}

#[test]
fn a_file_is_read_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "x".repeat(MAX_TOKEN * 2)).unwrap();
    assert_eq!(read_token(&path).unwrap().len(), MAX_TOKEN + 16);
    assert_eq!(read_token(&folder.path().join("none")).unwrap_err().reason().code, Code::TokenSource);
}
