//! What judging one legacy signature, and one bundle by key, costs, next to the bare P-256 verification of the cryptographic library.
//!
//! Aim: at most 1.3 times the bare operation. Run with `cargo bench -p trustctl-sigstore --bench verify`.
#![expect(clippy::unwrap_used, reason = "a failed unwrap ends the benchmark")]

mod turns;

use std::collections::BTreeMap;
use std::hint::black_box;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin};
use trustctl_core::memory::Memory;
use trustctl_core::public_key::{PublicKey, SignatureScheme};
use trustctl_core::publish::Put;
use trustctl_core::scheme::{Anchors, Context, KeyAnchor, Scheme as _};
use trustctl_core::signer::{SignError, Signer};
use trustctl_core::subject::Subject;
use trustctl_sigstore::make::{Signing, Storage, sign};
use trustctl_sigstore::scheme::Cosign;

struct Key(EcdsaKeyPair, PublicKey);

impl Key {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = PublicKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        Self(pair, public)
    }

    fn bare(&self, message: &[u8]) -> (ParsedPublicKey, Vec<u8>) {
        let signature = self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        (ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.0.public_key().as_ref()).unwrap(), signature)
    }
}

impl Signer for Key {
    fn public_key(&self) -> &PublicKey {
        &self.1
    }

    fn sign(&self, _: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }
}

fn image() -> Subject {
    Subject {
        repository: "registry.example/shop/cart".parse().unwrap(),
        tag: None,
        digest: Digest::sha256_of(b"image"),
        size: 418,
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        children: Vec::new(),
    }
}

/// The evidence as a registry with the referrers API would give it.
fn evidence(image: &Subject, storage: Storage, key: &Key) -> Evidence {
    let signing = Signing {
        image: image.clone(),
        repository: None,
        tag: None,
        annotations: BTreeMap::new(),
        signature_repository: None,
        created: "2026-11-22T15:02:19Z".parse().unwrap(),
    };
    let repository = image.repository.clone();
    let tag = format!("sha256-{}.sig", image.digest.hex()).parse().unwrap();
    let signatures = Locator::TaggedManifest { repository: repository.clone(), tag };
    let referrers = Locator::Referrers { repository: repository.clone(), digest: image.digest };
    let mut evidence = Evidence::new();
    evidence.insert(signatures.clone(), Entry::Absent);
    let present = |bytes: Vec<u8>| Entry::Present { bytes, origin: Origin::Registry };
    let empty = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    evidence.insert(referrers.clone(), present(empty));
    let edits = sign(&signing, &[storage], key).unwrap();
    for put in edits.iter().flat_map(|edit| edit.plan(&evidence).unwrap()).collect::<Vec<_>>() {
        match put {
            Put::Blob { bytes, .. } => {
                let digest = Digest::sha256_of(&bytes);
                evidence.insert(Locator::Blob { repository: repository.clone(), digest }, present(bytes));
            }
            Put::TaggedManifest { bytes, .. } => evidence.insert(signatures.clone(), present(bytes)),
            Put::Referrer { bytes, media_type, artifact_type, annotations, .. } => {
                let digest = Digest::sha256_of(&bytes);
                let entry = serde_json::json!({"mediaType": media_type, "size": bytes.len(), "digest": digest,
                    "artifactType": artifact_type, "annotations": annotations});
                let listing = serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
                evidence.insert(referrers.clone(), present(listing.into_bytes()));
                evidence.insert(Locator::Manifest { repository: repository.clone(), digest }, present(bytes));
            }
            _ => {}
        }
    }
    evidence
}

fn main() {
    let (image, key) = (image(), Key::new());
    let message = [b'm'; 260];
    let (bare, signature) = key.bare(&message);
    let anchors = Anchors { keys: vec![KeyAnchor { signer: "release".to_owned(), key: key.1.clone() }], ..Anchors::default() };
    let memory = Memory::new();
    let context = Context { anchors: &anchors, memory: &memory, now: "2026-11-24T00:00:00Z".parse().unwrap() };
    let cosign = Cosign::default();
    let [legacy, bundle] = [Storage::SignatureTag, Storage::Bundle].map(|storage| evidence(&image, storage, &key));
    let judge = |evidence: &Evidence| {
        let findings = cosign.examine(black_box(&image), black_box(evidence), &context);
        assert_eq!(findings.claims.len(), 1);
    };

    let bare = || bare.verify_sig(black_box(&message), black_box(&signature)).unwrap();
    let rounds = turns::rounds([&bare, &|| judge(&legacy), &|| judge(&bundle)]);
    for [bare, legacy, bundle] in &rounds {
        println!("bare P-256 {bare:6.1} µs   legacy signature {legacy:6.1} µs   bundle {bundle:6.1} µs");
    }
    turns::tell("legacy signature to bare", rounds.iter().map(|[bare, legacy, _]| legacy / bare).collect());
    turns::tell("bundle to bare", rounds.iter().map(|[bare, _, bundle]| bundle / bare).collect());
}
