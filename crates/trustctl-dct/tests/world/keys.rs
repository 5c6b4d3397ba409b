//! Fresh keys, and certificates good and bad.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256, RsaKeyPair,
};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer};
use trustctl_core::public_key::{PublicKey, SignatureScheme};
use trustctl_core::signer::{SignError, Signer};
use trustctl_dct::key::Key;

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key, and how its role lists the public half.
#[derive(Clone)]
pub(crate) struct Holder {
    secret: Arc<Secret>,
    pub(crate) key: Key,
}

struct Secret {
    pair: Pair,
    public: PublicKey,
    pkcs8: Vec<u8>,
}

/// A certificate to make; the default is what Notary makes.
#[derive(Clone, Debug)]
pub(crate) struct Certificate<'a> {
    pub(crate) common_name: &'a str,
    pub(crate) years: (i32, i32),
    pub(crate) is_authority: bool,
    pub(crate) purposes: Vec<ExtendedKeyUsagePurpose>,
}

impl<'a> Certificate<'a> {
    pub(crate) fn of(common_name: &'a str) -> Self {
        Self { common_name, years: (2026, 2036), is_authority: false, purposes: vec![ExtendedKeyUsagePurpose::CodeSigning] }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.common_name);
        params.not_before = rcgen::date_time_ymd(self.years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(self.years.1, 1, 1);
        params.extended_key_usages = self.purposes.clone();
        params.is_ca = if self.is_authority { IsCa::Ca(rcgen::BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        params
    }
}

impl Holder {
    pub(crate) fn ecdsa() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public = PublicKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        let pkcs8 = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
        Self::new(Pair::Ecdsa(pair), public, pkcs8)
    }

    pub(crate) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let public = PublicKey::from_ed25519(pair.public_key().as_ref()).unwrap();
        Self::new(Pair::Ed25519(pair), public, pkcs8.as_ref().to_vec())
    }

    pub(crate) fn rsa() -> Self {
        let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let public = PublicKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        let pkcs8 = aws_lc_rs::encoding::AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec();
        Self::new(Pair::Rsa(pair), public, pkcs8)
    }

    /// A fresh P-256 key in Notary's usual certificate.
    pub(crate) fn root(gun: &str) -> Self {
        Self::ecdsa().certified(&Certificate::of(gun))
    }

    fn new(pair: Pair, public: PublicKey, pkcs8: Vec<u8>) -> Self {
        let key = Key::from_public_key(&public);
        Self { secret: Arc::new(Secret { pair, public, pkcs8 }), key }
    }

    /// The same key, listed in a self-signed certificate.
    pub(crate) fn certified(&self, certificate: &Certificate<'_>) -> Self {
        self.listed_as(&self.certificate_pem(certificate))
    }

    /// The same key, listed in these PEM certificates.
    pub(crate) fn listed_as(&self, pem: &str) -> Self {
        Self { secret: Arc::clone(&self.secret), key: Key::from_certificates(pem.as_bytes()).unwrap() }
    }

    /// A self-signed certificate for the key.
    pub(crate) fn certificate_pem(&self, certificate: &Certificate<'_>) -> String {
        certificate.params().self_signed(&self.rcgen()).unwrap().pem()
    }

    /// A certificate for `subject`, issued by this key under the given description of itself.
    pub(crate) fn issue(&self, itself: &Certificate<'_>, subject: &Self, certificate: &Certificate<'_>) -> String {
        let issuer = Issuer::new(itself.params(), self.rcgen());
        certificate.params().signed_by(&subject.rcgen(), &issuer).unwrap().pem()
    }

    fn rcgen(&self) -> rcgen::KeyPair {
        rcgen::KeyPair::try_from(self.secret.pkcs8.as_slice()).unwrap()
    }
}

impl Signer for Holder {
    fn public_key(&self) -> &PublicKey {
        &self.secret.public
    }

    fn sign(&self, _: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        Ok(match &self.secret.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        })
    }
}

/// DER of the one certificate in a PEM text.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    pem::parse(pem).unwrap().contents().to_vec()
}
