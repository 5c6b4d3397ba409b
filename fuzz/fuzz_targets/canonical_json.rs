#![no_main]
//! Canonical JSON: what is canonical once is canonical again, and means the same.

use libfuzzer_sys::fuzz_target;
use trustctl_dct::canonical_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = Value::parse(bytes) else { return };
    let canonical = value.canonical();
    // Raw control characters are canonical for Notary and are not JSON; everything else reads back.
    if let Ok(again) = Value::parse(&canonical) {
        assert_eq!(again.canonical(), canonical);
    }
});
