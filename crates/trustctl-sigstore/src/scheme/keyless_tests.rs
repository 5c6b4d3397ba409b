//! Keyless signatures beside an image: who is named, by which instance, and what log entries of keys prove.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]

use serde_json::{Value, json};
use trustctl_core::assess::Assessor;
use trustctl_core::claim::{Claim, Principal, Statement};
use trustctl_core::evidence::{Entry, Evidence, Locator};
use trustctl_core::memory::Memory;
use trustctl_core::policy::{Policy, PolicyText};
use trustctl_core::reason::Code;
use trustctl_core::scheme::{Anchors, Context, Findings, Scheme, SigstoreAnchor};
use trustctl_core::subject::Subject;
use trustctl_core::verdict::VerdictKind;

use super::Cosign;
use crate::dsse::{IN_TOTO, pae};
use crate::format::encode;
use crate::keyless::tests::world::{IDENTITY, ISSUER, Leaf, SIGNED, World, sign};
use crate::layout::signatures::{Notes, SIMPLE_SIGNING, build};
use crate::layout::{OCI_MANIFEST, attestation_tag, signature_tag};
use crate::statement::SIGN;
use crate::testing::{Registry, TestKey, anchors, at, attach, image};
use trustctl_core::digest::Digest;
use trustctl_core::publish::Put;
use trustctl_core::signer::Signer as _;

fn look(registry: &Registry, subject: &Subject, anchors: &Anchors) -> Findings {
    let memory = Memory::new();
    let context = Context { anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
    let (evidence, _): (Evidence, _) = registry.gather(|evidence| Cosign::default().wants(subject, evidence, &context));
    Cosign::default().examine(subject, &evidence, &context)
}

fn by(sigstores: &[SigstoreAnchor]) -> Anchors {
    Anchors { sigstores: sigstores.to_vec(), ..Anchors::default() }
}

fn with_bundle(image: &Subject, bundle: &Value) -> Registry {
    let mut registry = Registry::new();
    for put in attach(image, bundle.to_string().into_bytes(), SIGN) {
        registry.put(put);
    }
    registry
}

fn problems(findings: &Findings) -> Vec<Code> {
    findings.problems.iter().map(|problem| problem.reason.code).collect()
}

fn only(findings: &Findings) -> &Claim {
    let [claim] = findings.claims.as_slice() else { unreachable!("one claim, not {findings:?}") };
    claim
}

#[test]
fn a_certificate_is_proven_by_the_instance_that_issued_it_and_by_no_other() {
    let (world, other, image) = (World::new(), World::new(), image("a"));
    let registry = with_bundle(&image, &world.bundle_about(&Leaf::default(), &image.digest));
    let findings = look(&registry, &image, &by(&[other.anchor(None), world.anchor(Some("corp"))]));
    let claim = only(&findings);
    let named =
        Principal::Identity { identity: IDENTITY.to_owned(), issuer: ISSUER.to_owned(), sigstore: Some("corp".to_owned()) };
    assert_eq!((&claim.principal, &claim.statement), (&named, &Statement::Signature));
    assert_eq!(claim.signed_at.unwrap().unix_seconds(), SIGNED);
    assert_eq!(claim.log.proven[0].sigstore.as_deref(), Some("corp"));
    assert_eq!(claim.certificate["source-repository-ref"], "refs/tags/v1");

    let findings = look(&registry, &image, &by(&[other.anchor(None)]));
    assert!(findings.claims.is_empty());
    assert_eq!(problems(&findings), [Code::CosignLogUnknown]);
    assert_eq!(problems(&look(&registry, &image, &Anchors::default())), [Code::CosignKeylessUnjudged]);
    let broken = SigstoreAnchor { trusted_root: b"{}".as_slice().into(), ..world.anchor(None) };
    assert_eq!(problems(&look(&registry, &image, &by(&[broken]))), [Code::AnchorUnusable]);
}

#[test]
fn a_bundle_about_another_image_proves_nothing_here() {
    let (world, image) = (World::new(), image("a"));
    let registry = with_bundle(&image, &world.bundle_about(&Leaf::default(), &Digest::sha256_of(b"other")));
    let findings = look(&registry, &image, &by(&[world.anchor(None)]));
    assert!(findings.claims.is_empty());
    assert_eq!(problems(&findings), [Code::CosignDigestMismatch]);
}

/// A bundle by key, with a log entry made for `entry_payload`.
fn logged(world: &World, key: &TestKey, payload: &[u8], entry_payload: &[u8]) -> Value {
    let signature = sign(key, &pae(IN_TOTO, payload));
    let verifier = key.public_key().to_pem();
    json!({
        "mediaType": crate::bundle::MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": key.public_key().hint()},
            "tlogEntries": [world.entry(0, entry_payload, &signature, &verifier)]
        },
        "dsseEnvelope": {"payload": encode(payload), "payloadType": IN_TOTO, "signatures": [{"sig": encode(&signature)}]}
    })
}

