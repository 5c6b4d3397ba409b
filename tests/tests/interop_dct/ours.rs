//! What trustctl signs, docker and notary accept.

use serde_json::Value;
use trustctl_tests::image::{Image, Index};

use crate::stage::{Person, Stage, accepts, hex, json_of, refuses};

/// What `docker trust inspect` and `trustctl inspect --docker-json` print must be the same.
#[track_caller]
fn same_inspection(stage: &Stage, person: &Person, image: &str, pin: &str) -> Value {
    let theirs = json_of(stage.docker().command(&["trust", "inspect", image]));
    let (ours, code) = person.user().json(&["inspect", "--docker-json", image, "--dct-root", pin]).unwrap();
    assert_eq!(code, Some(0), "{ours:#}");
    assert_eq!(ours, theirs, "trustctl's on the left, docker's on the right");
    theirs
}

#[test]
fn a_tag_signed_into_a_virgin_repository_is_pulled_listed_and_inspected() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/app"), stage.gun("demo/app"));
    let digest = stage.push("demo/app", "1.0");
    let (docker, notary) = (stage.docker(), stage.notary());
    refuses(docker.command(&["pull", &repository.tagged("1.0")]), "does not have trust data");
    refuses(notary.command(&["lookup", &gun, "1.0"]), "does not have trust data");
    let owner = stage.person();
    let signed = owner.signs(&repository.at(&digest), "1.0", &[]);
    assert_eq!((signed["done"].as_str(), &signed["roles"]), (Some("signed"), &serde_json::json!(["targets"])));
    let pulled = accepts(docker.command(&["pull", &repository.tagged("1.0")]));
    assert!(pulled.stdout.contains(&digest), "{}", pulled.output());
    refuses(docker.command(&["pull", &repository.tagged("2.0")]), "No valid trust data for 2.0");
    let listed = accepts(notary.command(&["list", &gun]));
    assert!(listed.stdout.contains(hex(&digest)), "{}", listed.output());
    let found = accepts(notary.command(&["lookup", &gun, "1.0"]));
    assert!(found.stdout.contains(hex(&digest)), "{}", found.output());
    let pin = signed["rootKeyIds"][0].as_str().unwrap();
    for image in [repository.tagged("1.0"), gun.clone()] {
        let seen = same_inspection(&stage, &owner, &image, pin);
        assert_eq!(seen[0]["SignedTags"][0]["Digest"], hex(&digest), "{seen:#}");
        assert_eq!(seen[0]["SignedTags"][0]["Signers"], serde_json::json!(["Repo Admin"]), "{seen:#}");
    }
}

#[test]
fn an_index_is_signed_by_digest_and_pulled_by_its_tag() {
    let stage = set!(Stage::with_engine());
    let repository = stage.repository("demo/multi");
    let digest = Index::two_architectures("multi").push(&repository, "2.0").unwrap();
    let docker = stage.docker();
    refuses(docker.command(&["pull", &repository.tagged("2.0")]), "does not have trust data");
    let owner = stage.person();
    let signed = owner.signs(&repository.at(&digest), "2.0", &[]);
    let pulled = accepts(docker.command(&["pull", &repository.tagged("2.0")]));
    assert!(pulled.stdout.contains(&digest), "{}", pulled.output());
    let found = accepts(stage.notary().command(&["lookup", &stage.gun("demo/multi"), "2.0"]));
    assert!(found.stdout.contains(hex(&digest)), "{}", found.output());
    let pin = signed["rootKeyIds"][0].as_str().unwrap();
    stage.person().trusts(&repository.tagged("2.0"), &["--dct-root", pin]);
}

/// Somebody who can push to the registry and sign nothing puts a signed image under a tag that nobody signed, in an index of their own.
#[test]
fn an_index_that_nobody_signed_does_not_borrow_the_tags_of_its_images() {
    let stage = set!(Stage::without_engine());
    let repository = stage.repository("demo/borrowed");
    let index = Index::two_architectures("borrowed");
    let digest = index.push(&repository, "prod").unwrap();
    let owner = stage.person();
    let mut pin = String::new();
    for (image, tag) in index.images.iter().zip(["0.8", "0.9"]) {
        repository.push_manifest(&image.manifest, tag).unwrap();
        let signed = owner.signs(&repository.at(&image.digest()), tag, &[]);
        pin = signed["rootKeyIds"][0].as_str().unwrap().to_owned();
    }
    let person = stage.person();
    let whom = ["--dct-root", pin.as_str()];
    person.trusts(&repository.tagged("0.9"), &whom);
    person.judges(&repository.tagged("prod"), &whom, ("unsigned", 3, "TC0202"));
    person.trusts(&repository.at(&digest), &whom);
    owner.signs(&repository.at(&digest), "prod", &[]);
    person.trusts(&repository.tagged("prod"), &whom);
}

