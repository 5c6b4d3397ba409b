//! The generated references in `docs/reference` are what the code says.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::Path;

use trustctl_core::reason::Code;

#[test]
fn generated_references_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    for (name, text) in trustctl_tests::reference::pages() {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(committed == text, "docs/reference/{name} is stale: cargo run -p trustctl-tests --bin generate");
    }
}

/// A code that nothing can report is either dead or a check that is missing.
#[test]
fn every_reason_code_is_used_somewhere() {
    fn sources(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !is_table(&path) {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut all = String::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path.join("src"), &mut all);
        }
    }
    let unused: Vec<String> = Code::ALL
        .iter()
        .filter(|code| !all.contains(&format!("Code::{code:?}")))
        .map(|code| format!("{code} {code:?}"))
        .collect();
    assert!(unused.is_empty(), "nothing reports {unused:?}");
}

#[test]
fn the_configuration_in_the_reference_of_the_proxy_is_one() {
    use trustctl_proxy::config::{Config, ConfigText};
    let text = trustctl_tests::reference::SMALLEST;
    let source = ConfigText { name: "proxy.toml", folder: Path::new("/"), text, load: &|_| Err("no files".to_owned()) };
    let config = Config::parse(&source).unwrap();
    assert_eq!((config.upstreams.all().len(), config.warnings.len()), (2, 0));
}

/// The files in which a code is only described.
fn is_table(path: &Path) -> bool {
    path.ends_with("reason/table.rs") || path.ends_with("reason/proxy_table.rs")
}
