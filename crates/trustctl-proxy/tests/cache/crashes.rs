//! Processes that are killed, and disks that fill up. Each test runs this program again as a child, under other conditions.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_proxy::cache::{BlobSource, Blobs as _, CacheError, CacheOptions, DiskCache, Incoming};

use crate::{bytes, fetch};

/// Where a child finds its folder.
const FOLDER: &str = "TRUSTCTL_TEST_CACHE";

/// An upstream that sends piece by piece.
struct Upstream(Bytes);

impl BlobSource for Upstream {
    fn open<'a>(&'a self, offset: u64) -> BoxFuture<'a, Result<Option<Incoming>, Reason>> {
        async move {
            let rest = self.0.slice(usize::try_from(offset).unwrap()..);
            let pieces: Vec<Bytes> = rest.chunks(8192).map(|piece| rest.slice_ref(piece)).collect();
            let chunks = stream::iter(pieces).then(|piece| async {
                tokio::task::yield_now().await;
                Ok(piece)
            });
            Ok(Some(Incoming { total: Some(u64::try_from(self.0.len()).unwrap()), chunks: chunks.boxed() }))
        }
        .boxed()
    }
}

fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]).env(FOLDER, folder);
    command
}

fn folder_of_child() -> PathBuf {
    std::env::var_os(FOLDER).expect("run by another test").into()
}

fn sizes() -> impl Iterator<Item = usize> {
    (0..100).map(|n| 70_000 + n * 13_333)
}

#[tokio::test]
async fn a_killed_process_leaves_nothing_wrong_and_nothing_half() {
    for after in [3, 60] {
        let folder = TempDir::new().unwrap();
        let mut running = child("crashes::filling_child", folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(running.stdout.take().unwrap()).lines();
        let whole = lines.map(Result::unwrap).filter(|line| line.starts_with("whole ")).take(after);
        let whole: Vec<Digest> = whole.map(|line| line.trim_start_matches("whole ").parse().unwrap()).collect();
        running.kill().unwrap();
        running.wait().unwrap();
        let half = std::fs::read_dir(folder.path().join("filling")).unwrap().count();

        let cache = DiskCache::open(folder.path(), CacheOptions::default()).unwrap();
        assert_eq!(whole.len(), after);
        assert!(half > 0, "it was killed in the middle");
        assert_eq!(std::fs::read_dir(folder.path().join("filling")).unwrap().count(), 0);
        let mut found = 0;
        let blobs: Vec<Bytes> = sizes().map(bytes).collect();
        for blob in &blobs {
            let asked = Digest::sha256_of(blob);
            let kept = cache.read(&asked, 10_000_000).await.unwrap();
            found += usize::from(kept.is_some());
            assert!(kept.is_some() || !whole.contains(&asked), "what was reported as whole is there");
            assert!(kept.is_none_or(|kept| kept == *blob));
            assert!(fetch(&cache, asked, Arc::new(Upstream(blob.clone()))).await.unwrap() == *blob);
        }
        assert!(found >= after);
        assert_eq!(cache.usage().blobs, 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run as a child process by a_killed_process_leaves_nothing_wrong_and_nothing_half"]
async fn filling_child() {
    let cache = DiskCache::open(folder_of_child(), CacheOptions::default()).unwrap();
    let all = sizes().map(|size| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let blob = bytes(size);
            let asked = Digest::sha256_of(&blob);
            fetch(&cache, asked, Arc::new(Upstream(blob))).await.unwrap();
            writeln!(std::io::stdout(), "\nwhole {asked}").unwrap();
        })
    });
    futures_util::future::join_all(all.collect::<Vec<_>>()).await;
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let folder = TempDir::new().unwrap();
    let program = std::env::current_exe().unwrap();
    // In blocks of 512 bytes; the signal that would end the process is ignored, as services do.
    let script = "trap '' XFSZ; ulimit -f 400; exec \"$0\" --ignored --exact crashes::limited_child";
    let done = Command::new("sh").args(["-c", script]).arg(program).env(FOLDER, folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

#[tokio::test]
#[ignore = "run as a child process by a_limit_on_the_size_of_files_is_a_full_disk"]
async fn limited_child() {
    let folder = folder_of_child();
    let cache = DiskCache::open(&folder, CacheOptions::default()).unwrap();
    let (small, large) = (bytes(150_000), bytes(1_000_000));
    let error = fetch(&cache, Digest::sha256_of(&large), Arc::new(Upstream(large))).await.unwrap_err();
    assert!(error.contains("disk is full"), "{error}");
    while cache.usage().transfers > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((cache.usage().bytes, std::fs::read_dir(folder.join("filling")).unwrap().count()), (0, 0));
    let asked = Digest::sha256_of(&small);
    assert!(fetch(&cache, asked, Arc::new(Upstream(small.clone()))).await.unwrap() == small);
}

#[test]
fn on_a_full_disk_the_least_recently_used_makes_room() {
    let folder = TempDir::new().unwrap();
    let script = "mount -t tmpfs -o size=3m none \"$1\" && exec \"$0\" --ignored --exact crashes::full_child";
    let mut unshared = Command::new("unshare");
    unshared.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(folder.path());
    let possible = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("SKIPPED: no small disk can be mounted here (unshare --map-root-user --mount)");
        return;
    }
    let done = unshared.env(FOLDER, folder.path()).output().unwrap();
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
#[ignore = "run as a child process by on_a_full_disk_the_least_recently_used_makes_room"]
async fn full_child() {
    let folder = folder_of_child();
    let cache = DiskCache::open(&folder, CacheOptions::default()).unwrap();
    let old: Vec<Bytes> = (0..3).map(|n| bytes(900_000 + n)).collect();
    for blob in &old {
        cache.put(&Digest::sha256_of(blob), blob.clone()).await.unwrap();
    }
    let new = bytes(1_500_000);
    let asked = Digest::sha256_of(&new);
    assert!(fetch(&cache, asked, Arc::new(Upstream(new.clone()))).await.unwrap() == new);
    assert!(cache.find(&Digest::sha256_of(old.first().unwrap())).await.unwrap().is_none());

    let larger = bytes(4_000_000);
    let asked = Digest::sha256_of(&larger);
    let error = fetch(&cache, asked, Arc::new(Upstream(larger))).await.unwrap_err();
    assert!(error.contains("disk is full"), "{error}");
    assert_eq!(CacheError::DiskFull(asked).reason().code, Code::CacheFull);
    while cache.usage().transfers > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((cache.usage().bytes, std::fs::read_dir(folder.join("filling")).unwrap().count()), (0, 0));
}
