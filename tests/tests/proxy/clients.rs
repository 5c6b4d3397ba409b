//! Real clients, set up by `trustctl proxy client-config`: what is trusted arrives bit-identical, what is not never does, although the
//! registry behind the proxy would give it to them.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use trustctl_core::digest::Digest;
use trustctl_tests::engine::{DockerClient, Engine};
use trustctl_tests::peers::Peer;
use trustctl_tests::process::{Ran, run};

use crate::stage::{Setup, Stage};

/// What one pull may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A signed image `shop/cart:1`, an unsigned one `shop/new:1`, a revoked one `shop/old:1`, and a proxy that spells refusals out.
fn stage() -> Stage {
    let stage = Stage::new(&Setup::default());
    stage.push("shop/old:1", &trustctl_lab::image::Artifact::multi_platform("old"));
    stage.sign("shop/old:1");
    stage.revoke("shop/old:1");
    stage
}

impl Stage {
    /// Writes the configuration of a client into a folder of the user's home.
    pub(crate) fn configures(&self, client: &str, registry: &str) -> PathBuf {
        let url = format!("http://{}", self.proxy.as_ref().unwrap().address());
        let to = self.home.path().join(client);
        let words = ["proxy", "client-config", client, "--proxy", &url, "--registry", registry, "--to"];
        let report = self.done(&[&words[..], &[to.to_str().unwrap()]].concat());
        assert_eq!(report["enforced"], client != "docker");
        to
    }
}

#[track_caller]
fn fails_with(ran: &Ran, text: &str) {
    assert!(!ran.success() && ran.output().contains(text), "{}", ran.output());
}

#[test]
fn skopeo_gets_what_is_trusted_and_nothing_else() {
    let Some(skopeo) = Peer::Skopeo.or_skip() else { return };
    let stage = stage();
    let folder = stage.configures("podman", &format!("{}=", stage.host()));
    let copy = |configuration: &Path, image: &str, to: &str| {
        let mut command = skopeo.command(stage.home.path());
        command.arg("--insecure-policy").arg("--registries-conf").arg(configuration).args([
            "copy",
            "--all",
            "--preserve-digests",
        ]);
        command.args([&format!("docker://{}/{image}", stage.host()), &format!("dir:{to}")]);
        run(&mut command, LIMIT).unwrap()
    };
    let ours = folder.join("50-trustctl-proxy.conf");
    copy(&ours, "shop/cart:1", "cart").ok().unwrap();
    let index = std::fs::read(stage.home.path().join("cart/manifest.json")).unwrap();
    assert_eq!(Some(Digest::sha256_of(&index)), stage.world.registry().tag("shop/cart", "1"));
    fails_with(&copy(&ours, "shop/new:1", "new"), "TC0301");
    fails_with(&copy(&ours, "shop/old:1", "old"), "TC0309");
    let unsigned = stage.world.registry().tag("shop/new", "1").unwrap();
    fails_with(&copy(&ours, &format!("shop/new@{unsigned}"), "by-digest"), "TC0301");
    // The registry itself would give it, and a client that takes the proxy for a mirror gets it there.
    let proxy = stage.proxy.as_ref().unwrap().address();
    let mirror = format!(
        "[[registry]]\nprefix = \"{0}\"\nlocation = \"{0}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"{proxy}\"\ninsecure = true\n",
        stage.host()
    );
    copy(&stage.write("mirror.conf", &mirror), "shop/new:1", "past").ok().unwrap();
}

