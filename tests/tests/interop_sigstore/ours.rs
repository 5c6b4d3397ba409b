//! What trustctl signed, judged by sigstore-python and sigstore-js.

use trustctl_lab::sigstore::LogVersion;

use super::client::Client;
use super::stage::{LOGS, Stage, accepts};

/// Also the first entry of a log, whose zeros must be written: sigstore-python demands them.
#[test]
fn files_that_trustctl_signed_with_either_log_are_taken_by_others() {
    let stage = Stage::new();
    let alone = stage.config_without_timestamps();
    let configs = LOGS.map(|log| stage.config(log)).into_iter().chain([alone]);
    let bundles: Vec<String> = configs
        .enumerate()
        .map(|(number, config)| {
            let bundle = format!("ours-{number}.json");
            stage.sign_blob(&config, &bundle);
            bundle
        })
        .collect();
    for client in Client::all() {
        for bundle in &bundles {
            client.judges(&stage, ("release", bundle), "another");
        }
    }
}

/// Signatures and attestations of an index and its images, in one statement each. sigstore-js 4 knows no envelope in Rekor v2 but in the form that
/// the log does not take (sigstore-js 5 does), so it cannot judge ours there, nor those of any other client.
#[test]
fn bundles_of_images_that_trustctl_made_with_rekor_v1_are_taken_by_sigstore_js() {
    let client = Client::Js(need!(SigstoreJs));
    let another = format!("sha256:{}", "0".repeat(64));
    let stage = Stage::new();
    stage.sign_image(&stage.config(LogVersion::V1), &Stage::claims(), &[]);
    stage.attest_image(&stage.config(LogVersion::V1));
    let bundles = stage.bundles();
    assert_eq!(bundles.len(), 2, "{bundles:?}");
    for bundle in &bundles {
        client.judges(&stage, (&stage.digest.to_string(), bundle), &another);
    }
}

/// sigstore-python 4.5 wants a name in every subject, which in-toto leaves open. Cosign 3 writes none, and trustctl writes what cosign writes:
/// the two are refused alike, and would be taken alike.
#[test]
fn sigstore_python_says_of_an_image_bundle_what_it_says_of_one_by_cosign_3() {
    let (client, cosign) = (Client::Python(need!(SigstorePython)), need!(Cosign3));
    let verdict = |sign: &dyn Fn(&Stage)| {
        let stage = Stage::new();
        // Not the first entry of the log, whose zeros cosign leaves out.
        stage.sign_blob(&stage.config(LogVersion::V2), "first.json");
        sign(&stage);
        let bundles = stage.bundles();
        let [bundle] = bundles.as_slice() else { panic!("one bundle: {bundles:?}") };
        let root = stage.shared("trusted_root.json");
        let whom = (Stage::claims().identity(), stage.issuer());
        let ran = client.verify(&stage, &root, (&stage.digest.to_string(), bundle), (&whom.0, &whom.1));
        (ran.code, ran.output().contains("malformed in-toto statement") && ran.output().contains("subject.0.name"))
    };
    let ours = verdict(&|stage| stage.sign_image(&stage.config(LogVersion::V2), &Stage::claims(), &[]));
    let theirs = verdict(&|stage| {
        let (config, root) = (stage.config(LogVersion::V2), stage.shared("trusted_root.json"));
        let (token, image) = (stage.token(&Stage::claims()), stage.image());
        let words = ["sign", "--signing-config", &config, "--trusted-root", &root, "--identity-token", &token];
        accepts(stage.run(&cosign, &[&words[..], &["--allow-http-registry", "-y", &image]].concat(), &[]));
    });
    assert_eq!(ours, theirs);
    assert!(ours == (Some(0), false) || ours.1, "accepted, or refused for the missing name alone: {ours:?}");
}
