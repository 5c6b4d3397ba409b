//! Who signs and who verifies, in every form, on both kinds of registry.

use std::time::Duration;

use serde_json::Value;
use trustctl_tests::image::{Image, Index};
use trustctl_tests::process;

use crate::stage::{Cosign, Form, PASSPHRASE, Stage, accepts, denies, hosts, repository};

const WRONG_KEY: (i32, &str) = (1, "TC0302");
const UNSIGNED: (i32, &str) = (3, "TC0301");

/// `--storage` values that hold what is read in a form.
fn storages(form: Form) -> [&'static str; 2] {
    match form {
        Form::Bundle => ["bundle", "both"],
        Form::Legacy => ["legacy", "both"],
    }
}

#[test]
fn what_cosign_signs_is_trusted_by_its_key_and_by_no_other() {
    for (_host, address) in hosts() {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            cosign.key(&stage, "own");
            stage.key("other");
            for form in cosign.forms() {
                let repository = repository(&address, &format!("by/{}-{form:?}", cosign.name()).to_lowercase());
                let digest = Image::tiny("hello").push(&repository, "1").unwrap();
                let unsigned = Image::tiny("unsigned").push(&repository, "2").unwrap();
                stage.refuses(&repository.tagged("1"), "own.pub", UNSIGNED);
                cosign.sign(&stage, *form, "own", &["-a", "env=prod", &repository.at(&digest)]);
                let report = stage.trusts(&repository.tagged("1"), "own.pub");
                assert_eq!(report["results"][0]["digest"], digest);
                stage.trusts(&repository.at(&digest), "own.pub");
                stage.refuses(&repository.tagged("1"), "other.pub", WRONG_KEY);
                stage.refuses(&repository.at(&unsigned), "own.pub", UNSIGNED);
                stage.done(&["verify", &repository.tagged("1"), "--key", "own.pub", "-a", "env=prod"]);
                stage.ends(&["verify", &repository.tagged("1"), "--key", "own.pub", "-a", "env=dev"], 1, "TC0306");
            }
        }
    }
}

#[test]
fn what_trustctl_signs_is_accepted_by_cosign_with_its_key_and_no_other() {
    for (_host, address) in hosts() {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            stage.key("own");
            cosign.key(&stage, "other");
            for form in cosign.forms() {
                for storage in storages(*form) {
                    let name = format!("for/{}-{form:?}-{storage}", cosign.name()).to_lowercase();
                    let repository = repository(&address, &name);
                    let digest = Image::tiny("hello").push(&repository, "1").unwrap();
                    Image::tiny("unsigned").push(&repository, "2").unwrap();
                    let image = repository.tagged("1");
                    denies(&cosign.verify(&stage, *form, "own", &[&image]), "no signatures found");
                    let sign = ["sign", &repository.at(&digest), "--key", "own.key", "--tag", "1", "--storage", storage];
                    stage.done(&[&sign[..], &["-a", "env=prod"]].concat());
                    accepts(cosign.verify(&stage, *form, "own", &[&image]));
                    accepts(cosign.verify(&stage, *form, "own", &["-a", "env=prod", &image]));
                    denies(&cosign.verify(&stage, *form, "own", &["-a", "env=dev", &image]), "annotation");
                    denies(&cosign.verify(&stage, *form, "other", &[&image]), "signature");
                    denies(&cosign.verify(&stage, *form, "own", &[&repository.tagged("2")]), "no signatures found");
                    stage.trusts(&image, "own.pub");
                }
            }
        }
    }
}

#[test]
fn keys_made_by_either_are_used_by_the_other() {
    for (_host, address) in hosts().into_iter().take(1) {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            cosign.key(&stage, "theirs");
            stage.key("ours");
            let repository = repository(&address, &format!("keys/{}", cosign.name()));
            let digest = Image::tiny("hello").push(&repository, "1").unwrap();
            let image = repository.at(&digest);
            stage.done(&["sign", &image, "--key", "theirs.key", "--storage", "both"]);
            denies(&cosign.verify(&stage, Form::Legacy, "ours", &[&image]), "signature");
            cosign.sign(&stage, Form::Legacy, "ours", &[&image]);
            for key in ["theirs", "ours"] {
                accepts(cosign.verify(&stage, Form::Legacy, key, &[&image]));
                stage.trusts(&image, &format!("{key}.pub"));
                // The private key file is enough to say which public key is meant.
                stage.trusts(&image, &format!("{key}.key"));
            }
        }
    }
}

#[test]
fn keys_of_other_kinds_work_in_both_directions() {
    for (_host, address) in hosts() {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            for kind in ["ecdsa-p384", "ed25519"] {
                stage.done(&["key", "generate", kind, "--kind", kind, "--to", "."]);
                cosign.key(&stage, &format!("not-{kind}"));
                let (not, public) = (format!("not-{kind}"), format!("{kind}.pub"));
                for form in cosign.forms() {
                    let storage = storages(*form)[0];
                    let name = format!("{kind}/{}-{form:?}", cosign.name()).to_lowercase();
                    let (ours, theirs) = (repository(&address, &format!("{name}-ours")), repository(&address, &name));
                    let digest = Image::tiny("hello").push(&ours, "1").unwrap();
                    stage.done(&["sign", &ours.at(&digest), "--key", &format!("{kind}.key"), "--storage", storage]);
                    accepts(cosign.verify(&stage, *form, kind, &[&ours.tagged("1")]));
                    denies(&cosign.verify(&stage, *form, &not, &[&ours.tagged("1")]), "signature");
                    Image::tiny("hello").push(&theirs, "1").unwrap();
                    cosign.sign(&stage, *form, kind, &[&theirs.at(&digest)]);
                    // Cosign 3 signs with Ed25519ph, which it then refuses itself.
                    if kind == "ed25519" && cosign.name() == "cosign3" {
                        denies(&cosign.verify(&stage, *form, kind, &[&theirs.tagged("1")]), "signature");
                        // A bundle says which key made it; the other form does not.
                        let refused = if *form == Form::Bundle { (1, "TC0311") } else { WRONG_KEY };
                        stage.refuses(&theirs.tagged("1"), &public, refused);
                        continue;
                    }
                    stage.trusts(&theirs.tagged("1"), &public);
                    stage.refuses(&theirs.tagged("1"), &format!("{not}.pub"), WRONG_KEY);
                }
            }
        }
    }
}

