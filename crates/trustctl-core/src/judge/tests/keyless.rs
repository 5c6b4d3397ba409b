//! Signers by identity: who counts, what their certificate must say, and log entries that are proven.

use super::*;
use crate::claim::ProvenEntry;

const SIGNER: &str = "[signers.ci]\nscheme = \"cosign\"\nidentity = \"https://forge.example/acme/*@refs/tags/*\"\nissuer = \"https://token.example\"\n";

fn ci(more: &str) -> Policy {
    let load = |_: &str| Ok(b"{}".to_vec());
    let text = format!(
        "version = 1\n{SIGNER}{more}\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = {{ any = [\"ci\"] }}\n[sigstores.corp]\ntrusted-root = \"corp.json\"\n"
    );
    Policy::parse(&PolicyText { name: "p.toml", text: &text, load: &load }).unwrap()
}

fn by(identity: &str, issuer: &str, sigstore: Option<&str>) -> Claim {
    let sigstore = sigstore.map(str::to_owned);
    let proven = ProvenEntry {
        sigstore: sigstore.clone(),
        log_id: "aa".to_owned(),
        operator: "log".to_owned(),
        index: 1,
        integrated: None,
        included: true,
    };
    Claim {
        principal: Principal::Identity { identity: identity.to_owned(), issuer: issuer.to_owned(), sigstore },
        log: LogFindings { proven: vec![proven], problems: Vec::new() },
        certificate: BTreeMap::from([("source-repository-ref".to_owned(), "refs/tags/v1".to_owned())]),
        ..claim(Statement::Signature)
    }
}

fn release() -> Claim {
    by("https://forge.example/acme/shop@refs/tags/v1", "https://token.example", None)
}

fn judged(policy: &Policy, claim: Claim) -> (VerdictKind, Vec<Code>) {
    let judged = judge(policy, &subject(), &[findings(SchemeName::Cosign, vec![claim])], now());
    (judged.verdict.kind(), codes(&judged))
}

#[test]
fn an_identity_counts_whole_by_its_issuer_and_its_instance() {
    assert_eq!(judged(&ci(""), release()).0, VerdictKind::Trusted);
    let wrong = (VerdictKind::Rejected, vec![Code::CosignWrongIdentity]);
    let issuer = "https://token.example";
    assert_eq!(judged(&ci(""), by("https://evil.example/https://forge.example/acme/shop@refs/tags/v1", issuer, None)), wrong);
    assert_eq!(judged(&ci(""), by("https://forge.example/acme/shop@refs/heads/main", issuer, None)), wrong);
    assert_eq!(judged(&ci(""), by("https://forge.example/acme/shop@refs/tags/v1", "https://token.example.evil", None)), wrong);
    let corp = by("https://forge.example/acme/shop@refs/tags/v1", issuer, Some("corp"));
    assert_eq!(judged(&ci(""), corp.clone()), wrong, "a private instance does not vouch for the public one");
    assert_eq!(judged(&ci("sigstore = \"corp\""), corp).0, VerdictKind::Trusted);
    assert_eq!(judged(&ci("sigstore = \"corp\""), release()), wrong);
}

#[test]
fn the_certificate_must_say_what_is_demanded() {
    let demanding = |value: &str| ci(&format!("claims = {{ source-repository-ref = \"{value}\" }}"));
    assert_eq!(judged(&demanding("refs/tags/*"), release()).0, VerdictKind::Trusted);
    let wrong = (VerdictKind::Rejected, vec![Code::CosignCertificateClaim]);
    assert_eq!(judged(&demanding("refs/heads/main"), release()), wrong);
    assert_eq!(judged(&demanding("refs/tags/*"), Claim { certificate: BTreeMap::new(), ..release() }), wrong);
}

#[test]
fn a_log_entry_is_demanded_of_an_identity_unless_the_policy_says_otherwise() {
    let unlogged = Claim { log: LogFindings::default(), ..release() };
    assert_eq!(judged(&ci(""), unlogged.clone()), (VerdictKind::Rejected, vec![Code::CosignLogMissing]));
    assert_eq!(judged(&ci("log = \"optional\""), unlogged).0, VerdictKind::Trusted);
}

