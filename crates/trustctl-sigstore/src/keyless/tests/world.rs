//! A Sigstore instance in memory: an authority, two logs and two certificate logs, and signatures made with them.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::public_key::{Hash, SignatureScheme};
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::signer::Signer as _;
use trustctl_core::time::Timestamp;

use super::super::{About, By, Fault, Instance, Proof, Question};
use crate::dsse::{IN_TOTO, pae};
use crate::format::encode;
use crate::testing::TestKey;

pub(crate) const IDENTITY: &str = "https://forge.example/acme/shop/release.yml@refs/tags/v1";
pub(crate) const ISSUER: &str = "https://token.forge.example";
/// 2026-11-20T12:00:00Z, within the one day of the certificate.
pub(crate) const SIGNED: i64 = 1_795_176_000;
const NOW: &str = "2026-11-23T00:00:00Z";

/// The instance, and what it hands out.
pub(crate) struct World {
    authority: KeyPair,
    authority_years: (i32, i32),
    pub(super) logs: [TestKey; 2],
    certificate_logs: [TestKey; 2],
}

/// What a certificate is to say.
pub(crate) struct Leaf {
    pub(crate) names: Vec<SanType>,
    pub(crate) extensions: Vec<CustomExtension>,
    pub(crate) usage: ExtendedKeyUsagePurpose,
    /// How many certificate timestamps, each by another log.
    pub(crate) timestamps: usize,
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            names: vec![SanType::URI(IDENTITY.try_into().unwrap())],
            extensions: vec![fulcio(8, &utf8(ISSUER)), fulcio(14, &utf8("refs/tags/v1"))],
            usage: ExtendedKeyUsagePurpose::CodeSigning,
            timestamps: 1,
        }
    }
}

/// A DER UTF8String of fewer than 128 bytes.
pub(super) fn utf8(text: &str) -> Vec<u8> {
    let mut der = vec![0x0c, u8::try_from(text.len()).unwrap()];
    der.extend_from_slice(text.as_bytes());
    der
}

/// An extension of Fulcio's.
pub(super) fn fulcio(number: u64, content: &[u8]) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, number], content.to_vec())
}

pub(crate) fn sign(key: &TestKey, message: &[u8]) -> Vec<u8> {
    key.sign(SignatureScheme::EcdsaDer(Hash::Sha256), message).unwrap()
}

fn id(key: &TestKey) -> Digest {
    Digest::sha256_of(key.public_key().spki_der())
}

pub(super) fn image() -> Digest {
    Digest::sha256_of(b"image")
}

