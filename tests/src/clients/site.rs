//! A lab with good and bad images, a proxy in front of it, and a Docker Hub that has the same images.
#![expect(clippy::unwrap_used, reason = "without its stage no test can say anything")]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::{Artifact, LINUX_AMD64, LINUX_ARM64};
use trustctl_lab::world::{World, WorldOptions};

use super::{Hub, Kind, Route, Setup};
use crate::process::{Ready, Server};
use crate::program::User;

/// How the proxy refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deny {
    /// By 403 and 503.
    Status,
    /// By the manifest that no client can run.
    Sticky,
}

/// An image of the lab.
#[derive(Clone, Debug)]
pub struct Image {
    /// By tag, such as `shop/cart:1`.
    pub name: String,
    /// The digest that the tag has.
    pub digest: String,
    /// The digest of its image for this platform.
    pub child: String,
    /// The digests of the configuration and the layer of that.
    pub parts: [String; 2],
    /// What its layer says, which no other image does.
    pub text: String,
}

/// The lab, the proxy and the Docker Hub.
#[derive(Debug)]
pub struct Site {
    /// The lab.
    pub world: World,
    /// A signed image, `shop/cart:1`.
    pub good: Image,
    hub: Hub,
    proxy: Server,
    home: TempDir,
}

/// Who signs: the one that the policy trusts, and one that it does not know.
const KEYS: [&str; 2] = ["release", "stranger"];

impl Site {
    /// Starts all of it, with a signed image `shop/cart:1`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn new(deny: Deny) -> Self {
        let world = World::start(WorldOptions::default()).unwrap();
        let home = tempfile::tempdir().unwrap();
        let user = user(&world, &home);
        for key in KEYS {
            done(&user, &["key", "generate", key]);
        }
        done(&user, &["key", "export", "release", "--public", "--to", "release.pub"]);
        let hub = Hub::start(&world.registry().host()).unwrap();
        let proxy = proxy(&world, &home, deny);
        let good = push(&world, "shop/cart:1", "this is trusted");
        let site = Self { world, good, hub, proxy, home };
        site.sign("shop/cart:1", "release");
        site
    }

    /// The address of the proxy.
    #[must_use]
    pub fn proxy(&self) -> String {
        self.proxy.address()
    }

    /// Pushes an image for two platforms whose layers say `text`.
    ///
    /// # Panics
    /// When the lab does not take it.
    #[must_use]
    pub fn push(&self, name: &str, text: &str) -> Image {
        push(&self.world, name, text)
    }

    /// Pushes an index that is not signed, over an image for this platform that is.
    ///
    /// # Panics
    /// When the lab does not take it.
    #[must_use]
    pub fn push_mixed(&self, name: &str, text: &str) -> Image {
        let image = self.push(name, text);
        let (repository, _) = name.split_once(':').unwrap_or((name, ""));
        let child = format!("{}@{}", self.world.name(repository), image.child);
        done(&user(&self.world, &self.home), &["sign", &child, "--key", "release"]);
        image
    }

    /// Signs an image, by its tag, with one of the keys.
    ///
    /// # Panics
    /// When that fails.
    pub fn sign(&self, name: &str, key: &str) {
        done(&user(&self.world, &self.home), &["sign", &self.world.name(name), "--resolve-tag", "--key", key]);
    }

    /// Withdraws an image, by its tag.
    ///
    /// # Panics
    /// When that fails.
    pub fn revoke(&self, name: &str) {
        let image = self.world.name(name);
        let words = ["revoke", &image, "--resolve-tag", "--key", "release", "--reason", "compromised", "--message", "x", "--yes"];
        done(&user(&self.world, &self.home), &words);
    }

    /// From now on, one bit of what the registry gives for a path is wrong.
    pub fn tamper(&self, path: &str) {
        self.world.registry().faults().add(FaultRule::always(path, Fault::WrongBytes).on("GET"));
    }

    /// The folder with the configuration that the program writes for a client of this kind.
    ///
    /// # Panics
    /// When the program does not write it.
    #[must_use]
    pub fn configured(&self, kind: Kind) -> PathBuf {
        let (to, registry) = (self.home.path().join(kind.word()), self.world.registry().host());
        let served = match kind.word() {
            "docker" => "docker.io=".to_owned(),
            "containerd" => registry,
            _ => format!("{registry}=lab"),
        };
        let url = format!("http://{}", self.proxy());
        let words = ["proxy", "client-config", kind.word(), "--proxy", &url, "--registry", &served, "--to"];
        done(&user(&self.world, &self.home), &[&words[..], &[to.to_str().unwrap()]].concat());
        to
    }

    /// The route of a client to `registry`, which is the lab's, through what is at `proxy`.
    #[must_use]
    pub fn route<'a>(&'a self, registry: &'a str, proxy: &'a str, setup: Setup<'a>) -> Route<'a> {
        Route { registry, proxy, hub: &self.hub, setup }
    }

    /// The reason codes in the proxy's audit log, one for each decision, from the `skip`th on.
    #[must_use]
    pub fn codes(&self, skip: usize) -> Vec<String> {
        let text = fs::read_to_string(self.home.path().join("state/audit.log")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.skip(skip).map(|line| line.get("code").and_then(Value::as_str).unwrap_or_default().to_owned()).collect()
    }
}

