//! Transfers: joined, broken, continued, refused, abandoned.

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::*;

const LARGE: usize = 700_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_share_one_transfer() {
    let (folder, cache) = cache(hasty());
    let blob = bytes(3_000_000);
    let upstream = Upstream::good(&blob);
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let (cache, upstream, asked) = (cache.clone(), Arc::clone(&upstream), digest(&blob));
            tokio::spawn(async move { read_all(&cache.fill(&asked, upstream).await.unwrap()).await })
        })
        .collect();
    for client in clients {
        assert!(client.await.unwrap() == blob);
    }
    assert_eq!(upstream.opens(), 1);
    quiet(&cache).await;
    let kept = cache.find(&digest(&blob)).await.unwrap().unwrap();
    assert!(!kept.is_filling() && read_all(&kept).await == blob);
    assert_eq!(files(&folder).len(), 1);
    assert_eq!(cache.usage().bytes, length(&blob).div_ceil(4096) * 4096);
}

#[tokio::test]
async fn nobody_gets_a_whole_answer_of_the_wrong_bytes() {
    let (folder, cache) = cache(hasty());
    let (blob, asked) = (bytes(LARGE), digest(b"something else"));
    let upstream = Upstream::new(&blob, vec![Ok(Some(Part { then: Then::Stalls, sends: LARGE - 1, ..whole(&blob) }))]);
    let filling = cache.fill(&asked, upstream).await.unwrap();
    // All but the last byte has come, and still the end is held back, of parts as well.
    for range in [0..length(&blob), 0..100, 1000..300_000] {
        let mut body = filling.body(range.clone());
        let mut got = 0;
        while let Ok(frame) = tokio::time::timeout(Duration::from_millis(50), body.frame()).await {
            got += length(&frame.unwrap().unwrap().into_data().unwrap());
        }
        assert!(got <= (range.end - range.start).saturating_sub(HELD_BACK), "{range:?}");
        assert!(range.end < 200_000 || got > 0, "what is not held back is sent");
    }
    drop(filling);
    quiet(&cache).await;

    let upstream = Upstream::good(&blob);
    let filling = cache.fill(&asked, upstream.clone()).await.unwrap();
    let (all, part) = tokio::join!(drain(filling.body(0..u64::MAX)), drain(filling.body(0..10)));
    for (got, end) in [all, part] {
        assert!(end.unwrap_err().contains("digest"));
        assert!(length(&got) <= length(&blob) - HELD_BACK);
    }
    assert_eq!(cache.fill(&asked, upstream).await.map(|_| ()).map_err(|error| error.reason().code), Ok(()), "a new one begins");
    quiet(&cache).await;
    assert!(cache.find(&asked).await.unwrap().is_none());
    assert_eq!((files(&folder).len(), cache.usage().bytes), (0, 0));
}

#[tokio::test]
async fn without_a_declared_length_the_whole_is_waited_for() {
    let (_folder, cache) = cache(hasty());
    let blob = bytes(LARGE);
    let part = Part { total: None, ..whole(&blob) };
    let found = cache.fill(&digest(&blob), Upstream::new(&blob, vec![Ok(Some(part.clone()))])).await.unwrap();
    assert!(!found.is_filling());
    assert!(found.length() == length(&blob) && read_all(&found).await == blob);
    let wrong = cache.fill(&digest(b"x"), Upstream::new(&blob, vec![Ok(Some(part))])).await.err().unwrap();
    assert_eq!(wrong.reason().code, Code::WrongDigest);
}

#[tokio::test]
async fn what_breaks_off_is_continued_where_it_broke() {
    let (_folder, cache) = cache(hasty());
    let blob = bytes(LARGE);
    let broken = Part { sends: 123_456, then: Then::Breaks, ..whole(&blob) };
    let short = Part { sends: 100_000, then: Then::Ends, ..whole(&blob) };
    let upstream = Upstream::new(&blob, vec![Ok(Some(broken)), Ok(Some(short)), Err(Code::Unavailable), Ok(Some(whole(&blob)))]);
    assert!(read_all(&cache.fill(&digest(&blob), upstream.clone()).await.unwrap()).await == blob);
    assert_eq!(*upstream.offsets.lock().unwrap(), [0, 123_456, 223_456, 223_456]);
}

