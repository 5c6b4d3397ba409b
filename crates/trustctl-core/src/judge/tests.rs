#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap fails the test")]
mod attestations;
mod children;
mod keyless;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::claim::{LogFindings, Principal, SchemeName, Source};
use crate::digest::Digest;
use crate::policy::PolicyText;
use crate::predicate::Predicate;
use crate::scheme::{Missing, Problem};

const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";
const ROOT: &str = "77d38dd19065ba20dbd1f5bbd01fac526ab3eddfeb88f58f38954bb4c368a732";

fn now() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

fn policy(extra: &str) -> Policy {
    let text = format!(
        "version = 1\n[signers.key]\nscheme = \"cosign\"\nkey = '''{KEY}'''\n[signers.dct]\nscheme = \"dct\"\nroots = [\"{ROOT}\"]\n{extra}"
    );
    Policy::parse(&PolicyText { name: "p.toml", text: &text, load: &|_| Err("no files".to_owned()) }).unwrap()
}

fn any_rule(more: &str) -> Policy {
    policy(&format!("[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = {{ any = [\"key\", \"dct\"] }}\n{more}"))
}

fn subject() -> Subject {
    Subject {
        repository: "r.example/app".parse().unwrap(),
        tag: Some("1".parse().unwrap()),
        digest: Digest::sha256_of(b"image"),
        size: 5,
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        children: Vec::new(),
    }
}

fn source() -> Source {
    Source { form: "test".to_owned(), at: "here".to_owned() }
}

fn fingerprint() -> String {
    crate::public_key::PublicKey::from_pem(KEY.as_bytes()).unwrap().fingerprint()
}

fn claim(statement: Statement) -> Claim {
    Claim {
        scheme: SchemeName::Cosign,
        statement,
        principal: Principal::Key { fingerprint: fingerprint() },
        digest: subject().digest,
        repository: None,
        tag: None,
        annotations: BTreeMap::new(),
        signed_at: None,
        fresh_until: None,
        log_entries: Vec::new(),
        log: LogFindings::default(),
        certificate: BTreeMap::new(),
        source: source(),
    }
}

fn role(name: &str, effective: bool, root: &str) -> Claim {
    role_by(name, effective, &[], root)
}

/// A role whose file these keys signed.
fn role_by(name: &str, effective: bool, keys: &[&str], root: &str) -> Claim {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    let anchored_by = vec![root.to_owned()];
    let principal = Principal::Role { role: name.to_owned(), effective, signers: Vec::new(), keys, anchored_by };
    Claim { scheme: SchemeName::Dct, principal, tag: Some("1".to_owned()), ..claim(Statement::Signature) }
}

fn attestation(predicate_type: &str, predicate: &str) -> Statement {
    Statement::Attestation { predicate_type: predicate_type.to_owned(), predicate: Predicate::new(predicate) }
}

fn revocation() -> Statement {
    Statement::Revocation { reason: "compromised".to_owned(), message: "key stolen".to_owned(), issued: None }
}

fn findings(scheme: SchemeName, claims: Vec<Claim>) -> Findings {
    let mut findings = Findings::new(scheme);
    findings.claims = claims;
    findings.looked_at.push("a place".to_owned());
    findings
}

fn both(cosign: Vec<Claim>, dct: Vec<Claim>) -> Vec<Findings> {
    vec![findings(SchemeName::Cosign, cosign), findings(SchemeName::Dct, dct)]
}

fn codes(judgement: &Judgement) -> Vec<Code> {
    judgement.verdict.reasons().iter().map(|reason| reason.code).collect()
}

#[test]
fn one_of_several_signers_is_enough_when_any_is_asked() {
    let judged = judge(&any_rule(""), &subject(), &both(vec![claim(Statement::Signature)], vec![]), now());
    assert_eq!(judged.verdict.kind(), VerdictKind::Trusted);
    assert_eq!(judged.rule.as_deref(), Some("r"));
    let judged = judge(&any_rule(""), &subject(), &both(vec![], vec![role("targets", true, ROOT)]), now());
    assert_eq!(judged.verdict.kind(), VerdictKind::Trusted);
}

#[test]
fn nothing_anywhere_is_unsigned_and_names_the_places() {
    let judged = judge(&any_rule(""), &subject(), &both(vec![], vec![]), now());
    let Verdict::Unsigned { looked_at, .. } = &judged.verdict else { panic!("{judged:?}") };
    assert_eq!(looked_at.len(), 2);
    assert_eq!(codes(&judged), [Code::CosignUnsigned, Code::DctNoData]);
}

