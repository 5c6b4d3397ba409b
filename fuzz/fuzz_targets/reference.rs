#![no_main]
//! References: what parses prints to something that parses to the same.

use libfuzzer_sys::fuzz_target;
use trustctl_core::reference::Reference;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse::<Reference>().as_ref(), Ok(&reference));
    }
});
