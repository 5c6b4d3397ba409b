#![no_main]
//! Envelopes and the statements in them: what is written again is the same, and an envelope around a file proves nothing without its key.

use libfuzzer_sys::fuzz_target;
use trustctl_core::digest::Digest;
use trustctl_sigstore::blob::as_bundle;
use trustctl_sigstore::dsse::Envelope;
use trustctl_sigstore::statement::Statement;

fuzz_target!(|bytes: &[u8]| {
    drop(as_bundle(bytes));
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    let again = Envelope::parse(envelope.to_json().as_bytes());
    assert_eq!(again.as_ref(), Ok(&envelope));
    if let Ok(statement) = Statement::parse(&envelope.payload) {
        drop(statement.about(&Digest::sha256_of(b"file")));
    }
});
