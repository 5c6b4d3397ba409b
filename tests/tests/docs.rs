//! Every command shown in the README and in `docs/` runs, in the order of its page, against the lab. A line without a remark must succeed;
//! `# exit N` says otherwise. A block whose language is followed by a name is a file that lies there. What a page shows of the program's
//! answers (blocks of the language `output`, and refusals of the proxy as clients repeat them) is what the commands have printed.
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
/// The fewest hexadecimal digits by which the program names a key or an image.
const SHORTEST_HASH: usize = 16;
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

/// What a page says that the program prints: the lines of its `output` blocks, and the refusals that clients repeat in others.
fn shown(text: &str) -> Vec<String> {
    let mut language = "";
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("```") {
            language = next;
        } else if language == "output" {
            lines.push(line.to_owned());
        } else if let ("text", Some((_, message))) = (language, line.split_once("denied: TC")) {
            lines.push(format!("TC{message}"));
        }
    }
    lines
}

/// A text without what is another at each run: digests and parts of them.
fn masked(text: &str) -> String {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let (mut masked, mut run) = (String::new(), String::new());
    for c in text.chars().chain(['\n']) {
        if is_hex(c) {
            run.push(c);
            continue;
        }
        masked.push_str(if run.len() >= SHORTEST_HASH { "…" } else { &run });
        run.clear();
        masked.push(c);
    }
    masked
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
    let (mut printed, mut promised) = (String::new(), Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let lines = commands(&text);
        promised.extend(shown(&text).into_iter().map(|line| (page.clone(), line)));
        if lines.is_empty() {
            continue;
        }
        let world = World::start(WorldOptions::default()).unwrap();
        for image in ["shop/cart:1.4", "shop/web:2", "other/app:1.0"] {
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
        printed.push_str(&ran.stdout.replace(&host, "registry.example"));
        printed.push_str(&ran.stderr.replace(&host, "registry.example"));
    }
    assert!(ran_any > 20, "only {ran_any} commands were found");
    let printed = masked(&printed);
    assert!(promised.len() > 5, "only {} lines of answers were found", promised.len());
    for (page, line) in promised {
        assert!(printed.contains(&line), "{} shows what was not printed:\n{line}\n\n{printed}", page.display());
    }
}

/// A reader who follows one page after another has the keys of all of them.
#[test]
fn pages_name_their_keys_apart() {
    let mut names = Vec::new();
    for page in ["README.md", "docs/quickstart.md", "docs/tutorial/enforce-a-host.md"] {
        let lines = commands(&std::fs::read_to_string(root().join(page)).unwrap());
        names.extend(lines.iter().filter_map(|line| line.strip_prefix("trustctl key generate ").map(str::to_owned)));
    }
    assert_eq!(names.len(), 3, "{names:?}");
    let mut apart = names.clone();
    apart.sort();
    apart.dedup();
    assert_eq!(apart.len(), 3, "{names:?}");
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
