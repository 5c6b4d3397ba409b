//! A Notary server whose keys rest in a signer of its own.

use trustctl_tests::image::Image;
use trustctl_tests::notary::Options;
use trustctl_tests::registry::Options as RegistryOptions;

use crate::stage::{Stage, accepts, hex, refuses, root_id};

#[test]
fn a_server_with_a_signer_keeps_ecdsa_keys_and_works_the_same() {
    let options = Options { signer: Some(need!(NotarySigner)), tokens: false };
    let stage = set!(Stage::of(&RegistryOptions::default(), &options));
    let (repository, gun) = (stage.repository("demo/ecdsa"), stage.gun("demo/ecdsa"));
    let (ours, theirs) = (stage.push("demo/ecdsa", "1"), stage.push("demo/ecdsa", "2"));
    let client = stage.notary();
    refuses(client.command(&["lookup", &gun, "1"]), "does not have trust data");
    let owner = stage.person();
    let signed = owner.signs(&repository.at(&ours), "1", &[]);
    assert!(accepts(client.command(&["lookup", &gun, "1"])).stdout.contains(hex(&ours)));
    stage.person().trusts(&repository.tagged("1"), &["--dct-root", signed["rootKeyIds"][0].as_str().unwrap()]);
    let (other, other_repository) = (stage.gun("demo/theirs"), stage.repository("demo/theirs"));
    let digest = Image::docker("demo/ecdsa 2").push(&other_repository, "2").unwrap();
    assert_eq!(digest, theirs);
    accepts(client.command(&["init", "-p", &other]));
    let size = stage.size(&other, &digest);
    accepts(client.command(&["addhash", "-p", &other, "2", &size, "--sha256", hex(&digest)]));
    let root = root_id(&client.trust_directory(), &other);
    stage.person().trusts(&other_repository.tagged("2"), &["--dct-root", &root]);
}