/// The containerd of a Docker engine, by `ctr` with the folder of hosts.
#[test]
fn containerd_gets_what_is_trusted_and_nothing_else() {
    let Some(dockerd) = Peer::Dockerd.or_skip() else { return };
    let ctr = Path::new("/usr/bin/ctr");
    if !ctr.exists() {
        trustctl_tests::peers::skip("ctr", "it is not beside containerd");
        return;
    }
    let engine = Engine::start(&dockerd).unwrap();
    let stage = stage();
    let folder = stage.configures("containerd", &stage.host());
    let fetch = |hosts: &Path, image: &str| {
        let mut command = Command::new(ctr);
        command.arg("--address").arg(engine.containerd()).args(["content", "fetch", "--all-platforms", "--hosts-dir"]).arg(hosts);
        run(command.arg(format!("{}/{image}", stage.host())), LIMIT).unwrap()
    };
    fetch(&folder, "shop/cart:1").ok().unwrap();
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap();
    let mut read = Command::new(ctr);
    let index = run(read.arg("--address").arg(engine.containerd()).args(["content", "get", &digest.to_string()]), LIMIT).unwrap();
    assert_eq!(Digest::sha256_of(index.ok().unwrap().stdout.as_bytes()), digest);
    for image in ["shop/new:1", "shop/old:1"] {
        fails_with(&fetch(&folder, image), "403 Forbidden");
    }
    // A mirror that refuses is passed over.
    let (registry, proxy) = (stage.host(), stage.proxy.as_ref().unwrap().address());
    let mirror = format!("server = \"http://{registry}\"\n[host.\"http://{proxy}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
    std::fs::create_dir_all(stage.home.path().join("mirror").join(&registry)).unwrap();
    stage.write(&format!("mirror/{registry}/hosts.toml"), &mirror);
    fetch(&stage.home.path().join("mirror"), "shop/new:1").ok().unwrap();
}

#[test]
fn docker_gets_what_is_trusted_by_the_name_of_the_proxy() {
    let (Some(dockerd), Some(docker)) = (Peer::Dockerd.or_skip(), Peer::DockerCli.or_skip()) else { return };
    let engine = Engine::start(&dockerd).unwrap();
    let client = DockerClient::new(&docker, &engine, None).unwrap();
    let stage = stage();
    let proxy = stage.proxy.as_ref().unwrap().address();
    let pull = |image: &str| run(&mut client.command(&["pull", &format!("{proxy}/{image}")]), LIMIT).unwrap();
    let pulled = pull("shop/cart:1").ok().unwrap();
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap();
    assert!(pulled.stdout.contains(&format!("Digest: {digest}")), "{}", pulled.stdout);
    fails_with(&pull("shop/new:1"), "TC0301");
    fails_with(&pull("shop/old:1"), "TC0309");
}

#[test]
fn files_of_others_are_never_written_over() {
    let stage = Stage::without_proxy(trustctl_lab::world::WorldOptions::default());
    let words = ["proxy", "client-config", "containerd", "--proxy", "https://proxy.example:5000", "--to", "certs.d"];
    stage.done(&words);
    let path = stage.home.path().join("certs.d/_default/hosts.toml");
    let ours = std::fs::read_to_string(&path).unwrap();
    stage.done(&words);
    let kept = path.with_extension("toml.bak");
    assert!(!kept.exists(), "the same again is no change");
    let edited = format!("{ours}# by hand\n");
    std::fs::write(&path, &edited).unwrap();
    let (report, exit) = stage.user().json(&words).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0717")), "{report}");
    assert!(report["error"]["next"].to_string().contains("--force"), "{report}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), edited);
    let force = [&words[..], &["--force"]].concat();
    stage.done(&force);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), ours);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), edited, "nothing is lost");
    // Nor what was kept before.
    std::fs::write(&path, format!("{ours}# once more\n")).unwrap();
    let (report, exit) = stage.user().json(&force).unwrap();
    assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0717")), "{report}");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), edited);
    std::fs::write(&path, "server = \"https://docker.io\"\n").unwrap();
    for words in [&words[..], &force] {
        let (report, exit) = stage.user().json(words).unwrap();
        assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0717")), "{report}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "server = \"https://docker.io\"\n");
}

/// Who could not read a file can read neither what takes its place nor what is kept of it.
#[test]
fn a_file_that_is_replaced_keeps_its_rights() {
    let stage = Stage::without_proxy(trustctl_lab::world::WorldOptions::default());
    let words = ["proxy", "client-config", "containerd", "--proxy", "https://proxy.example:5000", "--to", "certs.d", "--force"];
    let path = stage.home.path().join("certs.d/_default/hosts.toml");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for rights in [0o600, 0o640, 0o644] {
        stage.done(&words);
        let ours = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{ours}# by hand\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(rights)).unwrap();
        stage.done(&words);
        let kept = path.with_extension("toml.bak");
        assert_eq!((mode(&path), mode(&kept)), (rights, rights));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), ours);
        std::fs::remove_file(kept).unwrap();
    }
}

/// A link is found before anything is written, also where it leads nowhere, and at the last of several files.
#[test]
fn where_a_link_is_nothing_is_written() {
    let stage = Stage::without_proxy(trustctl_lab::world::WorldOptions::default());
    let mut words =
        vec!["proxy", "client-config", "containerd", "--proxy", "https://proxy.example:5000", "--to", "certs.d", "--force"];
    words.extend(["--registry", "a.example", "--registry", "b.example"]);
    stage.done(&words);
    let [first, last] = ["a", "b"].map(|name| stage.home.path().join(format!("certs.d/{name}.example/hosts.toml")));
    let edited = format!("{}# by hand\n", std::fs::read_to_string(&first).unwrap());
    let refuses = || {
        for path in [&first, &last] {
            std::fs::write(path, &edited).unwrap();
        }
        let (report, exit) = stage.user().json(&words).unwrap();
        assert_eq!((exit, report["error"]["code"].as_str()), (Some(7), Some("TC0717")), "{report}");
        assert!(report["error"]["message"].as_str().unwrap().contains("is a link"), "{report}");
        assert_eq!(std::fs::read_to_string(&first).unwrap(), edited);
        assert!(!first.with_extension("toml.bak").exists(), "nothing is written");
    };
    let (kept, elsewhere) = (last.with_extension("toml.bak"), stage.home.path().join("elsewhere.toml"));
    symlink(stage.home.path().join("nowhere"), &kept).unwrap();
    refuses();
    assert!(!stage.home.path().join("nowhere").exists());
    std::fs::remove_file(&kept).unwrap();
    std::fs::write(&elsewhere, "").unwrap();
    std::fs::remove_file(&last).unwrap();
    symlink(&elsewhere, &last).unwrap();
    refuses();
    assert!(std::fs::symlink_metadata(&kept).is_err());
    std::fs::remove_file(&last).unwrap();
    std::fs::write(&last, &edited).unwrap();
    stage.done(&words);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), edited);
}