#[test]
fn a_demanded_log_entry_of_a_key_is_the_one_of_its_instance() {
    let policy = policy(&format!(
        "[signers.logged]\nscheme = \"cosign\"\nkey = '''{KEY}'''\nlog = \"required\"\n[[rules]]\nname = \"l\"\nimages = [\"r.example/app\"]\nrequire = {{ any = [\"logged\"] }}\n"
    ));
    let with = |log: LogFindings| judged(&policy, Claim { log, ..claim(Statement::Signature) });
    assert_eq!(with(release().log).0, VerdictKind::Trusted);
    let corp = by("", "", Some("corp")).log;
    assert_eq!(with(corp), (VerdictKind::Undecided, vec![Code::CosignLogUnjudged]));
    let problem = (None, Reason::new(Code::CosignLogMismatch, "it is about another signature"));
    let broken = LogFindings { proven: Vec::new(), problems: vec![problem] };
    assert_eq!(with(broken), (VerdictKind::Rejected, vec![Code::CosignLogMismatch]));
}

#[test]
fn attestations_of_an_identity_need_what_its_signatures_need() {
    let text = |more: &str| {
        let load = |_: &str| Ok(Vec::new());
        let text = format!(
            "version = 1\n{SIGNER}{more}\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = {{ any = [\"ci\"] }}\nattestations = [{{ type = \"vuln\", signers = [\"ci\"] }}]\n"
        );
        Policy::parse(&PolicyText { name: "p.toml", text: &text, load: &load }).unwrap()
    };
    let vuln = "https://cosign.sigstore.dev/attestation/vuln/v1".to_owned();
    let attests = |claim: Claim| Claim { statement: attestation(&vuln, "{}"), ..claim };
    let judged = |attestation: Vec<Claim>| {
        let claims = [vec![release()], attestation].concat();
        let judged = judge(&text(""), &subject(), &[findings(SchemeName::Cosign, claims)], now());
        (judged.verdict.kind(), codes(&judged))
    };
    assert_eq!(judged(vec![attests(release())]).0, VerdictKind::Trusted);
    assert_eq!(judged(Vec::new()), (VerdictKind::Rejected, vec![Code::PolicyAttestationMissing]));
    let unlogged = attests(Claim { log: LogFindings::default(), ..release() });
    assert_eq!(judged(vec![unlogged]), (VerdictKind::Rejected, vec![Code::CosignLogMissing]));
}

/// GHSA-59jp-pj84-45mr: what is only part of a name is somebody else's.
#[test]
fn a_regular_expression_is_held_to_the_whole_identity_and_issuer() {
    let load = |_: &str| Ok(Vec::new());
    let text = "version = 1\n[signers.ci]\nscheme = \"cosign\"\nidentity-regex = 'https://forge\\.example/acme/.+@refs/tags/v[0-9]+'\nissuer-regex = 'https://token\\.example'\n[[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = { any = [\"ci\"] }\n";
    let policy = Policy::parse(&PolicyText { name: "p.toml", text, load: &load }).unwrap();
    assert_eq!(judged(&policy, release()).0, VerdictKind::Trusted);
    let wrong = (VerdictKind::Rejected, vec![Code::CosignWrongIdentity]);
    let issuer = "https://token.example";
    let unanchored = "https://evil.example/https://forge.example/acme/shop@refs/tags/v1";
    assert_eq!(judged(&policy, by(unanchored, issuer, None)), wrong);
    assert_eq!(judged(&policy, by("https://forge.example/acme/shop@refs/tags/v1-evil", issuer, None)), wrong);
    assert_eq!(judged(&policy, by("https://forge.example/acme/shop@refs/tags/v1", "https://token.example.evil", None)), wrong);
}

/// What the signer of such an instance withdrew could not be seen, so nobody else's signature counts instead.
#[test]
fn a_rule_that_names_an_instance_without_its_trusted_root_is_undecided() {
    let load = |_: &str| Ok(b"{}".to_vec());
    let text = format!(
        "version = 1\n{SIGNER}{}sigstore = \"corp\"\n[sigstores.corp]\ntuf = \"https://tuf.example\"\nroot = \"root.json\"\n\
         [[rules]]\nname = \"r\"\nimages = [\"r.example/**\"]\nrequire = {{ any = [\"ci\"] }}\nrevokers = [\"corp\"]\n",
        SIGNER.replace("[signers.ci]", "[signers.corp]")
    );
    let policy = Policy::parse(&PolicyText { name: "p.toml", text: &text, load: &load }).unwrap();
    assert_eq!(judged(&policy, release()), (VerdictKind::Undecided, vec![Code::AnchorNotFetched]));
    let ended = policy.clone().with_fetched("corp", Err(Reason::new(Code::AnchorOutdated, "it has ended")));
    assert_eq!(judged(&ended, release()), (VerdictKind::Undecided, vec![Code::AnchorOutdated]));
    assert_eq!(judged(&policy.with_fetched("corp", Ok(b"{}".as_slice().into())), release()).0, VerdictKind::Trusted);
}
