//! Keys and a small registry for the tests of this crate.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here fails the test"
)]

use std::collections::BTreeMap;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::evidence::{Entry, Evidence, Locator, Origin, Refusal, RefusalKind, Want};
use trustctl_core::public_key::{Hash, PublicKey, SignatureScheme};
use trustctl_core::publish::{Edit, Put};
use trustctl_core::reference::{Repository, Tag};
use trustctl_core::scheme::{Anchors, KeyAnchor};
use trustctl_core::signer::{SignError, Signer};
use trustctl_core::subject::Subject;
use trustctl_core::time::Timestamp;

use crate::bundle::Bundle;
use crate::dsse::{Envelope, IN_TOTO, pae};
use crate::layout::bundle::Attachment;
use crate::layout::{Descriptor, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, fallback_tag};
use crate::make::{Revoking, Signing};
use crate::revocation::Cause;

/// A curve.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ecdsa {
    P256,
    P384,
    P521,
}

/// A fresh key in memory.
pub(crate) struct TestKey {
    public: PublicKey,
    pub(crate) pkcs8: Vec<u8>,
}

impl TestKey {
    pub(crate) fn new() -> Self {
        Self::ecdsa(Ecdsa::P256)
    }

    pub(crate) fn ecdsa(curve: Ecdsa) -> Self {
        let algorithm = match curve {
            Ecdsa::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            Ecdsa::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            Ecdsa::P521 => &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        };
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let public = PublicKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        Self { public, pkcs8: pair.to_pkcs8v1().unwrap().as_ref().to_vec() }
    }

    pub(crate) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        Self { public: PublicKey::from_ed25519(pair.public_key().as_ref()).unwrap(), pkcs8: pkcs8.as_ref().to_vec() }
    }

    /// `None` where the cryptographic library cannot sign, such as P-384 with SHA-256.
    fn ecdsa_algorithm(&self, hash: Hash) -> Option<&'static EcdsaSigningAlgorithm> {
        use trustctl_core::public_key::KeyKind::{EcdsaP256, EcdsaP384, EcdsaP521};
        match (self.public.kind(), hash) {
            (EcdsaP256, Hash::Sha256) => Some(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
            (EcdsaP384, Hash::Sha384) => Some(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
            (EcdsaP521, Hash::Sha256) => Some(&signature::ECDSA_P521_SHA256_ASN1_SIGNING),
            (EcdsaP521, Hash::Sha512) => Some(&signature::ECDSA_P521_SHA512_ASN1_SIGNING),
            _ => None,
        }
    }
}

impl Signer for TestKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match scheme {
            SignatureScheme::EcdsaDer(hash) => {
                let unsupported = SignError::Unsupported { key: self.public.kind().name() };
                let pair = EcdsaKeyPair::from_pkcs8(self.ecdsa_algorithm(hash).ok_or(unsupported)?, &self.pkcs8).unwrap();
                Ok(pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
            }
            SignatureScheme::Ed25519 => Ok(Ed25519KeyPair::from_pkcs8(&self.pkcs8).unwrap().sign(message).as_ref().to_vec()),
            _ => Err(SignError::Unsupported { key: self.public.kind().name() }),
        }
    }
}

/// A registry in memory.
pub(crate) struct Registry {
    /// Whether it has the referrers API; else listings are kept under the fallback tag.
    pub(crate) has_api: bool,
    /// Whether it deletes.
    pub(crate) deletes: bool,
    /// Whether fallback listings are written as cosign 3.1.1 writes them: artifact type of the empty config, no annotations.
    pub(crate) mislabels: bool,
    /// Answers that replace its own.
    pub(crate) faults: BTreeMap<Locator, Entry>,
    content: BTreeMap<(Repository, Digest), Vec<u8>>,
    tags: BTreeMap<(Repository, Tag), Digest>,
    listings: BTreeMap<(Repository, Digest), Vec<Value>>,
}