#[test]
fn an_outage_is_undecided_and_never_unsigned() {
    let mut all = both(vec![], vec![]);
    let reason = Reason::new(Code::Unavailable, "503");
    all.first_mut().unwrap().missing.push(Missing { reason, may_hide_revocation: true });
    let judged = judge(&any_rule(""), &subject(), &all, now());
    assert_eq!(judged.verdict.kind(), VerdictKind::Undecided);
    assert_eq!(codes(&judged), [Code::Unavailable]);
}

#[test]
fn a_good_signature_is_not_trusted_while_a_revocation_may_be_hidden() {
    let mut all = both(vec![claim(Statement::Signature)], vec![]);
    let missing = Missing { reason: Reason::new(Code::Unavailable, "503"), may_hide_revocation: true };
    all.first_mut().unwrap().missing.push(missing.clone());
    assert_eq!(judge(&any_rule(""), &subject(), &all, now()).verdict.kind(), VerdictKind::Undecided);
    all.first_mut().unwrap().missing = vec![Missing { may_hide_revocation: false, ..missing }];
    assert_eq!(judge(&any_rule(""), &subject(), &all, now()).verdict.kind(), VerdictKind::Trusted);
}

#[test]
fn a_scheme_that_was_not_examined_blocks() {
    let judged = judge(&any_rule(""), &subject(), &[], now());
    assert_eq!((judged.verdict.kind(), codes(&judged)), (VerdictKind::Undecided, vec![Code::NotGathered, Code::NotGathered]));
}

#[test]
fn a_revocation_by_a_named_signer_beats_every_signature() {
    let claims = vec![claim(Statement::Signature), claim(revocation())];
    let judged = judge(&any_rule(""), &subject(), &both(claims, vec![role("targets", true, ROOT)]), now());
    assert_eq!((judged.verdict.kind(), codes(&judged)), (VerdictKind::Rejected, vec![Code::CosignRevoked]));
    let stranger = Claim { principal: Principal::Key { fingerprint: "00".to_owned() }, ..claim(revocation()) };
    let judged = judge(&any_rule(""), &subject(), &both(vec![claim(Statement::Signature), stranger], vec![]), now());
    assert!(judged.verdict.is_trusted(), "a stranger cannot revoke");
}

#[test]
fn a_demanded_log_entry_is_demanded_of_attestations_too() {
    let rule = |log: &str| {
        let text = format!("[signers.scanner]\nscheme = \"cosign\"\nkey = '''{KEY}'''\nlog = \"{log}\"\n");
        let rule = "[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = { any = [\"key\"] }\n";
        policy(&format!("{text}{rule}attestations = [{{ type = \"vuln\", signers = [\"scanner\"] }}]"))
    };
    let predicate_type = rule("optional").rules.first().unwrap().attestations.first().unwrap().predicate_type.clone();
    let claims = vec![claim(Statement::Signature), claim(attestation(&predicate_type, "{}"))];
    let judged = |log: &str| judge(&rule(log), &subject(), &both(claims.clone(), vec![]), now());
    assert!(judged("optional").verdict.is_trusted());
    let unjudged = judged("required");
    assert_eq!((unjudged.verdict.kind(), codes(&unjudged)), (VerdictKind::Undecided, vec![Code::CosignLogUnjudged]));
}

#[test]
fn an_attestation_is_no_signature() {
    let attested = claim(attestation("https://slsa.dev/provenance/v1", "{}"));
    let judged = judge(&any_rule(""), &subject(), &both(vec![attested], vec![]), now());
    assert_eq!(judged.verdict.kind(), VerdictKind::Unsigned);
}

#[test]
fn a_claim_about_another_digest_does_not_count() {
    let other = Claim { digest: Digest::sha256_of(b"other"), ..claim(Statement::Signature) };
    assert!(!judge(&any_rule(""), &subject(), &both(vec![other], vec![]), now()).verdict.is_trusted());
}

#[test]
fn a_role_counts_by_dockers_rule_and_by_its_pin() {
    let not_effective = both(vec![], vec![role("targets", false, ROOT)]);
    assert!(!judge(&any_rule(""), &subject(), &not_effective, now()).verdict.is_trusted());
    let other_root = both(vec![], vec![role("targets", true, &"0".repeat(64))]);
    let judged = judge(&any_rule(""), &subject(), &other_root, now());
    assert_eq!(codes(&judged), [Code::DctRootNotPinned]);
}

