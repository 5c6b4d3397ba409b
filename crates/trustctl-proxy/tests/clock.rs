//! Decisions in time: what was decided for one is not taken for another, when the wall clock jumps; and nobody waits for what can be asked
//! beside the answers.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use tempfile::TempDir;
use trustctl_core::digest::Digest;
use trustctl_core::policy::{Policy, PolicyText};
use trustctl_core::reason::Reason;
use trustctl_core::reference::Repository;
use trustctl_core::time::Timestamp;
use trustctl_lab::access::Access;
use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::image::Artifact;
use trustctl_lab::registry::{LabRegistry, RegistryOptions};
use trustctl_proxy::break_glass::BreakGlass;
use trustctl_proxy::cache::{CacheOptions, DiskCache};
use trustctl_proxy::decide::{Decider, Decision, Ground, Times};
use trustctl_proxy::metrics::Metrics;
use trustctl_proxy::store::{FileRecords, StoreOptions};
use trustctl_proxy::trust::{InForce, Reloaded, Trust, TrustEnd, TrustSource};
use trustctl_proxy::upstreams::{DenyMode, Upstream, UpstreamCredentials, Upstreams};
use trustctl_proxy::world::{Caller, World, Worlds};
use trustctl_remote::state::Store;

const DAY: i64 = 86_400;
/// 1 June 2026.
const BEGIN: i64 = 1_780_272_000;

/// A policy that tests change.
struct Changing(Arc<Mutex<String>>);

impl TrustSource for Changing {
    fn changed(&self, known: Option<&Digest>) -> Result<Option<Trust>, Reason> {
        let text = self.0.lock().unwrap().clone();
        let fingerprint = Digest::sha256_of(text.as_bytes());
        if known == Some(&fingerprint) {
            return Ok(None);
        }
        let load = |_: &str| Err("there are no files".to_owned());
        let policy = Policy::parse(&PolicyText { name: "policy", text: &text, load: &load }).map_err(|error| error.reason())?;
        Ok(Some(Trust { policy, schemes: Vec::new(), signature_repository: None, fingerprint }))
    }

    fn ends(&self) -> Vec<TrustEnd> {
        Vec::new()
    }
}

/// A registry with one image that is allowed until the end of June, and a proxy's decisions about it.
struct Stage {
    lab: LabRegistry,
    digest: Digest,
    decider: Arc<Decider>,
    world: World,
    clock: Arc<AtomicI64>,
    policy: Arc<Mutex<String>>,
    trust: Arc<InForce>,
    _folder: TempDir,
}

impl Stage {
    /// An answer for a tag is good for `tag`.
    fn new(tag: Duration) -> Self {
        let lab = LabRegistry::start(RegistryOptions { access: Access::Open, ..RegistryOptions::default() }).unwrap();
        // Pushing waits, which a thread of the executor must not.
        let push = || lab.push("shop/cart", Some("1"), &Artifact::image("cart"), None).unwrap();
        let digest = std::thread::scope(|scope| scope.spawn(push).join().unwrap());
        let policy = format!(
            "version = 1\n[[allow]]\nimages = [\"{}/shop/cart\"]\ndigest = \"{digest}\"\nreason = \"looked at\"\nuntil = 2026-06-30\n",
            lab.host()
        );
        let folder = TempDir::new().unwrap();
        let upstream = Upstream {
            registry: lab.host(),
            endpoint: None,
            notary: None,
            prefix: None,
            namespace: false,
            hosts: Vec::new(),
            default: true,
            mirror: false,
            deny_mode: DenyMode::default(),
            credentials: UpstreamCredentials::None,
            canary: None,
        };
        let metrics = Metrics::new(&Upstreams::new(vec![upstream.clone()]).unwrap());
        let worlds = Worlds::new([&upstream], (&[], &metrics), |_| None).unwrap();
        let Caller::Anybody(world) = worlds.caller(&upstream, &HeaderMap::new()) else { unreachable!("it asks as nobody") };
        // The store goes by the real clock, for which all of this is long ago.
        let mut options = StoreOptions::default();
        options.age = Duration::from_secs(100 * 365 * 86_400);
        let clock = Arc::new(AtomicI64::new(BEGIN));
        let shown = Arc::clone(&clock);
        let policy = Arc::new(Mutex::new(policy));
        let trust = Arc::new(InForce::load(Box::new(Changing(policy.clone()))).unwrap());
        let decider = Decider::new(Ground {
            trust: trust.clone(),
            records: Arc::new(FileRecords::open(folder.path().join("records"), options).unwrap()),
            blobs: Arc::new(DiskCache::open(folder.path().join("cache"), CacheOptions::default()).unwrap()),
            memory: Store::new(folder.path()),
            metrics,
            break_glass: Arc::new(BreakGlass::new(folder.path().join("tokens"), Vec::new())),
            times: Times {
                tag,
                revocation: Duration::from_secs(3600),
                refusal: Duration::ZERO,
                max_stale: Duration::from_secs(86_400),
                verify: Duration::from_secs(5),
            },
            clock: Arc::new(move || Timestamp::from_unix_seconds(shown.load(Ordering::SeqCst)).unwrap()),
        });
        Self { lab, digest, decider: Arc::new(decider), world, clock, policy, trust, _folder: folder }
    }

    fn set(&self, seconds: i64) {
        self.clock.store(seconds, Ordering::SeqCst);
    }

    fn repository(&self) -> Repository {
        format!("{}/shop/cart", self.lab.host()).parse().unwrap()
    }

    /// Whether the image passes now, by its tag.
    async fn passes(&self) -> bool {
        let decided = self.decider.by_tag(&self.world, &self.repository(), &"1".parse().unwrap()).await;
        matches!(decided, Ok((Decision::Pass(_), _)))
    }