#[test]
fn a_log_entry_of_a_key_is_proven_or_says_why_not() {
    let (world, image, key) = (World::new(), image("a"), TestKey::new());
    let payload = crate::statement::build(&[image.digest], &std::collections::BTreeMap::new(), SIGN, "{}");
    let judged = |bundle: &Value| {
        let anchors = Anchors { sigstores: vec![world.anchor(None)], ..anchors(&[&key]) };
        only(&look(&with_bundle(&image, bundle), &image, &anchors)).clone()
    };
    let codes = |claim: &Claim| -> Vec<Code> { claim.log.problems.iter().map(|(_, reason)| reason.code).collect() };

    let claim = judged(&logged(&world, &key, &payload, &payload));
    assert_eq!((claim.log.proven.len(), claim.signed_at.map(|time| time.unix_seconds())), (1, Some(SIGNED)));
    let claim = judged(&logged(&world, &key, &payload, b"another payload"));
    assert_eq!((claim.log.proven.len(), codes(&claim)), (0, vec![Code::CosignLogMismatch]));
    let mut changed = logged(&world, &key, &payload, &payload);
    changed["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!((SIGNED + 60).to_string());
    assert_eq!(codes(&judged(&changed)), [Code::CosignLogInvalid]);
    changed["verificationMaterial"]["tlogEntries"] = json!([]);
    let claim = judged(&changed);
    assert_eq!((claim.signed_at, codes(&claim)), (None, vec![Code::CosignLogMissing]));
}

/// A `.sig` tag with one signature by certificate, whose log entry is about `entry_payload`.
fn legacy(world: &World, image: &Subject, payload: &[u8], entry_payload: &[u8]) -> Registry {
    let key = TestKey::new();
    let certificate = pem::encode(&pem::Pem::new("CERTIFICATE", world.certificate(&key, &Leaf::default())));
    let signature = encode(&sign(&key, payload));
    let body = json!({
        "apiVersion": "0.0.1", "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": Digest::sha256_of(entry_payload).hex()}},
            "signature": {"content": signature, "publicKey": {"content": encode(certificate.as_bytes())}}
        }
    });
    let entry = world.logged(0, "hashedrekord", body.to_string().as_bytes(), SIGNED);
    let id = hex::encode(crate::format::decode(entry["logId"]["keyId"].as_str().unwrap(), "it").unwrap());
    let log = json!({
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {"body": entry["canonicalizedBody"], "integratedTime": SIGNED, "logIndex": 5, "logID": id}
    });
    let written = build(payload, &Notes::of_signature(&signature));
    let mut manifest: Value = serde_json::from_slice(&written.manifest).unwrap();
    let annotations = &mut manifest["layers"][0]["annotations"];
    annotations["dev.sigstore.cosign/certificate"] = json!(certificate);
    annotations["dev.sigstore.cosign/chain"] = json!("");
    annotations["dev.sigstore.cosign/bundle"] = json!(log.to_string());
    assert_eq!(manifest["layers"][0]["mediaType"], SIMPLE_SIGNING);
    let mut registry = Registry::new();
    let repository = image.repository.clone();
    registry.put(Put::Blob { repository: repository.clone(), bytes: payload.to_vec() });
    registry.put(Put::TaggedManifest {
        repository,
        tag: signature_tag(&image.digest).unwrap(),
        media_type: written.media_type,
        bytes: manifest.to_string().into_bytes(),
    });
    registry
}

