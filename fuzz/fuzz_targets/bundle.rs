#![no_main]
//! Bundles, envelopes and statements.

use libfuzzer_sys::fuzz_target;
use trustctl_sigstore::bundle::Bundle;
use trustctl_sigstore::dsse::Envelope;
use trustctl_sigstore::statement::Statement;

fuzz_target!(|bytes: &[u8]| {
    drop(Bundle::parse(bytes));
    drop(Envelope::parse(bytes));
    drop(Statement::parse(bytes));
});
