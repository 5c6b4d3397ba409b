//! A throw-away certificate authority, so that peers can speak TLS on loopback.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::failure::{Failure, io};

/// A certificate authority whose files lie in one folder.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    certificate: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate, good for servers and clients, with its P-256 key.
#[derive(Debug)]
pub struct Pair {
    /// The certificate file, PEM.
    pub certificate: PathBuf,
    /// The key file, PKCS#8 PEM.
    pub key: PathBuf,
    /// The certificate, DER.
    pub certificate_der: Vec<u8>,
    /// The key, PKCS#8 DER.
    pub key_der: Vec<u8>,
}

impl Authority {
    /// Makes a new authority and writes its certificate to `ca.crt` in `folder`.
    ///
    /// # Errors
    /// [`Failure::Certificate`] or [`Failure::Io`].
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, "trustctl tests, throw-away authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = folder.join("ca.crt");
        fs::write(&certificate, params.self_signed(&key)?.pem()).map_err(io("ca.crt"))?;
        Ok(Self { folder: folder.to_owned(), certificate, issuer: Issuer::new(params, key) })
    }

    /// Issues a certificate for `127.0.0.1` and `localhost` and writes `NAME.crt` and `NAME.key` beside the authority's own.
    ///
    /// # Errors
    /// [`Failure::Certificate`] or [`Failure::Io`].
    pub fn issue(&self, name: &str) -> Result<Pair, Failure> {
        self.issue_for(name, &["localhost", "127.0.0.1"])
    }

    /// Like [`Authority::issue`], for these hosts in place of this machine.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_for(&self, name: &str, hosts: &[&str]) -> Result<Pair, Failure> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let pair = Pair {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
            certificate_der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        };
        fs::write(&pair.certificate, certificate.pem()).map_err(io("certificate file"))?;
        fs::write(&pair.key, key.serialize_pem()).map_err(io("key file"))?;
        Ok(pair)
    }

    /// The authority's own certificate file, PEM.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }
}
