//! The arrows between the crates, as DESIGN draws them, and who may use what. A new arrow needs an ADR.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

use std::collections::{BTreeMap, BTreeSet};

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

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).exec().unwrap()
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

fn reachable(metadata: &Metadata, from: &PackageId) -> BTreeMap<String, String> {
    let mut via: BTreeMap<String, String> = BTreeMap::new();
    let mut queue = vec![from.clone()];
    let mut seen: BTreeSet<PackageId> = BTreeSet::new();
    while let Some(id) = queue.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for (name, dependency) in used_by(metadata, &id) {
            via.entry(name).or_insert_with(|| metadata[&id].name.to_string());
            queue.push(dependency);
        }
    }
    via
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
    let metadata = metadata();
    for (name, fenced) in UNREACHABLE {
        let reached = reachable(&metadata, &id_of(&metadata, name));
        for package in fenced {
            let via = reached.get(*package);
            assert!(via.is_none(), "{name} must not reach {package}, and does through {}", via.unwrap());
        }
    }
}

#[test]
fn there_is_one_tls_stack_and_one_http_client() {
    let metadata = metadata();
    let id = id_of(&metadata, "trustctl");
    let reached = reachable(&metadata, &id);
    for package in ["rustls", "aws-lc-sys", "reqwest"] {
        let versions: BTreeSet<String> =
            metadata.packages.iter().filter(|p| p.name == package).map(|p| p.version.to_string()).collect();
        assert!(versions.len() <= 1 || !reached.contains_key(package), "{package} is there in {versions:?}");
    }
}
