#![no_main]
//! What a log signed as the body of an entry: whatever it is, an entry is proven only when it is about the signature.

mod signed;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use signed::Signed;
use trustctl_core::digest::Digest;

static SIGNED: LazyLock<Option<Signed>> = LazyLock::new(Signed::new);

fuzz_target!(|bytes: &[u8]| {
    let Some(signed) = SIGNED.as_ref() else { panic!("there is no signature to judge") };
    // The fuzzer cannot guess the signature of this process: where it leaves a mark, the real body stands.
    let own = signed.body();
    let body = if bytes == b"own" { own.as_bytes() } else { bytes };
    let leaf = Digest::sha256_of(&[&[0], body].concat());
    let proof = json!({
        "logIndex": "0", "rootHash": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, leaf.as_bytes()), "treeSize": "1",
        "hashes": [], "checkpoint": {"envelope": signed.checkpoint(1, leaf.as_bytes())}
    });
    let judged = signed.judge("tlogEntries", json!([signed.entry(body, &proof)]));
    assert_eq!(judged.is_ok(), body == own.as_bytes(), "{judged:?}");
});
