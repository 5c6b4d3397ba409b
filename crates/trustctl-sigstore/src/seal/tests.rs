//! What is asked, byte for byte; what is answered, judged; and that only what holds is sealed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]

use proptest::prelude::*;
use serde_json::{Value, json};
use trustctl_core::signer::Signer as _;

use super::authority::{Chain, request};
use super::log::Entry;
use super::timestamp::Query;
use super::*;
use crate::dsse::IN_TOTO;
use crate::format::decode;
use crate::keyless::tests::world::{IDENTITY, ISSUER, Leaf, SIGNED, World};
use crate::signing_config::LogApi;
use crate::statement::{self, SIGN};
use crate::testing::TestKey;

fn image() -> Digest {
    Digest::sha256_of(b"image")
}

fn now() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

fn certificate_pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", der))
}

/// What an authority of the world answers for `key`.
fn issued(world: &World, key: &TestKey) -> Value {
    let leaf = certificate_pem(&world.certificate(key, &Leaf::default()));
    json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": [leaf]}}})
}

fn chain(world: &World, key: &TestKey) -> Chain {
    Chain::parse(issued(world, key).to_string().as_bytes(), key.public_key()).unwrap()
}

fn hexed(base64: &Value) -> String {
    hex::encode(decode(base64.as_str().unwrap(), "it").unwrap())
}

/// What a Rekor v1 of the world answers to `request`.
fn logged(world: &World, request: &[u8]) -> Value {
    let proposal: Value = serde_json::from_slice(request).unwrap();
    let body = match proposal["kind"].as_str().unwrap() {
        "hashedrekord" => proposal.clone(),
        _ => {
            let envelope: Value =
                serde_json::from_str(proposal["spec"]["proposedContent"]["envelope"].as_str().unwrap()).unwrap();
            let payload = decode(envelope["payload"].as_str().unwrap(), "it").unwrap();
            json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "00".repeat(32)},
                "payloadHash": {"algorithm": "sha256", "value": Digest::sha256_of(&payload).hex()},
                "signatures": [{
                    "signature": envelope["signatures"][0]["sig"], "verifier": proposal["spec"]["proposedContent"]["verifiers"][0]
                }]
            }})
        }
    };
    let entry = world.logged(0, proposal["kind"].as_str().unwrap(), body.to_string().as_bytes(), SIGNED);
    let proof = &entry["inclusionProof"];
    json!({ "24296fb24b8ad77a": {
        "body": entry["canonicalizedBody"], "integratedTime": SIGNED, "logID": hexed(&entry["logId"]["keyId"]), "logIndex": 5,
        "verification": {
            "inclusionProof": {
                "logIndex": 0, "rootHash": hexed(&proof["rootHash"]), "treeSize": 1, "hashes": [],
                "checkpoint": proof["checkpoint"]["envelope"]
            },
            "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"]
        }
    }})
}

fn statement() -> Vec<u8> {
    statement::build(&[image()], &std::collections::BTreeMap::new(), SIGN, "{}")
}

/// An envelope by an identity of the world, and the log's answer for it.
fn answered(world: &World) -> (Signed, Value) {
    let key = TestKey::new();
    let signed = Signed::envelope(&key, Some(chain(world, &key)), IN_TOTO, statement()).unwrap();
    let answer = logged(world, &signed.log_request(LogApi::V1).unwrap());
    (signed, answer)
}

fn instance(world: &World) -> Instance {
    Instance::new(&world.anchor(None)).unwrap()
}

fn sealed(signed: Signed, answer: &Value) -> Sealed {
    let entry = Entry::parse(answer.to_string().as_bytes(), LogApi::V1).unwrap();
    signed.sealed(vec![entry], Vec::new())
}

fn judged(world: &World, sealed: &Sealed) -> Option<Code> {
    sealed.judge(&instance(world), About::Digest(&image()), now()).err().map(|fault| fault.code)
}

