//! Every command shown in the README and in `docs/` runs, in the order of its page, against the lab. A line without a remark must succeed;
//! `# exit N` says otherwise. A block whose language is followed by a name is a file that lies there.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use trustctl_lab::clock::Clock;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::Claims;
use trustctl_lab::tuf::{LabTuf, Repository};
use trustctl_lab::world::{World, WorldOptions};
use trustctl_sigstore::keyless::PUBLIC_GOOD;
use trustctl_tests::pages::files;
use trustctl_tests::process::{free_port, run};
use trustctl_tests::program::program;

/// What a page may take; key derivation alone takes a second for each key it opens.
const LIMIT: Duration = Duration::from_secs(300);
/// Commands that build or test the project itself.
const NOT_HERE: [&str; 4] = ["cargo ", "./tests/run", "bash .ci/run", "git "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("docs/quickstart.md")];
    for folder in ["docs/how-to", "docs/tutorial"] {
        pages.extend(std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    pages.sort();
    pages
}

/// The lines of a page's `sh` blocks.
fn commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = language == "sh";
        } else if inside && !line.is_empty() && !NOT_HERE.iter().any(|start| line.starts_with(start)) {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// The TUF repository of a private Sigstore instance; its root is put into `folder`.
fn instance(folder: &Path) -> LabTuf {
    let targets = BTreeMap::from([("trusted_root.json".to_owned(), PUBLIC_GOOD.into())]);
    let repository = Repository::create(targets, Clock::system().now()).unwrap();
    std::fs::write(folder.join("root.json"), repository.root(1).unwrap()).unwrap();
    LabTuf::start(0, repository.files()).unwrap()
}

/// A script that runs each line and stops at the first that ends otherwise than it should.
fn script(lines: &[String]) -> String {
    // What a page leaves running must not outlive it.
    let mut script = String::from("set -u\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
    for line in lines {
        let expected: u8 = match line.rsplit_once("exit ") {
            Some((before, code)) if before.contains('#') => code.trim().parse().unwrap(),
            _ => 0,
        };
        let _ = writeln!(
            script,
            "{line}\ncode=$?\nif [ $code -ne {expected} ]; then echo \"exit $code, expected {expected}:\" '{}'; exit 99; fi",
            line.replace('\'', "'\\''")
        );
    }
    script
}

#[test]
fn commands_in_the_documentation_do_what_it_says() {
    let mut ran_any = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let lines = commands(&text);
        if lines.is_empty() {
            continue;
        }
        let world = World::start(WorldOptions::default()).unwrap();
        for image in ["shop/cart:1.4", "other/app:1.0"] {
            world.push(image, &Artifact::multi_platform(image)).unwrap();
        }
        let home = tempfile::tempdir().unwrap();
        world.write_token(&Claims::email("dev@example.com").lives(3600)).unwrap();
        for name in ["signing_config.json", "trusted_root.json", "token"] {
            std::fs::copy(world.sigstore_folder().join(name), home.path().join(name)).unwrap();
        }
        let path = format!("{}:{}", program().parent().unwrap().display(), std::env::var("PATH").unwrap());
        let host = world.registry().host();
        // The ports that pages name may be taken.
        let ports = [5000, 5001].map(|port| (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", free_port().unwrap())));
        let here = |text: &str| {
            let text = text.replace("registry.example", &host);
            ports.iter().fold(text, |text, (written, free)| text.replace(written, free))
        };
        for (name, content) in files(&text) {
            std::fs::write(home.path().join(name), here(&content)).unwrap();
        }
        let script = here(&script(&lines));
        let script = script.replace("https://issuer.example", &world.sigstore().issuer().url());
        // A private Sigstore instance, whose root the reader was given.
        let tuf = instance(home.path());
        let script = script.replace("https://tuf.corp.example", &tuf.url());
        let mut shell = Command::new("bash");
        shell.arg("-c").arg(&script).current_dir(home.path()).env_clear().envs(world.environment());
        shell.env("HOME", home.path()).env("PATH", path).env("COSIGN_PASSWORD", "of the README");
        let ran = run(&mut shell, LIMIT).unwrap();
        assert_eq!(ran.code, Some(0), "{}:\n{}\n{}", page.display(), ran.stdout, ran.stderr);
        ran_any += lines.len();
    }
    assert!(ran_any > 20, "only {ran_any} commands were found");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut all = pages();
    all.extend(
        [
            "docs/README.md",
            "docs/threat-model.md",
            "docs/explanation/architecture.md",
            "docs/explanation/keyless.md",
            "docs/explanation/revocation.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
        ]
        .map(|name| root().join(name)),
    );
    for page in all {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {link}, which is not there", page.display());
        }
    }
}
