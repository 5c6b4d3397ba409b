#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::request::parse;

fn hub() -> Upstream {
    Upstream { namespace: true, default: true, hosts: vec!["hub.proxy.example".to_owned()], ..Upstream::new("docker.io") }
}

fn upstreams() -> Upstreams {
    let ghcr = Upstream { namespace: true, ..Upstream::new("ghcr.io") };
    let local = Upstream { prefix: Some("local".to_owned()), ..Upstream::new("localhost:5001") };
    let deep = Upstream { prefix: Some("local/deep".to_owned()), ..Upstream::new("deep.example") };
    Upstreams::new(vec![hub(), ghcr, local, deep]).unwrap()
}

fn placed_by(upstreams: &Upstreams, host: Option<&str>, target: &str) -> Result<String, Fault> {
    let mut headers = HeaderMap::new();
    if let Some(host) = host {
        headers.insert("host", HeaderValue::from_str(host).unwrap());
    }
    let ask = parse(&Method::GET, &target.parse().unwrap(), &headers).unwrap();
    upstreams.place(&ask, ask.call.name().unwrap()).map(|place| place.repository.to_string())
}

fn to(target: &str) -> String {
    placed_by(&upstreams(), None, target).unwrap()
}

#[test]
fn a_name_leads_to_the_upstream_of_its_prefix_or_to_the_default() {
    assert_eq!(to("/v2/ghcr.io/acme/app/manifests/1"), "ghcr.io/acme/app");
    assert_eq!(to("/v2/docker.io/library/alpine/manifests/1"), "docker.io/library/alpine");
    assert_eq!(to("/v2/docker.io/alpine/manifests/1"), "docker.io/library/alpine");
    assert_eq!(to("/v2/alpine/manifests/1"), "docker.io/library/alpine");
    assert_eq!(to("/v2/acme/app/manifests/1"), "docker.io/acme/app");
    assert_eq!(to("/v2/local/app/manifests/1"), "localhost:5001/app");
    assert_eq!(to("/v2/local/deep/app/manifests/1"), "deep.example/app");
    // A prefix is whole path components, and not a name of its own.
    assert_eq!(to("/v2/localx/app/manifests/1"), "docker.io/localx/app");
    assert_eq!(to("/v2/local/manifests/1"), "docker.io/library/local");
}

#[test]
fn a_namespace_beats_the_host_which_beats_the_path() {
    let known = upstreams();
    let by = |host, target: &str| placed_by(&known, host, target).unwrap();
    assert_eq!(by(Some("hub.proxy.example"), "/v2/ghcr.io/a/b/manifests/1?ns=ghcr.io"), "ghcr.io/ghcr.io/a/b");
    for host in ["hub.proxy.example", "HUB.Proxy.Example:5000"] {
        assert_eq!(by(Some(host), "/v2/ghcr.io/a/b/manifests/1"), "docker.io/ghcr.io/a/b");
    }
    for host in ["hub.proxy.example.evil", "evil.hub.proxy.example", "hub.proxy.examplex:1"] {
        assert_eq!(by(Some(host), "/v2/ghcr.io/a/b/manifests/1"), "ghcr.io/a/b");
    }
    for spelling in ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO", "docker.io:443"] {
        assert_eq!(by(None, &format!("/v2/alpine/manifests/1?ns={spelling}")), "docker.io/library/alpine", "{spelling}");
    }
}

#[test]
fn a_namespace_that_is_not_served_is_denied() {
    let known = upstreams();
    // The third is an upstream, but not for namespaces; the last ones would be a path if they were pasted together.
    for namespace in ["evil.example", "127.0.0.1:6443", "deep.example", "", "docker.io/x", "x", "docker.io/library", "ghcr.io@x"]
    {
        let fault = placed_by(&known, None, &format!("/v2/a/b/manifests/1?ns={namespace}")).unwrap_err();
        assert_eq!((fault.status.as_u16(), fault.code), (403, "DENIED"), "{namespace}");
        assert_eq!(fault.reason, Some(Code::ProxyNamespace));
    }
}

#[test]
fn without_a_default_other_names_are_unknown() {
    let known = Upstreams::new(vec![Upstream::new("ghcr.io")]).unwrap();
    let fault = placed_by(&known, None, "/v2/docker.io/library/alpine/manifests/1").unwrap_err();
    assert_eq!((fault.status.as_u16(), fault.code, fault.reason), (404, "NAME_UNKNOWN", Some(Code::ProxyNoUpstream)));
    let too_long = format!("/v2/{}/manifests/1", "a".repeat(250));
    let fault = placed_by(&upstreams(), None, &too_long).unwrap_err();
    assert_eq!((fault.status.as_u16(), fault.code), (400, "NAME_INVALID"));
}

#[test]
fn upstreams_that_contradict_each_other_are_refused() {
    let refused = |upstreams: Vec<Upstream>| Upstreams::new(upstreams).unwrap_err();
    for name in
        ["", "registry", "Docker.io", "index.docker.io", "ghcr.io:443", "ghcr.io/acme", "127.1", "http://ghcr.io", "a b.c"]
    {
        assert_eq!(refused(vec![hub(), Upstream::new(name)]), UpstreamError::BadRegistry(1, name.to_owned()));
    }
    for prefix in ["", "A", "a/", "../a", "a:1"] {
        let upstream = Upstream { prefix: Some(prefix.to_owned()), ..Upstream::new("ghcr.io") };
        assert_eq!(refused(vec![upstream]), UpstreamError::BadPrefix(0, prefix.to_owned()));
    }
    // On Docker Hub a name without a slash is one of library/, and would never be asked for as it is written.
    for canary in ["", "A", "a/", "../a", "a:1", "hello-world"] {
        let upstream = Upstream { canary: Some(canary.to_owned()), ..hub() };
        assert_eq!(refused(vec![upstream]), UpstreamError::BadCanary(0, canary.to_owned()));
    }
    let unreachable = refused(vec![Upstream::new("localhost:5000")]);
    assert!(matches!(unreachable, UpstreamError::Unreachable(0, _)), "{unreachable}");
    let same = refused(vec![hub(), Upstream { prefix: Some("other".to_owned()), ..Upstream::new("docker.io") }]);
    assert!(matches!(same, UpstreamError::SameRegistry(1, _)), "{same}");
    let prefix = refused(vec![hub(), Upstream { prefix: Some("docker.io".to_owned()), ..Upstream::new("ghcr.io") }]);
    assert!(matches!(prefix, UpstreamError::SamePrefix(1, _)), "{prefix}");
    for host in ["hub.proxy.example", "HUB.proxy.example:5000"] {
        let host = refused(vec![hub(), Upstream { hosts: vec![host.to_owned()], ..Upstream::new("ghcr.io") }]);
        assert!(matches!(host, UpstreamError::SameHost(1, _)), "{host}");
    }
    let default = refused(vec![hub(), Upstream { default: true, ..Upstream::new("ghcr.io") }]);
    assert!(matches!(default, UpstreamError::TwoDefaults(1, _)) && default.position() == 1, "{default}");
}
