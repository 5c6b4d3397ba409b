//! Everything together.

use trustctl_lab::access::{Access, Account};
use trustctl_lab::error::LabError;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::Claims;
use trustctl_lab::world::{NOTICE, World, WorldOptions};

use crate::support::Ask;

#[tokio::test]
async fn a_world_says_what_it_is_and_how_to_use_it() {
    let world = World::start(WorldOptions::default()).unwrap();
    let text = world.describe();
    assert!(text.starts_with(&format!("# {NOTICE}\n")) && NOTICE.starts_with("NOT FOR PRODUCTION"));
    for (name, value) in world.environment() {
        assert!(text.contains(&format!("export {name}='{value}'")));
        assert!(!value.contains('\''), "quotes would have to be escaped");
    }
    let folder = world.folder().to_owned();
    for file in ["ca.crt", "docker/config.json", &format!("docker/tls/{}/ca.crt", world.notary().host())] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    drop(world);
    assert!(!folder.exists());
}

#[tokio::test]
async fn images_are_pushed_by_their_short_name() {
    let accounts = vec![Account::admin("alice", "secret-1")];
    let world = World::start(WorldOptions { access: Access::token(accounts), ..WorldOptions::default() }).unwrap();
    assert_eq!(world.account().name, "alice");
    let digest = world.push("shop/cart:1.4", &Artifact::multi_platform("hello")).unwrap();
    assert_eq!(world.registry().tag("shop/cart", "1.4"), Some(digest));
    let untagged = world.push("shop/cart", &Artifact::image("other")).unwrap();
    assert!(world.registry().manifest("shop/cart", &untagged.to_string()).is_some());
    assert_eq!(world.name("shop/cart:1.4"), format!("{}/shop/cart:1.4", world.registry().host()));
    assert_eq!(Ask::get(format!("{}/v2/", world.registry().url())).send().await.status, 401);
}

#[tokio::test]
async fn a_named_folder_stays_and_is_used_again_but_no_other_is_touched() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("lab");
    let options = || WorldOptions { folder: Some(folder.clone()), ..WorldOptions::default() };
    let root = |folder: &std::path::Path| std::fs::read_to_string(folder.join("sigstore/trusted_root.json")).unwrap();
    let world = World::start(options()).unwrap();
    let variables = world.write_environment().unwrap();
    assert_eq!(std::fs::read_to_string(&variables).unwrap(), world.describe());
    drop(world);
    assert!(!variables.exists(), "nobody takes a stopped lab for a running one");
    let first = root(&folder);
    let world = World::start(options()).unwrap();
    assert_eq!(root(&folder), world.sigstore().trusted_root());
    assert_ne!(root(&folder), first, "another lab, other keys");

    let full = WorldOptions { folder: Some(home.path().to_owned()), ..WorldOptions::default() };
    assert!(matches!(World::start(full), Err(LabError::Folder(path)) if path == home.path()));
    assert!(!home.path().join("sigstore").exists());
}

#[tokio::test]
async fn the_files_of_the_sigstore_are_what_it_says() {
    let world = World::start(WorldOptions::default()).unwrap();
    let token = world.write_token(&Claims::email("dev@example.test")).unwrap();
    assert_eq!(std::fs::read_to_string(token).unwrap().split('.').count(), 3);
    let text = world.describe();
    let variables = [world.sigstore_environment(), world.sigstore().workload_environment()].concat();
    for (name, value) in variables {
        assert!(text.contains(&format!("export {name}='{value}'\n")), "{name}");
    }
    for (name, path) in world.sigstore_environment() {
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN "), "{name}={path}");
    }
}
