#![no_main]
//! Configurations of the proxy: no text panics, and what is read serves nobody without TLS unless it says so.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use trustctl_proxy::config::{Config, ConfigText};

fuzz_target!(|text: &str| {
    let load = |_: &Path| Err("no files".to_owned());
    let source = ConfigText { name: "fuzz", folder: Path::new("/"), text, load: &load };
    if let Ok(config) = Config::parse(&source) {
        let open =
            config.listen.iter().chain(&config.admin).filter(|listen| listen.tls.is_none() && !listen.address.ip().is_loopback());
        assert!(open.count() <= config.warnings.len());
        assert!(!config.listen.is_empty() && !config.upstreams.all().is_empty());
    }
});
