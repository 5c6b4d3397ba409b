//! The canary, and what the doctor finds out with it: by real clients, in the states that hosts are in.

use std::path::Path;

use serde_json::Value;
use trustctl_lab::image::Artifact;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::engine::{DockerClient, Engine};
use trustctl_tests::peers::{Peer, skip};
use trustctl_tests::process::free_port;
use trustctl_tests::program::User;

use crate::stage::{Setup, Stage, refused, served};

const CANARY: &str = "canary = \"shop/canary\"";
/// A digest of nothing.
const NOWHERE: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A stage whose canary is signed: only being the canary keeps it from being served.
fn stage(setup: &Setup) -> Stage {
    let mut stage = Stage::without_proxy(WorldOptions::default());
    for image in ["shop/canary:1", "shop/cart:1"] {
        stage.push(image, &Artifact::image(image));
        stage.sign(image);
    }
    stage.start(setup);
    stage
}

fn with_canary() -> Stage {
    stage(&Setup { upstream: CANARY, ..Setup::default() })
}

impl Stage {
    fn url(&self) -> String {
        format!("http://{}", self.proxy.as_ref().unwrap().address())
    }

    /// What the doctor says when `user` runs it for `image` at a proxy, and its exit code.
    fn doctor(&self, user: &User, (image, proxy): (&str, &str), words: &[&str]) -> (Value, Option<i32>) {
        user.json(&[&["proxy", "doctor", image, "--proxy", proxy][..], words].concat()).unwrap()
    }
}

/// Asserts what was found out, by whom it was, and the reason.
#[track_caller]
fn stands((report, exit): &(Value, Option<i32>), client: Option<&str>, standing: &str, code: Option<&str>) {
    let expected = match code {
        None => 0,
        Some("TC0657") => 1,
        Some(_) => 4,
    };
    assert_eq!(*exit, Some(expected), "{report:#}");
    assert_eq!(report["clients"][0]["client"].as_str(), client, "{report:#}");
    assert_eq!(report["clients"][0]["standing"], standing, "{report:#}");
    assert_eq!(report["reasons"][0]["code"].as_str(), code, "{report:#}");
}

#[test]
fn a_canary_is_refused_although_it_is_signed() {
    let stage = with_canary();
    let digest = stage.world.registry().tag("shop/canary", "1").unwrap().to_string();
    for name in ["1", &digest] {
        let answer = stage.get(&format!("shop/canary/manifests/{name}"));
        refused(&answer, "TC0655");
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["errors"][0]["detail"]["found"], digest, "the registry has it, so that it can come from there");
    }
    refused(&stage.get(&format!("shop/canary/blobs/{digest}")), "TC0655");
    refused(&stage.get("shop/canary/manifests/none"), "TC0656");
    refused(&stage.get(&format!("shop/canary/manifests/{NOWHERE}")), "TC0656");
    assert_eq!(stage.get("shop/cart/manifests/1").status, 200, "others are judged as ever");
    let stage = self::stage(&Setup::default());
    let digest = stage.world.registry().tag("shop/canary", "1").unwrap().to_string();
    served(&stage.get("shop/canary/manifests/1"), &digest);
}

#[test]
fn the_proxy_itself_is_asked_where_no_client_is_named() {
    let stage = with_canary();
    let (canary, user) = (stage.world.name("shop/canary:1"), stage.user());
    let asked = |image: &str, proxy: &str| stage.doctor(&user, (image, proxy), &[]);
    stands(&asked(&canary, &stage.url()), None, "refusing", None);
    stands(&asked(&canary, &format!("http://{}", stage.host())), None, "not-enforced", Some("TC0657"));
    stands(&asked(&stage.world.name("shop/cart:1"), &stage.url()), None, "cannot-tell", Some("TC0658"));
    stands(&asked(&stage.world.name("shop/canary:none"), &stage.url()), None, "cannot-tell", Some("TC0658"));
    let closed = format!("http://127.0.0.1:{}", free_port().unwrap());
    stands(&asked(&canary, &closed), None, "cannot-tell", Some("TC0658"));
    let missing = stage.doctor(&user.clone().with("PATH", "/nowhere"), (&canary, &stage.url()), &["--client", "docker"]);
    stands(&missing, Some("docker"), "cannot-tell", Some("TC0658"));
}

