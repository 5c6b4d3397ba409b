//! Keys of a trusted root, parsed when it was read. To parse a key takes up to a fifth of the time that a check with it takes, and both
//! libraries that check signatures here, Sigstore's and `webpki`, parse it each time.
//!
//! While [`Prepared::during`] runs, both find the parsed keys by their bytes. Whatever key is not among them is checked as ever: nothing is
//! accepted or refused because of what is prepared.

use std::cell::RefCell;
use std::sync::Arc;

use der::Decode as _;
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use sigstore_crypto::provider::{CryptoProvider, HashContext, SigningKeyPair, install_default_provider};
use sigstore_crypto::{Error, KeyAlgorithm, SigningScheme, aws_lc_provider};
use sigstore_types::HashAlgorithm;
use trustctl_core::public_key::{BadSignature, Hash, KeyKind, PublicKey, SignatureScheme};
use x509_cert::Certificate;

use super::chain::spki;
use super::root::Root;

/// Elliptic-curve keys that were parsed.
#[derive(Clone, Default)]
pub(super) struct Prepared(Arc<[PublicKey]>);

thread_local! {
    /// The keys of the instance that this thread judges by just now.
    static IN_USE: RefCell<Prepared> = RefCell::default();
}

impl Prepared {
    /// The keys of the logs and of all authorities.
    pub(super) fn new(root: &Root) -> Self {
        // Who installed another one before is left alone: then keys are parsed each time.
        let _ = install_default_provider(&PROVIDER);
        let authorities = root.library.certificate_authorities.iter().map(|authority| &authority.cert_chain);
        let chains = authorities.chain(root.library.timestamp_authorities.iter().map(|authority| &authority.cert_chain));
        let certified = chains.flat_map(|chain| &chain.certificates).filter_map(|certificate| {
            let certificate = Certificate::from_der(certificate.raw_bytes.as_bytes()).ok()?;
            PublicKey::from_spki_der(&spki(&certificate).ok()?).ok()
        });
        let logs = root.library.tlogs.iter().filter_map(|log| PublicKey::from_spki_der(log.public_key.raw_bytes.as_bytes()).ok());
        Self(logs.chain(certified).filter(|key| matches!(key.kind(), KeyKind::EcdsaP256 | KeyKind::EcdsaP384)).collect())
    }

    /// Does something while these keys are found. What was in use before is in use again afterwards.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = IN_USE.replace(self.clone());
        let done = work();
        IN_USE.replace(before);
        done
    }
}

/// What the key with these bytes says to a signature; `None` when no such key is in use.
fn checked(kind: KeyKind, hash: Hash, raw: &[u8], (message, signature): (&[u8], &[u8])) -> Option<Result<(), BadSignature>> {
    IN_USE.with_borrow(|Prepared(keys)| {
        let key = keys.iter().find(|key| key.kind() == kind && key.raw() == raw)?;
        Some(key.verify(SignatureScheme::EcdsaDer(hash), message, signature))
    })
}

/// The Sigstore library's cryptography, which is that of `aws-lc-rs`, with keys that may be parsed already.
#[derive(Debug)]
struct Provider;

static PROVIDER: Provider = Provider;

impl CryptoProvider for Provider {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>, Error> {
        aws_lc_provider().hash(algorithm)
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        aws_lc_provider().sha256(data)
    }

    fn sha384(&self, data: &[u8]) -> [u8; 48] {
        aws_lc_provider().sha384(data)
    }

    fn sha512(&self, data: &[u8]) -> [u8; 64] {
        aws_lc_provider().sha512(data)
    }

    fn verify_raw(&self, scheme: SigningScheme, raw: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let found = match scheme {
            SigningScheme::EcdsaP256Sha256 => checked(KeyKind::EcdsaP256, Hash::Sha256, raw, (message, signature)),
            SigningScheme::EcdsaP384Sha256 => checked(KeyKind::EcdsaP384, Hash::Sha256, raw, (message, signature)),
            SigningScheme::EcdsaP384Sha384 => checked(KeyKind::EcdsaP384, Hash::Sha384, raw, (message, signature)),
            _ => None,
        };
        match found {
            Some(Ok(())) => Ok(()),
            Some(Err(bad)) => Err(Error::Verification(bad.to_string())),
            None => aws_lc_provider().verify_raw(scheme, raw, message, signature),
        }
    }

    fn verify_prehashed(&self, scheme: SigningScheme, raw: &[u8], digest: &[u8], signature: &[u8]) -> Result<(), Error> {
        aws_lc_provider().verify_prehashed(scheme, raw, digest, signature)
    }

