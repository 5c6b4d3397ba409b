#![no_main]
//! Cosign's legacy payload.

use libfuzzer_sys::fuzz_target;
use trustctl_sigstore::simple_signing::Payload;

fuzz_target!(|bytes: &[u8]| drop(Payload::parse(bytes)));