#[test]
fn a_legacy_signature_by_certificate_is_judged_as_a_bundle_is() {
    let (world, image) = (World::new(), image("a"));
    let payload = crate::simple_signing::build(&image.digest, &image.repository, None, &std::collections::BTreeMap::new());
    let findings = look(&legacy(&world, &image, &payload, &payload), &image, &by(&[world.anchor(None)]));
    let claim = only(&findings);
    assert_eq!(claim.principal.to_string(), format!("{IDENTITY} (issuer {ISSUER})"));
    assert_eq!(claim.repository.as_deref(), Some("registry.example/shop/cart"));
    assert!(!claim.log.proven[0].included, "a promise is all that a .sig tag can carry");

    let findings = look(&legacy(&world, &image, &payload, b"another"), &image, &by(&[world.anchor(None)]));
    assert_eq!(problems(&findings), [Code::CosignLogMismatch]);
    let mut demanding = world.anchor(None);
    demanding.thresholds.inclusion_proof = true;
    let findings = look(&legacy(&world, &image, &payload, &payload), &image, &by(&[demanding]));
    assert_eq!(problems(&findings), [Code::CosignLogMissing]);
}

#[test]
fn a_legacy_attestation_by_certificate_is_judged_too() {
    let (world, image) = (World::new(), image("a"));
    let bundle = world.bundle_about(&Leaf::default(), &image.digest);
    let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
    let certificate =
        crate::format::decode(bundle["verificationMaterial"]["certificate"]["rawBytes"].as_str().unwrap(), "it").unwrap();
    let id = hex::encode(crate::format::decode(entry["logId"]["keyId"].as_str().unwrap(), "it").unwrap());
    let log = json!({
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {"body": entry["canonicalizedBody"], "integratedTime": SIGNED, "logIndex": 5, "logID": id}
    });
    let envelope = bundle["dsseEnvelope"].to_string().into_bytes();
    let judged = |annotations: Value| {
        let layer = json!({
            "mediaType": crate::layout::signatures::DSSE, "size": envelope.len(), "digest": Digest::sha256_of(&envelope),
            "annotations": annotations
        });
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": [layer]});
        let (mut registry, repository) = (Registry::new(), image.repository.clone());
        registry.put(Put::Blob { repository: repository.clone(), bytes: envelope.clone() });
        let (tag, bytes) = (attestation_tag(&image.digest).unwrap(), manifest.to_string().into_bytes());
        registry.put(Put::TaggedManifest { repository, tag, media_type: OCI_MANIFEST.to_owned(), bytes });
        let (anchors, memory) = (by(&[world.anchor(None)]), Memory::new());
        let context = Context { anchors: &anchors, memory: &memory, now: at("2026-11-24T00:00:00Z") };
        let cosign = Cosign { read_attestations: true, ..Cosign::default() };
        let (evidence, _) = registry.gather(|evidence| cosign.wants(&image, evidence, &context));
        cosign.examine(&image, &evidence, &context)
    };
    let certificate = pem::encode(&pem::Pem::new("CERTIFICATE", certificate));
    let names = ["dev.cosignproject.cosign/signature", "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/bundle"];
    let findings = judged(json!({names[0]: "", names[1]: certificate, names[2]: log.to_string()}));
    assert!(only(&findings).principal.to_string().starts_with(IDENTITY));
    assert_eq!(problems(&judged(json!({names[0]: "", names[1]: certificate}))), [Code::CosignKeylessUnjudged]);
    let two = format!("{certificate}{certificate}");
    assert_eq!(problems(&judged(json!({names[0]: "", names[1]: two, names[2]: log.to_string()}))), [Code::CosignMalformed]);
}

