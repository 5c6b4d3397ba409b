//! The cache in front of a registry that fails, on disks that fill up, and in processes that are killed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap fails the test")]

mod crashes;
mod registry;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use trustctl_core::digest::Digest;
use trustctl_proxy::cache::{Blob, BlobSource, Blobs as _, CacheError, DiskCache};

/// Bytes that do not repeat.
fn bytes(length: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(u64::try_from(length).unwrap());
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes.into()
}

async fn read_all(blob: &Blob) -> Result<Bytes, std::io::Error> {
    Ok(blob.body(0..u64::MAX).collect().await?.to_bytes())
}

/// All of a blob through the cache, or why not: before the answer begins, or in it.
async fn fetch(cache: &DiskCache, asked: Digest, source: Arc<dyn BlobSource>) -> Result<Bytes, String> {
    let blob = cache.fill(&asked, source).await.map_err(|error: CacheError| error.reason().to_string())?;
    read_all(&blob).await.map_err(|error| error.to_string())
}