#[test]
fn an_identitys_envelope_is_sealed_and_names_who_signed_and_when() {
    let world = World::new();
    let (signed, answer) = answered(&world);
    let sealed = sealed(signed, &answer);
    let proof = sealed.judge(&instance(&world), About::Digest(&image()), now()).unwrap();
    let certificate = proof.certificate.unwrap();
    assert_eq!((certificate.identity.as_str(), certificate.issuer.as_str()), (IDENTITY, ISSUER));
    assert_eq!(proof.times.first().unwrap().unix_seconds(), SIGNED);

    let bundle = String::from_utf8(sealed.bundle()).unwrap();
    let start = concat!(
        r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"#,
        "\""
    );
    assert!(bundle.starts_with(start), "{bundle}");
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
    assert_eq!(entry["logIndex"], "5");
    assert_eq!(entry["integratedTime"], SIGNED.to_string());
    // protojson leaves zeros out, and sigstore-python refuses a bundle without them.
    assert_eq!((&entry["inclusionProof"]["logIndex"], &entry["inclusionProof"]["hashes"]), (&json!("0"), &json!([])));
    assert_eq!(entry["inclusionProof"]["treeSize"], "1");
    assert_eq!(bundle["verificationMaterial"]["timestampVerificationData"], Value::Null);
    assert_eq!(bundle["verificationMaterial"]["x509CertificateChain"], Value::Null);
}

#[test]
fn a_key_is_sealed_with_its_hint_and_its_log_entry() {
    let (world, key) = (World::new(), TestKey::new());
    let alone = Signed::envelope(&key, None, IN_TOTO, statement()).unwrap().sealed(Vec::new(), Vec::new());
    let envelope = alone.envelope().unwrap();
    let as_before = crate::bundle::Bundle::build(envelope, &key.public_key().hint());
    assert_eq!(alone.bundle(), as_before, "a key alone writes what it always wrote");

    let signed = Signed::envelope(&key, None, IN_TOTO, statement()).unwrap();
    let answer = logged(&world, &signed.log_request(LogApi::V1).unwrap());
    let sealed = sealed(signed, &answer);
    let proof = sealed.judge(&instance(&world), About::Digest(&image()), now()).unwrap();
    assert_eq!((proof.certificate, proof.entries.len()), (None, 1));
}

#[test]
fn a_message_is_sealed_for_a_bundle_and_for_a_layer() {
    let (world, key) = (World::new(), TestKey::new());
    let signed = Signed::message(&key, Some(chain(&world, &key)), b"payload").unwrap();
    let answer = logged(&world, &signed.log_request(LogApi::V1).unwrap());
    let sealed = sealed(signed, &answer);
    let instance = instance(&world);
    assert!(sealed.judge(&instance, About::Bytes(b"payload"), now()).is_ok());
    assert!(sealed.judge_layer(&instance, b"payload", now()).is_ok());
    assert_eq!(sealed.judge_layer(&instance, b"another", now()).unwrap_err().code, Code::CosignBadSignature);
    let notes = sealed.notes().unwrap();
    assert!(notes.certificate.unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
    let log: Value = serde_json::from_str(&notes.log_entry.unwrap()).unwrap();
    assert_eq!((&log["Payload"]["logIndex"], &log["Payload"]["integratedTime"]), (&json!(5), &json!(SIGNED)));
    let bundle: Value = serde_json::from_slice(&sealed.bundle()).unwrap();
    assert_eq!(bundle["messageSignature"]["messageDigest"]["algorithm"], "SHA2_256");
}

#[test]
fn what_a_log_answers_falsely_is_not_sealed() {
    let world = World::new();
    let (signed, whole) = answered(&world);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut answer = whole.clone();
        change(&mut answer["24296fb24b8ad77a"]);
        judged(&world, &sealed(signed.clone(), &answer))
    };
    assert_eq!(with(&|_| {}), None);
    assert_eq!(with(&|entry| entry["integratedTime"] = json!(SIGNED + 1)), Some(Code::CosignLogInvalid));
    assert_eq!(with(&|entry| entry["logIndex"] = json!(6)), Some(Code::CosignLogInvalid));
    assert_eq!(with(&|entry| entry["logID"] = json!("00".repeat(32))), Some(Code::CosignLogUnknown));
    let proof =
        |name: &'static str, value: Value| move |entry: &mut Value| entry["verification"]["inclusionProof"][name] = value.clone();
    assert_eq!(with(&proof("rootHash", json!("00".repeat(32)))), Some(Code::CosignLogInvalid));
    assert_eq!(with(&proof("hashes", json!(["00".repeat(32)]))), Some(Code::CosignLogInvalid));
    assert_eq!(with(&proof("checkpoint", json!("log.example - 1\n1\nAAAA\n\n"))), Some(Code::CosignMalformed));
    let (_, other) = answered(&world);
    assert_eq!(judged(&world, &sealed(signed, &other)), Some(Code::CosignLogMismatch), "another signature's entry");
}