pub(super) fn statement(digest: &Digest) -> Vec<u8> {
    json!({
        "_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": digest.hex()}}],
        "predicateType": crate::statement::SIGN, "predicate": {}
    })
    .to_string()
    .into_bytes()
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            authority: KeyPair::generate().unwrap(),
            authority_years: (2026, 2030),
            logs: [TestKey::new(), TestKey::new()],
            certificate_logs: [TestKey::new(), TestKey::new()],
        }
    }

    /// The same keys, with an authority whose certificate is valid from the first of one year to that of another.
    pub(super) fn with_authority_of(mut self, years: (i32, i32)) -> Self {
        self.authority_years = years;
        self
    }

    fn authority_params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.serial_number = Some(SerialNumber::from_slice(&[7]));
        let (from, until) = self.authority_years;
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        params
    }

    pub(super) fn root(&self) -> Value {
        let window = json!({"start": "2020-01-01T00:00:00Z"});
        let log = |key: &TestKey, name: &str| {
            json!({
                "baseUrl": format!("https://{name}.example"), "hashAlgorithm": "SHA2_256", "operator": name,
                "publicKey": {"rawBytes": encode(key.public_key().spki_der()), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": window},
                "logId": {"keyId": encode(id(key).as_bytes())}
            })
        };
        let certificate = self.authority_params().self_signed(&self.authority).unwrap();
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot.v0.2+json",
            "tlogs": [log(&self.logs[0], "log-a"), log(&self.logs[1], "log-b")],
            "ctlogs": [log(&self.certificate_logs[0], "ct-a"), log(&self.certificate_logs[1], "ct-b")],
            "certificateAuthorities": [{
                "uri": "https://ca.example", "certChain": {"certificates": [{"rawBytes": encode(certificate.der())}]}, "validFor": window
            }]
        })
    }

    pub(crate) fn anchor(&self, name: Option<&str>) -> SigstoreAnchor {
        let trusted_root = self.root().to_string().into_bytes().into();
        SigstoreAnchor { name: name.map(str::to_owned), trusted_root, thresholds: Thresholds::default() }
    }

    /// A certificate for `key`, valid on 2026-11-20.
    pub(crate) fn certificate(&self, key: &TestKey, leaf: &Leaf) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names.clone_from(&leaf.names);
        params.extended_key_usages = vec![leaf.usage.clone()];
        params.custom_extensions.clone_from(&leaf.extensions);
        params.serial_number = Some(SerialNumber::from_slice(&[9]));
        (params.not_before, params.not_after) = (date_time_ymd(2026, 11, 20), date_time_ymd(2026, 11, 21));
        let pair = KeyPair::try_from(key.pkcs8.as_slice()).unwrap();
        let issuer = Issuer::new(self.authority_params(), &self.authority);
        let seen = params.signed_by(&pair, &issuer).unwrap();
        if leaf.timestamps > 0 {
            params.custom_extensions.push(self.timestamps(seen.der(), leaf.timestamps));
        }
        params.signed_by(&pair, &issuer).unwrap().der().to_vec()
    }

    /// The list of certificate timestamps (RFC 6962, section 3.3).
    fn timestamps(&self, seen: &[u8], count: usize) -> CustomExtension {
        use der::{Decode as _, Encode as _};
        let seen = x509_cert::Certificate::from_der(seen).unwrap().tbs_certificate.to_der().unwrap();
        let authority = Digest::sha256_of(&rcgen::PublicKeyData::subject_public_key_info(&self.authority));
        let mut list = Vec::new();
        for key in self.certificate_logs.iter().take(count) {
            let at = u64::try_from(SIGNED).unwrap() * 1000;
            let mut signed = vec![0, 0];
            signed.extend(at.to_be_bytes());
            signed.extend([0, 1]);
            signed.extend(authority.as_bytes());
            signed.extend(&u32::try_from(seen.len()).unwrap().to_be_bytes()[1..]);
            signed.extend(&seen);
            signed.extend([0, 0]);
            let signature = sign(key, &signed);
            let mut one = vec![0];
            one.extend(id(key).as_bytes());
            one.extend(at.to_be_bytes());
            one.extend([0, 0, 4, 3]);
            one.extend(u16::try_from(signature.len()).unwrap().to_be_bytes());
            one.extend(signature);
            list.extend(u16::try_from(one.len()).unwrap().to_be_bytes());
            list.extend(one);
        }
        let mut content = u16::try_from(list.len()).unwrap().to_be_bytes().to_vec();
        content.extend(list);
        let content = der::asn1::OctetString::new(content).unwrap().to_der().unwrap();
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], content)
    }

    /// A log entry for an envelope, promised and included in a tree of one leaf.
    pub(crate) fn entry(&self, log: usize, payload: &[u8], signature: &[u8], verifier: &str) -> Value {
        let body = json!({
            "apiVersion": "0.0.1", "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "00".repeat(32)},
                "payloadHash": {"algorithm": "sha256", "value": Digest::sha256_of(payload).hex()},
                "signatures": [{"signature": encode(signature), "verifier": encode(verifier.as_bytes())}]
            }
        });
        self.logged(log, "dsse", body.to_string().as_bytes(), SIGNED)
    }

    pub(crate) fn logged(&self, log: usize, kind: &str, body: &[u8], time: i64) -> Value {
        let key = &self.logs[log];
        let promise =
            format!(r#"{{"body":"{}","integratedTime":{time},"logID":"{}","logIndex":5}}"#, encode(body), id(key).hex());
        let leaf = Digest::sha256_of(&[&[0], body].concat());
        let checkpoint = format!("log.example - 1\n1\n{}\n", encode(leaf.as_bytes()));
        let line = [&id(key).as_bytes()[..4], &sign(key, checkpoint.as_bytes())].concat();
        json!({
            "logIndex": "5", "logId": {"keyId": encode(id(key).as_bytes())}, "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": time.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": encode(&sign(key, promise.as_bytes()))},
            "inclusionProof": {
                "logIndex": "0", "rootHash": encode(leaf.as_bytes()), "treeSize": "1", "hashes": [],
                "checkpoint": {"envelope": format!("{checkpoint}\n\u{2014} log.example {}\n", encode(&line))}
            },
            "canonicalizedBody": encode(body)
        })
    }

    /// A bundle 0.3 by certificate about the image, with one log entry.
    pub(super) fn bundle(&self, leaf: &Leaf) -> Value {
        self.bundle_about(leaf, &image())
    }

    pub(crate) fn bundle_about(&self, leaf: &Leaf, digest: &Digest) -> Value {
        self.bundle_of(leaf, &statement(digest))
    }

    pub(crate) fn bundle_of(&self, leaf: &Leaf, payload: &[u8]) -> Value {
        let key = TestKey::new();
        let certificate = self.certificate(&key, leaf);
        let signature = sign(&key, &pae(IN_TOTO, payload));
        let verifier = pem::encode(&pem::Pem::new("CERTIFICATE", certificate.as_slice()));
        json!({
            "mediaType": crate::bundle::MEDIA_TYPE,
            "verificationMaterial": {
                "certificate": {"rawBytes": encode(&certificate)},
                "tlogEntries": [self.entry(0, payload, &signature, &verifier)]
            },
            "dsseEnvelope": {"payload": encode(payload), "payloadType": IN_TOTO, "signatures": [{"sig": encode(&signature)}]}
        })
    }

    pub(super) fn judge(&self, bundle: &Value, thresholds: Thresholds) -> Result<Proof, Fault> {
        self.judge_at(bundle, thresholds, NOW.parse().unwrap())
    }

    pub(super) fn judge_at(&self, bundle: &Value, thresholds: Thresholds, now: Timestamp) -> Result<Proof, Fault> {
        let instance = Instance::new(&SigstoreAnchor { thresholds, ..self.anchor(None) })?;
        let (bundle, image) = (bundle.to_string(), image());
        instance.verify(Question { bundle: bundle.as_bytes(), about: About::Digest(&image), by: By::Certificate }, now)
    }
}
