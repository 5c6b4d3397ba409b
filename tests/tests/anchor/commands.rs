//! The `anchor` commands against a server that works, fails, lies or stalls.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use trustctl_core::time::Timestamp;
use trustctl_lab::clock::Clock;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::tuf::{KeyKind, LabTuf, Repository, Role};
use trustctl_sigstore::tuf::{PUBLIC_GOOD_URL, Target};
use trustctl_tests::program::User;

use crate::client::{Client, at, new_key, trusted_root};

/// A repository on loopback, and a user who has pinned it as `corp`.
pub(crate) struct Corp {
    pub(crate) repository: Repository,
    pub(crate) server: LabTuf,
    pub(crate) user: User,
    home: TempDir,
}

impl Corp {
    pub(crate) fn new() -> Self {
        Self::with(trusted_root(1))
    }

    pub(crate) fn with(trusted_root: impl Into<Bytes>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let targets = [
            (Target::TrustedRoot, trusted_root.into()),
            (Target::SigningConfig, "{\"signing\":1}".into()),
            (Target::SigningConfigRekorV2, "{\"signing\":2}".into()),
        ];
        let targets = targets.into_iter().map(|(target, bytes)| (target.name().to_owned(), bytes)).collect();
        let repository = Repository::create(targets, now()).unwrap();
        let server = LabTuf::start(0, repository.files()).unwrap();
        let user = User::new(home.path());
        let corp = Self { repository, server, user, home };
        fs::write(corp.path("root.json"), corp.repository.root(1).unwrap()).unwrap();
        corp.ends(&["anchor", "pin", "--name", "corp", "--url", &corp.server.url(), "--root", &corp.path("root.json")], 0);
        corp
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// Runs the program; its report. It must end with `exit`.
    #[track_caller]
    pub(crate) fn ends(&self, words: &[&str], exit: i32) -> Value {
        let (report, ended) = self.user.json(words).unwrap();
        assert_eq!(ended, Some(exit), "{words:?}: {report}");
        assert_eq!(report["exit"], exit);
        report
    }

    #[track_caller]
    fn fails(&self, words: &[&str], exit: i32, code: &str) {
        let report = self.ends(words, exit);
        assert_eq!(report["error"]["code"], code, "{words:?}: {report}");
    }

    fn update(&self) -> Value {
        self.ends(&["anchor", "update", "corp"], 0)
    }

    #[track_caller]
    fn update_fails(&self, exit: i32, code: &str) {
        self.fails(&["anchor", "update", "corp", "--timeout", "20s"], exit, code);
    }

    /// What `anchor export` writes: that is what is in use.
    #[track_caller]
    fn exported(&self) -> String {
        self.ends(&["anchor", "export", "corp", "--to", &self.path("out")], 0);
        fs::read_to_string(self.path("out/trusted_root.json")).unwrap()
    }

    fn release(&mut self, number: usize) {
        self.repository.set_target(Target::TrustedRoot.name(), trusted_root(number));
        self.repository.release().unwrap();
        self.server.serve(self.repository.files());
    }

    fn rotate(&mut self) {
        crate::client::rotate(&mut self.repository, Role::Root, new_key(KeyKind::Ecdsa));
        self.server.serve(self.repository.files());
    }

    /// The files that hold what was seen of the repository.
    fn memory(&self) -> Vec<PathBuf> {
        let folder = self.home.path().join(".local/state/trustctl/memory");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let about = |path: &PathBuf| path.is_file() && fs::read_to_string(path).unwrap().contains(&self.server.url());
        let files = files.filter(|path| about(path) && !fs::read_to_string(path).unwrap().contains("anchor-pin"));
        files.collect()
    }
}

pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}

#[test]
fn an_instance_is_pinned_fetched_listed_exported_and_forgotten() {
    let corp = Corp::new();
    let listed = |at: usize| corp.ends(&["anchor", "list"], 0)["sigstores"][at].clone();
    assert_eq!((&listed(0)["name"], &listed(0)["source"]), (&"public-good".into(), &"carried".into()));
    assert!(listed(0)["ageDays"].as_u64().is_some());
    assert_eq!((&listed(1)["name"], &listed(1)["usable"]), (&"corp".into(), &false.into()));
    corp.fails(&["anchor", "export", "corp", "--to", &corp.path("out")], 4, "TC0990");
    let updated = corp.update();
    assert_eq!(
        (&updated["changed"], &updated["root"], &updated["files"][2]),
        (&true.into(), &1.into(), &"trusted_root.json".into())
    );
    assert_eq!(corp.update()["changed"], false);
    assert_eq!(listed(1)["usable"], true);
    assert_eq!(corp.exported(), trusted_root(1));
    assert_eq!(fs::read_to_string(corp.path("out/signing_config.v0.2.json")).unwrap(), "{\"signing\":1}");
    assert_eq!(fs::read_to_string(corp.path("out/signing_config_rekor_v2.v0.2.json")).unwrap(), "{\"signing\":2}");

    let pin = ["anchor", "pin", "--name", "corp", "--root", &corp.path("root.json"), "--url"];
    corp.ends(&[&pin[..], &[&corp.server.url()]].concat(), 0);
    corp.fails(&[&pin[..], &["https://other.example"]].concat(), 7, "TC0989");
    corp.fails(&["anchor", "forget", "corp"], 2, "TC0803");
    corp.ends(&["anchor", "forget", "corp", "--yes"], 0);
    assert!(corp.memory().is_empty());
    for words in [["anchor", "update", "corp"], ["anchor", "forget", "nobody"]] {
        corp.fails(&words, 6, "TC0988");
    }
}

