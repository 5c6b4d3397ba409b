//! Fresh keys of every kind, and certificates for root keys.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256, RsaKeyPair,
};
use trustctl_core::public_key::{Hash, PublicKey, SignatureScheme};
use trustctl_core::signer::{SignError, Signer};

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A key in memory that signs the way Notary wants.
pub(crate) struct TestKey {
    pair: Pair,
    public: PublicKey,
    pkcs8: Vec<u8>,
}

impl TestKey {
    pub(crate) fn ecdsa() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public = PublicKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        let pkcs8 = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
        Self { pair: Pair::Ecdsa(pair), public, pkcs8 }
    }

    pub(crate) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let public = PublicKey::from_ed25519(pair.public_key().as_ref()).unwrap();
        Self { pair: Pair::Ed25519(pair), public, pkcs8: pkcs8.as_ref().to_vec() }
    }

    pub(crate) fn rsa() -> Self {
        let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let public = PublicKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        let pkcs8 = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec();
        Self { pair: Pair::Rsa(pair), public, pkcs8 }
    }

    /// A self-signed certificate with this common name, as PEM, valid from 2026 to 2036.
    pub(crate) fn certificate(&self, common_name: &str) -> String {
        let der = rcgen::KeyPair::try_from(self.pkcs8.as_slice()).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        params.not_before = rcgen::date_time_ymd(2026, 11, 1);
        params.not_after = rcgen::date_time_ymd(2036, 11, 1);
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature, rcgen::KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        params.self_signed(&der).unwrap().pem()
    }
}

impl Signer for TestKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match (&self.pair, scheme) {
            (Pair::Ecdsa(pair), SignatureScheme::EcdsaFixed(Hash::Sha256)) => {
                Ok(pair.sign(&random, message).unwrap().as_ref().to_vec())
            }
            (Pair::Ed25519(pair), SignatureScheme::Ed25519) => Ok(pair.sign(message).as_ref().to_vec()),
            (Pair::Rsa(pair), SignatureScheme::RsaPss(Hash::Sha256)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature).unwrap();
                Ok(signature)
            }
            _ => Err(SignError::Unsupported { key: self.public.kind().name() }),
        }
    }
}
