#![no_main]
//! Policies: no text panics, and what is read can be explained.

use libfuzzer_sys::fuzz_target;
use trustctl_core::policy::{Policy, PolicyText, explain};
use trustctl_core::time::Timestamp;

fuzz_target!(|text: &str| {
    let source = PolicyText { name: "fuzz", text, load: &|_| Err("no files".to_owned()) };
    if let (Ok(policy), Ok(repository)) = (Policy::parse(&source), "registry.example/app".parse()) {
        drop(explain(&policy, &repository, None, Timestamp::UNIX_EPOCH));
    }
});
