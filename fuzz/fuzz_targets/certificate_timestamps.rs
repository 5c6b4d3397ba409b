#![no_main]
//! Lists of signed certificate timestamps, as certificates carry them.

use libfuzzer_sys::fuzz_target;
use trustctl_sigstore::keyless::CertificateTimestamps;

fuzz_target!(|content: &[u8]| {
    if let Ok(timestamps) = CertificateTimestamps::from_der(content) {
        assert!(timestamps.count() <= 16);
    }
});
