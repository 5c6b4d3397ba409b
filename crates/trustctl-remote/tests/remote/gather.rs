//! Gathering evidence: what is asked for at once, what is never asked for twice, and where it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin, RefusalKind, Want};
use trustctl_core::reference::Repository;
use trustctl_remote::gather::{Fetching, Limits, Source, Supply, collect};
use trustctl_remote::limits::Deadline;
use trustctl_remote::registry::Online;

use crate::memory::{Habits, MemoryRegistry};
use crate::{OCI_MANIFEST, registry, repository, soon};

/// Answers from a table, and remembers what it was asked and how much at once.
#[derive(Default)]
struct Table {
    answers: BTreeMap<String, Vec<u8>>,
    asked: Mutex<Vec<String>>,
    /// How many pieces are on their way, and the most there were.
    at_once: Arc<Mutex<(usize, usize)>>,
    /// How many bytes they may have, and the most there were.
    allowed_at_once: Arc<Mutex<(u64, u64)>>,
}

impl Source for Table {
    fn fetch<'a>(&'a self, want: &'a Want) -> Fetching<'a> {
        self.asked.lock().unwrap().push(file_of(&want.locator));
        let entry = match self.answers.get(&file_of(&want.locator)) {
            None => Entry::Absent,
            Some(bytes) if u64::try_from(bytes.len()).unwrap() > want.max_bytes => {
                let kind = RefusalKind::TooLarge;
                Entry::Refused(trustctl_core::evidence::Refusal { kind, detail: String::new() })
            }
            Some(bytes) => Entry::Present { bytes: bytes.clone(), origin: Origin::Notary },
        };
        let (at_once, allowed_at_once) = (Arc::clone(&self.at_once), Arc::clone(&self.allowed_at_once));
        Box::pin(async move {
            {
                let (mut count, mut allowed) = (at_once.lock().unwrap(), allowed_at_once.lock().unwrap());
                count.0 += 1;
                count.1 = count.1.max(count.0);
                allowed.0 += want.max_bytes;
                allowed.1 = allowed.1.max(allowed.0);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            at_once.lock().unwrap().0 -= 1;
            allowed_at_once.lock().unwrap().0 -= want.max_bytes;
            entry
        })
    }
}

fn gun() -> Repository {
    "registry.example/app".parse().unwrap()
}

fn file(name: &str) -> Locator {
    Locator::Notary { gun: gun(), file: name.to_owned() }
}

fn file_of(locator: &Locator) -> String {
    match locator {
        Locator::Notary { file, .. } => file.clone(),
        other => other.to_string(),
    }
}

fn want(name: &str) -> Want {
    Want { locator: file(name), max_bytes: 100 }
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

async fn run(table: &Table, limits: Limits, wants: &(dyn Fn(&Evidence) -> Vec<Want> + Sync)) -> Evidence {
    collect(wants, Evidence::new(), Supply { source: table, limits, deadline: soon() }).await
}

fn kind(evidence: &Evidence, name: &str) -> Option<RefusalKind> {
    match evidence.entry(&file(name)) {
        Some(Entry::Refused(refusal)) => Some(refusal.kind),
        _ => None,
    }
}

#[tokio::test]
async fn everything_is_asked_for_at_once_and_once() {
    let table = Table::default();
    let wants = |_: &Evidence| (0..40).map(|n| want(&format!("f{}", n % 20))).collect();
    let evidence = run(&table, limits(|limits| limits.concurrent = 16), &wants).await;
    assert_eq!(evidence.iter().count(), 20);
    assert_eq!(table.asked.lock().unwrap().len(), 20);
    assert_eq!(table.at_once.lock().unwrap().1, 16);
}

#[tokio::test]
async fn what_is_there_already_is_not_asked_for() {
    let table = Table::default();
    let mut evidence = Evidence::new();
    evidence.insert(file("a"), Entry::Present { bytes: vec![1], origin: Origin::Notary });
    let wants = |_: &Evidence| vec![want("a"), want("b")];
    let evidence = collect(&wants, evidence, Supply { source: &table, limits: Limits::default(), deadline: soon() }).await;
    assert_eq!(evidence.bytes(&file("a")), Some([1].as_slice()));
    assert_eq!(*table.asked.lock().unwrap(), ["b"]);
}

#[tokio::test]
async fn a_chain_without_end_is_ended() {
    let mut table = Table::default();
    for n in 0..100 {
        table.answers.insert(n.to_string(), vec![0]);
    }
    let wants = |have: &Evidence| {
        vec![want(&have.iter().filter(|(_, entry)| matches!(entry, Entry::Present { .. })).count().to_string())]
    };
    let evidence = run(&table, limits(|limits| limits.rounds = 8), &wants).await;
    assert_eq!(table.asked.lock().unwrap().len(), 8);
    assert_eq!(kind(&evidence, "8"), Some(RefusalKind::OutOfBudget));
    assert!(!evidence.has(&file("9")));
}

#[tokio::test]
async fn pieces_beyond_the_limit_are_refused() {
    let table = Table::default();
    let wants = |_: &Evidence| (0..10).map(|n| want(&n.to_string())).collect();
    let evidence = run(&table, limits(|limits| limits.pieces = 7), &wants).await;
    assert_eq!(table.asked.lock().unwrap().len(), 7);
    assert_eq!(evidence.iter().filter(|(_, entry)| matches!(entry, Entry::Refused(_))).count(), 3);
}

#[tokio::test]
async fn bytes_are_spent_from_one_budget() {
    let mut table = Table::default();
    for n in 0..4 {
        table.answers.insert(n.to_string(), vec![0; 60]);
    }
    let wants = |_: &Evidence| (0..4).map(|n| want(&n.to_string())).collect();
    let one_at_a_time = limits(|limits| (limits.concurrent, limits.bytes) = (1, 150));
    let evidence = run(&table, one_at_a_time, &wants).await;
    assert!(evidence.bytes(&file("0")).is_some() && evidence.bytes(&file("1")).is_some());
    // Too large for what is left, not for what was allowed.
    assert_eq!(kind(&evidence, "2"), Some(RefusalKind::OutOfBudget));
    // At once, what arrives after the budget is spent is not kept either.
    let evidence = run(&table, limits(|limits| limits.bytes = 150), &wants).await;
    assert_eq!(evidence.iter().filter(|(_, entry)| matches!(entry, Entry::Present { .. })).count(), 2);
    // A piece beyond its own allowance stays what it is.
    let wants = |_: &Evidence| vec![Want { max_bytes: 10, ..want("0") }];
    assert_eq!(kind(&run(&table, Limits::default(), &wants).await, "0"), Some(RefusalKind::TooLarge));
}

#[tokio::test]
async fn what_may_arrive_at_once_is_within_the_budget() {
    let mut table = Table::default();
    for n in 0..20 {
        table.answers.insert(n.to_string(), vec![0; 5]);
    }
    let wants = |_: &Evidence| (0..20).map(|n| Want { max_bytes: 40, ..want(&n.to_string()) }).collect();
    let evidence = run(&table, limits(|limits| limits.bytes = 110), &wants).await;
    assert_eq!((table.allowed_at_once.lock().unwrap().1, table.at_once.lock().unwrap().1), (80, 2));
    // What does not fit beside the others waits for them, and is not refused.
    assert!((0..20).all(|n| evidence.bytes(&file(&n.to_string())).is_some()), "{evidence:?}");
}

#[tokio::test]
async fn a_piece_larger_than_the_budget_is_fetched_alone_with_what_is_left() {
    let mut table = Table::default();
    for name in ["small", "large", "last"] {
        table.answers.insert(name.to_owned(), vec![0; 30]);
    }
    let wants = |_: &Evidence| vec![want("small"), Want { max_bytes: 10_000, ..want("large") }, want("last")];
    let evidence = run(&table, limits(|limits| limits.bytes = 100), &wants).await;
    assert_eq!(evidence.iter().filter(|(_, entry)| matches!(entry, Entry::Present { .. })).count(), 3);
    assert_eq!((table.allowed_at_once.lock().unwrap().1, table.at_once.lock().unwrap().1), (100, 1));
    assert_eq!(*table.asked.lock().unwrap(), ["small", "large", "last"]);
}

#[tokio::test]
async fn pieces_of_usual_sizes_are_still_fetched_at_once() {
    for (count, max_bytes) in [(16, 4096), (16, 4 << 20), (8, 8 << 20)] {
        let table = Table::default();
        let wants = |_: &Evidence| (0..count).map(|n| Want { max_bytes, ..want(&n.to_string()) }).collect();
        run(&table, Limits::default(), &wants).await;
        assert_eq!(table.at_once.lock().unwrap().1, count);
    }
}

#[tokio::test]
async fn the_deadline_refuses_what_is_not_there_yet() {
    struct Never;
    impl Source for Never {
        fn fetch<'a>(&'a self, _: &'a Want) -> Fetching<'a> {
            Box::pin(std::future::pending())
        }
    }
    let wants = |_: &Evidence| vec![want("a")];
    let supply = Supply { source: &Never, limits: Limits::default(), deadline: Deadline::after(Duration::from_millis(30)) };
    let evidence = collect(&wants, Evidence::new(), supply).await;
    assert_eq!(kind(&evidence, "a"), Some(RefusalKind::OutOfBudget));
}

#[tokio::test]
async fn saved_evidence_answers_only_with_what_it_has() {
    let mut saved = Evidence::new();
    saved.insert(file("a"), Entry::Present { bytes: vec![0; 50], origin: Origin::Notary });
    saved.insert(file("b"), Entry::Absent);
    let wants = |_: &Evidence| vec![want("a"), want("b"), want("c"), Want { max_bytes: 49, ..want("a") }];
    let evidence = collect(&wants, Evidence::new(), Supply { source: &saved, limits: Limits::default(), deadline: soon() }).await;
    assert_eq!(evidence.entry(&file("a")), saved.entry(&file("a")));
    assert_eq!(evidence.entry(&file("b")), Some(&Entry::Absent));
    assert_eq!(kind(&evidence, "c"), Some(RefusalKind::Unavailable));
    let Entry::Refused(refusal) = saved.fetch(&Want { max_bytes: 49, ..want("a") }).await else { panic!() };
    assert_eq!(refusal.kind, RefusalKind::TooLarge);
}

/// The requests of one verification by tag, as the Cosign scheme asks for them: the image, its referrers and its `.sig` tag, then
/// the payload of the one signature.
#[tokio::test]
async fn one_legacy_signature_takes_four_requests_with_the_api_and_five_without() {
    for (referrers_api, waves) in [(true, [1, 2, 1].as_slice()), (false, &[1, 2, 2])] {
        let memory = MemoryRegistry::start(Habits { referrers_api, waves, ..Habits::default() }).await;
        let place = repository(&memory.server.address);
        let image = memory.store(Some("v1"), OCI_MANIFEST, br#"{"schemaVersion":2,"config":{},"layers":[]}"#);
        let payload = Digest::sha256_of(b"payload");
        memory.content.lock().unwrap().blobs.insert(payload.to_string(), b"payload".to_vec());
        let signature_tag = format!("sha256-{}.sig", image.hex());
        memory.store(Some(&signature_tag), OCI_MANIFEST, br#"{"layers":[]}"#);

        let registry = registry();
        let resolved = registry.resolve(&format!("{place}:v1").parse().unwrap(), soon()).await.unwrap();
        let signatures = Locator::TaggedManifest { repository: place.clone(), tag: signature_tag.parse().unwrap() };
        let wants = |have: &Evidence| {
            let mut locators = vec![Locator::Referrers { repository: place.clone(), digest: image }, signatures.clone()];
            if have.bytes(&signatures).is_some() {
                locators.push(Locator::Blob { repository: place.clone(), digest: payload });
            }
            locators.into_iter().map(|locator| Want { locator, max_bytes: 1000 }).collect()
        };
        let mut start = Evidence::new();
        let subject = Locator::Manifest { repository: place.clone(), digest: resolved.subject.digest };
        start.insert(subject, Entry::Present { bytes: resolved.manifest, origin: Origin::Registry });
        let online = Online { registry: &registry, notary: None, deadline: soon() };
        let evidence = collect(&wants, start, Supply { source: &online, limits: Limits::default(), deadline: soon() }).await;
        assert_eq!(evidence.bytes(&Locator::Blob { repository: place.clone(), digest: payload }), Some(b"payload".as_slice()));
        let counts = registry.session().http().counts();
        assert_eq!((usize::try_from(counts.requests).unwrap(), counts.round_trips), (waves.iter().sum(), 3));
    }
}

/// Saying what is wanted may take long where a server makes it so: then the end of the time must end it.
#[tokio::test]
async fn after_the_deadline_nothing_more_is_asked_for() {
    let source = Table::default();
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    let wants = move |have: &Evidence| {
        *counted.lock().unwrap() += 1;
        (0..40).map(|seed| want(&format!("{}-{seed}", have.iter().count()))).collect::<Vec<_>>()
    };
    let supply = Supply { source: &source, limits: Limits::default(), deadline: Deadline::after(Duration::ZERO) };
    let evidence = collect(&wants, Evidence::new(), supply).await;
    let refused =
        evidence.iter().filter(|(_, entry)| matches!(entry, Entry::Refused(why) if why.kind == RefusalKind::OutOfBudget));
    assert_eq!((refused.count(), *asked.lock().unwrap(), source.asked.lock().unwrap().len()), (40, 1, 0));

    let supply = Supply { deadline: soon(), limits: limits(|limits| limits.rounds = 2), ..supply };
    collect(&wants, Evidence::new(), supply).await;
    assert!(*asked.lock().unwrap() > 2, "with time left it is asked again");
}
