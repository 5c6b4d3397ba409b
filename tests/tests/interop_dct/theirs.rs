//! What docker signs, trustctl trusts, and nothing else.

use std::fs;

use serde_json::Value;
use trustctl_tests::image::Image;

use crate::stage::{Stage, accepts, refuses, root_id};

/// A policy that demands signatures under one root for everything on one registry.
fn policy(registry: &str, root: &str) -> String {
    format!(
        "version = 1\ndefault = \"deny\"\n\n[signers.team]\nscheme = \"dct\"\nroots = [\"{root}\"]\n\n\
         [[rules]]\nname = \"team\"\nimages = [\"{registry}/**\"]\nrequire = {{ any = [\"team\"] }}\n"
    )
}

/// The roles of the claims in a report on one image.
fn roles(result: &Value) -> Vec<&str> {
    let claims = result["schemes"].as_array().unwrap().iter().flat_map(|scheme| scheme["claims"].as_array().unwrap());
    let mut roles: Vec<&str> = claims.filter_map(|claim| claim["principal"]["role"].as_str()).collect();
    roles.sort_unstable();
    roles
}

#[test]
fn what_docker_pushes_is_trusted_under_its_root_and_under_no_other() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/pushed"), stage.gun("demo/pushed"));
    let (plain, docker) = (stage.plain_docker(), stage.docker());
    stage.push("demo/source", "1.0");
    accepts(plain.command(&["pull", &stage.repository("demo/source").tagged("1.0")]));
    accepts(plain.command(&["tag", &stage.repository("demo/source").tagged("1.0"), &repository.tagged("1.0")]));
    accepts(plain.command(&["push", &repository.tagged("1.0")]));
    let reader = stage.person();
    let nowhere = "0".repeat(64);
    let image = repository.tagged("1.0");
    reader.judges(&image, &["--dct-root", &nowhere], ("unsigned", 3, "TC0201"));
    accepts(docker.command(&["push", &image]));
    let root = root_id(&docker.config().join("trust"), &gun);
    let trusted = reader.trusts(&image, &["--dct-root", &root]);
    assert_eq!(roles(&trusted), ["targets"], "{trusted:#}");
    stage.person().judges(&image, &["--dct-root", &nowhere], ("rejected", 1, "TC0209"));
    let file = reader.home().join("policy.toml");
    fs::write(&file, policy(&stage.address(), &root)).unwrap();
    reader.trusts(&image, &["--policy", file.to_str().unwrap()]);
    fs::write(&file, policy(&stage.address(), &nowhere)).unwrap();
    stage.person().judges(&image, &["--policy", file.to_str().unwrap()], ("rejected", 1, "TC0209"));
    fs::write(&file, policy("registry.example", &root)).unwrap();
    let (report, code) = reader.user().json(&["verify", &image, "--policy", file.to_str().unwrap()]).unwrap();
    assert_eq!((report["results"][0]["verdict"].as_str(), code), (Some("rejected"), Some(1)), "{report:#}");
}

#[test]
fn tags_that_docker_did_not_sign_and_tags_that_moved_are_not_trusted() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/tags"), stage.gun("demo/tags"));
    let (plain, docker) = (stage.plain_docker(), stage.docker());
    stage.push("demo/tags", "1.0");
    let other = stage.push("demo/tags", "2.0");
    accepts(plain.command(&["pull", &repository.tagged("1.0")]));
    docker.log_in(&[&stage.address()]).unwrap();
    accepts(docker.command(&["trust", "sign", &repository.tagged("1.0")]));
    let signed = stage.digest("demo/tags", "1.0");
    let root = root_id(&docker.config().join("trust"), &gun);
    let pin = ["--dct-root", root.as_str()];
    let trusted = stage.person().trusts(&repository.tagged("1.0"), &pin);
    assert_eq!(trusted["digest"], signed.as_str());
    assert_eq!(roles(&trusted), ["targets/alice", "targets/releases"], "{trusted:#}");
    refuses(docker.command(&["pull", &repository.tagged("2.0")]), "No valid trust data for 2.0");
    stage.person().judges(&repository.tagged("2.0"), &pin, ("unsigned", 3, "TC0202"));
    stage.person().judges(&repository.at(&other), &pin, ("unsigned", 3, "TC0203"));
    stage.person().trusts(&repository.at(&signed), &pin);
    Image::docker("planted").push(&repository, "1.0").unwrap();
    stage.person().judges(&repository.tagged("1.0"), &pin, ("rejected", 1, "TC0204"));
}

