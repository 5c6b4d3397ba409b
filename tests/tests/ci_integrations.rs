//! The shell part of each ready-made integration, taken out of its file and run against the lab with the variables that its CI system sets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap fails the test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::program;

const LIMIT: Duration = Duration::from_secs(120);
const ENTRIES: &str = "/api/v2/log/entries";

fn integrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../integrations").canonicalize().unwrap()
}

/// The lines of the block that begins after the first line ending with `start`, without their indentation.
fn block(file: &str, start: &str) -> String {
    let text = std::fs::read_to_string(integrations().join(file)).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.ends_with(start));
    let outer = lines.next().unwrap_or_else(|| panic!("{file} has no {start}"));
    let outer = outer.len() - outer.trim_start().len();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let block: Vec<&str> = lines.take_while(|line| line.is_empty() || indent(line) > outer).collect();
    let inner = block.iter().filter(|line| !line.is_empty()).map(|line| indent(line)).min().unwrap();
    block.iter().map(|line| line.get(inner..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The variables of the first block `env:` or `variables:`, as `NAME: value` lines, with `inputs` in the place of expressions.
fn variables(file: &str, start: &str, inputs: &[(&str, &str)]) -> Vec<(String, String)> {
    let value = |expression: &str| {
        let name = expression.rsplit("inputs.").next().unwrap().trim_end_matches(['}', ']', ' ']).trim();
        inputs.iter().find(|(input, _)| *input == name).map_or_else(String::new, |(_, value)| (*value).to_owned())
    };
    let pairs = block(file, start);
    pairs.lines().filter_map(|line| line.split_once(": ")).map(|(name, text)| (name.to_owned(), value(text))).collect()
}

struct Stage {
    world: World,
    home: TempDir,
    digest: String,
}

impl Stage {
    fn new() -> Self {
        // Built before tokens are made, which live for minutes.
        program();
        let world = World::start(WorldOptions::default()).unwrap();
        let digest = world.push("shop/cart:1.4", &Artifact::multi_platform("hello")).unwrap().to_string();
        Self { world, home: tempfile::tempdir().unwrap(), digest }
    }

    fn image(&self) -> String {
        self.world.name("shop/cart")
    }

    fn file(&self, name: &str) -> String {
        self.world.sigstore_folder().join(name).display().to_string()
    }

    fn token(&self) -> String {
        self.world.sigstore().token(&Claims::email("ci@example.test")).unwrap()
    }

    /// Runs a script as a CI system would, in a workspace of its own.
    fn run(&self, script: &str, variables: &[(String, String)]) -> Ran {
        let mut shell = Command::new("sh");
        let path = format!("{}:{}", program().parent().unwrap().display(), std::env::var("PATH").unwrap());
        shell.args(["-e", "-c", script]).current_dir(self.home.path()).env_clear().envs(self.world.environment());
        shell.env("HOME", self.home.path()).env("PATH", path).env("TMPDIR", self.home.path());
        shell.envs(variables.iter().map(|(name, value)| (name, value)));
        run(&mut shell, LIMIT).unwrap()
    }

    fn output(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(".trustctl").join(name)).unwrap()
    }

    fn signed(&self) -> usize {
        self.world.registry().referrers("shop/cart", &self.digest.parse().unwrap()).len()
    }

    fn log_down(&self) {
        // It asks for a longer pause than is waited for: the outage is known at once.
        let down = Fault::Status { status: 503, retry_after: Some(3600) };
        self.world.sigstore().tiles().faults().add(FaultRule::always(ENTRIES, down));
    }

    /// Outage, queue, completion: never green before the image is verified.
    #[track_caller]
    fn goes_through_an_outage(&self, step: impl Fn(&str) -> Ran) {
        self.log_down();
        let ran = step("no");
        assert_eq!(ran.code, Some(4), "{}", ran.output());
        let ran = step("yes");
        assert_eq!((ran.code, self.signed()), (Some(4), 0), "{}", ran.output());
        self.world.sigstore().tiles().faults().clear();
        let ran = step("yes");
        assert_eq!((ran.code, self.signed()), (Some(0), 1), "{}", ran.output());
        // Once more, and nothing happens.
        assert_eq!((step("no").code, self.signed()), (Some(0), 1));
        assert_eq!(self.world.sigstore().entries(LogVersion::V2).len(), 1);
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_github_action_signs_and_sets_its_outputs() {
    let stage = Stage::new();
    stage.world.sigstore().set_workload(Claims::github("acme/shop", "refs/tags/v1.4"));
    let outputs = stage.home.path().join("outputs");
    let step = |complete: &str| {
        std::fs::write(&outputs, "").unwrap();
        let (config, root) = (stage.file("signing_config_rekor_v2.json"), stage.file("trusted_root.json"));
        let inputs = [
            ("image", stage.image()),
            ("digest", stage.digest.clone()),
            ("tag", "1.4".to_owned()),
            ("if-log-down", "queue".to_owned()),
            ("queue", ".queue".to_owned()),
            ("complete", complete.to_owned()),
            ("signing-config", config),
            ("trusted-root", root),
            ("trustctl", "trustctl".to_owned()),
        ];
        let inputs: Vec<(&str, &str)> = inputs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut all = variables("github/action.yml", "env:", &inputs);
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_OUTPUT", outputs.to_str().unwrap()),
            ("GITHUB_ACTION_PATH", integrations().join("github").to_str().unwrap()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        all.extend(github);
        all.extend(stage.world.sigstore().workload_environment().into_iter().map(|(name, value)| (name.to_owned(), value)));
        stage.run(&block("github/action.yml", "run: |"), &all)
    };
    stage.goes_through_an_outage(step);
    let told = std::fs::read_to_string(&outputs).unwrap();
    assert!(told.contains(&format!("digest={}\n", stage.digest)) && told.contains("verdict=signed\n"), "{told}");
    let bundle = told.lines().find_map(|line| line.strip_prefix("bundle=")).unwrap();
    assert!(stage.home.path().join(bundle).is_file());
}

#[test]
fn the_gitlab_component_signs() {
    let stage = Stage::new();
    let step = |complete: &str| {
        let (config, root, image) = (stage.file("signing_config_rekor_v2.json"), stage.file("trusted_root.json"), stage.image());
        let inputs = [
            ("image", image.as_str()),
            ("digest", &stage.digest),
            ("tag", "1.4"),
            ("if-log-down", "queue"),
            ("complete", complete),
            ("signing-config", &config),
            ("trusted-root", &root),
        ];
        let mut all = variables("gitlab/templates/sign.yml", "variables:", &inputs);
        let (project, step) = (stage.home.path().to_str().unwrap(), integrations().join("sign-step.sh"));
        all.extend(owned(&[
            ("GITLAB_CI", "true"),
            ("CI_PROJECT_DIR", project),
            ("SIGSTORE_ID_TOKEN", &stage.token()),
            ("SIGN_STEP", step.to_str().unwrap()),
        ]));
        stage.run(&block("gitlab/templates/sign.yml", "- |"), &all)
    };
    stage.goes_through_an_outage(step);
    assert_eq!((stage.output("verdict"), stage.output("digest")), ("signed".to_owned(), stage.digest.clone()));
    assert!(stage.output("trustctl.env").contains("TRUSTCTL_VERDICT=signed"));
}

#[test]
fn the_jenkins_stage_signs() {
    let stage = Stage::new();
    let step = |complete: &str| {
        let (config, root, image) = (stage.file("signing_config_rekor_v2.json"), stage.file("trusted_root.json"), stage.image());
        let (workspace, step) = (stage.home.path().to_str().unwrap(), integrations().join("sign-step.sh"));
        let all = owned(&[
            ("WORKSPACE", workspace),
            ("IMAGE", &image),
            ("DIGEST", &stage.digest),
            ("SIGSTORE_ID_TOKEN", &stage.token()),
            ("SIGN_STEP", step.to_str().unwrap()),
            ("TRUSTCTL_IF_LOG_DOWN", "queue"),
            ("TRUSTCTL_COMPLETE", complete),
            ("TRUSTCTL_SIGNING_CONFIG", &config),
            ("TRUSTCTL_TRUSTED_ROOT", &root),
        ]);
        let script = block("jenkins/Jenkinsfile", "sh '''");
        stage.run(&script, &all)
    };
    stage.goes_through_an_outage(step);
    assert_eq!(stage.output("verdict"), "signed");
}

#[test]
fn the_tekton_task_signs_and_writes_its_results() {
    let stage = Stage::new();
    let folder = |name: &str| {
        let folder = stage.home.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder.display().to_string()
    };
    let (config, results) = (folder("config"), folder("results"));
    for (from, to) in [("signing_config_rekor_v2.json", "signing_config.json"), ("trusted_root.json", "trusted_root.json")] {
        std::fs::copy(stage.file(from), Path::new(&config).join(to)).unwrap();
    }
    let step = |complete: &str| {
        let images = format!("{}@{}", stage.image(), stage.digest);
        let (digest, verdict) = (format!("{results}/digest"), format!("{results}/verdict"));
        let all = owned(&[
            ("TRUSTCTL_IMAGES", &images),
            ("TRUSTCTL_TAG", ""),
            ("TRUSTCTL_IF_LOG_DOWN", "queue"),
            ("TRUSTCTL_COMPLETE", complete),
            ("QUEUE", &folder("queue")),
            ("CONFIG", &config),
            ("DIGEST_RESULT", &digest),
            ("VERDICT_RESULT", &verdict),
            ("SIGN_STEP", integrations().join("sign-step.sh").to_str().unwrap()),
            // The task's projected token is at a path that a test cannot write.
            ("SIGSTORE_ID_TOKEN", &stage.token()),
        ]);
        stage.run(&block("tekton/task.yaml", "script: |"), &all)
    };
    stage.goes_through_an_outage(step);
    assert_eq!(std::fs::read_to_string(format!("{results}/verdict")).unwrap(), "signed");
    assert_eq!(std::fs::read_to_string(format!("{results}/digest")).unwrap(), stage.digest);
}

#[test]
fn the_step_refuses_what_is_no_digest_and_obeys_the_policy() {
    let stage = Stage::new();
    let (config, root, token) = (stage.file("signing_config_rekor_v2.json"), stage.file("trusted_root.json"), stage.token());
    let script = integrations().join("sign-step.sh");
    let step = |images: &str, policy: &str| {
        let all = owned(&[
            ("TRUSTCTL_IMAGES", images),
            ("SIGSTORE_ID_TOKEN", &token),
            ("TRUSTCTL_SIGNING_CONFIG", &config),
            ("TRUSTCTL_TRUSTED_ROOT", &root),
            ("TRUSTCTL_STEP_POLICY", policy),
        ]);
        let ran = stage.run(&format!("sh {}", script.display()), &all);
        (ran.code, stage.output("verdict"))
    };
    for images in ["", &format!("{}:1.4", stage.image()), "--key=x@sha256:00"] {
        assert_eq!(step(images, ""), (Some(2), "failed".to_owned()), "{images}");
    }
    let image = format!("{}@{}", stage.image(), stage.digest);
    let policy = |identity: &str| {
        let path = stage.home.path().join("policy.toml");
        let text = format!(
            "version = 1\n[signers.ci]\nscheme = \"cosign\"\nidentity = \"{identity}\"\nissuer = \"{}\"\n\
             [[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = {{ any = [\"ci\"] }}\n",
            stage.world.sigstore().issuer().url()
        );
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    assert_eq!(step(&image, &policy("somebody@example.test")), (Some(1), "rejected".to_owned()));
    assert_eq!(step(&image, &policy("ci@example.test")), (Some(0), "signed".to_owned()));
}

/// An action that is pinned uses nothing that is not, and puts no input into the script.
#[test]
fn the_action_uses_nothing_else_and_no_input_is_code() {
    let text = std::fs::read_to_string(integrations().join("github/action.yml")).unwrap();
    assert!(!text.contains("uses:"));
    assert!(!block("github/action.yml", "run: |").contains("${{"));
    assert!(!block("gitlab/templates/sign.yml", "- |").contains("$[["));
    assert!(!block("tekton/task.yaml", "script: |").contains("$(params"));
}
