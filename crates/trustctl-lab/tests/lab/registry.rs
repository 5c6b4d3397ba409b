//! The registry's protocol over real HTTP, and what an attacker who owns it can do.

use serde_json::json;
use trustctl_core::digest::Digest;
use trustctl_lab::image::Artifact;
use trustctl_lab::registry::{LabRegistry, RegistryOptions, RegistrySettings, TakenManifest};

use crate::support::Ask;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn registry() -> LabRegistry {
    LabRegistry::start(RegistryOptions::default()).unwrap()
}

fn with(settings: RegistrySettings) -> LabRegistry {
    LabRegistry::start(RegistryOptions { settings, ..RegistryOptions::default() }).unwrap()
}

fn url(registry: &LabRegistry, path: &str) -> String {
    format!("{}/v2/{path}", registry.url())
}

#[tokio::test]
async fn it_listens_on_loopback_and_says_what_it_is() {
    let registry = registry();
    assert!(registry.host().starts_with("127.0.0.1:"));
    let ping = Ask::get(url(&registry, "")).send().await;
    assert_eq!((ping.status, ping.text().as_str()), (200, "{}"));
    assert_eq!(ping.header("docker-distribution-api-version"), "registry/2.0");
    assert!(ping.header("server").contains("not for production"));
    assert_eq!(Ask::get(format!("{}/v1/", registry.url())).send().await.status, 404);
}

#[tokio::test]
async fn what_was_pushed_is_pulled_by_tag_and_by_digest() {
    let registry = registry();
    let image = Artifact::image("hello");
    let digest = registry.push("demo/app", Some("1.0"), &image, None).unwrap();
    for reference in ["1.0".to_owned(), digest.to_string()] {
        let answer = Ask::get(url(&registry, &format!("demo/app/manifests/{reference}"))).send().await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, image.manifest.as_ref()));
        assert_eq!(answer.header("content-type"), OCI_MANIFEST);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        let head = Ask::new("HEAD", url(&registry, &format!("demo/app/manifests/{reference}"))).send().await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), image.manifest.len().to_string());
    }
    let blob = Digest::sha256_of(&image.blobs[0]);
    let answer = Ask::get(url(&registry, &format!("demo/app/blobs/{blob}"))).send().await;
    assert_eq!(answer.body, image.blobs[0]);
}

#[tokio::test]
async fn an_index_is_pushed_with_its_children() {
    let registry = registry();
    let index = Artifact::multi_platform("hello");
    let digest = registry.push("demo/app", Some("multi"), &index, None).unwrap();
    let answer = Ask::get(url(&registry, "demo/app/manifests/multi")).header("accept", OCI_INDEX).send().await;
    assert_eq!((answer.header("content-type"), answer.json()["manifests"].as_array().unwrap().len()), (OCI_INDEX, 2));
    assert_eq!(registry.tag("demo/app", "multi"), Some(digest));
    assert_eq!(registry.manifests("demo/app").len(), 3);
}

#[tokio::test]
async fn what_is_not_there_is_404_with_the_right_code() {
    let registry = registry();
    let nothing = Digest::sha256_of(b"nothing");
    assert_eq!(Ask::get(url(&registry, "demo/app/manifests/1.0")).send().await.code(), "NAME_UNKNOWN");
    registry.push("demo/app", Some("1.0"), &Artifact::image("hello"), None).unwrap();
    for (path, status, code) in [
        ("demo/app/manifests/2.0".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (format!("demo/app/manifests/{nothing}"), 404, "MANIFEST_UNKNOWN"),
        (format!("demo/app/blobs/{nothing}"), 404, "BLOB_UNKNOWN"),
        ("demo/app/blobs/sha256:12".to_owned(), 400, "DIGEST_INVALID"),
        ("demo/app/blobs/uploads/none".to_owned(), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("other/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        ("Demo/tags/list".to_owned(), 400, "NAME_INVALID"),
    ] {
        let answer = Ask::get(url(&registry, &path)).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn a_manifest_is_refused_for_each_thing_that_is_wrong_with_it() {
    let registry = registry();
    let image = Artifact::image("hello");
    registry.push("demo/app", Some("1.0"), &image, None).unwrap();
    let put = |reference: &str, content_type: &str, body: &[u8]| {
        Ask::new("PUT", url(&registry, &format!("demo/app/manifests/{reference}")))
            .header("content-type", content_type)
            .body(body)
    };
    let good = put("2.0", OCI_MANIFEST, &image.manifest).send().await;
    assert_eq!((good.status, good.header("docker-content-digest")), (201, image.digest().to_string().as_str()));
    let missing_blob = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [{"digest": Digest::sha256_of(b"no")}]});
    let missing_child = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{"digest": Digest::sha256_of(b"no")}]});
    let wrong = Digest::sha256_of(b"wrong").to_string();
    for (answer, code) in [
        (put("2.0", OCI_INDEX, &image.manifest).send().await, "MANIFEST_INVALID"),
        (put("2.0", OCI_MANIFEST, b"{").send().await, "MANIFEST_INVALID"),
        (put("2.0", OCI_MANIFEST, b"{\"schemaVersion\":1}").send().await, "MANIFEST_INVALID"),
        (put("-2", OCI_MANIFEST, &image.manifest).send().await, "TAG_INVALID"),
        (put(&wrong, OCI_MANIFEST, &image.manifest).send().await, "DIGEST_INVALID"),
        (put("2.0", OCI_MANIFEST, missing_blob.to_string().as_bytes()).send().await, "MANIFEST_BLOB_UNKNOWN"),
        (put("2.0", OCI_INDEX, missing_child.to_string().as_bytes()).send().await, "MANIFEST_BLOB_UNKNOWN"),
    ] {
        assert_eq!((answer.status, answer.code().as_str()), (400, code));
    }
    let huge = vec![b' '; (4 << 20) + 1];
    assert_eq!(put("2.0", OCI_MANIFEST, &huge).send().await.status, 413);
    registry.change(|settings| settings.checks_digests = false);
    assert_eq!(put(&wrong, OCI_MANIFEST, &image.manifest).send().await.status, 201, "a careless registry");
}

