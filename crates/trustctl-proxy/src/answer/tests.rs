#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap or index fails the test")]

use std::time::Duration;

use http::header::{ACCEPT_RANGES, CONTENT_RANGE, IF_RANGE, RANGE, RETRY_AFTER, WARNING};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use trustctl_core::reason::{Code, Reason};

use super::*;

fn bytes_of(answer: Answer) -> Bytes {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(answer.into_body().collect()).poll(&mut context) {
        std::task::Poll::Ready(body) => body.unwrap().to_bytes(),
        std::task::Poll::Pending => unreachable!("the body waits"),
    }
}

fn document(answer: Answer) -> Value {
    serde_json::from_slice(&bytes_of(answer)).unwrap()
}

fn header(answer: &Answer, name: impl http::header::AsHeaderName) -> &str {
    answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

fn reason() -> Reason {
    Reason::new(Code::DctTagMoved, "the tag was moved\r\nX-Evil: \"1\"").expected_found("a", "b\u{7f}")
}

fn refusal(reason: &Reason) -> Refusal<'_> {
    Refusal { digest: None, image: Some("r.example/app:1"), reason, rule: Some("shop\n"), link: "https://docs.example/#tc" }
}

#[test]
fn a_refusal_is_403_with_code_rule_and_link() {
    let reason = reason();
    let answer = denied(&refusal(&reason));
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!((header(&answer, CONTENT_TYPE), header(&answer, CACHE_CONTROL)), ("application/json", "no-store"));
    let entry = document(answer)["errors"][0].take();
    assert_eq!(entry["code"], "DENIED");
    assert_eq!(
        entry["message"],
        format!(
            "{}: r.example/app:1: the tag was moved\u{fffd}\u{fffd}X-Evil: \"1\" (rule shop\u{fffd}); next: {}; https://docs.example/#tc",
            reason.code.id(),
            reason.code.advice()
        )
    );
    let detail = &entry["detail"];
    assert_eq!((detail["reason"].as_str(), detail["name"].as_str()), (Some(&*reason.code.id()), Some("dct.tag-moved")));
    assert_eq!((detail["expected"].as_str(), detail["found"].as_str()), (Some("a"), Some("b\u{fffd}")));
}

/// The policy's file and what was looked at are for operators, who find them in the details.
#[test]
fn whoever_pulls_what_nobody_signed_is_told_that_and_no_more() {
    let reason = Reason::new(Code::CosignUnsigned, "rule \"shop\" (/etc/policy.toml:6) asks for cosign: looked at referrers");
    let entry = document(denied(&refusal(&reason)))["errors"][0].take();
    let message = entry["message"].as_str().unwrap();
    assert!(message.starts_with("TC0301: r.example/app:1: no signature was found (rule shop"), "{message}");
    assert!(message.contains("; next: ask the publisher to sign the image") && !message.contains("policy.toml"), "{message}");
    assert_eq!(entry["detail"]["message"], reason.message);
    assert_eq!(entry["detail"]["image"], "r.example/app:1");
}

#[test]
fn what_is_undecided_is_503_and_says_when_to_come_back() {
    let reason = Reason::new(Code::Unavailable, "the registry does not answer");
    let refusal = Refusal { digest: None, image: None, reason: &reason, rule: None, link: &docs_link(reason.code) };
    let answer = undecided(&refusal, Duration::from_millis(300));
    assert_eq!((answer.status().as_u16(), header(&answer, RETRY_AFTER)), (503, "1"));
    let entry = document(answer)["errors"][0].take();
    assert_eq!(entry["code"], "UNAVAILABLE");
    assert!(entry["message"].as_str().unwrap().contains("reasons.md#tc04"), "{entry}");
    let answer = throttled("slow down", Duration::from_secs(30));
    assert_eq!((answer.status().as_u16(), header(&answer, RETRY_AFTER)), (429, "30"));
    assert_eq!(document(answer)["errors"][0]["code"], "TOOMANYREQUESTS");
}

/// The link is a heading of the generated page, as the hosting turns headings into anchors.
#[test]
fn links_lead_to_the_sections_of_the_reference() {
    let page = include_str!("../../../../docs/reference/reasons.md");
    let anchors: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(['`', '.'], "").replace(' ', "-"))
        .collect();
    for code in Code::ALL {
        let link = docs_link(*code);
        assert!(anchors.iter().any(|anchor| link.ends_with(&format!("#{anchor}"))), "{link}");
    }
}

