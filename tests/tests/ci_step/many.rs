//! Many images, one statement: one certificate, one log entry, and each image verified on its own.

use serde_json::Value;
use trustctl_core::digest::Digest;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, LogVersion};
use trustctl_tests::peers::Peer;
use trustctl_tests::process::run;

use super::stage::{DEVELOPER, Stage};

/// Pushes images of their own to `count` repositories.
fn pushed(stage: &Stage, count: usize) -> Vec<String> {
    let push = |number: usize| {
        let name = format!("shop/image-{number}");
        let digest = stage.world.push(&format!("{name}:1"), &Artifact::image(&name)).unwrap();
        format!("{}@{digest}", stage.world.name(&name))
    };
    (0..count).map(push).collect()
}

fn words(stage: &Stage, images: &[String], more: &[&str]) -> Vec<String> {
    let claims = Claims::email(DEVELOPER);
    let start = std::iter::once("sign".to_owned()).chain(images.iter().cloned()).chain(stage.services(&claims));
    start.chain(more.iter().map(|word| (*word).to_owned())).collect()
}

#[test]
fn a_hundred_images_cost_one_certificate_and_one_log_write() {
    let stage = Stage::new(LogVersion::V2);
    let images = pushed(&stage, 100);
    let words = words(&stage, &images, &[]);
    let (report, exit) = stage.json(&words);
    assert_eq!(exit, Some(0), "{report}");
    let done = report["results"].as_array().unwrap();
    assert!(done.len() == 100 && done.iter().all(|one| one["done"] == "signed"), "{report}");
    assert_eq!((stage.certificates(), stage.entries()), (1, 1));
    let writes = stage.world.sigstore().tiles().requests().all().into_iter().filter(|request| request.method == "POST").count();
    assert_eq!(writes, 1);
    for image in images.iter().step_by(33) {
        assert_eq!(stage.verdict_of(image, DEVELOPER), Some(0));
        assert_eq!(stage.verdict_of(image, "other@example.test"), Some(1));
    }
    let (report, _) = stage.json(&words);
    assert!(report["results"].as_array().unwrap().iter().all(|one| one["done"] == "already signed"), "{report}");
    assert_eq!((stage.certificates(), stage.entries()), (1, 1));
}

/// What one image costs a registry: resolving it; looking at its `.sig` tag and referrers; the list again right before writing; two blobs
/// and the manifest; then, through a client of its own, the list, the manifest, the bundle and the `.sig` tag.
#[test]
fn each_image_costs_the_registry_eleven_requests_and_cosign3_more() {
    const EACH: usize = 11;
    let stage = Stage::new(LogVersion::V2);
    let (images, log) = (pushed(&stage, 5), stage.world.registry().requests());
    log.clear();
    assert_eq!(stage.run(&words(&stage, &images, &[])).code, Some(0));
    let requests = log.all();
    let lines: Vec<String> = requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect();
    assert_eq!(lines.len(), EACH * images.len(), "{lines:#?}");
    for number in 0..images.len() {
        let own: Vec<&String> = lines.iter().filter(|line| line.contains(&format!("/image-{number}/"))).collect();
        let sent = own.iter().rposition(|line| line.starts_with("PUT ")).unwrap();
        let reads =
            |some: &[&String], what: &str| some.iter().filter(|line| line.starts_with("GET ") && line.contains(what)).count();
        assert_eq!(reads(&own[..sent], "/referrers/"), 2, "looked at, and looked at again before writing: {own:#?}");
        let after = &own[sent..];
        assert_eq!(["/referrers/", "/manifests/", "/blobs/"].map(|what| reads(after, what)), [1, 2, 1], "read back: {own:#?}");
    }

    let Some(cosign) = Peer::Cosign3.or_skip() else { return };
    let (config, root) = (stage.file("signing_config_rekor_v2.json"), stage.file("trusted_root.json"));
    let token = stage.world.write_token(&Claims::email(DEVELOPER)).unwrap().display().to_string();
    log.clear();
    let flags = ["sign", "-y", "--signing-config", &config, "--trusted-root", &root, "--identity-token", &token];
    let mut command = cosign.command(stage.user.home());
    command.args(flags).args(["--allow-http-registry", &stage.image()]);
    run(&mut command, std::time::Duration::from_secs(60)).unwrap().ok().unwrap();
    assert!(log.count() > EACH, "cosign asks {} times", log.count());
}