#[tokio::test]
async fn accept_decides_who_gets_a_manifest() {
    let registry = registry();
    registry.push("demo/app", Some("1.0"), &Artifact::image("hello"), None).unwrap();
    let get = |accept: &str| Ask::get(url(&registry, "demo/app/manifests/1.0")).header("accept", accept);
    assert_eq!(get("*/*").send().await.status, 200);
    assert_eq!(get(&format!("text/plain, {OCI_MANIFEST};q=0.5")).send().await.status, 200);
    assert_eq!(get(OCI_INDEX).send().await.status, 404);
    registry.change(|settings| settings.strict_accept = true);
    assert_eq!(get("*/*").send().await.status, 404, "as docker-registry 2 does");
    assert_eq!(get(OCI_MANIFEST).send().await.status, 200);
}

#[tokio::test]
async fn blobs_are_uploaded_in_chunks_in_order() {
    let registry = registry();
    let started = Ask::new("POST", url(&registry, "demo/app/blobs/uploads/")).send().await;
    assert_eq!(started.status, 202);
    let session = format!("{}{}", registry.url(), started.header("location"));
    let chunk = |range: &str, body: &str| Ask::new("PATCH", &session).header("content-range", range).body(body);
    let first = chunk("0-4", "hello").send().await;
    assert_eq!((first.status, first.header("range")), (202, "0-4"));
    assert_eq!(chunk("0-4", "again").send().await.status, 416, "out of order");
    assert_eq!(chunk("5-10", " world").send().await.header("range"), "0-10");
    assert_eq!(Ask::get(&session).send().await.header("range"), "0-10");
    let digest = Digest::sha256_of(b"hello world!");
    let end = Ask::new("PUT", format!("{session}?digest={digest}")).body("!").send().await;
    assert_eq!((end.status, end.header("docker-content-digest")), (201, digest.to_string().as_str()));
    assert_eq!(registry.blob("demo/app", &digest).unwrap().as_ref(), b"hello world!");
    assert_eq!(Ask::get(&session).send().await.status, 404, "the session is over");
}

#[tokio::test]
async fn blobs_are_uploaded_at_once_mounted_and_cancelled() {
    let registry = registry();
    let digest = Digest::sha256_of(b"hello");
    let post =
        |query: String, body: &str| Ask::new("POST", url(&registry, &format!("demo/app/blobs/uploads/?{query}"))).body(body);
    assert_eq!(post(format!("digest={digest}"), "hallo").send().await.code(), "DIGEST_INVALID");
    assert_eq!(post(format!("digest={digest}"), "hello").send().await.status, 201);
    let mount = |from: &str| Ask::new("POST", url(&registry, &format!("other/blobs/uploads/?mount={digest}&from={from}")));
    let mounted = mount("demo/app").send().await;
    assert_eq!((mounted.status, mounted.header("location")), (201, format!("/v2/other/blobs/{digest}").as_str()));
    let not_mounted = mount("nowhere").send().await;
    assert_eq!(not_mounted.status, 202, "an upload session instead");
    let session = format!("{}{}", registry.url(), not_mounted.header("location"));
    assert_eq!(Ask::new("DELETE", &session).send().await.status, 204);
    assert_eq!(Ask::new("PATCH", &session).send().await.status, 404);
}

