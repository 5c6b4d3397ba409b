#![no_main]
//! What signing services answer. Nobody can make a timestamp for a nonce that was not guessed, nor a certificate for another's key.

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trustctl_core::public_key::PublicKey;
use trustctl_sigstore::seal::authority::Chain;
use trustctl_sigstore::seal::log::Entry;
use trustctl_sigstore::seal::timestamp::Query;
use trustctl_sigstore::signing_config::LogApi;

static KEY: LazyLock<Option<PublicKey>> = LazyLock::new(|| PublicKey::from_ed25519(&[7; 32]).ok());

fuzz_target!(|bytes: &[u8]| {
    if let Some(key) = KEY.as_ref() {
        drop(Chain::parse(bytes, key));
    }
    for api in [LogApi::V1, LogApi::V2] {
        drop(Entry::parse(bytes, api));
    }
    if let Ok(kept) = Query::new(b"signature", *b"a nonce!").answered(bytes) {
        assert_eq!(kept, bytes);
    }
});