#[tokio::test]
async fn a_transfer_that_keeps_breaking_is_given_up() {
    let (folder, cache) = cache(hasty());
    let blob = bytes(LARGE);
    let upstream = Upstream::new(&blob, vec![Ok(Some(Part { sends: 1000, then: Then::Breaks, ..whole(&blob) }))]);
    let filling = cache.fill(&digest(&blob), upstream.clone()).await.unwrap();
    let (got, end) = drain(filling.body(0..u64::MAX)).await;
    assert!(end.is_err() && blob.starts_with(&got));
    assert_eq!(upstream.opens(), 6, "the first and five continuations");
    quiet(&cache).await;
    assert_eq!((files(&folder).len(), cache.usage().bytes), (0, 0));
    // With progress in between the tries count anew.
    let large = bytes(9_000_000);
    let upstream = Upstream::new(&large, vec![Ok(Some(Part { sends: 1_050_000, then: Then::Breaks, ..whole(&large) }))]);
    assert!(read_all(&cache.fill(&digest(&large), upstream.clone()).await.unwrap()).await == large);
    assert_eq!(upstream.opens(), 9);
}

#[tokio::test]
async fn refusals_of_the_upstream_are_passed_on_at_once() {
    let (_folder, cache) = cache(hasty());
    let blob = bytes(LARGE);
    for code in [Code::AccessDenied, Code::Unavailable, Code::BadAnswer] {
        let upstream = Upstream::new(&blob, vec![Err(code)]);
        let error = cache.fill(&digest(&blob), upstream.clone()).await.err().unwrap();
        assert_eq!((error.reason().code, upstream.opens()), (code, 1));
    }
    let none = cache.fill(&digest(&blob), Upstream::new(&blob, vec![Ok(None)])).await.err().unwrap();
    assert_eq!(none, CacheError::NotFound(digest(&blob)));
}

#[tokio::test]
async fn an_upstream_that_contradicts_itself_is_refused() {
    let (folder, cache) = cache(CacheOptions { limit: 2_000_000, ..hasty() });
    let blob = bytes(LARGE);
    let longer = Part { total: Some(1000), ..whole(&blob) };
    let broken = Part { sends: 1000, then: Then::Breaks, ..whole(&blob) };
    let other = Part { total: Some(length(&blob) + 1), ..whole(&blob) };
    for script in [vec![Ok(Some(longer))], vec![Ok(Some(broken)), Ok(Some(other))]] {
        let filling = cache.fill(&digest(&blob), Upstream::new(&blob, script)).await;
        let reason = match filling {
            Ok(filling) => drain(filling.body(0..u64::MAX)).await.1.unwrap_err(),
            Err(error) => error.to_string(),
        };
        assert!(reason.contains("longer") || reason.contains("another length"), "{reason}");
    }
    let endless = bytes(3_000_000);
    let upstream = Upstream::new(&endless, vec![Ok(Some(Part { total: None, ..whole(&endless) }))]);
    let error = cache.fill(&digest(&endless), upstream).await.err().unwrap();
    assert_eq!(error.reason().code, Code::BlobTooLarge);
    let declared = cache.fill(&digest(&endless), Upstream::good(&endless)).await.err().unwrap();
    assert_eq!(declared.reason().code, Code::BlobTooLarge);
    quiet(&cache).await;
    assert_eq!((files(&folder).len(), cache.usage().bytes), (0, 0));
}