#[tokio::test]
async fn a_part_of_a_blob_is_served() {
    let registry = registry();
    let digest = Digest::sha256_of(b"hello world");
    registry.put_blob("demo/app", digest, "hello world".into());
    let get = |range: &str| Ask::get(url(&registry, &format!("demo/app/blobs/{digest}"))).header("range", range);
    let part = get("bytes=6-").send().await;
    assert_eq!((part.status, part.text().as_str(), part.header("content-range")), (206, "world", "bytes 6-10/11"));
    assert_eq!(get("bytes=20-").send().await.status, 416);
    assert_eq!(get("bytes=0-1,3-4").send().await.status, 200, "several ranges: the whole");
}

#[tokio::test]
async fn tags_come_in_pages() {
    let registry = registry();
    let image = Artifact::image("hello");
    for tag in ["c", "a", "b"] {
        registry.push("demo/app", Some(tag), &image, None).unwrap();
    }
    let all = Ask::get(url(&registry, "demo/app/tags/list")).send().await;
    assert_eq!((all.json()["tags"].clone(), all.header("link")), (json!(["a", "b", "c"]), ""));
    let first = Ask::get(url(&registry, "demo/app/tags/list?n=2")).send().await;
    assert_eq!(first.json(), json!({"name": "demo/app", "tags": ["a", "b"]}));
    assert_eq!(first.header("link"), "</v2/demo/app/tags/list?n=2&last=b>; rel=\"next\"");
    let second = Ask::get(url(&registry, "demo/app/tags/list?n=2&last=b")).send().await;
    assert_eq!((second.json()["tags"].clone(), second.header("link")), (json!(["c"]), ""));
    registry.change(|settings| settings.page_size = Some(1));
    let small = Ask::get(url(&registry, "demo/app/tags/list?n=2")).send().await;
    assert_eq!(small.json()["tags"], json!(["a"]), "the registry's own limit is lower");
    assert_eq!(Ask::get(url(&registry, "_catalog")).send().await.json(), json!({"repositories": ["demo/app"]}));
}

