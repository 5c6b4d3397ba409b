//! Docker Content Trust: Notary, the engine and its client.

use std::fs;

use trustctl_tests::engine::{DockerClient, Engine};
use trustctl_tests::image::{Image, Repository};
use trustctl_tests::notary::{NotaryClient, NotaryServer, Options};
use trustctl_tests::peers::{Peer, Program, skip};
use trustctl_tests::tokens::{USER, basic};

use crate::{accepts, open_registry, ran, refuses};

/// Initialises, publishes and looks up; shows that a tag nobody signed is refused.
fn notary_works(server: &NotaryServer, key_type: &str) {
    let client = NotaryClient::new(&need!(Notary), server).unwrap();
    let gun = "localhost:5000/demo/app";
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    accepts(ran(client.command(&["init", "-p", gun])));
    accepts(ran(client.command(&["addhash", "-p", gun, "1.0", "0", "--sha256", digest])));
    let found = accepts(ran(client.command(&["lookup", gun, "1.0"])));
    assert!(found.stdout.contains(digest), "{}", found.output());
    refuses(&ran(client.command(&["lookup", gun, "2.0"])), "No valid trust data");
    refuses(&ran(client.command(&["list", "localhost:5000/demo/virgin"])), "does not have trust data");
    let root = fs::read_to_string(client.trust_directory().join(format!("tuf/{gun}/metadata/root.json"))).unwrap();
    let root: serde_json::Value = serde_json::from_str(&root).unwrap();
    let keys = &root["signed"]["keys"];
    let timestamp = root["signed"]["roles"]["timestamp"]["keyids"][0].as_str().unwrap();
    assert_eq!(keys[timestamp]["keytype"], key_type);
}

#[test]
fn notary_server_alone_signs_with_ed25519() {
    let server = NotaryServer::start(&need!(NotaryServer), &Options::default()).unwrap();
    notary_works(&server, "ed25519");
}

#[test]
fn notary_server_with_a_signer_signs_with_ecdsa() {
    let options = Options { signer: Some(need!(NotarySigner)), tokens: false };
    let server = NotaryServer::start(&need!(NotaryServer), &options).unwrap();
    notary_works(&server, "ecdsa");
}

#[test]
fn notary_server_with_tokens_refuses_strangers_to_publish() {
    let options = Options { signer: None, tokens: true };
    let server = NotaryServer::start(&need!(NotaryServer), &options).unwrap();
    let client = NotaryClient::new(&need!(Notary), &server).unwrap();
    let init = |gun: &str, login: Option<&str>| {
        let mut command = client.command(&["init", "-p", gun]);
        if let Some(login) = login {
            command.env("NOTARY_AUTH", login.trim_start_matches("Basic "));
        }
        ran(command)
    };
    let refused = init("localhost:5000/demo/stranger", None);
    refuses(&refused, "not authorized to perform this operation");
    accepts(init("localhost:5000/demo/known", Some(&basic())));
    accepts(ran(client.command(&["list", "localhost:5000/demo/known"])));
}

fn engine(program: &Program) -> Option<Engine> {
    match Engine::start(program) {
        Ok(engine) => Some(engine),
        // Only root may run an engine; everything else is a failure of the test.
        Err(failure) if failure.to_string().contains("needs to be started with root") => {
            skip("dockerd", "it needs root");
            None
        }
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn docker_with_content_trust_pulls_what_was_signed_and_refuses_what_was_not() {
    let registry = open_registry(&need!(DockerRegistry));
    let notary = NotaryServer::start(&need!(NotaryServer), &Options::default()).unwrap();
    let cli = need!(DockerCli);
    let dockerd = need!(Dockerd);
    let Some(engine) = engine(&dockerd) else { return };
    let address = format!("localhost:{}", registry.port());
    let unsigned = Repository::new(address.as_str(), "demo/unsigned");
    let signed = Repository::new(address.as_str(), "demo/signed");
    Image::docker("hello").push(&unsigned, "1").unwrap();
    let plain = DockerClient::new(&cli, &engine, None).unwrap();
    let trusting = DockerClient::new(&cli, &engine, Some(&notary)).unwrap();
    refuses(&ran(trusting.command(&["pull", &unsigned.tagged("1")])), "does not have trust data");
    accepts(ran(plain.command(&["pull", &unsigned.tagged("1")])));
    accepts(ran(plain.command(&["tag", &unsigned.tagged("1"), &signed.tagged("1")])));
    accepts(ran(trusting.command(&["push", &signed.tagged("1")])));
    accepts(ran(trusting.command(&["pull", &signed.tagged("1")])));
    refuses(&ran(trusting.command(&["pull", &signed.tagged("2")])), "No valid trust data for 2");
}

#[test]
fn docker_trust_sign_names_the_signer_who_is_logged_in() {
    let registry = open_registry(&need!(DockerRegistry));
    let notary = NotaryServer::start(&need!(NotaryServer), &Options::default()).unwrap();
    let cli = need!(DockerCli);
    let Ok(engine) = Engine::start(&need!(Dockerd)) else { return skip("dockerd", "it does not start here") };
    let address = format!("localhost:{}", registry.port());
    let repository = Repository::new(address.as_str(), "demo/app");
    Image::docker("hello").push(&repository, "1").unwrap();
    let client = DockerClient::new(&cli, &engine, Some(&notary)).unwrap();
    client.log_in(&[&address]).unwrap();
    accepts(ran(DockerClient::new(&cli, &engine, None).unwrap().command(&["pull", &repository.tagged("1")])));
    refuses(&ran(client.command(&["trust", "inspect", &repository.tagged("1")])), "signatures or cannot access");
    accepts(ran(client.command(&["trust", "sign", &repository.tagged("1")])));
    let shown = accepts(ran(client.command(&["trust", "inspect", &repository.tagged("1")])));
    assert!(shown.stdout.contains(USER), "{}", shown.output());
}