#[test]
fn an_image_that_the_policy_refuses_serves_as_well_and_one_that_it_trusts_tells_nothing() {
    for upstream in ["", "mirror = true\ndeny-mode = \"sticky\""] {
        let stage = stage(&Setup { upstream, ..Setup::default() });
        stage.push("shop/new:1", &Artifact::image("unsigned"));
        let (unsigned, signed, user) = (stage.world.name("shop/new:1"), stage.world.name("shop/cart:1"), stage.user());
        stands(&stage.doctor(&user, (&unsigned, &stage.url()), &[]), None, "refusing", None);
        stands(&stage.doctor(&user, (&stage.world.name("shop/new:2"), &stage.url()), &[]), None, "cannot-tell", Some("TC0658"));
        let passes = stage.doctor(&user, (&signed, &stage.url()), &["--client", "skopeo"]);
        stands(&passes, None, "cannot-tell", Some("TC0658"));
        assert_eq!(passes.0["pulls"], serde_json::json!([]), "a pull would show nothing: {:#}", passes.0);
        let next = passes.0["reasons"][0]["next"][0]["text"].as_str().unwrap();
        assert!(next.contains("an image that its policy refuses"), "{:#}", passes.0);
        if Peer::Skopeo.or_skip().is_none() {
            continue;
        }
        let settings = stage.configures("podman", &format!("{}=", stage.host())).join("50-trustctl-proxy.conf");
        let direct = stage.write("direct.conf", &format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", stage.host()));
        for (settings, standing, code) in [(settings, "enforced", None), (direct, "not-enforced", Some("TC0657"))] {
            let option = format!("--client-arg=--registries-conf={}", settings.display());
            let found = stage.doctor(&user, (&unsigned, &stage.url()), &["--client", "skopeo", &option]);
            stands(&found, Some("skopeo"), standing, code);
            let digest = stage.world.registry().tag("shop/new", "1").unwrap().to_string();
            assert_eq!(found.0["digest"], digest, "{:#}", found.0);
            let pulled = found.0["pulls"].as_array().unwrap();
            assert!(pulled[1]["image"].as_str().unwrap().ends_with(&digest), "by digest too: {:#}", found.0);
        }
    }
}

#[test]
fn skopeo_is_held_to_the_proxy_by_our_settings_and_not_by_a_mirror() {
    if Peer::Skopeo.or_skip().is_none() {
        return;
    }
    for upstream in [CANARY, "canary = \"shop/canary\"\nmirror = true\ndeny-mode = \"sticky\""] {
        let stage = stage(&Setup { upstream, ..Setup::default() });
        let (canary, user) = (stage.world.name("shop/canary:1"), stage.user());
        let settings = stage.configures("podman", &format!("{}=", stage.host())).join("50-trustctl-proxy.conf");
        let with = |path: &Path| {
            let option = format!("--client-arg=--registries-conf={}", path.display());
            stage.doctor(&user, (&canary, &stage.url()), &["--client", "skopeo", &option])
        };
        stands(&with(&settings), Some("skopeo"), "enforced", None);
        let direct = stage.write("direct.conf", &format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", stage.host()));
        stands(&with(&direct), Some("skopeo"), "not-enforced", Some("TC0657"));
        let elsewhere = free_port().unwrap();
        let nowhere =
            format!("[[registry]]\nprefix = \"{}\"\nlocation = \"127.0.0.1:{elsewhere}\"\ninsecure = true\n", stage.host());
        stands(&with(&stage.write("nowhere.conf", &nowhere)), Some("skopeo"), "cannot-tell", Some("TC0658"));
    }
    let stage = with_canary();
    let mirror = format!(
        "[[registry]]\nprefix = \"{0}\"\nlocation = \"{0}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"{1}\"\ninsecure = true\n",
        stage.host(),
        stage.proxy.as_ref().unwrap().address()
    );
    let option = format!("--client-arg=--registries-conf={}", stage.write("mirror.conf", &mirror).display());
    let canary = stage.world.name("shop/canary:1");
    let found = stage.doctor(&stage.user(), (&canary, &stage.url()), &["--client", "skopeo", &option]);
    stands(&found, Some("skopeo"), "not-enforced", Some("TC0657"));
}

#[test]
fn docker_is_held_to_the_proxy_only_where_the_way_to_the_registry_is_closed() {
    let (Some(dockerd), Some(docker)) = (Peer::Dockerd.or_skip(), Peer::DockerCli.or_skip()) else { return };
    let engine = Engine::start(&dockerd).unwrap();
    let client = DockerClient::new(&docker, &engine, None).unwrap();
    let mut stage = with_canary();
    let path = format!("{}:{}", docker.path().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let user = |stage: &Stage| {
        let socket = format!("unix://{}", engine.socket().display());
        stage
            .user()
            .with("PATH", path.clone())
            .with("DOCKER_HOST", socket)
            .with("DOCKER_CONFIG", client.config().display().to_string())
    };
    let canary = stage.world.name("shop/canary:1");
    let open = stage.doctor(&user(&stage), (&canary, &stage.url()), &["--client", "docker"]);
    stands(&open, Some("docker"), "not-enforced", Some("TC0657"));
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let gone = stage.doctor(&user(&stage), (&stage.world.name("shop/canary:none"), &nobody), &["--client", "docker"]);
    stands(&gone, Some("docker"), "cannot-tell", Some("TC0658"));
    // A registry whose name leads nowhere from the host: the way to it is closed, and only the proxy knows where it is.
    let upstream = format!("[[upstreams]]\nregistry = \"localhost\"\nendpoint = \"http://{}\"\n{CANARY}\n", stage.host());
    stage.start(&Setup { upstream: Box::leak(upstream.into_boxed_str()), ..Setup::default() });
    let closed = stage.doctor(&user(&stage), ("localhost/shop/canary:1", &stage.url()), &["--client", "docker"]);
    stands(&closed, Some("docker"), "enforced", None);
    let outcomes: Vec<&str> =
        closed.0["pulls"].as_array().unwrap().iter().map(|pull| pull["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["closed", "closed", "refused"], "{:#}", closed.0);
}

/// Its registry answers, with anything but the image, and the proxy has the canary from elsewhere: the way is not closed.
#[test]
fn skopeo_whose_registry_answers_no_is_not_held_to_the_proxy() {
    if Peer::Skopeo.or_skip().is_none() {
        return;
    }
    let mut stage = with_canary();
    let other = World::start(WorldOptions::default()).unwrap();
    let (open, closed) = (other.registry().host(), format!("127.0.0.1:{}", free_port().unwrap()));
    let user = stage.user();
    for (registry, standing, code) in [(&open, "cannot-tell", Some("TC0658")), (&closed, "enforced", None)] {
        let upstream = format!(
            "[[upstreams]]\nregistry = \"{registry}\"\nprefix = \"x\"\nendpoint = \"http://{}\"\n{CANARY}\n",
            stage.host()
        );
        stage.start(&Setup { upstream: Box::leak(upstream.into_boxed_str()), ..Setup::default() });
        let proxy = stage.proxy.as_ref().unwrap().address().to_string();
        let hosts = [registry.as_str(), &proxy].map(|host| format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n"));
        let option = format!("--client-arg=--registries-conf={}", stage.write("direct.conf", &hosts.concat()).display());
        let words = ["--prefix", "x", "--client", "skopeo", &option];
        let digest = stage.world.registry().tag("shop/canary", "1").unwrap();
        for name in [":1".to_owned(), format!("@{digest}")] {
            let found = stage.doctor(&user, (&format!("{registry}/shop/canary{name}"), &stage.url()), &words);
            stands(&found, Some("skopeo"), standing, code);
        }
        let nowhere = stage.doctor(&user, (&format!("{registry}/shop/canary@{NOWHERE}"), &stage.url()), &words);
        stands(&nowhere, Some("skopeo"), "cannot-tell", Some("TC0658"));
    }
}

/// The containerd of a Docker engine, by `ctr` with the folder of hosts.
#[test]
fn containerd_is_held_to_the_proxy_by_our_settings_and_not_by_a_mirror() {
    let Some(dockerd) = Peer::Dockerd.or_skip() else { return };
    if !Path::new("/usr/bin/ctr").exists() {
        skip("ctr", "it is not beside containerd");
        return;
    }
    let engine = Engine::start(&dockerd).unwrap();
    let stage = with_canary();
    let (canary, user) = (stage.world.name("shop/canary:1"), stage.user());
    let address = format!("--client-arg=--address={}", engine.containerd().display());
    let with = |hosts: &Path| {
        stage.doctor(&user, (&canary, &stage.url()), &["--client", "ctr", &address, "--hosts-dir", hosts.to_str().unwrap()])
    };
    stands(&with(&stage.configures("containerd", &stage.host())), Some("ctr"), "enforced", None);
    // Before the image arrives: containerd does not ask for the bytes of a digest that it has.
    let sticky =
        self::stage(&Setup { upstream: "canary = \"shop/canary\"\nmirror = true\ndeny-mode = \"sticky\"", ..Setup::default() });
    let hosts = sticky.configures("containerd", &sticky.host());
    let words = ["--client", "ctr", &address, "--hosts-dir", hosts.to_str().unwrap()];
    // Another image, since containerd keeps the denial's bytes under the digest that was asked for, and goes on from them.
    sticky.push("shop/canary:2", &Artifact::image("another"));
    let found = sticky.doctor(&sticky.user(), (&sticky.world.name("shop/canary:2"), &sticky.url()), &words);
    stands(&found, Some("ctr"), "enforced", None);
    let mirror =
        format!("server = \"http://{}\"\n[host.\"{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n", stage.host(), stage.url());
    std::fs::create_dir_all(stage.home.path().join("mirror").join(stage.host())).unwrap();
    stage.write(&format!("mirror/{}/hosts.toml", stage.host()), &mirror);
    stands(&with(&stage.home.path().join("mirror")), Some("ctr"), "not-enforced", Some("TC0657"));
}
