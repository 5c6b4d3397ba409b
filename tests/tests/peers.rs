//! Every real peer starts, works and can refuse: without that, its "accepted" in another test would prove nothing.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use trustctl_tests::engine::{DockerClient, Engine};
use trustctl_tests::image::{Image, Index, Repository};
use trustctl_tests::notary::{self, NotaryClient, NotaryServer};
use trustctl_tests::peers::{Peer, Program, skip};
use trustctl_tests::process::{Ran, run};
use trustctl_tests::registry::{Access, DebianRegistry, FerroRegistry, Options};
use trustctl_tests::tokens::{PASSWORD, USER, basic};

/// The program, or the end of the test after a loud note.
macro_rules! need {
    ($peer:ident) => {
        match Peer::$peer.or_skip() {
            Some(program) => program,
            None => return,
        }
    };
}

fn ran(mut command: Command) -> Ran {
    run(&mut command, Duration::from_secs(60)).unwrap()
}

fn ran_in(home: &Path, program: &Program, arguments: &[&str]) -> Ran {
    let mut command = program.command(home);
    command.args(arguments);
    ran(command)
}

#[track_caller]
fn accepts(ran: Ran) -> Ran {
    match ran.ok() {
        Ok(ran) => ran,
        Err(failure) => panic!("{failure}"),
    }
}