/// A revocation by certificate is kept whole, for its envelope alone would not prove who signed it.
#[test]
fn a_revocation_by_certificate_is_remembered_and_proven_again() {
    let (world, image) = (World::new(), image("a"));
    let predicate = crate::revocation::predicate(crate::revocation::Cause::Mistake, "use 1.5", at("2026-11-20T12:00:00Z"));
    let kind = crate::revocation::PREDICATE_TYPE;
    let payload = crate::statement::build(&[image.digest], &std::collections::BTreeMap::new(), kind, &predicate);
    let bundle = world.bundle_of(&Leaf::default(), &payload).to_string().into_bytes();
    let mut registry = Registry::new();
    for put in attach(&image, bundle, kind) {
        registry.put(put);
    }
    let findings = look(&registry, &image, &by(&[world.anchor(None)]));
    assert!(matches!(only(&findings).statement, Statement::Revocation { .. }));

    let mut memory = Memory::new();
    for (name, slot) in findings.learnt {
        memory.learn(Cosign::default().name(), &name, slot);
    }
    let withheld = |anchors: &Anchors| {
        let context = Context { anchors, memory: &memory, now: at("2027-06-01T00:00:00Z") };
        Cosign::default().examine(&image, &Evidence::new(), &context).claims
    };
    let again = withheld(&by(&[world.anchor(None)]));
    assert!(matches!(again.as_slice(), [Claim { principal: Principal::Identity { .. }, .. }]), "{again:?}");
    assert!(withheld(&by(&[World::new().anchor(None)])).is_empty());
}

/// A revocation of `image` by certificate, as its maker would publish it.
fn revoked_by(world: &World, leaf: &Leaf, image: &Subject) -> Value {
    let predicate = crate::revocation::predicate(crate::revocation::Cause::Compromised, "leaked", at("2026-11-20T12:00:00Z"));
    let kind = crate::revocation::PREDICATE_TYPE;
    world.bundle_of(leaf, &crate::statement::build(&[image.digest], &std::collections::BTreeMap::new(), kind, &predicate))
}

/// An image that a key has signed, under a rule in which the release identity of `world` may revoke.
struct Revocable {
    registry: Registry,
    image: Subject,
    policy: Policy,
    memory: Memory,
    now: &'static str,
}

impl Revocable {
    fn new(anchor: SigstoreAnchor) -> Self {
        let (mut registry, image, key) = (Registry::new(), image("a"), TestKey::new());
        registry.publish(&crate::make::AddSignature::make(&crate::testing::signing(&image), &key).unwrap());
        let pem = key.public_key().to_pem();
        let text = format!(
            "version = 1\n[signers.key]\nscheme = \"cosign\"\nkey = '''{pem}'''\n[signers.ci]\nscheme = \"cosign\"\nidentity = \"{IDENTITY}\"\nissuer = \"{ISSUER}\"\n[[rules]]\nname = \"r\"\nimages = [\"**\"]\nrequire = {{ any = [\"key\"] }}\nrevokers = [\"ci\"]\n"
        );
        let text = PolicyText { name: "p.toml", text: &text, load: &|_| Err("no files".to_owned()) };
        let mut policy = Policy::parse(&text).unwrap();
        policy.sigstores = vec![anchor];
        Self { registry, image, policy, memory: Memory::new(), now: "2026-11-24T00:00:00Z" }
    }

    fn attach(&mut self, bundle: &Value) {
        for put in attach(&self.image, bundle.to_string().into_bytes(), crate::revocation::PREDICATE_TYPE) {
            self.registry.put(put);
        }
    }

    /// The verdict about the image, the codes against it and those of the remarks.
    fn judge(&mut self) -> (VerdictKind, Vec<Code>, Vec<Code>) {
        let schemes: [&dyn Scheme; 1] = [&Cosign::default()];
        let assessor = Assessor { policy: &self.policy, schemes: &schemes, memory: &self.memory, now: at(self.now) };
        let (evidence, _) = self.registry.gather(|evidence| assessor.wants(&self.image, evidence));
        let judged = assessor.assess(&self.image, &evidence);
        for (scheme, name, slot) in judged.learnt() {
            self.memory.learn(scheme, name, slot.clone());
        }
        let against = judged.judgement.verdict.reasons().iter().map(|reason| reason.code).collect();
        (judged.judgement.verdict.kind(), against, judged.judgement.warnings.iter().map(|warning| warning.code).collect())
    }
}

fn undecided(judged: &(VerdictKind, Vec<Code>, Vec<Code>)) -> bool {
    (judged.0, judged.1.as_slice()) == (VerdictKind::Undecided, [Code::PolicyRevocationUnproven].as_slice())
}