#[test]
fn pins_that_cannot_be_used_are_refused_when_they_are_made() {
    let corp = Corp::new();
    let (root, url) = (corp.path("root.json"), corp.server.url());
    let text = fs::read_to_string(&root).unwrap();
    fs::write(corp.path("altered.json"), text.replacen("\"threshold\":1", "\"threshold\":2", 1)).unwrap();
    fs::write(corp.path("trusted_root.json"), trusted_root(0)).unwrap();
    let pin = |words: &[&'static str]| [&["anchor", "pin"], words].concat();
    corp.fails(&[&pin(&["--name", "a", "--url"])[..], &[&url, "--root", &corp.path("altered.json")]].concat(), 1, "TC0982");
    corp.fails(&[&pin(&["--name", "a", "--url", "ftp://x", "--root"])[..], &[&root]].concat(), 2, "TC0802");
    corp.fails(&[&pin(&["--name", "public-good", "--trusted-root"])[..], &[&root]].concat(), 2, "TC0802");
    corp.fails(&[&pin(&["--name", "../a", "--trusted-root"])[..], &[&root]].concat(), 2, "TC0802");
    corp.fails(&[&pin(&["--name", "a", "--trusted-root"])[..], &[&root]].concat(), 7, "TC0712");
    corp.fails(&pin(&["--name", "a"]), 2, "TC0801");
    corp.fails(&pin(&["--repository", "r.example/a", "--dct-root", "77"]), 2, "TC0802");
    corp.ends(&[&pin(&["--name", "a", "--trusted-root"])[..], &[&corp.path("trusted_root.json")]].concat(), 0);
    corp.fails(&["anchor", "update", "a"], 2, "TC0802");
    corp.ends(&["anchor", "export", "a", "--to", &corp.path("a")], 0);
    assert_eq!(fs::read_to_string(corp.path("a/trusted_root.json")).unwrap(), trusted_root(0));
}

#[test]
fn a_mirror_serves_what_the_repository_signed_and_nothing_else() {
    let mut corp = Corp::new();
    let mirror = LabTuf::start(0, corp.server.files()).unwrap();
    corp.server.serve(BTreeMap::new());
    corp.update_fails(4, "TC0986");
    let by_mirror = ["anchor", "update", "corp", "--mirror", &mirror.url()];
    assert_eq!(corp.ends(&by_mirror, 0)["url"], corp.server.url());
    let old = mirror.files();
    corp.release(2);
    corp.update();
    mirror.serve(old);
    corp.fails(&by_mirror, 1, "TC0980");
    mirror.serve(crate::client::repository().files());
    corp.fails(&by_mirror, 1, "TC0982");
    assert_eq!(corp.exported(), trusted_root(2));
}

#[test]
fn people_read_what_is_there_how_old_it_is_and_what_to_do_next() {
    let corp = Corp::new();
    let says = |words: &[&str]| {
        let ran = corp.user.run(words).unwrap();
        (ran.stdout, ran.stderr)
    };
    let (listed, _) = says(&["anchor", "list"]);
    assert!(listed.starts_with("public-good  carried by this program, of 2026-10-23 ("), "{listed}");
    assert!(listed.contains("\ncorp  never fetched, named by the pin, cannot be used: "), "{listed}");
    let (_, failed) = says(&["anchor", "export", "corp", "--to", "out"]);
    assert!(failed.contains("error[TC0990]") && failed.contains("next: fetch it:  trustctl anchor update corp"), "{failed}");
    let (updated, about) = says(&["anchor", "update", "corp"]);
    assert!(updated.starts_with("verified: corp, the trusted root is new, to be used until 20"), "{updated}");
    assert!(about.contains("root version 1") && about.contains("files: signing_config.v0.2.json, "), "{about}");
    let (listed, _) = says(&["anchor", "list"]);
    assert!(
        listed.contains("\ncorp  fetched, named by the pin, of 20") && listed.contains("(0 days old), to be used until"),
        "{listed}"
    );
    let (exported, _) = says(&["anchor", "export", "corp", "--to", "out"]);
    assert_eq!(exported.lines().count(), 3, "{exported}");
    assert_eq!(says(&["anchor", "forget", "corp", "--yes"]).0, "forgotten: corp\n");
}

#[test]
fn only_a_404_says_that_there_is_no_newer_root() {
    let mut corp = Corp::new();
    corp.update();
    corp.rotate();
    corp.release(2);
    for (status, exit, code) in
        [(500, 4, "TC0401"), (503, 4, "TC0401"), (403, 5, "TC0402"), (410, 4, "TC0403"), (301, 4, "TC0403")]
    {
        corp.server.faults().add(FaultRule::times(3, "/2.root.json", Fault::Status { status, retry_after: None }));
        corp.update_fails(exit, code);
        corp.server.faults().clear();
        assert_eq!(corp.exported(), trusted_root(1), "{status}");
    }
    let updated = corp.update();
    assert_eq!(updated["root"], 2);
    assert_eq!(corp.exported(), trusted_root(2));
}

#[test]
fn answers_that_are_too_large_never_end_or_break_off_are_given_up() {
    let mut corp = Corp::new();
    corp.release(2);
    let large = Bytes::from(vec![b' '; 2 * 1024 * 1024]);
    // In the order of a refresh: what has arrived once is not asked for again.
    let cases = [
        ("/2.root.json", Fault::Truncated, "TC0401"),
        ("/timestamp.json", Fault::Endless, "TC0404"),
        ("/timestamp.json", Fault::Truncated, "TC0401"),
        ("/2.snapshot.json", Fault::Replaced(large.clone()), "TC0404"),
        ("/2.snapshot.json", Fault::Drop, "TC0401"),
        ("/2.targets.json", Fault::Endless, "TC0404"),
        ("/targets/*", Fault::Replaced(large), "TC0404"),
        ("/targets/*", Fault::Truncated, "TC0401"),
    ];
    for (path, fault, code) in cases {
        corp.server.faults().add(FaultRule::always(path, fault));
        corp.update_fails(4, code);
        corp.server.faults().clear();
    }
    corp.server.faults().add(FaultRule::always("/timestamp.json", Fault::Stalled));
    corp.fails(&["anchor", "update", "corp", "--timeout", "2s"], 4, "TC0405");
    corp.server.faults().clear();
    corp.update();
}

#[test]
fn a_root_that_is_too_large_or_never_ends_is_given_up() {
    let mut corp = Corp::new();
    corp.rotate();
    for fault in [Fault::Endless, Fault::Replaced(Bytes::from(vec![b' '; 2 * 1024 * 1024]))] {
        corp.server.faults().add(FaultRule::always("/2.root.json", fault));
        corp.update_fails(4, "TC0404");
        corp.server.faults().clear();
    }
    assert_eq!(corp.update()["root"], 2);
}

#[test]
fn a_rolled_back_repository_is_refused_though_a_part_of_what_was_seen_is_lost() {
    let mut corp = Corp::new();
    let old = corp.server.files();
    corp.rotate();
    corp.release(2);
    corp.update();
    let memory = corp.memory();
    assert_eq!(memory.len(), 2, "{memory:?}");
    for lost in &memory {
        let bytes = fs::read(lost).unwrap();
        fs::remove_file(lost).unwrap();
        corp.server.serve(old.clone());
        corp.update_fails(1, "TC0980");
        corp.server.serve(corp.repository.files());
        corp.update();
        assert_eq!(corp.exported(), trusted_root(2), "and what is lost is fetched again");
        fs::write(lost, &bytes[..bytes.len() / 2]).unwrap();
        corp.update_fails(7, "TC0713");
        fs::write(lost, bytes).unwrap();
    }
    corp.server.serve(old);
    corp.update_fails(1, "TC0980");
    for lost in memory {
        fs::remove_file(lost).unwrap();
    }
    corp.update();
    assert_eq!(corp.exported(), trusted_root(1), "who has forgotten everything begins anew");
}

/// A process that is killed while it waits for a file, for each file.
#[test]
fn a_killed_update_loses_no_root_and_the_next_one_arrives() {
    let paths = ["/2.root.json", "/3.root.json", "/timestamp.json", "/2.snapshot.json", "/2.targets.json", "/targets/*"];
    for (position, path) in paths.into_iter().enumerate() {
        let mut corp = Corp::new();
        corp.update();
        corp.rotate();
        corp.release(2);
        corp.server.faults().add(FaultRule::always(path, Fault::Stalled));
        let before = corp.server.requests().count();
        let mut command = corp.user.command(&["anchor", "update", "corp"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while corp.server.requests().count() <= before + position {
            assert!(Instant::now() < end, "{path} was never asked for");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(corp.exported(), trusted_root(1), "killed at {path}");
        corp.server.faults().clear();
        corp.server.requests().clear();
        corp.update();
        assert_eq!(corp.exported(), trusted_root(2), "killed at {path}");
        let asked_again = corp.server.requests().all().iter().any(|request| request.path == "/2.root.json");
        assert_eq!(asked_again, position == 0, "killed at {path}: the newest root was stored before anything else was asked for");
    }
}

#[test]
fn several_updates_at_once_all_arrive_and_lose_nothing() {
    let mut corp = Corp::new();
    corp.update();
    for number in 2..=4 {
        corp.rotate();
        corp.release(number);
    }
    let old = corp.server.files();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(corp.update()["root"], 4));
        }
    });
    assert_eq!(corp.exported(), trusted_root(4));
    corp.release(5);
    corp.update();
    corp.server.serve(old);
    corp.update_fails(1, "TC0980");
}

