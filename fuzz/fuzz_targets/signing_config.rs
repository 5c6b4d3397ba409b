#![no_main]
//! Signing configs: whatever is read chooses no operator twice.

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use trustctl_core::time::Timestamp;
use trustctl_sigstore::signing_config::{LogApi, SigningConfig};

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = SigningConfig::parse(bytes) else { return };
    let Ok(now) = Timestamp::from_unix_seconds(1_795_867_200) else { return };
    let _ = (config.authority(now), config.issuer(now));
    for chosen in [config.logs(&[LogApi::V1, LogApi::V2], now), config.timestamp_authorities(now)].into_iter().flatten() {
        let operators: BTreeSet<&str> = chosen.iter().map(|service| service.operator.as_str()).collect();
        assert_eq!(operators.len(), chosen.len());
    }
});
