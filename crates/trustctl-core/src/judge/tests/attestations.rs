//! What attestations must say, and which of several counts.

use super::*;
use crate::predicate::{SLSA_V1, VULN};

/// A scan without critical findings, and one with.
const CLEAN: &str = r#"{"matches":[{"id":"CVE-1","severity":"Low"}]}"#;
const CRITICAL: &str = r#"{"matches":[{"id":"CVE-1","severity":"Low"},{"id":"CVE-2","severity":"Critical"}]}"#;
const NO_CRITICAL: &str = "where = [{ none = \"matches[*].severity\", equals = \"Critical\" }]";

/// A rule that demands a scan by the signer `key`, with `more` in the demand.
fn rule(more: &str) -> Policy {
    any_rule(&format!("attestations = [{{ type = \"vuln\", signers = [\"key\"], {more} }}]\n"))
}

fn scan(predicate: &str, signed_at: Option<&str>) -> Claim {
    Claim { signed_at: signed_at.map(|time| time.parse().unwrap()), ..claim(attestation(VULN, predicate)) }
}

/// The verdict about a signed image with these attestations, and its reasons.
fn judged(policy: &Policy, attestations: Vec<Claim>) -> (VerdictKind, Vec<Code>) {
    let claims = [vec![claim(Statement::Signature)], attestations].concat();
    let judged = judge(policy, &subject(), &both(claims, vec![]), now());
    (judged.verdict.kind(), codes(&judged))
}