#[test]
fn a_signer_with_a_generated_key_is_trusted_and_shown() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/signers"), stage.gun("demo/signers"));
    let (plain, owner, bob) = (stage.plain_docker(), stage.docker(), stage.docker());
    stage.push("demo/signers", "1.0");
    accepts(plain.command(&["pull", &repository.tagged("1.0")]));
    accepts(bob.command(&["trust", "key", "generate", "bob"]));
    let public = bob.home().join("bob.pub");
    // Somebody who is no signer and not logged in; it leaves the beginning of another collection in their trust directory.
    refuses(stage.docker().command(&["trust", "sign", &repository.tagged("1.0")]), "invalid role targets");
    accepts(owner.command(&["trust", "signer", "add", "--key", public.to_str().unwrap(), "bob", &gun]));
    let root = root_id(&owner.config().join("trust"), &gun);
    stage.person().judges(&repository.tagged("1.0"), &["--dct-root", &root], ("unsigned", 3, "TC0202"));
    accepts(bob.command(&["trust", "sign", &repository.tagged("1.0")]));
    let trusted = stage.person().trusts(&repository.tagged("1.0"), &["--dct-root", &root]);
    assert_eq!(trusted["digest"], stage.digest("demo/signers", "1.0"));
    assert_eq!(roles(&trusted), ["targets/bob", "targets/releases"], "{trusted:#}");
}

#[test]
fn a_key_of_another_program_is_loaded_by_docker_and_its_signatures_are_trusted() {
    let stage = set!(Stage::with_engine());
    let openssl = need!(Openssl);
    let (repository, gun) = (stage.repository("demo/loaded"), stage.gun("demo/loaded"));
    let (plain, docker) = (stage.plain_docker(), stage.docker());
    stage.push("demo/loaded", "1.0");
    accepts(plain.command(&["pull", &repository.tagged("1.0")]));
    let (key, public) = (docker.home().join("carol.pem"), docker.home().join("carol.pub"));
    let mut generate = openssl.command(docker.home());
    generate.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]).arg(&key);
    accepts(generate);
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut publish = openssl.command(docker.home());
    publish.args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public);
    accepts(publish);
    accepts(docker.command(&["trust", "key", "load", key.to_str().unwrap(), "--name", "carol"]));
    accepts(docker.command(&["trust", "signer", "add", "--key", public.to_str().unwrap(), "carol", &gun]));
    accepts(docker.command(&["trust", "sign", &repository.tagged("1.0")]));
    let root = root_id(&docker.config().join("trust"), &gun);
    let trusted = stage.person().trusts(&repository.tagged("1.0"), &["--dct-root", &root]);
    assert_eq!(roles(&trusted), ["targets/carol", "targets/releases"], "{trusted:#}");
    // And trustctl signs with that key as it lies there.
    let second = stage.push("demo/loaded", "2.0");
    let signed = stage.person_of(&docker).signs(&repository.at(&second), "2.0", &["--signer", "carol"]);
    assert_eq!(signed["roles"], serde_json::json!(["targets/carol", "targets/releases"]), "{signed:#}");
    assert!(accepts(docker.command(&["pull", &repository.tagged("2.0")])).stdout.contains(&second));
}

/// A key that trustctl made for Docker is a signer's key there, in Docker's own hands.
#[test]
fn docker_signs_with_a_key_that_trustctl_made() {
    let stage = set!(Stage::with_engine());
    let (repository, gun) = (stage.repository("demo/made"), stage.gun("demo/made"));
    let (plain, docker) = (stage.plain_docker(), stage.docker());
    stage.push("demo/made", "1.0");
    accepts(plain.command(&["pull", &repository.tagged("1.0")]));
    let folder = docker.home().display().to_string();
    stage.person_of(&docker).does(&["key", "generate", "dave", "--format", "notary", "--to", &folder]);
    let (key, public) = (format!("{folder}/dave.key"), format!("{folder}/dave.pub"));
    accepts(docker.command(&["trust", "key", "load", &key, "--name", "dave"]));
    accepts(docker.command(&["trust", "signer", "add", "--key", &public, "dave", &gun]));
    accepts(docker.command(&["trust", "sign", &repository.tagged("1.0")]));
    let root = root_id(&docker.config().join("trust"), &gun);
    let trusted = stage.person().trusts(&repository.tagged("1.0"), &["--dct-root", &root]);
    assert_eq!(roles(&trusted), ["targets/dave", "targets/releases"], "{trusted:#}");
}