#[test]
fn thresholds_count_signers() {
    let policy = policy("[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = { all = [\"key\", \"dct\"] }\n");
    let one = judge(&policy, &subject(), &both(vec![claim(Statement::Signature)], vec![]), now());
    assert_eq!((one.verdict.kind(), codes(&one)), (VerdictKind::Rejected, vec![Code::PolicyThreshold]));
    let two = both(vec![claim(Statement::Signature)], vec![role("targets", true, ROOT)]);
    assert!(judge(&policy, &subject(), &two, now()).verdict.is_trusted());
}

#[test]
fn the_repository_in_a_signature_must_be_the_one_asked_for() {
    let named = |name: &str| Claim { repository: Some(name.to_owned()), ..claim(Statement::Signature) };
    let judged = |policy: &Policy, claim: Claim| judge(policy, &subject(), &both(vec![claim], vec![]), now());
    assert!(judged(&any_rule(""), named("r.example/app")).verdict.is_trusted());
    assert_eq!(codes(&judged(&any_rule(""), named("r.example/other"))), [Code::CosignRepositoryMismatch]);
    let required = any_rule("signed-repository = \"required\"\n");
    assert_eq!(codes(&judged(&required, claim(Statement::Signature))), [Code::CosignRepositoryUnnamed]);
    let mirror = any_rule("signed-repository = { remap = { \"r.example\" = \"origin.example/x\" } }\n");
    assert!(judged(&mirror, named("origin.example/x/app")).verdict.is_trusted());
    assert_eq!(codes(&judged(&mirror, named("r.example/app"))), [Code::CosignRepositoryMismatch]);
}

#[test]
fn the_tag_must_be_signed_when_the_rule_says_so() {
    let same = any_rule("signed-tag = \"same\"\n");
    let tagged = |tag: &str| Claim { tag: Some(tag.to_owned()), ..claim(Statement::Signature) };
    assert!(judge(&same, &subject(), &both(vec![tagged("1")], vec![]), now()).verdict.is_trusted());
    let wrong = judge(&same, &subject(), &both(vec![tagged("2")], vec![]), now());
    assert_eq!(codes(&wrong), [Code::CosignTagMismatch]);
}

#[test]
fn a_demanded_log_is_undecided_where_nothing_can_judge_it() {
    let text = format!(
        "[signers.logged]\nscheme = \"cosign\"\nkey = '''{KEY}'''\nlog = \"required\"\n[[rules]]\nname = \"l\"\nimages = [\"r.example/app\"]\nrequire = {{ any = [\"logged\"] }}\n"
    );
    let judged = judge(&policy(&text), &subject(), &both(vec![claim(Statement::Signature)], vec![]), now());
    assert_eq!((judged.verdict.kind(), codes(&judged)), (VerdictKind::Undecided, vec![Code::CosignLogUnjudged]));
}

#[test]
fn an_age_limit_needs_a_trusted_time() {
    let limited = any_rule("max-age = \"7d\"\n");
    let at = |time: &str| Claim { signed_at: Some(time.parse().unwrap()), ..claim(Statement::Signature) };
    assert!(judge(&limited, &subject(), &both(vec![at("2026-11-20T00:00:00Z")], vec![]), now()).verdict.is_trusted());
    let old = judge(&limited, &subject(), &both(vec![at("2026-11-01T00:00:00Z")], vec![]), now());
    assert_eq!(codes(&old), [Code::PolicyTooOld]);
    let timeless = judge(&limited, &subject(), &both(vec![claim(Statement::Signature)], vec![]), now());
    assert_eq!(codes(&timeless), [Code::PolicyNoTime]);
}

#[test]
fn deny_beats_signatures_and_allow_ends() {
    let digest = subject().digest;
    let signed = both(vec![claim(Statement::Signature)], vec![]);
    let denied = any_rule(&format!("[[deny]]\ndigest = \"{digest}\"\nreason = \"CVE\"\n"));
    assert_eq!(codes(&judge(&denied, &subject(), &signed, now())), [Code::PolicyDenied]);
    let allow = |until: &str| {
        policy(&format!(
            "[[allow]]\nimages = [\"r.example/app\"]\ndigest = \"{digest}\"\nreason = \"reviewed\"\nuntil = {until}\n"
        ))
    };
    let allowed = judge(&allow("2026-11-23"), &subject(), &[], now());
    assert!(allowed.verdict.is_trusted() && allowed.warnings.iter().any(|warning| warning.code == Code::PolicyAllowed));
    assert_eq!(codes(&judge(&allow("2026-11-21"), &subject(), &[], now())), [Code::PolicyAllowExpired]);
}

