#![no_main]
//! What is about to be attested, and attestations as they come back: DSSE, statement, predicate.

use libfuzzer_sys::fuzz_target;
use trustctl_core::predicate::{Predicate, SHORT_NAMES};
use trustctl_core::time::Timestamp;
use trustctl_sigstore::dsse::Envelope;
use trustctl_sigstore::make::predicate::Checked;
use trustctl_sigstore::statement::Statement;

fuzz_target!(|bytes: &[u8]| {
    for (kind, _) in SHORT_NAMES {
        if let Ok(checked) = Checked::new(kind, bytes, Timestamp::UNIX_EPOCH) {
            assert!(checked.says_the_same(&checked.json));
        }
    }
    let payload = Envelope::parse(bytes).map(|envelope| envelope.payload);
    for payload in [Ok(bytes.to_vec()), payload].into_iter().flatten() {
        if let Ok(statement) = Statement::parse(&payload) {
            drop(statement.predicate_json().map(|json| Predicate::new(json).value()));
        }
    }
});
