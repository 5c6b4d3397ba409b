//! Withdrawing: what cosign then says, what is left of others, and what counts when everything is put back.

use std::fs;

use trustctl_tests::image::{Content, Image, Repository};
use trustctl_tests::peers::Peer;
use trustctl_tests::registry::CraneRegistry;

use crate::stage::{Cosign, Form, Stage, accepts, denies, hosts, repository};

const REASON: [&str; 5] = ["--reason", "compromised", "--message", "the build host was broken into", "--yes"];

#[test]
fn a_revocation_takes_the_own_signatures_away_and_leaves_those_of_others() {
    for (_host, address) in hosts() {
        let Some(cosign) = Cosign::three() else { return };
        let stage = Stage::new();
        stage.key("own");
        cosign.key(&stage, "other");
        let repository = repository(&address, "revoked");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        let image = repository.at(&digest);
        denies(&cosign.verify(&stage, Form::Bundle, "own", &[&image]), "no signatures found");
        stage.done(&["sign", &image, "--key", "own.key", "--storage", "both"]);
        for form in [Form::Legacy, Form::Bundle] {
            cosign.sign(&stage, form, "other", &[&image]);
            accepts(cosign.verify(&stage, form, "own", &[&image]));
            accepts(cosign.verify(&stage, form, "other", &[&image]));
        }
        let report = stage.done(&[&["revoke", &image, "--key", "own.key"], &REASON[..]].concat());
        assert_eq!(report["results"][0]["notRemoved"], serde_json::json!([]), "{report}");
        denies(&cosign.verify(&stage, Form::Legacy, "own", &[&image]), "signature");
        accepts(cosign.verify(&stage, Form::Legacy, "other", &[&image]));
        accepts(cosign.verify(&stage, Form::Bundle, "other", &[&image]));
        let report = stage.refuses(&image, "own.pub", (1, "TC0309"));
        assert!(report.to_string().contains("the build host was broken into"), "{report}");
        stage.trusts(&image, "other.pub");
    }
}

#[test]
fn signatures_that_are_put_back_stay_revoked() {
    for (_host, address) in hosts() {
        let stage = Stage::new();
        stage.key("own");
        let repository = repository(&address, "restored");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        let image = repository.at(&digest);
        stage.done(&["sign", &image, "--key", "own.key", "--storage", "legacy"]);
        let tag = format!("{}.sig", digest.replace(':', "-"));
        let saved = manifest(&repository, &tag);
        stage.trusts(&image, "own.pub");
        stage.done(&[&["revoke", &image, "--key", "own.key"], &REASON[..]].concat());
        repository.push_manifest(&saved, &tag).unwrap();
        stage.refuses(&image, "own.pub", (1, "TC0309"));
        // Nobody who starts afresh is fooled either.
        let stranger = Stage::stranger();
        fs::copy(stage.home().join("own.pub"), stranger.home().join("own.pub")).unwrap();
        stranger.refuses(&image, "own.pub", (1, "TC0309"));
    }
}

#[test]
fn a_revoker_whom_the_policy_names_withdraws_what_another_signed() {
    for (_host, address) in hosts() {
        let stage = Stage::new();
        for name in ["release", "security", "somebody"] {
            stage.key(name);
        }
        let repository = repository(&address, "policy");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        let image = repository.at(&digest);
        let policy = format!(
            "version = 1\n[signers.release]\nscheme = \"cosign\"\nkey = \"release.pub\"\n\
             [signers.security]\nscheme = \"cosign\"\nkey = \"security.pub\"\n\
             [[rules]]\nname = \"all\"\nimages = [\"{address}/**\"]\nrequire = {{ any = [\"release\"] }}\nrevokers = [\"security\"]\n"
        );
        stage.write("policy.toml", &policy);
        let verify = ["verify", &image, "--policy", "policy.toml"];
        stage.ends(&verify, 3, "TC0301");
        stage.done(&["sign", &image, "--key", "release.key"]);
        stage.done(&verify);
        stage.done(&[&["revoke", &image, "--key", "somebody.key"], &REASON[..]].concat());
        stage.done(&verify);
        stage.done(&[&["revoke", &image, "--key", "security.key"], &REASON[..]].concat());
        stage.ends(&verify, 1, "TC0309");
    }
}

fn manifest(repository: &Repository, reference: &str) -> Content {
    let answer = repository.ask("GET", &format!("manifests/{reference}")).unwrap();
    assert_eq!(answer.status, 200);
    Content::new(answer.headers.first("Content-Type").unwrap(), answer.body)
}

/// Each says in its own way that it has no referrers API, or has one: docker-registry with the words of its router, crane's with an
/// error of the specification. What the list holds is found in all of them.
#[test]
fn a_revocation_is_found_in_every_registry_that_is_here() {
    let crane = Peer::Crane.or_skip().map(|program| CraneRegistry::start(&program).unwrap());
    let mut addresses: Vec<String> = crane.iter().map(CraneRegistry::address).collect();
    let hosts = hosts();
    addresses.extend(hosts.iter().map(|(_, address)| address.clone()));
    for address in addresses {
        let (stage, stranger) = (Stage::new(), Stage::stranger());
        stage.key("own");
        fs::copy(stage.home().join("own.pub"), stranger.home().join("own.pub")).unwrap();
        let repository = repository(&address, "listed");
        let digest = Image::tiny("hello").push(&repository, "1").unwrap();
        let image = repository.at(&digest);
        stranger.refuses(&image, "own.pub", (3, "TC0301"));
        stage.done(&["sign", &image, "--key", "own.key", "--storage", "bundle"]);
        stranger.trusts(&image, "own.pub");
        stage.done(&[&["revoke", &image, "--key", "own.key", "--keep-signatures"], &REASON[..]].concat());
        stranger.refuses(&image, "own.pub", (1, "TC0309"));
    }
}
