//! Running the step again.

use trustctl_lab::faults::{Fault, FaultRule};
use trustctl_lab::sigstore::{Claims, LogVersion};

use super::stage::{DEVELOPER, Stage};

#[test]
fn a_second_run_asks_for_no_certificate_and_no_log_entry_and_says_so() {
    for claims in [Claims::email(DEVELOPER), Claims::github("acme/shop", "refs/tags/v1.4")] {
        let stage = Stage::new(LogVersion::V1);
        let words = stage.words(&claims, &[]);
        let (first, exit) = stage.json(&words);
        assert_eq!((exit, first["results"][0]["done"].as_str()), (Some(0), Some("signed")), "{first}");
        let (again, exit) = stage.json(&words);
        assert_eq!((exit, again["results"][0]["done"].as_str()), (Some(0), Some("already signed")), "{again}");
        assert_eq!(again["results"][0]["identity"]["identity"], claims.identity());
        assert_eq!((stage.certificates(), stage.entries(), stage.bundles()), (1, 1, 1));
        // Not even where the services are down.
        let down = Fault::Status { status: 502, retry_after: None };
        stage.world.sigstore().fulcio().faults().add(FaultRule::always("*", down.clone()));
        stage.world.sigstore().rekor().faults().add(FaultRule::always("*", down));
        assert_eq!(stage.run(&words).code, Some(0));
    }
}

#[test]
fn another_signer_and_other_claims_are_other_signatures() {
    let stage = Stage::new(LogVersion::V2);
    assert_eq!(stage.sign(&[]).0, Some(0));
    let others = [(Claims::email("other@example.test"), vec![]), (Claims::email(DEVELOPER), vec!["-a", "a=b"])];
    for (claims, more) in others {
        let words = stage.words(&claims, &more);
        let (report, _) = stage.json(&words);
        assert_eq!(report["results"][0]["done"], "signed", "{report}");
        let (report, _) = stage.json(&words);
        assert_eq!(report["results"][0]["done"], "already signed", "{report}");
    }
    assert_eq!((stage.certificates(), stage.entries(), stage.bundles()), (3, 3, 3));
}

/// What is there and does not verify any more is not what counts.
#[test]
fn a_signature_that_does_not_verify_is_made_anew() {
    let stage = Stage::new(LogVersion::V1);
    assert_eq!(stage.sign(&[]).0, Some(0));
    let words = stage.words(&Claims::email(DEVELOPER), &[]);
    let other = Stage::new(LogVersion::V1);
    let root = words.iter().position(|word| word == "--trusted-root").unwrap() + 1;
    let mut foreign = words.clone();
    foreign[root] = other.file("trusted_root.json");
    assert_eq!(stage.run(&foreign).code, Some(1), "by another root nothing that is there counts, and nothing new holds");
    assert_eq!((stage.bundles(), stage.run(&words).code), (1, Some(0)));
}

#[test]
fn a_pipeline_gets_three_answers_and_never_a_false_unsigned() {
    let stage = Stage::new(LogVersion::V1);
    assert_eq!(stage.verdict(), Some(3), "unsigned");
    assert_eq!(stage.sign(&[]).0, Some(0));
    assert_eq!(stage.verdict(), Some(0), "signed");
    for fault in
        [Fault::Status { status: 502, retry_after: None }, Fault::Status { status: 429, retry_after: Some(3600) }, Fault::Drop]
    {
        stage.world.registry().faults().add(FaultRule::always("/v2/shop/cart/referrers/*", fault.clone()));
        assert_eq!(stage.verdict(), Some(4), "{fault:?}: cannot tell");
        stage.world.registry().faults().clear();
    }
    assert_eq!(stage.verdict(), Some(0));
}