fn user(world: &World, home: &TempDir) -> User {
    let variables = world.environment().into_iter();
    let user = variables.fold(User::new(home.path()), |user, (name, value)| user.with(name, value));
    user.with("COSIGN_PASSWORD", "for the tests")
}

/// Runs a command that has to succeed.
fn done(user: &User, words: &[&str]) {
    let ran = user.run(words).unwrap();
    assert!(ran.success(), "{words:?}: {}", ran.output());
}

fn push(world: &World, name: &str, text: &str) -> Image {
    let images = [LINUX_AMD64, LINUX_ARM64].map(|platform| (platform, Artifact::image_for(platform, text)));
    let [own, _] = &images;
    let child = own.1.digest().to_string();
    let parts = [0, 1].map(|place| {
        let blob = own.1.blobs.get(place).unwrap();
        trustctl_core::digest::Digest::sha256_of(blob).to_string()
    });
    let digest = world.push(name, &Artifact::index(images.into())).unwrap().to_string();
    Image { name: name.to_owned(), digest, child, parts, text: text.to_owned() }
}

/// A proxy that knows the lab's registry by two names: its own, and Docker Hub's.
fn proxy(world: &World, home: &TempDir, deny: Deny) -> Server {
    let registry = world.registry().host();
    let policy = format!(
        "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\n\
         [[rules]]\nname = \"shop\"\nimages = [\"{registry}/shop/**\", \"docker.io/shop/**\"]\nrequire = {{ any = [\"release\"] }}\n\
         signed-repository = {{ remap = {{ \"docker.io/shop\" = \"{registry}/shop\" }} }}\n"
    );
    fs::write(home.path().join("policy.toml"), policy).unwrap();
    let mode = if deny == Deny::Sticky { "mirror = true\ndeny-mode = \"sticky\"\n" } else { "" };
    let user = user(world, home);
    Server::start("proxy", home.path(), &Ready::Http("/v2/".to_owned()), |port| {
        let config = format!(
            "version = 1\npolicy = \"policy.toml\"\nstate = \"state\"\n[[listen]]\naddress = \"127.0.0.1:{port}\"\n\
             [times]\ntag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"\nverify = \"5s\"\n\
             [[upstreams]]\nregistry = \"docker.io\"\nendpoint = \"http://{registry}\"\ndefault = true\nnamespace = true\n{mode}\
             [[upstreams]]\nregistry = \"{registry}\"\nprefix = \"lab\"\nnamespace = true\n{mode}"
        );
        fs::write(home.path().join("proxy.toml"), config).unwrap();
        Ok(user.command(&["proxy", "run", "--config", "proxy.toml"]))
    })
    .unwrap()
}