#[track_caller]
fn refuses(ran: &Ran, because: &str) {
    assert!(!ran.success(), "it should have been refused: {} {}", ran.command, ran.output());
    assert!(ran.output().contains(because), "refused for another reason than {because:?}: {}", ran.output());
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open_registry(program: &Program) -> DebianRegistry {
    DebianRegistry::start(program, &Options::default()).unwrap()
}

fn refuses_a_wrong_digest(repository: &Repository) {
    // Its blobs are there: nothing but the digest can be wrong.
    let known = Image::tiny("known");
    known.push(repository, "known").unwrap();
    let refusal = repository.push_manifest(&known.manifest, &Image::tiny("other").digest());
    let refusal = refusal.unwrap_err().to_string();
    assert!(refusal.contains("status 400") && refusal.contains("DIGEST_INVALID"), "{refusal}");
}

#[test]
fn docker_registry_serves_what_was_pushed_and_has_no_referrers() {
    let registry = open_registry(&need!(DockerRegistry));
    let repository = Repository::new(registry.address(), "demo/app");
    let index = Index::two_architectures("hello");
    let digest = index.push(&repository, "1.0").unwrap();
    assert_eq!(repository.ask("GET", "manifests/1.0").unwrap().body, index.manifest.bytes);
    assert_eq!(repository.ask("GET", &format!("referrers/{digest}")).unwrap().status, 404);
    assert_eq!(repository.ask("DELETE", &format!("manifests/{digest}")).unwrap().status, 202);
    assert_eq!(repository.ask("GET", "manifests/1.0").unwrap().status, 404);
    refuses_a_wrong_digest(&repository);
}

#[test]
fn docker_registry_with_basic_access_refuses_strangers() {
    let options = Options { access: Access::Basic, tls: false };
    let registry = DebianRegistry::start(&need!(DockerRegistry), &options).unwrap();
    let stranger = Repository::new(registry.address(), "demo/app");
    let refusal = Image::tiny("x").push(&stranger, "1").unwrap_err().to_string();
    assert!(refusal.contains("401"), "{refusal}");
    assert_eq!(stranger.ask("GET", "manifests/1").unwrap().status, 401);
    let known = stranger.authorized(basic());
    Image::tiny("x").push(&known, "1").unwrap();
    assert_eq!(known.ask("GET", "manifests/1").unwrap().status, 200);
}

#[test]
fn docker_registry_with_tokens_lets_strangers_pull_only() {
    let options = Options { access: Access::Token, tls: false };
    let registry = DebianRegistry::start(&need!(DockerRegistry), &options).unwrap();
    let skopeo = need!(Skopeo);
    let home = home();
    let layout = format!("oci:{}:1", home.path().join("layout").display());
    let remote = format!("docker://{}/demo/app:1", registry.address());
    let source = open_registry(&need!(DockerRegistry));
    let image = Repository::new(source.address(), "a");
    Image::tiny("x").push(&image, "1").unwrap();
    let from = format!("docker://{}", image.tagged("1"));
    let copy = ["copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    accepts(ran_in(home.path(), &skopeo, &[&copy[..], &[&from, &layout]].concat()));
    refuses(&ran_in(home.path(), &skopeo, &[&copy[..], &[&layout, &remote]].concat()), "denied");
    let user = format!("{USER}:{PASSWORD}");
    accepts(ran_in(home.path(), &skopeo, &[&copy[..], &["--dest-creds", &user, &layout, &remote]].concat()));
    let back = format!("oci:{}:1", home.path().join("back").display());
    accepts(ran_in(home.path(), &skopeo, &[&copy[..], &[&remote, &back]].concat()));
}

#[test]
fn docker_registry_with_tls_is_trusted_only_with_its_authority() {
    let options = Options { access: Access::Open, tls: true };
    let registry = DebianRegistry::start(&need!(DockerRegistry), &options).unwrap();
    let skopeo = need!(Skopeo);
    let home = home();
    let certificates = home.path().join("certs");
    fs::create_dir(&certificates).unwrap();
    fs::copy(registry.authority().unwrap(), certificates.join("ca.crt")).unwrap();
    let tags = format!("docker://{}/demo/app", registry.address());
    refuses(&ran_in(home.path(), &skopeo, &["list-tags", &tags]), "unknown authority");
    let folder = certificates.display().to_string();
    // Trusted now: the registry itself answers that there is no such repository.
    let ran = ran_in(home.path(), &skopeo, &["list-tags", "--cert-dir", &folder, &tags]);
    refuses(&ran, "404");
}

#[test]
fn ferro_registry_lists_referrers_and_refuses_a_wrong_digest() {
    let registry = FerroRegistry::start(&need!(FerroOciServer)).unwrap();
    let repository = Repository::new(registry.address(), "demo/app");
    let image = Image::tiny("hello");
    let digest = image.push(&repository, "1.0").unwrap();
    let mut signature = Image::tiny("signature");
    let mut manifest: serde_json::Value = serde_json::from_slice(&signature.manifest.bytes).unwrap();
    manifest["subject"] = image.manifest.descriptor();
    signature.manifest.bytes = manifest.to_string().into_bytes();
    signature.push(&repository, &signature.digest()).unwrap();
    let referrers = repository.ask("GET", &format!("referrers/{digest}")).unwrap();
    assert_eq!(referrers.status, 200);
    assert!(String::from_utf8(referrers.body).unwrap().contains(&signature.digest()));
    refuses_a_wrong_digest(&repository);
}

#[test]
fn crane_finds_a_digest_and_refuses_an_unknown_tag() {
    let registry = open_registry(&need!(DockerRegistry));
    let crane = need!(Crane);
    let repository = Repository::new(registry.address(), "demo/app");
    let digest = Image::tiny("hello").push(&repository, "1").unwrap();
    let home = home();
    let found = accepts(ran_in(home.path(), &crane, &["digest", "--insecure", &repository.tagged("1")]));
    assert_eq!(found.stdout.trim(), digest);
    refuses(&ran_in(home.path(), &crane, &["digest", "--insecure", &repository.tagged("2")]), "404");
}

#[test]
fn oras_resolves_a_tag_and_refuses_an_unknown_one() {
    let registry = FerroRegistry::start(&need!(FerroOciServer)).unwrap();
    let oras = need!(Oras);
    let repository = Repository::new(registry.address(), "demo/app");
    let digest = Image::tiny("hello").push(&repository, "1").unwrap();
    let home = home();
    let found = accepts(ran_in(home.path(), &oras, &["resolve", "--plain-http", &repository.tagged("1")]));
    assert_eq!(found.stdout.trim(), digest);
    refuses(&ran_in(home.path(), &oras, &["resolve", "--plain-http", &repository.tagged("2")]), "not found");
}

#[test]
fn umoci_makes_an_image_without_a_media_type_and_refuses_an_unknown_tag() {
    let umoci = need!(Umoci);
    let home = home();
    accepts(ran_in(home.path(), &umoci, &["init", "--layout", "layout"]));
    accepts(ran_in(home.path(), &umoci, &["new", "--image", "layout:1"]));
    accepts(ran_in(home.path(), &umoci, &["stat", "--image", "layout:1"]));
    refuses(&ran_in(home.path(), &umoci, &["stat", "--image", "layout:2"]), "2");
}

#[test]
fn buildah_pushes_an_image_and_refuses_an_unknown_one() {
    let registry = open_registry(&need!(DockerRegistry));
    let buildah = need!(Buildah);
    let home = home();
    let at = |arguments: &[&str]| {
        let mut command = buildah.command(home.path());
        command.env("STORAGE_DRIVER", "vfs").env("BUILDAH_ISOLATION", "chroot");
        command.args(["--root", "root", "--runroot", "run"]).args(arguments);
        ran(command)
    };
    let container = accepts(at(&["from", "scratch"])).stdout.trim().to_owned();
    accepts(at(&["commit", &container, "made"]));
    let repository = Repository::new(registry.address(), "demo/built");
    let target = format!("docker://{}", repository.tagged("1"));
    accepts(at(&["push", "--tls-verify=false", "made", &target]));
    assert_eq!(repository.ask("GET", "manifests/1").unwrap().status, 200);
    refuses(&at(&["push", "--tls-verify=false", "nothing", &target]), "nothing");
}

/// Makes the key pair `NAME.key`, `NAME.pub` in `home`.
fn cosign_key(cosign: &Program, home: &Path, name: &str) {
    accepts(cosign_ran(cosign, home, &["generate-key-pair", "--output-key-prefix", name]));
}

fn cosign_ran(cosign: &Program, home: &Path, arguments: &[&str]) -> Ran {
    let mut command = cosign.command(home);
    command.env("COSIGN_PASSWORD", "throw-away").args(arguments);
    ran(command)
}

#[test]
fn cosign2_verifies_its_signature_and_refuses_a_wrong_key() {
    let registry = open_registry(&need!(DockerRegistry));
    let cosign = need!(Cosign2);
    let home = home();
    let (good, bad) = (Repository::new(registry.address(), "demo/app"), Repository::new(registry.address(), "demo/other"));
    let digest = Image::tiny("hello").push(&good, "1").unwrap();
    Image::tiny("unsigned").push(&bad, "1").unwrap();
    cosign_key(&cosign, home.path(), "a");
    cosign_key(&cosign, home.path(), "b");
    let sign = ["sign", "--key", "a.key", "--tlog-upload=false", "--allow-http-registry", "-y"];
    accepts(cosign_ran(&cosign, home.path(), &[&sign[..], &[&good.at(&digest)]].concat()));
    let verify = |key: &str, image: &str| {
        let arguments = ["verify", "--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry", image];
        cosign_ran(&cosign, home.path(), &arguments)
    };
    accepts(verify("a.pub", &good.tagged("1")));
    refuses(&verify("b.pub", &good.tagged("1")), "invalid signature");
    refuses(&verify("a.pub", &bad.tagged("1")), "no signatures found");
}

#[test]
fn cosign3_verifies_its_bundle_and_refuses_a_wrong_key() {
    let registry = FerroRegistry::start(&need!(FerroOciServer)).unwrap();
    let cosign = need!(Cosign3);
    let home = home();
    let (good, bad) = (Repository::new(registry.address(), "demo/app"), Repository::new(registry.address(), "demo/other"));
    let digest = Image::tiny("hello").push(&good, "1").unwrap();
    Image::tiny("unsigned").push(&bad, "1").unwrap();
    cosign_key(&cosign, home.path(), "a");
    cosign_key(&cosign, home.path(), "b");
    // A signing configuration without services: nothing is asked of anyone outside.
    accepts(cosign_ran(&cosign, home.path(), &["signing-config", "create", "--out", "empty.json"]));
    let sign = ["sign", "--key", "a.key", "--signing-config", "empty.json", "--allow-http-registry", "-y"];
    accepts(cosign_ran(&cosign, home.path(), &[&sign[..], &[&good.at(&digest)]].concat()));
    let verify = |key: &str, image: &str| {
        let arguments = ["verify", "--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry", image];
        cosign_ran(&cosign, home.path(), &arguments)
    };
    accepts(verify("a.pub", &good.tagged("1")));
    refuses(&verify("b.pub", &good.tagged("1")), "signature");
    refuses(&verify("a.pub", &bad.tagged("1")), "no signatures found");
}

#[test]
fn skopeo_sid_verifies_a_signature_and_refuses_a_wrong_key() {
    let registry = open_registry(&need!(DockerRegistry));
    let (skopeo, cosign) = (need!(SkopeoSid), need!(Cosign3));
    let home = home();
    let repository = Repository::new(registry.address(), "demo/app");
    Image::tiny("hello").push(&repository, "1").unwrap();
    cosign_key(&cosign, home.path(), "a");
    cosign_key(&cosign, home.path(), "b");
    fs::create_dir(home.path().join("d")).unwrap();
    let attachments = format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", registry.address());
    fs::write(home.path().join("d/x.yaml"), attachments).unwrap();
    fs::write(home.path().join("passphrase"), "throw-away").unwrap();
    let policy = |name: &str| {
        let key = home.path().join(format!("{name}.pub"));
        let requirement =
            serde_json::json!({"type": "sigstoreSigned", "keyPath": key, "signedIdentity": {"type": "matchRepository"}});
        fs::write(home.path().join(format!("{name}.json")), serde_json::json!({"default": [requirement]}).to_string()).unwrap();
        format!("{name}.json")
    };
    let (from, to) = (format!("docker://{}", repository.tagged("1")), format!("docker://{}", repository.tagged("signed")));
    let plain = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let sign = ["--insecure-policy", "--registries.d", "d"];
    let keys = ["--sign-by-sigstore-private-key", "a.key", "--sign-passphrase-file", "passphrase"];
    let verify = |key: &str, image: &str, out: &str| {
        let arguments = ["--registries.d", "d", "--policy", &policy(key), "copy", "--src-tls-verify=false", image, out];
        ran_in(home.path(), &skopeo, &arguments)
    };
    refuses(&verify("a", &from, "dir:out0"), "signature was required");
    accepts(ran_in(home.path(), &skopeo, &[&sign[..], &plain[..], &keys[..], &[&from, &to]].concat()));
    accepts(verify("a", &to, "dir:out1"));
    refuses(&verify("b", &to, "dir:out2"), "signature verification failed");
}

/// Initialises, publishes and looks up; shows that a tag nobody signed is refused.
fn notary_works(server: &NotaryServer, key_type: &str) {
    let client = NotaryClient::new(&need!(Notary), server).unwrap();
    let gun = "localhost:5000/demo/app";
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    accepts(ran(client.command(&["init", "-p", gun])));
    accepts(ran(client.command(&["addhash", "-p", gun, "1.0", "0", "--sha256", digest])));
    let found = accepts(ran(client.command(&["lookup", gun, "1.0"])));
    assert!(found.stdout.contains(digest), "{}", found.output());
    refuses(&ran(client.command(&["lookup", gun, "2.0"])), "No valid trust data");
    refuses(&ran(client.command(&["list", "localhost:5000/demo/virgin"])), "does not have trust data");
    let root = fs::read_to_string(client.trust_directory().join(format!("tuf/{gun}/metadata/root.json"))).unwrap();
    let root: serde_json::Value = serde_json::from_str(&root).unwrap();
    let keys = &root["signed"]["keys"];
    let timestamp = root["signed"]["roles"]["timestamp"]["keyids"][0].as_str().unwrap();
    assert_eq!(keys[timestamp]["keytype"], key_type);
}

#[test]
fn notary_server_alone_signs_with_ed25519() {
    let server = NotaryServer::start(&need!(NotaryServer), &notary::Options::default()).unwrap();
    notary_works(&server, "ed25519");
}

#[test]
fn notary_server_with_a_signer_signs_with_ecdsa() {
    let options = notary::Options { signer: Some(need!(NotarySigner)), tokens: false };
    let server = NotaryServer::start(&need!(NotaryServer), &options).unwrap();
    notary_works(&server, "ecdsa");
}

#[test]
fn notary_server_with_tokens_refuses_strangers_to_publish() {
    let options = notary::Options { signer: None, tokens: true };
    let server = NotaryServer::start(&need!(NotaryServer), &options).unwrap();
    let client = NotaryClient::new(&need!(Notary), &server).unwrap();
    let init = |gun: &str, login: Option<&str>| {
        let mut command = client.command(&["init", "-p", gun]);
        if let Some(login) = login {
            command.env("NOTARY_AUTH", login.trim_start_matches("Basic "));
        }
        ran(command)
    };
    let refused = init("localhost:5000/demo/stranger", None);
    assert!(!refused.success(), "{}", refused.output());
    accepts(init("localhost:5000/demo/known", Some(&basic())));
    accepts(ran(client.command(&["list", "localhost:5000/demo/known"])));
}

fn engine(program: &Program) -> Option<Engine> {
    match Engine::start(program) {
        Ok(engine) => Some(engine),
        // Only root may run an engine; everything else is a failure of the test.
        Err(failure) if failure.to_string().contains("needs to be started with root") => {
            skip("dockerd", "it needs root");
            None
        }
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn docker_with_content_trust_pulls_what_was_signed_and_refuses_what_was_not() {
    let registry = open_registry(&need!(DockerRegistry));
    let notary = NotaryServer::start(&need!(NotaryServer), &notary::Options::default()).unwrap();
    let cli = need!(DockerCli);
    let dockerd = need!(Dockerd);
    let Some(engine) = engine(&dockerd) else { return };
    let address = format!("localhost:{}", registry.port());
    let unsigned = Repository::new(address.as_str(), "demo/unsigned");
    let signed = Repository::new(address.as_str(), "demo/signed");
    Image::docker("hello").push(&unsigned, "1").unwrap();
    let plain = DockerClient::new(&cli, &engine, None).unwrap();
    let trusting = DockerClient::new(&cli, &engine, Some(&notary)).unwrap();
    refuses(&ran(trusting.command(&["pull", &unsigned.tagged("1")])), "does not have trust data");
    accepts(ran(plain.command(&["pull", &unsigned.tagged("1")])));
    accepts(ran(plain.command(&["tag", &unsigned.tagged("1"), &signed.tagged("1")])));
    accepts(ran(trusting.command(&["push", &signed.tagged("1")])));
    accepts(ran(trusting.command(&["pull", &signed.tagged("1")])));
    refuses(&ran(trusting.command(&["pull", &signed.tagged("2")])), "No valid trust data for 2");
}

#[test]
fn docker_trust_sign_names_the_signer_who_is_logged_in() {
    let registry = open_registry(&need!(DockerRegistry));
    let notary = NotaryServer::start(&need!(NotaryServer), &notary::Options::default()).unwrap();
    let cli = need!(DockerCli);
    let Ok(engine) = Engine::start(&need!(Dockerd)) else { return skip("dockerd", "it does not start here") };
    let address = format!("localhost:{}", registry.port());
    let repository = Repository::new(address.as_str(), "demo/app");
    Image::docker("hello").push(&repository, "1").unwrap();
    let client = DockerClient::new(&cli, &engine, Some(&notary)).unwrap();
    client.log_in(&[&address]).unwrap();
    accepts(ran(DockerClient::new(&cli, &engine, None).unwrap().command(&["pull", &repository.tagged("1")])));
    refuses(&ran(client.command(&["trust", "inspect", &repository.tagged("1")])), "no signatures or cannot access");
    accepts(ran(client.command(&["trust", "sign", &repository.tagged("1")])));
    let shown = accepts(ran(client.command(&["trust", "inspect", &repository.tagged("1")])));
    assert!(shown.stdout.contains(USER), "{}", shown.output());
}

#[test]
fn secret_service_keeps_a_secret_and_refuses_an_unknown_one() {
    let (session, keyring, tool) = (need!(DbusRunSession), need!(GnomeKeyring), need!(SecretTool));
    let home = home();
    let runtime = home.path().join("run");
    fs::create_dir(&runtime).unwrap();
    fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let (keyring, tool) = (keyring.path().display(), tool.path().display());
    let script = format!(
        "printf throw-away | {keyring} --unlock --components=secrets --daemonize >/dev/null 2>&1 || exit 9
         printf kept | {tool} store --label=x name x || exit 8
         {tool} lookup name x || exit 7
         {tool} lookup name y && exit 6
         exit 0"
    );
    let mut command = session.command(home.path());
    command.env("XDG_RUNTIME_DIR", &runtime).env("XDG_DATA_HOME", home.path().join("data"));
    command.args(["--", "sh", "-c", &script]);
    assert_eq!(accepts(ran(command)).stdout, "kept");
}

#[test]
fn kernel_keyring_keeps_a_secret_and_refuses_an_unknown_one() {
    let keyctl = need!(Keyctl);
    let home = home();
    let script = "id=$(printf kept | keyctl padd user trustctl-tests @s) && keyctl pipe $id && ! keyctl search @s user trustctl-nothing 2>/dev/null";
    let mut command = keyctl.command(home.path());
    command.args(["session", "-", "sh", "-c", script]);
    assert_eq!(accepts(ran(command)).stdout, "kept");
}

#[test]
fn openssl_reads_an_encrypted_key_and_refuses_a_wrong_passphrase() {
    let openssl = need!(Openssl);
    let home = home();
    let make =
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:right", "-out", "k"];
    accepts(ran_in(home.path(), &openssl, &make));
    accepts(ran_in(home.path(), &openssl, &["pkey", "-in", "k", "-passin", "pass:right", "-noout"]));
    refuses(&ran_in(home.path(), &openssl, &["pkey", "-in", "k", "-passin", "pass:wrong", "-noout"]), "Could not");
}

#[test]
fn hyperfine_measures_a_program_and_refuses_one_that_fails() {
    let hyperfine = need!(Hyperfine);
    let home = home();
    let options = ["--runs", "2", "--warmup", "0", "-N", "--export-json", "figures.json"];
    accepts(ran_in(home.path(), &hyperfine, &[&options[..], &["true"]].concat()));
    assert!(fs::read_to_string(home.path().join("figures.json")).unwrap().contains("\"mean\""));
    refuses(&ran_in(home.path(), &hyperfine, &[&options[..], &["false"]].concat()), "non-zero exit code");
}