#[test]
fn the_denial_manifest_has_its_own_digest_and_names_the_reason() {
    let reason = reason();
    let answer = Denial::new(&refusal(&reason)).answer();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, CONTENT_TYPE), "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(header(&answer, CACHE_CONTROL), "no-store");
    let digest: Digest = header(&answer, CONTENT_DIGEST).parse().unwrap();
    let length = header(&answer, CONTENT_LENGTH).to_owned();
    let bytes = bytes_of(answer);
    assert!(digest.matches(&bytes) && length == bytes.len().to_string());
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let kind = manifest["config"]["mediaType"].as_str().unwrap();
    assert!(kind.starts_with(DENIED_MEDIA_TYPE) && kind.ends_with(".dct.tag-moved.v1+json"), "{kind}");
    assert_eq!(manifest["layers"], json!([]));
    assert!(manifest["config"]["digest"].as_str().unwrap().starts_with(NOBODY_S));
    assert_eq!(manifest["annotations"]["dev.trustctl.denied.link"], "https://docs.example/#tc");
    // A media type has at most 127 characters on each side of the slash (RFC 6838, section 4.2), whatever the code.
    let longest = Code::ALL.iter().map(|code| code.name().len()).max().unwrap();
    assert!(DENIED_MEDIA_TYPE.len() + "tc0000".len() + 1 + longest + ".v1+json".len() <= "application/".len() + 127);
}

/// A digest of 16 bytes of zeros and 16 of a hash: no bytes with it can be found, and no two refusals share one.
#[test]
fn each_denial_names_a_configuration_of_its_own_that_tells_the_reason() {
    let reasons = [reason(), Reason::new(Code::Unavailable, "not now")];
    let [no, later] = reasons.each_ref().map(|reason| Denial::new(&refusal(reason)));
    assert_ne!(no.configuration(), later.configuration());
    for denial in [&no, &later] {
        let manifest: Value = serde_json::from_slice(&bytes_of(denial.answer())).unwrap();
        let named: Digest = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(named, denial.configuration());
        assert!(named.to_string().starts_with(NOBODY_S) && named.as_bytes()[16..].iter().any(|byte| *byte != 0), "{named}");
    }
    for (denial, reason) in [&no, &later].into_iter().zip(&reasons) {
        assert_eq!(denial.words().status(), StatusCode::FORBIDDEN);
        assert_eq!(document(denial.words()), document(denied(&refusal(reason))));
    }
}

#[test]
fn faults_are_answered_in_the_specified_json() {
    let uri = "/v2/a/blobs/uploads/".parse().unwrap();
    let refused = crate::request::parse(&Method::POST, &uri, &HeaderMap::new()).unwrap_err();
    let answer = fault(&refused);
    assert_eq!((answer.status().as_u16(), header(&answer, ALLOW)), (405, "GET, HEAD"));
    assert_eq!(document(answer)["errors"][0]["code"], "UNSUPPORTED");
    let known = Fault { reason: Some(Code::ProxyNamespace), ..Fault::new(StatusCode::FORBIDDEN, "DENIED", "not\u{1b} served") };
    let answer = fault(&known);
    assert_eq!(header(&answer, ALLOW), "");
    let entry = document(answer)["errors"][0].take();
    assert_eq!(entry["message"], "TC0601: not\u{fffd} served");
    assert_eq!(entry["detail"]["name"], "proxy.namespace-not-served");
}

#[test]
fn a_manifest_has_its_headers_and_head_has_them_too() {
    let bytes = Bytes::from_static(b"{}");
    let digest = Digest::sha256_of(&bytes);
    let mut answer = ManifestAnswer::new(&digest, "application/vnd.oci.image.index.v1+json", bytes.clone()).answer();
    add_namespace(answer.headers_mut(), "docker.io");
    add_namespace(answer.headers_mut(), "bad\r\nname");
    assert_eq!(header(&answer, CONTENT_DIGEST), digest.to_string());
    assert_eq!(header(&answer, CONTENT_TYPE), "application/vnd.oci.image.index.v1+json");
    assert_eq!((header(&answer, CONTENT_LENGTH), header(&answer, OCI_NAMESPACE)), ("2", "docker.io"));
    let headers = answer.headers().clone();
    let head = without_body(answer);
    assert_eq!(*head.headers(), headers);
    assert!(bytes_of(head).is_empty());
    for bad in ["", "a/b\r\nX: y", "a/\u{e9}"] {
        let answer = ManifestAnswer::new(&digest, bad, bytes.clone()).answer();
        assert_eq!(header(&answer, CONTENT_TYPE), "application/octet-stream", "{bad:?}");
    }
}

