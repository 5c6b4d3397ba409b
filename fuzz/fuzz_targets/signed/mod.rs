//! A signature by key over a file, and a log of our own that signs whatever the fuzzer wants logged: so that parsers behind signatures are
//! reached.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::hashes::Hashes;
use trustctl_core::public_key::{Hash, KeyKind, SignatureScheme};
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::signer::Signer as _;
use trustctl_core::time::Timestamp;
use trustctl_keys::private_key::PrivateKey;
use trustctl_sigstore::keyless::{About, By, Fault, Instance, Proof, Question};

pub const FILE: &[u8] = b"a release";
/// 2026-11-20T12:00:00Z.
const SIGNED: i64 = 1_795_176_000;

pub struct Signed {
    signer: PrivateKey,
    log: PrivateKey,
    instance: Instance,
    bundle: Value,
}

impl Signed {
    pub fn new() -> Option<Self> {
        let (signer, log) = (PrivateKey::generate(KeyKind::EcdsaP256).ok()?, PrivateKey::generate(KeyKind::EcdsaP256).ok()?);
        let bundle = trustctl_sigstore::blob::sign(&Hashes::of(FILE, &[]), &signer).ok()?;
        let spki = log.public_key().spki_der();
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot.v0.2+json",
            "tlogs": [{
                "baseUrl": "https://log.example", "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": STANDARD.encode(spki), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": {"start": "2020-01-01T00:00:00Z"}},
                "logId": {"keyId": STANDARD.encode(Digest::sha256_of(spki).as_bytes())}
            }]
        });
        let thresholds = Thresholds { logs: 0, times: 1, certificate_logs: 1, inclusion_proof: false };
        let anchor = SigstoreAnchor { name: None, trusted_root: root.to_string().into_bytes().into(), thresholds };
        Some(Self { instance: Instance::new(&anchor).ok()?, bundle: serde_json::from_slice(&bundle).ok()?, signer, log })
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.log.sign(SignatureScheme::EcdsaDer(Hash::Sha256), message).unwrap_or_default()
    }

    fn id(&self) -> Digest {
        Digest::sha256_of(self.log.public_key().spki_der())
    }

    /// A checkpoint of a tree that the log signs.
    pub fn checkpoint(&self, size: u64, root: &[u8]) -> String {
        let text = format!("log.example - 1\n{size}\n{}\n", STANDARD.encode(root));
        let line = [self.id().as_bytes().get(..4).unwrap_or_default(), &self.sign(text.as_bytes())].concat();
        format!("{text}\n\u{2014} log.example {}\n", STANDARD.encode(line))
    }

    /// An entry of the log with this body, validly promised, and with this proof.
    pub fn entry(&self, body: &[u8], proof: &Value) -> Value {
        let promise = format!(
            r#"{{"body":"{}","integratedTime":{SIGNED},"logID":"{}","logIndex":5}}"#,
            STANDARD.encode(body),
            self.id().hex()
        );
        json!({
            "logIndex": "5", "logId": {"keyId": STANDARD.encode(self.id().as_bytes())},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"}, "integratedTime": SIGNED.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(self.sign(promise.as_bytes()))},
            "inclusionProof": proof, "canonicalizedBody": STANDARD.encode(body)
        })
    }

    /// The body that the log has when the signature was logged.
    pub fn body(&self) -> String {
        let signature = self.bundle.pointer("/messageSignature/signature").and_then(Value::as_str).unwrap_or_default();
        let pem = STANDARD.encode(self.signer.public_key().to_pem());
        json!({
            "apiVersion": "0.0.1", "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": Digest::sha256_of(FILE).hex()}},
                "signature": {"content": signature, "publicKey": {"content": pem}}
            }
        })
        .to_string()
    }

    /// Judges the signature with this material beside it.
    pub fn judge(&self, material: &str, value: Value) -> Result<Proof, Fault> {
        let mut bundle = self.bundle.clone();
        if let Some(members) = bundle.get_mut("verificationMaterial").and_then(Value::as_object_mut) {
            members.insert(material.to_owned(), value);
        }
        let bundle = bundle.to_string();
        let question =
            Question { bundle: bundle.as_bytes(), about: About::Bytes(FILE), by: By::Key(self.signer.public_key()) };
        let now = Timestamp::from_unix_seconds(SIGNED + 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
        self.instance.verify(question, now)
    }
}
