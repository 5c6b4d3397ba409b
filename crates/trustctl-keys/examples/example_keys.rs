//! Makes the keys of `keys-example/`: `cargo run -p trustctl-keys --example example_keys -- keys-example`.
//!
//! Every key is new, and existing ones are never replaced. It prints the rows for `EXAMPLE_KEYS` in `src/example.rs`, where they must be added: a test
//! compares that table with the folder.

use std::error::Error;

use trustctl_core::public_key::KeyKind;
use trustctl_keys::format::{Export, NotaryLabels};
use trustctl_keys::private_key::PrivateKey;
use trustctl_keys::secret::Passphrase;
use trustctl_keys::store::Store;

/// The passphrase of all of them, also in the folder's README.
const PASSPHRASE: &str = "example-only";
/// The repository that the targets key is labelled for.
const GUN: &str = "localhost:5000/demo/app";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder?")?;
    let passphrase = Passphrase::new(PASSPHRASE).ok_or("the passphrase is too long")?;
    let store = Store::at(folder);
    for (name, export) in [
        ("cosign", Export::Cosign),
        ("cosign-other", Export::Cosign),
        ("notary-root", Export::Notary(NotaryLabels::new("root", None)?)),
        ("notary-targets", Export::Notary(NotaryLabels::new("targets", Some(GUN))?)),
        ("notary-alice", Export::Notary(NotaryLabels::new("alice", None)?)),
    ] {
        let key = PrivateKey::generate(KeyKind::EcdsaP256)?;
        let stored = store.create(name, &key, &export, Some(&passphrase))?;
        println!("    ExampleKey {{ name: {name:?}, fingerprint: {:?} }},", stored.fingerprint().unwrap_or_default());
    }
    Ok(())
}
