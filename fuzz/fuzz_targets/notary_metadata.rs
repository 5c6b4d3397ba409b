#![no_main]
//! Root, targets, snapshot and timestamp files, from bytes to documents.

use libfuzzer_sys::fuzz_target;
use trustctl_dct::metadata::Document as _;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::metadata::snapshot::Snapshot;
use trustctl_dct::metadata::targets::Targets;
use trustctl_dct::metadata::timestamp::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    if let Ok(root) = Root::from_signed(envelope.signed()) {
        drop(envelope.verify(&root.root, &root.keys));
    }
    drop(Targets::from_signed(envelope.signed()));
    drop(Snapshot::from_signed(envelope.signed()));
    drop(Timestamp::from_signed(envelope.signed()));
});
