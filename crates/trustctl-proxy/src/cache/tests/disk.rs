//! What lies on disk: found, checked, evicted, counted.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::*;
use crate::body::Streamed as _;
use crate::file_part::{FilePart, read_now};

async fn store(cache: &DiskCache, blob: &Bytes) -> Digest {
    let asked = digest(blob);
    cache.put(&asked, blob.clone()).await.unwrap();
    asked
}

async fn is_there(cache: &DiskCache, asked: &Digest) -> bool {
    cache.find(asked).await.unwrap().is_some()
}

/// Flips a bit; the size stays.
fn damage(folder: &TempDir, asked: &Digest) {
    let file = fs::File::options().write(true).read(true).open(path(folder, asked)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 10).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 10).unwrap();
}

fn path(folder: &TempDir, asked: &Digest) -> PathBuf {
    folder.path().join("sha256").join(&asked.hex()[..2]).join(asked.hex())
}

#[tokio::test]
async fn what_is_stored_has_its_digest() {
    let (folder, cache) = cache(hasty());
    for blob in [bytes(0), bytes(10), bytes(500_000)] {
        let asked = store(&cache, &blob).await;
        assert!(read_all(&cache.find(&asked).await.unwrap().unwrap()).await == blob);
        assert!(cache.read(&asked, length(&blob)).await.unwrap().unwrap() == blob);
        let sha512 = Digest::of(trustctl_core::digest::DigestAlgorithm::Sha512, &blob);
        cache.put(&sha512, blob.clone()).await.unwrap();
        assert!(cache.read(&sha512, length(&blob)).await.unwrap().unwrap() == blob);
    }
    let error = cache.put(&digest(b"x"), bytes(10)).await.unwrap_err();
    assert_eq!(error.reason().code, Code::WrongDigest);
    let error = cache.read(&digest(&bytes(10)), 9).await.unwrap_err();
    assert_eq!(error.reason().code, Code::BlobTooLarge);
    assert_eq!(cache.read(&digest(b"x"), 100).await.unwrap(), None);
    assert_eq!(files(&folder).len(), 6);
}

#[tokio::test]
async fn a_part_is_a_part() {
    let (_folder, cache) = cache(hasty());
    for size in [1000_usize, 600_000] {
        let blob = bytes(size);
        let found = { cache.find(&store(&cache, &blob).await).await.unwrap().unwrap() };
        for (from, to) in [(0, 0), (0, 1), (5, 900), (999, u64::MAX), (u64::MAX, u64::MAX), (7, 3)] {
            let (got, end) = drain(found.body(from..to)).await;
            end.unwrap();
            let at = |place: u64| usize::try_from(place.min(length(&blob))).unwrap();
            assert!(got == blob[at(from.min(to))..at(to)], "{from} {to}");
        }
    }
}

#[tokio::test]
async fn a_file_can_be_handed_out_in_parts_for_the_system_to_send() {
    let (folder, cache) = cache(hasty());
    let blob = bytes(3 * FilePart::MOST + 70_000);
    let found = cache.find(&store(&cache, &blob).await).await.unwrap().unwrap();
    let can_tell = read_now(&fs::File::open(path(&folder, &digest(&blob))).unwrap(), &mut [0], 0).is_ok();
    let whole = Range { start: 0, end: blob.len() };
    for (wanted, parts) in [(whole.clone(), 4), (5..900, 0), (100..FilePart::MOST + 50_000, 1)] {
        let from_to = |place| u64::try_from(place).unwrap();
        let mut body = Box::pin(found.body(from_to(wanted.start)..from_to(wanted.end)));
        let (mut got, mut handed_out) = (Vec::new(), 0);
        loop {
            if let Some(part) = body.as_mut().file_part() {
                let mut piece = vec![0; part.length()];
                part.file().read_exact_at(&mut piece, part.at()).unwrap();
                got.extend_from_slice(&piece);
                handed_out += 1;
            } else if let Some(frame) = body.frame().await {
                got.extend_from_slice(&frame.unwrap().into_data().unwrap());
            } else {
                break;
            }
        }
        assert!(got == blob[wanted.clone()], "{wanted:?}");
        assert_eq!(handed_out, if can_tell { parts } else { 0 }, "{wanted:?}");
    }
    let file = fs::File::options().write(true).open(path(&folder, &digest(&blob))).unwrap();
    file.set_len(100).unwrap();
    assert!(Box::pin(found.body(0..500_000)).as_mut().file_part().is_none(), "what a look does not find is read");
    let upstream = Upstream::good(&bytes(500_000));
    let (_folder, cache) = super::cache(hasty());
    let mut filling = Box::pin(cache.fill(&digest(&bytes(500_000)), upstream).await.unwrap().body(0..500_000));
    assert!(filling.as_mut().file_part().is_none(), "what is being fetched is held back until its digest is known");
}

