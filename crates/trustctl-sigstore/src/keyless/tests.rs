//! Each link of the chain, broken once: what must pass beside what must fail, and by which code.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]

mod advisories;
mod own_authority;
pub(crate) mod world;

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use serde_json::{Value, json};
use trustctl_core::reason::Code;
use trustctl_core::scheme::Thresholds;

use world::{IDENTITY, ISSUER, Leaf, SIGNED, World, fulcio, utf8};

use super::Fault;

/// The code of the fault; a proof is none.
fn code(judged: Result<super::Proof, Fault>) -> Option<Code> {
    judged.err().map(|fault| fault.code)
}

fn usual(world: &World, bundle: &Value) -> Option<Code> {
    code(world.judge(bundle, Thresholds::default()))
}

fn entry(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["tlogEntries"][0]
}

#[test]
fn a_whole_chain_proves_who_signed_and_when() {
    let world = World::new();
    let proof = world.judge(&world.bundle(&Leaf::default()), Thresholds { logs: 1, ..Thresholds::default() }).unwrap();
    let certificate = proof.certificate.unwrap();
    assert_eq!((certificate.identity.as_str(), certificate.issuer.as_str()), (IDENTITY, ISSUER));
    assert_eq!(certificate.claims["source-repository-ref"], "refs/tags/v1");
    assert_eq!(proof.times.first().unwrap().unix_seconds(), SIGNED);
    let [entry] = proof.entries.as_slice() else { unreachable!("there is one") };
    assert_eq!((entry.operator.as_str(), entry.index, entry.included), ("log-a", 5, true));
}

/// CVE-2022-36056, CVE-2022-23649, CVE-2026-22703.
#[test]
fn an_entry_about_another_signature_is_refused() {
    let world = World::new();
    let mut bundle = world.bundle(&Leaf::default());
    assert_eq!(usual(&world, &bundle), None);
    let other = world.bundle(&Leaf::default())["verificationMaterial"]["tlogEntries"].clone();
    bundle["verificationMaterial"]["tlogEntries"] = other;
    assert_eq!(usual(&world, &bundle), Some(Code::CosignLogMismatch));
}

#[test]
fn a_log_entry_must_hold_in_each_part() {
    let world = World::new();
    let whole = world.bundle(&Leaf::default());
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut bundle = whole.clone();
        change(entry(&mut bundle));
        usual(&world, &bundle)
    };
    let zero = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_eq!(broken(&|_| {}), None);
    assert_eq!(broken(&|entry| entry["integratedTime"] = json!((SIGNED + 60).to_string())), Some(Code::CosignLogInvalid));
    assert_eq!(broken(&|entry| entry["logIndex"] = json!("6")), Some(Code::CosignLogInvalid));
    assert_eq!(broken(&|entry| entry["inclusionProof"]["hashes"] = json!([zero])), Some(Code::CosignLogInvalid));
    assert_eq!(broken(&|entry| entry["inclusionProof"]["checkpoint"] = json!(null)), Some(Code::CosignMalformed));
    assert_eq!(broken(&|entry| entry["inclusionProof"] = json!(null)), Some(Code::CosignLogMissing));
    assert_eq!(broken(&|entry| entry["logId"]["keyId"] = zero.clone()), Some(Code::CosignLogUnknown));
}

/// Where a checkpoint is by a trusted log, but not by the one that the entry names, the library alone is content.
#[test]
fn a_checkpoint_of_another_trusted_log_is_refused() {
    let world = World::new();
    let mut bundle = world.bundle(&Leaf::default());
    let body = crate::format::decode(entry(&mut bundle)["canonicalizedBody"].as_str().unwrap(), "it").unwrap();
    let other = world.logged(1, "dsse", &body, SIGNED);
    assert_eq!(usual(&world, &bundle), None);
    entry(&mut bundle)["inclusionProof"]["checkpoint"] = other["inclusionProof"]["checkpoint"].clone();
    assert_eq!(usual(&world, &bundle), Some(Code::CosignLogInvalid));
}

/// Naming an older version must not spare the proof where it is demanded.
#[test]
fn a_downgraded_media_type_does_not_spare_a_demanded_proof() {
    let world = World::new();
    let mut bundle = world.bundle(&Leaf::default());
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.1");
    let demanding = Thresholds { inclusion_proof: true, ..Thresholds::default() };
    assert_eq!(code(world.judge(&bundle, demanding)), None);
    entry(&mut bundle)["inclusionProof"] = json!(null);
    assert_eq!(usual(&world, &bundle), None, "a promise is enough in version 0.1");
    assert_eq!(code(world.judge(&bundle, demanding)), Some(Code::CosignLogMissing));
}

