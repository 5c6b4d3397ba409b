#![no_main]
//! Checkpoints beside an entry that the log has promised: nobody but the log can write one that counts.

mod signed;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use signed::Signed;
use trustctl_core::digest::Digest;

static SIGNED: LazyLock<Option<Signed>> = LazyLock::new(Signed::new);

fuzz_target!(|text: &str| {
    let Some(signed) = SIGNED.as_ref() else { panic!("there is no signature to judge") };
    let body = signed.body();
    let leaf = Digest::sha256_of(&[&[0], body.as_bytes()].concat());
    let own = signed.checkpoint(1, leaf.as_bytes());
    // A mark stands for the log's own checkpoint, so that lines around it are tried too.
    let envelope = text.replace("@own@", &own);
    let proof = json!({
        "logIndex": "0", "rootHash": STANDARD.encode(leaf.as_bytes()), "treeSize": "1", "hashes": [], "checkpoint": {"envelope": envelope}
    });
    let judged = signed.judge("tlogEntries", json!([signed.entry(body.as_bytes(), &proof)]));
    assert!(judged.is_err() || text.contains("@own@"), "{envelope}");
});
