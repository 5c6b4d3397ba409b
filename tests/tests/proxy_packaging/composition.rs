//! The composition of `integrations/proxy/`, started: the image that its `Containerfile` makes, in front of a real registry, in a
//! network of the engine's own.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use trustctl_tests::engine::{DockerClient, Engine, EngineOptions};
use trustctl_tests::peers::{Peer, Program, skip};
use trustctl_tests::process::{Ran, run};
use trustctl_tests::program::{User, program};
use trustctl_tests::tls::Authority;

use crate::folder as integrations;

const LIMIT: Duration = Duration::from_secs(120);
const PASSWORD: &str = "a password for this test";
const REGISTRY: &str = "registry-for-test";
const PROXY: &str = "trustctl-proxy";
/// What it takes beside the file to run a program that is not linked statically.
const LIBRARIES: &str = "libraries";

/// The programs that this takes.
struct Tools {
    buildah: Program,
    client: Program,
    compose: Program,
    engine: Program,
    registry: Program,
    skopeo: Program,
}

/// The composition, started; it is taken down when this is dropped.
struct Composition {
    tools: Tools,
    folder: TempDir,
    engine: Engine,
    docker: DockerClient,
    user: User,
}

#[test]
fn in_the_composition_what_is_signed_arrives_and_nothing_else() {
    let Some(tools) = tools() else { return };
    let composition = Composition::start(tools);
    composition.push(REGISTRY, "team/signed:1");
    composition.push(PROXY, "team/unsigned:1");
    composition.sign("127.0.0.1:5010/team/signed:1");

    let pull = |image: &str| composition.docker(&["pull", "--quiet", image]);
    let taken = pull("127.0.0.1:5000/team/signed:1");
    assert!(taken.success(), "{}", taken.output());
    let refused = pull("127.0.0.1:5000/team/unsigned:1");
    assert!(!refused.success() && refused.output().contains("TC0301"), "{}", refused.output());

    let inspected = composition.docker(&["inspect", "--format", "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}}", "c-proxy-1"]);
    assert_eq!(inspected.stdout.trim(), "65532:65532 true", "{}", inspected.output());

    // Who is beside the clients cannot go around the proxy.
    let ask = |network: &str| {
        let image = "registry:5000/team/signed:1";
        let run = ["run", "--rm", "--network", network, LIBRARIES];
        let inspect = ["inspect", image, "--plain-http", "registry:5000", "--timeout", "5s", "--no-input"];
        composition.docker(&[&run[..], &inspect[..]].concat())
    };
    let (behind, before) = (ask("c_registry"), ask("c_clients"));
    assert!(behind.success(), "{}", behind.output());
    assert!(!before.success() && before.output().contains("TC040"), "{}", before.output());
}

#[test]
fn without_the_key_the_composition_does_not_start() {
    let Some(tools) = tools() else { return };
    let composition = Composition::prepare(tools);
    fs::remove_file(composition.file("c/release.pub")).unwrap();
    let refused = composition.compose(&["up", "--detach"]);
    assert!(!refused.success() && refused.output().contains("release.pub"), "{}", refused.output());
    assert!(!composition.file("c/release.pub").exists(), "a folder was made in the place of the key");
}

fn tools() -> Option<Tools> {
    let root = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).status();
    if !root.is_ok_and(|status| status.success()) {
        skip("composition", "an engine with networks needs root, unshare and ip");
        return None;
    }
    Some(Tools {
        buildah: Peer::Buildah.or_skip()?,
        client: Peer::DockerCli.or_skip()?,
        compose: Peer::DockerCompose.or_skip()?,
        engine: Peer::Dockerd.or_skip()?,
        registry: Peer::DockerRegistry.or_skip()?,
        skopeo: Peer::Skopeo.or_skip()?,
    })
}

impl Composition {
    fn start(tools: Tools) -> Self {
        let composition = Self::prepare(tools);
        composition.compose(&["up", "--detach"]).ok().unwrap();
        composition.wait_until_served();
        composition
    }