    /// Whether it passes now, by its digest.
    async fn passes_by_digest(&self) -> bool {
        let decided = self.decider.by_digest(&self.world, &self.repository(), self.digest).await;
        matches!(decided, Ok(Decision::Pass(_)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_counts_whichever_way_the_clock_jumps() {
    let stage = Stage::new(Duration::from_secs(3600));
    assert!(stage.passes().await);
    stage.set(BEGIN + 40 * DAY);
    assert!(!stage.passes().await, "its time is over, whatever was decided an hour before");
    stage.set(BEGIN + DAY);
    assert!(stage.passes().await, "a refusal of a time that has not come does not last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_learnt_in_the_future_is_looked_at_again() {
    let stage = Stage::new(Duration::from_secs(3600));
    stage.set(BEGIN + 10 * DAY);
    assert!(stage.passes_by_digest().await);
    stage.lab.requests().clear();
    assert!(stage.passes_by_digest().await);
    assert_eq!(stage.lab.requests().count(), 0, "known");
    stage.set(BEGIN);
    assert!(stage.passes_by_digest().await);
    assert!(stage.lab.requests().count() > 0, "it was asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_does_not_prolong_what_is_served_without_its_registry() {
    for (name, then, expected) in [
        ("an hour later", BEGIN + 7200, true),
        ("after the longest time", BEGIN + 2 * DAY, false),
        ("before it was learnt", BEGIN - 2 * DAY, false),
    ] {
        let stage = Stage::new(Duration::ZERO);
        assert!(stage.passes().await);
        stage.lab.faults().add(FaultRule::always("*", Fault::Status { status: 503, retry_after: None }));
        stage.set(then);
        assert_eq!(stage.passes().await, expected, "{name}");
    }
}

/// Whether it passes within a time in which no registry is asked that answers after [`SLOW`].
async fn passes_at_once(stage: &Stage) -> bool {
    tokio::time::timeout(SLOW / 4, stage.passes()).await.unwrap_or(false)
}

async fn is_asked(stage: &Stage) -> bool {
    let asked = async {
        while stage.lab.requests().count() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // The registry lists what it has answered.
    tokio::time::timeout(SLOW * 3, asked).await.is_ok()
}

const SLOW: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_is_asked_for_again_before_its_time_is_over() {
    let stage = Stage::new(SLOW);
    assert!(stage.passes().await);
    stage.lab.requests().clear();
    assert!(stage.passes().await);
    assert_eq!(stage.lab.requests().count(), 0, "nobody asks while the answer is young");
    tokio::time::sleep(SLOW * 3 / 4).await;
    stage.lab.faults().set_latency(SLOW);
    assert!(passes_at_once(&stage).await, "the answer is still good");
    assert!(is_asked(&stage).await, "and it is asked again meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_outage_only_who_comes_first_waits() {
    let stage = Stage::new(Duration::ZERO);
    assert!(stage.passes().await);
    stage.lab.faults().add(FaultRule::always("*", Fault::Status { status: 503, retry_after: None }));
    assert!(stage.passes().await, "what was trusted passes for a while longer");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    stage.lab.requests().clear();
    stage.lab.faults().set_latency(SLOW);
    assert!(passes_at_once(&stage).await, "it passes while the registry is asked");
    assert!(is_asked(&stage).await, "and the registry is asked");
    stage.lab.faults().clear();
    stage.lab.faults().set_latency(Duration::ZERO);
    stage.lab.requests().clear();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(stage.passes().await);
    assert!(is_asked(&stage).await, "what is stale is not served for long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stale_does_not_outlive_its_time_while_it_is_asked_about() {
    for (then, expected) in [(BEGIN + 7200, true), (BEGIN + 2 * DAY, false)] {
        let stage = Stage::new(Duration::from_secs(3600));
        assert!(stage.passes_by_digest().await);
        // It takes a while to find out that the registry does not answer.
        let all = u32::try_from(stage.world.gathering.available_permits()).unwrap();
        let _taken = stage.world.gathering.acquire_many(all).await.unwrap();
        stage.lab.faults().set_latency(Duration::from_secs(60));
        stage.set(BEGIN + 3700);
        let asked = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stage.set(then);
        };
        let (passes, ()) = tokio::join!(stage.passes_by_digest(), asked);
        assert_eq!(passes, expected, "{then}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_counts_for_who_joins_a_decision_under_the_one_before() {
    let stage = Stage::new(Duration::from_secs(3600));
    stage.lab.faults().set_latency(Duration::from_secs(1));
    let asked_later = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.policy.lock().unwrap().push_str(&format!("[[deny]]\ndigest = \"{}\"\nreason = \"found out\"\n", stage.digest));
        assert_eq!(tokio::task::block_in_place(|| stage.trust.reload()), Reloaded::New);
        stage.passes_by_digest().await
    };
    let (before, after) = tokio::join!(stage.passes_by_digest(), asked_later);
    assert!(!after, "it joins what was begun when the digest was not denied");
    assert!(!before, "and no decision is given under a policy that is no longer in force");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_takes_all_leave_to_gather_is_an_outage_only_where_it_does_not_answer() {
    for answers in [true, false] {
        let stage = Stage::new(Duration::from_secs(3600));
        assert!(stage.passes_by_digest().await);
        let all = u32::try_from(stage.world.gathering.available_permits()).unwrap();
        let taken = stage.world.gathering.acquire_many(all).await.unwrap();
        if !answers {
            stage.lab.faults().set_latency(Duration::from_secs(60));
        }
        stage.set(BEGIN + 7200);
        assert_eq!(stage.passes_by_digest().await, !answers, "answers: {answers}");
        drop(taken);
    }
}
