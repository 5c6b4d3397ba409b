#![no_main]
//! Inclusion proofs under a checkpoint that the log signed for whatever tree the fuzzer says: only a path from the leaf to its root counts.

mod signed;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use signed::Signed;
use trustctl_core::digest::Digest;

static SIGNED: LazyLock<Option<Signed>> = LazyLock::new(Signed::new);

fuzz_target!(|input: (u64, u64, [u8; 32], Vec<Vec<u8>>)| {
    let (index, size, root, hashes) = input;
    let Some(signed) = SIGNED.as_ref() else { panic!("there is no signature to judge") };
    let body = signed.body();
    let leaf = Digest::sha256_of(&[&[0], body.as_bytes()].concat());
    let hashes: Vec<String> = hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    let proof = json!({
        "logIndex": index.to_string(), "rootHash": STANDARD.encode(root), "treeSize": size.to_string(), "hashes": hashes,
        "checkpoint": {"envelope": signed.checkpoint(size, &root)}
    });
    let judged = signed.judge("tlogEntries", json!([signed.entry(body.as_bytes(), &proof)]));
    assert!(judged.is_err() || root == leaf.as_bytes(), "the fuzzer has found a second preimage");
});
