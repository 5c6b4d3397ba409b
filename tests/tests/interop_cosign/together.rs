//! Many signers at once, and signers that are killed: nothing of anybody is lost or left broken.

use std::process::Stdio;
use std::time::Duration;

use trustctl_tests::image::Image;

use crate::stage::{Cosign, Form, Stage, accepts, denies, hosts, repository};

const SIGNERS: usize = 8;

/// Eight users with homes, keys and states of their own sign one image at once.
fn eight_at_once(storage: &str) {
    for (_host, address) in hosts() {
        let repository = repository(&address, &format!("crowd-{storage}"));
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        let image = repository.at(&digest);
        let stages: Vec<Stage> = (0..SIGNERS).map(|_| Stage::new()).collect();
        for stage in &stages {
            stage.key("own");
        }
        std::thread::scope(|scope| {
            for stage in &stages {
                scope.spawn(|| stage.done(&["sign", &image, "--key", "own.key", "--storage", storage, "--timeout", "100s"]));
            }
        });
        for stage in &stages {
            stage.trusts(&image, "own.pub");
        }
        if let Some(cosign) = Cosign::three() {
            let form = if storage == "legacy" { Form::Legacy } else { Form::Bundle };
            for stage in &stages {
                accepts(cosign.verify(stage, form, "own", &[&image]));
            }
            let stranger = Stage::stranger();
            stranger.key("own");
            denies(&cosign.verify(&stranger, form, "own", &[&image]), "signature");
        }
    }
}

#[test]
fn eight_legacy_signatures_made_at_once_are_all_there() {
    eight_at_once("legacy");
}

#[test]
fn eight_bundles_made_at_once_are_all_there() {
    eight_at_once("bundle");
}

/// Starts the program and kills it after a while.
fn kill_after(stage: &Stage, words: &[&str], after: Duration) {
    let mut command = stage.user.command(words);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_signer_or_revoker_that_is_killed_leaves_nothing_broken() {
    for (_host, address) in hosts() {
        let stage = Stage::new();
        stage.key("own");
        stage.key("other");
        for round in 0..12_u64 {
            let repository = repository(&address, &format!("killed-{round}"));
            // An image of its own for each round: that one was revoked is remembered, wherever it is met again.
            let digest = Image::tiny(&repository.tagged("1")).push(&repository, "1").unwrap();
            let image = repository.at(&digest);
            stage.done(&["sign", &image, "--key", "other.key", "--storage", "both"]);
            let sign = ["sign", &image, "--key", "own.key", "--storage", "both"];
            let why = ["--reason", "mistake", "--message", "wrong branch", "--yes"];
            let revoke = [&["revoke", &image, "--key", "own.key"], &why[..]].concat();
            // Spread over the time that a run takes, which is unknown: from its first request to after its end.
            let after = Duration::from_millis(20 + round * 37);
            if round % 2 == 0 {
                kill_after(&stage, &sign, after);
                stage.done(&sign);
                stage.trusts(&image, "own.pub");
            } else {
                stage.done(&sign);
                kill_after(&stage, &revoke, after);
                stage.done(&revoke);
                stage.refuses(&image, "own.pub", (1, "TC0309"));
            }
            stage.trusts(&image, "other.pub");
        }
    }
}