#[test]
fn what_no_rule_covers_is_denied_by_default() {
    assert_eq!(codes(&judge(&policy(""), &subject(), &[], now())), [Code::PolicyNoRule]);
}

#[test]
fn audit_mode_lets_unsigned_pass_until_its_end_but_never_revoked() {
    let audit = |until: &str| any_rule(&format!("mode = \"audit\"\nuntil = {until}\n"));
    let passed = judge(&audit("2026-12-31"), &subject(), &both(vec![], vec![]), now());
    let codes: Vec<Code> = passed.warnings.iter().map(|warning| warning.code).collect();
    let mode = codes.iter().position(|code| *code == Code::ProxyAuditOnly);
    assert!(
        passed.verdict.is_trusted() && mode.is_some_and(|at| at + 1 < codes.len()),
        "what it would be refused for follows: {codes:?}"
    );
    assert_eq!(judge(&audit("2026-11-01"), &subject(), &both(vec![], vec![]), now()).verdict.kind(), VerdictKind::Unsigned);
    let revoked = judge(&audit("2026-12-31"), &subject(), &both(vec![claim(revocation())], vec![]), now());
    assert_eq!(revoked.verdict.kind(), VerdictKind::Rejected);
}

#[test]
fn warn_mode_lets_unsigned_pass_until_its_end_but_never_revoked() {
    let warn = |until: &str| any_rule(&format!("mode = \"warn\"\nuntil = {until}\n"));
    let passed = judge(&warn("2026-12-31"), &subject(), &both(vec![], vec![]), now());
    assert!(passed.verdict.is_trusted() && passed.warnings.iter().any(|warning| warning.code == Code::PolicyWarn));
    assert_eq!(judge(&warn("2026-11-01"), &subject(), &both(vec![], vec![]), now()).verdict.kind(), VerdictKind::Unsigned);
    let revoked = judge(&warn("2026-12-31"), &subject(), &both(vec![claim(revocation())], vec![]), now());
    assert_eq!(codes(&revoked), [Code::CosignRevoked]);
}

#[test]
fn problems_of_a_scheme_explain_a_rejection() {
    let mut all = both(vec![], vec![]);
    let reason = Reason::new(Code::DctTagMoved, "moved");
    let Claim { principal, .. } = role("targets", true, ROOT);
    all.last_mut().unwrap().problems.push(Problem { reason, principal: Some(principal), source: source() });
    let judged = judge(&any_rule(""), &subject(), &all, now());
    assert_eq!((judged.verdict.kind(), codes(&judged)), (VerdictKind::Rejected, vec![Code::DctTagMoved]));
}

fn index() -> Subject {
    let child = |name: &str| crate::subject::Child {
        digest: Digest::sha256_of(name.as_bytes()),
        size: 1,
        media_type: String::new(),
        platform: Some("linux/amd64".to_owned()),
    };
    Subject { children: vec![child("a"), child("b")], ..subject() }
}

#[test]
fn platforms_decide_whether_the_index_or_the_children_count() {
    let judged = |platforms: &str, whole: bool, children: [bool; 2]| {
        let policy = any_rule(&format!("platforms = \"{platforms}\"\n"));
        let signed = |subject: &Subject, signed: bool| {
            let claims = if signed { vec![Claim { digest: subject.digest, ..claim(Statement::Signature) }] } else { vec![] };
            judge(&policy, subject, &both(claims, vec![]), now())
        };
        let index = index();
        let about_index = signed(&index, whole);
        if !needs_children(&policy, &index, &about_index, now()) {
            return about_index.verdict.kind();
        }
        let each = index.children.iter().zip(children).map(|(child, yes)| signed(&index.child(child), yes)).collect();
        with_children(&about_index, &index, each).verdict.kind()
    };
    assert_eq!(judged("index", true, [false, false]), VerdictKind::Trusted);
    assert_eq!(judged("index", false, [true, true]), VerdictKind::Unsigned);
    assert_eq!(judged("either", true, [false, false]), VerdictKind::Trusted);
    assert_eq!(judged("either", false, [true, true]), VerdictKind::Trusted);
    assert_eq!(judged("either", false, [true, false]), VerdictKind::Rejected);
    assert_eq!(judged("either", false, [false, false]), VerdictKind::Unsigned);
    assert_eq!(judged("children", true, [true, false]), VerdictKind::Rejected);
    assert_eq!(judged("children", false, [true, true]), VerdictKind::Trusted);
}

