//! The published keys: complete, in the table, and refused.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use trustctl_core::public_key::KeyKind;
use trustctl_core::reason::Code;
use trustctl_core::signer::Signer;
use trustctl_keys::example::{EXAMPLE_KEYS, is_example, refuse};
use trustctl_keys::passphrase::{NoPrompt, Passphrases, Source};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::store::{Places, Store};

#[test]
fn the_table_and_the_folder_agree_and_every_key_opens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../keys-example");
    let places = Places { store: Store::at(folder), trust: Vec::new(), keyring: None };
    let word = |_: &str| Some("example-only".to_owned());
    let passphrases = Passphrases { named: Some(Source::parse("env:W")), environment: &word, keyring: None, prompt: &NoPrompt };
    let listing = places.list().unwrap();
    assert!(listing.problems.is_empty(), "{:?}", listing.problems);
    for stored in &listing.keys {
        let key = places.open(stored, &passphrases).unwrap();
        assert_eq!(stored.fingerprint(), Some(key.fingerprint()), "{}.pub belongs to another key", stored.name);
        assert!(
            EXAMPLE_KEYS.iter().any(|row| row.name == stored.name && row.fingerprint == key.fingerprint()),
            "{}",
            stored.name
        );
        assert_eq!(refuse(key.public_key(), false).unwrap_err().code(), Code::ExampleKey);
        assert!(refuse(key.public_key(), true).is_ok());
    }
    assert!(EXAMPLE_KEYS.iter().all(|row| listing.keys.iter().any(|key| key.name == row.name)));
}

#[test]
fn other_keys_are_not_refused() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    assert!(!is_example(&key.fingerprint()));
    assert!(refuse(key.public_key(), false).is_ok());
}
