//! Layouts in which one program sees one image and another program another: none of them is judged.

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::reason::Code;
use trustctl_remote::layout::Layout;

use crate::{MANIFEST, Made};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const IMAGE_NAME: &str = "io.containerd.image.name";
const SIGNATURES: &str = "dev.cosignproject.cosign/sigs";

fn entry(digest: &Digest, annotations: &Value) -> String {
    json!({"mediaType": MANIFEST, "digest": digest, "size": 1, "annotations": annotations}).to_string()
}

/// What opening a layout with this `index.json` and asking it for `registry.example/shop/cart:1.0` gives.
fn judged(made: &Made, index: &str) -> Result<Digest, Code> {
    std::fs::write(made.path().join("index.json"), index).unwrap();
    let layout = Layout::open(made.path()).map_err(|reason| reason.code)?;
    let image = "registry.example/shop/cart:1.0".parse().unwrap();
    layout.resolve(&image).map(|found| found.subject.digest).map_err(|reason| reason.code)
}

fn listed(entries: &[String]) -> String {
    format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","))
}

#[test]
fn an_index_that_programs_read_differently_is_refused() {
    let made = Made::new();
    let (good, evil) = (made.image(1), made.image(2));
    let (good_entry, evil_entry) = (entry(&good, &json!({REF_NAME: "1.0"})), entry(&evil, &json!({REF_NAME: "1.0"})));
    assert_eq!(judged(&made, &listed(std::slice::from_ref(&good_entry))), Ok(good));
    let descriptor = |more: &str| listed(&[good_entry.replacen('{', &format!("{{{more},"), 1)]);
    let harmless = descriptor(r#""com.example.digest":"x","diges":"y","platform":{"os":"linux"}"#);
    assert_eq!(judged(&made, &harmless), Ok(good), "members of others stay allowed");
    let cases = [
        format!(r#"{{"schemaVersion":2,"manifests":[{good_entry}],"Manifests":[{evil_entry}]}}"#),
        format!(r#"{{"schemaVersion":2,"manifests":[{good_entry}],"manife\u017fts":[{evil_entry}]}}"#),
        format!(r#"{{"schemaVersion":2,"manifests":[{evil_entry}],"manifests":[{good_entry}]}}"#),
        descriptor(&format!(r#""Digest":"{evil}""#)),
        descriptor(&format!(r#""digest":"{evil}""#)),
        descriptor(r#""Annotations":{}"#),
        descriptor(r#""MediaType":"application/vnd.oci.image.index.v1+json""#),
        descriptor(r#""platform":{"OS":"linux"}"#),
        format!(r#"[{good_entry}]"#),
    ];
    for index in cases {
        assert_eq!(judged(&made, &index), Err(Code::BadManifest), "{index}");
    }
}

#[test]
fn a_name_that_programs_may_read_as_another_image_is_refused() {
    let made = Made::new();
    let (good, evil) = (made.image(1), made.image(2));
    let full = "registry.example/shop/cart:1.0";
    let others = [
        json!({REF_NAME: "1.0"}),
        json!({REF_NAME: full}),
        json!({REF_NAME: "9", IMAGE_NAME: full}),
        json!({REF_NAME: full, IMAGE_NAME: "registry.example/other:9"}),
        json!({REF_NAME: "1.0", "kind": SIGNATURES}),
        json!({REF_NAME: "1.0", "kind": "dev.cosignproject.cosign/atts"}),
        json!({IMAGE_NAME: full, "kind": SIGNATURES}),
    ];
    for own in [json!({REF_NAME: "1.0"}), json!({REF_NAME: "zz", IMAGE_NAME: full}), json!({REF_NAME: full})] {
        assert_eq!(judged(&made, &listed(&[entry(&good, &own)])), Ok(good));
        let same = listed(&[entry(&good, &own), entry(&good, &json!({REF_NAME: "1.0"}))]);
        assert_eq!(judged(&made, &same), Ok(good), "twice the same image is one");
        for other in &others {
            for entries in [[entry(&good, &own), entry(&evil, other)], [entry(&evil, other), entry(&good, &own)]] {
                let index = listed(&entries);
                assert_eq!(judged(&made, &index), Err(Code::LayoutAmbiguous), "{index}");
            }
        }
        let besides = [entry(&evil, &json!({REF_NAME: "2.0"})), entry(&good, &own)];
        assert_eq!(judged(&made, &listed(&besides)), Ok(good), "another tag is another image");
    }
}

#[test]
fn the_only_image_is_not_the_one_asked_for_where_something_else_is_called_latest() {
    let mut made = Made::new();
    let (good, evil) = (made.image(1), made.image(2));
    made.name(&evil, json!({REF_NAME: "latest", "kind": SIGNATURES})).name(&good, json!({REF_NAME: "1.0"}));
    assert_eq!(made.resolve("registry.example/shop/cart"), Err(Code::LayoutAmbiguous));
    assert_eq!(made.resolve("registry.example/shop/cart:1.0"), Ok(good));
    assert_eq!(made.resolve(&format!("registry.example/shop/cart@{good}")), Ok(good), "a digest means one image");
}

#[test]
fn signatures_that_cosign_saved_under_the_name_of_their_image_are_no_second_image() {
    let mut made = Made::new();
    let good = made.image(1);
    let (payload, archive) = (made.blob(b"{}"), made.blob(b"{} no JSON"));
    let layer = |media_type: &str, digest: &Digest| json!([{"mediaType": media_type, "digest": digest, "size": 1}]);
    let manifest = |layers: Value| json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": layers}).to_string();
    let name = json!({REF_NAME: "registry.example/shop/cart:1.0", "kind": SIGNATURES});
    for (layers, expected) in [
        (layer("application/vnd.dev.cosign.simplesigning.v1+json", &payload), Ok(good)),
        (layer("application/vnd.dsse.envelope.v1+json", &payload), Ok(good)),
        // What could be run is one, whatever it is called.
        (layer("application/vnd.oci.image.layer.v1.tar+gzip", &payload), Err(Code::LayoutAmbiguous)),
        (layer("application/vnd.dsse.envelope.v1+json", &archive), Err(Code::LayoutAmbiguous)),
        (json!([]), Err(Code::LayoutAmbiguous)),
    ] {
        made.entries.clear();
        let signatures = made.blob(manifest(layers.clone()).as_bytes());
        made.name(&good, json!({REF_NAME: "registry.example/shop/cart:1.0"})).name(&signatures, name.clone());
        assert_eq!(made.resolve("registry.example/shop/cart:1.0"), expected, "{layers}");
    }
    let gone = Digest::sha256_of(b"not there");
    made.entries.truncate(1);
    made.name(&gone, name);
    assert_eq!(made.resolve("registry.example/shop/cart:1.0"), Err(Code::LayoutAmbiguous));
}