#[test]
fn an_entry_is_told_from_another_signatures() {
    let (world, key) = (World::new(), TestKey::new());
    let envelope = Signed::envelope(&key, None, IN_TOTO, statement()).unwrap();
    let message = Signed::message(&key, None, b"payload").unwrap();
    for (signed, other) in [(&envelope, &message), (&message, &envelope)] {
        let answer = logged(&world, &signed.log_request(LogApi::V1).unwrap());
        let entry = Entry::parse(answer.to_string().as_bytes(), LogApi::V1).unwrap();
        assert!(entry.is_of(signed.signature()) && !entry.is_of(other.signature()) && !entry.is_of(b""));
    }
}

#[test]
fn what_is_no_entry_is_refused() {
    let (_, whole) = answered(&World::new());
    let parse = |answer: &Value, api| Entry::parse(answer.to_string().as_bytes(), api).err().map(|fault| fault.code);
    assert_eq!(parse(&whole, LogApi::V1), None);
    let mut two = whole.clone();
    two["another"] = whole["24296fb24b8ad77a"].clone();
    let mut long = whole.clone();
    long["24296fb24b8ad77a"]["verification"]["inclusionProof"]["hashes"] = json!(vec!["00"; 65]);
    for answer in [two, long, json!({}), json!([]), json!({"uuid": {"body": "e30="}}), json!("x")] {
        assert_eq!(parse(&answer, LogApi::V1), Some(Code::CosignMalformed), "{answer}");
    }
    assert_eq!(parse(&whole, LogApi::V2), Some(Code::CosignMalformed));
    assert!(Entry::parse(&vec![b' '; 1024 * 1024 + 1], LogApi::V1).is_err());
}

#[test]
fn an_entry_of_rekor_2_is_kept_in_a_bundle_and_not_in_a_layer() {
    let key = TestKey::new();
    let signed = Signed::message(&key, None, b"payload").unwrap();
    let request: Value = serde_json::from_slice(&signed.log_request(LogApi::V2).unwrap()).unwrap();
    let inner = &request["hashedRekordRequestV002"];
    assert_eq!(inner["digest"], encode(Digest::sha256_of(b"payload").as_bytes()));
    assert_eq!(inner["signature"]["verifier"]["keyDetails"], "PKIX_ECDSA_P256_SHA_256");
    assert_eq!(inner["signature"]["verifier"]["publicKey"]["rawBytes"], encode(key.public_key().spki_der()));
    let answer = json!({
        "logIndex": "0", "logId": {"keyId": "AQID"}, "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"}, "integratedTime": "0",
        "inclusionProof": {"rootHash": "AAAA", "treeSize": "1", "checkpoint": {"envelope": "a\n1\nAAAA\n"}}, "canonicalizedBody": "e30="
    });
    let entry = Entry::parse(answer.to_string().as_bytes(), LogApi::V2).unwrap();
    let sealed = signed.sealed(vec![entry], Vec::new());
    assert_eq!(sealed.notes().unwrap_err().code, Code::LegacyNotPossible);
    let bundle: Value = serde_json::from_slice(&sealed.bundle()).unwrap();
    let written = &bundle["verificationMaterial"]["tlogEntries"][0];
    assert_eq!(
        (&written["integratedTime"], &written["logIndex"], &written["inclusionPromise"]),
        (&Value::Null, &json!("0"), &Value::Null)
    );
}

