//! Trust directories written by Docker and Notary, of all generations.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trustctl_core::reason::Code;
use trustctl_remote::trust_dir::{Generation, KeyFile, TrustDir};

const ID: &str = "14abc17f07ea171f3fbd31e735b10c183fc224e169c9f6216a56cc6c22ff6325";
const KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nrole: erin\n\nMIHu\n-----END ENCRYPTED PRIVATE KEY-----\n";

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn open(path: &Path) -> TrustDir {
    TrustDir::open(path).unwrap().unwrap()
}

#[test]
fn a_folder_that_is_not_there_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(TrustDir::open(&folder.path().join("none")).unwrap().is_none());
    let empty = open(folder.path());
    assert!(empty.keys().unwrap().found.is_empty() && empty.collections().unwrap().is_empty());
    write(&folder.path().join("file"), "");
    assert_eq!(TrustDir::open(&folder.path().join("file")).unwrap_err().code, Code::LocalFile);
}

#[test]
fn a_broken_key_file_is_named_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("private");
    write(&private.join(format!("{ID}.key")), KEY);
    write(&private.join(format!("{}.key", "a".repeat(64))), "garbage");
    write(&private.join(format!("{}.key", "b".repeat(64))), &KEY.repeat(1000));
    write(&private.join("README"), "not a key at all");
    let keys = open(folder.path()).keys().unwrap();
    let [found]: [KeyFile; 1] = keys.found.try_into().unwrap();
    assert_eq!((found.id.as_str(), found.role.as_deref(), found.encrypted), (ID, Some("erin"), true));
    assert_eq!(keys.unusable.len(), 2);
    assert!(keys.unusable.iter().all(|file| file.reason.code == Code::KeyUnreadable && file.reason.message.contains(".key")));
}

#[cfg(unix)]
#[test]
fn a_root_key_on_another_medium_is_found_and_circles_end() {
    let medium = tempfile::tempdir().unwrap();
    write(&medium.path().join(format!("{ID}.key")), KEY);
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("private");
    std::fs::create_dir_all(&private).unwrap();
    std::os::unix::fs::symlink(medium.path(), private.join("root_keys")).unwrap();
    let [found]: [KeyFile; 1] = open(folder.path()).keys().unwrap().found.try_into().unwrap();
    assert_eq!(found.generation, Generation::KeyFolders);
    std::os::unix::fs::symlink(".", private.join("circle")).unwrap();
    assert_eq!(open(folder.path()).keys().unwrap().found.len(), 1);
}

#[test]
fn names_of_metadata_do_not_lead_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("tuf/d.io/metadata/metadata/root.json"), "{}");
    write(&folder.path().join("secret"), "s");
    let trust = open(folder.path());
    let [collection] = trust.collections().unwrap().try_into().unwrap();
    assert_eq!((collection.gun.as_str(), collection.files.as_slice()), ("d.io/metadata", ["root.json".to_owned()].as_slice()));
    assert_eq!(trust.metadata(&collection.gun, "root.json").unwrap().unwrap(), b"{}");
    assert_eq!(trust.metadata(&collection.gun, "targets/x.json").unwrap(), None);
    assert_eq!(trust.metadata("d.io", "../../../secret").unwrap_err().code, Code::LocalFile);
    assert_eq!(trust.metadata("../../..", "secret").unwrap_err().code, Code::LocalFile);
}

/// The folder of other people's material, named by an environment variable; `None`, said loudly, when there is none.
fn external(folder: &str) -> Option<PathBuf> {
    let found =
        std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA").map(|base| PathBuf::from(base).join(folder)).filter(|path| path.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: TRUSTCTL_EXTERNAL_TESTDATA does not name a folder with {folder}");
    }
    found
}

/// How many keys each role has, and that every one is encrypted.
fn roles(trust: &TrustDir) -> BTreeMap<String, usize> {
    let keys = trust.keys().unwrap();
    assert!(keys.unusable.is_empty(), "{:?}", keys.unusable);
    let mut roles = BTreeMap::new();
    for key in keys.found {
        assert!(key.encrypted, "{}", key.path.display());
        *roles.entry(key.role.unwrap_or_default()).or_default() += 1;
    }
    roles
}

fn expected(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(role, count)| ((*role).to_owned(), *count)).collect()
}

#[test]
fn dockers_trust_directory_is_read() {
    let Some(folder) = external("dct/client-dirs/docker-28.2.2/trust") else { return };
    let trust = open(&folder);
    let found = roles(&trust);
    assert_eq!(found.values().sum::<usize>(), 13);
    assert_eq!(found.get("root"), Some(&1));
    for key in trust.keys().unwrap().found {
        assert_eq!(key.generation, Generation::Flat);
        let of_a_collection = matches!(key.role.as_deref(), Some("targets" | "snapshot"));
        assert_eq!(key.gun.is_some(), of_a_collection, "{}", key.path.display());
    }
    let collections = trust.collections().unwrap();
    assert_eq!(collections.len(), 7);
    let web = collections.iter().find(|one| one.gun == "localhost:14005/demo/web").unwrap();
    let files = ["root.json", "snapshot.json", "targets.json", "targets/carol.json", "targets/releases.json", "timestamp.json"];
    assert_eq!(web.files, files);
    for file in &web.files {
        assert!(trust.metadata(&web.gun, file).unwrap().unwrap().starts_with(b"{\"signed\""));
    }
}

#[test]
fn notarys_trust_directories_are_read() {
    let Some(folder) = external("dct/client-dirs") else { return };
    let rotated = open(&folder.join("notary-cli-after-root-rotation"));
    assert_eq!(roles(&rotated).values().sum::<usize>(), 5);
    assert_eq!(rotated.collections().unwrap().len(), 1);
    let staged = open(&folder.join("with-changelist"));
    let [collection] = staged.collections().unwrap().try_into().unwrap();
    assert_eq!((collection.gun.as_str(), collection.staged_changes), ("localhost:14005/demo/staged", 5));
}

#[test]
fn the_oldest_trust_directories_are_read() {
    let Some(folder) = external("dct/legacy") else { return };
    let trust = open(&folder.join("notary0.1"));
    assert_eq!(roles(&trust), expected(&[("root", 1), ("snapshot", 1), ("targets", 1)]));
    let gun = "docker.com/notary0.1/samplerepo";
    for key in trust.keys().unwrap().found {
        assert_eq!(key.generation, Generation::RoleInFileName);
        assert_eq!(key.gun.as_deref(), Some(gun).filter(|_| key.role.as_deref() != Some("root")));
    }
    assert_eq!(trust.collections().unwrap().first().unwrap().gun, gun);
    assert_eq!(trust.pinned_certificates(gun).unwrap().len(), 1);

    let trust = open(&folder.join("notary0.3"));
    let keys = trust.keys().unwrap();
    assert!(keys.unusable.is_empty());
    assert_eq!(keys.found.len(), 4);
    assert!(keys.found.iter().all(|key| key.generation == Generation::KeyFolders && key.role.is_some()));
    assert_eq!(keys.found.iter().filter(|key| key.gun.as_deref() == Some("docker.com/notary0.3/tst")).count(), 2);
    assert_eq!(trust.collections().unwrap().first().unwrap().staged_changes, 2);
}
