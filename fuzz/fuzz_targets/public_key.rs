#![no_main]
//! Public keys: SPKI in PEM and DER.

use libfuzzer_sys::fuzz_target;
use trustctl_core::public_key::{Hash, PublicKey, SignatureScheme};

fuzz_target!(|bytes: &[u8]| {
    drop(PublicKey::from_pem(bytes));
    if let Ok(key) = PublicKey::from_spki_der(bytes) {
        assert!(key.verify(SignatureScheme::EcdsaFixed(Hash::Sha256), b"message", bytes).is_err());
        assert_eq!(PublicKey::from_pem(key.to_pem().as_bytes()).as_ref(), Ok(&key));
    }
});