#[test]
fn lists_say_where_the_next_page_is() {
    let names = ["a".to_owned(), "b".to_owned()];
    let page = tags("team/app", &names, Some(("b", 2)));
    assert_eq!(header(&page, LINK), "</v2/team/app/tags/list?n=2&last=b>; rel=\"next\"");
    assert_eq!(document(page), json!({ "name": "team/app", "tags": ["a", "b"] }));
    assert_eq!(header(&tags("a", &[], None), LINK), "");
    assert_eq!(document(tags("a", &[], None)), json!({ "name": "a", "tags": [] }));
    let index = referrers(Bytes::from_static(b"{}"), true);
    assert_eq!(header(&index, CONTENT_TYPE), "application/vnd.oci.image.index.v1+json");
    assert_eq!(header(&index, FILTERS_APPLIED), "artifactType");
    assert_eq!(header(&referrers(Bytes::new(), false), FILTERS_APPLIED), "");
    assert_eq!(header(&ping(), API_VERSION), "registry/2.0");
}

fn ranged(range: &str, total: u64) -> Wanted {
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, HeaderValue::from_str(range).unwrap());
    wanted(&headers, "\"x\"", total)
}

#[test]
fn ranges_are_read_as_http_says() {
    let cases = [
        ("bytes=0-0", Wanted::Part(0..1)),
        ("bytes=0-", Wanted::Part(0..10)),
        ("BYTES=3-5", Wanted::Part(3..6)),
        ("bytes=3-500", Wanted::Part(3..10)),
        ("bytes=9-99999999999999999999999", Wanted::Part(9..10)),
        ("bytes=-3", Wanted::Part(7..10)),
        ("bytes=-500", Wanted::Part(0..10)),
        ("bytes= 1-2 ", Wanted::Part(1..3)),
        ("bytes=10-", Wanted::Unsatisfiable),
        ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
        ("bytes=10-20", Wanted::Unsatisfiable),
        ("bytes=-0", Wanted::Unsatisfiable),
        ("bytes=5-3", Wanted::Whole),
        ("bytes=0-1,3-4", Wanted::Whole),
        ("bytes=-", Wanted::Whole),
        ("bytes=a-b", Wanted::Whole),
        ("bytes=+1-2", Wanted::Whole),
        ("bytes 0-1", Wanted::Whole),
        ("items=0-1", Wanted::Whole),
        ("", Wanted::Whole),
    ];
    for (text, expected) in cases {
        assert_eq!(ranged(text, 10), expected, "{text}");
    }
    assert_eq!(ranged("bytes=0-", 0), Wanted::Unsatisfiable);
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, HeaderValue::from_static("bytes=0-1"));
    for (known, expected) in [("\"x\"", Wanted::Part(0..2)), ("\"y\"", Wanted::Whole), ("W/\"x\"", Wanted::Whole)] {
        headers.insert(IF_RANGE, HeaderValue::from_str(known).unwrap());
        assert_eq!(wanted(&headers, "\"x\"", 10), expected, "{known}");
    }
    headers.remove(IF_RANGE);
    headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
    assert_eq!(wanted(&headers, "\"x\"", 10), Wanted::Whole);
}