#[tokio::test]
async fn a_transfer_goes_on_without_its_clients_only_for_a_while() {
    let (_folder, cache) = cache(hasty());
    let blob = bytes(LARGE);
    // The rest is short, and comes: it is finished for who asks next.
    drop(cache.fill(&digest(&blob), Upstream::good(&blob)).await.unwrap());
    quiet(&cache).await;
    assert!(cache.find(&digest(&blob)).await.unwrap().is_some());
    // It does not come.
    let other = bytes(LARGE + 1);
    let stalled = Part { sends: 100_000, then: Then::Stalls, ..whole(&other) };
    let upstream = Upstream::new(&other, vec![Ok(Some(stalled)), Ok(Some(whole(&other)))]);
    let filling = cache.fill(&digest(&other), upstream.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(cache.usage().transfers, 1, "it goes on while somebody follows");
    drop(filling);
    quiet(&cache).await;
    assert!(read_all(&cache.fill(&digest(&other), upstream.clone()).await.unwrap()).await == other);
    assert_eq!(upstream.opens(), 2);
}

#[tokio::test]
async fn an_upstream_that_only_keeps_the_place_is_given_up() {
    let mut options = hasty();
    options.patience.window = 5;
    let (_folder, cache) = cache(options);
    let blob = bytes(LARGE);
    let upstream = Upstream::new(&blob, vec![Ok(Some(Part { sends: 1000, then: Then::Stalls, ..whole(&blob) }))]);
    let filling = cache.fill(&digest(&blob), upstream).await.unwrap();
    assert!(drain(filling.body(0..u64::MAX)).await.1.unwrap_err().contains("too slowly"));
}

#[tokio::test]
async fn a_client_that_comes_late_gets_what_the_others_got() {
    let (_folder, cache) = cache(hasty());
    let blob = bytes(LARGE);
    let stalled = Part { sends: 400_000, then: Then::Breaks, ..whole(&blob) };
    let upstream = Upstream::new(&blob, vec![Ok(Some(stalled)), Ok(Some(whole(&blob)))]);
    let early = cache.fill(&digest(&blob), upstream.clone()).await.unwrap();
    let mut first = early.body(0..u64::MAX);
    let begun = first.frame().await.unwrap().unwrap().into_data().unwrap();
    let late = cache.fill(&digest(&blob), upstream.clone()).await.unwrap();
    let (late, rest) = tokio::join!(read_all(&late), drain(first));
    assert!(late == blob && [begun.as_ref(), &rest.0].concat() == blob);
}

/// How an upstream answers a time.
fn part() -> impl Strategy<Value = Part> {
    let then = prop_oneof![3 => Just(Then::Breaks), 1 => Just(Then::Ends)];
    (any::<bool>(), 0..400_000_usize, 1..100_000_usize, then).prop_map(|(says, sends, piece, then)| Part {
        total: says.then_some(0),
        sends,
        piece,
        then,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever an upstream does, who reads gets the blob, or a beginning of it and an error; and the cache has it whole or not at all.
    #[test]
    fn no_transfer_ends_in_anything_but_the_blob_or_an_error(
        size in 0..600_000_usize,
        script in proptest::collection::vec(part(), 0..8),
        right in proptest::bool::weighted(0.8),
        (from, to) in (0..700_000_u64, 0..700_000_u64),
    ) {
        Runtime::new().unwrap().block_on(async {
            let (folder, cache) = cache(hasty());
            let blob = bytes(size);
            let asked = if right { digest(&blob) } else { digest(b"another") };
            let told = |part: Part| Ok(Some(Part { total: part.total.map(|_| length(&blob)), ..part }));
            let script = script.into_iter().map(told).chain([Ok(Some(whole(&blob)))]).collect();
            let upstream = Upstream::new(&blob, script);
            let outcome = match cache.fill(&asked, upstream).await {
                Err(error) => Err(error.to_string()),
                Ok(found) => {
                    assert_eq!(found.length(), length(&blob));
                    let ((all, end), (part, part_end)) = tokio::join!(drain(found.body(0..u64::MAX)), drain(found.body(from..to)));
                    assert!(blob.starts_with(&all));
                    let (from, to) = (from.min(length(&blob)), to.min(length(&blob)));
                    let range = usize::try_from(from.min(to)).unwrap()..usize::try_from(to).unwrap();
                    assert!(blob[range.clone()].starts_with(&part));
                    assert!(part_end.is_err() || part.len() == range.len());
                    assert_eq!(end.is_ok(), all.len() == blob.len() && right);
                    end
                }
            };
            quiet(&cache).await;
            let kept = cache.find(&asked).await.unwrap();
            assert_eq!(kept.is_some(), outcome.is_ok());
            assert!(outcome.is_err() || right);
            assert_eq!(files(&folder).len(), usize::from(kept.is_some()));
            if let Some(kept) = kept {
                assert!(read_all(&kept).await == blob);
            }
        });
    }
}