#[tokio::test]
async fn referrers_are_listed_filtered_and_paged() {
    let registry = registry();
    let image = Artifact::image("hello");
    registry.push("demo/app", Some("1.0"), &image, None).unwrap();
    let path = format!("demo/app/referrers/{}", image.digest());
    assert_eq!(Ask::get(url(&registry, &path)).send().await.json()["manifests"], json!([]));
    let signature = Artifact::referrer(&image, "application/vnd.example.signature", "one");
    let sbom = Artifact::referrer(&image, "application/vnd.example.sbom+json", "two");
    registry.push("demo/app", None, &signature, None).unwrap();
    let digest = registry.push("demo/app", None, &sbom, None).unwrap();
    let all = Ask::get(url(&registry, &path)).send().await;
    assert_eq!((all.header("content-type"), all.json()["manifests"].as_array().unwrap().len()), (OCI_INDEX, 2));
    let filtered = Ask::get(url(&registry, &format!("{path}?artifactType=application/vnd.example.sbom%2Bjson"))).send().await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let listed = filtered.json();
    assert_eq!(listed["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(listed["manifests"][0]["digest"], json!(digest));
    assert_eq!(listed["manifests"][0]["artifactType"], "application/vnd.example.sbom+json");
    assert!(listed["manifests"][0]["annotations"]["org.opencontainers.image.created"].is_string());
    registry.change(|settings| settings.page_size = Some(1));
    let first = Ask::get(url(&registry, &path)).send().await;
    assert_eq!(first.json()["manifests"].as_array().unwrap().len(), 1);
    let next = first.header("link").trim_start_matches('<').split('>').next().unwrap().to_owned();
    let second = Ask::get(format!("{}{next}", registry.url())).send().await;
    assert_ne!(second.json()["manifests"][0], first.json()["manifests"][0]);
    assert_eq!(second.header("link"), "");
    registry.change(|settings| settings.referrers_filter = false);
    let unfiltered = Ask::get(url(&registry, &format!("{path}?artifactType=x&n=9"))).send().await;
    assert_eq!(unfiltered.header("oci-filters-applied"), "");
}

#[tokio::test]
async fn a_subject_is_confirmed_only_where_referrers_exist() {
    let image = Artifact::image("hello");
    let referrer = Artifact::referrer(&image, "application/vnd.example", "one");
    for (settings, confirmed, status) in
        [(RegistrySettings::default(), true, 200), (RegistrySettings::like_docker_registry(), false, 404)]
    {
        let registry = with(settings);
        registry.push("demo/app", None, &referrer, None).unwrap();
        let put = Ask::new("PUT", url(&registry, &format!("demo/app/manifests/{}", referrer.digest())));
        let answer = put.header("content-type", OCI_MANIFEST).body(referrer.manifest.clone()).send().await;
        assert_eq!(answer.status, 201, "the subject need not be there");
        assert_eq!(answer.header("oci-subject") == image.digest().to_string(), confirmed);
        assert_eq!(Ask::get(url(&registry, &format!("demo/app/referrers/{}", image.digest()))).send().await.status, status);
        assert_eq!(registry.referrers("demo/app", &image.digest()), [referrer.digest()], "the handle sees them either way");
    }
}

#[tokio::test]
async fn deletion_takes_tags_along_and_can_be_forbidden() {
    let registry = registry();
    let image = Artifact::image("hello");
    let digest = registry.push("demo/app", Some("1.0"), &image, None).unwrap();
    registry.push("demo/app", Some("2.0"), &image, None).unwrap();
    let delete = |reference: &str| Ask::new("DELETE", url(&registry, &format!("demo/app/manifests/{reference}")));
    assert_eq!(delete("1.0").send().await.status, 202);
    assert_eq!(registry.tags("demo/app"), ["2.0"]);
    registry.change(|settings| settings.tag_deletion = false);
    assert_eq!(delete("2.0").send().await.code(), "UNSUPPORTED");
    assert_eq!(delete(&digest.to_string()).send().await.status, 202);
    assert!(registry.tags("demo/app").is_empty());
    assert_eq!(delete(&digest.to_string()).send().await.status, 404);
    let blob = Digest::sha256_of(&image.blobs[0]);
    let delete_blob = || Ask::new("DELETE", url(&registry, &format!("demo/app/blobs/{blob}")));
    registry.change(|settings| settings.deletion = false);
    assert_eq!(delete_blob().send().await.status, 405);
    registry.change(|settings| settings.deletion = true);
    assert_eq!(delete_blob().send().await.status, 202);
}

#[tokio::test]
async fn an_immutable_tag_stays_where_it_is() {
    let registry = with(RegistrySettings { immutable_tags: true, ..RegistrySettings::default() });
    let (one, two) = (Artifact::image("one"), Artifact::image("two"));
    registry.push("demo/app", Some("1.0"), &one, None).unwrap();
    registry.push("demo/app", Some("1.0"), &one, None).unwrap();
    let refused = registry.push("demo/app", Some("1.0"), &two, None).unwrap_err().to_string();
    assert!(refused.contains("400") && refused.contains("TAG_INVALID"), "{refused}");
    assert_eq!(registry.tag("demo/app", "1.0"), Some(one.digest()));
}

#[tokio::test]
async fn an_attacker_moves_tags_changes_bytes_and_brings_things_back() {
    let registry = registry();
    let (old, new) = (Artifact::image("old"), Artifact::image("new"));
    registry.push("demo/app", Some("1.0"), &old, None).unwrap();
    let before = registry.snapshot();
    registry.push("demo/app", Some("1.0"), &new, None).unwrap();
    let pull = |reference: String| Ask::get(url(&registry, &format!("demo/app/manifests/{reference}"))).send();

    registry.point_tag("demo/app", "1.0", old.digest());
    assert_eq!(pull("1.0".to_owned()).await.body, old.manifest, "re-tagged");
    registry.overwrite_manifest("demo/app", &old.digest(), new.manifest.clone()).unwrap();
    let tampered = pull(old.digest().to_string()).await;
    assert_eq!(
        (tampered.body.as_slice(), tampered.header("docker-content-digest")),
        (new.manifest.as_ref(), old.digest().to_string().as_str())
    );
    let blob = Digest::sha256_of(&new.blobs[1]);
    registry.overwrite_blob("demo/app", &blob, "evil".into()).unwrap();
    assert_eq!(Ask::get(url(&registry, &format!("demo/app/blobs/{blob}"))).send().await.text(), "evil");
    assert!(registry.overwrite_blob("demo/app", &Digest::sha256_of(b"no"), "evil".into()).is_err());

    let taken: TakenManifest = registry.take_manifest("demo/app", &new.digest()).unwrap();
    assert_eq!(pull(new.digest().to_string()).await.status, 404);
    registry.put_manifest("demo/app", taken);
    assert_eq!(pull(new.digest().to_string()).await.status, 200, "a deleted signature is back");
    registry.restore(&before);
    assert_eq!(registry.tag("demo/app", "1.0"), Some(old.digest()));
    assert_eq!(registry.snapshot(), before);
}