#[test]
fn a_signer_with_delegations_is_shown_and_obeyed_by_docker() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/team"), stage.gun("demo/team"));
    let digest = stage.push("demo/team", "1.0");
    let docker = stage.docker();
    refuses(docker.command(&["trust", "inspect", &repository.tagged("1.0")]), "cannot access");
    let alice = stage.person();
    let signed = alice.signs(&repository.at(&digest), "1.0", &["--signer", "alice"]);
    assert_eq!(signed["roles"], serde_json::json!(["targets/alice", "targets/releases"]), "{signed:#}");
    let pin = signed["rootKeyIds"][0].as_str().unwrap();
    let pulled = accepts(docker.command(&["pull", &repository.tagged("1.0")]));
    assert!(pulled.stdout.contains(&digest), "{}", pulled.output());
    let delegations = accepts(stage.notary().command(&["delegation", "list", &gun]));
    for role in ["targets/alice", "targets/releases"] {
        assert!(delegations.stdout.contains(role), "{}", delegations.output());
    }
    let seen = same_inspection(&stage, &alice, &repository.tagged("1.0"), pin);
    assert_eq!(seen[0]["SignedTags"][0]["Signers"], serde_json::json!(["alice"]), "{seen:#}");
    assert_eq!(seen[0]["Signers"][0]["Name"], "alice", "{seen:#}");
}

#[test]
fn a_signer_is_added_to_a_collection_that_has_none() {
    let stage = set!(Stage::with_engine());
    let repository = stage.repository("demo/grown");
    let (first, second) = (stage.push("demo/grown", "1.0"), stage.push("demo/grown", "2.0"));
    let owner = stage.person();
    let signed = owner.signs(&repository.at(&first), "1.0", &[]);
    let pin = signed["rootKeyIds"][0].as_str().unwrap();
    let docker = stage.docker();
    refuses(docker.command(&["pull", &repository.tagged("2.0")]), "No valid trust data for 2.0");
    let signed = owner.signs(&repository.at(&second), "2.0", &["--signer", "bob"]);
    assert_eq!(signed["roles"], serde_json::json!(["targets/bob", "targets/releases"]), "{signed:#}");
    for (tag, digest) in [("1.0", &first), ("2.0", &second)] {
        let pulled = accepts(docker.command(&["pull", &repository.tagged(tag)]));
        assert!(pulled.stdout.contains(digest.as_str()), "{}", pulled.output());
        stage.person().trusts(&repository.tagged(tag), &["--dct-root", pin]);
    }
    let seen = same_inspection(&stage, &owner, &stage.gun("demo/grown"), pin);
    assert_eq!(seen[0]["SignedTags"].as_array().unwrap().len(), 2, "{seen:#}");
}

#[test]
fn what_is_signed_again_changes_nothing_and_what_moved_is_served_anew() {
    let stage = set!(Stage::with_engine());
    let repository = stage.repository("demo/moving");
    let first = stage.push("demo/moving", "1.0");
    let owner = stage.person();
    owner.signs(&repository.at(&first), "1.0", &[]);
    assert_eq!(owner.signs(&repository.at(&first), "1.0", &[])["done"], "already signed");
    let second = Image::docker("something else").push(&repository, "1.0").unwrap();
    let docker = stage.docker();
    // Docker pulls what was signed, whatever the registry says that the tag is now.
    assert!(accepts(docker.command(&["pull", &repository.tagged("1.0")])).stdout.contains(&first));
    assert_eq!(owner.signs(&repository.at(&second), "1.0", &[])["done"], "signed");
    assert!(accepts(docker.command(&["pull", &repository.tagged("1.0")])).stdout.contains(&second));
}
