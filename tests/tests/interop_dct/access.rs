//! Notary servers that are set up in other ways: with a signer that keeps their keys, and with tokens for those who may publish.

use std::fs;

use serde_json::json;
use trustctl_tests::image::Image;
use trustctl_tests::notary::Options;
use trustctl_tests::registry::Options as RegistryOptions;
use trustctl_tests::tokens::{PASSWORD, USER, basic};

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

/// The server speaks TLS and sends everybody to a token server: anonymous callers may read, one user may publish. Where the program
/// finds that user: in the variable of notary's users, or under the registry's name in Docker's configuration.
#[test]
fn a_server_with_tokens_is_read_by_everybody_and_written_by_who_may() {
    let stage = set!(Stage::of(&RegistryOptions::default(), &Options { signer: None, tokens: true }));
    let (repository, gun) = (stage.repository("demo/tokens"), stage.gun("demo/tokens"));
    let digest = stage.push("demo/tokens", "1");
    let image = repository.at(&digest);
    let sign = ["sign", &image, "--tag", "1", "--scheme", "dct"];
    let stranger = stage.person();
    let (refused, exit) = stranger.user().json(&sign).unwrap();
    assert_eq!(exit, Some(5), "a stranger is given no token to publish with: {refused:#}");
    refuses(stage.notary().command(&["lookup", &gun, "1"]), "does not have trust data");

    let owner = stage.person();
    let login = basic().trim_start_matches("Basic ").to_owned();
    let docker = json!({"auths": {stage.address(): {"auth": login}}});
    fs::write(owner.home().join(".docker/config.json"), docker.to_string()).unwrap();
    let signed = owner.signs(&image, "1", &[]);
    let root = signed["rootKeyIds"][0].as_str().unwrap();
    assert!(accepts(stage.notary().command(&["lookup", &gun, "1"])).stdout.contains(hex(&digest)));
    stranger.trusts(&repository.tagged("1"), &["--dct-root", root]);

    let revoke =
        ["revoke", &repository.tagged("1"), "--scheme", "dct", "--reason", "mistake", "--message", "wrong branch", "--yes"];
    let (refused, exit) = owner.user().clone().with("NOTARY_AUTH", wrong()).json(&revoke).unwrap();
    assert_eq!(exit, Some(5), "{refused:#}");
    assert!(!refused.to_string().contains(PASSWORD), "no secret is told: {refused:#}");
    fs::remove_file(owner.home().join(".docker/config.json")).unwrap();
    let (refused, exit) = owner.user().json(&revoke).unwrap();
    assert_eq!(exit, Some(5), "{refused:#}");
    let (revoked, exit) = owner.user().clone().with("NOTARY_AUTH", login).json(&revoke).unwrap();
    assert_eq!(exit, Some(0), "{revoked:#}");
    stranger.judges(&repository.tagged("1"), &["--dct-root", root], ("unsigned", 3, "TC0202"));
}

/// The right user with a wrong password, as `NOTARY_AUTH` has it.
fn wrong() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{USER}:not-{PASSWORD}"))
}
