//! How much `trustctl verify` asks of real registries, counted by a proxy in front of them.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with the other tests beside real cosign")]
#[path = "interop_cosign/stage.rs"]
mod stage;

use std::time::Duration;

use trustctl_tests::counting::{Counting, Seen};
use trustctl_tests::image::Image;

use stage::{Cosign, Form, Host, Stage, hosts, repository};

/// The requests and dependent round trips of one verification that trusts the image.
#[track_caller]
fn counted(stage: &Stage, proxy: &Counting, image: &str) -> (Vec<Seen>, usize) {
    drop(proxy.take());
    stage.trusts(image, "own.pub");
    let rounds = proxy.rounds();
    (proxy.take(), rounds)
}

#[track_caller]
fn at_most(what: &str, (seen, rounds): &(Vec<Seen>, usize), (most, deep): (usize, usize)) {
    let lines: Vec<String> = seen.iter().map(|seen| format!("{} {} {}", seen.method, seen.target, seen.status)).collect();
    assert!(lines.len() <= most && *rounds <= deep, "{what}: {} requests, {rounds} rounds: {lines:#?}", lines.len());
}

#[test]
fn a_verification_by_tag_takes_few_requests() {
    for (host, address) in hosts() {
        let api = matches!(host, Host::Referrers(_));
        for (cosign, form) in Cosign::three().iter().flat_map(|cosign| [(cosign, Form::Legacy), (cosign, Form::Bundle)]) {
            let stage = Stage::new();
            cosign.key(&stage, "own");
            // Slow enough that what runs at once is seen to run at once.
            let proxy = Counting::start_slow(&address, Duration::from_millis(60)).unwrap();
            let repository = repository(&proxy.address(), &format!("count/{form:?}").to_lowercase());
            let digest = Image::tiny("hello").push(&repository, "1").unwrap();
            cosign.sign(&stage, form, "own", &[&repository.at(&digest)]);
            let what = format!("{form:?}, referrers API: {api}");
            let limits = match (form, api) {
                (Form::Legacy, true) | (Form::Bundle, true) => (5, 4),
                // The registry first says that it has no referrers API; then the fallback tag is read.
                (Form::Legacy, false) => (5, 4),
                (Form::Bundle, false) => (6, 5),
            };
            at_most(&what, &counted(&stage, &proxy, &repository.tagged("1")), limits);
        }
    }
}

#[test]
fn ten_attestations_add_no_bundle_to_what_is_fetched() {
    for (host, address) in hosts() {
        let Some(cosign) = Cosign::three() else { return };
        let stage = Stage::new();
        cosign.key(&stage, "own");
        stage.write("predicate.json", "{\"answer\":42}");
        let proxy = Counting::start(&address).unwrap();
        let repository = repository(&proxy.address(), "attested");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        cosign.sign(&stage, Form::Bundle, "own", &[&repository.at(&digest)]);
        let (alone, _) = counted(&stage, &proxy, &repository.tagged("1"));
        for _ in 0..10 {
            cosign.attest(&stage, Form::Bundle, "own", &["--predicate", "predicate.json", &repository.at(&digest)]);
        }
        let (with, _) = counted(&stage, &proxy, &repository.tagged("1"));
        let blobs = |seen: &[Seen]| seen.iter().filter(|seen| seen.target.contains("/blobs/")).count();
        assert_eq!(blobs(&with), blobs(&alone), "no attestation is fetched");
        let answer = repository.ask("GET", &format!("referrers/{digest}")).unwrap();
        let annotated = String::from_utf8_lossy(&answer.body).contains("dev.sigstore.bundle.predicateType");
        println!(
            "referrers API: {}, annotated: {annotated}, {} and {}",
            matches!(host, Host::Referrers(_)),
            alone.len(),
            with.len()
        );
        // Where the listing says what each bundle is, the attestations' manifests are not read either.
        let more = if annotated { 0 } else { 10 };
        assert!(with.len() <= alone.len() + more, "{} requests, and {} without attestations", with.len(), alone.len());
    }
}
