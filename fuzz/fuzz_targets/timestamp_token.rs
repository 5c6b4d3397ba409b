#![no_main]
//! RFC 3161 tokens beside a signature by key, judged with the timestamp authority of the public-good root: one that is there must hold.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::hashes::Hashes;
use trustctl_core::public_key::{KeyKind, PublicKey};
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::signer::Signer as _;
use trustctl_core::time::Timestamp;
use trustctl_keys::private_key::PrivateKey;
use trustctl_sigstore::keyless::{About, By, Instance, PUBLIC_GOOD, Question};

const FILE: &[u8] = b"a release";
/// A bundle over the file, and the key that signed it.
static SIGNED: LazyLock<Option<(Value, PublicKey)>> = LazyLock::new(|| {
    let signer = PrivateKey::generate(KeyKind::EcdsaP256).ok()?;
    let bundle = trustctl_sigstore::blob::sign(&Hashes::of(FILE, &[]), &signer).ok()?;
    Some((serde_json::from_slice(&bundle).ok()?, signer.public_key().clone()))
});
static PUBLIC: LazyLock<Option<Instance>> = LazyLock::new(|| {
    let thresholds = Thresholds { logs: 0, times: 1, certificate_logs: 1, inclusion_proof: false };
    Instance::new(&SigstoreAnchor { name: None, trusted_root: PUBLIC_GOOD.as_bytes().into(), thresholds }).ok()
});

fuzz_target!(|token: &[u8]| {
    let (Some((bundle, key)), Some(public)) = (SIGNED.as_ref(), PUBLIC.as_ref()) else { panic!("there is nothing to judge by") };
    let stamps = json!({"rfc3161Timestamps": [{"signedTimestamp": STANDARD.encode(token)}]});
    let mut bundle = bundle.clone();
    if let Some(members) = bundle.get_mut("verificationMaterial").and_then(Value::as_object_mut) {
        members.insert("timestampVerificationData".to_owned(), stamps);
    }
    let bundle = bundle.to_string();
    let question = Question { bundle: bundle.as_bytes(), about: About::Bytes(FILE), by: By::Key(key) };
    assert!(public.verify(question, Timestamp::UNIX_EPOCH).is_err());
    let digest = Digest::sha256_of(FILE);
    assert!(public.verify(Question { about: About::Digest(&digest), ..question }, Timestamp::UNIX_EPOCH).is_err());
});
