//! The page on advisories: every test and every reason code that it names exists, and each row names both.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use trustctl_core::reason::Code;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The names of all functions under `#[test]`, of crates and integration tests.
fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                let name =
                    line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ").and_then(|rest| rest.split('(').next());
                match name {
                    Some(name) if is_test => drop(found.insert(name.to_owned())),
                    _ => {}
                }
                is_test = line.starts_with("#[test]") || line.starts_with("#[tokio::test") || (is_test && line.starts_with("#["));
            }
        }
    }
}

#[test]
fn every_advisory_names_tests_and_codes_that_exist() {
    let mut tests = BTreeSet::new();
    tests_in(&root().join("crates"), &mut tests);
    tests_in(&root().join("tests"), &mut tests);
    let page = fs::read_to_string(root().join("docs/explanation/advisories.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| advisory"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 20, "only {} rows were found", rows.len());
    for row in rows {
        let [advisory, _, codes, names] = row.as_slice() else { unreachable!("a row has four columns: {row:?}") };
        for code in codes.split(", ") {
            assert!(Code::find(code).is_some(), "{advisory}: there is no {code}");
        }
        let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{advisory}: no test is named");
        for name in names {
            assert!(tests.contains(name), "{advisory}: there is no test {name}");
        }
    }
}