/// sigstore-go GHSA-cq38-jh5f-37mq.
#[test]
fn entries_are_limited_and_never_there_twice() {
    let world = World::new();
    let mut bundle = world.bundle(&Leaf::default());
    let one = entry(&mut bundle).clone();
    for count in [2, 33] {
        bundle["verificationMaterial"]["tlogEntries"] = json!(vec![one.clone(); count]);
        assert_eq!(usual(&world, &bundle), Some(Code::CosignMalformed), "{count}");
    }
    bundle["verificationMaterial"]["tlogEntries"] = json!([]);
    assert_eq!(usual(&world, &bundle), Some(Code::CosignTimeMissing));
}

/// sigstore-go #633: a threshold that one operator meets alone is none.
#[test]
fn thresholds_count_operators() {
    let world = World::new();
    let mut bundle = world.bundle(&Leaf::default());
    let body = crate::format::decode(entry(&mut bundle)["canonicalizedBody"].as_str().unwrap(), "it").unwrap();
    let two = Thresholds { logs: 2, times: 2, ..Thresholds::default() };
    let mut same = world.logged(0, "dsse", &body, SIGNED);
    same["logIndex"] = json!("6");
    assert_eq!(code(world.judge(&bundle, two)), Some(Code::CosignThreshold));
    let entries = bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
    entries.push(world.logged(1, "dsse", &body, SIGNED));
    assert_eq!(code(world.judge(&bundle, two)), None);

    let two = Thresholds { certificate_logs: 2, ..Thresholds::default() };
    let bundle = |timestamps| world.bundle(&Leaf { timestamps, ..Leaf::default() });
    assert_eq!(code(world.judge(&bundle(2), two)), None);
    assert_eq!(code(world.judge(&bundle(1), two)), Some(Code::CosignThreshold));
    assert_eq!(usual(&world, &bundle(2)), None, "several timestamps are no fault");
    assert_eq!(usual(&world, &bundle(0)), Some(Code::CosignCertificateUnlogged));
    assert_eq!(code(world.judge(&bundle(0), Thresholds { certificate_logs: 0, ..Thresholds::default() })), None);
}

/// GHSA-wfqv-66vq-46rm (CVE-2026-24122): the authority had expired when it issued, and its window in the root was left open.
#[test]
fn an_authority_that_had_expired_vouches_for_nothing() {
    let world = World::new();
    assert_eq!(usual(&world, &world.bundle(&Leaf::default())), None);
    let expired = World::new().with_authority_of((2020, 2026));
    assert_eq!(usual(&expired, &expired.bundle(&Leaf::default())), Some(Code::CosignCertificateUntrusted));
    let stranger = World::new();
    let mut root = world.root();
    root["certificateAuthorities"] = stranger.root()["certificateAuthorities"].clone();
    let bundle = world.bundle(&Leaf::default()).to_string();
    let anchor =
        trustctl_core::scheme::SigstoreAnchor { trusted_root: root.to_string().into_bytes().into(), ..world.anchor(None) };
    let (instance, image) = (super::Instance::new(&anchor).unwrap(), world::image());
    let question = super::Question { bundle: bundle.as_bytes(), about: super::About::Digest(&image), by: super::By::Certificate };
    assert_eq!(code(instance.verify(question, "2026-11-23".parse().unwrap())), Some(Code::CosignCertificateUntrusted));
}

#[test]
fn the_certificate_must_be_for_code_and_name_exactly_one() {
    let world = World::new();
    let judged = |leaf: &Leaf| usual(&world, &world.bundle(leaf));
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let email = SanType::Rfc822Name("dev@example.com".try_into().unwrap());
    assert_eq!(judged(&Leaf { names: vec![email.clone()], ..Leaf::default() }), None);
    assert_eq!(judged(&Leaf { names: vec![email, uri(IDENTITY)], ..Leaf::default() }), Some(Code::CosignMalformed));
    assert_eq!(judged(&Leaf { names: Vec::new(), ..Leaf::default() }), Some(Code::CosignMalformed));
    let server = Leaf { usage: ExtendedKeyUsagePurpose::ServerAuth, ..Leaf::default() };
    assert_eq!(judged(&server), Some(Code::CosignCertificateUntrusted));
    let trailing = [utf8(ISSUER), vec![0]].concat();
    assert_eq!(judged(&Leaf { extensions: vec![fulcio(8, &trailing)], ..Leaf::default() }), Some(Code::CosignMalformed));
    let bare = Leaf { extensions: vec![fulcio(14, b"refs/tags/v1")], ..Leaf::default() };
    assert_eq!(judged(&bare), Some(Code::CosignMalformed), "the newer extensions are DER");
}

