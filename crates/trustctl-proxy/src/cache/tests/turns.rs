//! Work on the disk in its turn: what waits for what, and what is left when nobody waits any more.

use std::sync::mpsc;

use super::*;
use crate::jobs::Jobs;

/// More than any kind has at once: four, or the number of processors.
fn many() -> usize {
    std::thread::available_parallelism().unwrap().get() + 5
}

/// Occupies a kind until what is returned is dropped.
async fn occupy(jobs: &Jobs) -> Vec<mpsc::Sender<()>> {
    let (begun, has_begun) = mpsc::channel();
    let mut held = Vec::new();
    for _ in 0..many() {
        let (hold, end) = mpsc::channel::<()>();
        let begun = begun.clone();
        drop(jobs.run_to_end(move || {
            let _ = begun.send(());
            let _ = end.recv();
        }));
        held.push(hold);
    }
    let mut begun = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        match has_begun.try_iter().count() {
            0 if begun > 0 => return held,
            more => begun += more,
        }
    }
}

/// What comes within the time that nothing here should need.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

/// Waits until each file is counted, and nothing else is.
async fn is_consistent(folder: &TempDir, cache: &DiskCache) {
    soon(async {
        loop {
            let usage = cache.usage();
            if files(folder).len() == usage.blobs && usage.bytes == 4096 * u64::try_from(usage.blobs).unwrap() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_put_counts_also_when_nobody_waits_for_it_any_more() {
    let (folder, cache) = cache(hasty());
    for number in 0..40 {
        let blob = bytes(1000 + number);
        let asked = digest(&blob);
        let turns = async {
            for _ in 0..number % 4 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { biased; put = cache.put(&asked, blob) => put.unwrap(), () = turns => {} }
    }
    is_consistent(&folder, &cache).await;
    assert!(cache.usage().blobs > 0, "some were put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_room_is_removed_also_when_nobody_waits_for_it_any_more() {
    let (folder, cache) = cache(CacheOptions { limit: 3 * 4096, ..hasty() });
    for number in 0..3 {
        let blob = bytes(1000 + number);
        cache.put(&digest(&blob), blob).await.unwrap();
    }
    let held = occupy(&cache.0.turns.puts).await;
    let blob = bytes(2000);
    let asked = digest(&blob);
    assert!(tokio::time::timeout(Duration::from_millis(50), cache.put(&asked, blob)).await.is_err());
    assert_eq!((files(&folder).len(), cache.usage().blobs), (3, 2), "the index has forgotten one");
    drop(held);
    is_consistent(&folder, &cache).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_decides_waits_for_no_client() {
    let options = CacheOptions { limit: 205_000, ..hasty() };
    let (folder, cache) = cache(options.clone());
    let (small, large) = (bytes(1000), bytes(190_000));
    for blob in [&small, &large] {
        cache.put(&digest(blob), blob.clone()).await.unwrap();
    }
    drop(cache);
    let cache = DiskCache::open(folder.path(), options).unwrap();
    let turns = &cache.0.turns;
    let clients = [&turns.looks, &turns.checks, &turns.writes, &turns.evictions];
    let mut held = Vec::new();
    for kind in clients {
        held.push(occupy(kind).await);
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), cache.find(&digest(&large))).await.is_err(), "a client waits");
    for blob in [&small, &large] {
        assert!(soon(cache.read(&digest(blob), 1 << 20)).await.unwrap().unwrap() == *blob);
    }
    let too_large = soon(cache.read(&digest(&large), 1000)).await.unwrap_err();
    assert_eq!(too_large, CacheError::TooLarge { digest: digest(&large), size: 190_000, limit: 1000 });
    let other = bytes(9000);
    soon(cache.put(&digest(&other), other)).await.unwrap();
    assert!(cache.find(&digest(&small)).await.unwrap().is_none(), "it has made room");
    drop(held);
    assert!(read_all(&soon(cache.find(&digest(&large))).await.unwrap().unwrap()).await == large);
}

#[tokio::test]
async fn what_was_hashed_for_somebody_who_left_is_known() {
    let (folder, cache) = cache(hasty());
    let blob = bytes(1_000_000);
    let asked = digest(&blob);
    cache.put(&asked, blob).await.unwrap();
    drop(cache);
    let cache = DiskCache::open(folder.path(), hasty()).unwrap();
    let is_checked = || cache.0.shelf().entry(&asked).unwrap().checked.is_some();
    assert!(!is_checked());
    soon(async {
        while !is_checked() {
            let turns = async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! { biased; found = cache.find(&asked) => assert!(found.unwrap().is_some()), () = turns => {} }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_of_unknown_length_end_in_a_full_cache() {
    let (folder, cache) = cache(CacheOptions { limit: 400 * 4096, ..hasty() });
    for number in 0..20 {
        let blob = bytes(50_000 + number);
        cache.put(&digest(&blob), blob).await.unwrap();
    }
    let (writes, evictions) = (occupy(&cache.0.turns.writes).await, occupy(&cache.0.turns.evictions).await);
    let fills: Vec<_> = (0..6)
        .map(|number| {
            let blob = bytes(190_000 + number);
            let upstream = Upstream::new(&blob, vec![Ok(Some(Part { total: None, piece: 20_000, ..whole(&blob) }))]);
            let cache = cache.clone();
            tokio::spawn(async move { read_all(&cache.fill(&digest(&blob), upstream).await.unwrap()).await == blob })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop((writes, evictions));
    for fill in fills {
        assert!(soon(fill).await.unwrap());
    }
    soon(quiet(&cache)).await;
    assert_eq!(files(&folder).len(), cache.usage().blobs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_again_is_not_removed_late() {
    let (folder, cache) = cache(CacheOptions { limit: 3 * 4096, ..hasty() });
    let oldest = bytes(1000);
    for blob in [oldest.clone(), bytes(1001), bytes(1002)] {
        cache.put(&digest(&blob), blob).await.unwrap();
    }
    let held = occupy(&cache.0.turns.evictions).await;
    let (other, filling) = (bytes(2000), cache.clone());
    let fill = tokio::spawn(async move { read_all(&filling.fill(&digest(&other), Upstream::good(&other)).await.unwrap()).await });
    soon(async {
        while cache.usage().blobs == 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    soon(cache.put(&digest(&oldest), oldest.clone())).await.unwrap();
    drop(held);
    assert_eq!(soon(fill).await.unwrap().len(), 2000);
    soon(quiet(&cache)).await;
    is_consistent(&folder, &cache).await;
    assert!(read_all(&cache.find(&digest(&oldest)).await.unwrap().unwrap()).await == oldest);
}

/// An upstream that sends pieces without bytes, for ever and as fast as they are taken.
struct Empty;

impl BlobSource for Empty {
    fn open<'a>(&'a self, _: u64) -> BoxFuture<'a, Result<Option<Incoming>, Reason>> {
        let chunks = stream::repeat_with(|| Ok(Bytes::new())).boxed();
        async move { Ok(Some(Incoming { total: Some(1000), chunks })) }.boxed()
    }
}

#[tokio::test]
async fn pieces_without_bytes_are_not_gathered_for_ever() {
    let mut options = hasty();
    options.patience.window = 5;
    let (_folder, cache) = cache(options);
    let filling = soon(cache.fill(&digest(b"x"), Arc::new(Empty))).await.unwrap();
    assert!(soon(drain(filling.body(0..u64::MAX))).await.1.unwrap_err().contains("too slowly"));
}
