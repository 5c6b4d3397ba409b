#![no_main]
//! Ranges and warnings: a range lies within the blob, and no text leaves its header.

use http::header::{RANGE, WARNING};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use trustctl_proxy::answer::{Wanted, add_warnings, wanted};

fuzz_target!(|input: (&[u8], u64, &str)| {
    let (range, total, text) = input;
    let mut headers = HeaderMap::new();
    if let Ok(range) = HeaderValue::from_bytes(range) {
        headers.insert(RANGE, range);
    }
    if let Wanted::Part(range) = wanted(&headers, "\"x\"", total) {
        assert!(range.start < range.end && range.end <= total);
    }
    add_warnings(&mut headers, [text, text]);
    let all: usize = headers.get_all(WARNING).iter().map(HeaderValue::len).sum();
    assert!(all <= 4096 && headers.get_all(WARNING).iter().count() == 2);
});