/// What gathering took.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) requests: usize,
    pub(crate) rounds: usize,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            has_api: true,
            deletes: true,
            mislabels: false,
            faults: BTreeMap::new(),
            content: BTreeMap::new(),
            tags: BTreeMap::new(),
            listings: BTreeMap::new(),
        }
    }

    pub(crate) fn answer(&self, want: &Want) -> Entry {
        if let Some(entry) = self.faults.get(&want.locator) {
            return entry.clone();
        }
        let (bytes, origin) = match &want.locator {
            Locator::Manifest { repository, digest } | Locator::Blob { repository, digest } => {
                (self.content.get(&(repository.clone(), *digest)).cloned(), Origin::Registry)
            }
            Locator::TaggedManifest { repository, tag } => (self.tagged(repository, tag), Origin::Registry),
            Locator::Referrers { repository, digest } if self.has_api => {
                (Some(self.listing(repository, digest)), Origin::ReferrersApi)
            }
            Locator::Referrers { repository, digest } => {
                (self.tagged(repository, &fallback_tag(digest).unwrap()), Origin::FallbackTag)
            }
            other => panic!("{other:?} is not asked of a registry"),
        };
        match bytes {
            None => Entry::Absent,
            Some(bytes) if u64::try_from(bytes.len()).unwrap() > want.max_bytes => {
                Entry::Refused(Refusal { kind: RefusalKind::TooLarge, detail: format!("more than {} bytes", want.max_bytes) })
            }
            Some(bytes) => Entry::Present { bytes, origin },
        }
    }

    fn tagged(&self, repository: &Repository, tag: &Tag) -> Option<Vec<u8>> {
        let digest = self.tags.get(&(repository.clone(), tag.clone()))?;
        self.content.get(&(repository.clone(), *digest)).cloned()
    }

    fn listing(&self, repository: &Repository, digest: &Digest) -> Vec<u8> {
        let manifests = self.listings.get(&(repository.clone(), *digest)).cloned().unwrap_or_default();
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).to_string().into_bytes()
    }

    fn store(&mut self, repository: &Repository, bytes: Vec<u8>) -> Digest {
        let digest = Digest::sha256_of(&bytes);
        self.content.insert((repository.clone(), digest), bytes);
        digest
    }

    pub(crate) fn tag(&mut self, repository: &Repository, tag: &Tag, bytes: Vec<u8>) {
        let digest = self.store(repository, bytes);
        self.tags.insert((repository.clone(), tag.clone()), digest);
    }

    /// Adds an entry to the listing of what refers to `subject`.
    pub(crate) fn list(&mut self, repository: &Repository, subject: Digest, entry: Value) {
        if self.has_api {
            self.listings.entry((repository.clone(), subject)).or_default().push(entry);
            return;
        }
        let tag = fallback_tag(&subject).unwrap();
        let index = self.tagged(repository, &tag).unwrap_or_else(|| br#"{"schemaVersion":2,"manifests":[]}"#.to_vec());
        let mut index: Value = serde_json::from_slice(&index).unwrap();
        index["manifests"].as_array_mut().unwrap().push(entry);
        self.tag(repository, &tag, index.to_string().into_bytes());
    }

    pub(crate) fn put(&mut self, put: Put) {
        match put {
            Put::Blob { repository, bytes } => drop(self.store(&repository, bytes)),
            Put::TaggedManifest { repository, tag, bytes, .. } => self.tag(&repository, &tag, bytes),
            Put::Referrer { repository, subject, media_type, artifact_type, annotations, bytes } => {
                let size = bytes.len();
                let digest = self.store(&repository, bytes);
                let entry = if self.mislabels {
                    json!({"mediaType": media_type, "size": size, "digest": digest, "artifactType": OCI_EMPTY})
                } else {
                    json!({"mediaType": media_type, "size": size, "digest": digest, "artifactType": artifact_type, "annotations": annotations})
                };
                self.list(&repository, subject, entry);
            }
            Put::Delete { repository, digest } if self.deletes => {
                self.content.remove(&(repository.clone(), digest));
                self.tags.retain(|(place, _), tagged| *place != repository || *tagged != digest);
                if self.has_api {
                    for entries in self.listings.values_mut() {
                        entries.retain(|entry| entry["digest"] != digest.to_string());
                    }
                }
            }
            Put::Delete { .. } => {}
            other => panic!("{other:?} is not known"),
        }
    }

    /// Asks for everything that `wants` names, until it names nothing more.
    pub(crate) fn gather(&self, wants: impl Fn(&Evidence) -> Vec<Want>) -> (Evidence, Effort) {
        let mut evidence = Evidence::new();
        let mut effort = Effort { requests: 0, rounds: 0 };
        loop {
            let wanted = wants(&evidence);
            if wanted.is_empty() {
                return (evidence, effort);
            }
            effort.rounds += 1;
            assert!(effort.rounds <= 8, "asking does not end");
            for want in wanted {
                assert!(!evidence.has(&want.locator), "{} is asked for twice", want.locator);
                effort.requests += 1;
                let entry = self.answer(&want);
                evidence.insert(want.locator, entry);
            }
        }
    }

    /// Carries out an edit: read, send, read again, until nothing is left to send.
    pub(crate) fn publish(&mut self, edit: &dyn Edit) {
        for _ in 0..3 {
            let (evidence, _) = self.gather(|current| edit.wants(current));
            let puts = edit.plan(&evidence).expect("the edit can be planned");
            if puts.is_empty() {
                return;
            }
            for put in puts {
                self.put(put);
            }
        }
        panic!("the edit is never done");
    }
}