#[test]
fn the_envelope_is_logged_in_rekor_2_as_the_hash_of_what_is_signed() {
    let (world, key) = (World::new(), TestKey::new());
    let signed = Signed::envelope(&key, Some(chain(&world, &key)), IN_TOTO, statement()).unwrap();
    let request: Value = serde_json::from_slice(&signed.log_request(LogApi::V2).unwrap()).unwrap();
    let digest = Digest::sha256_of(&pae(IN_TOTO, &statement()));
    assert_eq!(request["hashedRekordRequestV002"]["digest"], encode(digest.as_bytes()));
    let verifier = &request["hashedRekordRequestV002"]["signature"]["verifier"];
    assert!(verifier["x509Certificate"]["rawBytes"].is_string() && verifier["publicKey"].is_null());
}

#[test]
fn a_key_that_a_log_cannot_take_is_named() {
    let key = TestKey::ed25519();
    let signed = Signed::message(&key, None, b"payload").unwrap();
    for api in [LogApi::V1, LogApi::V2] {
        assert_eq!(signed.log_request(api).unwrap_err().code, Code::KeyUnsupported);
    }
    assert!(Signed::envelope(&key, None, IN_TOTO, statement()).unwrap().log_request(LogApi::V1).is_ok());
    let key = TestKey::ecdsa(crate::testing::Ecdsa::P384);
    let signed = Signed::envelope(&key, None, IN_TOTO, statement()).unwrap();
    for api in [LogApi::V1, LogApi::V2] {
        assert_eq!(signed.log_request(api).unwrap_err().code, Code::KeyUnsupported);
    }
}

#[test]
fn a_certificate_must_be_for_the_key_that_was_sent() {
    let (world, key) = (World::new(), TestKey::new());
    let answer = issued(&world, &key).to_string();
    assert!(Chain::parse(answer.as_bytes(), key.public_key()).is_ok());
    let fault = Chain::parse(answer.as_bytes(), TestKey::new().public_key()).unwrap_err();
    assert_eq!(fault.code, Code::NotOurs);
    let detached = answer.replace("EmbeddedSct", "DetachedSct");
    let fault = Chain::parse(detached.as_bytes(), key.public_key()).unwrap_err();
    assert_eq!(fault.code, Code::CosignCertificateUnlogged);
    let many = json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": vec![""; 9]}}}).to_string();
    for bad in ["", "{", &many, &answer.replace("BEGIN CERTIFICATE", "BEGIN PUBLIC KEY"), &answer.replace("MII", "AII")] {
        assert_eq!(Chain::parse(bad.as_bytes(), key.public_key()).unwrap_err().code, Code::CosignMalformed, "{bad}");
    }
}

#[test]
fn the_holder_of_the_key_proves_it_over_the_identity() {
    let key = TestKey::new();
    let request: Value = serde_json::from_slice(&request(&key, "dev@example.test").unwrap()).unwrap();
    let inner = &request["publicKeyRequest"];
    assert_eq!(
        (&inner["publicKey"]["algorithm"], &inner["publicKey"]["content"]),
        (&json!("ECDSA"), &json!(key.public_key().to_pem()))
    );
    let proof = decode(inner["proofOfPossession"].as_str().unwrap(), "it").unwrap();
    assert!(crate::keys::has_signed(key.public_key(), b"dev@example.test", &proof));
    assert!(!crate::keys::has_signed(key.public_key(), b"other@example.test", &proof));
}