/// What was fetched of the public-good instance counts from the day on that this program's own was released.
#[test]
fn of_the_public_good_instance_the_newer_of_two_is_used() {
    let corp = Corp::new();
    let export = || {
        corp.ends(&["anchor", "export", "--to", &corp.path("public")], 0);
        fs::read_to_string(corp.path("public/trusted_root.json")).unwrap()
    };
    assert_eq!(export(), trusted_root(0), "nothing was fetched");
    let state = corp.home.path().join(".local/state/trustctl");
    let anchors = trustctl_remote::anchors::Anchors::new(trustctl_remote::state::Store::new(&state));
    for (fetched, number) in [("2026-10-22T23:59:59Z", 0), ("2026-10-23T00:00:00Z", 1)] {
        let repository = crate::client::repository();
        let mut client = Client { now: at(fetched), ..Client::of(&repository) };
        client.refresh(&repository.files()).unwrap();
        anchors.learn(PUBLIC_GOOD_URL, &client.slot).unwrap();
        assert_eq!(export(), trusted_root(number), "fetched at {fetched}");
    }
    let listed = corp.ends(&["anchor", "list"], 0);
    assert_eq!(
        (&listed["sigstores"][0]["source"], &listed["sigstores"][0]["of"]),
        (&"fetched".into(), &"2026-10-23T00:00:00Z".into())
    );
    corp.ends(&["anchor", "forget", "public-good", "--yes"], 0);
    assert_eq!(export(), trusted_root(0));
}

