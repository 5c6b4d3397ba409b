//! What is known against a platform image counts for its index, whatever else is or is not known.
use super::*;
use crate::claim::Claimed;
use crate::scheme::Unproven;

const WARN: &str = "mode = \"warn\"\nuntil = 2026-12-31\n";

/// Findings by which the index is signed by a stranger, or cannot be said to be signed.
fn by_a_stranger() -> Vec<Findings> {
    let mut all = both(vec![], vec![]);
    let problem = Problem { reason: Reason::new(Code::CosignWrongKey, "another key"), principal: None, source: source() };
    all.first_mut().unwrap().problems.push(problem);
    all
}

fn in_an_outage() -> Vec<Findings> {
    let mut all = both(vec![], vec![]);
    let reason = Reason::new(Code::Unavailable, "503");
    all.first_mut().unwrap().missing.push(Missing { reason, may_hide_revocation: false });
    all
}

/// The index and its children, of which the first is revoked or not, judged as an assessment does.
fn judged(policy: &Policy, whole: Vec<Findings>, revoked: bool) -> Judgement {
    let index = index();
    let first = index.children.first().unwrap().digest;
    let claims = |child: &Subject| {
        let revokes = revoked && child.digest == first;
        if revokes { vec![Claim { digest: first, ..claim(revocation()) }] } else { vec![] }
    };
    let strict = judged_with_children(policy, &index, whole, &claims);
    warn_only(policy, &index, now(), strict)
}

#[test]
fn a_revoked_child_rejects_the_index_in_warn_mode_too() {
    for platforms in ["either", "children"] {
        let policy = any_rule(&format!("platforms = \"{platforms}\"\n{WARN}"));
        for whole in [by_a_stranger, in_an_outage, || both(vec![], vec![])] {
            let passed = judged(&policy, whole(), false);
            assert!(passed.verdict.is_trusted() && passed.warnings.iter().any(|warning| warning.code == Code::PolicyWarn));
            let refused = judged(&policy, whole(), true);
            assert_eq!(refused.verdict.kind(), VerdictKind::Rejected);
            assert_eq!(codes(&refused).first(), Some(&Code::CosignRevoked), "{platforms}: {refused:?}");
        }
    }
}

#[test]
fn a_revoked_child_is_told_where_an_index_is_rejected_or_undecided_anyway() {
    for whole in [by_a_stranger(), in_an_outage()] {
        assert!(!codes(&judged(&any_rule(""), whole.clone(), false)).contains(&Code::CosignRevoked));
        let refused = judged(&any_rule(""), whole, true);
        assert_eq!((refused.verdict.kind(), codes(&refused).first()), (VerdictKind::Rejected, Some(&Code::CosignRevoked)));
    }
}

#[test]
fn what_is_denied_is_refused_in_warn_mode_too() {
    let child = index().children.first().unwrap().digest;
    for digest in [index().digest, child] {
        let denied = any_rule(&format!("{WARN}[[deny]]\ndigest = \"{digest}\"\nreason = \"CVE\"\n"));
        assert_eq!(codes(&judge(&denied, &index(), &both(vec![], vec![]), now())), [Code::PolicyDenied]);
    }
    let other = any_rule(&format!("{WARN}[[deny]]\ndigest = \"{}\"\nreason = \"CVE\"\n", Digest::sha256_of(b"other")));
    assert!(judge(&other, &index(), &both(vec![], vec![]), now()).verdict.is_trusted());
}

/// A rule that a key satisfies and in which an identity may revoke.
fn with_revoker() -> Policy {
    policy(
        "[signers.ci]\nscheme = \"cosign\"\nidentity = \"https://ci.example/*\"\nissuer = \"https://issuer.example\"\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = { any = [\"key\"] }\nrevokers = [\"ci\"]\n",
    )
}

fn unproven(identity: &str, issuer: &str) -> Unproven {
    let by = Principal::Identity { identity: identity.to_owned(), issuer: issuer.to_owned(), sigstore: None };
    let reason = Reason::new(Code::CosignTimeMissing, "no time");
    Unproven { reason, by: Some(Claimed::new(by)), source: source() }
}

#[test]
fn a_revocation_that_is_not_proven_counts_by_whom_it_names() {
    let judged = |unproven: Vec<Unproven>| {
        let mut all = both(vec![claim(Statement::Signature)], vec![]);
        all.first_mut().unwrap().unproven = unproven;
        judge(&with_revoker(), &subject(), &all, now())
    };
    let named = judged(vec![unproven("https://ci.example/shop", "https://issuer.example")]);
    assert_eq!((named.verdict.kind(), codes(&named)), (VerdictKind::Undecided, vec![Code::PolicyRevocationUnproven]));
    // A stranger names another identity, another issuer, or nobody: that is told once, and blocks nothing.
    let nobody = Unproven { by: None, ..unproven("", "") };
    let strangers = [
        unproven("https://stranger.example/shop", "https://issuer.example"),
        unproven("https://ci.example/shop", "https://stranger.example"),
        nobody,
    ];
    for several in [1, 3] {
        let told = judged(strangers.iter().take(several).cloned().collect());
        assert!(told.verdict.is_trusted(), "{told:?}");
        assert_eq!(told.warnings.iter().filter(|warning| warning.code == Code::PolicyRevocationByOther).count(), 1);
    }
    assert!(judged(vec![]).warnings.is_empty());
}