/// An index and its two children, judged as an assessment does.
fn judged_with_children(
    policy: &Policy,
    index: &Subject,
    whole: Vec<Findings>,
    child_claims: &dyn Fn(&Subject) -> Vec<Claim>,
) -> Judgement {
    let about_index = judge_strictly(policy, (index, index.tag.as_ref()), &whole, now());
    if !needs_children(policy, index, &about_index, now()) {
        return about_index;
    }
    let each = index.children.iter().map(|child| {
        let child = index.child(child);
        judge_strictly(policy, (&child, index.tag.as_ref()), &both(child_claims(&child), vec![]), now())
    });
    with_children(&about_index, index, each.collect())
}

#[test]
fn trusted_children_do_not_mend_an_index_whose_revocation_may_be_hidden() {
    let signed = |child: &Subject| vec![Claim { digest: child.digest, ..claim(Statement::Signature) }];
    let open = judged_with_children(&any_rule(""), &index(), both(vec![], vec![]), &signed);
    assert!(open.verdict.is_trusted(), "nothing is hidden");
    let mut hidden = both(vec![], vec![]);
    let reason = Reason::new(Code::Unavailable, "503");
    hidden.first_mut().unwrap().missing.push(Missing { reason, may_hide_revocation: true });
    let closed = judged_with_children(&any_rule(""), &index(), hidden, &signed);
    assert_eq!((closed.verdict.kind(), codes(&closed)), (VerdictKind::Undecided, vec![Code::Unavailable]));
}

#[test]
fn trusted_children_do_not_mend_a_moved_tag() {
    let same = any_rule("signed-tag = \"same\"\n");
    let tagged = |subject: &Subject, tag: &str| {
        vec![Claim { digest: subject.digest, tag: Some(tag.to_owned()), ..claim(Statement::Signature) }]
    };
    let right = judged_with_children(&same, &index(), both(vec![], vec![]), &|child| tagged(child, "1"));
    assert!(right.verdict.is_trusted(), "children signed for the tag asked for");
    let old = judged_with_children(&same, &index(), both(tagged(&index(), "0"), vec![]), &|child| tagged(child, "0"));
    assert_eq!(codes(&old), [Code::CosignTagMismatch]);
    let only_children = judged_with_children(&same, &index(), both(vec![], vec![]), &|child| tagged(child, "0"));
    assert_eq!(only_children.verdict.kind(), VerdictKind::Rejected);
}

/// Who can push to the registry but sign nothing wraps an old signed image in an index of their own, under a tag that nobody signed.
#[test]
fn an_index_does_not_borrow_the_tag_under_which_a_child_is_in_a_collection() {
    let judged = |asked: Option<&str>| {
        let index = Subject { tag: asked.map(|tag| tag.parse().unwrap()), ..index() };
        let about_index = judge_strictly(&any_rule(""), (&index, index.tag.as_ref()), &both(vec![], vec![]), now());
        let each = index.children.iter().map(|child| {
            let child = index.child(child);
            let signed = Claim { digest: child.digest, ..role("targets", true, ROOT) };
            judge_strictly(&any_rule(""), (&child, index.tag.as_ref()), &both(vec![], vec![signed]), now())
        });
        with_children(&about_index, &index, each.collect()).verdict.kind()
    };
    assert_eq!(judged(Some("1")), VerdictKind::Trusted, "the tag under which each child is signed");
    assert_eq!(judged(None), VerdictKind::Trusted, "asked for by digest, no tag is in question");
    assert_eq!(judged(Some("prod")), VerdictKind::Unsigned);
}

#[test]
fn a_denied_child_denies_its_index() {
    let child = index().children.first().unwrap().digest;
    let signed = both(vec![claim(Statement::Signature)], vec![]);
    assert!(judge(&any_rule(""), &index(), &signed, now()).verdict.is_trusted());
    let denied = any_rule(&format!("[[deny]]\ndigest = \"{child}\"\nreason = \"CVE\"\n"));
    assert_eq!(codes(&judge(&denied, &index(), &signed, now())), [Code::PolicyDenied]);
}

#[test]
fn one_key_under_two_names_is_one_signer() {
    let twice = policy(&format!(
        "[signers.again]\nscheme = \"cosign\"\nkey = \'\'\'{KEY}\'\'\'\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = {{ all = [\"key\", \"again\"] }}\n"
    ));
    let judged = judge(&twice, &subject(), &both(vec![claim(Statement::Signature)], vec![]), now());
    assert_eq!((judged.verdict.kind(), codes(&judged)), (VerdictKind::Rejected, vec![Code::PolicyThreshold]));
}