/// Whoever fails does not keep the others from it. The public-good instance is behind a proxy that nobody answers at.
#[test]
fn all_instances_are_fetched_at_once_and_each_says_how_it_went() {
    let mut corp = Corp::new();
    for name in ["HTTPS_PROXY", "https_proxy"] {
        corp.user = corp.user.with(name, "http://127.0.0.1:1");
    }
    let policy = format!(
        "version = 1\n[signers.dev]\nscheme = \"cosign\"\nidentity = \"d@example.com\"\nissuer = \"https://issuer.test\"\nsigstore = \"other\"\n\
         [sigstores.other]\ntuf = \"{}/\"\nroot = \"root.json\"\n[[rules]]\nname = \"all\"\nimages = [\"**\"]\nrequire = {{ any = [\"dev\"] }}\n",
        corp.server.url()
    );
    let path = corp.path("policy.toml");
    fs::write(&path, policy).unwrap();
    corp.ends(
        &["anchor", "pin", "--name", "bare", "--trusted-root", &{
            fs::write(corp.path("fixed.json"), trusted_root(3)).unwrap();
            corp.path("fixed.json")
        }],
        0,
    );
    let report = corp.ends(&["anchor", "update", "--all", "--policy", &path, "--timeout", "2s"], 4);
    assert_eq!(report["schema"], "trustctl/anchor-update-all/v1");
    let results: BTreeMap<&str, (&Value, &Value)> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), (&one["exit"], &one["error"]["code"])))
        .collect();
    let (done, none) = (&Value::from(0), &Value::Null);
    let (undecided, down) = (&Value::from(4), &Value::from("TC0401"));
    let expected = [("corp", (done, none)), ("other", (done, none)), ("public-good", (undecided, down))];
    assert_eq!(results, expected.into_iter().collect::<BTreeMap<_, _>>(), "{report}");
    assert_eq!(corp.exported(), trusted_root(1));
    corp.fails(&["anchor", "update", "corp", "--all"], 2, "TC0801");
}
