//! Everything together.

use trustctl_lab::access::{Access, Account};
use trustctl_lab::image::Artifact;
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
