//! What was revoked or denied stays so, however the image is wrapped, named or served later.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use std::path::Path;

use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_lab::image::{Artifact, LINUX_AMD64};
use trustctl_tests::stage::Stage;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Runs a command that must succeed.
#[track_caller]
fn done(stage: &Stage, words: &[&str]) -> String {
    let ran = stage.user.run(words).unwrap();
    assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
    ran.stderr
}

fn sign(stage: &Stage, image: &str) {
    done(stage, &["sign", image, "--key", "release"]);
}

fn revoke(stage: &Stage, image: &str) -> String {
    done(stage, &["revoke", image, "--key", "release", "--reason", "compromised", "--message", "leaked", "--yes"])
}

/// The image of the stage, an index, in an index of its own that says this of it.
fn wrapped(stage: &Stage, label: &str, tag: &str) -> Artifact {
    let inner = Artifact { media_type: label.to_owned(), ..Artifact::multi_platform("one") };
    let outer = Artifact { children: Vec::new(), ..Artifact::index(vec![(LINUX_AMD64, inner)]) };
    stage.world.push(&format!("shop/cart:{tag}"), &outer).unwrap();
    outer
}

fn at(stage: &Stage, digest: Digest) -> String {
    stage.image(&format!("@{digest}"))
}

/// Writes an image layout with these manifests under `algorithm`; `index.json` names the first.
fn layout(folder: &Path, named: &Artifact, algorithm: DigestAlgorithm) -> String {
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let blobs = folder.join("blobs").join(algorithm.name());
    std::fs::create_dir_all(&blobs).unwrap();
    let mut waiting = vec![named];
    while let Some(artifact) = waiting.pop() {
        std::fs::write(blobs.join(Digest::of(algorithm, &artifact.manifest).hex()), &artifact.manifest).unwrap();
        waiting.extend(&artifact.children);
    }
    let digest = Digest::of(algorithm, &named.manifest);
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{digest}","size":{}}}]}}"#,
        named.media_type,
        named.manifest.len()
    );
    std::fs::write(folder.join("index.json"), index).unwrap();
    folder.display().to_string()
}

