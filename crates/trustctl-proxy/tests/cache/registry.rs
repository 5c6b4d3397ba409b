//! A registry of the lab behind the cache.

use std::time::Duration;

use bytes::Bytes;
use std::sync::Arc;
use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_lab::access::Access;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::registry::{LabRegistry, RegistryOptions};
use trustctl_proxy::cache::{Blobs as _, CacheOptions, DiskCache, RegistryBlob};
use trustctl_remote::credentials::Credentials;
use trustctl_remote::http::{Http, Network};
use trustctl_remote::registry::{Endpoints, Registry};
use trustctl_remote::token::Session;

use crate::{bytes, fetch, read_all};

const NAME: &str = "library/alpine";
const BLOBS: &str = "/v2/library/alpine/blobs/*";

/// The Hub, as far as the cache can tell, with one blob.
struct World {
    hub: LabRegistry,
    cache: DiskCache,
    blob: Bytes,
    registry: Registry,
    _folder: TempDir,
}

impl World {
    fn start() -> Self {
        let hub = LabRegistry::start(RegistryOptions { access: Access::Open, ..RegistryOptions::default() }).unwrap();
        let blob = bytes(1_500_000);
        hub.put_blob(NAME, Digest::sha256_of(&blob), blob.clone());
        let folder = TempDir::new().unwrap();
        let cache = DiskCache::open(folder.path(), CacheOptions::default()).unwrap();
        let mut network = Network::default();
        network.retry_pause = Duration::from_millis(1);
        network.idle = Duration::from_millis(300);
        let mut endpoints = Endpoints::none();
        endpoints.add("docker.io", &hub.url()).unwrap();
        let registry = Registry::at(Session::new(Http::new(network), Credentials::none()), endpoints);
        Self { hub, cache, blob, registry, _folder: folder }
    }

    fn source(&self, digest: Digest) -> Arc<RegistryBlob> {
        let repository = format!("docker.io/{NAME}").parse().unwrap();
        Arc::new(RegistryBlob { registry: self.registry.clone(), repository, digest, patience: Duration::from_secs(10) })
    }

    /// The blob through the cache while the registry commits a fault on its first answer, or on all.
    async fn with(&self, times: Option<u32>, fault: Fault) -> Result<Bytes, String> {
        self.hub.faults().clear();
        self.hub.faults().add(FaultRule { times, ..FaultRule::always(BLOBS, fault) });
        let asked = Digest::sha256_of(&self.blob);
        fetch(&self.cache, asked, self.source(asked)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passing_fault_of_the_registry_is_not_noticed() {
    let faults = [
        Fault::Truncated,
        Fault::Stalled,
        Fault::Drop,
        Fault::Status { status: 503, retry_after: None },
        Fault::Status { status: 429, retry_after: Some(0) },
    ];
    for fault in faults {
        let world = World::start();
        assert!(world.with(Some(1), fault.clone()).await.unwrap() == world.blob, "{fault:?}");
        let asked = world.hub.requests().all();
        assert_eq!(asked.len(), 2, "{fault:?}");
        let continued = matches!(fault, Fault::Truncated | Fault::Stalled);
        assert_eq!(asked.last().unwrap().status, Some(if continued { 206 } else { 200 }), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lasting_fault_of_the_registry_is_told_and_leaves_nothing() {
    let faults = [
        (Fault::WrongBytes, "TC0104", "have digest"),
        (Fault::Status { status: 503, retry_after: None }, "TC0401", "503"),
        (Fault::Status { status: 403, retry_after: None }, "TC0402", "403"),
        (Fault::Drop, "TC0401", "connection"),
        (Fault::Replaced(Bytes::from_static(b"short")), "TC0104", "have digest"),
    ];
    for (fault, code, words) in faults {
        let world = World::start();
        let error = world.with(None, fault.clone()).await.unwrap_err();
        assert!(error.contains(words) || error.contains(code), "{fault:?}: {error}");
        while world.cache.usage().transfers > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((world.cache.usage().blobs, world.cache.usage().bytes), (0, 0), "{fault:?}");
        assert!(world.cache.find(&Digest::sha256_of(&world.blob)).await.unwrap().is_none());
        // When it is over, nothing is remembered of it.
        world.hub.faults().clear();
        let asked = Digest::sha256_of(&world.blob);
        assert!(fetch(&world.cache, asked, world.source(asked)).await.unwrap() == world.blob);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_cause_one_request() {
    let world = World::start();
    world.hub.faults().set_latency(Duration::from_millis(20));
    let asked = Digest::sha256_of(&world.blob);
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (cache, source) = (world.cache.clone(), world.source(asked));
            tokio::spawn(async move { fetch(&cache, asked, source).await })
        })
        .collect();
    for client in clients {
        assert!(client.await.unwrap().unwrap() == world.blob);
    }
    assert_eq!(world.hub.requests().count(), 1);
    let cached = world.cache.find(&asked).await.unwrap().unwrap();
    assert!(read_all(&cached).await.unwrap() == world.blob);
}

#[tokio::test]
async fn a_blob_that_the_registry_does_not_have_is_not_there() {
    let world = World::start();
    let other = Digest::sha256_of(b"other");
    let error = world.cache.fill(&other, world.source(other)).await.err().unwrap();
    assert_eq!(error, trustctl_proxy::cache::CacheError::NotFound(other));
}