#[test]
fn an_index_and_its_children_are_signed_for_each_other() {
    for (_host, address) in hosts() {
        for cosign in Cosign::all() {
            let stage = Stage::new();
            stage.key("own");
            stage.key("other");
            for form in cosign.forms() {
                let name = format!("index/{}-{form:?}", cosign.name()).to_lowercase();
                let (ours, theirs) = (repository(&address, &format!("{name}-ours")), repository(&address, &name));
                let index = Index::two_architectures("hello");
                let child = index.images[1].digest();
                let digest = index.push(&ours, "1").unwrap();
                index.push(&theirs, "1").unwrap();

                let flat = ["sign", &ours.at(&digest), "--key", "own.key", "--storage", storages(*form)[0], "--recursive=false"];
                stage.done(&flat);
                accepts(cosign.verify(&stage, *form, "own", &[&ours.tagged("1")]));
                denies(&cosign.verify(&stage, *form, "own", &[&ours.at(&child)]), "no signatures found");
                let report =
                    stage.done(&["sign", &ours.at(&digest), "--key", "own.key", "--storage", storages(*form)[0], "--recursive"]);
                assert_eq!(report["results"][0]["digests"].as_array().map(Vec::len), Some(3), "{report}");
                accepts(cosign.verify(&stage, *form, "own", &[&ours.at(&child)]));
                denies(&cosign.verify(&stage, *form, "other", &[&ours.at(&child)]), "signature");

                cosign.sign(&stage, *form, "own", &["-r", &theirs.at(&digest)]);
                for image in [theirs.tagged("1"), theirs.at(&child)] {
                    stage.trusts(&image, "own.pub");
                    stage.refuses(&image, "other.pub", WRONG_KEY);
                }
            }
        }
    }
}

#[test]
fn a_signature_is_not_made_twice() {
    for (_host, address) in hosts() {
        let stage = Stage::new();
        stage.key("own");
        let repository = repository(&address, "once");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        let sign = ["sign", &repository.at(&digest), "--key", "own.key", "--storage", "both"];
        assert_eq!(stage.done(&sign)["results"][0]["done"], "signed");
        assert_eq!(stage.done(&sign)["results"][0]["done"], "already signed");
        let report = stage.trusts(&repository.tagged("1"), "own.pub");
        assert_eq!(claims(&report), 2, "one in each form: {report}");
    }
}

/// How many signatures by a trusted key were found.
fn claims(report: &Value) -> usize {
    let schemes = report["results"][0]["schemes"].as_array().unwrap();
    schemes.iter().filter(|scheme| scheme["scheme"] == "cosign").map(|scheme| scheme["claims"].as_array().unwrap().len()).sum()
}

/// Cosign 2 stores signatures of images as bundles from 2.6 on, and then wants a trusted root even for a key.
#[test]
fn cosign_2_6_and_trustctl_trust_each_others_bundles_and_no_other_key() {
    let cosign = need!(Cosign2Bundles);
    for (_host, address) in hosts() {
        let stage = Stage::new();
        stage.key("own");
        stage.key("other");
        stage.write("root.json", trustctl_sigstore::keyless::PUBLIC_GOOD);
        let run = |words: &[&str]| {
            let mut command = cosign.command(stage.home());
            // Whatever it would ask of others than the registry ends here.
            command.env("COSIGN_PASSWORD", PASSPHRASE).env("HTTPS_PROXY", "http://127.0.0.1:1").args(words);
            process::run(&mut command, Duration::from_secs(60)).unwrap()
        };
        let verify = |key: &str, image: &str| {
            let quiet = ["--insecure-ignore-tlog", "--private-infrastructure", "--allow-http-registry"];
            run(&[&["verify", "--key", key, "--new-bundle-format", "--trusted-root", "root.json"], &quiet[..], &[image]].concat())
        };
        let repository = repository(&address, "two-six/app");
        let theirs = repository.at(&Image::tiny("theirs").push(&repository, "1").unwrap());
        stage.refuses(&theirs, "own.pub", UNSIGNED);
        let quiet = ["--new-bundle-format", "--tlog-upload=false", "--allow-http-registry", "-y"];
        accepts(run(&[&["sign", "--key", "own.key"], &quiet[..], &[&theirs]].concat()));
        let report = stage.trusts(&theirs, "own.pub");
        assert_eq!(report["results"][0]["schemes"][0]["claims"][0]["source"]["form"], "bundle");
        stage.refuses(&theirs, "other.pub", WRONG_KEY);

        let ours = repository.at(&Image::tiny("ours").push(&repository, "2").unwrap());
        assert!(!verify("own.pub", &ours).success());
        stage.done(&["sign", &ours, "--key", "own.key", "--storage", "bundle"]);
        denies(&verify("other.pub", &ours), "signature");
        accepts(verify("own.pub", &ours));
    }
}