#[test]
fn what_a_scan_says_decides() {
    let policy = rule(NO_CRITICAL);
    assert_eq!(judged(&policy, vec![scan(CLEAN, None)]), (VerdictKind::Trusted, vec![]));
    assert_eq!(judged(&policy, vec![scan(CRITICAL, None)]), (VerdictKind::Rejected, vec![Code::PredicateCondition]));
    assert_eq!(judged(&policy, vec![scan("{}", None)]), (VerdictKind::Rejected, vec![Code::PredicateFieldMissing]));
    assert_eq!(judged(&policy, vec![scan(r#"{"matches":7}"#, None)]), (VerdictKind::Rejected, vec![Code::PredicateWrongType]));
    assert_eq!(judged(&policy, vec![scan("null", None)]), (VerdictKind::Rejected, vec![Code::PredicateWrongType]));
    let twice = r#"{"matches":[],"matches":[{"severity":"Critical"}]}"#;
    assert_eq!(judged(&policy, vec![scan(twice, None)]), (VerdictKind::Rejected, vec![Code::PredicateUnreadable]));
    assert_eq!(judged(&policy, vec![]), (VerdictKind::Rejected, vec![Code::PolicyAttestationMissing]));
    // Without conditions it is enough that it is there.
    assert_eq!(judged(&rule(""), vec![scan(CRITICAL, None)]), (VerdictKind::Trusted, vec![]));
}

#[test]
fn the_refusal_names_the_attestation_the_condition_and_what_was_found() {
    let claims = vec![claim(Statement::Signature), scan(CRITICAL, None)];
    let judged = judge(&rule(NO_CRITICAL), &subject(), &both(claims, vec![]), now());
    let reason = judged.verdict.reasons().first().map(|reason| (*reason).clone()).unwrap();
    assert!(reason.message.contains("attestation vuln by key (key ") && reason.message.contains("test here"), "{reason}");
    assert_eq!(reason.expected.as_deref(), Some("no matches[*].severity is \"Critical\""));
    assert_eq!(reason.found.as_deref(), Some("matches[1].severity: \"Critical\""));
}

/// GHSA-vjxv-45g9-9296: asked for one type, an attestation of another must not do.
#[test]
fn an_attestation_of_another_type_is_not_the_one_demanded() {
    let other = claim(attestation(SLSA_V1, CLEAN));
    let policy = rule("");
    assert_eq!(judged(&policy, vec![other.clone()]), (VerdictKind::Rejected, vec![Code::PolicyAttestationMissing]));
    assert_eq!(judged(&policy, vec![other, scan(CLEAN, None)]), (VerdictKind::Trusted, vec![]));
}

/// GHSA-739f-hw6h-7wq8: the attestation must be there, and a signature is none.
#[test]
fn a_signature_is_no_attestation() {
    assert_eq!(
        judged(&rule(""), vec![claim(Statement::Signature)]),
        (VerdictKind::Rejected, vec![Code::PolicyAttestationMissing])
    );
    assert_eq!(judged(&rule(""), vec![scan(CLEAN, None)]), (VerdictKind::Trusted, vec![]));
}

#[test]
fn a_stranger_attests_nothing() {
    let stranger = Principal::Key { fingerprint: "0".repeat(64) };
    let by_stranger = |predicate: &str| Claim { principal: stranger.clone(), ..scan(predicate, None) };
    let policy = rule(NO_CRITICAL);
    assert_eq!(judged(&policy, vec![by_stranger(CLEAN)]), (VerdictKind::Rejected, vec![Code::PolicyAttestationMissing]));
    // Neither do they stand in the way of somebody else's.
    assert_eq!(judged(&policy, vec![by_stranger(CRITICAL), scan(CLEAN, None)]), (VerdictKind::Trusted, vec![]));
    let elsewhere = Claim { digest: Digest::sha256_of(b"other"), ..scan(CLEAN, None) };
    assert_eq!(judged(&policy, vec![elsewhere]), (VerdictKind::Rejected, vec![Code::PolicyAttestationMissing]));
}

#[test]
fn the_newest_scan_decides_and_not_the_one_that_fits() {
    let (before, after) = (Some("2026-11-20T00:00:00Z"), Some("2026-11-22T00:00:00Z"));
    let policy = rule(NO_CRITICAL);
    let refused = (VerdictKind::Rejected, vec![Code::PredicateCondition]);
    let trusted = (VerdictKind::Trusted, vec![]);
    assert_eq!(judged(&policy, vec![scan(CLEAN, before), scan(CRITICAL, after)]), refused);
    assert_eq!(judged(&policy, vec![scan(CRITICAL, before), scan(CLEAN, after)]), trusted);
    // One whose time nobody proves could be the newest.
    assert_eq!(judged(&policy, vec![scan(CLEAN, after), scan(CRITICAL, None)]), refused);
    assert_eq!(judged(&policy, vec![scan(CRITICAL, before), scan(CLEAN, after), scan(CLEAN, None)]), trusted);
    assert_eq!(judged(&policy, vec![scan(CLEAN, after), scan(CRITICAL, after)]), refused);

    let any = rule(&format!("{NO_CRITICAL}, which = \"any\""));
    assert_eq!(judged(&any, vec![scan(CLEAN, before), scan(CRITICAL, after)]), trusted);
    assert_eq!(judged(&any, vec![scan(CRITICAL, before), scan(CRITICAL, after)]), refused);
}

#[test]
fn the_age_is_that_of_the_trusted_time() {
    let week = rule(&format!("max-age = \"7d\", {NO_CRITICAL}"));
    let (old, young) = (Some("2026-11-15T23:59:59Z"), Some("2026-11-16T00:00:00Z"));
    assert_eq!(judged(&week, vec![scan(CLEAN, young)]), (VerdictKind::Trusted, vec![]));
    assert_eq!(judged(&week, vec![scan(CLEAN, old)]), (VerdictKind::Rejected, vec![Code::PolicyTooOld]));
    assert_eq!(judged(&week, vec![scan(CLEAN, None)]), (VerdictKind::Rejected, vec![Code::PolicyNoTime]));
    assert_eq!(judged(&week, vec![scan(CLEAN, None), scan(CLEAN, young)]), (VerdictKind::Trusted, vec![]));
    assert_eq!(
        judged(&week, vec![scan(CLEAN, old), scan(CRITICAL, young)]),
        (VerdictKind::Rejected, vec![Code::PredicateCondition])
    );
}

#[test]
fn what_could_not_be_read_could_be_a_newer_scan() {
    let verdict = |policy: &Policy, missing: Code, scans: Vec<Claim>| {
        let mut all = both([vec![claim(Statement::Signature)], scans].concat(), vec![]);
        let missing = Missing { reason: Reason::new(missing, "a bundle"), may_hide_revocation: false };
        all.first_mut().unwrap().missing.push(missing);
        judge(policy, &subject(), &all, now()).verdict.kind()
    };
    let newest = rule(NO_CRITICAL);
    assert_eq!(verdict(&newest, Code::Unavailable, vec![scan(CLEAN, None)]), VerdictKind::Undecided);
    assert_eq!(verdict(&newest, Code::Unavailable, vec![scan(CRITICAL, None)]), VerdictKind::Undecided);
    // What is too large to be read never counts, so that nobody can block an image with it.
    assert_eq!(verdict(&newest, Code::TooLarge, vec![scan(CLEAN, None)]), VerdictKind::Trusted);
    let any = rule(&format!("{NO_CRITICAL}, which = \"any\""));
    assert_eq!(verdict(&any, Code::Unavailable, vec![scan(CLEAN, None)]), VerdictKind::Trusted);
    assert_eq!(verdict(&any, Code::Unavailable, vec![]), VerdictKind::Undecided);
}

fn attested(policy: &Policy, claims: Vec<Claim>) -> Judgement {
    judge_attestations(policy, &subject(), &both(claims, vec![]), VULN, now())
}

#[test]
fn attestations_are_judged_without_a_signature() {
    let policy = rule(NO_CRITICAL);
    let judged = attested(&policy, vec![scan(CLEAN, None)]);
    assert!(matches!(&judged.verdict, Verdict::Trusted { claims } if claims.len() == 1), "{judged:?}");
    assert_eq!(codes(&attested(&policy, vec![scan(CRITICAL, None)])), [Code::PredicateCondition]);
    let nothing = attested(&policy, vec![claim(Statement::Signature)]);
    assert_eq!((nothing.verdict.kind(), codes(&nothing)), (VerdictKind::Unsigned, vec![Code::PolicyAttestationMissing]));
    assert_eq!(judge(&policy, &subject(), &both(vec![scan(CLEAN, None)], vec![]), now()).verdict.kind(), VerdictKind::Unsigned);
}

#[test]
fn attestations_of_a_withdrawn_or_denied_image_count_for_nothing() {
    let policy = rule("");
    assert_eq!(codes(&attested(&policy, vec![scan(CLEAN, None), claim(revocation())])), [Code::CosignRevoked]);
    let digest = subject().digest;
    let denied = any_rule(&format!(
        "attestations = [{{ type = \"vuln\", signers = [\"key\"] }}]\n[[deny]]\ndigest = \"{digest}\"\nreason = \"x\"\n"
    ));
    assert_eq!(codes(&attested(&denied, vec![scan(CLEAN, None)])), [Code::PolicyDenied]);
    assert!(attested(&policy, vec![scan(CLEAN, None)]).verdict.is_trusted());
}

#[test]
fn what_no_rule_demands_is_not_judged() {
    assert_eq!(codes(&attested(&any_rule(""), vec![scan(CLEAN, None)])), [Code::AttestationNotDemanded]);
    let mut all = both(vec![scan(CLEAN, None)], vec![]);
    let missing = Missing { reason: Reason::new(Code::Unavailable, "503"), may_hide_revocation: true };
    all.first_mut().unwrap().missing.push(missing);
    let hidden = judge_attestations(&rule(""), &subject(), &all, VULN, now());
    assert_eq!((hidden.verdict.kind(), codes(&hidden)), (VerdictKind::Undecided, vec![Code::Unavailable]));
}

/// Documents of the shape that the conditions know, with findings of these severities.
fn scan_of(severities: &[&str]) -> String {
    let matches: Vec<String> = severities.iter().map(|severity| format!("{{\"severity\":\"{severity}\"}}")).collect();
    format!("{{\"matches\":[{}]}}", matches.join(","))
}

proptest! {
    /// Adding a condition never makes trusted what was not.
    #[test]
    fn a_condition_never_widens_trust(severities in proptest::collection::vec(0..3_usize, 0..4), limit in 0..3_u64) {
        let names: Vec<&str> = severities.iter().map(|index| ["Low", "High", "Critical"].get(*index).copied().unwrap()).collect();
        let document = scan_of(&names);
        let one = format!("where = [{{ count = \"matches[*]\", at-most = {limit} }}]");
        let two = format!("where = [{{ count = \"matches[*]\", at-most = {limit} }}, {{ none = \"matches[*].severity\", equals = \"Critical\" }}]");
        let trusted = |demand: &str| judged(&rule(demand), vec![scan(&document, None)]).0 == VerdictKind::Trusted;
        prop_assert!(!trusted(&two) || trusted(&one));
        prop_assert!(!trusted(&one) || trusted(""));
    }

    #[test]
    fn no_predicate_panics(predicate in "\\PC{0,60}") {
        let _ = judged(&rule(NO_CRITICAL), vec![scan(&predicate, None)]);
    }
}
