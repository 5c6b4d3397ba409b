//! What cosign 3.1.1 gets wrong and trustctl must not: each weakness is shown on the real cosign first.

use serde_json::json;
use trustctl_tests::counting::{Counting, Fault};
use trustctl_tests::image::{Content, Image, Repository};

use crate::stage::{Cosign, Form, Stage, accepts, denies, hosts, repository};

#[test]
fn an_attestation_is_no_signature() {
    for (_host, address) in hosts() {
        let Some(cosign) = Cosign::three() else { return };
        let stage = Stage::new();
        cosign.key(&stage, "own");
        stage.write("predicate.json", "{\"answer\":42}");
        let repository = repository(&address, "attested");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        denies(&cosign.verify(&stage, Form::Bundle, "own", &[&repository.tagged("1")]), "no signatures found");
        cosign.attest(&stage, Form::Bundle, "own", &["--predicate", "predicate.json", &repository.at(&digest)]);
        accepts(cosign.verify(&stage, Form::Bundle, "own", &[&repository.tagged("1")]));
        stage.refuses(&repository.tagged("1"), "own.pub", (1, "TC0307"));
    }
}

#[test]
fn a_bundle_of_somebody_hides_no_legacy_signature() {
    for (_host, address) in hosts() {
        let Some(cosign) = Cosign::three() else { return };
        let stage = Stage::new();
        cosign.key(&stage, "own");
        cosign.key(&stage, "foreign");
        let repository = repository(&address, "mixed");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        cosign.sign(&stage, Form::Legacy, "own", &[&repository.at(&digest)]);
        cosign.sign(&stage, Form::Bundle, "foreign", &[&repository.at(&digest)]);
        denies(&cosign.verify(&stage, Form::Bundle, "own", &[&repository.tagged("1")]), "signature");
        stage.trusts(&repository.tagged("1"), "own.pub");
        stage.trusts(&repository.tagged("1"), "foreign.pub");
    }
}

#[test]
fn images_signed_in_different_forms_are_judged_each_by_itself() {
    for (_host, address) in hosts() {
        let Some(cosign) = Cosign::three() else { return };
        let stage = Stage::new();
        cosign.key(&stage, "own");
        let repository = repository(&address, "both");
        let images = [Form::Legacy, Form::Bundle].map(|form| {
            let digest = Image::tiny(&format!("{form:?}")).push(&repository, "1").unwrap();
            cosign.sign(&stage, form, "own", &[&repository.at(&digest)]);
            repository.at(&digest)
        });
        for order in [[&images[0], &images[1]], [&images[1], &images[0]]] {
            denies(&cosign.verify(&stage, Form::Bundle, "own", &[order[0], order[1]]), "signature");
            stage.done(&["verify", order[0], order[1], "--key", "own.pub"]);
        }
    }
}

#[test]
fn an_outage_is_never_called_unsigned() {
    for (_host, address) in hosts() {
        let Some(cosign) = Cosign::three() else { return };
        let stage = Stage::new();
        cosign.key(&stage, "own");
        let proxy = Counting::start(&address).unwrap();
        let repository = repository(&proxy.address(), "outage");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        cosign.sign(&stage, Form::Bundle, "own", &[&repository.at(&digest)]);
        let image = repository.tagged("1");
        for status in [429, 503] {
            proxy.inject(Fault::always("/referrers/", status));
            if status == 429 {
                denies(&cosign.verify(&stage, Form::Bundle, "own", &[&image]), "no signatures found");
            }
            let (report, exit) = stage.user.json(&["verify", &image, "--key", "own.pub", "--timeout", "20s"]).unwrap();
            assert_eq!((exit, &report["results"][0]["verdict"]), (Some(4), &json!("undecided")), "{status}: {report}");
            assert_eq!(report["results"][0]["reasons"][0]["code"], "TC0401", "{report}");
            proxy.heal();
            stage.trusts(&image, "own.pub");
        }
    }
}

/// Refers to the image with a bundle of 32 MiB, four times what is read, through the fallback tag and, where there is one, the referrers API.
fn refer_with_junk(repository: &Repository, image: &Image) -> String {
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let empty = Content::new("application/vnd.oci.empty.v1+json", "{}");
    repository.push_blob(&empty).unwrap();
    let junk = Content::new(bundle, vec![b' '; 32 << 20]);
    repository.push_blob(&junk).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": bundle,
        "config": empty.descriptor(), "layers": [junk.descriptor()], "subject": image.manifest.descriptor(),
    });
    let manifest = Content::new("application/vnd.oci.image.manifest.v1+json", manifest.to_string());
    repository.push_manifest(&manifest, &manifest.digest()).unwrap();
    let mut entry = manifest.descriptor();
    entry["artifactType"] = json!(bundle);
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
    let index = Content::new("application/vnd.oci.image.index.v1+json", index.to_string());
    repository.push_manifest(&index, &image.digest().replace(':', "-")).unwrap();
    junk.digest()
}

#[test]
fn junk_beyond_the_limit_is_not_downloaded_and_changes_no_verdict() {
    for (_host, address) in hosts() {
        let stage = Stage::new();
        stage.key("own");
        let image = Image::tiny("hello");
        let upload = repository(&address, "junk");
        image.push(&upload, "1").unwrap();
        let junk = refer_with_junk(&upload, &image);
        let proxy = Counting::start(&address).unwrap();
        let by_proxy = repository(&proxy.address(), "junk");
        let name = by_proxy.tagged("1");
        let (report, exit) = stage.user.json(&["verify", &name, "--key", "own.pub"]).unwrap();
        assert!(matches!(exit, Some(1 | 4)), "something is there that cannot be read: {report}");
        stage.done(&["sign", &by_proxy.at(&image.digest()), "--key", "own.key", "--storage", "both"]);
        stage.trusts(&name, "own.pub");
        assert!(!proxy.seen().iter().any(|seen| seen.target.contains(&junk)), "{:?}", proxy.seen());
    }
}
