//! What `verify` begins with, and that it asks nobody but the registry for it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use trustctl_tests::program::User;
use trustctl_tests::stage::Stage;

use crate::commands::Corp;

const BY: [&str; 4] = ["--identity", "dev@example.com", "--issuer", "https://issuer.test"];

/// A layout that cosign signed without a key, and the trusted root of its instance.
fn material() -> Option<(String, PathBuf)> {
    let Some(folder) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
        trustctl_tests::peers::skip("an image signed by a private instance", "TRUSTCTL_EXTERNAL_TESTDATA is not set");
        return None;
    };
    let folder = PathBuf::from(folder).join("sigstore/local-real-cosign");
    Some((folder.join("bundle-keyless-rekorv2-tsa").display().to_string(), folder.join("trusted_root.rekorv2.json")))
}

fn codes(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

#[test]
fn a_pinned_instance_vouches_once_it_was_fetched_and_until_it_ends() {
    let Some((layout, root)) = material() else { return };
    let corp = Corp::with(std::fs::read(root).unwrap());
    let judge = [&["verify", "--oci-layout", &layout, "--sigstore", "corp"], &BY[..]].concat();
    let report = corp.ends(&judge, 4);
    assert_eq!(report["error"]["code"], "TC0990", "{report}");
    corp.ends(&["anchor", "update", "corp"], 0);
    corp.ends(&judge, 0);
    let unknown = [&["verify", "--oci-layout", &layout, "--sigstore", "nobody"], &BY[..]].concat();
    assert_eq!(corp.ends(&unknown, 6)["error"]["code"], "TC0988");
    corp.ends(&[&["verify", "--oci-layout", &layout], &BY[..]].concat(), 1);
}

#[test]
fn a_policy_names_a_repository_and_its_instance_is_judged_by_what_was_fetched_from_there() {
    let Some((layout, root)) = material() else { return };
    let corp = Corp::with(std::fs::read(root).unwrap());
    let policy = |more: &str| {
        format!(
            "version = 1\n[signers.dev]\nscheme = \"cosign\"\nidentity = \"dev@example.com\"\nissuer = \"https://issuer.test\"\nsigstore = \"other\"\n\
             [sigstores.other]\ntuf = \"{}\"\nroot = \"root.json\"\n{more}[[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = {{ any = [\"dev\"] }}\n",
            corp.server.url()
        )
    };
    std::fs::write(corp.path("policy.toml"), policy("")).unwrap();
    let path = corp.path("policy.toml");
    let judge = ["verify", "--oci-layout", &layout, "--policy", &path];
    let report = corp.ends(&judge, 4);
    assert_eq!(codes(&report["results"][0]["reasons"]), ["TC0990"], "{report}");
    let checked = || corp.ends(&["policy", "check", &path], 0)["warnings"].clone();
    assert_eq!(codes(&checked()), ["TC0990"]);
    corp.ends(&["anchor", "update", "other", "--policy", &path], 0);
    corp.ends(&judge, 0);
    assert!(codes(&checked()).is_empty());
    let later = [&judge[..], &["--at", "2031-01-01"]].concat();
    assert_eq!(codes(&corp.ends(&later, 4)["results"][0]["reasons"]), ["TC0991"]);
    // Thresholds of the policy hold for what was fetched too.
    std::fs::write(corp.path("policy.toml"), policy("times = 2\n")).unwrap();
    corp.ends(&judge, 1);
    // Another root than the one that was fetched under is another instance.
    std::fs::write(corp.path("root.json"), crate::client::repository().root(1).unwrap()).unwrap();
    assert_eq!(codes(&corp.ends(&judge, 4)["results"][0]["reasons"]), ["TC0987"]);
}

/// An instance gets a new log; whoever brings the old trusted root back does not take it away again.
#[test]
fn what_a_new_trusted_root_vouches_for_counts_from_the_update_on() {
    let Some((layout, root)) = material() else { return };
    let mut corp = Corp::with(std::fs::read(root.with_file_name("trusted_root.rekorv1.json")).unwrap());
    corp.ends(&["anchor", "update", "corp"], 0);
    let old = corp.server.files();
    let judge = [&["verify", "--oci-layout", &layout, "--sigstore", "corp"], &BY[..]].concat();
    assert_eq!(codes(&corp.ends(&judge, 1)["results"][0]["reasons"]), ["TC0323"]);
    corp.repository.set_target("trusted_root.json", std::fs::read(&root).unwrap());
    corp.repository.release().unwrap();
    corp.server.serve(corp.repository.files());
    corp.ends(&judge, 1);
    corp.ends(&["anchor", "update", "corp"], 0);
    corp.ends(&judge, 0);
    corp.server.serve(old);
    assert_eq!(corp.ends(&["anchor", "update", "corp"], 1)["error"]["code"], "TC0980");
    corp.ends(&judge, 0);
}

/// In a network namespace of its own, in which nothing is reachable, not even this machine itself.
#[test]
fn saved_images_are_judged_with_no_network_at_all() {
    let Some((layout, root)) = material() else { return };
    let alone = |command: &Command| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net"]).arg(command.get_program()).args(command.get_args());
        let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        unshare.env_clear().envs(variables);
        unshare
    };
    if !alone(&Command::new("true")).output().is_ok_and(|ran| ran.status.success()) {
        trustctl_tests::peers::skip("verification without a network", "there are no network namespaces here");
        return;
    }
    let corp = Corp::with(std::fs::read(&root).unwrap());
    corp.ends(&["anchor", "update", "corp"], 0);
    let file = root.display().to_string();
    for anchor in [["--sigstore", "corp"], ["--trusted-root", &file]] {
        let words = [&["verify", "--oci-layout", &layout], &anchor[..], &BY[..]].concat();
        let ran = alone(&corp.user.command(&words)).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    let update = alone(&corp.user.command(&["anchor", "update", "corp", "--timeout", "5s"])).output().unwrap();
    assert_eq!(update.status.code(), Some(4), "who does ask finds nobody: {}", String::from_utf8_lossy(&update.stderr));
}

#[test]
fn an_old_trusted_root_is_told_with_its_age_in_text_and_json() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let judge = |at| [&["verify", &image, "--at", at], &BY[..]].concat();
    let (young, _) = stage.user.json(&judge("2027-01-21")).unwrap();
    assert!(!codes(&young["warnings"]).contains(&"TC0992"), "{young}");
    let (old, _) = stage.user.json(&judge("2027-01-22")).unwrap();
    let warning = old["warnings"].as_array().unwrap().iter().find(|warning| warning["code"] == "TC0992").unwrap();
    assert!(warning["message"].as_str().unwrap().contains("2026-10-23 (91 days old)"), "{warning}");
    let text = stage.user.run(&judge("2027-01-22")).unwrap();
    assert!(text.stderr.contains("warning[TC0992]") && text.stderr.contains("91 days old"), "{}", text.stderr);
    let by_key = stage.user.json(&["verify", &image, "--at", "2027-01-22", "--key", "release"]).unwrap().0;
    assert!(!codes(&by_key["warnings"]).contains(&"TC0992"), "of no matter here: {by_key}");
}

