#![no_main]
//! Manifests and indexes, signature manifests, referrer lists and bundle manifests.

use libfuzzer_sys::fuzz_target;
use trustctl_core::subject::{ManifestBytes, Subject};
use trustctl_sigstore::layout::bundle::ReferrerManifest;
use trustctl_sigstore::layout::referrers::Referrers;
use trustctl_sigstore::layout::signatures::SignatureManifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(repository) = "registry.example/app".parse() {
        drop(Subject::from_manifest(repository, None, ManifestBytes { bytes, announced: None }));
    }
    drop(SignatureManifest::parse(bytes));
    drop(Referrers::parse(bytes));
    drop(ReferrerManifest::parse(bytes));
});
