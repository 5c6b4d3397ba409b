//! A system that makes no more threads: the proxy goes on with those that it has.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use trustctl_tests::peers::skip;

use crate::stage::{SIGNED, Setup, Stage, refused, served, setpriv};

/// No limit counts for root, and nobody else's processes count for this one.
const NOBODY: u32 = 65_534;

#[test]
fn without_more_threads_it_answers_and_follows_its_policy() {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let uid = is_root.then_some(NOBODY);
    let available = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !available("prlimit") || (is_root && !available("setpriv")) {
        return skip("no more threads", "prlimit or setpriv is not installed");
    }
    let mut stage = Stage::new(&Setup::default());
    // One thing after the other, each in its turn, takes a while.
    let times = "tag-ttl = \"0s\"\nrevocation = \"1s\"\nrefusal = \"0s\"\nverify = \"60s\"";
    stage.start(&Setup { uid, times, ..Setup::default() });
    let pid = stage.proxy.as_ref().unwrap().pid();
    let limit = [format!("--pid={pid}"), "--nproc=1:".to_owned()];
    let mut command = uid.map_or_else(|| Command::new("prlimit"), |uid| setpriv(uid, Path::new("prlimit")));
    let limited = command.args(limit).output().unwrap();
    assert!(limited.status.success(), "{limited:?}");
    // By now what was idle has ended: 100 ms, and one thread at a time.
    thread::sleep(Duration::from_secs(1));
    let before = threads(pid);

    let digest = stage.world.registry().tag("shop/cart", "1").unwrap().to_string();
    served(&stage.get("shop/cart/manifests/1"), &digest);
    refused(&stage.get("shop/new/manifests/1"), "TC0301");
    let policy = SIGNED.replace("HOST", &stage.host());
    stage.write("policy.toml", &format!("{policy}[[deny]]\ndigest = \"{digest}\"\nreason = \"CVE-2026-1\"\n"));
    stage.until("shop/cart/manifests/1", 403);
    refused(&stage.get("shop/cart/manifests/1"), "TC0703");
    assert!(threads(pid) <= before, "the limit counts");
}

/// How many threads a process has.
#[track_caller]
fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}