/// A proxy that answers nobody and counts who came.
struct Trap {
    address: String,
    came: Arc<AtomicUsize>,
}

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, came) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
        let counted = came.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Self { address, came }
    }

    /// The same user, who reaches everybody outside this machine through the trap.
    fn around(&self, user: &User) -> User {
        let proxy = format!("http://{}", self.address);
        ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"]
            .iter()
            .fold(user.clone(), |user, name| user.with(name, proxy.clone()))
    }

    fn count(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

#[test]
fn a_verification_talks_to_the_registry_and_to_nobody_else() {
    let (stage, trap) = (Stage::new(), Trap::set());
    let user = trap.around(&stage.user);
    let image = stage.image(":1.4");
    let trusted = stage.write("trusted_root.json", &crate::client::trusted_root(0));
    let root = crate::client::repository().root(1).unwrap();
    let _ = stage.write("root.json", std::str::from_utf8(&root).unwrap());
    let policy = stage.write(
        "policy.toml",
        "version = 1\n[signers.dev]\nscheme = \"cosign\"\nidentity = \"dev@example.com\"\nissuer = \"https://issuer.test\"\n\
         [signers.corp]\nscheme = \"cosign\"\nidentity = \"dev@example.com\"\nissuer = \"https://issuer.test\"\nsigstore = \"corp\"\n\
         [sigstores.corp]\ntuf = \"https://tuf.invalid\"\nroot = \"root.json\"\n\
         [[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = { any = [\"dev\", \"corp\"] }\n",
    );
    stage.world.registry().requests().clear();
    for (words, exit) in [
        ([&["verify", &image], &BY[..]].concat(), 3),
        ([&["verify", &image, "--trusted-root", &trusted], &BY[..]].concat(), 3),
        (vec!["verify", &image, "--policy", &policy], 4),
        (vec!["inspect", &image], 0),
        (vec!["anchor", "list", "--policy", &policy], 0),
        (vec!["anchor", "export", "--to", "anchors"], 0),
    ] {
        assert_eq!(user.json(&words).unwrap().1, Some(exit), "{words:?}");
        assert_eq!(trap.count(), 0, "{words:?}");
    }
    assert!(stage.world.registry().requests().count() > 0, "the registry was asked");
    // The trap is no blind one: whoever does ask a repository comes by.
    let update = ["anchor", "update", "corp", "--policy", &policy, "--timeout", "10s"];
    assert_eq!(user.json(&update).unwrap().1, Some(4));
    assert!(trap.count() > 0);
}

#[test]
fn where_nothing_says_whom_to_trust_a_pinned_root_of_the_collection_does() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    let signed = stage.user.run(&["sign", &image, "--resolve-tag", "--scheme", "dct"]).unwrap();
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    stage.ends(&["verify", &image], 2, "TC0716");
    let shown = stage.user.json(&["inspect", &stage.image(""), "--docker-json"]).unwrap().0;
    let keys = shown[0]["AdministrativeKeys"].as_array().unwrap();
    let root = keys.iter().find(|keys| keys["Name"] == "Root").and_then(|keys| keys["Keys"][0]["ID"].as_str()).unwrap();
    let repository = stage.image("");
    let (other, wrong) = (stage.world.name("other/app"), "0f".repeat(32));
    let pin = |repository: &str, root: &str| {
        let pinned = stage.user.json(&["anchor", "pin", "--repository", repository, "--dct-root", root]).unwrap();
        assert_eq!(pinned.1, Some(0), "{}", pinned.0);
    };
    pin(&repository, &wrong);
    stage.ends(&["verify", &image], 1, "TC0209");
    pin(&repository, root);
    assert_eq!(stage.user.json(&["verify", &image]).unwrap().1, Some(0));
    stage.ends(&["verify", &image, &format!("{other}:1")], 2, "TC0716");
    let listed = stage.user.json(&["anchor", "list"]).unwrap().0;
    assert_eq!(listed["collections"][0]["repository"], repository, "{listed}");
    assert_eq!(stage.user.json(&["anchor", "forget", &repository, "--yes"]).unwrap().1, Some(0));
    stage.ends(&["verify", &image], 2, "TC0716");
}
