#![no_main]
//! Saved evidence.

use libfuzzer_sys::fuzz_target;
use trustctl_core::evidence::EvidenceFile;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = EvidenceFile::from_json(bytes) {
        let text = file.to_json().unwrap_or_default();
        assert_eq!(EvidenceFile::from_json(text.as_bytes()).ok(), Some(file));
    }
});
