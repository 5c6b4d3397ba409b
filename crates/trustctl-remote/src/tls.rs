//! Whom TLS trusts: the system's roots, and what `certs.d` folders say about one registry.
//!
//! Nothing is loaded before a server is asked over TLS: reading the system's roots takes longer than a whole verification against
//! a registry on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::sync::OnceCell;

use crate::error::RemoteError;

/// Most bytes of one certificate or key file; bundles of all public roots have a quarter of that.
const MAX_FILE: u64 = 1024 * 1024;
/// An `SSL_CERT_FILE` of more bytes than this is a bundle of public roots, of which none is a server's own certificate.
const MAX_NAMED: u64 = 32 * 1024;
/// Most files that are read in one folder.
const MAX_FILES: usize = 64;

/// What a `certs.d` folder holds for one server (Docker's "Verify repository client with certificates").
#[derive(Default)]
pub(crate) struct HostCertificates {
    /// Additional roots: every `*.crt`.
    roots: Vec<CertificateDer<'static>>,
    /// Client certificate with its key: the first `*.cert` with a `*.key` of the same name.
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// The system's roots, loaded when first needed.
#[derive(Default)]
pub(crate) struct SystemRoots(OnceCell<Arc<Roots>>);

/// Whom TLS trusts without a `certs.d` folder.
pub(crate) struct Roots {
    store: RootCertStore,
    /// Those of them that the user named one by one: the content of a short `SSL_CERT_FILE`.
    named: Vec<CertificateDer<'static>>,
}

impl SystemRoots {
    /// The roots; `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of the system's own when they are set.
    pub(crate) async fn load(&self) -> Result<Arc<Roots>, RemoteError> {
        let loaded = self.0.get_or_try_init(|| async {
            tokio::task::spawn_blocking(load_system_roots)
                .await
                .map_err(|_| RemoteError::configuration("certificates", "loading them was interrupted"))?
        });
        loaded.await.cloned()
    }
}

impl Roots {
    /// Nobody is trusted.
    fn none() -> Self {
        Self { store: RootCertStore::empty(), named: Vec::new() }
    }
}

fn load_system_roots() -> Result<Arc<Roots>, RemoteError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = Roots::none();
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
        let path = Path::new(&file);
        // A variable that names an unreadable file must not end in silently trusting something else, or nothing.
        let length = fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
        if length <= MAX_NAMED {
            let own = rustls_native_certs::load_certs_from_paths(Some(path), None);
            if let Some(error) = own.errors.first() {
                return Err(RemoteError::configuration(file.to_string_lossy(), error.to_string()));
            }
            roots.named = own.certs;
        }
    }
    roots.store.add_parsable_certificates(found.certs);
    Ok(Arc::new(roots))
}

/// The client's side of TLS with a server, `roots` and its own certificates.
pub(crate) fn client_config(roots: &Roots, host: HostCertificates) -> Result<ClientConfig, RemoteError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |error: rustls::Error| RemoteError::configuration("certificates", error.to_string());
    let pinned: Vec<_> = host.roots.into_iter().chain(roots.named.iter().cloned()).collect();
    let mut roots = roots.store.clone();
    roots.add_parsable_certificates(pinned.iter().cloned());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = if roots.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| RemoteError::configuration("certificates", error.to_string()))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { inner, pinned }))
    };
    let mut config = match host.client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(unusable)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A configuration that trusts nobody, for a client that never speaks TLS.
pub(crate) fn no_tls() -> Result<ClientConfig, RemoteError> {
    client_config(&Roots::none(), HostCertificates::default())
}

/// The usual verification, and one addition: a self-signed certificate that the user named, in `certs.d` or `SSL_CERT_FILE`, may be
/// the server's own.
///
/// Many private registries use one certificate as root and as server certificate. OpenSSL and Go accept that; webpki refuses it
/// because a CA certificate stands where a server's should. Name and validity are still checked, by reading the certificate itself.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(why))
                if is_own_root(&why) && self.pinned.iter().any(|pinned| pinned == end_entity) =>
            {
                verify_own_root(end_entity, server_name, now)
            }
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// webpki's answers to a root that is presented as a server's certificate.
fn is_own_root(why: &CertificateError) -> bool {
    match why {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(other) => other.to_string().contains("CaUsedAsEndEntity"),
        _ => false,
    }
}

fn verify_own_root(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    use x509_cert::der::Decode as _;
    let broken = |_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
    let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
    rustls::client::verify_server_name(&parsed, server_name)?;
    let fields = x509_cert::Certificate::from_der(certificate).map_err(broken)?;
    let validity = fields.tbs_certificate.validity;
    let seconds = now.as_secs();
    if seconds < validity.not_before.to_unix_duration().as_secs() {
        return Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if seconds > validity.not_after.to_unix_duration().as_secs() {
        return Err(rustls::Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(ServerCertVerified::assertion())
}

/// The folder of `server` in the first of `folders` that has one.
pub(crate) fn host_folder(folders: &[PathBuf], server: &str) -> Option<PathBuf> {
    // A server's name has no slash and no dot-dot component: it was parsed as a host.
    folders.iter().map(|folder| folder.join(server)).find(|folder| folder.is_dir())
}

/// What the `certs.d` folder of one server holds.
pub(crate) fn read_host_folder(folder: &Path) -> Result<HostCertificates, RemoteError> {
    let listing = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut files: Vec<PathBuf> = listing.take(MAX_FILES).filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    let mut found = HostCertificates::default();
    for file in &files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.roots.extend(certificates(file)?),
            Some("cert") if found.client.is_none() => {
                let key = private_key(&file.with_extension("key"))?;
                found.client = Some((certificates(file)?, key));
            }
            Some("key") if !files.contains(&file.with_extension("cert")) => {
                return Err(RemoteError::configuration(file.to_string_lossy(), "there is no .cert file of the same name"));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, RemoteError> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(RemoteError::configuration(file.to_string_lossy(), "there is no PEM certificate in it")),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, RemoteError> {
    let bytes = zeroize::Zeroizing::new(read(file)?);
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| RemoteError::configuration(file.to_string_lossy(), "there is no unencrypted PEM private key in it"))
}

fn read(file: &Path) -> Result<Vec<u8>, RemoteError> {
    use std::io::Read as _;
    let opened = fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    let mut bytes = Vec::new();
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| unreadable(file, &error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(RemoteError::configuration(file.to_string_lossy(), "the file is too large to be a certificate or key"));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> RemoteError {
    RemoteError::configuration(path.to_string_lossy(), error.to_string())
}
