#![no_main]
//! Bundles with certificates, log entries and timestamps, judged with the public-good trusted root: nobody can make one that counts.

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trustctl_core::digest::Digest;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_core::time::Timestamp;
use trustctl_sigstore::keyless::{About, By, Instance, PUBLIC_GOOD, Question};

static INSTANCE: LazyLock<Option<Instance>> = LazyLock::new(|| {
    let thresholds = Thresholds { logs: 1, times: 1, certificate_logs: 1, inclusion_proof: false };
    Instance::new(&SigstoreAnchor { name: None, trusted_root: PUBLIC_GOOD.as_bytes().into(), thresholds }).ok()
});

fuzz_target!(|bytes: &[u8]| {
    let Some(instance) = INSTANCE.as_ref() else { panic!("the public-good root is not read") };
    let digest = Digest::sha256_of(b"image");
    let question = Question { bundle: bytes, about: About::Digest(&digest), by: By::Certificate };
    assert!(instance.verify(question, Timestamp::UNIX_EPOCH).is_err());
});
