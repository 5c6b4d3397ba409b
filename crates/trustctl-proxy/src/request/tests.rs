#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn ask(method: Method, target: &str) -> Result<Ask, Fault> {
    parse(&method, &target.parse().unwrap(), &HeaderMap::new())
}

fn got(target: &str) -> Call {
    ask(Method::GET, target).unwrap().call
}

fn refused(target: &str) -> (u16, &'static str) {
    let fault = ask(Method::GET, target).unwrap_err();
    assert!(!fault.message.is_empty());
    (fault.status.as_u16(), fault.code)
}

fn digest_of_nothing() -> Digest {
    format!("sha256:{HEX}").parse().unwrap()
}

#[test]
fn every_call_of_the_pull_surface_is_read() {
    let name = || "library/alpine".to_owned();
    assert_eq!(got("/v2"), Call::Ping);
    assert_eq!(got("/v2/"), Call::Ping);
    let tagged = Call::Manifest { name: name(), reference: ManifestName::Tag("3.20".parse().unwrap()) };
    assert_eq!(got("/v2/library/alpine/manifests/3.20"), tagged);
    let pinned = Call::Manifest { name: name(), reference: ManifestName::Digest(digest_of_nothing()) };
    for colon in [":", "%3A", "%3a"] {
        assert_eq!(got(&format!("/v2/library/alpine/manifests/sha256{colon}{HEX}")), pinned);
    }
    assert_eq!(got(&format!("/v2/library/alpine/blobs/sha256:{HEX}")), Call::Blob { name: name(), digest: digest_of_nothing() });
    let all = Call::Referrers { name: name(), digest: digest_of_nothing(), artifact_type: None };
    assert_eq!(got(&format!("/v2/library/alpine/referrers/sha256:{HEX}")), all);
    for plus in ["+", "%2B"] {
        let some = got(&format!("/v2/library/alpine/referrers/sha256:{HEX}?artifactType=application%2Fspdx{plus}json"));
        assert!(matches!(some, Call::Referrers { artifact_type: Some(kind), .. } if kind == "application/spdx+json"), "{plus}");
    }
}

#[test]
fn lists_of_tags_have_pages() {
    let page = |query: &str| match got(&format!("/v2/a/tags/list{query}")) {
        Call::Tags { limit, last, .. } => (limit, last.map(|tag| tag.to_string())),
        other => unreachable!("{other:?}"),
    };
    assert_eq!(page(""), (None, None));
    assert_eq!(page("?n=0"), (Some(0), None));
    assert_eq!(page("?last=v1&n=20"), (Some(20), Some("v1".to_owned())));
    assert_eq!(page("?n=99999999999999999999999999"), (Some(MAX_PAGE), None));
    for bad in ["?n=-1", "?n=", "?n=1e3", "?n=%31%00", "?n=1&n=2", "?last=../x", "?last=a&last=b"] {
        assert_eq!(refused(&format!("/v2/a/tags/list{bad}")).0, 400, "{bad}");
    }
}

#[test]
fn names_that_look_like_calls_are_read_from_the_end() {
    let read = got("/v2/a/manifests/b/blobs/manifests/manifests");
    assert_eq!(
        read,
        Call::Manifest { name: "a/manifests/b/blobs".to_owned(), reference: ManifestName::Tag("manifests".parse().unwrap()) }
    );
    assert!(matches!(got("/v2/a/tags/tags/list"), Call::Tags { name, .. } if name == "a/tags"));
}

#[test]
fn writing_is_refused_as_unsupported() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "BREW"] {
        let fault = ask(method.parse().unwrap(), "/v2/a/blobs/uploads/").unwrap_err();
        assert_eq!((fault.status.as_u16(), fault.code), (405, "UNSUPPORTED"), "{method}");
    }
    assert!(ask(Method::HEAD, "/v2/a/manifests/b").unwrap().head);
}

