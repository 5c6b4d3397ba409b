//! A lab on loopback with one image, and a user of it: what tests of the command line begin with.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "without its stage no test can say anything")]

use serde_json::Value;
use tempfile::TempDir;
use trustctl_lab::image::Artifact;
use trustctl_lab::world::{World, WorldOptions};

use crate::program::User;

const PASSPHRASE: &str = "for the tests";

/// A lab with one image, and a user of it with a key called `release`.
#[derive(Debug)]
pub struct Stage {
    /// The lab; its image is `shop/cart:1.4`.
    pub world: World,
    /// Who runs the program.
    pub user: User,
    home: TempDir,
}

impl Stage {
    /// A fresh lab, and a user whose key is made.
    ///
    /// # Panics
    /// When either cannot be had: then there is nothing to test.
    #[must_use]
    pub fn new() -> Self {
        let world = World::start(WorldOptions::default()).unwrap();
        world.push("shop/cart:1.4", &Artifact::multi_platform("one")).unwrap();
        let home = tempfile::tempdir().unwrap();
        let user = world.environment().into_iter().fold(User::new(home.path()), |user, (name, value)| user.with(name, value));
        let user = user.with("COSIGN_PASSWORD", PASSPHRASE);
        let user = user
            .with("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", PASSPHRASE)
            .with("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", PASSPHRASE);
        let made = user.run(&["key", "generate", "release"]).unwrap();
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        Self { world, user, home }
    }

    /// The image's name in the lab, with `rest` behind the repository.
    #[must_use]
    pub fn image(&self, rest: &str) -> String {
        self.world.name(&format!("shop/cart{rest}"))
    }

    /// Runs a command as text and as JSON; both must end with `exit` and name `code`.
    ///
    /// # Panics
    /// When they do not.
    #[track_caller]
    pub fn ends(&self, words: &[&str], exit: i32, code: &str) -> (String, Value) {
        let (report, ended) = self.user.json(words).unwrap();
        assert_eq!(ended, Some(exit), "{words:?}: {report}");
        assert_eq!(report["exit"], exit, "{words:?}");
        assert!(report.to_string().contains(code), "{words:?}: {report}");
        let ran = self.user.run(words).unwrap();
        assert_eq!(ran.code, Some(exit), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("error[{code}]: ")), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("\n  why:  ") && ran.stderr.contains("\n  next: "), "{words:?}: {}", ran.stderr);
        (ran.stderr, report)
    }

    /// Writes a file into the user's home; its path.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.user.home().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Ends the lab and keeps the user, and the folder that is the home.
    #[must_use]
    pub fn leave(self) -> (User, TempDir) {
        (self.user, self.home)
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}
