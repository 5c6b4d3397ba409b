#![no_main]
//! Entries of the proxy's store, as a damaged file or another program leaves them.

use libfuzzer_sys::fuzz_target;
use trustctl_proxy::store::MAX_PARENTS;
use trustctl_proxy::store::form::{Parents, read_kept, read_tag, stamped, unstamped, write_kept, write_tag};
use trustctl_proxy::store::SubjectKey;

fuzz_target!(|value: &[u8]| {
    let Some((seconds, json)) = unstamped(value) else { return };
    assert_eq!(stamped(seconds, json), value);
    if let Ok(parents) = Parents::read(json) {
        assert_eq!(Parents::read(&parents.write().unwrap_or_default()).as_ref(), Ok(&parents));
        assert!(parents.into_vec().len() <= MAX_PARENTS);
    }
    if let Ok(record) = read_tag(json) {
        assert_eq!(read_tag(&write_tag(&record).unwrap_or_default()), Ok(record));
    }
    // Evidence is only read under the key of its own image.
    if let Ok(file) = trustctl_core::evidence::EvidenceFile::from_json(json) {
        let key = SubjectKey::of(&file.subject);
        let kept = read_kept(&key, json).expect("it is about this image");
        assert_eq!(read_kept(&key, &write_kept(&kept).unwrap_or_default()), Ok(kept));
        let other = SubjectKey { digest: trustctl_core::digest::Digest::sha256_of(b"other"), ..key };
        assert!(read_kept(&other, json).is_err());
    }
});
