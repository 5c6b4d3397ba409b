//! Real programs use the lab as they use real servers, and refuse what the lab does to them as an attacker.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_dct::role::RoleName;
use trustctl_lab::access::{Access, Account};
use trustctl_lab::image::Artifact;
use trustctl_lab::registry::RegistrySettings;
use trustctl_lab::world::{World, WorldOptions};
use trustctl_tests::engine::{DockerClient, Engine};
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::{Ran, run};

const LIMIT: Duration = Duration::from_secs(60);

/// A program with the environment of a lab and a home of its own.
struct Client<'a> {
    program: Program,
    world: &'a World,
    home: TempDir,
}

impl<'a> Client<'a> {
    fn new(program: Program, world: &'a World) -> Self {
        Self { program, world, home: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments), LIMIT).unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).ok().unwrap().output()
    }

    /// What it says when it refuses.
    #[track_caller]
    fn refuses(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(!ran.success(), "{} was to be refused: {}", ran.command, ran.output());
        ran.output()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program.command(self.home.path());
        command.args(arguments).envs(self.world.environment()).env("COSIGN_PASSWORD", "throw-away");
        for role in ["ROOT", "TARGETS", "SNAPSHOT", "DELEGATION"] {
            command.env(format!("NOTARY_{role}_PASSPHRASE"), "throw-away");
        }
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

/// A `notary` client and the options that name the lab's server.
struct Notary<'a> {
    client: Client<'a>,
    server: String,
    authority: String,
}

impl<'a> Notary<'a> {
    fn new(world: &'a World) -> Option<Self> {
        let authority = world.folder().join("ca.crt").display().to_string();
        let client = Client::new(Peer::Notary.or_skip()?, world);
        Some(Self { client, server: world.notary().url(), authority })
    }