/// An image in `registry.example/shop/cart`.
pub(crate) fn image(name: &str) -> Subject {
    Subject {
        repository: "registry.example/shop/cart".parse().unwrap(),
        tag: Some("1.4".parse().unwrap()),
        digest: Digest::sha256_of(name.as_bytes()),
        size: 418,
        media_type: OCI_MANIFEST.to_owned(),
        children: Vec::new(),
    }
}

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A plain signing of `image`, without annotations.
pub(crate) fn signing(image: &Subject) -> Signing {
    Signing {
        image: image.clone(),
        repository: None,
        tag: None,
        annotations: BTreeMap::new(),
        signature_repository: None,
        created: at("2026-11-22T15:02:19Z"),
    }
}

/// A revocation of `image`.
pub(crate) fn revoking(image: &Subject) -> Revoking {
    Revoking {
        image: image.clone(),
        repository: None,
        cause: Cause::Compromised,
        message: "the builder leaked".to_owned(),
        signature_repository: None,
        issued: at("2026-11-23T08:00:00Z"),
    }
}

/// An attestation of `image`, as [`Put`]s.
pub(crate) fn attestation(image: &Subject, predicate_type: &str, key: &TestKey) -> Vec<Put> {
    let statement = crate::statement::build(&[image.digest], &BTreeMap::new(), predicate_type, "{}");
    bundle(image, &statement, predicate_type, key)
}

/// A bundle with any statement beside `image`, as [`Put`]s.
pub(crate) fn bundle(image: &Subject, statement: &[u8], predicate_type: &str, key: &TestKey) -> Vec<Put> {
    let signature = key.sign(SignatureScheme::EcdsaDer(Hash::Sha256), &pae(IN_TOTO, statement)).unwrap();
    let envelope = Envelope { payload_type: IN_TOTO.to_owned(), payload: statement.to_vec(), signature };
    attach(image, Bundle::build(&envelope, &key.public_key().hint()), predicate_type)
}

/// Any bytes beside `image` as if they were a bundle, as [`Put`]s.
pub(crate) fn attach(image: &Subject, bundle: Vec<u8>, predicate_type: &str) -> Vec<Put> {
    let subject = Descriptor { media_type: image.media_type.clone(), size: image.size, digest: image.digest };
    let created = at("2026-11-22T15:02:19Z");
    let attachment = Attachment { subject: &subject, media_type: crate::bundle::MEDIA_TYPE, predicate_type, created };
    let repository = image.repository.clone();
    let manifest = Put::Referrer {
        repository: repository.clone(),
        subject: image.digest,
        media_type: OCI_MANIFEST.to_owned(),
        artifact_type: crate::bundle::MEDIA_TYPE.to_owned(),
        annotations: attachment.annotations(),
        bytes: attachment.manifest(&bundle),
    };
    vec![Put::Blob { repository, bytes: bundle }, manifest]
}

/// Anchors that hold these keys.
pub(crate) fn anchors(keys: &[&TestKey]) -> Anchors {
    let anchor = |key: &&TestKey| KeyAnchor { signer: "somebody".to_owned(), key: key.public_key().clone() };
    Anchors { keys: keys.iter().map(anchor).collect(), ..Anchors::default() }
}