/// A TimeStampResp for this imprint and nonce, in CMS that nobody signed: enough for what is compared here.
fn stamp(digest: &Digest, nonce: &[u8], status: u8) -> Vec<u8> {
    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, &content].concat()
    }
    fn short(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat()
    }
    let sha256 = short(0x06, &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]);
    let imprint = short(0x30, &[short(0x30, &sha256), short(0x04, digest.as_bytes())].concat());
    let policy = short(0x06, &[0x2b, 0x06, 0x01]);
    let time = short(0x18, b"20261120120000Z");
    let info = [short(0x02, &[1]), policy, imprint, short(0x02, &[7]), time, short(0x30, &short(0x02, &[1])), short(0x02, nonce)];
    let info = short(0x30, &info.concat());
    let tst_info = short(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04]);
    let encapsulated = tlv(0x30, &[&tst_info, &tlv(0xa0, &[&tlv(0x04, &[&info])])]);
    let signed = tlv(0x30, &[&short(0x02, &[3]), &short(0x31, &[]), &encapsulated, &short(0x31, &[])]);
    let signed_data = short(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02]);
    let token = tlv(0x30, &[&signed_data, &tlv(0xa0, &[&signed])]);
    tlv_minimal(&[&short(0x30, &short(0x02, &[status])), &minimal(&token)])
}

/// Lengths in their shortest form all the way down, as DER demands.
fn minimal(der: &[u8]) -> Vec<u8> {
    let (tag, length) = (der[0], usize::from(u16::from_be_bytes([der[2], der[3]])));
    let content = &der[4..4 + length];
    let mut inner = Vec::new();
    let mut rest = content;
    while !rest.is_empty() && tag & 0x20 != 0 {
        let (size, long) = if rest[1] == 0x82 {
            (4 + usize::from(u16::from_be_bytes([rest[2], rest[3]])), true)
        } else {
            (2 + usize::from(rest[1]), false)
        };
        inner.extend(if long { minimal(&rest[..size]) } else { rest[..size].to_vec() });
        rest = &rest[size..];
    }
    if tag & 0x20 == 0 {
        inner = content.to_vec();
    }
    [header(tag, inner.len()), inner].concat()
}

fn header(tag: u8, length: usize) -> Vec<u8> {
    match u8::try_from(length).unwrap_or(u8::MAX) {
        short @ ..=0x7f => vec![tag, short],
        _ if length < 256 => vec![tag, 0x81, u8::try_from(length).unwrap()],
        _ => [&[tag, 0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
    }
}

fn tlv_minimal(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [header(0x30, content.len()), content].concat()
}

#[test]
fn a_timestamp_must_answer_the_question_that_was_sent() {
    let query = Query::new(b"signature", [0xff; 8]);
    let nonce = [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let digest = Digest::sha256_of(b"signature");
    let good = stamp(&digest, &nonce, 0);
    assert_eq!(query.answered(&good).unwrap(), good);
    let code = |answer: &[u8]| query.answered(answer).unwrap_err().code;
    assert_eq!(code(&stamp(&Digest::sha256_of(b"another"), &nonce, 0)), Code::NotOurs);
    assert_eq!(code(&stamp(&digest, &[0x41; 8], 0)), Code::NotOurs);
    assert_eq!(code(&stamp(&digest, &nonce, 2)), Code::ServiceRefused);
    assert_eq!(code(&[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x00]), Code::CosignMalformed);
    assert_eq!(code(&[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02]), Code::ServiceRefused);
    assert_eq!(code(b"<html>"), Code::CosignMalformed);
    assert_eq!(code(&vec![0x30; 64 * 1024 + 1]), Code::CosignMalformed);
    let question = query.der();
    assert_eq!(question.len(), usize::from(question[1]) + 2);
    assert!(question.ends_with(&[0x01, 0x01, 0xff]), "the authority's certificate is asked for");
}

proptest! {
    #[test]
    fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let key = TestKey::new();
        let _ = Chain::parse(&bytes, key.public_key());
        let _ = Query::new(b"signature", [1; 8]).answered(&bytes);
        for api in [LogApi::V1, LogApi::V2] {
            let _ = Entry::parse(&bytes, api);
        }
    }

    #[test]
    fn a_damaged_timestamp_never_panics_and_is_never_another(at in 0..200_usize, byte in any::<u8>()) {
        let query = Query::new(b"signature", [0xff; 8]);
        let mut answer = stamp(&Digest::sha256_of(b"signature"), &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0);
        let length = answer.len();
        answer[at % length] = byte;
        if let Ok(kept) = query.answered(&answer) {
            prop_assert_eq!(kept, answer);
        }
    }
}