    /// Everything but the start: files, key, images in an engine.
    fn prepare(tools: Tools) -> Self {
        let engine = Engine::start_with(&tools.engine, &EngineOptions { networks: true, ..EngineOptions::default() }).unwrap();
        let docker = DockerClient::new(&tools.client, &engine, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let user = User::new(folder.path()).with("COSIGN_PASSWORD", PASSWORD);
        let composition = Self { tools, folder, engine, docker, user };
        fs::create_dir(composition.file("c")).unwrap();
        for file in ["compose.yaml", "proxy.toml", "policy.toml"] {
            fs::copy(integrations().join(file), composition.file("c").join(file)).unwrap();
        }
        for words in [&["key", "generate", "release"][..], &["key", "export", "release", "--public", "--to", "c/release.pub"][..]]
        {
            composition.user.run(words).unwrap().ok().unwrap();
        }
        composition.image_of_the_registry();
        composition.image_of_the_proxy();
        composition
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn image_of_the_registry(&self) {
        let context = self.file("registry");
        with_libraries(self.tools.registry.path(), &context, "docker-registry");
        let config = "version: 0.1\nstorage: { filesystem: { rootdirectory: /var/lib/registry } }\nhttp: { addr: \":5000\" }\n";
        fs::write(context.join("config.yml"), config).unwrap();
        let text = "FROM scratch\nCOPY root/ /\nCOPY config.yml /config.yml\n\
                    ENTRYPOINT [\"/usr/local/bin/docker-registry\", \"serve\", \"/config.yml\"]\n";
        fs::write(context.join("Containerfile"), text).unwrap();
        self.build(REGISTRY, &context.join("Containerfile"), &context);
        self.load(REGISTRY);
    }

    /// By `integrations/proxy/Containerfile`, and then with the libraries that a static program does without.
    fn image_of_the_proxy(&self) {
        let context = self.file("proxy");
        with_libraries(program(), &context, "trustctl");
        fs::create_dir_all(context.join("dist/state")).unwrap();
        fs::rename(context.join("root/usr/local/bin/trustctl"), context.join("dist/trustctl")).unwrap();
        let authority = Authority::create(&context).unwrap();
        fs::copy(authority.certificate(), context.join("dist/ca-certificates.crt")).unwrap();
        self.build(PROXY, &integrations().join("Containerfile"), &context);
        fs::write(context.join("Containerfile"), format!("FROM localhost/{PROXY}\nCOPY root/ /\n")).unwrap();
        self.build(LIBRARIES, &context.join("Containerfile"), &context);
        self.load(LIBRARIES);
        self.save(PROXY);
    }

    fn buildah(&self, words: &[&str]) -> Ran {
        let mut command = self.tools.buildah.command(self.folder.path());
        let at = |name: &str| self.file(name).display().to_string();
        command.args(["--root", &at("b"), "--runroot", &at("br"), "--storage-driver", "vfs"]).args(words);
        run(&mut command, LIMIT).unwrap().ok().unwrap()
    }

    fn build(&self, name: &str, file: &Path, context: &Path) {
        let (file, context) = (file.display().to_string(), context.display().to_string());
        self.buildah(&["bud", "--isolation", "chroot", "--file", &file, "--tag", &format!("localhost/{name}"), &context]);
    }

    fn save(&self, name: &str) -> String {
        let archive = self.file(&format!("{name}.tar")).display().to_string();
        self.buildah(&["push", &format!("localhost/{name}"), &format!("docker-archive:{archive}:{name}:latest")]);
        archive
    }

    fn load(&self, name: &str) {
        self.docker(&["load", "--input", &self.save(name)]).ok().unwrap();
    }

    fn docker(&self, words: &[&str]) -> Ran {
        run(&mut self.docker.command(words), LIMIT).unwrap()
    }

    fn compose(&self, words: &[&str]) -> Ran {
        let registry = self.docker(&["images", "--quiet", "--no-trunc", REGISTRY]).ok().unwrap();
        let mut command = self.tools.compose.command(&self.file("c"));
        command
            .env("DOCKER_HOST", format!("unix://{}", self.engine.socket().display()))
            .env("REGISTRY_IMAGE", registry.stdout.trim())
            .env("PROXY_IMAGE", LIBRARIES)
            .args(["--project-name", "c"])
            .args(words);
        run(&mut command, LIMIT).unwrap()
    }

    fn wait_until_served(&self) {
        let ready = |port: &str| {
            let mut curl = Command::new("curl");
            curl.args([
                "--silent",
                "--fail",
                "--output",
                "/dev/null",
                "--retry",
                "50",
                "--retry-delay",
                "1",
                "--retry-all-errors",
            ]);
            curl.arg(format!("http://127.0.0.1:{port}"));
            run(&mut self.engine.inside(&curl), LIMIT).unwrap().ok().unwrap();
        };
        ready("5001/readyz");
        ready("5010/v2/");
    }

    /// Puts the image that was saved under this name into the registry, by the port for who publishes.
    fn push(&self, name: &str, image: &str) {
        let mut command = self.tools.skopeo.command(self.folder.path());
        let archive = format!("docker-archive:{}", self.file(&format!("{name}.tar")).display());
        let policy = self.file("any.json");
        fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
        command.arg("--policy").arg(policy).args(["copy", "--dest-tls-verify=false", &archive]);
        command.arg(format!("docker://127.0.0.1:5010/{image}"));
        run(&mut self.engine.inside(&command), LIMIT).unwrap().ok().unwrap();
    }

    fn sign(&self, image: &str) {
        let command = self.user.command(&["sign", image, "--resolve-tag", "--key", "release"]);
        run(&mut self.engine.inside(&command), LIMIT).unwrap().ok().unwrap();
    }
}

impl Drop for Composition {
    fn drop(&mut self) {
        let _ = self.compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

/// Copies a program without its symbols to `root/usr/local/bin/NAME` in `context`, and the libraries that it names to where it looks.
fn with_libraries(program: &Path, context: &Path, name: &str) {
    let root = context.join("root");
    let target = root.join("usr/local/bin").join(name);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    run(Command::new("strip").arg("-o").arg(&target).arg(program), LIMIT).unwrap().ok().unwrap();
    let named = run(Command::new("ldd").arg(program), LIMIT).unwrap();
    for library in named.stdout.split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(library, copy).unwrap();
    }
}
