//! The cache as a whole, on a real disk, with upstreams that fail in every way.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

mod disk;
mod transfers;
mod turns;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use trustctl_core::reason::Code;

use super::pump::Patience;
use super::*;

/// What an upstream does each time it is asked.
#[derive(Clone, Debug)]
struct Part {
    /// The length it says.
    total: Option<u64>,
    /// How many bytes it sends from the place it was asked for, in pieces of which size.
    sends: usize,
    piece: usize,
    /// What comes then.
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Breaks,
    Ends,
    Stalls,
}

/// An upstream that does what it is told, in this order, and at last again and again.
struct Upstream {
    bytes: Bytes,
    script: Mutex<Vec<Result<Option<Part>, Code>>>,
    opens: AtomicUsize,
    offsets: Mutex<Vec<u64>>,
}

impl Upstream {
    fn new(bytes: &Bytes, script: Vec<Result<Option<Part>, Code>>) -> Arc<Self> {
        let (bytes, script) = (bytes.clone(), Mutex::new(script));
        Arc::new(Self { bytes, script, opens: AtomicUsize::new(0), offsets: Mutex::default() })
    }

    /// One that sends everything.
    fn good(bytes: &Bytes) -> Arc<Self> {
        Self::new(bytes, vec![Ok(Some(whole(bytes)))])
    }

    fn opens(&self) -> usize {
        self.opens.load(Ordering::SeqCst)
    }
}

fn whole(bytes: &Bytes) -> Part {
    Part { total: Some(length(bytes)), sends: usize::MAX, piece: 50_000, then: Then::Ends }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

impl BlobSource for Upstream {
    fn open<'a>(&'a self, offset: u64) -> BoxFuture<'a, Result<Option<Incoming>, Reason>> {
        async move {
            self.opens.fetch_add(1, Ordering::SeqCst);
            self.offsets.lock().unwrap().push(offset);
            let next = {
                let mut script = self.script.lock().unwrap();
                if script.len() > 1 { script.remove(0) } else { script[0].clone() }
            };
            let Some(part) = next.map_err(|code| Reason::new(code, "as told"))? else { return Ok(None) };
            let from = usize::try_from(offset).unwrap().min(self.bytes.len());
            let sent = self.bytes.slice(from..from.saturating_add(part.sends).min(self.bytes.len()));
            let pieces: Vec<Result<Bytes, Reason>> =
                (0..sent.len()).step_by(part.piece).map(|at| Ok(sent.slice(at..(at + part.piece).min(sent.len())))).collect();
            // Between pieces, others get their turn: whoever asked has the beginning before the end is there.
            let pieces = stream::iter(pieces).then(|piece| tokio::task::yield_now().map(|()| piece));
            let chunks = match part.then {
                Then::Ends => pieces.boxed(),
                Then::Breaks => pieces.chain(stream::iter([Err(Reason::new(Code::Unavailable, "broke off"))])).boxed(),
                Then::Stalls => pieces.chain(stream::pending()).boxed(),
            };
            Ok(Some(Incoming { total: part.total, chunks }))
        }
        .boxed()
    }
}

/// Bytes that do not repeat.
fn bytes(length: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(u64::try_from(length).unwrap());
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes.into()
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::sha256_of(bytes)
}

fn hasty() -> CacheOptions {
    let millisecond = Duration::from_millis(1);
    let patience = Patience { tick: 10 * millisecond, pause: millisecond, grace: 2, longest: 6, ..Patience::default() };
    CacheOptions { patience, ..CacheOptions::default() }
}

fn cache(options: CacheOptions) -> (TempDir, DiskCache) {
    let folder = TempDir::new().unwrap();
    let cache = DiskCache::open(folder.path(), options).unwrap();
    (folder, cache)
}

/// The bytes that came, and whether they were all.
async fn drain(mut body: BlobBody) -> (Vec<u8>, Result<(), String>) {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => return (bytes, Err(error.to_string())),
        }
    }
    assert_eq!(body.remaining(), 0);
    (bytes, Ok(()))
}

async fn read_all(blob: &Blob) -> Vec<u8> {
    let (bytes, end) = drain(blob.body(0..u64::MAX)).await;
    end.unwrap();
    bytes
}

/// Waits until no transfer is going on.
async fn quiet(cache: &DiskCache) {
    tokio::time::timeout(Duration::from_secs(20), async {
        while cache.usage().transfers > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

/// The files below a folder, without the lock.
fn files(folder: &TempDir) -> Vec<std::path::PathBuf> {
    fn below(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
            } else if path.file_name().unwrap() != "lock" {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(folder.path(), &mut found);
    found
}
