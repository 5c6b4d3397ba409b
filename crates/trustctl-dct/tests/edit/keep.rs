//! Other people's data in a file that is signed again.

use trustctl_core::reason::Code;
use trustctl_dct::canonical_json::Value;
use trustctl_dct::edit::{Change, MissingKey};
use trustctl_dct::metadata::envelope::{Envelope, Method, Signature};

use crate::world::{World, bare, digest, role, sign};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trustctl_core::public_key::{Hash, SignatureScheme};
use trustctl_core::signer::Signer as _;

/// A repository whose targets file was written by somebody else: `entry` is the target `theirs`, `more` other members.
fn with_targets(entry: &str, more: &str) -> World {
    let mut world = World::initialised();
    let json = format!(
        r#"{{"_type":"Targets","delegations":{{"keys":{{}},"roles":[]}},"expires":"2029-11-21T14:55:00.123456789+02:00",{more}"targets":{{"theirs":{entry}}},"version":7}}"#
    );
    let signed = Value::parse(json.as_bytes()).unwrap();
    let signature = world.targets.sign(SignatureScheme::EcdsaFixed(Hash::Sha256), &signed.canonical()).unwrap();
    let signature = Signature { key_id: bare(&world.targets).id().clone(), method: Method::Ecdsa, bytes: signature };
    let sealed = Envelope::seal(&Value::Null, &[signature]);
    let text = String::from_utf8(sealed).unwrap().replacen("null", &json, 1);
    world.files.get_mut("targets").unwrap().push(text.into_bytes());
    world
}

fn entry(custom: &str) -> String {
    let hash = STANDARD.encode(digest("theirs").as_bytes());
    format!(r#"{{"custom":{custom},"hashes":{{"sha256":"{hash}"}},"length":5}}"#)
}

#[test]
fn custom_data_is_kept_and_made_canonical() {
    let custom = r#"{ "z": "a&b<c>\u00e9\u2028\n", "a": [1e3, -0, true, null, {"y":1,"x":{}}] }"#;
    let mut world = with_targets(&entry(custom), "");
    let targets = world.targets.clone();
    world.publish(&[sign("1.0", "image")], &[&targets]);
    let wire = String::from_utf8(world.newest("targets").to_vec()).unwrap();
    let written = r#""custom":{"a":[1000,0,true,null,{"x":{},"y":1}],"z":"a\u0026b\u003cc\u003eé\u2028\u000a"}"#;
    assert!(wire.contains(written), "{wire}");
    assert_eq!(world.signed_by("1.0", "image"), ["targets"]);
    let kept = world.current().role(&role("targets")).unwrap().targets["theirs"].custom.clone().unwrap();
    assert_eq!(kept, Value::parse(custom.as_bytes()).unwrap());
}

#[test]
fn custom_data_stays_with_its_digest() {
    let mut world = with_targets(&entry("\"note\""), "");
    let targets = world.targets.clone();
    let same = trustctl_dct::edit::SignTag::new("theirs", digest("theirs"), 5);
    assert!(world.plan(&[Change::SignTag(same)], &[&targets]).unwrap().is_empty());
    world.publish(&[sign("theirs", "other")], &[&targets]);
    assert_eq!(world.current().role(&role("targets")).unwrap().targets["theirs"].custom, None);
}

#[test]
fn what_would_change_is_not_signed_again() {
    let sha256 = STANDARD.encode(digest("theirs").as_bytes());
    let odd_hash = format!(r#"{{"hashes":{{"md5":"AAAA","sha256":"{sha256}"}},"length":5}}"#);
    let odd_field = format!(r#"{{"hashes":{{"sha256":"{sha256}"}},"length":5,"media_type":"x"}}"#);
    for (entry, more, named) in [
        (entry("9007199254740993"), "", "9007199254740993"),
        (entry("1"), r#""spec_version":"1.0","#, "spec_version"),
        (odd_field, "", "targets.theirs.media_type"),
        (odd_hash, "", "targets.theirs.hashes.md5"),
    ] {
        let world = with_targets(&entry, more);
        for change in [
            sign("1.0", "image"),
            Change::Witness { role: role("targets") },
            Change::RevokeTag { name: "theirs".to_owned(), digest: None, missing: MissingKey::Fail },
        ] {
            let reason = world.plan(&[change], &[&world.targets]).unwrap_err();
            assert_eq!(reason.code, Code::DctCannotKeep);
            assert!(reason.message.contains(named), "{}", reason.message);
        }
    }
}

#[test]
fn a_collection_that_was_not_read_completely_is_not_edited() {
    let mut world = World::with_signers();
    let alice = world.alice.clone();
    world.publish(&[sign("1.0", "image")], &[&alice]);
    let mut files = trustctl_dct::edit::Files::new(world.newest("root").to_vec(), world.newest("targets").to_vec());
    files.snapshot = Some(world.newest("snapshot").to_vec());
    let reason = trustctl_dct::edit::Current::open(crate::world::GUN, files).unwrap_err();
    assert_eq!(reason.code, Code::DctMissingFile);
    assert!(reason.message.contains("targets/alice"), "{}", reason.message);
}