#[test]
fn cosign3_verifies_each_subject_and_refuses_what_is_none() {
    let stage = Stage::new(LogVersion::V1);
    let images = pushed(&stage, 3);
    assert_eq!(stage.run(&words(&stage, &images, &["-a", "env=prod"])).code, Some(0));
    assert_eq!(stage.entries(), 1);
    // The same bundle, moved to an image that is no subject of it.
    let stranger = stage.image();
    let registry = stage.world.registry();
    let (subject, _) = registry.manifest("shop/image-0", "1").unwrap();
    let (_, manifest) = registry.manifest("shop/image-0", &registry.referrers("shop/image-0", &subject)[0].to_string()).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let digest: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let bundle = registry.blob("shop/image-0", &digest).unwrap();
    let moved = Artifact::referrer(&Artifact::image("hello"), "application/vnd.dev.sigstore.bundle.v0.3+json", bundle);
    stage.world.push("shop/cart", &moved).unwrap();
    assert_eq!(stage.bundles(), 1);
    assert_eq!(stage.verdict_of(&stranger, DEVELOPER), Some(1), "a digest that is no subject");

    let Some(cosign) = Peer::Cosign3.or_skip() else { return };
    let verify = |image: &str, more: &[&str]| {
        let (root, issuer) = (stage.file("trusted_root.json"), stage.world.sigstore().issuer().url());
        let words =
            ["verify", "--trusted-root", &root, "--certificate-identity", DEVELOPER, "--certificate-oidc-issuer", &issuer];
        let mut command = cosign.command(stage.user.home());
        command.args(words).args(more).args(["--allow-http-registry", image]);
        run(&mut command, std::time::Duration::from_secs(60)).unwrap()
    };
    for image in &images {
        verify(image, &["-a", "env=prod"]).ok().unwrap();
        assert!(!verify(image, &["-a", "env=dev"]).success());
    }
    let refused = verify(&stranger, &[]);
    assert!(!refused.success(), "{}", refused.output());
}

/// What is said of one subject says nothing about another, though one signature is over both.
#[test]
fn each_image_has_its_own_repository_and_tag() {
    let stage = Stage::new(LogVersion::V2);
    let images: Vec<String> =
        pushed(&stage, 2).iter().enumerate().map(|(number, image)| image.replace('@', &format!(":v{number}@"))).collect();
    assert_eq!(stage.run(&words(&stage, &images, &[])).code, Some(0));
    for (number, image) in images.iter().enumerate() {
        let (root, issuer) = (stage.file("trusted_root.json"), stage.world.sigstore().issuer().url());
        let (report, exit) =
            stage.user.json(&["verify", image, "--identity", DEVELOPER, "--issuer", &issuer, "--trusted-root", &root]).unwrap();
        assert_eq!(exit, Some(0), "{report}");
        let claims = report["results"][0]["schemes"].to_string();
        assert!(claims.contains(&format!("shop/image-{number}")) && claims.contains(&format!("\"v{number}\"")), "{claims}");
        let other = 1 - number;
        assert!(!claims.contains(&format!("shop/image-{other}")) && !claims.contains(&format!("\"v{other}\"")), "{claims}");
    }
}

/// Readers cannot tell whose annotations count when a statement names a digest twice.
#[test]
fn one_image_in_two_repositories_gets_two_statements() {
    let stage = Stage::new(LogVersion::V2);
    let image = Artifact::image("the same");
    let push = |name: &str| format!("{}@{}", stage.world.name(name), stage.world.push(&format!("{name}:1"), &image).unwrap());
    let images = [push("shop/one"), push("shop/two")];
    assert_eq!(stage.run(&words(&stage, &images, &[])).code, Some(0));
    assert_eq!((stage.certificates(), stage.entries()), (1, 2));
    for image in &images {
        assert_eq!(stage.verdict_of(image, DEVELOPER), Some(0));
    }
}

#[test]
fn an_index_and_its_children_share_one_entry() {
    let stage = Stage::new(LogVersion::V1);
    let digest = stage.world.push("shop/multi:1", &Artifact::multi_platform("many")).unwrap();
    let image = format!("{}@{digest}", stage.world.name("shop/multi"));
    let (report, exit) = stage.json(&words(&stage, &[image], &[]));
    assert_eq!((exit, stage.entries(), stage.certificates()), (Some(0), 1, 1), "{report}");
    let digests = report["results"][0]["digests"].as_array().unwrap();
    assert_eq!(digests.len(), 3);
    for digest in digests {
        let child = format!("{}@{}", stage.world.name("shop/multi"), digest.as_str().unwrap());
        assert_eq!(stage.verdict_of(&child, DEVELOPER), Some(0));
    }
}