#[test]
fn what_breaks_the_grammar_is_refused() {
    let digest = format!("sha256:{HEX}");
    for name in ["A", "a//b", "", "/a", "a/", ".", "..", "a/../b", "a%2Fb", "%61", "a..b", "-a", "a b", "a:5000", "é"] {
        let target = format!("/v2/{}/blobs/{digest}", name.replace(' ', "%20").replace('é', "%C3%A9"));
        assert_eq!(refused(&target), (400, "NAME_INVALID"), "{name}");
    }
    let name = "a".repeat(255);
    assert!(ask(Method::GET, &format!("/v2/{name}/manifests/b")).is_ok());
    assert_eq!(refused(&format!("/v2/{name}a/manifests/b")), (400, "NAME_INVALID"));
    for bad in ["sha256:12", "sha256:%45", "md5:12", &format!("sha512:{HEX}"), &digest.to_uppercase(), "sha256%253A12", "uploads"]
    {
        assert_eq!(refused(&format!("/v2/a/blobs/{bad}")), (400, "DIGEST_INVALID"), "{bad}");
        assert_eq!(refused(&format!("/v2/a/referrers/{bad}")), (400, "DIGEST_INVALID"), "{bad}");
    }
    assert_eq!(refused("/v2/a/manifests/sha256:12"), (400, "DIGEST_INVALID"));
    for bad in ["", ".x", "-x", "a~b", &"a".repeat(129)] {
        assert_eq!(refused(&format!("/v2/a/manifests/{bad}")), (400, "MANIFEST_INVALID"), "{bad}");
    }
}

#[test]
fn other_paths_are_unknown() {
    for path in
        ["/", "/v1/", "/v2/_catalog", "/v2/a", "/v2/a/tags", "/v2/a/blobs/uploads/1", "/v2x/a/manifests/b", "/V2/", "//v2/"]
    {
        assert_eq!(refused(path), (404, "UNSUPPORTED"), "{path}");
    }
}

#[test]
fn the_host_and_namespace_are_read_once() {
    let with = |target: &str, hosts: &[&str]| {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        parse(&Method::GET, &target.parse().unwrap(), &headers)
    };
    assert_eq!(with("/v2/", &["proxy:5000"]).unwrap().host.as_deref(), Some("proxy:5000"));
    assert_eq!(with("http://other/v2/", &["proxy"]).unwrap().host.as_deref(), Some("other"));
    assert_eq!(with("/v2/", &["[::1]:5000"]).unwrap().host.as_deref(), Some("[::1]:5000"));
    assert_eq!(with("/v2/", &[]).unwrap().host, None);
    let long = "a".repeat(300);
    let bad: [&[&str]; 6] = [&["a", "b"], &["a b"], &["é"], &["a/b"], &["u@a"], &[&long]];
    for bad in bad {
        assert_eq!(with("/v2/", bad).unwrap_err().status.as_u16(), 400, "{bad:?}");
    }
    assert_eq!(with("http://user@other/v2/", &[]).unwrap_err().status.as_u16(), 400);
    assert_eq!(with("/v2/?ns=docker.io", &[]).unwrap().namespace.as_deref(), Some("docker.io"));
    assert_eq!(with("/v2/?ns=a%3A5000", &[]).unwrap().namespace.as_deref(), Some("a:5000"));
    for bad in ["?ns=a&ns=b", "?n%73=a", "?ns=%0d", "?ns=%ff", "?ns=%", "?ns=%4", &format!("?ns={}", "a".repeat(2100))] {
        assert_eq!(with(&format!("/v2/{bad}"), &[]).unwrap_err().status.as_u16(), 400, "{bad}");
    }
}

proptest! {
    #[test]
    fn no_target_panics_and_what_is_read_was_written(path in "[/a-z0-9.:%?=&v2~-]{0,60}", head: bool) {
        let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
        let method = if head { Method::HEAD } else { Method::GET };
        if let Ok(ask) = parse(&method, &uri, &HeaderMap::new()) {
            prop_assert_eq!(ask.head, head);
            let name = ask.call.name().unwrap_or_default();
            prop_assert!(uri.path().contains(name) && !name.contains("..") && !name.contains('%'));
        }
    }

    #[test]
    fn names_and_tags_come_through_unchanged(name in "[a-z0-9]{1,9}([._-][a-z0-9]{1,9}){0,3}(/[a-z0-9]{1,9}){0,4}", tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}") {
        let read = got(&format!("/v2/{name}/manifests/{tag}"));
        prop_assert_eq!(read, Call::Manifest { name, reference: ManifestName::Tag(tag.parse().unwrap()) });
    }
}
