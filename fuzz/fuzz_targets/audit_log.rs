#![no_main]
//! The proxy's audit log, as somebody who can write to it leaves it.

use libfuzzer_sys::fuzz_target;
use trustctl_proxy::audit::line::{Head, parse};
use trustctl_proxy::audit::verify_lines;

fuzz_target!(|bytes: &[u8]| {
    let verified = verify_lines(bytes);
    // What is verified as a whole is verified line by line.
    let mut head: Option<Head> = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")) {
        let before = match (&head, parse(line)) {
            (Some(head), _) => head.clone(),
            (None, Ok(link)) if link.seq > 1 => Head { seq: link.seq - 1, hash: link.prev },
            (None, _) => Head::default(),
        };
        match before.follow(line) {
            Ok((_, next)) => head = Some(next),
            Err(_) => return assert!(verified.is_err()),
        }
    }
    if let Ok(summary) = verified {
        assert_eq!(summary.head, head.unwrap_or_default());
    }
});
