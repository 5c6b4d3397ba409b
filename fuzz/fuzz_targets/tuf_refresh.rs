#![no_main]
//! The files of a TUF repository, as its server gives them: one answer after the other, separated by a zero byte.

use libfuzzer_sys::fuzz_target;
use trustctl_core::memory::Slot;
use trustctl_core::time::Timestamp;
use trustctl_sigstore::tuf::{Beginning, PUBLIC_GOOD_ROOT, Refresh, kept};

fuzz_target!(|bytes: &[u8]| {
    let answers: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    for root in [PUBLIC_GOOD_ROOT, answers[0]] {
        let beginning = Beginning { root, must_lead_here: false };
        let Ok(mut refresh) = Refresh::begin(beginning, &Slot::default(), Timestamp::UNIX_EPOCH) else { continue };
        for answer in &answers {
            let Some(file) = refresh.wants().into_iter().next() else { break };
            // Nothing at all stands for "there is no such file".
            if refresh.receive(&file, Some(*answer).filter(|answer| !answer.is_empty())).is_err() {
                break;
            }
        }
        let _ = kept(refresh.learnt());
    }
});