#[tokio::test]
async fn the_least_recently_used_makes_room_and_who_reads_it_reads_on() {
    let (folder, cache) = cache(CacheOptions { limit: 1_000_000, ..hasty() });
    let blobs: Vec<Bytes> = (0..3).map(|n| bytes(300_000 + n)).collect();
    let mut stored = Vec::new();
    for blob in &blobs {
        stored.push(store(&cache, blob).await);
    }
    let reading = cache.find(&stored[1]).await.unwrap().unwrap();
    assert!(is_there(&cache, &stored[0]).await && is_there(&cache, &stored[2]).await);
    let new = bytes(400_000);
    let filled = cache.fill(&digest(&new), Upstream::good(&new)).await.unwrap();
    assert!(read_all(&filled).await == new);
    quiet(&cache).await;
    assert!(!is_there(&cache, &stored[1]).await && !is_there(&cache, &stored[0]).await);
    assert!(is_there(&cache, &stored[2]).await && is_there(&cache, &digest(&new)).await);
    assert!(read_all(&reading).await == blobs[1]);
    assert_eq!(files(&folder).len(), 2);
    assert!(cache.usage().bytes <= 1_000_000);
}

#[tokio::test]
async fn transfers_count_and_are_not_evicted_for_others() {
    let (_folder, cache) = cache(CacheOptions { limit: 1_000_000, ..hasty() });
    let blob = bytes(700_000);
    let stalled = Upstream::new(&blob, vec![Ok(Some(Part { sends: 10, then: Then::Stalls, ..whole(&blob) }))]);
    let filling = cache.fill(&digest(&blob), stalled).await.unwrap();
    let other = bytes(400_000);
    let error = cache.fill(&digest(&other), Upstream::good(&other)).await.err().unwrap();
    assert_eq!((error.reason().code, error), (Code::CacheFull, CacheError::Full(digest(&other))));
    drop(filling);
    quiet(&cache).await;
    assert!(read_all(&cache.fill(&digest(&other), Upstream::good(&other)).await.unwrap()).await == other);
}

#[tokio::test]
async fn a_restart_finds_what_is_whole_and_nothing_else() {
    let (folder, cache) = cache(hasty());
    let (small, large) = (store(&cache, &bytes(10)).await, store(&cache, &bytes(300_000)).await);
    let before = cache.usage();
    let refused = DiskCache::open(folder.path(), hasty()).err().unwrap();
    assert_eq!(refused.code, Code::CacheUnusable, "one process at a time");
    drop(cache);
    // As a run leaves it that was killed; and files of somebody else.
    fs::write(folder.path().join("filling/0123"), b"half").unwrap();
    fs::write(folder.path().join("sha256/README"), b"by hand").unwrap();
    fs::write(path(&folder, &small).with_file_name("not-a-digest"), b"by hand").unwrap();
    let cache = DiskCache::open(folder.path(), hasty()).unwrap();
    assert_eq!(cache.usage(), before);
    assert!(is_there(&cache, &small).await && is_there(&cache, &large).await);
    assert!(!folder.path().join("filling/0123").exists() && folder.path().join("sha256/README").exists());
    drop(cache);
    // Whoever may have less keeps what was used last.
    let old = std::time::SystemTime::now() - Duration::from_secs(5000);
    let times = fs::FileTimes::new().set_accessed(old).set_modified(old);
    fs::File::options().write(true).open(path(&folder, &large)).unwrap().set_times(times).unwrap();
    let cache = DiskCache::open(folder.path(), CacheOptions { limit: 300_000, ..hasty() }).unwrap();
    assert!(is_there(&cache, &small).await && !is_there(&cache, &large).await);
    assert!(!path(&folder, &large).exists());
}

#[tokio::test]
async fn a_file_that_was_altered_is_not_served_but_fetched_again() {
    for size in [20_000, 300_000] {
        let blob = bytes(size);
        let (folder, cache) = cache(CacheOptions { memory: 0, ..hasty() });
        let asked = store(&cache, &blob).await;
        assert!(is_there(&cache, &asked).await);
        damage(&folder, &asked);
        assert!(!is_there(&cache, &asked).await, "while it runs, {size}");
        assert!(!path(&folder, &asked).exists());
        let upstream = Upstream::good(&blob);
        assert!(read_all(&cache.fill(&asked, upstream.clone()).await.unwrap()).await == blob);
        assert_eq!(upstream.opens(), 1);
        quiet(&cache).await;

        drop(cache);
        damage(&folder, &asked);
        let cache = DiskCache::open(folder.path(), hasty()).unwrap();
        assert!(!is_there(&cache, &asked).await, "after a start, {size}");
        store(&cache, &blob).await;
        fs::remove_file(path(&folder, &asked)).unwrap();
        let kept = is_there(&cache, &asked).await;
        assert_eq!(kept, size <= 64 * 1024, "a small one is still in memory, and right");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_start_a_large_file_is_checked_once_for_all() {
    let (folder, cache) = cache(hasty());
    let blob = bytes(5_000_000);
    let asked = store(&cache, &blob).await;
    drop(cache);
    let cache = DiskCache::open(folder.path(), hasty()).unwrap();
    let all = (0..16).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { read_all(&cache.find(&asked).await.unwrap().unwrap()).await })
    });
    for one in all.collect::<Vec<_>>() {
        assert!(one.await.unwrap() == blob);
    }
    assert!(cache.0.shelf().entry(&asked).unwrap().checked.is_some());
}
