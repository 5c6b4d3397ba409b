//! Publishers at the same time lose nothing of each other, and one that is killed leaves nothing half done.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use trustctl_tests::process::run;

use crate::stage::{Person, Stage, accepts, hex, root_id};

const ENOUGH: Duration = Duration::from_secs(120);

#[test]
fn eight_signers_at_once_are_all_there_afterwards() {
    let stage = set!(Stage::without_engine());
    let (repository, gun) = (stage.repository("demo/eight"), stage.gun("demo/eight"));
    let owner = stage.person();
    let zero = stage.push("demo/eight", "0");
    let signed = owner.signs(&repository.at(&zero), "0", &[]);
    let pin = signed["rootKeyIds"][0].as_str().unwrap();
    let digests: Vec<(String, String)> =
        (1..=8).map(|tag| (tag.to_string(), stage.push("demo/eight", &tag.to_string()))).collect();
    std::thread::scope(|scope| {
        for (tag, digest) in &digests {
            let (owner, image) = (&owner, repository.at(digest));
            scope.spawn(move || owner.signs(&image, tag, &[]));
        }
    });
    let listed = accepts(stage.notary().command(&["list", &gun]));
    for (tag, digest) in &digests {
        assert!(listed.stdout.contains(hex(digest)), "{tag} is lost: {}", listed.output());
        stage.person().trusts(&repository.tagged(tag), &["--dct-root", pin]);
    }
}

#[test]
fn notary_and_trustctl_publish_at_once_and_nothing_is_lost() {
    let stage = set!(Stage::without_engine());
    let (repository, gun) = (stage.repository("demo/mixed"), stage.gun("demo/mixed"));
    let client = stage.notary();
    accepts(client.command(&["init", "-p", &gun]));
    accepts(client.command(&["key", "rotate", &gun, "snapshot", "-r"]));
    accepts(client.command(&["publish", &gun]));
    let root = root_id(&client.trust_directory(), &gun);
    let (owner, trust) = (stage.person(), client.trust_directory());
    let digests: Vec<String> = (0..8).map(|tag| stage.push("demo/mixed", &tag.to_string())).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (tag, digest) in digests.iter().enumerate().take(4) {
                owner.signs(&repository.at(digest), &tag.to_string(), &["--trust-dir", trust.to_str().unwrap()]);
            }
        });
        for (tag, digest) in digests.iter().enumerate().skip(4) {
            let size = stage.size(&gun, digest);
            accepts(client.command(&["addhash", &gun, &tag.to_string(), &size, "--sha256", hex(digest)]));
            // Notary does not try again by itself: what it could not publish stays in its list of changes.
            let published = (0..20).any(|_| run(&mut client.command(&["publish", &gun]), ENOUGH).unwrap().success());
            assert!(published, "notary never got through");
        }
    });
    for tag in 0..8 {
        stage.person().trusts(&repository.tagged(&tag.to_string()), &["--dct-root", &root]);
    }
}

/// Starts trustctl with these words and kills it after `wait`; whether it had ended by itself.
fn killed(person: &Person, words: &[&str], wait: Duration) -> bool {
    let mut command = person.user().command(words);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(wait);
    let ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    ended
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Every key file is a whole PEM, and every JSON file of keys, cache and state a whole document.
fn whole(home: &Path) {
    for path in files(home) {
        let content = fs::read(&path).unwrap();
        match path.extension().and_then(|end| end.to_str()) {
            Some("key") => assert!(content.ends_with(b"PRIVATE KEY-----\n"), "{} is half a key", path.display()),
            Some("json") => {
                drop(serde_json::from_slice::<Value>(&content).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
            }
            _ => {}
        }
    }
}

#[test]
fn a_signer_killed_at_any_moment_leaves_nothing_half_done() {
    let stage = set!(Stage::without_engine());
    let mut cut = 0;
    // The moments lie closer together at the start, where keys are made and files are written.
    for (round, wait) in [1_u64, 4, 8, 15, 25, 40, 60, 90, 130, 180, 250, 350].into_iter().enumerate() {
        let name = format!("demo/killed{round}");
        let (repository, owner) = (stage.repository(&name), stage.person());
        let image = repository.at(&stage.push(&name, "1.0"));
        let sign = ["sign", image.as_str(), "--tag", "1.0", "--scheme", "dct"];
        cut += usize::from(!killed(&owner, &sign, Duration::from_millis(wait)));
        whole(owner.home());
        let signed = owner.signs(&image, "1.0", &[]);
        let pin = signed["rootKeyIds"][0].as_str().unwrap();
        let tagged = repository.tagged("1.0");
        stage.person().trusts(&tagged, &["--dct-root", pin]);
        let revoke = ["revoke", &tagged, "--yes", "--scheme", "dct", "--reason", "mistake", "--message", "test"];
        cut += usize::from(!killed(&owner, &revoke, Duration::from_millis(wait)));
        whole(owner.home());
        // It may have been done before it was killed: then there is nothing to revoke.
        let (report, code) = owner.user().json(&revoke).unwrap();
        assert!(code == Some(0) || (code, report["error"]["code"].as_str()) == (Some(6), Some("TC0202")), "{report:#}");
        stage.person().judges(&tagged, &["--dct-root", pin], ("unsigned", 3, "TC0202"));
    }
    assert!(cut > 4, "it was killed in the middle only {cut} times");
}