#[test]
fn a_revocation_by_a_named_identity_blocks_trust_though_its_proof_is_lacking() {
    let world = World::new();
    let whole = |image: &Subject| revoked_by(&world, &Leaf::default(), image);
    let judged = |anchor: SigstoreAnchor, change: &dyn Fn(&mut Value)| {
        let mut revocable = Revocable::new(anchor);
        assert_eq!(revocable.judge().0, VerdictKind::Trusted, "before");
        let mut bundle = whole(&revocable.image);
        change(&mut bundle);
        revocable.attach(&bundle);
        revocable.judge()
    };
    let (kind, codes, _) = judged(world.anchor(None), &|_| {});
    assert_eq!((kind, codes), (VerdictKind::Rejected, vec![Code::CosignRevoked]), "with all its proof");
    let mut before = Revocable { now: "2026-11-20T11:00:00Z", ..Revocable::new(world.anchor(None)) };
    before.attach(&whole(&before.image));
    assert!(undecided(&before.judge()), "signed later than the time it is judged as of");
    let demanding = |change: &dyn Fn(&mut SigstoreAnchor)| {
        let mut anchor = world.anchor(None);
        change(&mut anchor);
        anchor
    };
    assert!(undecided(&judged(demanding(&|anchor| anchor.thresholds.logs = 2), &|_| {})));
    assert!(undecided(&judged(demanding(&|anchor| anchor.thresholds.certificate_logs = 2), &|_| {})));
    assert!(undecided(&judged(demanding(&|anchor| anchor.trusted_root = b"{}".as_slice().into()), &|_| {})));
    assert!(undecided(&judged(World::new().anchor(None), &|_| {})), "another trusted root");
    let without_log = |bundle: &mut Value| bundle["verificationMaterial"]["tlogEntries"] = json!([]);
    assert!(undecided(&judged(world.anchor(None), &without_log)));
    // Bytes that nobody signed are nobody's word, whatever their certificate says.
    let altered = |bundle: &mut Value| {
        let other = revoked_by(&world, &Leaf::default(), &image("a"));
        bundle["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"].clone();
    };
    let (kind, _, remarks) = judged(world.anchor(None), &altered);
    assert_eq!((kind, remarks), (VerdictKind::Trusted, vec![Code::PolicyRevocationByOther]));
}

#[test]
fn what_a_stranger_says_of_an_image_is_told_and_blocks_nothing() {
    let (world, other) = (World::new(), World::new());
    let stranger = Leaf { names: vec![rcgen::SanType::Rfc822Name("mallory@example.com".try_into().unwrap())], ..Leaf::default() };
    let mut revocable = Revocable::new(world.anchor(None));
    for number in 0..3 {
        let mut junk = revoked_by(&other, &stranger, &revocable.image);
        junk["number"] = json!(number);
        revocable.attach(&junk);
    }
    revocable.attach(&json!({"mediaType": "no bundle"}));
    let (kind, _, remarks) = revocable.judge();
    assert_eq!((kind, remarks), (VerdictKind::Trusted, vec![Code::PolicyRevocationByOther]), "once, however many there are");
    // About another image, or no revocation at all: nothing is said of this one.
    let mut revocable = Revocable::new(world.anchor(None));
    revocable.attach(&revoked_by(&other, &Leaf::default(), &image("b")));
    revocable.attach(&other.bundle_about(&Leaf::default(), &image("a").digest));
    let (kind, _, remarks) = revocable.judge();
    assert_eq!((kind, remarks), (VerdictKind::Trusted, vec![]));
}

#[test]
fn a_remembered_revocation_counts_when_the_trusted_root_is_another_one() {
    let (world, other) = (World::new(), World::new());
    let mut revocable = Revocable::new(world.anchor(None));
    let revocation = revoked_by(&world, &Leaf::default(), &revocable.image);
    revocable.attach(&revocation);
    assert_eq!(revocable.judge().1, [Code::CosignRevoked]);
    let listing = Locator::Referrers { repository: revocable.image.repository.clone(), digest: revocable.image.digest };
    revocable.registry.faults.insert(listing, Entry::Absent);
    assert_eq!(revocable.judge().1, [Code::CosignRevoked], "withheld");
    revocable.policy.sigstores = vec![other.anchor(None)];
    assert!(undecided(&revocable.judge()), "it was proven here once");
    revocable.memory = Memory::new();
    assert_eq!(revocable.judge().0, VerdictKind::Trusted, "who never saw it knows nothing of it");
}
