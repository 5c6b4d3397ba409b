//! A keyless signer for the tests: as little as a client of Sigstore can do.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::public_key::PublicKey;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;
use trustctl_lab::clock::Clock;
use trustctl_lab::sigstore::{Claims, LabSigstore, LogVersion, SigstoreOptions};
use trustctl_sigstore::keyless::{About, By, Fault, Instance, Proof, Question};

use crate::support::{Answer, Ask};

pub(crate) const ARTIFACT: &[u8] = b"what is signed";

/// A fresh key.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_spki_der(self.0.public_key().as_der().unwrap().as_ref()).unwrap()
    }

    /// Base64 of the signature.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.0.sign(&SystemRandom::new(), message).unwrap().as_ref())
    }
}

/// A lab whose clock stands still, and a key.
pub(crate) struct Signer {
    pub(crate) lab: LabSigstore,
    pub(crate) clock: Clock,
    pub(crate) key: Key,
}

impl Signer {
    pub(crate) fn new() -> Self {
        // Behind the machine's clock, since the library refuses authorities that begin after that.
        let clock = Clock::stopped_at(Clock::system().now());
        let lab = LabSigstore::start(SigstoreOptions { clock: clock.clone(), ..SigstoreOptions::default() }).unwrap();
        Self { lab, clock, key: Key::new() }
    }

    /// Asks Fulcio for a certificate with this token and a signature over `challenge`.
    pub(crate) async fn ask_certificate(&self, token: &str, challenge: &str) -> Answer {
        let body = json!({
            "credentials": {"oidcIdentityToken": token},
            "publicKeyRequest": {
                "publicKey": {"algorithm": "ECDSA", "content": self.key.public().to_pem()},
                "proofOfPossession": self.key.sign(challenge.as_bytes()),
            },
        });
        post(&format!("{}/api/v2/signingCert", self.lab.fulcio().url()), &body).await
    }

    /// A certificate's chain, PEM, the leaf first.
    pub(crate) async fn certificate(&self, claims: &Claims, challenge: &str) -> Vec<String> {
        let answer = self.ask_certificate(&self.lab.token(claims).unwrap(), challenge).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let chain = answer.json()["signedCertificateEmbeddedSct"]["chain"]["certificates"].clone();
        chain.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// A Rekor v1 entry for the artifact, as proposed.
    pub(crate) fn proposed(&self, leaf: &str) -> Value {
        let digest = Digest::sha256_of(ARTIFACT).hex();
        let key = json!({"content": STANDARD.encode(leaf)});
        let signature = json!({"content": self.key.sign(ARTIFACT), "publicKey": key});
        let spec = json!({"data": {"hash": {"algorithm": "sha256", "value": digest}}, "signature": signature});
        json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})
    }

    pub(crate) async fn propose(&self, entry: &Value) -> Answer {
        post(&format!("{}/api/v1/log/entries", self.lab.rekor().url()), entry).await
    }

    /// A Rekor v2 entry for the artifact, as proposed.
    pub(crate) fn proposed_second(&self, leaf: &str) -> Value {
        let verifier = json!({"x509Certificate": {"rawBytes": der_of(leaf)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"});
        let digest = STANDARD.encode(Digest::sha256_of(ARTIFACT).as_bytes());
        let signature = json!({"content": self.key.sign(ARTIFACT), "verifier": verifier});
        json!({"hashedRekordRequestV002": {"digest": digest, "signature": signature}})
    }

    pub(crate) async fn propose_second(&self, entry: &Value) -> Answer {
        post(&format!("{}/api/v2/log/entries", self.lab.tiles().url()), entry).await
    }

    /// Has `signature`, base64, stamped; base64 of the answer.
    pub(crate) async fn stamp(&self, signature: &str) -> String {
        let hash = Digest::sha256_of(&STANDARD.decode(signature).unwrap());
        let body = json!({"artifactHash": STANDARD.encode(hash.as_bytes()), "hashAlgorithm": "sha256", "certificates": true});
        let answer = post(&self.lab.timestamp_url(), &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        STANDARD.encode(answer.body)
    }

    /// Signs the artifact as `dev@example.test` with a log of this version and a timestamp; the bundle.
    pub(crate) async fn sign(&self, log: LogVersion) -> String {
        let claims = Claims::email("dev@example.test");
        let leaf = self.certificate(&claims, &claims.identity()).await.swap_remove(0);
        let (entry, signature) = match log {
            LogVersion::V1 => {
                let proposed = self.proposed(&leaf);
                let answer = self.propose(&proposed).await;
                assert_eq!(answer.status, 201, "{}", answer.text());
                (entry_of(&answer.json()), proposed["spec"]["signature"]["content"].clone())
            }
            _ => {
                let proposed = self.proposed_second(&leaf);
                let answer = self.propose_second(&proposed).await;
                assert_eq!(answer.status, 201, "{}", answer.text());
                let signature = proposed["hashedRekordRequestV002"]["signature"]["content"].clone();
                let mut entry = answer.json();
                entry.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                (entry, signature)
            }
        };
        let signature = signature.as_str().unwrap();
        let stamp = self.stamp(signature).await;
        let digest = STANDARD.encode(Digest::sha256_of(ARTIFACT).as_bytes());
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": der_of(&leaf)},
                "tlogEntries": [entry],
                "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": stamp}]},
            },
            "messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": digest}, "signature": signature},
        })
        .to_string()
    }

    /// What the lab's own trusted root says about a bundle.
    pub(crate) fn judge(&self, bundle: &str) -> Result<Proof, Fault> {
        let instance = Instance::new(&self.lab.anchor())?;
        let question = Question { bundle: bundle.as_bytes(), about: About::Bytes(ARTIFACT), by: By::Certificate };
        instance.verify(question, self.clock.now())
    }

    /// Signs, and has the bundle refused with this code.
    #[track_caller]
    pub(crate) fn refused(&self, bundle: &str, code: Code) {
        let fault = self.judge(bundle).unwrap_err();
        assert_eq!(fault.code, code, "{fault}");
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(crate) async fn post(url: &str, body: &Value) -> Answer {
    Ask::new("POST", url).header("content-type", "application/json").body(body.to_string()).send().await
}

/// A Rekor v1 answer as a bundle holds it.
fn entry_of(answer: &Value) -> Value {
    let entry = answer.as_object().unwrap().values().next().unwrap();
    let proof = &entry["verification"]["inclusionProof"];
    let base64_of = |hash: &Value| STANDARD.encode(hex::decode(hash.as_str().unwrap()).unwrap());
    let hashes: Vec<String> = proof["hashes"].as_array().unwrap().iter().map(base64_of).collect();
    json!({
        "logIndex": entry["logIndex"].to_string(),
        "logId": {"keyId": base64_of(&entry["logID"])},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
        "integratedTime": entry["integratedTime"].to_string(),
        "inclusionPromise": {"signedEntryTimestamp": entry["verification"]["signedEntryTimestamp"]},
        "inclusionProof": {
            "logIndex": proof["logIndex"].to_string(),
            "rootHash": base64_of(&proof["rootHash"]),
            "treeSize": proof["treeSize"].to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": entry["body"],
    })
}

/// Base64 of the DER in a PEM text.
pub(crate) fn der_of(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}
