#![no_main]
//! Private key files of every format; none may take long to refuse.

use libfuzzer_sys::fuzz_target;
use trustctl_keys::format::SealedKey;

fuzz_target!(|bytes: &[u8]| {
    for key in SealedKey::parse_all(bytes).unwrap_or_default() {
        if !key.is_encrypted() {
            drop(key.open(None));
        }
    }
});
