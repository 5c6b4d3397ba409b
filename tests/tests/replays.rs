//! Publishing against a server that replays old files: nothing old is signed anew, and nothing is sent.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use serde_json::Value;
use tempfile::TempDir;
use trustctl_dct::role::RoleName;
use trustctl_lab::image::Artifact;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::program::User;

const PASSPHRASE: &str = "for the tests";

/// A lab, and somebody who signs in it with Docker Content Trust as the signer alice.
struct Stage {
    world: World,
    _home: TempDir,
    user: User,
}

impl Stage {
    fn new() -> Self {
        let world = World::start(WorldOptions::default()).unwrap();
        let home = tempfile::tempdir().unwrap();
        let user = world.environment().into_iter().fold(User::new(home.path()), |user, (name, value)| user.with(name, value));
        let user = user
            .with("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", PASSPHRASE)
            .with("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", PASSPHRASE);
        Self { world, _home: home, user }
    }

    /// Pushes an image and signs it as `tag`.
    fn sign(&self, content: &str, tag: &str) -> (Value, Option<i32>) {
        self.world.push(&format!("shop/cart:{tag}"), &Artifact::image(content)).unwrap();
        let image = self.world.name(&format!("shop/cart:{tag}"));
        self.user.json(&["sign", &image, "--resolve-tag", "--scheme", "dct", "--signer", "alice"]).unwrap()
    }

    fn gun(&self) -> String {
        self.world.name("shop/cart")
    }

    /// How often somebody uploaded to the Notary server.
    fn uploads(&self) -> usize {
        self.world.notary().requests().all().iter().filter(|request| request.method == "POST").count()
    }
}

#[test]
fn signing_on_top_of_a_replayed_delegation_fails_and_sends_nothing() {
    let stage = Stage::new();
    let releases = RoleName::releases();
    assert_eq!(stage.sign("bad", "1.0").1, Some(0));
    let old = stage.world.notary().files(&stage.gun())[&releases].clone();
    assert_eq!(stage.sign("good", "1.0").1, Some(0));
    let newest = stage.world.notary().files(&stage.gun())[&releases].clone();

    stage.world.notary().replay(&stage.gun(), &releases, old).unwrap();
    stage.world.notary().sign_timestamp(&stage.gun(), 100).unwrap();
    let uploads = stage.uploads();
    let (report, exit) = stage.sign("more", "2.0");
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(1), Some("TC0206")), "{report}");
    assert_eq!(stage.uploads(), uploads, "nothing was sent");

    // The same with the newest file goes through.
    stage.world.notary().replay(&stage.gun(), &releases, newest).unwrap();
    stage.world.notary().sign_timestamp(&stage.gun(), 101).unwrap();
    let (report, exit) = stage.sign("more", "2.0");
    assert_eq!(exit, Some(0), "{report}");
    assert_eq!(stage.uploads(), uploads + 1);
}