    fn with_options<'b>(&'b self, arguments: &[&'b str]) -> Vec<&'b str> {
        let mut all = vec!["-s", self.server.as_str(), "--tlscacert", self.authority.as_str(), "-d", "trust"];
        all.extend_from_slice(arguments);
        all
    }

    fn ok(&self, arguments: &[&str]) -> String {
        self.client.ok(&self.with_options(arguments))
    }

    fn refuses(&self, arguments: &[&str]) -> String {
        self.client.refuses(&self.with_options(arguments))
    }

    fn add(&self, gun: &str, tag: &str, more: &[&str]) {
        let hash = Digest::sha256_of(tag.as_bytes()).hex();
        let mut arguments = vec!["addhash", "-p", gun, tag, "528", "--sha256", hash.as_str()];
        arguments.extend_from_slice(more);
        self.ok(&arguments);
    }
}

fn delegate_certificate(folder: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "alice");
    std::fs::write(folder.join("alice.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("alice.key"), key.serialize_pem()).unwrap();
}

#[test]
fn notary_owns_a_collection_on_the_lab() {
    let world = World::start(WorldOptions::default()).unwrap();
    let Some(notary) = Notary::new(&world) else { return };
    let gun = world.name("demo/app");
    assert!(notary.refuses(&["list", &gun]).contains("does not have trust data"), "it can refuse");

    notary.ok(&["init", "-p", &gun]);
    notary.add(&gun, "1.0", &[]);
    notary.ok(&["key", "rotate", &gun, "snapshot", "-r"]);
    delegate_certificate(notary.client.home.path());
    notary.ok(&["delegation", "add", "-p", &gun, "targets/releases", "alice.crt", "--all-paths"]);
    assert!(notary.ok(&["delegation", "list", &gun]).contains("targets/releases"));
    notary.ok(&["key", "import", "alice.key", "--role", "delegation"]);
    notary.add(&gun, "2.0", &["-r", "targets/releases"]);
    notary.ok(&["witness", "-p", &gun, "targets"]);
    notary.ok(&["key", "rotate", &gun, "targets"]);
    notary.ok(&["key", "rotate", &gun, "timestamp", "-r"]);
    notary.ok(&["remove", "-p", &gun, "1.0"]);
    // A newcomer sees the same, proven from the first root on.
    std::fs::remove_dir_all(notary.client.path("trust/tuf")).unwrap();
    let listed = notary.ok(&["list", &gun]);
    assert!(listed.contains("2.0") && listed.contains("targets/releases") && !listed.contains("1.0"), "{listed}");
    notary.ok(&["delete", &gun, "--remote"]);
    assert!(world.notary().files(&gun).is_empty());
}

#[test]
fn notary_refuses_what_an_attacker_makes_the_lab_serve() {
    let world = World::start(WorldOptions::default()).unwrap();
    let Some(notary) = Notary::new(&world) else { return };
    let gun = world.name("demo/app");
    let lab = world.notary();
    notary.ok(&["init", "-p", &gun]);
    notary.add(&gun, "1.0", &[]);
    // The client reads of its own files only as much as the server announces, and has nothing to compare with when its snapshot is longer:
    // then it takes an older one. One in ten is a byte longer than the one before, whose time of expiry ends with a zero that is not written.
    let length = || lab.files(&gun).remove(&RoleName::snapshot()).unwrap().len();
    let mut tags = (2..).map(|number| format!("{number}.0"));
    let (old, tag) = loop {
        let (old, before, tag) = (lab.snapshot(), length(), tags.next().unwrap());
        notary.add(&gun, &tag, &[]);
        if length() <= before {
            break (old, tag);
        }
    };
    let new = lab.snapshot();
    notary.ok(&["list", &gun]);

    lab.restore(&old);
    assert!(notary.refuses(&["list", &gun]).contains("is lower than current version"), "rollback");
    lab.sign_timestamp(&gun, 99).unwrap();
    assert!(notary.refuses(&["list", &gun]).contains("is lower than current version"), "rollback with a stolen timestamp key");

    // The client has believed version 99 of the timestamp; it starts anew.
    std::fs::remove_dir_all(notary.client.path("trust/tuf")).unwrap();
    lab.restore(&new);
    let good = lab.files(&gun).remove(&RoleName::targets()).unwrap();
    let edited = String::from_utf8(good.to_vec()).unwrap().replace(&format!("\"{tag}\""), "\"9.9\"");
    lab.overwrite(&gun, &RoleName::targets(), edited.into()).unwrap();
    assert!(notary.refuses(&["list", &gun]).contains("checksum"), "tampering");
    lab.restore(&new);
    notary.ok(&["list", &gun]);
}

#[test]
fn skopeo_copies_from_and_to_the_lab() {
    let accounts = vec![Account::admin("alice", "throw-away")];
    for (access, settings) in
        [(Access::Open, RegistrySettings::like_docker_registry()), (Access::token(accounts.clone()), RegistrySettings::default())]
    {
        let world = World::start(WorldOptions { access, settings, ..WorldOptions::default() }).unwrap();
        let Some(program) = Peer::Skopeo.or_skip() else { return };
        let skopeo = Client::new(program, &world);
        let name = |image: &str| format!("docker://{}", world.name(image));
        assert!(skopeo.refuses(&["inspect", "--tls-verify=false", &name("demo/app:1.0")]).contains("unknown"));
        let index = world.push("demo/app:1.0", &Artifact::multi_platform("hello")).unwrap();
        let copy =
            ["copy", "--insecure-policy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"];
        let login = ["--dest-creds", "alice:throw-away"];
        let to = |target: &str| [&copy[..], &login[..], &[&name("demo/app:1.0"), target]].concat().join(" ");
        let target = name("other/app:2.0");
        skopeo.ok(&to(&target).split(' ').collect::<Vec<_>>());
        assert_eq!(world.registry().tag("other/app", "2.0"), Some(index));
        let inspected = skopeo.ok(&["inspect", "--tls-verify=false", &target]);
        assert!(inspected.contains("\"RepoTags\": [\n        \"2.0\"\n    ]"), "{inspected}");

        let blob = Digest::sha256_of(Artifact::image("hello").blobs.get(1).unwrap());
        world.registry().overwrite_blob("other/app", &blob, "evil".into()).unwrap();
        let folder = format!("dir:{}", skopeo.path("copy").display());
        let pulled = ["copy", "--insecure-policy", "--all", "--src-tls-verify=false", &target, &folder];
        skopeo.refuses(&pulled);
    }
}

#[test]
fn oras_attaches_to_and_finds_in_the_lab() {
    let Some(program) = Peer::Oras.or_skip() else { return };
    for referrers in [true, false] {
        let settings = RegistrySettings { referrers, ..RegistrySettings::default() };
        let world = World::start(WorldOptions { settings, ..WorldOptions::default() }).unwrap();
        let digest = world.push("demo/app:1.0", &Artifact::image("hello")).unwrap();
        let oras = Client::new(program.clone(), &world);
        let image = world.name("demo/app:1.0");
        oras.refuses(&["discover", "--plain-http", &world.name("demo/app:none")]);
        std::fs::write(oras.path("sbom.txt"), "hello").unwrap();
        oras.ok(&["attach", "--plain-http", "--artifact-type", "application/vnd.example.sbom", &image, "sbom.txt:text/plain"]);
        let found = oras.ok(&["discover", "--plain-http", &image]);
        assert!(found.contains("application/vnd.example.sbom"), "{found}");
        assert_eq!(world.registry().referrers("demo/app", &digest).len(), 1);
        let fallback = format!("sha256-{}", digest.hex());
        assert_eq!(
            world.registry().tag("demo/app", &fallback).is_some(),
            !referrers,
            "the fallback tag is for registries without the API"
        );
    }
}

#[test]
fn cosign_signs_and_verifies_in_the_lab() {
    let Some(program) = Peer::Cosign2.or_skip() else { return };
    let world = World::start(WorldOptions::default()).unwrap();
    let cosign = Client::new(program, &world);
    let digest = world.push("demo/app:1.0", &Artifact::image("hello")).unwrap();
    let image = world.name(&format!("demo/app@{digest}"));
    cosign.ok(&["generate-key-pair"]);
    let verify = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", &image];
    assert!(cosign.refuses(&verify).contains("no signatures found"), "it can refuse");
    cosign.ok(&["sign", "--key", "cosign.key", "--tlog-upload=false", "-y", &image]);
    cosign.ok(&verify);

    let signature = world.registry().tag("demo/app", &format!("sha256-{}.sig", digest.hex())).unwrap();
    let taken = world.registry().take_manifest("demo/app", &signature).unwrap();
    cosign.refuses(&verify);
    world.registry().put_manifest("demo/app", taken);
    cosign.ok(&verify);
    // The re-tagging attack: cosign binds no tag.
    let newer = world.push("demo/app:1.0", &Artifact::image("newer")).unwrap();
    let by_tag = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", &world.name("demo/app:1.0")];
    cosign.refuses(&by_tag);
    world.registry().point_tag("demo/app", "1.0", digest);
    assert_ne!(newer, digest);
    cosign.ok(&by_tag);
}

#[test]
fn cosign_3_stores_bundles_in_the_lab_with_and_without_referrers() {
    let Some(program) = Peer::Cosign3.or_skip() else { return };
    for referrers in [true, false] {
        let settings = RegistrySettings { referrers, ..RegistrySettings::default() };
        let world = World::start(WorldOptions { settings, ..WorldOptions::default() }).unwrap();
        let cosign = Client::new(program.clone(), &world);
        let digest = world.push("demo/app:1.0", &Artifact::multi_platform("hello")).unwrap();
        let image = world.name(&format!("demo/app@{digest}"));
        cosign.ok(&["generate-key-pair"]);
        cosign.ok(&["signing-config", "create", "--out", "empty.json"]);
        let verify = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--allow-http-registry", &image];
        cosign.refuses(&verify);
        cosign.ok(&["sign", "--key", "cosign.key", "--signing-config", "empty.json", "--allow-http-registry", "-y", &image]);
        cosign.ok(&verify);
        assert_eq!(world.registry().referrers("demo/app", &digest).len(), 1);
        let fallback = format!("sha256-{}", digest.hex());
        assert_eq!(world.registry().tag("demo/app", &fallback).is_some(), !referrers);
    }
}

#[test]
fn docker_pushes_pulls_signs_and_revokes_under_content_trust() {
    let (Some(engine), Some(docker)) = (Peer::Dockerd.or_skip(), Peer::DockerCli.or_skip()) else { return };
    let world = World::start(WorldOptions::default()).unwrap();
    let engine = Engine::start(&engine).unwrap();
    let client = DockerClient::new(&docker, &engine, None).unwrap();
    let docker = |arguments: &[&str]| {
        let mut command = client.command(arguments);
        command.envs(world.environment()).env("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "throw-away");
        run(command.env("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "throw-away"), LIMIT).unwrap()
    };
    world.push("demo/plain:1.0", &Artifact::image("hello")).unwrap();
    let plain = world.name("demo/plain:1.0");
    assert!(docker(&["pull", &plain]).output().contains("does not have trust data"), "it can refuse");
    docker(&["pull", "--disable-content-trust", &plain]).ok().unwrap();

    let signed = world.name("demo/signed:1.0");
    docker(&["tag", &plain, &signed]).ok().unwrap();
    docker(&["push", &signed]).ok().unwrap();
    docker(&["pull", &signed]).ok().unwrap();
    let inspected = docker(&["trust", "inspect", &signed]).ok().unwrap().stdout;
    let digest = world.registry().tag("demo/signed", "1.0").unwrap();
    assert!(inspected.contains(&digest.hex()), "{inspected}");
    // The tag now points elsewhere; docker pulls what was signed.
    let evil = world.push("demo/signed:1.0", &Artifact::image("evil")).unwrap();
    assert!(docker(&["pull", &signed]).ok().unwrap().output().contains(&digest.hex()));
    assert_ne!(evil, digest);

    let second = world.name("demo/second:1.0");
    docker(&["tag", &plain, &second]).ok().unwrap();
    docker(&["trust", "sign", &second]).ok().unwrap();
    assert!(world.notary().files(&world.name("demo/second")).contains_key(&RoleName::releases()));
    docker(&["pull", &second]).ok().unwrap();
    docker(&["trust", "revoke", "-y", &second]).ok().unwrap();
    assert!(!docker(&["pull", &second]).success());
}
