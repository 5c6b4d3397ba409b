#![no_main]
//! Requests to the proxy: no target or header panics, and what is read leads to one place at most.

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Uri};
use libfuzzer_sys::fuzz_target;
use trustctl_proxy::answer;
use trustctl_proxy::request::parse;
use trustctl_proxy::upstreams::{Upstream, Upstreams};

fuzz_target!(|input: (&str, &[u8], bool)| {
    let (target, host, head) = input;
    let Ok(uri) = target.parse::<Uri>() else { return };
    let mut headers = HeaderMap::new();
    if let Ok(host) = HeaderValue::from_bytes(host) {
        headers.insert(HOST, host);
    }
    let hub = Upstream { namespace: true, default: true, hosts: vec!["hub".to_owned()], ..Upstream::new("docker.io") };
    let Ok(upstreams) = Upstreams::new(vec![hub, Upstream { namespace: true, ..Upstream::new("ghcr.io") }]) else { return };
    let method = if head { Method::HEAD } else { Method::GET };
    match parse(&method, &uri, &headers) {
        Err(fault) => drop(answer::fault(&fault)),
        Ok(ask) => {
            let Some(name) = ask.call.name() else { return };
            if let Ok(place) = upstreams.place(&ask, name) {
                assert_eq!(place.repository.registry(), place.upstream.registry);
                assert!(place.repository.path().ends_with(name.rsplit('/').next().unwrap_or_default()));
                assert_eq!(place.repository.canonical_name(), place.repository.to_string());
            }
        }
    }
});
