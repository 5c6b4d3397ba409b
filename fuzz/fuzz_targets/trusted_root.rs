#![no_main]
//! Trusted roots of Sigstore instances, as a policy names them.

use libfuzzer_sys::fuzz_target;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_sigstore::keyless::Instance;

fuzz_target!(|bytes: &[u8]| {
    let thresholds = Thresholds { logs: 1, times: 1, certificate_logs: 1, inclusion_proof: false };
    drop(Instance::new(&SigstoreAnchor { name: None, trusted_root: bytes.into(), thresholds }));
});
