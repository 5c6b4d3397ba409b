//! What judging one keyless bundle costs (version 0.3: certificate timestamp, promise, inclusion proof, timestamp), next to the sum of the
//! signature checks that it cannot do without, by the same cryptographic library and measured in the same run as time on the processor.
//!
//! Aim: at most 1.3 times the sum. The bundle is a real one of the public-good instance, which lies outside of this repository: its folder
//! comes from `TRUSTCTL_EXTERNAL_TESTDATA`. Run with `cargo bench -p trustctl-sigstore --bench keyless`.
//!
//! The checks of this bundle, each once: on P-384 the certificate by Fulcio, the timestamp token, and the timestamp authority's certificate
//! by its root; on P-256 the certificate timestamp, the promise, the checkpoint, and the envelope. Keys of the trusted root are parsed
//! beforehand; that of the certificate comes with the bundle and is parsed each time, as the verifier has to.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads a file")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap ends the benchmark")]

mod turns;

use std::hint::black_box;
use std::path::PathBuf;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm,
};
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::time::Timestamp;
use trustctl_sigstore::keyless::{About, By, Instance, PUBLIC_GOOD, Question};

/// Certificate timestamp, promise, checkpoint.
const P256_KNOWN: f64 = 3.0;
/// The envelope.
const P256_BROUGHT: f64 = 1.0;
/// The certificate, the timestamp token, the authority's certificate.
const P384_KNOWN: f64 = 3.0;
const SUBJECT: &str = "sha256:c811d58de79c92f03214e63aa339484e488d694ae8a6283b5f3f17a9faf50172";

fn main() {
    let Some(folder) = std::env::var_os("TRUSTCTL_EXTERNAL_TESTDATA") else {
        println!("skipped: TRUSTCTL_EXTERNAL_TESTDATA is not set");
        return;
    };
    let bundle = std::fs::read(PathBuf::from(folder).join("sigstore/sigstore-rs/bundle_v03.json")).unwrap();
    let anchor = SigstoreAnchor { name: None, trusted_root: PUBLIC_GOOD.as_bytes().into(), thresholds: Thresholds::default() };
    let (instance, digest) = (Instance::new(&anchor).unwrap(), SUBJECT.parse().unwrap());
    let now: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
    let question = Question { bundle: &bundle, about: About::Digest(&digest), by: By::Certificate };
    let whole = || drop(black_box(instance.verify(black_box(question), now).unwrap()));

    let p256 = Bare::new(&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_ASN1);
    let p384 = Bare::new(&ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1);
    let rounds = turns::rounds([&|| p256.known(), &|| p256.brought(), &|| p384.known(), &whole]);
    let ratio = |&[p256_known, p256_brought, p384_known, verified]: &[f64; 4]| {
        let sum = P256_KNOWN * p256_known + P256_BROUGHT * p256_brought + P384_KNOWN * p384_known;
        println!("bare checks {sum:7.1} µs   whole bundle {verified:7.1} µs   ratio {:.3}", verified / sum);
        verified / sum
    };
    turns::tell("ratio", rounds.iter().map(ratio).collect());
}

/// A signature to check, of about the length that is signed here.
struct Bare {
    algorithm: &'static dyn VerificationAlgorithm,
    point: Vec<u8>,
    parsed: ParsedPublicKey,
    signature: Vec<u8>,
}

const MESSAGE: [u8; 1000] = [b'm'; 1000];

impl Bare {
    fn new(signing: &'static EcdsaSigningAlgorithm, algorithm: &'static dyn VerificationAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let signature = pair.sign(&SystemRandom::new(), &MESSAGE).unwrap().as_ref().to_vec();
        Self { algorithm, parsed: ParsedPublicKey::new(algorithm, &point).unwrap(), point, signature }
    }

    /// With a key that was parsed before.
    fn known(&self) {
        self.parsed.verify_sig(black_box(&MESSAGE), black_box(&self.signature)).unwrap();
    }

    /// With a key that has to be parsed.
    fn brought(&self) {
        UnparsedPublicKey::new(self.algorithm, black_box(&self.point)).verify(&MESSAGE, black_box(&self.signature)).unwrap();
    }
}