#[test]
fn a_blob_is_sent_whole_in_part_or_not() {
    let content = Bytes::from_static(b"0123456789");
    let digest = Digest::sha256_of(&content);
    let sent = |head, range: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            headers.insert(RANGE, HeaderValue::from_static(range));
        }
        blob(&headers, head, (&digest, 10), |range| {
            content.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()).into()
        })
    };
    let whole = sent(false, None);
    assert_eq!((whole.status().as_u16(), header(&whole, CONTENT_LENGTH), header(&whole, ACCEPT_RANGES)), (200, "10", "bytes"));
    assert_eq!((header(&whole, CONTENT_DIGEST), header(&whole, CONTENT_RANGE)), (&*digest.to_string(), ""));
    assert_eq!(bytes_of(whole), content);
    let part = sent(false, Some("bytes=-3"));
    assert_eq!((part.status().as_u16(), header(&part, CONTENT_RANGE), header(&part, CONTENT_LENGTH)), (206, "bytes 7-9/10", "3"));
    assert_eq!(bytes_of(part), "789");
    let head = sent(true, Some("bytes=0-1"));
    assert_eq!((head.status().as_u16(), header(&head, CONTENT_LENGTH)), (200, "10"));
    assert!(bytes_of(head).is_empty());
    let after = sent(false, Some("bytes=10-"));
    assert_eq!((after.status().as_u16(), header(&after, CONTENT_RANGE)), (416, "bytes */10"));
    assert_eq!(document(after)["errors"][0]["code"], "SIZE_INVALID");
}

#[test]
fn who_has_the_content_is_not_sent_it_and_a_refusal_is_not_hidden() {
    let content = Bytes::from_static(b"0123456789");
    let digest = Digest::sha256_of(&content);
    let (mine, other) = (format!("\"{digest}\""), format!("\"{}\"", Digest::sha256_of(b"other")));
    let known = |tags: &[&str]| {
        let mut headers = HeaderMap::new();
        for tag in tags {
            headers.append(http::header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap());
        }
        headers
    };
    let manifest = || ManifestAnswer::new(&digest, "a/b", content.clone()).answer();
    let weak = format!("{other} , W/{mine}");
    for tags in [&[&*mine][..], &["*"], &[&weak], &[&other, &mine]] {
        let answer = unless_known(&known(tags), manifest());
        assert_eq!(
            (answer.status().as_u16(), header(&answer, ETAG), header(&answer, CONTENT_LENGTH)),
            (304, &*mine, ""),
            "{tags:?}"
        );
        assert_eq!(header(&answer, CONTENT_DIGEST), digest.to_string());
        assert!(bytes_of(answer).is_empty());
    }
    let sticky = Denial::new(&refusal(&reason())).answer();
    assert_eq!(unless_known(&known(&["*"]), sticky).status(), StatusCode::OK);
    for tags in [&[][..], &[&*other], &["W/"], &[""]] {
        assert_eq!(bytes_of(unless_known(&known(tags), manifest())), content, "{tags:?}");
    }
    let reason = reason();
    let sticky = Denial::new(&refusal(&reason)).answer();
    for refused in [denied(&refusal(&reason)), undecided(&refusal(&reason), Duration::from_secs(1)), sticky] {
        let status = refused.status();
        assert_eq!(unless_known(&known(&[&mine]), refused).status(), status);
    }
}

#[test]
fn warnings_stay_in_their_quotes_and_within_their_limit() {
    let mut headers = HeaderMap::new();
    add_warnings(&mut headers, ["say \"no\" \\ \r\nX-Evil: 1", "é\u{202e}"]);
    let all: Vec<&str> = headers.get_all(WARNING).iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(all, ["299 - \"say \\\"no\\\" \\\\ ??X-Evil: 1\"", "299 - \"??\""]);
    let mut headers = HeaderMap::new();
    let long = "\"".repeat(5000);
    add_warnings(&mut headers, std::iter::repeat_n(long.as_str(), 10));
    let all: Vec<&HeaderValue> = headers.get_all(WARNING).iter().collect();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|value| value.to_str().unwrap().ends_with("\\\"...\"")));
    assert!(all.iter().map(|value| value.len()).sum::<usize>() <= 4096);
}

proptest! {
    #[test]
    fn a_range_lies_within_the_blob(text in "(bytes=)?[0-9 ,=-]{0,30}", total: u64) {
        match ranged(&text, total) {
            Wanted::Part(range) => prop_assert!(range.start < range.end && range.end <= total),
            Wanted::Unsatisfiable | Wanted::Whole => {}
        }
    }

    #[test]
    fn any_text_makes_one_quoted_warning(text: String) {
        let mut headers = HeaderMap::new();
        add_warnings(&mut headers, [text.as_str()]);
        let value = headers.get(WARNING).unwrap().to_str().unwrap();
        let inside = value.strip_prefix("299 - \"").unwrap().strip_suffix('"').unwrap();
        prop_assert!(value.len() <= 1024);
        prop_assert!(!inside.replace("\\\\", "").replace("\\\"", "").contains('"'));
    }
}
