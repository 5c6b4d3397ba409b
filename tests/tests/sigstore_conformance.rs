//! The cases of sigstore-conformance, judged as its suite says: every one, none left out. The folder comes from
//! `TRUSTCTL_EXTERNAL_TESTDATA`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use trustctl_core::digest::Digest;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::Code;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_lab::sigstore::Claims;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_sigstore::keyless::{About, By, Fault, Instance, Question};
use trustctl_tests::process::run;
use trustctl_tests::program::program;

/// After every signature of the suite, and before any of its authorities begins to end.
const NOW: &str = "2026-11-23T00:00:00Z";

fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
        trustctl_tests::peers::skip("the cases of sigstore-conformance", "TRUSTCTL_EXTERNAL_TESTDATA is not set");
        return None;
    };
    Some(PathBuf::from(folder).join("sigstore"))
}

/// One line of `expected.tsv`.
struct Case {
    name: String,
    passes: bool,
    folder: PathBuf,
    root: PathBuf,
    artifact: PathBuf,
    by_key: bool,
    identity: String,
    issuer: String,
}

impl Case {
    fn all(folder: &Path) -> Vec<Self> {
        let table = fs::read_to_string(folder.join("conformance/expected.tsv")).unwrap();
        table.lines().skip(1).map(|line| Self::read(folder, line)).collect()
    }

    fn read(folder: &Path, line: &str) -> Self {
        let columns: Vec<&str> = line.split('\t').collect();
        let case = folder.join("conformance/bundle-verify").join(columns[0]);
        Self {
            name: columns[0].to_owned(),
            passes: columns[1] == "pass",
            root: if columns[3] == "own" { case.join("trusted_root.json") } else { folder.join(columns[3]) },
            artifact: match columns[4] {
                "../a.txt" => folder.join("conformance/a.txt"),
                own => case.join(own),
            },
            by_key: columns[5] == "key",
            identity: columns[6].to_owned(),
            issuer: columns[7].to_owned(),
            folder: case,
        }
    }

    /// The code and words of what is wrong, if anything is. `digest` asks with the digest of the artifact instead of its bytes.
    fn judge(&self, digest: bool) -> Result<(), (Code, String)> {
        let told = |fault: Fault| (fault.code, fault.detail);
        let trusted_root = fs::read(&self.root).unwrap().into();
        let thresholds = Thresholds { logs: 1, ..Thresholds::default() };
        let instance = Instance::new(&SigstoreAnchor { name: None, trusted_root, thresholds }).map_err(told)?;
        let bundle = fs::read(self.folder.join("bundle.sigstore.json")).unwrap();
        let artifact = fs::read(&self.artifact).unwrap();
        let of_artifact = Digest::sha256_of(&artifact);
        let about = if digest { About::Digest(&of_artifact) } else { About::Bytes(&artifact) };
        let pem = self.by_key.then(|| fs::read(self.folder.join("key.pub")).unwrap());
        let key = pem.map(|pem| PublicKey::from_pem(&pem)).transpose();
        let key = key.map_err(|error| (Code::AnchorUnusable, error.to_string()))?;
        let by = key.as_ref().map_or(By::Certificate, By::Key);
        let proof = instance.verify(Question { bundle: &bundle, about, by }, NOW.parse().unwrap()).map_err(told)?;
        match proof.certificate {
            Some(named) if (&named.identity, &named.issuer) != (&self.identity, &self.issuer) => {
                Err((Code::CosignWrongIdentity, named.identity))
            }
            _ => Ok(()),
        }
    }

    /// Whether the client that the suite drives accepts the case.
    fn ask_client(&self, digest: bool) -> bool {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
        command.env_clear().arg("verify-bundle").arg("--bundle").arg(self.folder.join("bundle.sigstore.json"));
        if self.by_key {
            command.arg("--key").arg(self.folder.join("key.pub"));
        } else {
            command.args(["--certificate-identity", &self.identity, "--certificate-oidc-issuer", &self.issuer]);
        }
        // The suite names the root of the public-good instance by not naming one.
        if self.root.starts_with(&self.folder) {
            command.arg("--trusted-root").arg(&self.root);
        }
        if digest {
            command.arg(Digest::sha256_of(&fs::read(&self.artifact).unwrap()).to_string());
        } else {
            command.arg(&self.artifact);
        }
        let ran = run(&mut command, LIMIT).unwrap();
        assert!(matches!(ran.code, Some(0 | 1)), "{}: {}", self.name, ran.output());
        ran.success()
    }
}

/// Most time that one process of the client may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The client as a process, by the suite's protocol: every artifact as a file and as a digest.
#[test]
fn the_client_of_the_suite_answers_every_case() {
    let Some(folder) = folder() else { return };
    let mut wrong = Vec::new();
    let cases = Case::all(&folder);
    for case in &cases {
        let answers = [false, true].map(|digest| case.ask_client(digest));
        if answers != [case.passes; 2] {
            wrong.push(format!("{}: by file and by digest {answers:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
}

/// What the client signs by the suite's protocol, it accepts for that identity alone; with a token that nobody takes nothing is written.
#[test]
fn the_client_of_the_suite_signs_with_the_token_it_is_given() {
    program();
    let (world, home) = (World::start(WorldOptions::default()).unwrap(), tempfile::tempdir().unwrap());
    let file = |name: &str| world.sigstore_folder().join(name).display().to_string();
    let path = |name: &str| home.path().join(name).display().to_string();
    let (artifact, bundle, root) = (path("artifact"), path("bundle.json"), file("trusted_root.json"));
    fs::write(&artifact, "an artifact").unwrap();
    let client = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
        command.args(words).env_clear().env("HOME", home.path()).env("TRUSTCTL_PROGRAM", program());
        run(&mut command, LIMIT).unwrap()
    };
    let sign = |claims: &Claims, config: &str| {
        let (token, config) = (world.sigstore().token(claims).unwrap(), file(config));
        let services = ["--trusted-root", &root, "--signing-config", &config];
        client(&[&["sign-bundle", "--identity-token", &token, "--bundle", &bundle][..], &services, &[&artifact]].concat())
    };
    let claims = Claims::email("dev@example.test");
    assert_eq!(sign(&claims.clone().expired(), "signing_config.json").code, Some(1));
    assert!(!Path::new(&bundle).exists());
    for config in ["signing_config.json", "signing_config_rekor_v2.json"] {
        sign(&claims, config).ok().unwrap();
        let verify = |identity: &str| {
            let issuer = world.sigstore().issuer().url();
            let by = ["--certificate-identity", identity, "--certificate-oidc-issuer", &issuer, "--trusted-root", &root];
            client(&[&["verify-bundle", "--bundle", &bundle][..], &by, &[&artifact]].concat()).code
        };
        assert_eq!((verify("dev@example.test"), verify("other@example.test")), (Some(0), Some(1)), "{config}");
        fs::remove_file(&bundle).unwrap();
    }
    assert_eq!(client(&["sign-bundle", "--staging", "--bundle", &bundle, &artifact]).code, Some(1), "staging is not known here");
}

#[test]
fn every_case_is_judged_as_the_suite_says() {
    let Some(folder) = folder() else { return };
    let cases = Case::all(&folder);
    assert_eq!(cases.len(), 70);
    let mut wrong = Vec::new();
    for case in &cases {
        for digest in [false, true] {
            let judged = case.judge(digest);
            println!("{} (by digest: {digest}): {judged:?}", case.name);
            if judged.is_ok() != case.passes {
                wrong.push(format!("{} (by digest: {digest}): {:?}", case.name, judged.err()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
}
