//! A disk that fills up under a proxy that runs: it says so, serves nothing that was not checked, and goes on when there is room again.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use trustctl_lab::image::Artifact;
use trustctl_tests::http::Request;
use trustctl_tests::peers::skip;

use crate::stage::{Setup, Stage, refused, served};

#[test]
fn a_full_disk_is_said_and_forgotten_when_there_is_room() {
    let possible = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        return skip("small disk", "none can be mounted here (unshare --map-root-user --mount)");
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=24m none \"$1\" && exec \"$0\" --ignored --exact --nocapture disks::full_child";
    let mut child = Command::new("unshare");
    child.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(folder.path());
    // Everything that the child and its programs make lies on the small disk.
    let done = child.env("TMPDIR", folder.path()).output().unwrap();
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[test]
#[ignore = "run as a child process by a_full_disk_is_said_and_forgotten_when_there_is_room"]
fn full_child() {
    let stage = Stage::new(&Setup::default());
    let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    served(&stage.get("shop/cart/manifests/1"), &digest);
    for name in ["a", "b", "c"] {
        stage.push(&format!("shop/{name}:1"), &Artifact::multi_platform(name));
        stage.sign(&format!("shop/{name}:1"));
    }
    let filler = stage.home.path().join("filler");
    assert!(fs::write(&filler, vec![7; 64 << 20]).is_err(), "the disk has 24 MiB");
    for name in ["a", "b", "c", "new"] {
        let answer = stage.get(&format!("shop/{name}/manifests/1"));
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        if name == "new" {
            assert!(matches!(answer.status, 403 | 503), "{told}");
            continue;
        }
        // Where it was small enough to be kept, it is served; else it is told what could not be written: cache, store or memory.
        let is_told = told.contains("TC06") || told.contains("TC0717");
        assert!(answer.status == 200 || (answer.status == 503 && is_told), "{} {told}", answer.status);
        if answer.status == 503 {
            assert!(answer.headers.first("Retry-After").is_some());
        }
    }
    assert_eq!(Request::new("GET", "/v2/").send(&stage.proxy.as_ref().unwrap().address()).unwrap().status, 200);

    fs::remove_file(&filler).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    for name in ["a", "b", "c"] {
        let digest = stage.world.registry().tag(&format!("shop/{name}"), "1").unwrap().to_string();
        let answer = loop {
            let answer = stage.get(&format!("shop/{name}/manifests/1"));
            if answer.status == 200 {
                break answer;
            }
            assert!(Instant::now() < end, "{}", String::from_utf8_lossy(&answer.body));
            thread::sleep(Duration::from_millis(100));
        };
        served(&answer, &digest);
        let index: Value = serde_json::from_slice(&answer.body).unwrap();
        let child = index["manifests"][0]["digest"].as_str().unwrap();
        served(&stage.get(&format!("shop/{name}/manifests/{child}")), child);
    }
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
    let left = fs::read_dir(stage.home.path().join("state/cache/filling")).unwrap().count();
    assert_eq!(left, 0, "nothing half is left");
}