    fn generate_key_pair(&self, algorithm: KeyAlgorithm) -> Result<Box<dyn SigningKeyPair>, Error> {
        aws_lc_provider().generate_key_pair(algorithm)
    }

    fn key_pair_from_pkcs8_der(&self, pkcs8: &[u8]) -> Result<Box<dyn SigningKeyPair>, Error> {
        aws_lc_provider().key_pair_from_pkcs8_der(pkcs8)
    }
}

/// An algorithm of certificate signatures, with keys that may be parsed already.
#[derive(Debug)]
pub(super) struct WithPrepared {
    kind: KeyKind,
    hash: Hash,
    otherwise: &'static dyn SignatureVerificationAlgorithm,
}

/// ECDSA on P-256 with SHA-256, which certificates of logs and leaves have.
pub(super) static P256_SHA256: WithPrepared =
    WithPrepared { kind: KeyKind::EcdsaP256, hash: Hash::Sha256, otherwise: webpki::aws_lc_rs::ECDSA_P256_SHA256 };
/// ECDSA on P-384 with SHA-384, which certificates of authorities have.
pub(super) static P384_SHA384: WithPrepared =
    WithPrepared { kind: KeyKind::EcdsaP384, hash: Hash::Sha384, otherwise: webpki::aws_lc_rs::ECDSA_P384_SHA384 };

impl SignatureVerificationAlgorithm for WithPrepared {
    fn verify_signature(&self, raw: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        match checked(self.kind, self.hash, raw, (message, signature)) {
            Some(found) => found.map_err(|BadSignature| InvalidSignature),
            None => self.otherwise.verify_signature(raw, message, signature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.otherwise.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.otherwise.signature_alg_id()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::super::root::PUBLIC_GOOD;
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use rcgen::PublicKeyData as _;
    use sigstore_crypto::provider::default_provider;

    const SCHEME: SigningScheme = SigningScheme::EcdsaP384Sha384;

    fn key() -> (EcdsaKeyPair, PublicKey) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, key.serialized_der()).unwrap();
        (pair, PublicKey::from_spki_der(&key.subject_public_key_info()).unwrap())
    }

    #[test]
    fn what_is_prepared_decides_as_what_is_not() {
        let ((pair, key), (other, _)) = (key(), key());
        let prepared = Prepared([key].into());
        let [good, foreign] = [&pair, &other].map(|pair| pair.sign(&SystemRandom::new(), b"message").unwrap());
        let raw = pair.public_key().as_ref();
        let answers = || {
            let library = |signature: &[u8]| PROVIDER.verify_raw(SCHEME, raw, b"message", signature).is_ok();
            let builder = |signature: &[u8]| P384_SHA384.verify_signature(raw, b"message", signature).is_ok();
            [good.as_ref(), foreign.as_ref()].map(|signature| (library(signature), builder(signature)))
        };
        assert_eq!(prepared.during(answers), [(true, true), (false, false)]);
        assert_eq!(answers(), [(true, true), (false, false)]);
        // The other's key is not prepared, and its signature counts all the same.
        let unprepared = || P384_SHA384.verify_signature(other.public_key().as_ref(), b"message", foreign.as_ref());
        assert!(prepared.during(unprepared).is_ok());
    }

    #[test]
    fn keys_are_found_while_they_are_in_use_and_not_longer() {
        let (pair, key) = key();
        let (prepared, none) = (Prepared([key].into()), Prepared::default());
        let raw = pair.public_key().as_ref();
        let found = |kind, hash| checked(kind, hash, raw, (b"", b"")).is_some();
        let is_found = || found(KeyKind::EcdsaP384, Hash::Sha384);
        assert!(!is_found());
        assert_eq!(prepared.during(|| (is_found(), none.during(is_found), is_found())), (true, false, true));
        assert!(!is_found());
        assert!(!prepared.during(|| found(KeyKind::EcdsaP256, Hash::Sha384)), "by another kind of key");
    }

    #[test]
    fn logs_and_authorities_of_the_public_instance_are_prepared_for_the_library() {
        let Prepared(keys) = Prepared::new(&Root::from_json(PUBLIC_GOOD.as_bytes()).unwrap());
        let count = |kind| keys.iter().filter(|key| key.kind() == kind).count();
        assert!(count(KeyKind::EcdsaP256) >= 1 && count(KeyKind::EcdsaP384) >= 5, "{keys:?}");
        assert_eq!(format!("{:?}", default_provider()), "Provider", "the library asks here");
    }
}