#[test]
fn every_extension_of_fulcio_is_read() {
    let extensions = (1..=6).map(|number| fulcio(number, format!("v{number}").as_bytes()));
    let extensions = extensions.chain((8..=24).map(|number| fulcio(number, &utf8(&format!("v{number}"))))).collect();
    let world = World::new();
    let proof = world.judge(&world.bundle(&Leaf { extensions, ..Leaf::default() }), Thresholds::default()).unwrap();
    let claims = proof.certificate.unwrap().claims;
    for (number, name) in trustctl_core::claim::CERTIFICATE_CLAIMS {
        assert_eq!(claims[name], format!("v{number}"));
    }
}

#[test]
fn times_lie_within_the_certificate_and_not_in_the_future() {
    let world = World::new();
    let bundle = world.bundle(&Leaf::default());
    let at = |now: &str| code(world.judge_at(&bundle, Thresholds::default(), now.parse().unwrap()));
    assert_eq!(at("2026-11-20T12:00:00Z"), None);
    assert_eq!(at("2026-11-20T11:59:59Z"), Some(Code::CosignTimeInFuture));

    let mut late = bundle.clone();
    let body = crate::format::decode(entry(&mut late)["canonicalizedBody"].as_str().unwrap(), "it").unwrap();
    *entry(&mut late) = world.logged(0, "dsse", &body, SIGNED + 86_400);
    assert_eq!(usual(&world, &late), Some(Code::CosignCertificateExpired));
    entry(&mut late)["inclusionPromise"] = json!(null);
    assert_eq!(usual(&world, &late), Some(Code::CosignTimeMissing), "beside an inclusion proof a time is anybody's word");
}

/// GHSA-w6c6-c85g-mmv6, and what two readers could read differently.
#[test]
fn the_envelope_must_be_one_signed_statement_about_the_image() {
    let world = World::new();
    let whole = world.bundle(&Leaf::default());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut bundle = whole.clone();
        change(&mut bundle["dsseEnvelope"]);
        usual(&world, &bundle)
    };
    assert_eq!(changed(&|envelope| envelope["payload"] = json!("e30=")), Some(Code::CosignMalformed));
    assert_eq!(changed(&|envelope| envelope["payloadType"] = json!("text/plain")), Some(Code::CosignMalformed));
    let twice = |envelope: &mut Value| {
        let signature = envelope["signatures"][0].clone();
        envelope["signatures"] = json!([signature, signature]);
    };
    assert_eq!(changed(&twice), Some(Code::CosignMalformed));
    let other = trustctl_core::digest::Digest::sha256_of(b"other");
    assert_eq!(usual(&world, &world.bundle_about(&Leaf::default(), &other)), Some(Code::CosignDigestMismatch));
    let mut of_another = whole.clone();
    of_another["dsseEnvelope"] = world.bundle(&Leaf::default())["dsseEnvelope"].clone();
    assert_eq!(usual(&world, &of_another), Some(Code::CosignBadSignature));
}

#[test]
fn a_damaged_bundle_never_panics_and_proves_nobody_else() {
    use proptest::prelude::*;
    let world = World::new();
    let whole = world.bundle(&Leaf::default()).to_string().into_bytes();
    let (instance, image) = (super::Instance::new(&world.anchor(None)).unwrap(), world::image());
    proptest!(|(at in 0..whole.len(), byte in any::<u8>())| {
        let mut bundle = whole.clone();
        bundle[at] = byte;
        let question = super::Question { bundle: &bundle, about: super::About::Digest(&image), by: super::By::Certificate };
        if let Ok(proof) = instance.verify(question, "2026-11-23".parse().unwrap()) {
            prop_assert_eq!(proof.certificate.unwrap().identity, IDENTITY);
        }
    });
}