#[test]
fn one_key_in_two_roles_is_one_signer() {
    let release_and_alice = policy(&format!(
        "[signers.alice]\nscheme = \"dct\"\nroots = [\"{ROOT}\"]\nrole = \"targets/alice\"\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = {{ of = [\"dct\", \"alice\"], at-least = 2 }}\n"
    ));
    let judged = |alice: &[&str], releases: &[&str]| {
        let claims = vec![role_by("targets/alice", false, alice, ROOT), role_by("targets/releases", true, releases, ROOT)];
        judge(&release_and_alice, &subject(), &both(vec![], claims), now())
    };
    assert!(judged(&["aa"], &["bb"]).verdict.is_trusted());
    for (alice, releases) in [(&["aa"][..], &["aa"][..]), (&["aa"], &["bb", "aa"]), (&["aa", "cc"], &["cc"])] {
        let once = judged(alice, releases);
        assert_eq!((once.verdict.kind(), codes(&once)), (VerdictKind::Rejected, vec![Code::PolicyThreshold]));
    }
}

#[test]
fn a_cosign_key_that_signed_a_role_too_is_one_signer() {
    let policy = policy("[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = { all = [\"key\", \"dct\"] }\n");
    let judged = |key: &str| {
        let claims = both(vec![claim(Statement::Signature)], vec![role_by("targets", true, &[key], ROOT)]);
        judge(&policy, &subject(), &claims, now())
    };
    assert!(judged("aa").verdict.is_trusted());
    assert_eq!(codes(&judged(&fingerprint())), [Code::PolicyThreshold]);
}

#[test]
fn the_most_signers_that_share_no_key_are_counted() {
    let role = |keys: &[&str]| role_by(&keys.join(" "), false, keys, ROOT).principal;
    let most = |keys: &[&[&str]]| {
        let principals: Vec<Principal> = keys.iter().map(|keys| role(keys)).collect();
        most_apart(&principals.iter().collect::<Vec<_>>())
    };
    assert_eq!(most(&[]), 0);
    assert_eq!(most(&[&["a"], &["b"], &["c"]]), 3);
    // The first stands in the way of all others, which are apart.
    assert_eq!(most(&[&["a", "b", "c"], &["a"], &["b"], &["c"]]), 3);
    assert_eq!(most(&[&["a"], &["b"], &["a", "b", "c"], &["c"]]), 3);
    assert_eq!(most(&[&["a", "b"], &["b", "c"], &["c", "d"], &["d", "a"]]), 2);
    assert_eq!(most(&[&["a", "b"], &["b", "c"], &["c", "a"]]), 1);
    // Nothing is known of the keys of these: they are apart.
    let (someone, other) = (Principal::Identity { identity: "a".to_owned(), issuer: "b".to_owned(), sigstore: None }, role(&[]));
    assert_eq!(most_apart(&[&someone, &other, &someone]), 2);
}

proptest! {
    /// Leaving out claims that are no revocations, or a whole scheme, never makes trust out of something else.
    #[test]
    fn dropping_evidence_never_yields_trust(keep in proptest::collection::vec(any::<bool>(), 4), all in any::<bool>()) {
        let policy = if all {
            policy("[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = { all = [\"key\", \"dct\"] }\n")
        } else {
            any_rule("")
        };
        let cosign = [claim(Statement::Signature), Claim { repository: Some("r.example/b".to_owned()), ..claim(Statement::Signature) }];
        let dct = [role("targets", true, ROOT), role("targets/x", false, ROOT)];
        let full = judge(&policy, &subject(), &both(cosign.to_vec(), dct.to_vec()), now());
        let kept = |claims: &[Claim], keep: &[bool]| claims.iter().zip(keep).filter(|(_, k)| **k).map(|(c, _)| c.clone()).collect();
        let (first, second) = keep.split_at(2);
        let part = judge(&policy, &subject(), &both(kept(&cosign, first), kept(&dct, second)), now());
        prop_assert!(full.verdict.is_trusted());
        prop_assert!(part.verdict.is_trusted() <= full.verdict.is_trusted());
        let again = judge(&policy, &subject(), &both(kept(&cosign, first), kept(&dct, second)), now());
        prop_assert_eq!(part.verdict, again.verdict);
    }
}
