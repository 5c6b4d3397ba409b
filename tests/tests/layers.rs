//! The arrows between the crates, as DESIGN draws them, and who may use what. A new arrow needs an ADR.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// What each crate may depend on, of ours.
const ARROWS: [(&str, &[&str]); 8] = [
    ("trustctl-core", &[]),
    ("trustctl-dct", &["trustctl-core"]),
    ("trustctl-sigstore", &["trustctl-core"]),
    ("trustctl-keys", &["trustctl-core"]),
    ("trustctl-remote", &["trustctl-core"]),
    ("trustctl-proxy", &["trustctl-core", "trustctl-dct", "trustctl-sigstore", "trustctl-remote"]),
    ("trustctl-lab", &["trustctl-core", "trustctl-dct", "trustctl-sigstore"]),
    (
        "trustctl",
        &[
            "trustctl-core",
            "trustctl-dct",
            "trustctl-sigstore",
            "trustctl-keys",
            "trustctl-remote",
            "trustctl-proxy",
            "trustctl-lab",
        ],
    ),
];

/// Packages that must not be reached from a crate, however indirectly.
const UNREACHABLE: [(&str, &[&str]); 5] = [
    ("trustctl-core", &["tokio", "reqwest", "hyper", "clap"]),
    ("trustctl-dct", &["tokio", "reqwest", "hyper", "clap"]),
    ("trustctl-sigstore", &["tokio", "reqwest", "hyper", "clap"]),
    ("trustctl-proxy", &["trustctl-keys", "trustctl-lab"]),
    // One TLS stack, one crypto provider; no RSA private-key code with RUSTSEC-2023-0071.
    ("trustctl", &["ring", "openssl-sys", "native-tls", "rsa"]),
];

/// What is built on the platform that releases are made for; a lock file also lists packages that only others need.
fn metadata() -> Metadata {
    let platform = ["--filter-platform".to_owned(), "x86_64-unknown-linux-gnu".to_owned()];
    MetadataCommand::new()
        .other_options(platform)
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .exec()
        .unwrap()
}

/// The packages a package uses outside its tests: direct ones by name, and their ids.
fn used_by(metadata: &Metadata, id: &PackageId) -> Vec<(String, PackageId)> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let node = resolve.nodes.iter().find(|node| node.id == *id).unwrap();
    let normal = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
    normal.map(|dep| (metadata[&dep.pkg].name.to_string(), dep.pkg.clone())).collect()
}

fn id_of(metadata: &Metadata, name: &str) -> PackageId {
    metadata.workspace_packages().into_iter().find(|package| package.name == name).expect(name).id.clone()
}

/// Every package that is built into a package, by name. `cargo tree` knows which features are on; the metadata do not.
fn built_into(name: &str) -> BTreeSet<String> {
    let mut tree = std::process::Command::new(env!("CARGO"));
    tree.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    tree.args(["tree", "--package", name, "--edges", "normal", "--prefix", "none", "--format", "{p}", "--no-dedupe"]);
    let done = tree.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let lines = String::from_utf8(done.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn crates_depend_only_along_the_drawn_arrows() {
    let metadata = metadata();
    for (name, allowed) in ARROWS {
        for (used, _) in used_by(&metadata, &id_of(&metadata, name)) {
            let ours = used == "trustctl" || used.starts_with("trustctl-");
            assert!(!ours || allowed.contains(&used.as_str()), "{name} must not depend on {used}");
        }
    }
}

#[test]
fn every_crate_of_the_workspace_is_drawn() {
    let metadata = metadata();
    let drawn: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).chain(["trustctl-tests"]).collect();
    let there = metadata.workspace_packages();
    let there: BTreeSet<&str> = there.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(there, drawn);
}

#[test]
fn fenced_packages_are_out_of_reach() {
    for (name, fenced) in UNREACHABLE {
        let built = built_into(name);
        assert!(built.contains(name), "the tree of {name} is empty");
        for package in fenced {
            assert!(!built.contains(*package), "{package} is built into {name}: cargo tree -p {name} -e normal -i {package}");
        }
    }
}

#[test]
fn there_is_one_tls_stack_and_one_http_client() {
    let metadata = metadata();
    for package in ["rustls", "aws-lc-sys", "reqwest"] {
        let versions: BTreeSet<String> =
            metadata.packages.iter().filter(|p| p.name == package).map(|p| p.version.to_string()).collect();
        assert_eq!(versions.len(), 1, "{package} is there in {versions:?}");
    }
}