#[test]
fn an_index_around_a_signed_index_is_refused_by_every_way() {
    let stage = Stage::new();
    let inner = Artifact::multi_platform("one");
    sign(&stage, &at(&stage, inner.digest()));
    done(&stage, &["verify", &stage.image(":1.4"), "--key", "release"]);
    for (label, tag) in [(OCI_INDEX, "wrapped"), (OCI_MANIFEST, "mislabelled")] {
        let outer = wrapped(&stage, label, tag);
        let (image, saved) = (stage.image(&format!(":{tag}")), stage.user.home().join(format!("{tag}.json")));
        let saved = saved.display().to_string();
        stage.ends(&["verify", &image, "--key", "release"], 1, "TC0720");
        let unchecked = ["verify", &image, "--key", "release", "--save-evidence", &saved];
        assert_eq!(stage.user.run(&unchecked).unwrap().code, Some(1));
        stage.ends(&["verify", "--evidence", &saved, "--key", "release"], 1, "TC0720");
        for recursive in ["--recursive=true", "--recursive=false"] {
            stage.ends(&["sign", &at(&stage, outer.digest()), "--key", "release", recursive], 1, "TC0720");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let outer = Artifact::index(vec![(LINUX_AMD64, inner)]);
    let layout = layout(folder.path(), &outer, DigestAlgorithm::Sha256);
    stage.ends(&["verify", "--oci-layout", &layout, "--key", "release"], 1, "TC0720");
}

#[test]
fn revoking_an_index_in_an_index_says_what_it_leaves() {
    let stage = Stage::new();
    let outer = wrapped(&stage, OCI_MANIFEST, "wrapped");
    let told = revoke(&stage, &at(&stage, outer.digest()));
    assert!(told.contains("TC0720"), "{told}");
    let plain = Artifact::multi_platform("one");
    assert!(!revoke(&stage, &at(&stage, plain.digest())).contains("TC0720"));
    for child in &plain.children {
        stage.ends(&["verify", &at(&stage, child.digest()), "--key", "release"], 1, "TC0309");
    }
}

#[test]
fn the_sha512_of_an_image_is_no_way_around_what_is_known_of_it() {
    let stage = Stage::new();
    let (image, folder) = (Artifact::image("two"), tempfile::tempdir().unwrap());
    stage.world.push("shop/cart:2", &image).unwrap();
    let layout = layout(folder.path(), &image, DigestAlgorithm::Sha512);
    let long = stage.image(&format!("@{}", Digest::of(DigestAlgorithm::Sha512, &image.manifest)));
    let with = |digest: Digest| {
        let text = format!("version = 1\ndefault = \"allow\"\n[[deny]]\ndigest = \"{digest}\"\nreason = \"CVE\"\n");
        stage.write("policy.toml", &text)
    };
    let verify = |policy: &str| {
        vec!["verify", "--oci-layout", &layout, &long, "--policy", policy].into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let words = verify(&with(Digest::sha256_of(b"another")));
    done(&stage, &words.iter().map(String::as_str).collect::<Vec<_>>());
    let words = verify(&with(image.digest()));
    stage.ends(&words.iter().map(String::as_str).collect::<Vec<_>>(), 1, "TC0703");

    // What is remembered of it counts under its other name too.
    stage.ends(&["verify", "--oci-layout", &layout, &long, "--key", "release"], 3, "TC0301");
    revoke(&stage, &at(&stage, image.digest()));
    stage.ends(&["verify", "--oci-layout", &layout, &long, "--key", "release"], 1, "TC0309");
}

/// The statement is gone from the registry; whoever saw it neither trusts nor signs the image again.
#[test]
fn what_was_revoked_is_not_signed_again_when_the_registry_drops_the_statement() {
    let mut stage = Stage::new();
    let image = at(&stage, Artifact::multi_platform("one").digest());
    let before = stage.world.registry().snapshot();
    revoke(&stage, &image);
    stage.ends(&["sign", &image, "--key", "release"], 1, "TC0309");
    stage.world.registry().restore(&before);
    stage.ends(&["verify", &image, "--key", "release"], 1, "TC0309");
    stage.ends(&["sign", &image, "--key", "release"], 1, "TC0309");
    // A host that never saw it cannot know; and one that only met it when it wanted to sign does.
    let fresh = |name: &str| stage.user.clone().with("XDG_STATE_HOME", stage.user.home().join(name).display().to_string());
    let (second, third) = (fresh("second"), fresh("third"));
    stage.user = second;
    sign(&stage, &image);
    revoke(&stage, &image);
    stage.user = third;
    stage.ends(&["sign", &image, "--key", "release"], 1, "TC0309");
    stage.world.registry().restore(&before);
    stage.ends(&["sign", &image, "--key", "release"], 1, "TC0309");
}

/// Somebody whose word does not count withdraws an index: that is one statement, however many images are in the index.
#[test]
fn a_statement_by_nobody_who_counts_is_told_once() {
    let stage = Stage::new();
    let image = stage.image(":1.4");
    done(&stage, &["sign", &image, "--key", "release", "--resolve-tag"]);
    done(&stage, &["key", "generate", "stranger"]);
    let remarks = || {
        let (report, exit) = stage.user.json(&["verify", &image, "--key", "release"]).unwrap();
        assert_eq!(exit, Some(0), "{report:#}");
        let warnings = report["results"][0]["warnings"].as_array().unwrap().clone();
        warnings.into_iter().filter(|warning| warning["code"] == "TC0722").collect::<Vec<_>>()
    };
    assert!(remarks().is_empty());
    for (recursive, end) in [("--recursive=false", "by somebody"), ("--recursive=true", "; the same is said of 2 more in it")] {
        let words =
            ["revoke", &image, "--key", "stranger", "--reason", "mistake", "--message", "x", "--yes", "--resolve-tag", recursive];
        done(&stage, &words);
        let told = remarks();
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told.iter().all(|told| told["message"].as_str().unwrap().ends_with(end)), "{recursive} {told:#?}");
    }
}

/// Whoever revokes with a key that nobody believes has to learn that; with one that is believed, or where no policy says whom, there is
/// nothing to say. The image is revoked in any case.
#[test]
fn a_revocation_that_the_policy_will_not_heed_is_said_to_be_none() {
    let stage = Stage::new();
    done(&stage, &["key", "generate", "stranger"]);
    for name in ["release", "stranger"] {
        done(&stage, &["key", "export", name, "--public", "--to", &format!("{name}.pub")]);
    }
    let policy = |rule: &str| {
        let (registry, key) =
            (stage.image(""), |name: &str| format!("[signers.{name}]\nscheme = \"cosign\"\nkey = \"{name}.pub\"\n"));
        let rule = format!("[[rules]]\nname = \"cart\"\nimages = [\"{registry}\"]\nrequire = {{ any = [\"release\"] }}\n{rule}");
        stage.write("policy.toml", &format!("version = 1\n{}{}{rule}", key("release"), key("stranger")))
    };
    let (by_signer, by_revoker) = (policy(""), "revokers = [\"stranger\"]\n");
    let image = stage.image(":1.4");
    let revoke = |policy: Option<&str>, key: &str| {
        let words = ["revoke", &image, "--key", key, "--reason", "mistake", "--message", "x", "--yes", "--resolve-tag"];
        let user = policy.map_or(stage.user.clone(), |policy| stage.user.clone().with("TRUSTCTL_POLICY", policy));
        let (report, exit) = user.json(&words).unwrap();
        assert_eq!((exit, &report["results"][0]["done"]), (Some(0), &"revoked".into()), "{report:#}");
        (report["warnings"].as_array().unwrap().clone(), user.run(&words).unwrap().stderr)
    };
    let (told, stderr) = revoke(Some(&by_signer), "stranger");
    assert_eq!((told.len(), &told[0]["code"]), (1, &"TC0722".into()), "{told:#?}");
    assert!(told[0]["next"][0]["text"].as_str().unwrap().contains("under revokers of rule \"cart\""), "{told:#?}");
    assert!(stderr.contains("will heed it") && stderr.contains("next: name the key"), "{stderr}");
    let nothing = |(told, stderr): (Vec<serde_json::Value>, String)| {
        assert!(told.is_empty() && !stderr.contains("heed"), "{told:#?} {stderr}");
    };
    nothing(revoke(None, "stranger"));
    nothing(revoke(Some(&by_signer), "release"));
    nothing(revoke(Some(&policy(by_revoker)), "stranger"));
    nothing(revoke(Some(&stage.write("broken.toml", "nonsense")), "stranger"));
}
