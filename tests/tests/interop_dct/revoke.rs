//! What trustctl revokes, docker and notary refuse; also where docker's own revocation leaves a tag signed.

use std::fs;

use serde_json::json;

use crate::stage::{Stage, accepts, refuses, root_id};

const WHY: [&str; 6] = ["--scheme", "dct", "--reason", "mistake", "--message", "test"];

/// `trustctl revoke IMAGE` with a reason and nobody asked.
fn revoking<'a>(image: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["revoke", image, "--yes"], WHY.as_slice(), more].concat()
}

#[test]
fn a_revoked_tag_is_refused_by_docker_and_notary_and_the_others_are_not() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/taken"), stage.gun("demo/taken"));
    let owner = stage.person();
    for tag in ["1.0", "2.0"] {
        owner.signs(&repository.at(&stage.push("demo/taken", tag)), tag, &[]);
    }
    let (docker, notary) = (stage.docker(), stage.notary());
    accepts(docker.command(&["pull", &repository.tagged("1.0")]));
    let image = repository.tagged("1.0");
    assert_eq!(owner.does(&revoking(&image, &[]))["results"][0]["roles"], json!(["targets"]));
    refuses(docker.command(&["pull", &image]), "No valid trust data for 1.0");
    refuses(notary.command(&["lookup", &gun, "1.0"]), "No valid trust data for 1.0");
    accepts(docker.command(&["pull", &repository.tagged("2.0")]));
    // There is nothing left to revoke, which is not success.
    owner.fails(&revoking(&image, &[]), 6, "TC0202");
    owner.fails(&revoking(&repository.tagged("3.0"), &[]), 6, "TC0202");
}

#[test]
fn what_docker_leaves_signed_trustctl_takes_out() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/left"), stage.gun("demo/left"));
    let (plain, docker) = (stage.plain_docker(), stage.docker());
    let image = repository.tagged("1.0");
    stage.push("demo/left", "1.0");
    accepts(plain.command(&["pull", &image]));
    // Signed in `targets`; then a signer comes, and from then on docker looks at delegations alone.
    accepts(docker.command(&["push", &image]));
    accepts(docker.command(&["trust", "key", "generate", "dave"]));
    let public = docker.home().join("dave.pub");
    accepts(docker.command(&["trust", "signer", "add", "--key", public.to_str().unwrap(), "dave", &gun]));
    let revoked = accepts(docker.command(&["trust", "revoke", "-y", &image]));
    assert!(revoked.stdout.contains("Successfully deleted signature"), "{}", revoked.output());
    accepts(docker.command(&["pull", &image]));
    let root = root_id(&docker.config().join("trust"), &gun);
    stage.person().trusts(&image, &["--dct-root", &root]);
    let owner = stage.person_of(&docker);
    assert_eq!(owner.does(&revoking(&image, &[]))["results"][0]["roles"], json!(["targets"]));
    refuses(docker.command(&["pull", &image]), "No valid trust data for 1.0");
    stage.person().judges(&image, &["--dct-root", &root], ("unsigned", 3, "TC0202"));
}

#[test]
fn a_tag_in_delegations_is_taken_out_of_all_of_them() {
    let stage = set!(Stage::with_engine());
    let repository = stage.repository("demo/spread");
    let (image, owner) = (repository.tagged("1.0"), stage.person());
    let digest = stage.push("demo/spread", "1.0");
    owner.signs(&repository.at(&digest), "1.0", &[]);
    owner.signs(&repository.at(&digest), "1.0", &["--signer", "erin"]);
    let docker = stage.docker();
    accepts(docker.command(&["pull", &image]));
    let report = owner.does(&revoking(&image, &[]));
    assert_eq!(report["results"][0]["roles"], json!(["targets", "targets/erin", "targets/releases"]), "{report:#}");
    refuses(docker.command(&["pull", &image]), "No valid trust data for 1.0");
}

#[test]
fn without_a_key_the_revocation_fails_and_says_what_is_needed() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/keyless"), stage.gun("demo/keyless"));
    let (image, owner) = (repository.tagged("1.0"), stage.person());
    let digest = stage.push("demo/keyless", "1.0");
    owner.signs(&repository.at(&digest), "1.0", &[]);
    let signed = owner.signs(&repository.at(&digest), "1.0", &["--signer", "frank"]);
    let pin = signed["rootKeyIds"][0].as_str().unwrap();
    // Frank has his own key only: the tag stays in `targets`.
    let frank = stage.person();
    let keys = frank.trust_directory().join("private");
    fs::create_dir_all(&keys).unwrap();
    for entry in fs::read_dir(owner.trust_directory().join("private")).unwrap() {
        let file = entry.unwrap();
        if fs::read_to_string(file.path()).unwrap().contains("role: frank") {
            fs::copy(file.path(), keys.join(file.file_name())).unwrap();
        }
    }
    assert_eq!(fs::read_dir(&keys).unwrap().count(), 1);
    frank.fails(&revoking(&image, &["--dct-root", pin]), 5, "TC0222");
    let docker = stage.docker();
    accepts(docker.command(&["pull", &image]));
    let found = accepts(stage.notary().command(&["list", &gun]));
    assert!(!found.stdout.contains("targets/frank"), "{}", found.output());
    // The owner finishes it.
    owner.does(&revoking(&image, &[]));
    refuses(docker.command(&["pull", &image]), "No valid trust data for 1.0");
}
